//! What can be shown of a suggestion before it is finished.

use super::answer::{Citation, Suggestion};

/// Something that is known before the answer is. They come in the order in which they are declared here; the answer
/// itself is what [`crate::Assist::suggest_observed`] returns.
#[derive(Clone, Debug, PartialEq)]
pub enum SuggestEvent {
    /// What was found, before anything is written: once, perhaps empty.
    Retrieval(Vec<Citation>),
    /// The draft from the most similar earlier reply: once, where there is one. It needs no language model and is what
    /// the agent has if the model fails.
    Draft(Box<Suggestion>),
    /// The next part of the model's draft, without citation numbers. The finished draft may differ from all parts
    /// together: salutation and signature are fitted, and what nothing supports is marked.
    Delta(String),
    /// A verified citation of the model's draft, after its last part.
    Citation(Citation),
    /// The parts that were shown are void: the model failed or what it wrote was rejected.
    Restart,
}

/// Is told what becomes known. It is called on the task that polls the suggestion and must not wait: a channel that
/// never blocks is the usual implementation.
pub trait SuggestObserver: Send + Sync {
    /// Something became known.
    fn event(&self, event: SuggestEvent);
}

//! Conversations: which message answers which, and which pairs of question and answer they hold.
//!
//! Everything works on [`ThreadEntry`]s, small digests of messages that a ledger can keep for a whole archive in memory.
//! [`by_headers`] reads `References` and `In-Reply-To` alone, after Jamie Zawinski's algorithm
//! (<https://www.jwz.org/doc/threading.html>): messages that are not there still hold their replies together. [`full`] goes
//! on with what is left without a parent: Outlook's conversation index, quoted text, and subject with time and people.
//! Both give the same answer for any order of the same entries. [`ThreadIndex`]
//! gives the answer of [`full`] after each single entry, at the cost of the conversations that it touches.

mod entry;
mod forest;
mod index;
mod join;
mod pairs;

use rejoinder_domain::ThreadId;
use serde::{Deserialize, Serialize};

pub use entry::ThreadEntry;
pub use index::{Placed, Placement, ThreadIndex};
pub use pairs::{ReplyPair, reply_pairs};

/// What a message's place in its thread was read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// `References` or `In-Reply-To`; also a message that answers nothing.
    Headers,
    /// Outlook's conversation index.
    ConversationIndex,
    /// What it quotes is what the other message says.
    QuotedText,
    /// The same subject shortly after, between the same people.
    Subject,
}

/// Where each entry belongs; lists are parallel to the entries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Threading {
    /// The thread of each entry, made from the message id at its root.
    pub thread: Vec<ThreadId>,
    /// The entry that each answers, as an index; `None` where that is not known or not there.
    pub parent: Vec<Option<usize>>,
    /// What tied each entry to the rest of its thread.
    pub how: Vec<How>,
}

impl Threading {
    /// How many threads there are.
    pub fn thread_count(&self) -> usize {
        self.thread.iter().collect::<std::collections::HashSet<_>>().len()
    }
}

/// Threads by `References` and `In-Reply-To` alone.
pub fn by_headers(entries: &[ThreadEntry]) -> Threading {
    forest::Forest::by_headers(entries).threading()
}

/// Threads by headers, then conversation index, quoted text, and subject.
pub fn full(entries: &[ThreadEntry]) -> Threading {
    let mut forest = forest::Forest::by_headers(entries);
    join::join(entries, &mut forest, entries.len());
    forest.threading()
}

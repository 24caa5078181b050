//! What is asked of and answered by [`crate::Assist::suggest`]; field for field what API.md's suggest-reply says.

use std::time::Instant;

use jiff::Timestamp;
use rejoinder_domain::{Cost, LanguageModel, MailboxId, MessageId, ModelAttempt, TokenUsage};

use crate::generation::elapsed_ms;
use crate::{Caller, Ticket};

/// What to search in, for a suggestion.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Retrieval {
    /// Passages at most; `None` is the configured number.
    pub limit: Option<usize>,
    /// Only mail sent at or after.
    pub since: Option<Timestamp>,
    /// Only mail of these mailboxes; empty does not restrict.
    pub mailboxes: Vec<MailboxId>,
}

/// A ticket that needs a reply.
#[derive(Clone, Debug, PartialEq)]
pub struct SuggestRequest {
    /// The ticket.
    pub ticket: Ticket,
    /// What the agent wants the reply to say. A language model follows it; the exemplar draft cannot, and says so by a
    /// review reason.
    pub instructions: Option<String>,
    /// The wanted tone; as for instructions.
    pub tone: Option<String>,
    /// ISO 639-1 code of the wanted language; `None` is the language of the ticket's last inbound message.
    pub language: Option<String>,
    /// How many different drafts, 1 to 5: first the language model's, where there is one and it succeeded, then exemplars.
    pub candidates: u32,
    /// The longest draft in tokens, for a language model, at least 1 and not above what is configured; an exemplar draft
    /// is as long as the reply it was.
    pub max_tokens: Option<u32>,
    /// What to search in.
    pub retrieval: Retrieval,
    /// Who signs. `None` leaves the placeholder `[agent name]`.
    pub agent_name: Option<String>,
    /// Where the request comes from and what of it may leave the machine.
    pub caller: Caller,
}

impl SuggestRequest {
    /// One draft for `ticket`, everything else as configured.
    pub fn new(ticket: Ticket) -> Self {
        Self {
            ticket,
            instructions: None,
            tone: None,
            language: None,
            candidates: 1,
            max_tokens: None,
            retrieval: Retrieval::default(),
            agent_name: None,
            caller: Caller::default(),
        }
    }
}

/// The answer: drafts, or why there is none.
#[derive(Clone, Debug, PartialEq)]
pub struct SuggestAnswer {
    /// The ticket's id, as sent.
    pub ticket_id: String,
    /// What the ticket asks, as it was searched for.
    pub question: AskedQuestion,
    /// The drafts, best first; empty where nothing similar is known.
    pub suggestions: Vec<Suggestion>,
    /// Why there is no draft; `Some` exactly when `suggestions` is empty.
    pub no_suggestion_reason: Option<NoSuggestion>,
    /// Where there is no draft: passages that are similar enough to be worth reading. Otherwise empty.
    pub nearest: Vec<Citation>,
    /// What was tried, in order.
    pub attempts: Vec<Attempt>,
    /// Tokens spent.
    pub usage: Usage,
    /// How long it took.
    pub timings: Timings,
}

/// The question of a ticket's last inbound message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AskedQuestion {
    /// The ticket's subject without the prefixes of replying and forwarding.
    pub subject: String,
    /// What the customer wrote in that message: no quoted history, no signature.
    pub text: String,
    /// The words that say what it is about, lower case, sorted, each once.
    pub terms: Vec<String>,
}

impl Usage {
    /// What one attempt cost.
    pub(crate) fn of(usage: TokenUsage, cost: Option<Cost>) -> Self {
        Self {
            input_tokens: usage.input as u64,
            cached_input_tokens: usage.cached_input as u64,
            output_tokens: usage.output as u64,
            cost,
        }
    }

    /// What several attempts cost together.
    pub(crate) fn sum(attempts: &[Attempt]) -> Self {
        attempts.iter().fold(Self::default(), |sum, attempt| Self {
            input_tokens: sum.input_tokens + attempt.usage.input_tokens,
            cached_input_tokens: sum.cached_input_tokens + attempt.usage.cached_input_tokens,
            output_tokens: sum.output_tokens + attempt.usage.output_tokens,
            cost: match (sum.cost, attempt.usage.cost) {
                (Some(sum), Some(cost)) => Some(sum.plus(cost)),
                (sum, cost) => sum.or(cost),
            },
        })
    }
}

impl Attempt {
    /// A try of a model that is no router.
    pub(crate) fn by(model: &dyn LanguageModel, outcome: &'static str, started: Instant, usage: Usage) -> Self {
        let (provider, name) = (model.provider().to_owned(), model.model().to_owned());
        Self { provider, model: name, outcome, ms: elapsed_ms(started), usage }
    }

    /// An attempt of a router.
    pub(crate) fn of(attempt: ModelAttempt) -> Self {
        Self {
            outcome: attempt.outcome.code(),
            usage: Usage::of(attempt.usage, attempt.cost),
            provider: attempt.provider,
            model: attempt.model,
            ms: attempt.ms,
        }
    }
}

/// Why there is no draft.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoSuggestion {
    /// No earlier question is similar enough, or none similar has a usable reply.
    NothingSimilar,
}

impl NoSuggestion {
    /// The stable code.
    pub fn code(self) -> &'static str {
        match self {
            Self::NothingSimilar => "nothing_similar",
        }
    }
}

/// One draft.
#[derive(Clone, Debug, PartialEq)]
pub struct Suggestion {
    /// The draft. What the agent has to look at is marked in place: `[[check: EUR 1,250.00]]`, `[agent name]`,
    /// `[customer name]`.
    pub text: String,
    /// Which tier wrote it: `exemplar`, or the language model's provider (`local`).
    pub provider: String,
    /// Which model: `reply-pairs`, or the language model's name.
    pub model: String,
    /// The earlier reply that an exemplar draft was fitted from; `None` for a language model's draft.
    pub fitted_from: Option<MessageId>,
    /// ISO 639-1 code of the draft's language, where it is long enough to tell.
    pub language: Option<String>,
    /// 0 to 0.95, from similarity and checks alone: see [`crate::suggest::confidence`].
    pub confidence: f32,
    /// Whether there is any review reason.
    pub needs_review: bool,
    /// Stable `snake_case` codes, each once, in the order of the checks.
    pub review_reasons: Vec<&'static str>,
    /// Every check, passed or not.
    pub checks: Vec<Check>,
    /// Where the draft comes from, numbered from 1. For a language model's draft only words that bear out one of its
    /// sentences, in the order of the sentences.
    pub citations: Vec<Citation>,
}

/// One check of a draft.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// Stable `snake_case` name.
    pub name: &'static str,
    /// Whether it passed.
    pub passed: bool,
    /// What was found, for the agent; may repeat words of the draft or the ticket.
    pub detail: String,
}

/// A verified quotation: `quote` is the body text of `message_id` from code point `start` up to, not including, `end`.
#[derive(Clone, Debug, PartialEq)]
pub struct Citation {
    /// Number in the suggestion, from 1.
    pub n: u32,
    /// The message.
    pub message_id: MessageId,
    /// The name of a mailbox that holds it; empty where none is known.
    pub mailbox: String,
    /// Its subject.
    pub subject: String,
    /// When it was sent.
    pub sent_at: Option<Timestamp>,
    /// Its author: display name, or the address where there is none.
    pub from: String,
    /// The words, verbatim.
    pub quote: String,
    /// First code point in the message's body text.
    pub start: usize,
    /// One past the last code point.
    pub end: usize,
    /// Cosine similarity to the question; without an embedder the share of words in common. 0 to 1.
    pub score: f32,
}

/// One tier that was tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// `exemplar`, `embedder` (only where it failed), or the language model's provider.
    pub provider: String,
    /// `reply-pairs`, the embedder's id, or the language model's name.
    pub model: String,
    /// `ok`; for the exemplar also `nothing_similar`. For a model that failed: `timeout`, `overloaded`,
    /// `context_too_long`, `output_incomplete`, `unavailable`, `transient`, `auth`, `invalid`, `failed`. For a draft that
    /// was thrown away: `empty`, `unreadable`, `unfinished`, `template_tokens`, `echoes_prompt`, `addresses_model`, `speaks_of_itself`,
    /// `repeats_itself`, `only_quotes_customer`, `wrong_language`. For a form: also `invalid_output`. For an answer that was
    /// kept: `cached`. For a model that was not asked: `circuit_open`, `over_budget`, `egress_denied`, `busy`, `unsupported`.
    pub outcome: &'static str,
    /// Milliseconds.
    pub ms: u64,
    /// What it cost.
    pub usage: Usage,
}

/// Tokens and money spent, also for a draft that was thrown away; nothing without a language model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Tokens read.
    pub input_tokens: u64,
    /// Those of them that did not have to be computed, because an earlier prompt began alike.
    pub cached_input_tokens: u64,
    /// Tokens written.
    pub output_tokens: u64,
    /// What that cost, where a model with a price was asked.
    pub cost: Option<Cost>,
}

/// Milliseconds from the request's start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timings {
    /// Embedding the question and searching both pools.
    pub retrieve: u64,
    /// Until the first text of the draft that is the answer was there; for an exemplar the first whole draft.
    pub first_token: u64,
    /// All of it.
    pub total: u64,
}

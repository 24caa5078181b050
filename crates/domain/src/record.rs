//! What the store holds.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Direction, MailboxId, MessageId, RecordId, Span};

/// The two pools that a suggestion draws from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pool {
    /// Chunks of what people wrote.
    Passage,
    /// Inbound messages with the reply that our side gave; found by the question.
    ReplyPair,
}

impl Pool {
    /// Every pool.
    pub const ALL: [Self; 2] = [Self::Passage, Self::ReplyPair];

    /// The name used in file and table names.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Passage => "passage",
            Self::ReplyPair => "reply_pair",
        }
    }
}

/// The reply half of a reply pair.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplyText {
    /// The message that is the reply.
    pub message_id: MessageId,
    /// Its new text, from the salutation to the sign-off.
    pub text: String,
    /// The reply's author: display name, or the address where there is none.
    pub author: String,
    /// When the reply was sent.
    pub sent_at: Option<Timestamp>,
}

/// One searchable record. Subject and [`Record::text`] are what is embedded and what the full-text index reads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Deterministic id.
    pub id: RecordId,
    /// Which pool it belongs to.
    pub pool: Pool,
    /// The message that `text` comes from; for a reply pair the question.
    pub message_id: MessageId,
    /// Every mailbox that holds that message.
    pub mailboxes: Vec<MailboxId>,
    /// Which way that message went.
    pub direction: Direction,
    /// When that message was sent.
    pub sent_at: Option<Timestamp>,
    /// Lower-cased addresses on that message.
    pub participants: Vec<String>,
    /// Its subject.
    pub subject: String,
    /// Its author: display name, or the address where there is none.
    pub author: String,
    /// ISO 639-1 code of its language, where known; the full-text index stems by it.
    pub language: Option<String>,
    /// Where `text` is in the message's body text.
    pub span: Span,
    /// The text.
    pub text: String,
    /// The reply, for a reply pair only.
    pub reply: Option<ReplyText>,
    /// Embedding of subject and text, L2-normalised, one value per dimension; `None` where no embedder is at hand: such a
    /// record is found by its words alone.
    pub vector: Option<Vec<f32>>,
}

//! Types and seam traits of Rejoinder.
//!
//! Everything else depends on this crate and it depends on nothing of ours: no I/O, no async runtime, no HTTP, no model.
//! A mailbox becomes [`Message`]s, a message becomes [`Record`]s (passages and reply pairs) with a vector, and a
//! [`VectorStore`] finds them again for one tenant.
//!
//! ```
//! use rejoinder_domain::{Span, TenantId};
//!
//! let tenant = TenantId::new("acme-finance")?;
//! let span = Span::new(0, 4).ok_or("a span ends before it starts")?;
//! assert_eq!(span.of("Dear Ms Weber"), Some("Dear"));
//! assert!(TenantId::new("").is_err());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Invariants: a tenant is never empty and has no default; a span never splits a character of the text it was made for;
//! an error carries a [`ErrorKind`], and decisions are made on the kind alone.
//!
//! Modules in reading order: [`tenant`], [`id`], [`span`], [`message`], [`record`], [`embed`],
//! [`language`], [`journal`], [`store`], [`error`].

pub mod embed;
pub mod error;
pub mod id;
pub mod journal;
pub mod language;
pub mod message;
pub mod record;
pub mod span;
pub mod store;
pub mod tenant;

pub use embed::{Embedder, Role};
pub use error::{ErrorKind, SeamError};
pub use id::{MailboxId, MessageId, RecordId, ThreadId};
pub use journal::{AttemptId, EgressRecord, Journal, Spending, Spent, UsageRecord};
pub use language::{
    AttemptOutcome, CallContext, ChatMessage, ChatRole, Cost, Egress, FinishReason, GenerateEvent, GenerateRequest,
    GenerateStream, Generated, LanguageModel, ModelAttempt, OutputFormat, Priority, Purpose, Sampling, TokenUsage,
    Tool, ToolCall, ToolCallPart, ToolChoice,
};
pub use message::{
    Address, Attachment, AttachmentMethod, Body, BodySource, Direction, ItemKind, Message, Provenance, Segment,
    SegmentKind, Skipped,
};
pub use record::{Pool, Record, ReplyText};
pub use span::Span;
pub use store::{EraseScope, Filter, Hit, SearchQuery, VectorStore};
pub use tenant::{InvalidTenant, TenantId};

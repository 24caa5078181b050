//! What assist needs from the rest, as traits that the facade implements.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rejoinder_domain::{Embedder, MailboxId, Message, MessageId, Role, SeamError, Span, TenantId};

/// Reads messages back, to verify that a quoted passage is where a citation says it is. A lookup takes milliseconds
/// (a row of a local database) and is called from async code as it is.
pub trait MessageLookup: Send + Sync {
    /// The message, if the tenant has it.
    fn message(&self, tenant: &TenantId, id: &MessageId) -> Result<Option<Message>, SeamError>;

    /// The mailboxes that hold the message, with the names that people know them by.
    fn mailboxes_of(&self, tenant: &TenantId, id: &MessageId) -> Result<Vec<(MailboxId, String)>, SeamError>;
}

/// What people did with earlier suggestions.
pub trait ReplyHistory: Send + Sync {
    /// For each of `replies` that was rejected as a suggestion: whether for this ticket, and how often at all. Replies that
    /// nobody rejected are left out. A lookup takes milliseconds.
    fn rejections(&self, tenant: &TenantId, ticket: &str, replies: &[MessageId]) -> Result<Vec<Rejection>, SeamError>;
}

/// That people did not want a reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// The earlier reply that was suggested.
    pub reply: MessageId,
    /// Whether it was rejected for the ticket that is asked about.
    pub here: bool,
    /// How often people rejected it, for whatever ticket.
    pub elsewhere: u32,
}

/// Divides mail text. `rejoinder-mail` knows how; assist only uses it.
pub trait TextCleaner: Send + Sync {
    /// The readable text of an HTML body.
    fn readable(&self, html: &str) -> String;

    /// Where in `text` is what its sender wrote in this message: no quoted history, forwarded mail, signature or legal
    /// footer. In order, without overlap.
    fn new_spans(&self, text: &str) -> Vec<Span>;

    /// ISO 639-1 code of the text's language, where it is long enough to tell.
    fn language(&self, text: &str) -> Option<String>;
}

/// An embedder that async code may await. An [`Embedder`] computes for milliseconds to seconds on the calling thread,
/// which would stall an async runtime; assist runs on no particular runtime, so it does not move the work away itself.
/// The facade implements this trait with its own bounded queue or `spawn_blocking`; [`InlineEmbedder`] is for callers
/// whose thread may compute (the command line, tests).
#[async_trait]
pub trait QueryEmbedder: Send + Sync {
    /// As [`Embedder::id`].
    fn id(&self) -> &str;

    /// As [`Embedder::embed`]: one L2-normalised vector per text, in order. What is kept of it is kept for `tenant` alone.
    async fn embed(&self, tenant: &TenantId, texts: Vec<String>, role: Role) -> Result<Vec<Vec<f32>>, SeamError>;
}

/// A clock that wakes. Assist runs on no particular runtime and therefore has none of its own; with one it gives up on
/// a language model that is silent for too long, without one it relies on the model's own deadline.
pub trait Timer: Send + Sync {
    /// Completes when `duration` is over, counted from this call.
    fn after(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>>;
}

/// An embedder at work for one tenant.
#[derive(Clone, Copy)]
pub(crate) struct TenantEmbedder<'a> {
    pub(crate) embedder: &'a dyn QueryEmbedder,
    pub(crate) tenant: &'a TenantId,
}

impl TenantEmbedder<'_> {
    pub(crate) async fn embed(&self, texts: Vec<String>, role: Role) -> Result<Vec<Vec<f32>>, SeamError> {
        self.embedder.embed(self.tenant, texts, role).await
    }
}

/// Embeds on the thread that polls.
pub struct InlineEmbedder(Arc<dyn Embedder>);

impl InlineEmbedder {
    /// Wraps `embedder`.
    pub fn new(embedder: Arc<dyn Embedder>) -> Self {
        Self(embedder)
    }
}

#[async_trait]
impl QueryEmbedder for InlineEmbedder {
    fn id(&self) -> &str {
        self.0.id()
    }

    async fn embed(&self, _: &TenantId, texts: Vec<String>, role: Role) -> Result<Vec<Vec<f32>>, SeamError> {
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        self.0.embed(&texts, role)
    }
}

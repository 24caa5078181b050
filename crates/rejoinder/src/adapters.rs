//! What the application asks for, answered by the parts that have it: messages from the ledger, cleaning from the mail
//! crate, vectors from a thread that may compute.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rejoinder_assist::{MessageLookup, QueryEmbedder, TextCleaner, Timer};
use rejoinder_domain::{
    Embedder, ErrorKind, MailboxId, Message, MessageId, Role, SeamError, SegmentKind, Span, TenantId,
};
use rejoinder_ledger::{Ledger, LedgerError};

/// Messages by id, out of the ledger.
pub(crate) struct LedgerMessages(pub(crate) Arc<Ledger>);

impl MessageLookup for LedgerMessages {
    fn message(&self, tenant: &TenantId, id: &MessageId) -> Result<Option<Message>, SeamError> {
        self.0.message(tenant, id).map_err(seam)
    }

    fn mailboxes_of(&self, tenant: &TenantId, id: &MessageId) -> Result<Vec<(MailboxId, String)>, SeamError> {
        let holders = self.0.mailboxes_of(tenant, id).map_err(seam)?;
        let all = self.0.mailboxes(tenant).map_err(seam)?;
        let named = all.into_iter().filter(|mailbox| holders.contains(&mailbox.id));
        Ok(named.map(|mailbox| (mailbox.id, mailbox.name)).collect())
    }
}

fn seam(error: LedgerError) -> SeamError {
    SeamError::new(error.kind(), "the ledger could not be read").caused_by(error)
}

/// The cleaner that ingestion uses, so that a ticket is divided like the mail it is compared with.
pub(crate) struct MailCleaner;

impl TextCleaner for MailCleaner {
    fn readable(&self, html: &str) -> String {
        rejoinder_mail::html::to_text(html)
    }

    fn new_spans(&self, text: &str) -> Vec<Span> {
        let segments = rejoinder_mail::clean::segments(text);
        segments.into_iter().filter(|segment| segment.kind == SegmentKind::New).map(|segment| segment.span).collect()
    }

    fn language(&self, text: &str) -> Option<String> {
        rejoinder_mail::language::detect(text)
    }
}

/// tokio's clock.
pub(crate) struct RuntimeTimer;

impl Timer for RuntimeTimer {
    fn after(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(tokio::time::sleep(duration))
    }
}

/// Embeds on tokio's blocking threads, so that the runtime goes on.
pub(crate) struct BlockingEmbedder(pub(crate) Arc<dyn Embedder>);

#[async_trait]
impl QueryEmbedder for BlockingEmbedder {
    fn id(&self) -> &str {
        self.0.id()
    }

    async fn embed(&self, texts: Vec<String>, role: Role) -> Result<Vec<Vec<f32>>, SeamError> {
        let embedder = Arc::clone(&self.0);
        let work = tokio::task::spawn_blocking(move || {
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            embedder.embed(&texts, role)
        });
        work.await
            .map_err(|error| SeamError::new(ErrorKind::Internal, "the embedding thread failed").caused_by(error))?
    }
}

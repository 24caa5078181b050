//! What ends an ingest before its end. Whatever it is, the next run goes on from where this one stopped.

use rejoinder_domain::{ErrorKind, SeamError};
use rejoinder_ledger::LedgerError;

/// The ingest could not go on. A mailbox or an item that cannot be read is not such an error: it is in the report.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// The ledger failed, or another ingest of the tenant is running.
    #[error("the ledger failed")]
    Ledger(#[from] LedgerError),
    /// The store failed.
    #[error("the vector store failed")]
    Store(#[source] SeamError),
    /// The embedding model failed.
    #[error("the embedding model failed")]
    Embedder(#[source] SeamError),
    /// What was handed over is not to be indexed; the sentence says why and holds none of its text.
    #[error("the message is refused: {0}")]
    Refused(String),
    /// The configuration makes no sense.
    #[error("the ingest configuration is wrong: {0}")]
    Config(String),
    /// A defect of ours.
    #[error("the ingest broke off: {0}")]
    Internal(&'static str),
}

impl IngestError {
    /// What to decide on.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Ledger(error) => error.kind(),
            Self::Store(error) | Self::Embedder(error) => error.kind.clone(),
            Self::Config(_) | Self::Refused(_) => ErrorKind::Invalid,
            Self::Internal(_) => ErrorKind::Internal,
        }
    }
}

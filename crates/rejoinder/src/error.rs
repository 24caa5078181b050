//! What can go wrong in the library, with its kind.

use rejoinder_assist::AssistError;
use rejoinder_domain::{ErrorKind, SeamError};
use rejoinder_ledger::LedgerError;
use rejoinder_pipeline::IngestError;

/// Something failed. `Display` says what; [`std::error::Error::source`] says why.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration is wrong; the sentence says what to change.
    #[error("configuration: {0}")]
    Config(String),
    /// The data folder cannot be used.
    #[error("cannot use the data folder {0}")]
    DataFolder(std::path::PathBuf, #[source] std::io::Error),
    /// The ledger failed.
    #[error("the ledger failed")]
    Ledger(#[from] LedgerError),
    /// The store or a model failed.
    #[error(transparent)]
    Seam(#[from] SeamError),
    /// All was erased but what the store holds. It is noted, and done by [`crate::Rejoinder::finish_erasures`].
    #[error("the store could not erase its part yet")]
    ErasedButStore(#[source] SeamError),
    /// Ingesting failed as a whole. A bad item or mailbox never gets here: it is in the report.
    #[error("ingesting failed")]
    Ingest(#[from] IngestError),
    /// A request was wrong, or a part that it needs failed.
    #[error(transparent)]
    Assist(#[from] AssistError),
    /// A mailbox cannot be opened.
    #[error(transparent)]
    Source(#[from] rejoinder_mail::SourceError),
    /// The keys of encryption at rest failed.
    #[error("encryption at rest: {0}")]
    Vault(#[source] rejoinder_vault::VaultError),
    /// A thread of ours failed.
    #[error("a worker thread failed")]
    Worker(#[source] tokio::task::JoinError),
}

impl Error {
    /// What to decide on.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Config(_) | Self::Source(_) => ErrorKind::Invalid,
            Self::DataFolder(..) => ErrorKind::Unavailable,
            Self::Ledger(error) => error.kind(),
            Self::Seam(error) | Self::ErasedButStore(error) => error.kind.clone(),
            Self::Ingest(error) => error.kind(),
            Self::Assist(error) => error.kind(),
            Self::Vault(error) => error.kind(),
            Self::Worker(_) => ErrorKind::Internal,
        }
    }
}

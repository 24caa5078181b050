//! What can go wrong, with a kind to decide on.

use rejoinder_domain::ErrorKind;

/// The ledger could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The database refused or failed.
    #[error("the ledger's database failed")]
    Database(#[from] rusqlite::Error),
    /// The file or its folder could not be used.
    #[error("the ledger's file cannot be used")]
    File(#[from] std::io::Error),
    /// Another process or thread is ingesting for the same tenant.
    #[error("another ingest of this tenant is running; wait for it or stop it")]
    Busy,
    /// The file was written by a newer version of the program.
    #[error("the ledger has schema version {found} and this program knows up to {known}; use a newer program")]
    TooNew {
        /// The file's version.
        found: i64,
        /// The newest version that this program knows.
        known: i64,
    },
    /// A stored value cannot be understood.
    #[error("the ledger holds a damaged {0}")]
    Corrupt(&'static str),
    /// The mailbox was never announced by [`crate::Ledger::begin_read`].
    #[error("the ledger does not know this mailbox")]
    UnknownMailbox,
    /// There is no such job.
    #[error("the ledger does not know this job")]
    UnknownJob,
    /// Something of this id is there.
    #[error("the ledger has a {0} of this id")]
    Exists(&'static str),
    /// An answer that is too large to be kept for a repeated request.
    #[error("an answer of {bytes} bytes is not kept for repeated requests; the limit is {limit}")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// What is kept at most.
        limit: usize,
    },
    /// A file that was checked is damaged.
    #[error("the file is damaged: {0}")]
    Damaged(String),
    /// The ledger holds encrypted texts, and it was opened without master keys.
    #[error("the ledger is encrypted and no master key is configured; configure `[vault]` as it was")]
    Sealed,
    /// Sealing was asked for, and the ledger was opened without master keys.
    #[error("there is no master key to encrypt the ledger with")]
    NoMasterKey,
    /// The keys or a sealed text failed.
    #[error("encryption at rest failed")]
    Vault(#[from] rejoinder_vault::VaultError),
    /// An attempt can leave the machine once.
    #[error("this attempt has been recorded before")]
    Recorded,
    /// A cursor that this program did not give out, or not for this list.
    #[error("the cursor is not one of this list")]
    Cursor,
    /// The journal of usage was closed, or the thread that writes it failed.
    #[error("the journal of usage is closed")]
    Closed,
    /// Records of usage could not be written yet; they are tried again.
    #[error("{0} records of usage are not written yet, because the database fails")]
    Unwritten(u64),
    /// A thread panicked while it held the database.
    #[error("the ledger was left in the middle of a change by a failed thread")]
    Poisoned,
}

impl LedgerError {
    /// What to decide on.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Database(rusqlite::Error::SqliteFailure(failure, _)) => match failure.code {
                // The tenant was erased while a text of it was on its way here.
                _ if failure.extended_code == rusqlite::ffi::SQLITE_CONSTRAINT_TRIGGER => ErrorKind::Transient,
                rusqlite::ErrorCode::DatabaseBusy
                | rusqlite::ErrorCode::DatabaseLocked
                | rusqlite::ErrorCode::DiskFull => ErrorKind::Transient,
                rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase => ErrorKind::Corrupt,
                rusqlite::ErrorCode::CannotOpen
                | rusqlite::ErrorCode::ReadOnly
                | rusqlite::ErrorCode::PermissionDenied => ErrorKind::Unavailable,
                _ => ErrorKind::Internal,
            },
            Self::Database(_) | Self::Poisoned | Self::Recorded | Self::Exists(_) => ErrorKind::Internal,
            Self::Vault(error) => error.kind(),
            Self::Sealed | Self::NoMasterKey | Self::File(_) | Self::TooNew { .. } | Self::Closed => {
                ErrorKind::Unavailable
            }
            Self::Busy | Self::Unwritten(_) => ErrorKind::Transient,
            Self::Corrupt(_) | Self::Damaged(_) => ErrorKind::Corrupt,
            Self::UnknownMailbox | Self::UnknownJob => ErrorKind::NotFound,
            Self::Cursor | Self::TooLarge { .. } => ErrorKind::Invalid,
        }
    }
}

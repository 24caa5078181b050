//! LanceDB's errors as ours.

use lance_core::Error as LanceError;
use lancedb::Error;
use rejoinder_domain::{ErrorKind, SeamError};

/// Says what was being done and keeps the cause.
pub(super) fn failed(doing: &'static str) -> impl Fn(Error) -> SeamError {
    move |error| SeamError::new(kind(&error), format!("the index failed while {doing}")).caused_by(error)
}

/// Whether another writer came first and the same operation may be tried again.
pub(super) fn is_conflict(error: &Error) -> bool {
    matches!(
        error,
        Error::Lance {
            source: LanceError::CommitConflict { .. }
                | LanceError::RetryableCommitConflict { .. }
                | LanceError::TooMuchWriteContention { .. }
                | LanceError::IncompatibleTransaction { .. }
        }
    )
}

pub(super) fn kind(error: &Error) -> ErrorKind {
    match error {
        Error::TableNotFound { .. } | Error::DatabaseNotFound { .. } => ErrorKind::NotFound,
        Error::TableCorrupted { .. } | Error::IndexNotFound { .. } => ErrorKind::Corrupt,
        Error::Timeout { .. } | Error::ObjectStore { .. } => ErrorKind::Transient,
        Error::CreateDir { .. } => ErrorKind::Unavailable,
        Error::Lance { source } => match source {
            LanceError::CorruptFile { .. } => ErrorKind::Corrupt,
            LanceError::DatasetNotFound { .. } | LanceError::NotFound { .. } => ErrorKind::NotFound,
            LanceError::IO { .. } | LanceError::Timeout { .. } => ErrorKind::Transient,
            _ if is_conflict(error) => ErrorKind::Transient,
            _ => ErrorKind::Internal,
        },
        _ => ErrorKind::Internal,
    }
}

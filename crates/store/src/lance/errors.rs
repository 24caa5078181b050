//! LanceDB's errors as ours.

use std::time::Duration;

use lance_core::Error as LanceError;
use lancedb::Error;
use rejoinder_domain::{ErrorKind, SeamError};

/// Says what was being done and keeps the cause.
pub(super) fn failed(doing: &'static str) -> impl Fn(Error) -> SeamError {
    move |error| SeamError::new(kind(&error), format!("the index failed while {doing}")).caused_by(error)
}

/// How often a write that another process overtook is tried, and how long the first wait is.
const TRIES: u32 = 8;
const FIRST_WAIT: Duration = Duration::from_millis(20);

/// Writes, and tries again where another process was first.
pub(super) async fn retrying<T, F>(doing: &'static str, write: impl Fn() -> F) -> Result<T, SeamError>
where
    F: Future<Output = Result<T, Error>>,
{
    let mut wait = FIRST_WAIT;
    for _ in 1..TRIES {
        match write().await {
            Err(error) if is_conflict(&error) => tokio::time::sleep(wait).await,
            result => return result.map_err(failed(doing)),
        }
        wait *= 2;
    }
    write().await.map_err(failed(doing))
}

/// Whether another writer came first and the same operation may be tried again.
fn is_conflict(error: &Error) -> bool {
    let Error::Lance { source } = error else { return false };
    matches!(
        source.find_root(),
        LanceError::CommitConflict { .. }
            | LanceError::RetryableCommitConflict { .. }
            | LanceError::TooMuchWriteContention { .. }
            | LanceError::IncompatibleTransaction { .. }
    )
}

fn kind(error: &Error) -> ErrorKind {
    match error {
        Error::TableNotFound { .. } | Error::DatabaseNotFound { .. } => ErrorKind::NotFound,
        Error::TableCorrupted { .. } | Error::IndexNotFound { .. } => ErrorKind::Corrupt,
        Error::Timeout { .. } | Error::ObjectStore { .. } => ErrorKind::Transient,
        Error::CreateDir { .. } => ErrorKind::Unavailable,
        // What several waited for comes to each of them wrapped.
        Error::Lance { source } => match source.find_root() {
            LanceError::CorruptFile { .. } => ErrorKind::Corrupt,
            LanceError::DatasetNotFound { .. } | LanceError::NotFound { .. } => ErrorKind::NotFound,
            LanceError::IO { .. } | LanceError::Timeout { .. } => ErrorKind::Transient,
            _ if is_conflict(error) => ErrorKind::Transient,
            _ => ErrorKind::Internal,
        },
        _ => ErrorKind::Internal,
    }
}

//! What can go wrong, and its kind.

use rejoinder_domain::{ErrorKind, SeamError};

/// A JSON Schema that extraction cannot honour exactly: it is refused rather than relaxed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("keyword {keyword:?} at {pointer:?}: {reason}")]
pub struct SchemaError {
    /// The keyword at fault; empty where the schema as a whole is.
    pub keyword: String,
    /// JSON pointer (RFC 6901) of the subschema that has it; empty for the root.
    pub pointer: String,
    /// Why, in words for the schema's author.
    pub reason: String,
}

/// A request that could not be answered.
#[derive(Debug, thiserror::Error)]
pub enum AssistError {
    /// The request is wrong or over a limit.
    #[error("{message}")]
    Invalid {
        /// JSON pointer into the request, as API.md lays it out.
        pointer: String,
        /// What is wrong and what is allowed; no text of a message.
        message: String,
    },
    /// The schema is wrong, over a limit, or uses what is not supported.
    #[error("unsupported schema")]
    Schema(#[source] SchemaError),
    /// A store, model or ledger failed.
    #[error("a part that the request needs failed")]
    Seam(#[source] SeamError),
}

impl AssistError {
    /// What to decide on.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Invalid { .. } | Self::Schema(_) => ErrorKind::Invalid,
            Self::Seam(error) => error.kind.clone(),
        }
    }

    /// A wrong request.
    pub(crate) fn invalid(pointer: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Invalid { pointer: pointer.into(), message: message.into() }
    }
}

impl From<SeamError> for AssistError {
    fn from(error: SeamError) -> Self {
        Self::Seam(error)
    }
}

impl From<SchemaError> for AssistError {
    fn from(error: SchemaError) -> Self {
        Self::Schema(error)
    }
}

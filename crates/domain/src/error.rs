//! What kind of failure it is: the only thing that decisions are made on.

use std::time::Duration;

/// The kind of a failure, shared by every seam.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// May pass if tried again soon: a time-out, a busy file, a connection that broke.
    Transient,
    /// Too much work at once; try again after the time given, if one is.
    RateLimited {
        /// How long to wait.
        retry_after: Option<Duration>,
    },
    /// The input is longer than the model takes.
    ContextTooLong,
    /// The answer did not come within the time it was allowed.
    DeadlineExceeded,
    /// The answer had to have a form (JSON, a pattern) and was not complete within the tokens it was allowed.
    OutputIncomplete,
    /// The answer had to have a form and is complete without having it.
    OutputInvalid,
    /// The model or its provider will not answer this: a refusal or a content filter.
    Refused,
    /// The tokens or the money allowed for a time are used up.
    OverBudget {
        /// When there is some again.
        resets_in: Duration,
    },
    /// A credential is missing or wrong.
    Auth,
    /// The caller's input cannot be served as it is.
    Invalid,
    /// What was named is not there.
    NotFound,
    /// Something that was configured is not ready: weights that are not on the disk, a library that does not load.
    Unavailable,
    /// Stored data is damaged or of another version.
    Corrupt,
    /// A defect of ours.
    Internal,
}

impl ErrorKind {
    /// The stable code of a failed attempt.
    pub fn outcome(&self) -> &'static str {
        match self {
            Self::Transient => "transient",
            Self::RateLimited { .. } => "overloaded",
            Self::ContextTooLong => "context_too_long",
            Self::DeadlineExceeded => "timeout",
            Self::OutputIncomplete => "output_incomplete",
            Self::OutputInvalid => "output_invalid",
            Self::Refused => "refused",
            Self::OverBudget { .. } => "over_budget",
            Self::Unavailable => "unavailable",
            Self::Auth => "auth",
            Self::Invalid => "invalid",
            Self::NotFound | Self::Corrupt | Self::Internal => "failed",
        }
    }
}

/// Something behind a seam failed: a model or a store.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct SeamError {
    /// What to decide on.
    pub kind: ErrorKind,
    /// What happened, without any text of a message.
    pub message: String,
    /// The cause.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl SeamError {
    /// An error without a cause.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), source: None }
    }

    /// The same error with its cause.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }
}

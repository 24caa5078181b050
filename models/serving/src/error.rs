//! What can go wrong when a local model is opened.

use rejoinder_decoder::DecoderError;
use rejoinder_domain::{ErrorKind, SeamError};

/// A local model could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServingError {
    /// The options cannot work.
    #[error("serving options: {0}")]
    Options(String),
    /// The file cannot be read or holds no model that the decoder runs.
    #[error(transparent)]
    Decoder(#[from] DecoderError),
    /// The file's tokenizer cannot be used.
    #[error(transparent)]
    Vocabulary(#[from] rejoinder_vocabulary::VocabularyError),
    /// The file's chat template cannot be used.
    #[error(transparent)]
    Template(#[from] rejoinder_vocabulary::TemplateError),
    /// The tokenizer cannot be used for constrained answers.
    #[error(transparent)]
    Grammar(#[from] rejoinder_grammar::GrammarError),
    /// A thread could not be started.
    #[error("cannot start a thread")]
    Thread(#[source] std::io::Error),
}

impl ServingError {
    /// What to decide on.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Options(_) => ErrorKind::Invalid,
            Self::Thread(_) => ErrorKind::Transient,
            Self::Decoder(_) | Self::Vocabulary(_) | Self::Template(_) | Self::Grammar(_) => ErrorKind::Unavailable,
        }
    }
}

impl From<ServingError> for SeamError {
    fn from(error: ServingError) -> Self {
        Self::new(error.kind(), error.to_string()).caused_by(error)
    }
}

/// A request that cannot be honoured as it is.
pub(crate) fn invalid(message: impl Into<String>) -> SeamError {
    SeamError::new(ErrorKind::Invalid, message)
}

/// A defect of ours.
pub(crate) fn internal(message: impl Into<String>) -> SeamError {
    SeamError::new(ErrorKind::Internal, message)
}

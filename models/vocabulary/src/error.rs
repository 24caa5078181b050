//! What can be wrong with a vocabulary or a template.

use rejoinder_domain::{ErrorKind, SeamError};

/// A GGUF file's vocabulary cannot be used, or a text cannot be written with it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VocabularyError {
    /// The file does not say something that is needed.
    #[error("the GGUF metadata has no {key}")]
    Missing {
        /// The metadata key.
        key: &'static str,
    },
    /// The file says something in another type than the format prescribes.
    #[error("{key} in the GGUF metadata is not {expected}")]
    WrongType {
        /// The metadata key.
        key: &'static str,
        /// What it should be.
        expected: &'static str,
    },
    /// The file declares more than any real model has.
    #[error("{key} in the GGUF metadata holds {found}, more than {limit}")]
    TooLarge {
        /// The metadata key.
        key: &'static str,
        /// How much there is.
        found: usize,
        /// How much is taken.
        limit: usize,
    },
    /// Two lists that belong together differ in length, an id lies outside of the vocabulary, and the like.
    #[error("{key} in the GGUF metadata: {reason}")]
    Inconsistent {
        /// The metadata key.
        key: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// The tokenizer is of a sort that this program does not implement.
    #[error("{key} is {found:?}; supported are: {supported}")]
    Unsupported {
        /// The metadata key.
        key: &'static str,
        /// What the file names.
        found: String,
        /// Everything that would work.
        supported: String,
    },
    /// The vocabulary has no token for a byte.
    #[error("the vocabulary has no token for the byte 0x{byte:02x}")]
    Unencodable {
        /// The byte.
        byte: u8,
    },
}

impl VocabularyError {
    /// What to decide on.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Unsupported { .. } | Self::Unencodable { .. } => ErrorKind::Invalid,
            Self::Missing { .. } | Self::WrongType { .. } | Self::TooLarge { .. } | Self::Inconsistent { .. } => {
                ErrorKind::Corrupt
            }
        }
    }
}

impl From<VocabularyError> for SeamError {
    fn from(error: VocabularyError) -> Self {
        SeamError::new(error.kind(), error.to_string()).caused_by(error)
    }
}

/// A chat template cannot be used, or does not take these messages.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TemplateError {
    /// The file has no template, and its vocabulary does not show which one was meant.
    #[error("the GGUF metadata has no tokenizer.chat_template, and the vocabulary lacks <|im_start|> and <|im_end|>")]
    Missing,
    /// The metadata entry is no text, or is too long.
    #[error(transparent)]
    Metadata(#[from] VocabularyError),
    /// The template is not in the language of templates as far as it is supported.
    #[error("the chat template cannot be read")]
    Syntax(#[source] minijinja::Error),
    /// The template failed on these messages, or refused them by `raise_exception`.
    #[error("the chat template does not take these messages: {reason}")]
    Render {
        /// What the template or its interpreter said.
        reason: String,
        /// The cause.
        #[source]
        source: minijinja::Error,
    },
    /// A role is not a plain word.
    #[error("message {index}: a role is a word of lower-case letters")]
    Role {
        /// Which message, from 0.
        index: usize,
    },
    /// The template does not write each message once, in order.
    #[error("the chat template {what} the content of message {index}")]
    Content {
        /// Which message, from 0.
        index: usize,
        /// `drops`, `moves` or `repeats`.
        what: &'static str,
    },
}

impl TemplateError {
    /// What to decide on.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Metadata(error) => error.kind(),
            Self::Missing | Self::Syntax(_) => ErrorKind::Corrupt,
            Self::Render { .. } | Self::Role { .. } | Self::Content { .. } => ErrorKind::Invalid,
        }
    }
}

impl From<TemplateError> for SeamError {
    fn from(error: TemplateError) -> Self {
        SeamError::new(error.kind(), error.to_string()).caused_by(error)
    }
}

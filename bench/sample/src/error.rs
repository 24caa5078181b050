//! What can go wrong while the sample is rendered.

use std::path::PathBuf;

/// Why the sample mailbox could not be rendered.
#[derive(Debug, thiserror::Error)]
pub enum SampleError {
    /// A file could not be read or written.
    #[error("{path}: cannot be read or written")]
    Io {
        /// Which one.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A source file is not TOML, or has a key that the renderer does not know.
    #[error("{path}: not a source file of the sample")]
    Parse {
        /// Which one.
        path: PathBuf,
        /// Where and why.
        #[source]
        source: Box<toml::de::Error>,
    },
    /// The source contradicts itself.
    #[error("{place}: {reason}")]
    Source {
        /// Thread and message, `vat-ashdown[3]`.
        place: String,
        /// What is wrong.
        reason: String,
    },
    /// The PST file could not be written.
    #[error("the PST file cannot be written")]
    Pst(#[from] rejoinder_pst_writer::WriteError),
    /// The account could not be written as JSON.
    #[error("expected.json cannot be written")]
    Json(#[from] serde_json::Error),
}

/// The result of rendering.
pub type Result<T> = std::result::Result<T, SampleError>;

impl SampleError {
    /// An error in the source at `place`.
    pub(crate) fn at(place: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Source { place: place.into(), reason: reason.into() }
    }

    /// A file error at `path`.
    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }
}

//! What can go wrong with a model on the disk.

use std::path::PathBuf;

use rejoinder_domain::{ErrorKind, SeamError};

/// A model could not be found, read or run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// The manifest does not list a model of this name.
    #[error("no model named {name:?} is listed; there are: {known}")]
    Unknown {
        /// The name asked for.
        name: String,
        /// Every listed name.
        known: String,
    },
    /// The model of this name does something else.
    #[error("{name} is for {is}, not for {wanted}")]
    Task {
        /// The name asked for.
        name: String,
        /// What it is for.
        is: &'static str,
        /// What it should be for.
        wanted: &'static str,
    },
    /// No language model fits into the memory that is left, or how much that is cannot be told.
    #[error("no language model can be chosen: {0}; name one to load it all the same")]
    NoChoice(String),
    /// A file of the model is not on the disk, or has not the length it should have.
    #[error("{}: {reason}; run `rejoinder models pull {model}`", path.display())]
    Missing {
        /// The model.
        model: String,
        /// The file.
        path: PathBuf,
        /// Absent, or how long it is and should be.
        reason: String,
    },
    /// A file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// A file's digest is not the manifest's.
    #[error("{}: SHA-256 is {found}, should be {expected}", path.display())]
    Digest {
        /// The file.
        path: PathBuf,
        /// What the manifest says.
        expected: String,
        /// What the file has.
        found: String,
    },
    /// A file is not what this program can run.
    #[error("{}: {reason}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The manifest cannot be read.
    #[error("manifest: {0}")]
    Manifest(String),
    /// A native library that the model runs on cannot be loaded.
    #[error("{0}")]
    Library(String),
}

impl ModelError {
    /// What to decide on.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Unknown { .. } | Self::Task { .. } | Self::Manifest(_) => ErrorKind::Invalid,
            Self::Missing { .. } | Self::NoChoice(_) | Self::Library(_) => ErrorKind::Unavailable,
            Self::Read { .. } => ErrorKind::Transient,
            Self::Digest { .. } | Self::Format { .. } => ErrorKind::Corrupt,
        }
    }
}

impl From<ModelError> for SeamError {
    fn from(error: ModelError) -> Self {
        SeamError::new(error.kind(), error.to_string()).caused_by(error)
    }
}

//! What can go wrong, with a kind to decide on.

use std::path::PathBuf;

use rejoinder_domain::{ErrorKind, SeamError};

use crate::KeyId;

/// The vault could not do what was asked. No variant holds a key or a text.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// The file of master keys cannot be read.
    #[error("the file of master keys {} cannot be read", path.display())]
    KeyFile {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file of master keys can be read by others than its owner.
    #[error(
        "the file of master keys {} has mode {mode:03o}, so others than its owner can read it; run `chmod 600` on it",
        path.display()
    )]
    KeyFileShared {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The environment variable that was to hold the master keys is not set.
    #[error("the environment variable {name} is to hold the master keys and is not set")]
    KeyVariable {
        /// Its name.
        name: String,
    },
    /// Both an environment variable and a file are configured.
    #[error("the master keys come from `key_env` or from `key_file`; configure one of the two")]
    TwoSources,
    /// A master key is not written as it has to be.
    #[error("master key number {number}: {problem}")]
    MasterKey {
        /// Which one, from 1.
        number: usize,
        /// What is wrong and how it has to be.
        problem: &'static str,
    },
    /// No master key at all.
    #[error("there is no master key; write one per line as `id:base64 of 32 random bytes`, the active one first")]
    NoMasterKey,
    /// A data key is wrapped by a master key that is not in the ring.
    #[error(
        "data keys are wrapped by the master key {id:?}, which is not among the master keys; add it after the first"
    )]
    UnknownMaster {
        /// The id of the master key.
        id: String,
    },
    /// A master key does not unwrap what was wrapped by the one of its id.
    #[error("the master key {id:?} does not unwrap data keys; it is another key of this id, or the table is damaged")]
    WrongMaster {
        /// The id of the master key.
        id: String,
    },
    /// A sealed text, and no master key is configured.
    #[error("a stored text is encrypted and no master key is configured")]
    NoKey,
    /// A sealed text whose data key is not in the table, because its tenant was erased.
    #[error("a stored text was encrypted with the data key {key}, which is no more")]
    KeyGone {
        /// The data key.
        key: KeyId,
    },
    /// A sealed text of a format that this program does not know.
    #[error("a stored text is encrypted in format {version}, which this program does not know; use a newer program")]
    Format {
        /// The format.
        version: u8,
    },
    /// A sealed text that was changed, moved to another place or cut.
    #[error("a stored text is damaged, or was moved from another place")]
    Damaged,
    /// The cryptographic library refused: no random numbers, or a text of more than 64 GiB.
    #[error("the cryptographic library failed")]
    Library,
    /// The table of data keys failed.
    #[error("the table of data keys failed")]
    Table(#[from] SeamError),
}

impl VaultError {
    /// What to decide on.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::KeyFile { .. }
            | Self::KeyFileShared { .. }
            | Self::KeyVariable { .. }
            | Self::TwoSources
            | Self::MasterKey { .. }
            | Self::NoMasterKey
            | Self::UnknownMaster { .. }
            | Self::WrongMaster { .. }
            | Self::NoKey
            | Self::Format { .. } => ErrorKind::Unavailable,
            Self::KeyGone { .. } | Self::Damaged => ErrorKind::Corrupt,
            Self::Library => ErrorKind::Internal,
            Self::Table(error) => error.kind.clone(),
        }
    }
}

impl From<aws_lc_rs::error::Unspecified> for VaultError {
    fn from(_: aws_lc_rs::error::Unspecified) -> Self {
        Self::Library
    }
}

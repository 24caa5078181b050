//! What can go wrong while a file is written.

/// Why a PST file could not be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The file system refused.
    #[error("the PST file cannot be written")]
    Io(#[from] std::io::Error),
    /// What was asked for is more than the format can hold.
    #[error("{what} is more than the format holds ({limit})")]
    TooLarge {
        /// What was too large.
        what: &'static str,
        /// The format's limit, in bytes or entries.
        limit: u64,
    },
    /// A folder that this writer did not make.
    #[error("there is no folder {0:#x} in this file")]
    UnknownFolder(u32),
    /// A code page that no encoding is known for.
    #[error("code page {0} is not known")]
    UnknownCodePage(u16),
    /// The writer contradicted itself; this is a defect of this crate.
    #[error("internal layout error: {0}")]
    Layout(&'static str),
}

/// The result of writing.
pub type Result<T> = std::result::Result<T, WriteError>;

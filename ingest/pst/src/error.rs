//! What can go wrong: an error ends one operation, a problem is a loss that was noted and read past.

use std::fmt;
use std::io;

/// Result of an operation on a mailbox file.
pub type Result<T> = std::result::Result<T, PstError>;

/// Why an operation failed; decide on this alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The operating system could not read the file.
    Io,
    /// The file does not begin like a PST or OST.
    NotPst,
    /// The header is damaged and the B-trees that it names are not there.
    BrokenHeader,
    /// A variant that this reader refuses by name (4K-page OST, personal address book).
    Unsupported,
    /// Content encrypted with Windows Information Protection: unreadable without the operating system's key.
    Encrypted,
    /// The named node, block or property does not exist.
    NotFound,
    /// A structure contradicts itself or the file.
    Damaged,
    /// A configured limit was reached.
    Limit,
}

/// The failure of one operation.
#[derive(Debug, thiserror::Error)]
#[error("{place}: {detail}")]
pub struct PstError {
    kind: ErrorKind,
    place: String,
    detail: String,
    #[source]
    source: Option<io::Error>,
}

impl PstError {
    pub(crate) fn new(kind: ErrorKind, place: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { kind, place: place.into(), detail: detail.into(), source: None }
    }

    pub(crate) fn damaged(place: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(ErrorKind::Damaged, place, detail)
    }

    pub(crate) fn not_found(place: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(ErrorKind::NotFound, place, detail)
    }

    pub(crate) fn limit(place: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(ErrorKind::Limit, place, detail)
    }

    pub(crate) fn io(place: impl Into<String>, source: io::Error) -> Self {
        Self { kind: ErrorKind::Io, place: place.into(), detail: "cannot be read".into(), source: Some(source) }
    }

    /// The same failure, with the structure around it named in front.
    #[must_use]
    pub(crate) fn within(mut self, outer: impl fmt::Display) -> Self {
        self.place = format!("{outer} / {}", self.place);
        self
    }

    /// Why it failed.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Where in the file, from the outside in: `item 0x200024 / property 0x1009 / block 0x1a4`.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// What was wrong there.
    pub fn detail(&self) -> &str {
        &self.detail
    }
}

/// What kind of loss a problem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ProblemKind {
    /// A checksum differs; the bytes were plausible and were used.
    Checksum,
    /// A structure contradicts itself or the file; what it held is lost.
    Damaged,
    /// Something that another structure refers to does not exist.
    Missing,
    /// The bytes could not be read from the disk.
    Unreadable,
    /// A configured limit cut something off.
    Limit,
    /// Items that exist but that their folder's table does not list; they were read.
    Unlisted,
    /// A folder's own count differs from what was found.
    CountMismatch,
}

impl ProblemKind {
    /// A stable lower-case name for machine-readable reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Checksum => "checksum",
            Self::Damaged => "damaged",
            Self::Missing => "missing",
            Self::Unreadable => "unreadable",
            Self::Limit => "limit",
            Self::Unlisted => "unlisted",
            Self::CountMismatch => "count_mismatch",
        }
    }
}

/// A loss (or a doubt) that did not stop reading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where in the file, from the outside in.
    pub place: String,
    /// What kind of loss.
    pub kind: ProblemKind,
    /// What was found, in words; holds identifiers and sizes, never message text.
    pub detail: String,
}

impl Problem {
    pub(crate) fn new(place: impl Into<String>, kind: ProblemKind, detail: impl Into<String>) -> Self {
        Self { place: place.into(), kind, detail: detail.into() }
    }

    #[must_use]
    pub(crate) fn within(mut self, outer: impl fmt::Display) -> Self {
        self.place = format!("{outer} / {}", self.place);
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}: {}", self.place, self.kind.as_str(), self.detail)
    }
}

impl From<PstError> for Problem {
    fn from(error: PstError) -> Self {
        let kind = match error.kind {
            ErrorKind::Io => ProblemKind::Unreadable,
            ErrorKind::NotFound => ProblemKind::Missing,
            ErrorKind::Limit => ProblemKind::Limit,
            _ => ProblemKind::Damaged,
        };
        Self { place: error.place, kind, detail: error.detail }
    }
}

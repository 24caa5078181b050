//! Renders the sample mailbox of `examples/mailbox` from its written source.
//!
//! The sample is what `make demo` ingests and what the end-to-end tests know the truth of. People wrote only the new
//! text of each message (`examples/mailbox/source/*.toml`); this crate adds what mail clients add: signatures, footers,
//! quoted history in the client's manner and language, identifiers, MIME structure, charsets. So the letters stay
//! readable and correctable, and the files look like mail.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let source = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/mailbox/source");
//! let target = tempfile::tempdir()?;
//! rejoinder_sample::render(&source, target.path())?;
//! assert!(target.path().join("support.mbox").exists());
//! # Ok(())
//! # }
//! ```
//!
//! # Invariants
//!
//! * The same source gives the same bytes; a test compares them with the files that are checked in.
//! * It knows nothing of the product that reads the sample, so a mistake cannot be shared.
//!
//! # Modules, in reading order
//!
//! `source` is what people wrote, `compose` makes letters of it with `text`, `client`, `identity` and `artefact`; `mime`
//! and `encode` make messages of letters, `archive` puts them into files, `account` counts them, `sample` does all of
//! it.

mod account;
mod archive;
mod artefact;
mod client;
mod compose;
mod encode;
mod error;
mod identity;
mod letter;
mod mime;
mod sample;
mod source;
mod text;

pub use archive::held_by;
pub use compose::compose;
pub use error::{Result, SampleError};
pub use letter::{Attachment, Direction, Letter, Mailbox};
pub use sample::render;
pub use source::{
    Charset, Company, Kind, Language, Output, PdfFile, Person, Quote, Signing, Source, Style, TextFile, Thread,
    TicketTruth, TransferEncoding, Written, Zone,
};

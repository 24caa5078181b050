//! Writes PST files for tests, the sample mailbox and benchmarks.
//!
//! A reader is only as good as the files it was tried on, and real mailboxes can neither be published nor made to order.
//! This crate makes files to order: both formats, all encodings, every kind of body and attachment, and some kinds of
//! damage. Other people's tools read them, which keeps the writer honest.
//!
//! ```
//! use rejoinder_pst_writer::{MessageSpec, Person, PstWriter, Recipient, RecipientKind, WriterOptions};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let directory = tempfile::tempdir()?;
//! let mut writer = PstWriter::create(directory.path().join("sample.pst"), WriterOptions::default())?;
//! let inbox = writer.folder(writer.top(), "Inbox")?;
//! writer.message(inbox, &MessageSpec {
//!     subject: "Invoice 4711".into(),
//!     sender: Some(Person::smtp("Anna Weber", "anna@weber.example")),
//!     recipients: vec![Recipient::new(RecipientKind::To, Person::smtp("Accounts", "accounts@firm.example"))],
//!     text: Some("Please find the invoice attached.".into()),
//!     ..MessageSpec::default()
//! })?;
//! let written = writer.finish()?;
//! assert_eq!(written.messages, 1);
//! # Ok(())
//! # }
//! ```
//!
//! # Invariants
//!
//! * The file is written from start to end; what is kept in memory is one 248 KiB region, some 60 bytes per block and
//!   node, and the table row of each message.
//! * The same calls write the same bytes.
//! * It does not know about the reader: a mistake shared by both would hide. Its tests ask `readpst`.
//! * It writes new files only. There is no change, no deletion, and no search folder.
//!
//! # Modules, in reading order
//!
//! [`writer`](PstWriter) takes folders and messages, whose parts `spec` describes. `item` makes a message's properties and
//! tables, `store` and `tables` those that every file has, `names` the map of named properties, `rtf` compressed RTF.
//! `context` lays out properties and tables, `heap` their heaps, `node` data trees and subnodes, `btree` the two B-trees,
//! `file` blocks, pages, allocation maps and the header, `encoding` and `format` their bytes. [`generate`] makes large
//! mailboxes for benchmarks.

mod btree;
mod context;
mod encoding;
mod error;
mod file;
mod format;
pub mod generate;
mod heap;
mod item;
mod names;
mod node;
mod property;
mod rtf;
mod spec;
mod store;
mod tables;
mod writer;

pub use error::{Result, WriteError};
pub use format::{Encoding, Format};
pub use names::{
    PS_MAPI, PS_PUBLIC_STRINGS, PSETID_ADDRESS, PSETID_APPOINTMENT, PSETID_COMMON, PSETID_NOTE, PSETID_TASK,
};
pub use property::{FileTime, PropertyId, PropertyValue, encode_in_code_page};
pub use rtf::{compress_rtf, wrap_rtf};
pub use spec::{AttachmentContent, AttachmentSpec, HtmlBody, MessageSpec, Person, Recipient, RecipientKind, RtfBody};
pub use writer::{BlockPlace, FolderId, NodeId, PstWriter, WriterOptions, Written};

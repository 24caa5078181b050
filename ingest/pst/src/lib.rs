//! Read-only reader of Outlook PST and OST files ([MS-PST]).
//!
//! Mailbox archives are old, large and often not quite whole. This crate reads all that is readable of them, in bounded memory,
//! and says what is not: a bad property costs that property, a bad block that item, and each loss is a [`Problem`] with its
//! place. It reads by position, so that nothing is loaded whole, and by descent of the file's own B-trees, so that an item can be
//! fetched by its node at any time; where a tree or a table is damaged, it falls back on what else the file says.
//!
//! ```
//! use rejoinder_pst::{PstFile, RecipientKind};
//! # use rejoinder_pst_writer::{AttachmentSpec, MessageSpec, Person, PstWriter, Recipient, WriterOptions};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let directory = tempfile::tempdir()?;
//! # let path = directory.path().join("archive.pst");
//! # let mut writer = PstWriter::create(&path, WriterOptions::default())?;
//! # let inbox = writer.folder(writer.top(), "Inbox")?;
//! # let to = Recipient::new(rejoinder_pst_writer::RecipientKind::To, Person::smtp("Accounts", "accounts@firm.example"));
//! # writer.message(inbox, &MessageSpec {
//! #     subject: "Invoice 4711".into(),
//! #     recipients: vec![to],
//! #     attachments: vec![AttachmentSpec::file("invoice.txt", "text/plain", b"42 EUR".to_vec())],
//! #     ..MessageSpec::default()
//! # })?;
//! # writer.finish()?;
//! let mut file = PstFile::open(&path)?;
//! for folder in file.folders() {
//!     for listed in file.items(&folder) {
//!         let Ok(listed) = listed else { continue };
//!         let item = file.read_item(listed.node_id)?;
//!         assert_eq!(item.subject, "Invoice 4711");
//!         assert_eq!(item.recipients[0].kind, RecipientKind::To);
//!         let mut bytes = Vec::new();
//!         file.copy_attachment(&item, &item.attachments[0], &mut bytes)?;
//!         assert_eq!(bytes, b"42 EUR");
//!         assert!(item.problems.is_empty());
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Invariants
//!
//! * Nothing is ever written; the file is opened read-only.
//! * No input makes it panic, recurse, or hold more than the limits of [`OpenOptions`] allow. Work is bounded by what the file
//!   has room for, and [`inspect`] by a multiple of the file's size.
//! * An error ends one operation. Losses inside an operation that succeeds are problems, and none is silent.
//! * Problems hold identifiers and sizes, never names, addresses or text.
//! * A file is `Send` where its reader is. One thread reads at a time; open the file twice to read with two.
//! * It knows nothing of the rest of Rejoinder.
//!
//! # Modules, in reading order
//!
//! `file` is the door, `inspect` the account of a whole file. `folder`, `node_index` and `item_list` say what there is; `item`
//! with `body`, `recipient`, `attachment`, `special` and `content` what an item holds; `rtf` and `code_page` turn bytes into text.
//! Below lie the layers of the specification: `ltp` (heaps, properties, tables; [MS-PST] 2.3), `named`, `ndb` (B-trees, blocks,
//! subnodes; 2.2), `coding`, `checksum` and `header`.

mod bytes;
mod checksum;
mod coding;
mod error;
mod header;
mod options;

mod ndb;

mod code_page;
mod ltp;
mod named;
mod properties;
mod property_id;
mod rtf;

mod attachment;
mod body;
mod content;
mod file;
mod folder;
mod inspect;
mod item;
mod item_list;
mod node_index;
mod recipient;
mod special;
mod store;

pub use attachment::{AttachmentInfo, AttachmentMethod};
pub use body::{Bodies, BodySource};
pub use content::AttachmentContent;
pub use error::{ErrorKind, Problem, ProblemKind, PstError, Result};
pub use file::{Copied, Property, PstFile};
pub use folder::Folder;
pub use header::{Encoding, Format};
pub use inspect::{FolderReport, Inspection, KindCounts, Status, inspect, inspect_file};
pub use item::{Item, ItemAddress, ItemKind};
pub use item_list::{ItemRef, Items};
pub use ltp::PropertyValue;
pub use named::{PropertyName, PropertySet, outlook_set};
pub use options::OpenOptions;
pub use recipient::{Party, Recipient, RecipientKind};
pub use special::{Appointment, Contact, Task};
pub use store::Store;

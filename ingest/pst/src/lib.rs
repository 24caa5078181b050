//! Read-only reader of Outlook PST and OST files ([MS-PST])

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

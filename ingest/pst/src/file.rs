//! An open mailbox file.

use std::collections::HashSet;
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::path::Path;

use crate::attachment::{self, AttachmentInfo, AttachmentMethod};
use crate::body::Bodies;
use crate::content::AttachmentContent;
use crate::error::{Problem, ProblemKind, PstError, Result};
use crate::folder::{self, Folder};
use crate::header::{Encoding, Format};
use crate::item::{Item, ItemAddress, ItemKind, unmark_subject};
use crate::item_list::Items;
use crate::ltp::{PropertyContext, PropertyValue};
use crate::named::{NamedProperties, PropertyName, PropertySet};
use crate::ndb::{Database, Node};
use crate::node_index::NodeIndex;
use crate::options::OpenOptions;
use crate::properties::Reader;
use crate::property_id as id;
use crate::recipient::{self, Party};
use crate::special;
use crate::store::Store;

/// A property as it stands, for those who need what [`Item`] does not show.
#[derive(Clone, Debug, PartialEq)]
pub struct Property {
    /// Identifier; those from 0x8000 mean something only in this file.
    pub id: u16,
    /// Type code ([MS-OXCDATA] 2.11.1).
    pub kind: u16,
    /// Set and name of a named property.
    pub name: Option<(PropertySet, PropertyName)>,
    /// The value, or why it could not be read.
    pub value: std::result::Result<PropertyValue, Problem>,
}

/// What [`PstFile::copy_attachment`] wrote.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Copied {
    /// Bytes written.
    pub bytes: u64,
    /// Why they are not all, or not all certain; empty where they are.
    pub problems: Vec<Problem>,
}

/// A PST or OST file, open for reading.
pub struct PstFile<R> {
    database: Database<R>,
    index: Option<NodeIndex>,
    folder_ids: Option<HashSet<u32>>,
    named: Option<NamedProperties>,
    store: Option<Store>,
}

impl PstFile<File> {
    /// Opens the file at `path`, read-only, with the default options.
    pub fn open(path: &Path) -> Result<Self> {
        Self::open_with(path, OpenOptions::default())
    }

    /// Opens the file at `path`, read-only.
    pub fn open_with(path: &Path, options: OpenOptions) -> Result<Self> {
        let file = File::open(path).map_err(|error| PstError::io("file", error))?;
        Self::from_reader(file, options)
    }
}

impl<R: Read + Seek + Send> PstFile<R> {
    /// Opens what `reader` reads. Fails where the header cannot be believed; later damage costs only what it hits.
    pub fn from_reader(reader: R, options: OpenOptions) -> Result<Self> {
        let database = Database::open(reader, options)?;
        Ok(Self { database, index: None, folder_ids: None, named: None, store: None })
    }

    /// Width of identifiers.
    pub fn format(&self) -> Format {
        self.database.header.format
    }

    /// Whether it is an OST: the offline copy of a mailbox on a server.
    pub fn is_ost(&self) -> bool {
        self.database.header.is_ost
    }

    /// How block data is disguised.
    pub fn encoding(&self) -> Encoding {
        self.database.header.encoding
    }

    /// The options it was opened with.
    pub fn options(&self) -> &OpenOptions {
        &self.database.options
    }

    /// Size of the file in bytes.
    pub fn file_bytes(&self) -> u64 {
        self.database.file_bytes()
    }

    /// Bytes of pages and blocks fetched so far: a measure of work that no clock disturbs.
    pub fn work_bytes(&self) -> u64 {
        self.database.work_bytes()
    }

    /// Problems of the file as a whole (header, B-trees, folders) met so far. Those of an item are in [`Item::problems`],
    /// those of a folder's list in [`Items::problems`].
    pub fn problems(&self) -> &[Problem] {
        self.database.file_problems()
    }

    /// What the file says of itself. A damaged store is noted and reads as empty.
    pub fn store(&mut self) -> &Store {
        let database = &mut self.database;
        self.store.get_or_insert_with(|| {
            let store = Store::load(database).unwrap_or_else(|error| {
                database.note_file_problem(Problem::from(error).within("message store"));
                Store::default()
            });
            keep_pending(database, "message store");
            store
        })
    }

    /// Every folder, parents before children; search folders, which hold nothing, are left out. Messages whose folder does
    /// not exist come in a made-up folder at the end.
    pub fn folders(&mut self) -> Vec<Folder> {
        let store = self.store().clone();
        let index = self.index.get_or_insert_with(|| NodeIndex::build(&mut self.database));
        let folders = folder::list(&mut self.database, index, &store);
        self.folder_ids = Some(folders.iter().map(|folder| folder.node_id).collect());
        folders
    }

    /// The items of a folder, without reading them. Associated items (views, rules) are not among them.
    pub fn items(&mut self, folder: &Folder) -> Items {
        if self.folder_ids.is_none() {
            self.folders();
        }
        let no_folders = HashSet::new();
        let known = self.folder_ids.as_ref().unwrap_or(&no_folders);
        let index = self.index.get_or_insert_with(|| NodeIndex::build(&mut self.database));
        self.database.take_pending();
        Items::load(&mut self.database, index, folder.node_id, known)
    }

    /// Reads an item with its text, recipients and list of attachments. Fails only where its properties cannot be reached at
    /// all; smaller losses are in [`Item::problems`].
    pub fn read_item(&mut self, node_id: u32) -> Result<Item> {
        let address = ItemAddress { node_id, attachments: Vec::new() };
        let node = self.database.node(node_id).map_err(|error| error.within(&address))?;
        self.read_message(node, address)
    }

    /// Reads the message that an attachment of `item` is.
    pub fn read_embedded(&mut self, item: &Item, attachment: &AttachmentInfo) -> Result<Item> {
        let mut address = item.address.clone();
        address.attachments.push(attachment.node_id);
        if address.attachments.len() > self.database.options.max_embedding_depth as usize {
            return Err(PstError::limit(address.to_string(), "is embedded deeper than the limit"));
        }
        if attachment.method != AttachmentMethod::EmbeddedMessage {
            return Err(PstError::not_found(address.to_string(), "is no embedded message"));
        }
        let node = PropertyContext::open(&mut self.database, attachment.node)
            .and_then(|context| context.subnode(&mut self.database, id::ATTACHMENT_DATA))
            .map_err(|error| error.within(&address))?
            .ok_or_else(|| PstError::not_found(address.to_string(), "has no embedded message in this file"))?;
        self.read_message(node, address)
    }

    /// Opens an attachment's bytes as a stream.
    pub fn read_attachment(&mut self, attachment: &AttachmentInfo) -> Result<AttachmentContent<'_, R>> {
        self.database.take_pending();
        self.database.begin_item();
        AttachmentContent::open(&mut self.database, attachment)
    }

    /// Writes an attachment's bytes to `out`, a block at a time. Fails where there is nothing to read or `out` fails; what is
    /// lost on the way is in [`Copied::problems`].
    pub fn copy_attachment(&mut self, item: &Item, attachment: &AttachmentInfo, out: &mut dyn Write) -> Result<Copied> {
        let place = format!("{} / attachment {:#x}", item.address, attachment.node_id);
        let mut copied = Copied::default();
        let mut content = self.read_attachment(attachment).map_err(|error| error.within(&item.address))?;
        let mut buffer = vec![0; 64 << 10];
        loop {
            let count = match content.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) => {
                    let problem = error.into_inner().and_then(|inner| inner.downcast::<PstError>().ok());
                    let problem = problem.map_or_else(
                        || Problem::new("content", ProblemKind::Unreadable, "cannot be read"),
                        |error| Problem::from(*error),
                    );
                    copied.problems.push(problem.within(&place));
                    break;
                }
            };
            let written = out.write_all(buffer.get(..count).unwrap_or_default());
            written.map_err(|error| PstError::io("output", error))?;
            copied.bytes += count as u64;
        }
        if copied.problems.is_empty() && copied.bytes < attachment.bytes {
            let detail = format!("{} of {} bytes are there", copied.bytes, attachment.bytes);
            let kind = if copied.bytes == self.database.options.max_attachment_bytes {
                ProblemKind::Limit
            } else {
                ProblemKind::Damaged
            };
            copied.problems.push(Problem::new(place.clone(), kind, detail));
        }
        copied.problems.extend(self.database.take_pending().into_iter().map(|problem| problem.within(&place)));
        Ok(copied)
    }

    /// Every property of a node (an item, a folder, the store at 0x21) as it stands.
    pub fn properties(&mut self, node_id: u32) -> Result<Vec<Property>> {
        let node = self.database.node(node_id)?;
        self.raw_properties(node)
    }

    /// Every property of an item, embedded or not, as it stands.
    pub fn item_properties(&mut self, item: &Item) -> Result<Vec<Property>> {
        self.raw_properties(item.node)
    }

    fn raw_properties(&mut self, node: Node) -> Result<Vec<Property>> {
        let named = Self::named(&mut self.named, &mut self.database);
        self.database.begin_item();
        let context = PropertyContext::open(&mut self.database, node)?;
        let mut properties = Vec::new();
        for (id, kind) in context.ids() {
            let value = match context.get(&mut self.database, id) {
                Ok(Some(value)) => Ok(value),
                Ok(None) => continue,
                Err(error) => Err(Problem::from(error)),
            };
            properties.push(Property { id, kind, name: named.name(id).cloned(), value });
        }
        self.database.take_pending();
        Ok(properties)
    }

    /// The identifier by which this file knows a named property.
    pub fn property_id(&mut self, set: PropertySet, name: &PropertyName) -> Option<u16> {
        let named = Self::named(&mut self.named, &mut self.database);
        match name {
            PropertyName::Number(number) => named.by_number(set, *number),
            PropertyName::Text(text) => named.by_text(set, text),
        }
    }

    fn named<'a>(named: &'a mut Option<NamedProperties>, database: &mut Database<R>) -> &'a NamedProperties {
        named.get_or_insert_with(|| {
            NamedProperties::load(database).unwrap_or_else(|error| {
                database.note_file_problem(Problem::from(error).within("named properties"));
                NamedProperties::default()
            })
        })
    }

    fn read_message(&mut self, node: Node, address: ItemAddress) -> Result<Item> {
        self.database.take_pending();
        self.database.begin_item();
        let named = Self::named(&mut self.named, &mut self.database);
        keep_pending(&mut self.database, "named properties");
        let context = PropertyContext::open(&mut self.database, node).map_err(|error| error.within(&address))?;
        let reader = &mut Reader { database: &mut self.database, context: &context };
        let message_class = reader.text(id::MESSAGE_CLASS).unwrap_or_default();
        let kind = ItemKind::of_class(&message_class);
        let (subject, subject_prefix) = unmark_subject(&reader.text(id::SUBJECT).unwrap_or_default());
        let (appointment, contact, task) = special::read(reader, named, kind, &message_class);
        let mut item = Item {
            kind,
            message_class,
            subject,
            subject_prefix,
            sender: Party::of_item(reader, recipient::SENDER),
            sent_representing: Party::of_item(reader, recipient::SENT_REPRESENTING),
            received_by: Party::of_item(reader, recipient::RECEIVED_BY),
            recipients: Vec::new(),
            display_to: reader.text(id::DISPLAY_TO),
            display_cc: reader.text(id::DISPLAY_CC),
            display_bcc: reader.text(id::DISPLAY_BCC),
            message_id: reader.text(id::MESSAGE_ID),
            in_reply_to: reader.text(id::IN_REPLY_TO),
            references: reader.text(id::REFERENCES),
            internet_headers: reader.text(id::TRANSPORT_HEADERS),
            conversation_index: reader.bytes(id::CONVERSATION_INDEX),
            conversation_topic: reader.text(id::CONVERSATION_TOPIC),
            client_submit_time: reader.time(id::CLIENT_SUBMIT_TIME),
            delivery_time: reader.time(id::DELIVERY_TIME),
            creation_time: reader.time(id::CREATION_TIME),
            modification_time: reader.time(id::MODIFICATION_TIME),
            flags: reader.integer(id::MESSAGE_FLAGS).unwrap_or(0) as u32,
            importance: reader.integer(id::IMPORTANCE),
            bodies: Bodies::read(reader),
            appointment,
            contact,
            task,
            attachments: Vec::new(),
            problems: Vec::new(),
            node,
            address,
        };
        item.recipients = recipient::list(&mut self.database, node, context.code_page);
        item.attachments = attachment::list(&mut self.database, node, context.code_page);
        let mut problems = self.database.take_pending();
        problems.dedup();
        item.problems = problems.into_iter().map(|problem| problem.within(&item.address)).collect();
        Ok(item)
    }
}

/// Moves what was noted while reading something that belongs to the whole file.
fn keep_pending<R: Read + Seek>(database: &mut Database<R>, place: &str) {
    for problem in database.take_pending() {
        database.note_file_problem(problem.within(place));
    }
}

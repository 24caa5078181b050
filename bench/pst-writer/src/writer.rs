//! The writer: folders and messages in, a file out.

use std::fs::File;
use std::path::Path;

use crate::btree::{NodeEntry, write_block_tree, write_node_tree};
use crate::context::{Row, Subnodes, write_table};
use crate::error::{Result, WriteError};
use crate::file::{BlockId, NodeFile};
use crate::format::{Encoding, Format};
use crate::item::ItemWriter;
use crate::names::NameMap;
use crate::node::write_subnodes;
use crate::property::{PropertyValue, TextEncoder};
use crate::spec::{MessageSpec, Person};
use crate::store::{
    DELETED_ITEMS, FIRST_FOLDER_INDEX, IPM_SUBTREE, NAME_MAP, ROOT_FOLDER, SEARCH_ROOT, TABLE_TEMPLATES,
    write_fixed_nodes, write_object,
};
use crate::tables::{TableKind, columns, row_of};

/// How a file is written.
#[derive(Clone, Debug)]
pub struct WriterOptions {
    /// The format.
    pub format: Format,
    /// How data blocks are obscured.
    pub encoding: Encoding,
    /// The store's name.
    pub display_name: String,
    /// Whose mailbox it is.
    pub owner: Option<Person>,
    /// The code page of strings in ANSI files, for messages that name none.
    pub code_page: u16,
    /// A password. The file only holds its checksum: the password protects nothing.
    pub password: Option<String>,
}

impl Default for WriterOptions {
    fn default() -> Self {
        Self {
            format: Format::default(),
            encoding: Encoding::default(),
            display_name: "Mailbox".into(),
            owner: None,
            code_page: 1252,
            password: None,
        }
    }
}

/// A folder of the file being written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FolderId(u32);

impl FolderId {
    /// The folder's node id.
    pub fn node(self) -> u32 {
        self.0
    }
}

/// The node id of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub u32);

/// Where a block lies in the file, for tests that damage it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockPlace {
    /// The block's id.
    pub id: u64,
    /// The offset of its first byte.
    pub offset: u64,
    /// Bytes of data, without padding and trailer.
    pub size: u16,
}

/// What was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// The file's length in bytes.
    pub bytes: u64,
    /// Messages in folders, associated and unlisted ones included; embedded ones are not.
    pub messages: u64,
    /// Folders, those that every file has included.
    pub folders: u64,
}

/// How a folder's tables treat a message.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Listing {
    Contents,
    Associated,
    Nowhere,
}

struct Folder {
    node: u32,
    parent: u32,
    name: String,
    container_class: Option<String>,
    rows: Vec<Row>,
    associated: Vec<Row>,
    unread: u32,
    claimed: Option<u32>,
}

/// Writes one PST file. Messages are written as they come; until [`PstWriter::finish`] the file has no header and is not
/// a PST file.
pub struct PstWriter {
    file: NodeFile,
    options: WriterOptions,
    names: NameMap,
    nodes: Vec<NodeEntry>,
    folders: Vec<Folder>,
    sent_items: Option<FolderId>,
    next_message: u32,
    next_associated: u32,
}

/// The types of nodes ([MS-PST] 2.2.2.1).
const FOLDER: u32 = 0x02;
const MESSAGE: u32 = 0x04;
const ASSOCIATED_MESSAGE: u32 = 0x08;
const HIERARCHY_TABLE: u32 = 0x0D;
const CONTENTS_TABLE: u32 = 0x0E;
const ASSOCIATED_TABLE: u32 = 0x0F;
/// Where the indexes of messages start ([MS-PST] 2.2.2.6, `rgnid`).
const FIRST_MESSAGE_INDEX: u32 = 0x1_0000;
const FIRST_ASSOCIATED_INDEX: u32 = 0x8000;

impl PstWriter {
    /// Starts a file, replacing what is at `path`.
    pub fn create(path: impl AsRef<Path>, options: WriterOptions) -> Result<Self> {
        let file = NodeFile::new(File::create(path)?, options.format, options.encoding)?;
        let fixed = [
            (ROOT_FOLDER, ROOT_FOLDER, ""),
            (IPM_SUBTREE, ROOT_FOLDER, "Top of Personal Folders"),
            (SEARCH_ROOT, ROOT_FOLDER, "Search Root"),
            (DELETED_ITEMS, IPM_SUBTREE, "Deleted Items"),
        ];
        let folders = fixed.map(|(node, parent, name)| Folder::new(node, parent, name)).into();
        Ok(Self {
            file,
            options,
            names: NameMap::default(),
            nodes: Vec::new(),
            folders,
            sent_items: None,
            next_message: FIRST_MESSAGE_INDEX,
            next_associated: FIRST_ASSOCIATED_INDEX,
        })
    }

    /// The folder that a person sees as the top.
    pub fn top(&self) -> FolderId {
        FolderId(IPM_SUBTREE)
    }

    /// The waste basket, which every file has.
    pub fn deleted_items(&self) -> FolderId {
        FolderId(DELETED_ITEMS)
    }

    /// Adds a mail folder.
    pub fn folder(&mut self, parent: FolderId, name: &str) -> Result<FolderId> {
        self.folder_of_class(parent, name, "IPF.Note")
    }

    /// Adds a folder for items of a kind: `IPF.Appointment`, `IPF.Contact` and so on.
    pub fn folder_of_class(&mut self, parent: FolderId, name: &str, container_class: &str) -> Result<FolderId> {
        self.folder_mut(parent)?;
        // Three of the folders that every file has carry the indexes before the first; the root's is its own.
        let node = (FIRST_FOLDER_INDEX + self.folders.len() as u32 - 4) << 5 | FOLDER;
        let folder = Folder { container_class: Some(container_class.into()), ..Folder::new(node, parent.0, name) };
        self.folders.push(folder);
        Ok(FolderId(node))
    }

    /// Says which folder holds what the owner sent.
    pub fn set_sent_items(&mut self, folder: FolderId) -> Result<()> {
        self.folder_mut(folder)?;
        self.sent_items = Some(folder);
        Ok(())
    }

    /// Writes a message into a folder.
    pub fn message(&mut self, folder: FolderId, spec: &MessageSpec) -> Result<NodeId> {
        self.write_message(folder, spec, Listing::Contents)
    }

    /// Writes an associated message: one that holds settings and is not shown (`FAI`).
    pub fn associated_message(&mut self, folder: FolderId, spec: &MessageSpec) -> Result<NodeId> {
        self.write_message(folder, spec, Listing::Associated)
    }

    /// Writes a message that the folder's contents table does not list, as damaged files have them.
    pub fn unlisted_message(&mut self, folder: FolderId, spec: &MessageSpec) -> Result<NodeId> {
        self.write_message(folder, spec, Listing::Nowhere)
    }

    /// Makes a folder claim `count` messages, whatever it holds.
    pub fn claim_count(&mut self, folder: FolderId, count: u32) -> Result<()> {
        self.folder_mut(folder)?.claimed = Some(count);
        Ok(())
    }

    /// Where the first data block of a message lies: its properties or, when these take several blocks, the list of
    /// these blocks. A test damages it there.
    pub fn place_of(&self, message: NodeId) -> Option<BlockPlace> {
        let node = self.nodes.iter().rev().find(|entry| entry.node == message.0)?;
        let entry = self.file.entry(node.data)?;
        Some(BlockPlace { id: entry.place.id, offset: entry.place.offset, size: entry.size })
    }

    /// Bytes written so far, roughly: whole regions of the file.
    pub fn position(&self) -> u64 {
        self.file.position()
    }

    /// Writes the folders, the tables, the B-trees and the header.
    pub fn finish(mut self) -> Result<Written> {
        let messages = self.nodes.len() as u64;
        let fixed = write_fixed_nodes(&mut self.file, &self.options, self.sent_items)?;
        self.nodes.extend(fixed);
        let folders = std::mem::take(&mut self.folders);
        let (written, next_folder) = (folders.len() as u64, FIRST_FOLDER_INDEX + folders.len() as u32 - 4);
        self.write_folders(folders)?;
        let mut subnodes = Subnodes::default();
        let data = self.names.write(&mut self.file, &mut subnodes)?;
        let subnodes = write_subnodes(&mut self.file, &mut subnodes.entries)?;
        self.nodes.push(NodeEntry { node: NAME_MAP, data, subnodes, parent: 0 });

        self.nodes.sort_unstable_by_key(|entry| entry.node);
        let node_tree = write_node_tree(&mut self.file, &self.nodes)?;
        let blocks = self.file.take_blocks();
        let block_tree = write_block_tree(&mut self.file, &blocks)?;
        let mut counters = [0x400; 32];
        for (kind, next) in [
            (FOLDER, next_folder),
            (0x03, 0x4000),
            (MESSAGE, self.next_message),
            (ASSOCIATED_MESSAGE, self.next_associated),
        ] {
            if let Some(counter) = counters.get_mut(kind as usize) {
                *counter = next;
            }
        }
        let bytes = self.file.finish(node_tree, block_tree, counters)?;
        Ok(Written { bytes, messages, folders: written })
    }

    fn folder_mut(&mut self, folder: FolderId) -> Result<&mut Folder> {
        let found = self.folders.iter_mut().find(|other| other.node == folder.0);
        found.ok_or(WriteError::UnknownFolder(folder.0))
    }

    fn write_message(&mut self, folder: FolderId, spec: &MessageSpec, listing: Listing) -> Result<NodeId> {
        self.folder_mut(folder)?;
        let (table, node) = if listing == Listing::Associated {
            self.next_associated += 1;
            (TableKind::Associated, (self.next_associated - 1) << 5 | ASSOCIATED_MESSAGE)
        } else {
            self.next_message += 1;
            (TableKind::Contents, (self.next_message - 1) << 5 | MESSAGE)
        };
        let code_page = self.options.code_page;
        let next_message = &mut self.next_message;
        let mut writer = ItemWriter { file: &mut self.file, names: &mut self.names, code_page, next_message };
        let item = writer.message(spec, node, table)?;
        self.nodes.push(NodeEntry { node, data: item.data, subnodes: item.subnodes, parent: folder.0 });
        let folder = self.folder_mut(folder)?;
        match listing {
            Listing::Contents => {
                folder.rows.push(item.row);
                folder.unread += u32::from(!spec.is_read);
            }
            Listing::Associated => folder.associated.push(item.row),
            Listing::Nowhere => {}
        }
        Ok(NodeId(node))
    }

    /// Writes each folder's properties and its three tables.
    fn write_folders(&mut self, folders: Vec<Folder>) -> Result<()> {
        let text = TextEncoder { format: self.options.format, code_page: self.options.code_page };
        let hierarchy_columns = columns(text.format, TableKind::Hierarchy);
        let mut hierarchy: Vec<(u32, Row)> = Vec::with_capacity(folders.len());
        for folder in &folders {
            let has_children = folders.iter().any(|other| other.parent == folder.node && other.node != folder.node);
            let values = folder.values(has_children);
            self.nodes.push(write_object(&mut self.file, folder.node, folder.parent, &values, text)?);
            if folder.parent != folder.node {
                let mut properties = crate::context::Properties::default();
                for (id, value) in &values {
                    properties.set(*id, value.stored(text)?);
                }
                hierarchy.push((folder.parent, row_of(&properties, &hierarchy_columns, folder.node)));
            }
        }
        // The rows of one folder after the other, so that those of a written folder are given back.
        for folder in folders {
            let (children, others) = hierarchy.into_iter().partition(|(parent, _)| *parent == folder.node);
            hierarchy = others;
            let children: Vec<Row> = children.into_iter().map(|(_, row): (u32, Row)| row).collect();
            self.write_folder_table(folder.node, HIERARCHY_TABLE, TableKind::Hierarchy, &children)?;
            self.write_folder_table(folder.node, CONTENTS_TABLE, TableKind::Contents, &folder.rows)?;
            self.write_folder_table(folder.node, ASSOCIATED_TABLE, TableKind::Associated, &folder.associated)?;
        }
        Ok(())
    }

    fn empty_table(&self, kind: TableKind) -> BlockId {
        let template = TABLE_TEMPLATES.iter().find(|(_, other)| *other == kind).map(|(node, _)| *node);
        let entry = self.nodes.iter().rev().find(|entry| Some(entry.node) == template);
        entry.map(|entry| entry.data).unwrap_or_default()
    }

    fn write_folder_table(&mut self, folder: u32, node_type: u32, kind: TableKind, rows: &[Row]) -> Result<()> {
        let node = folder & !0x1F | node_type;
        if rows.is_empty() {
            // Empty tables all look alike, so they share the block of the template, as Outlook's own do.
            let data = self.empty_table(kind);
            self.file.add_reference(data);
            self.nodes.push(NodeEntry { node, data, subnodes: BlockId::default(), parent: 0 });
            return Ok(());
        }
        let mut subnodes = Subnodes::default();
        let data = write_table(&mut self.file, &mut subnodes, &columns(self.options.format, kind), rows)?;
        let subnodes = write_subnodes(&mut self.file, &mut subnodes.entries)?;
        self.nodes.push(NodeEntry { node, data, subnodes, parent: 0 });
        Ok(())
    }
}

impl Folder {
    fn new(node: u32, parent: u32, name: &str) -> Self {
        Self {
            node,
            parent,
            name: name.into(),
            container_class: None,
            rows: Vec::new(),
            associated: Vec::new(),
            unread: 0,
            claimed: None,
        }
    }

    fn values(&self, has_children: bool) -> Vec<(u16, PropertyValue)> {
        let count = self.claimed.unwrap_or(self.rows.len() as u32);
        let mut values = vec![
            (0x3001, PropertyValue::Text(self.name.clone())),
            (0x3602, PropertyValue::Integer32(count as i32)),
            (0x3603, PropertyValue::Integer32(self.unread as i32)),
            (0x360A, PropertyValue::Boolean(has_children)),
            (0x3617, PropertyValue::Integer32(self.associated.len() as i32)),
        ];
        values.extend(self.container_class.clone().map(|class| (0x3613, PropertyValue::Text(class))));
        values
    }
}

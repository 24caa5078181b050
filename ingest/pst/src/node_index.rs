//! Which message and which folder belongs to which folder, by the node B-tree: it knows what a damaged table forgot.

use std::collections::HashMap;
use std::io::{Read, Seek};

use crate::ndb::Database;

/// What the low five bits of a node identifier say ([MS-PST] 2.2.2.1).
pub(crate) mod node_type {
    pub(crate) const FOLDER: u32 = 0x02;
    pub(crate) const MESSAGE: u32 = 0x04;
    pub(crate) const ATTACHMENT: u32 = 0x05;
    pub(crate) const ASSOCIATED_MESSAGE: u32 = 0x08;
    pub(crate) const HIERARCHY_TABLE: u32 = 0x0d;
    pub(crate) const CONTENTS_TABLE: u32 = 0x0e;

    /// The type of a node.
    pub(crate) fn of(id: u32) -> u32 {
        id & 0x1f
    }

    /// The node of another type that belongs to the same object: a folder's contents table, say.
    pub(crate) fn sibling(id: u32, kind: u32) -> u32 {
        (id & !0x1f) | kind
    }
}

/// Parents of messages and folders: 8 bytes for each.
#[derive(Clone, Debug, Default)]
pub(crate) struct NodeIndex {
    /// (parent, message), sorted.
    messages: Vec<(u32, u32)>,
    /// (parent, folder), sorted.
    folders: Vec<(u32, u32)>,
    /// Associated contents per folder.
    associated: HashMap<u32, u32>,
}

impl NodeIndex {
    pub(crate) fn build<R: Read + Seek>(database: &mut Database<R>) -> Self {
        // A node takes 16 bytes of a page (ANSI) or 32, so a page listed many times cannot swell the index.
        let mut room = database.file_bytes() / 16;
        let mut index = Self::default();
        database.for_each_node(|node| {
            if room == 0 {
                return;
            }
            room -= 1;
            match node_type::of(node.id) {
                node_type::MESSAGE => index.messages.push((node.parent, node.id)),
                node_type::FOLDER => index.folders.push((node.parent, node.id)),
                node_type::ASSOCIATED_MESSAGE => *index.associated.entry(node.parent).or_default() += 1,
                _ => {}
            }
        });
        for list in [&mut index.messages, &mut index.folders] {
            list.sort_unstable();
            list.dedup();
            list.shrink_to_fit();
        }
        index
    }

    /// The messages of a folder, by identifier.
    pub(crate) fn messages_of(&self, folder: u32) -> impl Iterator<Item = u32> + '_ {
        children(&self.messages, folder).iter().map(|(_, id)| *id)
    }

    /// Whether the message belongs to the folder.
    pub(crate) fn is_message_of(&self, folder: u32, message: u32) -> bool {
        self.messages.binary_search(&(folder, message)).is_ok()
    }

    /// The folders directly inside a folder.
    pub(crate) fn folders_of(&self, folder: u32) -> impl Iterator<Item = u32> + '_ {
        children(&self.folders, folder).iter().map(|(_, id)| *id)
    }

    /// (parent, message), sorted.
    pub(crate) fn messages(&self) -> &[(u32, u32)] {
        &self.messages
    }

    /// (parent, folder), sorted.
    pub(crate) fn folders(&self) -> &[(u32, u32)] {
        &self.folders
    }

    /// How many associated items (views, rules, forms) a folder has.
    pub(crate) fn associated_of(&self, folder: u32) -> u32 {
        self.associated.get(&folder).copied().unwrap_or(0)
    }
}

fn children(list: &[(u32, u32)], parent: u32) -> &[(u32, u32)] {
    let start = list.partition_point(|(found, _)| *found < parent);
    let end = list.partition_point(|(found, _)| *found <= parent);
    list.get(start..end).unwrap_or_default()
}

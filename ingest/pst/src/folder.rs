//! The folder tree: from the hierarchy tables, completed from the node B-tree.

use std::collections::HashSet;
use std::io::{Read, Seek};

use crate::error::{Problem, ProblemKind, Result};
use crate::ltp::{PropertyContext, PropertyValue, Table};
use crate::ndb::Database;
use crate::node_index::{NodeIndex, node_type};
use crate::property_id as id;
use crate::store::Store;

const ROOT_FOLDER: u32 = 0x122;
/// Node identifier of the made-up folder that holds messages whose folder does not exist.
pub(crate) const ORPHANS: u32 = 0;
const ORPHAN_FOLDERS_NAME: &str = "[orphaned folders]";
const ORPHAN_ITEMS_NAME: &str = "[orphaned items]";

/// Names that mail programs give the folder of sent mail, for stores that do not name its node.
const SENT_NAMES: [&str; 22] = [
    "sent items",
    "sent mail",
    "sent messages",
    "sent",
    "gesendete elemente",
    "gesendete objekte",
    "gesendet",
    "éléments envoyés",
    "messages envoyés",
    "elementos enviados",
    "mensajes enviados",
    "itens enviados",
    "posta inviata",
    "elementi inviati",
    "verzonden items",
    "skickat",
    "sendte elementer",
    "sendt post",
    "elementy wysłane",
    "отправленные",
    "送信済みアイテム",
    "已发送邮件",
];

/// A folder and what it claims to hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Folder {
    /// Its node; 0 for the made-up folder of messages whose folder does not exist.
    pub node_id: u32,
    /// Node of the folder around it; `None` at the top.
    pub parent: Option<u32>,
    /// Its name.
    pub name: String,
    /// Names from the top down, its own last. The nameless root has an empty path.
    pub path: Vec<String>,
    /// How many items it claims (`PidTagContentCount`).
    pub claimed_items: Option<u32>,
    /// How many of them it claims are unread (`PidTagContentUnreadCount`).
    pub claimed_unread: Option<u32>,
    /// How many associated items (views, rules: not mail) it claims.
    pub claimed_associated: Option<u32>,
    /// How many associated items were counted; they are never read.
    pub associated_count: u32,
    /// Whether sent mail is put here: the store says so, else the name does.
    pub is_sent_hint: bool,
    /// Whether it is, or lies in, the folder of deleted items.
    pub is_deleted_hint: bool,
    /// What kind of items it is for (`IPF.Note`, `IPF.Contact`).
    pub container_class: Option<String>,
    /// Whether the folder was found only by its node: no folder's table lists it.
    pub is_salvaged: bool,
}

/// Lists every folder, parents before children.
pub(crate) fn list<R: Read + Seek>(database: &mut Database<R>, index: &NodeIndex, store: &Store) -> Vec<Folder> {
    let mut walk = Walk { database, index, store, visited: HashSet::new(), folders: Vec::new() };
    walk.descend(Open { node_id: ROOT_FOLDER, ..Open::default() });
    // A folder in a lost folder comes with it, so start with those whose parent is not a folder at all.
    let all: HashSet<u32> = index.folders().iter().map(|(_, folder)| *folder).collect();
    for parent_exists in [false, true] {
        for (parent, folder) in index.folders() {
            if !walk.visited.contains(folder) && (all.contains(parent) && parent != folder) == parent_exists {
                let path = vec![ORPHAN_FOLDERS_NAME.to_owned()];
                walk.descend(Open { node_id: *folder, path, is_salvaged: true, ..Open::default() });
            }
        }
    }
    let Walk { visited, mut folders, .. } = walk;
    if index.messages().iter().any(|(parent, _)| !visited.contains(parent)) {
        let name = ORPHAN_ITEMS_NAME.to_owned();
        folders.push(Folder { path: vec![name.clone()], name, is_salvaged: true, ..Folder::default() });
    }
    folders
}

/// A folder that the walk has still to read.
#[derive(Clone, Debug, Default)]
struct Open {
    node_id: u32,
    parent: Option<u32>,
    /// Path of the folder around it.
    path: Vec<String>,
    /// Name that the table around it gives it.
    listed_name: Option<String>,
    is_deleted: bool,
    is_salvaged: bool,
}

struct Walk<'a, R> {
    database: &'a mut Database<R>,
    index: &'a NodeIndex,
    store: &'a Store,
    visited: HashSet<u32>,
    folders: Vec<Folder>,
}

impl<R: Read + Seek> Walk<'_, R> {
    fn descend(&mut self, start: Open) {
        let mut open = vec![start];
        while let Some(next) = open.pop() {
            if self.folders.len() >= self.database.options.max_folders {
                self.problem(next.node_id, ProblemKind::Limit, "more folders than the limit; the rest is left out");
                return;
            }
            if !self.visited.insert(next.node_id) {
                continue;
            }
            let folder = self.read_folder(&next);
            if folder.path.len() > self.database.options.max_folder_depth {
                self.problem(next.node_id, ProblemKind::Limit, "lies deeper than the limit; what is in it is left out");
            } else {
                let children = self.children(&folder);
                open.extend(children.into_iter().rev());
            }
            self.folders.push(folder);
        }
    }

    fn problem(&mut self, node_id: u32, kind: ProblemKind, detail: impl Into<String>) {
        self.database.note_file_problem(Problem::new(place(node_id), kind, detail));
    }

    fn read_folder(&mut self, open: &Open) -> Folder {
        let node_id = open.node_id;
        self.database.begin_item();
        let mut folder = Folder {
            node_id,
            parent: open.parent,
            associated_count: self.index.associated_of(node_id),
            is_salvaged: open.is_salvaged,
            ..Folder::default()
        };
        match self.database.node(node_id).and_then(|node| PropertyContext::open(self.database, node)) {
            Ok(context) => self.read_properties(&context, &mut folder),
            Err(error) => self.database.note(error.into()),
        }
        if folder.name.is_empty() {
            folder.name = open.listed_name.clone().unwrap_or_default();
        }
        if folder.name.is_empty() && node_id != ROOT_FOLDER {
            folder.name = format!("[folder {node_id:#x}]");
        }
        folder.path.clone_from(&open.path);
        if node_id != ROOT_FOLDER {
            folder.path.push(folder.name.clone());
        }
        folder.is_deleted_hint = open.is_deleted || self.store.deleted_items_folder == Some(node_id);
        folder.is_sent_hint = match self.store.sent_mail_folder {
            Some(sent) if sent == node_id => true,
            _ => SENT_NAMES.contains(&folder.name.to_lowercase().as_str()),
        };
        self.keep_pending(node_id);
        folder
    }

    fn read_properties(&mut self, context: &PropertyContext, folder: &mut Folder) {
        let mut value = |property| match context.get(self.database, property) {
            Ok(value) => value,
            Err(error) => {
                self.database.note(error.into());
                None
            }
        };
        let text = |value: Option<PropertyValue>| value.and_then(|value| value.as_text().map(str::to_owned));
        let count = |value: Option<PropertyValue>| value.and_then(|value| u32::try_from(value.as_integer()?).ok());
        folder.name = text(value(id::DISPLAY_NAME)).unwrap_or_default();
        folder.container_class = text(value(id::CONTAINER_CLASS)).filter(|class| !class.is_empty());
        folder.claimed_items = count(value(id::CONTENT_COUNT));
        folder.claimed_unread = count(value(id::CONTENT_UNREAD));
        folder.claimed_associated = count(value(id::ASSOCIATED_COUNT));
    }

    /// The folders inside one: in the order of its hierarchy table, then those that only the node B-tree knows.
    fn children(&mut self, folder: &Folder) -> Vec<Open> {
        let child = |node_id| Open {
            node_id,
            parent: Some(folder.node_id),
            path: folder.path.clone(),
            is_deleted: folder.is_deleted_hint,
            is_salvaged: folder.is_salvaged,
            ..Open::default()
        };
        let mut children = Vec::new();
        match self.listed_children(folder.node_id) {
            Ok(listed) => {
                children.extend(listed.into_iter().map(|(node_id, name)| Open { listed_name: name, ..child(node_id) }));
            }
            Err(error) => self.database.note(Problem::from(error).within("hierarchy table")),
        }
        self.keep_pending(folder.node_id);
        let listed: HashSet<u32> = children.iter().map(|open| open.node_id).collect();
        let unlisted = self.index.folders_of(folder.node_id).filter(|id| !listed.contains(id) && *id != folder.node_id);
        let unlisted: Vec<u32> = unlisted.filter(|id| !self.visited.contains(id)).collect();
        if !unlisted.is_empty() {
            let detail = format!("{} folders in it are not in its hierarchy table; they were read", unlisted.len());
            self.problem(folder.node_id, ProblemKind::Unlisted, detail);
        }
        children.extend(unlisted.into_iter().map(|node_id| Open { is_salvaged: true, ..child(node_id) }));
        children
    }

    fn listed_children(&mut self, folder: u32) -> Result<Vec<(u32, Option<String>)>> {
        let node = self.database.node(node_type::sibling(folder, node_type::HIERARCHY_TABLE))?;
        let table = Table::open(self.database, node)?;
        let mut children = Vec::new();
        for (node_id, place) in table.index() {
            // Search folders show items of other folders and hold none.
            if node_type::of(*node_id) != node_type::FOLDER {
                continue;
            }
            let name =
                table.row(self.database, *place).and_then(|row| table.cell(self.database, &row, id::DISPLAY_NAME));
            let name = name.ok().flatten().and_then(|value| value.as_text().map(str::to_owned));
            children.push((*node_id, name));
        }
        Ok(children)
    }

    /// What was noted while reading a folder concerns the file as a whole.
    fn keep_pending(&mut self, node_id: u32) {
        for problem in self.database.take_pending() {
            self.database.note_file_problem(problem.within(place(node_id)));
        }
    }
}

pub(crate) fn place(node_id: u32) -> String {
    if node_id == ORPHANS { ORPHAN_ITEMS_NAME.to_owned() } else { format!("folder {node_id:#x}") }
}

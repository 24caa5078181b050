//! The items of a folder: in the order of its contents table, then those that only the node B-tree knows.

use std::collections::{HashMap, HashSet};
use std::io::{Read, Seek};
use std::sync::Arc;

use crate::error::{Problem, ProblemKind, Result};
use crate::folder::{ORPHANS, place};
use crate::ltp::Table;
use crate::ndb::Database;
use crate::node_index::{NodeIndex, node_type};
use crate::property_id as id;

/// An item as its folder lists it; read it with [`PstFile::read_item`](crate::PstFile::read_item).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ItemRef {
    /// Its node, which stays the same as long as the file is not rewritten.
    pub node_id: u32,
    /// Its place in the list, from 0: where to resume.
    pub position: usize,
    /// Message class by the folder's table; `None` where that does not say.
    pub message_class: Option<Arc<str>>,
}

/// The items of one folder, and after them what could not be listed. Holds 8 bytes per item and borrows nothing, so that
/// items can be read while it runs.
#[derive(Clone, Debug, Default)]
pub struct Items {
    /// Node and index of the class (0: none, else from 1).
    entries: Vec<(u32, u32)>,
    classes: Vec<Arc<str>>,
    problems: Vec<Problem>,
    position: usize,
}

/// Rows without an item that are reported of one folder.
const MAX_PROBLEMS: usize = 10_000;
/// Different message classes that are told apart in one folder.
const MAX_CLASSES: usize = 4096;
/// [MS-OXCMSG] 2.2.1.3 allows 255 characters.
const MAX_CLASS_BYTES: usize = 1024;

impl Items {
    /// How many items the folder holds.
    pub fn total(&self) -> usize {
        self.entries.len()
    }

    /// Goes on with the item at `position`.
    #[must_use]
    pub fn starting_at(mut self, position: usize) -> Self {
        self.position = position;
        self
    }

    /// Goes on with the item after `node_id`; from the start where the folder does not hold it.
    #[must_use]
    pub fn starting_after(mut self, node_id: u32) -> Self {
        self.position = self.entries.iter().position(|(id, _)| *id == node_id).map_or(0, |position| position + 1);
        self
    }

    /// What could not be listed.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    pub(crate) fn load<R: Read + Seek>(
        database: &mut Database<R>,
        index: &NodeIndex,
        folder: u32,
        known_folders: &HashSet<u32>,
    ) -> Self {
        let mut items = Self::default();
        if folder == ORPHANS {
            let orphans = index.messages().iter().filter(|(parent, _)| !known_folders.contains(parent));
            items.entries.extend(orphans.map(|(_, node_id)| (*node_id, 0)));
            return items;
        }
        let mut listed = HashSet::new();
        let table_read = items.read_table(database, index, folder, &mut listed);
        if let Err(error) = &table_read {
            let detail = format!("{}; items are listed by node instead", error.detail());
            let problem = Problem { detail, ..Problem::new(error.place(), ProblemKind::Damaged, "") };
            items.problems.push(problem.within(place(folder)));
        }
        items.problems.extend(database.take_pending().into_iter().map(|problem| problem.within(place(folder))));
        let before = items.entries.len();
        items.entries.extend(index.messages_of(folder).filter(|id| !listed.contains(id)).map(|id| (id, 0)));
        let unlisted = items.entries.len() - before;
        if unlisted > 0 && table_read.is_ok() {
            let detail = format!("{unlisted} items in it are not in its contents table; they are listed last");
            items.problems.push(Problem::new(place(folder), ProblemKind::Unlisted, detail));
        }
        items
    }

    fn read_table<R: Read + Seek>(
        &mut self,
        database: &mut Database<R>,
        index: &NodeIndex,
        folder: u32,
        listed: &mut HashSet<u32>,
    ) -> Result<()> {
        let node = database.node(node_type::sibling(folder, node_type::CONTENTS_TABLE))?;
        let table = Table::open(database, node).map_err(|error| error.within("contents table"))?;
        let mut class_numbers: HashMap<String, u32> = HashMap::new();
        for (node_id, row_place) in table.index() {
            if !index.is_message_of(folder, *node_id) {
                let (kind, detail) = match database.node(*node_id) {
                    Ok(node) => {
                        (ProblemKind::Damaged, format!("is listed here but belongs to folder {:#x}", node.parent))
                    }
                    Err(_) => (ProblemKind::Missing, "is listed in the contents table but does not exist".to_owned()),
                };
                if self.problems.len() < MAX_PROBLEMS {
                    let item = format!("{} / item {node_id:#x}", place(folder));
                    self.problems.push(Problem::new(item, kind, detail));
                }
                continue;
            }
            if !listed.insert(*node_id) {
                continue;
            }
            database.begin_item();
            let row = table.row(database, *row_place);
            let class = row.and_then(|row| table.cell(database, &row, id::MESSAGE_CLASS));
            let number = match class {
                Ok(value) => value.and_then(|value| self.class_number(&mut class_numbers, value.as_text()?)),
                Err(error) => {
                    // The item itself may well be whole: only the folder's copy of its class is lost.
                    database.note(error.within(format!("contents table row of {node_id:#x}")).into());
                    None
                }
            };
            self.entries.push((*node_id, number.unwrap_or(0)));
        }
        Ok(())
    }

    fn class_number(&mut self, numbers: &mut HashMap<String, u32>, class: &str) -> Option<u32> {
        if let Some(number) = numbers.get(class) {
            return Some(*number);
        }
        if self.classes.len() >= MAX_CLASSES || class.len() > MAX_CLASS_BYTES {
            return None;
        }
        self.classes.push(Arc::from(class));
        let number = self.classes.len() as u32;
        numbers.insert(class.to_owned(), number);
        Some(number)
    }
}

impl Iterator for Items {
    type Item = std::result::Result<ItemRef, Problem>;

    fn next(&mut self) -> Option<Self::Item> {
        let position = self.position;
        self.position = position.saturating_add(1);
        if let Some((node_id, class)) = self.entries.get(position) {
            let message_class = (*class as usize).checked_sub(1).and_then(|class| self.classes.get(class).cloned());
            return Some(Ok(ItemRef { node_id: *node_id, position, message_class }));
        }
        self.problems.get(position - self.entries.len()).cloned().map(Err)
    }
}

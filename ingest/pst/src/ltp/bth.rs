//! BTree-on-heap ([MS-PST] 2.3.2): sorted fixed-size records inside a heap.

use std::collections::HashSet;
use std::io::{Read, Seek};

use super::heap::Heap;
use crate::bytes::{u8_at, u16_at, u32_at};
use crate::error::{PstError, Result};
use crate::ndb::Database;

/// Allocations that one tree is followed through: a table of hundreds of millions of rows would need more.
const MAX_VISITED: usize = 1_000_000;

/// The tree's header (BTHHEADER).
#[derive(Clone, Copy, Debug)]
pub(crate) struct TreeOnHeap {
    key_bytes: usize,
    data_bytes: usize,
    levels: u8,
    root: u32,
}

impl TreeOnHeap {
    /// Reads the header at heap identifier `id` and checks that records have the expected sizes.
    pub(crate) fn open<R: Read + Seek>(
        database: &mut Database<R>,
        heap: &Heap,
        id: u32,
        (key_bytes, data_bytes): (usize, usize),
    ) -> Result<Self> {
        let header = heap.get(database, id)?;
        let place = || format!("tree on heap {id:#x}");
        let short = || PstError::damaged(place(), "is cut short");
        if u8_at(&header, 0) != Some(0xb5) {
            return Err(PstError::damaged(place(), "does not begin with its type"));
        }
        let sizes =
            (usize::from(u8_at(&header, 1).ok_or_else(short)?), usize::from(u8_at(&header, 2).ok_or_else(short)?));
        if sizes.0 != key_bytes || sizes.1 < data_bytes {
            return Err(PstError::damaged(place(), format!("has records of {}+{} bytes", sizes.0, sizes.1)));
        }
        let levels = u8_at(&header, 3).ok_or_else(short)?;
        let root = u32_at(&header, 4).ok_or_else(short)?;
        Ok(Self { key_bytes, data_bytes: sizes.1, levels, root })
    }

    /// Calls `visit` with every record (key, then data). What cannot be read is noted and skipped; the answer says whether
    /// all was read.
    pub(crate) fn for_each<R: Read + Seek>(
        &self,
        database: &mut Database<R>,
        heap: &Heap,
        mut visit: impl FnMut(&[u8]),
    ) -> bool {
        let mut complete = true;
        if self.root == 0 {
            return complete;
        }
        // An allocation belongs to one place of the tree, so that none is visited twice.
        let mut visited = HashSet::new();
        let mut open = vec![(self.root, self.levels)];
        while let Some((id, level)) = open.pop() {
            if !visited.insert(id) || visited.len() > MAX_VISITED {
                complete = false;
                continue;
            }
            let records = match heap.get(database, id) {
                Ok(records) => records,
                Err(error) => {
                    database.note(error.into());
                    complete = false;
                    continue;
                }
            };
            if level == 0 {
                records.chunks_exact(self.key_bytes + self.data_bytes).for_each(&mut visit);
            } else {
                let children = records.chunks_exact(self.key_bytes + 4).rev();
                open.extend(children.filter_map(|entry| Some((u32_at(entry, self.key_bytes)?, level - 1))));
            }
        }
        complete
    }
}

/// A record of a property context: identifier, type, and the value or where it lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PropertyRecord {
    pub(crate) id: u16,
    pub(crate) kind: u16,
    pub(crate) value: u32,
}

impl PropertyRecord {
    pub(crate) fn parse(record: &[u8]) -> Option<Self> {
        Some(Self { id: u16_at(record, 0)?, kind: u16_at(record, 2)?, value: u32_at(record, 4)? })
    }
}

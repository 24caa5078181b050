//! Heap-on-node ([MS-PST] 2.3.1): small allocations inside a node's blocks.

use std::io::{Read, Seek};

use crate::bytes::{u8_at, u16_at, u32_at};
use crate::error::{PstError, Result};
use crate::ndb::{BlockData, DataTree, Database};

/// What a heap holds ([MS-PST] 2.3.1.2 `bClientSig`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Client {
    PropertyContext,
    TableContext,
}

/// A heap whose header was checked. Blocks are read when something in them is asked for.
#[derive(Clone, Debug)]
pub(crate) struct Heap {
    tree: DataTree,
    pub(crate) user_root: u32,
}

impl Heap {
    /// Opens the heap in the data tree at `data`.
    pub(crate) fn open<R: Read + Seek>(database: &mut Database<R>, data: u64, client: Client) -> Result<Self> {
        let tree = database.data_tree(data)?;
        let place = || format!("heap in block {data:#x}");
        let first = tree.block_id(0).ok_or_else(|| PstError::damaged(place(), "has no data"))?;
        let header = database.block(first)?;
        if u8_at(&header, 2) != Some(0xec) {
            return Err(PstError::damaged(place(), "does not begin with a heap header"));
        }
        let expected = match client {
            Client::PropertyContext => 0xbc,
            Client::TableContext => 0x7c,
        };
        if u8_at(&header, 3) != Some(expected) {
            let found = u8_at(&header, 3).unwrap_or(0);
            return Err(PstError::damaged(place(), format!("holds {found:#04x}, not {expected:#04x}")));
        }
        let user_root = u32_at(&header, 4).ok_or_else(|| PstError::damaged(place(), "is cut short"))?;
        Ok(Self { tree, user_root })
    }

    /// The allocation `id` (an HID, [MS-PST] 2.3.1.1).
    pub(crate) fn get<R: Read + Seek>(&self, database: &mut Database<R>, id: u32) -> Result<BlockData> {
        let place = || format!("heap allocation {id:#x}");
        let (index, block_index) = ((id >> 5) as usize & 0x7ff, (id >> 16) as usize);
        if id & 0x1f != 0 || index == 0 {
            return Err(PstError::damaged(place(), "is no heap identifier"));
        }
        let block_id = self
            .tree
            .block_id(block_index)
            .ok_or_else(|| PstError::damaged(place(), format!("lies in block {block_index} of {}", self.tree.len())))?;
        let block = database.block(block_id).map_err(|error| error.within(place()))?;
        let range = allocation(&block, index)
            .ok_or_else(|| PstError::damaged(place(), format!("is not in the page map of block {block_id:#x}")))?;
        block.part(range).ok_or_else(|| PstError::damaged(place(), "reaches past its block"))
    }
}

/// Looks an allocation up in the page map (HNPAGEMAP, [MS-PST] 2.3.1.5) that the first two bytes of a block point to.
fn allocation(block: &[u8], index: usize) -> Option<std::ops::Range<usize>> {
    let map = usize::from(u16_at(block, 0)?);
    if index > usize::from(u16_at(block, map)?) {
        return None;
    }
    let at = map + 4 + 2 * (index - 1);
    let (start, end) = (usize::from(u16_at(block, at)?), usize::from(u16_at(block, at + 2)?));
    (start <= end).then_some(start..end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_allocations_in_the_page_map() {
        // Two bytes "map at 12", ten bytes of content, then a map of two allocations: 4..7 and 7..12.
        let mut block = vec![12, 0, 0xec, 0xbc];
        block.extend_from_slice(b"abcDEFGH");
        block.extend_from_slice(&[2, 0, 0, 0, 4, 0, 7, 0, 12, 0]);
        assert_eq!(allocation(&block, 1), Some(4..7));
        assert_eq!(allocation(&block, 2), Some(7..12));
        assert_eq!(allocation(&block, 3), None);
        block.truncate(20);
        assert_eq!(allocation(&block, 2), None);
        assert_eq!(allocation(&[], 1), None);
        assert_eq!(allocation(&[0xff, 0xff, 0], 1), None);
    }
}

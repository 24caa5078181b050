//! Heap-on-node and the B-tree that lives in it ([MS-PST] 2.3.1 and 2.3.2).

use crate::error::{Result, WriteError};
use crate::file::{BlockId, NodeFile};
use crate::format::{MAX_HEAP_ITEM, overwrite};
use crate::node::write_data_tree;

/// The address of an item in a heap; 0 is "none".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct HeapId(pub(crate) u32);

/// A heap being filled. Items are never freed, so each goes into the last block or a new one.
pub(crate) struct Heap {
    client: u8,
    root: HeapId,
    capacity: usize,
    blocks: Vec<HeapBlock>,
}

struct HeapBlock {
    bytes: Vec<u8>,
    /// Where each item starts; where the last one ends is the end of `bytes`.
    starts: Vec<u16>,
}

/// The most items in one block: what an item's 11-bit index can say.
const MAX_ITEMS: usize = 2047;
/// Block 8 and every 128th after it carry the fill levels of 128 blocks ([MS-PST] 2.3.1.4).
const FIRST_BITMAP: usize = 8;
const BITMAP_INTERVAL: usize = 128;

impl Heap {
    /// An empty heap for the client `client` (0xBC property context, 0x7C table context).
    pub(crate) fn new(file: &NodeFile, client: u8) -> Self {
        Self { client, root: HeapId::default(), capacity: file.format.max_block_data(), blocks: Vec::new() }
    }

    /// Puts an item of at most 3,580 bytes into the heap.
    pub(crate) fn add(&mut self, item: &[u8]) -> Result<HeapId> {
        if item.len() > MAX_HEAP_ITEM {
            return Err(WriteError::Layout("heap item"));
        }
        let fits = self.blocks.last().is_some_and(|block| {
            let map_size = 4 + 2 * (block.starts.len() + 2);
            (block.bytes.len() + item.len()).next_multiple_of(2) + map_size <= self.capacity
                && block.starts.len() < MAX_ITEMS
        });
        if !fits {
            let header = header_size(self.blocks.len());
            self.blocks.push(HeapBlock { bytes: vec![0; header], starts: Vec::new() });
        }
        let index = self.blocks.len() - 1;
        let index =
            u16::try_from(index).map_err(|_| WriteError::TooLarge { what: "a heap", limit: u64::from(u16::MAX) })?;
        let Some(block) = self.blocks.last_mut() else { return Err(WriteError::Layout("heap")) };
        block.starts.push(block.bytes.len() as u16);
        block.bytes.extend_from_slice(item);
        Ok(HeapId(u32::from(index) << 16 | (block.starts.len() as u32) << 5))
    }

    /// Replaces an item by another of the same size.
    pub(crate) fn replace(&mut self, id: HeapId, item: &[u8]) -> Result<()> {
        let block = self.blocks.get_mut((id.0 >> 16) as usize);
        let index = ((id.0 >> 5) & 0x7FF) as usize;
        let done = block.is_some_and(|block| {
            let start = index.checked_sub(1).and_then(|index| block.starts.get(index)).copied();
            start.is_some_and(|start| overwrite(&mut block.bytes, usize::from(start), item))
        });
        if done { Ok(()) } else { Err(WriteError::Layout("heap item")) }
    }

    /// Says which item the client starts from.
    pub(crate) fn set_root(&mut self, root: HeapId) {
        self.root = root;
    }

    /// Writes the heap as the data of a node.
    pub(crate) fn finish(mut self, file: &mut NodeFile) -> Result<BlockId> {
        let levels: Vec<u8> = self.blocks.iter().map(|block| fill_level(block.free(self.capacity))).collect();
        let mut ids = Vec::with_capacity(self.blocks.len());
        let mut size = 0;
        for (index, block) in self.blocks.iter_mut().enumerate() {
            let mut header = Vec::with_capacity(header_size(index));
            header.extend_from_slice(&(block.bytes.len().next_multiple_of(2) as u16).to_le_bytes());
            if index == 0 {
                header.extend_from_slice(&[0xEC, self.client]);
                header.extend_from_slice(&self.root.0.to_le_bytes());
                header.extend_from_slice(&pack_levels(&levels, 0, FIRST_BITMAP));
            } else if is_bitmap(index) {
                header.extend_from_slice(&pack_levels(&levels, index, BITMAP_INTERVAL));
            }
            if !overwrite(&mut block.bytes, 0, &header) {
                return Err(WriteError::Layout("heap header"));
            }
            block.append_map();
            size += block.bytes.len() as u64;
            ids.push(file.data_block(&block.bytes)?);
        }
        write_data_tree(file, &ids, size)
    }

    /// Builds a B-tree-on-heap over `records`, sorted by key, each of `key_size` + `data_size` bytes, and returns
    /// where its header is.
    pub(crate) fn add_tree(&mut self, key_size: usize, data_size: usize, records: &[u8]) -> Result<HeapId> {
        let header = self.add(&[0; 8])?;
        self.fill_tree(header, (key_size, data_size), records)?;
        Ok(header)
    }

    /// The same for a header whose place in the heap was reserved before.
    pub(crate) fn fill_tree(&mut self, header: HeapId, sizes: (usize, usize), records: &[u8]) -> Result<()> {
        let (key_size, data_size) = sizes;
        let mut level = self.add_records(key_size, key_size + data_size, records)?;
        let mut height = 0_u8;
        while level.len() > 1 {
            height += 1;
            let mut index = Vec::new();
            for (key, id) in &level {
                index.extend_from_slice(key);
                index.extend_from_slice(&id.0.to_le_bytes());
            }
            level = self.add_records(key_size, key_size + 4, &index)?;
        }
        let root = level.first().map(|(_, id)| *id).unwrap_or_default();
        let mut bytes = vec![0xB5, key_size as u8, data_size as u8, height];
        bytes.extend_from_slice(&root.0.to_le_bytes());
        self.replace(header, &bytes)
    }

    fn add_records(&mut self, key_size: usize, size: usize, records: &[u8]) -> Result<Vec<(Vec<u8>, HeapId)>> {
        let mut level = Vec::new();
        for chunk in records.chunks(MAX_HEAP_ITEM / size * size) {
            level.push((chunk.get(..key_size).unwrap_or_default().to_vec(), self.add(chunk)?));
        }
        Ok(level)
    }
}

impl HeapBlock {
    fn free(&self, capacity: usize) -> usize {
        capacity.saturating_sub(self.bytes.len().next_multiple_of(2) + 4 + 2 * (self.starts.len() + 1))
    }

    /// The page map: how many items, how many of them freed, where each starts and the last one ends.
    fn append_map(&mut self) {
        let end = self.bytes.len() as u16;
        self.bytes.resize(self.bytes.len().next_multiple_of(2), 0);
        self.bytes.extend_from_slice(&(self.starts.len() as u16).to_le_bytes());
        self.bytes.extend_from_slice(&0_u16.to_le_bytes());
        for start in self.starts.iter().copied().chain([end]) {
            self.bytes.extend_from_slice(&start.to_le_bytes());
        }
    }
}

fn is_bitmap(index: usize) -> bool {
    index >= FIRST_BITMAP && (index - FIRST_BITMAP).is_multiple_of(BITMAP_INTERVAL)
}

fn header_size(index: usize) -> usize {
    match index {
        0 => 12,
        index if is_bitmap(index) => 66,
        _ => 2,
    }
}

/// Two levels to a byte, the first in the low half; blocks that do not exist yet count as empty.
fn pack_levels(levels: &[u8], from: usize, count: usize) -> Vec<u8> {
    let level = |index: usize| levels.get(index).copied().unwrap_or(0);
    (from..from + count).step_by(2).map(|index| level(index) | level(index + 1) << 4).collect()
}

/// How full a block is, as a code ([MS-PST] 2.3.1.2, `rgbFillLevel`).
fn fill_level(free: usize) -> u8 {
    const AT_LEAST: [usize; 15] = [3584, 2560, 2048, 1792, 1536, 1280, 1024, 768, 512, 256, 128, 64, 32, 16, 8];
    AT_LEAST.iter().position(|&least| free >= least).unwrap_or(15) as u8
}

//! Blocks and the trees of blocks that hold more than one can ([MS-PST] 2.2.2.8.3.1 and 2.2.2.8.3.2).

use std::io::{Read, Seek};
use std::ops::{Deref, Range};
use std::sync::Arc;

use super::page::BlockPlace;
use super::{Database, Tree};
use crate::bytes::{u8_at, u16_at, u32_at, word_at};
use crate::checksum::{crc, signature};
use crate::coding::{code_cyclic, decode_permute};
use crate::error::{Problem, ProblemKind, PstError, Result};
use crate::header::Encoding;

/// A block with its trailer.
pub(crate) const MAX_BLOCK_BYTES: usize = 8192;
/// What asking for a cached block counts as work.
const CACHED_WORK_BYTES: u64 = 64;
/// Bit of a block identifier that marks a block of references (not encoded) rather than of data.
const INTERNAL: u64 = 2;

/// Decoded bytes of a block (or of several joined), or a part of them; cheap to clone.
#[derive(Clone)]
pub(crate) struct BlockData {
    data: Arc<Vec<u8>>,
    range: Range<usize>,
    /// Whether the checksum matched.
    pub(crate) verified: bool,
}

impl BlockData {
    pub(crate) fn new(data: Vec<u8>) -> Self {
        let range = 0..data.len();
        Self { data: Arc::new(data), range, verified: true }
    }

    /// A part of it, sharing the bytes.
    pub(crate) fn part(&self, range: Range<usize>) -> Option<Self> {
        let start = self.range.start.checked_add(range.start)?;
        let end = self.range.start.checked_add(range.end)?;
        (start <= end && end <= self.range.end).then(|| Self {
            data: Arc::clone(&self.data),
            range: start..end,
            verified: self.verified,
        })
    }
}

impl Deref for BlockData {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.data.get(self.range.clone()).unwrap_or_default()
    }
}

/// The blocks, in order, that together hold a node's data.
#[derive(Clone, Debug, Default)]
pub(crate) struct DataTree {
    blocks: Vec<u64>,
}

impl DataTree {
    /// Number of blocks.
    pub(crate) fn len(&self) -> usize {
        self.blocks.len()
    }

    /// Identifier of the block at `index`.
    pub(crate) fn block_id(&self, index: usize) -> Option<u64> {
        self.blocks.get(index).copied()
    }
}

impl<R: Read + Seek> Database<R> {
    /// Bytes that a full block holds beside its trailer.
    pub(crate) fn full_block_bytes(&self) -> usize {
        MAX_BLOCK_BYTES - self.trailer_bytes()
    }

    fn trailer_bytes(&self) -> usize {
        if self.wide() { 16 } else { 12 }
    }

    /// A decoded block, from the cache where it is there.
    pub(crate) fn block(&mut self, id: u64) -> Result<BlockData> {
        let key = id & !1;
        let data = if let Some(data) = self.blocks.get(key) {
            self.work_bytes += CACHED_WORK_BYTES;
            data
        } else {
            let mut bytes = Vec::new();
            let verified = self.read_block(id, &mut bytes)?;
            let data = BlockData { verified, ..BlockData::new(bytes) };
            self.blocks.insert(key, data.clone());
            data
        };
        if !data.verified {
            // Said each time: whoever uses the block must hear of it.
            self.note(Problem::new(place(key), ProblemKind::Checksum, "checksum differs; the bytes were used"));
        }
        Ok(data)
    }

    /// Reads and decodes a block into `out` (replacing what it holds), past the cache. Says whether its checksum matched;
    /// the caller reports it.
    pub(crate) fn read_block(&mut self, id: u64, out: &mut Vec<u8>) -> Result<bool> {
        let key = id & !1;
        out.clear();
        let entry = self.block_place(id)?;
        let verified = self.read_block_at(entry, out)?;
        if key & INTERNAL == 0 {
            match self.header.encoding {
                Encoding::None => {}
                Encoding::Permute => decode_permute(out),
                Encoding::Cyclic => code_cyclic(out, id as u32),
            }
        }
        Ok(verified)
    }

    fn read_block_at(&mut self, entry: BlockPlace, out: &mut Vec<u8>) -> Result<bool> {
        let place = || place(entry.block_id);
        let (wide, trailer_bytes) = (self.wide(), self.trailer_bytes());
        // A block and its trailer together fill a multiple of 64 bytes.
        let stored = (entry.bytes + trailer_bytes).next_multiple_of(64);
        if stored > MAX_BLOCK_BYTES {
            return Err(PstError::damaged(place(), format!("claims {} bytes", entry.bytes)));
        }
        if entry.offset.saturating_add(stored as u64) > self.source.length() {
            return Err(PstError::damaged(place(), format!("lies outside the file, at {:#x}", entry.offset)));
        }
        self.work_bytes += stored as u64;
        let verify_crc = self.options.verify_crc;
        let bytes = self.source.slice(entry.offset, stored).map_err(|error| PstError::io(place(), error))?;
        let (Some(data), Some(trailer)) = (bytes.get(..entry.bytes), bytes.get(stored - trailer_bytes..)) else {
            return Err(PstError::damaged(place(), "is cut short"));
        };
        let (sum_at, id_at) = if wide { (4, 8) } else { (8, 4) };
        let id_matches = word_at(trailer, id_at, wide).is_some_and(|found| found & !1 == entry.block_id);
        let size_matches = u16_at(trailer, 0).map(usize::from) == Some(entry.bytes);
        let sum_matches = !verify_crc || u32_at(trailer, sum_at) == Some(crc(data));
        if !id_matches {
            // Either the trailer alone is damaged, or the place was given to another block.
            let place_matches = u16_at(trailer, 2) == Some(signature(entry.offset, entry.block_id));
            if !(sum_matches && size_matches && place_matches) {
                return Err(PstError::damaged(
                    place(),
                    format!("another block lies at its place, {:#x}", entry.offset),
                ));
            }
        }
        out.extend_from_slice(data);
        Ok(sum_matches && id_matches && size_matches)
    }

    /// The blocks below `id`: itself, or those that an XBLOCK or XXBLOCK lists.
    pub(crate) fn data_tree(&mut self, id: u64) -> Result<DataTree> {
        let mut tree = DataTree::default();
        if id & !1 == 0 {
            return Ok(tree);
        }
        if id & INTERNAL == 0 {
            tree.blocks.push(id);
            return Ok(tree);
        }
        let root = self.block(id)?;
        if list_kind(&root, id)? == 1 {
            list_blocks(&root, id, self.wide(), &mut tree.blocks)?;
        } else {
            let mut lists = Vec::new();
            list_blocks(&root, id, self.wide(), &mut lists)?;
            for list_id in lists {
                let list = self.block(list_id).map_err(|error| error.within(place(id)))?;
                if list_id & INTERNAL == 0 || list_kind(&list, list_id)? != 1 {
                    return Err(PstError::damaged(place(list_id), "is no list of data blocks"));
                }
                list_blocks(&list, list_id, self.wide(), &mut tree.blocks)?;
            }
        }
        if tree.blocks.iter().any(|block| block & INTERNAL != 0) {
            return Err(PstError::damaged(place(id), "lists a block of references as data"));
        }
        Ok(tree)
    }

    /// Size of the data below `id` as the file claims it, without reading the data.
    pub(crate) fn data_bytes(&mut self, id: u64) -> Result<u64> {
        if id & INTERNAL != 0 {
            let root = self.block(id)?;
            list_kind(&root, id)?;
            return Ok(u64::from(u32_at(&root, 4).unwrap_or(0)));
        }
        Ok(self.block_place(id)?.bytes as u64)
    }

    fn block_place(&mut self, id: u64) -> Result<BlockPlace> {
        let key = id & !1;
        self.find(Tree::Blocks, key)
            .map_err(|error| error.within(place(key)))?
            .and_then(|(page, index)| page.block(index))
            .filter(|entry| entry.block_id == key)
            .ok_or_else(|| PstError::not_found(place(key), "is not in the block B-tree"))
    }

    /// All data below `id`, at most `limit` bytes.
    pub(crate) fn read_all(&mut self, id: u64, limit: u64) -> Result<BlockData> {
        let tree = self.data_tree(id)?;
        if let [only] = tree.blocks.as_slice() {
            return self.block(*only);
        }
        let mut data = Vec::new();
        let mut buffer = Vec::new();
        let mut verified = true;
        for block_id in &tree.blocks {
            verified &= self.read_block(*block_id, &mut buffer).map_err(|error| error.within(place(id)))?;
            if (data.len() + buffer.len()) as u64 > limit {
                return Err(PstError::limit(place(id), format!("holds more than {limit} bytes")));
            }
            data.extend_from_slice(&buffer);
        }
        if !verified {
            self.note(Problem::new(
                place(id),
                ProblemKind::Checksum,
                "a checksum below it differs; the bytes were used",
            ));
        }
        Ok(BlockData { verified, ..BlockData::new(data) })
    }
}

pub(crate) fn place(id: u64) -> String {
    format!("block {id:#x}")
}

/// 1 for an XBLOCK, 2 for an XXBLOCK.
fn list_kind(data: &[u8], id: u64) -> Result<u8> {
    match (u8_at(data, 0), u8_at(data, 1)) {
        (Some(1), Some(level @ 1..=2)) => Ok(level),
        _ => Err(PstError::damaged(place(id), "is neither XBLOCK nor XXBLOCK")),
    }
}

fn list_blocks(data: &[u8], id: u64, wide: bool, out: &mut Vec<u64>) -> Result<()> {
    let word = if wide { 8 } else { 4 };
    let count = usize::from(u16_at(data, 2).unwrap_or(0));
    for index in 0..count {
        let block = word_at(data, 8 + index * word, wide)
            .ok_or_else(|| PstError::damaged(place(id), "lists more than it holds"))?;
        out.push(block);
    }
    Ok(())
}

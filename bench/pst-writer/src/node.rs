//! What hangs from a node: its data tree and its subnodes ([MS-PST] 2.2.2.8.3).

use crate::error::{Result, WriteError};
use crate::file::{BlockId, NodeFile};

/// One subnode: a node that only its owner knows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SubnodeEntry {
    pub(crate) node: u32,
    pub(crate) data: BlockId,
    pub(crate) subnodes: BlockId,
}

/// Data in one block where it fits, else in a tree of blocks. Nothing is written for no bytes.
pub(crate) fn write_data(file: &mut NodeFile, data: &[u8]) -> Result<BlockId> {
    let mut blocks = Vec::new();
    for chunk in data.chunks(file.format.max_block_data()) {
        blocks.push(file.data_block(chunk)?);
    }
    write_data_tree(file, &blocks, data.len() as u64)
}

/// Joins data blocks that are already written into one piece of data of `size` bytes: the block itself, a list of
/// blocks (XBLOCK) or a list of lists (XXBLOCK).
pub(crate) fn write_data_tree(file: &mut NodeFile, blocks: &[BlockId], size: u64) -> Result<BlockId> {
    match blocks {
        [] => return Ok(BlockId::default()),
        [only] => return Ok(*only),
        _ => {}
    }
    let total = u32::try_from(size)
        .map_err(|_| WriteError::TooLarge { what: "the data of a node", limit: u64::from(u32::MAX) })?;
    let format = file.format;
    let capacity = (format.max_block_data() - 8) / format.word();
    let full_list = (capacity * format.max_block_data()) as u64;
    let mut lists = Vec::new();
    let mut left = size;
    for part in blocks.chunks(capacity) {
        let part_size = left.min(full_list);
        left -= part_size;
        lists.push(write_list(file, 1, part, part_size as u32)?);
    }
    match lists.as_slice() {
        [only] => Ok(*only),
        _ if lists.len() > capacity => {
            Err(WriteError::TooLarge { what: "the data of a node", limit: full_list * capacity as u64 })
        }
        _ => write_list(file, 2, &lists, total),
    }
}

/// Writes the subnodes of a node, in one leaf (SLBLOCK) or in leaves under one index (SIBLOCK).
pub(crate) fn write_subnodes(file: &mut NodeFile, subnodes: &mut [SubnodeEntry]) -> Result<BlockId> {
    if subnodes.is_empty() {
        return Ok(BlockId::default());
    }
    subnodes.sort_unstable_by_key(|entry| entry.node);
    let format = file.format;
    let room = format.max_block_data() - subnode_header(format, 0, 0).len();
    let mut leaves = Vec::new();
    for part in subnodes.chunks(room / (3 * format.word())) {
        let mut bytes = subnode_header(format, 0, part.len());
        for entry in part {
            format.put_word(&mut bytes, u64::from(entry.node));
            format.put_word(&mut bytes, entry.data.0);
            format.put_word(&mut bytes, entry.subnodes.0);
        }
        let first = part.first().map_or(0, |entry| entry.node);
        leaves.push((first, file.internal_block(&bytes)?));
    }
    if let [(_, only)] = leaves.as_slice() {
        return Ok(*only);
    }
    let limit = room / (2 * format.word());
    if leaves.len() > limit {
        return Err(WriteError::TooLarge { what: "the subnodes of a node", limit: limit as u64 });
    }
    let mut bytes = subnode_header(format, 1, leaves.len());
    for (first, leaf) in leaves {
        format.put_word(&mut bytes, u64::from(first));
        format.put_word(&mut bytes, leaf.0);
    }
    file.internal_block(&bytes)
}

fn write_list(file: &mut NodeFile, level: u8, children: &[BlockId], size: u32) -> Result<BlockId> {
    let mut bytes = vec![1, level];
    bytes.extend_from_slice(&(children.len() as u16).to_le_bytes());
    bytes.extend_from_slice(&size.to_le_bytes());
    for child in children {
        file.format.put_word(&mut bytes, child.0);
    }
    file.internal_block(&bytes)
}

fn subnode_header(format: crate::format::Format, level: u8, count: usize) -> Vec<u8> {
    let mut bytes = vec![2, level];
    bytes.extend_from_slice(&(count as u16).to_le_bytes());
    if format.is_unicode() {
        bytes.extend_from_slice(&[0; 4]);
    }
    bytes
}

//! Subnodes: the nodes inside a node ([MS-PST] 2.2.2.8.3.3), at most two levels of blocks.

use std::io::{Read, Seek};

use super::block::place;
use super::{BlockData, Database, Node};
use crate::bytes::{u8_at, u16_at, word_at};
use crate::error::{PstError, Result};

/// Subnodes listed of one node; a real message has a few.
const MAX_LISTED: usize = 200_000;

struct SubnodeBlock {
    data: BlockData,
    is_leaf: bool,
    count: usize,
    wide: bool,
}

impl SubnodeBlock {
    fn entry_bytes(&self) -> usize {
        let fields = if self.is_leaf { 3 } else { 2 };
        fields * if self.wide { 8 } else { 4 }
    }

    fn word(&self, index: usize, field: usize) -> Option<u64> {
        let (start, word) = if self.wide { (8, 8) } else { (4, 4) };
        word_at(&self.data, start + index * self.entry_bytes() + field * word, self.wide)
    }

    fn node(&self, index: usize) -> Option<Node> {
        let id = self.word(index, 0)? as u32;
        Some(Node { id, data: self.word(index, 1)?, subnodes: self.word(index, 2)?, parent: 0 })
    }
}

impl<R: Read + Seek> Database<R> {
    fn subnode_block(&mut self, id: u64) -> Result<SubnodeBlock> {
        let data = self.block(id)?;
        let is_leaf = match (u8_at(&data, 0), u8_at(&data, 1)) {
            (Some(2), Some(0)) => true,
            (Some(2), Some(1)) => false,
            _ => return Err(PstError::damaged(place(id), "is no block of subnodes")),
        };
        let count = usize::from(u16_at(&data, 2).unwrap_or(0));
        Ok(SubnodeBlock { data, is_leaf, count, wide: self.wide() })
    }

    /// The subnode `id` of the node whose subnode block is `root` (0 where it has none).
    pub(crate) fn subnode(&mut self, root: u64, id: u32) -> Result<Node> {
        let missing = || PstError::not_found(format!("subnode {id:#x}"), "is not among its node's subnodes");
        if root == 0 {
            return Err(missing());
        }
        let mut block = self.subnode_block(root)?;
        if !block.is_leaf {
            let child = (0..block.count)
                .map_while(|index| Some((block.word(index, 0)? as u32, block.word(index, 1)?)))
                .take_while(|(first, _)| *first <= id)
                .last()
                .ok_or_else(missing)?;
            block = self.subnode_block(child.1)?;
            if !block.is_leaf {
                return Err(PstError::damaged(place(child.1), "is a third level of subnodes"));
            }
        }
        (0..block.count).map_while(|index| block.node(index)).find(|node| node.id == id).ok_or_else(missing)
    }

    /// Every subnode below `root`; what cannot be read is noted and left out.
    pub(crate) fn subnodes(&mut self, root: u64) -> Vec<Node> {
        let mut nodes = Vec::new();
        if root == 0 {
            return nodes;
        }
        let mut leaves = Vec::new();
        match self.subnode_block(root) {
            Ok(block) if block.is_leaf => leaves.push(block),
            Ok(block) => {
                for child in (0..block.count).map_while(|index| block.word(index, 1)) {
                    match self.subnode_block(child) {
                        Ok(leaf) if leaf.is_leaf => nodes.extend((0..leaf.count).map_while(|index| leaf.node(index))),
                        Ok(_) => self.note(PstError::damaged(place(child), "is a third level of subnodes").into()),
                        Err(error) => self.note(error.into()),
                    }
                    if nodes.len() > MAX_LISTED {
                        break;
                    }
                }
            }
            Err(error) => self.note(error.into()),
        }
        for leaf in leaves {
            nodes.extend((0..leaf.count).map_while(|index| leaf.node(index)));
        }
        nodes.truncate(MAX_LISTED);
        nodes
    }
}

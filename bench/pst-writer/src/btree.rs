//! The two B-trees that find blocks and nodes ([MS-PST] 2.2.2.7.7).

use crate::error::Result;
use crate::file::{BlockEntry, BlockId, NodeFile, PageKind, Reference};
use crate::format::Format;

/// What the node B-tree says of one node.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NodeEntry {
    pub(crate) node: u32,
    pub(crate) data: BlockId,
    pub(crate) subnodes: BlockId,
    pub(crate) parent: u32,
}

/// Writes the block B-tree over `blocks`, which ascend by id.
pub(crate) fn write_block_tree(file: &mut NodeFile, blocks: &[BlockEntry]) -> Result<Reference> {
    let format = file.format;
    let leaves = blocks.iter().map(|block| {
        let mut bytes = Vec::with_capacity(24);
        put_reference(format, &mut bytes, block.place);
        bytes.extend_from_slice(&block.size.to_le_bytes());
        bytes.extend_from_slice(&block.references.to_le_bytes());
        (block.place.id, bytes)
    });
    let entry_size = if format.is_unicode() { 24 } else { 12 };
    write_tree(file, PageKind::BlockTree, entry_size, leaves)
}

/// Writes the node B-tree over `nodes`, which ascend by node id.
pub(crate) fn write_node_tree(file: &mut NodeFile, nodes: &[NodeEntry]) -> Result<Reference> {
    let format = file.format;
    let leaves = nodes.iter().map(|node| {
        let mut bytes = Vec::with_capacity(32);
        format.put_word(&mut bytes, u64::from(node.node));
        format.put_word(&mut bytes, node.data.0);
        format.put_word(&mut bytes, node.subnodes.0);
        bytes.extend_from_slice(&node.parent.to_le_bytes());
        (u64::from(node.node), bytes)
    });
    let entry_size = if format.is_unicode() { 32 } else { 16 };
    write_tree(file, PageKind::NodeTree, entry_size, leaves)
}

/// Writes the leaves, then level over level until one page is left: the root.
fn write_tree(
    file: &mut NodeFile,
    kind: PageKind,
    entry_size: usize,
    leaves: impl Iterator<Item = (u64, Vec<u8>)>,
) -> Result<Reference> {
    let format = file.format;
    let branch_size = format.word() * 3;
    let mut level = write_level(file, &LevelShape { kind, entry_size, level: 0 }, leaves)?;
    let mut height = 0;
    while level.len() > 1 {
        height += 1;
        let branches = level.into_iter().map(|(key, page)| {
            let mut bytes = Vec::with_capacity(branch_size);
            format.put_word(&mut bytes, key);
            put_reference(format, &mut bytes, page);
            (key, bytes)
        });
        level = write_level(file, &LevelShape { kind, entry_size: branch_size, level: height }, branches)?;
    }
    Ok(level.first().map(|(_, page)| *page).unwrap_or_default())
}

struct LevelShape {
    kind: PageKind,
    entry_size: usize,
    level: u8,
}

/// Writes the pages of one level and returns each with its first key. There is always one, if only an empty leaf.
fn write_level(
    file: &mut NodeFile,
    shape: &LevelShape,
    entries: impl Iterator<Item = (u64, Vec<u8>)>,
) -> Result<Vec<(u64, Reference)>> {
    let room = entry_room(file.format);
    let capacity = room / shape.entry_size;
    let mut pages = Vec::new();
    let mut entries = entries.peekable();
    loop {
        let first_key = entries.peek().map_or(0, |(key, _)| *key);
        let mut body = Vec::with_capacity(room + 8);
        let mut count = 0_u8;
        for (_, bytes) in entries.by_ref().take(capacity) {
            body.extend_from_slice(&bytes);
            body.resize(usize::from(count + 1) * shape.entry_size, 0);
            count += 1;
        }
        body.resize(room, 0);
        body.extend_from_slice(&[count, capacity as u8, shape.entry_size as u8, shape.level]);
        let page = file.tree_page(shape.kind, &body)?;
        pages.push((first_key, page));
        if entries.peek().is_none() {
            return Ok(pages);
        }
    }
}

/// Bytes for entries in a page ([MS-PST] 2.2.2.7.7.1).
fn entry_room(format: Format) -> usize {
    if format.is_unicode() { 488 } else { 496 }
}

fn put_reference(format: Format, buffer: &mut Vec<u8>, place: Reference) {
    format.put_word(buffer, place.id);
    format.put_word(buffer, place.offset);
}

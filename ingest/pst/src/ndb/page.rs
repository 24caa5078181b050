//! One 512-byte B-tree page ([MS-PST] 2.2.2.7.7): parsed once, then searched in place.

use crate::bytes::{u8_at, u16_at, u32_at, word_at};
use crate::checksum::crc;
use crate::header::{Format, PageRef};

pub(crate) const PAGE_BYTES: usize = 512;
/// No real tree is deeper; a page that claims more is damaged.
const MAX_LEVEL: u8 = 8;

/// Which of the two B-trees of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tree {
    /// Node B-tree (NBT): node identifier -> data, subnodes, parent.
    Nodes,
    /// Block B-tree (BBT): block identifier -> offset and size.
    Blocks,
}

impl Tree {
    fn page_type(self) -> u8 {
        match self {
            Self::Nodes => 0x81,
            Self::Blocks => 0x80,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Nodes => "node B-tree",
            Self::Blocks => "block B-tree",
        }
    }
}

/// An entry of the node B-tree, and also what a subnode refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Node {
    pub(crate) id: u32,
    pub(crate) data: u64,
    pub(crate) subnodes: u64,
    pub(crate) parent: u32,
}

/// An entry of the block B-tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BlockPlace {
    pub(crate) block_id: u64,
    pub(crate) offset: u64,
    pub(crate) bytes: usize,
}

/// Where the fields of a page lie.
#[derive(Clone, Copy)]
struct Layout {
    wide: bool,
    entries_bytes: usize,
    checked_bytes: usize,
    checksum: usize,
    block_id: usize,
    word: usize,
}

impl Layout {
    fn of(format: Format) -> Self {
        match format {
            Format::Unicode => {
                Self { wide: true, entries_bytes: 488, checked_bytes: 496, checksum: 500, block_id: 504, word: 8 }
            }
            Format::Ansi => {
                Self { wide: false, entries_bytes: 496, checked_bytes: 500, checksum: 508, block_id: 504, word: 4 }
            }
        }
    }
}

/// A page whose structure was checked.
pub(crate) struct Page {
    data: [u8; PAGE_BYTES],
    layout: Layout,
    pub(crate) level: u8,
    pub(crate) count: usize,
    entry_bytes: usize,
    /// Whether checksum and identifier were as expected; the entries are plausible in any case.
    pub(crate) verified: bool,
}

impl Page {
    /// Checks the page's structure. `reference` is what the parent (or the header) says of it; the error is a reason.
    pub(crate) fn parse(
        data: &[u8; PAGE_BYTES],
        tree: Tree,
        format: Format,
        reference: PageRef,
        verify_crc: bool,
    ) -> Result<Self, String> {
        let layout = Layout::of(format);
        let trailer = layout.entries_bytes;
        let field = |at: usize| u8_at(data, trailer + at).unwrap_or(0);
        let (count, entry_bytes, level) = (usize::from(field(0)), usize::from(field(2)), field(3));
        // The type stands twice, right behind what the checksum covers.
        let page_type = u16_at(data, layout.checked_bytes).unwrap_or(0);
        if page_type != u16::from_le_bytes([tree.page_type(); 2]) {
            return Err(format!("no page of the {} (type {page_type:#06x})", tree.name()));
        }
        let page = Self { data: *data, layout, level, count, entry_bytes, verified: true };
        if level > MAX_LEVEL || entry_bytes < page.least_entry_bytes(tree) || count * entry_bytes > layout.entries_bytes
        {
            return Err(format!("{count} entries of {entry_bytes} bytes at level {level} do not fit a page"));
        }
        let found_id = word_at(data, layout.block_id, layout.wide).unwrap_or(0);
        let sum = u32_at(data, layout.checksum).unwrap_or(0);
        let sum_matches = !verify_crc || data.get(..layout.checked_bytes).is_some_and(|checked| crc(checked) == sum);
        let id_matches = found_id == reference.block_id;
        if !sum_matches && !page.is_ordered() {
            return Err("checksum differs and the entries are not in order".into());
        }
        if !id_matches && !sum_matches {
            return Err(format!("checksum differs and it is page {found_id:#x}, not {:#x}", reference.block_id));
        }
        Ok(Self { verified: id_matches && sum_matches, ..page })
    }

    /// Whether `data` ends like a B-tree page: of which tree, and with which identifier.
    pub(crate) fn recognise(data: &[u8; PAGE_BYTES], format: Format) -> Option<(Tree, u64)> {
        let layout = Layout::of(format);
        let tree = match u16_at(data, layout.checked_bytes)? {
            0x8181 => Tree::Nodes,
            0x8080 => Tree::Blocks,
            _ => return None,
        };
        Some((tree, word_at(data, layout.block_id, layout.wide)?))
    }

    /// Where a page's signature stands: behind its type, which stands twice.
    pub(crate) fn signature_at(format: Format) -> usize {
        Layout::of(format).checked_bytes + 2
    }

    /// First and last key; `None` for a page without entries.
    pub(crate) fn key_range(&self) -> Option<(u64, u64)> {
        Some((self.key(0)?, self.key(self.count.checked_sub(1)?)?))
    }

    fn least_entry_bytes(&self, tree: Tree) -> usize {
        match (self.level, tree) {
            (0, Tree::Nodes) => 3 * self.layout.word + 4,
            (0, Tree::Blocks) => 2 * self.layout.word + 4,
            _ => 3 * self.layout.word,
        }
    }

    fn is_ordered(&self) -> bool {
        (1..self.count).all(|index| self.key(index - 1) <= self.key(index))
    }

    fn entry(&self, index: usize) -> Option<&[u8]> {
        if index >= self.count {
            return None;
        }
        self.data.get(index * self.entry_bytes..(index + 1) * self.entry_bytes)
    }

    fn word(&self, index: usize, field: usize) -> Option<u64> {
        word_at(self.entry(index)?, field * self.layout.word, self.layout.wide)
    }

    /// The key of an entry; a block's lowest bit is reserved and ignored.
    pub(crate) fn key(&self, index: usize) -> Option<u64> {
        self.word(index, 0)
    }

    /// Index of the last entry whose key is not above `key`.
    pub(crate) fn last_not_above(&self, key: u64) -> Option<usize> {
        let (mut low, mut high) = (0, self.count);
        while low < high {
            let middle = low.midpoint(high);
            if self.key(middle).is_some_and(|found| found <= key) { low = middle + 1 } else { high = middle }
        }
        low.checked_sub(1)
    }

    /// The child page that an entry of an inner page refers to.
    pub(crate) fn child(&self, index: usize) -> Option<PageRef> {
        Some(PageRef { block_id: self.word(index, 1)?, offset: self.word(index, 2)? })
    }

    /// An entry of a leaf of the node B-tree.
    pub(crate) fn node(&self, index: usize) -> Option<Node> {
        let parent = u32_at(self.entry(index)?, 3 * self.layout.word)?;
        // The high half of a Unicode file's node key is unused.
        Some(Node {
            id: self.word(index, 0)? as u32,
            data: self.word(index, 1)?,
            subnodes: self.word(index, 2)?,
            parent,
        })
    }

    /// An entry of a leaf of the block B-tree.
    pub(crate) fn block(&self, index: usize) -> Option<BlockPlace> {
        let bytes = u16_at(self.entry(index)?, 2 * self.layout.word)?;
        let block_id = self.word(index, 0)? & !1;
        Some(BlockPlace { block_id, offset: self.word(index, 1)?, bytes: usize::from(bytes) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaf(entries: &[[u64; 3]]) -> [u8; PAGE_BYTES] {
        let mut data = [0; PAGE_BYTES];
        for (index, entry) in entries.iter().enumerate() {
            for (field, word) in entry.iter().enumerate() {
                let at = index * 32 + field * 8;
                data[at..at + 8].copy_from_slice(&word.to_le_bytes());
            }
            data[index * 32 + 24..index * 32 + 28].copy_from_slice(&0x122_u32.to_le_bytes());
        }
        data[488..492].copy_from_slice(&[entries.len() as u8, 15, 32, 0]);
        data[496..498].copy_from_slice(&[0x81, 0x81]);
        let sum = crc(&data[..496]);
        data[500..504].copy_from_slice(&sum.to_le_bytes());
        data[504..512].copy_from_slice(&0x77_u64.to_le_bytes());
        data
    }

    const HERE: PageRef = PageRef { block_id: 0x77, offset: 0x4400 };

    #[test]
    fn finds_nodes_in_a_leaf() {
        let data = leaf(&[[0x21, 0x100, 0], [0x122, 0x104, 0x10a], [0x20_0024, 0x108, 0]]);
        let page = Page::parse(&data, Tree::Nodes, Format::Unicode, HERE, true).unwrap();
        assert!(page.verified);
        assert_eq!(page.last_not_above(0x20), None);
        assert_eq!(page.last_not_above(0x121), Some(0));
        let index = page.last_not_above(0x122).unwrap();
        assert_eq!(page.node(index), Some(Node { id: 0x122, data: 0x104, subnodes: 0x10a, parent: 0x122 }));
        assert_eq!(page.last_not_above(u64::MAX), Some(2));
        assert_eq!(page.node(3), None);
    }

    #[test]
    fn a_wrong_checksum_is_noted_and_disorder_refused() {
        let mut data = leaf(&[[0x21, 0x100, 0], [0x122, 0x104, 0]]);
        data[8] ^= 1;
        let page = Page::parse(&data, Tree::Nodes, Format::Unicode, HERE, true).unwrap();
        assert!(!page.verified);
        data[4] = 9;
        assert!(Page::parse(&data, Tree::Nodes, Format::Unicode, HERE, true).is_err());
        data[490] = 0;
        assert!(Page::parse(&data, Tree::Nodes, Format::Unicode, HERE, false).is_err());
        assert!(Page::parse(&[0; PAGE_BYTES], Tree::Blocks, Format::Ansi, HERE, false).is_err());
    }
}

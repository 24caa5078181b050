//! What readers of mail never look at, but programs that write to a file rely on: allocation maps, the count of free
//! bytes and the blocks' reference counts ([MS-PST] 2.2.2.7.2, 2.2.2.5 and 2.2.2.7.7.3).

use std::collections::{HashMap, HashSet};

use rejoinder_pst_writer::{Encoding, Format};

use crate::samples::{FORMATS, write};

const REGION: usize = 496 * 8 * 64;
const FIRST_REGION: usize = 0x4400;
const SLOT: usize = 64;

/// A file in memory, with just enough understanding of it to count.
struct Raw {
    bytes: Vec<u8>,
    word: usize,
    used: HashSet<usize>,
}

#[derive(Clone, Copy)]
struct Block {
    offset: usize,
    size: usize,
    references: u64,
}

impl Raw {
    fn number(&self, offset: usize, width: usize) -> u64 {
        let bytes = self.bytes.get(offset..offset + width).unwrap_or_default();
        bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
    }

    fn word(&self, offset: usize) -> u64 {
        self.number(offset, self.word)
    }

    fn is_unicode(&self) -> bool {
        self.word == 8
    }

    /// Notes that bytes are in use; nothing may be used twice.
    fn take(&mut self, offset: usize, size: usize) {
        for slot in offset / SLOT..(offset + size) / SLOT {
            assert!(self.used.insert(slot), "{:#x} is used twice", slot * SLOT);
        }
    }

    /// The places of the entries in the leaves of a B-tree.
    fn leaves(&mut self, page: usize, entries: &mut Vec<usize>) {
        self.take(page, 512);
        let counts = page + if self.is_unicode() { 488 } else { 496 };
        let [count, most, size, level] = [0, 1, 2, 3].map(|field| self.number(counts + field, 1) as usize);
        assert!(count <= most);
        for entry in (0..count).map(|index| page + index * size) {
            if level == 0 {
                entries.push(entry);
            } else {
                self.leaves(self.word(entry + 2 * self.word) as usize, entries);
            }
        }
    }

    /// The ids that a list of blocks or of subnodes names.
    fn children(&self, list: usize) -> Vec<u64> {
        let (kind, level) = (self.number(list, 1), self.number(list + 1, 1));
        let count = self.number(list + 2, 2) as usize;
        let word = |start: usize, index: usize| self.word(start + index * self.word);
        if kind == 1 {
            return (0..count).map(|index| word(list + 8, index)).collect();
        }
        let start = list + if self.is_unicode() { 8 } else { 4 };
        let words = if level == 0 { 3 } else { 2 };
        (0..count * words).filter(|index| index % words != 0).map(|index| word(start, index)).collect()
    }
}

/// Checks one file; returns how many regions it has.
fn check(bytes: Vec<u8>, format: Format) -> usize {
    let word = if format.is_unicode() { 8 } else { 4 };
    let mut raw = Raw { bytes, word, used: HashSet::new() };
    let root = if format.is_unicode() { 180 } else { 164 } + 4;
    let field = |raw: &Raw, index: usize| raw.word(root + index * word) as usize;
    let (length, last_map, free) = (field(&raw, 0), field(&raw, 1), field(&raw, 2));
    assert_eq!(length, raw.bytes.len());
    let (mut nodes, mut block_entries) = (Vec::new(), Vec::new());
    raw.leaves(field(&raw, 5), &mut nodes);
    raw.leaves(field(&raw, 7), &mut block_entries);

    let mut blocks = HashMap::new();
    for entry in block_entries {
        let after = entry + 2 * word;
        let (size, references) = (raw.number(after, 2) as usize, raw.number(after + 2, 2));
        let block = Block { offset: raw.word(entry + word) as usize, size, references };
        let trailer = if format.is_unicode() { 16 } else { 12 };
        raw.take(block.offset, (size + trailer).next_multiple_of(SLOT));
        assert!(blocks.insert(raw.word(entry), block).is_none());
    }
    let mut found: HashMap<u64, u64> = HashMap::new();
    let internal = blocks.iter().filter(|(id, _)| *id & 2 != 0).flat_map(|(_, block)| raw.children(block.offset));
    let of_nodes = nodes.iter().flat_map(|entry| [raw.word(entry + word), raw.word(entry + 2 * word)]);
    for id in internal.chain(of_nodes).filter(|id| *id != 0) {
        *found.entry(id).or_default() += 1;
    }
    for (id, block) in &blocks {
        // One more than there are references, for the entry in the B-tree itself.
        assert_eq!(block.references, found.get(id).unwrap_or(&0) + 1, "block {id:#x} of {} bytes", block.size);
    }
    assert!(found.keys().all(|id| blocks.contains_key(id)));
    check_maps(&mut raw, free, last_map)
}

fn check_maps(raw: &mut Raw, free: usize, last_map: usize) -> usize {
    let regions = (raw.bytes.len() - FIRST_REGION) / REGION;
    assert_eq!(FIRST_REGION + (regions - 1) * REGION, last_map);
    let mut free_slots = 0;
    for region in 0..regions {
        let start = FIRST_REGION + region * REGION;
        raw.take(start, 512);
        if region % 8 == 0 {
            raw.take(start + 512, 512);
        }
        let bits = start + if raw.is_unicode() { 0 } else { 4 };
        for index in 0..496 * 8 {
            let is_set = raw.number(bits + index / 8, 1) >> (7 - index % 8) & 1 == 1;
            assert_eq!(is_set, raw.used.contains(&(start / SLOT + index)), "region {region}, slot {index}");
            free_slots += usize::from(!is_set);
        }
    }
    assert_eq!(free_slots * SLOT, free);
    regions
}

#[test]
fn maps_and_counts_are_exact() -> anyhow::Result<()> {
    for format in FORMATS {
        let directory = tempfile::tempdir()?;
        let path = directory.path().join("file.pst");
        write(&path, format, Encoding::Permute, 500)?;
        let regions = check(std::fs::read(&path)?, format);
        assert!(regions > 16, "{regions} regions: too few to see the second and third page map");
    }
    Ok(())
}

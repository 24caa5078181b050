//! What lost B-tree pages held: leaves are found by searching the whole file for pages that check.
//!
//! Outlook writes a changed page to a new place and leaves the old one until its room is needed, so the search also finds
//! leaves that no longer count. A page's identifier grows with time: of two leaves that cover the same keys the one with the
//! higher identifier is right, also about what it does not hold.

use std::collections::BTreeMap;
use std::io::{Read, Seek};

use super::page::{PAGE_BYTES, Page, Tree};
use super::{Database, Node};
use crate::bytes::u16_at;
use crate::checksum::signature;
use crate::error::{Problem, ProblemKind};
use crate::header::PageRef;

/// A range of keys (both ends included) and the newest leaf that covers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Segment {
    first: u64,
    last: u64,
    page: PageRef,
}

/// The leaves of both trees, as far as they check.
#[derive(Debug, Default)]
pub(crate) struct Recovered {
    nodes: Vec<Segment>,
    blocks: Vec<Segment>,
}

impl Recovered {
    fn of(&self, tree: Tree) -> &[Segment] {
        match tree {
            Tree::Nodes => &self.nodes,
            Tree::Blocks => &self.blocks,
        }
    }

    fn leaf_for(&self, tree: Tree, key: u64) -> Option<PageRef> {
        let segments = self.of(tree);
        let index = segments.partition_point(|segment| segment.first <= key).checked_sub(1)?;
        segments.get(index).filter(|segment| key <= segment.last).map(|segment| segment.page)
    }
}

/// Gives each range of keys to the newest leaf that covers it.
fn newest_first(mut leaves: Vec<Segment>) -> Vec<Segment> {
    leaves.sort_unstable_by_key(|leaf| std::cmp::Reverse((leaf.page.block_id, leaf.page.offset)));
    // Ranges that are given already: first key to last, disjoint.
    let mut given: BTreeMap<u64, u64> = BTreeMap::new();
    let mut segments = Vec::with_capacity(leaves.len());
    for leaf in leaves {
        let mut from = leaf.first;
        let before = given.range(..=leaf.first).next_back().map(|(_, last)| *last);
        if let Some(last) = before.filter(|last| *last >= leaf.first) {
            if last >= leaf.last {
                continue;
            }
            from = last + 1;
        }
        let inside: Vec<(u64, u64)> = given.range(from..=leaf.last).map(|(first, last)| (*first, *last)).collect();
        let start = from;
        for (first, last) in &inside {
            if from < *first {
                segments.push(Segment { first: from, last: first - 1, ..leaf });
            }
            from = last.saturating_add(1);
        }
        if inside.last().is_none_or(|(_, last)| *last < leaf.last) {
            segments.push(Segment { first: from, ..leaf });
        }
        // What was inside is now part of one range.
        for (first, _) in &inside {
            given.remove(first);
        }
        let end = inside.last().map_or(leaf.last, |(_, last)| leaf.last.max(*last));
        given.insert(start, end);
    }
    segments.sort_unstable_by_key(|segment| segment.first);
    segments
}

impl<R: Read + Seek> Database<R> {
    /// The search of the file, made once, when the first lost page is met.
    fn recovered(&mut self) -> &Recovered {
        if self.recovered.is_none() {
            let recovered = self.search_for_leaves();
            let detail = format!(
                "B-tree pages are lost; the file was searched and {} ranges of nodes and {} of blocks were found",
                recovered.nodes.len(),
                recovered.blocks.len()
            );
            self.note_file_problem(Problem::new("file", ProblemKind::Damaged, detail));
            self.recovered = Some(recovered);
        }
        self.recovered.get_or_insert_default()
    }

    fn search_for_leaves(&mut self) -> Recovered {
        let (mut nodes, mut blocks) = (Vec::new(), Vec::new());
        let format = self.header.format;
        let mut data = [0; PAGE_BYTES];
        for number in 1..self.file_bytes() / PAGE_BYTES as u64 {
            let offset = number * PAGE_BYTES as u64;
            match self.source.slice(offset, PAGE_BYTES) {
                Ok(bytes) => data.copy_from_slice(bytes),
                Err(_) => continue,
            }
            let Some((tree, block_id)) = Page::recognise(&data, format) else { continue };
            let page = PageRef { block_id, offset };
            // The signature ties a page to its place, so that a mailbox attached to a message is not taken for this one.
            if u16_at(&data, Page::signature_at(format)) != Some(signature(offset, block_id)) {
                continue;
            }
            let Ok(leaf) = Page::parse(&data, tree, format, page, true) else { continue };
            if leaf.level != 0 || !leaf.verified {
                continue;
            }
            let Some((first, last)) = leaf.key_range() else { continue };
            let segment = Segment { first, last, page };
            match tree {
                Tree::Nodes => nodes.push(segment),
                Tree::Blocks => blocks.push(segment),
            }
        }
        self.work_bytes += self.file_bytes();
        Recovered { nodes: newest_first(nodes), blocks: newest_first(blocks) }
    }

    /// Whether anything of a tree can be made up for.
    pub(crate) fn can_recover(&mut self, tree: Tree) -> bool {
        !self.recovered().of(tree).is_empty()
    }

    /// The leaf that holds `key`, if one was found.
    pub(crate) fn recovered_leaf(&mut self, tree: Tree, key: u64) -> Option<PageRef> {
        self.recovered().leaf_for(tree, key)
    }

    /// Visits the nodes with identifiers from `first` to `last` that a lost page would have led to.
    pub(crate) fn for_each_recovered_node(&mut self, first: u64, last: u64, visit: &mut impl FnMut(Node)) {
        let segments = &self.recovered().nodes;
        let start = segments.partition_point(|segment| segment.last < first);
        let end = segments.partition_point(|segment| segment.first <= last);
        let overlapping = segments.get(start..end).unwrap_or_default().to_vec();
        for segment in overlapping {
            let (first, last) = (segment.first.max(first), segment.last.min(last));
            let Ok(page) = self.page(Tree::Nodes, segment.page) else { continue };
            let nodes = (0..page.count).filter_map(|index| page.node(index));
            nodes.filter(|node| (first..=last).contains(&u64::from(node.id))).for_each(&mut *visit);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaf(first: u64, last: u64, block_id: u64) -> Segment {
        Segment { first, last, page: PageRef { block_id, offset: 0 } }
    }

    #[test]
    fn the_newest_leaf_rules_its_whole_range() {
        let segments = newest_first(vec![leaf(10, 50, 1), leaf(20, 30, 3), leaf(28, 60, 2), leaf(22, 25, 0)]);
        assert_eq!(segments, [leaf(10, 19, 1), leaf(20, 30, 3), leaf(31, 60, 2)]);
        let recovered = Recovered { nodes: segments, blocks: Vec::new() };
        let found = |key| recovered.leaf_for(Tree::Nodes, key).map(|page| page.block_id);
        assert_eq!(
            [9, 10, 19, 20, 30, 31, 60, 61].map(found),
            [None, Some(1), Some(1), Some(3), Some(3), Some(2), Some(2), None]
        );
        assert_eq!(recovered.leaf_for(Tree::Blocks, 20), None);
    }

    #[test]
    fn an_old_leaf_fills_the_gaps_between_newer_ones() {
        let segments = newest_first(vec![leaf(0, u64::MAX, 1), leaf(5, 6, 7), leaf(8, 9, 8), leaf(7, 7, 9)]);
        assert_eq!(segments, [leaf(0, 4, 1), leaf(5, 6, 7), leaf(7, 7, 9), leaf(8, 9, 8), leaf(10, u64::MAX, 1)]);
    }
}

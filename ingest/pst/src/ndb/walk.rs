//! Visiting every node of a file in order, past pages that cannot be read.

use std::io::{Read, Seek};

use super::{Database, Node, Tree};
use crate::header::PageRef;

/// A page that the walk has still to read, and the keys that can be below it.
struct Open {
    reference: PageRef,
    level_above: u8,
    first: u64,
    last: u64,
}

impl<R: Read + Seek> Database<R> {
    /// Calls `visit` with every node of the node B-tree. Damaged pages are noted as problems of the file, and what they led to
    /// comes from a search of the file.
    pub(crate) fn for_each_node(&mut self, mut visit: impl FnMut(Node)) {
        // No tree has more pages than the file has room for, so that a page listed twice cannot make this run on.
        let mut pages_left = self.file_bytes() / 512 + 1;
        let mut open = vec![Open { reference: self.header.node_tree, level_above: u8::MAX, first: 0, last: u64::MAX }];
        while let Some(next) = open.pop() {
            if pages_left == 0 {
                return;
            }
            pages_left -= 1;
            let page = match self.page(Tree::Nodes, next.reference) {
                Ok(page) if page.level < next.level_above => page,
                _ => {
                    self.for_each_recovered_node(next.first, next.last, &mut visit);
                    continue;
                }
            };
            if page.level == 0 {
                (0..page.count).filter_map(|index| page.node(index)).for_each(&mut visit);
            } else {
                open.extend((0..page.count).rev().filter_map(|index| {
                    let last = page.key(index + 1).map_or(next.last, |key| key.saturating_sub(1));
                    let (first, reference) = (page.key(index)?, page.child(index)?);
                    Some(Open { reference, level_above: page.level, first, last })
                }));
            }
        }
    }
}

//! Visiting every node of a file in order, past pages that cannot be read.

use std::io::{Read, Seek};

use super::{Database, Node, Tree};

impl<R: Read + Seek> Database<R> {
    /// Calls `visit` with every node of the node B-tree. Damaged pages are noted as problems of the file and skipped.
    /// Returns whether every page could be read.
    pub(crate) fn for_each_node(&mut self, mut visit: impl FnMut(Node)) -> bool {
        // No tree has more pages than the file has room for, so that a page listed twice cannot make this run on.
        let mut pages_left = self.file_bytes() / 512 + 1;
        let mut complete = true;
        let mut open = vec![(self.header.node_tree, u8::MAX)];
        while let Some((reference, level_above)) = open.pop() {
            if pages_left == 0 {
                return false;
            }
            pages_left -= 1;
            let Ok(page) = self.page(Tree::Nodes, reference) else {
                complete = false;
                continue;
            };
            if page.level >= level_above {
                complete = false;
                continue;
            }
            if page.level == 0 {
                (0..page.count).filter_map(|index| page.node(index)).for_each(&mut visit);
            } else {
                let children = (0..page.count).rev().filter_map(|index| page.child(index));
                open.extend(children.map(|child| (child, page.level)));
            }
        }
        complete
    }
}

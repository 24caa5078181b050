//! The node database layer ([MS-PST] 2.2): nodes, blocks, data trees and subnodes over a file.

mod block;
mod cache;
mod page;
mod recovery;
mod source;
mod stream;
mod subnode;
mod walk;

use std::collections::HashSet;
use std::io::{Read, Seek};
use std::sync::Arc;

use cache::Cache;
use page::{PAGE_BYTES, Page};
use recovery::Recovered;
use source::Source;

pub(crate) use block::{BlockData, DataTree};
pub(crate) use page::{Node, Tree};
pub(crate) use stream::DataStream;

use crate::error::{ErrorKind, Problem, ProblemKind, PstError, Result};
use crate::header::{Format, HEADER_BYTES, Header, PageRef};
use crate::options::OpenOptions;

/// Problems kept while nobody collects them; more are counted, not kept.
const MAX_PENDING_PROBLEMS: usize = 10_000;

/// An open file: finds nodes and reads blocks, noting what does not check.
pub(crate) struct Database<R> {
    source: Source<R>,
    pub(crate) header: Header,
    pub(crate) options: OpenOptions,
    pages: Cache<Arc<Page>>,
    blocks: Cache<BlockData>,
    /// Pages whose failure was reported already: each is met again and again.
    reported_pages: HashSet<u64>,
    /// What a search of the file found; made when the first lost page is met.
    recovered: Option<Recovered>,
    file_problems: Vec<Problem>,
    pending: Vec<Problem>,
    work_bytes: u64,
    /// What the values of the item being read may still add up to.
    value_bytes_left: u64,
}

impl<R: Read + Seek> Database<R> {
    /// Reads the header and checks that the roots of both B-trees are where it says.
    pub(crate) fn open(reader: R, options: OpenOptions) -> Result<Self> {
        let mut source = Source::new(reader).map_err(|error| PstError::io("file", error))?;
        let length = usize::try_from(source.length()).unwrap_or(usize::MAX).min(HEADER_BYTES);
        let mut data = vec![0; length];
        source.read_directly(0, &mut data).map_err(|error| PstError::io("header", error))?;
        let header = Header::parse(&data)?;
        let mut database = Self {
            source,
            pages: Cache::new(options.page_cache_bytes / size_of::<Page>()),
            blocks: Cache::new(options.block_cache_bytes / block::MAX_BLOCK_BYTES),
            header,
            options,
            reported_pages: HashSet::new(),
            recovered: None,
            file_problems: Vec::new(),
            pending: Vec::new(),
            work_bytes: 0,
            value_bytes_left: 0,
        };
        database.begin_item();
        database.check_header()?;
        Ok(database)
    }

    /// A header whose checksum differs is believed only where both roots carry the identifiers that it names: a half-written
    /// header must not lead into stale pages.
    fn check_header(&mut self) -> Result<()> {
        let trusted = self.header.checksum_matches || !self.options.verify_crc;
        if !trusted {
            self.note_file_problem(Problem::new("header", ProblemKind::Checksum, "the header's checksum differs"));
        }
        for (tree, root) in [(Tree::Nodes, self.header.node_tree), (Tree::Blocks, self.header.block_tree)] {
            let refusal = match self.page(tree, root) {
                // The header is whole, so that what its lost root led to can be made up for.
                Err(_) if trusted && self.can_recover(tree) => None,
                Err(error) if trusted => {
                    Some(format!("the root of the {} is unreadable ({})", tree.name(), error.detail()))
                }
                Err(error) => Some(format!(
                    "its checksum differs and the root of the {} is not where it says ({})",
                    tree.name(),
                    error.detail()
                )),
                Ok(page) if !trusted && !page.verified => {
                    Some(format!("its checksum differs and the root of the {} does not check either", tree.name()))
                }
                Ok(_) => None,
            };
            if let Some(detail) = refusal {
                return Err(PstError::new(ErrorKind::BrokenHeader, "header", detail));
            }
        }
        if let Some(missing) = self.header.file_bytes.checked_sub(self.source.length()).filter(|missing| *missing > 0) {
            let detail = format!("the file is {missing} bytes shorter than its header says: its end is lost");
            self.note_file_problem(Problem::new("file", ProblemKind::Missing, detail));
        }
        Ok(())
    }

    /// Whether identifiers are 64-bit.
    pub(crate) fn wide(&self) -> bool {
        self.header.format == Format::Unicode
    }

    /// Size of the file in bytes.
    pub(crate) fn file_bytes(&self) -> u64 {
        self.source.length()
    }

    /// Bytes of pages and blocks fetched and checked so far: a measure of work that no clock disturbs.
    pub(crate) fn work_bytes(&self) -> u64 {
        self.work_bytes
    }

    /// Starts the account of values for another item (or folder, or row).
    pub(crate) fn begin_item(&mut self) {
        self.value_bytes_left = self.options.max_property_bytes.saturating_mul(2);
    }

    /// What the values of the item being read may still add up to.
    pub(crate) fn value_bytes_left(&self) -> u64 {
        self.value_bytes_left
    }

    /// Counts a value: many properties of a crafted item can refer to the same bytes.
    pub(crate) fn spend(&mut self, bytes: usize) -> Result<()> {
        let left = self.value_bytes_left.checked_sub(bytes as u64);
        self.value_bytes_left = left.ok_or_else(|| PstError::limit("value", "the item holds more than the limit"))?;
        Ok(())
    }

    /// The node with this identifier.
    pub(crate) fn node(&mut self, id: u32) -> Result<Node> {
        self.find(Tree::Nodes, u64::from(id))?
            .and_then(|(page, index)| page.node(index))
            .filter(|node| node.id == id)
            .ok_or_else(|| PstError::not_found(format!("node {id:#x}"), "is not in the node B-tree"))
    }

    /// Descends to the leaf entry that holds `key`, if one can.
    fn find(&mut self, tree: Tree, key: u64) -> Result<Option<(Arc<Page>, usize)>> {
        let mut reference = match tree {
            Tree::Nodes => self.header.node_tree,
            Tree::Blocks => self.header.block_tree,
        };
        let mut level_above = u8::MAX;
        loop {
            let page = match self.page(tree, reference) {
                Ok(page) if page.level < level_above => page,
                _ => return Ok(self.find_recovered(tree, key)),
            };
            level_above = page.level;
            let Some(index) = page.last_not_above(key) else { return Ok(None) };
            if page.level == 0 {
                return Ok(Some((page, index)));
            }
            reference =
                page.child(index).ok_or_else(|| PstError::damaged(page_place(tree, reference), "is cut short"))?;
        }
    }

    /// Looks `key` up among the leaves that a search of the file found: the way to it leads through a lost page.
    fn find_recovered(&mut self, tree: Tree, key: u64) -> Option<(Arc<Page>, usize)> {
        let leaf = self.recovered_leaf(tree, key)?;
        let page = self.page(tree, leaf).ok()?;
        let index = page.last_not_above(key)?;
        Some((page, index))
    }

    /// One page, from the cache or checked as it is read.
    fn page(&mut self, tree: Tree, reference: PageRef) -> Result<Arc<Page>> {
        // Pages start at multiples of 512, which leaves a bit to keep the two trees apart.
        let key = reference.offset | u64::from(tree == Tree::Nodes);
        if let Some(page) = self.pages.get(key) {
            return Ok(page);
        }
        match self.load_page(tree, reference) {
            Ok(page) => {
                let page = Arc::new(page);
                if !page.verified {
                    self.report_page(tree, reference, ProblemKind::Checksum, "checksum or identifier differs");
                }
                self.pages.insert(key, Arc::clone(&page));
                Ok(page)
            }
            Err(error) => {
                self.report_page(tree, reference, ProblemKind::Damaged, error.detail());
                Err(error)
            }
        }
    }

    fn load_page(&mut self, tree: Tree, reference: PageRef) -> Result<Page> {
        let place = || page_place(tree, reference);
        if !reference.offset.is_multiple_of(64) || reference.offset.saturating_add(512) > self.source.length() {
            return Err(PstError::damaged(place(), "lies outside the file"));
        }
        let mut data = [0; PAGE_BYTES];
        self.source.read_directly(reference.offset, &mut data).map_err(|error| PstError::io(place(), error))?;
        self.work_bytes += PAGE_BYTES as u64;
        Page::parse(&data, tree, self.header.format, reference, self.options.verify_crc)
            .map_err(|detail| PstError::damaged(place(), detail))
    }

    fn report_page(&mut self, tree: Tree, reference: PageRef, kind: ProblemKind, detail: &str) {
        if self.reported_pages.len() < MAX_PENDING_PROBLEMS && self.reported_pages.insert(reference.offset) {
            let problem = Problem::new(page_place(tree, reference), kind, detail);
            self.note_file_problem(problem);
        }
    }

    /// Notes a problem that concerns the file, not one item.
    pub(crate) fn note_file_problem(&mut self, problem: Problem) {
        if self.file_problems.len() < MAX_PENDING_PROBLEMS {
            self.file_problems.push(problem);
        }
    }

    /// Notes a problem of what is being read now; [`Self::take_pending`] collects it.
    pub(crate) fn note(&mut self, problem: Problem) {
        if self.pending.len() < MAX_PENDING_PROBLEMS {
            self.pending.push(problem);
        }
    }

    /// The problems noted since the last call.
    pub(crate) fn take_pending(&mut self) -> Vec<Problem> {
        std::mem::take(&mut self.pending)
    }

    /// Problems of the file as a whole, so far.
    pub(crate) fn file_problems(&self) -> &[Problem] {
        &self.file_problems
    }
}

fn page_place(tree: Tree, reference: PageRef) -> String {
    format!("{} page at {:#x}", tree.name(), reference.offset)
}

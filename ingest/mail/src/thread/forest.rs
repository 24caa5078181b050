//! The forest of messages, with places for those that are only referred to.

use std::collections::HashMap;

use rejoinder_domain::ThreadId;

use super::{How, ThreadEntry, Threading};

/// How far up a loop is looked for before a link is refused.
const MAX_CLIMB: usize = 2000;

/// Nodes are the entries, in the entries' order, then the messages that are only referred to.
pub(super) struct Forest {
    entries: usize,
    ids: Vec<u64>,
    parent: Vec<Option<usize>>,
    how: Vec<How>,
    /// Union-find over nodes: which are in one tree.
    group: Vec<usize>,
    /// Entries by time: the order in which everything is decided.
    pub(super) by_time: Vec<usize>,
}

impl Forest {
    /// Links entries by their headers.
    pub(super) fn by_headers(entries: &[ThreadEntry]) -> Self {
        let mut by_time: Vec<usize> = (0..entries.len()).collect();
        by_time.sort_by_key(|&at| entries.get(at).map(ThreadEntry::order));
        let mut forest = Self {
            entries: entries.len(),
            ids: entries.iter().map(ThreadEntry::node_id).collect(),
            parent: vec![None; entries.len()],
            how: vec![How::Headers; entries.len()],
            group: (0..entries.len()).collect(),
            by_time,
        };
        let mut nodes: HashMap<u64, usize> = HashMap::with_capacity(entries.len() * 2);
        for &at in &forest.by_time {
            if let Some(entry) = entries.get(at) {
                nodes.entry(entry.node_id()).or_insert(at);
            }
        }
        let sequence = forest.by_time.clone();
        // What a message says about itself counts before what others say about it.
        for &at in &sequence {
            let Some(entry) = entries.get(at) else { continue };
            let last = entry.references.last();
            // `In-Reply-To` names the message itself; the last reference is sometimes its parent's.
            let mut claims = entry.in_reply_to.iter().chain(last);
            let known = claims.find(|id| nodes.get(id).is_some_and(|&node| node < entries.len() && node != at));
            if let Some(&claim) = known.or(last).or(entry.in_reply_to.first()) {
                let node = forest.node(&mut nodes, claim);
                forest.link(at, node, How::Headers);
            }
        }
        for &at in &sequence {
            let Some(entry) = entries.get(at) else { continue };
            for neighbours in entry.references.windows(2) {
                if let [older, newer] = *neighbours {
                    let (older, newer) = (forest.node(&mut nodes, older), forest.node(&mut nodes, newer));
                    forest.link(newer, older, How::Headers);
                }
            }
        }
        forest
    }

    fn node(&mut self, nodes: &mut HashMap<u64, usize>, id: u64) -> usize {
        *nodes.entry(id).or_insert_with(|| {
            self.ids.push(id);
            self.parent.push(None);
            self.how.push(How::Headers);
            self.group.push(self.group.len());
            self.ids.len() - 1
        })
    }

    /// Makes `child` answer `parent`, unless it answers something already or that would close a loop.
    pub(super) fn link(&mut self, child: usize, parent: usize, how: How) -> bool {
        if child == parent || self.parent_of(child).is_some() {
            return false;
        }
        let (a, b) = (self.group_of(child), self.group_of(parent));
        if a == b && self.is_above(child, parent) {
            return false;
        }
        if let Some(slot) = self.parent.get_mut(child) {
            *slot = Some(parent);
        }
        if let Some(slot) = self.how.get_mut(child) {
            *slot = how;
        }
        if let Some(slot) = self.group.get_mut(a) {
            *slot = b;
        }
        true
    }

    /// Notes what tied `node` to the rest.
    pub(super) fn mark(&mut self, node: usize, how: How) {
        if let Some(slot) = self.how.get_mut(node) {
            *slot = how;
        }
    }

    pub(super) fn parent_of(&self, node: usize) -> Option<usize> {
        self.parent.get(node).copied().flatten()
    }

    /// Whether an entry is tied to no other entry: it answers nothing and nothing answers it by headers, or it is the top of
    /// its tree.
    pub(super) fn is_top(&self, node: usize) -> bool {
        self.entry_above(node).is_none()
    }

    /// The top of the tree that `node` is in; may be a message that is only referred to.
    pub(super) fn root_of(&self, node: usize) -> usize {
        let mut at = node;
        for _ in 0..MAX_CLIMB * 100 {
            match self.parent_of(at) {
                Some(above) => at = above,
                None => break,
            }
        }
        at
    }

    pub(super) fn same_tree(&mut self, a: usize, b: usize) -> bool {
        self.group_of(a) == self.group_of(b)
    }

    /// Whether `node` is on the way from `from` to its root.
    fn is_above(&self, node: usize, from: usize) -> bool {
        let mut at = Some(from);
        for _ in 0..MAX_CLIMB {
            match at {
                Some(above) if above == node => return true,
                Some(above) => at = self.parent_of(above),
                None => return false,
            }
        }
        true
    }

    /// The nearest entry above `node`.
    fn entry_above(&self, node: usize) -> Option<usize> {
        let mut at = self.parent_of(node);
        for _ in 0..MAX_CLIMB {
            match at {
                Some(above) if above < self.entries => return Some(above),
                Some(above) => at = self.parent_of(above),
                None => return None,
            }
        }
        None
    }

    fn group_of(&mut self, node: usize) -> usize {
        let mut at = node;
        while let Some(&above) = self.group.get(at) {
            if above == at {
                break;
            }
            let next = self.group.get(above).copied().unwrap_or(above);
            if let Some(slot) = self.group.get_mut(at) {
                *slot = next;
            }
            at = next;
        }
        at
    }

    /// Reads the answer off the forest.
    pub(super) fn threading(mut self) -> Threading {
        let mut roots: HashMap<usize, ThreadId> = HashMap::new();
        let mut threading = Threading::default();
        for at in 0..self.entries {
            let group = self.group_of(at);
            let thread = if let Some(thread) = roots.get(&group) {
                thread.clone()
            } else {
                let root = self.ids.get(self.root_of(at)).copied().unwrap_or_default();
                let thread = ThreadId::from_content(&[b"root", &root.to_le_bytes()]);
                roots.insert(group, thread.clone());
                thread
            };
            threading.thread.push(thread);
            threading.parent.push(self.entry_above(at));
            threading.how.push(self.how.get(at).copied().unwrap_or(How::Headers));
        }
        threading
    }
}

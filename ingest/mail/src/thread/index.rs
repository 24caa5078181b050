//! Conversations kept up to date message by message.
//!
//! What [`super::full`] finds for a conversation depends on its own messages and on those that they could have been tied to
//! instead. So a new entry is placed by threading again, alone, what it can change: its own conversation by headers, entries
//! that could now be tied to it (they quote it, have its conversation index, or answer its subject), the conversations of
//! all these, and whatever they in turn are tied to. What is only a candidate lends its text and never looks for a parent
//! itself, so that the work does not spread over the archive.

use std::collections::{BTreeSet, HashMap};

use rejoinder_domain::{Direction, ThreadId};

use super::forest::Forest;
use super::join::{self, ACQUAINTED_SECONDS, MAX_PRINT_OWNERS, MAX_SUBJECT_CANDIDATES};
use super::{ReplyPair, ThreadEntry, Threading, reply_pairs};

/// Where an entry belongs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// The entry.
    pub at: usize,
    /// Its conversation.
    pub thread: ThreadId,
    /// The entry that it answers.
    pub parent: Option<usize>,
}

/// What placing an entry came to. Every conversation that it touched is here whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Placement {
    /// The entries of these conversations, in order.
    pub placed: Vec<Placed>,
    /// All reply pairs of these conversations, in order: pairs of them that are not here are no more.
    pub pairs: Vec<ReplyPair>,
}

/// All entries of an archive with what ties them together. It takes some 2 KB of memory per message; entries cannot be taken
/// out, so that after an erasure it is made anew.
#[derive(Debug, Default)]
pub struct ThreadIndex {
    entries: Vec<ThreadEntry>,
    /// The lowest entry of each entry's conversation names it.
    group: Vec<u32>,
    members: HashMap<u32, Vec<u32>>,
    /// By an id, entries that have it or name it.
    named: HashMap<u64, Vec<u32>>,
    /// By the root of a conversation index.
    conversations: HashMap<u64, Vec<u32>>,
    /// Dated entries by subject, in their order.
    subjects: HashMap<u64, Vec<u32>>,
    /// By fingerprint, the first entries that have it in their new text. One more than the most that prove anything is
    /// enough to know that it proves nothing.
    owners: HashMap<u64, Vec<u32>>,
    /// By fingerprint, entries that quote it.
    quoters: HashMap<u64, Vec<u32>>,
}

impl ThreadIndex {
    /// The index of `entries`, which are numbered in their order, with their conversations.
    pub fn new(entries: Vec<ThreadEntry>) -> (Self, Threading) {
        let threading = super::full(&entries);
        let mut index = Self::default();
        let mut first: HashMap<&ThreadId, u32> = HashMap::new();
        for (entry, thread) in entries.into_iter().zip(&threading.thread) {
            let at = index.insert(entry) as u32;
            let group = *first.entry(thread).or_insert(at);
            if group != at {
                index.members.remove(&at);
                index.members.entry(group).or_default().push(at);
                if let Some(slot) = index.group.get_mut(at as usize) {
                    *slot = group;
                }
            }
        }
        // Insertion by time would shift long lists again and again; here they are sorted once.
        let Self { subjects, entries, .. } = &mut index;
        for list in subjects.values_mut() {
            list.sort_by_key(|&at| entries.get(at as usize).map(ThreadEntry::order));
        }
        (index, threading)
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Adds an entry, in a conversation of its own until [`ThreadIndex::place`] is called for it, and returns its number.
    /// At most 2³² entries fit.
    fn insert(&mut self, entry: ThreadEntry) -> usize {
        let at = self.entries.len() as u32;
        let names: BTreeSet<u64> = names(&entry).collect();
        for name in names {
            self.named.entry(name).or_default().push(at);
        }
        if entry.conversation.first().is_some_and(|&own| own != 0) {
            self.conversations.entry(entry.conversation.last().copied().unwrap_or_default()).or_default().push(at);
        }
        for &print in &entry.own_prints {
            let owners = self.owners.entry(print).or_default();
            if owners.len() <= MAX_PRINT_OWNERS {
                owners.push(at);
            } else {
                self.quoters.remove(&print);
            }
        }
        for &print in &entry.quoted_prints {
            self.quoters.entry(print).or_default().push(at);
        }
        if entry.subject != 0 && entry.sent_at.is_some() {
            self.subjects.entry(entry.subject).or_default().push(at);
        }
        self.group.push(at);
        self.members.insert(at, vec![at]);
        self.entries.push(entry);
        at as usize
    }

    /// Adds an entry and places it. Returns its number and what changed.
    pub fn add(&mut self, entry: ThreadEntry) -> (usize, Placement) {
        let (subject, order) = (entry.subject, entry.order());
        let at = self.insert(entry);
        let Self { subjects, entries, .. } = self;
        if let Some(list) = subjects.get_mut(&subject)
            && list.last() == Some(&(at as u32))
        {
            list.pop();
            let place =
                list.partition_point(|&other| entries.get(other as usize).is_some_and(|other| other.order() < order));
            list.insert(place, at as u32);
        }
        let placement = self.place(at);
        (at, placement)
    }

    /// Sets the direction of an entry; reply pairs follow from it, so [`ThreadIndex::place`] it then.
    pub fn set_direction(&mut self, at: usize, direction: Direction) {
        if let Some(entry) = self.entries.get_mut(at) {
            entry.set_direction(direction);
        }
    }

    /// Finds the conversations again that the entry is in or can have changed. Doing so twice gives the same.
    pub fn place(&mut self, at: usize) -> Placement {
        let mut core: BTreeSet<u32> = BTreeSet::new();
        let mut open: Vec<u32> = vec![at as u32];
        open.extend(self.may_follow(at));
        loop {
            self.close(&mut core, open);
            let (slots, threading, entries) = self.thread(&core);
            let groups: BTreeSet<&ThreadId> = threading.thread.iter().take(core.len()).collect();
            let drawn_in = slots.iter().zip(&threading.thread).skip(core.len());
            open = drawn_in.filter(|(_, thread)| groups.contains(thread)).map(|(&at, _)| at).collect();
            if open.is_empty() {
                return self.settle(&core, &slots, &threading, &entries);
            }
        }
    }

    /// Takes in whole conversations, as they were and by their headers.
    fn close(&self, core: &mut BTreeSet<u32>, mut open: Vec<u32>) {
        while let Some(at) = open.pop() {
            if !core.insert(at) {
                continue;
            }
            let group = self.group.get(at as usize).and_then(|group| self.members.get(group));
            open.extend(group.into_iter().flatten().filter(|&other| !core.contains(other)));
            if let Some(entry) = self.entries.get(at as usize) {
                let relatives = names(entry).filter_map(|name| self.named.get(&name)).flatten();
                open.extend(relatives.filter(|&other| !core.contains(other)));
            }
        }
    }

    /// Threads the core alone, with its candidates behind it. Numbers of the result lead to the archive's by the first list.
    fn thread(&self, core: &BTreeSet<u32>) -> (Vec<u32>, Threading, Vec<ThreadEntry>) {
        let mut slots: Vec<u32> = core.iter().copied().collect();
        let of_core = self.entries_of(&slots);
        let by_headers = Forest::by_headers(&of_core);
        let mut candidates = BTreeSet::new();
        for (local, &at) in slots.iter().enumerate() {
            if by_headers.is_top(local) {
                candidates.extend(self.candidates_of(at).into_iter().filter(|other| !core.contains(other)));
            }
        }
        slots.extend(candidates);
        let entries = self.entries_of(&slots);
        let mut forest = Forest::by_headers(&entries);
        join::join(&entries, &mut forest, core.len());
        (slots, forest.threading(), entries)
    }

    fn entries_of(&self, slots: &[u32]) -> Vec<ThreadEntry> {
        slots.iter().filter_map(|&at| self.entries.get(at as usize)).cloned().collect()
    }

    /// Entries that this one could be tied to, and those that decide which of them it is.
    fn candidates_of(&self, at: u32) -> Vec<u32> {
        let Some(entry) = self.entries.get(at as usize) else { return Vec::new() };
        let mut found = Vec::new();
        found.extend(self.same_conversation(entry));
        found.extend(entry.quoted_prints.iter().filter_map(|print| self.owners.get(print)).flatten().copied());
        if join::joins_by_subject(entry)
            && let Some(list) = self.subjects.get(&entry.subject)
        {
            let before = self.position(list, entry);
            found.extend(list.get(before.saturating_sub(MAX_SUBJECT_CANDIDATES)..before).unwrap_or_default());
        }
        found
    }

    /// Entries whose choice of a parent this one can change.
    fn may_follow(&self, at: usize) -> Vec<u32> {
        let Some(entry) = self.entries.get(at) else { return Vec::new() };
        let mut found = Vec::new();
        found.extend(self.same_conversation(entry));
        // Where it is one more owner than a phrase may have, those that quote it let go of the others.
        let telling = |print: &&u64| self.owners.get(print).is_some_and(|owners| owners.contains(&(at as u32)));
        let quoters = entry.own_prints.iter().filter(telling).filter_map(|print| self.quoters.get(print));
        found.extend(quoters.flatten().copied());
        if let (Some(list), Some(sent_at)) = (self.subjects.get(&entry.subject), entry.sent_at) {
            let after = self.position(list, entry) + 1;
            let next = list.iter().skip(after).take(MAX_SUBJECT_CANDIDATES);
            found.extend(next.copied().filter(|&other| {
                self.entries.get(other as usize).is_some_and(|other| {
                    join::joins_by_subject(other)
                        && other.sent_at.is_some_and(|at| at.saturating_sub(sent_at) <= ACQUAINTED_SECONDS)
                })
            }));
        }
        found
    }

    fn same_conversation(&self, entry: &ThreadEntry) -> impl Iterator<Item = u32> {
        let [own, _, root] = entry.conversation;
        let list = if own == 0 { None } else { self.conversations.get(&root) };
        list.into_iter().flatten().copied()
    }

    /// How many of the list come before the entry.
    fn position(&self, list: &[u32], entry: &ThreadEntry) -> usize {
        let order = entry.order();
        list.partition_point(|&other| self.entries.get(other as usize).is_some_and(|other| other.order() < order))
    }

    /// Keeps what was found, and tells it with the archive's numbers.
    fn settle(
        &mut self,
        core: &BTreeSet<u32>,
        slots: &[u32],
        threading: &Threading,
        entries: &[ThreadEntry],
    ) -> Placement {
        let global = |local: usize| slots.get(local).map(|&at| at as usize);
        for at in core {
            self.members.remove(at);
        }
        let mut first: HashMap<&ThreadId, u32> = HashMap::new();
        let mut placement = Placement::default();
        for (local, &at) in core.iter().enumerate() {
            let Some(thread) = threading.thread.get(local) else { continue };
            let group = *first.entry(thread).or_insert(at);
            self.members.entry(group).or_default().push(at);
            if let Some(slot) = self.group.get_mut(at as usize) {
                *slot = group;
            }
            let parent = threading.parent.get(local).copied().flatten().and_then(global);
            placement.placed.push(Placed { at: at as usize, thread: thread.clone(), parent });
        }
        // No conversation of the core has a candidate in it, so pairs are within the core or among candidates.
        placement.pairs = reply_pairs(entries, threading)
            .into_iter()
            .filter(|pair| pair.question < core.len())
            .filter_map(|pair| Some(ReplyPair { question: global(pair.question)?, reply: global(pair.reply)? }))
            .collect();
        placement
    }
}

/// The ids by which an entry is tied to others.
fn names(entry: &ThreadEntry) -> impl Iterator<Item = u64> {
    std::iter::once(entry.node_id()).chain(entry.references.iter().copied()).chain(entry.in_reply_to.iter().copied())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Entries in a world so small that they collide in everything.
    fn entry() -> impl Strategy<Value = ThreadEntry> {
        let ids = || proptest::collection::vec(1_u64..40, 0..3);
        let prints = || {
            // A real entry has every fingerprint once.
            proptest::collection::btree_set(100_u64..112, 0..4)
                .prop_map(|prints| prints.into_iter().collect::<Vec<_>>())
        };
        let who = (1_u64..4, proptest::collection::vec(1_u64..4, 0..2), 0_u8..4);
        let what = (0_u64..4, 0_u16..5, any::<bool>(), any::<bool>(), proptest::option::of(0_i64..90));
        let conversation = proptest::option::weighted(0.2, (1_u64..4, 0_u64..3, 1_u64..3));
        let ties = (1_u64..40, ids(), ids(), conversation, prints(), prints());
        (ties, what, who, 0_u32..40, proptest::bool::weighted(0.1)).prop_map(
            |(
                (id, references, in_reply_to, conversation, own_prints, quoted_prints),
                (subject, subject_words, is_reply, is_forward, day),
                (author, recipients, direction),
                new_text_letters,
                automatic,
            )| ThreadEntry {
                key: 0,
                // Many without an id, and few that share one.
                id: if id < 20 { 0 } else { id },
                references: if subject == 0 { references } else { Vec::new() },
                in_reply_to: if is_forward { in_reply_to } else { Vec::new() },
                // An index and its parent's have the same root.
                conversation: conversation.map_or([0; 3], |(own, parent, root)| {
                    [root * 10 + own, if parent == 0 { 0 } else { root * 10 + parent }, root]
                }),
                subject,
                subject_words,
                is_reply,
                is_forward: is_forward && !is_reply,
                sent_at: day.map(|day| day * 86_400),
                direction: match direction {
                    0 => Direction::Inbound,
                    1 => Direction::Outbound,
                    2 => Direction::Internal,
                    _ => Direction::Unknown,
                },
                author,
                recipients,
                automatic,
                new_text_letters,
                own_prints,
                quoted_prints,
            },
        )
    }

    fn archive() -> impl Strategy<Value = Vec<ThreadEntry>> {
        proptest::collection::vec(entry(), 1..60).prop_map(|mut entries| {
            for (at, entry) in entries.iter_mut().enumerate() {
                entry.key = 1000 + at as u64;
            }
            entries
        })
    }

    /// What the index says of all entries, after each of them was added.
    #[derive(Default)]
    struct Told {
        thread: HashMap<usize, ThreadId>,
        parent: HashMap<usize, Option<usize>>,
        pairs: BTreeSet<ReplyPair>,
    }

    impl Told {
        fn take(&mut self, placement: &Placement) {
            let touched: BTreeSet<usize> = placement.placed.iter().map(|placed| placed.at).collect();
            self.pairs.retain(|pair| !touched.contains(&pair.question) && !touched.contains(&pair.reply));
            self.pairs.extend(&placement.pairs);
            for placed in &placement.placed {
                self.thread.insert(placed.at, placed.thread.clone());
                self.parent.insert(placed.at, placed.parent);
            }
        }

        fn assert_is(&self, entries: &[ThreadEntry]) {
            let all = super::super::full(entries);
            for at in 0..entries.len() {
                assert_eq!(self.thread.get(&at), all.thread.get(at), "thread of {at}");
                assert_eq!(self.parent.get(&at), all.parent.get(at), "parent of {at}");
            }
            assert_eq!(self.pairs, reply_pairs(entries, &all).into_iter().collect());
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 1500, ..ProptestConfig::default() })]

        #[test]
        fn one_by_one_is_as_all_at_once(entries in archive()) {
            let (mut index, _) = ThreadIndex::new(Vec::new());
            let mut told = Told::default();
            for (count, entry) in entries.iter().enumerate() {
                let (at, placement) = index.add(entry.clone());
                prop_assert_eq!(at, count);
                told.take(&placement);
                told.assert_is(entries.get(..=count).unwrap());
            }
        }

        #[test]
        fn a_loaded_index_goes_on_as_one_that_grew(entries in archive(), part in 0.0..1.0_f64) {
            let half = (entries.len() as f64 * part) as usize;
            let (mut index, threading) = ThreadIndex::new(entries.get(..half).unwrap().to_vec());
            let mut told = Told::default();
            told.pairs.extend(reply_pairs(entries.get(..half).unwrap(), &threading));
            told.thread.extend(threading.thread.into_iter().enumerate());
            told.parent.extend(threading.parent.into_iter().enumerate());
            for entry in entries.get(half..).unwrap() {
                told.take(&index.add(entry.clone()).1);
            }
            told.assert_is(&entries);
            let at = entries.len() - 1;
            let placement = index.place(at);
            told.take(&placement);
            told.assert_is(&entries);
        }
    }
}

//! What ties messages together when their headers do not.

use std::collections::HashMap;

use super::forest::Forest;
use super::{How, ThreadEntry};

/// A fingerprint that more entries have in their new text is a phrase of everyday mail and proves nothing.
pub(super) const MAX_PRINT_OWNERS: usize = 4;

/// How long after a message a reply by subject may come, in seconds: between people who wrote to each other, and otherwise.
pub(super) const ACQUAINTED_SECONDS: i64 = 60 * 86_400;
const STRANGERS_SECONDS: i64 = 21 * 86_400;

/// Fewest long words of a subject that can join strangers.
const MIN_SUBJECT_WORDS: u16 = 3;

/// How many earlier messages of the same subject are looked at.
pub(super) const MAX_SUBJECT_CANDIDATES: usize = 50;

/// Finds parents for entries that have none, by conversation index, quoted text, and subject, in this order of trust. Only
/// the first `joining` entries look for one; those after them can only be found.
pub(super) fn join(entries: &[ThreadEntry], forest: &mut Forest, joining: usize) {
    by_conversation_index(entries, forest, joining);
    by_quoted_text(entries, forest, joining);
    by_subject(entries, forest, joining);
}

/// Entries at the top of their tree, oldest first: those that a parent can be looked for.
fn tops(forest: &Forest, joining: usize) -> Vec<usize> {
    forest.by_time.iter().copied().filter(|&at| at < joining && forest.is_top(at)).collect()
}

/// Whether the entry's subject says that it answers something: it may look for a parent by it.
pub(super) fn joins_by_subject(entry: &ThreadEntry) -> bool {
    entry.subject != 0 && entry.is_reply && !entry.automatic && entry.sent_at.is_some()
}

/// Hangs the tree of `child` below `parent`. Where the top of the tree is a message that is only referred to, that one is
/// hung: its replies stay together.
fn hang(forest: &mut Forest, child: usize, parent: usize, how: How) -> bool {
    if forest.same_tree(child, parent) {
        return false;
    }
    let root = forest.root_of(child);
    if forest.link(root, parent, how) {
        forest.mark(child, how);
        return true;
    }
    false
}

fn by_conversation_index(entries: &[ThreadEntry], forest: &mut Forest, joining: usize) {
    let mut by_index: HashMap<u64, usize> = HashMap::new();
    let mut by_root: HashMap<u64, usize> = HashMap::new();
    for &at in &forest.by_time {
        let Some(entry) = entries.get(at) else { continue };
        let [own, _, root] = entry.conversation;
        if own != 0 {
            by_index.entry(own).or_insert(at);
            by_root.entry(root).or_insert(at);
        }
    }
    for at in tops(forest, joining) {
        let Some(entry) = entries.get(at) else { continue };
        let [own, parent, root] = entry.conversation;
        if own == 0 {
            continue;
        }
        let found = by_index.get(&parent).filter(|_| parent != 0).or_else(|| by_root.get(&root)).copied();
        if let Some(found) = found.filter(|&found| found != at && is_before(entries, found, at)) {
            hang(forest, at, found, How::ConversationIndex);
        }
    }
}

/// A message answers the one whose new text it quotes.
fn by_quoted_text(entries: &[ThreadEntry], forest: &mut Forest, joining: usize) {
    let mut owners: HashMap<u64, Vec<usize>> = HashMap::new();
    for &at in &forest.by_time {
        for &print in entries.get(at).map(|entry| entry.own_prints.as_slice()).unwrap_or_default() {
            let list = owners.entry(print).or_default();
            if list.len() <= MAX_PRINT_OWNERS {
                list.push(at);
            }
        }
    }
    for at in tops(forest, joining) {
        let Some(entry) = entries.get(at).filter(|entry| !entry.quoted_prints.is_empty()) else { continue };
        let mut shared: HashMap<usize, usize> = HashMap::new();
        for print in &entry.quoted_prints {
            let list = owners.get(print).map(Vec::as_slice).unwrap_or_default();
            if list.len() <= MAX_PRINT_OWNERS {
                for &owner in list.iter().filter(|&&owner| owner != at && is_before(entries, owner, at)) {
                    *shared.entry(owner).or_insert(0) += 1;
                }
            }
        }
        // The most shared text; of equals the newest.
        let best = shared.into_iter().max_by_key(|&(owner, count)| (count, entries.get(owner).map(ThreadEntry::order)));
        let Some((owner, count)) = best else { continue };
        let Some(quoted) = entries.get(owner) else { continue };
        let same_subject = entry.subject != 0 && entry.subject == quoted.subject;
        let most_of_it = count * 2 >= quoted.own_prints.len();
        let proven =
            if same_subject { count >= 2 || most_of_it } else { count >= 4 && most_of_it && !entry.is_forward };
        if proven {
            hang(forest, at, owner, How::QuotedText);
        }
    }
}

/// A reply by its subject's prefix answers the newest message of the same subject before it, if it comes soon enough.
fn by_subject(entries: &[ThreadEntry], forest: &mut Forest, joining: usize) {
    let mut by_subject: HashMap<u64, Vec<usize>> = HashMap::new();
    for &at in &forest.by_time {
        if let Some(entry) = entries.get(at).filter(|entry| entry.subject != 0 && entry.sent_at.is_some()) {
            by_subject.entry(entry.subject).or_default().push(at);
        }
    }
    for at in tops(forest, joining) {
        let Some(entry) = entries.get(at).filter(|entry| joins_by_subject(entry)) else { continue };
        let (Some(sent_at), Some(candidates)) = (entry.sent_at, by_subject.get(&entry.subject)) else { continue };
        let before = candidates.partition_point(|&other| is_before(entries, other, at));
        let nearest = candidates.get(..before).unwrap_or_default().iter().rev().take(MAX_SUBJECT_CANDIDATES).copied();
        let found = nearest.into_iter().find(|&other| {
            let Some(candidate) = entries.get(other) else { return false };
            let age = sent_at - candidate.sent_at.unwrap_or(i64::MIN / 2);
            let acquainted =
                entry.recipients.contains(&candidate.author) || candidate.recipients.contains(&entry.author);
            let telling = entry.subject_words >= MIN_SUBJECT_WORDS;
            other != at
                && !candidate.automatic
                && ((acquainted && age <= ACQUAINTED_SECONDS) || (telling && age <= STRANGERS_SECONDS))
        });
        if let Some(found) = found {
            hang(forest, at, found, How::Subject);
        }
    }
}

fn is_before(entries: &[ThreadEntry], a: usize, b: usize) -> bool {
    match (entries.get(a), entries.get(b)) {
        (Some(a), Some(b)) => a.order() < b.order(),
        _ => false,
    }
}

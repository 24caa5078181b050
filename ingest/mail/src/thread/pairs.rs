//! Reply pairs: a message from outside and the answer that our side gave.

use std::collections::HashMap;

use rejoinder_domain::Direction;

use super::{ThreadEntry, Threading};

/// Fewest letters and digits of a reply that says anything.
const MIN_REPLY_LETTERS: u32 = 12;

/// How far up the question is looked for.
const MAX_CLIMB: usize = 50;

/// A question and its reply, as indexes of the entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReplyPair {
    /// The message that was answered.
    pub question: usize,
    /// The answer.
    pub reply: usize,
}

/// The reply pairs of threaded entries, ordered by question.
///
/// The reply is the first one of ours that a person wrote and that says something; the question is the nearest inbound
/// message above it, so that our own follow-ups do not stand between. Where directions are unknown (a mailing list), the
/// question is the message that the reply answers, by another author. A forward is no reply.
pub fn reply_pairs(entries: &[ThreadEntry], threading: &Threading) -> Vec<ReplyPair> {
    let mut first: HashMap<usize, usize> = HashMap::new();
    let mut by_time: Vec<usize> = (0..entries.len()).collect();
    by_time.sort_by_key(|&at| entries.get(at).map(ThreadEntry::order));
    for reply in by_time {
        let Some(entry) = entries.get(reply) else { continue };
        // A draft has no time of sending.
        if entry.automatic || entry.is_forward || entry.sent_at.is_none() || entry.new_text_letters < MIN_REPLY_LETTERS
        {
            continue;
        }
        if let Some(question) = question_of(entries, threading, reply) {
            first.entry(question).or_insert(reply);
        }
    }
    let mut pairs: Vec<ReplyPair> = first.into_iter().map(|(question, reply)| ReplyPair { question, reply }).collect();
    pairs.sort_unstable();
    pairs
}

fn question_of(entries: &[ThreadEntry], threading: &Threading, reply: usize) -> Option<usize> {
    let answer = entries.get(reply)?;
    let parent_of = |at: usize| threading.parent.get(at).copied().flatten();
    let mut above = parent_of(reply);
    for _ in 0..MAX_CLIMB {
        let at = above?;
        let entry = entries.get(at)?;
        let is_question = match (answer.direction, entry.direction) {
            (Direction::Outbound, Direction::Inbound) => true,
            (Direction::Outbound, Direction::Outbound | Direction::Internal) => false,
            (Direction::Unknown, Direction::Unknown) => {
                return (entry.author != answer.author && entry.author != 0).then_some(at);
            }
            _ => return None,
        };
        if is_question {
            return Some(at);
        }
        above = parent_of(at);
    }
    None
}

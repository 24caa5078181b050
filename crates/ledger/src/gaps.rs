//! Knowledge gaps: what people asked that nothing was found for, grouped.
//!
//! The newest 5,000 such questions are taken in order, newest first. The first question of a group stands for it: a question
//! joins the group whose first question shares the largest part of terms with it (Jaccard: terms of both divided by terms of
//! either), if that is at least 0.4, the newer group where two are equal; otherwise it opens a group. So the same questions
//! give the same groups, and a group cannot drift away from what it began with. A group is told by the terms that at least
//! half of its questions have.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::Timestamp;
use rejoinder_domain::TenantId;
use rusqlite::params;

use crate::sealing::place;
use crate::{Ledger, LedgerError, time};

/// Questions that are looked at.
const QUESTIONS: u32 = 5000;
/// From which share of common terms on two questions are about the same, in percent.
const ALIKE_PERCENT: usize = 40;
/// Groups that are told.
const GROUPS: usize = 50;
/// Terms that a group is told by.
const TERMS: usize = 8;
/// Suggestions that are named as examples.
const EXAMPLES: usize = 5;

/// Questions about the same that nothing was found for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnowledgeGap {
    /// What they have in common, most frequent first, then by the alphabet; empty for questions without any term.
    pub terms: Vec<String>,
    /// How many they are.
    pub questions: u64,
    /// Ids of the newest of their suggestions, newest first.
    pub examples: Vec<String>,
    /// When the newest was asked.
    pub last_asked: Timestamp,
}

/// A question that nothing was found for.
pub(crate) struct Unfound {
    pub(crate) suggestion: String,
    pub(crate) at: Timestamp,
    pub(crate) terms: BTreeSet<String>,
}

impl Ledger {
    /// The newest questions that nothing was found for, newest first.
    pub(crate) fn unfound(&self, tenant: &TenantId, from: i64, to: i64) -> Result<Vec<Unfound>, LedgerError> {
        let connection = self.reader()?;
        let mut statement = connection.prepare_cached(
            "SELECT id, created, terms FROM suggestion INDEXED BY suggestion_unfound
             WHERE tenant = ?1 AND found = 0 AND created >= ?2 AND created < ?3 ORDER BY created DESC, id DESC LIMIT ?4",
        )?;
        let mut rows = statement.query(params![tenant.as_str(), from, to, QUESTIONS])?;
        let mut all = Vec::new();
        while let Some(row) = rows.next()? {
            let suggestion: String = row.get(0)?;
            let terms = self.unpack_json(tenant, &place("suggestion.terms", &[&suggestion]), row.get(2)?)?;
            all.push(Unfound { suggestion, at: time::read(row.get(1)?)?, terms });
        }
        Ok(all)
    }
}

struct Group<'a> {
    first: &'a Unfound,
    members: Vec<&'a Unfound>,
}

/// Groups questions that come newest first.
pub(crate) fn group(questions: &[Unfound]) -> Vec<KnowledgeGap> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    // Which groups' first questions have a term: only those are compared.
    let mut holders: HashMap<&str, Vec<usize>> = HashMap::new();
    let mut without_terms = None;
    for question in questions {
        let found = if question.terms.is_empty() { without_terms } else { nearest(question, &groups, &holders) };
        if let Some(group) = found.and_then(|at| groups.get_mut(at)) {
            group.members.push(question);
            continue;
        }
        let at = groups.len();
        if question.terms.is_empty() {
            without_terms = Some(at);
        }
        for term in &question.terms {
            holders.entry(term).or_default().push(at);
        }
        groups.push(Group { first: question, members: vec![question] });
    }
    // The sort is stable: of groups of one size the one asked for last comes first.
    groups.sort_by_key(|group| std::cmp::Reverse(group.members.len()));
    groups.iter().take(GROUPS).map(told).collect()
}

fn nearest(question: &Unfound, groups: &[Group<'_>], holders: &HashMap<&str, Vec<usize>>) -> Option<usize> {
    let mut shared: BTreeMap<usize, usize> = BTreeMap::new();
    for term in &question.terms {
        for group in holders.get(term.as_str()).into_iter().flatten() {
            *shared.entry(*group).or_default() += 1;
        }
    }
    let mut best: Option<(usize, usize, usize)> = None;
    for (at, both) in shared {
        let Some(group) = groups.get(at) else { continue };
        let either = question.terms.len() + group.first.terms.len() - both;
        if both * 100 < ALIKE_PERCENT * either {
            continue;
        }
        // a/b > c/d, without rounding.
        if best.is_none_or(|(_, best_both, best_either)| both * best_either > best_both * either) {
            best = Some((at, both, either));
        }
    }
    best.map(|(at, ..)| at)
}

fn told(group: &Group<'_>) -> KnowledgeGap {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for term in group.members.iter().flat_map(|member| &member.terms) {
        *counts.entry(term).or_default() += 1;
    }
    let mut terms: Vec<(&str, usize)> =
        counts.into_iter().filter(|(_, count)| count * 2 >= group.members.len()).collect();
    terms.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    KnowledgeGap {
        terms: terms.into_iter().take(TERMS).map(|(term, _)| term.to_owned()).collect(),
        questions: group.members.len() as u64,
        examples: group.members.iter().take(EXAMPLES).map(|member| member.suggestion.clone()).collect(),
        last_asked: group.first.at,
    }
}

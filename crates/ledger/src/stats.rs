//! How suggestions do: what people made of them, by who wrote them, the mailbox that they rest on, and day.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::Date;
use rejoinder_domain::{MailboxId, TenantId};
use rusqlite::params;

use crate::{EditClass, KnowledgeGap, Ledger, LedgerError, gaps, time};

const DAY: i64 = 86_400_000;

/// Counts of suggestions by what people made of them. The four add up to all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutcomeCounts {
    /// Sent as they were.
    pub accepted: u64,
    /// Sent changed.
    pub edited: u64,
    /// Not sent.
    pub rejected: u64,
    /// Nobody said anything.
    pub open: u64,
}

impl OutcomeCounts {
    /// All of them.
    pub fn suggestions(&self) -> u64 {
        self.accepted + self.edited + self.rejected + self.open
    }

    /// The share of those with an outcome that were sent as they were, 0 to 1; `None` where there is none with an outcome.
    pub fn acceptance_rate(&self) -> Option<f64> {
        self.rate(self.accepted)
    }

    /// The share of those with an outcome that were sent changed, 0 to 1.
    pub fn edit_rate(&self) -> Option<f64> {
        self.rate(self.edited)
    }

    fn rate(&self, part: u64) -> Option<f64> {
        let told = self.accepted + self.edited + self.rejected;
        (told > 0).then(|| part as f64 / told as f64)
    }

    fn add(&mut self, kind: Option<&str>, count: u64) -> Result<(), LedgerError> {
        let counter = match kind {
            Some("accepted") => &mut self.accepted,
            Some("edited") => &mut self.edited,
            Some("rejected") => &mut self.rejected,
            None => &mut self.open,
            Some(_) => return Err(LedgerError::Corrupt("outcome")),
        };
        *counter += count;
        Ok(())
    }
}

/// How suggestions did that rest on the mail of one mailbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceCounts {
    /// The mailbox; `None` for suggestions that rest on no mail, or on mail whose mailbox is not there any more.
    pub mailbox: Option<MailboxId>,
    /// The name by which people know it; empty without one.
    pub name: String,
    /// What people made of them.
    pub counts: OutcomeCounts,
}

/// How suggestions that were made in a time did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stats {
    /// All of them, by outcome.
    pub outcomes: OutcomeCounts,
    /// Of the accepted and edited ones, how many were changed how much; a class that never occurred is in it with 0.
    pub edit_classes: BTreeMap<EditClass, u64>,
    /// By who wrote the first draft, most first, then by name.
    pub by_provider: Vec<(String, OutcomeCounts)>,
    /// By the mailbox that the first draft rests on most, most first, then by name.
    pub by_source: Vec<SourceCounts>,
    /// By day of making (UTC), oldest first; days without any are left out.
    pub by_day: Vec<(Date, OutcomeCounts)>,
    /// Suggestions that nothing was found for.
    pub not_found: u64,
    /// What those asked for, most questions first.
    pub knowledge_gaps: Vec<KnowledgeGap>,
}

impl Ledger {
    /// How suggestions did that were made at `since` or later and before `until`.
    pub fn stats(
        &self,
        tenant: &TenantId,
        since: Option<Timestamp>,
        until: Option<Timestamp>,
    ) -> Result<Stats, LedgerError> {
        let from = since.map_or(i64::MIN, Timestamp::as_millisecond);
        let to = until.map_or(i64::MAX, Timestamp::as_millisecond);
        let mut stats =
            Stats { edit_classes: EditClass::ALL.into_iter().map(|class| (class, 0)).collect(), ..Stats::default() };
        let mut providers = BTreeMap::new();
        let names: BTreeMap<MailboxId, String> =
            self.mailboxes(tenant)?.into_iter().map(|mailbox| (mailbox.id, mailbox.name)).collect();
        let mut sources = BTreeMap::new();
        let mut days = BTreeMap::new();
        {
            let connection = self.reader()?;
            let mut statement = connection.prepare_cached(
                "SELECT provider, source, created / ?4 - (created % ?4 < 0) AS day, kind, edit_class, count(*), sum(found = 0)
                 FROM suggestion LEFT JOIN outcome
                    ON outcome.tenant = suggestion.tenant AND outcome.suggestion = suggestion.id
                 WHERE suggestion.tenant = ?1 AND created >= ?2 AND created < ?3
                 GROUP BY provider, source, day, kind, edit_class",
            )?;
            let mut rows = statement.query(params![tenant.as_str(), from, to, DAY])?;
            while let Some(row) = rows.next()? {
                let kind: Option<String> = row.get(3)?;
                let kind = kind.as_deref();
                let count = row.get::<_, i64>(5)?.cast_unsigned();
                stats.outcomes.add(kind, count)?;
                counts_of(&mut providers, row.get(0)?).add(kind, count)?;
                let source = names.get_key_value(&MailboxId::from_stored(row.get::<_, String>(1)?));
                counts_of(&mut sources, source.map(|(id, name)| (name, id))).add(kind, count)?;
                counts_of(&mut days, row.get::<_, i64>(2)?).add(kind, count)?;
                stats.not_found += row.get::<_, i64>(6)?.cast_unsigned();
                if matches!(kind, Some("accepted" | "edited")) {
                    let class: String = row.get(4)?;
                    let class = EditClass::ALL.into_iter().find(|c| c.as_str() == class);
                    *stats.edit_classes.entry(class.ok_or(LedgerError::Corrupt("outcome"))?).or_default() += count;
                }
            }
        }
        stats.by_provider = most_first(providers);
        stats.by_source = most_first(sources)
            .into_iter()
            .map(|(source, counts)| SourceCounts {
                mailbox: source.map(|(_, id)| id.clone()),
                name: source.map(|(name, _)| name.clone()).unwrap_or_default(),
                counts,
            })
            .collect();
        for (day, counts) in days {
            let begin = time::read(day.saturating_mul(DAY))?;
            stats.by_day.push((jiff::tz::Offset::UTC.to_datetime(begin).date(), counts));
        }
        stats.knowledge_gaps = gaps::group(&self.unfound(tenant, from, to)?);
        Ok(stats)
    }
}

fn counts_of<K: Ord>(counts: &mut BTreeMap<K, OutcomeCounts>, key: K) -> &mut OutcomeCounts {
    counts.entry(key).or_default()
}

fn most_first<K: Ord>(counts: BTreeMap<K, OutcomeCounts>) -> Vec<(K, OutcomeCounts)> {
    let mut all: Vec<(K, OutcomeCounts)> = counts.into_iter().collect();
    // The sort is stable, and names are in order.
    all.sort_by_key(|(_, counts)| std::cmp::Reverse(counts.suggestions()));
    all
}

//! What people made of suggestions, and what is learned from that: reply pairs that later suggestions use, and replies that
//! they avoid.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rejoinder_domain::{MailboxId, MessageId, TenantId};
use rusqlite::{OptionalExtension as _, Row, params};
use serde::{Deserialize, Serialize};

use crate::sealing::place;
use crate::{Ledger, LedgerError, time};

/// What a person did with a draft.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutcomeKind {
    /// Sent it as it was.
    Accepted,
    /// Sent it changed.
    Edited,
    /// Did not send it.
    Rejected,
}

impl OutcomeKind {
    const ALL: [Self; 3] = [Self::Accepted, Self::Edited, Self::Rejected];

    /// The stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Edited => "edited",
            Self::Rejected => "rejected",
        }
    }
}

/// How much of a draft was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EditClass {
    /// Nothing.
    None,
    /// Little.
    Light,
    /// Some.
    Moderate,
    /// Much.
    Heavy,
    /// All of it.
    Rewritten,
}

impl EditClass {
    pub(crate) const ALL: [Self; 5] = [Self::None, Self::Light, Self::Moderate, Self::Heavy, Self::Rewritten];

    /// The stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Light => "light",
            Self::Moderate => "moderate",
            Self::Heavy => "heavy",
            Self::Rewritten => "rewritten",
        }
    }
}

/// What a person made of a suggestion.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// Which draft, from 0.
    pub candidate: u32,
    /// What was done with it.
    pub kind: OutcomeKind,
    /// How much of it was changed.
    pub edit_class: EditClass,
    /// The same as a share of the text, 0 to 1.
    pub edit_ratio: f64,
    /// Why, in the person's words.
    pub reason: Option<String>,
    /// Digest of the text that was sent. The text itself is a message, where something is learned from it.
    pub final_digest: Option<String>,
    /// When it was told.
    pub recorded: Timestamp,
}

impl Outcome {
    /// Whether somebody told the same before; when, and what follows from the text, does not count.
    fn says_the_same(&self, other: &Self) -> bool {
        self.candidate == other.candidate
            && self.kind == other.kind
            && self.reason == other.reason
            && self.final_digest == other.final_digest
    }
}

/// What became of an outcome that was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutcomeRecorded {
    /// It is kept.
    Recorded,
    /// The same was told before; nothing changed.
    Same,
    /// Another one was told before, and stays.
    Conflict,
    /// There is no such suggestion.
    NotFound,
}

/// A reply pair that was made of an outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LearnedPair {
    /// The suggestion.
    pub suggestion: String,
    /// The question, a message of the ledger.
    pub question: MessageId,
    /// The reply as it was sent, a message of the ledger.
    pub reply: MessageId,
    /// The mailbox that holds messages that were made for such pairs. One of the two that no other mailbox holds goes when
    /// the pair does.
    pub mailbox: MailboxId,
}

impl Ledger {
    /// Keeps what a person made of a suggestion. Telling the same again changes nothing; another outcome is refused.
    pub fn record_outcome(
        &self,
        tenant: &TenantId,
        suggestion: &str,
        outcome: &Outcome,
    ) -> Result<OutcomeRecorded, LedgerError> {
        let reason = outcome
            .reason
            .as_ref()
            .map(|reason| self.pack_text(tenant, &place("outcome.reason", &[suggestion]), reason.as_bytes()))
            .transpose()?;
        self.write(|transaction| {
            let key = params![tenant.as_str(), suggestion];
            let is_there: bool = transaction
                .prepare_cached("SELECT EXISTS (SELECT 1 FROM suggestion WHERE tenant = ?1 AND id = ?2)")?
                .query_row(key, |row| row.get(0))?;
            if !is_there {
                return Ok(OutcomeRecorded::NotFound);
            }
            let mut statement = transaction.prepare_cached(
                "SELECT candidate, kind, edit_class, edit_ratio, reason, final_digest, recorded FROM outcome
                 WHERE tenant = ?1 AND suggestion = ?2",
            )?;
            let mut rows = statement.query(key)?;
            if let Some(row) = rows.next()? {
                let known = self.outcome_of(tenant, suggestion, row, 0)?.ok_or(LedgerError::Corrupt("outcome"))?;
                let same = known.says_the_same(outcome);
                return Ok(if same { OutcomeRecorded::Same } else { OutcomeRecorded::Conflict });
            }
            transaction
                .prepare_cached(
                    "INSERT INTO outcome (tenant, suggestion, candidate, kind, edit_class, edit_ratio, reason, final_digest,
                        recorded) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
                )?
                .execute(params![
                    tenant.as_str(),
                    suggestion,
                    outcome.candidate,
                    outcome.kind.as_str(),
                    outcome.edit_class.as_str(),
                    // What is no number counts as no edit.
                    if outcome.edit_ratio.is_nan() { 0.0 } else { outcome.edit_ratio.clamp(0.0, 1.0) },
                    reason,
                    outcome.final_digest,
                    outcome.recorded.as_millisecond(),
                ])?;
            Ok(OutcomeRecorded::Recorded)
        })
    }

    /// Ties a suggestion to the reply pair that was made of its outcome. Returns whether it is kept: not where suggestion or one
    /// of the messages is not there any more. Telling it again replaces it.
    pub fn record_learned(&self, tenant: &TenantId, pair: &LearnedPair) -> Result<bool, LedgerError> {
        self.write(|transaction| {
            let kept = transaction
                .prepare_cached(
                    "INSERT OR REPLACE INTO learned (tenant, suggestion, question, reply, mailbox)
                     SELECT ?1, ?2, ?3, ?4, ?5 WHERE EXISTS (SELECT 1 FROM suggestion WHERE tenant = ?1 AND id = ?2)
                        AND EXISTS (SELECT 1 FROM message WHERE tenant = ?1 AND id = ?3)
                        AND EXISTS (SELECT 1 FROM message WHERE tenant = ?1 AND id = ?4)",
                )?
                .execute(params![
                    tenant.as_str(),
                    pair.suggestion,
                    pair.question.as_str(),
                    pair.reply.as_str(),
                    pair.mailbox.as_str(),
                ])?;
            Ok(kept > 0)
        })
    }

    /// The pair that was learned from a suggestion.
    pub fn learned(&self, tenant: &TenantId, suggestion: &str) -> Result<Option<LearnedPair>, LedgerError> {
        let pair = self
            .reader()?
            .prepare_cached("SELECT question, reply, mailbox FROM learned WHERE tenant = ?1 AND suggestion = ?2")?
            .query_row(params![tenant.as_str(), suggestion], |row| {
                Ok(LearnedPair {
                    suggestion: suggestion.to_owned(),
                    question: MessageId::from_stored(row.get::<_, String>(0)?),
                    reply: MessageId::from_stored(row.get::<_, String>(1)?),
                    mailbox: MailboxId::from_stored(row.get::<_, String>(2)?),
                })
            })
            .optional()?;
        Ok(pair)
    }

    /// Notes that the drafts which a person rejected rested on these replies. Returns how many of them are noted: not those that
    /// are not there any more, and none where the suggestion is not.
    pub fn record_rejected(
        &self,
        tenant: &TenantId,
        suggestion: &str,
        replies: &[MessageId],
        at: Timestamp,
    ) -> Result<u64, LedgerError> {
        self.write(|transaction| {
            let mut noted = 0;
            for reply in replies {
                noted += transaction
                    .prepare_cached(
                        "INSERT OR IGNORE INTO rejected (tenant, reply, suggestion, ticket, at)
                         SELECT ?1, ?3, ?2, ticket, ?4 FROM suggestion WHERE tenant = ?1 AND id = ?2
                            AND EXISTS (SELECT 1 FROM message WHERE tenant = ?1 AND id = ?3)",
                    )?
                    .execute(params![tenant.as_str(), suggestion, reply.as_str(), at.as_millisecond()])?;
            }
            Ok(noted as u64)
        })
    }

    /// How many times each of these replies was rejected; those that never were are not in it.
    pub fn rejections(
        &self,
        tenant: &TenantId,
        replies: &[MessageId],
    ) -> Result<BTreeMap<MessageId, u64>, LedgerError> {
        let connection = self.reader()?;
        let mut statement =
            connection.prepare_cached("SELECT count(*) FROM rejected WHERE tenant = ?1 AND reply = ?2")?;
        let mut counts = BTreeMap::new();
        for reply in replies {
            let count: i64 = statement.query_row(params![tenant.as_str(), reply.as_str()], |row| row.get(0))?;
            if count > 0 {
                counts.insert(reply.clone(), count.cast_unsigned());
            }
        }
        Ok(counts)
    }

    /// The replies that were rejected for a ticket, by id.
    pub fn rejected_for(&self, tenant: &TenantId, ticket: &str) -> Result<Vec<MessageId>, LedgerError> {
        let connection = self.reader()?;
        let mut statement = connection
            .prepare_cached("SELECT DISTINCT reply FROM rejected WHERE tenant = ?1 AND ticket = ?2 ORDER BY reply")?;
        let rows = statement
            .query_map(params![tenant.as_str(), ticket], |row| Ok(MessageId::from_stored(row.get::<_, String>(0)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// From seven columns, the first of them at `first`; `None` where they are `NULL`.
    pub(crate) fn outcome_of(
        &self,
        tenant: &TenantId,
        suggestion: &str,
        row: &Row<'_>,
        first: usize,
    ) -> Result<Option<Outcome>, LedgerError> {
        let Some(candidate) = row.get(first)? else { return Ok(None) };
        let (kind, class): (String, String) = (row.get(first + 1)?, row.get(first + 2)?);
        let reason: Option<Vec<u8>> = row.get(first + 4)?;
        let damaged = || LedgerError::Corrupt("outcome");
        Ok(Some(Outcome {
            candidate,
            kind: OutcomeKind::ALL.into_iter().find(|k| k.as_str() == kind).ok_or_else(damaged)?,
            edit_class: EditClass::ALL.into_iter().find(|c| c.as_str() == class).ok_or_else(damaged)?,
            edit_ratio: row.get(first + 3)?,
            reason: reason
                .map(|packed| {
                    let text = self.unpack_text(tenant, &place("outcome.reason", &[suggestion]), packed)?;
                    String::from_utf8(text).map_err(|_| LedgerError::Corrupt("reason"))
                })
                .transpose()?,
            final_digest: row.get(first + 5)?,
            recorded: time::read(row.get(first + 6)?)?,
        }))
    }
}

//! The third phase: what the vector store of an index version holds, and what it still lacks.

use rejoinder_domain::{MessageId, TenantId};
use rusqlite::params;

use crate::{Ledger, LedgerError};

/// What is written to the vector store as a whole: the passages of a message, or one reply pair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    /// The message; of a pair the question.
    pub message: MessageId,
    /// The reply, for a pair.
    pub reply: Option<MessageId>,
    /// Digest of what the records were made for.
    pub stamp: String,
    /// How many records it has.
    pub records: u32,
}

/// A unit that the vector store holds, or may hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredUnit {
    /// The message; of a pair the question.
    pub message: MessageId,
    /// The reply, for a pair.
    pub reply: Option<MessageId>,
    /// How many records it has.
    pub records: u32,
}

/// A reply pair that is not in the index, or not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingPair {
    /// The question.
    pub question: MessageId,
    /// The reply.
    pub reply: MessageId,
    /// Digest to be confirmed.
    pub stamp: String,
}

impl Ledger {
    /// Up to `limit` messages whose passages the index lacks or holds outdated, with their stamps, in order of their ids,
    /// after `after`.
    pub fn pending_messages(
        &self,
        tenant: &TenantId,
        version: &str,
        after: Option<&MessageId>,
        limit: u32,
    ) -> Result<Vec<(MessageId, String)>, LedgerError> {
        let connection = self.reader()?;
        let mut statement = connection.prepare_cached(
            "SELECT message.id, message.stamp FROM message LEFT JOIN unit
                ON unit.tenant = ?1 AND unit.version = ?2 AND unit.message = message.id AND unit.reply = ''
             WHERE message.tenant = ?1 AND message.id > ?3 AND message.gone = 0 AND message.stamp IS NOT NULL
                AND unit.stamp IS NOT message.stamp
             ORDER BY message.id LIMIT ?4",
        )?;
        let after = after.map(MessageId::as_str).unwrap_or_default();
        let rows = statement.query_map(params![tenant.as_str(), version, after, limit], |row| {
            Ok((MessageId::from_stored(row.get::<_, String>(0)?), row.get(1)?))
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The same for reply pairs, in order of question and reply.
    pub fn pending_pairs(
        &self,
        tenant: &TenantId,
        version: &str,
        after: Option<&PendingPair>,
        limit: u32,
    ) -> Result<Vec<PendingPair>, LedgerError> {
        let connection = self.reader()?;
        let mut statement = connection.prepare_cached(
            "SELECT pair.question, pair.reply, pair.stamp FROM pair LEFT JOIN unit
                ON unit.tenant = ?1 AND unit.version = ?2 AND unit.message = pair.question AND unit.reply = pair.reply
             WHERE pair.tenant = ?1 AND (pair.question, pair.reply) > (?3, ?4) AND unit.stamp IS NOT pair.stamp
             ORDER BY pair.question, pair.reply LIMIT ?5",
        )?;
        let (question, reply) = after.map_or(("", ""), |pair| (pair.question.as_str(), pair.reply.as_str()));
        let rows = statement.query_map(params![tenant.as_str(), version, question, reply, limit], |row| {
            Ok(PendingPair {
                question: MessageId::from_stored(row.get::<_, String>(0)?),
                reply: MessageId::from_stored(row.get::<_, String>(1)?),
                stamp: row.get(2)?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// How many messages and how many pairs are pending.
    pub fn count_pending(&self, tenant: &TenantId, version: &str) -> Result<(u64, u64), LedgerError> {
        let connection = self.reader()?;
        let counts: (i64, i64) = connection.query_row(
            "SELECT
                (SELECT count(*) FROM message LEFT JOIN unit
                    ON unit.tenant = ?1 AND unit.version = ?2 AND unit.message = message.id AND unit.reply = ''
                 WHERE message.tenant = ?1 AND message.gone = 0 AND unit.stamp IS NOT ifnull(message.stamp, '')),
                (SELECT count(*) FROM pair LEFT JOIN unit
                    ON unit.tenant = ?1 AND unit.version = ?2 AND unit.message = pair.question AND unit.reply = pair.reply
                 WHERE pair.tenant = ?1 AND unit.stamp IS NOT pair.stamp)",
            params![tenant.as_str(), version],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?;
        Ok((counts.0.cast_unsigned(), counts.1.cast_unsigned()))
    }

    /// Up to `limit` units that the store holds, or may hold, of messages and pairs that are no more.
    pub fn stale_units(&self, tenant: &TenantId, version: &str, limit: u32) -> Result<Vec<StoredUnit>, LedgerError> {
        let connection = self.reader()?;
        let mut statement = connection.prepare_cached(
            "SELECT message, reply, records FROM unit WHERE tenant = ?1 AND version = ?2 AND (
                (reply = '' AND NOT EXISTS
                    (SELECT 1 FROM message WHERE message.tenant = ?1 AND message.id = unit.message AND gone = 0))
                OR (reply <> '' AND NOT EXISTS
                    (SELECT 1 FROM pair WHERE pair.tenant = ?1 AND question = unit.message AND pair.reply = unit.reply)))
             ORDER BY message, reply LIMIT ?3",
        )?;
        let rows = statement.query_map(params![tenant.as_str(), version, limit], stored_unit)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Up to `limit` units that another index version left behind, with that version and the number of records that this
    /// version has in their place: the records from that ordinal on are not overwritten by this version's.
    pub fn superseded_units(
        &self,
        tenant: &TenantId,
        version: &str,
        limit: u32,
    ) -> Result<Vec<(String, StoredUnit, u32)>, LedgerError> {
        let connection = self.reader()?;
        let mut statement = connection.prepare_cached(
            "SELECT old.message, old.reply, old.records, old.version, ifnull(new.records, 0) FROM unit AS old
             LEFT JOIN unit AS new ON new.tenant = ?1 AND new.version = ?2 AND new.message = old.message
                AND new.reply = old.reply
             WHERE old.tenant = ?1 AND old.version <> ?2 ORDER BY old.version, old.message, old.reply LIMIT ?3",
        )?;
        let rows = statement.query_map(params![tenant.as_str(), version, limit], |row| {
            Ok((row.get(3)?, stored_unit(row)?, row.get(4)?))
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Announces that records of these units are about to be written to the vector store. From here until
    /// [`Ledger::confirm`] the store may or may not hold them, and they count as pending.
    pub fn intend(&self, tenant: &TenantId, version: &str, units: &[Unit]) -> Result<(), LedgerError> {
        self.write_units(tenant, version, units, false)
    }

    /// Says that the vector store holds all records of these units.
    pub fn confirm(&self, tenant: &TenantId, version: &str, units: &[Unit]) -> Result<(), LedgerError> {
        self.write_units(tenant, version, units, true)
    }

    /// Says that the vector store no longer holds these units.
    pub fn forget(&self, tenant: &TenantId, version: &str, units: &[StoredUnit]) -> Result<(), LedgerError> {
        self.write(|transaction| {
            let mut statement = transaction.prepare_cached(
                "DELETE FROM unit WHERE tenant = ?1 AND version = ?2 AND message = ?3 AND reply = ?4",
            )?;
            for unit in units {
                let reply = unit.reply.as_ref().map(MessageId::as_str).unwrap_or_default();
                statement.execute(params![tenant.as_str(), version, unit.message.as_str(), reply])?;
            }
            Ok(())
        })
    }

    fn write_units(
        &self,
        tenant: &TenantId,
        version: &str,
        units: &[Unit],
        confirmed: bool,
    ) -> Result<(), LedgerError> {
        self.write(|transaction| {
            let mut statement = transaction.prepare_cached(
                "INSERT INTO unit (tenant, version, message, reply, stamp, records) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                 ON CONFLICT DO UPDATE SET stamp = excluded.stamp, records = excluded.records",
            )?;
            for unit in units {
                statement.execute(params![
                    tenant.as_str(),
                    version,
                    unit.message.as_str(),
                    unit.reply.as_ref().map(MessageId::as_str).unwrap_or_default(),
                    confirmed.then_some(unit.stamp.as_str()),
                    unit.records,
                ])?;
            }
            Ok(())
        })
    }
}

/// From the columns message, reply and records, in this order.
fn stored_unit(row: &rusqlite::Row<'_>) -> rusqlite::Result<StoredUnit> {
    Ok(StoredUnit {
        message: MessageId::from_stored(row.get::<_, String>(0)?),
        reply: Some(row.get::<_, String>(1)?).filter(|id| !id.is_empty()).map(MessageId::from_stored),
        records: row.get(2)?,
    })
}

//! What is older than it may be.
//!
//! Messages are only named here: whoever keeps the vector store erases them, by [`Ledger::erase_messages`] and there.

use jiff::Timestamp;
use rejoinder_domain::{MessageId, TenantId};
use rusqlite::params;

use crate::{Ledger, LedgerError};

/// Rows that one transaction deletes at most, so that others need not wait long for it.
const DELETED_AT_ONCE: u32 = 2000;

impl Ledger {
    /// Every tenant of which there is anything that retention is about.
    pub fn tenants(&self) -> Result<Vec<TenantId>, LedgerError> {
        let connection = self.reader()?;
        let mut tenants = std::collections::BTreeSet::new();
        for table in ["mailbox", "message", "suggestion", "job", "idempotency"] {
            // One step of the index per tenant, however many rows there are.
            let mut statement =
                connection.prepare_cached(&format!("SELECT min(tenant) FROM {table} WHERE tenant > ?1"))?;
            let mut last = String::new();
            while let Some(tenant) = statement.query_row([&last], |row| row.get::<_, Option<String>>(0))? {
                tenants.insert(TenantId::new(tenant.as_str()).map_err(|_| LedgerError::Corrupt("tenant"))?);
                last = tenant;
            }
        }
        Ok(tenants.into_iter().collect())
    }

    /// Up to `limit` messages that are older than `time`, oldest first, those included that no mailbox holds any more. A message
    /// is as old as its date says; one without a date, or that claims to be of the future, as old as its first reading. Erase
    /// what is given and ask again until nothing is.
    pub fn messages_before(
        &self,
        tenant: &TenantId,
        time: Timestamp,
        limit: u32,
    ) -> Result<Vec<MessageId>, LedgerError> {
        let connection = self.reader()?;
        let mut statement = connection
            .prepare_cached("SELECT id FROM message WHERE tenant = ?1 AND dated < ?2 ORDER BY dated, id LIMIT ?3")?;
        let rows = statement.query_map(params![tenant.as_str(), time.as_millisecond(), limit], |row| {
            Ok(MessageId::from_stored(row.get::<_, String>(0)?))
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// How many messages and how many suggestions are older than `time`.
    pub fn count_before(&self, tenant: &TenantId, time: Timestamp) -> Result<(u64, u64), LedgerError> {
        let connection = self.reader()?;
        let counts: (i64, i64) = connection.query_row(
            "SELECT (SELECT count(*) FROM message WHERE tenant = ?1 AND dated < ?2),
                (SELECT count(*) FROM suggestion WHERE tenant = ?1 AND created < ?2)",
            params![tenant.as_str(), time.as_millisecond()],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?;
        Ok((counts.0.cast_unsigned(), counts.1.cast_unsigned()))
    }

    /// Deletes suggestions that are older than `time`, with their outcomes, answers that repeat them and what was noted of their
    /// tickets. Pairs that were learned and replies that were rejected stay: they go with their messages. Freed pages are
    /// overwritten and the write-ahead log is emptied.
    pub fn delete_suggestions_before(&self, tenant: &TenantId, time: Timestamp) -> Result<u64, LedgerError> {
        let key = params![tenant.as_str(), time.as_millisecond(), DELETED_AT_ONCE];
        let mut all = 0;
        loop {
            let some = self.write(|transaction| {
                Ok(transaction.execute(
                    "DELETE FROM suggestion WHERE tenant = ?1 AND id IN
                        (SELECT id FROM suggestion WHERE tenant = ?1 AND created < ?2 ORDER BY created LIMIT ?3)",
                    key,
                )?)
            })?;
            all += some as u64;
            if some == 0 {
                break;
            }
        }
        self.write(|transaction| {
            let old = params![tenant.as_str(), time.as_millisecond()];
            transaction.execute(
                "DELETE FROM idempotency WHERE tenant = ?1 AND began < ?2 AND status IS NOT NULL AND holds_text = 1",
                old,
            )?;
            transaction.execute(
                "DELETE FROM ticket_state WHERE tenant = ?1 AND at < ?2 AND NOT EXISTS
                    (SELECT 1 FROM suggestion WHERE suggestion.tenant = ?1 AND suggestion.ticket = ticket_state.ticket)",
                old,
            )?;
            Ok(())
        })?;
        if all > 0 {
            self.truncate_log()?;
        }
        Ok(all)
    }
}

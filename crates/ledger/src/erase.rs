//! Erasure by message, mailbox, suggestion and tenant. Freed pages are overwritten and the write-ahead log is emptied.
//!
//! What rests on a message goes with it: suggestions that cite it, their outcomes, what was learned from them, and stored
//! answers to repeated requests (all of the tenant that can hold words of a message, since these do not tell on which they
//! rest).
//!
//! The caller erases the vector store afterwards. What it is to be rid of is kept here until [`Ledger::erased_from_store`] says
//! that it was, so that neither a store that fails nor a crash between the two leaves anything behind.

use std::collections::HashSet;

use rejoinder_domain::{EraseScope, MailboxId, MessageId, TenantId};
use rusqlite::{Transaction, params};

use crate::reading::let_go;
use crate::{Ledger, LedgerError};

/// What an erasure removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Erased {
    /// The messages, to be erased from the vector store as well; among them those that existed only as pairs learned from
    /// suggestions which are erased.
    pub messages: Vec<MessageId>,
    /// Suggestions that rested on one of them.
    pub suggestions: u64,
    /// Their outcomes.
    pub outcomes: u64,
    /// Reply pairs that were learned from them.
    pub learned: u64,
}

impl Ledger {
    /// Erases messages, everything made of them, and suggestions that cite them. Their ids stay as tombstones: when such a
    /// message comes by again, it is skipped with a reason.
    pub fn erase_messages(&self, tenant: &TenantId, messages: &[MessageId]) -> Result<Erased, LedgerError> {
        self.erase_all(tenant, messages, &[])
    }

    /// Erases suggestions, their outcomes and what was learned from them. Ids that are not there are passed over.
    pub fn erase_suggestions(&self, tenant: &TenantId, suggestions: &[String]) -> Result<Erased, LedgerError> {
        self.erase_all(tenant, &[], suggestions)
    }

    pub(crate) fn erase_all(
        &self,
        tenant: &TenantId,
        messages: &[MessageId],
        suggestions: &[String],
    ) -> Result<Erased, LedgerError> {
        let erased = self.write(|transaction| {
            let mut erasing = Eraser::new(transaction, tenant);
            for suggestion in suggestions {
                erasing.suggestion(suggestion)?;
            }
            for message in messages {
                erasing.message(message, true)?;
            }
            erasing.end()
        })?;
        self.truncate_log()?;
        Ok(erased)
    }

    /// Erases a mailbox and every message that no other mailbox holds. Ingesting it again takes it in again. Run the
    /// pipeline without paths afterwards: the records of messages that other mailboxes hold still name this one.
    pub fn erase_mailbox(&self, tenant: &TenantId, mailbox: &MailboxId) -> Result<Erased, LedgerError> {
        let erased = self.write(|transaction| {
            let key = params![tenant.as_str(), mailbox.as_str()];
            transaction.execute_batch(
                "CREATE TEMP TABLE IF NOT EXISTS affected (id TEXT PRIMARY KEY); DELETE FROM affected;",
            )?;
            transaction.execute(
                "INSERT OR IGNORE INTO affected
                    SELECT message FROM item WHERE tenant = ?1 AND mailbox = ?2 AND message IS NOT NULL",
                key,
            )?;
            transaction.execute("DELETE FROM item WHERE tenant = ?1 AND mailbox = ?2", key)?;
            transaction.execute("DELETE FROM mailbox WHERE tenant = ?1 AND id = ?2", key)?;
            let_go(transaction, tenant)?;
            let gone: Vec<String> = transaction
                .prepare("SELECT id FROM message WHERE tenant = ?1 AND gone = 1 AND id IN (SELECT id FROM affected)")?
                .query_map([tenant.as_str()], |row| row.get(0))?
                .collect::<Result<_, _>>()?;
            let mut erasing = Eraser::new(transaction, tenant);
            for message in gone.into_iter().map(MessageId::from_stored) {
                erasing.message(&message, false)?;
            }
            let erased = erasing.end()?;
            transaction.execute("DELETE FROM affected", [])?;
            Ok(erased)
        })?;
        self.truncate_log()?;
        Ok(erased)
    }

    /// Erases everything of the tenant but the note that the vector store is to be rid of it.
    pub fn erase_tenant(&self, tenant: &TenantId) -> Result<(), LedgerError> {
        self.write(|transaction| {
            for table in [
                "learned",
                "rejected",
                "outcome",
                "suggestion_message",
                "suggestion",
                "ticket_state",
                "idempotency",
                "job_mailbox",
                "job",
                "loss",
                "item",
                "pair",
                "unit",
                "content",
                "message",
                "mailbox",
                "erased",
                "run",
                // Without its keys nothing that was kept of the tenant elsewhere can be read either.
                "data_key",
                "unerased",
            ] {
                transaction.execute(&format!("DELETE FROM {table} WHERE tenant = ?1"), [tenant.as_str()])?;
            }
            transaction.execute("INSERT INTO unerased VALUES (?1, '')", [tenant.as_str()])?;
            Ok(())
        })?;
        self.sealer.forget(tenant);
        self.truncate_log()
    }

    /// What was erased here and has not been erased from the vector store yet, as far as is known.
    pub fn to_erase(&self, tenant: &TenantId) -> Result<Option<EraseScope>, LedgerError> {
        let connection = self.reader()?;
        let mut statement =
            connection.prepare_cached("SELECT message FROM unerased WHERE tenant = ?1 ORDER BY message")?;
        let rows = statement.query_map([tenant.as_str()], |row| row.get(0))?;
        let messages: Vec<String> = rows.collect::<Result<_, _>>()?;
        Ok(match messages.first() {
            None => None,
            Some(first) if first.is_empty() => Some(EraseScope::Tenant),
            Some(_) => Some(EraseScope::Messages(messages.into_iter().map(MessageId::from_stored).collect())),
        })
    }

    /// The tenants of which something is to be erased from the vector store.
    pub fn tenants_to_erase(&self) -> Result<Vec<TenantId>, LedgerError> {
        let connection = self.reader()?;
        let mut statement = connection.prepare_cached("SELECT DISTINCT tenant FROM unerased ORDER BY tenant")?;
        let rows = statement.query_map([], |row| row.get::<_, String>(0))?;
        rows.map(|tenant| TenantId::new(tenant?.as_str()).map_err(|_| LedgerError::Corrupt("tenant"))).collect()
    }

    /// Says that the vector store holds nothing any more of what [`Ledger::to_erase`] told. To be called under the tenant's
    /// writing lock, which was held since: what came again in between is pending.
    pub fn erased_from_store(&self, tenant: &TenantId, scope: &EraseScope) -> Result<(), LedgerError> {
        self.write(|transaction| {
            let EraseScope::Messages(messages) = scope else {
                for table in ["unerased", "unit"] {
                    transaction.execute(&format!("DELETE FROM {table} WHERE tenant = ?1"), [tenant.as_str()])?;
                }
                return Ok(());
            };
            let mut done = transaction.prepare_cached("DELETE FROM unerased WHERE tenant = ?1 AND message = ?2")?;
            transaction.execute_batch(
                "CREATE TEMP TABLE IF NOT EXISTS affected (id TEXT PRIMARY KEY); DELETE FROM affected;",
            )?;
            let mut note = transaction.prepare_cached("INSERT OR IGNORE INTO affected VALUES (?1)")?;
            for message in messages {
                done.execute(params![tenant.as_str(), message.as_str()])?;
                note.execute([message.as_str()])?;
            }
            transaction.execute(
                "DELETE FROM unit WHERE tenant = ?1
                    AND (message IN (SELECT id FROM affected) OR reply IN (SELECT id FROM affected))",
                [tenant.as_str()],
            )?;
            transaction.execute("DELETE FROM affected", [])?;
            Ok(())
        })
    }
}

/// Erases one thing after the other inside one transaction, and what rests on each.
struct Eraser<'a> {
    transaction: &'a Transaction<'a>,
    tenant: &'a TenantId,
    /// Messages that were made for learned pairs which are gone.
    further: Vec<MessageId>,
    seen: HashSet<MessageId>,
    erased: Erased,
}

impl<'a> Eraser<'a> {
    fn new(transaction: &'a Transaction<'a>, tenant: &'a TenantId) -> Self {
        Self { transaction, tenant, further: Vec::new(), seen: HashSet::new(), erased: Erased::default() }
    }

    /// Erases a message; `for_good` leaves a tombstone.
    fn message(&mut self, message: &MessageId, for_good: bool) -> Result<(), LedgerError> {
        if !self.seen.insert(message.clone()) {
            return Ok(());
        }
        let key = params![self.tenant.as_str(), message.as_str()];
        for suggestion in self.suggestions_on(message)? {
            self.suggestion(&suggestion)?;
        }
        if for_good {
            self.transaction.prepare_cached("INSERT OR IGNORE INTO erased VALUES (?1, ?2)")?.execute(key)?;
            self.transaction
                .prepare_cached(
                    "DELETE FROM loss WHERE tenant = ?1 AND (mailbox, generation, position) IN
                        (SELECT mailbox, generation, position FROM item WHERE tenant = ?1 AND message = ?2)",
                )?
                .execute(key)?;
            self.transaction
                .prepare_cached(
                    "UPDATE item SET outcome = 'skipped', reason = 'erased on request', message = NULL, losses = 0
                     WHERE tenant = ?1 AND message = ?2",
                )?
                .execute(key)?;
        }
        for statement in [
            "UPDATE message SET parent = NULL WHERE tenant = ?1 AND parent = ?2",
            "DELETE FROM pair WHERE tenant = ?1 AND question = ?2",
            "DELETE FROM pair WHERE tenant = ?1 AND reply = ?2",
        ] {
            self.transaction.prepare_cached(statement)?.execute(key)?;
        }
        // Content and rejections go by their foreign keys.
        let removed =
            self.transaction.prepare_cached("DELETE FROM message WHERE tenant = ?1 AND id = ?2")?.execute(key)?;
        if removed > 0 {
            self.transaction.prepare_cached("INSERT OR IGNORE INTO unerased VALUES (?1, ?2)")?.execute(key)?;
            self.erased.messages.push(message.clone());
        }
        Ok(())
    }

    /// Suggestions that cite the message, or that a pair was learned from which it is part of. The pair's suggestion may be gone.
    fn suggestions_on(&self, message: &MessageId) -> Result<Vec<String>, LedgerError> {
        let mut statement = self.transaction.prepare_cached(
            "SELECT suggestion FROM suggestion_message WHERE tenant = ?1 AND message = ?2
             UNION SELECT suggestion FROM learned WHERE tenant = ?1 AND question = ?2
             UNION SELECT suggestion FROM learned WHERE tenant = ?1 AND reply = ?2",
        )?;
        let rows = statement.query_map(params![self.tenant.as_str(), message.as_str()], |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Erases a suggestion; messages that exist only as its learned pair are noted to be erased.
    fn suggestion(&mut self, suggestion: &str) -> Result<(), LedgerError> {
        let key = params![self.tenant.as_str(), suggestion];
        let mut own = self.transaction.prepare_cached(
            "SELECT message.id FROM learned JOIN message
                ON message.tenant = ?1 AND message.id IN (learned.question, learned.reply)
             WHERE learned.tenant = ?1 AND learned.suggestion = ?2 AND NOT EXISTS
                (SELECT 1 FROM item WHERE item.tenant = ?1 AND item.message = message.id AND item.mailbox <> learned.mailbox)",
        )?;
        let rows = own.query_map(key, |row| Ok(MessageId::from_stored(row.get::<_, String>(0)?)))?;
        self.further.extend(rows.collect::<Result<Vec<_>, _>>()?);
        let delete = |table: &str, column: &str| -> Result<u64, LedgerError> {
            let statement = format!("DELETE FROM {table} WHERE tenant = ?1 AND {column} = ?2");
            Ok(self.transaction.prepare_cached(&statement)?.execute(key)? as u64)
        };
        let learned = delete("learned", "suggestion")?;
        delete("rejected", "suggestion")?;
        let outcomes = delete("outcome", "suggestion")?;
        let suggestions = delete("suggestion", "id")?;
        self.erased.learned += learned;
        self.erased.outcomes += outcomes;
        self.erased.suggestions += suggestions;
        Ok(())
    }

    /// Erases what the erasures before left over.
    fn end(mut self) -> Result<Erased, LedgerError> {
        while let Some(message) = self.further.pop() {
            self.message(&message, true)?;
        }
        let tenant = [self.tenant.as_str()];
        self.transaction
            .execute("DELETE FROM idempotency WHERE tenant = ?1 AND status IS NOT NULL AND holds_text = 1", tenant)?;
        // What is being worked on may rest on what is gone now.
        self.transaction.execute("UPDATE idempotency SET void = 1 WHERE tenant = ?1 AND status IS NULL", tenant)?;
        Ok(self.erased)
    }
}

//! Erasure by message, mailbox and tenant. Freed pages are overwritten and the write-ahead log is emptied.
//!
//! The vector store is erased by the caller, before or after: units of erased messages stay announced here until the next
//! ingest has deleted them from the store too, so that a crash between the two leaves nothing behind.

use std::collections::HashSet;

use rejoinder_domain::{MailboxId, MessageId, TenantId};
use rusqlite::{Transaction, params};

use crate::reading::let_go;
use crate::{Ledger, LedgerError};

/// What an erasure removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Erased {
    /// The messages, to be erased from the vector store as well.
    pub messages: Vec<MessageId>,
    /// Stored suggestions that cited one of them.
    pub suggestions: u64,
}

impl Ledger {
    /// Erases messages, everything made of them, and suggestions that cite them. Their ids stay as tombstones: when such a
    /// message comes by again, it is skipped with a reason.
    pub fn erase_messages(&self, tenant: &TenantId, messages: &[MessageId]) -> Result<Erased, LedgerError> {
        let erased = self.write(|transaction| {
            let mut erased = Erased::default();
            for message in messages {
                let key = params![tenant.as_str(), message.as_str()];
                transaction.prepare_cached("INSERT OR IGNORE INTO erased VALUES (?1, ?2)")?.execute(key)?;
                transaction
                    .prepare_cached(
                        "DELETE FROM loss WHERE tenant = ?1 AND (mailbox, generation, position) IN
                            (SELECT mailbox, generation, position FROM item WHERE tenant = ?1 AND message = ?2)",
                    )?
                    .execute(key)?;
                transaction
                    .prepare_cached(
                        "UPDATE item SET outcome = 'skipped', reason = 'erased on request', message = NULL, losses = 0
                         WHERE tenant = ?1 AND message = ?2",
                    )?
                    .execute(key)?;
                remove(transaction, tenant, message, &mut erased)?;
            }
            erased.suggestions = remove_suggestions(transaction, tenant, messages)?;
            Ok(erased)
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
            let mut erased = Erased::default();
            for message in gone.into_iter().map(MessageId::from_stored) {
                remove(transaction, tenant, &message, &mut erased)?;
            }
            erased.suggestions = remove_suggestions(transaction, tenant, &erased.messages)?;
            transaction.execute("DELETE FROM affected", [])?;
            Ok(erased)
        })?;
        self.truncate_log()?;
        Ok(erased)
    }

    /// Erases everything of the tenant. The caller erases the tenant from the vector store.
    pub fn erase_tenant(&self, tenant: &TenantId) -> Result<(), LedgerError> {
        self.write(|transaction| {
            for table in
                ["loss", "item", "pair", "unit", "content", "message", "mailbox", "erased", "run", "suggestion"]
            {
                transaction.execute(&format!("DELETE FROM {table} WHERE tenant = ?1"), [tenant.as_str()])?;
            }
            Ok(())
        })?;
        self.truncate_log()
    }
}

/// Removes a message that no item refers to any more.
fn remove(
    transaction: &Transaction<'_>,
    tenant: &TenantId,
    message: &MessageId,
    erased: &mut Erased,
) -> Result<(), LedgerError> {
    let key = params![tenant.as_str(), message.as_str()];
    let removed = transaction.prepare_cached("DELETE FROM message WHERE tenant = ?1 AND id = ?2")?.execute(key)?;
    transaction.prepare_cached("UPDATE message SET parent = NULL WHERE tenant = ?1 AND parent = ?2")?.execute(key)?;
    transaction.prepare_cached("DELETE FROM pair WHERE tenant = ?1 AND question = ?2")?.execute(key)?;
    transaction.prepare_cached("DELETE FROM pair WHERE tenant = ?1 AND reply = ?2")?.execute(key)?;
    if removed > 0 {
        erased.messages.push(message.clone());
    }
    Ok(())
}

/// Removes the suggestions that name one of the messages. One reading of all of them serves for all messages.
fn remove_suggestions(
    transaction: &Transaction<'_>,
    tenant: &TenantId,
    messages: &[MessageId],
) -> Result<u64, LedgerError> {
    let erased: HashSet<&str> = messages.iter().map(MessageId::as_str).collect();
    let mut removed = 0;
    let mut suggestions = transaction.prepare("SELECT id, body FROM suggestion WHERE tenant = ?1")?;
    let mut rows = suggestions.query([tenant.as_str()])?;
    let mut found: Vec<String> = Vec::new();
    while let Some(row) = rows.next()? {
        if names_one_of(row.get_ref(1)?.as_str().unwrap_or_default(), &erased) {
            found.push(row.get(0)?);
        }
    }
    for id in found {
        removed += transaction
            .execute("DELETE FROM suggestion WHERE tenant = ?1 AND id = ?2", params![tenant.as_str(), id])?;
    }
    Ok(removed as u64)
}

/// Whether the text has the id of one of the messages in it: the prefix and 32 hexadecimal digits.
fn names_one_of(text: &str, messages: &HashSet<&str>) -> bool {
    const LENGTH: usize = "msg_".len() + 32;
    text.match_indices("msg_").any(|(at, _)| text.get(at..at + LENGTH).is_some_and(|id| messages.contains(id)))
}

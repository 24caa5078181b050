//! One message at a time, beside whatever else writes for the same tenant.
//!
//! An ingest threads all messages at once and fills the index for hours; a single message must not wait for that. Whoever
//! changes conversations, or writes to the vector store, holds the tenant's writing lock for as long as one such step takes,
//! and makes sure under it that what it is about to write is still what the ledger asks for ([`Ledger::is_current`]).

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};

use rejoinder_domain::{Direction, MailboxId, MessageId, TenantId, ThreadId};
use rusqlite::{OptionalExtension as _, params};

use crate::content::direction_name;
use crate::{Ledger, LedgerError, PendingPair, ReadCounts, StoredUnit, Unit};

/// Held for one step of writing for a tenant. The operating system lets go of it when the process dies.
#[derive(Debug)]
pub struct WritingLock {
    /// Also holds a number that changes whenever what is known of the tenant's conversations by heart is out of date.
    file: File,
}

impl WritingLock {
    /// The revision of the tenant's messages: as long as it stays the same, none was added or removed but one by one.
    pub fn revision(&mut self) -> Result<u64, LedgerError> {
        let mut bytes = [0; 8];
        self.file.seek(SeekFrom::Start(0))?;
        match self.file.read_exact(&mut bytes) {
            Ok(()) => Ok(u64::from_le_bytes(bytes)),
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(0),
            Err(error) => Err(error.into()),
        }
    }

    /// Says that messages were threaded anew or erased: whoever knows conversations by heart has to read them again. It need
    /// not outlive a crash, since neither does what is known by heart.
    pub fn advance(&mut self) -> Result<(), LedgerError> {
        let next = self.revision()?.wrapping_add(1);
        self.file.seek(SeekFrom::Start(0))?;
        Ok(self.file.write_all(&next.to_le_bytes())?)
    }
}

/// What the ledger knows of a message that is about to come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is the answer to a question of its own")]
pub struct Standing {
    /// It was erased for good.
    pub erased: bool,
    /// Some mailbox holds it.
    pub known: bool,
    /// The mailbox that was asked about holds it.
    pub in_mailbox: bool,
    /// Its conversation was found.
    pub threaded: bool,
}

/// Where a message belongs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlacedMessage {
    /// The message.
    pub message: MessageId,
    /// Its conversation.
    pub thread: ThreadId,
    /// The message that it answers.
    pub parent: Option<MessageId>,
}

/// Whole conversations, as they are from now on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlacedConversations {
    /// The message that is new, or whose direction or mailboxes changed.
    pub changed: MessageId,
    /// Which way it went.
    pub direction: Direction,
    /// Digest of what can change in its stored records.
    pub stamp: String,
    /// Every message of the conversations.
    pub messages: Vec<PlacedMessage>,
    /// Every reply pair of them: question and reply.
    pub pairs: Vec<(MessageId, MessageId)>,
}

impl Ledger {
    /// Waits for the tenant's writing lock. Whoever waits is next: one that lets go and comes again queues behind. It also
    /// holds against another process.
    pub fn lock_writing(&self, tenant: &TenantId) -> Result<WritingLock, LedgerError> {
        // A waiter stands in the gate until the lock is free, and whoever comes again has to pass the gate first.
        let gate = self.writing_file(tenant, "gate")?;
        gate.lock()?;
        let file = self.writing_file(tenant, "writing")?;
        file.lock()?;
        Ok(WritingLock { file })
    }

    fn writing_file(&self, tenant: &TenantId, kind: &str) -> Result<File, LedgerError> {
        let mut name = self.path().file_name().unwrap_or_default().to_os_string();
        name.push(format!(".{tenant}.{kind}"));
        Ok(File::options()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(self.path().with_file_name(name))?)
    }

    /// What is known of a message, and whether this mailbox holds it.
    pub fn standing_of(
        &self,
        tenant: &TenantId,
        mailbox: &MailboxId,
        message: &MessageId,
    ) -> Result<Standing, LedgerError> {
        let connection = self.reader()?;
        let standing = connection
            .prepare_cached(
                "SELECT EXISTS (SELECT 1 FROM erased WHERE tenant = ?1 AND message = ?3),
                    EXISTS (SELECT 1 FROM message WHERE tenant = ?1 AND id = ?3 AND gone = 0),
                    EXISTS (SELECT 1 FROM item INDEXED BY item_message
                        WHERE tenant = ?1 AND message = ?3 AND mailbox = ?2),
                    EXISTS (SELECT 1 FROM message WHERE tenant = ?1 AND id = ?3 AND stamp IS NOT NULL)",
            )?
            .query_row(params![tenant.as_str(), mailbox.as_str(), message.as_str()], |row| {
                Ok(Standing { erased: row.get(0)?, known: row.get(1)?, in_mailbox: row.get(2)?, threaded: row.get(3)? })
            })?;
        Ok(standing)
    }

    /// Messages of these mailboxes whose conversation was never found: what a killed process left.
    pub fn unplaced_messages(
        &self,
        tenant: &TenantId,
        formats: &[&str],
        limit: u32,
    ) -> Result<Vec<MessageId>, LedgerError> {
        let connection = self.reader()?;
        let mut found = Vec::new();
        for format in formats {
            let mut statement = connection.prepare_cached(
                "SELECT DISTINCT message.id FROM mailbox
                 JOIN item ON item.tenant = ?1 AND item.mailbox = mailbox.id
                 JOIN message ON message.tenant = ?1 AND message.id = item.message
                 WHERE mailbox.tenant = ?1 AND mailbox.format = ?2 AND message.stamp IS NULL LIMIT ?3",
            )?;
            let rows = statement.query_map(params![tenant.as_str(), format, limit], |row| {
                Ok(MessageId::from_stored(row.get::<_, String>(0)?))
            })?;
            found.extend(rows.collect::<Result<Vec<_>, _>>()?);
        }
        Ok(found)
    }

    /// Writes whole conversations and their reply pairs, in one transaction. `false` where one of the messages is not there any
    /// more: nothing is written then.
    pub fn place_conversations(&self, tenant: &TenantId, placed: &PlacedConversations) -> Result<bool, LedgerError> {
        self.write(|transaction| {
            let mut there = transaction
                .prepare_cached("SELECT EXISTS (SELECT 1 FROM message WHERE tenant = ?1 AND id = ?2 AND gone = 0)")?;
            for row in &placed.messages {
                if !there.query_row(params![tenant.as_str(), row.message.as_str()], |row| row.get::<_, bool>(0))? {
                    return Ok(false);
                }
            }
            transaction
                .prepare_cached("UPDATE message SET direction = ?3, stamp = ?4 WHERE tenant = ?1 AND id = ?2")?
                .execute(params![
                    tenant.as_str(),
                    placed.changed.as_str(),
                    direction_name(placed.direction),
                    placed.stamp
                ])?;
            let mut update = transaction.prepare_cached(
                "UPDATE message SET thread = ?3, parent = ?4 WHERE tenant = ?1 AND id = ?2
                 AND (thread IS NOT ?3 OR parent IS NOT ?4)",
            )?;
            let mut pairs_of =
                transaction.prepare_cached("SELECT question, reply FROM pair WHERE tenant = ?1 AND question = ?2")?;
            let mut drop_pair =
                transaction.prepare_cached("DELETE FROM pair WHERE tenant = ?1 AND question = ?2 AND reply = ?3")?;
            for row in &placed.messages {
                update.execute(params![
                    tenant.as_str(),
                    row.message.as_str(),
                    row.thread.as_str(),
                    row.parent.as_ref().map(MessageId::as_str),
                ])?;
                let old: Vec<(String, String)> = pairs_of
                    .query_map(params![tenant.as_str(), row.message.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))?
                    .collect::<Result<_, _>>()?;
                for (question, reply) in old {
                    if !placed.pairs.iter().any(|(q, r)| q.as_str() == question && r.as_str() == reply) {
                        drop_pair.execute(params![tenant.as_str(), question, reply])?;
                    }
                }
            }
            // What can change in a pair's record is what can change in its question's.
            let mut insert = transaction.prepare_cached(
                "INSERT INTO pair (tenant, question, reply, stamp)
                    SELECT ?1, id, ?3, stamp FROM message WHERE tenant = ?1 AND id = ?2 AND stamp IS NOT NULL
                 ON CONFLICT DO UPDATE SET stamp = excluded.stamp WHERE stamp <> excluded.stamp",
            )?;
            for (question, reply) in &placed.pairs {
                insert.execute(params![tenant.as_str(), question.as_str(), reply.as_str()])?;
            }
            Ok(true)
        })
    }

    /// What of the message the index lacks or holds outdated: the stamp of its passages, where they are pending, and the pairs
    /// whose question it is.
    pub fn pending_of(
        &self,
        tenant: &TenantId,
        version: &str,
        message: &MessageId,
    ) -> Result<(Option<String>, Vec<PendingPair>), LedgerError> {
        let connection = self.reader()?;
        let passages: Option<String> = connection
            .prepare_cached(
                "SELECT message.stamp FROM message LEFT JOIN unit
                    ON unit.tenant = ?1 AND unit.version = ?2 AND unit.message = message.id AND unit.reply = ''
                 WHERE message.tenant = ?1 AND message.id = ?3 AND gone = 0 AND message.stamp IS NOT NULL
                    AND unit.stamp IS NOT message.stamp",
            )?
            .query_row(params![tenant.as_str(), version, message.as_str()], |row| row.get(0))
            .optional()?;
        let mut statement = connection.prepare_cached(
            "SELECT pair.question, pair.reply, pair.stamp FROM pair LEFT JOIN unit
                ON unit.tenant = ?1 AND unit.version = ?2 AND unit.message = pair.question AND unit.reply = pair.reply
             WHERE pair.tenant = ?1 AND unit.stamp IS NOT pair.stamp AND pair.question = ?3
             ORDER BY pair.reply",
        )?;
        let rows = statement.query_map(params![tenant.as_str(), version, message.as_str()], |row| {
            Ok(PendingPair {
                question: MessageId::from_stored(row.get::<_, String>(0)?),
                reply: MessageId::from_stored(row.get::<_, String>(1)?),
                stamp: row.get(2)?,
            })
        })?;
        Ok((passages, rows.collect::<Result<_, _>>()?))
    }

    /// Pairs of a question that the vector store holds, or may hold, and that are no more.
    pub fn stale_pairs_of(
        &self,
        tenant: &TenantId,
        version: &str,
        question: &MessageId,
    ) -> Result<Vec<StoredUnit>, LedgerError> {
        let connection = self.reader()?;
        let mut statement = connection.prepare_cached(
            "SELECT message, reply, records FROM unit WHERE tenant = ?1 AND version = ?2 AND message = ?3 AND reply <> ''
                AND NOT EXISTS
                    (SELECT 1 FROM pair WHERE pair.tenant = ?1 AND question = unit.message AND pair.reply = unit.reply)",
        )?;
        let rows = statement.query_map(params![tenant.as_str(), version, question.as_str()], |row| {
            Ok(StoredUnit {
                message: MessageId::from_stored(row.get::<_, String>(0)?),
                reply: Some(MessageId::from_stored(row.get::<_, String>(1)?)),
                records: row.get(2)?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Whether the ledger still asks for this unit as it was prepared. Under the writing lock the answer holds until the lock
    /// is let go of.
    pub fn is_current(&self, tenant: &TenantId, unit: &Unit) -> Result<bool, LedgerError> {
        let connection = self.reader()?;
        let current = match &unit.reply {
            None => connection
                .prepare_cached(
                    "SELECT EXISTS (SELECT 1 FROM message WHERE tenant = ?1 AND id = ?2 AND gone = 0 AND stamp = ?3)",
                )?
                .query_row(params![tenant.as_str(), unit.message.as_str(), unit.stamp], |row| row.get(0))?,
            Some(reply) => connection
                .prepare_cached(
                    "SELECT EXISTS (SELECT 1 FROM pair WHERE tenant = ?1 AND question = ?2 AND reply = ?3 AND stamp = ?4)",
                )?
                .query_row(params![tenant.as_str(), unit.message.as_str(), reply.as_str(), unit.stamp], |row| {
                    row.get(0)
                })?,
        };
        Ok(current)
    }

    /// How many passages of a message the index holds, and of how many reply pairs it is part.
    pub fn indexed_of(&self, tenant: &TenantId, version: &str, message: &MessageId) -> Result<(u32, u32), LedgerError> {
        let connection = self.reader()?;
        let counts = connection
            .prepare_cached(
                "SELECT ifnull((SELECT records FROM unit
                        WHERE tenant = ?1 AND version = ?2 AND message = ?3 AND reply = '' AND stamp IS NOT NULL), 0),
                    (SELECT count(*) FROM pair WHERE tenant = ?1 AND question = ?3)
                        + (SELECT count(*) FROM pair WHERE tenant = ?1 AND reply = ?3)",
            )?
            .query_row(params![tenant.as_str(), version, message.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(counts)
    }

    /// What the current reading of a mailbox has come to so far.
    pub fn read_counts(&self, tenant: &TenantId, mailbox: &MailboxId) -> Result<ReadCounts, LedgerError> {
        let connection = self.reader()?;
        let counts = connection
            .prepare_cached(
                "SELECT ifnull(sum(outcome = 'stored'), 0), ifnull(sum(outcome = 'duplicate'), 0),
                    ifnull(sum(outcome = 'skipped'), 0), ifnull(sum(outcome <> 'skipped' AND losses > 0), 0)
                 FROM item WHERE tenant = ?1 AND mailbox = ?2
                    AND generation = (SELECT generation FROM mailbox WHERE tenant = ?1 AND id = ?2)",
            )?
            .query_row(params![tenant.as_str(), mailbox.as_str()], |row| {
                let count = |column: usize| row.get::<_, i64>(column).map(i64::cast_unsigned);
                Ok(ReadCounts { stored: count(0)?, duplicate: count(1)?, skipped: count(2)?, salvaged: count(3)? })
            })?;
        Ok(counts)
    }
}

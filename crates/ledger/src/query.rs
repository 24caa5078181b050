//! What others read: messages, conversations, places and counts.

use std::collections::HashMap;

use jiff::Timestamp;
use rejoinder_domain::{MailboxId, Message, MessageId, Provenance, Skipped, TenantId, ThreadId};
use rusqlite::{OptionalExtension as _, params};
use serde::Serialize;

use crate::sealing::{ItemPlaces, place};
use crate::{Ledger, LedgerError, MailboxRecord};

/// The account of one mailbox. `seen = indexed + pending + duplicate + skipped`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MailboxStatus {
    /// The mailbox.
    pub id: MailboxId,
    /// What people call it.
    pub name: String,
    /// Where it is.
    pub path: String,
    /// Its format's name.
    pub format: String,
    /// Whether it was read to its end.
    pub complete: bool,
    /// Items seen in the current reading.
    pub seen: u64,
    /// First copies of messages that the index holds as they are now.
    pub indexed: u64,
    /// First copies of messages that the index lacks or holds outdated.
    pub pending: u64,
    /// Further copies of messages.
    pub duplicate: u64,
    /// Items that could not be read.
    pub skipped: u64,
    /// Items that were read with losses.
    pub salvaged: u64,
    /// When it was last read to its end.
    pub last_read: Option<Timestamp>,
}

/// Sums over a tenant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Messages that some mailbox holds.
    pub messages: u64,
    /// Conversations among them.
    pub threads: u64,
    /// Reply pairs among them.
    pub pairs: u64,
    /// Passages in the index.
    pub chunks: u64,
}

impl Ledger {
    /// The message, direction as last found out. Also one that is in no mailbox any more, until it is erased.
    pub fn message(&self, tenant: &TenantId, id: &MessageId) -> Result<Option<Message>, LedgerError> {
        let row: Option<(Vec<u8>, String)> = self
            .reader()?
            .prepare_cached(
                "SELECT content, direction FROM message JOIN content ON content.tenant = ?1 AND content.message = id
                 WHERE message.tenant = ?1 AND id = ?2",
            )?
            .query_row(params![tenant.as_str(), id.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        row.map(|(content, direction)| self.open_message(tenant, id.as_str(), content, &direction)).transpose()
    }

    /// Up to `limit` messages that some mailbox holds, in order of their ids, after `after`: the next page starts after the
    /// last one.
    pub fn messages(
        &self,
        tenant: &TenantId,
        after: Option<&MessageId>,
        limit: u32,
    ) -> Result<Vec<Message>, LedgerError> {
        self.page(tenant, after, limit, "AND gone = 0")
    }

    /// The same, those included that no mailbox holds any more.
    pub(crate) fn held_messages(
        &self,
        tenant: &TenantId,
        after: Option<&MessageId>,
        limit: u32,
    ) -> Result<Vec<Message>, LedgerError> {
        self.page(tenant, after, limit, "")
    }

    fn page(
        &self,
        tenant: &TenantId,
        after: Option<&MessageId>,
        limit: u32,
        which: &str,
    ) -> Result<Vec<Message>, LedgerError> {
        let rows: Vec<(String, Vec<u8>, String)> = self
            .reader()?
            .prepare_cached(&format!(
                "SELECT id, (SELECT content FROM content WHERE content.tenant = ?1 AND content.message = id), direction FROM message
                 WHERE tenant = ?1 AND id > ?2 {which} ORDER BY id LIMIT ?3"
            ))?
            .query_map(params![tenant.as_str(), after.map(MessageId::as_str).unwrap_or_default(), limit], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            })?
            .collect::<Result<_, _>>()?;
        rows.into_iter().map(|(id, content, direction)| self.open_message(tenant, &id, content, &direction)).collect()
    }

    /// The conversation of a message.
    pub fn thread_of(&self, tenant: &TenantId, message: &MessageId) -> Result<Option<ThreadId>, LedgerError> {
        let thread: Option<Option<String>> = self
            .reader()?
            .prepare_cached("SELECT thread FROM message WHERE tenant = ?1 AND id = ?2")?
            .query_row(params![tenant.as_str(), message.as_str()], |row| row.get(0))
            .optional()?;
        Ok(thread.flatten().map(ThreadId::from_stored))
    }

    /// The conversations of messages; those that are not threaded yet, or not there, are not in it.
    pub fn threads_of(
        &self,
        tenant: &TenantId,
        messages: &[MessageId],
    ) -> Result<HashMap<MessageId, ThreadId>, LedgerError> {
        let connection = self.reader()?;
        let mut statement = connection.prepare_cached("SELECT thread FROM message WHERE tenant = ?1 AND id = ?2")?;
        let mut threads = HashMap::with_capacity(messages.len());
        for message in messages {
            let thread: Option<Option<String>> =
                statement.query_row(params![tenant.as_str(), message.as_str()], |row| row.get(0)).optional()?;
            if let Some(thread) = thread.flatten() {
                threads.insert(message.clone(), ThreadId::from_stored(thread));
            }
        }
        Ok(threads)
    }

    /// The message that a message answers.
    pub fn parent_of(&self, tenant: &TenantId, message: &MessageId) -> Result<Option<MessageId>, LedgerError> {
        let parent: Option<Option<String>> = self
            .reader()?
            .prepare_cached("SELECT parent FROM message WHERE tenant = ?1 AND id = ?2")?
            .query_row(params![tenant.as_str(), message.as_str()], |row| row.get(0))
            .optional()?;
        Ok(parent.flatten().map(MessageId::from_stored))
    }

    /// The reply pairs, in order of question and reply, after `after`.
    pub fn pairs(
        &self,
        tenant: &TenantId,
        after: Option<&(MessageId, MessageId)>,
        limit: u32,
    ) -> Result<Vec<(MessageId, MessageId)>, LedgerError> {
        let connection = self.reader()?;
        let mut statement = connection.prepare_cached(
            "SELECT question, reply FROM pair WHERE tenant = ?1 AND (question, reply) > (?2, ?3)
             ORDER BY question, reply LIMIT ?4",
        )?;
        let (question, reply) = after.map_or(("", ""), |(question, reply)| (question.as_str(), reply.as_str()));
        let rows = statement.query_map(params![tenant.as_str(), question, reply, limit], |row| {
            Ok((MessageId::from_stored(row.get::<_, String>(0)?), MessageId::from_stored(row.get::<_, String>(1)?)))
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Every place that holds a copy of the message, sorted.
    pub fn provenance_of(&self, tenant: &TenantId, message: &MessageId) -> Result<Vec<Provenance>, LedgerError> {
        let connection = self.reader()?;
        let mut statement = connection.prepare_cached(
            "SELECT mailbox, position, folder, place FROM item INDEXED BY item_message
             WHERE tenant = ?1 AND message = ?2",
        )?;
        let mut rows = statement.query(params![tenant.as_str(), message.as_str()])?;
        let mut all = Vec::new();
        while let Some(row) = rows.next()? {
            let (mailbox, position): (String, i64) = (row.get(0)?, row.get(1)?);
            let of_item = ItemPlaces::new(&mailbox, position);
            all.push(Provenance {
                folder: self.open_text(tenant, &of_item.folder(), row.get(2)?)?,
                place: self.open_text(tenant, &of_item.place(), row.get(3)?)?,
                mailbox: MailboxId::from_stored(mailbox),
            });
        }
        // Sealed texts have no order, and equal ones are not equal.
        all.sort_unstable_by(|a, b| (&a.mailbox, &a.folder, &a.place).cmp(&(&b.mailbox, &b.folder, &b.place)));
        all.dedup();
        Ok(all)
    }

    /// Every mailbox that holds a copy of the message, sorted.
    pub fn mailboxes_of(&self, tenant: &TenantId, message: &MessageId) -> Result<Vec<MailboxId>, LedgerError> {
        let connection = self.reader()?;
        let mut statement = connection.prepare_cached(
            "SELECT DISTINCT mailbox FROM item INDEXED BY item_message WHERE tenant = ?1 AND message = ?2 ORDER BY 1",
        )?;
        let rows = statement.query_map(params![tenant.as_str(), message.as_str()], |row| {
            Ok(MailboxId::from_stored(row.get::<_, String>(0)?))
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The same with what people call them.
    pub fn named_mailboxes_of(
        &self,
        tenant: &TenantId,
        message: &MessageId,
    ) -> Result<Vec<(MailboxId, String)>, LedgerError> {
        let connection = self.reader()?;
        let mut statement = connection.prepare_cached(
            "SELECT id, name FROM mailbox WHERE tenant = ?1 AND id IN
                (SELECT mailbox FROM item INDEXED BY item_message WHERE tenant = ?1 AND message = ?2) ORDER BY id",
        )?;
        let mut rows = statement.query(params![tenant.as_str(), message.as_str()])?;
        let mut all = Vec::new();
        while let Some(row) = rows.next()? {
            let id: String = row.get(0)?;
            let name = self.open_text(tenant, &place("mailbox.name", &[&id]), row.get(1)?)?;
            all.push((MailboxId::from_stored(id), name));
        }
        Ok(all)
    }

    /// Every mailbox as it was last announced, by id.
    pub fn mailboxes(&self, tenant: &TenantId) -> Result<Vec<MailboxRecord>, LedgerError> {
        let connection = self.reader()?;
        let mut statement = connection.prepare_cached(
            "SELECT id, name, path, format, fingerprint, owner FROM mailbox WHERE tenant = ?1 ORDER BY id",
        )?;
        let mut rows = statement.query([tenant.as_str()])?;
        let mut all = Vec::new();
        while let Some(row) = rows.next()? {
            let id: String = row.get(0)?;
            let open = |column: &str, stored| self.open_text(tenant, &place(column, &[&id]), stored);
            all.push(MailboxRecord {
                name: open("mailbox.name", row.get(1)?)?,
                path: open("mailbox.path", row.get(2)?)?,
                format: row.get(3)?,
                fingerprint: row.get(4)?,
                owner: row.get::<_, Option<String>>(5)?.map(|owner| open("mailbox.owner", owner)).transpose()?,
                id: MailboxId::from_stored(id),
            });
        }
        Ok(all)
    }

    /// The account of every mailbox for an index version, by name.
    pub fn status(&self, tenant: &TenantId, version: &str) -> Result<Vec<MailboxStatus>, LedgerError> {
        let connection = self.reader()?;
        let mut statement = connection.prepare_cached(
            "SELECT mailbox.id, name, path, format, complete, read_at, count(item.position),
                ifnull(sum(outcome = 'stored' AND unit.stamp IS NOT NULL AND unit.stamp IS message.stamp), 0),
                ifnull(sum(outcome = 'stored'), 0), ifnull(sum(outcome = 'duplicate'), 0),
                ifnull(sum(outcome = 'skipped'), 0), ifnull(sum(outcome <> 'skipped' AND losses > 0), 0)
             FROM mailbox
             LEFT JOIN item ON item.tenant = ?1 AND item.mailbox = mailbox.id AND item.generation = mailbox.generation
             LEFT JOIN message ON message.tenant = ?1 AND message.id = item.message
             LEFT JOIN unit ON unit.tenant = ?1 AND unit.version = ?2 AND unit.message = item.message AND unit.reply = ''
             WHERE mailbox.tenant = ?1 GROUP BY mailbox.id",
        )?;
        let mut rows = statement.query(params![tenant.as_str(), version])?;
        let mut all = Vec::new();
        while let Some(row) = rows.next()? {
            let count = |column: usize| row.get::<_, i64>(column).map(i64::cast_unsigned);
            let last_read: Option<i64> = row.get(5)?;
            let id: String = row.get(0)?;
            all.push(MailboxStatus {
                name: self.open_text(tenant, &place("mailbox.name", &[&id]), row.get(1)?)?,
                path: self.open_text(tenant, &place("mailbox.path", &[&id]), row.get(2)?)?,
                id: MailboxId::from_stored(id),
                format: row.get(3)?,
                complete: row.get(4)?,
                seen: count(6)?,
                indexed: count(7)?,
                pending: count(8)?.saturating_sub(count(7)?),
                duplicate: count(9)?,
                skipped: count(10)?,
                salvaged: count(11)?,
                last_read: last_read.and_then(|at| Timestamp::from_millisecond(at).ok()),
            });
        }
        all.sort_unstable_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
        Ok(all)
    }

    /// Sums over the tenant for an index version.
    pub fn totals(&self, tenant: &TenantId, version: &str) -> Result<Totals, LedgerError> {
        let connection = self.reader()?;
        let totals = connection.query_row(
            "SELECT (SELECT count(*) FROM message WHERE tenant = ?1 AND gone = 0),
                (SELECT count(DISTINCT thread) FROM message WHERE tenant = ?1 AND gone = 0),
                (SELECT count(*) FROM pair WHERE tenant = ?1),
                (SELECT ifnull(sum(records), 0) FROM unit
                 WHERE tenant = ?1 AND version = ?2 AND reply = '' AND stamp IS NOT NULL)",
            params![tenant.as_str(), version],
            |row| {
                let count = |column: usize| row.get::<_, i64>(column).map(i64::cast_unsigned);
                Ok(Totals { messages: count(0)?, threads: count(1)?, pairs: count(2)?, chunks: count(3)? })
            },
        )?;
        Ok(totals)
    }

    /// Skipped items of the current reading, of one mailbox or of all, in order of mailbox and position.
    pub fn skipped(
        &self,
        tenant: &TenantId,
        mailbox: Option<&MailboxId>,
        offset: u64,
        limit: u32,
    ) -> Result<Vec<Skipped>, LedgerError> {
        self.places(
            tenant,
            "SELECT item.place, item.reason, item.mailbox, item.position, NULL FROM item JOIN mailbox ON mailbox.tenant = item.tenant
                AND mailbox.id = item.mailbox AND mailbox.generation = item.generation
             WHERE item.tenant = ?1 AND (?2 IS NULL OR item.mailbox = ?2) AND outcome = 'skipped'
             ORDER BY item.mailbox, item.position LIMIT ?4 OFFSET ?3",
            params![tenant.as_str(), mailbox.map(MailboxId::as_str), offset.cast_signed(), limit],
        )
    }

    /// What was lost of items that were otherwise read, in order of mailbox and position.
    pub fn losses(
        &self,
        tenant: &TenantId,
        mailbox: Option<&MailboxId>,
        offset: u64,
        limit: u32,
    ) -> Result<Vec<Skipped>, LedgerError> {
        self.places(
            tenant,
            "SELECT loss.place, loss.reason, loss.mailbox, loss.position, loss.ordinal FROM loss JOIN mailbox ON mailbox.tenant = loss.tenant
                AND mailbox.id = loss.mailbox AND mailbox.generation = loss.generation
             WHERE loss.tenant = ?1 AND (?2 IS NULL OR loss.mailbox = ?2)
             ORDER BY loss.mailbox, loss.position, loss.ordinal LIMIT ?4 OFFSET ?3",
            params![tenant.as_str(), mailbox.map(MailboxId::as_str), offset.cast_signed(), limit],
        )
    }

    fn places(
        &self,
        tenant: &TenantId,
        query: &str,
        values: impl rusqlite::Params,
    ) -> Result<Vec<Skipped>, LedgerError> {
        let connection = self.reader()?;
        let mut statement = connection.prepare_cached(query)?;
        let mut rows = statement.query(values)?;
        let mut all = Vec::new();
        while let Some(row) = rows.next()? {
            let (mailbox, position): (String, i64) = (row.get(2)?, row.get(3)?);
            let of_item = ItemPlaces::new(&mailbox, position);
            let place = row.get::<_, Option<i64>>(4)?.map_or_else(|| of_item.place(), |ordinal| of_item.loss(ordinal));
            all.push(Skipped { place: self.open_text(tenant, &place, row.get(0)?)?, reason: row.get(1)? });
        }
        Ok(all)
    }
}

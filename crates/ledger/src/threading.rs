//! The second phase: directions, conversations and reply pairs of all messages of a tenant.

use rejoinder_domain::{Direction, MailboxId, MessageId, TenantId, ThreadId};
use rusqlite::{Row, params};

use crate::content::direction_name;
use crate::{Ledger, LedgerError};

/// What threading needs to know of a stored message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageFacts {
    /// The message.
    pub id: MessageId,
    /// The thread entry that came with it.
    pub thread_entry: Vec<u8>,
    /// Every mailbox that holds it, sorted, and whether there it lies in a folder of sent mail.
    pub mailboxes: Vec<(MailboxId, bool)>,
}

/// What threading found out about a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ThreadRow {
    /// The message.
    pub message: MessageId,
    /// Its conversation.
    pub thread: ThreadId,
    /// The message that it answers.
    pub parent: Option<MessageId>,
    /// Which way it went.
    pub direction: Direction,
    /// Digest of what can change in its stored records.
    pub stamp: String,
}

/// A reply pair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PairRow {
    /// The question.
    pub question: MessageId,
    /// Our side's reply to it.
    pub reply: MessageId,
    /// Digest of what can change in its stored record.
    pub stamp: String,
}

impl Ledger {
    /// The facts of up to `limit` messages that some mailbox holds, in order of their ids, after `after`.
    pub fn message_facts(
        &self,
        tenant: &TenantId,
        after: Option<&MessageId>,
        limit: u32,
    ) -> Result<Vec<MessageFacts>, LedgerError> {
        let connection = self.reader()?;
        let mut statement = connection.prepare_cached(
            "SELECT id, (SELECT thread_entry FROM content WHERE content.tenant = ?1 AND content.message = id),
                (SELECT group_concat(DISTINCT mailbox || ' ' || in_sent_folder) FROM item INDEXED BY item_message
                 WHERE item.tenant = ?1 AND item.message = id)
             FROM message WHERE tenant = ?1 AND id > ?2 AND gone = 0 ORDER BY id LIMIT ?3",
        )?;
        let after = after.map(MessageId::as_str).unwrap_or_default();
        let mut rows = statement.query(params![tenant.as_str(), after, limit])?;
        let mut all = Vec::new();
        while let Some(row) = rows.next()? {
            all.push(self.facts(tenant, row)?);
        }
        Ok(all)
    }

    /// The facts of one message that some mailbox holds.
    pub fn facts_of(&self, tenant: &TenantId, id: &MessageId) -> Result<Option<MessageFacts>, LedgerError> {
        let connection = self.reader()?;
        let mut statement = connection.prepare_cached(
            "SELECT id, (SELECT thread_entry FROM content WHERE content.tenant = ?1 AND content.message = id),
                (SELECT group_concat(DISTINCT mailbox || ' ' || in_sent_folder) FROM item INDEXED BY item_message
                 WHERE item.tenant = ?1 AND item.message = id)
             FROM message WHERE tenant = ?1 AND id = ?2 AND gone = 0",
        )?;
        let mut rows = statement.query(params![tenant.as_str(), id.as_str()])?;
        rows.next()?.map(|row| self.facts(tenant, row)).transpose()
    }

    /// From id, thread entry and mailboxes.
    fn facts(&self, tenant: &TenantId, row: &Row<'_>) -> Result<MessageFacts, LedgerError> {
        let id = MessageId::from_stored(row.get::<_, String>(0)?);
        let thread_entry = self.open_entry(tenant, &id, row.get(1)?)?;
        Ok(MessageFacts { id, thread_entry, mailboxes: mailbox_list(&row.get::<_, String>(2)?) })
    }

    /// Writes the conversations and replaces the set of reply pairs, in one transaction.
    pub fn apply_threading(
        &self,
        tenant: &TenantId,
        messages: &[ThreadRow],
        pairs: &[PairRow],
    ) -> Result<(), LedgerError> {
        self.write(|transaction| {
            let mut update = transaction.prepare_cached(
                "UPDATE message SET thread = ?3, parent = ?4, direction = ?5, stamp = ?6 WHERE tenant = ?1 AND id = ?2
                 AND (thread IS NOT ?3 OR parent IS NOT ?4 OR direction <> ?5 OR stamp IS NOT ?6)",
            )?;
            for row in messages {
                update.execute(params![
                    tenant.as_str(),
                    row.message.as_str(),
                    row.thread.as_str(),
                    row.parent.as_ref().map(MessageId::as_str),
                    direction_name(row.direction),
                    row.stamp,
                ])?;
            }
            transaction.execute_batch(
                "CREATE TEMP TABLE IF NOT EXISTS kept (question TEXT, reply TEXT, PRIMARY KEY (question, reply));
                 DELETE FROM kept;",
            )?;
            let mut keep = transaction.prepare_cached("INSERT OR IGNORE INTO kept VALUES (?1, ?2)")?;
            let mut insert = transaction.prepare_cached(
                "INSERT INTO pair (tenant, question, reply, stamp) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT DO UPDATE SET stamp = excluded.stamp WHERE stamp <> excluded.stamp",
            )?;
            for pair in pairs {
                keep.execute(params![pair.question.as_str(), pair.reply.as_str()])?;
                insert.execute(params![tenant.as_str(), pair.question.as_str(), pair.reply.as_str(), pair.stamp])?;
            }
            transaction.execute(
                "DELETE FROM pair WHERE tenant = ?1 AND NOT EXISTS
                    (SELECT 1 FROM kept WHERE kept.question = pair.question AND kept.reply = pair.reply)",
                [tenant.as_str()],
            )?;
            Ok(())
        })
    }
}

/// Takes apart what `group_concat` put together; ids hold neither comma nor space. Of two folders of one mailbox the one
/// of sent mail counts.
fn mailbox_list(joined: &str) -> Vec<(MailboxId, bool)> {
    let mut mailboxes: Vec<(MailboxId, bool)> = joined
        .split(',')
        .filter_map(|place| place.split_once(' '))
        .map(|(mailbox, sent)| (MailboxId::from_stored(mailbox), sent == "1"))
        .collect();
    mailboxes.sort_unstable_by(|a, b| (&a.0, !a.1).cmp(&(&b.0, !b.1)));
    mailboxes.dedup_by(|later, first| later.0 == first.0);
    mailboxes
}

//! The first phase: what was read from the mailboxes, item by item.

use std::borrow::Cow;

use jiff::Timestamp;
use rejoinder_domain::{Direction, ItemKind, MailboxId, Message, MessageId, Skipped, TenantId};
use rusqlite::{OptionalExtension as _, Transaction, params};

use crate::content::direction_name;
use crate::sealing::{ItemPlaces, place};
use crate::{Ledger, LedgerError};

/// How many losses of one item are listed; the item's count tells how many there were.
const LISTED_LOSSES: usize = 100;

/// The reason given for a message that was erased and came by again.
const ERASED: &str = "erased on request; not taken in again";

/// A mailbox as its reader describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailboxRecord {
    /// Its id.
    pub id: MailboxId,
    /// What people call it.
    pub name: String,
    /// Where it is.
    pub path: String,
    /// Its format's name.
    pub format: String,
    /// Changes whenever its content changes.
    pub fingerprint: String,
    /// Address of the person it belongs to, where the format tells.
    pub owner: Option<String>,
}

/// What remains to be read of a mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadState {
    /// Nothing: all of it was read and it has not changed.
    Complete,
    /// All of it.
    Start,
    /// What follows the item at this position.
    After(u64),
}

/// One item, as its reader gave it.
#[derive(Debug)]
pub struct ItemRecord<'a> {
    /// Position in the mailbox, one per item.
    pub position: u64,
    /// Folder inside the mailbox.
    pub folder: &'a str,
    /// Place inside the mailbox; for a skipped item the readable place.
    pub place: &'a str,
    /// Whether the folder is one of sent mail.
    pub in_sent_folder: bool,
    /// What it is.
    pub outcome: ItemOutcome<'a>,
    /// What of it could not be read.
    pub losses: &'a [Skipped],
}

/// What became of an item when it was read.
#[derive(Debug)]
pub enum ItemOutcome<'a> {
    /// It is a message.
    Read {
        /// The message.
        message: &'a Message,
        /// What threading needs of it, opaque here.
        thread_entry: Vec<u8>,
    },
    /// It cannot be read.
    Skipped {
        /// Why.
        reason: &'a str,
    },
}

/// What a batch of items came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReadCounts {
    /// First copies.
    pub stored: u64,
    /// Further copies of messages that are there.
    pub duplicate: u64,
    /// Not readable.
    pub skipped: u64,
    /// Of the stored and duplicate ones, those that were read with losses.
    pub salvaged: u64,
}

/// What was no longer in a changed mailbox.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Vanished {
    /// Messages that were in the mailbox before and are not any more.
    pub places: u64,
    /// Of these, messages that no other mailbox holds. They leave the index.
    pub messages: u64,
}

impl Ledger {
    /// Announces a mailbox that is about to be read and says what remains to be read of it. A changed fingerprint starts a
    /// new reading; what the one before found stays until [`Ledger::finish_read`].
    pub fn begin_read(&self, tenant: &TenantId, mailbox: &MailboxRecord) -> Result<ReadState, LedgerError> {
        let seal = |column: &str, text| self.seal_text(tenant, &place(column, &[mailbox.id.as_str()]), text);
        let name = seal("mailbox.name", mailbox.name.as_str())?;
        let path = seal("mailbox.path", mailbox.path.as_str())?;
        let owner = mailbox.owner.as_deref().map(|owner| seal("mailbox.owner", owner)).transpose()?;
        self.write(|transaction| {
            let known: Option<(String, bool, Option<i64>)> = transaction
                .prepare_cached("SELECT fingerprint, complete, position FROM mailbox WHERE tenant = ?1 AND id = ?2")?
                .query_row(params![tenant.as_str(), mailbox.id.as_str()], |row| {
                    Ok((row.get(0)?, row.get(1)?, row.get(2)?))
                })
                .optional()?;
            let state = match known {
                Some((fingerprint, complete, position)) if fingerprint == mailbox.fingerprint => match position {
                    _ if complete => ReadState::Complete,
                    Some(position) => ReadState::After(position.cast_unsigned()),
                    None => ReadState::Start,
                },
                _ => ReadState::Start,
            };
            // A reading that goes on keeps its generation and position.
            transaction
                .prepare_cached(
                    "INSERT INTO mailbox (tenant, id, name, path, format, fingerprint, owner, generation, complete)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 1, 0)
                     ON CONFLICT DO UPDATE SET
                        generation = generation + (fingerprint <> excluded.fingerprint),
                        position = iif(fingerprint = excluded.fingerprint, position, NULL),
                        complete = iif(fingerprint = excluded.fingerprint, complete, 0),
                        name = excluded.name, path = excluded.path, format = excluded.format,
                        fingerprint = excluded.fingerprint, owner = excluded.owner",
                )?
                .execute(params![
                    tenant.as_str(),
                    mailbox.id.as_str(),
                    name,
                    path,
                    mailbox.format,
                    mailbox.fingerprint,
                    owner,
                ])?;
            Ok(state)
        })
    }

    /// Writes a batch of items and the position reached, in one transaction.
    pub fn record_items(
        &self,
        tenant: &TenantId,
        mailbox: &MailboxId,
        items: &[ItemRecord<'_>],
    ) -> Result<ReadCounts, LedgerError> {
        // Compressing and sealing is the larger part of the work and needs no lock.
        let sealed = items.iter().map(|item| self.seal_item(tenant, mailbox, item)).collect::<Result<Vec<_>, _>>()?;
        self.write(|transaction| {
            let generation: i64 = transaction
                .prepare_cached("SELECT generation FROM mailbox WHERE tenant = ?1 AND id = ?2")?
                .query_row(params![tenant.as_str(), mailbox.as_str()], |row| row.get(0))
                .optional()?
                .ok_or(LedgerError::UnknownMailbox)?;
            let writer = ItemWriter { transaction, tenant, mailbox, generation };
            let mut counts = ReadCounts::default();
            for (item, texts) in items.iter().zip(&sealed) {
                writer.write(item, texts, &mut counts)?;
            }
            if let Some(last) = items.last() {
                transaction
                    .prepare_cached("UPDATE mailbox SET position = ?3 WHERE tenant = ?1 AND id = ?2")?
                    .execute(params![tenant.as_str(), mailbox.as_str(), last.position.cast_signed()])?;
            }
            Ok(counts)
        })
    }

    fn seal_item<'t>(
        &self,
        tenant: &TenantId,
        mailbox: &MailboxId,
        item: &'t ItemRecord<'_>,
    ) -> Result<ItemTexts<'t>, LedgerError> {
        let places = ItemPlaces::new(mailbox.as_str(), item.position.cast_signed());
        let message = match &item.outcome {
            ItemOutcome::Read { message, thread_entry } => {
                Some((self.seal_message(tenant, message)?, self.seal_entry(tenant, &message.id, thread_entry)?))
            }
            ItemOutcome::Skipped { .. } => None,
        };
        let losses = (0..).zip(item.losses.iter().take(LISTED_LOSSES));
        let losses = losses.map(|(ordinal, loss)| self.seal_text(tenant, &places.loss(ordinal), &loss.place));
        Ok(ItemTexts {
            message,
            folder: self.seal_text(tenant, &places.folder(), item.folder)?,
            place: self.seal_text(tenant, &places.place(), item.place)?,
            losses: losses.collect::<Result<_, _>>()?,
        })
    }

    /// Says that the mailbox was read to its end: what earlier readings found and this one did not is let go of.
    pub fn finish_read(&self, tenant: &TenantId, mailbox: &MailboxId) -> Result<Vanished, LedgerError> {
        self.write(|transaction| {
            let key = params![tenant.as_str(), mailbox.as_str()];
            transaction.execute_batch(
                "CREATE TEMP TABLE IF NOT EXISTS affected (id TEXT PRIMARY KEY); DELETE FROM affected;",
            )?;
            transaction.execute(
                "INSERT OR IGNORE INTO affected SELECT item.message FROM item JOIN mailbox
                    ON mailbox.tenant = item.tenant AND mailbox.id = item.mailbox
                 WHERE item.tenant = ?1 AND item.mailbox = ?2 AND item.generation < mailbox.generation
                    AND item.message IS NOT NULL",
                key,
            )?;
            transaction.execute(
                "DELETE FROM item WHERE tenant = ?1 AND mailbox = ?2 AND generation <
                    (SELECT generation FROM mailbox WHERE tenant = ?1 AND id = ?2)",
                key,
            )?;
            let places = transaction.query_row(
                "SELECT count(*) FROM affected WHERE NOT EXISTS
                    (SELECT 1 FROM item INDEXED BY item_message
                     WHERE tenant = ?1 AND mailbox = ?2 AND message = affected.id)",
                key,
                |row| row.get::<_, i64>(0),
            )?;
            let messages = let_go(transaction, tenant)?;
            transaction.execute(
                "UPDATE mailbox SET complete = 1, read_at = ?3 WHERE tenant = ?1 AND id = ?2",
                params![tenant.as_str(), mailbox.as_str(), Timestamp::now().as_millisecond()],
            )?;
            Ok(Vanished { places: places.cast_unsigned(), messages })
        })
    }
}

/// For the messages in the temporary table `affected`, which lost a place: those without any are marked as gone, and where
/// the lost place was the first copy, another copy takes its part. Returns how many are gone.
pub(crate) fn let_go(transaction: &Transaction<'_>, tenant: &TenantId) -> Result<u64, LedgerError> {
    let gone = transaction.execute(
        "UPDATE message SET gone = 1 WHERE tenant = ?1 AND id IN (SELECT id FROM affected) AND NOT EXISTS
            (SELECT 1 FROM item INDEXED BY item_message WHERE item.tenant = ?1 AND item.message = message.id)",
        [tenant.as_str()],
    )?;
    transaction.execute(
        "UPDATE item SET outcome = 'stored' FROM (
            SELECT mailbox AS m, generation AS g, position AS p,
                row_number() OVER (PARTITION BY message ORDER BY mailbox, generation, position) AS place,
                max(outcome = 'stored') OVER (PARTITION BY message) AS held
            FROM item INDEXED BY item_message
            WHERE tenant = ?1 AND message IN (SELECT id FROM affected)) AS copy
         WHERE item.tenant = ?1 AND item.mailbox = m AND item.generation = g AND item.position = p
            AND copy.place = 1 AND copy.held = 0",
        [tenant.as_str()],
    )?;
    Ok(gone as u64)
}

/// The texts of an item as they are written to the file.
struct ItemTexts<'t> {
    /// Of a message, itself and its thread entry.
    message: Option<(Vec<u8>, Vec<u8>)>,
    folder: Cow<'t, str>,
    place: Cow<'t, str>,
    /// The places of its losses.
    losses: Vec<Cow<'t, str>>,
}

/// Writes items of one mailbox inside one transaction.
struct ItemWriter<'a> {
    transaction: &'a Transaction<'a>,
    tenant: &'a TenantId,
    mailbox: &'a MailboxId,
    generation: i64,
}

impl ItemWriter<'_> {
    fn write(&self, item: &ItemRecord<'_>, texts: &ItemTexts<'_>, counts: &mut ReadCounts) -> Result<(), LedgerError> {
        let (outcome, reason, message) = match (&item.outcome, &texts.message) {
            (ItemOutcome::Read { message, .. }, Some((content, thread_entry))) => {
                if self.is_erased(&message.id)? {
                    ("skipped", Some(ERASED), None)
                } else {
                    let first = self.store(message, thread_entry, content)?;
                    (if first { "stored" } else { "duplicate" }, None, Some(&message.id))
                }
            }
            (ItemOutcome::Skipped { reason }, _) => ("skipped", Some(*reason), None),
            (ItemOutcome::Read { .. }, None) => return Err(LedgerError::Corrupt("batch of items")),
        };
        match outcome {
            "stored" => counts.stored += 1,
            "duplicate" => counts.duplicate += 1,
            _ => counts.skipped += 1,
        }
        counts.salvaged += u64::from(message.is_some() && !item.losses.is_empty());
        let position = item.position.cast_signed();
        self.transaction
            .prepare_cached(
                "INSERT INTO item (tenant, mailbox, generation, position, folder, place, in_sent_folder, outcome, reason,
                    message, losses) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
            )?
            .execute(params![
                self.tenant.as_str(),
                self.mailbox.as_str(),
                self.generation,
                position,
                texts.folder,
                texts.place,
                item.in_sent_folder,
                outcome,
                reason,
                message.map(MessageId::as_str),
                item.losses.len() as i64,
            ])?;
        for (ordinal, (loss, place)) in item.losses.iter().zip(&texts.losses).enumerate() {
            self.transaction.prepare_cached("INSERT INTO loss VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?.execute(
                params![
                    self.tenant.as_str(),
                    self.mailbox.as_str(),
                    self.generation,
                    position,
                    ordinal as i64,
                    place,
                    loss.reason,
                ],
            )?;
        }
        Ok(())
    }

    /// Keeps the message, unless it is there; returns whether this is its first copy. Copies that an earlier reading of this
    /// same mailbox found do not count: the reading at hand replaces them.
    fn store(&self, message: &Message, thread_entry: &[u8], content: &[u8]) -> Result<bool, LedgerError> {
        let inserted = self
            .transaction
            .prepare_cached(
                "INSERT INTO message (tenant, id, kind, sent_at, direction, gone, dated)
                 VALUES (?1, ?2, ?3, ?4, ?5, 0, min(ifnull(?4, ?6), ?6)) ON CONFLICT DO NOTHING",
            )?
            .execute(params![
                self.tenant.as_str(),
                message.id.as_str(),
                kind_name(message.kind),
                message.sent_at.map(Timestamp::as_millisecond),
                direction_name(Direction::Unknown),
                Timestamp::now().as_millisecond(),
            ])?;
        let key = params![self.tenant.as_str(), message.id.as_str()];
        if inserted == 1 {
            self.transaction
                .prepare_cached("INSERT INTO content (tenant, message, thread_entry, content) VALUES (?1, ?2, ?3, ?4)")?
                .execute(params![self.tenant.as_str(), message.id.as_str(), thread_entry, content])?;
            return Ok(true);
        }
        self.transaction
            .prepare_cached("UPDATE message SET gone = 0 WHERE tenant = ?1 AND id = ?2 AND gone = 1")?
            .execute(key)?;
        let held: bool = self
            .transaction
            .prepare_cached(
                "SELECT EXISTS (SELECT 1 FROM item INDEXED BY item_message
                    WHERE tenant = ?1 AND message = ?2 AND outcome = 'stored'
                    AND NOT (mailbox = ?3 AND generation < ?4))",
            )?
            .query_row(
                params![self.tenant.as_str(), message.id.as_str(), self.mailbox.as_str(), self.generation],
                |row| row.get(0),
            )?;
        Ok(!held)
    }

    fn is_erased(&self, message: &MessageId) -> Result<bool, LedgerError> {
        Ok(self
            .transaction
            .prepare_cached("SELECT EXISTS (SELECT 1 FROM erased WHERE tenant = ?1 AND message = ?2)")?
            .query_row(params![self.tenant.as_str(), message.as_str()], |row| row.get(0))?)
    }
}

fn kind_name(kind: ItemKind) -> &'static str {
    match kind {
        ItemKind::Message => "message",
        ItemKind::Appointment => "appointment",
        ItemKind::Note => "note",
        ItemKind::Contact => "contact",
        ItemKind::Task => "task",
        ItemKind::Journal => "journal",
        ItemKind::Other => "other",
    }
}

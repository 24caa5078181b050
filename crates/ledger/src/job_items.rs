//! What became of the items that a job read.

use rejoinder_domain::{MessageId, TenantId};
use rusqlite::{Row, params};
use serde::{Deserialize, Serialize};

use crate::sealing::ItemPlaces;
use crate::{Ledger, LedgerError, cursor};

/// What became of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ItemStatus {
    /// The first copy of a message. It can be found when the job has ended.
    Indexed,
    /// A further copy of a message.
    Duplicate,
    /// It could not be read, for the reason given.
    Skipped,
    /// It was read, but not all of it: the item is `Indexed` or `Duplicate` as well.
    Salvaged,
}

impl ItemStatus {
    /// The stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Indexed => "indexed",
            Self::Duplicate => "duplicate",
            Self::Skipped => "skipped",
            Self::Salvaged => "salvaged",
        }
    }
}

/// One item, or one part of an item that was lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobItem {
    /// Where it is: folder and place in the mailbox; of a loss, where in the item.
    pub place: String,
    /// What became of it.
    pub status: ItemStatus,
    /// Why it was skipped or lost, without any text of a message.
    pub reason: Option<String>,
    /// The message that it is.
    pub message: Option<MessageId>,
}

/// A page of items, in order of mailbox and position.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobItemPage {
    /// The items.
    pub items: Vec<JobItem>,
    /// Where there is more: the cursor for it.
    pub next: Option<String>,
}

/// An item and what the cursor behind it is made of.
struct Placed {
    item: JobItem,
    position: i64,
    ordinal: i64,
    mailbox: String,
}

impl Ledger {
    /// A page of up to `limit` items (at least 1) of the mailboxes that a job read, from a cursor on. Without a status every
    /// item is listed once, and the numbers of indexed, duplicate and skipped ones add up to those seen; with `Salvaged` every
    /// part that was lost is. A later reading of a changed mailbox takes the place of the earlier one, whose items are no more.
    pub fn job_items(
        &self,
        tenant: &TenantId,
        job: &str,
        status: Option<ItemStatus>,
        after: Option<&str>,
        limit: u32,
    ) -> Result<JobItemPage, LedgerError> {
        let (position, ordinal, mailbox) = match after {
            Some(cursor) => {
                let (position, [ordinal, mailbox]) = cursor::decode(cursor)?;
                (position, ordinal.parse().map_err(|_| LedgerError::Cursor)?, mailbox)
            }
            None => (-1, -1_i64, String::new()),
        };
        let outcome = match status {
            Some(ItemStatus::Indexed) => Some("stored"),
            Some(ItemStatus::Duplicate) => Some("duplicate"),
            Some(ItemStatus::Skipped) => Some("skipped"),
            Some(ItemStatus::Salvaged) | None => None,
        };
        let query = if status == Some(ItemStatus::Salvaged) {
            "SELECT loss.mailbox, loss.position, loss.ordinal, NULL, loss.place, 'salvaged', loss.reason, item.message
             FROM job_mailbox AS read
             CROSS JOIN loss ON loss.tenant = ?1 AND loss.mailbox = read.mailbox AND loss.generation = read.generation
             CROSS JOIN item ON item.tenant = ?1 AND item.mailbox = loss.mailbox AND item.generation = loss.generation
                AND item.position = loss.position
             WHERE read.tenant = ?1 AND read.job = ?2 AND read.mailbox >= ?3 AND ?7 IS NULL
                AND (loss.mailbox, loss.position, loss.ordinal) > (?3, ?4, ?5) AND item.outcome <> 'skipped'
             ORDER BY loss.mailbox, loss.position, loss.ordinal LIMIT ?6"
        } else {
            "SELECT item.mailbox, item.position, 0, item.folder, item.place, item.outcome, item.reason, item.message
             FROM job_mailbox AS read
             CROSS JOIN item ON item.tenant = ?1 AND item.mailbox = read.mailbox AND item.generation = read.generation
             WHERE read.tenant = ?1 AND read.job = ?2 AND read.mailbox >= ?3
                AND (item.mailbox, item.position, 0) > (?3, ?4, ?5) AND (?7 IS NULL OR item.outcome = ?7)
             ORDER BY item.mailbox, item.position LIMIT ?6"
        };
        let connection = self.reader()?;
        let mut statement = connection.prepare_cached(query)?;
        let limit_and_one = i64::from(limit.max(1)) + 1;
        let values = params![tenant.as_str(), job, mailbox, position, ordinal, limit_and_one, outcome];
        let mut rows = statement.query(values)?;
        let mut placed = Vec::new();
        while let Some(row) = rows.next()? {
            placed.push(self.read_item(tenant, row)?);
        }
        let next = cursor::more(&mut placed, limit).map(|last: &Placed| {
            cursor::encode(&[&last.position.to_string(), &last.ordinal.to_string(), &last.mailbox])
        });
        Ok(JobItemPage { items: placed.into_iter().map(|placed| placed.item).collect(), next })
    }

    /// From the columns of either query; a loss has no folder.
    fn read_item(&self, tenant: &TenantId, row: &Row<'_>) -> Result<Placed, LedgerError> {
        let (mailbox, position, ordinal): (String, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let of_item = ItemPlaces::new(&mailbox, position);
        let folder: Option<String> = row.get(3)?;
        let stored_in = if folder.is_some() { of_item.place() } else { of_item.loss(ordinal) };
        let place = self.open_text(tenant, &stored_in, row.get(4)?)?;
        let folder = folder.map(|stored| self.open_text(tenant, &of_item.folder(), stored)).transpose()?;
        let item = item_of(row, folder.as_deref().unwrap_or_default(), place)?;
        Ok(Placed { item, position, ordinal, mailbox })
    }
}

fn item_of(row: &Row<'_>, folder: &str, place: String) -> Result<JobItem, LedgerError> {
    let status = match row.get_ref(5)?.as_str().unwrap_or_default() {
        "stored" => ItemStatus::Indexed,
        "duplicate" => ItemStatus::Duplicate,
        "skipped" => ItemStatus::Skipped,
        "salvaged" => ItemStatus::Salvaged,
        _ => return Err(LedgerError::Corrupt("outcome of an item")),
    };
    Ok(JobItem {
        place: if folder.is_empty() || status == ItemStatus::Skipped { place } else { format!("{folder}/{place}") },
        status,
        reason: row.get(6)?,
        message: row.get::<_, Option<String>>(7)?.map(MessageId::from_stored),
    })
}

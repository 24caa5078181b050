//! Which texts are encrypted, with what, and how a ledger that holds plain ones is brought to that.
//!
//! Sealed are: messages and their thread entries, suggestions with their terms, reasons of outcomes, stored answers, names, paths
//! and owners of mailboxes, folders and places of items and losses, names, paths and errors of jobs, reports of runs. In clear
//! stay tenants, ids and digests (hashes of content among them), ids of tickets, times, sizes, counts, directions, the shape of
//! conversations, names of formats, providers and models, and the reasons why an item was skipped, which hold no text of it.
//!
//! A text is bound to its tenant, its column and the key of its row. The keys are in the table `data_key`, each encrypted by the
//! master key. Whoever erases a tenant deletes them with the rest, so that copies of the file made before hold nothing
//! readable of it once the keys are gone from them too.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use rejoinder_domain::TenantId;
use rejoinder_vault::{KeyId, Keyring, Sealer, Vault};
use rusqlite::types::Value;
use rusqlite::{OptionalExtension as _, Transaction, params, params_from_iter};

use crate::keys::LedgerKeys;
use crate::{Ledger, LedgerError};

/// Rows that one transaction seals at most, so that others need not wait long for it.
const SEALED_AT_ONCE: usize = 256;

/// A table with sealed columns. The key columns beside the tenant find a row; `place` are those of them that a text is bound to.
struct Table {
    name: &'static str,
    key: &'static [&'static str],
    place: &'static [&'static str],
    blobs: &'static [&'static str],
    texts: &'static [&'static str],
}

const TABLES: &[Table] = &[
    table("content", &["message"], &["thread_entry", "content"], &[]),
    table("mailbox", &["id"], &[], &["name", "path", "owner"]),
    // The generation counts readings and is not known before the row is written.
    Table {
        name: "item",
        key: &["mailbox", "generation", "position"],
        place: &["mailbox", "position"],
        blobs: &[],
        texts: &["folder", "place"],
    },
    Table {
        name: "loss",
        key: &["mailbox", "generation", "position", "ordinal"],
        place: &["mailbox", "position", "ordinal"],
        blobs: &[],
        texts: &["place"],
    },
    table("job", &["id"], &[], &["name", "path", "error"]),
    table("suggestion", &["id"], &["terms", "body"], &[]),
    table("outcome", &["suggestion"], &["reason"], &[]),
    table("idempotency", &["route", "key"], &["headers", "body"], &[]),
    table("run", &["id"], &[], &["report"]),
];

const fn table(
    name: &'static str,
    key: &'static [&'static str],
    blobs: &'static [&'static str],
    texts: &'static [&'static str],
) -> Table {
    Table { name, key, place: key, blobs, texts }
}

/// How far the texts of a ledger are sealed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SealingStatus {
    /// Rows of each table that has texts to be sealed.
    pub rows: BTreeMap<&'static str, u64>,
    /// Those of them with a text that is not sealed.
    pub plain: BTreeMap<&'static str, u64>,
}

impl SealingStatus {
    /// Whether no text is left that is not sealed.
    pub fn is_complete(&self) -> bool {
        self.plain.values().all(|rows| *rows == 0)
    }
}

/// What [`Ledger::seal_all`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SealedRows {
    /// Rows whose texts were sealed.
    pub rows: u64,
    /// Whether nothing is left to be sealed.
    pub complete: bool,
}

impl Ledger {
    /// Opens the ledger and seals what is written to it from now on. What was written before without a key stays readable;
    /// [`Ledger::seal_all`] seals it. Fails with [`rejoinder_vault::VaultError`] where the master keys do not unwrap the
    /// ledger's data keys.
    pub fn open_sealed(path: impl AsRef<std::path::Path>, keyring: Keyring) -> Result<Self, LedgerError> {
        let mut ledger = Self::open_any(path.as_ref())?;
        let vault = Arc::new(Vault::new(keyring, Arc::new(LedgerKeys::open(ledger.path())?)));
        vault.check()?;
        ledger.sealer = Arc::clone(&vault) as Arc<dyn Sealer>;
        ledger.vault = Some(vault);
        Ok(ledger)
    }

    /// What seals, for the vector store to seal with the same keys.
    pub fn sealer(&self) -> Arc<dyn Sealer> {
        Arc::clone(&self.sealer)
    }

    /// The vault, where the ledger was opened with master keys: for its status and for rotation.
    pub fn vault(&self) -> Option<&Arc<Vault>> {
        self.vault.as_ref()
    }

    /// How far the texts are sealed. Reads every row's beginning.
    pub fn sealing_status(&self) -> Result<SealingStatus, LedgerError> {
        let connection = self.reader()?;
        let mut status = SealingStatus::default();
        for table in TABLES {
            let statement = format!("SELECT count(*), ifnull(sum({}), 0) FROM {}", table.is_plain(), table.name);
            let counts = connection.query_row(&statement, [], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)));
            let (rows, plain) = counts?;
            status.rows.insert(table.name, rows.cast_unsigned());
            status.plain.insert(table.name, plain.cast_unsigned());
        }
        Ok(status)
    }

    /// Seals every text that was written without a key, in transactions of some hundred rows, while others read and write.
    /// `go_on` is asked after each with the number of rows so far; where it says no, or the process dies, the next call goes on.
    /// When nothing is left, the file is written anew (`VACUUM`, which takes as much space again for the while) and the
    /// write-ahead log emptied, so that no freed page holds an old text. What the file system keeps of overwritten blocks, and
    /// backups made before, are out of reach.
    pub fn seal_all(&self, mut go_on: impl FnMut(u64) -> bool) -> Result<SealedRows, LedgerError> {
        if !self.sealer.is_sealing() {
            return Err(LedgerError::NoMasterKey);
        }
        let mut sealed = SealedRows::default();
        for table in TABLES {
            let mut after: Option<Vec<Value>> = None;
            loop {
                let rows = self.plain_rows(table, after.as_deref())?;
                let Some(last) = rows.last() else { break };
                after = Some(last.key.clone());
                sealed.rows += self.seal_rows(table, &rows)?;
                if !go_on(sealed.rows) {
                    return Ok(sealed);
                }
            }
        }
        sealed.complete = self.sealing_status()?.is_complete();
        if sealed.complete {
            self.rewrite()?;
        }
        Ok(sealed)
    }

    /// Up to [`SEALED_AT_ONCE`] rows with a text that is not sealed, in order of their keys, after `after`.
    fn plain_rows(&self, table: &Table, after: Option<&[Value]>) -> Result<Vec<PlainRow>, LedgerError> {
        let keys = table.all_keys();
        let columns = keys.len();
        let condition = if after.is_some() {
            format!("({}) > ({}) AND", keys.join(", "), vec!["?"; columns].join(", "))
        } else {
            String::new()
        };
        let list = keys.join(", ");
        let texts = table.columns().collect::<Vec<_>>().join(", ");
        let statement = format!(
            "SELECT {list}, {texts} FROM {} WHERE {condition} {} ORDER BY {list} LIMIT {SEALED_AT_ONCE}",
            table.name,
            table.is_plain()
        );
        let connection = self.reader()?;
        let mut statement = connection.prepare_cached(&statement)?;
        let mut rows = statement.query(params_from_iter(after.unwrap_or_default()))?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let values = |range: std::ops::Range<usize>| range.map(|at| row.get(at)).collect::<Result<Vec<Value>, _>>();
            let key = values(0..columns)?;
            let tenant = match key.first() {
                Some(Value::Text(tenant)) => TenantId::new(tenant.as_str()),
                _ => return Err(LedgerError::Corrupt("tenant")),
            };
            let tenant = tenant.map_err(|_| LedgerError::Corrupt("tenant"))?;
            found.push(PlainRow { tenant, key, texts: values(columns..columns + table.columns().count())? });
        }
        Ok(found)
    }

    /// Seals rows in one transaction; those that changed or went meanwhile are left alone.
    fn seal_rows(&self, table: &Table, rows: &[PlainRow]) -> Result<u64, LedgerError> {
        // Making a key needs the database, which the transaction below holds.
        let mut keys = BTreeMap::new();
        for row in rows {
            if !keys.contains_key(&row.tenant) {
                keys.insert(row.tenant.clone(), self.sealer.prepare(&row.tenant)?);
            }
        }
        let of_row: Vec<String> = table.all_keys().iter().map(|key| format!("{key} = ?")).collect();
        let columns: Vec<&str> = table.columns().collect();
        let set: Vec<String> = columns.iter().map(|column| format!("{column} = ?")).collect();
        let unchanged: Vec<String> = columns.iter().map(|column| format!("{column} IS ?")).collect();
        let statement = format!(
            "UPDATE {} SET {} WHERE {} AND {}",
            table.name,
            set.join(", "),
            of_row.join(" AND "),
            unchanged.join(" AND ")
        );
        self.write(|transaction| {
            let mut update = transaction.prepare_cached(&statement)?;
            let mut sealed = 0;
            for row in rows {
                // Another process may have erased the tenant, whose rows are gone then.
                if !is_kept(transaction, &row.tenant, keys.get(&row.tenant).copied().flatten())? {
                    self.sealer.forget(&row.tenant);
                    continue;
                }
                let new = self.seal_row(table, row)?;
                sealed += update.execute(params_from_iter(new.iter().chain(&row.key).chain(&row.texts)))? as u64;
            }
            Ok(sealed)
        })
    }

    fn seal_row(&self, table: &Table, row: &PlainRow) -> Result<Vec<Value>, LedgerError> {
        let parts: Vec<String> = table
            .all_keys()
            .iter()
            .zip(&row.key)
            .filter(|(column, _)| table.place.contains(column))
            .map(|(_, value)| part(value))
            .collect();
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let mut sealed = Vec::with_capacity(row.texts.len());
        for (column, value) in table.columns().zip(&row.texts) {
            let place = place(&format!("{}.{column}", table.name), &parts);
            sealed.push(match value {
                Value::Blob(stored) => {
                    let plain = self.sealer.open(&row.tenant, &place, stored.clone())?;
                    Value::Blob(self.sealer.seal(&row.tenant, &place, &plain)?.into_owned())
                }
                Value::Text(stored) => {
                    let plain = self.sealer.open_text(&row.tenant, &place, stored.clone())?;
                    Value::Text(self.sealer.seal_text(&row.tenant, &place, &plain)?.into_owned())
                }
                other => other.clone(),
            });
        }
        Ok(sealed)
    }

    /// A short text as it is written to a column.
    pub(crate) fn seal_text<'t>(
        &self,
        tenant: &TenantId,
        place: &str,
        text: &'t str,
    ) -> Result<Cow<'t, str>, LedgerError> {
        Ok(self.sealer.seal_text(tenant, place, text)?)
    }

    /// The short text that [`Ledger::seal_text`] gave.
    pub(crate) fn open_text(&self, tenant: &TenantId, place: &str, stored: String) -> Result<String, LedgerError> {
        Ok(self.sealer.open_text(tenant, place, stored)?)
    }
}

/// A row with a text that is not sealed.
struct PlainRow {
    tenant: TenantId,
    /// The tenant included.
    key: Vec<Value>,
    texts: Vec<Value>,
}

impl Table {
    fn all_keys(&self) -> Vec<&'static str> {
        [&["tenant"], self.key].concat()
    }

    fn columns(&self) -> impl Iterator<Item = &'static str> {
        self.blobs.iter().chain(self.texts).copied()
    }

    /// The condition that some column holds a text that is not sealed. The marks are those of the vault's envelopes.
    fn is_plain(&self) -> String {
        let blobs = self.blobs.iter().map(|column| format!("substr({column}, 1, 4) <> x'a5726a01'"));
        let texts = self.texts.iter().map(|column| format!("substr({column}, 1, 5) <> char(1) || 'rj1:'"));
        // A column without a value has nothing to be sealed.
        let conditions: Vec<String> = blobs.chain(texts).map(|condition| format!("ifnull({condition}, 0)")).collect();
        format!("({})", conditions.join(" OR "))
    }
}

/// The place that a text is bound to: a column, and what the row is found by.
pub(crate) fn place(column: &str, key: &[&str]) -> String {
    let mut place = column.to_owned();
    for part in key {
        place.push('\0');
        place.push_str(part);
    }
    place
}

/// The places of what is known of one item of a mailbox.
pub(crate) struct ItemPlaces<'a> {
    mailbox: &'a str,
    position: String,
}

impl<'a> ItemPlaces<'a> {
    pub(crate) fn new(mailbox: &'a str, position: i64) -> Self {
        Self { mailbox, position: position.to_string() }
    }

    pub(crate) fn folder(&self) -> String {
        place("item.folder", &[self.mailbox, &self.position])
    }

    pub(crate) fn place(&self) -> String {
        place("item.place", &[self.mailbox, &self.position])
    }

    pub(crate) fn loss(&self, ordinal: i64) -> String {
        place("loss.place", &[self.mailbox, &self.position, &ordinal.to_string()])
    }
}

/// A part of a key as it stands in a place: numbers in decimal, bytes in hexadecimal digits.
fn part(value: &Value) -> String {
    match value {
        Value::Integer(number) => number.to_string(),
        Value::Text(text) => text.clone(),
        Value::Blob(bytes) => hexadecimal(bytes),
        Value::Real(_) | Value::Null => String::new(),
    }
}

/// Bytes in hexadecimal digits.
pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn is_kept(transaction: &Transaction<'_>, tenant: &TenantId, key: Option<KeyId>) -> Result<bool, LedgerError> {
    let Some(key) = key else { return Ok(false) };
    let found = transaction
        .prepare_cached("SELECT 1 FROM data_key WHERE tenant = ?1 AND id = ?2")?
        .query_row(params![tenant.as_str(), key.to_string()], |_| Ok(()))
        .optional()?;
    Ok(found.is_some())
}

//! The tables and how an older file is brought up to date.

use rusqlite::{Connection, TransactionBehavior};

use crate::KeyError;

/// One entry per schema version, in order: the statements that lead from the version before to it. A released entry is
/// never edited; a change of the schema is a new entry.
const MIGRATIONS: &[&str] = &[VERSION_1];

/// * `key.secret` is the SHA-256 of the key's 32 random bytes. A password needs a slow, salted hash because it can be
///   guessed; 256 random bits cannot, whatever a guess costs, and equal secrets do not occur. Times are microseconds.
/// * `revision` is one row, counted up with every change that decides who is let in, by whichever program makes it. It tells
///   such a change from a mere note in `used`.
/// * `used` is apart from `key` so that a note of use never touches a row that decides about access.
const VERSION_1: &str = "
CREATE TABLE key (
    id TEXT NOT NULL PRIMARY KEY,
    secret BLOB NOT NULL CHECK (length(secret) = 32),
    tenant TEXT NOT NULL,
    name TEXT NOT NULL,
    roles TEXT NOT NULL,
    created INTEGER NOT NULL,
    expires INTEGER,
    revoked INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX key_tenant ON key (tenant, created);

CREATE TABLE used (
    id TEXT NOT NULL PRIMARY KEY REFERENCES key (id) ON DELETE CASCADE,
    at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE revision (
    number INTEGER NOT NULL
) STRICT;
INSERT INTO revision VALUES (0);
CREATE TRIGGER key_added AFTER INSERT ON key BEGIN UPDATE revision SET number = number + 1; END;
CREATE TRIGGER key_changed AFTER UPDATE ON key BEGIN UPDATE revision SET number = number + 1; END;
CREATE TRIGGER key_removed AFTER DELETE ON key BEGIN UPDATE revision SET number = number + 1; END;
";

/// Brings the file to the newest version, all in one transaction, so that an interrupted start leaves the old one.
pub(super) fn migrate(connection: &mut Connection) -> Result<(), KeyError> {
    let known = MIGRATIONS.len() as i64;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found: i64 = transaction.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if found > known {
        return Err(KeyError::TooNew { found, known });
    }
    for statements in MIGRATIONS.iter().skip(found.max(0) as usize) {
        transaction.execute_batch(statements)?;
    }
    transaction.pragma_update(None, "user_version", known)?;
    transaction.commit()?;
    Ok(())
}

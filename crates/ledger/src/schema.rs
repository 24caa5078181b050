//! The tables and how an older file is brought up to date.

use rusqlite::Connection;

use crate::LedgerError;

/// One entry per schema version, in order: the statements that lead from the version before to it. A released entry is
/// never edited; a change of the schema is a new entry.
const MIGRATIONS: &[&str] = &[VERSION_1];

/// * `mailbox.generation` counts readings of changed content. Items of the reading before stay until the new one is
///   complete, so that a message never loses its only place because a reading was interrupted.
/// * `item` is the account: one row per item seen. `outcome` is `stored` for the first copy of a message, `duplicate`
///   for the others, `skipped` with a reason for what could not be read.
/// * `message` has what queries need and what changes: `stamp` describes what can change in a stored record (direction and
///   mailboxes). What never changes is in `content`, the message as compressed JSON, so that a change of a thread does not
///   write it again.
/// * `unit` is what the vector store of an index version holds: the passages of a message (`reply` empty) or one reply
///   pair, with the number of records and the stamp they were made for; a `NULL` stamp means that the write may or may
///   not have happened. A record's id follows from the unit and its ordinal, so ids need no table.
/// * `erased` keeps the ids (hashes) of messages that must not come back.
const VERSION_1: &str = "
CREATE TABLE mailbox (
    tenant TEXT NOT NULL,
    id TEXT NOT NULL,
    name TEXT NOT NULL,
    path TEXT NOT NULL,
    format TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    owner TEXT,
    generation INTEGER NOT NULL,
    position INTEGER,
    complete INTEGER NOT NULL,
    read_at INTEGER,
    PRIMARY KEY (tenant, id)
) STRICT;

CREATE TABLE message (
    tenant TEXT NOT NULL,
    id TEXT NOT NULL,
    kind TEXT NOT NULL,
    sent_at INTEGER,
    direction TEXT NOT NULL,
    thread TEXT,
    parent TEXT,
    stamp TEXT,
    gone INTEGER NOT NULL,
    PRIMARY KEY (tenant, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX message_thread ON message (tenant, thread, sent_at);
CREATE INDEX message_parent ON message (tenant, parent) WHERE parent IS NOT NULL;

CREATE TABLE content (
    tenant TEXT NOT NULL,
    message TEXT NOT NULL,
    thread_entry BLOB NOT NULL,
    content BLOB NOT NULL,
    PRIMARY KEY (tenant, message),
    FOREIGN KEY (tenant, message) REFERENCES message (tenant, id) ON DELETE CASCADE
) STRICT;

CREATE TABLE item (
    tenant TEXT NOT NULL,
    mailbox TEXT NOT NULL,
    generation INTEGER NOT NULL,
    position INTEGER NOT NULL,
    folder TEXT NOT NULL,
    place TEXT NOT NULL,
    in_sent_folder INTEGER NOT NULL,
    outcome TEXT NOT NULL CHECK (outcome IN ('stored', 'duplicate', 'skipped')),
    reason TEXT,
    message TEXT,
    losses INTEGER NOT NULL,
    PRIMARY KEY (tenant, mailbox, generation, position),
    FOREIGN KEY (tenant, mailbox) REFERENCES mailbox (tenant, id),
    FOREIGN KEY (tenant, message) REFERENCES message (tenant, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX item_message ON item (tenant, message) WHERE message IS NOT NULL;

CREATE TABLE loss (
    tenant TEXT NOT NULL,
    mailbox TEXT NOT NULL,
    generation INTEGER NOT NULL,
    position INTEGER NOT NULL,
    ordinal INTEGER NOT NULL,
    place TEXT NOT NULL,
    reason TEXT NOT NULL,
    PRIMARY KEY (tenant, mailbox, generation, position, ordinal),
    FOREIGN KEY (tenant, mailbox, generation, position)
        REFERENCES item (tenant, mailbox, generation, position) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE TABLE pair (
    tenant TEXT NOT NULL,
    question TEXT NOT NULL,
    reply TEXT NOT NULL,
    stamp TEXT NOT NULL,
    PRIMARY KEY (tenant, question, reply)
) STRICT, WITHOUT ROWID;
CREATE INDEX pair_reply ON pair (tenant, reply);

CREATE TABLE unit (
    tenant TEXT NOT NULL,
    version TEXT NOT NULL,
    message TEXT NOT NULL,
    reply TEXT NOT NULL,
    stamp TEXT,
    records INTEGER NOT NULL,
    PRIMARY KEY (tenant, version, message, reply)
) STRICT, WITHOUT ROWID;

CREATE TABLE erased (
    tenant TEXT NOT NULL,
    message TEXT NOT NULL,
    PRIMARY KEY (tenant, message)
) STRICT, WITHOUT ROWID;

CREATE TABLE run (
    tenant TEXT NOT NULL,
    id INTEGER NOT NULL,
    started INTEGER NOT NULL,
    finished INTEGER,
    report TEXT,
    PRIMARY KEY (tenant, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE suggestion (
    tenant TEXT NOT NULL,
    id TEXT NOT NULL,
    ticket TEXT NOT NULL,
    created INTEGER NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (tenant, id)
) STRICT;
";

/// Brings the ledger's file to the newest version.
pub(crate) fn migrate(connection: &mut Connection) -> Result<(), LedgerError> {
    apply(connection, MIGRATIONS)
}

/// Brings a file from the version that it has to the last of `migrations`, all in one transaction.
pub(crate) fn apply(connection: &mut Connection, migrations: &[&str]) -> Result<(), LedgerError> {
    let known = migrations.len() as i64;
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let found: i64 = transaction.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if found > known {
        return Err(LedgerError::TooNew { found, known });
    }
    for statements in migrations.iter().skip(found.max(0) as usize) {
        transaction.execute_batch(statements)?;
    }
    transaction.pragma_update(None, "user_version", known)?;
    transaction.commit()?;
    Ok(())
}

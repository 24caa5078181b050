//! The tables and how an older file is brought up to date.

use rusqlite::Connection;

use crate::LedgerError;

#[cfg(test)]
mod tests;

/// One entry per schema version, in order: the statements that lead from the version before to it. A released entry is
/// never edited; a change of the schema is a new entry.
const MIGRATIONS: &[&str] = &[VERSION_1, VERSION_2, VERSION_3, VERSION_4];

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

/// What people ask for and say, beside what was ingested. Texts are blobs, packed by `text`.
///
/// * `message.dated` is the age that retention counts by: when it was sent, or when it was first read where it was not, or
///   says that it was sent later than that. For messages of version 1 without a date it is the moment of the migration.
/// * `job` is one order to ingest; `job_mailbox` the readings that it did. Its items are rows of `item`.
/// * `suggestion` replaces the table of version 1, which no program has written to. `state` is the digest of the ticket as
///   the suggestion saw it, `ticket_state` of the ticket as it was last seen: where they differ, the suggestion is stale.
///   `suggestion_message` names every message that it rests on, so that it goes when one of them does.
/// * `outcome` is what a person made of a suggestion: at most one. It goes with the suggestion.
/// * `learned` ties a suggestion to the reply pair that was made of its outcome; `mailbox` holds the messages that exist only
///   for that. `rejected` names replies that a person did not want. Both outlive the suggestion when it gets too old, and
///   go with the messages.
/// * `idempotency` is what a repeated request is answered with. `key` is a digest of the caller's key. `process` is the start
///   of the program that works on it. `void` marks work that began before an erasure: what it answers is not kept.
const VERSION_2: &str = "
ALTER TABLE message ADD COLUMN dated INTEGER;
UPDATE message SET dated = min(ifnull(sent_at, unixepoch() * 1000), unixepoch() * 1000);
CREATE INDEX message_dated ON message (tenant, dated);

CREATE TABLE job (
    tenant TEXT NOT NULL,
    id TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('queued', 'running', 'completed', 'failed', 'cancelled')),
    source TEXT NOT NULL CHECK (source IN ('upload', 'inbox', 'watch')),
    name TEXT NOT NULL,
    path TEXT NOT NULL,
    bytes INTEGER,
    created INTEGER NOT NULL,
    started INTEGER,
    finished INTEGER,
    error TEXT,
    progress TEXT,
    cancel INTEGER NOT NULL,
    PRIMARY KEY (tenant, id)
) STRICT;
CREATE INDEX job_created ON job (tenant, created, id);
CREATE INDEX job_unfinished ON job (created, id) WHERE state IN ('queued', 'running');

CREATE TABLE job_mailbox (
    tenant TEXT NOT NULL,
    job TEXT NOT NULL,
    mailbox TEXT NOT NULL,
    generation INTEGER NOT NULL,
    PRIMARY KEY (tenant, job, mailbox, generation),
    FOREIGN KEY (tenant, job) REFERENCES job (tenant, id) ON DELETE CASCADE,
    FOREIGN KEY (tenant, mailbox) REFERENCES mailbox (tenant, id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX job_mailbox_mailbox ON job_mailbox (tenant, mailbox);

DROP TABLE suggestion;
CREATE TABLE suggestion (
    tenant TEXT NOT NULL,
    id TEXT NOT NULL,
    ticket TEXT NOT NULL,
    state TEXT NOT NULL,
    messages INTEGER NOT NULL,
    created INTEGER NOT NULL,
    found INTEGER NOT NULL,
    provider TEXT NOT NULL,
    model TEXT NOT NULL,
    source TEXT NOT NULL,
    terms BLOB NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (tenant, id)
) STRICT;
CREATE INDEX suggestion_created ON suggestion (tenant, created, id);
CREATE INDEX suggestion_ticket ON suggestion (tenant, ticket, created, id);
CREATE INDEX suggestion_unfound ON suggestion (tenant, created, id) WHERE found = 0;

CREATE TABLE suggestion_message (
    tenant TEXT NOT NULL,
    suggestion TEXT NOT NULL,
    message TEXT NOT NULL,
    PRIMARY KEY (tenant, suggestion, message),
    FOREIGN KEY (tenant, suggestion) REFERENCES suggestion (tenant, id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX suggestion_message_message ON suggestion_message (tenant, message);

CREATE TABLE ticket_state (
    tenant TEXT NOT NULL,
    ticket TEXT NOT NULL,
    state TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (tenant, ticket)
) STRICT, WITHOUT ROWID;
CREATE INDEX ticket_state_at ON ticket_state (tenant, at);

CREATE TABLE outcome (
    tenant TEXT NOT NULL,
    suggestion TEXT NOT NULL,
    candidate INTEGER NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('accepted', 'edited', 'rejected')),
    edit_class TEXT NOT NULL CHECK (edit_class IN ('none', 'light', 'moderate', 'heavy', 'rewritten')),
    edit_ratio REAL NOT NULL,
    reason BLOB,
    final_digest TEXT,
    recorded INTEGER NOT NULL,
    PRIMARY KEY (tenant, suggestion),
    FOREIGN KEY (tenant, suggestion) REFERENCES suggestion (tenant, id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE TABLE learned (
    tenant TEXT NOT NULL,
    suggestion TEXT NOT NULL,
    question TEXT NOT NULL,
    reply TEXT NOT NULL,
    mailbox TEXT NOT NULL,
    PRIMARY KEY (tenant, suggestion),
    FOREIGN KEY (tenant, question) REFERENCES message (tenant, id) ON DELETE CASCADE,
    FOREIGN KEY (tenant, reply) REFERENCES message (tenant, id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX learned_question ON learned (tenant, question);
CREATE INDEX learned_reply ON learned (tenant, reply);

CREATE TABLE rejected (
    tenant TEXT NOT NULL,
    reply TEXT NOT NULL,
    suggestion TEXT NOT NULL,
    ticket TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (tenant, reply, suggestion),
    FOREIGN KEY (tenant, reply) REFERENCES message (tenant, id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX rejected_ticket ON rejected (tenant, ticket);
CREATE INDEX rejected_suggestion ON rejected (tenant, suggestion);

CREATE TABLE idempotency (
    tenant TEXT NOT NULL,
    route TEXT NOT NULL,
    key BLOB NOT NULL,
    request BLOB NOT NULL,
    began INTEGER NOT NULL,
    process TEXT NOT NULL,
    void INTEGER NOT NULL,
    holds_text INTEGER NOT NULL,
    status INTEGER,
    content_type TEXT,
    headers BLOB,
    body BLOB,
    PRIMARY KEY (tenant, route, key)
) STRICT;
CREATE INDEX idempotency_began ON idempotency (began);
";

/// Encryption at rest.
///
/// * `data_key` holds the keys of each tenant, encrypted by the master key that `master` names. `id` is 16 hexadecimal digits,
///   `number` counts up: the highest seals new texts. One of purpose `terms` blinds the terms of the vector store.
/// * The triggers refuse a text that was sealed with a key which is no more, because its tenant was erased while it was being
///   written. Nobody could read it, and whoever reads the table would stumble over it. The bytes before the key id are the
///   vault's mark of a sealed text.
const VERSION_3: &str = "
CREATE TABLE data_key (
    tenant TEXT NOT NULL,
    id TEXT NOT NULL,
    number INTEGER NOT NULL,
    purpose TEXT NOT NULL CHECK (purpose IN ('text', 'terms')),
    master TEXT NOT NULL,
    wrapped BLOB NOT NULL,
    made INTEGER NOT NULL,
    PRIMARY KEY (tenant, id)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER content_key BEFORE INSERT ON content WHEN substr(NEW.content, 1, 4) = x'a5726a01'
    AND NOT EXISTS (SELECT 1 FROM data_key WHERE tenant = NEW.tenant AND id = lower(hex(substr(NEW.content, 5, 8))))
BEGIN SELECT RAISE(ABORT, 'data key'); END;

CREATE TRIGGER suggestion_key BEFORE INSERT ON suggestion WHEN substr(NEW.body, 1, 4) = x'a5726a01'
    AND NOT EXISTS (SELECT 1 FROM data_key WHERE tenant = NEW.tenant AND id = lower(hex(substr(NEW.body, 5, 8))))
BEGIN SELECT RAISE(ABORT, 'data key'); END;

CREATE TRIGGER outcome_key BEFORE INSERT ON outcome WHEN substr(NEW.reason, 1, 4) = x'a5726a01'
    AND NOT EXISTS (SELECT 1 FROM data_key WHERE tenant = NEW.tenant AND id = lower(hex(substr(NEW.reason, 5, 8))))
BEGIN SELECT RAISE(ABORT, 'data key'); END;

CREATE TRIGGER idempotency_key BEFORE UPDATE OF body ON idempotency WHEN substr(NEW.body, 1, 4) = x'a5726a01'
    AND NOT EXISTS (SELECT 1 FROM data_key WHERE tenant = NEW.tenant AND id = lower(hex(substr(NEW.body, 5, 8))))
BEGIN SELECT RAISE(ABORT, 'data key'); END;

CREATE TRIGGER mailbox_key BEFORE INSERT ON mailbox WHEN substr(NEW.name, 1, 5) = char(1) || 'rj1:'
    AND NOT EXISTS (SELECT 1 FROM data_key WHERE tenant = NEW.tenant AND id = substr(NEW.name, 6, 16))
BEGIN SELECT RAISE(ABORT, 'data key'); END;

CREATE TRIGGER item_key BEFORE INSERT ON item WHEN substr(NEW.place, 1, 5) = char(1) || 'rj1:'
    AND NOT EXISTS (SELECT 1 FROM data_key WHERE tenant = NEW.tenant AND id = substr(NEW.place, 6, 16))
BEGIN SELECT RAISE(ABORT, 'data key'); END;

CREATE TRIGGER job_key BEFORE INSERT ON job WHEN substr(NEW.name, 1, 5) = char(1) || 'rj1:'
    AND NOT EXISTS (SELECT 1 FROM data_key WHERE tenant = NEW.tenant AND id = substr(NEW.name, 6, 16))
BEGIN SELECT RAISE(ABORT, 'data key'); END;
";

/// `unerased` has the messages that were erased here and that the vector store may still hold records of; an empty id stands for
/// the whole tenant.
const VERSION_4: &str = "
CREATE TABLE unerased (
    tenant TEXT NOT NULL,
    message TEXT NOT NULL,
    PRIMARY KEY (tenant, message)
) STRICT, WITHOUT ROWID;
";

/// The newest version.
pub(crate) fn newest() -> i64 {
    MIGRATIONS.len() as i64
}

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

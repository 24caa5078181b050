//! The tables of the journal.

use rusqlite::Connection;

use crate::{LedgerError, schema};

/// As in the ledger: a released entry is never edited.
const MIGRATIONS: &[&str] = &[VERSION_1];

/// * `egress` is the audit: one row per prompt that left the machine or was about to. It holds no text.
/// * `usage` is the account: one row per attempt that ended. An attempt in `egress` that is missing here was under way when
///   the process died; it counts with what was reserved for it.
///
/// Both are kept in the order of their key, an attempt's id, and have one index beside it for all questions of a tenant: every
/// further one would have to be written before a prompt may leave.
const VERSION_1: &str = "
CREATE TABLE egress (
    attempt TEXT NOT NULL PRIMARY KEY,
    at INTEGER NOT NULL,
    tenant TEXT NOT NULL,
    request TEXT NOT NULL,
    purpose TEXT NOT NULL,
    provider TEXT NOT NULL,
    model TEXT NOT NULL,
    policy TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    redactions TEXT NOT NULL,
    reserved_tokens INTEGER NOT NULL,
    reserved_nanos INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX egress_of_tenant ON egress (tenant, at);

CREATE TABLE usage (
    attempt TEXT NOT NULL PRIMARY KEY,
    began INTEGER NOT NULL,
    tenant TEXT NOT NULL,
    request TEXT NOT NULL,
    purpose TEXT NOT NULL,
    provider TEXT NOT NULL,
    model TEXT NOT NULL,
    outcome TEXT NOT NULL,
    input_tokens INTEGER NOT NULL,
    cached_input_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    nanos INTEGER NOT NULL,
    ms INTEGER NOT NULL,
    first_token_ms INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX usage_of_tenant ON usage (tenant, began);
";

pub(super) fn newest() -> i64 {
    MIGRATIONS.len() as i64
}

pub(super) fn migrate(connection: &mut Connection) -> Result<(), LedgerError> {
    schema::apply(connection, MIGRATIONS)
}

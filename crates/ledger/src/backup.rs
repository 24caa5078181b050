//! Copies of a database that is in use, and the check of one before it takes the place of another.
//!
//! A copy is made by SQLite's `VACUUM INTO` inside one reading transaction: it is the state of one moment, writers go on
//! beside it, and what was erased is not in it, since only live rows are copied. To restore one, stop the program, check the
//! copy, and put it where the database was, without the `-wal` and `-shm` files that lie there.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use crate::{Ledger, LedgerError, UsageJournal, schema};

/// What a check found out about a file that is whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checked {
    /// The schema version. An older one is brought up to date when the file is opened.
    pub version: i64,
    /// Size in bytes.
    pub bytes: u64,
}

impl Ledger {
    /// Writes a copy of the ledger to `path`, where nothing may be yet; others read and write meanwhile. The file is there under
    /// its name only when it is whole and on the disk: every page of it has been read again.
    pub fn backup(&self, path: impl AsRef<Path>) -> Result<Checked, LedgerError> {
        copy(self.path(), path.as_ref())
    }

    /// Checks a ledger's file, without changing it: that every page and every index is right and that no row lacks what it
    /// refers to. It reads all of it, and takes about as long as the copy did. [`LedgerError::Damaged`] with the first finding, [`LedgerError::TooNew`] for a file of a newer program.
    pub fn check(path: impl AsRef<Path>) -> Result<Checked, LedgerError> {
        check(path.as_ref(), schema::newest(), "message")
    }
}

impl UsageJournal {
    /// Writes a copy of the journal to `path`, as [`Ledger::backup`] does, with all that was recorded before the call. Blocks.
    pub fn backup(&self, path: impl AsRef<Path>) -> Result<Checked, LedgerError> {
        self.flush()?;
        copy(self.path(), path.as_ref())
    }

    /// Checks a journal's file, as [`Ledger::check`] does.
    pub fn check(path: impl AsRef<Path>) -> Result<Checked, LedgerError> {
        check(path.as_ref(), Self::newest_version(), "egress")
    }
}

fn copy(from: &Path, to: &Path) -> Result<Checked, LedgerError> {
    if to.try_exists()? {
        return Err(LedgerError::File(std::io::ErrorKind::AlreadyExists.into()));
    }
    let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let partial = partial(to);
    match std::fs::remove_file(&partial) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
        // What an earlier try left behind.
        _ => {}
    }
    let copied = write_copy(from, &partial);
    if copied.is_err() {
        // The error that is told is the first one.
        let _ = std::fs::remove_file(&partial);
    }
    let copied = copied?;
    std::fs::rename(&partial, to)?;
    // On the disk under its name.
    File::open(folder)?.sync_all()?;
    Ok(copied)
}

fn write_copy(from: &Path, partial: &Path) -> Result<Checked, LedgerError> {
    let connection = Connection::open_with_flags(from, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    connection.busy_timeout(Duration::from_secs(30))?;
    let name = partial.to_str().ok_or_else(|| std::io::Error::from(std::io::ErrorKind::InvalidFilename))?;
    connection.execute("VACUUM INTO ?1", [name])?;
    drop(connection);
    File::open(partial)?.sync_all()?;
    let copy = Connection::open_with_flags(partial, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    // Without what takes longest, the comparison of every index with its table: SQLite made these indexes just now.
    expect_ok(&copy, "PRAGMA quick_check(1)")?;
    Ok(Checked { version: version_of(&copy)?, bytes: std::fs::metadata(partial)?.len() })
}

fn version_of(connection: &Connection) -> Result<i64, LedgerError> {
    Ok(connection.query_row("PRAGMA user_version", [], |row| row.get(0))?)
}

fn expect_ok(connection: &Connection, check: &str) -> Result<(), LedgerError> {
    let finding: String = connection.query_row(check, [], |row| row.get(0))?;
    if finding == "ok" { Ok(()) } else { Err(LedgerError::Damaged(finding)) }
}

fn partial(to: &Path) -> PathBuf {
    let mut name = to.file_name().unwrap_or_default().to_os_string();
    name.push(".partial");
    to.with_file_name(name)
}

/// `table` tells a file of the right kind from another database.
fn check(path: &Path, known: i64, table: &str) -> Result<Checked, LedgerError> {
    let bytes = std::fs::metadata(path)?.len();
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    connection.busy_timeout(Duration::from_secs(30))?;
    let version = version_of(&connection)?;
    if version > known {
        return Err(LedgerError::TooNew { found: version, known });
    }
    expect_ok(&connection, "PRAGMA integrity_check(1)")?;
    let is_of_kind: bool = connection.query_row(
        "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?1)",
        [table],
        |row| row.get(0),
    )?;
    if !is_of_kind || version < 1 {
        return Err(LedgerError::Damaged(format!("it has no table {table:?}; it is another file")));
    }
    let mut dangling = connection.prepare("PRAGMA foreign_key_check")?;
    if let Some(row) = dangling.query([])?.next()? {
        let (child, parent): (String, String) = (row.get(0)?, row.get(2)?);
        return Err(LedgerError::Damaged(format!("a row of {child} refers to a row of {parent} that is not there")));
    }
    drop(dangling);
    Ok(Checked { version, bytes })
}

//! The file, its connections and the lock that keeps ingests of one tenant apart.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use jiff::Timestamp;
use rejoinder_domain::TenantId;
use rejoinder_vault::{Plain, Sealer, Vault};
use rusqlite::{Connection, Transaction, TransactionBehavior};

use crate::durable::Log;
use crate::{LedgerError, schema};

/// Questions that are answered at once.
const READERS: usize = 4;

/// The durable state. Cheap to share (`Arc<Ledger>`); calls block, so an async caller enters by a blocking thread.
pub struct Ledger {
    path: PathBuf,
    /// Tells this opening of the file from every other: what an earlier one began and did not end, nobody works on.
    process: String,
    /// SQLite has one writer at a time; the write-ahead log lets readers go on beside it.
    writer: Mutex<Connection>,
    log: Log,
    readers: [Mutex<Connection>; READERS],
    /// Where the search for a free reader begins.
    turn: AtomicUsize,
    /// Every text goes through it on its way in and out.
    pub(crate) sealer: Arc<dyn Sealer>,
    /// The same, where there are master keys.
    pub(crate) vault: Option<Arc<Vault>>,
}

/// Held while one tenant is ingested. The operating system lets go of it when the process dies.
#[derive(Debug)]
pub struct IngestLock {
    _file: File,
}

impl Ledger {
    /// Opens the ledger, creating file and folder where they are missing and migrating an older file. Texts are kept as they
    /// are; [`LedgerError::Sealed`] where the ledger holds encrypted ones.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, LedgerError> {
        let ledger = Self::open_any(path.as_ref())?;
        let is_sealed = ledger.reader()?.query_row("SELECT EXISTS (SELECT 1 FROM data_key)", [], |row| row.get(0))?;
        if is_sealed { Err(LedgerError::Sealed) } else { Ok(ledger) }
    }

    /// Opens the ledger without a look at whether it is sealed.
    pub(crate) fn open_any(path: &Path) -> Result<Self, LedgerError> {
        let path = path.to_path_buf();
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder)?;
        }
        let mut writer = connect(&path)?;
        schema::migrate(&mut writer)?;
        // Whoever commits waits for the disk itself, see `durable`.
        writer.pragma_update(None, "synchronous", "normal")?;
        let reader = || -> Result<_, LedgerError> {
            let reader = connect(&path)?;
            reader.pragma_update(None, "query_only", true)?;
            reader.pragma_update(None, "cache_size", -4096)?;
            Ok(Mutex::new(reader))
        };
        Ok(Self {
            process: process_id(),
            log: Log::open(&path)?,
            readers: [reader()?, reader()?, reader()?, reader()?],
            turn: AtomicUsize::new(0),
            writer: Mutex::new(writer),
            path,
            sealer: Arc::new(Plain),
            vault: None,
        })
    }

    /// Takes the tenant's ingest lock or fails with [`LedgerError::Busy`]. It lies beside the ledger as a file, so it also
    /// holds against another process.
    pub fn lock_ingest(&self, tenant: &TenantId) -> Result<IngestLock, LedgerError> {
        let mut name = self.path.file_name().unwrap_or_default().to_os_string();
        name.push(format!(".{tenant}.lock"));
        let file = File::options().create(true).truncate(false).write(true).open(self.path.with_file_name(name))?;
        match file.try_lock() {
            Ok(()) => Ok(IngestLock { _file: file }),
            Err(TryLockError::WouldBlock) => Err(LedgerError::Busy),
            Err(TryLockError::Error(error)) => Err(LedgerError::File(error)),
        }
    }

    /// The file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Names this opening of the file.
    pub(crate) fn process(&self) -> &str {
        &self.process
    }

    /// A connection for reading: a free one, or the next one to become free.
    pub(crate) fn reader(&self) -> Result<MutexGuard<'_, Connection>, LedgerError> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % READERS;
        let from_turn = || self.readers.iter().cycle().skip(turn).take(READERS);
        if let Some(free) = from_turn().find_map(|reader| reader.try_lock().ok()) {
            return Ok(free);
        }
        from_turn().next().ok_or(LedgerError::Poisoned)?.lock().map_err(|_| LedgerError::Poisoned)
    }

    /// Runs `change` in one transaction: all of it is durable when this returns, or none.
    pub(crate) fn write<T>(
        &self,
        change: impl FnOnce(&Transaction<'_>) -> Result<T, LedgerError>,
    ) -> Result<T, LedgerError> {
        let mut connection = self.writer.lock().map_err(|_| LedgerError::Poisoned)?;
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let result = change(&transaction)?;
        transaction.commit()?;
        let number = self.log.committed();
        drop(connection);
        self.log.wait_for(number)?;
        Ok(result)
    }

    /// Writes the whole file anew, so that nothing is left in its free pages, and empties the write-ahead log.
    pub(crate) fn rewrite(&self) -> Result<(), LedgerError> {
        self.writer.lock().map_err(|_| LedgerError::Poisoned)?.execute_batch("VACUUM")?;
        self.truncate_log()
    }

    /// Empties the write-ahead log into the file, so that what was erased is not left in it. A reader in another process
    /// can hold that up; then the next erasure or the last close does it.
    pub(crate) fn truncate_log(&self) -> Result<(), LedgerError> {
        let connection = self.writer.lock().map_err(|_| LedgerError::Poisoned)?;
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        Ok(())
    }
}

/// Time, process and a counter, since a test or an embedder opens more than one.
fn process_id() -> String {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let count = COUNTER.fetch_add(1, Ordering::Relaxed);
    format!("{:x}-{:x}-{count:x}", Timestamp::now().as_nanosecond(), std::process::id())
}

pub(crate) fn connect(path: &Path) -> Result<Connection, LedgerError> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(Duration::from_secs(30))?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    // NORMAL alone could lose the last transactions in a power failure, and with them the announcement of records that the
    // store did keep.
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    // Erased text is overwritten, not only unlinked.
    connection.pragma_update(None, "secure_delete", true)?;
    connection.pragma_update(None, "cache_size", -8192)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

//! What language models were sent and what they used: the audit of egress and the account of usage, in a file of their own,
//! so that a long transaction of an ingest never delays a call to a model.
//!
//! One thread writes. What waits for it goes into one transaction, so that many calls at once share the cost of a commit.
//! [`Journal::egress`] returns after its transaction is committed. [`Journal::usage`] only queues, and its records wait some
//! milliseconds for the next egress to share a transaction with. Every record belongs to a call that just ended, so the queue
//! is as long as calls end while one transaction is written. Should the database fail (a
//! full disk), egress is refused, and records of usage wait in memory and are tried again.
//!
//! Times are stored in microseconds. An attempt counts at the time it began, in sums and in budgets alike.

mod query;
mod schema;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use rejoinder_domain::{EgressRecord, Journal, SeamError, Spent, TenantId, UsageRecord};
use rusqlite::Connection;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use crate::LedgerError;
pub use query::{Audit, AuditQuery, AuditRecord, Step, UsageQuery, UsageReport, UsageSum};
use writer::{Job, Writer};

/// How many rows one transaction of a deletion takes at most, so that calls to models need not wait long for it.
const DELETED_AT_ONCE: u32 = 2000;

/// How the journal is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UsageOptions {
    /// Waits for the disk before every call to a remote model. Without it, what was recorded survives the death of the
    /// process, also by `kill -9`, and a power failure can lose the last moments.
    pub survive_power_failure: bool,
}

/// How the journal is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JournalHealth {
    /// Records of usage that the database did not take yet.
    pub unwritten: u64,
    /// Records of usage that were given up, because more than a hundred thousand were unwritten or the journal was closed.
    pub lost: u64,
}

/// What a deletion removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeletedUsage {
    /// Records of egress.
    pub egress: u64,
    /// Records of usage.
    pub usage: u64,
}

/// The journal of egress and usage. Dropping it writes what still waits.
pub struct UsageJournal {
    path: PathBuf,
    jobs: mpsc::Sender<Job>,
    counts: Arc<Counts>,
    reader: Mutex<Connection>,
    /// Moves the write-ahead log into the file; one at a time can.
    keeper: Arc<Mutex<Connection>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

#[derive(Debug, Default)]
struct Counts {
    unwritten: AtomicU64,
    lost: AtomicU64,
}

impl UsageJournal {
    /// Opens the journal, creating file and folder where they are missing and migrating an older file.
    pub fn open(path: impl AsRef<Path>, options: UsageOptions) -> Result<Self, LedgerError> {
        let path = path.as_ref();
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder)?;
        }
        let mut connection = connect(path, options)?;
        schema::migrate(&mut connection)?;
        let reader = connect(path, options)?;
        reader.pragma_update(None, "query_only", true)?;
        let counts = Arc::new(Counts::default());
        let (jobs, queue) = mpsc::channel();
        let (ticks, checkpoints) = mpsc::channel();
        let keeper = Arc::new(Mutex::new(connect(path, options)?));
        // What is written is moved from the log into the file beside the writing, which would else wait for the disk.
        connection.pragma_update(None, "wal_autocheckpoint", 0)?;
        let writer = Writer::new(connection, queue, ticks, Arc::clone(&counts));
        let log = Arc::clone(&keeper);
        let threads = vec![
            spawn("rejoinder-usage", move || writer.run())?,
            spawn("rejoinder-usage-checkpoint", move || writer::keep_log_short(&log, &checkpoints))?,
        ];
        Ok(Self {
            path: path.to_path_buf(),
            jobs,
            counts,
            reader: Mutex::new(reader),
            keeper,
            threads: Mutex::new(threads),
        })
    }

    /// Waits until all that was queued is written. Blocks.
    pub fn flush(&self) -> Result<(), LedgerError> {
        self.run(|_| Ok(()))?;
        match self.health().unwritten {
            0 => Ok(()),
            unwritten => Err(LedgerError::Unwritten(unwritten)),
        }
    }

    /// Writes all that was queued and ends. Egress is refused from then on. Blocks.
    pub fn close(&self) -> Result<(), LedgerError> {
        let flushed = self.flush();
        self.end();
        flushed
    }

    /// How it is doing.
    pub fn health(&self) -> JournalHealth {
        JournalHealth {
            unwritten: self.counts.unwritten.load(Ordering::Relaxed),
            lost: self.counts.lost.load(Ordering::Relaxed),
        }
    }

    /// Erases all records of a tenant, those that still wait included. Freed pages are overwritten and the write-ahead log is
    /// emptied; a reader in another process can hold that up, then the next erasure or the last close does it. Blocks.
    pub fn erase_tenant(&self, tenant: &TenantId) -> Result<DeletedUsage, LedgerError> {
        let deleted = self.delete(tenant, i64::MAX)?;
        let keeper = self.keeper.lock().map_err(|_| LedgerError::Poisoned)?;
        keeper.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        Ok(deleted)
    }

    /// Deletes, for all tenants, the records of attempts that began before `time`. Budgets are restored from what is left: keep
    /// at least what is younger than the longest of their periods. Blocks.
    pub fn delete_before(&self, time: Timestamp) -> Result<DeletedUsage, LedgerError> {
        let tenants = self.run(|connection| query::tenants(connection))?;
        let mut all = DeletedUsage::default();
        for tenant in tenants {
            let deleted = self.delete(&tenant, time.as_microsecond())?;
            all.egress += deleted.egress;
            all.usage += deleted.usage;
        }
        Ok(all)
    }

    fn delete(&self, tenant: &TenantId, before: i64) -> Result<DeletedUsage, LedgerError> {
        let mut all = DeletedUsage::default();
        loop {
            let tenant = tenant.clone();
            let some = self.run(move |connection| writer::delete(connection, &tenant, before, DELETED_AT_ONCE))?;
            all.egress += some.egress;
            all.usage += some.usage;
            if some == DeletedUsage::default() {
                return Ok(all);
            }
        }
    }

    /// Runs `work` in the writing thread, after all that was queued before.
    fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T, LedgerError> + Send + 'static,
    ) -> Result<T, LedgerError> {
        let (reply, answer) = mpsc::sync_channel(1);
        let work = Box::new(move |connection: &mut Connection| {
            // Whoever asked waits for the answer below.
            let _ = reply.send(work(connection));
        });
        self.jobs.send(Job::Work(work)).map_err(|_| LedgerError::Closed)?;
        answer.recv().map_err(|_| LedgerError::Closed)?
    }

    /// The file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The newest schema version.
    pub(crate) fn newest_version() -> i64 {
        schema::newest()
    }

    fn reader(&self) -> Result<MutexGuard<'_, Connection>, LedgerError> {
        self.reader.lock().map_err(|_| LedgerError::Poisoned)
    }

    fn end(&self) {
        // A thread that is gone has ended already.
        let _ = self.jobs.send(Job::End);
        let threads = self.threads.lock().map(|mut threads| std::mem::take(&mut *threads)).unwrap_or_default();
        for thread in threads {
            let _ = thread.join();
        }
    }
}

impl Drop for UsageJournal {
    fn drop(&mut self) {
        self.end();
    }
}

#[async_trait]
impl Journal for UsageJournal {
    async fn egress(&self, record: EgressRecord) -> Result<(), SeamError> {
        let (done, written) = oneshot::channel();
        self.jobs.send(Job::Egress(Box::new(record), done)).map_err(|_| seam(LedgerError::Closed))?;
        written.await.map_err(|_| seam(LedgerError::Closed))?.map_err(seam)
    }

    fn usage(&self, record: UsageRecord) {
        if self.jobs.send(Job::Usage(Box::new(record))).is_err() {
            self.counts.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn spent(&self, since: Timestamp) -> Result<Vec<Spent>, SeamError> {
        self.reader().and_then(|connection| query::spent(&connection, since)).map_err(seam)
    }
}

fn seam(error: impl Into<Arc<LedgerError>>) -> SeamError {
    let error: Arc<LedgerError> = error.into();
    SeamError::new(error.kind(), error.to_string()).caused_by(error)
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, LedgerError> {
    Ok(std::thread::Builder::new().name(name.to_owned()).spawn(work)?)
}

fn connect(path: &Path, options: UsageOptions) -> Result<Connection, LedgerError> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(Duration::from_secs(30))?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    // What is committed is in the operating system's hands and outlives the process. Only a power failure asks for more.
    connection.pragma_update(None, "synchronous", if options.survive_power_failure { "full" } else { "normal" })?;
    connection.pragma_update(None, "secure_delete", true)?;
    connection.pragma_update(None, "cache_size", -8192)?;
    connection.set_prepared_statement_cache_capacity(32);
    Ok(connection)
}

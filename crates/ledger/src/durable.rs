//! Waiting for the disk, once for all who wait.
//!
//! A transaction that is committed lies in the write-ahead log, in the operating system's hands: it outlives the process. To
//! outlive a power failure the log has to be on the disk as well, and waiting for that takes longer than all the rest. So
//! SQLite does not wait at the end of a transaction (`synchronous` is `normal`, which keeps the file whole in any case), and
//! whoever committed waits here, without holding the database: one flush of the log serves every transaction that was
//! committed before it began, whoever's it is.

use std::fs::File;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::LedgerError;

/// The write-ahead log of a database that stays open, and how much of it is on the disk.
pub(crate) struct Log {
    file: File,
    /// Transactions that were committed.
    committed: AtomicU64,
    /// Those of them that are on the disk.
    flushed: Mutex<u64>,
}

impl Log {
    /// The log of the database at `path`, which is open and was written to: the log stays the same file until the last
    /// connection is closed.
    pub(crate) fn open(path: &Path) -> Result<Self, LedgerError> {
        let mut name = path.file_name().unwrap_or_default().to_os_string();
        name.push("-wal");
        let file = File::options().write(true).open(path.with_file_name(name))?;
        Ok(Self { file, committed: AtomicU64::new(0), flushed: Mutex::new(0) })
    }

    /// Counts a transaction. To be called after its commit and before the next one's.
    pub(crate) fn committed(&self) -> u64 {
        self.committed.fetch_add(1, Ordering::AcqRel) + 1
    }

    /// Returns when the transaction of this number is on the disk, and all before it.
    pub(crate) fn wait_for(&self, transaction: u64) -> Result<(), LedgerError> {
        let mut flushed = self.flushed.lock().map_err(|_| LedgerError::Poisoned)?;
        if *flushed < transaction {
            let committed = self.committed.load(Ordering::Acquire);
            self.file.sync_data()?;
            *flushed = committed;
        }
        Ok(())
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_flush_serves_all_that_were_committed_before_it_and_none_after() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.sqlite");
        assert!(matches!(Log::open(&path), Err(LedgerError::File(_))), "there is no log");
        File::create(folder.path().join("ledger.sqlite-wal")).unwrap();
        let mut log = Log::open(&path).unwrap();
        let (first, second) = (log.committed(), log.committed());
        log.wait_for(first).unwrap();
        // A file that cannot be flushed: whoever has to wait for the disk is told.
        log.file = File::open("/dev/null").unwrap();
        log.wait_for(second).unwrap();
        let third = log.committed();
        assert!(matches!(log.wait_for(third), Err(LedgerError::File(_))));
        assert!(log.wait_for(third).is_err(), "it is not taken for done");
        log.wait_for(second).unwrap();
    }
}

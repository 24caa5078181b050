//! Copies of everything, taken while a server may run, and put back.
//!
//! The store and the ledger have to fit together: the ingest lock of every tenant is held while both are copied, so that
//! nothing is written in between. Reading goes on. With a Qdrant server the vectors are that server's to back up: its
//! snapshot belongs to this copy and has to be taken while no ingest runs, too.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use rejoinder_domain::{ErrorKind, TenantId};
use rejoinder_ledger::{Ledger, LedgerError, UsageJournal};
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::config::{Config, StoreKind};
use crate::feedback::{blocking, failed};
use crate::rejoinder::Rejoinder;

const MANIFEST: &str = "backup.json";
const LEDGER: &str = "ledger.sqlite";
const USAGE: &str = "usage.sqlite";

/// What a backup holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Backup {
    /// When it was taken.
    pub at: Timestamp,
    /// Version of the program that took it.
    pub version: String,
    /// Bytes of all its files.
    pub bytes: u64,
    /// Tenants that have anything in it.
    pub tenants: u64,
    /// Whether the vector store is in it.
    pub store: bool,
}

impl Rejoinder {
    /// Copies ledger, usage, audit and the embedded store into `dir`, which must not exist yet. [`ErrorKind::Transient`] while an
    /// ingest runs. API keys are copied by their own store; master keys of encryption are never in a backup.
    pub async fn backup(&self, dir: &Path) -> Result<Backup, Error> {
        let (ledger, journal) = (Arc::clone(&self.parts.ledger), Arc::clone(&self.parts.routing.journal));
        let store = (self.parts.config.store.kind == StoreKind::Lancedb)
            .then(|| self.parts.config.store_path(self.parts.config.is_sealed()));
        let dir = dir.to_owned();
        blocking(move || {
            std::fs::create_dir(&dir).map_err(|error| Error::DataFolder(dir.clone(), error))?;
            let copied = copy_all(&ledger, &journal, store.as_deref(), &dir);
            if copied.is_err() {
                // Half a backup must not be taken for one.
                let _ = std::fs::remove_dir_all(&dir);
            }
            copied
        })
        .await
    }

    /// Puts a backup into the data folder of `config`, where nothing of ours may be yet.
    pub fn restore(config: &Config, dir: &Path) -> Result<Backup, Error> {
        let manifest =
            std::fs::read_to_string(dir.join(MANIFEST)).map_err(|error| Error::DataFolder(dir.to_owned(), error))?;
        let backup: Backup = serde_json::from_str(&manifest)
            .map_err(|_| failed(ErrorKind::Corrupt, "the backup's manifest is damaged"))?;
        Ledger::check(dir.join(LEDGER))?;
        UsageJournal::check(dir.join(USAGE))?;
        let data = &config.data_dir;
        let io = |error| Error::DataFolder(data.clone(), error);
        std::fs::create_dir_all(data).map_err(io)?;
        if [config.ledger_path(), config.usage_path(), config.store_path(config.is_sealed()), config.keys_path()]
            .iter()
            .any(|path| path.exists())
        {
            return Err(failed(
                ErrorKind::Invalid,
                "the data folder holds something already; restore into an empty one",
            ));
        }
        copy_tree(dir, data, &|name| name != MANIFEST).map_err(io)?;
        Ok(backup)
    }
}

fn copy_all(ledger: &Ledger, journal: &UsageJournal, store: Option<&Path>, dir: &Path) -> Result<Backup, Error> {
    let tenants: Vec<TenantId> = ledger.tenants()?;
    let locks = tenants.iter().map(|tenant| ledger.lock_ingest(tenant));
    let _no_ingest: Vec<_> = locks.collect::<Result<_, LedgerError>>()?;
    let io = |error| Error::DataFolder(dir.to_owned(), error);
    if let Some(store) = store.filter(|store| store.exists()) {
        copy_tree(store, &dir.join(store.file_name().unwrap_or_default()), &|_| true).map_err(io)?;
    }
    ledger.backup(dir.join(LEDGER))?;
    journal.backup(dir.join(USAGE))?;
    let backup = Backup {
        at: Timestamp::now(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        bytes: bytes_of(dir).map_err(io)?,
        tenants: tenants.len() as u64,
        store: store.is_some(),
    };
    let manifest = serde_json::to_string_pretty(&backup).unwrap_or_default();
    std::fs::write(dir.join(MANIFEST), manifest).map_err(io)?;
    Ok(backup)
}

fn copy_tree(from: &Path, to: &Path, wanted: &dyn Fn(&str) -> bool) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let name = entry.file_name();
        if !wanted(&name.to_string_lossy()) {
            continue;
        }
        let (source, target): (PathBuf, PathBuf) = (entry.path(), to.join(&name));
        let kind = entry.file_type()?;
        if kind.is_dir() {
            copy_tree(&source, &target, &|_| true)?;
        } else if kind.is_file() {
            match std::fs::copy(&source, &target) {
                // A version that nobody needs any more may go while it is looked at.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                copied => drop(copied?),
            }
        }
    }
    Ok(())
}

fn bytes_of(dir: &Path) -> std::io::Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        bytes += if entry.file_type()?.is_dir() { bytes_of(&entry.path())? } else { entry.metadata()?.len() };
    }
    Ok(bytes)
}

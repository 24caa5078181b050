//! Which tables there are, and their open handles.

use std::collections::HashMap;
use std::fs::File;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arrow_schema::SchemaRef;
use lancedb::index::Index;
use lancedb::index::scalar::FtsIndexBuilder;
use lancedb::{Connection, Error, Session, Table};
use rejoinder_domain::{ErrorKind, Pool, SeamError, TenantId};
use tokio::sync::MutexGuard;

use super::cache::{Caches, Part};
use super::config::StoreConfig;
use super::errors::failed;
use super::rows;
use crate::sealing::Seal;
use crate::space::space_name;

/// Between the parts of a table's name. No tenant has it in its id, so one tenant's prefix is never another's.
const SEPARATOR: char = '.';
/// The file whose lock tells processes that share the index when an erasure must have it alone.
const LOCK_FILE: &str = "writers.lock";
/// The name of the full-text index.
pub(super) const TERMS_INDEX: &str = "terms_idx";

/// All tables of the index folder.
pub(super) struct Tables {
    /// For what is not about one table.
    connection: Connection,
    caches: Caches,
    config: StoreConfig,
    schema: SchemaRef,
    space: String,
    seal: Seal,
    slots: Mutex<HashMap<String, Arc<Slot>>>,
}

/// One table's place: its handle once it is open, and whose turn it is to write.
pub(super) struct Slot {
    /// The table's name.
    pub(super) name: String,
    table: tokio::sync::RwLock<Option<Table>>,
    turn: tokio::sync::Mutex<()>,
    cached: Part,
    /// Upserts since small files were last joined.
    pub(super) unjoined: AtomicUsize,
}

impl Slot {
    /// Waits until no other task of this process writes to the table.
    pub(super) async fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().await
    }

    /// Forgets the handle and what is kept of the table's files, so that the next use opens it anew and no file that was removed
    /// stays open.
    pub(super) async fn forget(&self) {
        *self.table.write().await = None;
        self.cached.clear().await;
    }
}

impl Tables {
    /// Opens the index folder, making it where it does not exist.
    pub(super) async fn open(config: StoreConfig, seal: Seal) -> Result<Self, SeamError> {
        config.validate()?;
        std::fs::create_dir_all(&config.path).map_err(|error| {
            SeamError::new(ErrorKind::Unavailable, "the index folder cannot be made").caused_by(error)
        })?;
        let caches = Caches::new(config.index_cache_bytes, config.metadata_cache_bytes);
        let connection = connect(path_of(&config)?, caches.part().session()).await?;
        let schema = rows::schema(config.embedding.as_ref(), seal.is_sealing());
        let space = space_name(config.embedding.as_ref());
        Ok(Self { connection, caches, config, schema, space, seal, slots: Mutex::default() })
    }

    pub(super) fn config(&self) -> &StoreConfig {
        &self.config
    }

    pub(super) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The place of the table of `tenant` and `pool` in the space that is in use.
    pub(super) fn slot(&self, tenant: &TenantId, pool: Pool) -> Arc<Slot> {
        self.slot_named(&format!("{}{}{SEPARATOR}{}", prefix(tenant), pool.as_str(), self.space))
    }

    pub(super) fn slot_named(&self, name: &str) -> Arc<Slot> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = slots.get(name) {
            return Arc::clone(slot);
        }
        if slots.len() >= self.config.open_tables {
            // Only what nobody holds may go: two slots of one table would not wait for each other.
            slots.retain(|_, slot| Arc::strong_count(slot) > 1);
        }
        let slot = Arc::new(Slot {
            name: name.to_owned(),
            table: tokio::sync::RwLock::new(None),
            turn: tokio::sync::Mutex::new(()),
            cached: self.caches.part(),
            unjoined: AtomicUsize::new(0),
        });
        slots.insert(name.to_owned(), Arc::clone(&slot));
        slot
    }

    /// The names of all tables of `tenant`, of every pool and space.
    pub(super) async fn names(&self, tenant: &TenantId) -> Result<Vec<String>, SeamError> {
        let prefix = prefix(tenant);
        let all = self.connection.table_names().execute().await.map_err(failed("listing its tables"))?;
        Ok(all.into_iter().filter(|name| name.starts_with(&prefix)).collect())
    }

    /// Whether the index folder can be listed.
    pub(super) async fn check(&self) -> Result<(), SeamError> {
        self.connection.table_names().limit(1).execute().await.map(drop).map_err(failed("listing its tables"))
    }

    /// Whether `name` is of the space that is in use.
    pub(super) fn is_current(&self, name: &str) -> bool {
        name.rsplit(SEPARATOR).next() == Some(self.space.as_str())
    }

    /// The table whatever its layout, for erasing; `None` where it does not exist.
    pub(super) async fn existing_of_any_layout(&self, slot: &Slot) -> Result<Option<Table>, SeamError> {
        match self.connection_of(slot).await?.open_table(&slot.name).execute().await {
            Ok(table) => Ok(Some(table)),
            Err(Error::TableNotFound { .. }) => Ok(None),
            Err(error) => Err(failed("opening a table")(error)),
        }
    }

    /// The table of a slot of the space in use, or `None` where it does not exist.
    pub(super) async fn existing(&self, slot: &Slot) -> Result<Option<Table>, SeamError> {
        // Another process may have erased the tenant since: a handle without its folder is of no use.
        if !self.config.path.join(format!("{}.lance", slot.name)).exists() {
            if slot.table.read().await.is_some() {
                slot.forget().await;
            }
            return Ok(None);
        }
        if let Some(table) = &*slot.table.read().await {
            return Ok(Some(table.clone()));
        }
        let mut place = slot.table.write().await;
        if let Some(table) = &*place {
            return Ok(Some(table.clone()));
        }
        let Some(table) = self.existing_of_any_layout(slot).await? else { return Ok(None) };
        let schema = table.schema().await.map_err(failed("reading a table's layout"))?;
        rows::check_schema(&schema, &self.schema, &slot.name)?;
        self.seal.check(&format!("the index table {}", slot.name), rows::is_encrypted(&schema))?;
        *place = Some(table.clone());
        Ok(Some(table))
    }

    /// The table of a slot of the space in use; it is made where it does not exist.
    pub(super) async fn existing_or_new(&self, slot: &Slot) -> Result<Table, SeamError> {
        if let Some(table) = self.existing(slot).await? {
            return Ok(table);
        }
        let connection = self.connection_of(slot).await?;
        match connection.create_empty_table(&slot.name, Arc::clone(&self.schema)).execute().await {
            Ok(_) | Err(Error::TableAlreadyExists { .. }) => {}
            Err(error) => return Err(failed("making a table")(error)),
        }
        let table = self
            .existing(slot)
            .await?
            .ok_or_else(|| SeamError::new(ErrorKind::Transient, "a table of the index went while it was being made"))?;
        Ok(table)
    }

    /// Drops the table and forgets its handle.
    pub(super) async fn drop(&self, slot: &Slot) -> Result<(), SeamError> {
        let dropped = match self.connection.drop_table(&slot.name, &[]).await {
            Ok(()) | Err(Error::TableNotFound { .. }) => Ok(()),
            Err(error) => Err(failed("dropping a table")(error)),
        };
        slot.forget().await;
        dropped
    }

    /// A connection whose tables keep what they read in the slot's part of the caches.
    async fn connection_of(&self, slot: &Slot) -> Result<Connection, SeamError> {
        connect(path_of(&self.config)?, slot.cached.session()).await
    }

    /// Keeps erasures of other processes away while this one writes. Lance itself settles who of several writers is first.
    pub(super) async fn writing(&self) -> Result<File, SeamError> {
        self.lock(File::lock_shared).await
    }

    /// Waits until no process writes, and keeps them from it: an erasure removes files that a writer elsewhere may
    /// have made and not yet committed.
    pub(super) async fn alone(&self) -> Result<File, SeamError> {
        self.lock(File::lock).await
    }

    /// The lock goes when the file is dropped, and when the process ends, however it ends.
    async fn lock(&self, how: fn(&File) -> std::io::Result<()>) -> Result<File, SeamError> {
        let path = self.config.path.join(LOCK_FILE);
        let locked = tokio::task::spawn_blocking(move || {
            let file = File::options().create(true).truncate(false).write(true).open(path)?;
            how(&file).map(|()| file)
        });
        locked
            .await
            .map_err(|error| {
                SeamError::new(ErrorKind::Internal, "the task that locks the index ended early").caused_by(error)
            })?
            .map_err(|error| {
                SeamError::new(ErrorKind::Unavailable, "the index folder cannot be locked").caused_by(error)
            })
    }
}

fn path_of(config: &StoreConfig) -> Result<&str, SeamError> {
    let path = config.path.to_str();
    path.ok_or_else(|| SeamError::new(ErrorKind::Invalid, "the index folder's path is not valid Unicode"))
}

/// Another process may write to the same folder (an ingest beside a server): every use of a table looks for a newer version,
/// which is one look into a small folder.
async fn connect(path: &str, session: Arc<Session>) -> Result<Connection, SeamError> {
    let connecting = lancedb::connect(path).session(session).read_consistency_interval(Duration::ZERO);
    connecting.execute().await.map_err(failed("opening its folder"))
}

/// The full-text index over terms that are analysed already: they divide at spaces and stay as they are.
pub(super) fn terms_index() -> Index {
    Index::FTS(
        FtsIndexBuilder::default()
            .base_tokenizer("whitespace".to_owned())
            .lower_case(false)
            .stem(false)
            .remove_stop_words(false)
            .ascii_folding(false)
            .max_token_length(None)
            .with_position(false),
    )
}

fn prefix(tenant: &TenantId) -> String {
    format!("{tenant}{SEPARATOR}")
}

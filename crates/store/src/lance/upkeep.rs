//! Indexes, compaction, and erasing for good.

use std::sync::atomic::Ordering;

use lancedb::DistanceType;
use lancedb::Table;
use lancedb::index::Index;
use lancedb::index::vector::IvfFlatIndexBuilder;
use lancedb::table::{CompactionOptions, Duration as Age, OptimizeAction, OptimizeOptions};
use rejoinder_domain::{ErrorKind, MessageId, SeamError, TenantId};

use super::errors::{failed, retrying};
use super::tables::{TERMS_INDEX, terms_index};
use super::write::{IDS_PER_STATEMENT, delete_where};
use super::{LanceStore, filter};

/// The name of the vector index, where there is one.
const VECTOR_INDEX: &str = "vector_idx";
/// Rows of a file that is large enough: joining leaves it alone, so that adding to a large table does not rewrite it.
const ROWS_PER_FILE: usize = 32_768;
/// Smaller files than that from which it pays to join them.
const SMALL_FILES: usize = 8;
/// Rows outside the indexes from which it pays to update them. Until then a search reads these rows one by one.
const UNINDEXED_ROWS: usize = 512;

impl LanceStore {
    /// Makes the full-text index where the table has none, so that a search by words is possible from the first record.
    pub(super) async fn with_terms_index(&self, table: &Table) -> Result<(), SeamError> {
        let indexes = table.list_indices().await.map_err(failed("listing indexes"))?;
        if indexes.iter().any(|index| index.name == TERMS_INDEX) {
            return Ok(());
        }
        build_terms_index(table).await
    }

    /// Joins small files into larger ones and brings the indexes up to date, where it pays.
    pub(super) async fn join_and_index(&self, table: &Table) -> Result<(), SeamError> {
        if needs_compaction(table).await? {
            compact(table, &joining()).await?;
        }
        let indexed = table.index_stats(TERMS_INDEX).await.map_err(failed("reading index statistics"))?;
        if indexed.is_none_or(|stats| stats.num_unindexed_rows >= UNINDEXED_ROWS) {
            let update = || async { table.optimize(OptimizeAction::Index(OptimizeOptions::default())).await };
            retrying("updating indexes", update).await?;
        }
        Ok(())
    }

    pub(super) async fn optimize_tables(&self, tenant: &TenantId) -> Result<(), SeamError> {
        for name in self.tables.names(tenant).await? {
            if !self.tables.is_current(&name) {
                continue;
            }
            let slot = self.tables.slot_named(&name);
            let _lock = self.tables.writing().await?;
            let _turn = slot.turn().await;
            let Some(table) = self.tables.existing(&slot).await? else { continue };
            slot.unjoined.store(0, Ordering::Relaxed);
            self.with_terms_index(&table).await?;
            self.join_and_index(&table).await?;
            self.with_vector_index(&table).await?;
            self.prune_old(&table).await?;
        }
        Ok(())
    }

    /// Removes the versions that no reader can still be at.
    pub(super) async fn prune_old(&self, table: &Table) -> Result<(), SeamError> {
        let keep = Age::from_std(self.tables.config().keep_versions)
            .map_err(|error| SeamError::new(ErrorKind::Invalid, "store.keep_versions is too long").caused_by(error))?;
        prune(table, keep, false).await
    }

    /// Makes the vector index once the table is large enough for one.
    async fn with_vector_index(&self, table: &Table) -> Result<(), SeamError> {
        let config = self.tables.config();
        if config.embedding.is_none() {
            return Ok(());
        }
        let rows = table.count_rows(None).await.map_err(failed("counting records"))?;
        let indexes = table.list_indices().await.map_err(failed("listing indexes"))?;
        if rows < config.vector_index_from || indexes.iter().any(|index| index.name == VECTOR_INDEX) {
            return Ok(());
        }
        let build = || async {
            let index = Index::IvfFlat(IvfFlatIndexBuilder::default().distance_type(DistanceType::Cosine));
            table.create_index(&["vector"], index).name(VECTOR_INDEX.to_owned()).execute().await
        };
        retrying("building the vector index", build).await
    }

    pub(super) async fn erase_messages(&self, tenant: &TenantId, messages: &[MessageId]) -> Result<u64, SeamError> {
        if messages.is_empty() {
            return Ok(0);
        }
        let mut erased = 0;
        // Alone: pruning removes every file that no version names, also those that a writer has yet to commit.
        let _alone = self.tables.alone().await?;
        for name in self.tables.names(tenant).await? {
            let slot = self.tables.slot_named(&name);
            let _turn = slot.turn().await;
            let Some(table) = self.tables.existing_of_any_layout(&slot).await? else { continue };
            for some in messages.chunks(IDS_PER_STATEMENT) {
                erased += delete_where(&table, &filter::of_messages(some)).await?;
            }
            // Also where nothing was deleted just now: an earlier version may still hold what was replaced or deleted.
            purge(&table).await?;
            // Its handle holds a version whose files are gone.
            drop(table);
            slot.forget().await;
        }
        Ok(erased)
    }

    pub(super) async fn erase_tenant(&self, tenant: &TenantId) -> Result<u64, SeamError> {
        let mut erased = 0;
        let _alone = self.tables.alone().await?;
        for name in self.tables.names(tenant).await? {
            let slot = self.tables.slot_named(&name);
            let _turn = slot.turn().await;
            let Some(table) = self.tables.existing_of_any_layout(&slot).await? else { continue };
            erased += table.count_rows(None).await.map_err(failed("counting records"))? as u64;
            self.tables.drop(&slot).await?;
        }
        Ok(erased)
    }

    pub(super) async fn drop_table(&self, name: &str) -> Result<(), SeamError> {
        let _alone = self.tables.alone().await?;
        let slot = self.tables.slot_named(name);
        let _turn = slot.turn().await;
        self.tables.drop(&slot).await
    }
}

async fn build_terms_index(table: &Table) -> Result<(), SeamError> {
    let build = || async {
        table.create_index(&["terms"], terms_index()).name(TERMS_INDEX.to_owned()).replace(true).execute().await
    };
    retrying("building the full-text index", build).await
}

/// Whether small files are many, or a tenth of the rows is deleted.
async fn needs_compaction(table: &Table) -> Result<bool, SeamError> {
    let Some(native) = table.as_native() else { return Ok(true) };
    let reading = "reading table statistics";
    let small = native.num_small_files(ROWS_PER_FILE).await.map_err(failed(reading))?;
    let deleted = native.count_deleted_rows().await.map_err(failed(reading))?;
    let rows = table.count_rows(None).await.map_err(failed(reading))?;
    Ok(small >= SMALL_FILES || deleted * 10 > rows)
}

fn joining() -> CompactionOptions {
    CompactionOptions { target_rows_per_fragment: ROWS_PER_FILE, ..CompactionOptions::default() }
}

async fn compact(table: &Table, options: &CompactionOptions) -> Result<(), SeamError> {
    let join = || {
        let options = options.clone();
        async { table.optimize(OptimizeAction::Compact { options, remap_options: None }).await }
    };
    retrying("joining files", join).await.map(drop)
}

/// Removes versions older than `age`, and with `all_files` also files that no version names, however new.
async fn prune(table: &Table, age: Age, all_files: bool) -> Result<(), SeamError> {
    let action = OptimizeAction::Prune {
        older_than: Some(age),
        delete_unverified: Some(all_files),
        error_if_tagged_old_versions: Some(false),
    };
    table.optimize(action).await.map(drop).map_err(failed("removing old versions"))
}

/// Rewrites the table without what was deleted and removes every earlier version and index from the disk.
async fn purge(table: &Table) -> Result<(), SeamError> {
    // A threshold of 0 rewrites a file for a single deleted row.
    let options = CompactionOptions { materialize_deletions: true, materialize_deletions_threshold: 0.0, ..joining() };
    compact(table, &options).await?;
    // An index keeps the words of deleted rows in its dictionary until it is built anew.
    let indexes = table.list_indices().await.map_err(failed("listing indexes"))?;
    if indexes.iter().any(|index| index.name == TERMS_INDEX) {
        build_terms_index(table).await?;
    }
    prune(table, Age::zero(), true).await
}

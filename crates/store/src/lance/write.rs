//! Upserting and deleting.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use arrow_array::{RecordBatch, RecordBatchIterator};
use lancedb::Table;
use lancedb::expr::DfExpr;
use rejoinder_domain::{ErrorKind, Pool, Record, RecordId, SeamError, TenantId};

use super::LanceStore;
use super::errors::retrying;
use super::{filter, rows};
use crate::records::{check_records, last_of_each_id};

/// Ids of one delete statement. Each statement is a version of the table, and its expression is kept in memory.
pub(super) const IDS_PER_STATEMENT: usize = 1_000;

impl LanceStore {
    pub(super) async fn upsert_records(
        &self,
        tenant: &TenantId,
        pool: Pool,
        records: Vec<Record>,
    ) -> Result<(), SeamError> {
        let dims = self.tables.config().embedding.as_ref().map(|space| space.dims);
        check_records(&records, pool, dims)?;
        let records = last_of_each_id(records);
        if records.is_empty() {
            return Ok(());
        }
        let encode = {
            let (tenant, seal) = (tenant.clone(), self.seal.clone());
            let schema = Arc::clone(self.tables.schema());
            move || -> Result<RecordBatch, SeamError> {
                let seal = seal.of(&tenant)?;
                let terms: Vec<String> = records.iter().map(|record| seal.index_terms(record).join(" ")).collect();
                let sealed: Vec<Record> =
                    records.into_iter().map(|record| seal.seal(record)).collect::<Result<_, _>>()?;
                rows::encode(&sealed, &terms, &schema, dims)
            }
        };
        // Analysing and sealing the text is work for a processor, which must not hold up the tasks that wait for input.
        let batch = tokio::task::spawn_blocking(encode).await.map_err(|error| {
            SeamError::new(ErrorKind::Internal, "the task that encodes records ended early").caused_by(error)
        })??;
        let slot = self.tables.slot(tenant, pool);
        let _lock = self.tables.writing().await?;
        let _turn = slot.turn().await;
        let table = self.tables.existing_or_new(&slot).await?;
        self.with_terms_index(&table).await?;
        merge(&table, batch).await?;
        if slot.unjoined.fetch_add(1, Ordering::Relaxed) + 1 >= self.tables.config().compact_after {
            slot.unjoined.store(0, Ordering::Relaxed);
            self.join_and_index(&table).await?;
            self.prune_old(&table).await?;
        }
        Ok(())
    }

    pub(super) async fn delete_records(
        &self,
        tenant: &TenantId,
        pool: Pool,
        ids: &[RecordId],
    ) -> Result<u64, SeamError> {
        let slot = self.tables.slot(tenant, pool);
        let _lock = self.tables.writing().await?;
        let _turn = slot.turn().await;
        let Some(table) = self.tables.existing(&slot).await? else { return Ok(0) };
        let mut deleted = 0;
        for some in ids.chunks(IDS_PER_STATEMENT) {
            deleted += delete_where(&table, &filter::with_ids(some)).await?;
        }
        Ok(deleted)
    }
}

/// Deletes what `condition` holds for and returns how many rows that were.
pub(super) async fn delete_where(table: &Table, condition: &DfExpr) -> Result<u64, SeamError> {
    let deleted = retrying("deleting records", || async { table.delete(condition).await }).await?;
    Ok(deleted.num_deleted_rows)
}

async fn merge(table: &Table, batch: RecordBatch) -> Result<(), SeamError> {
    let write = || async {
        let mut merge = table.merge_insert(&["id"]);
        merge.when_matched_update_all(None).when_not_matched_insert_all();
        let rows = RecordBatchIterator::new([Ok(batch.clone())], batch.schema());
        merge.execute(Box::new(rows)).await
    };
    retrying("writing records", write).await.map(drop)
}

//! Searching, counting and scanning.

use std::collections::HashMap;
use std::time::Duration;

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, UInt64Type};
use futures::TryStreamExt;
use lancedb::expr::DfExpr;
use lancedb::index::scalar::{FullTextSearchQuery, MatchQuery};
use lancedb::query::{ExecutableQuery, QueryBase, Select};
use lancedb::{DistanceType, Table};
use rejoinder_domain::{EraseScope, ErrorKind, Filter, Hit, Pool, Record, SeamError, SearchQuery, TenantId};

use super::LanceStore;
use super::errors::failed;
use super::filter;
use super::rows::{RECORD_COLUMNS, decode};
use super::tables::Slot;
use super::write::IDS_PER_STATEMENT;
use crate::fusion::{Candidate, Fused, fuse};
use crate::plan::{Plan, Reach};
use crate::records::cosine;
use crate::sealing::TenantSeal;

/// How long a reader waits when an erasure removed the files of the version that it was reading, before it reads the next
/// version. An erasure makes several, one after the other.
const WAITS_MS: [u64; 4] = [0, 20, 80, 320];

impl LanceStore {
    pub(super) async fn search_records(&self, tenant: &TenantId, query: &SearchQuery) -> Result<Vec<Hit>, SeamError> {
        let plan = Plan::of(query, self.reach())?;
        if plan.finds_nothing() {
            return Ok(Vec::new());
        }
        let seal = self.seal.of(tenant)?;
        let search = Search {
            pool: query.pool,
            vector: plan.vector,
            terms: plan.terms.map(|terms| seal.blind(terms).join(" ")),
            dense_weight: query.dense_weight,
            limit: plan.limit,
            depth: plan.depth,
            condition: filter::expression(&seal.filter(&query.filter)),
            seal,
        };
        let slot = self.tables.slot(tenant, query.pool);
        reading(&slot, || self.search_once(&slot, &search)).await
    }

    pub(super) async fn count_records(&self, tenant: &TenantId, pool: Pool, which: &Filter) -> Result<u64, SeamError> {
        let slot = self.tables.slot(tenant, pool);
        let condition = filter::expression(&self.seal.of(tenant)?.filter(which));
        let count = || async {
            match self.tables.existing(&slot).await? {
                Some(table) => count_where(&table, condition.as_ref()).await,
                None => Ok(0),
            }
        };
        reading(&slot, count).await
    }

    pub(super) async fn scan_records(&self, tenant: &TenantId, pool: Pool) -> Result<Vec<Record>, SeamError> {
        let slot = self.tables.slot(tenant, pool);
        let mut columns = RECORD_COLUMNS.to_vec();
        if self.tables.config().embedding.is_some() {
            columns.push("vector");
        }
        let scan = || async {
            match self.tables.existing(&slot).await? {
                Some(table) => collect(&table.query().select(Select::columns(&columns)), "reading all records").await,
                None => Ok(Vec::new()),
            }
        };
        let batches = reading(&slot, scan).await?;
        let seal = self.seal.of(tenant)?;
        let mut records = Vec::new();
        for batch in &batches {
            for record in decode(batch, pool)? {
                records.push(seal.open(record)?);
            }
        }
        records.sort_unstable_by(|a, b| a.id.cmp(&b.id));
        Ok(records)
    }

    pub(super) async fn remaining_records(&self, tenant: &TenantId, scope: &EraseScope) -> Result<u64, SeamError> {
        let mut remaining = 0;
        for name in self.tables.names(tenant).await? {
            let slot = self.tables.slot_named(&name);
            let count = || async {
                let Some(table) = self.tables.existing_of_any_layout(&slot).await? else { return Ok(0) };
                match scope {
                    EraseScope::Tenant => count_where(&table, None).await,
                    EraseScope::Messages(messages) => {
                        let mut count = 0;
                        for some in messages.chunks(IDS_PER_STATEMENT) {
                            count += count_where(&table, Some(&filter::of_messages(some))).await?;
                        }
                        Ok(count)
                    }
                }
            };
            remaining += reading(&slot, count).await?;
        }
        Ok(remaining)
    }

    /// How far a search of this store goes.
    fn reach(&self) -> Reach {
        let config = self.tables.config();
        Reach {
            dims: config.embedding.as_ref().map(|space| space.dims),
            depth: config.depth,
            most_hits: config.most_hits,
        }
    }

    async fn search_once(&self, slot: &Slot, search: &Search<'_>) -> Result<Vec<Hit>, SeamError> {
        let Some(table) = self.tables.existing(slot).await? else { return Ok(Vec::new()) };
        // Both lists and the fetch of the records see one version, in which a row keeps its number.
        let table = table.query_snapshot().await.map_err(failed("choosing a version to search"))?;
        let (dense, lexical) = futures::try_join!(search.dense(&table), search.lexical(&table))?;
        let mut fused = fuse(dense, lexical, search.dense_weight);
        fused.truncate(search.limit);
        search.hits(&table, &fused).await
    }
}

/// A search, checked and prepared.
struct Search<'a> {
    pool: Pool,
    vector: Option<&'a [f32]>,
    /// Analysed query words, a space between terms.
    terms: Option<String>,
    dense_weight: f32,
    limit: usize,
    depth: usize,
    condition: Option<DfExpr>,
    seal: TenantSeal<'a>,
}

impl Search<'_> {
    async fn dense(&self, table: &Table) -> Result<Option<Vec<Candidate>>, SeamError> {
        let Some(vector) = self.vector else { return Ok(None) };
        let mut query = table
            .query()
            .nearest_to(vector)
            .map_err(failed("searching by vector"))?
            .column("vector")
            .distance_type(DistanceType::Cosine)
            .limit(self.depth)
            .select(Select::columns(&["id", "_distance"]))
            .with_row_id();
        if let Some(condition) = &self.condition {
            query = query.only_if_expr(condition.clone());
        }
        let batches = collect(&query, "searching by vector").await?;
        // Cosine distance is 1 - similarity.
        candidates(&batches, "_distance", |distance| 1.0 - distance).map(Some)
    }

    async fn lexical(&self, table: &Table) -> Result<Option<Vec<Candidate>>, SeamError> {
        let Some(terms) = &self.terms else { return Ok(None) };
        let words = MatchQuery::new(terms.clone()).with_column(Some("terms".to_owned()));
        let mut query = table
            .query()
            .full_text_search(FullTextSearchQuery::new_query(words.into()))
            .limit(self.depth)
            .select(Select::columns(&["id", "_score"]))
            .with_row_id();
        if let Some(condition) = &self.condition {
            query = query.only_if_expr(condition.clone());
        }
        let batches = collect(&query, "searching by words").await?;
        candidates(&batches, "_score", |score| score).map(Some)
    }

    /// Fetches the records of `fused`, in its order.
    async fn hits(&self, table: &Table, fused: &[Fused]) -> Result<Vec<Hit>, SeamError> {
        if fused.is_empty() {
            return Ok(Vec::new());
        }
        let mut columns = RECORD_COLUMNS.to_vec();
        // What only the words found has not been compared with the query yet.
        let compare = self.vector.filter(|_| fused.iter().any(|hit| hit.dense.is_none()));
        if compare.is_some() {
            columns.push("vector");
        }
        let fetch = table
            .take_row_ids(fused.iter().map(|hit| hit.row).collect())
            .select(Select::columns(&columns))
            .with_row_id();
        let batches = collect(&fetch, "fetching found records").await?;
        let mut records: HashMap<u64, Record> = HashMap::with_capacity(fused.len());
        for batch in &batches {
            let row_ids = number_column(batch)?;
            records.extend(row_ids.into_iter().zip(decode(batch, self.pool)?));
        }
        let mut hits = Vec::with_capacity(fused.len());
        for found in fused {
            let Some(mut record) = records.remove(&found.row) else {
                return Err(SeamError::new(ErrorKind::Corrupt, "a found record could not be fetched"));
            };
            let vector = record.vector.take();
            let similarity = found.dense.or_else(|| Some(cosine(compare?, &vector?)));
            let record = self.seal.open(record)?;
            hits.push(Hit { record, score: found.score, similarity, lexical: found.lexical });
        }
        Ok(hits)
    }
}

/// Reads, and again where an erasure beside it, also of another process, removed the files of the version that was being read
/// or the whole table.
async fn reading<T, F>(slot: &Slot, read: impl Fn() -> F) -> Result<T, SeamError>
where
    F: Future<Output = Result<T, SeamError>>,
{
    for wait in WAITS_MS {
        match read().await {
            Err(error) if matches!(error.kind, ErrorKind::Transient | ErrorKind::NotFound | ErrorKind::Corrupt) => {
                slot.forget().await;
                tokio::time::sleep(Duration::from_millis(wait)).await;
            }
            result => return result,
        }
    }
    read().await
}

/// How many rows `condition` holds for; all without one.
async fn count_where(table: &Table, condition: Option<&DfExpr>) -> Result<u64, SeamError> {
    let doing = "counting records";
    let Some(condition) = condition else {
        return table.count_rows(None).await.map(|rows| rows as u64).map_err(failed(doing));
    };
    // LanceDB counts by SQL text alone. Reading just the numbers of the rows is no slower.
    let matching = table.query().only_if_expr(condition.clone()).select(Select::Columns(Vec::new())).with_row_id();
    let batches = collect(&matching, doing).await?;
    Ok(batches.iter().map(|batch| batch.num_rows() as u64).sum())
}

/// Runs a query to its end.
async fn collect(query: &impl ExecutableQuery, doing: &'static str) -> Result<Vec<RecordBatch>, SeamError> {
    let stream = query.execute().await.map_err(failed(doing))?;
    stream.try_collect().await.map_err(failed(doing))
}

/// The rows of a result list with what `score` makes of the column `name`.
fn candidates(batches: &[RecordBatch], name: &str, score: fn(f32) -> f32) -> Result<Vec<Candidate>, SeamError> {
    let mut list = Vec::new();
    for batch in batches {
        let row_ids = number_column(batch)?;
        let ids = batch.column_by_name("id").and_then(|column| column.as_string_opt::<i32>());
        let scores = batch.column_by_name(name).and_then(|column| column.as_primitive_opt::<Float32Type>());
        let (Some(ids), Some(scores)) = (ids, scores) else { return Err(unexpected_columns()) };
        for ((row, id), value) in row_ids.into_iter().zip(ids).zip(scores) {
            // A record without a vector has no distance.
            let (Some(id), Some(value)) = (id, value) else { continue };
            list.push(Candidate { row, id: id.to_owned(), score: score(value) });
        }
    }
    Ok(list)
}

fn number_column(batch: &RecordBatch) -> Result<Vec<u64>, SeamError> {
    let column = batch.column_by_name("_rowid").and_then(|column| column.as_primitive_opt::<UInt64Type>());
    Ok(column.ok_or_else(unexpected_columns)?.values().to_vec())
}

fn unexpected_columns() -> SeamError {
    SeamError::new(ErrorKind::Internal, "the index answered with other columns than were asked for")
}

//! Searching, counting and scanning.

use std::collections::HashMap;

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, UInt64Type};
use futures::TryStreamExt;
use lancedb::expr::DfExpr;
use lancedb::index::scalar::{FullTextSearchQuery, MatchQuery};
use lancedb::query::{ExecutableQuery, QueryBase, Select};
use lancedb::{DistanceType, Error, Table};
use rejoinder_domain::{ErrorKind, Filter, Hit, Pool, Record, SeamError, SearchQuery, TenantId};

use super::LanceStore;
use super::errors::{failed, kind};
use super::filter;
use super::rows::{RECORD_COLUMNS, decode};
use super::tables::Slot;
use crate::analysis::query_terms;
use crate::fusion::{Candidate, Fused, fuse};

/// Most distinct terms of one query. A ticket of several pages would otherwise touch most of the index.
const MOST_QUERY_TERMS: usize = 256;

impl LanceStore {
    pub(super) async fn search_records(&self, tenant: &TenantId, query: &SearchQuery) -> Result<Vec<Hit>, SeamError> {
        let search = self.plan(query)?;
        if search.limit == 0 || (search.vector.is_none() && search.terms.is_none()) {
            return Ok(Vec::new());
        }
        let slot = self.tables.slot(tenant, query.pool);
        match self.search_once(&slot, &search).await {
            // An erasure removes the files of the version that this search was reading. The next version has them not.
            Err(error) if matches!(error.kind, ErrorKind::Transient | ErrorKind::NotFound | ErrorKind::Corrupt) => {
                slot.forget().await;
                self.search_once(&slot, &search).await
            }
            result => result,
        }
    }

    pub(super) async fn count_records(&self, tenant: &TenantId, pool: Pool, which: &Filter) -> Result<u64, SeamError> {
        let slot = self.tables.slot(tenant, pool);
        let Some(table) = self.tables.existing(&slot).await? else { return Ok(0) };
        let doing = "counting records";
        let Some(condition) = filter::expression(which) else {
            return match table.count_rows(None).await {
                Err(error) if is_gone(&error) => Ok(0),
                counted => counted.map(|rows| rows as u64).map_err(failed(doing)),
            };
        };
        // LanceDB counts by SQL text alone. Reading just the numbers of the rows is no slower.
        let matching = table.query().only_if_expr(condition).select(Select::Columns(Vec::new())).with_row_id();
        let batches = collect(&matching, doing).await?;
        Ok(batches.iter().map(|batch| batch.num_rows() as u64).sum())
    }

    pub(super) async fn scan_records(&self, tenant: &TenantId, pool: Pool) -> Result<Vec<Record>, SeamError> {
        let slot = self.tables.slot(tenant, pool);
        let Some(table) = self.tables.existing(&slot).await? else { return Ok(Vec::new()) };
        let mut columns = RECORD_COLUMNS.to_vec();
        if self.tables.config().embedding.is_some() {
            columns.push("vector");
        }
        let batches = collect(&table.query().select(Select::columns(&columns)), "reading all records").await?;
        let mut records = Vec::new();
        for batch in &batches {
            records.extend(decode(batch, pool)?);
        }
        records.sort_unstable_by(|a, b| a.id.cmp(&b.id));
        Ok(records)
    }

    /// Checks the query and prepares what both result lists share.
    fn plan<'a>(&self, query: &'a SearchQuery) -> Result<Search<'a>, SeamError> {
        let invalid = |what: &str| Err(SeamError::new(ErrorKind::Invalid, what));
        let config = self.tables.config();
        if let Some(vector) = &query.vector {
            let Some(space) = &config.embedding else {
                return invalid("a search by vector needs a store that is configured with an embedder");
            };
            if vector.len() != space.dims || vector.iter().any(|value| !value.is_finite()) {
                return invalid(
                    "the query vector is not of the store's dimension, or has a value that is not a number",
                );
            }
        }
        if query.vector.is_none() && query.text.is_none() {
            return invalid("a search needs a vector or words");
        }
        if !(0.0..=1.0).contains(&query.dense_weight) {
            return invalid("the weight of the vector score must be from 0 to 1");
        }
        let limit = query.limit.min(config.most_hits);
        let terms = query.text.as_deref().map(|text| {
            let mut terms = query_terms(text, query.language.as_deref());
            terms.truncate(MOST_QUERY_TERMS);
            terms.join(" ")
        });
        Ok(Search {
            pool: query.pool,
            vector: query.vector.as_deref(),
            terms: terms.filter(|terms| !terms.is_empty()),
            dense_weight: query.dense_weight,
            limit,
            depth: config.depth.max(limit),
            condition: filter::expression(&query.filter),
        })
    }

    async fn search_once(&self, slot: &Slot, search: &Search<'_>) -> Result<Vec<Hit>, SeamError> {
        let Some(table) = self.tables.existing(slot).await? else { return Ok(Vec::new()) };
        // Both lists and the fetch of the records see one version, in which a row keeps its number.
        let table = match table.query_snapshot().await {
            Err(error) if is_gone(&error) => {
                slot.forget().await;
                return Ok(Vec::new());
            }
            result => result.map_err(failed("choosing a version to search"))?,
        };
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
            hits.push(Hit { record, score: found.score, similarity, lexical: found.lexical });
        }
        Ok(hits)
    }
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

/// Cosine of two vectors of one length; 0 where one of them is all zeros.
fn cosine(a: &[f32], b: &[f32]) -> f32 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f32>();
    let norms = (dot(a, a) * dot(b, b)).sqrt();
    if norms > 0.0 { dot(a, b) / norms } else { 0.0 }
}

/// Whether the table itself is not there any more: another process erased the tenant.
fn is_gone(error: &Error) -> bool {
    kind(error) == ErrorKind::NotFound
}

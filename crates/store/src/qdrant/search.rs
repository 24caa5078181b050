//! Searching, counting and scanning.

use std::collections::HashMap;

use qdrant_client::qdrant::{
    DenseVector, Filter as Conditions, GetPoints, PointId, Query, QueryBatchPoints, QueryPoints, RetrievedPoint,
    ScoredPoint, ScrollPoints, SearchParams, SparseVector, VectorInput, WithPayloadSelector, WithVectorsSelector,
    point_id, query, value, vector_input,
};
use rejoinder_domain::{ErrorKind, Filter, Hit, Pool, Record, SeamError, SearchQuery, TenantId};

use super::QdrantStore;
use super::filter;
use super::points::{DENSE, Place, WORDS, key};
use super::statistics::Counter;
use crate::fusion::{Candidate, Fused, fuse};
use crate::plan::{Plan, Reach};
use crate::records::cosine;
use crate::sealing::TenantSeal;

/// Records of one page of a scan or of one fetch.
const PAGE: usize = 500;

impl QdrantStore {
    pub(super) async fn search_records(&self, tenant: &TenantId, query: &SearchQuery) -> Result<Vec<Hit>, SeamError> {
        let plan = Plan::of(query, self.reach())?;
        if plan.finds_nothing() {
            return Ok(Vec::new());
        }
        let seal = self.seal.of(tenant)?;
        let place = Place::new(tenant, query.pool);
        let legs = self.legs(&plan, &place, &seal).await?;
        let conditions = filter::of_place(&place, &seal.filter(&query.filter));
        let (dense, words) = self.lists(&legs, conditions, plan.depth).await?;
        // A record is in the fusion by a number, as a row of a table is, and until it is fetched by its point's id.
        let mut rows: HashMap<String, u64> = HashMap::new();
        let mut list = |entries: Vec<Entry>| -> Vec<Candidate> {
            let candidate = |Entry { point, score }| {
                let next = rows.len() as u64;
                let row = *rows.entry(point.clone()).or_insert(next);
                Candidate { row, id: point, score }
            };
            entries.into_iter().map(candidate).collect()
        };
        let dense = dense.map(&mut list);
        let words = words.map(&mut list);
        let fused = fuse(dense, words, query.dense_weight);
        let best = self.best(fused, plan.limit).await?;
        self.hits(&place, &seal, plan.vector, &best).await
    }

    /// The first `limit` of `fused`, ties by the ids of records.
    ///
    /// The lists come without these ids: to read one, the server reads the whole record. So they are fetched, and only where the
    /// limit falls among hits of equal score.
    async fn best(&self, mut fused: Vec<Fused>, limit: usize) -> Result<Vec<Fused>, SeamError> {
        let Some(last) = fused.get(limit.saturating_sub(1)).map(|hit| hit.score) else { return Ok(fused) };
        let tied = fused.iter().filter(|hit| hit.score >= last).count();
        fused.truncate(tied);
        if tied > limit {
            let ids = self.fetch(&fused, vec![key::ID], false).await?;
            let mut with_ids = Vec::with_capacity(fused.len());
            for hit in fused {
                let Some(point) = ids.get(&hit.id) else { continue };
                let id = point.payload.get(key::ID).and_then(|value| value.kind.as_ref());
                let Some(value::Kind::StringValue(id)) = id else { return Err(unexpected()) };
                with_ids.push((id.clone(), hit));
            }
            with_ids.sort_unstable_by(|a, b| b.1.score.total_cmp(&a.1.score).then_with(|| a.0.cmp(&b.0)));
            fused = with_ids.into_iter().map(|(_, hit)| hit).collect();
            fused.truncate(limit);
        }
        Ok(fused)
    }

    /// The points of `fused` by their ids, as far as they are still there, with some fields, and with vectors or without.
    async fn fetch(
        &self,
        fused: &[Fused],
        fields: Vec<&str>,
        with_vectors: bool,
    ) -> Result<HashMap<String, RetrievedPoint>, SeamError> {
        let mut points = HashMap::with_capacity(fused.len());
        let point_id = |hit: &Fused| PointId { point_id_options: Some(point_id::PointIdOptions::Uuid(hit.id.clone())) };
        for page in fused.chunks(PAGE) {
            let request = GetPoints {
                collection_name: self.collection.clone(),
                ids: page.iter().map(point_id).collect(),
                with_payload: Some(WithPayloadSelector::from(fields.clone())),
                with_vectors: with_vectors.then(|| WithVectorsSelector::from(vec![DENSE])),
                read_consistency: self.consistency,
                ..GetPoints::default()
            };
            let fetched = self.server.call("fetching found records", |client| {
                let request = request.clone();
                async move { client.get_points(request).await }
            });
            for point in fetched.await?.result {
                points.insert(uuid(point.id.clone()).ok_or_else(unexpected)?, point);
            }
        }
        Ok(points)
    }

    pub(super) async fn count_records(&self, tenant: &TenantId, pool: Pool, which: &Filter) -> Result<u64, SeamError> {
        let seal = self.seal.of(tenant)?;
        let place = Place::new(tenant, pool);
        self.counter().count(filter::of_place(&place, &seal.filter(which))).await
    }

    pub(super) async fn scan_records(&self, tenant: &TenantId, pool: Pool) -> Result<Vec<Record>, SeamError> {
        let seal = self.seal.of(tenant)?;
        let place = Place::new(tenant, pool);
        let mut records = Vec::new();
        let mut offset: Option<PointId> = None;
        loop {
            let request = ScrollPoints {
                collection_name: self.collection.clone(),
                filter: Some(filter::of_place(&place, &Filter::default())),
                offset: offset.take(),
                limit: Some(PAGE as u32),
                with_payload: Some(WithPayloadSelector::from(key::RECORD.to_vec())),
                with_vectors: self.embedding.as_ref().map(|_| WithVectorsSelector::from(vec![DENSE])),
                read_consistency: self.consistency,
                ..ScrollPoints::default()
            };
            let page = self.server.call("reading all records", |client| {
                let request = request.clone();
                async move { client.scroll(request).await }
            });
            let page = page.await?;
            for point in page.result {
                records.push(seal.open(place.record(point.payload, point.vectors)?)?);
            }
            offset = page.next_page_offset;
            if offset.is_none() {
                break;
            }
        }
        records.sort_unstable_by(|a, b| a.id.cmp(&b.id));
        Ok(records)
    }

    pub(super) fn counter(&self) -> Counter<'_> {
        Counter { server: &self.server, collection: &self.collection, consistency: self.consistency }
    }

    /// How far a search of this store goes.
    fn reach(&self) -> Reach {
        Reach {
            dims: self.embedding.as_ref().map(|space| space.dims),
            depth: self.config.depth,
            most_hits: self.config.most_hits,
        }
    }

    /// What the server is to be asked.
    async fn legs<'a>(&self, plan: &Plan<'a>, place: &Place, seal: &TenantSeal<'_>) -> Result<Legs<'a>, SeamError> {
        let Some(terms) = plan.terms.clone() else { return Ok(Legs { vector: plan.vector, words: None }) };
        let mut dimensions: Vec<u32> = seal.blind(terms).iter().map(|term| place.dimension(term)).collect();
        dimensions.sort_unstable();
        dimensions.dedup();
        let weights = self.statistics.weights(self.counter(), place, &dimensions).await?;
        Ok(Legs { vector: plan.vector, words: Some(weights) })
    }

    /// Both result lists, in one call.
    async fn lists(&self, legs: &Legs<'_>, conditions: Conditions, depth: usize) -> Result<Lists, SeamError> {
        let leg = |using: &str, input: vector_input::Variant, params: Option<SearchParams>| QueryPoints {
            collection_name: self.collection.clone(),
            query: Some(Query { variant: Some(query::Variant::Nearest(VectorInput { variant: Some(input) })) }),
            using: Some(using.to_owned()),
            filter: Some(conditions.clone()),
            params,
            limit: Some(depth as u64),
            with_payload: Some(WithPayloadSelector::from(false)),
            ..QueryPoints::default()
        };
        let mut queries = Vec::new();
        if let Some(vector) = legs.vector {
            let params =
                SearchParams { exact: Some(self.config.exact), hnsw_ef: self.config.ef, ..SearchParams::default() };
            let input = vector_input::Variant::Dense(DenseVector { data: vector.to_vec() });
            queries.push(leg(DENSE, input, Some(params)));
        }
        // Words that no record has find nothing: there is nothing to ask.
        let by_words = legs.words.as_ref().filter(|weights| !weights.is_empty());
        if let Some(weights) = by_words {
            let (indices, values) = weights.iter().copied().unzip();
            queries.push(leg(WORDS, vector_input::Variant::Sparse(SparseVector { indices, values }), None));
        }
        let mut lists = Vec::new();
        if !queries.is_empty() {
            let request = QueryBatchPoints {
                collection_name: self.collection.clone(),
                query_points: queries,
                read_consistency: self.consistency,
                ..QueryBatchPoints::default()
            };
            let answered = self.server.call("searching", |client| {
                let request = request.clone();
                async move { client.query_batch(request).await }
            });
            lists = answered.await?.result;
        }
        let mut lists = lists.into_iter();
        let mut next = || -> Result<Vec<Entry>, SeamError> {
            let list = lists.next().ok_or_else(unexpected)?;
            let entry =
                |point: ScoredPoint| Ok(Entry { point: uuid(point.id).ok_or_else(unexpected)?, score: point.score });
            list.result.into_iter().map(entry).collect()
        };
        let dense = legs.vector.map(|_| next()).transpose()?;
        let words = match by_words {
            Some(_) => Some(next()?),
            None => legs.words.as_ref().map(|_| Vec::new()),
        };
        Ok((dense, words))
    }

    /// Fetches the records of `fused`, best first, ties by id. One that somebody deleted since is left out.
    async fn hits(
        &self,
        place: &Place,
        seal: &TenantSeal<'_>,
        vector: Option<&[f32]>,
        fused: &[Fused],
    ) -> Result<Vec<Hit>, SeamError> {
        // What only the words found has not been compared with the query yet.
        let compare = vector.filter(|_| fused.iter().any(|hit| hit.dense.is_none()));
        let mut points = self.fetch(fused, key::RECORD.to_vec(), compare.is_some()).await?;
        let mut hits = Vec::with_capacity(fused.len());
        for found in fused {
            let Some(point) = points.remove(&found.id) else { continue };
            let mut record = place.record(point.payload, point.vectors)?;
            let vector = record.vector.take();
            let similarity = found.dense.or_else(|| Some(cosine(compare?, &vector?)));
            hits.push(Hit { record: seal.open(record)?, score: found.score, similarity, lexical: found.lexical });
        }
        hits.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.record.id.cmp(&b.record.id)));
        Ok(hits)
    }
}

/// What is asked of the server: a vector, and the weights of words; `None` is a search that is not made.
struct Legs<'a> {
    vector: Option<&'a [f32]>,
    words: Option<Vec<(u32, f32)>>,
}

type Lists = (Option<Vec<Entry>>, Option<Vec<Entry>>);

/// An entry of a result list.
struct Entry {
    point: String,
    score: f32,
}

fn uuid(id: Option<PointId>) -> Option<String> {
    match id?.point_id_options? {
        point_id::PointIdOptions::Uuid(uuid) => Some(uuid),
        point_id::PointIdOptions::Num(_) => None,
    }
}

fn unexpected() -> SeamError {
    SeamError::new(ErrorKind::Internal, "the index answered with something else than was asked for")
}

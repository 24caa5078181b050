//! In how many records of a pool a term is: what BM25 weighs a term by.
//!
//! The server has a weighting of its own (`modifier: idf`), which counts over the whole collection, all tenants of it. Then
//! one tenant's mail would move another's ranking, and the score would tell a tenant how frequent a word is in the mail of
//! others. So the counts are asked for, each over one pool of one tenant alone, and the weights go with the query.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::{StreamExt, TryStreamExt};
use qdrant_client::qdrant::{CountPoints, Filter as Conditions, ReadConsistency};
use rejoinder_domain::{Filter, SeamError};

use super::calls::Server;
use super::filter;
use super::points::Place;

/// Counts that are asked for at once.
const AT_ONCE: usize = 32;
/// Pools, and terms of a pool, whose counts are kept. Past that all are forgotten, which costs time and nothing else.
const MOST_PLACES: usize = 1_024;
const MOST_TERMS: usize = 100_000;

/// Counts that were asked for lately.
pub(super) struct Statistics {
    keep: Duration,
    places: Mutex<HashMap<Place, Counts>>,
}

struct Counts {
    since: Instant,
    /// Grows with every write, so that a count from before a write is not kept after it.
    writes: u64,
    records: Option<u64>,
    of_terms: HashMap<u32, u64>,
}

/// What is known of some terms of a pool.
struct Known {
    writes: u64,
    records: Option<u64>,
    of_terms: HashMap<u32, u64>,
}

/// Where to count.
#[derive(Clone, Copy)]
pub(super) struct Counter<'a> {
    pub(super) server: &'a Server,
    pub(super) collection: &'a str,
    pub(super) consistency: Option<ReadConsistency>,
}

impl Counter<'_> {
    /// How many points there are, exactly.
    pub(super) async fn count(&self, conditions: Conditions) -> Result<u64, SeamError> {
        let request = CountPoints {
            collection_name: self.collection.to_owned(),
            filter: Some(conditions),
            exact: Some(true),
            read_consistency: self.consistency,
            ..CountPoints::default()
        };
        let counted = self.server.call("counting records", |client| {
            let request = request.clone();
            async move { client.count(request).await }
        });
        Ok(counted.await?.result.map_or(0, |result| result.count))
    }
}

impl Statistics {
    pub(super) fn new(keep: Duration) -> Self {
        Self { keep, places: Mutex::default() }
    }

    /// The inverse document frequencies of those of `terms` that are in the pool at all.
    pub(super) async fn weights(
        &self,
        counter: Counter<'_>,
        place: &Place,
        terms: &[u32],
    ) -> Result<Vec<(u32, f32)>, SeamError> {
        let known = self.known(place, terms);
        let records = match known.records {
            Some(records) => records,
            None => counter.count(filter::of_place(place, &Filter::default())).await?,
        };
        let missing: Vec<u32> = terms.iter().filter(|&term| !known.of_terms.contains_key(term)).copied().collect();
        let asked: HashMap<u32, u64> = if records == 0 {
            HashMap::new()
        } else {
            futures::stream::iter(missing)
                .map(|term| async move { Ok((term, counter.count(filter::with_term(place, term)).await?)) })
                .buffer_unordered(AT_ONCE)
                .try_collect()
                .await?
        };
        self.keep(place, known.writes, records, &asked);
        let of_term = |term: &u32| known.of_terms.get(term).or_else(|| asked.get(term)).copied().unwrap_or(0);
        Ok(terms
            .iter()
            .map(|term| (*term, of_term(term)))
            .filter(|&(_, found)| found > 0)
            .map(|(term, found)| (term, inverse_frequency(records, found)))
            .collect())
    }

    /// Forgets the counts of a pool that was just written to.
    pub(super) fn forget(&self, place: &Place) {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(counts) = places.get_mut(place) {
            *counts = Counts { writes: counts.writes + 1, ..Counts::new() };
        }
    }

    fn known(&self, place: &Place, terms: &[u32]) -> Known {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        if places.len() >= MOST_PLACES && !places.contains_key(place) {
            places.clear();
        }
        let counts = places.entry(place.clone()).or_insert_with(Counts::new);
        if counts.since.elapsed() >= self.keep {
            *counts = Counts { writes: counts.writes, ..Counts::new() };
        }
        let of_terms = terms.iter().filter_map(|term| Some((*term, *counts.of_terms.get(term)?))).collect();
        Known { writes: counts.writes, records: counts.records, of_terms }
    }

    fn keep(&self, place: &Place, writes: u64, records: u64, counted: &HashMap<u32, u64>) {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(counts) = places.get_mut(place).filter(|counts| counts.writes == writes) else { return };
        if counts.of_terms.len() + counted.len() > MOST_TERMS {
            counts.of_terms.clear();
        }
        counts.records = Some(records);
        counts.of_terms.extend(counted);
    }
}

impl Counts {
    fn new() -> Self {
        Self { since: Instant::now(), writes: 0, records: None, of_terms: HashMap::new() }
    }
}

/// BM25's weight of a term that `found` of `records` have, as LanceDB computes it.
fn inverse_frequency(records: u64, found: u64) -> f32 {
    // Another process may have written between the two counts.
    let (records, found) = (records.max(found) as f32, found as f32);
    ((records - found + 0.5) / (found + 0.5) + 1.0).ln()
}

#[cfg(test)]
mod tests {
    use super::inverse_frequency;

    #[test]
    fn rare_terms_weigh_more_and_none_weighs_less_than_nothing() {
        assert!(inverse_frequency(100, 1) > inverse_frequency(100, 50));
        assert!(inverse_frequency(100, 100) > 0.0);
        assert!(inverse_frequency(5, 9) > 0.0);
        assert!((inverse_frequency(9, 1) - (8.5_f32 / 1.5 + 1.0).ln()).abs() < 1e-6);
    }
}

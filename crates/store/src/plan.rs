//! A query, checked and prepared in the way that is the same for every store.

use rejoinder_domain::{ErrorKind, SeamError, SearchQuery};

use crate::analysis::query_terms;

/// Most distinct terms of one query. A ticket of several pages would otherwise touch most of the index.
const MOST_QUERY_TERMS: usize = 256;

/// How far a search goes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reach {
    /// Dimensions of the store's vectors; `None` where it has none.
    pub dims: Option<usize>,
    /// How deep each of the two result lists goes before they are fused.
    pub depth: usize,
    /// Most hits of one search.
    pub most_hits: usize,
}

/// What is to be searched.
#[derive(Debug)]
pub(crate) struct Plan<'a> {
    /// The query's vector.
    pub vector: Option<&'a [f32]>,
    /// Analysed query words, each once; `None` where the query has none that count.
    pub terms: Option<Vec<String>>,
    /// Most hits.
    pub limit: usize,
    /// Entries of each result list.
    pub depth: usize,
}

impl<'a> Plan<'a> {
    /// Checks `query` and analyses its words.
    pub(crate) fn of(query: &'a SearchQuery, reach: Reach) -> Result<Self, SeamError> {
        let invalid = |what: &str| Err(SeamError::new(ErrorKind::Invalid, what));
        if let Some(vector) = &query.vector {
            let Some(dims) = reach.dims else {
                return invalid("a search by vector needs a store that is configured with an embedder");
            };
            if vector.len() != dims || vector.iter().any(|value| !value.is_finite()) {
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
        let limit = query.limit.min(reach.most_hits);
        let terms = query.text.as_deref().map(|text| {
            let mut terms = query_terms(text, query.language.as_deref());
            terms.truncate(MOST_QUERY_TERMS);
            terms
        });
        Ok(Self {
            vector: query.vector.as_deref(),
            terms: terms.filter(|terms| !terms.is_empty()),
            limit,
            depth: reach.depth.max(limit),
        })
    }

    /// Whether there is nothing that a search could find.
    pub(crate) fn finds_nothing(&self) -> bool {
        self.limit == 0 || (self.vector.is_none() && self.terms.is_none())
    }
}

//! The ranking that the trait documents, computed in the plainest way, and how far a store's is from it.
//!
//! Every store is compared with this one, so that what two stores find can be compared without running both.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;

use rejoinder_domain::{Filter, Pool, Record, SeamError, SearchQuery, TenantId, VectorStore};

use super::samples::{DIMS, Random, passage, tenant, unit};
use super::{Harness, Outcome};
use crate::analysis::query_terms;
use crate::fusion::{Candidate, Fused, fuse};
use crate::records::{cosine, index_terms};

const K1: f64 = 1.2;
const B: f64 = 0.75;
/// Different words of the generated mail.
const VOCABULARY: usize = 2_000;
const TOPICS: usize = 12;

/// Generated mail and questions.
pub struct Corpus {
    /// Passages in English, of 10 to 120 words whose frequencies fall as those of a language do (Zipf).
    pub records: Vec<Record>,
    /// Questions with a vector and words.
    pub queries: Vec<SearchQuery>,
    terms: Vec<HashMap<String, f64>>,
}

impl Corpus {
    /// `count` records with vectors of `dims` values, and 40 questions; the same in every run.
    pub fn generate(count: usize, dims: usize) -> Self {
        let mut random = Random::new(41);
        let topics: Vec<Vec<f32>> = (0..TOPICS).map(|_| direction(&mut random, dims)).collect();
        let near = |topic: usize, random: &mut Random| {
            let center = topics.get(topic).cloned().unwrap_or_default();
            let noise = direction(random, dims);
            Some(unit(center.iter().zip(&noise).map(|(center, noise)| center + 0.8 * noise).collect()))
        };
        let records: Vec<Record> = (0..count)
            .map(|number| {
                let topic = random.below(TOPICS);
                let length = 10 + random.below(111);
                let record = passage(number, &text(&mut random, topic, length));
                Record { subject: text(&mut random, topic, 4), vector: near(topic, &mut random), ..record }
            })
            .collect();
        let queries = (0..40)
            .map(|_| {
                let topic = random.below(TOPICS);
                let length = 2 + random.below(30);
                SearchQuery {
                    pool: Pool::Passage,
                    vector: near(topic, &mut random),
                    text: Some(text(&mut random, topic, length)),
                    language: Some("en".to_owned()),
                    limit: 50,
                    dense_weight: 0.7,
                    filter: Filter::default(),
                }
            })
            .collect();
        let terms = records.iter().map(frequencies).collect();
        Self { records, queries, terms }
    }

    /// Terms of a record on average.
    pub fn average_terms(&self) -> f32 {
        (self.total_terms() / self.records.len() as f64) as f32
    }

    fn total_terms(&self) -> f64 {
        self.terms.iter().flat_map(HashMap::values).sum()
    }

    /// The ranking: cosine over all, BM25 over all, fused.
    fn rank(&self, query: &SearchQuery) -> Vec<Fused> {
        let candidate = |row: usize, score: f32| {
            let record = self.records.get(row)?;
            Some(Candidate { row: row as u64, id: record.id.as_str().to_owned(), score })
        };
        let dense = query.vector.as_deref().map(|wanted| {
            let similar = |record: &Record| record.vector.as_deref().map(|vector| cosine(wanted, vector));
            let scores = self.records.iter().map(similar).enumerate();
            scores.filter_map(|(row, score)| candidate(row, score?)).collect()
        });
        let words = query.text.as_deref().map(|text| {
            let scores = self.bm25(&query_terms(text, query.language.as_deref())).into_iter();
            scores.filter_map(|(row, score)| candidate(row, score as f32)).collect()
        });
        fuse(dense, words, query.dense_weight)
    }

    /// BM25 of every record that has one of `wanted`.
    fn bm25(&self, wanted: &[String]) -> BTreeMap<usize, f64> {
        let count = self.records.len() as f64;
        let average = self.total_terms() / count;
        let mut scores = BTreeMap::new();
        for term in wanted {
            let having = self.terms.iter().filter(|terms| terms.contains_key(term)).count() as f64;
            let rarity = ((count - having + 0.5) / (having + 0.5) + 1.0).ln();
            for (row, terms) in self.terms.iter().enumerate() {
                let Some(often) = terms.get(term) else { continue };
                let length: f64 = terms.values().sum();
                let norm = K1 * (1.0 - B + B * length / average);
                *scores.entry(row).or_insert(0.0) += rarity * (K1 + 1.0) * often / (often + norm);
            }
        }
        scores
    }
}

/// How far a store's ranking is from the plain one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Agreement {
    /// Searches that were compared.
    pub searches: usize,
    /// The share of the ten best that both have, on average over the searches.
    pub top_10: f64,
    /// The share of searches whose best hit is the same.
    pub best: f64,
    /// The largest difference of a fused score, which is from 0 to 1.
    pub score: f32,
    /// The largest difference of a BM25 score, as a share of it.
    pub lexical: f32,
}

impl fmt::Display for Agreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} searches: {:.1} % of the ten best and {:.1} % of the best are the same; scores differ by {:.5} at most, BM25 \
             by {:.3} %",
            self.searches,
            self.top_10 * 100.0,
            self.best * 100.0,
            self.score,
            self.lexical * 100.0
        )
    }
}

/// Compares the ranking of `store`, whose tenant holds `corpus` and nothing else, with the plain one: by vector, by words, and
/// by both.
pub async fn agreement(store: &dyn VectorStore, tenant: &TenantId, corpus: &Corpus) -> Result<Agreement, SeamError> {
    let mut total = Agreement { searches: 0, top_10: 0.0, best: 0.0, score: 0.0, lexical: 0.0 };
    for query in &corpus.queries {
        let by_vector = SearchQuery { text: None, ..query.clone() };
        let by_words = SearchQuery { vector: None, ..query.clone() };
        for search in [by_vector, by_words, query.clone()] {
            let expected = corpus.rank(&search);
            let found = store.search(tenant, &search).await?;
            let ten: HashSet<&str> = expected.iter().take(10).map(|hit| hit.id.as_str()).collect();
            let shared = found.iter().take(10).filter(|hit| ten.contains(hit.record.id.as_str())).count();
            let first = found.first().map(|hit| hit.record.id.as_str());
            total.searches += 1;
            total.top_10 += if ten.is_empty() { 1.0 } else { shared as f64 / ten.len() as f64 };
            total.best += f64::from(u8::from(first == expected.first().map(|hit| hit.id.as_str())));
            let by_id: HashMap<&str, &Fused> = expected.iter().map(|hit| (hit.id.as_str(), hit)).collect();
            for hit in &found {
                let Some(plain) = by_id.get(hit.record.id.as_str()) else { continue };
                total.score = total.score.max((hit.score - plain.score).abs());
                if let (Some(lexical), Some(exact)) = (hit.lexical, plain.lexical) {
                    total.lexical = total.lexical.max((lexical / exact - 1.0).abs());
                }
            }
        }
    }
    total.top_10 /= total.searches as f64;
    total.best /= total.searches as f64;
    Ok(total)
}

/// A store may round lengths or take an average for granted; what it finds stays the same.
pub(super) async fn documented(harness: &dyn Harness) -> Outcome {
    let store = harness.open("ranking", Some(DIMS)).await?;
    let corpus = Corpus::generate(400, DIMS);
    store.upsert(&tenant(), Pool::Passage, corpus.records.clone()).await?;
    store.optimize(&tenant()).await?;
    let agreement = agreement(&*store, &tenant(), &corpus).await?;
    println!("conformance: {agreement}");
    assert!(agreement.top_10 > 0.95 && agreement.best > 0.9, "{agreement}");
    Ok(())
}

/// A direction drawn at random.
fn direction(random: &mut Random, dims: usize) -> Vec<f32> {
    unit((0..dims).map(|_| random.below(2_001) as f32 / 1_000.0 - 1.0).collect())
}

/// Words of which half are of the topic.
fn text(random: &mut Random, topic: usize, length: usize) -> String {
    let mut text = String::new();
    for _ in 0..length {
        // The product of two equal draws is small often and large seldom, as ranks of words are.
        let rank = random.below(1_000) * random.below(1_000) * VOCABULARY / 1_000_000;
        let shift = if random.below(2) == 0 { topic * VOCABULARY / TOPICS } else { 0 };
        text.push_str(&word((rank + shift) % VOCABULARY));
        text.push(' ');
    }
    text
}

/// The word of this number: syllables that no stemmer shortens.
fn word(mut number: usize) -> String {
    let mut word = String::new();
    for _ in 0..3 {
        word.push(char::from(*b"bdfgkmnprt".get(number % 10).unwrap_or(&b'b')));
        number /= 10;
        word.push(char::from(*b"aou".get(number % 3).unwrap_or(&b'a')));
        number /= 3;
    }
    word.push('k');
    word
}

fn frequencies(record: &Record) -> HashMap<String, f64> {
    let mut often = HashMap::new();
    for term in index_terms(record) {
        *often.entry(term).or_insert(0.0) += 1.0;
    }
    often
}

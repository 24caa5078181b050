//! Retrieval quality on the finance passages: what each way of ranking finds, through the store itself.
//!
//! Every query of a split is searched by words, by vector, and by both with a range of weights; reciprocal rank fusion of
//! the two lists stands beside them. Tune on `train`, report `dev`: the two have no query in common. The passages are a
//! part of the public set, so the figures must not be compared with published ones.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rejoinder_domain::{
    Direction, Embedder, Filter, MessageId, Pool, Record, RecordId, Role, SearchQuery, Span, TenantId, VectorStore,
};
use rejoinder_store::{EmbeddingSpace, LanceStore, StoreConfig};
use serde_json::Value;

/// How deep the lists of reciprocal rank fusion go, and its constant.
const RRF_DEPTH: usize = 1_000;
const RRF_K: f64 = 60.0;
const TEXTS_PER_BATCH: usize = 64;
const RECORDS_PER_UPSERT: usize = 256;

/// What to evaluate.
pub(crate) struct Options<'a> {
    /// The folder with `corpus.jsonl.zst`, `queries.<split>.jsonl.zst` and `qrels.<split>.tsv`.
    pub folder: PathBuf,
    /// `dev`, or `train` for tuning.
    pub split: String,
    /// Makes the vectors.
    pub embedder: &'a dyn Embedder,
    /// Folder that keeps the passages' vectors between runs; embedding them takes minutes.
    pub cache: Option<PathBuf>,
    /// Weights of the vector score to try.
    pub weights: Vec<f32>,
}

/// A query with the passages that answer it.
struct Question {
    text: String,
    vector: Vec<f32>,
    answers: HashSet<String>,
}

/// One line of the result table.
#[derive(Default)]
struct Figures {
    ndcg_at_10: f64,
    recall_at_100: f64,
    times: Vec<Duration>,
}

/// Evaluates and prints one line per way of ranking.
pub(crate) fn run(options: &Options) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(evaluate(options))
}

async fn evaluate(options: &Options<'_>) -> Result<()> {
    let tenant = TenantId::new("retrieval")?;
    let place = tempfile::tempdir()?;
    let space = EmbeddingSpace { id: options.embedder.id().to_owned(), dims: options.embedder.dims() };
    let store = LanceStore::open(StoreConfig::new(place.path(), Some(space))).await?;
    fill(&store, &tenant, options).await?;
    let questions = questions(options)?;
    println!("{:<24} {:>8} {:>8} {:>9}", "ranking", "nDCG@10", "R@100", "p50 ms");
    let searches = |vector: bool, text: bool, weight: f32, limit: usize| {
        move |question: &Question| SearchQuery {
            pool: Pool::Passage,
            vector: vector.then(|| question.vector.clone()),
            text: text.then(|| question.text.clone()),
            language: Some("en".to_owned()),
            limit,
            dense_weight: weight,
            filter: Filter::default(),
        }
    };
    measure(&store, &tenant, &questions, searches(false, true, 0.0, 100)).await?.print("words");
    measure(&store, &tenant, &questions, searches(true, false, 1.0, 100)).await?.print("vectors");
    reciprocal_rank(&store, &tenant, &questions, &searches).await?.print("reciprocal rank fusion");
    for &weight in &options.weights {
        let figures = measure(&store, &tenant, &questions, searches(true, true, weight, 100)).await?;
        figures.print(&format!("weighted, vectors {weight:.2}"));
    }
    Ok(())
}

/// Searches every question and judges the rankings.
async fn measure(
    store: &LanceStore,
    tenant: &TenantId,
    questions: &[Question],
    search: impl Fn(&Question) -> SearchQuery,
) -> Result<Figures> {
    let mut figures = Figures::default();
    for question in questions {
        let query = search(question);
        let start = Instant::now();
        let ranking = ranking(store, tenant, &query).await?;
        figures.times.push(start.elapsed());
        figures.judge(&ranking, question, questions.len());
    }
    Ok(figures)
}

async fn reciprocal_rank<S, Q>(
    store: &LanceStore,
    tenant: &TenantId,
    questions: &[Question],
    searches: &S,
) -> Result<Figures>
where
    S: Fn(bool, bool, f32, usize) -> Q,
    Q: Fn(&Question) -> SearchQuery,
{
    let mut figures = Figures::default();
    for question in questions {
        let mut scores: HashMap<String, f64> = HashMap::new();
        let start = Instant::now();
        for by_vector in [true, false] {
            let query = searches(by_vector, !by_vector, f32::from(by_vector), RRF_DEPTH)(question);
            for (rank, id) in ranking(store, tenant, &query).await?.into_iter().enumerate() {
                *scores.entry(id).or_default() += 1.0 / (RRF_K + rank as f64);
            }
        }
        let mut fused: Vec<(String, f64)> = scores.into_iter().collect();
        fused.sort_unstable_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        figures.times.push(start.elapsed());
        let ranking: Vec<String> = fused.into_iter().map(|(id, _)| id).collect();
        figures.judge(&ranking, question, questions.len());
    }
    Ok(figures)
}

/// The passages' ids, best first.
async fn ranking(store: &LanceStore, tenant: &TenantId, query: &SearchQuery) -> Result<Vec<String>> {
    let hits = store.search(tenant, query).await?;
    Ok(hits.into_iter().map(|hit| hit.record.message_id.as_str().to_owned()).collect())
}

impl Figures {
    /// Adds one question's share. Every answer is worth the same.
    fn judge(&mut self, ranking: &[String], question: &Question, questions: usize) {
        let gain = |rank: usize| 1.0 / (rank as f64 + 2.0).log2();
        let right = |id: &&String| question.answers.contains(*id);
        let found: f64 =
            ranking.iter().take(10).enumerate().filter(|(_, id)| right(id)).map(|(rank, _)| gain(rank)).sum();
        let best: f64 = (0..question.answers.len().min(10)).map(gain).sum();
        let recalled = ranking.iter().take(100).filter(right).count();
        self.ndcg_at_10 += found / best / questions as f64;
        self.recall_at_100 += recalled as f64 / question.answers.len() as f64 / questions as f64;
    }

    fn print(mut self, name: &str) {
        self.times.sort_unstable();
        let median = self.times.get(self.times.len() / 2).copied().unwrap_or_default();
        println!(
            "{name:<24} {:>8.4} {:>8.4} {:>9.1}",
            self.ndcg_at_10,
            self.recall_at_100,
            median.as_secs_f64() * 1_000.0
        );
    }
}

/// Embeds and stores the passages.
async fn fill(store: &LanceStore, tenant: &TenantId, options: &Options<'_>) -> Result<()> {
    let passages = read_lines(&options.folder.join("corpus.jsonl.zst"))?;
    let texts: Vec<&str> = passages.iter().map(|(_, text)| text.as_str()).collect();
    let start = Instant::now();
    let vectors = passage_vectors(&texts, options)?;
    println!("{} passages embedded in {:.1} s", texts.len(), start.elapsed().as_secs_f64());
    let records: Vec<Record> =
        passages.iter().zip(vectors).map(|((id, text), vector)| record(id, text, vector)).collect();
    let start = Instant::now();
    for some in records.chunks(RECORDS_PER_UPSERT) {
        store.upsert(tenant, Pool::Passage, some.to_vec()).await?;
    }
    let written = start.elapsed().as_secs_f64();
    store.optimize(tenant).await?;
    let indexed = start.elapsed().as_secs_f64() - written;
    println!("{} records written in {written:.1} s, indexed in {indexed:.1} s", records.len());
    Ok(())
}

fn record(id: &str, text: &str, vector: Vec<f32>) -> Record {
    Record {
        id: RecordId::from_stored(format!("rec_{id}")),
        pool: Pool::Passage,
        message_id: MessageId::from_stored(id),
        mailboxes: Vec::new(),
        direction: Direction::Unknown,
        sent_at: None,
        participants: Vec::new(),
        subject: String::new(),
        author: String::new(),
        language: Some("en".to_owned()),
        span: Span::whole(text),
        text: text.to_owned(),
        reply: None,
        vector: Some(vector),
    }
}

/// The passages' vectors, from the cache where it has them.
fn passage_vectors(texts: &[&str], options: &Options) -> Result<Vec<Vec<f32>>> {
    let dims = options.embedder.dims();
    let name: String = options.embedder.id().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let cached = options.cache.as_ref().map(|folder| folder.join(format!("passages-{name}-{}.f32", texts.len())));
    if let Some(path) = cached.as_deref().filter(|path| path.exists()) {
        let bytes = std::fs::read(path)?;
        ensure!(bytes.len() == texts.len() * dims * 4, "{} is of another corpus: remove it", path.display());
        let values: Vec<f32> =
            bytes.chunks_exact(4).filter_map(|four| four.try_into().ok().map(f32::from_le_bytes)).collect();
        return Ok(values.chunks_exact(dims).map(<[f32]>::to_vec).collect());
    }
    let vectors = embed(texts, Role::Passage, options.embedder)?;
    if let Some(path) = cached {
        let bytes: Vec<u8> = vectors.iter().flatten().flat_map(|value| value.to_le_bytes()).collect();
        std::fs::write(path, bytes)?;
    }
    Ok(vectors)
}

/// Vectors of `texts` in their order; texts of like length share a batch, so that little is padding.
fn embed(texts: &[&str], role: Role, embedder: &dyn Embedder) -> Result<Vec<Vec<f32>>> {
    let mut order: Vec<usize> = (0..texts.len()).collect();
    order.sort_by_key(|&place| texts.get(place).map(|text| text.len()));
    let mut vectors = vec![Vec::new(); texts.len()];
    for places in order.chunks(TEXTS_PER_BATCH) {
        let batch: Vec<&str> = places.iter().filter_map(|&place| texts.get(place).copied()).collect();
        for (&place, vector) in places.iter().zip(embedder.embed(&batch, role)?) {
            if let Some(slot) = vectors.get_mut(place) {
                *slot = vector;
            }
        }
    }
    Ok(vectors)
}

/// The split's queries that have answers.
fn questions(options: &Options) -> Result<Vec<Question>> {
    let folder = &options.folder;
    let judged = std::fs::read_to_string(folder.join(format!("qrels.{}.tsv", options.split)))?;
    let mut answers: HashMap<&str, HashSet<String>> = HashMap::new();
    for line in judged.lines().skip(1) {
        let mut cells = line.split('\t');
        if let (Some(query), Some(passage)) = (cells.next(), cells.next()) {
            answers.entry(query).or_default().insert(passage.to_owned());
        }
    }
    let queries = read_lines(&folder.join(format!("queries.{}.jsonl.zst", options.split)))?;
    let texts: Vec<&str> = queries.iter().map(|(_, text)| text.as_str()).collect();
    let vectors = embed(&texts, Role::Query, options.embedder)?;
    let with_answers = queries.iter().zip(vectors).filter_map(|((id, text), vector)| {
        let answers = answers.remove(id.as_str())?;
        Some(Question { text: text.clone(), vector, answers })
    });
    Ok(with_answers.collect())
}

/// Id and text of every line of a compressed JSON Lines file.
fn read_lines(path: &Path) -> Result<Vec<(String, String)>> {
    let output = Command::new("zstd").arg("-dc").arg(path).output().context("the zstd program must be installed")?;
    ensure!(output.status.success(), "cannot read {}", path.display());
    let text = String::from_utf8(output.stdout)?;
    // Only \n ends a line: the texts hold other characters that Unicode counts as line ends.
    text.split('\n')
        .filter(|line| !line.is_empty())
        .map(|line| {
            let value: Value = serde_json::from_str(line)?;
            let part = |name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
            let id = part("_id").context("a line has no _id")?;
            let text = [part("title").unwrap_or_default(), part("text").context("a line has no text")?].join(" ");
            Ok((id, text.trim().to_owned()))
        })
        .collect()
}

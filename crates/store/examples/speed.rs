//! How fast the store writes and searches: `cargo run -p rejoinder-store --example speed -- 20000 100000`. The embedded store,
//! or the Qdrant server that the environment variable `QDRANT_URL` names, whose records are removed at the end.
//!
//! Random vectors of 384 dimensions and texts of a Zipf-like vocabulary, so that posting lists are as uneven as in mail.

use std::path::Path;
use std::time::Instant;

use rejoinder_domain::{
    Direction, EraseScope, Filter, MessageId, Pool, Record, RecordId, SearchQuery, Span, TenantId, VectorStore,
};
use rejoinder_store::EmbeddingSpace;

const DIMS: usize = 384;
const BATCH: usize = 256;
const WORDS: usize = 120;

struct Random(u64);

impl Random {
    fn next(&mut self) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn text(&mut self, words: usize) -> String {
        let words: Vec<String> = (0..words).map(|_| format!("w{}", (self.next() * 11.0).exp() as u64)).collect();
        words.join(" ")
    }

    fn vector(&mut self) -> Vec<f32> {
        let vector: Vec<f32> = (0..DIMS).map(|_| self.next() as f32 - 0.5).collect();
        let length = vector.iter().map(|value| value * value).sum::<f32>().sqrt();
        vector.into_iter().map(|value| value / length).collect()
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let sizes: Vec<usize> = std::env::args().skip(1).map(|size| size.parse()).collect::<Result<_, _>>()?;
    let folder = tempfile::tempdir()?;
    let space = EmbeddingSpace { id: "random".to_owned(), dims: DIMS };
    let store = open(folder.path(), space).await?;
    let tenant = TenantId::new("speed")?;
    let mut random = Random(88_172_645_463_325_252);
    let mut rows = 0;
    for size in sizes {
        let (before, start) = (rows, Instant::now());
        let mut making = 0.0;
        while rows < size {
            let made = Instant::now();
            let records = (rows..size.min(rows + BATCH)).map(|n| record(n, &mut random)).collect::<Vec<_>>();
            making += made.elapsed().as_secs_f64();
            rows += records.len();
            store.upsert(&tenant, Pool::Passage, records).await?;
        }
        let seconds = start.elapsed().as_secs_f64() - making;
        println!("{rows} rows: {:.0} records/s written", (rows - before) as f64 / seconds);
        search_all(&*store, &tenant, &mut random, "before optimize").await?;
        let start = Instant::now();
        store.optimize(&tenant).await?;
        println!("  optimize {:.2} s", start.elapsed().as_secs_f64());
        let start = Instant::now();
        store.optimize(&tenant).await?;
        println!("  optimize with nothing to do {:.3} s", start.elapsed().as_secs_f64());
        search_all(&*store, &tenant, &mut random, "after optimize").await?;
    }
    let start = Instant::now();
    let erased = store.erase(&tenant, &EraseScope::Tenant).await?;
    println!("{erased} records erased in {:.2} s", start.elapsed().as_secs_f64());
    Ok(())
}

/// The store to measure; `folder` is for one that is embedded.
#[allow(unused_variables, reason = "without LanceDB there is nothing for the folder")]
async fn open(folder: &Path, space: EmbeddingSpace) -> Result<Box<dyn VectorStore>, Box<dyn std::error::Error>> {
    #[cfg(feature = "qdrant")]
    if let Ok(url) = std::env::var("QDRANT_URL") {
        let config = rejoinder_store::QdrantConfig { url, prefix: "speed".to_owned(), ..Default::default() };
        return Ok(Box::new(rejoinder_store::QdrantStore::open(config, Some(space), None).await?));
    }
    #[cfg(feature = "lancedb")]
    return Ok(Box::new(
        rejoinder_store::LanceStore::open(rejoinder_store::StoreConfig::new(folder, Some(space))).await?,
    ));
    #[cfg(not(feature = "lancedb"))]
    Err("this build has no embedded store: set QDRANT_URL".into())
}

async fn search_all(
    store: &dyn VectorStore,
    tenant: &TenantId,
    random: &mut Random,
    when: &str,
) -> Result<(), Box<dyn std::error::Error>> {
    let filter = Filter {
        directions: vec![Direction::Inbound],
        participants: vec!["p3@x.example".to_owned()],
        ..Filter::default()
    };
    for (name, by_vector, by_words, filter) in [
        ("dense", true, false, Filter::default()),
        ("lexical", false, true, Filter::default()),
        ("hybrid", true, true, Filter::default()),
        ("hybrid, filtered", true, true, filter),
    ] {
        let mut times = Vec::new();
        for _ in 0..21 {
            let query = SearchQuery {
                pool: Pool::Passage,
                vector: by_vector.then(|| random.vector()),
                text: by_words.then(|| random.text(12)),
                language: Some("en".to_owned()),
                limit: 8,
                dense_weight: 0.7,
                filter: filter.clone(),
            };
            let start = Instant::now();
            store.search(tenant, &query).await?;
            times.push(start.elapsed());
        }
        times.sort_unstable();
        let median = times.get(times.len() / 2).copied().unwrap_or_default();
        println!("  {when}: {name} p50 {:.1} ms", median.as_secs_f64() * 1_000.0);
    }
    Ok(())
}

fn record(number: usize, random: &mut Random) -> Record {
    let text = random.text(WORDS);
    Record {
        id: RecordId::from_content(&[&number.to_le_bytes()]),
        pool: Pool::Passage,
        message_id: MessageId::from_content(&[&number.to_le_bytes()]),
        mailboxes: Vec::new(),
        direction: if number.is_multiple_of(2) { Direction::Inbound } else { Direction::Outbound },
        sent_at: None,
        participants: vec![format!("p{}@x.example", number % 20), "desk@x.example".to_owned()],
        subject: String::new(),
        author: String::new(),
        language: Some("en".to_owned()),
        span: Span::whole(&text),
        text,
        reply: None,
        vector: Some(random.vector()),
    }
}

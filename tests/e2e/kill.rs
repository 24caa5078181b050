//! `kill -9` in the middle of an ingest, then a second run: the index is the one of a run that was never killed.

use std::path::Path;
use std::time::{Duration, Instant};

use rejoinder_domain::{Pool, Record, TenantId, VectorStore as _};
use rejoinder_store::{EmbeddingSpace, LanceStore, StoreConfig};
use serde_json::Value;

use crate::product::{Product, repository};
use crate::spine::ingest_sample;

/// Where in a run it is killed, as shares of the time that a whole run takes.
const POINTS: [f64; 6] = [0.1, 0.3, 0.45, 0.6, 0.75, 0.9];

#[test]
fn a_killed_ingest_continues_to_the_same_index() {
    let clean = Product::new();
    let started = Instant::now();
    let report = ingest_sample(&clean);
    let whole_run = started.elapsed();
    let wanted = index(&clean);
    assert!(wanted.iter().map(|(_, records)| records.len()).sum::<usize>() > 200, "the sample has records");

    let mut killed_while_running = 0;
    for point in POINTS {
        let product = Product::new();
        killed_while_running += usize::from(kill_at(&product, whole_run.mul_f64(point)));
        let second = ingest_sample(&product);
        for key in ["seen", "indexed", "duplicate", "skipped", "threads", "pairs", "chunks"] {
            assert_eq!(second[key], report[key], "killed at {point}: {key}");
        }
        let got = index(&product);
        for ((pool, wanted), (_, got)) in wanted.iter().zip(&got) {
            same_records(*pool, wanted, got, point);
        }
        assert_eq!(product.messages(), clean.messages(), "killed at {point}");
    }
    assert!(killed_while_running >= 3, "only {killed_while_running} of the runs were killed before their end");
}

/// Starts an ingest and kills it after `delay`; whether it was still running.
fn kill_at(product: &Product, delay: Duration) -> bool {
    let folder = repository().join("examples/mailbox");
    let path = |name: &str| folder.join(name).display().to_string();
    let mut child = product
        .command(&["ingest", &path("haldenmarsh.pst"), &path("support.mbox"), &path("eml"), "--json"])
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("the program starts");
    std::thread::sleep(delay);
    let running = child.try_wait().expect("the child can be asked").is_none();
    // SIGKILL: nothing in the process gets to run.
    child.kill().expect("the child can be killed");
    child.wait().expect("the child ends");
    running
}

/// Every record of the index, pool by pool.
fn index(product: &Product) -> Vec<(Pool, Vec<Record>)> {
    let status = product.json(&["status"], 0);
    let tenant = TenantId::new(status["tenant"].as_str().expect("a tenant")).expect("a valid tenant");
    let space = embedding_space(&status);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let store = open_store(&product.data_dir(), space).await;
        let mut pools = Vec::new();
        for pool in Pool::ALL {
            pools.push((pool, store.scan(&tenant, pool).await.expect("the store can be read")));
        }
        pools
    })
}

fn embedding_space(status: &Value) -> Option<EmbeddingSpace> {
    // The sample's configuration names one embedder, of 384 dimensions.
    status["embedder"].as_str().map(|id| EmbeddingSpace { id: id.to_owned(), dims: 384 })
}

async fn open_store(data_dir: &Path, space: Option<EmbeddingSpace>) -> LanceStore {
    LanceStore::open(StoreConfig::new(data_dir.join("lancedb"), space)).await.expect("the store opens")
}

/// The same records in every field; vectors within what a batch of another composition may differ by.
fn same_records(pool: Pool, wanted: &[Record], got: &[Record], point: f64) {
    let bare = |record: &Record| Record { vector: None, ..record.clone() };
    assert_eq!(
        wanted.iter().map(bare).collect::<Vec<_>>(),
        got.iter().map(bare).collect::<Vec<_>>(),
        "killed at {point}: {pool:?}"
    );
    for (wanted, got) in wanted.iter().zip(got) {
        let (Some(wanted), Some(got)) = (&wanted.vector, &got.vector) else {
            assert_eq!(wanted.vector.is_some(), got.vector.is_some());
            continue;
        };
        let far = wanted.iter().zip(got).any(|(a, b)| (a - b).abs() > 1e-4);
        assert!(!far, "killed at {point}: a vector differs");
    }
}

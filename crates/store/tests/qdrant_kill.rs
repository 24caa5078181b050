//! What a Qdrant server has acknowledged is there after `kill -9`.
//!
//! The environment variable `QDRANT_BINARY` names the server's program, which this test starts in a folder of its own and kills
//! while records are written; without it the test says that it was skipped.

#![cfg(feature = "qdrant")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rejoinder_domain::{
    Direction, Filter, MessageId, Pool, Record, RecordId, SearchQuery, Span, TenantId, VectorStore,
};
use rejoinder_store::{EmbeddingSpace, QdrantConfig, QdrantStore};

const KILLS: usize = 5;
const WRITERS: usize = 3;
/// Records of one upsert, in several batches, so that a kill can come between two of them.
const AT_ONCE: usize = 30;

struct Server {
    child: Child,
}

impl Server {
    fn start(program: &str, folder: &Path, ports: [u16; 2]) -> Self {
        let child = Command::new(program)
            .current_dir(folder)
            .env("QDRANT__SERVICE__HOST", "127.0.0.1")
            .env("QDRANT__SERVICE__HTTP_PORT", ports[0].to_string())
            .env("QDRANT__SERVICE__GRPC_PORT", ports[1].to_string())
            .env("QDRANT__STORAGE__STORAGE_PATH", folder.join("storage"))
            .env("QDRANT__STORAGE__SNAPSHOTS_PATH", folder.join("snapshots"))
            .env("QDRANT__TELEMETRY_DISABLED", "true")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self { child }
    }

    /// SIGKILL, as by `kill -9`.
    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn record(number: usize, version: usize) -> Record {
    let text = format!("walnut number{number} version{version}");
    Record {
        id: RecordId::from_stored(format!("rec_{number:06}")),
        pool: Pool::Passage,
        message_id: MessageId::from_stored(format!("msg_{number}")),
        mailboxes: Vec::new(),
        direction: Direction::Inbound,
        sent_at: None,
        participants: Vec::new(),
        subject: String::new(),
        author: String::new(),
        language: Some("en".to_owned()),
        span: Span::whole(&text),
        text,
        reply: None,
        vector: Some(vec![0.6, 0.8]),
    }
}

/// Writes until it is told to stop, and notes what was acknowledged: the text of every record.
async fn write(
    store: Arc<QdrantStore>,
    writer: usize,
    acknowledged: Arc<Mutex<BTreeMap<RecordId, String>>>,
    stop: Arc<AtomicBool>,
) {
    let tenant = TenantId::new("acme").unwrap();
    let mut round = 0;
    while !stop.load(Ordering::Relaxed) {
        // Every third call replaces the records of the one before.
        let place = if round % 3 == 2 { round - 1 } else { round };
        let records: Vec<Record> =
            (0..AT_ONCE).map(|n| record(writer * 100_000 + place * AT_ONCE + n, round)).collect();
        match store.upsert(&tenant, Pool::Passage, records.clone()).await {
            Ok(()) => {
                let mut all = acknowledged.lock().unwrap();
                all.extend(records.into_iter().map(|record| (record.id, record.text)));
                round += 1;
            }
            // Not acknowledged: written again, and until then either version may be there.
            Err(error) => println!("refused: {error}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledged_records_outlive_kills() {
    let Ok(program) = std::env::var("QDRANT_BINARY") else {
        println!("skipped: kill -9 needs the server's program, named by QDRANT_BINARY");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let ports = [free_port(), free_port()];
    let mut server = Server::start(&program, folder.path(), ports);
    let config = QdrantConfig {
        url: format!("http://127.0.0.1:{}", ports[1]),
        batch_records: 10,
        // A start takes seconds.
        retries: 60,
        timeout_s: 10,
        ..QdrantConfig::default()
    };
    let space = || Some(EmbeddingSpace { id: "test-embedder".to_owned(), dims: 2 });
    let store = Arc::new(QdrantStore::open(config.clone(), space(), None).await.unwrap());
    let acknowledged: Arc<Mutex<BTreeMap<RecordId, String>>> = Arc::default();
    let stop = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| tokio::spawn(write(Arc::clone(&store), writer, Arc::clone(&acknowledged), Arc::clone(&stop))))
        .collect();
    let written = || acknowledged.lock().unwrap().len();
    for kill in 0..KILLS {
        // Some more is written with this server, and the kill comes in the middle of the next call.
        let enough = written() + 150 + kill * 37;
        while written() < enough {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        server.kill();
        server = Server::start(&program, folder.path(), ports);
    }
    let enough = written() + 150;
    while written() < enough {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    stop.store(true, Ordering::Relaxed);
    for writer in writers {
        writer.await.unwrap();
    }
    server.kill();
    let _server = Server::start(&program, folder.path(), ports);

    let store = QdrantStore::open(config, space(), None).await.unwrap();
    let tenant = TenantId::new("acme").unwrap();
    let found: BTreeMap<RecordId, String> =
        store.scan(&tenant, Pool::Passage).await.unwrap().into_iter().map(|record| (record.id, record.text)).collect();
    let acknowledged = acknowledged.lock().unwrap().clone();
    let lost: Vec<&RecordId> =
        acknowledged.iter().filter(|(id, text)| found.get(*id) != Some(*text)).map(|(id, _)| id).collect();
    assert!(lost.is_empty(), "{} of {} are lost or old: {lost:?}", lost.len(), acknowledged.len());
    println!("{} records acknowledged over {} kills, all there", acknowledged.len(), KILLS + 1);
    // The indexes came back as well.
    assert_eq!(store.count(&tenant, Pool::Passage, &Filter::default()).await.unwrap(), found.len() as u64);
    for (id, text) in acknowledged.iter().step_by(acknowledged.len() / 20) {
        let query = SearchQuery {
            pool: Pool::Passage,
            vector: None,
            text: Some(text.split(' ').nth(1).unwrap().to_owned()),
            language: Some("en".to_owned()),
            limit: 5,
            dense_weight: 0.5,
            filter: Filter::default(),
        };
        let hits = store.search(&tenant, &query).await.unwrap();
        assert!(hits.iter().any(|hit| hit.record.id == *id), "{id}");
    }
}

//! The conformance suite on a Qdrant server, and what only Qdrant can get wrong.
//!
//! The environment variable `QDRANT_URL` names the server (gRPC, such as `http://127.0.0.1:6334`); without it every test says
//! that it was skipped. Each test makes collections of its own and removes them.

#![cfg(feature = "qdrant")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use qdrant_client::Qdrant;
use rejoinder_domain::{
    Direction, EraseScope, ErrorKind, Filter, MessageId, Pool, Record, RecordId, SeamError, SearchQuery, Span,
    TenantId, VectorStore,
};
use rejoinder_store::conformance::ranking::{Corpus, agreement};
use rejoinder_store::conformance::{self, Harness};
use rejoinder_store::{EmbeddingSpace, ManagedStore as _, QdrantConfig, QdrantStore};
use rejoinder_vault::{Keyring, MemoryKeys, Sealer, Vault};

/// A server, and what the names of a test's collections begin with.
struct Place {
    url: String,
    prefix: String,
    sealer: Option<Arc<dyn Sealer>>,
}

static PLACES: AtomicUsize = AtomicUsize::new(0);

impl Place {
    /// `None`, said on the standard output, where no server is named.
    fn new(test: &str) -> Option<Self> {
        let Ok(url) = std::env::var("QDRANT_URL") else {
            println!("skipped: {test} needs a server, named by QDRANT_URL");
            return None;
        };
        let number = PLACES.fetch_add(1, Ordering::Relaxed);
        Some(Self { url, prefix: format!("test-{}-{number}", std::process::id()), sealer: None })
    }

    fn sealed(self) -> Self {
        Self { sealer: Some(vault()), ..self }
    }

    fn config(&self) -> QdrantConfig {
        QdrantConfig { url: self.url.clone(), prefix: self.prefix.clone(), ..QdrantConfig::default() }
    }

    async fn store(&self, dims: usize) -> QdrantStore {
        QdrantStore::open(self.config(), Some(space("test-embedder", dims)), self.sealer.clone()).await.unwrap()
    }

    fn client(&self) -> Qdrant {
        Qdrant::from_url(&self.url).skip_compatibility_check().build().unwrap()
    }

    async fn collections(&self) -> Vec<String> {
        let all = self.client().list_collections().await.unwrap().collections;
        all.into_iter().map(|one| one.name).filter(|name| name.starts_with(&self.prefix)).collect()
    }

    async fn remove(self) {
        let client = self.client();
        for name in self.collections().await {
            client.delete_collection(name).await.unwrap();
        }
    }
}

fn vault() -> Arc<dyn Sealer> {
    let keyring = Keyring::parse(&Keyring::generate("test").unwrap()).unwrap();
    Arc::new(Vault::new(keyring, Arc::new(MemoryKeys::default())))
}

fn space(id: &str, dims: usize) -> EmbeddingSpace {
    EmbeddingSpace { id: id.to_owned(), dims }
}

#[async_trait]
impl Harness for Place {
    async fn open(&self, place: &str, dims: Option<usize>) -> Result<Box<dyn VectorStore>, SeamError> {
        let config = QdrantConfig { prefix: format!("{}-{place}", self.prefix), ..self.config() };
        let space = dims.map(|dims| space("test-embedder", dims));
        Ok(Box::new(QdrantStore::open(config, space, self.sealer.clone()).await?))
    }
}

fn passage(number: usize, text: &str) -> Record {
    Record {
        id: RecordId::from_stored(format!("rec_{number:05}")),
        pool: Pool::Passage,
        message_id: MessageId::from_stored(format!("msg_{number}")),
        mailboxes: Vec::new(),
        direction: Direction::Inbound,
        sent_at: None,
        participants: vec!["anna@weber.example".to_owned()],
        subject: String::new(),
        author: String::new(),
        language: Some("en".to_owned()),
        span: Span::whole(text),
        text: text.to_owned(),
        reply: None,
        vector: Some(vec![0.6, 0.8]),
    }
}

fn words(text: &str) -> SearchQuery {
    SearchQuery {
        pool: Pool::Passage,
        vector: None,
        text: Some(text.to_owned()),
        language: Some("en".to_owned()),
        limit: 10,
        dense_weight: 0.5,
        filter: Filter::default(),
    }
}

fn tenant(name: &str) -> TenantId {
    TenantId::new(name).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conforms() {
    let Some(place) = Place::new("conformance") else { return };
    conformance::run(&place).await;
    place.remove().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conforms_sealed() {
    let Some(place) = Place::new("conformance, sealed") else { return };
    let place = place.sealed();
    conformance::run(&place).await;
    place.remove().await;
}

/// Everything that the server gives back of the collection, as text.
async fn dump(place: &Place) -> String {
    let client = place.client();
    let mut text = String::new();
    for name in place.collections().await {
        let scroll = qdrant_client::qdrant::ScrollPoints {
            collection_name: name,
            limit: Some(10_000),
            with_payload: Some(true.into()),
            ..Default::default()
        };
        write!(text, "{:?}", client.scroll(scroll).await.unwrap().result).unwrap();
    }
    text
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sealed_store_tells_the_server_no_text() {
    let Some(place) = Place::new("sealed text") else { return };
    let open = place.store(2).await;
    open.upsert(&tenant("acme"), Pool::Passage, vec![passage(1, "walnut table")]).await.unwrap();
    let seen = dump(&place).await;
    assert!(seen.contains("walnut") && seen.contains("weber"), "this test must be able to see text");
    // Encrypted from now on: what is there in clear is not found by blind words, so it is refused.
    let sealer = vault();
    let refused = QdrantStore::open(place.config(), Some(space("test-embedder", 2)), Some(Arc::clone(&sealer))).await;
    assert!(refused.is_err_and(|error| error.message.contains("without encryption")));
    open.erase(&tenant("acme"), &EraseScope::Tenant).await.unwrap();
    place.remove().await;

    let place = Place { sealer: Some(sealer), ..Place::new("sealed text").unwrap() };
    let store = place.store(2).await;
    store.upsert(&tenant("acme"), Pool::Passage, vec![passage(1, "walnut table")]).await.unwrap();
    let seen = dump(&place).await;
    assert!(seen.contains("rec_00001"));
    assert!(!seen.contains("walnut") && !seen.contains("weber") && !seen.contains("anna"), "{seen}");
    let hits = store.search(&tenant("acme"), &words("tables")).await.unwrap();
    assert_eq!(hits[0].record.text, "walnut table");
    let plain = QdrantStore::open(place.config(), Some(space("test-embedder", 2)), None).await;
    let error = plain.err().expect("a sealed collection must not open without a key");
    assert!(error.message.contains("no master key"), "{error}");
    assert_eq!(error.kind, ErrorKind::Unavailable);
    place.remove().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_tenants_mail_moves_no_score() {
    let Some(place) = Place::new("scores of tenants") else { return };
    let store = place.store(2).await;
    let (acme, other) = (tenant("acme"), tenant("other"));
    let records: Vec<Record> =
        (0..20).map(|n| passage(n, if n % 4 == 0 { "walnut table" } else { "cherry table with a lamp" })).collect();
    store.upsert(&acme, Pool::Passage, records).await.unwrap();
    let before = store.search(&acme, &words("walnut table lamp")).await.unwrap();
    // Two hundred records of another tenant, and of the other pool, would make `walnut` a frequent word.
    store.upsert(&other, Pool::Passage, (0..200).map(|n| passage(n, "walnut")).collect()).await.unwrap();
    let pairs = (0..50).map(|n| Record { pool: Pool::ReplyPair, ..passage(n, "walnut") }).collect();
    store.upsert(&acme, Pool::ReplyPair, pairs).await.unwrap();
    let fresh = place.store(2).await;
    assert_eq!(fresh.search(&acme, &words("walnut table lamp")).await.unwrap(), before);
    assert_eq!(store.search(&acme, &words("walnut table lamp")).await.unwrap(), before);
    place.remove().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scores_are_those_of_the_reference() {
    let Some(place) = Place::new("ranking") else { return };
    let corpus = Corpus::generate(600, 16);
    let config = QdrantConfig { average_terms: corpus.average_terms(), ..place.config() };
    let store = QdrantStore::open(config, Some(space("test-embedder", 16)), None).await.unwrap();
    store.upsert(&tenant("acme"), Pool::Passage, corpus.records.clone()).await.unwrap();
    let exact = agreement(&store, &tenant("acme"), &corpus).await.unwrap();
    println!("{exact}");
    assert!(exact.top_10 > 0.999 && exact.score < 1e-3 && exact.lexical < 1e-3, "{exact}");
    place.remove().await;

    // With an average that is off by half, the ranking stays nearly the same.
    let place = Place::new("ranking").unwrap();
    let config = QdrantConfig { average_terms: corpus.average_terms() * 1.5, ..place.config() };
    let store = QdrantStore::open(config, Some(space("test-embedder", 16)), None).await.unwrap();
    store.upsert(&tenant("acme"), Pool::Passage, corpus.records.clone()).await.unwrap();
    let nearly = agreement(&store, &tenant("acme"), &corpus).await.unwrap();
    println!("with an average that is off by half: {nearly}");
    assert!(nearly.top_10 > 0.9, "{nearly}");
    place.remove().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_writers_and_two_stores_lose_nothing() {
    let Some(place) = Place::new("writers") else { return };
    // Two stores know nothing of each other, as two processes do.
    let stores = [Arc::new(place.store(2).await), Arc::new(place.store(2).await)];
    let mut tasks = Vec::new();
    for writer in 0..8 {
        let store = Arc::clone(&stores[writer % 2]);
        let owner = tenant(if writer < 4 { "acme" } else { "other" });
        tasks.push(tokio::spawn(async move {
            for round in 0..10 {
                let number = writer * 100 + round;
                store.upsert(&owner, Pool::Passage, vec![passage(number, &format!("walnut n{number}"))]).await.unwrap();
                let hits = store.search(&owner, &words(&format!("n{number}"))).await.unwrap();
                assert_eq!(hits.len(), 1, "what was written is found at once");
                if round % 5 == 4 {
                    let id = RecordId::from_stored(format!("rec_{number:05}"));
                    assert_eq!(store.delete(&owner, Pool::Passage, &[id]).await.unwrap(), 1);
                }
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    for store in &stores {
        for owner in ["acme", "other"] {
            assert_eq!(store.count(&tenant(owner), Pool::Passage, &Filter::default()).await.unwrap(), 32);
        }
    }
    let mut deletes = Vec::new();
    for _ in 0..6 {
        let store = Arc::clone(&stores[0]);
        let ids: Vec<RecordId> = (0..400).map(|n| RecordId::from_stored(format!("rec_{n:05}"))).collect();
        deletes.push(tokio::spawn(async move { store.delete(&tenant("acme"), Pool::Passage, &ids).await.unwrap() }));
    }
    let mut counted = 0;
    for delete in deletes {
        counted += delete.await.unwrap();
    }
    assert_eq!(counted, 32, "deletes of the same records at once count each once");
    place.remove().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_embedder_has_a_collection_of_its_own() {
    let Some(place) = Place::new("embedders") else { return };
    let open = |id: &'static str| QdrantStore::open(place.config(), Some(space(id, 2)), None);
    let old = open("old").await.unwrap();
    old.upsert(&tenant("acme"), Pool::Passage, vec![passage(1, "walnut"), passage(2, "cherry")]).await.unwrap();
    old.upsert(&tenant("other"), Pool::Passage, vec![passage(1, "walnut")]).await.unwrap();
    let new = open("new").await.unwrap();
    assert_eq!(new.count(&tenant("acme"), Pool::Passage, &Filter::default()).await.unwrap(), 0);
    new.upsert(&tenant("acme"), Pool::Passage, vec![passage(1, "walnut")]).await.unwrap();
    // Erasing reaches every space; dropping the others leaves this one, and other tenants.
    let scope = EraseScope::Messages(vec![MessageId::from_stored("msg_1")]);
    assert_eq!(new.erase(&tenant("acme"), &scope).await.unwrap(), 2);
    assert_eq!(new.drop_other_spaces(&tenant("acme")).await.unwrap(), 1);
    assert_eq!(new.drop_other_spaces(&tenant("acme")).await.unwrap(), 0);
    assert_eq!(old.count(&tenant("acme"), Pool::Passage, &Filter::default()).await.unwrap(), 0);
    assert_eq!(old.count(&tenant("other"), Pool::Passage, &Filter::default()).await.unwrap(), 1);
    assert_eq!(place.collections().await.len(), 2);
    place.remove().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn small_batches_and_pages_are_the_same() {
    let Some(place) = Place::new("batches") else { return };
    let config = QdrantConfig { batch_bytes: 4_000, batch_records: 7, connections: 1, ..place.config() };
    let store = QdrantStore::open(config, Some(space("test-embedder", 2)), None).await.unwrap();
    let text = "walnut ".repeat(400);
    let records: Vec<Record> = (0..1_203).map(|n| passage(n, if n % 5 == 0 { &text } else { "cherry" })).collect();
    store.upsert(&tenant("acme"), Pool::Passage, records.clone()).await.unwrap();
    assert_eq!(store.scan(&tenant("acme"), Pool::Passage).await.unwrap(), records);
    let query = SearchQuery { limit: 5_000, ..words("walnut cherry") };
    let found: BTreeSet<String> = store
        .search(&tenant("acme"), &query)
        .await
        .unwrap()
        .into_iter()
        .map(|hit| hit.record.id.as_str().to_owned())
        .collect();
    assert_eq!(found.len(), 1_203);
    place.remove().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_tells_the_version_and_layouts_are_checked() {
    let Some(place) = Place::new("health") else { return };
    let store = place.store(2).await;
    let health = store.health().await.unwrap();
    println!("server: {health:?}");
    assert_eq!((health.kind, health.warning), ("qdrant", None));
    assert!(health.version.is_some_and(|version| version.starts_with("1.")));
    // Opened with another average length, its scores would not compare.
    let config = QdrantConfig { average_terms: 11.0, ..place.config() };
    let refused = QdrantStore::open(config, Some(space("test-embedder", 2)), None).await;
    assert!(refused.is_err_and(|error| error.kind == ErrorKind::Invalid && error.message.contains("average_terms")));
    // A vector that is not of length 1 would rank by its length.
    let long = Record { vector: Some(vec![3.0, 4.0]), ..passage(1, "walnut") };
    let refused = store.upsert(&tenant("acme"), Pool::Passage, vec![long]).await;
    assert!(refused.is_err_and(|error| error.kind == ErrorKind::Invalid));
    // A collection of the same name that somebody else made.
    let name = place.collections().await.remove(0);
    let client = place.client();
    client.delete_collection(name.clone()).await.unwrap();
    client.create_collection(qdrant_client::qdrant::CreateCollectionBuilder::new(name)).await.unwrap();
    let refused = QdrantStore::open(place.config(), Some(space("test-embedder", 2)), None).await;
    assert!(refused.is_err_and(|error| error.kind == ErrorKind::Corrupt));
    place.remove().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_away_is_a_passing_failure() {
    // Nothing listens on a port that was free just now.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let config = QdrantConfig { url: format!("http://127.0.0.1:{port}"), retries: 1, ..QdrantConfig::default() };
    let error = QdrantStore::open(config, None, None).await.err().expect("there is no server");
    assert_eq!(error.kind, ErrorKind::Transient, "{error}");
    assert!(error.message.contains("cannot be reached"), "{error}");
}

#[test]
fn the_configuration_is_strict() {
    let read = serde_json::from_str::<QdrantConfig>;
    assert!(read("{}").is_ok_and(|config| config == QdrantConfig::default()));
    assert!(
        read(r#"{"url": "https://q.example:6334", "replication_factor": 2, "read_consistency": "quorum"}"#).is_ok()
    );
    assert!(read(r#"{"urll": "x"}"#).is_err());
}

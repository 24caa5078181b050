//! The conformance suite on LanceDB, and what only LanceDB can get wrong.

#![cfg(feature = "lancedb")]
#![expect(clippy::unwrap_used, reason = "the helpers of a test may panic as the test does")]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use rejoinder_domain::{
    Direction, EraseScope, ErrorKind, Filter, MessageId, Pool, Record, RecordId, SeamError, SearchQuery, Span,
    TenantId, VectorStore,
};
use rejoinder_store::conformance::{self, Harness};
use rejoinder_store::{EmbeddingSpace, LanceStore, StoreConfig};
use rejoinder_vault::{Keyring, MemoryKeys, Sealer, Vault};

struct Folder(tempfile::TempDir);

fn config(path: &Path, dims: Option<usize>) -> StoreConfig {
    StoreConfig::new(path, dims.map(|dims| EmbeddingSpace { id: "test-embedder".to_owned(), dims }))
}

#[async_trait]
impl Harness for Folder {
    async fn open(&self, place: &str, dims: Option<usize>) -> Result<Box<dyn VectorStore>, SeamError> {
        Ok(Box::new(LanceStore::open(config(&self.0.path().join(place), dims)).await?))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conforms() {
    conformance::run(&Folder(tempfile::tempdir().unwrap())).await;
}

/// A folder whose stores encrypt.
struct SealedFolder(tempfile::TempDir, Arc<dyn Sealer>);

#[async_trait]
impl Harness for SealedFolder {
    async fn open(&self, place: &str, dims: Option<usize>) -> Result<Box<dyn VectorStore>, SeamError> {
        let config = config(&self.0.path().join(place), dims);
        Ok(Box::new(LanceStore::open_sealed(config, Some(Arc::clone(&self.1))).await?))
    }
}

fn vault() -> Arc<dyn Sealer> {
    let keyring = Keyring::parse(&Keyring::generate("test").unwrap()).unwrap();
    Arc::new(Vault::new(keyring, Arc::new(MemoryKeys::default())))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conforms_sealed() {
    conformance::run(&SealedFolder(tempfile::tempdir().unwrap(), vault())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sealed_store_leaves_no_text_on_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let records = || -> Vec<Record> {
        let record = |n| Record {
            subject: "quartzsubject".to_owned(),
            author: "Anna Quartzauthor".to_owned(),
            participants: vec!["anna@quartzparty.example".to_owned()],
            ..passage(n, &format!("walnut quartzmarker{n} tables"))
        };
        (0..40).map(record).collect()
    };
    let markers = ["quartzmarker", "quartzsubject", "Quartzauthor", "quartzauthor", "quartzparty", "walnut"];
    let sealer = vault();
    let sealed_folder = folder.path().join("sealed");
    let open = |sealer| LanceStore::open_sealed(config(&sealed_folder, Some(2)), sealer);
    let store = open(Some(Arc::clone(&sealer))).await.unwrap();
    store.upsert(&tenant(), Pool::Passage, records()).await.unwrap();
    store.optimize(&tenant()).await.unwrap();
    assert_eq!(store.search(&tenant(), &words("quartzmarker7")).await.unwrap().len(), 1);
    let by_participant = Filter { participants: vec!["anna@quartzparty.example".to_owned()], ..Filter::default() };
    assert_eq!(store.count(&tenant(), Pool::Passage, &by_participant).await.unwrap(), 40);
    let mut all = store.scan(&tenant(), Pool::Passage).await.unwrap();
    all.sort_unstable_by_key(|record| record.message_id.as_str().trim_start_matches("msg_").parse::<u32>().unwrap());
    assert_eq!(all, records());
    for marker in markers {
        assert_eq!(files_with(&sealed_folder, marker), [""; 0], "{marker}");
    }
    // Without encryption the same is visible, so the search for files can see it.
    let plain_folder = folder.path().join("plain");
    let plain = LanceStore::open(config(&plain_folder, Some(2))).await.unwrap();
    plain.upsert(&tenant(), Pool::Passage, records()).await.unwrap();
    plain.optimize(&tenant()).await.unwrap();
    assert!(markers.iter().all(|marker| *marker == "quartzauthor" || !files_with(&plain_folder, marker).is_empty()));

    let error = open(None).await.unwrap().search(&tenant(), &words("walnut")).await.unwrap_err();
    assert!(error.kind == ErrorKind::Unavailable && error.message.contains("no master key"), "{error}");
    let keyed = LanceStore::open_sealed(config(&plain_folder, Some(2)), Some(sealer)).await.unwrap();
    let error = keyed.upsert(&tenant(), Pool::Passage, records()).await.unwrap_err();
    assert!(error.kind == ErrorKind::Unavailable && error.message.contains("without encryption"), "{error}");
    // Who has another key cannot read it, and does not take it for damage of the search.
    let other = open(Some(vault())).await.unwrap();
    assert!(other.scan(&tenant(), Pool::Passage).await.is_err());
}

/// The name of every file below `folder` that holds `marker`, in its bytes or its name.
fn files_with(folder: &Path, marker: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let bytes = std::fs::read(&path).unwrap();
            let name = path.to_string_lossy().into_owned();
            if name.contains(marker) || bytes.windows(marker.len()).any(|window| window == marker.as_bytes()) {
                found.push(name);
            }
        }
    }
    found
}

fn passage(number: usize, text: &str) -> Record {
    Record {
        id: RecordId::from_stored(format!("rec_{number}")),
        pool: Pool::Passage,
        message_id: MessageId::from_stored(format!("msg_{number}")),
        mailboxes: Vec::new(),
        direction: Direction::Inbound,
        sent_at: None,
        participants: Vec::new(),
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
        language: None,
        limit: 10,
        dense_weight: 0.5,
        filter: Filter::default(),
    }
}

fn tenant() -> TenantId {
    TenantId::new("acme").unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn erased_text_is_nowhere_on_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let store = LanceStore::open(config(folder.path(), Some(2))).await.unwrap();
    // Long enough texts that the format's own compression would not hide a word by chance.
    let records =
        |from: usize, to: usize| (from..to).map(|n| passage(n, &format!("walnut markerword{n} tables"))).collect();
    store.upsert(&tenant(), Pool::Passage, records(0, 40)).await.unwrap();
    store.optimize(&tenant()).await.unwrap();
    store.upsert(&tenant(), Pool::Passage, records(40, 60)).await.unwrap();
    // Replaced and deleted text counts as well.
    store.upsert(&tenant(), Pool::Passage, vec![passage(7, "now harmless")]).await.unwrap();
    store.delete(&tenant(), Pool::Passage, &[RecordId::from_stored("rec_8")]).await.unwrap();
    for marker in ["markerword5 ", "markerword45 ", "markerword7 ", "markerword8 "] {
        assert!(
            !files_with(folder.path(), marker).is_empty(),
            "{marker} must be visible for this test to mean anything"
        );
    }
    let gone = [5, 45, 7, 8].map(|n| MessageId::from_stored(format!("msg_{n}")));
    assert_eq!(store.erase(&tenant(), &EraseScope::Messages(gone.to_vec())).await.unwrap(), 3);
    for n in [5, 45, 7, 8] {
        // With and without what follows, since an index lists words one after the other.
        assert_eq!(files_with(folder.path(), &format!("markerword{n} ")), [""; 0]);
        assert_eq!(files_with(folder.path(), &format!("msg_{n}\u{0}")), [""; 0]);
    }
    // Each of these is the start of no other word, so it must be nowhere at all.
    for marker in ["markerword45", "msg_45", "rec_45"] {
        assert_eq!(files_with(folder.path(), marker), [""; 0], "{marker}");
    }
    assert!(!files_with(folder.path(), "markerword46").is_empty());
    assert_eq!(store.search(&tenant(), &words("markerword46")).await.unwrap().len(), 1);
    assert_eq!(store.search(&tenant(), &words("markerword45")).await.unwrap().len(), 0);

    assert_eq!(store.erase(&tenant(), &EraseScope::Tenant).await.unwrap(), 56);
    assert_eq!(files_with(folder.path(), "markerword"), [""; 0]);
    assert_eq!(files_with(folder.path(), "acme"), [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_search_beside_erasures_is_answered() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(LanceStore::open(config(folder.path(), Some(2))).await.unwrap());
    let records = (0..200).map(|n| passage(n, &format!("walnut table number{n}"))).collect();
    store.upsert(&tenant(), Pool::Passage, records).await.unwrap();
    let done = Arc::new(AtomicBool::new(false));
    let searching: Vec<_> = (0..4)
        .map(|_| {
            let (store, done) = (Arc::clone(&store), Arc::clone(&done));
            tokio::spawn(async move {
                let mut searches = 0;
                while !done.load(Ordering::Relaxed) {
                    assert_eq!(store.search(&tenant(), &words("number199")).await.unwrap().len(), 1);
                    searches += 1;
                }
                searches
            })
        })
        .collect();
    for number in 0..20 {
        let gone = EraseScope::Messages(vec![MessageId::from_stored(format!("msg_{number}"))]);
        assert_eq!(store.erase(&tenant(), &gone).await.unwrap(), 1);
    }
    done.store(true, Ordering::Relaxed);
    for each in searching {
        assert!(each.await.unwrap() > 0);
    }
}

/// Files below `folder` that were removed and that this process has open all the same, which keeps their bytes on the disk.
#[cfg(target_os = "linux")]
fn removed_and_open(folder: &Path) -> Vec<String> {
    let handles = std::fs::read_dir("/proc/self/fd").unwrap();
    // The handle of this very listing is gone when it is looked at.
    let files = handles.filter_map(|handle| std::fs::read_link(handle.unwrap().path()).ok());
    let names = files.filter(|file| file.starts_with(folder)).map(|file| file.to_string_lossy().into_owned());
    names.filter(|name| name.ends_with("(deleted)")).collect()
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_erasure_keeps_no_handle_of_what_it_removed() {
    let folder = tempfile::tempdir().unwrap();
    let store = LanceStore::open(config(folder.path(), Some(2))).await.unwrap();
    let records = (0..400).map(|n| passage(n, &format!("walnut table number{n}"))).collect();
    store.upsert(&tenant(), Pool::Passage, records).await.unwrap();
    store.optimize(&tenant()).await.unwrap();
    for number in 0..5 {
        assert_eq!(store.search(&tenant(), &words(&format!("number{number}"))).await.unwrap().len(), 1);
        let gone = EraseScope::Messages(vec![MessageId::from_stored(format!("msg_{number}"))]);
        assert_eq!(store.erase(&tenant(), &gone).await.unwrap(), 1);
        assert_eq!(removed_and_open(folder.path()), [""; 0]);
    }
    assert_eq!(store.search(&tenant(), &words("number399")).await.unwrap().len(), 1);
    store.erase(&tenant(), &EraseScope::Tenant).await.unwrap();
    assert_eq!(removed_and_open(folder.path()), [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_share_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    // Two stores know nothing of each other, as two processes do.
    let one = LanceStore::open(config(folder.path(), Some(2))).await.unwrap();
    let two = LanceStore::open(config(folder.path(), Some(2))).await.unwrap();
    let write = |store: LanceStore, from: usize| async move {
        for n in from..from + 15 {
            store.upsert(&tenant(), Pool::Passage, vec![passage(n, &format!("walnut n{n}"))]).await.unwrap();
            if n % 5 == 0 {
                store.optimize(&tenant()).await.unwrap();
            }
        }
        store
    };
    let (one, two) = tokio::join!(tokio::spawn(write(one, 0)), tokio::spawn(write(two, 100)));
    let (one, two) = (one.unwrap(), two.unwrap());
    for store in [&one, &two] {
        assert_eq!(store.count(&tenant(), Pool::Passage, &Filter::default()).await.unwrap(), 30);
        assert_eq!(store.search(&tenant(), &words("n14")).await.unwrap().len(), 1);
        assert_eq!(store.search(&tenant(), &words("n114")).await.unwrap().len(), 1);
    }
    assert_eq!(one.erase(&tenant(), &EraseScope::Tenant).await.unwrap(), 30);
    assert_eq!(two.search(&tenant(), &words("walnut")).await.unwrap(), []);
    assert_eq!(two.count(&tenant(), Pool::Passage, &Filter::default()).await.unwrap(), 0);
    assert_eq!(two.scan(&tenant(), Pool::Passage).await.unwrap(), []);
    two.optimize(&tenant()).await.unwrap();
    two.upsert(&tenant(), Pool::Passage, vec![passage(1, "walnut")]).await.unwrap();
    assert_eq!(one.count(&tenant(), Pool::Passage, &Filter::default()).await.unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_embedder_has_tables_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let open = |id: &str, dims| {
        let space = EmbeddingSpace { id: id.to_owned(), dims };
        LanceStore::open(StoreConfig::new(folder.path(), Some(space)))
    };
    let old = open("old", 2).await.unwrap();
    old.upsert(&tenant(), Pool::Passage, vec![passage(1, "walnut"), passage(2, "cherry")]).await.unwrap();
    let new = open("new", 2).await.unwrap();
    assert_eq!(new.count(&tenant(), Pool::Passage, &Filter::default()).await.unwrap(), 0);
    new.upsert(&tenant(), Pool::Passage, vec![passage(1, "walnut")]).await.unwrap();
    assert_eq!(old.count(&tenant(), Pool::Passage, &Filter::default()).await.unwrap(), 2);
    // Erasing reaches every space; dropping the others leaves this one.
    let scope = EraseScope::Messages(vec![MessageId::from_stored("msg_1")]);
    assert_eq!(new.erase(&tenant(), &scope).await.unwrap(), 2);
    assert_eq!(old.count(&tenant(), Pool::Passage, &Filter::default()).await.unwrap(), 1);
    assert_eq!(new.drop_other_spaces(&tenant()).await.unwrap(), 1);
    assert_eq!(new.drop_other_spaces(&tenant()).await.unwrap(), 0);
    let old = open("old", 2).await.unwrap();
    assert_eq!(old.count(&tenant(), Pool::Passage, &Filter::default()).await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_of_another_layout_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    {
        let store = LanceStore::open(config(folder.path(), Some(2))).await.unwrap();
        store.upsert(&tenant(), Pool::Passage, vec![passage(1, "walnut")]).await.unwrap();
    }
    let connection = lancedb::connect(folder.path().to_str().unwrap()).execute().await.unwrap();
    let name = connection.table_names().execute().await.unwrap().remove(0);
    let table = connection.open_table(&name).execute().await.unwrap();
    table.drop_columns(&["author"]).await.unwrap();
    let store = LanceStore::open(config(folder.path(), Some(2))).await.unwrap();
    let error = store.search(&tenant(), &words("walnut")).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Corrupt);
    assert!(error.message.contains("ingest again"), "{error}");
    // Erasing does not need the layout.
    assert_eq!(store.erase(&tenant(), &EraseScope::Tenant).await.unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_whose_index_is_missing_gets_it_again() {
    let folder = tempfile::tempdir().unwrap();
    let store = LanceStore::open(config(folder.path(), Some(2))).await.unwrap();
    store.upsert(&tenant(), Pool::Passage, vec![passage(1, "walnut")]).await.unwrap();
    let connection = lancedb::connect(folder.path().to_str().unwrap()).execute().await.unwrap();
    let name = connection.table_names().execute().await.unwrap().remove(0);
    connection.open_table(&name).execute().await.unwrap().drop_index("terms_idx").await.unwrap();
    store.optimize(&tenant()).await.unwrap();
    assert_eq!(store.search(&tenant(), &words("walnut")).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_configuration_that_cannot_work_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for broken in [
        StoreConfig { depth: 0, ..config(folder.path(), None) },
        StoreConfig { compact_after: 0, ..config(folder.path(), None) },
        config(folder.path(), Some(0)),
    ] {
        assert!(LanceStore::open(broken).await.is_err_and(|error| error.kind == ErrorKind::Invalid));
    }
}

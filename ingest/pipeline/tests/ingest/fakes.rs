//! A store in files and a hashing embedder: simple enough to trust, and able to kill the process at a chosen call.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use rejoinder_domain::{
    Embedder, EraseScope, Filter, Hit, Pool, Record, RecordId, Role, SeamError, SearchQuery, Span, TenantId,
    VectorStore,
};
use rejoinder_pipeline::chunk::words;
use serde::{Deserialize, Serialize};

/// Where the process dies, as `NAME:N`: at the N-th passage of the point NAME.
#[derive(Debug, Default)]
pub(crate) struct Fuse {
    point: String,
    left: AtomicU64,
}

impl Fuse {
    pub(crate) fn parse(text: &str) -> Self {
        let (point, count) = text.split_once(':').unwrap();
        Self { point: point.to_owned(), left: AtomicU64::new(count.parse().unwrap()) }
    }

    /// Dies here if it is time. `abort` runs no destructor and flushes nothing, as `kill -9`.
    pub(crate) fn pass(&self, point: &str) {
        if self.point == point && self.left.fetch_sub(1, Ordering::SeqCst) == 1 {
            std::process::abort();
        }
    }

    /// The number, for a point that is not passed but watched for.
    pub(crate) fn threshold(&self, point: &str) -> Option<u64> {
        (self.point == point).then(|| self.left.load(Ordering::SeqCst))
    }
}

#[derive(Serialize, Deserialize)]
enum Line {
    Upsert(Box<Record>),
    Delete(RecordId),
}

/// One file of JSON lines per tenant and pool, synced at the end of every call. A torn last line is ignored, as a store
/// with a log would.
pub(crate) struct FileStore {
    folder: PathBuf,
    fuse: Fuse,
    lock: Mutex<()>,
    pub(crate) upserted: AtomicU64,
}

impl FileStore {
    pub(crate) fn open(folder: &Path, fuse: Fuse) -> Self {
        std::fs::create_dir_all(folder).unwrap();
        Self { folder: folder.to_owned(), fuse, lock: Mutex::new(()), upserted: AtomicU64::new(0) }
    }

    fn path(&self, tenant: &TenantId, pool: Pool) -> PathBuf {
        self.folder.join(format!("{tenant}.{}.jsonl", pool.as_str()))
    }

    fn append(&self, tenant: &TenantId, pool: Pool, lines: &[Line]) {
        let _lock = self.lock.lock().unwrap();
        let path = self.path(tenant, pool);
        let mut text = String::new();
        if is_torn(&path) {
            text.push('\n');
        }
        for line in lines {
            text.push_str(&serde_json::to_string(line).unwrap());
            text.push('\n');
        }
        let mut file = File::options().create(true).append(true).open(path).unwrap();
        let middle = text.floor_char_boundary(text.len() / 2);
        file.write_all(&text.as_bytes()[..middle]).unwrap();
        self.fuse.pass("store-torn");
        file.write_all(&text.as_bytes()[middle..]).unwrap();
        file.sync_data().unwrap();
    }

    pub(crate) fn read(&self, tenant: &TenantId, pool: Pool) -> BTreeMap<RecordId, Record> {
        let mut records = BTreeMap::new();
        let text = std::fs::read_to_string(self.path(tenant, pool)).unwrap_or_default();
        for line in text.lines() {
            match serde_json::from_str(line) {
                Ok(Line::Upsert(record)) => drop(records.insert(record.id.clone(), *record)),
                Ok(Line::Delete(id)) => drop(records.remove(&id)),
                Err(_) => {}
            }
        }
        records
    }

    /// The records that `scope` names.
    fn within(&self, tenant: &TenantId, pool: Pool, scope: &EraseScope) -> Vec<RecordId> {
        let is_named = |record: &Record| match scope {
            EraseScope::Tenant => true,
            EraseScope::Messages(messages) => {
                let reply = record.reply.as_ref().map(|reply| &reply.message_id);
                messages.contains(&record.message_id) || reply.is_some_and(|reply| messages.contains(reply))
            }
        };
        self.read(tenant, pool).into_values().filter(is_named).map(|record| record.id).collect()
    }
}

/// Whether the last line has no end.
fn is_torn(path: &Path) -> bool {
    let Ok(mut file) = File::open(path) else { return false };
    let mut last = [b'\n'];
    file.seek(SeekFrom::End(-1)).and_then(|_| file.read_exact(&mut last)).is_ok() && last != *b"\n"
}

#[async_trait]
impl VectorStore for FileStore {
    async fn upsert(&self, tenant: &TenantId, pool: Pool, records: Vec<Record>) -> Result<(), SeamError> {
        assert!(records.iter().all(|record| record.pool == pool), "one pool per call");
        self.fuse.pass("before-upsert");
        // A store is asynchronous in earnest.
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        self.upserted.fetch_add(records.len() as u64, Ordering::SeqCst);
        let lines: Vec<Line> = records.into_iter().map(|record| Line::Upsert(Box::new(record))).collect();
        self.append(tenant, pool, &lines);
        self.fuse.pass("after-upsert");
        Ok(())
    }

    async fn delete(&self, tenant: &TenantId, pool: Pool, ids: &[RecordId]) -> Result<u64, SeamError> {
        self.fuse.pass("before-delete");
        let there = self.read(tenant, pool);
        let lines: Vec<Line> = ids.iter().cloned().map(Line::Delete).collect();
        self.append(tenant, pool, &lines);
        self.fuse.pass("after-delete");
        Ok(ids.iter().filter(|id| there.contains_key(id)).count() as u64)
    }

    async fn search(&self, _: &TenantId, _: &SearchQuery) -> Result<Vec<Hit>, SeamError> {
        panic!("an ingest does not search")
    }

    async fn count(&self, tenant: &TenantId, pool: Pool, _: &Filter) -> Result<u64, SeamError> {
        Ok(self.read(tenant, pool).len() as u64)
    }

    async fn scan(&self, tenant: &TenantId, pool: Pool) -> Result<Vec<Record>, SeamError> {
        Ok(self.read(tenant, pool).into_values().collect())
    }

    async fn erase(&self, tenant: &TenantId, scope: &EraseScope) -> Result<u64, SeamError> {
        let mut erased = 0;
        for pool in Pool::ALL {
            let gone = self.within(tenant, pool, scope);
            erased += gone.len() as u64;
            self.append(tenant, pool, &gone.into_iter().map(Line::Delete).collect::<Vec<_>>());
        }
        Ok(erased)
    }

    async fn remaining(&self, tenant: &TenantId, scope: &EraseScope) -> Result<u64, SeamError> {
        Ok(Pool::ALL.iter().map(|pool| self.within(tenant, *pool, scope).len() as u64).sum())
    }

    async fn optimize(&self, _: &TenantId) -> Result<(), SeamError> {
        self.fuse.pass("optimize");
        Ok(())
    }
}

/// Words hashed into a small vector.
pub(crate) struct HashEmbedder {
    pub(crate) id: String,
    pub(crate) fuse: Fuse,
    pub(crate) max_tokens: usize,
}

impl HashEmbedder {
    pub(crate) const DIMS: usize = 16;

    pub(crate) fn new(fuse: Fuse) -> Self {
        Self { id: "hash/1".to_owned(), fuse, max_tokens: 64 }
    }
}

impl Embedder for HashEmbedder {
    fn id(&self) -> &str {
        &self.id
    }

    fn dims(&self) -> usize {
        Self::DIMS
    }

    fn max_tokens(&self) -> usize {
        self.max_tokens
    }

    fn token_spans(&self, text: &str) -> Result<Vec<Span>, SeamError> {
        self.fuse.pass("tokenize");
        Ok(words(text))
    }

    fn embed(&self, texts: &[&str], role: Role) -> Result<Vec<Vec<f32>>, SeamError> {
        assert_eq!(role, Role::Passage);
        self.fuse.pass("embed");
        let one = |text: &&str| {
            let mut vector = [0.01_f32; Self::DIMS];
            for span in words(text) {
                let word =
                    span.of(text).unwrap().bytes().fold(7_usize, |hash, byte| hash * 31 % 65_521 + usize::from(byte));
                vector[word % Self::DIMS] += 1.0;
            }
            let norm = vector.iter().map(|value| value * value).sum::<f32>().sqrt();
            vector.iter().map(|value| value / norm).collect()
        };
        Ok(texts.iter().map(one).collect())
    }
}

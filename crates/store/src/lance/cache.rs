//! What is kept in memory of the tables' files: bounded over all tables, and a table's part can be let go of.
//!
//! Lance finds what it keeps by the file that it is from. A file of a version that was erased is not asked for again, yet its
//! entry would stay until others push it out, and its open handle would keep the bytes on the disk. So every table has a part
//! of its own with a list of what is in it, and what no one used for a while goes.

use std::collections::HashMap;
use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use lance::session::CacheSpec;
use lance_core::Result;
use lance_core::cache::{CacheBackend, CacheCodec, CacheEntry, InternalCacheKey};
use lance_core::error::CloneableError;
use lancedb::{ObjectStoreRegistry, Session};
use moka::future::Cache;

/// What was not used for so long goes: of tables that are written to, nearly all of it is of versions that were replaced.
const IDLE: Duration = Duration::from_mins(5);
/// Bytes of one unit of weight, which moka counts in 32 bits.
const UNIT: usize = 1 << 10;

/// A part's number, and the key within the part.
type Key = (u64, InternalCacheKey);

#[derive(Clone)]
struct Kept {
    entry: CacheEntry,
    bytes: usize,
    _listed: Arc<Listed>,
}

/// What a shelf holds: a number for each entry, with its key.
#[derive(Default)]
struct List {
    next: u64,
    keys: HashMap<u64, InternalCacheKey>,
}

/// An entry's line in its shelf's list, for as long as anybody has the entry: however it goes, the line goes with it.
struct Listed {
    list: Arc<Mutex<List>>,
    number: u64,
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.list.lock().unwrap_or_else(PoisonError::into_inner).keys.remove(&self.number);
    }
}

/// The two caches that Lance has, over all tables.
pub(super) struct Caches {
    index: Cache<Key, Kept>,
    metadata: Cache<Key, Kept>,
    registry: Arc<ObjectStoreRegistry>,
    parts: AtomicU64,
}

impl Caches {
    /// Both sizes are in bytes; 0 keeps nothing.
    pub(super) fn new(index_bytes: usize, metadata_bytes: usize) -> Self {
        Self {
            index: bounded(index_bytes),
            metadata: bounded(metadata_bytes),
            registry: Arc::default(),
            parts: AtomicU64::new(0),
        }
    }

    /// A part for one more table.
    pub(super) fn part(&self) -> Part {
        let number = self.parts.fetch_add(1, Ordering::Relaxed);
        let of = |all: &Cache<Key, Kept>| Shelf { all: all.clone(), part: number, list: Arc::default() };
        let (index, metadata) = (of(&self.index), of(&self.metadata));
        let spec = |shelf: &Shelf| CacheSpec::Backend(Arc::new(shelf.clone()));
        let session = Session::with_cache_backends(spec(&index), spec(&metadata), Arc::clone(&self.registry));
        Part { session: Arc::new(session), shelves: [index, metadata] }
    }
}

fn bounded(bytes: usize) -> Cache<Key, Kept> {
    let weight = |_: &Key, kept: &Kept| u32::try_from(kept.bytes.div_ceil(UNIT) + 1).unwrap_or(u32::MAX);
    Cache::builder().max_capacity((bytes / UNIT) as u64).weigher(weight).time_to_idle(IDLE).build()
}

/// What is kept of one table. What is left of a part that is dropped goes when it was idle for long enough.
pub(super) struct Part {
    session: Arc<Session>,
    shelves: [Shelf; 2],
}

impl Part {
    /// To open the table with.
    pub(super) fn session(&self) -> Arc<Session> {
        Arc::clone(&self.session)
    }

    /// Lets go of everything, and so of handles to files that are no more.
    pub(super) async fn clear(&self) {
        for shelf in &self.shelves {
            shelf.clear().await;
        }
    }
}

/// One table's part of one cache.
#[derive(Clone)]
struct Shelf {
    all: Cache<Key, Kept>,
    part: u64,
    list: Arc<Mutex<List>>,
}

impl Shelf {
    fn key(&self, key: &InternalCacheKey) -> Key {
        (self.part, *key)
    }

    fn kept(&self, key: &InternalCacheKey, entry: CacheEntry, bytes: usize) -> Kept {
        let mut list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        let number = list.next;
        list.next += 1;
        list.keys.insert(number, *key);
        Kept { entry, bytes, _listed: Arc::new(Listed { list: Arc::clone(&self.list), number }) }
    }

    fn keys(&self) -> Vec<Key> {
        let list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        list.keys.values().map(|key| self.key(key)).collect()
    }
}

impl fmt::Debug for Shelf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shelf").field("part", &self.part).finish_non_exhaustive()
    }
}

#[async_trait]
impl CacheBackend for Shelf {
    async fn get_resident(&self, key: &InternalCacheKey) -> Option<CacheEntry> {
        self.all.get(&self.key(key)).await.map(|kept| kept.entry)
    }

    async fn peek_resident(&self, key: &InternalCacheKey) -> bool {
        self.all.contains_key(&self.key(key))
    }

    async fn get(&self, key: &InternalCacheKey, _: Option<CacheCodec>) -> Option<CacheEntry> {
        self.get_resident(key).await
    }

    async fn insert(&self, key: &InternalCacheKey, entry: CacheEntry, bytes: usize, _: Option<CacheCodec>) {
        self.all.insert(self.key(key), self.kept(key, entry, bytes)).await;
    }

    async fn get_or_insert<'a>(
        &self,
        key: &InternalCacheKey,
        loader: Pin<Box<dyn Future<Output = Result<(CacheEntry, usize)>> + Send + 'a>>,
        _: Option<CacheCodec>,
    ) -> Result<(CacheEntry, bool)> {
        let missed = AtomicBool::new(false);
        let load = async {
            missed.store(true, Ordering::Relaxed);
            loader.await.map(|(entry, bytes)| self.kept(key, entry, bytes)).map_err(CloneableError::new)
        };
        // Of several who ask for the same at once, one loads.
        match self.all.try_get_with(self.key(key), load).await {
            Ok(kept) => Ok((kept.entry, !missed.into_inner())),
            Err(error) => Err(Arc::unwrap_or_clone(error).into_inner()),
        }
    }

    async fn clear(&self) {
        // Not by a predicate: moka would apply it bit by bit, to some hundred entries at a time.
        for key in self.keys() {
            self.all.invalidate(&key).await;
        }
        self.all.run_pending_tasks().await;
    }

    async fn num_entries(&self) -> usize {
        self.all.run_pending_tasks().await;
        self.approx_num_entries()
    }

    async fn size_bytes(&self) -> usize {
        self.all.run_pending_tasks().await;
        self.approx_size_bytes()
    }

    fn approx_num_entries(&self) -> usize {
        self.keys().len()
    }

    fn approx_size_bytes(&self) -> usize {
        self.all.iter().filter(|(key, _)| key.0 == self.part).map(|(_, kept)| kept.bytes).sum()
    }

    fn capacity_bytes(&self) -> Option<usize> {
        let units = usize::try_from(self.all.policy().max_capacity()?).ok()?;
        units.checked_mul(UNIT)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use lance_core::cache::{CacheBackend as _, CacheEntry, InternalCacheKey};

    use super::{Caches, Part};

    fn key(number: usize) -> InternalCacheKey {
        InternalCacheKey::from_bytes((number as u128).to_le_bytes())
    }

    /// Waits until the part has so many entries and the value so many holders. What moka removed it frees when no thread is in the
    /// middle of reading any cache, those of other tests included.
    async fn settled(part: &Part, entries: usize, value: &Arc<u64>, holders: usize) {
        let found = async || (part.shelves[0].num_entries().await, Arc::strong_count(value));
        for _ in 0..500 {
            if found().await == (entries, holders) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(found().await, (entries, holders), "entries, and who holds the value");
    }

    #[tokio::test]
    async fn a_part_is_let_go_of_and_the_others_stay() {
        let caches = Caches::new(64 << 20, 1 << 20);
        let (one, other) = (caches.part(), caches.part());
        let value: Arc<u64> = Arc::new(7);
        for number in 0..5_000 {
            for part in [&one, &other] {
                part.shelves[0].insert(&key(number), Arc::clone(&value) as CacheEntry, 1_000, None).await;
            }
        }
        settled(&other, 5_000, &value, 10_001).await;
        one.clear().await;
        settled(&one, 0, &value, 5_001).await;
        settled(&other, 5_000, &value, 5_001).await;
        // One key twice is one entry, and both go.
        for _ in 0..2 {
            one.shelves[0].insert(&key(1), Arc::clone(&value) as CacheEntry, 1_000, None).await;
        }
        settled(&one, 1, &value, 5_002).await;
        one.clear().await;
        settled(&one, 0, &value, 5_001).await;
        // What comes afterwards stays.
        one.shelves[0].insert(&key(1), Arc::clone(&value) as CacheEntry, 1_000, None).await;
        assert!(one.shelves[0].get(&key(1), None).await.is_some());
    }

    #[tokio::test]
    async fn all_parts_together_are_bounded_and_a_load_is_made_once() {
        let caches = Caches::new(1 << 20, 1 << 20);
        let (one, other) = (caches.part(), caches.part());
        for number in 0..2_000 {
            for part in [&one, &other] {
                part.shelves[0].insert(&key(number), Arc::new(0_u8) as CacheEntry, 3_000, None).await;
            }
        }
        let bytes = one.shelves[0].size_bytes().await + other.shelves[0].size_bytes().await;
        assert!(bytes <= 1 << 20, "{bytes}");
        let load = || Box::pin(async { Ok((Arc::new(1_u8) as CacheEntry, 10)) });
        let shelf = &caches.part().shelves[0];
        assert!(!shelf.get_or_insert(&key(1), load(), None).await.unwrap().1);
        assert!(shelf.get_or_insert(&key(1), load(), None).await.unwrap().1);
    }
}

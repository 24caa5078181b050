//! Configuration of the embedded store.

use std::path::PathBuf;
use std::time::Duration;

use rejoinder_domain::{ErrorKind, SeamError};

use crate::space::{EmbeddingSpace, check_space};

/// Defaults of the caches. Lance's own (6 GiB and 1 GiB) let a server grow with every version that a message makes.
pub const INDEX_CACHE_BYTES: usize = 256 << 20;
/// See [`INDEX_CACHE_BYTES`].
pub const METADATA_CACHE_BYTES: usize = 64 << 20;

/// How [`super::LanceStore`] is opened. [`StoreConfig::new`] gives what suits one machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreConfig {
    /// Folder of the index; it is made where it does not exist.
    pub path: PathBuf,
    /// The embedder in use; without one records are found by their words alone.
    pub embedding: Option<EmbeddingSpace>,
    /// How deep each of the two result lists of a search goes before they are fused. Deeper costs time and gives the
    /// scaling of scores a steadier lower end.
    pub depth: usize,
    /// Most hits that one search returns, whatever its limit says.
    pub most_hits: usize,
    /// Rows from which [`rejoinder_domain::VectorStore::optimize`] builds an approximate vector index. Below, every
    /// vector is compared, which is exact. Off by default until its recall is measured.
    pub vector_index_from: usize,
    /// Upserts after which small files are joined and the indexes updated without waiting for an optimize.
    pub compact_after: usize,
    /// How long a version of a table that was replaced stays on the disk for readers that still use it.
    pub keep_versions: Duration,
    /// Most open tables.
    pub open_tables: usize,
    /// Memory for parts of indexes that were read, in bytes, over all tables.
    pub index_cache_bytes: usize,
    /// Memory for what is known about files and versions, in bytes, over all tables.
    pub metadata_cache_bytes: usize,
}

impl StoreConfig {
    /// The defaults, for an index at `path`.
    pub fn new(path: impl Into<PathBuf>, embedding: Option<EmbeddingSpace>) -> Self {
        Self {
            path: path.into(),
            embedding,
            depth: 1_000,
            most_hits: 10_000,
            vector_index_from: usize::MAX,
            compact_after: 64,
            keep_versions: Duration::from_mins(10),
            open_tables: 256,
            index_cache_bytes: INDEX_CACHE_BYTES,
            metadata_cache_bytes: METADATA_CACHE_BYTES,
        }
    }

    /// Refuses what cannot work, in a sentence that says what to change.
    pub fn validate(&self) -> Result<(), SeamError> {
        let refuse = |what: &str| Err(SeamError::new(ErrorKind::Invalid, what));
        check_space(self.embedding.as_ref())?;
        if self.depth == 0 || self.most_hits == 0 {
            return refuse("store.depth and store.most_hits must be at least 1");
        }
        if self.compact_after == 0 || self.open_tables == 0 {
            return refuse("store.compact_after and store.open_tables must be at least 1");
        }
        Ok(())
    }
}

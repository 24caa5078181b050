//! The conformance suite on LanceDB, and what only LanceDB can get wrong.

use std::path::Path;

use async_trait::async_trait;
use rejoinder_domain::{SeamError, VectorStore};
use rejoinder_store::conformance::{self, Harness};
use rejoinder_store::{EmbeddingSpace, LanceStore, StoreConfig};

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

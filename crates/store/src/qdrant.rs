//! The store on a Qdrant server: one collection per embedding model, for all tenants and both pools.
//!
//! # Tenants
//!
//! A point has its tenant in an indexed field (`is_tenant`), which the server groups its data by, and every call names it in
//! its conditions. Beyond that, nothing is shared that could tell one tenant of another: a point's id and the numbers of
//! its terms come from a hash over tenant and pool, so no posting list holds two tenants' records, and how rare a word is is
//! counted over one tenant's pool alone. The server's own weighting (`modifier: idf`) counts over the collection. It would let
//! one tenant's mail move another's ranking, and show in the scores how frequent a word is in others' mail; so it is not used.
//!
//! # Ranking
//!
//! The same as `LanceStore`'s, in its formulas: cosine over every vector of the tenant, BM25 with `k1` 1.2 and `b` 0.75
//! over the terms of [`crate::analysis`], and [`crate::fusion`]. The sparse vector `words` holds the part of BM25 that a record
//! has of itself (how often a term is in it, and how long it is), the query the inverse document frequencies, which
//! are asked for with exact counts and kept for a while.
//!
//! One thing differs. BM25 takes a record's length by the average length, which a sparse vector has to know when it is
//! written; here the average is a setting (`average_terms`), with LanceDB it is that of the table at the time of the query.
//! Passages are cut to a size, so their average length hardly depends on whose mail it is.
//!
//! The two lists come in one call, ids and scores alone, and are fused here. The server can fuse by ranks (RRF) and by the
//! distribution of scores (DBSF); ours scales by each list's least and greatest score, which a formula of the server cannot
//! ask for. Only the records that are returned are fetched whole.
//!
//! # What is erased
//!
//! An erasure ends with a count of zero. The server then has the bytes of deleted points on its disk until it writes their segment
//! anew, which the collection is set up to do from 5 % deleted points of a segment on, and in its log until that moves on.
//! Where this matters, encrypt (a sealer): then only sealed texts are left behind, which no key opens once the tenant's is gone.
//!
//! # What a crash loses
//!
//! A write that has returned is in the server's log and applied, on as many replicas as `write_consistency_factor` says. As with the
//! embedded store, the loss of power can take what the operating system has not written to the disk yet.

mod calls;
mod collections;
mod config;
mod filter;
mod points;
mod search;
mod statistics;
mod turns;
mod write;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use qdrant_client::qdrant::{ReadConsistency as Consistency, ReadConsistencyType, read_consistency};
use rejoinder_domain::{
    EraseScope, Filter, Hit, Pool, Record, RecordId, SeamError, SearchQuery, TenantId, VectorStore,
};
use rejoinder_vault::Sealer;

use calls::Server;
pub use config::{Part, QdrantConfig, ReadConsistency};
use statistics::Statistics;
use turns::Turns;

use crate::managed::{ManagedStore, StoreHealth};
use crate::sealing::Seal;
use crate::space::{EmbeddingSpace, check_space};

/// A [`VectorStore`] on a Qdrant server or cluster, of version 1.16 or later. Tasks and processes may share it.
pub struct QdrantStore {
    server: Server,
    config: QdrantConfig,
    embedding: Option<EmbeddingSpace>,
    seal: Seal,
    /// The collection of the embedder in use.
    collection: String,
    consistency: Option<Consistency>,
    statistics: Statistics,
    turns: Turns,
}

impl QdrantStore {
    /// Connects to the server and makes the collection of `embedding` (without one: of records without vectors) where it is not
    /// there yet. With a sealer texts are sealed and terms blind, and the server sees neither.
    ///
    /// Fails with [`rejoinder_domain::ErrorKind::Transient`] where the server cannot be reached, `Auth` where it does not take the
    /// key, `Invalid` for a configuration that cannot work, and `Corrupt` or `Unavailable` for a collection that it does not fit.
    pub async fn open(
        config: QdrantConfig,
        embedding: Option<EmbeddingSpace>,
        sealer: Option<Arc<dyn Sealer>>,
    ) -> Result<Self, SeamError> {
        config.validate()?;
        check_space(embedding.as_ref())?;
        let seal = Seal::new(sealer);
        let server = Server::new(&config)?;
        collections::ensure(&server, &config, embedding.as_ref(), &seal).await?;
        let asked = |kind: ReadConsistencyType| Consistency { value: Some(read_consistency::Value::Type(kind as i32)) };
        Ok(Self {
            collection: collections::name(&config, embedding.as_ref()),
            consistency: match config.read_consistency {
                ReadConsistency::One => None,
                ReadConsistency::Majority => Some(asked(ReadConsistencyType::Majority)),
                ReadConsistency::Quorum => Some(asked(ReadConsistencyType::Quorum)),
                ReadConsistency::All => Some(asked(ReadConsistencyType::All)),
            },
            statistics: Statistics::new(Duration::from_secs(config.statistics_s)),
            turns: Turns::default(),
            server,
            config,
            embedding,
            seal,
        })
    }
}

#[async_trait]
impl VectorStore for QdrantStore {
    async fn upsert(&self, tenant: &TenantId, pool: Pool, records: Vec<Record>) -> Result<(), SeamError> {
        self.upsert_records(tenant, pool, records).await
    }

    async fn delete(&self, tenant: &TenantId, pool: Pool, ids: &[RecordId]) -> Result<u64, SeamError> {
        self.delete_records(tenant, pool, ids).await
    }

    async fn search(&self, tenant: &TenantId, query: &SearchQuery) -> Result<Vec<Hit>, SeamError> {
        self.search_records(tenant, query).await
    }

    async fn count(&self, tenant: &TenantId, pool: Pool, filter: &Filter) -> Result<u64, SeamError> {
        self.count_records(tenant, pool, filter).await
    }

    async fn scan(&self, tenant: &TenantId, pool: Pool) -> Result<Vec<Record>, SeamError> {
        self.scan_records(tenant, pool).await
    }

    async fn erase(&self, tenant: &TenantId, scope: &EraseScope) -> Result<u64, SeamError> {
        self.erase_records(tenant, scope).await
    }

    async fn remaining(&self, tenant: &TenantId, scope: &EraseScope) -> Result<u64, SeamError> {
        self.remaining_records(tenant, scope).await
    }

    /// Does nothing: the server optimises by itself, in the background.
    async fn optimize(&self, _tenant: &TenantId) -> Result<(), SeamError> {
        Ok(())
    }
}

#[async_trait]
impl ManagedStore for QdrantStore {
    async fn drop_other_spaces(&self, tenant: &TenantId) -> Result<u64, SeamError> {
        self.drop_spaces(tenant).await
    }

    async fn health(&self) -> Result<StoreHealth, SeamError> {
        let reply =
            self.server.call("asking for its health", |client| async move { client.health_check().await }).await?;
        let warning = collections::warning(&self.server, &self.collection).await?;
        Ok(StoreHealth { kind: "qdrant", version: Some(reply.version), warning })
    }
}

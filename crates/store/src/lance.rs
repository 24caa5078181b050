//! The embedded store: one LanceDB table per tenant, pool and embedder.
//!
//! A tenant's records are in tables that carry its name, and every call opens only these: no filter has to keep tenants
//! apart. Vectors of another embedder are in another table, so changing the embedder never mixes them; the old table
//! stays until its space is dropped or the tenant is erased.

mod cache;
mod config;
mod errors;
mod filter;
mod rows;
mod search;
mod tables;
mod upkeep;
mod write;

use std::sync::Arc;

use async_trait::async_trait;
use rejoinder_domain::{
    EraseScope, Filter, Hit, Pool, Record, RecordId, SeamError, SearchQuery, TenantId, VectorStore,
};
use rejoinder_vault::Sealer;

pub use config::{INDEX_CACHE_BYTES, METADATA_CACHE_BYTES, StoreConfig};
use tables::Tables;

use crate::managed::{ManagedStore, StoreHealth};
use crate::sealing::Seal;

/// A [`VectorStore`] in a folder of this machine.
///
/// It may be shared by tasks, and the folder by processes: writers to one table take turns within a process and settle
/// conflicts between processes by trying again, readers see the newest version that is complete. A write that has
/// returned survives the end of the process; the files are not forced to the disk, so the loss of power can take the
/// last seconds, which a second ingest puts back.
///
/// With a sealer ([`LanceStore::open_sealed`]) texts are sealed and the full-text index is over blind terms, so that the folder
/// tells no text; ranking stays as it is.
pub struct LanceStore {
    tables: Tables,
    seal: Seal,
}

impl LanceStore {
    /// Opens the index of `config`, making its folder where it does not exist.
    pub async fn open(config: StoreConfig) -> Result<Self, SeamError> {
        Self::open_sealed(config, None).await
    }

    /// Opens the index of `config` with what seals its texts. Tables that were written without encryption are refused with a
    /// sealer that encrypts, and those written with it without: see the kind `Unavailable`.
    pub async fn open_sealed(config: StoreConfig, sealer: Option<Arc<dyn Sealer>>) -> Result<Self, SeamError> {
        let seal = Seal::new(sealer);
        Ok(Self { tables: Tables::open(config, seal.clone()).await?, seal })
    }

    /// Removes the tenant's tables of embedders other than the one in use, and returns how many tables went. For after
    /// everything was embedded anew.
    pub async fn drop_other_spaces(&self, tenant: &TenantId) -> Result<u64, SeamError> {
        let mut dropped = 0;
        for name in self.tables.names(tenant).await? {
            if !self.tables.is_current(&name) {
                self.drop_table(&name).await?;
                dropped += 1;
            }
        }
        Ok(dropped)
    }
}

#[async_trait]
impl VectorStore for LanceStore {
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
        match scope {
            EraseScope::Messages(messages) => self.erase_messages(tenant, messages).await,
            EraseScope::Tenant => self.erase_tenant(tenant).await,
        }
    }

    async fn remaining(&self, tenant: &TenantId, scope: &EraseScope) -> Result<u64, SeamError> {
        self.remaining_records(tenant, scope).await
    }

    async fn optimize(&self, tenant: &TenantId) -> Result<(), SeamError> {
        self.optimize_tables(tenant).await
    }
}

#[async_trait]
impl ManagedStore for LanceStore {
    async fn drop_other_spaces(&self, tenant: &TenantId) -> Result<u64, SeamError> {
        Self::drop_other_spaces(self, tenant).await
    }

    async fn health(&self) -> Result<StoreHealth, SeamError> {
        self.tables.check().await?;
        Ok(StoreHealth { kind: "lancedb", version: None, warning: None })
    }
}

//! What the facade asks of a store besides what the application asks.

use async_trait::async_trait;
use rejoinder_domain::{SeamError, TenantId, VectorStore};

/// How a store is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreHealth {
    /// `lancedb` or `qdrant`.
    pub kind: &'static str,
    /// The server's version; `None` where the store is a library of this process.
    pub version: Option<String>,
    /// What a person who runs the service should know although the store answers: a replica that is away, say.
    pub warning: Option<String>,
}

/// A store that the facade can hold, whichever it is. `Arc<dyn ManagedStore>` becomes `Arc<dyn VectorStore>` by a plain
/// coercion.
#[async_trait]
pub trait ManagedStore: VectorStore {
    /// Removes the tenant's records of embedders other than the one in use, and returns how many tables (for Qdrant:
    /// pools of a collection) went. For after everything was embedded anew.
    async fn drop_other_spaces(&self, tenant: &TenantId) -> Result<u64, SeamError>;

    /// Whether the store answers; the error is why it does not.
    async fn health(&self) -> Result<StoreHealth, SeamError>;
}

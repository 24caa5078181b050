//! The seam to the vector and full-text store.

use async_trait::async_trait;
use jiff::Timestamp;

use crate::{Direction, MailboxId, MessageId, Pool, Record, RecordId, SeamError, TenantId};

/// Which records a search or a count may see. Empty lists and `None` do not restrict.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Sent at or after.
    pub since: Option<Timestamp>,
    /// Sent before.
    pub until: Option<Timestamp>,
    /// In any of these mailboxes.
    pub mailboxes: Vec<MailboxId>,
    /// Of any of these directions.
    pub directions: Vec<Direction>,
    /// With any of these addresses (lower case) on the message.
    pub participants: Vec<String>,
    /// Not of these messages (the ticket's own).
    pub exclude_messages: Vec<MessageId>,
}

/// A hybrid search. With a vector and a text the two result lists are fused: scores of each are scaled to 0..1 by their
/// minimum and maximum, then `dense_weight * dense + (1 - dense_weight) * lexical`. With one of them, that one ranks.
#[derive(Clone, Debug, PartialEq)]
pub struct SearchQuery {
    /// Which pool.
    pub pool: Pool,
    /// Query vector, L2-normalised, of the store's dimension.
    pub vector: Option<Vec<f32>>,
    /// Query words.
    pub text: Option<String>,
    /// ISO 639-1 code of the query's language, where known.
    pub language: Option<String>,
    /// How many hits at most.
    pub limit: usize,
    /// Weight of the vector score in the fusion, 0 to 1.
    pub dense_weight: f32,
    /// Restrictions.
    pub filter: Filter,
}

/// One found record.
#[derive(Clone, Debug, PartialEq)]
pub struct Hit {
    /// The record; its vector is left out.
    pub record: Record,
    /// Fused score, 0 to 1, comparable within one search only.
    pub score: f32,
    /// Cosine similarity of query and record, -1 to 1, comparable over searches; `None` without vectors.
    pub similarity: Option<f32>,
    /// BM25 score, 0 and up; `None` where the words did not match.
    pub lexical: Option<f32>,
}

/// What to erase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EraseScope {
    /// All records of these messages, also reply pairs where the message is the reply.
    Messages(Vec<MessageId>),
    /// Everything of the tenant.
    Tenant,
}

/// Vectors and full text of many tenants. Every call names the tenant, and no call ever sees another's records.
#[async_trait]
pub trait VectorStore: Send + Sync {
    /// Inserts the records or replaces those of the same id. All of one call share a pool; when it returns, a crash no
    /// longer loses them. Records of one call with equal ids: the last wins.
    async fn upsert(&self, tenant: &TenantId, pool: Pool, records: Vec<Record>) -> Result<(), SeamError>;

    /// Deletes by id and returns how many were there.
    async fn delete(&self, tenant: &TenantId, pool: Pool, ids: &[RecordId]) -> Result<u64, SeamError>;

    /// The best records, best first; ties by record id.
    async fn search(&self, tenant: &TenantId, query: &SearchQuery) -> Result<Vec<Hit>, SeamError>;

    /// How many records the filter lets through.
    async fn count(&self, tenant: &TenantId, pool: Pool, filter: &Filter) -> Result<u64, SeamError>;

    /// Every record of the pool with its vector, ordered by id: for export and for comparing two indexes.
    async fn scan(&self, tenant: &TenantId, pool: Pool) -> Result<Vec<Record>, SeamError>;

    /// Removes what `scope` names from every pool, old versions on the disk included, and returns how many records went.
    async fn erase(&self, tenant: &TenantId, scope: &EraseScope) -> Result<u64, SeamError>;

    /// How many records there are of what `scope` names, in every pool, those of other embedders included: 0 after
    /// [`VectorStore::erase`].
    async fn remaining(&self, tenant: &TenantId, scope: &EraseScope) -> Result<u64, SeamError>;

    /// Brings the indexes up to date and compacts: called after a batch, cheap when there is nothing to do.
    async fn optimize(&self, tenant: &TenantId) -> Result<(), SeamError>;
}

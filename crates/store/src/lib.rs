//! Vectors and full text: the stores behind [`rejoinder_domain::VectorStore`], and what every store must do.
//!
//! `LanceStore` keeps records in LanceDB tables in a folder, `QdrantStore` on a Qdrant server or cluster; they rank alike, and
//! [`ManagedStore`] is what the facade holds. A search looks by vector (cosine; exact unless an
//! approximate index is configured) and by words (BM25), and [`fusion`] makes one ranking of both. The words are made by [`analysis`]:
//! LanceDB's own tokenizers know one language per index, mail has several, so the index is given terms that are stemmed
//! already, each record in its own language.
//!
//! ```
//! # #[cfg(feature = "lancedb")]
//! # async fn example() -> Result<(), rejoinder_domain::SeamError> {
//! use rejoinder_domain::{Filter, Pool, SearchQuery, TenantId, VectorStore};
//! use rejoinder_store::{LanceStore, StoreConfig};
//!
//! let folder = std::env::temp_dir().join("rejoinder-store-example");
//! let store = LanceStore::open(StoreConfig::new(folder, None)).await?;
//! let tenant = TenantId::new("acme").map_err(|e| rejoinder_domain::SeamError::new(rejoinder_domain::ErrorKind::Invalid, e.to_string()))?;
//! let query = SearchQuery {
//!     pool: Pool::Passage,
//!     vector: None,
//!     text: Some("offene Rechnungen".to_owned()),
//!     language: Some("de".to_owned()),
//!     limit: 8,
//!     dense_weight: 0.7,
//!     filter: Filter::default(),
//! };
//! assert!(store.search(&tenant, &query).await?.is_empty());
//! # Ok(())
//! # }
//! # #[cfg(feature = "lancedb")]
//! # tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(example())?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! With a [`rejoinder_vault::Sealer`] both keep texts sealed and index blind terms, which changes no ranking.
//!
//! Invariants: no table, and no posting list of a collection, holds two tenants' records, and no search, count or score depends
//! on another tenant's; no table or
//! collection holds two embedders' vectors, or sealed records beside plain ones; no error repeats a record's text; what
//! [`conformance`] checks holds for every store. The crate does not know how vectors are made, where messages come from,
//! or what a suggestion is.
//!
//! Modules in reading order: [`analysis`], [`fusion`], `plan` (a query, checked), `records` and `sealing` (what is stored),
//! `lance`, `qdrant`, [`conformance`].

pub mod analysis;
pub mod conformance;
pub mod fusion;
#[cfg(feature = "lancedb")]
pub mod lance;
mod managed;
mod plan;
#[cfg(feature = "qdrant")]
pub mod qdrant;
mod records;
mod sealing;
mod space;

#[cfg(feature = "lancedb")]
pub use lance::{INDEX_CACHE_BYTES, LanceStore, METADATA_CACHE_BYTES, StoreConfig};
pub use managed::{ManagedStore, StoreHealth};
#[cfg(feature = "qdrant")]
pub use qdrant::{QdrantConfig, QdrantStore};
pub use space::EmbeddingSpace;

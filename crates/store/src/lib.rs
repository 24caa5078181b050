//! Vectors and full text: the embedded store behind [`rejoinder_domain::VectorStore`], and what every store must do.
//!
//! [`LanceStore`] keeps records in LanceDB tables in a folder. A search looks by vector (cosine; exact unless an
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
//! Invariants: no table holds two tenants' records or two embedders' vectors; no error repeats a record's text; what
//! [`conformance`] checks holds for every store. The crate does not know how vectors are made, where messages come from,
//! or what a suggestion is.
//!
//! Modules in reading order: [`analysis`], [`fusion`], [`lance`], [`conformance`].

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
pub use lance::{LanceStore, StoreConfig};
pub use managed::{ManagedStore, StoreHealth};
#[cfg(feature = "qdrant")]
pub use qdrant::{QdrantConfig, QdrantStore};
pub use space::EmbeddingSpace;

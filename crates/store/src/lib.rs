//! Vector and full-text store of Rejoinder
pub mod analysis;
pub mod fusion;
#[cfg(feature = "lancedb")]
pub mod lance;

#[cfg(feature = "lancedb")]
pub use lance::{EmbeddingSpace, LanceStore, StoreConfig};
pub mod conformance;

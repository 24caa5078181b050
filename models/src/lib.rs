//! Local models of Rejoinder: embedders, manifest, download
#[cfg(feature = "candle")]
mod batch;
#[cfg(feature = "candle")]
mod bert;
#[cfg(feature = "candle")]
pub mod candle_embedder;
pub mod error;
pub mod manifest;
pub mod store;
#[cfg(feature = "candle")]
mod tokens;

#[cfg(feature = "candle")]
pub use candle_embedder::{CandleEmbedder, EmbedderOptions};
pub use error::ModelError;
pub use manifest::{FileEntry, HubSource, Manifest, ModelEntry, PipSource, Task};
pub use store::{FileCheck, FileState, ListedModel, ModelFiles, ModelStore};

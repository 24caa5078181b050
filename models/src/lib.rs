//! Local models: the embedders, the manifest of what can be pulled (language models too), the choice among those by
//! memory, and the pull itself. What runs a language model is another crate's.
//!
//! The default embedder runs all-MiniLM-L6-v2 on the CPU. candle reads the weights; the forward pass is ours, because
//! candle's operations spend more than half of their time outside of the products: packing weights that never change,
//! writing intermediate tensors, computing `erf` and `exp` one number at a time. Here weights are packed once, every
//! elementwise step is part of a product, nothing is padded, and each worker is one thread with buffers it keeps.
//!
//! ```no_run
//! use rejoinder_domain::{Embedder, Role};
//! use rejoinder_models::{CandleEmbedder, EmbedderOptions, Manifest, ModelStore, PullOptions, pull};
//!
//! let manifest = Manifest::embedded()?;
//! let entry = manifest.get("all-MiniLM-L6-v2")?;
//! let store = ModelStore::of_user();
//! pull(&store, entry, &PullOptions::default(), &|event| eprintln!("{event:?}"))?;
//!
//! let embedder = CandleEmbedder::load(&store.locate(entry)?, &EmbedderOptions::default())?;
//! let vectors = embedder.embed(&["Where is my refund?"], Role::Query)?;
//! assert_eq!(vectors[0].len(), 384);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Invariants: no file reaches a model's folder before its digest was compared with the manifest's, or with its source's
//! and then recorded; an embedder's id holds
//! the digest of the weights it computes with; a text's vector does not depend on what else is in the call; the memory of
//! a call is bounded by workers and batch tokens, whatever the texts. The crate knows nothing of mail, stores or HTTP
//! servers, and talks to the network in [`mod@pull`] alone.
//!
//! Modules in reading order: [`manifest`], [`store`], `record`, [`mod@choose`], [`mod@pull`], [`options`], `candle_embedder`, `bert` (the forward
//! pass), `fastembed_embedder`, [`error`].

#[cfg(any(feature = "candle", feature = "fastembed"))]
mod batch;
#[cfg(feature = "candle")]
mod bert;
#[cfg(feature = "candle")]
pub mod candle_embedder;
pub mod choose;
pub mod error;
#[cfg(feature = "fastembed")]
pub mod fastembed_embedder;
pub mod manifest;
pub mod options;
pub mod pull;
mod record;
pub mod store;
#[cfg(any(feature = "candle", feature = "fastembed"))]
mod tokens;

#[cfg(feature = "candle")]
pub use candle_embedder::CandleEmbedder;
pub use choose::{Choice, Memory, choose, choose_packaged, choose_present};
pub use error::ModelError;
#[cfg(feature = "fastembed")]
pub use fastembed_embedder::FastEmbedEmbedder;
pub use manifest::{Family, FileEntry, Generation, HubSource, Manifest, ModelEntry, PipSource, Requantise, Task};
pub use options::EmbedderOptions;
pub use pull::{Attempt, PullError, PullEvent, PullOptions, PullReport, PullSource, SourceChoice, pull};
pub use record::DigestRecord;
pub use store::{FileCheck, FileState, ListedModel, ModelFiles, ModelStore};

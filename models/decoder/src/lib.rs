//! Decoder-only language models (Qwen3, Llama) on the CPU.
//!
//! candle reads GGUF files and turns quantised tensors back into numbers; the forward pass is ours, because candle's own
//! versions cannot batch, truncate or share a prefix, give wrong answers when a cache is reused, and keep every weight
//! twice. Here weights are packed once, into no more bytes than the file has, and multiplied as they are: bytes by bytes
//! (AVX-512 VNNI where the machine has it), sixteen outputs to a register. Keys and values lie in pages that sequences
//! share until they part.
//!
//! ```no_run
//! use rejoinder_decoder::{Decoder, DecoderOptions, Gguf, Logits, Step};
//!
//! let gguf = Gguf::open("Qwen3-0.6B-Q4_K_M.gguf")?;
//! let mut decoder = Decoder::load(&gguf, &DecoderOptions::default())?;
//! let mut cache = decoder.pool().cache();
//! let prompt = [9707_u32, 11, 1879];
//! let rows = decoder.forward(&mut [Step { cache: &mut cache, tokens: &prompt, logits: Logits::Last }])?;
//! assert_eq!(rows[0].len(), decoder.shape().vocabulary);
//! let fork = cache.fork(); // shares the prompt's memory
//! assert_eq!(fork.len(), 3);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Invariants: a step that fails changes nothing; what is computed for a token does not depend, to the last bit, on what
//! else is computed with it, on how a prompt is divided, or on the number of threads; the memory of all caches is bounded;
//! a model that would be run wrongly is refused. The crate knows nothing of text, tokenizers, sampling or requests.
//!
//! Modules in reading order: [`gguf`], [`shape`], `weights`, [`decoder`] (the forward pass), [`cache`], `kernels` (the
//! arithmetic), `team` (the threads), [`error`].

pub mod cache;
pub mod decoder;
pub mod error;
pub mod gguf;
mod kernels;
pub mod shape;
mod team;
mod weights;

pub use cache::{Cache, CachePool, CachePrecision, PAGE_TOKENS};
pub use decoder::{CacheOptions, Decoder, DecoderOptions, Logits, Step};
pub use error::DecoderError;
pub use gguf::Gguf;
pub use shape::{Architecture, Shape};

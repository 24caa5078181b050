//! Local language models served to many callers.
//!
//! One decoder, one thread that computes with it, and a scheduler that decides before every forward pass who takes part:
//! the next tokens of all answers that are being written, and a chunk of the most urgent prompt. So a long prompt delays
//! others by a chunk, not by itself; a person goes before a batch, and a batch does not wait for ever; and a caller who is
//! gone costs no further step; and tenants have their turns, so that one with many requests delays another by one of them. What is known without the model is not computed: beginnings that an earlier request of the
//! same tenant had, tokens that a required form forces, and proposals out of texts that the answer repeats, which are
//! verified several at once.
//!
//! ```no_run
//! use rejoinder_domain::language::collect;
//! use rejoinder_domain::{ChatMessage, ChatRole, GenerateRequest, LanguageModel, TenantId};
//! use rejoinder_serving::{LocalModel, ServingOptions};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let model = LocalModel::open("Qwen3-0.6B-Q4_K_M.gguf", "qwen3-0.6b", &ServingOptions::default())?;
//! let messages = vec![ChatMessage::new(ChatRole::User, "Where is my refund?")];
//! let request = GenerateRequest::new(TenantId::new("acme")?, messages, 200);
//! let (text, generated) = collect(model.generate(request).await?).await?;
//! println!("{text} ({} tokens)", generated.usage.output);
//! # Ok(())
//! # }
//! ```
//!
//! Invariants: an answer does not depend on what else is computed, on what is reused or proposed, nor on having had to
//! wait in between, greedy or with a seed; nothing computed for one tenant is reused for another; an answer that must have
//! a form has it or fails; prompt and answer together fit into the context or the request is refused before anything is
//! computed; memory is bounded by `cache_bytes` and the queue; a defect in a step ends the request that meets it and no
//! other; every stream ends. The crate knows nothing of mail, and logs no text.
//!
//! Modules in reading order: `options`, `local` (the threads), `prepare` (from question to tokens), `queue`, `turns`
//! (of tenants), `scheduler` (who runs), `step` (one forward pass), `sequence`, `writer`, `sampler`, `stop`, `form` (masks), `lookup` (proposals),
//! `prefix` (reuse), `engine`, `stream`, `metrics`, `error`.

mod engine;
mod error;
mod form;
mod local;
mod lookup;
mod metrics;
mod options;
mod prefix;
mod prepare;
mod queue;
mod sampler;
mod scheduler;
mod sequence;
mod step;
mod stop;
mod stream;
#[cfg(test)]
mod tests;
mod turns;
mod writer;

pub use error::ServingError;
pub use local::{LocalModel, Shutdown};
pub use metrics::{Metrics, Waits};
pub use options::ServingOptions;

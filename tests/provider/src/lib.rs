//! A language model provider on loopback that fails as its script says.
//!
//! Whoever talks to OpenAI, to Anthropic or to a server that imitates one has to survive what they do on a bad day. This
//! is a real HTTP server that does all of it on demand: it answers, streamed or not, close enough to the originals for
//! their official clients, and it is slow, overloaded, cut off, silent, or talks nonsense. It remembers what it was sent,
//! byte for byte, and what it would have charged.
//!
//! ```
//! use rejoinder_scripted_provider::{Answer, Failure, RetryAfter, Script, ScriptedProvider};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> std::io::Result<()> {
//! let provider = ScriptedProvider::start(Script::sequence([
//!     Failure::RateLimited(Some(RetryAfter::Seconds(2))).into(),
//!     rejoinder_scripted_provider::Behaviour::from(Answer::text("Good morning.")),
//! ]))
//! .await?;
//! assert!(provider.base_url().starts_with("http://127.0.0.1:"));
//! assert_eq!(provider.requests(), 0);
//! # Ok(())
//! # }
//! ```
//!
//! `POST .../chat/completions` and `GET .../models` speak OpenAI's Chat Completions, `POST .../messages` Anthropic's
//! Messages.
//!
//! Invariants: the n-th request gets the n-th behaviour, on whatever connection it comes; what happens at random depends
//! on the seed and the request's number alone; every request ends up in exactly one count. It is for tests: it keeps
//! prompts in memory, and checks no credentials.
//!
//! Modules in reading order: `script`, `failure`, `mixture`, `received`, `turn` (an answer, in nobody's words),
//! `openai`, `anthropic`, `delivery` (from a behaviour to bytes), `body`, `counts`, `server`, `unresponsive`.

mod anthropic;
mod body;
mod counts;
mod delivery;
mod failure;
mod mixture;
mod openai;
mod received;
mod script;
mod server;
mod turn;
mod unresponsive;

pub use counts::Billed;
pub use failure::{Failure, Garbage, RetryAfter, Wording};
pub use mixture::Mixture;
pub use received::Received;
pub use script::{Answer, Behaviour, Computed, Content, Script, ScriptedCall, Usage, counted_tokens};
pub use server::ScriptedProvider;
pub use unresponsive::{Unresponsive, unresponsive_address};

//! Remote language models: OpenAI-compatible endpoints and the Messages API of Anthropic.
//!
//! A provider here asks once and says truthfully what came of it: an answer that is complete, or an error whose kind is
//! all that a router needs. It does not try again, has no time-out but for connecting, and decides nothing: whether a
//! prompt may leave the machine, how long to wait and whom to ask next is the router's business.
//!
//! ```
//! use rejoinder_domain::language::collect;
//! use rejoinder_domain::{ChatMessage, ChatRole, GenerateRequest, LanguageModel, TenantId};
//! use rejoinder_providers::{OpenAiCompatible, RemoteOptions};
//! use rejoinder_scripted_provider::{Answer, Script, ScriptedProvider};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let server = ScriptedProvider::start(Script::always(Answer::text("It is on its way."))).await?;
//!
//! let mut options = RemoteOptions::new("house", format!("{}/v1", server.base_url()), "qwen3-32b");
//! options.context_tokens = 40_960;
//! let model = OpenAiCompatible::new(options)?;
//! let messages = vec![ChatMessage::new(ChatRole::User, "Where is my refund?")];
//! let request = GenerateRequest::new(TenantId::new("acme")?, messages, 200);
//! let (text, generated) = collect(model.generate(request).await?).await?;
//! assert_eq!(text, "It is on its way.");
//! assert!(generated.usage.output > 0);
//! # Ok(())
//! # }
//! ```
//!
//! # What fails, and as what
//!
//! | what comes | [`ErrorKind`](rejoinder_domain::ErrorKind) |
//! |---|---|
//! | no connection, a connection that breaks, an end before the answer's end | `Transient` |
//! | what is not this API: HTML, no JSON, no UTF-8, another shape, more than `max_answer_bytes` | `Transient` |
//! | 408, 409, 425, 5xx | `Transient` |
//! | 429, 529, 503 with a time to wait, `overloaded_error` within a stream | `RateLimited` |
//! | 401, 402, 403, 407; a quota or credit that is used up, whatever its status | `Auth` |
//! | 404, 405, 410, an unknown model | `NotFound` |
//! | 413, and 400, 422 or 500 that speak of the context: OpenAI, Anthropic, llama.cpp, vLLM, TGI, Gemini | `ContextTooLong` |
//! | a content filter or a refusal, before or within an answer | `Refused` |
//! | every other 4xx, redirects, and questions that this API cannot be asked | `Invalid` |
//! | JSON or a choice that is not complete at `max_tokens` | `OutputIncomplete` |
//! | none of the choices | `OutputInvalid` |
//! | a client that cannot be built: no root certificates | `Unavailable` |
//!
//! JSON is not validated here, since whoever asks again has to do it anyway. Times to wait come from `retry-after-ms`,
//! `retry-after` (seconds or a date) and `x-ratelimit-reset*`.
//!
//! # What is asked how
//!
//! JSON is asked for as each API offers it: OpenAI's `response_format`, strict where the schema allows that; Anthropic's
//! `output_config.format`, with what it does not enforce left out. A schema that Anthropic cannot be told (open objects,
//! recursion) becomes a tool that the model has to call, and so does every schema under [`StructuredOutput::Tool`].
//! Anthropic's own format is preferred because it is enforced while the answer is written, and because models that think
//! refuse to be forced to a tool. A choice is asked for as an enumeration; a regular expression is refused.
//!
//! Usage is the provider's own. Where it reports none, and where we left at a stop text, it is an estimate, as
//! `count_tokens` always is: by words and scripts, in one pass, and rather too high than too low.
//!
//! What a model thinks is no part of its answer: fields and blocks of reasoning are passed over, and so is a text between
//! `<think>` and `</think>` that an OpenAI-compatible answer begins with.
//!
//! Invariants: nothing leaves the machine but what the tests of requests list, once, to the configured URL: no redirect
//! is followed and no proxy of the environment is used, since where prompts go is a policy. Every stream ends with `Done`
//! or an error; dropping it, or the call before it, closes the connection at once. One response is bounded in bytes. Keys
//! are marked sensitive, and no error, log or `Debug` holds them, a prompt, or anything that the provider wrote save its
//! id of the request. A finished answer leaves its connection to the next.
//!
//! Modules in reading order: `options`, `endpoint`, `request`, `schema`, `openai` (`guard`: what `async-openai` may
//! see), `anthropic`, `events` and `sse` (from bytes to events), `answer` (from events to an answer), `stops`,
//! `thoughts`, `estimate`, `failure`, `retry_after`.

mod answer;
mod anthropic;
#[cfg(test)]
mod cut;
mod endpoint;
mod estimate;
mod events;
mod failure;
mod openai;
mod options;
mod request;
mod retry_after;
mod schema;
mod sse;
mod stops;
mod thoughts;

pub use anthropic::Anthropic;
pub use openai::OpenAiCompatible;
pub use options::{ApiKeyHeader, RemoteOptions, SamplingFields, StructuredOutput, TokenLimitField};

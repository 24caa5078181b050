//! An AI sidecar for a CRM: a company's mail in, suggested replies with citations out.
//!
//! [`Rejoinder::open`] wires the parts that a [`Config`] names: the ledger (what was read, from where), the vector store,
//! the embedding model. Then [`Rejoinder::ingest`] reads mailboxes, and [`Rejoinder::suggest`],
//! [`Rejoinder::extract`] and [`Rejoinder::search`] answer from them, for one tenant at a time.
//!
//! ```no_run
//! use rejoinder::{Config, Rejoinder, TenantId};
//! use rejoinder::assist::SearchRequest;
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let tenant = TenantId::new("acme-finance")?;
//! let rejoinder = Rejoinder::open(Config::new(tenant.clone(), "data")).await?;
//! let report = rejoinder.ingest(&tenant, &["support.pst".into()], &()).await?;
//! println!("{} of {} items indexed, {} skipped", report.indexed, report.seen, report.skipped);
//! let request = SearchRequest { query: "duplicate invoice".into(), ..SearchRequest::default() };
//! for found in rejoinder.search(&tenant, &request).await? {
//!     println!("{:.2} {}", found.score, found.subject);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Invariants: this crate is the only wiring; it holds no logic of retrieval, reading or drafting. Nothing it opens makes
//! a network connection, and only the targets that are configured are ever asked for one. It does not know about HTTP.
//!
//! Modules in reading order: [`config`], `rejoinder` (the object), `engine` (which embedder runs), `language` (which
//! language model runs), `targets` (remote models), `routing` (which model answers), `metrics`, `erase`, `generate` (what a caller asks of the models by itself), `adapters` (what the
//! application asks for, answered by ledger and mail crate), [`mod@inspect`], [`error`].

pub mod config;
pub mod error;
pub mod inspect;

mod adapters;
mod engine;
mod erase;
mod generate;
mod language;
mod metrics;
mod rejoinder;
mod routing;
mod targets;

pub use crate::config::{Config, Engine, LanguageConfig, ModelsConfig, OwnershipConfig};
pub use crate::engine::model_store;
pub use crate::erase::{EraseReceipt, EraseTarget};
pub use crate::error::Error;
pub use crate::generate::{Embeddings, ModelInfo, ModelKind};
pub use crate::inspect::{Inspection, inspect};
pub use crate::rejoinder::{Extracted, Rejoinder, Status, Suggested, ThreadedMessage};
pub use crate::targets::{
    Api, CanConfig, KeyHeader, PriceConfig, SamplingConfig, StructuredConfig, TargetConfig, TimeoutsConfig,
    TokenLimitConfig,
};

pub use rejoinder_assist as assist;
pub use rejoinder_domain::{
    Attachment, AttemptOutcome, CallContext, ChatMessage, ChatRole, Cost, Direction, Egress, ErrorKind, Filter,
    FinishReason, GenerateEvent, GenerateRequest, GenerateStream, Generated, ItemKind, MailboxId, Message, MessageId,
    ModelAttempt, OutputFormat, Priority, Purpose, Role, Sampling, SeamError, SegmentKind, Skipped, TenantId, ThreadId,
    TokenUsage, Tool, ToolCall, ToolCallPart, ToolChoice,
};
pub use rejoinder_ledger::{
    Audit, AuditQuery, AuditRecord, JournalHealth, MailboxStatus, Step, Totals, UsageQuery, UsageReport, UsageSum,
};
pub use rejoinder_models as models;
pub use rejoinder_pipeline::{IngestReport, Observer, Phase, Progress};
pub use rejoinder_router::{
    BreakerHealth, BreakerState, BudgetLeft, Period, Place, RouterConfig, TargetHealth, TenantPolicy,
};
pub use rejoinder_serving as serving;

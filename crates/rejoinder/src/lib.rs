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
//! language model runs), `targets` (remote models), `routing` (which model answers), `metrics`, `erase`, `privacy`, `feedback` (what became of suggestions), `ingestion` (jobs, one message at a time), `requests`, `schemas`, `generate` (what a caller asks of the models by itself), `adapters` (what the
//! application asks for, answered by ledger and mail crate), [`mod@inspect`], [`error`].

pub mod config;
pub mod error;
pub mod inspect;

mod adapters;
mod backup;
mod encryption;
mod engine;
mod erase;
mod feedback;
mod generate;
mod ingestion;
mod language;
mod mailboxes;
mod metrics;
mod privacy;
mod rejoinder;
mod requests;
mod routing;
mod schemas;
mod targets;

pub use crate::backup::Backup;
pub use crate::config::{
    Config, Engine, JobsConfig, LanceSettings, LanguageConfig, ModelsConfig, OwnershipConfig, StoreKind, StoreSettings,
};
pub use crate::encryption::{EncryptionStatus, RotatedKeys, Sealed, new_master_key};
pub use crate::engine::model_store;
pub use crate::erase::{EraseReceipt, EraseTarget};
pub use crate::error::Error;
pub use crate::feedback::Feedback;
pub use crate::generate::{Embeddings, ModelInfo, ModelKind};
pub use crate::ingestion::Upload;
pub use crate::inspect::{Inspection, inspect};
pub use crate::privacy::{HeldMessage, PersonExport, Retained, RetentionConfig, RetentionStatus};
pub use crate::rejoinder::{Extracted, Loaded, Rejoinder, Status, Suggested, ThreadedMessage};
pub use crate::schemas::{NamedSchema, SchemasConfig};
pub use crate::targets::{
    Api, CanConfig, KeyHeader, PriceConfig, SamplingConfig, StructuredConfig, TargetConfig, TimeoutsConfig,
    TokenLimitConfig,
};

pub use rejoinder_assist as assist;
pub use rejoinder_domain::{
    Address, Attachment, AttemptOutcome, CallContext, ChatMessage, ChatRole, Cost, Direction, Egress, ErrorKind,
    Filter, FinishReason, GenerateEvent, GenerateRequest, GenerateStream, Generated, ItemKind, MailboxId, Message,
    MessageId, ModelAttempt, OutputFormat, Priority, Purpose, Role, Sampling, SeamError, SegmentKind, Skipped,
    TenantId, ThreadId, TokenUsage, Tool, ToolCall, ToolCallPart, ToolChoice,
};
pub use rejoinder_ledger::{
    Audit, AuditQuery, AuditRecord, JournalHealth, MailboxStatus, Step, Totals, UsageQuery, UsageReport, UsageSum,
};
pub use rejoinder_ledger::{
    Begun, EditClass, ItemStatus, JobItem, JobItemPage, JobPage, JobRecord, JobSource, JobState, KnowledgeGap,
    KnownSuggestion, MAX_STORED_BODY, Outcome, OutcomeCounts, OutcomeKind, OutcomeRecorded, SourceCounts, Stats,
    StoredResponse, SuggestionPage,
};
pub use rejoinder_mail::MessageFields;
pub use rejoinder_models as models;
pub use rejoinder_pipeline::watching::{Watch, WatchConfig};
pub use rejoinder_pipeline::{Delivery, Indexed, IndexedStatus, NewMessage};
pub use rejoinder_pipeline::{IngestReport, Observer, Phase, Progress};
pub use rejoinder_router::{
    BreakerHealth, BreakerState, BudgetLeft, Period, Place, RouterConfig, TargetHealth, TenantPolicy,
};
pub use rejoinder_serving as serving;
pub use rejoinder_store::StoreHealth;
pub use rejoinder_vault::{VaultConfig, VaultError};

//! From mailboxes to an index: read, thread, chunk, embed, write, with an account of every item.
//!
//! Three durable phases with the ledger between them, so that memory is bounded and every instant can be the last one:
//! reading writes items and messages to the ledger in batches; threading finds directions, conversations and reply pairs
//! over all that the ledger holds; indexing embeds what is pending and writes it to the store, announced before and
//! confirmed after. A run that was killed leaves nothing that the next run does not finish, and leaves no record in the
//! store that the next run does not know of.
//!
//! ```no_run
//! # async fn example(store: std::sync::Arc<dyn rejoinder_domain::VectorStore>) -> Result<(), Box<dyn std::error::Error>> {
//! use std::sync::Arc;
//! use rejoinder_domain::TenantId;
//! use rejoinder_ledger::Ledger;
//! use rejoinder_mail::direction::Ownership;
//! use rejoinder_pipeline::{IngestConfig, Pipeline};
//!
//! let ledger = Arc::new(Ledger::open("data/ledger.sqlite")?);
//! let pipeline = Pipeline { ledger, store, embedder: None, config: IngestConfig::default() };
//! let tenant = TenantId::new("acme-finance")?;
//! let report = pipeline.ingest(&tenant, &["archive.mbox".into()], &Ownership::default(), &()).await?;
//! assert_eq!(report.seen, report.indexed + report.duplicate + report.skipped + report.pending);
//! # Ok(())
//! # }
//! ```
//!
//! Invariants: every item seen is indexed, a duplicate, skipped with a reason, or (in a run that was stopped) pending; the
//! same input gives the same records with the same ids, however often it was interrupted; logs hold ids only. The pipeline
//! does not know about any one mail format, model or store.
//!
//! Modules in reading order: `pipeline` (the entrance), `job` (one ingest), `read`, `threading`, `index` (its three phases),
//! [`chunk`] and `record` (what is made of a message), `entry` (what threading needs of one), [`intake`] and `placing` (one
//! message at a time), [`jobs`], [`runner`] and [`watching`] (orders that outlive the process), [`config`], [`progress`], [`report`], `error`.

pub mod chunk;
pub mod config;
mod entry;
mod error;
mod index;
pub mod intake;
mod job;
pub mod jobs;
mod pipeline;
mod placing;
pub mod progress;
mod read;
mod record;
pub mod report;
pub mod runner;
mod threading;
pub mod watching;

pub use config::IngestConfig;
pub use error::IngestError;
pub use intake::{Delivery, Indexed, IndexedStatus, Intake, Learned, Lesson, NewMessage};
pub use jobs::{JobOrder, JobProgress, fresh_job_id, path_below, safe_file_name};
pub use pipeline::Pipeline;
pub use progress::{Cancel, Observer, Phase, Progress};
pub use report::IngestReport;
pub use runner::{JobRunner, RunnerConfig};
pub use watching::{Watch, WatchConfig};

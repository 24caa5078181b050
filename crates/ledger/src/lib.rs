//! The durable state of Rejoinder, in one SQLite file: every item that was seen and what became of it, every message
//! with the places it was found in, the conversations, what the vector store holds, orders to ingest, what was suggested and
//! what people made of it.
//!
//! The ledger is what makes ingesting idempotent. Items are written in batches, each in one transaction together with
//! the position reached, so that a process killed at any instant continues where the last batch ended. What the vector
//! store may hold is announced here before it is written there ([`Ledger::intend`]) and confirmed after
//! ([`Ledger::confirm`]), so that neither a lost nor an orphaned record survives the next run.
//!
//! ```
//! use rejoinder_domain::TenantId;
//! use rejoinder_ledger::{Ledger, MailboxRecord, ReadState};
//!
//! # let folder = tempfile::tempdir()?;
//! let ledger = Ledger::open(folder.path().join("ledger.sqlite"))?;
//! let tenant = TenantId::new("acme-finance")?;
//! let mailbox = MailboxRecord {
//!     id: rejoinder_domain::MailboxId::from_content(&[b"sales.mbox"]),
//!     name: "sales".into(),
//!     path: "/mail/sales.mbox".into(),
//!     format: "mbox".into(),
//!     fingerprint: "1048576 bytes, written 2026-01-05".into(),
//!     owner: None,
//! };
//! assert_eq!(ledger.begin_read(&tenant, &mailbox)?, ReadState::Start);
//! ledger.finish_read(&tenant, &mailbox.id)?;
//! assert_eq!(ledger.begin_read(&tenant, &mailbox)?, ReadState::Complete, "an unchanged mailbox is not read again");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! With master keys ([`Ledger::open_sealed`]) every text in it is encrypted, each tenant's with keys of its own, which are kept
//! in the ledger and go with the tenant. The vector store seals with the same keys ([`Ledger::sealer`]).
//!
//! What language models were sent and what they used is kept beside it, in a second file, by [`UsageJournal`].
//!
//! Invariants: every table has the tenant in its primary key or an index of its own, and every call names it, except those
//! that go over all tenants: [`Ledger::unfinished_jobs`], [`Ledger::tenants`] and [`Ledger::expire_idempotency`], and of
//! [`UsageJournal`] the sums that budgets go on from and the retention; what a call acknowledged is on the disk; the ledger
//! does not know about mail formats, models or vector stores (a thread entry is bytes to it); errors carry no text of a
//! message.
//!
//! Modules in reading order: `schema` (the tables and why), `ledger` (the file, its connections, the ingest lock), `durable`
//! (waiting for the disk), `reading`, `threading`, `indexing` (the three phases of an ingest), `single` (one message at a
//! time), `query` (what others read), `jobs` and `job_items` (orders to ingest), `idempotency` (requests that are answered
//! once), `suggestions`, `outcomes`, `stats` and `gaps` (what was suggested and how it did), `erase`, `person` and `retention`
//! (what has to go), `backup`, `journal` (runs of the pipeline), `content` and `text` (how messages and other texts are kept),
//! `sealing` (which texts are encrypted) and `keys` (with what), `time`, `cursor`, `usage` (a second file: what language models
//! were sent and used), `error`.

mod backup;
mod content;
mod cursor;
mod durable;
mod erase;
mod error;
mod gaps;
mod idempotency;
mod indexing;
mod job_items;
mod jobs;
mod journal;
mod keys;
mod ledger;
mod outcomes;
mod person;
mod query;
mod reading;
mod retention;
mod schema;
mod sealing;
mod single;
mod stats;
mod suggestions;
mod text;
mod threading;
mod time;
mod usage;

pub use backup::Checked;
pub use erase::Erased;
pub use error::LedgerError;
pub use gaps::KnowledgeGap;
pub use idempotency::{Begun, MAX_STORED_BODY, RequestKey, StoredResponse};
pub use indexing::{PendingPair, StoredUnit, Unit};
pub use job_items::{ItemStatus, JobItem, JobItemPage};
pub use jobs::{JobEnd, JobPage, JobRecord, JobSignal, JobSource, JobState, NewJob};
pub use journal::Run;
pub use ledger::{IngestLock, Ledger};
pub use outcomes::{EditClass, LearnedPair, Outcome, OutcomeKind, OutcomeRecorded};
pub use person::HeldOnPerson;
pub use query::{MailboxStatus, Totals};
pub use reading::{ItemOutcome, ItemRecord, MailboxRecord, ReadCounts, ReadState, Vanished};
pub use sealing::{SealedRows, SealingStatus};
pub use single::{PlacedConversations, PlacedMessage, Standing, WritingLock};
pub use stats::{OutcomeCounts, SourceCounts, Stats};
pub use suggestions::{KnownSuggestion, SuggestionPage, SuggestionRecord};
pub use threading::{MessageFacts, PairRow, ThreadRow};
pub use usage::{
    Audit, AuditQuery, AuditRecord, DeletedUsage, JournalHealth, Step, UsageJournal, UsageOptions, UsageQuery,
    UsageReport, UsageSum,
};

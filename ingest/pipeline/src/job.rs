//! One ingest from its first to its last phase, on a blocking thread.

use std::path::PathBuf;
use std::sync::Arc;

use rejoinder_domain::{Embedder, MailboxId, Skipped, TenantId, VectorStore};
use rejoinder_ledger::Ledger;
use rejoinder_mail::direction::Ownership;

use crate::progress::{Gauge, Phase};
use crate::report::peak_rss_bytes;
use crate::{IngestConfig, IngestError, IngestReport};

/// What an ingest works with and on.
pub(crate) struct Job {
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) store: Arc<dyn VectorStore>,
    pub(crate) embedder: Option<Arc<dyn Embedder>>,
    pub(crate) config: IngestConfig,
    pub(crate) tenant: TenantId,
    pub(crate) paths: Vec<PathBuf>,
    pub(crate) ownership: Ownership,
    pub(crate) version: String,
    pub(crate) gauge: Arc<Gauge>,
    /// Drives the store, whose calls are asynchronous.
    pub(crate) runtime: tokio::runtime::Handle,
    /// Called with every mailbox when its reading begins.
    pub(crate) on_mailbox: Option<OnMailbox>,
}

/// Whoever wants to know which mailboxes are read.
pub(crate) type OnMailbox = Box<dyn Fn(&MailboxId) -> Result<(), IngestError> + Send + Sync>;

/// What reading found out that the ledger does not keep.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    /// The mailboxes that were named.
    pub(crate) mailboxes: Vec<MailboxId>,
    /// Paths and mailboxes that could not be opened.
    pub(crate) refused: Vec<Skipped>,
    pub(crate) items: u64,
    pub(crate) vanished: u64,
}

impl Job {
    /// Runs all phases. The lock keeps a second ingest of the tenant out, in this process and in others.
    pub(crate) fn run(&self) -> Result<IngestReport, IngestError> {
        let _lock = self.ledger.lock_ingest(&self.tenant)?;
        let run = self.ledger.start_run(&self.tenant)?;
        let reading = self.read()?;
        let read = self.gauge.elapsed();
        // Half of a mailbox would thread otherwise than the whole; what was read waits in the ledger.
        if !self.gauge.is_cancelled() {
            self.gauge.enter(Phase::Threading);
            self.thread()?;
        }
        let threaded = self.gauge.elapsed();
        let mut written = 0;
        if !self.gauge.is_cancelled() {
            self.gauge.enter(Phase::Indexing);
            written = self.index()?;
            self.gauge.enter(Phase::Optimizing);
            self.runtime.block_on(self.store.optimize(&self.tenant)).map_err(IngestError::Store)?;
        }
        let mut report = self.report(reading, written)?;
        report.reading_seconds = read.as_secs_f64();
        report.threading_seconds = threaded.saturating_sub(read).as_secs_f64();
        report.indexing_seconds = self.gauge.elapsed().saturating_sub(threaded).as_secs_f64();
        tracing::info!(
            tenant = %self.tenant, run, seen = report.seen, indexed = report.indexed, duplicate = report.duplicate,
            skipped = report.skipped, pending = report.pending, "ingest finished"
        );
        let json = serde_json::to_value(&report).map_err(|_| IngestError::Internal("the report cannot be written"))?;
        self.ledger.finish_run(&self.tenant, run, &json)?;
        Ok(report)
    }

    /// The account of the mailboxes that were named, of all mailboxes where none was.
    fn report(&self, reading: Reading, written: u64) -> Result<IngestReport, IngestError> {
        let totals = self.ledger.totals(&self.tenant, &self.version)?;
        let refused = reading.refused.len() as u64;
        let mut report = IngestReport {
            seen: refused,
            skipped: refused,
            threads: totals.threads,
            pairs: totals.pairs,
            chunks: totals.chunks,
            read: reading.items,
            written,
            vanished: reading.vanished,
            cancelled: self.gauge.is_cancelled(),
            index_version: self.version.clone(),
            skips: reading.refused,
            ..IngestReport::default()
        };
        let listed = self.config.listed_skips;
        report.skips.truncate(listed);
        for status in self.ledger.status(&self.tenant, &self.version)? {
            if !self.paths.is_empty() && !reading.mailboxes.contains(&status.id) {
                continue;
            }
            report.sources += 1;
            report.seen += status.seen;
            report.indexed += status.indexed;
            report.pending += status.pending;
            report.duplicate += status.duplicate;
            report.skipped += status.skipped;
            report.salvaged += status.salvaged;
            let room = |held: usize| u32::try_from(listed.saturating_sub(held)).unwrap_or(u32::MAX);
            if status.skipped > 0 && room(report.skips.len()) > 0 {
                report.skips.extend(self.ledger.skipped(
                    &self.tenant,
                    Some(&status.id),
                    0,
                    room(report.skips.len()),
                )?);
            }
            if status.salvaged > 0 && room(report.losses.len()) > 0 {
                report.losses.extend(self.ledger.losses(
                    &self.tenant,
                    Some(&status.id),
                    0,
                    room(report.losses.len()),
                )?);
            }
        }
        report.seconds = self.gauge.elapsed().as_secs_f64();
        report.embedding_seconds = self.gauge.embedding_seconds();
        report.peak_rss_bytes = peak_rss_bytes();
        Ok(report)
    }
}

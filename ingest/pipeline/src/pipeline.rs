//! The entrance: one asynchronous call, with the work on blocking threads behind it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rejoinder_domain::{Embedder, TenantId, VectorStore};
use rejoinder_ledger::Ledger;
use rejoinder_mail::direction::Ownership;

use crate::chunk::CHUNKER_VERSION;
use crate::job::{Job, OnMailbox};
use crate::progress::{Gauge, Observer};
use crate::{IngestConfig, IngestError, IngestReport};

/// How often the observer is called.
const TICK: Duration = Duration::from_millis(100);

/// Reads mailboxes into the ledger and the index.
#[derive(Clone)]
pub struct Pipeline {
    /// What was ingested, from where, with which outcome.
    pub ledger: Arc<Ledger>,
    /// The index. Where the index version changes, everything is written anew, and what the old version left in this store is
    /// deleted at the end; a store that keeps a place per embedding model drops the old place itself.
    pub store: Arc<dyn VectorStore>,
    /// The embedding model; without one, records are found by their words alone.
    pub embedder: Option<Arc<dyn Embedder>>,
    /// How much is worked on at a time.
    pub config: IngestConfig,
}

impl Pipeline {
    /// Names what the index is made with: embedding model, chunker, chunk length, store. Letters, digits, `.`, `_` and `-` only.
    pub fn index_version(&self) -> String {
        let model = self.embedder.as_ref().map_or("text-only", |embedder| embedder.id());
        let safe = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '-' };
        let model: String = model.chars().map(safe).collect();
        let IngestConfig { max_chunk_tokens, overlap_tokens, store_name, .. } = &self.config;
        let store = if store_name.is_empty() { String::new() } else { format!("-{store_name}") };
        format!("{model}-c{CHUNKER_VERSION}-t{max_chunk_tokens}-o{overlap_tokens}{store}")
    }

    /// Ingests all mailboxes under `paths`; without paths it brings threads and index up to date with the ledger alone.
    ///
    /// What was done before is not done again, whether it ended well or was killed. Without configured `ownership`, whose
    /// mail it is is learned from the mailboxes' owners and Sent folders. Dropping the future stops the work at the next
    /// window.
    pub async fn ingest(
        &self,
        tenant: &TenantId,
        paths: &[PathBuf],
        ownership: &Ownership,
        observer: &dyn Observer,
    ) -> Result<IngestReport, IngestError> {
        self.ingest_noted(tenant, paths, ownership, observer, None).await
    }

    pub(crate) async fn ingest_noted(
        &self,
        tenant: &TenantId,
        paths: &[PathBuf],
        ownership: &Ownership,
        observer: &dyn Observer,
        on_mailbox: Option<OnMailbox>,
    ) -> Result<IngestReport, IngestError> {
        self.config.validate().map_err(IngestError::Config)?;
        let gauge = Arc::new(Gauge::new());
        let job = Job {
            ledger: Arc::clone(&self.ledger),
            store: Arc::clone(&self.store),
            embedder: self.embedder.clone(),
            config: self.config.clone(),
            tenant: tenant.clone(),
            paths: paths.to_vec(),
            ownership: ownership.clone(),
            version: self.index_version(),
            gauge: Arc::clone(&gauge),
            runtime: tokio::runtime::Handle::current(),
            on_mailbox,
        };
        let _stop_if_dropped = CancelOnDrop(Arc::clone(&gauge));
        let mut work = tokio::task::spawn_blocking(move || job.run());
        let mut tick = tokio::time::interval(TICK);
        let result = loop {
            tokio::select! {
                result = &mut work => break result,
                _ = tick.tick() => {
                    observer.progress(&gauge.progress());
                    if observer.cancelled() {
                        gauge.cancel();
                    }
                }
            }
        };
        observer.progress(&gauge.progress());
        result.map_err(|_| IngestError::Internal("the ingest thread panicked"))?
    }
}

/// Stops the work when nobody awaits it any more.
struct CancelOnDrop(Arc<Gauge>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

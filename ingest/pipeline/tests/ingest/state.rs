//! One test's data folder: opening it, running an ingest in it, and everything that must be equal after a kill.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rejoinder_domain::{Message, MessageId, Pool, Provenance, Record, TenantId, ThreadId};
use rejoinder_ledger::{Ledger, MailboxStatus};
use rejoinder_mail::Limits;
use rejoinder_mail::direction::Ownership;
use rejoinder_pipeline::{IngestConfig, IngestReport, Observer, Pipeline};

use crate::fakes::{FileStore, Fuse, HashEmbedder};

pub(crate) fn tenant() -> TenantId {
    TenantId::new("acme").unwrap()
}

/// Small batches, so that little mail makes many transactions.
pub(crate) fn config() -> IngestConfig {
    IngestConfig {
        max_chunk_tokens: 40,
        overlap_tokens: 6,
        max_batch_tokens: 200,
        window_records: 12,
        queue_windows: 1,
        read_batch_items: 5,
        limits: Limits { max_item_bytes: 100_000, ..Limits::default() },
        ..IngestConfig::default()
    }
}

/// A pipeline with its data in a folder.
pub(crate) struct Site {
    pub(crate) pipeline: Pipeline,
    pub(crate) store: Arc<FileStore>,
    pub(crate) embedder: Arc<HashEmbedder>,
}

impl Site {
    pub(crate) fn open(folder: &Path) -> Self {
        Self::with_fuse(folder, "none:0")
    }

    pub(crate) fn with_fuse(folder: &Path, fuse: &str) -> Self {
        let ledger = Arc::new(Ledger::open(folder.join("ledger.sqlite")).unwrap());
        let store = Arc::new(FileStore::open(&folder.join("store"), Fuse::parse(fuse)));
        let embedder = Arc::new(HashEmbedder::new(Fuse::parse(fuse)));
        let pipeline = Pipeline { ledger, store: store.clone(), embedder: Some(embedder.clone()), config: config() };
        Self { pipeline, store, embedder }
    }

    pub(crate) fn ingest(&self, paths: &[PathBuf]) -> IngestReport {
        self.ingest_watched(paths, &())
    }

    pub(crate) fn ingest_watched(&self, paths: &[PathBuf], observer: &dyn Observer) -> IngestReport {
        let ownership = Ownership::default();
        let report = runtime().block_on(self.pipeline.ingest(&tenant(), paths, &ownership, observer)).unwrap();
        assert_eq!(
            report.seen,
            report.indexed + report.duplicate + report.skipped + report.pending,
            "every item is accounted for: {report:?}"
        );
        report
    }

    pub(crate) fn records(&self, pool: Pool) -> Vec<Record> {
        self.store.read(&tenant(), pool).into_values().collect()
    }

    /// All that a later run, a search or a report could see.
    pub(crate) fn state(&self) -> State {
        let ledger = &self.pipeline.ledger;
        let version = self.pipeline.index_version();
        let messages = ledger.messages(&tenant(), None, 1_000_000).unwrap();
        let place = |message: &Message| {
            let thread = ledger.thread_of(&tenant(), &message.id).unwrap();
            let parent = ledger.parent_of(&tenant(), &message.id).unwrap();
            (thread, parent, ledger.provenance_of(&tenant(), &message.id).unwrap())
        };
        State {
            places: messages.iter().map(place).collect(),
            pairs: ledger.pairs(&tenant(), None, 1_000_000).unwrap(),
            status: ledger
                .status(&tenant(), &version)
                .unwrap()
                .into_iter()
                .map(|status| MailboxStatus { last_read: None, ..status })
                .collect(),
            stale: ledger.stale_units(&tenant(), &version, 10).unwrap().len(),
            passages: self.records(Pool::Passage),
            reply_pairs: self.records(Pool::ReplyPair),
            messages,
        }
    }
}

#[derive(Debug, PartialEq)]
pub(crate) struct State {
    pub(crate) messages: Vec<Message>,
    places: Vec<(Option<ThreadId>, Option<MessageId>, Vec<Provenance>)>,
    pub(crate) pairs: Vec<(MessageId, MessageId)>,
    pub(crate) status: Vec<MailboxStatus>,
    stale: usize,
    pub(crate) passages: Vec<Record>,
    pub(crate) reply_pairs: Vec<Record>,
}

impl State {
    /// The messages of each conversation, whatever the conversations are called and wherever the messages lie.
    pub(crate) fn threads(&self) -> Vec<(MessageId, Option<ThreadId>, Option<MessageId>)> {
        let ids = self.messages.iter().map(|message| message.id.clone());
        ids.zip(&self.places).map(|(id, (thread, parent, _))| (id, thread.clone(), parent.clone())).collect()
    }
}

/// One thread: the pipeline must not depend on a runtime with several.
pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// A report without what differs between a clean run and one that continues another.
pub(crate) fn account(report: IngestReport) -> IngestReport {
    let timeless = IngestReport { seconds: 0.0, embedding_seconds: 0.0, peak_rss_bytes: 0, ..report };
    let timeless = IngestReport { reading_seconds: 0.0, threading_seconds: 0.0, indexing_seconds: 0.0, ..timeless };
    IngestReport { read: 0, written: 0, vanished: 0, ..timeless }
}

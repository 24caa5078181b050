//! Whole runs: the account, what a second run does, changes, other models, cancelling.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use rejoinder_domain::{Direction, MailboxId, Pool, SegmentKind};
use rejoinder_ledger::LedgerError;
use rejoinder_mail::direction::Ownership;
use rejoinder_pipeline::chunk::words;
use rejoinder_pipeline::{IngestError, Observer, Phase, Progress};

use crate::fakes::{Fuse, HashEmbedder};
use crate::mailboxes::{self, Plan};
use crate::state::{Site, account, tenant};

const PLAN: Plan = Plan { first: 0, last: 30 };

#[test]
fn every_item_is_accounted_for() {
    let folder = tempfile::tempdir().unwrap();
    let paths = mailboxes::write(&folder.path().join("mail"), PLAN);
    let notes = folder.path().join("mail/notes.txt");
    std::fs::write(&notes, "no mail").unwrap();
    let site = Site::open(&folder.path().join("data"));
    let missing = folder.path().join("missing.mbox");
    let report = site.ingest(&[folder.path().join("mail"), paths[1].clone(), missing.clone()]);
    // 30 questions, 30 replies, 10 follow-ups, 6 copies; the giant, the notes and the missing file.
    assert_eq!(
        (report.sources, report.seen, report.indexed, report.duplicate, report.skipped, report.pending),
        (3, 79, 70, 6, 3, 0)
    );
    assert_eq!((report.threads, report.pairs), (30, 30));
    assert_eq!(report.chunks, site.records(Pool::Passage).len() as u64);
    assert_eq!((report.read, report.cancelled), (77, false));
    assert_eq!(report.skips.len(), 3);
    let places: Vec<&str> = report.skips.iter().map(|skipped| skipped.place.as_str()).collect();
    for part in ["notes.txt", "missing.mbox", "Inbox.mbox"] {
        assert!(places.iter().any(|place| place.contains(part)), "{part} in {places:?}");
    }
    assert!(report.seconds > 0.0 && report.embedding_seconds <= report.seconds);
    assert!(report.peak_rss_bytes > 0 || !cfg!(target_os = "linux"));
    let runs = site.pipeline.ledger.runs(&tenant(), 5).unwrap();
    assert_eq!(runs[0].report.as_ref().unwrap()["seen"], 79);
}

#[test]
fn records_are_true_to_their_messages() {
    let folder = tempfile::tempdir().unwrap();
    let paths = mailboxes::write(&folder.path().join("mail"), PLAN);
    let site = Site::open(&folder.path().join("data"));
    site.ingest(&paths);
    let ledger = &site.pipeline.ledger;
    for pool in Pool::ALL {
        for record in site.records(pool) {
            let message = ledger.message(&tenant(), &record.message_id).unwrap().unwrap();
            assert_eq!(record.span.of(&message.body.text), Some(record.text.as_str()));
            assert_eq!(record.direction, message.direction);
            assert_eq!(record.mailboxes, ledger.mailboxes_of(&tenant(), &message.id).unwrap());
            assert_eq!(record.vector.as_ref().unwrap().len(), HashEmbedder::DIMS);
            assert_eq!(record.reply.is_some(), pool == Pool::ReplyPair);
            if let Some(reply) = &record.reply {
                let answer = ledger.message(&tenant(), &reply.message_id).unwrap().unwrap();
                assert_eq!((message.direction, answer.direction), (Direction::Inbound, Direction::Outbound));
                assert!(!reply.text.is_empty() && answer.body.text_of(SegmentKind::New).contains(&reply.text));
                assert_eq!(reply.author, "Anna Weber");
            } else {
                let new = message.body.text_of(SegmentKind::New);
                assert!(new.contains(&record.text), "only new text is a passage");
            }
        }
    }
    let passages = site.records(Pool::Passage);
    let tokens = passages.iter().map(|record| words(&format!("{}\n{}", record.subject, record.text)).len());
    let longest = tokens.max().unwrap();
    assert!(longest > 30 && longest <= site.embedder.max_tokens, "the model cuts nothing off a passage: {longest}");
}

#[test]
fn a_second_run_does_nothing_again() {
    let folder = tempfile::tempdir().unwrap();
    let paths = mailboxes::write(&folder.path().join("mail"), PLAN);
    let site = Site::open(&folder.path().join("data"));
    let first = site.ingest(&paths);
    let (state, upserted) = (site.state(), site.store.upserted.load(Ordering::SeqCst));
    let second = site.ingest(&paths);
    assert_eq!((second.read, second.written), (0, 0));
    assert_eq!(site.store.upserted.load(Ordering::SeqCst), upserted);
    assert_eq!(account(second), account(first));
    assert!(site.state() == state);
}

#[test]
fn a_copy_in_another_mailbox_rewrites_only_its_own_records() {
    let folder = tempfile::tempdir().unwrap();
    let paths = mailboxes::write(&folder.path().join("mail"), PLAN);
    let site = Site::open(&folder.path().join("data"));
    site.ingest(&paths);
    let before = site.store.upserted.load(Ordering::SeqCst);
    let copy = mailboxes::write(&folder.path().join("copy"), Plan { first: 4, last: 5 });
    let report = site.ingest(&copy);
    assert_eq!((report.sources, report.seen, report.indexed, report.duplicate, report.skipped), (3, 3, 0, 2, 1));
    assert_eq!(report.written, 3, "question, reply and their pair");
    let rewritten = site.store.upserted.load(Ordering::SeqCst) - before;
    assert!((3..20).contains(&rewritten), "{rewritten}");
    let added: Vec<MailboxId> = site.pipeline.ledger.mailboxes(&tenant()).unwrap().into_iter().map(|m| m.id).collect();
    assert_eq!(added.len(), 6);
    assert_eq!(site.records(Pool::ReplyPair).iter().filter(|record| record.mailboxes.len() == 2).count(), 7);
}

#[test]
fn another_model_makes_the_index_anew_and_leaves_nothing_of_the_old_one() {
    let folder = tempfile::tempdir().unwrap();
    let paths = mailboxes::write(&folder.path().join("mail"), PLAN);
    let data = folder.path().join("data");
    let mut site = Site::open(&data);
    site.pipeline.embedder = None;
    let words_only = site.ingest(&paths);
    assert_eq!(words_only.index_version, site.pipeline.index_version());
    assert!(site.pipeline.index_version().starts_with("text-only-"));
    assert!(site.records(Pool::Passage).iter().all(|record| record.vector.is_none()));

    let mut small = HashEmbedder::new(Fuse::parse("none:0"));
    (small.id, small.max_tokens) = ("hash/long".to_owned(), 4096);
    site.pipeline.config.max_chunk_tokens = 400;
    site.pipeline.embedder = Some(Arc::new(small));
    let embedded = site.ingest(&paths);
    assert!(embedded.index_version.starts_with("hash-long-"));
    assert!(embedded.chunks < words_only.chunks, "longer chunks are fewer");
    let passages = site.records(Pool::Passage);
    assert_eq!(passages.len() as u64, embedded.chunks, "no record of the old version is left");
    assert!(passages.iter().all(|record| record.vector.is_some()));
    assert_eq!(site.ingest(&paths).written, 0);
}

#[test]
fn configured_ownership_wins_and_changes_records() {
    let folder = tempfile::tempdir().unwrap();
    let paths = mailboxes::write(&folder.path().join("mail"), PLAN);
    let site = Site::open(&folder.path().join("data"));
    site.ingest(&paths);
    let theirs = Ownership { domains: vec!["else.example".to_owned()], addresses: Vec::new() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let report = runtime.block_on(site.pipeline.ingest(&tenant(), &[], &theirs, &())).unwrap();
    assert_eq!(report.sources, 3, "without paths the report is about all mailboxes");
    assert!(report.pending == 0 && report.written > 0);
    for record in site.records(Pool::Passage) {
        // Anna's lie in the sent file, which tells it too.
        assert_eq!(record.direction, Direction::Outbound, "{:?}", record.author);
    }
    assert_eq!(site.records(Pool::ReplyPair).len() as u64, report.pairs, "pairs that are no more are deleted");
}

/// Cancels in a phase, and keeps what it saw.
struct Canceller {
    phase: Phase,
    calls: AtomicU64,
    seen: Mutex<Vec<Progress>>,
}

impl Observer for Canceller {
    fn progress(&self, progress: &Progress) {
        self.calls.fetch_add(1, Ordering::SeqCst);
        self.seen.lock().unwrap().push(*progress);
    }

    fn cancelled(&self) -> bool {
        self.seen.lock().unwrap().last().is_some_and(|progress| progress.phase >= self.phase)
    }
}

#[test]
fn a_cancelled_run_says_so_and_the_next_one_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let paths = mailboxes::write(&folder.path().join("mail"), Plan { first: 0, last: 400 });
    let clean = Site::open(&folder.path().join("clean"));
    let clean_report = account(clean.ingest(&paths));
    let site = Site::open(&folder.path().join("data"));
    let canceller = Canceller { phase: Phase::Reading, calls: AtomicU64::new(0), seen: Mutex::default() };
    let report = site.ingest_watched(&paths, &canceller);
    assert!(report.cancelled && report.pending > 0, "{report:?}");
    assert!(report.seen < clean_report.seen);
    assert!(canceller.calls.load(Ordering::SeqCst) >= 2);
    assert_eq!(account(site.ingest(&paths)), clean_report);
    assert!(site.state() == clean.state());
}

#[test]
fn two_ingests_of_a_tenant_do_not_mix() {
    let folder = tempfile::tempdir().unwrap();
    let site = Site::open(&folder.path().join("data"));
    let _held = site.pipeline.ledger.lock_ingest(&tenant()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let result = runtime.block_on(site.pipeline.ingest(&tenant(), &[], &Ownership::default(), &()));
    assert!(matches!(result, Err(IngestError::Ledger(LedgerError::Busy))));
}

//! What an ingest tells while it runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rejoinder_ledger::ReadCounts;

/// What an ingest is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Looking for mailboxes.
    Discovering,
    /// Reading items into the ledger.
    Reading,
    /// Finding conversations and reply pairs.
    Threading,
    /// Embedding and writing to the store.
    Indexing,
    /// Bringing the store's indexes up to date.
    Optimizing,
}

impl Phase {
    const ALL: [Self; 5] = [Self::Discovering, Self::Reading, Self::Threading, Self::Indexing, Self::Optimizing];

    /// A word for a progress bar or a log line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Discovering => "discovering",
            Self::Reading => "reading",
            Self::Threading => "threading",
            Self::Indexing => "indexing",
            Self::Optimizing => "optimizing",
        }
    }
}

/// How far an ingest is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Progress {
    /// What it is doing.
    pub phase: Phase,
    /// Mailboxes read to their end.
    pub mailboxes_done: u64,
    /// Mailboxes in all.
    pub mailboxes_total: u64,
    /// Items read in this run.
    pub items: u64,
    /// Of the mailboxes looked at so far, whichever run read them: first copies of messages.
    pub stored: u64,
    /// Further copies.
    pub duplicate: u64,
    /// Items, and files or mailboxes as a whole, that could not be read.
    pub skipped: u64,
    /// Read with losses.
    pub salvaged: u64,
    /// Bytes of the mailboxes read so far, unchanged mailboxes included.
    pub bytes_done: u64,
    /// Bytes of the mailboxes that were opened so far.
    pub bytes_total: u64,
    /// Messages and reply pairs indexed in this run.
    pub units_done: u64,
    /// Messages and reply pairs to be indexed in this run; 0 until that is known.
    pub units_total: u64,
    /// Since the run started.
    pub elapsed: Duration,
    /// Since the phase started: a rate and an ETA are of one phase.
    pub in_phase: Duration,
}

impl Progress {
    /// Units per second of the phase: items while reading, messages and pairs while indexing.
    pub fn rate(&self) -> Option<f64> {
        let done = match self.phase {
            Phase::Reading => self.items,
            Phase::Indexing => self.units_done,
            _ => return None,
        };
        let seconds = self.in_phase.as_secs_f64();
        (seconds > 0.0).then(|| done as f64 / seconds)
    }

    /// How long the phase will go on, if it goes on as before.
    pub fn eta(&self) -> Option<Duration> {
        let (done, total) = match self.phase {
            Phase::Reading => (self.bytes_done, self.bytes_total),
            Phase::Indexing => (self.units_done, self.units_total),
            _ => return None,
        };
        let left = total.saturating_sub(done) as f64 / (done > 0).then_some(done as f64)?;
        Duration::try_from_secs_f64(self.in_phase.as_secs_f64() * left).ok()
    }
}

/// Who watches an ingest. Called some times a second from the task that awaits the ingest.
pub trait Observer: Send + Sync {
    /// How far it is.
    fn progress(&self, progress: &Progress);

    /// Whether to stop. What was done so far stays, and the next run goes on from there.
    fn cancelled(&self) -> bool {
        false
    }
}

/// A token that stops an ingest: give it to [`crate::Pipeline::ingest`] as its observer, or ask it in one. Clones are the same
/// token. The ingest ends within one batch of items or one window of records, and its report says so; the next one goes on.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// Asks to stop.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether somebody asked.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Observer for Cancel {
    fn progress(&self, _progress: &Progress) {}

    fn cancelled(&self) -> bool {
        self.is_cancelled()
    }
}

/// Watches nothing.
impl Observer for () {
    fn progress(&self, _progress: &Progress) {}
}

/// What the working threads count and the awaiting task reads. Lossy and unordered, as progress may be.
#[derive(Debug)]
pub(crate) struct Gauge {
    started: Instant,
    phase: AtomicU8,
    phase_started_ms: AtomicU64,
    cancelled: AtomicBool,
    pub(crate) mailboxes_done: AtomicU64,
    pub(crate) mailboxes_total: AtomicU64,
    pub(crate) items: AtomicU64,
    pub(crate) stored: AtomicU64,
    pub(crate) duplicate: AtomicU64,
    pub(crate) skipped: AtomicU64,
    pub(crate) salvaged: AtomicU64,
    pub(crate) bytes_done: AtomicU64,
    pub(crate) bytes_total: AtomicU64,
    pub(crate) units_done: AtomicU64,
    pub(crate) units_total: AtomicU64,
    pub(crate) embedding_us: AtomicU64,
}

impl Gauge {
    pub(crate) fn new() -> Self {
        Self {
            started: Instant::now(),
            phase: AtomicU8::new(0),
            phase_started_ms: AtomicU64::new(0),
            cancelled: AtomicBool::new(false),
            mailboxes_done: AtomicU64::new(0),
            mailboxes_total: AtomicU64::new(0),
            items: AtomicU64::new(0),
            stored: AtomicU64::new(0),
            duplicate: AtomicU64::new(0),
            skipped: AtomicU64::new(0),
            salvaged: AtomicU64::new(0),
            bytes_done: AtomicU64::new(0),
            bytes_total: AtomicU64::new(0),
            units_done: AtomicU64::new(0),
            units_total: AtomicU64::new(0),
            embedding_us: AtomicU64::new(0),
        }
    }

    /// Takes what was read into account.
    pub(crate) fn count(&self, counts: &ReadCounts) {
        add(&self.stored, counts.stored);
        add(&self.duplicate, counts.duplicate);
        add(&self.skipped, counts.skipped);
        add(&self.salvaged, counts.salvaged);
    }

    pub(crate) fn enter(&self, phase: Phase) {
        self.phase_started_ms.store(self.started.elapsed().as_millis() as u64, Ordering::Relaxed);
        self.phase.store(phase as u8, Ordering::Relaxed);
    }

    pub(crate) fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }

    pub(crate) fn embedding_seconds(&self) -> f64 {
        Duration::from_micros(self.embedding_us.load(Ordering::Relaxed)).as_secs_f64()
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    pub(crate) fn progress(&self) -> Progress {
        let value = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let elapsed = self.started.elapsed();
        let phase = usize::from(self.phase.load(Ordering::Relaxed));
        Progress {
            phase: Phase::ALL.get(phase).copied().unwrap_or(Phase::Discovering),
            mailboxes_done: value(&self.mailboxes_done),
            mailboxes_total: value(&self.mailboxes_total),
            items: value(&self.items),
            stored: value(&self.stored),
            duplicate: value(&self.duplicate),
            skipped: value(&self.skipped),
            salvaged: value(&self.salvaged),
            bytes_done: value(&self.bytes_done),
            bytes_total: value(&self.bytes_total),
            units_done: value(&self.units_done),
            units_total: value(&self.units_total),
            elapsed,
            in_phase: elapsed.saturating_sub(Duration::from_millis(value(&self.phase_started_ms))),
        }
    }
}

/// Adds to a counter.
pub(crate) fn add(counter: &AtomicU64, amount: u64) {
    counter.fetch_add(amount, Ordering::Relaxed);
}

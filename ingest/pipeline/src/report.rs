//! The account of an ingest.

use rejoinder_domain::Skipped;
use serde::{Deserialize, Serialize};

/// What `rejoinder ingest --json` prints: the state of the mailboxes that were named, whichever run did the work, so that
/// a run that continues a killed one reports what a clean run would have. `seen = indexed + duplicate + skipped + pending`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct IngestReport {
    /// Mailboxes found under the paths.
    pub sources: u64,
    /// Items in them; a path or mailbox that cannot be opened counts as one.
    pub seen: u64,
    /// First copies of messages, in the index.
    pub indexed: u64,
    /// Further copies.
    pub duplicate: u64,
    /// Not readable, each with a reason.
    pub skipped: u64,
    /// Read with losses.
    pub salvaged: u64,
    /// First copies of messages that are not in the index yet: 0 unless the run was cancelled.
    pub pending: u64,
    /// Conversations of the tenant.
    pub threads: u64,
    /// Reply pairs of the tenant.
    pub pairs: u64,
    /// Passages of the tenant in the index.
    pub chunks: u64,
    /// Items that this run read; the others were known.
    pub read: u64,
    /// Messages and reply pairs that this run wrote to the index.
    pub written: u64,
    /// Copies that were in a mailbox when it was last read, and are not any more.
    pub vanished: u64,
    /// Whether the run was stopped before its end.
    pub cancelled: bool,
    /// Wall time.
    pub seconds: f64,
    /// Wall time of the first phase: mailboxes into the ledger.
    pub reading_seconds: f64,
    /// Wall time of the second phase: directions, conversations, pairs.
    pub threading_seconds: f64,
    /// Wall time of the third phase: what was pending into the store, the model's time included.
    pub indexing_seconds: f64,
    /// Wall time in which the embedding model was at work.
    pub embedding_seconds: f64,
    /// The most memory that the process held, in bytes; 0 where the system does not tell.
    pub peak_rss_bytes: u64,
    /// What the index was made with.
    pub index_version: String,
    /// The skipped items, up to a limit.
    pub skips: Vec<Skipped>,
    /// What was lost of salvaged items, up to a limit.
    pub losses: Vec<Skipped>,
}

/// The most memory that this process held so far, from `/proc/self/status` (`VmHWM`, proc(5)).
pub(crate) fn peak_rss_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|kilobytes| kilobytes.parse::<u64>().ok()).unwrap_or(0) * 1024
}

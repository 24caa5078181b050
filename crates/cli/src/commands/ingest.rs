//! `rejoinder ingest`: a progress bar on a terminal, log lines otherwise, and the account at the end.

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::bail;
use indicatif::{ProgressBar, ProgressStyle};
use rejoinder::{IngestReport, Observer, Phase, Progress};

use super::{Outcome, open_without_language_model};
use crate::settings::Settings;

/// Log lines of a run that no person watches, seconds apart.
const LOG_EVERY: Duration = Duration::from_secs(10);

pub(crate) async fn run(settings: Settings, paths: &[PathBuf], json: bool) -> anyhow::Result<Outcome> {
    let rejoinder = open_without_language_model(settings).await?;
    let display = Display::new(std::io::stderr().is_terminal());
    let ingest = rejoinder.ingest(rejoinder.default_tenant(), paths, &display);
    tokio::pin!(ingest);
    let report = tokio::select! {
        report = &mut ingest => report?,
        _ = tokio::signal::ctrl_c() => {
            display.stop.store(true, Ordering::Relaxed);
            ingest.await?
        }
    };
    display.finish();
    if json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        print(&report);
    }
    if report.cancelled {
        bail!("stopped; what was done stays, and the next run goes on from there");
    }
    Ok(if report.skipped == 0 { Outcome::Complete } else { Outcome::WithSkips })
}

fn print(report: &IngestReport) {
    println!(
        "{} items in {} mailboxes: {} indexed, {} duplicate, {} skipped{}",
        report.seen,
        report.sources,
        report.indexed,
        report.duplicate,
        report.skipped,
        if report.pending > 0 { format!(", {} not indexed yet", report.pending) } else { String::new() },
    );
    println!(
        "{} conversations, {} reply pairs, {} passages; this run read {} items in {:.1} s, {:.1} s of them embedding",
        report.threads, report.pairs, report.chunks, report.read, report.seconds, report.embedding_seconds
    );
    if report.vanished > 0 {
        println!("{} copies are no longer in their mailbox", report.vanished);
    }
    list("could not be read", report.skipped, &report.skips);
    list("read with losses", report.salvaged, &report.losses);
}

fn list(what: &str, count: u64, places: &[rejoinder::Skipped]) {
    if places.is_empty() {
        return;
    }
    println!("{what}:");
    for skipped in places {
        println!("  {}: {}", skipped.place, skipped.reason);
    }
    if count > places.len() as u64 {
        println!("  ... and more; `rejoinder status --skipped` lists them all");
    }
}

struct Display {
    bar: Option<ProgressBar>,
    stop: AtomicBool,
    last_log: Mutex<Option<(Phase, Instant)>>,
}

impl Display {
    fn new(terminal: bool) -> Self {
        let bar = terminal.then(|| {
            let bar = ProgressBar::new(0);
            if let Ok(style) = ProgressStyle::with_template("{prefix:>11} [{bar:32}] {percent:>3}% {msg}") {
                bar.set_style(style);
            }
            bar
        });
        Self { bar, stop: AtomicBool::new(false), last_log: Mutex::new(None) }
    }

    fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    /// Whether a log line is due: at every new phase, then every [`LOG_EVERY`].
    fn log_is_due(&self, phase: Phase) -> bool {
        let Ok(mut last) = self.last_log.lock() else { return false };
        let due = last.is_none_or(|(logged, at)| logged != phase || at.elapsed() >= LOG_EVERY);
        if due {
            *last = Some((phase, Instant::now()));
        }
        due
    }
}

impl Observer for Display {
    fn progress(&self, progress: &Progress) {
        let (done, total) = match progress.phase {
            Phase::Reading => (progress.bytes_done, progress.bytes_total),
            Phase::Indexing => (progress.units_done, progress.units_total),
            _ => (0, 0),
        };
        let rate = progress.rate().map(|rate| format!("{rate:.0}/s")).unwrap_or_default();
        let eta = progress.eta().map(|eta| format!("{} s left", eta.as_secs())).unwrap_or_default();
        let items = progress.items;
        if let Some(bar) = &self.bar {
            bar.set_prefix(progress.phase.as_str());
            bar.set_length(total);
            bar.set_position(done);
            bar.set_message(format!("{items} items read  {rate}  {eta}"));
        } else if self.log_is_due(progress.phase) {
            tracing::info!(
                phase = progress.phase.as_str(),
                mailboxes = progress.mailboxes_done,
                of_mailboxes = progress.mailboxes_total,
                items,
                done,
                total,
                rate,
                eta,
                "ingest"
            );
        }
    }

    fn cancelled(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

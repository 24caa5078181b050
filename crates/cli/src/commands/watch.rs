//! `rejoinder watch`: takes in what appears in a folder.

use std::collections::HashSet;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use jiff::Timestamp;
use rejoinder::{JobState, WatchConfig};
use serde_json::json;

use super::{Outcome, open_without_language_model};
use crate::settings::Settings;

/// Jobs that are told of at a time.
const PAGE: u32 = 100;

pub(crate) async fn run(
    settings: Settings,
    dir: &Path,
    every: u64,
    once: bool,
    as_json: bool,
) -> anyhow::Result<Outcome> {
    let rejoinder = open_without_language_model(settings).await?;
    let tenant = rejoinder.default_tenant().clone();
    let poll = Duration::from_secs(every);
    // With --once nothing is expected to grow any more.
    let settle = if once { Duration::ZERO } else { poll.max(WatchConfig::default().settle) };
    let config =
        WatchConfig { poll: if once { Duration::from_millis(200) } else { poll }, settle, ..WatchConfig::default() };
    let begun = Timestamp::now();
    rejoinder.start_jobs().await?;
    let watch =
        rejoinder.watch(&tenant, dir, config).await.with_context(|| format!("cannot watch {}", dir.display()))?;
    tracing::info!(every, "watching; interrupt to end");
    let mut told: HashSet<String> = HashSet::new();
    let mut quiet = 0;
    let mut outcome = Outcome::Complete;
    let mut interrupted = std::pin::pin!(tokio::signal::ctrl_c());
    loop {
        tokio::select! {
            signal = &mut interrupted => { signal?; break }
            () = tokio::time::sleep(Duration::from_millis(500)) => {}
        }
        for job in rejoinder.jobs(&tenant, None, PAGE).await?.jobs.into_iter().rev() {
            if !job.state.is_final() || !told.insert(job.id.clone()) || job.created < begun {
                continue;
            }
            if job.state == JobState::Failed {
                outcome = Outcome::WithSkips;
            }
            let counts = job.progress.clone().unwrap_or_default();
            if as_json {
                let line = json!({ "job": job.id, "name": job.name, "state": job.state, "progress": counts, "error": job.error });
                println!("{line}");
            } else {
                let of = |name: &str| counts.get(name).and_then(serde_json::Value::as_u64).unwrap_or_default();
                println!(
                    "{} {}: {} seen, {} indexed, {} duplicate, {} skipped{}",
                    job.state.as_str(),
                    job.name,
                    of("seen"),
                    of("indexed"),
                    of("duplicate"),
                    of("skipped"),
                    job.error.map(|error| format!(" ({error})")).unwrap_or_default()
                );
            }
        }
        quiet = if rejoinder.job_load() == (0, 0) { quiet + 1 } else { 0 };
        if once && quiet > 4 {
            break;
        }
    }
    watch.stop().await;
    rejoinder.close().await;
    Ok(outcome)
}

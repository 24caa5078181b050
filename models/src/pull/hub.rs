//! Files of a model from the model hub, resumed where a broken pull ended.

use std::io::Write;
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::Duration;

use futures::StreamExt;
use hf_hub::HFClient;
use tokio::time::timeout;

use super::PullEvent;
use super::staging::Staging;
use crate::manifest::{FileEntry, ModelEntry};

/// How long the hub may take for its first answer before it counts as out of reach: a closed network often drops packets
/// instead of refusing them.
const FIRST_ANSWER: Duration = Duration::from_secs(8);

/// How long a later answer or a piece of a file may take.
const STALLED: Duration = Duration::from_mins(1);

/// Fetches every file that is not staged in full. Runs its own runtime on its own thread, so that it can be called from
/// anywhere; events come back to the calling thread.
pub(super) fn fetch(entry: &ModelEntry, staging: &Staging, progress: &dyn Fn(PullEvent)) -> Result<(), String> {
    if hub_is_off() {
        return Err("HF_HUB_OFFLINE is set".to_owned());
    }
    let (events, received) = channel();
    thread::scope(|scope| {
        let work = scope.spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .map_err(|error| format!("no runtime: {error}"))?;
            runtime.block_on(fetch_all(entry, staging, &events))
        });
        for event in received {
            progress(event);
        }
        work.join().map_err(|_| "the download panicked".to_owned())?
    })
}

/// The Python library's values for "yes".
fn hub_is_off() -> bool {
    std::env::var("HF_HUB_OFFLINE")
        .is_ok_and(|value| matches!(value.to_ascii_uppercase().as_str(), "1" | "ON" | "YES" | "TRUE"))
}

async fn fetch_all(entry: &ModelEntry, staging: &Staging, events: &Sender<PullEvent>) -> Result<(), String> {
    // The cache of hf-hub is not used: the store is the only copy.
    let client = HFClient::builder()
        .cache_enabled(false)
        .retry_max_attempts(2)
        .build()
        .map_err(|error| format!("cannot set up: {}", chain(&error)))?;
    let mut patience = FIRST_ANSWER;
    for file in &entry.files {
        fetch_file(&client, entry, file, Staged { staging, events, patience }).await?;
        patience = STALLED;
    }
    Ok(())
}

/// What one file's download needs besides the client.
#[derive(Clone, Copy)]
struct Staged<'a> {
    staging: &'a Staging,
    events: &'a Sender<PullEvent>,
    patience: Duration,
}

async fn fetch_file(client: &HFClient, entry: &ModelEntry, file: &FileEntry, staged: Staged<'_>) -> Result<(), String> {
    let mut have = staged.staging.have(file);
    staged.report(file, have);
    if have == file.bytes && have > 0 {
        return Ok(());
    }
    let (owner, name) = entry.hub.repo.split_once('/').unwrap_or(("", &entry.hub.repo));
    let repository = client.model(owner, name);
    let request = repository.download_file_stream().filename(file.name.clone()).revision(entry.hub.revision.clone());
    let range = (have > 0).then_some(have..file.bytes);
    let answer = timeout(staged.patience, request.maybe_range(range).send())
        .await
        .map_err(|_| format!("no answer within {} s", staged.patience.as_secs()))?;
    let (length, mut pieces) = answer.map_err(|error| format!("{}: {}", file.name, chain(&error)))?;
    if length.is_some_and(|length| have > 0 && length == file.bytes) {
        // The server does not do ranges and sends the whole file.
        have = 0;
    }
    if let Some(length) = length.filter(|length| *length != file.bytes - have) {
        return Err(format!("{} is {} bytes long there, should be {}", file.name, length + have, file.bytes));
    }
    let mut target = staged.staging.append(file, have)?;
    loop {
        let piece = timeout(STALLED, pieces.next()).await.map_err(|_| format!("{} stalled", file.name))?;
        let Some(piece) = piece else { break };
        let piece = piece.map_err(|error| format!("{} broke off at {have} bytes: {}", file.name, chain(&error)))?;
        have += piece.len() as u64;
        if have > file.bytes {
            staged.staging.discard(file);
            return Err(format!("{} is longer there than {} bytes", file.name, file.bytes));
        }
        target.write_all(&piece).map_err(|error| format!("{}: {error}", file.name))?;
        staged.report(file, have);
    }
    if have < file.bytes {
        return Err(format!(
            "{} broke off at {have} of {} bytes; pull again to go on from there",
            file.name, file.bytes
        ));
    }
    Ok(())
}

impl Staged<'_> {
    fn report(&self, file: &FileEntry, done: u64) {
        // The receiver outlives the sender; were it gone, nobody would want to know.
        let _ = self.events.send(PullEvent::File { name: file.name.clone(), done, total: file.bytes });
    }
}

/// An error with its causes: the cause names what was refused.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

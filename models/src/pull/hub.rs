//! Files of a model from the model hub, resumed where a broken pull ended.

use std::io::Write;
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::Duration;

use futures::StreamExt;
use hf_hub::HFClient;
use hf_hub::repository::{HFRepository, RepoTreeEntry, RepoTypeModel};
use tokio::time::timeout;

use super::PullEvent;
use super::proof::{Expected, Proof};
use super::staging::Staging;
use crate::manifest::{FileEntry, ModelEntry};

/// How long the hub may take for its first answer before it counts as out of reach: a closed network often drops packets
/// instead of refusing them.
const FIRST_ANSWER: Duration = Duration::from_secs(8);

/// How long a later answer or a piece of a file may take.
const STALLED: Duration = Duration::from_mins(1);

/// Fetches every file that is not staged in full, and says what each must be. Runs its own runtime on its own thread, so that it can be called from
/// anywhere; events come back to the calling thread.
pub(super) fn fetch(
    entry: &ModelEntry,
    staging: &Staging,
    progress: &dyn Fn(PullEvent),
) -> Result<Vec<Expected>, String> {
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

async fn fetch_all(entry: &ModelEntry, staging: &Staging, events: &Sender<PullEvent>) -> Result<Vec<Expected>, String> {
    // The cache of hf-hub is not used: the store is the only copy.
    let client = HFClient::builder()
        .cache_enabled(false)
        .retry_max_attempts(2)
        .build()
        .map_err(|error| format!("cannot set up: {}", chain(&error)))?;
    let (owner, name) = entry.hub.repo.split_once('/').unwrap_or(("", &entry.hub.repo));
    let repository = client.model(owner, name);
    let mut patience = FIRST_ANSWER;
    let source = format!("{}@{}", entry.hub.repo, entry.hub.revision);
    let mut expected: Vec<Option<Expected>> = entry.files.iter().map(|file| Expected::pinned(file, &source)).collect();
    if expected.iter().any(Option::is_none) {
        let listed = ask(&repository, entry, patience).await?;
        patience = STALLED;
        for (file, slot) in entry.files.iter().zip(&mut expected).filter(|(_, slot)| slot.is_none()) {
            let found = listed.iter().find_map(|listed| of_listed(listed, file.hub_path(), &source));
            *slot = Some(found.ok_or_else(|| format!("{} is not in {source}", file.hub_path()))?);
        }
    }
    let expected: Vec<Expected> = expected.into_iter().flatten().collect();
    for (file, expected) in entry.files.iter().zip(&expected) {
        let staged = Staged { staging, events, patience, bytes: expected.bytes.unwrap_or_default() };
        fetch_file(&repository, entry, file, staged).await?;
        patience = STALLED;
    }
    Ok(expected)
}

/// What the hub says about the files whose digest the manifest does not know.
///
/// The digest of a large file stands in a header of a redirect that the client follows, and in a field that it does not
/// read. What it does read is the id of the git object, which names the digest.
async fn ask(
    repository: &HFRepository<RepoTypeModel>,
    entry: &ModelEntry,
    patience: Duration,
) -> Result<Vec<RepoTreeEntry>, String> {
    let unknown = entry.files.iter().filter(|file| file.pinned().is_none());
    let paths = unknown.map(|file| file.hub_path().to_owned()).collect();
    let request = repository.get_paths_info().paths(paths).revision(entry.hub.revision.clone());
    let answer = timeout(patience, request.send()).await;
    let answer = answer.map_err(|_| format!("no answer within {} s", patience.as_secs()))?;
    answer.map_err(|error| format!("{} cannot be asked what its files are: {}", entry.hub.repo, chain(&error)))
}

fn of_listed(listed: &RepoTreeEntry, path: &str, source: &str) -> Option<Expected> {
    let RepoTreeEntry::File { oid, size, path: found, lfs, .. } = listed else { return None };
    if found != path {
        return None;
    }
    let proof = match lfs {
        Some(lfs) => lfs.sha256.clone().map_or_else(|| Proof::LfsPointer(oid.clone()), Proof::Sha256),
        None => Proof::GitBlob(oid.clone()),
    };
    Some(Expected { bytes: Some(*size), proof, source: source.to_owned() })
}

/// What one file's download needs besides the client.
#[derive(Clone, Copy)]
struct Staged<'a> {
    staging: &'a Staging,
    events: &'a Sender<PullEvent>,
    patience: Duration,
    /// The file's length.
    bytes: u64,
}

async fn fetch_file(
    repository: &HFRepository<RepoTypeModel>,
    entry: &ModelEntry,
    file: &FileEntry,
    staged: Staged<'_>,
) -> Result<(), String> {
    let bytes = staged.bytes;
    let mut have = staged.staging.have(file, bytes);
    staged.report(file, have);
    if have == bytes && have > 0 {
        return Ok(());
    }
    let request =
        repository.download_file_stream().filename(file.hub_path().to_owned()).revision(entry.hub.revision.clone());
    let range = (have > 0).then_some(have..bytes);
    let answer = timeout(staged.patience, request.maybe_range(range).send())
        .await
        .map_err(|_| format!("no answer within {} s", staged.patience.as_secs()))?;
    let (length, mut pieces) = answer.map_err(|error| format!("{}: {}", file.name, chain(&error)))?;
    if length.is_some_and(|length| have > 0 && length == bytes) {
        // The server does not do ranges and sends the whole file.
        have = 0;
    }
    if let Some(length) = length.filter(|length| *length != bytes - have) {
        return Err(format!("{} is {} bytes long there, should be {}", file.name, length + have, bytes));
    }
    let mut target = staged.staging.append(file, have)?;
    loop {
        let piece = timeout(STALLED, pieces.next()).await.map_err(|_| format!("{} stalled", file.name))?;
        let Some(piece) = piece else { break };
        let piece = piece.map_err(|error| format!("{} broke off at {have} bytes: {}", file.name, chain(&error)))?;
        have += piece.len() as u64;
        if have > bytes {
            staged.staging.discard(file);
            return Err(format!("{} is longer there than {} bytes", file.name, bytes));
        }
        target.write_all(&piece).map_err(|error| format!("{}: {error}", file.name))?;
        staged.report(file, have);
    }
    if have < bytes {
        return Err(format!("{} broke off at {have} of {} bytes; pull again to go on from there", file.name, bytes));
    }
    Ok(())
}

impl Staged<'_> {
    fn report(&self, file: &FileEntry, done: u64) {
        // The receiver outlives the sender; were it gone, nobody would want to know.
        let _ = self.events.send(PullEvent::File { name: file.name.clone(), done, total: self.bytes });
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

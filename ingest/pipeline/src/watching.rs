//! A folder that is watched: what is put there is ingested.
//!
//! The folder is looked through again and again. Events of the file system would be quicker, but network shares do not
//! deliver them reliably and queues of events overflow; whoever misses none needs the looking anyway.
//!
//! A file is taken when its size and time stood still for a while, so that one that is still being copied is left alone; a
//! Maildir when the list of its messages did, or after [`WatchConfig::patience`], since mail may never stop coming. Names
//! that are hidden or temporary are passed over, and so is every symbolic link: nothing outside the folder is read. A file
//! whose content changes later is taken again, and reading is idempotent.
//!
//! What was taken is known by the id of its job, which is made of path, size, time and the first and last bytes: the ledger
//! has no two jobs of one id. So neither a restart nor a second watcher takes a file twice. Nothing is moved or deleted.
//!
//! Each file is a job of its own. Where single messages come by the thousand, a Maildir is the better place: it is one.

use std::collections::HashMap;
use std::fs::{self, File, Metadata};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rejoinder_domain::TenantId;
use rejoinder_ledger::{JobSource, LedgerError};
use tokio::sync::watch;

use crate::jobs::{JobOrder, id_of};
use crate::{IngestError, JobRunner};

/// How deep folders are looked into.
const MAX_DEPTH: usize = 16;

/// Most files that one look takes in; the others come at the next.
const MAX_TAKEN: usize = 1000;

/// How much of a file's head and tail goes into its fingerprint, in bytes.
const FINGERPRINT_BYTES: u64 = 4096;

/// How a folder is watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchConfig {
    /// Time between two looks.
    pub poll: Duration,
    /// How long size and time must have stood still.
    pub settle: Duration,
    /// After how long a Maildir is taken although it keeps changing.
    pub patience: Duration,
}

impl Default for WatchConfig {
    fn default() -> Self {
        Self { poll: Duration::from_secs(10), settle: Duration::from_secs(20), patience: Duration::from_mins(5) }
    }
}

/// A folder being watched. Dropping it stops the watching at the next look; jobs that were queued go on.
pub struct Watch {
    stop: watch::Sender<bool>,
    task: tokio::task::JoinHandle<()>,
}

impl Watch {
    /// Starts watching `folder` for `tenant`.
    ///
    /// # Errors
    /// [`IngestError::Config`] where the folder cannot be read, or the times make no sense.
    pub fn start(runner: JobRunner, tenant: TenantId, folder: &Path, config: WatchConfig) -> Result<Self, IngestError> {
        if config.poll.is_zero() {
            return Err(IngestError::Config("the time between two looks at a watched folder is 0".to_owned()));
        }
        let folder =
            fs::canonicalize(folder).and_then(|folder| fs::read_dir(&folder).map(|_| folder)).map_err(|error| {
                IngestError::Config(format!("the folder to be watched cannot be read: {}", error.kind()))
            })?;
        let (stop, mut stopped) = watch::channel(false);
        let task = tokio::spawn(async move {
            let poll = config.poll;
            let mut looker = Looker { runner, tenant, folder, config, seen: HashMap::new() };
            let mut tick = tokio::time::interval(poll);
            tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                tokio::select! {
                    _ = tick.tick() => looker = looker.look().await,
                    _ = stopped.changed() => return,
                }
            }
        });
        Ok(Self { stop, task })
    }

    /// Stops watching, and waits until it has.
    pub async fn stop(self) {
        let _ = self.stop.send(true);
        let _ = self.task.await;
    }
}

/// What is taken as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Item {
    path: PathBuf,
    maildir: bool,
    bytes: u64,
    /// Changes with the content, as far as names, sizes and times tell.
    state: String,
}

/// What was seen of an item.
struct Seen {
    state: String,
    first: Instant,
    since: Instant,
    taken: bool,
}

struct Looker {
    runner: JobRunner,
    tenant: TenantId,
    folder: PathBuf,
    config: WatchConfig,
    seen: HashMap<PathBuf, Seen>,
}

impl Looker {
    async fn look(mut self) -> Self {
        let folder = self.folder.clone();
        let looked = tokio::task::spawn_blocking(move || items(&folder)).await;
        let Ok(items) = looked else { return self };
        let now = Instant::now();
        self.seen.retain(|path, _| items.iter().any(|item| item.path == *path));
        let mut taken = 0;
        for item in items {
            let ready = self.is_ready(&item, now);
            if ready && taken < MAX_TAKEN {
                taken += 1;
                if self.take(&item).await
                    && let Some(seen) = self.seen.get_mut(&item.path)
                {
                    seen.taken = true;
                    seen.first = Instant::now();
                }
            }
        }
        self
    }

    fn is_ready(&mut self, item: &Item, now: Instant) -> bool {
        let fresh = || Seen { state: item.state.clone(), first: now, since: now, taken: false };
        let seen = self.seen.entry(item.path.clone()).or_insert_with(fresh);
        if seen.state != item.state {
            if seen.taken {
                seen.first = now;
            }
            seen.state.clone_from(&item.state);
            seen.since = now;
            seen.taken = false;
        }
        let settled = now.duration_since(seen.since) >= self.config.settle;
        let patience = item.maildir && now.duration_since(seen.first) >= self.config.patience;
        !seen.taken && (settled || patience)
    }

    /// Orders the job. Whether the item needs no further look until it changes.
    async fn take(&self, item: &Item) -> bool {
        let (path, maildir, state) = (item.path.clone(), item.maildir, item.state.clone());
        let marked = tokio::task::spawn_blocking(move || fingerprint(&path, maildir, &state)).await;
        // It went away or cannot be read yet; the next look sees.
        let Ok(Ok(id)) = marked else { return false };
        let name = item.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let order = JobOrder {
            id,
            tenant: self.tenant.clone(),
            source: JobSource::Watch,
            name,
            path: item.path.clone(),
            bytes: Some(item.bytes),
        };
        match self.runner.submit(order).await {
            Ok(job) => {
                tracing::info!(tenant = %self.tenant, job = job.id, "a watched folder has something new");
                true
            }
            Err(IngestError::Ledger(LedgerError::Exists(_))) => true,
            // A path that is not Unicode will not become it.
            Err(IngestError::Refused(_)) => {
                tracing::warn!(tenant = %self.tenant, "a watched folder has a file whose name is not Unicode; it is passed over");
                true
            }
            Err(error) => {
                tracing::warn!(tenant = %self.tenant, kind = error.kind().outcome(), "a job of a watched folder could not be queued");
                false
            }
        }
    }
}

/// Everything in the folder that could be taken, by path. What cannot be read is not there yet.
fn items(folder: &Path) -> Vec<Item> {
    if is_maildir(folder) {
        return maildir(folder.to_owned()).into_iter().collect();
    }
    let mut found = Vec::new();
    let mut stack = vec![(folder.to_owned(), 0)];
    while let Some((folder, depth)) = stack.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for entry in entries.filter_map(Result::ok) {
            let path = entry.path();
            // Of the entry itself: a link is no file and no folder.
            let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
            if is_passed_over(&path) {
                continue;
            }
            if metadata.is_file() {
                let state = state_of(&metadata);
                found.push(Item { path, maildir: false, bytes: metadata.len(), state });
            } else if metadata.is_dir() {
                if is_maildir(&path) {
                    found.extend(maildir(path));
                } else if depth < MAX_DEPTH {
                    stack.push((path, depth + 1));
                }
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

/// A Maildir as one item; `None` where a link is in it, which reading would follow.
fn maildir(root: PathBuf) -> Option<Item> {
    let mut files: Vec<(PathBuf, u64, String)> = Vec::new();
    let mut stack = vec![(root.clone(), 0)];
    while let Some((folder, depth)) = stack.pop() {
        for entry in fs::read_dir(&folder).ok()?.filter_map(Result::ok) {
            let path = entry.path();
            let metadata = fs::symlink_metadata(&path).ok()?;
            if metadata.is_symlink() {
                tracing::warn!("a Maildir in a watched folder has a symbolic link in it; it is not taken");
                return None;
            }
            if metadata.is_dir() && depth < MAX_DEPTH && path.file_name().is_none_or(|name| name != "tmp") {
                stack.push((path, depth + 1));
            } else if metadata.is_file() && (folder.ends_with("cur") || folder.ends_with("new")) {
                files.push((path, metadata.len(), state_of(&metadata)));
            }
        }
    }
    files.sort_unstable();
    let bytes = files.iter().map(|(_, bytes, _)| bytes).sum();
    let parts: Vec<&[u8]> =
        files.iter().flat_map(|(path, _, state)| [path.as_os_str().as_encoded_bytes(), state.as_bytes()]).collect();
    Some(Item { state: id_of(&parts), path: root, maildir: true, bytes })
}

fn is_maildir(path: &Path) -> bool {
    let is_folder = |name| fs::symlink_metadata(path.join(name)).is_ok_and(|metadata| metadata.is_dir());
    is_folder("cur") && is_folder("new")
}

/// Hidden, or named as programs name what they are still writing.
fn is_passed_over(path: &Path) -> bool {
    const ENDINGS: [&str; 8] = ["~", ".part", ".partial", ".tmp", ".temp", ".crdownload", ".download", ".filepart"];
    let name = path.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
    name.starts_with('.') || name.starts_with('~') || ENDINGS.iter().any(|ending| name.ends_with(ending))
}

/// Size and time in nanoseconds.
fn state_of(metadata: &Metadata) -> String {
    let time = metadata.modified().ok().and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
    format!("{}-{}", metadata.len(), time.map_or(0, |time| time.as_nanos()))
}

/// The id of the job that takes this content at this path.
fn fingerprint(path: &Path, maildir: bool, state: &str) -> std::io::Result<String> {
    let mut ends = Vec::new();
    if !maildir {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        std::io::Read::by_ref(&mut file).take(FINGERPRINT_BYTES).read_to_end(&mut ends)?;
        file.seek(SeekFrom::Start(length.saturating_sub(FINGERPRINT_BYTES)))?;
        file.take(FINGERPRINT_BYTES).read_to_end(&mut ends)?;
    }
    Ok(id_of(&[b"watch", path.as_os_str().as_encoded_bytes(), state.as_bytes(), &ends]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn temporary_and_hidden_names_are_passed_over() {
        for name in ["a.pst.part", ".a.mbox", "~$a.pst", "a.mbox~", "A.TMP", "x.crdownload"] {
            assert!(is_passed_over(&Path::new("/watched").join(name)), "{name}");
        }
        for name in ["a.pst", "part.mbox", "a.eml", "a.part.mbox"] {
            assert!(!is_passed_over(&Path::new("/watched").join(name)), "{name}");
        }
    }
}

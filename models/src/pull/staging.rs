//! The folder in which a pull collects files until all of them are right.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use super::{PullError, PullEvent};
use crate::manifest::{FileEntry, ModelEntry};
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

    /// How many bytes of a file a broken download left; more than it may have counts as none.
    #[cfg(feature = "hub")]
    pub(super) fn have(&self, file: &FileEntry) -> u64 {
        let bytes = std::fs::metadata(self.path(file)).map_or(0, |found| found.len());
        if bytes <= file.bytes { bytes } else { 0 }
    }

    /// Opens a file to write at its end, or from its start if `keep` is 0.
    pub(super) fn append(&self, file: &FileEntry, keep: u64) -> Result<File, String> {
        let path = self.path(file);
        let open = OpenOptions::new().create(true).write(true).truncate(keep == 0).append(false).open(&path);
        let mut opened = open.map_err(|error| format!("{}: {error}", path.display()))?;
        std::io::Seek::seek(&mut opened, std::io::SeekFrom::Start(keep)).map_err(|error| error.to_string())?;
        Ok(opened)
    }

    /// Writes a whole file from `content`, which may not be longer than the manifest says.
    pub(super) fn write(&self, file: &FileEntry, content: impl Read) -> Result<(), String> {
        let mut target = self.append(file, 0)?;
        // One byte more than allowed shows that there is more.
        let written = std::io::copy(&mut content.take(file.bytes + 1), &mut target)
            .and_then(|written| target.flush().map(|()| written))
            .map_err(|error| format!("{}: {error}", file.name))?;
        if written != file.bytes {
            self.discard(file);
            return Err(format!("{} is not {} bytes long, as it should be", file.name, file.bytes));
        }
        Ok(())
    }

    /// Removes a file.
    pub(super) fn discard(&self, file: &FileEntry) {
        // If it cannot be removed it fails the digest the next time.
        let _ = std::fs::remove_file(self.path(file));
    }

    /// Compares the digest of every file; a wrong one is removed and named.
    pub(super) fn check(&self, entry: &ModelEntry, progress: &dyn Fn(PullEvent)) -> Result<(), String> {
        let mut wrong = Vec::new();
        for file in &entry.files {
            progress(PullEvent::Verifying { name: file.name.clone() });
            match sha256_of_file(&self.path(file)) {
                Ok((_, sha256)) if sha256 == file.sha256 => {}
                Ok((_, sha256)) => {
                    self.discard(file);
                    wrong.push(format!("SHA-256 of {} is {sha256}, should be {}", file.name, file.sha256));
                }
                Err(error) => wrong.push(format!("{}: {error}", file.name)),
            }
        }
        if wrong.is_empty() { Ok(()) } else { Err(wrong.join("; ")) }
    }

    /// Moves every checked file into the model's folder.
    pub(super) fn install(&self, entry: &ModelEntry, model_folder: &Path) -> Result<(), PullError> {
        for file in &entry.files {
            let (from, to) = (self.path(file), model_folder.join(&file.name));
            let synced = File::open(&from).and_then(|opened| opened.sync_all());
            synced
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

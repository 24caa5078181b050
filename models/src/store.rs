//! Where pulled models lie: `<root>/<model name>/<file>`.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::ModelError;
use crate::manifest::{FileEntry, Manifest, ModelEntry, Task, is_gguf};
use crate::record::DigestRecord;

/// The folder of pulled models.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelStore {
    root: PathBuf,
}

/// A model's files, present on the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelFiles {
    /// The model's name.
    pub name: String,
    /// The folder that holds them.
    pub directory: PathBuf,
    /// Longest input in tokens, special tokens included.
    pub context_tokens: usize,
    /// SHA-256 that the weights must have, where the manifest says so.
    pub weights_sha256: Option<String>,
}

impl ModelFiles {
    /// A model of one's own, not in the manifest: its folder, and its longest input in tokens.
    pub fn unlisted(name: impl Into<String>, directory: impl Into<PathBuf>, context_tokens: usize) -> Self {
        Self { name: name.into(), directory: directory.into(), context_tokens, weights_sha256: None }
    }

    /// The path of one file.
    pub fn path(&self, file: &str) -> PathBuf {
        self.directory.join(file)
    }

    /// The bytes of one file.
    pub fn read(&self, file: &str) -> Result<Vec<u8>, ModelError> {
        let path = self.path(file);
        std::fs::read(&path).map_err(|source| match source.kind() {
            std::io::ErrorKind::NotFound => {
                ModelError::Missing { model: self.name.clone(), path, reason: "the file is not there".to_owned() }
            }
            _ => ModelError::Read { path, source },
        })
    }
}

/// What a check of one file found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileState {
    /// The digest is the manifest's, or what was recorded when the file was first pulled.
    Intact,
    /// There is no such file.
    Absent,
    /// There is one, of another length or with other bytes.
    Different {
        /// Its length.
        bytes: u64,
        /// Its SHA-256.
        sha256: String,
    },
    /// There is one, and neither the manifest nor a record says what it should be.
    Unrecorded {
        /// Its SHA-256.
        sha256: String,
    },
    /// It cannot be read.
    Unreadable(String),
}

/// One file of a [`ModelStore::verify`] report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileCheck {
    /// File name.
    pub name: String,
    /// Where it is or should be.
    pub path: PathBuf,
    /// What was found.
    pub state: FileState,
}

/// One model of [`ModelStore::list`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedModel {
    /// The manifest's entry.
    pub entry: ModelEntry,
    /// Its folder, which need not exist.
    pub directory: PathBuf,
    /// Whether every file is there with its right length. [`ModelStore::verify`] checks the bytes.
    pub present: bool,
}

impl ModelStore {
    /// The store in `root`, which need not exist.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The store of this user: `$REJOINDER_MODELS`, else `rejoinder/models` in the cache folder (`$XDG_CACHE_HOME`, else
    /// `~/.cache`).
    pub fn of_user() -> Self {
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let cache = || {
            set("XDG_CACHE_HOME")
                .filter(|path| path.is_absolute())
                .or_else(|| set("HOME").map(|home| home.join(".cache")))
                .unwrap_or_else(std::env::temp_dir)
        };
        Self::new(set("REJOINDER_MODELS").unwrap_or_else(|| cache().join("rejoinder").join("models")))
    }

    /// The store's folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where the files of `entry` are or will be.
    pub fn directory(&self, entry: &ModelEntry) -> PathBuf {
        self.root.join(&entry.name)
    }

    /// The model's files, if each is there with its right length.
    pub fn locate(&self, entry: &ModelEntry) -> Result<ModelFiles, ModelError> {
        let directory = self.directory(entry);
        for file in &entry.files {
            let path = directory.join(&file.name);
            let reason = match (std::fs::metadata(&path), expected(&directory, file)) {
                (Ok(found), Some((_, bytes))) if found.is_file() && found.len() == bytes => continue,
                (Ok(found), Some((_, bytes))) => format!("has {} bytes, should have {bytes}", found.len()),
                (Ok(_), None) => "no digest of the file was recorded".to_owned(),
                (Err(_), _) => "the file is not there".to_owned(),
            };
            return Err(ModelError::Missing { model: entry.name.clone(), path, reason });
        }
        Ok(ModelFiles {
            name: entry.name.clone(),
            directory,
            context_tokens: entry.context_tokens,
            weights_sha256: entry.file("model.safetensors").and_then(|file| file.sha256.clone()),
        })
    }

    /// The GGUF file of a language model of the manifest, or of one's own: `name_or_path` ends in `.gguf` then.
    ///
    /// Whether the file holds a model that can be run is for the decoder to say.
    pub fn gguf(&self, manifest: &Manifest, name_or_path: &str) -> Result<PathBuf, ModelError> {
        if is_gguf(name_or_path) {
            let path = PathBuf::from(name_or_path);
            return match std::fs::metadata(&path) {
                Ok(found) if found.is_file() => Ok(path),
                Ok(_) => Err(ModelError::Format { path, reason: "is no file".to_owned() }),
                Err(source) => Err(ModelError::Read { path, source }),
            };
        }
        let entry = manifest.get(name_or_path)?;
        let file = entry.gguf().ok_or_else(|| ModelError::Task {
            name: entry.name.clone(),
            is: entry.task.as_str(),
            wanted: Task::Generation.as_str(),
        })?;
        Ok(self.locate(entry)?.path(&file.name))
    }

    /// Reads every file of the model and compares its digest.
    pub fn verify(&self, entry: &ModelEntry) -> Vec<FileCheck> {
        let directory = self.directory(entry);
        let check = |file: &FileEntry| {
            let path = directory.join(&file.name);
            let state = state_of(&path, expected(&directory, file));
            FileCheck { name: file.name.clone(), state, path }
        };
        entry.files.iter().map(check).collect()
    }

    /// Every model of `manifest`, and whether it is here.
    pub fn list(&self, manifest: &Manifest) -> Vec<ListedModel> {
        let list = |entry: &ModelEntry| ListedModel {
            entry: entry.clone(),
            directory: self.directory(entry),
            present: self.locate(entry).is_ok(),
        };
        manifest.models.iter().map(list).collect()
    }
}

/// Digest and length that a file must have: by the manifest, else as recorded.
fn expected(directory: &Path, file: &FileEntry) -> Option<(String, u64)> {
    let recorded = || DigestRecord::read(directory, &file.name).map(|record| (record.sha256, record.bytes));
    file.pinned().map(|(sha256, bytes)| (sha256.to_owned(), bytes)).or_else(recorded)
}

fn state_of(path: &Path, expected: Option<(String, u64)>) -> FileState {
    match (sha256_of_file(path), expected) {
        (Ok((_, sha256)), Some((should, _))) if sha256 == should => FileState::Intact,
        (Ok((bytes, sha256)), Some(_)) => FileState::Different { bytes, sha256 },
        (Ok((_, sha256)), None) => FileState::Unrecorded { sha256 },
        (Err(error), _) if error.kind() == std::io::ErrorKind::NotFound => FileState::Absent,
        (Err(error), _) => FileState::Unreadable(error.to_string()),
    }
}

/// Length and SHA-256 of a file, read in pieces.
pub(crate) fn sha256_of_file(path: &Path) -> std::io::Result<(u64, String)> {
    let mut file = File::open(path)?;
    let mut hasher = Sha256::new();
    let mut piece = vec![0; 1 << 20];
    let mut bytes = 0;
    loop {
        let count = file.read(&mut piece)?;
        let Some(read) = piece.get(..count).filter(|read| !read.is_empty()) else { break };
        hasher.update(read);
        bytes += count as u64;
    }
    Ok((bytes, hex(&hasher.finalize())))
}

/// SHA-256 of `bytes`, as lower-case hexadecimal digits.
#[cfg(any(feature = "candle", feature = "fastembed"))]
pub(crate) fn sha256_of(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(digest: &[u8]) -> String {
    let mut text = String::with_capacity(2 * digest.len());
    for byte in digest {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

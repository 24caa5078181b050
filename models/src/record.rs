//! The digest of a file whose digest the manifest does not know: computed at the first pull, verified from then on.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// What a file was when it was first pulled: `<file name>.digest.json` beside it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DigestRecord {
    /// SHA-256 of its bytes, 64 lower-case hexadecimal digits.
    pub sha256: String,
    /// Its length.
    pub bytes: u64,
    /// Where it came from, for people.
    pub source: String,
}

impl DigestRecord {
    /// Where the record of a file lies.
    pub fn path(model_folder: &Path, file: &str) -> PathBuf {
        model_folder.join(format!("{file}.digest.json"))
    }

    /// The record of a file, if there is one that can be read.
    pub(crate) fn read(model_folder: &Path, file: &str) -> Option<Self> {
        let text = std::fs::read(Self::path(model_folder, file)).ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// Puts the record into the model's folder by one rename from `staging`.
    pub(crate) fn write(&self, staging: &Path, model_folder: &Path, file: &str) -> std::io::Result<()> {
        let draft = Self::path(staging, file);
        std::fs::write(&draft, serde_json::to_vec_pretty(self)?)?;
        std::fs::File::open(&draft)?.sync_all()?;
        std::fs::rename(draft, Self::path(model_folder, file))
    }
}

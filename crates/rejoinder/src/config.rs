//! The configuration of the library: one section per part, every value with a default that suits a laptop.

use std::path::{Path, PathBuf};

use rejoinder_assist::AssistConfig;
use rejoinder_domain::TenantId;
use rejoinder_ledger::UsageOptions;
use rejoinder_mail::direction::Ownership;
use rejoinder_models::{Manifest, Task};
use rejoinder_pipeline::IngestConfig;
use rejoinder_router::RouterConfig;
use rejoinder_serving::ServingOptions;
use rejoinder_store::qdrant::QdrantConfig;
use rejoinder_store::{INDEX_CACHE_BYTES, METADATA_CACHE_BYTES};
use rejoinder_vault::VaultConfig;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use crate::Error;
use crate::privacy::RetentionConfig;
use crate::schemas::SchemasConfig;
use crate::targets::{LOCAL, TargetConfig};

/// Everything [`crate::Rejoinder::open`] needs.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Whose mail the command line and an unauthenticated loopback server work on.
    pub tenant: TenantId,
    /// Where the index and the ledger live. One process writes to it at a time.
    #[serde(default = "default_data_dir")]
    pub data_dir: PathBuf,
    /// Which domains and addresses are the firm's own; tells inbound from outbound mail.
    #[serde(default)]
    pub ownership: OwnershipConfig,
    /// Local models.
    #[serde(default)]
    pub models: ModelsConfig,
    /// Reading, chunking and indexing.
    #[serde(default)]
    pub ingest: IngestConfig,
    /// Retrieval, drafting and extraction.
    #[serde(default)]
    pub assist: AssistConfig,
    /// Remote models.
    #[serde(default)]
    pub targets: Vec<TargetConfig>,
    /// Which model answers, and what may leave the machine.
    #[serde(default)]
    pub router: RouterConfig,
    /// How usage and audit are kept.
    #[serde(default)]
    pub usage: UsageOptions,
    /// Where passages and reply pairs are searched.
    #[serde(default)]
    pub store: StoreSettings,
    /// Encryption at rest.
    #[serde(default)]
    pub vault: VaultConfig,
    /// Named attribute schemas.
    #[serde(default)]
    pub schemas: SchemasConfig,
    /// How long mail is kept.
    #[serde(default)]
    pub retention: RetentionConfig,
    /// Jobs of ingestion.
    #[serde(default)]
    pub jobs: JobsConfig,
}

/// Which vector store, and where.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StoreSettings {
    /// Which one.
    pub kind: StoreKind,
    /// Memory of the embedded one.
    pub lancedb: LanceSettings,
    /// The server, for `qdrant`.
    pub qdrant: QdrantConfig,
}

/// Memory of the embedded store, in bytes. More makes searches of large or many mailboxes faster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LanceSettings {
    /// For parts of indexes.
    pub index_cache_bytes: usize,
    /// For what is known about files and versions.
    pub metadata_cache_bytes: usize,
}

impl Default for LanceSettings {
    fn default() -> Self {
        Self { index_cache_bytes: INDEX_CACHE_BYTES, metadata_cache_bytes: METADATA_CACHE_BYTES }
    }
}

/// A vector store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StoreKind {
    /// Embedded, in the data folder: one process.
    #[default]
    Lancedb,
    /// A Qdrant server or cluster.
    Qdrant,
}

/// Jobs of ingestion over HTTP, and the folders that they read from.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct JobsConfig {
    /// Folder with one folder per tenant, whose files a job may be told to read. None: uploads only.
    pub inbox: Option<PathBuf>,
    /// Jobs that run at the same time, each of another tenant.
    pub concurrent: usize,
}

impl Default for JobsConfig {
    fn default() -> Self {
        Self { inbox: None, concurrent: 1 }
    }
}

/// The firm's own domains and addresses. Empty: inferred per mailbox from its Sent folder and its owner.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OwnershipConfig {
    /// Domains, as in `haldenmarsh.example`; subdomains are included.
    pub domains: Vec<String>,
    /// Single addresses at domains that are not the firm's.
    pub addresses: Vec<String>,
}

/// Which embedder runs, and how.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ModelsConfig {
    /// Name of an embedding model in the manifest, or `none` to search by words only.
    pub embedder: String,
    /// What runs it.
    pub engine: Engine,
    /// Folder of the weights; the user's cache folder if not set.
    pub dir: Option<PathBuf>,
    /// The model as ONNX, for `fastembed`; `model.onnx` beside the weights if not set.
    pub onnx: Option<PathBuf>,
    /// Threads that embed, each on texts of its own; all cores if not set.
    pub workers: Option<usize>,
    /// Memory for vectors of texts that may be asked for again, bytes; 0 keeps none.
    pub kept_vector_bytes: u64,
    /// Start without a model whose weights are not there (and say so) instead of failing.
    pub optional: bool,
    /// The language model.
    pub language: LanguageConfig,
}

/// Which language model writes drafts and fills schemas, and how it shares the machine.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LanguageConfig {
    /// `auto` takes the largest model that is on this machine, fits into its memory and is good enough to be taken
    /// unasked; `none` goes without; else the name of a model in the manifest.
    pub model: String,
    /// Any GGUF file of a supported family, instead of a model of the manifest; `model` is then only what it is called.
    pub path: Option<PathBuf>,
    /// Threads, context, queue and memory.
    pub serving: ServingOptions,
}

impl LanguageConfig {
    /// The largest that fits.
    pub const AUTO: &str = "auto";
    /// No language model.
    pub const NONE: &str = "none";

    fn validate(&self) -> Result<(), Error> {
        self.serving.validate().map_err(|error| Error::Config(format!("[models.language.serving] {error}")))?;
        if self.path.is_some() || [Self::AUTO, Self::NONE].contains(&self.model.as_str()) {
            return Ok(());
        }
        let known = Manifest::embedded().and_then(|manifest| manifest.get(&self.model).map(|entry| entry.task));
        match known {
            Ok(Task::Generation) => Ok(()),
            Ok(_) => Err(Error::Config(format!("[models.language] model: {} is not a language model", self.model))),
            Err(error) => Err(Error::Config(format!("[models.language] model: {error}, \"auto\" or \"none\""))),
        }
    }
}

impl Default for LanguageConfig {
    fn default() -> Self {
        Self { model: Self::AUTO.to_owned(), path: None, serving: ServingOptions::default() }
    }
}

/// What runs an embedding model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Engine {
    /// candle, built in.
    #[default]
    Candle,
    /// ONNX Runtime by fastembed; needs the `fastembed` feature and `ORT_DYLIB_PATH`.
    Fastembed,
}

impl Default for ModelsConfig {
    fn default() -> Self {
        Self {
            embedder: "all-MiniLM-L6-v2".to_owned(),
            engine: Engine::Candle,
            dir: None,
            onnx: None,
            workers: None,
            kept_vector_bytes: 32 << 20,
            optional: true,
            language: LanguageConfig::default(),
        }
    }
}

impl Config {
    /// The defaults for `tenant`, with data under `data_dir`.
    pub fn new(tenant: TenantId, data_dir: impl Into<PathBuf>) -> Self {
        Self {
            tenant,
            data_dir: data_dir.into(),
            ownership: OwnershipConfig::default(),
            models: ModelsConfig::default(),
            ingest: IngestConfig::default(),
            assist: AssistConfig::default(),
            targets: Vec::new(),
            router: RouterConfig::default(),
            usage: UsageOptions::default(),
            store: StoreSettings::default(),
            vault: VaultConfig::default(),
            schemas: SchemasConfig::default(),
            retention: RetentionConfig::default(),
            jobs: JobsConfig::default(),
        }
    }

    /// Checks what serde cannot. The error says which value to change, and to what.
    pub fn validate(&self) -> Result<(), Error> {
        let invalid = |problem: String| Error::Config(problem);
        self.ingest.validate().map_err(|problem| invalid(format!("[ingest] {problem}")))?;
        self.assist.validate().map_err(|problem| invalid(format!("[assist] {problem}")))?;
        if self.models.embedder != "none" {
            let known = Manifest::embedded().and_then(|manifest| manifest.get(&self.models.embedder).map(|_| ()));
            known.map_err(|error| invalid(format!("[models] embedder: {error}, or \"none\"")))?;
        }
        self.models.language.validate()?;
        self.validate_router()?;
        self.retention.validate().map_err(|problem| invalid(format!("[retention] {problem}")))?;
        if self.store.kind == StoreKind::Qdrant {
            self.store.qdrant.validate().map_err(|problem| invalid(format!("[store.qdrant] {problem}")))?;
        }
        if self.jobs.concurrent == 0 {
            return Err(invalid("[jobs] concurrent must be at least 1".to_owned()));
        }
        if self.models.workers == Some(0) {
            return Err(invalid("[models] workers must be at least 1, or left out for all cores".to_owned()));
        }
        for domain in &self.ownership.domains {
            if domain.is_empty() || domain.contains('@') || domain.contains(char::is_whitespace) {
                return Err(invalid(format!(
                    "[ownership] domains: {domain:?} is not a domain; write it as in \"acme.example\""
                )));
            }
        }
        for address in &self.ownership.addresses {
            if !address.contains('@') {
                return Err(invalid(format!("[ownership] addresses: {address:?} is not an e-mail address")));
            }
        }
        Ok(())
    }

    fn validate_router(&self) -> Result<(), Error> {
        let mut names = vec![LOCAL];
        for target in &self.targets {
            target.validate()?;
            if names.contains(&target.name.as_str()) {
                return Err(Error::Config(format!("[[targets]] two targets are called {:?}", target.name)));
            }
            names.push(&target.name);
        }
        self.router.validate(&names).map_err(|problem| Error::Config(format!("[router] {problem}")))
    }

    /// Lower-cased, as the direction of a message is decided.
    pub(crate) fn ownership(&self) -> Ownership {
        let lower = |values: &[String]| values.iter().map(|value| value.to_lowercase()).collect();
        Ownership { domains: lower(&self.ownership.domains), addresses: lower(&self.ownership.addresses) }
    }

    pub(crate) fn ledger_path(&self) -> PathBuf {
        self.data_dir.join("ledger.sqlite")
    }

    /// Beside the ledger and not in it: an ingest's long transaction must not delay a model's call.
    pub(crate) fn usage_path(&self) -> PathBuf {
        self.data_dir.join("usage.sqlite")
    }

    /// An encrypted index and one in clear are two: neither can be read as the other.
    pub(crate) fn store_path(&self, sealed: bool) -> PathBuf {
        self.data_dir.join(if sealed { "lancedb-sealed" } else { "lancedb" })
    }

    /// What the index version says of the store: an index that lies elsewhere is another one, and is made anew.
    pub(crate) fn store_name(&self, sealed: bool) -> String {
        let kind = match self.store.kind {
            StoreKind::Lancedb => String::new(),
            StoreKind::Qdrant => {
                let QdrantConfig { url, prefix, .. } = &self.store.qdrant;
                let digest = Sha256::digest(format!("{url} {prefix}"));
                digest.iter().take(4).fold("qdrant".to_owned(), |name, byte| format!("{name}{byte:02x}"))
            }
        };
        match (kind.is_empty(), sealed) {
            (_, false) => kind,
            (true, true) => "sealed".to_owned(),
            (false, true) => format!("{kind}-sealed"),
        }
    }

    /// Whether text is encrypted on the disk.
    pub(crate) fn is_sealed(&self) -> bool {
        self.vault.key_env.is_some() || self.vault.key_file.is_some()
    }

    /// API keys: a file of its own, which the command line changes while a server runs.
    pub fn keys_path(&self) -> PathBuf {
        self.data_dir.join("keys.sqlite")
    }

    /// What is uploaded, until it is read.
    pub(crate) fn uploads_path(&self) -> PathBuf {
        self.data_dir.join("uploads")
    }
}

/// `$XDG_DATA_HOME/rejoinder`, else `~/.local/share/rejoinder`, else `./rejoinder-data`.
fn default_data_dir() -> PathBuf {
    let from = |variable: &str| std::env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from);
    from("XDG_DATA_HOME")
        .or_else(|| from("HOME").map(|home| home.join(".local/share")))
        .map_or_else(|| Path::new("rejoinder-data").to_owned(), |base| base.join("rejoinder"))
}

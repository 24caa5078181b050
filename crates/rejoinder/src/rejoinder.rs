//! The one object that a program holds: it opens every part and wires them.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, RwLock};

use rejoinder_assist::{
    Assist, AssistConfig, AssistParts, ExtractAnswer, ExtractRequest, MessageLookup, QueryEmbedder, SearchRequest,
    SearchResult, SuggestAnswer, SuggestObserver, SuggestRequest, TextCleaner, Timer,
};
use rejoinder_domain::{ErrorKind, LanguageModel, Message, MessageId, SeamError, TenantId, ThreadId, VectorStore};
use rejoinder_ledger::{Ledger, MailboxStatus, Totals};
use rejoinder_pipeline::{IngestConfig, IngestReport, Intake, JobRunner, Observer, Pipeline};
use rejoinder_serving::Metrics;
use rejoinder_store::qdrant::QdrantStore;
use rejoinder_store::{EmbeddingSpace, LanceStore, ManagedStore, StoreConfig, StoreHealth};
use rejoinder_vault::Sealer;
use serde_json::Value;

use crate::Error;
use crate::adapters::{BlockingEmbedder, LedgerMessages, MailCleaner, RuntimeTimer};
use crate::config::{Config, LanceSettings, StoreKind};
use crate::engine::{self, LoadedEmbedder};
use crate::feedback::LedgerHistory;
use crate::language::{self, LoadedLanguageModel};
use crate::privacy::{RetentionConfig, RetentionStatus};
use crate::routing::{self, Routing};
use crate::schemas::{NamedSchema, Schemas};

/// Mail in, suggested replies with citations out. Cheap to clone; all clones are the same object.
#[derive(Clone)]
pub struct Rejoinder {
    pub(crate) parts: Arc<Parts>,
}

pub(crate) struct Parts {
    pub(crate) config: Config,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) store: Arc<dyn ManagedStore>,
    pub(crate) schemas: Schemas,
    pub(crate) retention: RwLock<RetentionConfig>,
    pub(crate) embedder: LoadedEmbedder,
    pub(crate) queries: Option<Arc<BlockingEmbedder>>,
    pub(crate) language: LoadedLanguageModel,
    pub(crate) routing: Routing,
    pub(crate) pipeline: Pipeline,
    pub(crate) intake: Intake,
    pub(crate) runner: tokio::sync::OnceCell<JobRunner>,
    assist: Assist,
}

/// An answer to a ticket, with what identifies it.
#[derive(Clone, Debug, PartialEq)]
pub struct Suggested {
    /// `sug_...`, unique.
    pub id: String,
    /// Which index it was made from: embedder and chunking.
    pub index_version: String,
    /// Drafts with citations and checks.
    pub answer: SuggestAnswer,
}

/// The result of an extraction, with what identifies it.
#[derive(Clone, Debug, PartialEq)]
pub struct Extracted {
    /// `ext_...`, unique.
    pub id: String,
    /// Attributes with evidence.
    pub answer: ExtractAnswer,
}

/// What this process works with, and what is missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// Embedder and chunking.
    pub index_version: String,
    /// Name of the embedder that runs; `None` when mail is found by its words only.
    pub embedder: Option<String>,
    /// Why there is none, where one is configured.
    pub embedder_missing: Option<String>,
    /// Name of the language model that runs; `None` when exemplars are the drafts and recognisers extract.
    pub language_model: Option<String>,
    /// Why this one runs, or why none does where one is configured.
    pub language_model_reason: Option<String>,
}

/// What is indexed for a tenant, and with what.
#[derive(Clone, Debug, PartialEq)]
pub struct Status {
    /// With what.
    pub loaded: Loaded,
    /// Sums.
    pub totals: Totals,
    /// The account of every mailbox.
    pub mailboxes: Vec<MailboxStatus>,
    /// For how long it is kept; `None` where it is kept for good.
    pub retention: Option<RetentionStatus>,
}

/// One indexed message with its conversation.
#[derive(Clone, Debug, PartialEq)]
pub struct ThreadedMessage {
    /// The message.
    pub message: Message,
    /// Its conversation; `None` until an ingest has got that far.
    pub thread_id: Option<ThreadId>,
}

impl Rejoinder {
    /// Opens the data folder (created if it is not there), the ledger, the store, the embedder and the language model.
    ///
    /// Without weights it opens all the same if `models.optional` says so, and finds mail by its words; an index that
    /// was made with an embedder is refused then, since half of it would be silent.
    pub async fn open(config: Config) -> Result<Self, Error> {
        config.validate()?;
        std::fs::create_dir_all(&config.data_dir).map_err(|error| Error::DataFolder(config.data_dir.clone(), error))?;
        let opened = tokio::task::spawn_blocking(move || {
            let ledger = open_ledger(&config)?;
            let schemas = Schemas::open(&config.schemas, &schema_check(&config.assist))?;
            let embedder = engine::load(&config.models)?;
            let language = language::load(&config.models)?;
            let routing = routing::open(&config, &language)?;
            Ok::<_, Error>((config, ledger, schemas, embedder, language, routing))
        });
        let (config, ledger, schemas, embedder, language, routing) = opened.await.map_err(Error::Worker)??;
        let running = embedder.embedder();
        let space =
            running.as_ref().map(|embedder| EmbeddingSpace { id: embedder.id().to_owned(), dims: embedder.dims() });
        // On the heap: a client of a store is kilobytes of state, which every caller's future would hold.
        let store = Box::pin(open_store(&config, space, ledger.vault().map(|_| ledger.sealer()))).await?;
        let searched: Arc<dyn VectorStore> = Arc::clone(&store) as Arc<dyn VectorStore>;
        let pipeline = Pipeline {
            ledger: Arc::clone(&ledger),
            store: Arc::clone(&searched),
            embedder: running.clone(),
            config: IngestConfig { store_name: config.store_name(config.is_sealed()), ..config.ingest.clone() },
        };
        let intake = Intake::new(pipeline.clone(), config.ownership());
        if let LoadedEmbedder::Missing(why) = &embedder {
            refuse_a_silent_index(&ledger, &config.tenant, &pipeline.index_version(), why)?;
        }
        let messages: Arc<dyn MessageLookup> = Arc::new(LedgerMessages(Arc::clone(&ledger)));
        let cleaner: Arc<dyn TextCleaner> = Arc::new(MailCleaner);
        let queries =
            running.map(|embedder| Arc::new(BlockingEmbedder::new(embedder, config.models.kept_vector_bytes)));
        let assist = Assist::new(AssistParts {
            store: searched,
            embedder: queries.clone().map(|queries| queries as Arc<dyn QueryEmbedder>),
            language_model: routing.router.clone().map(|router| Arc::new(router) as Arc<dyn LanguageModel>),
            timer: Some(Arc::new(RuntimeTimer) as Arc<dyn Timer>),
            messages,
            history: Some(Arc::new(LedgerHistory(Arc::clone(&ledger)))),
            cleaner,
            index_version: pipeline.index_version(),
            config: config.assist.clone(),
        });
        Ok(Self {
            parts: Arc::new(Parts {
                retention: RwLock::new(config.retention.clone()),
                config,
                ledger,
                store,
                schemas,
                embedder,
                queries,
                language,
                routing,
                pipeline,
                intake,
                runner: tokio::sync::OnceCell::new(),
                assist,
            }),
        })
    }

    /// The newest version of every attribute schema that the tenant can name.
    pub fn schemas(&self, tenant: &TenantId) -> Vec<NamedSchema> {
        self.parts.schemas.list(tenant)
    }

    /// A schema by its name, `close_out` or `close_out@2`.
    pub fn schema(&self, tenant: &TenantId, name: &str) -> Option<NamedSchema> {
        self.parts.schemas.get(tenant, name)
    }

    /// Reads the folder of schemas again. On an error everything stays as it was.
    pub fn reload_schemas(&self) -> Result<(), Error> {
        self.parts.schemas.reload(&schema_check(&self.parts.config.assist))
    }

    /// Where API keys are kept.
    pub fn keys_path(&self) -> PathBuf {
        self.parts.config.keys_path()
    }

    /// Whether the vector store answers; the error is why it does not.
    pub async fn store_health(&self) -> Result<StoreHealth, Error> {
        Ok(self.parts.store.health().await?)
    }

    /// Stops jobs, to be continued at the next start, and writes what waits to be written. To be called once, when nothing is
    /// asked any more.
    pub async fn close(&self) {
        if let Some(runner) = self.parts.runner.get() {
            runner.shutdown().await;
        }
        let journal = Arc::clone(&self.parts.routing.journal);
        if let Ok(Err(error)) = tokio::task::spawn_blocking(move || journal.close()).await {
            tracing::error!(kind = ?error.kind(), "the account of usage could not be closed");
        }
    }

    /// The tenant that the configuration names.
    pub fn default_tenant(&self) -> &TenantId {
        &self.parts.config.tenant
    }

    /// Reads every mailbox under `paths` into the index. Repeating it does nothing twice; killing it loses nothing.
    pub async fn ingest(
        &self,
        tenant: &TenantId,
        paths: &[PathBuf],
        observer: &dyn Observer,
    ) -> Result<IngestReport, Error> {
        let report = self.parts.pipeline.ingest(tenant, paths, &self.parts.config.ownership(), observer).await?;
        if report.pending == 0 {
            // Everything is in this embedder's tables; those of another one only take space.
            self.parts.store.drop_other_spaces(tenant).await?;
        }
        Ok(report)
    }

    /// Drafts the reply to a ticket.
    pub async fn suggest(&self, tenant: &TenantId, request: &SuggestRequest) -> Result<Suggested, Error> {
        let named = &request.retrieval.mailboxes;
        let request = self.with_ids(tenant, request, named, |request, ids| request.retrieval.mailboxes = ids).await?;
        let answer = self.parts.assist.suggest(tenant, &request).await?;
        Ok(Suggested { id: fresh_id("sug"), index_version: self.index_version(), answer })
    }

    /// The same, telling `observer` what becomes known before the answer is: what was found, the earlier reply, the
    /// model's draft as it is written. Dropping the future stops the model.
    pub async fn suggest_observed(
        &self,
        tenant: &TenantId,
        request: &SuggestRequest,
        observer: &dyn SuggestObserver,
    ) -> Result<Suggested, Error> {
        let named = &request.retrieval.mailboxes;
        let request = self.with_ids(tenant, request, named, |request, ids| request.retrieval.mailboxes = ids).await?;
        let answer = self.parts.assist.suggest_observed(tenant, &request, observer).await?;
        Ok(Suggested { id: fresh_id("sug"), index_version: self.index_version(), answer })
    }

    /// Extracts the fields of a JSON Schema from a text or a ticket.
    pub async fn extract(&self, tenant: &TenantId, request: &ExtractRequest) -> Result<Extracted, Error> {
        let answer = self.parts.assist.extract(tenant, request).await?;
        Ok(Extracted { id: fresh_id("ext"), answer })
    }

    /// Finds passages.
    pub async fn search(&self, tenant: &TenantId, request: &SearchRequest) -> Result<Vec<SearchResult>, Error> {
        let named = &request.filter.mailboxes;
        let request = self.with_ids(tenant, request, named, |request, ids| request.filter.mailboxes = ids).await?;
        Ok(self.parts.assist.search(tenant, &request).await?)
    }

    /// Forgets what is kept in memory for the tenant: answers that rest on these messages, or all of them; vectors of texts that
    /// were asked for; beginnings of prompts. To be called after an erasure.
    pub fn forget(&self, tenant: &TenantId, messages: Option<&[MessageId]>) {
        if let Some(router) = &self.parts.routing.router {
            router.forget(tenant, messages);
        }
        if let Some(queries) = &self.parts.queries {
            queries.forget(tenant);
        }
        if let Some(model) = self.parts.language.model() {
            model.forget(tenant);
        }
        self.parts.intake.forget(tenant);
    }

    /// What the language model did and does; `None` where none runs.
    pub fn language_model_metrics(&self) -> Option<Metrics> {
        self.parts.language.model().map(|model| model.metrics())
    }

    /// What is indexed, and what is missing.
    pub fn status(&self, tenant: &TenantId) -> Result<Status, Error> {
        let loaded = self.loaded();
        Ok(Status {
            totals: self.parts.ledger.totals(tenant, &loaded.index_version)?,
            mailboxes: self.parts.ledger.status(tenant, &loaded.index_version)?,
            retention: self.retention_of(tenant)?,
            loaded,
        })
    }

    /// What it works with.
    pub fn loaded(&self) -> Loaded {
        let (embedder, embedder_missing) = match &self.parts.embedder {
            LoadedEmbedder::Ready(embedder) => (Some(embedder.id().to_owned()), None),
            LoadedEmbedder::Off => (None, None),
            LoadedEmbedder::Missing(why) => (None, Some(why.clone())),
        };
        let (language_model, language_model_reason) = match &self.parts.language {
            LoadedLanguageModel::Ready(model, why) => (Some(model.model().to_owned()), Some(why.clone())),
            LoadedLanguageModel::Off => (None, None),
            LoadedLanguageModel::Missing(why) => (None, Some(why.clone())),
        };
        let index_version = self.index_version();
        Loaded { index_version, embedder, embedder_missing, language_model, language_model_reason }
    }

    /// A page of messages in order of their ids, after `after`, at most `limit`.
    pub fn messages(
        &self,
        tenant: &TenantId,
        after: Option<&MessageId>,
        limit: u32,
    ) -> Result<Vec<ThreadedMessage>, Error> {
        let page = self.parts.ledger.messages(tenant, after, limit)?;
        let ids: Vec<MessageId> = page.iter().map(|message| message.id.clone()).collect();
        let mut threads = self.parts.ledger.threads_of(tenant, &ids)?;
        let threaded = page.into_iter().map(|message| {
            let thread_id = threads.remove(&message.id);
            ThreadedMessage { message, thread_id }
        });
        Ok(threaded.collect())
    }

    /// A page of the items that could not be read.
    pub fn skipped(&self, tenant: &TenantId, offset: u64, limit: u32) -> Result<Vec<rejoinder_domain::Skipped>, Error> {
        Ok(self.parts.ledger.skipped(tenant, None, offset, limit)?)
    }

    /// Embedder and chunking: what an answer was made from.
    pub fn index_version(&self) -> String {
        self.parts.pipeline.index_version()
    }
}

/// The ledger, encrypted where the configuration says so.
fn open_ledger(config: &Config) -> Result<Arc<Ledger>, Error> {
    let ledger = match config.vault.keyring().map_err(Error::Vault)? {
        Some(keyring) => Ledger::open_sealed(config.ledger_path(), keyring)?,
        None => Ledger::open(config.ledger_path())?,
    };
    Ok(Arc::new(ledger))
}

async fn open_store(
    config: &Config,
    space: Option<EmbeddingSpace>,
    sealer: Option<Arc<dyn Sealer>>,
) -> Result<Arc<dyn ManagedStore>, Error> {
    Ok(match config.store.kind {
        StoreKind::Lancedb => {
            let LanceSettings { index_cache_bytes, metadata_cache_bytes } = config.store.lancedb;
            let place = StoreConfig::new(config.store_path(sealer.is_some()), space);
            let place = StoreConfig { index_cache_bytes, metadata_cache_bytes, ..place };
            Arc::new(LanceStore::open_sealed(place, sealer).await?)
        }
        StoreKind::Qdrant => Arc::new(QdrantStore::open(config.store.qdrant.clone(), space, sealer).await?),
    })
}

/// What every named schema has to pass.
fn schema_check(config: &AssistConfig) -> impl Fn(&Value) -> Result<(), String> {
    let limits = config.limits.clone();
    move |schema| Assist::check_schema(schema, &limits).map_err(|error| error.to_string())
}

/// An index with vectors cannot be searched without the model that made them.
fn refuse_a_silent_index(ledger: &Ledger, tenant: &TenantId, version: &str, why: &str) -> Result<(), Error> {
    if ledger.superseded_units(tenant, version, 1)?.is_empty() {
        return Ok(());
    }
    let message = format!(
        "this mail was indexed with an embedding model that is not here now ({why}); set models.embedder = \"none\" and \
         ingest again to search by words only"
    );
    Err(SeamError::new(ErrorKind::Unavailable, message).into())
}

/// Unique over processes and restarts: time, process and a counter.
pub(crate) fn fresh_id(prefix: &str) -> String {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let count = COUNTER.fetch_add(1, Ordering::Relaxed);
    format!("{prefix}_{:x}{:x}{count:x}", jiff::Timestamp::now().as_microsecond(), std::process::id())
}

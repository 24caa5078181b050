//! What a caller asks of the models by itself: an answer, vectors, and which models there are.

use std::sync::Arc;

use rejoinder_assist::QueryEmbedder as _;
use rejoinder_domain::{
    Egress, Embedder, ErrorKind, GenerateRequest, GenerateStream, LanguageModel as _, Role, SeamError, TenantId,
};
use rejoinder_ledger::{Audit, AuditQuery, JournalHealth, UsageQuery, UsageReport};
use rejoinder_router::{BudgetLeft, Router, RouterConfig, TargetHealth};

use crate::engine::LoadedEmbedder;
use crate::{Error, Rejoinder};

/// Texts that are embedded before a caller who has gone away is noticed.
const TEXTS_AT_ONCE: usize = 32;
/// Tokens that an embedding model adds to every text: one before it, one after it.
const SPECIAL_TOKENS: usize = 2;

/// What a model is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ModelKind {
    /// It writes answers.
    Chat,
    /// It makes vectors.
    Embedding,
}

impl ModelKind {
    /// The stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Embedding => "embedding",
        }
    }
}

/// A model that can be asked for by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelInfo {
    /// The model's name.
    pub id: String,
    /// What it is for.
    pub kind: ModelKind,
    /// Who runs it: `local`, or the name of a remote target. It can be asked for instead of the model.
    pub provider: String,
    /// Tokens of prompt and answer together, or of a text to embed, at most.
    pub context_tokens: usize,
}

/// Vectors of texts.
#[derive(Clone, Debug, PartialEq)]
pub struct Embeddings {
    /// One L2-normalised vector for each text, in order.
    pub vectors: Vec<Vec<f32>>,
    /// Tokens of all texts together.
    pub tokens: usize,
    /// The model's name.
    pub model: String,
}

impl Rejoinder {
    /// Begins an answer for `tenant`. Dropping the stream stops the work. [`ErrorKind::Unavailable`] where no language
    /// model runs, [`ErrorKind::NotFound`] where the one that is wanted is not there.
    pub async fn generate(&self, tenant: &TenantId, mut request: GenerateRequest) -> Result<GenerateStream, Error> {
        request.tenant = tenant.clone();
        let Some(router) = &self.parts.routing.router else {
            return Err(
                SeamError::new(ErrorKind::Unavailable, "no language model runs and no target is configured").into()
            );
        };
        Ok(router.generate(request).await?)
    }

    /// The vectors of `texts`. [`ErrorKind::Unavailable`] where no embedding model runs, [`ErrorKind::ContextTooLong`]
    /// where a text is longer than it takes: nothing is ever cut. Dropping the future stops the work after a few texts.
    pub async fn embed(&self, tenant: &TenantId, texts: Vec<String>, role: Role) -> Result<Embeddings, Error> {
        let (LoadedEmbedder::Ready(embedder), Some(queries)) = (&self.parts.embedder, &self.parts.queries) else {
            return Err(SeamError::new(ErrorKind::Unavailable, "no embedding model runs").into());
        };
        let texts = Arc::new(texts);
        let (model, all) = (Arc::clone(embedder), Arc::clone(&texts));
        let counting = tokio::task::spawn_blocking(move || count_tokens(model.as_ref(), &all));
        let tokens = counting.await.map_err(Error::Worker)??;
        let mut vectors = Vec::with_capacity(texts.len());
        for batch in texts.chunks(TEXTS_AT_ONCE) {
            vectors.extend(queries.embed(tenant, batch.to_vec(), role).await?);
        }
        Ok(Embeddings { vectors, tokens, model: self.parts.config.models.embedder.clone() })
    }

    /// The models that can be asked for now.
    pub fn models(&self) -> Vec<ModelInfo> {
        let chat = self.targets().into_iter().filter(|target| target.context_tokens > 0).map(|target| ModelInfo {
            id: target.model,
            kind: ModelKind::Chat,
            provider: target.name,
            context_tokens: target.context_tokens,
        });
        let embedding = self.parts.embedder.embedder().map(|embedder| ModelInfo {
            id: self.parts.config.models.embedder.clone(),
            kind: ModelKind::Embedding,
            provider: "local".to_owned(),
            context_tokens: embedder.max_tokens(),
        });
        chat.chain(embedding).collect()
    }

    /// How the targets of the router are, in the order in which they are configured; the model on this machine is `local`.
    pub fn targets(&self) -> Vec<TargetHealth> {
        self.parts.routing.router.as_ref().map(Router::health).unwrap_or_default()
    }

    /// Whether there is a language model to ask.
    pub fn has_targets(&self) -> bool {
        self.parts.routing.router.is_some()
    }

    /// What of the tenant's text may leave the machine.
    pub fn egress_policy(&self, tenant: &TenantId) -> Egress {
        let router = self.parts.routing.router.as_ref();
        router.map_or_else(|| self.parts.config.router.policy(tenant), |router| router.policy(tenant))
    }

    /// Puts another `[router]` section in force without a restart, as [`Router::reconfigure`] describes. Without a model there
    /// is nothing to put it in force for.
    pub fn reconfigure_router(&self, config: RouterConfig) -> Result<(), Error> {
        let Some(router) = &self.parts.routing.router else { return Ok(()) };
        router.reconfigure(config).map_err(|problem| Error::Config(format!("[router] {problem}")))
    }

    /// What is left of the tenant's budgets.
    pub fn budgets(&self, tenant: &TenantId) -> Vec<BudgetLeft> {
        self.parts.routing.router.as_ref().map(|router| router.budgets(tenant)).unwrap_or_default()
    }

    /// What the tenant's calls of language models used, the last one included. Blocks for a moment.
    pub fn usage(&self, tenant: &TenantId, query: &UsageQuery) -> Result<UsageReport, Error> {
        self.settle_usage();
        Ok(self.parts.routing.journal.report(tenant, query)?)
    }

    /// What of the tenant's text left the machine: when, where to, how much, never the text. Blocks for a moment.
    pub fn audit(&self, tenant: &TenantId, query: &AuditQuery) -> Result<Audit, Error> {
        self.settle_usage();
        Ok(self.parts.routing.journal.audit(tenant, query)?)
    }

    /// Lets queued records be written, so that a report holds what was just done. Where the disk does not take them the report
    /// is the poorer for it, and [`Self::journal_health`] says so.
    fn settle_usage(&self) {
        if self.parts.routing.journal.flush().is_err() {
            tracing::debug!("usage is not written yet");
        }
    }

    /// Whether usage is being written.
    pub fn journal_health(&self) -> JournalHealth {
        self.parts.routing.journal.health()
    }

    /// Appends what is measured in the text format that Prometheus reads, without the line that ends it.
    pub fn write_metrics(&self, text: &mut String) -> std::fmt::Result {
        if let Some(router) = &self.parts.routing.router {
            router.refresh_metrics();
        }
        prometheus_client::encoding::text::encode_registry(text, &self.parts.routing.metrics)
    }
}

/// Tokens of all texts together; [`ErrorKind::ContextTooLong`] where one would be cut.
fn count_tokens(embedder: &dyn Embedder, texts: &[String]) -> Result<usize, SeamError> {
    let most = embedder.max_tokens().saturating_sub(SPECIAL_TOKENS);
    let mut sum = 0;
    for (place, text) in texts.iter().enumerate() {
        let tokens = embedder.token_spans(text)?.len();
        if tokens > most {
            let message = format!("text {place} has {tokens} tokens; the embedding model takes {most}");
            return Err(SeamError::new(ErrorKind::ContextTooLong, message));
        }
        sum += tokens;
    }
    Ok(sum)
}

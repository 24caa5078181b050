//! The router with its targets, its journal and its metrics: which models answer.

use std::sync::Arc;

use prometheus_client::registry::Registry;
use rejoinder_domain::{Journal, LanguageModel};
use rejoinder_ledger::UsageJournal;
use rejoinder_router::{AbsentModel, Router, RouterParts, Target, TargetOptions};

use crate::Error;
use crate::config::Config;
use crate::language::LoadedLanguageModel;
use crate::metrics::LocalModelCollector;
use crate::targets::{LOCAL, TargetConfig};

/// Everything that a language model's call goes through.
pub(crate) struct Routing {
    /// Asks the models; `None` where there is none to ask.
    pub(crate) router: Option<Router>,
    /// Egress and usage.
    pub(crate) journal: Arc<UsageJournal>,
    /// What is measured, to be read by Prometheus.
    pub(crate) metrics: Registry,
}

/// Opens the journal and the targets. Blocks.
pub(crate) fn open(config: &Config, language: &LoadedLanguageModel) -> Result<Routing, Error> {
    let journal = Arc::new(UsageJournal::open(config.usage_path(), config.usage)?);
    let mut metrics = Registry::default();
    let mut targets: Vec<Target> = local(language, !config.targets.is_empty()).into_iter().collect();
    for target in &config.targets {
        targets.push(TargetConfig::open(target)?);
    }
    if let Some(model) = language.model() {
        metrics.register_collector(Box::new(LocalModelCollector::new(model)));
    }
    if targets.is_empty() {
        return Ok(Routing { router: None, journal, metrics });
    }
    let router = Router::new(RouterParts {
        config: config.router.clone(),
        targets,
        journal: Arc::clone(&journal) as Arc<dyn Journal>,
        metrics: &mut metrics,
    })?;
    Ok(Routing { router: Some(router), journal, metrics })
}

/// The model on this machine. One that is missed is a target that fails, where there are others to answer instead.
fn local(language: &LoadedLanguageModel, others: bool) -> Option<Target> {
    let model: Arc<dyn LanguageModel> = match language {
        LoadedLanguageModel::Ready(model, _) => Arc::clone(model) as Arc<dyn LanguageModel>,
        LoadedLanguageModel::Missing(why) if others => Arc::new(AbsentModel::new("none", why.clone())),
        LoadedLanguageModel::Missing(_) | LoadedLanguageModel::Off => return None,
    };
    Some(Target { name: LOCAL.to_owned(), model, options: TargetOptions::local() })
}

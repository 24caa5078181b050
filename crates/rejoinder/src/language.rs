//! Which language model runs, if any.

use std::path::PathBuf;
use std::sync::Arc;

use rejoinder_domain::{ErrorKind, SeamError};
use rejoinder_models::{Choice, Manifest, Memory, ModelStore, choose_present};
use rejoinder_serving::{LocalModel, ServingError};

use crate::Error;
use crate::config::{LanguageConfig, ModelsConfig};
use crate::engine::model_store;

/// What became of the configured language model.
#[derive(Clone)]
pub(crate) enum LoadedLanguageModel {
    /// It runs; the sentence says why this one.
    Ready(Arc<LocalModel>, String),
    /// The configuration says `none`.
    Off,
    /// None runs; the sentence says why and what to do.
    Missing(String),
}

impl LoadedLanguageModel {
    pub(crate) fn model(&self) -> Option<Arc<LocalModel>> {
        match self {
            Self::Ready(model, _) => Some(Arc::clone(model)),
            Self::Off | Self::Missing(_) => None,
        }
    }
}

/// A file to load, under which name, and why.
struct Plan {
    path: PathBuf,
    name: String,
    reason: String,
}

/// Loads the configured language model. Takes seconds: weights are packed into memory.
pub(crate) fn load(config: &ModelsConfig) -> Result<LoadedLanguageModel, Error> {
    let language = &config.language;
    let plan = match plan(config) {
        Ok(Some(plan)) => plan,
        Ok(None) => return Ok(LoadedLanguageModel::Off),
        Err(error) if may_go_without(config, &error.kind) => {
            return Ok(LoadedLanguageModel::Missing(error.to_string()));
        }
        Err(error) => return Err(error.into()),
    };
    match LocalModel::open(&plan.path, plan.name, &language.serving) {
        Ok(model) => Ok(LoadedLanguageModel::Ready(Arc::new(model), plan.reason)),
        Err(error) => Err(refused(&plan.path, error).into()),
    }
}

/// A model that nobody named may be missing; one that was named is missed, unless models are optional.
fn may_go_without(config: &ModelsConfig, kind: &ErrorKind) -> bool {
    (config.optional || config.language.model == LanguageConfig::AUTO) && *kind == ErrorKind::Unavailable
}

fn plan(config: &ModelsConfig) -> Result<Option<Plan>, SeamError> {
    let language = &config.language;
    if let Some(path) = &language.path {
        let stem = path.file_stem().map_or_else(|| "local".into(), |stem| stem.to_string_lossy().into_owned());
        let named = ![LanguageConfig::AUTO, LanguageConfig::NONE].contains(&language.model.as_str());
        let name = if named { language.model.clone() } else { stem };
        return Ok(Some(Plan { path: path.clone(), name, reason: "the configuration names its file".to_owned() }));
    }
    let manifest = Manifest::embedded()?;
    let store = model_store(config);
    match language.model.as_str() {
        LanguageConfig::NONE => Ok(None),
        LanguageConfig::AUTO => {
            let choice = automatic(&store, &manifest, language.serving.context_tokens)?;
            let path = store.gguf(&manifest, &choice.entry.name)?;
            Ok(Some(Plan { path, name: choice.entry.name, reason: choice.reason }))
        }
        name => {
            let path = store.gguf(&manifest, name)?;
            Ok(Some(Plan { path, name: name.to_owned(), reason: "the configuration names it".to_owned() }))
        }
    }
}

/// The largest model on this machine that fits and is good enough to be taken without being named.
fn automatic(store: &ModelStore, manifest: &Manifest, context_tokens: usize) -> Result<Choice, SeamError> {
    let unavailable = |reason: String| SeamError::new(ErrorKind::Unavailable, reason);
    let choice = choose_present(store, manifest, Memory::of_machine()?, context_tokens)
        .map_err(|error| unavailable(format!("no language model is ready ({error}); run `rejoinder models pull`")))?;
    // What is not chosen unasked is smaller than all that is: where it is the largest that fits, nothing else does.
    if choice.entry.generation.as_ref().is_some_and(|generation| !generation.automatic) {
        let name = choice.entry.name;
        return Err(unavailable(format!(
            "{name} is here but too weak to be used unless models.language.model names it"
        )));
    }
    Ok(choice)
}

fn refused(path: &std::path::Path, error: ServingError) -> SeamError {
    let message = format!("the language model {} cannot be loaded: {}", path.display(), reasons(&error));
    SeamError::new(ErrorKind::Invalid, message).caused_by(error)
}

/// An error with its causes, in one sentence.
fn reasons(error: &(dyn std::error::Error + 'static)) -> String {
    let mut sentence = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        sentence.push_str(": ");
        sentence.push_str(&inner.to_string());
        cause = inner.source();
    }
    sentence
}

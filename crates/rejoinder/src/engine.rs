//! Which embedder runs: the one place that knows the model crates' types.

use std::path::Path;
use std::sync::Arc;

use rejoinder_domain::{Embedder, ErrorKind, SeamError};
use rejoinder_models::{CandleEmbedder, EmbedderOptions, Manifest, ModelEntry, ModelFiles, ModelStore};

use crate::Error;
use crate::config::{Engine, ModelsConfig};

/// What became of the configured embedder.
#[derive(Clone)]
pub(crate) enum LoadedEmbedder {
    /// It runs.
    Ready(Arc<dyn Embedder>),
    /// The configuration says `none`.
    Off,
    /// It was wanted and is not there; the sentence says why and what to do.
    Missing(String),
}

impl LoadedEmbedder {
    pub(crate) fn embedder(&self) -> Option<Arc<dyn Embedder>> {
        match self {
            Self::Ready(embedder) => Some(Arc::clone(embedder)),
            Self::Off | Self::Missing(_) => None,
        }
    }
}

/// The folder of weights that the configuration names, or the user's.
pub fn model_store(config: &ModelsConfig) -> ModelStore {
    config.dir.as_ref().map_or_else(ModelStore::of_user, ModelStore::new)
}

/// Loads the configured embedder. Takes a second: weights are read and checked.
pub(crate) fn load(config: &ModelsConfig) -> Result<LoadedEmbedder, Error> {
    if config.embedder == "none" {
        return Ok(LoadedEmbedder::Off);
    }
    let manifest = Manifest::embedded().map_err(SeamError::from)?;
    let entry = manifest.get(&config.embedder).map_err(|error| Error::Config(format!("[models] embedder: {error}")))?;
    match load_entry(config, entry) {
        Ok(embedder) => Ok(LoadedEmbedder::Ready(embedder)),
        Err(error) if config.optional && error.kind == ErrorKind::Unavailable => {
            Ok(LoadedEmbedder::Missing(error.to_string()))
        }
        Err(error) => Err(error.into()),
    }
}

fn load_entry(config: &ModelsConfig, entry: &ModelEntry) -> Result<Arc<dyn Embedder>, SeamError> {
    let files = model_store(config).locate(entry)?;
    let mut options = EmbedderOptions::default();
    if let Some(workers) = config.workers {
        options.workers = workers;
    }
    match config.engine {
        Engine::Candle => Ok(Arc::new(CandleEmbedder::load(&files, &options)?)),
        Engine::Fastembed => {
            let onnx = config.onnx.clone().unwrap_or_else(|| files.path("model.onnx"));
            fastembed(&files, &onnx, &options)
        }
    }
}

#[cfg(feature = "fastembed")]
fn fastembed(files: &ModelFiles, onnx: &Path, options: &EmbedderOptions) -> Result<Arc<dyn Embedder>, SeamError> {
    Ok(Arc::new(rejoinder_models::FastEmbedEmbedder::load(files, onnx, options)?))
}

#[cfg(not(feature = "fastembed"))]
fn fastembed(_files: &ModelFiles, _onnx: &Path, _options: &EmbedderOptions) -> Result<Arc<dyn Embedder>, SeamError> {
    let message = "engine = \"fastembed\" needs a build with `--features fastembed`";
    Err(SeamError::new(ErrorKind::Invalid, message))
}

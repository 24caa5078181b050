//! The second embedder: the same models through `fastembed` on ONNX Runtime, which is loaded when the first is made.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use fastembed::{InitOptionsUserDefined, Pooling, TextEmbedding, TokenizerFiles, UserDefinedEmbeddingModel};
use ort::environment::Environment;
use rejoinder_domain::{Embedder, ErrorKind, Role, SeamError, Span};

use crate::batch::{Budget, plan};
use crate::store::sha256_of;
use crate::tokens::TextTokenizer;
use crate::{EmbedderOptions, ModelError, ModelFiles};

/// Where ONNX Runtime's shared library is, unless [`FastEmbedEmbedder::load`] is told.
pub const LIBRARY_VARIABLE: &str = "ORT_DYLIB_PATH";

/// Mean-pooled, L2-normalised sentence vectors by ONNX Runtime.
///
/// It runs one batch at a time over all its threads: a query waits for the batch of an ingest to end.
pub struct FastEmbedEmbedder {
    id: String,
    dimensions: usize,
    max_tokens: usize,
    budget: Budget,
    tokenizer: TextTokenizer,
    session: Mutex<TextEmbedding>,
}

impl std::fmt::Debug for FastEmbedEmbedder {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("FastEmbedEmbedder").field("id", &self.id).finish_non_exhaustive()
    }
}

impl FastEmbedEmbedder {
    /// Loads the encoder in `onnx_file` with the tokenizer of `files` (`tokenizer.json`, `tokenizer_config.json`,
    /// `special_tokens_map.json`, `config.json`). The graph takes `input_ids`, `attention_mask` and `token_type_ids` and
    /// gives one vector per token; `models/tests/reference/export_onnx.py` makes one from pulled weights.
    pub fn load(files: &ModelFiles, onnx_file: &Path, options: &EmbedderOptions) -> Result<Self, ModelError> {
        let tokenizer = TextTokenizer::load(files, files.context_tokens)?;
        let onnx =
            std::fs::read(onnx_file).map_err(|source| ModelError::Read { path: onnx_file.to_path_buf(), source })?;
        let digest = sha256_of(&onnx);
        let tokenizer_files = TokenizerFiles {
            tokenizer_file: files.read("tokenizer.json")?,
            config_file: files.read("config.json")?,
            special_tokens_map_file: files.read("special_tokens_map.json")?,
            tokenizer_config_file: files.read("tokenizer_config.json")?,
        };
        let format =
            |error: fastembed::Error| ModelError::Format { path: onnx_file.to_path_buf(), reason: error.to_string() };
        let model = UserDefinedEmbeddingModel::new(onnx, tokenizer_files).with_pooling(Pooling::Mean);
        let settings = InitOptionsUserDefined::new()
            .with_environment(onnx_environment()?)
            .with_max_length(files.context_tokens)
            .with_intra_threads(options.worker_count());
        let mut session = TextEmbedding::try_new_from_user_defined(model, settings).map_err(format)?;
        let probe = session.embed(["probe"], None).map_err(format)?;
        let dimensions = probe.first().map_or(0, Vec::len);
        let prefix = digest.get(..16).unwrap_or(&digest);
        Ok(Self {
            id: format!("{}-onnx@{prefix}", files.name),
            dimensions,
            max_tokens: files.context_tokens,
            // One worker: the batches are computed one after another, each by all threads.
            budget: Budget { max_tokens: options.max_batch_tokens.max(files.context_tokens), workers: 1 },
            tokenizer,
            session: Mutex::new(session),
        })
    }

    fn run(&self, batch: &[&str]) -> Result<Vec<Vec<f32>>, SeamError> {
        let mut session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        session
            .embed(batch, Some(batch.len()))
            .map_err(|error| SeamError::new(ErrorKind::Internal, "ONNX Runtime failed").caused_by(error))
    }
}

impl Embedder for FastEmbedEmbedder {
    fn id(&self) -> &str {
        &self.id
    }

    fn dims(&self) -> usize {
        self.dimensions
    }

    fn max_tokens(&self) -> usize {
        self.max_tokens
    }

    fn token_spans(&self, text: &str) -> Result<Vec<Span>, SeamError> {
        self.tokenizer.spans(text)
    }

    fn embed(&self, texts: &[&str], _role: Role) -> Result<Vec<Vec<f32>>, SeamError> {
        // fastembed counts the tokens again; that costs a hundredth of the computation and saves its padding, as the
        // texts of a batch are of almost one length.
        let lengths =
            texts.iter().map(|text| Ok(self.tokenizer.encode(text)?.len())).collect::<Result<Vec<_>, SeamError>>()?;
        let mut vectors = vec![Vec::new(); texts.len()];
        for batch in plan(&lengths, self.budget) {
            let batch_texts: Vec<&str> =
                batch.iter().filter_map(|index| texts.get(*index)).map(|text| self.tokenizer.bounded(text)).collect();
            for (index, vector) in batch.iter().zip(self.run(&batch_texts)?) {
                if let Some(slot) = vectors.get_mut(*index) {
                    *slot = vector;
                }
            }
        }
        Ok(vectors)
    }
}

/// The process's one ONNX Runtime environment. The first call loads the shared library that `ORT_DYLIB_PATH` names (the
/// library of the `onnxruntime` Python package will do), or the one that the system's loader finds.
pub fn onnx_environment() -> Result<Environment, ModelError> {
    static ENVIRONMENT: Mutex<Option<Environment>> = Mutex::new(None);
    let mut slot = ENVIRONMENT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(environment) = slot.as_ref() {
        return Ok(environment.clone());
    }
    let library = std::env::var_os(LIBRARY_VARIABLE).filter(|path| !path.is_empty()).map_or_else(
        || PathBuf::from(format!("{}onnxruntime{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX)),
        PathBuf::from,
    );
    let failed = |reason: String| {
        ModelError::Library(format!(
            "cannot load ONNX Runtime from {} ({reason}); set {LIBRARY_VARIABLE} to the path of libonnxruntime",
            library.display()
        ))
    };
    let builder = ort::init_from(&library).map_err(|error| failed(error.to_string()))?;
    let environment = builder.build().map_err(|error| failed(error.to_string()))?;
    *slot = Some(environment.clone());
    Ok(environment)
}

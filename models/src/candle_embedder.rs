//! The default embedder: a BERT encoder on the CPU, weights by candle.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use rejoinder_domain::{Embedder, ErrorKind, Role, SeamError, Span};

use crate::batch::{Budget, plan};
use crate::bert::{Bert, BertConfig, Workspace};
use crate::store::sha256_of;
use crate::tokens::TextTokenizer;
use crate::{EmbedderOptions, ModelError, ModelFiles};

/// Mean-pooled, L2-normalised sentence vectors of a BERT encoder such as all-MiniLM-L6-v2.
///
/// Queries and passages are embedded alike: these models use no prefixes.
#[derive(Debug)]
pub struct CandleEmbedder {
    id: String,
    max_tokens: usize,
    max_batch_tokens: usize,
    tokenizer: TextTokenizer,
    bert: Bert,
    workspaces: WorkspacePool,
}

impl CandleEmbedder {
    /// Reads `config.json`, `tokenizer.json` and `model.safetensors`, and checks the digest of the weights.
    pub fn load(files: &ModelFiles, options: &EmbedderOptions) -> Result<Self, ModelError> {
        let config: BertConfig = serde_json::from_slice(&files.read("config.json")?)
            .map_err(|error| ModelError::Format { path: files.path("config.json"), reason: error.to_string() })?;
        let max_tokens = files.context_tokens.min(config.max_position_embeddings);
        if max_tokens < 3 {
            let reason = format!("a context of {max_tokens} tokens holds no text");
            return Err(ModelError::Format { path: files.path("config.json"), reason });
        }
        let tokenizer = TextTokenizer::load(files, max_tokens)?;
        let weights = files.read("model.safetensors")?;
        let digest = sha256_of(&weights);
        if let Some(expected) = files.weights_sha256.as_ref().filter(|expected| **expected != digest) {
            let path = files.path("model.safetensors");
            return Err(ModelError::Digest { path, expected: expected.clone(), found: digest });
        }
        let bert = Bert::new(config, &weights)
            .map_err(|reason| ModelError::Format { path: files.path("model.safetensors"), reason })?;
        // 16 hexadecimal digits tell any two sets of weights apart.
        let prefix = digest.get(..16).unwrap_or(&digest);
        Ok(Self {
            id: format!("{}@{prefix}", files.name),
            max_tokens,
            max_batch_tokens: options.max_batch_tokens.max(max_tokens),
            tokenizer,
            bert,
            workspaces: WorkspacePool::new(options.worker_count()),
        })
    }

    /// Bytes of the workers' buffers, which stay for the next call.
    pub fn buffer_bytes(&self) -> usize {
        self.workspaces.lock().iter().map(Workspace::bytes).sum()
    }

    fn encode_all(&self, texts: &[&str]) -> Result<Vec<Vec<u32>>, SeamError> {
        // Below some dozen texts a thread costs more than it saves.
        let share = texts.len().div_ceil(self.workspaces.count).max(16);
        let encode =
            |texts: &[&str]| texts.iter().map(|text| self.tokenizer.encode(text)).collect::<Result<Vec<_>, _>>();
        if texts.len() <= share {
            return encode(texts);
        }
        thread::scope(|scope| {
            let parts: Vec<_> = texts.chunks(share).map(|part| scope.spawn(move || encode(part))).collect();
            let mut all = Vec::with_capacity(texts.len());
            for part in parts {
                all.extend(part.join().map_err(|_| panicked())??);
            }
            Ok(all)
        })
    }

    /// Runs one batch and returns each text's index with its vector.
    fn run(&self, batch: &[usize], tokens: &[Vec<u32>]) -> Result<Vec<(usize, Vec<f32>)>, SeamError> {
        let sequences: Vec<&[u32]> = batch.iter().filter_map(|index| tokens.get(*index).map(Vec::as_slice)).collect();
        let mut workspace = self.workspaces.take();
        let vectors = self.bert.embed(&sequences, &mut workspace);
        self.workspaces.put_back(workspace);
        let vectors = vectors.ok_or_else(|| {
            SeamError::new(ErrorKind::Internal, "a token of the tokenizer is outside the model's vocabulary")
        })?;
        Ok(batch.iter().copied().zip(vectors).collect())
    }

    fn run_all(&self, batches: &[Vec<usize>], tokens: &[Vec<u32>]) -> Result<Vec<(usize, Vec<f32>)>, SeamError> {
        let next = AtomicUsize::new(0);
        let work = || {
            let mut done = Vec::new();
            while let Some(batch) = batches.get(next.fetch_add(1, Ordering::Relaxed)) {
                done.extend(self.run(batch, tokens)?);
            }
            Ok::<_, SeamError>(done)
        };
        let helpers = self.workspaces.count.min(batches.len()).saturating_sub(1);
        thread::scope(|scope| {
            let threads: Vec<_> = (0..helpers).map(|_| scope.spawn(work)).collect();
            let mut all = work()?;
            for thread in threads {
                all.extend(thread.join().map_err(|_| panicked())??);
            }
            Ok(all)
        })
    }
}

impl Embedder for CandleEmbedder {
    fn id(&self) -> &str {
        &self.id
    }

    fn dims(&self) -> usize {
        self.bert.config().hidden_size
    }

    fn max_tokens(&self) -> usize {
        self.max_tokens
    }

    fn token_spans(&self, text: &str) -> Result<Vec<Span>, SeamError> {
        self.tokenizer.spans(text)
    }

    fn embed(&self, texts: &[&str], _role: Role) -> Result<Vec<Vec<f32>>, SeamError> {
        let tokens = self.encode_all(texts)?;
        let lengths: Vec<usize> = tokens.iter().map(Vec::len).collect();
        let budget = Budget { max_tokens: self.max_batch_tokens, workers: self.workspaces.count };
        let mut vectors = vec![Vec::new(); texts.len()];
        for (index, vector) in self.run_all(&plan(&lengths, budget), &tokens)? {
            if let Some(slot) = vectors.get_mut(index) {
                *slot = vector;
            }
        }
        Ok(vectors)
    }
}

fn panicked() -> SeamError {
    SeamError::new(ErrorKind::Internal, "an embedding worker panicked")
}

/// As many workspaces as workers may compute at once; whoever finds none waits for one. A batch holds one for some tens of
/// milliseconds, so a query waits that long behind an ingest, not for its end.
#[derive(Debug)]
struct WorkspacePool {
    count: usize,
    free: Mutex<Vec<Workspace>>,
    returned: Condvar,
}

impl WorkspacePool {
    fn new(count: usize) -> Self {
        let free = (0..count).map(|_| Workspace::default()).collect();
        Self { count, free: Mutex::new(free), returned: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Workspace>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Workspace {
        let mut free = self.lock();
        loop {
            if let Some(workspace) = free.pop() {
                return workspace;
            }
            free = self.returned.wait(free).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn put_back(&self, workspace: Workspace) {
        self.lock().push(workspace);
        self.returned.notify_one();
    }
}

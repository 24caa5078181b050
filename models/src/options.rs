//! How an embedder shares the machine.

/// How an embedder shares the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmbedderOptions {
    /// Threads that compute at once, over all callers; each runs whole batches alone. 0 means one per CPU.
    pub workers: usize,
    /// Most tokens that one worker computes at once. It bounds the memory of a worker's buffers: some 14 KB a token.
    pub max_batch_tokens: usize,
}

impl Default for EmbedderOptions {
    fn default() -> Self {
        Self { workers: 0, max_batch_tokens: 512 }
    }
}

impl EmbedderOptions {
    /// The number of workers that is meant.
    pub fn worker_count(&self) -> usize {
        if self.workers == 0 { std::thread::available_parallelism().map_or(1, usize::from) } else { self.workers }
    }
}

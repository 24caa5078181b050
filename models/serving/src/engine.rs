//! What serving needs of a decoder. The product has one, [`Decoder`]; tests have another whose
//! answers change visibly when a cache was truncated, shared or dropped wrongly.

use rejoinder_decoder::{Cache, Decoder, DecoderError, Logits, Step};

/// A decoder.
pub(crate) trait Engine: Send + 'static {
    /// What it remembers of one sequence.
    type Cache: EngineCache;

    /// Logits in a row.
    fn vocabulary(&self) -> usize;

    /// An empty cache.
    fn cache(&self) -> Self::Cache;

    /// Bytes that all caches together hold.
    fn used_bytes(&self) -> usize;

    /// Computes the tokens of several sequences together and appends them to their caches. The rows asked for come back
    /// in the order of steps. A call that fails changes nothing.
    fn forward(&mut self, steps: &mut [EngineStep<'_, Self::Cache>]) -> Result<Vec<Vec<f32>>, EngineError>;
}

/// What an engine remembers of one sequence.
pub(crate) trait EngineCache: Send + 'static {
    /// Tokens in it.
    fn len(&self) -> usize;
    /// Forgets all but the first `len` tokens.
    fn truncate(&mut self, len: usize);
    /// A second cache of the same tokens.
    fn fork(&self) -> Self;
    /// Its memory, counting what it shares with others.
    fn bytes(&self) -> usize;
}

/// The part of one sequence in a forward call.
#[derive(Debug)]
pub(crate) struct EngineStep<'a, C> {
    /// What was computed before.
    pub(crate) cache: &'a mut C,
    /// What is computed now, at least one token.
    pub(crate) tokens: &'a [u32],
    /// Which rows come back.
    pub(crate) rows: Rows,
}

/// Which rows of logits a step brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rows {
    /// None: more of the prompt follows.
    None,
    /// What follows the last token.
    Last,
    /// What follows each token.
    All,
}

/// Why a forward call failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EngineError {
    /// The caches' memory is used up.
    #[error("the key-value cache is full")]
    Full,
    /// Anything else.
    #[error(transparent)]
    Other(Box<dyn std::error::Error + Send + Sync>),
}

impl Engine for Decoder {
    type Cache = Cache;

    fn vocabulary(&self) -> usize {
        self.shape().vocabulary
    }

    fn cache(&self) -> Cache {
        self.pool().cache()
    }

    fn used_bytes(&self) -> usize {
        self.pool().used_bytes()
    }

    fn forward(&mut self, steps: &mut [EngineStep<'_, Cache>]) -> Result<Vec<Vec<f32>>, EngineError> {
        let mut steps: Vec<Step<'_>> = steps
            .iter_mut()
            .map(|step| Step {
                cache: &mut *step.cache,
                tokens: step.tokens,
                logits: match step.rows {
                    Rows::None => Logits::None,
                    Rows::Last => Logits::Last,
                    Rows::All => Logits::All,
                },
            })
            .collect();
        Self::forward(self, &mut steps).map_err(|error| match error {
            DecoderError::PoolFull { .. } => EngineError::Full,
            error => EngineError::Other(Box::new(error)),
        })
    }
}

impl EngineCache for Cache {
    fn len(&self) -> usize {
        self.len()
    }

    fn truncate(&mut self, len: usize) {
        self.truncate(len);
    }

    fn fork(&self) -> Self {
        self.fork()
    }

    fn bytes(&self) -> usize {
        self.bytes()
    }
}

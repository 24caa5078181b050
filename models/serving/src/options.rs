//! How a local model shares the machine.

use serde::{Deserialize, Serialize};

use crate::error::ServingError;

/// How a local model shares the machine. The default suits a laptop: one person waiting, a batch behind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServingOptions {
    /// Threads that compute; 0 means one per CPU.
    pub threads: usize,
    /// Tokens of prompt and answer together, at most; never more than the model was made for.
    pub context_tokens: usize,
    /// Answers that are written at the same time, in one forward pass each step.
    pub max_sequences: usize,
    /// Requests that may wait for a place among those, at most. A quarter of it (rounded down) is kept for
    /// interactive requests, so that a batch cannot shut people out.
    pub queue_length: usize,
    /// Memory of the key-value cache in bytes: of answers being written and of beginnings kept for reuse together.
    pub cache_bytes: usize,
    /// How much of `cache_bytes` beginnings of earlier requests may keep; 0 keeps none. They give way to live requests.
    pub reuse_bytes: usize,
    /// Tokens of prompts that one step computes while no answer is being written. A caller who goes away, or a more
    /// urgent one who comes, is heard after that many.
    pub prefill_chunk: usize,
    /// Tokens of prompts that one step computes while answers are being written: what a long prompt of one may delay
    /// each token of the others.
    pub prefill_chunk_shared: usize,
    /// Interactive requests that may go before a batch request; after so many it counts as interactive itself.
    pub batch_patience: usize,
    /// Whether text that the answer seems to repeat is proposed and verified several tokens at once.
    pub lookup: bool,
    /// Tokens proposed at once, at most.
    pub lookup_tokens: usize,
}

impl Default for ServingOptions {
    fn default() -> Self {
        Self {
            threads: 0,
            context_tokens: 8_192,
            max_sequences: 4,
            queue_length: 64,
            cache_bytes: 2 << 30,
            reuse_bytes: 512 << 20,
            prefill_chunk: 128,
            prefill_chunk_shared: 32,
            batch_patience: 8,
            lookup: true,
            lookup_tokens: 8,
        }
    }
}

impl ServingOptions {
    /// Says what to change where the options cannot work.
    pub fn validate(&self) -> Result<(), ServingError> {
        let at_least_one = [
            ("context_tokens", self.context_tokens),
            ("max_sequences", self.max_sequences),
            ("queue_length", self.queue_length),
            ("cache_bytes", self.cache_bytes),
            ("prefill_chunk", self.prefill_chunk),
            ("prefill_chunk_shared", self.prefill_chunk_shared),
            ("batch_patience", self.batch_patience),
        ];
        for (name, value) in at_least_one {
            if value == 0 {
                return Err(ServingError::Options(format!("`{name}` must be at least 1")));
            }
        }
        if self.reuse_bytes > self.cache_bytes {
            return Err(ServingError::Options(format!(
                "`reuse_bytes` ({}) is part of `cache_bytes` ({}) and cannot be more",
                self.reuse_bytes, self.cache_bytes
            )));
        }
        if self.lookup && !(1..=MOST_LOOKUP_TOKENS).contains(&self.lookup_tokens) {
            return Err(ServingError::Options(format!(
                "`lookup_tokens` must be 1 to {MOST_LOOKUP_TOKENS}, or `lookup` be false"
            )));
        }
        Ok(())
    }

    /// Tokens that one forward pass gets, at most.
    pub(crate) fn step_tokens(&self) -> usize {
        self.prefill_chunk.max(self.prefill_chunk_shared) + self.max_sequences * (SHORT_RUN + self.proposals())
    }

    /// Tokens proposed at once, at most; 0 where lookup is off.
    pub(crate) fn proposals(&self) -> usize {
        if self.lookup { self.lookup_tokens } else { 0 }
    }
}

/// Beyond this a wrong proposal costs more than right ones save.
const MOST_LOOKUP_TOKENS: usize = 64;

/// Tokens that are known but not computed yet (the last one chosen and what the grammar forces after it) up to this many
/// go through with the others' next tokens; more than that is treated like a prompt.
pub(crate) const SHORT_RUN: usize = 16;

#[cfg(test)]
mod tests {
    use super::ServingOptions;

    #[test]
    fn the_default_is_valid_and_a_wrong_value_is_named() {
        assert!(ServingOptions::default().validate().is_ok());
        let wrong = ServingOptions { prefill_chunk: 0, ..ServingOptions::default() };
        assert!(wrong.validate().unwrap_err().to_string().contains("`prefill_chunk`"));
        let wrong = ServingOptions { reuse_bytes: 2, cache_bytes: 1, ..ServingOptions::default() };
        assert!(wrong.validate().unwrap_err().to_string().contains("`reuse_bytes`"));
        let wrong = ServingOptions { lookup_tokens: 0, ..ServingOptions::default() };
        assert!(wrong.validate().unwrap_err().to_string().contains("`lookup_tokens`"));
        let off = ServingOptions { lookup_tokens: 0, lookup: false, ..ServingOptions::default() };
        assert!(off.validate().is_ok());
    }

    #[test]
    fn unknown_options_are_refused() {
        let text = r#"{"threads": 2, "thread": 3}"#;
        assert!(serde_json::from_str::<ServingOptions>(text).unwrap_err().to_string().contains("`thread`"));
    }
}

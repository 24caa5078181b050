//! What is asked of an engine and what it answers: one line of JSON each. `peer_llama_cpp.py` speaks the same.

use serde::{Deserialize, Serialize};

/// What an engine is asked to do.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Question {
    /// Have every sequence hold `depth` tokens.
    Fill { depth: usize },
    /// Append tokens to the first sequence, then take them off again.
    Prefill { depth: usize, tokens: usize },
    /// Append tokens to every sequence, one of each at a time, then take them off again.
    Decode { depth: usize, tokens: usize },
    /// Say how much memory was taken at most.
    Memory {},
    /// Write a JSON value; `way` is how llama.cpp asks its grammar, see there.
    Extract { system: String, user: String, schema: serde_json::Value, tokens: usize, way: String },
}

/// The first line.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Hello {
    /// An engine with a model, and how long that took.
    Ready { engine: String, load: f64 },
    /// Why there is none.
    Missing { missing: String },
}

/// The answer to `Prefill` and `Decode`.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Took {
    pub(crate) seconds: f64,
}

/// The answer to `Memory`: the peak, less what the process took before it loaded anything.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Peak {
    pub(crate) bytes: u64,
}

/// The answer to `Fill`.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Filled {}

/// The answer to `Extract`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Extracted {
    pub(crate) text: String,
    pub(crate) tokens: usize,
    pub(crate) seconds: f64,
}

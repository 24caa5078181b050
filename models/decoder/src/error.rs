//! What can go wrong.

use std::path::PathBuf;

/// What a model file may hold, for messages that refuse one that holds something else.
pub const SUPPORTED: &str = "architectures qwen3 and llama; tensors F32, F16, BF16, Q8_0, Q4_K and Q6_K as they are, and \
                             Q4_0, Q4_1, Q5_0, Q5_1, Q2_K, Q3_K and Q5_K turned into Q8_0";

/// A model that cannot be loaded, or a step that cannot be taken. A step that fails has changed nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecoderError {
    /// The file cannot be read.
    #[error("{path} cannot be read")]
    Io {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// The file is not a GGUF file, or is damaged.
    #[error("{path} is not a readable GGUF file: {reason}")]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The model is of a kind that this decoder does not run.
    #[error("unsupported model: {what}; supported are {SUPPORTED}")]
    Unsupported {
        /// What the model asks for.
        what: String,
    },
    /// A setting that the file needs is missing or impossible, or a tensor has another shape than the settings say.
    #[error("the model file contradicts itself: {0}")]
    Inconsistent(String),
    /// A token that the vocabulary does not have.
    #[error("token {token} is outside of the vocabulary of {vocabulary}")]
    UnknownToken {
        /// The token.
        token: u32,
        /// The vocabulary's size.
        vocabulary: usize,
    },
    /// A step without tokens.
    #[error("a step needs at least one token")]
    EmptyStep,
    /// The sequence would become longer than the model's context.
    #[error("{tokens} tokens do not fit into a context of {context}")]
    ContextTooLong {
        /// Tokens that the sequence would have.
        tokens: usize,
        /// The most it may have.
        context: usize,
    },
    /// The caches would need more memory than they were given.
    #[error("the caches are full: {needed} more bytes are needed and {free} are free")]
    PoolFull {
        /// Bytes that are missing.
        needed: usize,
        /// Bytes that are free.
        free: usize,
    },
    /// The cache was made by another decoder's pool.
    #[error("the cache belongs to another model")]
    ForeignCache,
    /// Memory for the weights cannot be had.
    #[error("no memory for {bytes} bytes of weights")]
    OutOfMemory {
        /// Bytes asked for.
        bytes: usize,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
}

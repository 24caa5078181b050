//! The seam to embedding models.

use crate::{SeamError, Span};

/// What a text is embedded as. Some models prefix queries and passages differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// A question or ticket, to search with.
    Query,
    /// A stored text, to be found.
    Passage,
}

/// An embedding model. Synchronous: callers on an async runtime enter by a bounded channel or a blocking thread.
pub trait Embedder: Send + Sync {
    /// Name and weights' digest, stable over processes: vectors of two ids must never be compared.
    fn id(&self) -> &str;

    /// Length of every vector.
    fn dims(&self) -> usize;

    /// Longest input in tokens, special tokens included; the rest of a longer text does not reach the vector.
    fn max_tokens(&self) -> usize;

    /// Where each token of `text` is, without special tokens and without truncation; in order of their start.
    fn token_spans(&self, text: &str) -> Result<Vec<Span>, SeamError>;

    /// One L2-normalised vector of [`Embedder::dims`] values per text, in order. A batch equals its texts one by one
    /// (within 1e-5 per value).
    fn embed(&self, texts: &[&str], role: Role) -> Result<Vec<Vec<f32>>, SeamError>;
}

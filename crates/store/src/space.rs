//! Whose vectors a store holds.

use std::fmt::Write as _;

use rejoinder_domain::{ErrorKind, SeamError};
use sha2::{Digest, Sha256};

/// The name of the space that has no vectors.
const WORDS_ONLY: &str = "words";

/// Which embedder made the vectors. Vectors of two embedders never share a table or a collection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmbeddingSpace {
    /// [`rejoinder_domain::Embedder::id`].
    pub id: String,
    /// [`rejoinder_domain::Embedder::dims`].
    pub dims: usize,
}

/// A short name of `space`, safe in the name of a file or a collection: 12 hexadecimal digits, or `words` without an embedder.
pub(crate) fn space_name(space: Option<&EmbeddingSpace>) -> String {
    let Some(space) = space else { return WORDS_ONLY.to_owned() };
    let mut hasher = Sha256::new();
    hasher.update(space.dims.to_le_bytes());
    hasher.update(space.id.as_bytes());
    hasher.finalize().iter().take(6).fold(String::new(), |mut name, byte| {
        // Writing to a string cannot fail.
        let _ = write!(name, "{byte:02x}");
        name
    })
}

/// Whether `name` is one that [`space_name`] gives.
#[cfg(feature = "qdrant")]
pub(crate) fn is_space_name(name: &str) -> bool {
    let hexadecimal = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
    name == WORDS_ONLY || name.len() == 12 && name.chars().all(hexadecimal)
}

/// Refuses an embedder that cannot be.
pub(crate) fn check_space(space: Option<&EmbeddingSpace>) -> Result<(), SeamError> {
    if space.is_some_and(|space| space.dims == 0 || space.dims > 65_536 || space.id.is_empty()) {
        return Err(SeamError::new(ErrorKind::Invalid, "the store's embedding needs an id and 1 to 65536 dimensions"));
    }
    Ok(())
}

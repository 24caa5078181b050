//! Chunk.
pub mod chunk;

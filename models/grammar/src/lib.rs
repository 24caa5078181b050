//! Constrained decoding.

//! Decoder-only language models on the CPU.

//! Writes PST files for tests, the sample mailbox and benchmarks

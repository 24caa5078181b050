//! Benchmarks and the quality evaluation of Rejoinder

//! The router over real HTTP: scripted providers on loopback, the requests they got, and the attempts that were told.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod budgets;
mod caching;
mod egress;
mod fallback;
mod harness;
mod load;
mod structured;

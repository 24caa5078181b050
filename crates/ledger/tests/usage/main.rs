//! The journal of egress and usage.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod backup;
mod failure;
mod kill;
mod pages;
mod records;
mod sums;

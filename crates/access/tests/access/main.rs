//! Access control as a server uses it: real files, real keys, and an identity provider on loopback.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod attacks;
mod fairness;
mod fetching;
mod hand_clock;
mod keys;
mod limits;
mod provider;
mod tokens;

//! What is kept beside mail: jobs, requests, suggestions and outcomes; retention, persons, backup.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod backup;
mod erasure;
mod idempotency;
mod jobs;
mod kill;
mod mail;
mod outcomes;
mod persons;
mod retention;
mod stats;
mod suggestions;

//! The one end-to-end test binary: it drives the built `rejoinder` the way its users do.
//!
//! Nothing here needs a network, but for the official clients, which are installed from the package registries. What needs model weights runs when `rejoinder models pull` has put them on the
//! machine (`make test` does), and says so when it is left out; what needs the public corpora runs when
//! `REJOINDER_CORPUS` names their folder.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, in its helpers too"
)]

mod api;
mod architecture;
mod command_line;
mod corpus;
mod erasure;
mod examples;
mod identity;
mod kill;
mod language;
mod official_clients;
mod openai_routes;
mod operations;
mod product;
mod remote;
mod routing;
mod service;
mod spine;
mod streaming;
mod tenants;

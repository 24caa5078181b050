//! What the router adds to the time of a call to a model, with everything on, beside a bare reverse proxy in the same run.
//!
//! A provider on loopback gives every question the same answer at once, so that what is measured is everything else. It is
//! asked over several ways, in turns, so that whatever else the machine does hits all of them alike:
//!
//! * `library`: a program that uses the crates. Straight to the provider by `rejoinder-providers`; the same through a bare
//!   reverse proxy; through the router, without and with redaction.
//! * `sidecar`: a program that speaks HTTP with connections kept open. Straight to the provider; through the bare reverse
//!   proxy, and nginx where there is one; through `rejoinder serve`, without and with redaction.
//!
//! First as fast as it goes with so many requests at once (closed loop: the next request follows the answer), then at a
//! fixed rate below saturation (open loop: requests come at random times whether or not answers came, and the time of each
//! counts from when it should have been sent). Everything runs on one machine and shares its cores: what is called added is
//! the difference to the straight way in the same run.

mod children;
mod http;
mod library;
mod load;
mod memory;
mod prompt;
mod proxy;
mod report;
mod sidecar;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// What the router adds to the time of a call; without a command, as a library and as a sidecar
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    plan: Plan,
}

/// What is measured.
#[derive(Clone, clap::Args)]
pub(crate) struct Plan {
    /// Requests at the same time
    #[arg(long, global = true, value_delimiter = ',', default_values_t = [1, 64, 512])]
    at_once: Vec<usize>,
    /// Requests per way, number of requests at once, and round
    #[arg(long, global = true, default_value_t = 2000)]
    requests: usize,
    /// How often the ways take turns
    #[arg(long, global = true, default_value_t = 3)]
    rounds: usize,
    /// Requests per second at the fixed rate; left out, 40 % of what the slowest way can do with 64 at once
    #[arg(long, global = true)]
    rate: Option<f64>,
    /// Seconds at the fixed rate, per way and round
    #[arg(long, global = true, default_value_t = 5)]
    seconds: u64,
    /// Requests while memory is looked at; 0 leaves it out
    #[arg(long, global = true, default_value_t = 100_000)]
    memory_requests: usize,
    /// The `rejoinder` program; left out, the one beside this program
    #[arg(long, global = true)]
    program: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Command {
    /// The router as a library
    Library,
    /// `rejoinder serve` over HTTP
    Sidecar,
    /// Be the provider
    #[command(hide = true)]
    Provider,
    /// Be the reverse proxy
    #[command(hide = true)]
    Proxy {
        /// Where to
        upstream: String,
    },
}

fn main() -> anyhow::Result<()> {
    let Arguments { command, plan } = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        match command {
            None => {
                library::run(&plan).await?;
                sidecar::run(&plan).await
            }
            Some(Command::Library) => library::run(&plan).await,
            Some(Command::Sidecar) => sidecar::run(&plan).await,
            Some(Command::Provider) => children::be_the_provider().await,
            Some(Command::Proxy { upstream }) => proxy::serve(upstream).await,
        }
    })
}

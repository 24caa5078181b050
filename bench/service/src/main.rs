//! The served product under many tenants, floods, kills and hostile requests.
//!
//! Each subcommand starts the program that `--rejoinder` names in a temporary folder, drives it from outside as its users
//! do, prints figures, and ends with exit code 1 where something is not as it must be. Nothing here depends on a crate of
//! the product: what it knows is the HTTP contract and the command line.

mod call;
mod hostile;
mod isolation;
mod kill;
mod load;
mod random;
mod sidecar;
mod tenants;
mod wire;

use clap::Parser;

/// What the served product must withstand.
#[derive(Debug, Parser)]
#[command(max_term_width = 110)]
enum Command {
    /// Random operations of many tenants at once: nothing of one reaches another
    Isolation(isolation::Isolation),
    /// Many clients at once with one tenant flooding: the others hardly notice
    Load(load::Load),
    /// SIGKILL at random instants: nothing that was acknowledged is lost
    Kill(kill::Kill),
    /// Requests that nobody well-meaning sends: each is refused, and nothing is read or fetched
    Hostile(hostile::Hostile),
}

fn main() -> anyhow::Result<()> {
    match Command::parse() {
        Command::Isolation(arguments) => isolation::run(&arguments),
        Command::Load(arguments) => load::run(&arguments),
        Command::Kill(arguments) => kill::run(&arguments),
        Command::Hostile(arguments) => hostile::run(&arguments),
    }
}

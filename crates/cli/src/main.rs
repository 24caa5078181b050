//! The `rejoinder` program: arguments in, the library called, the answer printed.
//!
//! Standard output carries the answer, standard error the log and the progress bar. Exit codes: 0 complete, 1 failed,
//! 2 finished with items that could not be read (and, from the argument parser, a wrong command line).

mod args;
mod commands;
mod logging;
mod settings;
mod show;

use std::process::ExitCode;

use clap::Parser as _;

use crate::args::{Cli, Command, VaultCommand};
use crate::commands::Outcome;

fn main() -> ExitCode {
    let cli = Cli::parse();
    // The index of many tenants is many open files, and the usual soft limit of 1,024 is for programs that poll with `select`.
    // Where it cannot be raised, it stays.
    let _ = rlimit::increase_nofile_limit(rlimit::INFINITY);
    let _telemetry = match logging::start(&cli.global) {
        Ok(telemetry) => telemetry,
        Err(error) => {
            eprintln!("error: {error:#}");
            return ExitCode::FAILURE;
        }
    };
    match run(&cli) {
        Ok(Outcome::Complete) => ExitCode::SUCCESS,
        Ok(Outcome::WithSkips) => ExitCode::from(2),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli) -> anyhow::Result<Outcome> {
    // What needs no configuration must work without one.
    match &cli.command {
        Command::Inspect { file } => return commands::inspect::run(file, cli.global.json),
        Command::Show { file } => return commands::answer::show(file),
        Command::Vault { command: VaultCommand::Generate { id } } => return commands::vault::generate(id),
        Command::Openapi => return commands::openapi::run(),
        _ => {}
    }
    let settings = settings::load(&cli.global)?;
    let json = cli.global.json;
    // A download blocks and drives a runtime of its own.
    if let Command::Models { command } = &cli.command {
        return commands::models::run(&settings, command, json);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        match &cli.command {
            Command::Ingest { paths } => commands::ingest::run(settings, paths, json).await,
            Command::Serve { listen } => commands::serve::run(settings, &cli.global, *listen).await,
            Command::Suggest { ticket } => commands::answer::suggest(settings, ticket, json).await,
            Command::Extract { schema, text, current } => {
                commands::answer::extract(settings, schema, text, current.as_deref(), json).await
            }
            Command::Search { query, limit } => commands::answer::search(settings, query, *limit, json).await,
            Command::Export { person } => commands::export::run(settings, person).await,
            Command::Keys { command } => commands::keys::run(&settings, command, json),
            Command::Watch { dir, every, once } => commands::watch::run(settings, dir, *every, *once, json).await,
            Command::Vault { command } => commands::vault::run(settings, command, json).await,
            Command::Backup { dir } => commands::backup::backup(settings, dir, json).await,
            Command::Restore { dir } => commands::backup::restore(&settings, dir, json),
            Command::Doctor => commands::doctor::run(settings, json).await,
            Command::Health { url } => commands::health::run(&settings, url.as_deref(), json).await,
            Command::Erase { target } => commands::erase::run(settings, target, json).await,
            Command::Messages => commands::messages::run(settings, json).await,
            Command::Status { skipped } => commands::status::run(settings, *skipped, json).await,
            Command::Config { .. } => commands::config::check(&settings, json),
            Command::Inspect { .. } | Command::Show { .. } | Command::Models { .. } | Command::Openapi => {
                Ok(Outcome::Complete)
            }
        }
    })
}

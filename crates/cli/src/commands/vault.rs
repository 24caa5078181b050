//! `rejoinder vault`: encryption at rest.

use anyhow::{Context as _, bail};
use rejoinder::Rejoinder;
use serde_json::json;

use super::{Outcome, open_without_language_model};
use crate::args::VaultCommand;
use crate::settings::Settings;

/// Prints a new master key; needs neither a configuration nor data.
pub(crate) fn generate(id: &str) -> anyhow::Result<Outcome> {
    let line = rejoinder::new_master_key(id)?;
    eprintln!("one line of the file or variable that [vault] names; without it the data cannot be read:");
    println!("{}", line.as_str());
    Ok(Outcome::Complete)
}

pub(crate) async fn run(settings: Settings, command: &VaultCommand, as_json: bool) -> anyhow::Result<Outcome> {
    let rejoinder = open_without_language_model(settings).await?;
    match command {
        VaultCommand::Generate { .. } => Ok(Outcome::Complete),
        VaultCommand::Status => status(&rejoinder, as_json).await,
        VaultCommand::Seal => {
            let sealed = rejoinder.seal_all().await?;
            if as_json {
                println!("{}", json!({ "rows": sealed.rows, "written": sealed.written, "pending": sealed.pending }));
            } else {
                println!("{} rows were encrypted, {} records of the index written anew", sealed.rows, sealed.written);
            }
            if sealed.pending > 0 {
                bail!("{} messages could not be indexed: the index in clear stays; run it again", sealed.pending);
            }
            Ok(Outcome::Complete)
        }
        VaultCommand::Rotate => {
            let rotated = rejoinder.rotate_keys().await?;
            if as_json {
                println!("{}", json!({ "rewrapped": rotated.rewrapped, "new_data_keys": rotated.new_data_keys }));
            } else {
                println!(
                    "{} data keys are wrapped with the first master key now; {} tenants have a new data key for new texts",
                    rotated.rewrapped, rotated.new_data_keys
                );
            }
            Ok(Outcome::Complete)
        }
    }
}

async fn status(rejoinder: &Rejoinder, as_json: bool) -> anyhow::Result<Outcome> {
    let Some(status) = rejoinder.vault_status().await.context("the keys cannot be read")? else {
        bail!("encryption at rest is off: [vault] names neither key_env nor key_file");
    };
    if as_json {
        println!("{}", serde_json::to_string(&status)?);
        return Ok(Outcome::Complete);
    }
    println!("the active master key is {:?}", status.active);
    for (master, count) in &status.wrapped_by {
        println!("  master key {master:?} wraps {count} data keys");
    }
    println!("{} rows lie in clear", status.in_clear);
    Ok(Outcome::Complete)
}

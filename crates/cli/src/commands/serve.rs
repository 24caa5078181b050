//! `rejoinder serve`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use rejoinder::Rejoinder;
use rejoinder_server::{Control, Server};

use super::{Outcome, open};
use crate::args::Global;
use crate::settings::{self, Settings};

/// How often the configuration is looked at for changes.
const LOOK: Duration = Duration::from_secs(5);

pub(crate) async fn run(settings: Settings, global: &Global, listen: Option<SocketAddr>) -> anyhow::Result<Outcome> {
    let mut config = settings.server.clone();
    if let Some(listen) = listen {
        config.listen = listen;
    }
    let file = settings.file.clone();
    let schemas = settings.library.schemas.dir.clone();
    let rejoinder = open(settings).await?;
    rejoinder.start_jobs().await?;
    let server = Server::bind(rejoinder.clone(), config).await?;
    if server.needs_credentials() {
        tracing::info!("callers need an API key or a token");
    } else {
        tracing::info!("no credentials are configured: serving on loopback only, as the configured tenant");
    }
    // A line on standard output, so that a script that asked for port 0 learns the port.
    println!("listening on {}", server.local_url());
    let control = server.control();
    let beside = async {
        tokio::join!(rejoinder.retain_forever(), reload_forever(&rejoinder, &control, global, file, schemas));
    };
    let ended = tokio::select! {
        ended = server.join() => ended,
        () = beside => Ok(()),
    };
    rejoinder.close().await;
    ended.context("the server failed")?;
    Ok(Outcome::Complete)
}

/// Puts in force what changes in the configuration file and the folder of schemas: issuers, limits, routing policies, retention,
/// schemas. What is wrong is told in the log and changes nothing; what else changed needs a restart. API keys are read from their own file.
async fn reload_forever(
    rejoinder: &Rejoinder,
    control: &Control,
    global: &Global,
    file: Option<PathBuf>,
    schemas: Option<PathBuf>,
) {
    let state = || stamps(file.as_ref().into_iter().chain(schemas.as_ref()).cloned().collect());
    let mut known = state();
    let mut hangup = Hangup::new();
    loop {
        let asked = tokio::select! {
            () = hangup.next() => true,
            () = tokio::time::sleep(LOOK) => false,
        };
        let now = state();
        if !asked && now == known {
            continue;
        }
        known = now;
        match reload(rejoinder, control, global) {
            Ok(()) => tracing::info!(
                "the configuration was read again: issuers, limits, routing policies, retention, schemas"
            ),
            Err(error) => tracing::error!("the configuration was not taken over: {error:#}"),
        }
    }
}

fn reload(rejoinder: &Rejoinder, control: &Control, global: &Global) -> anyhow::Result<()> {
    let settings = settings::load(global)?;
    rejoinder.reload_schemas()?;
    rejoinder.reconfigure_router(settings.library.router)?;
    rejoinder.set_retention(settings.library.retention)?;
    control.reconfigure(&settings.server.auth, &settings.server.limits).map_err(anyhow::Error::msg)
}

/// When the files, and what is in the folders, were changed last.
fn stamps(paths: Vec<PathBuf>) -> Vec<(PathBuf, Option<SystemTime>, u64)> {
    let mut found = Vec::new();
    let mut open = paths;
    while let Some(path) = open.pop() {
        let metadata = std::fs::metadata(&path).ok();
        if metadata.as_ref().is_some_and(std::fs::Metadata::is_dir) {
            let entries = std::fs::read_dir(&path).into_iter().flatten().flatten();
            open.extend(entries.map(|entry| entry.path()));
        }
        let length = metadata.as_ref().map_or(0, std::fs::Metadata::len);
        found.push((path, metadata.and_then(|metadata| metadata.modified().ok()), length));
    }
    found.sort();
    found
}

/// `SIGHUP`, which asks a service to read its configuration again.
struct Hangup {
    #[cfg(unix)]
    signal: Option<tokio::signal::unix::Signal>,
}

impl Hangup {
    fn new() -> Self {
        Self {
            #[cfg(unix)]
            signal: tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup()).ok(),
        }
    }

    async fn next(&mut self) {
        #[cfg(unix)]
        if let Some(signal) = &mut self.signal {
            signal.recv().await;
            return;
        }
        std::future::pending::<()>().await;
    }
}

//! The built program in a temporary folder of its own: configured, started, killed, started again.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use serde_json::Value;
use tempfile::TempDir;

/// A start that takes longer has failed.
const START: Duration = Duration::from_mins(2);

/// Models of the server, which have to be on this machine already.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Models {
    /// Embedding model, or none
    #[arg(long, value_name = "NAME", default_value = "none")]
    embedder: String,
    /// Language model, or none
    #[arg(long, value_name = "NAME", default_value = "none")]
    language_model: String,
}

impl Models {
    pub(crate) fn none() -> Self {
        Self { embedder: "none".to_owned(), language_model: "none".to_owned() }
    }
}

/// An installation, and its server while one runs.
pub(crate) struct Sidecar {
    program: PathBuf,
    folder: TempDir,
    child: Option<Child>,
    /// Where it listens.
    pub(crate) url: String,
}

impl Sidecar {
    /// Installs `program` with this configuration, which names no tenant of the test.
    pub(crate) fn install(program: &Path, models: &Models, settings: &str) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("rejoinder-service-").tempdir()?;
        std::fs::create_dir(folder.path().join("inbox"))?;
        std::fs::create_dir(folder.path().join("schemas"))?;
        let base = format!(
            "tenant = \"operator\"\n[ownership]\ndomains = [\"firm.example\"]\n[models]\nembedder = \"{1}\"\noptional = false\n\
             [models.language]\nmodel = \"{2}\"\n[schemas]\ndir = \"{0}/schemas\"\n[jobs]\ninbox = \"{0}/inbox\"\n{settings}",
            folder.path().display(),
            models.embedder,
            models.language_model
        );
        std::fs::write(folder.path().join("rejoinder.toml"), base)?;
        let program = program.canonicalize().with_context(|| format!("there is no {}", program.display()))?;
        Ok(Self { program, folder, child: None, url: String::new() })
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(arguments);
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("REJOINDER_")) {
            command.env_remove(name);
        }
        command.env("REJOINDER_CONFIG", self.path("rejoinder.toml")).env("REJOINDER_DATA_DIR", self.path("data"));
        command
    }

    /// Runs the command line and reads what it says with `--json`.
    pub(crate) fn run(&self, arguments: &[&str]) -> anyhow::Result<Value> {
        let output = self.command(arguments).arg("--json").output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{arguments:?}: {}: {said}", output.status);
        serde_json::from_slice(&output.stdout).with_context(|| format!("{arguments:?} did not print JSON"))
    }

    /// Makes a key with these roles; its id and the key itself.
    pub(crate) fn key(&self, tenant: &str, roles: &[&str]) -> anyhow::Result<(String, String)> {
        let roles = roles.join(",");
        let arguments = ["keys", "create", "--for", tenant, "--name", "service test", "--roles", &roles];
        let made = self.run(&arguments)?;
        let text = |name: &str| made.get(name).and_then(Value::as_str).map(str::to_owned);
        let (Some(id), Some(key)) = (text("id"), text("key")) else { bail!("`keys create` printed no id and key") };
        ensure!(key.starts_with("rj_"), "a key begins with rj_");
        Ok((id, key))
    }

    /// Starts the server and waits until it is ready; how long that took.
    pub(crate) fn start(&mut self) -> anyhow::Result<Duration> {
        let started = Instant::now();
        let log = std::fs::File::options().create(true).append(true).open(self.path("log"))?;
        let mut child =
            self.command(&["serve", "--listen", "127.0.0.1:0"]).stdout(Stdio::piped()).stderr(log).spawn()?;
        let stdout = child.stdout.take().context("its output is piped")?;
        self.child = Some(child);
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let Some(url) = line.trim().strip_prefix("listening on ") else {
            bail!("the server did not start: {}", std::fs::read_to_string(self.path("log")).unwrap_or_default())
        };
        url.clone_into(&mut self.url);
        while !self.is_ready() {
            ensure!(started.elapsed() < START, "the server was not ready within two minutes");
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(started.elapsed())
    }

    /// Whether `/readyz` answers 200, asked in the plainest way.
    fn is_ready(&self) -> bool {
        let asked = crate::wire::exchange(&self.url, b"GET /readyz HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
        asked.is_ok_and(|answer| answer.starts_with(b"HTTP/1.1 200"))
    }

    /// SIGKILL: nothing in the process gets to run.
    pub(crate) fn kill(&mut self) -> anyhow::Result<()> {
        let mut child = self.child.take().context("no server runs")?;
        child.kill()?;
        child.wait()?;
        Ok(())
    }

    /// Tells it to stop, and expects that it drains and ends well.
    pub(crate) fn stop(&mut self) -> anyhow::Result<()> {
        let mut child = self.child.take().context("no server runs")?;
        ensure!(Command::new("kill").arg(child.id().to_string()).status()?.success(), "it cannot be told to stop");
        let ended = child.wait()?;
        ensure!(ended.success(), "the server ended with {ended}");
        Ok(())
    }

    /// Whether it still runs.
    pub(crate) fn lives(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// Memory that is its own and in use, bytes; 0 where the system does not tell.
    pub(crate) fn memory(&self) -> u64 {
        let Some(child) = &self.child else { return 0 };
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kilobytes = line.and_then(|line| line.trim().trim_end_matches(" kB").trim().parse::<u64>().ok());
        kilobytes.unwrap_or_default() * 1024
    }

    /// Processor time that it has used, seconds; 0 where the system does not tell.
    pub(crate) fn processor_seconds(&self) -> f64 {
        self.child.as_ref().map_or(0.0, |child| processor_seconds(&child.id().to_string()))
    }

    /// What it has logged so far.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.path("log")).unwrap_or_default()
    }
}

/// Processor time of a process, seconds; 0 where the system does not tell.
pub(crate) fn processor_seconds(process: &str) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // Behind the name, which may hold anything: fields 14 and 15, in hundredths of a second (proc(5)).
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields).split_whitespace();
    fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}

impl Drop for Sidecar {
    fn drop(&mut self) {
        // It may have ended already.
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

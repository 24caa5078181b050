//! Other processes: the provider, proxies, the sidecar; and what the system knows of them.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use rejoinder_scripted_provider::{Answer, Script, ScriptedProvider};

use crate::prompt;

/// What a child says before its address.
pub(crate) const LISTENING: &str = "listening on ";

/// A process that serves; it ends when dropped.
pub(crate) struct Server {
    child: Child,
    /// `http://127.0.0.1:port`.
    pub(crate) url: String,
}

impl Server {
    /// This program as something else.
    pub(crate) fn own(arguments: &[&str]) -> anyhow::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(arguments);
        Self::start(command)
    }

    /// Starts a server that says on its standard output where it listens.
    pub(crate) fn start(mut command: Command) -> anyhow::Result<Self> {
        let program = command.get_program().to_string_lossy().into_owned();
        let mut child = command.stdout(Stdio::piped()).spawn().with_context(|| format!("{program} does not start"))?;
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        let Some(url) = line.trim().strip_prefix(LISTENING) else {
            // It has ended, or is of no use.
            let _ = child.kill();
            let _ = child.wait();
            anyhow::bail!("{program} does not say where it listens");
        };
        Ok(Self { url: url.to_owned(), child })
    }

    /// Starts one that is told where to listen.
    pub(crate) fn start_at(mut command: Command, url: String) -> anyhow::Result<Self> {
        let program = command.get_program().to_string_lossy().into_owned();
        let child = command.spawn().with_context(|| format!("{program} does not start"))?;
        Ok(Self { child, url })
    }

    /// The process.
    pub(crate) fn process(&self) -> Process {
        Process(Some(self.child.id()))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A process and its children; `None` is this one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Process(pub(crate) Option<u32>);

impl Process {
    /// Time of the processor used so far; 0 where the system does not tell.
    pub(crate) fn processor_time(self) -> Duration {
        let mut ticks = stat_ticks(&self.folder()).unwrap_or_default();
        for child in self.children() {
            ticks += stat_ticks(&format!("/proc/{child}")).unwrap_or_default();
        }
        // Linux counts in hundredths of a second for every architecture's user space.
        Duration::from_millis(ticks * 10)
    }

    /// Bytes of memory in use, where the system tells.
    pub(crate) fn resident_bytes(self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("{}/status", self.folder())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
    }

    fn folder(self) -> String {
        self.0.map_or_else(|| "/proc/self".to_owned(), |id| format!("/proc/{id}"))
    }

    /// Workers of nginx; our own children are counted where they are asked for.
    fn children(self) -> Vec<u32> {
        let Some(id) = self.0 else { return Vec::new() };
        let children = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
        children.split_whitespace().filter_map(|child| child.parse().ok()).collect()
    }
}

/// User and system time are fields 14 and 15 of `stat`, the name in brackets may hold spaces, and the third stands after it.
fn stat_ticks(folder: &str) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("{folder}/stat")).ok()?;
    let after = stat.rsplit_once(')')?.1;
    Some(after.split_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum())
}

/// Answers every question with the same text at once, until it is ended.
pub(crate) async fn be_the_provider() -> anyhow::Result<()> {
    let answer = Answer::text(prompt::ANSWER).in_chunks_of(prompt::ANSWER_CHUNK);
    let provider = ScriptedProvider::start_keeping(Script::always(answer), 0).await?;
    println!("{LISTENING}{}", provider.base_url());
    std::future::pending::<()>().await;
    Ok(())
}

/// Where `program` is on the path.
pub(crate) fn on_the_path(program: &str) -> Option<std::path::PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| Path::is_file(file))
}

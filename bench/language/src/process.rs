//! Engines as child processes, and what the system knows of processes.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::Context as _;
use serde::de::DeserializeOwned;

use crate::engine::Size;
use crate::protocol::{Hello, Question};

/// The driver of the peer, part of the binary so that it needs no path.
const PEER: &str = include_str!("../peer_llama_cpp.py");

/// A running engine; it ends when dropped.
pub(crate) struct Engine {
    child: Child,
    questions: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    /// Who answers.
    pub(crate) name: String,
    /// Seconds that loading took.
    pub(crate) load: f64,
}

impl Engine {
    /// Our engine, `mode` being the subcommand that serves.
    pub(crate) fn ours(mode: &str, model: &Path, size: Size) -> anyhow::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(mode).arg(model);
        for (name, value) in [("--threads", size.threads), ("--context", size.context), ("--sequences", size.sequences)]
        {
            command.arg(name).arg(value.to_string());
        }
        Self::start(command)?.map_err(anyhow::Error::msg)
    }

    /// llama.cpp, or why there is none.
    pub(crate) fn peer(model: &Path, size: Size) -> anyhow::Result<Result<Self, String>> {
        let python = std::env::var_os("REJOINDER_LLAMA_PYTHON").unwrap_or_else(|| "python3".into());
        let mut command = Command::new(&python);
        command.arg("-c").arg(PEER).arg(model);
        command.args([size.threads, size.context, size.sequences].map(|number| number.to_string()));
        match Self::start(command) {
            Err(error) if error.downcast_ref::<std::io::Error>().is_some() => {
                Ok(Err(format!("{}: {error:#}", Path::new(&python).display())))
            }
            started => started,
        }
    }

    fn start(mut command: Command) -> anyhow::Result<Result<Self, String>> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let questions = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().context("a child has standard output")?);
        let mut engine = Self { child, questions, answers, name: String::new(), load: 0.0 };
        match engine.read()? {
            Hello::Missing { missing } => Ok(Err(missing)),
            Hello::Ready { engine: name, load } => {
                engine.name = name;
                engine.load = load;
                Ok(Ok(engine))
            }
        }
    }

    /// Asks and waits.
    pub(crate) fn ask<Answer: DeserializeOwned>(&mut self, question: &Question) -> anyhow::Result<Answer> {
        let mut line = serde_json::to_string(question)?;
        line.push('\n');
        self.questions.as_mut().context("it takes questions")?.write_all(line.as_bytes())?;
        self.read()
    }

    fn read<Answer: DeserializeOwned>(&mut self) -> anyhow::Result<Answer> {
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        serde_json::from_str(&line).with_context(|| format!("{} broke off: {line:?}", self.name))
    }

    /// Seconds of processor time used so far.
    pub(crate) fn processor_seconds(&self) -> anyhow::Result<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        // The name in brackets may hold spaces; user and system time are fields 14 and 15, the third stands after it.
        let after = stat.rsplit_once(')').context("a stat line")?.1;
        Ok(ticks(after.split_whitespace().skip(11).take(2)))
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // The end of its input ends it; it is waited for so that its processor time does not fall on what comes next.
        self.questions = None;
        let _ = self.child.wait();
    }
}

/// Seconds of processor time that the machine has spent since it started.
pub(crate) fn machine_seconds() -> anyhow::Result<f64> {
    let stat = std::fs::read_to_string("/proc/stat")?;
    let first = stat.lines().next().context("/proc/stat has lines")?;
    // user, nice, system; then idle and what is not work.
    Ok(ticks(first.split_whitespace().skip(1).take(3)))
}

fn ticks<'a>(fields: impl Iterator<Item = &'a str>) -> f64 {
    // Linux counts hundredths of seconds towards programs, whatever its own clock.
    fields.filter_map(|field| field.parse::<u64>().ok()).sum::<u64>() as f64 / 100.0
}

/// A field of a process's status in bytes: `VmRSS` (now) or `VmHWM` (at most).
pub(crate) fn memory(process: &str, field: &str) -> anyhow::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find(|line| line.starts_with(field)).with_context(|| format!("no {field}"))?;
    let kibibytes: u64 = line.split_whitespace().nth(1).context("a number")?.parse()?;
    Ok(kibibytes * 1024)
}

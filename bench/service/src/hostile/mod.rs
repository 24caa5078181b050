//! `hostile`: requests that nobody well-meaning sends. Each gets a clear refusal, and nothing is read or fetched that should
//! not be.

mod bodies;
mod mail;
mod paths;
mod sockets;

use std::net::TcpListener;
use std::path::PathBuf;

use anyhow::{bail, ensure};
use clap::Args;
use serde_json::json;

use crate::call::{Answer, Call, Caller};
use crate::sidecar::{Models, Sidecar};
use crate::tenants::Tenant;

/// A word in a file outside of every folder that the server may read.
const CANARY: &str = "mk99vorncanary";
/// The server's memory may grow by so much over everything that is done to it.
const GROWTH: u64 = 600 << 20;

/// What to run.
#[derive(Debug, Args)]
pub(crate) struct Hostile {
    /// The program
    #[arg(long, value_name = "PATH")]
    rejoinder: PathBuf,
}

/// A server under attack, and what became of every attack.
pub(crate) struct Target {
    pub(crate) sidecar: Sidecar,
    pub(crate) caller: Caller,
    pub(crate) key: String,
    /// A port that nobody may ever connect to.
    pub(crate) bait: TcpListener,
    runtime: tokio::runtime::Runtime,
    tried: u64,
    faults: Vec<String>,
}

impl Target {
    /// Sends a call with a good key; the answer has to be one of these statuses.
    pub(crate) fn refuse(&mut self, name: &str, call: Call, statuses: &[u16]) {
        let call = call.by(&self.key);
        self.refuse_as_is(name, &call, statuses);
    }

    /// The same without touching the call.
    pub(crate) fn refuse_as_is(&mut self, name: &str, call: &Call, statuses: &[u16]) {
        match self.runtime.block_on(self.caller.send(call)) {
            Ok(answer) => self.judge(name, &answer, statuses),
            Err(error) => self.note(name, Err(anyhow::anyhow!("no answer: {error:#}"))),
        }
    }

    fn judge(&mut self, name: &str, answer: &Answer, statuses: &[u16]) {
        let text: String = answer.text().chars().take(200).collect();
        let result = if !statuses.contains(&answer.status) {
            Err(anyhow::anyhow!("{} and not {statuses:?}: {text}", answer.status))
        } else if answer.status >= 400 && answer.string("/code").is_none() && answer.string("/error/message").is_none()
        {
            Err(anyhow::anyhow!("{} without saying what is wrong: {text}", answer.status))
        } else if answer.body.windows(CANARY.len()).any(|part| part == CANARY.as_bytes()) {
            Err(anyhow::anyhow!("it shows a file that it must not read: {text}"))
        } else {
            Ok(())
        };
        self.note(name, result);
    }

    /// Sends bytes; the answer has to be one of these statuses, where 0 is a closed connection.
    pub(crate) fn refuse_bytes(&mut self, name: &str, bytes: &[u8], statuses: &[u16]) {
        let result = match crate::wire::exchange(&self.sidecar.url, bytes) {
            Ok(answer) if statuses.contains(&crate::wire::status(&answer)) => Ok(()),
            Ok(answer) => Err(anyhow::anyhow!("{} and not {statuses:?}", crate::wire::status(&answer))),
            // Reset before it could answer: refused as well, where that is among what is expected.
            Err(_) if statuses.contains(&0) => Ok(()),
            Err(error) => Err(error.into()),
        };
        self.note(name, result);
    }

    /// Counts an attack, and tells of it where it was not withstood.
    pub(crate) fn note(&mut self, name: &str, result: anyhow::Result<()>) {
        self.tried += 1;
        if let Err(error) = result {
            let fault = format!("{name}: {error:#}");
            eprintln!("{fault}");
            self.faults.push(fault);
        }
    }

    /// An answer, whatever it is.
    pub(crate) fn ask(&self, call: Call) -> anyhow::Result<Answer> {
        self.runtime.block_on(self.caller.insist(&call.by(&self.key)))
    }

    /// Whether a word can be found.
    pub(crate) fn finds(&self, word: &str) -> anyhow::Result<bool> {
        let answer = self.ask(Call::json("/v1/search", &json!({"query": word, "limit": 5})))?;
        ensure!(answer.status == 200, "a search is answered {}: {}", answer.status, answer.text());
        Ok(answer.text().contains(word))
    }
}

pub(crate) fn run(arguments: &Hostile) -> anyhow::Result<()> {
    let settings =
        "[server.connections]\nheader_timeout_seconds = 2\nidle_timeout_seconds = 5\nbody_timeout_seconds = 2\n";
    let mut sidecar = Sidecar::install(&arguments.rejoinder, &Models::none(), settings)?;
    let tenant = Tenant::marker(1);
    let (_, key) = sidecar.key(&tenant, &["admin"])?;
    paths::plant(&sidecar, &tenant)?;
    sidecar.start()?;
    let memory = sidecar.memory();
    let bait = TcpListener::bind("127.0.0.1:0")?;
    bait.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let caller = Caller::new(&sidecar.url)?;
    let mut target = Target { sidecar, caller, key, bait, runtime, tried: 0, faults: Vec::new() };
    let mut before = 0;
    let mut told = |name: &str, target: &Target| {
        println!("{:>6} {name}", target.tried - before);
        before = target.tried;
    };
    bodies::malformed(&mut target);
    told("malformed and oversized bodies", &target);
    bodies::wrong_types(&mut target);
    told("wrong types", &target);
    bodies::schemas(&mut target)?;
    told("schemas", &target);
    paths::attack(&mut target)?;
    told("paths, names and credentials", &target);
    mail::attack(&mut target)?;
    told("mail", &target);
    sockets::attack(&mut target);
    told("heads, floods and slow clients", &target);
    aftermath(&mut target, memory);
    let (tried, faults) = (target.tried, target.faults.len());
    println!("{tried:>6} hostile requests, {faults} not withstood");
    target.sidecar.stop()?;
    if faults > 0 {
        bail!("{faults} of {tried} hostile requests were not withstood");
    }
    Ok(())
}

/// What must hold after everything.
fn aftermath(target: &mut Target, memory: u64) {
    let fetched = target.bait.accept().is_ok();
    target.note("nothing is fetched", if fetched { Err(anyhow::anyhow!("the bait was taken")) } else { Ok(()) });
    let found = target.finds(CANARY).and_then(|found| {
        ensure!(!found, "a file outside of the inbox was read");
        Ok(())
    });
    target.note("nothing outside is read", found);
    let log = target.sidecar.log();
    let shown = log.lines().find(|line| line.contains(CANARY) || line.contains("panicked"));
    target.note("the log", shown.map_or(Ok(()), |line| Err(anyhow::anyhow!("{line}"))));
    let now = target.sidecar.memory();
    println!("memory: {} MiB before, {} MiB after", memory >> 20, now >> 20);
    let grown = if now > memory + GROWTH { Err(anyhow::anyhow!("memory grew to {} MiB", now >> 20)) } else { Ok(()) };
    target.note("memory", grown);
    let lives = target.sidecar.lives() && target.ask(Call::get("/readyz")).is_ok_and(|answer| answer.status == 200);
    target.note("it still serves", if lives { Ok(()) } else { Err(anyhow::anyhow!("it does not")) });
}

//! `kill`: the server is killed at a random instant of its work, again and again; what it had acknowledged is there.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use clap::Args;
use serde_json::{Value, json};

use crate::call::{Answer, Call, Caller};
use crate::random::{Random, seed};
use crate::sidecar::{Models, Sidecar};
use crate::tenants::Tenant;

/// Questions with their replies that are there from the beginning.
const PAIRS: usize = 5;

/// What to run.
#[derive(Debug, Args)]
pub(crate) struct Kill {
    /// The program
    #[arg(long, value_name = "PATH")]
    rejoinder: PathBuf,
    #[command(flatten)]
    models: Models,
    /// How often it is killed
    #[arg(long, default_value_t = 50)]
    times: usize,
    /// Clients at the same time
    #[arg(long, default_value_t = 8)]
    clients: usize,
    /// Longest time until it is killed, milliseconds
    #[arg(long, default_value_t = 2500)]
    longest: u64,
    /// Seconds that a start may take
    #[arg(long, default_value_t = 2.0)]
    start: f64,
    /// Repeats a run
    #[arg(long)]
    seed: Option<u64>,
}

/// What the server said yes to.
#[derive(Clone, Debug)]
enum Acknowledged {
    /// A message: its id and the word that only it has.
    Message(String, String),
    Suggestion(String),
    Feedback(String, &'static str),
    /// A job, and the words of its messages.
    Job(String, Vec<String>),
    /// A key, and whether it was revoked.
    Key(String, bool),
    /// A message that was there, its word, and whether the erasure was answered. Where it was not, the erasure may have got
    /// anywhere, but not between: when ledger says that it is gone, nothing is found of it.
    Erased(String, String, bool),
}

/// What the clients of a round share.
struct Round {
    caller: Caller,
    tenant: Tenant,
    acknowledged: Mutex<Vec<Acknowledged>>,
    over: AtomicBool,
}

pub(crate) fn run(arguments: &Kill) -> anyhow::Result<()> {
    let seed = seed(arguments.seed);
    println!("seed {seed}");
    let mut random = Random::new(seed);
    let mut sidecar = Sidecar::install(&arguments.rejoinder, &arguments.models, "")?;
    let (_, key) = sidecar.key(&Tenant::marker(1), &["admin"])?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let mut starts = vec![sidecar.start()?];
    // Something to draft from.
    let tenant = Tenant::new(1, key.clone(), String::new());
    runtime.block_on(tenant.correspond(&Caller::new(&sidecar.url)?, PAIRS, &mut random))?;
    let (mut total, mut lost) = ([0_usize; 6], Vec::new());
    let mut all = Vec::new();
    for time in 0..arguments.times {
        let round = Arc::new(Round {
            caller: Caller::new(&sidecar.url)?,
            tenant: Tenant::new(1, key.clone(), String::new()),
            acknowledged: Mutex::default(),
            over: AtomicBool::new(false),
        });
        let clients: Vec<_> =
            (0..arguments.clients).map(|_| runtime.spawn(client(Arc::clone(&round), random.fork()))).collect();
        let keys = keys(&sidecar, &round, Duration::from_millis(100 + random.next() % arguments.longest.max(1)))?;
        sidecar.kill()?;
        round.over.store(true, Ordering::Relaxed);
        for client in clients {
            let _ = runtime.block_on(client);
        }
        starts.push(sidecar.start()?);
        let mut told = std::mem::take(&mut *round.acknowledged.lock().unwrap_or_else(PoisonError::into_inner));
        told.extend(keys);
        let caller = Caller::new(&sidecar.url)?;
        for what in &told {
            if let Some(place) = total.get_mut(what.kind()) {
                *place += 1;
            }
        }
        // All of this round, and some of those before.
        let older: Vec<Acknowledged> = (0..20).filter_map(|_| random.pick(&all).cloned()).collect();
        for what in told.iter().chain(&older) {
            if let Err(error) = runtime.block_on(what.check(&caller, &key)) {
                eprintln!("round {time}: {what:?}: {error:#}");
                lost.push(format!("{what:?}"));
            }
        }
        all.extend(told);
    }
    let seconds: Vec<f64> = starts.iter().map(Duration::as_secs_f64).collect();
    let slowest = seconds.iter().copied().fold(0.0, f64::max);
    let mean = seconds.iter().sum::<f64>() / seconds.len() as f64;
    println!("killed {} times; start-up {mean:.2} s on average, {slowest:.2} s at most", arguments.times);
    let [messages, suggestions, feedback, jobs, keys, erasures] = total;
    let cut_short = all.iter().filter(|what| matches!(what, Acknowledged::Erased(_, _, false))).count();
    println!(
        "acknowledged: {messages} messages, {suggestions} suggestions, {feedback} outcomes, {jobs} jobs, {keys} keys; \
         {erasures} erasures, {cut_short} of them cut short"
    );
    println!("lost: {}", lost.len());
    sidecar.stop()?;
    if !lost.is_empty() || slowest > arguments.start {
        bail!("{} acknowledged things are lost; the slowest start took {slowest:.2} s (seed {seed})", lost.len());
    }
    Ok(())
}

/// Makes and revokes keys by the command line until the time is over.
fn keys(sidecar: &Sidecar, round: &Round, during: Duration) -> anyhow::Result<Vec<Acknowledged>> {
    let end = Instant::now() + during;
    let mut made = Vec::new();
    while Instant::now() < end {
        let (id, key) = sidecar.key(&round.tenant.name, &["reader"])?;
        let revoked = made.len() % 3 == 2;
        if revoked {
            sidecar.run(&["keys", "revoke", &id])?;
        }
        made.push(Acknowledged::Key(key, revoked));
        std::thread::sleep(Duration::from_millis(50).min(end.saturating_duration_since(Instant::now())));
    }
    Ok(made)
}

/// Calls until the server is gone; remembers what it was told.
async fn client(round: Arc<Round>, mut random: Random) {
    while !round.over.load(Ordering::Relaxed) {
        match step(&round, &mut random).await {
            Ok(told) => round.acknowledged.lock().unwrap_or_else(PoisonError::into_inner).extend(told),
            // The server was killed under this call: nothing was acknowledged.
            Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    }
}

async fn step(round: &Round, random: &mut Random) -> anyhow::Result<Vec<Acknowledged>> {
    let call = |call: Call| granted(&round.caller, call, &round.tenant.admin);
    match random.below(10) {
        0..6 => {
            let (word, mut body) = round.tenant.write(random);
            *body.pointer_mut("/message/from").context("a sender")? = json!(sender(&word));
            let answer = call(Call::json("/v1/messages", &body)).await?;
            let id = answer.string("/id").context("no id")?;
            if random.percent(75) {
                return Ok(vec![Acknowledged::Message(id, word)]);
            }
            let answered = call(Call::delete(format!("/v1/messages/{id}"))).await.is_ok();
            Ok(vec![Acknowledged::Erased(id, word, answered)])
        }
        6..9 => {
            let ticket = round.tenant.ticket(random);
            let answer = call(Call::json("/v1/suggest-reply", &json!({"ticket": ticket}))).await?;
            let id = answer.string("/id").context("no id")?;
            let mut told = vec![Acknowledged::Suggestion(id.clone())];
            if answer.json().pointer("/suggestions/0").is_some() {
                let outcome = if random.percent(70) { "accepted" } else { "rejected" };
                let body = json!({"suggestion_id": id, "candidate": 0, "outcome": outcome});
                if call(Call::json("/v1/feedback", &body)).await.is_ok() {
                    told.push(Acknowledged::Feedback(id, outcome));
                }
            }
            Ok(told)
        }
        _ => {
            let words: Vec<String> = (0..5).map(|_| round.tenant.word()).collect();
            let mail = words.iter().map(|word| mail(word)).collect::<String>();
            let answer = call(Call::upload("/v1/ingest/jobs", "archive.mbox", mail.as_bytes())).await?;
            Ok(vec![Acknowledged::Job(answer.string("/id").context("no id")?, words)])
        }
    }
}

/// Whom only this message is from: a search among so many that say the same may find others first.
fn sender(word: &str) -> String {
    format!("{word}@customers.example")
}

fn mail(word: &str) -> String {
    format!(
        "From someone Mon Jun 22 08:41:00 2026\nFrom: {}\nTo: desk@firm.example\nMessage-ID: <{word}@customers.example>\n\
         Subject: {word}\nDate: Mon, 22 Jun 2026 08:41:00 +0000\n\nPlease look at the matter {word}.\n\n",
        sender(word)
    )
}

/// The answer to a call, which has to be a yes.
async fn granted(caller: &Caller, call: Call, key: &str) -> anyhow::Result<Answer> {
    let answer = caller.insist(&call.by(key)).await?;
    ensure!(answer.status < 300, "{}: {}", answer.status, answer.text());
    Ok(answer)
}

impl Acknowledged {
    fn kind(&self) -> usize {
        match self {
            Self::Message(..) => 0,
            Self::Suggestion(_) => 1,
            Self::Feedback(..) => 2,
            Self::Job(..) => 3,
            Self::Key(..) => 4,
            Self::Erased(..) => 5,
        }
    }

    /// Whether the server still knows.
    async fn check(&self, caller: &Caller, key: &str) -> anyhow::Result<()> {
        match self {
            Self::Message(id, word) => {
                ensure!(find(caller, key, word).await?.contains(id), "the message is not found");
            }
            Self::Suggestion(id) => {
                granted(caller, Call::get(format!("/v1/suggestions/{id}")), key).await?;
            }
            Self::Feedback(id, outcome) => {
                let answer = granted(caller, Call::get(format!("/v1/suggestions/{id}")), key).await?;
                ensure!(answer.string("/outcome/outcome").as_deref() == Some(outcome), "recorded: {}", answer.text());
            }
            Self::Job(id, words) => {
                complete(caller, key, id).await?;
                for word in words {
                    ensure!(!find(caller, key, word).await?.is_empty(), "the job is done without its message {word}");
                }
            }
            Self::Key(secret, revoked) => {
                let answer = caller.insist(&Call::get("/v1/schemas").by(secret)).await?;
                let wanted = if *revoked { 401 } else { 200 };
                ensure!(answer.status == wanted, "{} and not {wanted}", answer.status);
            }
            Self::Erased(id, word, answered) => {
                let answer = caller.insist(&Call::delete(format!("/v1/messages/{id}")).by(key)).await?;
                let expected: &[u16] = if *answered { &[404] } else { &[200, 404] };
                ensure!(expected.contains(&answer.status), "{}: {}", answer.status, answer.text());
                ensure!(
                    find(caller, key, word).await?.is_empty(),
                    "what was erased is found (answer {})",
                    answer.status
                );
            }
        }
        Ok(())
    }
}

/// Waits for the job to go on and to end.
async fn complete(caller: &Caller, key: &str, id: &str) -> anyhow::Result<()> {
    for _ in 0..600 {
        let answer = granted(caller, Call::get(format!("/v1/ingest/jobs/{id}")), key).await?;
        match answer.string("/state").as_deref() {
            Some("completed") => return Ok(()),
            Some("queued" | "running") => tokio::time::sleep(Duration::from_millis(100)).await,
            _ => bail!("the job ended otherwise: {}", answer.text()),
        }
    }
    bail!("the job did not end within a minute")
}

async fn find(caller: &Caller, key: &str, word: &str) -> anyhow::Result<Vec<String>> {
    let search = Call::json("/v1/search", &json!({"query": word, "participants": [sender(word)]}));
    let answer = granted(caller, search, key).await?;
    let id = |result: &Value| result.get("message_id").and_then(Value::as_str).map(str::to_owned);
    Ok(answer.data().iter().filter_map(id).collect())
}

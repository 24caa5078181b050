//! `isolation`: random operations of many tenants at once over every route, each compared with a model that holds only
//! that tenant's mail.

mod knowing;
mod open;
mod writing;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use clap::Args;
use rejoinder_scripted_provider::{Answer, Behaviour, Received, Script, ScriptedProvider};

use crate::call::{self, Call, Caller};
use crate::random::{Random, seed};
use crate::sidecar::{Models, Sidecar};
use crate::tenants::{Owners, Tenant, saying};

/// Faults that are told in full; all are counted.
const TOLD: usize = 40;

/// What to run.
#[derive(Debug, Args)]
pub(crate) struct Isolation {
    /// The program
    #[arg(long, value_name = "PATH")]
    rejoinder: PathBuf,
    /// Operations of all tenants together
    #[arg(long, default_value_t = 100_000)]
    operations: u64,
    /// Tenants, 2 to 100
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(2..=100))]
    tenants: u16,
    /// Operations at the same time
    #[arg(long, default_value_t = 32)]
    concurrency: usize,
    /// Repeats a run: the same operations, though not the same interleaving
    #[arg(long)]
    seed: Option<u64>,
    /// Seconds after which no further operation begins
    #[arg(long)]
    within: Option<u64>,
}

/// Everything that the operations share.
pub(crate) struct World {
    pub(crate) caller: Caller,
    pub(crate) tenants: Vec<Tenant>,
    pub(crate) owners: Owners,
    done: Mutex<BTreeMap<&'static str, u64>>,
    leaks: AtomicU64,
    faults: AtomicU64,
    told: Mutex<Vec<String>>,
}

/// An answer that is not what the model says.
pub(crate) type Checked = anyhow::Result<()>;

impl World {
    /// Sends a call of a tenant, or of nobody, and looks for what is not the caller's in everything that comes back.
    pub(crate) async fn send(&self, owner: Option<usize>, call: Call) -> anyhow::Result<call::Answer> {
        self.look(owner, call, true).await
    }

    /// The same where the answer must not repeat what the caller said about others.
    pub(crate) async fn send_strictly(&self, owner: Option<usize>, call: Call) -> anyhow::Result<call::Answer> {
        self.look(owner, call, false).await
    }

    async fn look(&self, owner: Option<usize>, call: Call, repeats: bool) -> anyhow::Result<call::Answer> {
        let answer = self.caller.insist(&call).await?;
        let said = if repeats { call.said() } else { String::new() };
        if let Some(owner) = owner {
            self.owners.claim_said(&answer.body, owner);
        }
        for part in [answer.headers.as_bytes(), &answer.body] {
            let foreign = self.owners.foreign(owner, part, &said);
            if !foreign.is_empty() {
                self.leaks.fetch_add(1, Ordering::Relaxed);
                self.tell(format!("LEAK to {owner:?}: {} shows {foreign:?}", call.path()));
            }
        }
        if answer.status >= 500 && answer.status != 503 {
            bail!("{} answered {}: {}", call.path(), answer.status, answer.text());
        }
        Ok(answer)
    }

    fn tell(&self, what: String) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.len() < TOLD {
            eprintln!("{what}");
            told.push(what);
        }
    }

    fn record(&self, kind: &'static str, result: Checked) {
        *self.done.lock().unwrap_or_else(PoisonError::into_inner).entry(kind).or_default() += 1;
        if let Err(error) = result {
            self.faults.fetch_add(1, Ordering::Relaxed);
            self.tell(format!("{kind}: {error:#}"));
        }
    }
}

/// An operation: of whom, and of its own random numbers.
pub(crate) struct Turn<'a> {
    pub(crate) world: &'a World,
    pub(crate) me: &'a Tenant,
    /// Somebody else.
    pub(crate) other: &'a Tenant,
    pub(crate) random: Random,
}

impl Turn<'_> {
    /// A call by the tenant's key that may do everything.
    pub(crate) async fn call(&self, call: Call) -> anyhow::Result<call::Answer> {
        self.world.send(Some(self.me.number), call.by(&self.me.admin)).await
    }

    /// A call about something of another tenant: to this one it does not exist.
    pub(crate) async fn must_not_find(&self, call: Call) -> Checked {
        let path = call.path().to_owned();
        let answer = self.call(call).await?;
        expect(&answer, &[404]).with_context(|| format!("{path} is another tenant's"))
    }

    async fn any(&mut self) -> (&'static str, Checked) {
        // Half of all operations change something; a tenth are about what belongs to others.
        match self.random.below(100) {
            0..20 => ("message added", self.add().await),
            20..24 => ("message added, raw", self.add_raw().await),
            24..28 => ("message repeated", self.repeat().await),
            28..31 => ("message erased", self.erase().await),
            31 => ("person or mailbox erased", self.erase_person_or_mailbox().await),
            32..46 => ("search", self.search().await),
            46..50 => ("search for another's", self.search_for_others().await),
            50..60 => ("suggestion", self.suggest().await),
            60..66 => ("suggestion streamed", self.suggest_streamed().await),
            66..70 => ("feedback", self.feedback().await),
            70..74 => ("suggestion read", self.read_suggestion().await),
            74..79 => ("another's ids", self.try_others_ids().await),
            79..83 => ("extraction", self.extract().await),
            83..85 => ("job", self.job().await),
            85..87 => ("lists", self.lists().await),
            87..89 => ("idempotency", self.idempotency().await),
            89..91 => ("statistics", self.statistics().await),
            91..93 => ("person", self.person().await),
            93..95 => ("models and schemas", self.models_and_schemas().await),
            95..97 => ("refused", self.refused().await),
            _ => ("open routes", self.open_routes().await),
        }
    }
}

/// Fails unless the status is one of these.
pub(crate) fn expect(answer: &call::Answer, statuses: &[u16]) -> Checked {
    if statuses.contains(&answer.status) {
        return Ok(());
    }
    let text: String = answer.text().chars().take(300).collect();
    bail!("{} and not {statuses:?}: {text}", answer.status)
}

pub(crate) fn run(arguments: &Isolation) -> anyhow::Result<()> {
    let seed = seed(arguments.seed);
    println!("seed {seed}, {} tenants, {} at once", arguments.tenants, arguments.concurrency);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let provider = runtime.block_on(ScriptedProvider::start_keeping(Script::each(answer), 0))?;
    let settings = format!(
        "[server]\nmetrics_open = false\nmax_concurrent_requests = 64\n[router]\negress = \"remote_allowed\"\n\
         [[targets]]\nname = \"provider\"\napi = \"openai\"\nbase_url = \"{}/v1\"\nmodel = \"scripted\"\n",
        provider.base_url()
    );
    let mut sidecar = Sidecar::install(&arguments.rejoinder, &Models::none(), &settings)?;
    let mut tenants = Vec::new();
    for number in 0..usize::from(arguments.tenants) {
        tenants.push(tenant(&sidecar, number)?);
    }
    sidecar.start()?;
    let world = Arc::new(World {
        caller: Caller::new(&sidecar.url)?,
        tenants,
        owners: Owners::default(),
        done: Mutex::default(),
        leaks: AtomicU64::new(0),
        faults: AtomicU64::new(0),
        told: Mutex::default(),
    });
    let started = Instant::now();
    runtime.block_on(drive(arguments, Random::new(seed), Arc::clone(&world)))?;
    let seconds = started.elapsed().as_secs_f64();
    let lives = sidecar.lives();
    let memory = sidecar.memory() >> 20;
    look_at_log(&world, &sidecar.log());
    report(&world, seconds, memory);
    sidecar.stop()?;
    let (leaks, faults) = (world.leaks.load(Ordering::Relaxed), world.faults.load(Ordering::Relaxed));
    if leaks > 0 || faults > 0 || !lives {
        bail!("{leaks} leaks and {faults} answers that the model does not expect (seed {seed})");
    }
    Ok(())
}

/// What the language model says: never the same, so that an answer that was kept for one tenant is known by its number.
fn answer(request: &Received) -> Behaviour {
    if request.asks_for_schema() {
        return Answer::json(serde_json::json!({})).into();
    }
    Answer::text(format!("Thank you for your message. We look into it under {}.", saying(request.number))).into()
}

/// Makes a tenant with its keys and a schema that only it has.
fn tenant(sidecar: &Sidecar, number: usize) -> anyhow::Result<Tenant> {
    let name = Tenant::marker(number);
    let folder = sidecar.path("schemas").join(&name);
    std::fs::create_dir_all(&folder)?;
    let schema = serde_json::json!({"type": "object", "title": format!("Of {name}"), "additionalProperties": false,
        "properties": {"reference": {"type": "string", "maxLength": 60, "description": format!("Reference of {name}")}}});
    std::fs::write(folder.join(format!("{name}@1.json")), schema.to_string())?;
    let (_, admin) = sidecar.key(&name, &["admin"])?;
    let (_, reader) = sidecar.key(&name, &["reader"])?;
    Ok(Tenant::new(number, admin, reader))
}

async fn drive(arguments: &Isolation, mut random: Random, world: Arc<World>) -> anyhow::Result<()> {
    let left = Arc::new(AtomicU64::new(arguments.operations));
    let end = arguments.within.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..arguments.concurrency {
        let (world, left, mut random) = (Arc::clone(&world), Arc::clone(&left), random.fork());
        tasks.spawn(async move {
            let take = || left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok();
            while end.is_none_or(|end| Instant::now() < end) && take() {
                one(&world, task, &mut random).await;
            }
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended?;
    }
    Ok(())
}

async fn one(world: &World, task: usize, random: &mut Random) {
    let count = world.tenants.len();
    let number = task % count;
    let other = (number + 1 + random.below(count - 1)) % count;
    if let (Some(me), Some(other)) = (world.tenants.get(number), world.tenants.get(other)) {
        let mut turn = Turn { world, me, other, random: random.fork() };
        let (kind, result) = turn.any().await;
        world.record(kind, result);
    }
}

/// The log holds ids and counts: no tenant's words at all, whoever reads it.
fn look_at_log(world: &World, log: &str) {
    // A tenant's name is an id that a log may need; its mail is not.
    let words = |line: &&str| world.tenants.iter().any(|tenant| line.contains(&format!("{}w", tenant.name)));
    for line in log.lines().filter(words) {
        world.leaks.fetch_add(1, Ordering::Relaxed);
        world.tell(format!("LEAK to the log: {line}"));
    }
}

fn report(world: &World, seconds: f64, memory: u64) {
    let done = world.done.lock().unwrap_or_else(PoisonError::into_inner);
    let total: u64 = done.values().sum();
    for (kind, count) in done.iter() {
        println!("{count:>8}  {kind}");
    }
    println!("{total:>8}  operations in {seconds:.0} s ({:.0} a second)", total as f64 / seconds);
    let messages: usize = world.tenants.iter().map(Tenant::messages).sum();
    println!("{messages:>8}  messages are held in the end; the server takes {memory} MiB");
    println!("{:>8}  answers that the model does not expect", world.faults.load(Ordering::Relaxed));
    println!("{:>8}  LEAKS", world.leaks.load(Ordering::Relaxed));
}

//! `load`: many clients at once, first as on a quiet day, then with one tenant flooding; what the others notice of it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::bail;
use clap::Args;
use serde_json::json;

use crate::call::{Call, Caller};
use crate::random::{Random, seed};
use crate::sidecar::{Models, Sidecar};
use crate::tenants::Tenant;

/// Questions with their replies that every tenant has before the first measurement.
const PAIRS: usize = 20;

/// What to run.
#[derive(Debug, Args)]
pub(crate) struct Load {
    /// The program
    #[arg(long, value_name = "PATH")]
    rejoinder: PathBuf,
    #[command(flatten)]
    models: Models,
    /// Clients at the same time while one tenant floods
    #[arg(long, default_value_t = 256)]
    clients: usize,
    /// Tenants, the flooding one among them
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(2..=100))]
    tenants: u16,
    /// Clients of the tenants that do not flood, in both phases
    #[arg(long, default_value_t = 120)]
    quiet_clients: usize,
    /// Milliseconds that a client of those waits after an answer, as a person does; the flooding ones do not wait
    #[arg(long, default_value_t = 2000)]
    pause: u64,
    /// Milliseconds after which a flooding client that was refused sends again, whatever `Retry-After` says. The clients share
    /// the processors with the server: the fewer, the more of what is measured is the clients' own work
    #[arg(long, default_value_t = 100)]
    refused_pause: u64,
    /// Seconds of the quiet phase
    #[arg(long, default_value_t = 60)]
    quiet_seconds: u64,
    /// Seconds of the flooded phase
    #[arg(long, default_value_t = 300)]
    seconds: u64,
    /// How much slower the others' slowest hundredth may become
    #[arg(long, default_value_t = 2.0)]
    factor: f64,
    /// Further lines of the configuration, such as `[server.limits.default]`
    #[arg(long, default_value = "")]
    settings: String,
    /// Repeats a run
    #[arg(long)]
    seed: Option<u64>,
}

/// What clients saw.
#[derive(Debug, Default)]
struct Seen {
    /// Milliseconds of answers with 200 and 201, by tenant.
    times: BTreeMap<usize, Vec<f64>>,
    /// The same of all but the flooding tenant, by route.
    by_route: BTreeMap<String, Vec<f64>>,
    statuses: BTreeMap<(bool, u16), u64>,
    /// Requests that no answer came to.
    lost: u64,
    reasons: Vec<String>,
    /// Processors that the server and the clients kept busy, on average.
    busy: (f64, f64),
}

/// What the clients of a phase share.
struct Phase {
    caller: Caller,
    tenants: Vec<Tenant>,
    seen: Mutex<Seen>,
    over: AtomicBool,
}

/// Of one kind of clients.
#[derive(Clone, Copy, Debug)]
struct Manner {
    tenant: usize,
    pause: Option<u64>,
    refused_pause: u64,
}

pub(crate) fn run(arguments: &Load) -> anyhow::Result<()> {
    let seed = seed(arguments.seed);
    println!("seed {seed}");
    let mut sidecar = Sidecar::install(&arguments.rejoinder, &arguments.models, &format!("{}\n", arguments.settings))?;
    let mut tenants = Vec::new();
    for number in 0..usize::from(arguments.tenants) {
        let (_, key) = sidecar.key(&Tenant::marker(number), &["admin"])?;
        tenants.push(Tenant::new(number, key, String::new()));
    }
    sidecar.start()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let mut random = Random::new(seed);
    let mut phase =
        Phase { caller: Caller::new(&sidecar.url)?, tenants, seen: Mutex::default(), over: AtomicBool::new(false) };
    runtime.block_on(fill(&phase, &mut random))?;

    let others = usize::from(arguments.tenants) - 1;
    let mut manners: Vec<Manner> = (0..arguments.quiet_clients)
        .map(|client| Manner { tenant: 1 + client % others, pause: Some(arguments.pause), refused_pause: 0 })
        .collect();
    let memory = vec![sidecar.memory()];
    let (kept, quiet, _) = measure(&runtime, phase, &manners, (arguments.quiet_seconds, &sidecar, &mut random));
    phase = kept;
    let flooding = arguments.clients.saturating_sub(arguments.quiet_clients);
    manners.extend((0..flooding).map(|_| Manner { tenant: 0, pause: None, refused_pause: arguments.refused_pause }));
    println!("{} clients of {others} tenants, then {flooding} more of one that floods", arguments.quiet_clients);
    let (_, flooded, during) = measure(&runtime, phase, &manners, (arguments.seconds, &sidecar, &mut random));
    let memory: Vec<u64> = memory.into_iter().chain(during).collect();
    report(arguments, &quiet, &flooded, &memory)?;
    sidecar.stop()
}

/// Mail for everybody, so that there is something to find.
async fn fill(phase: &Phase, random: &mut Random) -> anyhow::Result<()> {
    for tenant in &phase.tenants {
        tenant.correspond(&phase.caller, PAIRS, random).await?;
    }
    Ok(())
}

/// Lets clients call for some seconds; what they saw, and the server's memory every five seconds.
fn measure(
    runtime: &tokio::runtime::Runtime,
    phase: Phase,
    manners: &[Manner],
    (seconds, sidecar, random): (u64, &Sidecar, &mut Random),
) -> (Phase, Seen, Vec<u64>) {
    phase.over.store(false, Ordering::Relaxed);
    let phase = Arc::new(phase);
    let clients: Vec<_> =
        manners.iter().map(|manner| runtime.spawn(client(Arc::clone(&phase), *manner, random.fork()))).collect();
    let started = Instant::now();
    let before = (sidecar.processor_seconds(), crate::sidecar::processor_seconds("self"));
    let mut memory = Vec::new();
    while started.elapsed() < Duration::from_secs(seconds) {
        std::thread::sleep(Duration::from_secs(5).min(Duration::from_secs(seconds)));
        memory.push(sidecar.memory());
    }
    phase.over.store(true, Ordering::Relaxed);
    let elapsed = started.elapsed().as_secs_f64();
    let busy = (
        (sidecar.processor_seconds() - before.0) / elapsed,
        (crate::sidecar::processor_seconds("self") - before.1) / elapsed,
    );
    for client in clients {
        // A client ends with its last answer; one that panicked would have been seen on standard error.
        let _ = runtime.block_on(client);
    }
    let mut seen = std::mem::take(&mut *phase.seen.lock().unwrap_or_else(PoisonError::into_inner));
    seen.busy = busy;
    let phase = Arc::into_inner(phase).unwrap_or_else(|| unreachable!("every client has ended"));
    (phase, seen, memory)
}

async fn client(phase: Arc<Phase>, manner: Manner, mut random: Random) {
    let Some(tenant) = phase.tenants.get(manner.tenant) else { return };
    if let Some(pause) = manner.pause {
        // Not all at the same instant.
        tokio::time::sleep(Duration::from_millis(random.next() % pause.max(1))).await;
    }
    while !phase.over.load(Ordering::Relaxed) {
        let call = request(tenant, &mut random).by(&tenant.admin);
        let started = Instant::now();
        let answer = phase.caller.send(&call).await;
        let milliseconds = started.elapsed().as_secs_f64() * 1000.0;
        let mut wait = manner.pause;
        {
            let mut seen = phase.seen.lock().unwrap_or_else(PoisonError::into_inner);
            match answer {
                Ok(answer) => {
                    *seen.statuses.entry((manner.pause.is_none(), answer.status)).or_default() += 1;
                    if answer.status < 300 {
                        seen.times.entry(tenant.number).or_default().push(milliseconds);
                        if manner.pause.is_some() {
                            seen.by_route.entry(call.path().to_owned()).or_default().push(milliseconds);
                        }
                    } else if manner.pause.is_none() {
                        wait = Some(manner.refused_pause);
                    }
                }
                Err(error) => {
                    seen.lost += 1;
                    if seen.reasons.len() < 10 {
                        seen.reasons.push(format!("{error:#}"));
                    }
                }
            }
        }
        if let Some(wait) = wait {
            tokio::time::sleep(Duration::from_millis(wait / 2 + random.next() % wait.max(1))).await;
        }
    }
}

/// What a CRM asks, in the shares in which it does.
fn request(tenant: &Tenant, random: &mut Random) -> Call {
    match random.below(100) {
        0..45 => Call::json("/v1/search", &json!({"query": format!("delivery number {}", random.below(100_000))})),
        45..80 => {
            let ticket = tenant.ticket(random);
            Call::json("/v1/suggest-reply", &json!({"ticket": ticket}))
        }
        80..95 => {
            let text = "EUR 1,250.00 were refunded to the customer on 3 July 2026.";
            Call::json("/v1/extract-attributes", &json!({"text": text, "schema_name": "close_out"}))
        }
        _ => Call::json("/v1/messages", &tenant.write(random).1),
    }
}

/// This share of the times is not above the answer, which is in milliseconds; 0 without any.
fn quantile(times: &[f64], share: f64) -> f64 {
    let mut sorted = times.to_vec();
    sorted.sort_by(f64::total_cmp);
    let place = ((sorted.len() as f64 * share).ceil() as usize).saturating_sub(1);
    sorted.get(place).copied().unwrap_or_default()
}

fn report(arguments: &Load, quiet: &Seen, flooded: &Seen, memory: &[u64]) -> anyhow::Result<()> {
    println!(
        "{:>22} {:>7} {:>9} {:>9} {:>7} {:>9} {:>9} {:>7}",
        "tenant", "quiet n", "p50 ms", "p99 ms", "flood n", "p50 ms", "p99 ms", "ratio"
    );
    let line = |name: &str, before: &[f64], after: &[f64]| {
        let (p99, p99_after) = (quantile(before, 0.99), quantile(after, 0.99));
        let (p50, p50_after) = (quantile(before, 0.5), quantile(after, 0.5));
        let ratio = if p99 > 0.0 { p99_after / p99 } else { 0.0 };
        println!(
            "{name:>22} {:>7} {p50:>9.1} {p99:>9.1} {:>7} {p50_after:>9.1} {p99_after:>9.1} {ratio:>7.2}",
            before.len(),
            after.len()
        );
        ratio
    };
    let none = Vec::new();
    let (mut all_before, mut all_after) = (Vec::new(), Vec::new());
    for number in 0..usize::from(arguments.tenants) {
        let before = quiet.times.get(&number).unwrap_or(&none);
        let after = flooded.times.get(&number).unwrap_or(&none);
        let name = if number == 0 { "flooding".to_owned() } else { number.to_string() };
        line(&name, before, after);
        if number > 0 {
            all_before.extend(before);
            all_after.extend(after);
        }
    }
    for (route, after) in &flooded.by_route {
        line(route, quiet.by_route.get(route).unwrap_or(&none), after);
    }
    let ratio = line("others", &all_before, &all_after);
    for (phase, seen) in [("quiet", quiet), ("flooded", flooded)] {
        for ((flooding, status), count) in &seen.statuses {
            println!(
                "{phase}: {count:>8} times {status} to {}",
                if *flooding { "the flooding tenant" } else { "the others" }
            );
        }
        println!("{phase}: {:>8} requests without an answer {:?}", seen.lost, seen.reasons);
        println!("{phase}: {:.2} processors busy with the server, {:.2} with the clients", seen.busy.0, seen.busy.1);
    }
    let megabytes: Vec<u64> = memory.iter().map(|bytes| bytes >> 20).collect();
    println!("memory in MiB, before and every 5 s of the flood: {megabytes:?}");
    let growth = growth(memory);
    println!("memory of the last quarter over that of the second: {growth:.3}");
    let refused: u64 = flooded
        .statuses
        .iter()
        .filter(|((flooding, status), _)| !flooding && *status >= 400)
        .map(|(_, count)| count)
        .sum();
    if ratio > arguments.factor || quiet.lost + flooded.lost > 0 || growth > 1.15 || refused > 0 {
        bail!(
            "ratio {ratio:.2}, {} lost, memory grows by {growth:.2}, {refused} of the others' refused (seed {:?})",
            quiet.lost + flooded.lost,
            arguments.seed
        );
    }
    Ok(())
}

/// Mean of the last quarter over that of the second; 1 where there is too little to say.
fn growth(memory: &[u64]) -> f64 {
    let quarter = memory.len() / 4;
    let mean = |part: &[u64]| part.iter().sum::<u64>() as f64 / part.len().max(1) as f64;
    let second = mean(memory.get(quarter..2 * quarter).unwrap_or_default());
    let last = mean(memory.get(3 * quarter..).unwrap_or_default());
    if quarter == 0 || second == 0.0 { 1.0 } else { last / second }
}

#[cfg(test)]
mod tests {
    use super::{growth, quantile};

    #[test]
    fn quantiles_are_of_what_was_seen() {
        let times: Vec<f64> = (1..=100).map(f64::from).collect();
        assert_eq!((quantile(&times, 0.5), quantile(&times, 0.99)), (50.0, 99.0));
        assert_eq!((quantile(&[7.0], 0.99), quantile(&[], 0.99)), (7.0, 0.0));
    }

    #[test]
    fn memory_that_doubles_is_seen() {
        assert!((growth(&[1, 1, 1, 1, 1, 1, 2, 2]) - 2.0).abs() < 1e-9);
        assert!((growth(&[5, 5]) - 1.0).abs() < 1e-9);
    }
}

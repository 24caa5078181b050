//! How long an agent waits for a draft: the earlier reply, the model's first word, its last; with and without what saves
//! work (beginnings computed for an earlier request, text proposed out of the sources).
//!
//! Public support tickets with their answers are ingested as mail; other tickets of the same set are asked about, and then
//! once more after the customer wrote again. `REJOINDER_LANGUAGE_MODEL` names a model or a file; `REJOINDER_BENCH_DRAFTS`
//! a file for the drafts, to be read by a person.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use anyhow::{Context as _, ensure};
use rejoinder::assist::{
    Customer, SuggestEvent, SuggestObserver, SuggestRequest, Ticket, TicketDirection, TicketMessage,
};
use rejoinder::serving::ServingOptions;
use rejoinder::{Config, LanguageConfig, Rejoinder, TenantId};
use serde::Deserialize;

/// Tickets with answers that become mail, and tickets that are asked about.
const KNOWN: usize = 400;
const ASKED: usize = 20;
/// Of those, how many are asked again with a part switched off.
const ASKED_AGAIN: usize = 8;
const DOMAIN: &str = "support.example";
/// The model that a package index has: what is measured when no other is named or found.
const SMALL: &str = "SmolLM2-135M-Instruct";

/// Some tickets of the set lack a field; those without question or answer are left out.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Sample {
    subject: String,
    body: String,
    answer: String,
    language: String,
}

/// Measures and prints.
pub(crate) fn run(corpus: &Path, work_dir: &Path) -> anyhow::Result<()> {
    let samples = read(&corpus.join("tickets/tickets.dev.jsonl.zst"))?;
    ensure!(samples.len() > KNOWN + ASKED, "too few tickets");
    let (known, rest) = samples.split_at(KNOWN);
    let data = tempfile::tempdir_in(work_dir)?;
    let mailbox = data.path().join("tickets.mbox");
    std::fs::write(&mailbox, mbox(known))?;
    let model = std::env::var("REJOINDER_LANGUAGE_MODEL").unwrap_or_else(|_| SMALL.to_owned());
    println!("{ASKED} tickets in {}; {KNOWN} answered ones as mail; {model}", languages(rest));
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        let without = Rejoinder::open(config(data.path(), LanguageConfig::NONE, ServingOptions::default())?).await?;
        without.ingest(&TenantId::new("bench")?, &[mailbox], &()).await?;
        drop(without);
        println!(
            "{:<22} {:>9} {:>9} {:>9} {:>9} {:>9} {:>8} {:>8} {:>9}",
            "median ms", "found", "exemplar", "1st word", "last word", "ms/token", "cached", "accepted", "good"
        );
        let shipped = ServingOptions::default();
        let no_lookup = ServingOptions { lookup: false, ..shipped.clone() };
        let no_reuse = ServingOptions { reuse_bytes: 0, ..shipped.clone() };
        let runs = [
            ("as shipped", shipped.clone(), ASKED),
            ("the first of them", shipped, ASKED_AGAIN),
            ("no prompt lookup", no_lookup, ASKED_AGAIN),
            ("no prefix reuse", no_reuse, ASKED_AGAIN),
        ];
        for (name, serving, count) in runs {
            let rejoinder = Rejoinder::open(config(data.path(), &model, serving)?).await?;
            measure(name, &rejoinder, rest.get(..count).unwrap_or_default()).await?;
        }
        Ok(())
    })
}

fn config(data: &Path, model: &str, serving: ServingOptions) -> anyhow::Result<Config> {
    let mut config = Config::new(TenantId::new("bench")?, data.join("data"));
    config.ownership.domains = vec![DOMAIN.to_owned()];
    let path = Some(PathBuf::from(model)).filter(|path| path.extension().is_some_and(|extension| extension == "gguf"));
    let name = if path.is_some() { LanguageConfig::AUTO } else { model };
    config.models.language = LanguageConfig { model: name.to_owned(), path, serving };
    config.assist.draft.max_tokens = 200;
    // Nothing is cut off: the whole is what is measured.
    config.assist.draft.first_token_ms = 600_000;
    config.assist.draft.deadline_ms = 600_000;
    Ok(config)
}

/// Times of one suggestion, in milliseconds.
#[derive(Default)]
struct Times {
    found: Vec<f64>,
    exemplar: Vec<f64>,
    first: Vec<f64>,
    last: Vec<f64>,
    per_token: Vec<f64>,
    cached: u64,
    input: u64,
    good: usize,
}

async fn measure(name: &str, rejoinder: &Rejoinder, asked: &[Sample]) -> anyhow::Result<()> {
    let tenant = TenantId::new("bench")?;
    let mut drafts = String::new();
    let (mut fresh, mut grown) = (Times::default(), Times::default());
    for (index, sample) in asked.iter().enumerate() {
        let mut request = SuggestRequest::new(ticket(index, sample));
        let draft = once(rejoinder, &tenant, &request, &mut fresh).await?;
        let _ = writeln!(drafts, "## {index} {}\n{}\n\n--- draft\n{draft}\n", sample.subject, sample.body);
        let inbound = |text: &str| TicketMessage {
            text: text.to_owned(),
            ..request.ticket.messages.first().cloned().unwrap_or_else(|| message(""))
        };
        let again = inbound("One more question: how long will it take, and whom can I call in the meantime?");
        request.ticket.messages.push(again);
        once(rejoinder, &tenant, &request, &mut grown).await?;
    }
    let metrics = rejoinder.language_model_metrics().context("no language model runs")?;
    let accepted = format!("{}/{}", metrics.accepted_tokens, metrics.proposed_tokens);
    for (what, times) in [(name.to_owned(), &mut fresh), ("  the ticket has grown".to_owned(), &mut grown)] {
        println!(
            "{what:<22} {:>9.0} {:>9.0} {:>9.0} {:>9.0} {:>9.1} {:>7.0}% {accepted:>8} {:>6}/{}",
            median(&mut times.found),
            median(&mut times.exemplar),
            median(&mut times.first),
            median(&mut times.last),
            median(&mut times.per_token),
            100.0 * times.cached as f64 / times.input.max(1) as f64,
            times.good,
            asked.len(),
        );
    }
    let path = std::env::var_os("REJOINDER_BENCH_DRAFTS").filter(|_| asked.len() == ASKED);
    if let Some(path) = path {
        std::fs::write(path, drafts)?;
    }
    Ok(())
}

/// One suggestion; returns the model's words as they came.
async fn once(
    rejoinder: &Rejoinder,
    tenant: &TenantId,
    request: &SuggestRequest,
    times: &mut Times,
) -> anyhow::Result<String> {
    let watch = Watch { begun: Instant::now(), seen: Mutex::default() };
    let suggested = rejoinder.suggest_observed(tenant, request, &watch).await?;
    let total = watch.begun.elapsed().as_secs_f64() * 1e3;
    let seen = watch.seen.into_inner().unwrap_or_else(PoisonError::into_inner);
    times.found.extend(seen.found);
    times.exemplar.extend(seen.exemplar);
    times.first.extend(seen.first);
    times.last.push(total);
    let usage = suggested.answer.usage;
    if let Some(first) = seen.first.filter(|_| usage.output_tokens > 1) {
        times.per_token.push((total - first) / (usage.output_tokens - 1) as f64);
    }
    times.cached += usage.cached_input_tokens;
    times.input += usage.input_tokens;
    let outcome = suggested.answer.attempts.last().map_or("", |attempt| attempt.outcome);
    times.good += usize::from(suggested.answer.suggestions.first().is_some_and(|draft| draft.provider == "local"));
    Ok(format!("({outcome}) {}", seen.text))
}

/// Notes when something became known.
struct Watch {
    begun: Instant,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    found: Option<f64>,
    exemplar: Option<f64>,
    first: Option<f64>,
    text: String,
}

impl SuggestObserver for Watch {
    fn event(&self, event: SuggestEvent) {
        let now = self.begun.elapsed().as_secs_f64() * 1e3;
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            SuggestEvent::Retrieval(_) => seen.found = Some(now),
            SuggestEvent::Draft(_) => seen.exemplar = Some(now),
            SuggestEvent::Delta(part) => {
                seen.first.get_or_insert(now);
                seen.text.push_str(&part);
            }
            SuggestEvent::Citation(_) | SuggestEvent::Restart => {}
        }
    }
}

fn ticket(index: usize, sample: &Sample) -> Ticket {
    Ticket {
        id: format!("T-{index}"),
        subject: sample.subject.clone(),
        customer: Customer { email: Some("customer@client.example".to_owned()), name: None },
        messages: vec![message(&sample.body)],
    }
}

fn message(text: &str) -> TicketMessage {
    TicketMessage {
        direction: TicketDirection::Inbound,
        from: "customer@client.example".to_owned(),
        sent_at: None,
        text: text.to_owned(),
        html: None,
    }
}

fn read(path: &Path) -> anyhow::Result<Vec<Sample>> {
    let output = Command::new("zstd").arg("-dc").arg(path).output().context("zstd is needed to unpack the corpus")?;
    ensure!(output.status.success(), "zstd: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout)?;
    let samples: Vec<Sample> = text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    Ok(samples.into_iter().filter(|sample| !sample.body.is_empty() && !sample.answer.is_empty()).collect())
}

/// Question and answer of every sample as two messages.
fn mbox(samples: &[Sample]) -> String {
    let mut text = String::new();
    for (index, sample) in samples.iter().enumerate() {
        let (question, answer) = (format!("q{index}@client.example"), format!("a{index}@{DOMAIN}"));
        let customer = format!("c{index}@client.example");
        let support = format!("help@{DOMAIN}");
        for (id, from, to, reference, body) in [
            (&question, &customer, &support, String::new(), &sample.body),
            (&answer, &support, &customer, format!("In-Reply-To: <{question}>\n"), &sample.answer),
        ] {
            let subject = sample.subject.replace(['\r', '\n'], " ");
            let _ = write!(
                text,
                "From - Thu Jan  1 00:00:00 2026\nFrom: <{from}>\nTo: <{to}>\nMessage-ID: <{id}>\n{reference}\
                 Date: Thu, 1 Jan 2026 10:00:00 +0000\nSubject: {subject}\nMIME-Version: 1.0\n\
                 Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n{}\n\n",
                body.replace("\nFrom ", "\n>From ")
            );
        }
    }
    text
}

/// How many of the tickets asked about are in which language.
fn languages(rest: &[Sample]) -> String {
    let mut counts = std::collections::BTreeMap::<&str, usize>::new();
    for sample in rest.iter().take(ASKED) {
        *counts.entry(sample.language.as_str()).or_default() += 1;
    }
    counts.iter().map(|(language, count)| format!("{language} {count}")).collect::<Vec<_>>().join(", ")
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

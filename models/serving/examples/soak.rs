//! Hours of mixed load on one local model, every greedy answer checked.
//!
//!     cargo run -p rejoinder-serving --example soak -- MODEL.gguf MINUTES [CALLERS [CACHE_MIB]]
//!
//! First every greedy question of the mix is answered alone, by a model without batching, reuse and proposals. Then callers
//! ask at random: short and long prompts, conversations that grow, schemas, seeds; people and programs; two tenants; some
//! go away in the middle, some are in a hurry. Each minute it prints what the process holds and how long requests waited.
//! The exit code is 1 where an answer differs from the one alone, does not have its form, fails in a way that it should not,
//! or never comes, and where memory grows without end.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rejoinder_domain::language::collect;
use rejoinder_domain::{
    ChatMessage, ChatRole, ErrorKind, GenerateEvent, GenerateRequest, GenerateStream, LanguageModel, OutputFormat,
    Priority, Sampling, SeamError, TenantId,
};
use rejoinder_serving::{LocalModel, Metrics, ServingOptions, Shutdown};
use serde_json::json;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// How much the resident memory may grow after the first third of the run.
const MOST_GROWTH: f64 = 1.15;

#[derive(Default)]
struct Tally {
    right: AtomicU64,
    wrong: AtomicU64,
    left: AtomicU64,
    late: AtomicU64,
    refused: AtomicU64,
    unexpected: AtomicU64,
}

impl Tally {
    fn bad(&self) -> u64 {
        self.wrong.load(Ordering::Relaxed) + self.unexpected.load(Ordering::Relaxed)
    }
}

/// Numbers from a seed, so that a run can be repeated as far as the clock allows.
struct Dice(u64);

impl Dice {
    fn below(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % sides.max(1)
    }

    fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }
}

/// A question of the mix and its answer alone: every answer is greedy or has a seed.
struct Question {
    request: GenerateRequest,
    alone: Result<String, ErrorKind>,
}

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}

fn run() -> Result<bool, Failure> {
    const USAGE: &str = "usage: soak MODEL.gguf MINUTES [CALLERS [CACHE_MIB]]";
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or(USAGE)?;
    let minutes: f64 = arguments.next().ok_or(USAGE)?.parse()?;
    let callers: u64 = arguments.next().map_or(Ok(8), |number| number.parse())?;
    let cache_bytes = arguments.next().map_or(Ok(512), |number| number.parse::<usize>())? << 20;
    let options = ServingOptions {
        cache_bytes,
        reuse_bytes: cache_bytes / 2,
        queue_length: 6,
        context_tokens: 4096,
        ..ServingOptions::default()
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_time().build()?;
    let questions = Arc::new(runtime.block_on(answer_alone(&path, &options))?);
    println!("{} questions answered alone", questions.len());

    let model = Arc::new(LocalModel::open(&path, "soak", &options)?);
    let tally = Arc::new(Tally::default());
    let begin = Instant::now();
    let end = begin + Duration::from_secs_f64(minutes * 60.0);
    let tasks: Vec<_> = (0..callers)
        .map(|caller| {
            let (model, questions, tally) = (Arc::clone(&model), Arc::clone(&questions), Arc::clone(&tally));
            runtime.spawn(async move { call(&model, &questions, &tally, caller, end).await })
        })
        .collect();
    let memory = watch(&model, &tally, begin, end);
    let all_came = runtime.block_on(async {
        // What is under way at the end may take its time, but not for ever.
        let all = async {
            for task in tasks {
                task.await?;
            }
            Ok::<_, Failure>(())
        };
        tokio::time::timeout(Duration::from_mins(5), all).await
    });
    let hangs = all_came.is_err();
    if let Ok(outcome) = all_came {
        outcome?;
        model.shutdown(Shutdown::Drain);
    } else {
        eprintln!("requests hang");
    }
    report(&model.metrics(), &tally, begin);
    let growth = growth(&memory);
    println!("memory after the first third of the run: x{growth:.3}");
    Ok(!hangs && tally.bad() == 0 && (minutes < 9.0 || growth <= MOST_GROWTH))
}

/// The largest resident memory of the last two thirds over that of the first third.
fn growth(memory: &[u64]) -> f64 {
    let (first, rest) = memory.split_at(memory.len().div_ceil(3));
    let most = |part: &[u64]| part.iter().copied().max().unwrap_or(1) as f64;
    if rest.is_empty() { 1.0 } else { most(rest) / most(first) }
}

async fn answer_alone(path: &str, options: &ServingOptions) -> Result<Vec<Question>, Failure> {
    let alone = ServingOptions { max_sequences: 1, reuse_bytes: 0, lookup: false, ..options.clone() };
    let model = LocalModel::open(path, "alone", &alone)?;
    let mut questions = Vec::new();
    for request in mix()? {
        let outcome = match model.generate(request.clone()).await {
            Ok(stream) => collect(stream).await,
            Err(error) => Err(error),
        };
        let alone = outcome.map(|(text, _)| text).map_err(|error| error.kind);
        questions.push(Question { request, alone });
    }
    Ok(questions)
}

const TICKETS: [&str; 6] = [
    "Hello, my order 4711-22 of 3 May has not arrived. The tracking page has shown the same place for nine days. \
     Could you tell me where it is, or send it again? Regards, Martha Klein",
    "Guten Tag, ich habe zwei Rechnungen über 129,90 € für denselben Kühlschrank bekommen. Bitte schreiben Sie mir eine \
     davon gut. Mit freundlichen Grüßen, Jörg Müller",
    "The washing machine WX-200 that you delivered last week leaks. I want a refund of 449.00 EUR, not a repair.",
    "Can I change the delivery address of order 8812-03 to Rosenstrasse 12, 10178 Berlin? It ships tomorrow.",
    "Please cancel my subscription at the end of this month and confirm by mail.",
    "Your shop says the lamp is in stock, but the cart does not take it. Which is right?",
];

const REPLIES: [&str; 2] = [
    "Dear customer, thank you for your message. We are sorry that your order has not arrived. We have asked the carrier to \
     look for the parcel and will send it again within three working days. Kind regards, the service team",
    "Dear customer, we have credited the second invoice. The amount will be on your account within five working days. \
     Kind regards, the service team",
];

fn mix() -> Result<Vec<GenerateRequest>, Failure> {
    let schema = json!({
        "type": "object",
        "properties": {
            "topic": {"enum": ["delivery", "invoice", "refund", "other"]},
            "order": {"type": ["string", "null"], "maxLength": 12},
            "amount": {"type": ["number", "null"], "minimum": 0, "maximum": 10000},
            "urgent": {"type": "boolean"}
        },
        "required": ["topic", "order", "amount", "urgent"],
        "additionalProperties": false
    });
    let mut requests = Vec::new();
    for (index, ticket) in TICKETS.iter().enumerate() {
        let tenant = TenantId::new(if index % 2 == 0 { "north" } else { "south" })?;
        let ask = |system: &str, user: String, max_tokens| {
            let messages = vec![ChatMessage::new(ChatRole::System, system), ChatMessage::new(ChatRole::User, user)];
            GenerateRequest::new(tenant.clone(), messages, max_tokens)
        };
        let draft = format!("Earlier replies:\n{}\n\nTicket:\n{ticket}\n\nWrite the reply.", REPLIES.join("\n\n"));
        let lookup: Vec<String> = REPLIES.iter().map(|&reply| reply.to_owned()).collect();
        let system = "You answer customers of a shop, politely and briefly.";
        requests.push(GenerateRequest { lookup: lookup.clone(), ..ask(system, draft.clone(), 96) });
        let sampling = Sampling { temperature: 0.7, top_p: 0.9, seed: Some(index as u64), ..Sampling::default() };
        requests.push(GenerateRequest { sampling, lookup, ..ask(system, draft, 64) });
        let extract = ask("You fill the form from the ticket.", (*ticket).to_owned(), 120);
        requests.push(GenerateRequest { output: OutputFormat::Json(schema.clone()), ..extract });
        let choices = ["delivery", "invoice", "refund", "other"].map(str::to_owned).to_vec();
        let classify = ask("You name the topic.", (*ticket).to_owned(), 10);
        requests.push(GenerateRequest { output: OutputFormat::Choice(choices), ..classify });
    }
    let thread = TICKETS.join("\n\n");
    for repeats in [2, 5] {
        let messages =
            vec![ChatMessage::new(ChatRole::User, format!("{}\n\nSum it up.", vec![&*thread; repeats].join("\n\n")))];
        let long = GenerateRequest::new(TenantId::new("north")?, messages, 48);
        requests.push(GenerateRequest { priority: Priority::Batch, ..long });
    }
    Ok(requests)
}

/// One caller: asks, reads, checks, until the end.
async fn call(model: &LocalModel, questions: &[Question], tally: &Tally, caller: u64, end: Instant) {
    let mut dice = Dice(caller * 7919 + 1);
    while Instant::now() < end {
        let Some(question) = questions.get(dice.below(questions.len())) else { return };
        let mut request = question.request.clone();
        if dice.one_in(3) {
            request.priority = Priority::Batch;
        }
        if dice.one_in(12) {
            request.deadline = Some(Duration::from_millis(200 + dice.below(2000) as u64));
        }
        let leaves_after = dice.one_in(6).then(|| dice.below(20));
        let outcome = match model.generate(request.clone()).await {
            Ok(stream) => read(stream, leaves_after).await,
            Err(error) => Err(error),
        };
        judge(question, &request, outcome, tally).await;
    }
}

/// The text of an answer; `None` when the caller left.
async fn read(mut stream: GenerateStream, leaves_after: Option<usize>) -> Result<Option<String>, SeamError> {
    let Some(leaves_after) = leaves_after else { return collect(stream).await.map(|(text, _)| Some(text)) };
    for _ in 0..leaves_after {
        match std::future::poll_fn(|context| stream.as_mut().poll_next(context)).await {
            Some(Ok(GenerateEvent::Text(_))) => {}
            Some(Err(error)) => return Err(error),
            Some(Ok(_)) | None => break,
        }
    }
    Ok(None)
}

async fn judge(
    question: &Question,
    request: &GenerateRequest,
    outcome: Result<Option<String>, SeamError>,
    tally: &Tally,
) {
    let count = match (outcome, &question.alone) {
        (Ok(None), _) => &tally.left,
        (Ok(Some(text)), Ok(alone)) if text == *alone => &tally.right,
        (Ok(Some(text)), alone) => {
            eprintln!("alone: {alone:?}\nnow:   {text:?}");
            &tally.wrong
        }
        (Err(error), Err(alone)) if error.kind == *alone => &tally.right,
        (Err(SeamError { kind: ErrorKind::DeadlineExceeded, .. }), _) if request.deadline.is_some() => &tally.late,
        (Err(SeamError { kind: ErrorKind::RateLimited { .. }, .. }), _) => {
            // Sooner than the time that the error gives, so that the queue stays under pressure.
            tokio::time::sleep(Duration::from_millis(500)).await;
            &tally.refused
        }
        (Err(error), _) => {
            eprintln!("{:?}: {error}", error.kind);
            &tally.unexpected
        }
    };
    count.fetch_add(1, Ordering::Relaxed);
}

/// Prints what happens each minute until the end, and gives the resident memory of every ten seconds.
fn watch(model: &LocalModel, tally: &Tally, begin: Instant, end: Instant) -> Vec<u64> {
    let mut memory = Vec::new();
    let mut next_line = begin + Duration::from_mins(1);
    while Instant::now() < end {
        std::thread::sleep(Duration::from_secs(10).min(end.saturating_duration_since(Instant::now())));
        memory.push(resident_bytes());
        if Instant::now() >= next_line {
            next_line += Duration::from_mins(1);
            report(&model.metrics(), tally, begin);
        }
    }
    memory
}

fn report(metrics: &Metrics, tally: &Tally, begin: Instant) {
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let wait = |share| {
        let of = |waits: rejoinder_serving::Waits| waits.quantile(share).map_or(0, |wait| wait.as_millis());
        format!("{}/{} ms", of(metrics.waits_interactive), of(metrics.waits_batch))
    };
    println!(
        "{:>5.1} min | RSS {} MiB, cache {} MiB of which kept {} | right {}, wrong {}, unexpected {}, left {}, late {}, \
         refused {} | waits interactive/batch p50 < {}, p99 < {} | {:.0} tokens/s, input {} of which reused {}, output {}, \
         forced {}, proposed {} of which right {}, preempted {}",
        begin.elapsed().as_secs_f64() / 60.0,
        resident_bytes() >> 20,
        metrics.cache_bytes >> 20,
        metrics.reuse_bytes >> 20,
        count(&tally.right),
        count(&tally.wrong),
        count(&tally.unexpected),
        count(&tally.left),
        count(&tally.late),
        count(&tally.refused),
        wait(0.5),
        wait(0.99),
        metrics.tokens_per_second,
        metrics.input_tokens,
        metrics.cached_input_tokens,
        metrics.output_tokens,
        metrics.forced_tokens,
        metrics.proposed_tokens,
        metrics.accepted_tokens,
        metrics.preempted,
    );
}

/// Resident memory of this process; 0 where the system does not say.
fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok())
        .map_or(0, |kilobytes| kilobytes << 10)
}

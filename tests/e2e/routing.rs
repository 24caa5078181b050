//! The router in the built program: a thousand suggestions from providers of whom a third of the calls fails, what left the
//! machine, and traces.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rejoinder_scripted_provider::{Answer, Mixture, Script, ScriptedProvider};
use serde_json::{Value, json};

use crate::product::{Product, Serving, repository};

const SUGGESTIONS: usize = 1000;
const CALLERS: usize = 16;
/// What the providers draft.
const DRAFT: &str = "Thank you for your message. We have looked at it and will come back to you with the details.";

/// A tenant whose prompts leave the machine redacted, to two providers with a budget at the first.
fn config(providers: &[&ScriptedProvider]) -> String {
    let mut text =
        "tenant = \"routing\"\n[ownership]\ndomains = [\"haldenmarsh.example\"]\n[models]\nembedder = \"none\"\n\
         [assist]\nmin_word_overlap = 0.05\n[server]\nmax_concurrent_requests = 64\n\
         [router]\negress = \"redact_then_remote\"\n[router.retry]\nbase_ms = 10\nmax_ms = 1500\n\
         [router.breaker]\nfailures_in_a_row = 0\nmin_requests = 100000\n\
         [[router.budgets]]\ntarget = \"a\"\nper = \"month\"\ncost = 0.5\n\
         [[router.budgets]]\nper = \"day\"\ntokens = 10000000\n"
            .to_owned();
    for (name, provider) in ["a", "b"].iter().zip(providers) {
        let api = if *name == "a" { "openai" } else { "anthropic" };
        let (url, path) = (provider.base_url(), if *name == "a" { "/v1" } else { "" });
        let target = format!(
            "[[targets]]\nname = \"{name}\"\napi = \"{api}\"\nbase_url = \"{url}{path}\"\nmodel = \"model-{name}\"\n\
             timeouts = {{ connect = 1000, first_token = 700, between_tokens = 700, whole = 10000 }}\n\
             price = {{ input = 1.0, output = 2.0 }}\n"
        );
        text.push_str(&target);
    }
    text
}

struct Setting {
    runtime: tokio::runtime::Runtime,
    folder: tempfile::TempDir,
}

impl Setting {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        Self { runtime, folder: tempfile::tempdir().unwrap() }
    }

    fn provider(&self, script: Script) -> ScriptedProvider {
        self.runtime.block_on(ScriptedProvider::start(script)).unwrap()
    }

    /// The program with the sample mailbox ingested.
    fn product(&self, providers: &[&ScriptedProvider]) -> Product {
        let path = self.folder.path().join("rejoinder.toml");
        std::fs::write(&path, config(providers)).unwrap();
        let product = Product::with_config(&path);
        let mailbox = repository().join("examples/mailbox/support.mbox");
        product.json(&["ingest", mailbox.to_str().unwrap()], 0);
        product
    }
}

fn ticket(number: usize) -> Value {
    json!({"ticket": {"id": format!("T-{number}"), "subject": "The invoice came twice",
        "customer": {"email": format!("kim.reuter{number}@reuter.example"), "name": "Kim Reuter"},
        "messages": [{"direction": "inbound", "from": format!("kim.reuter{number}@reuter.example"),
            "text": format!("The invoice {number} for my order came twice, please send me a corrected copy. My IBAN is \
                             DE89 3704 0044 0532 0130 00. Kim Reuter")}]}})
}

#[derive(Default, Debug, PartialEq, Eq, Clone, Copy)]
struct Sums {
    attempts: u64,
    input: u64,
    output: u64,
    nanos: u64,
}

impl Sums {
    fn add(&mut self, attempts: u64, part: &Value) {
        self.attempts += attempts;
        self.input += part["input_tokens"].as_u64().unwrap();
        self.output += part["output_tokens"].as_u64().unwrap();
        // Prices are whole billionths, so that what is printed as a decimal comes back exactly.
        self.nanos += (part["cost"].as_f64().unwrap_or_default() * 1e9).round() as u64;
    }
}

/// Checks one answer and adds what it cost.
fn check(answer: &Value, sums: &mut Sums) -> bool {
    let suggestions = answer["suggestions"].as_array().unwrap();
    assert!(!suggestions.is_empty(), "{answer}");
    let provider = suggestions[0]["provider"].as_str().unwrap();
    let mut whole = Sums::default();
    for attempt in answer["attempts"].as_array().unwrap() {
        let (by, outcome) = (attempt["provider"].as_str().unwrap(), attempt["outcome"].as_str().unwrap());
        if ["a", "b"].contains(&by) && outcome != "over_budget" {
            whole.add(1, &attempt["usage"]);
        }
    }
    let mut usage = Sums { attempts: whole.attempts, ..Sums::default() };
    usage.add(0, &answer["usage"]);
    assert_eq!(whole, usage, "the attempts' usage is the answer's: {answer}");
    for (sum, part) in [
        (&mut sums.attempts, whole.attempts),
        (&mut sums.input, whole.input),
        (&mut sums.output, whole.output),
        (&mut sums.nanos, whole.nanos),
    ] {
        *sum += part;
    }
    if provider == "exemplar" {
        return false;
    }
    let text = suggestions[0]["text"].as_str().unwrap();
    assert!(text.contains(DRAFT), "a draft is never cut: {text}");
    true
}

#[test]
fn a_thousand_suggestions_are_answered_whole_within_budget_and_add_up() {
    let setting = Setting::new();
    let mixture = |seed| Script::mixture(Mixture::new(seed, 0.3, Answer::text(DRAFT)));
    let (one, two) = (setting.provider(mixture(11)), setting.provider(mixture(12)));
    let product = setting.product(&[&one, &two]);
    let server = product.serve();
    let next = AtomicUsize::new(0);
    let sums = Mutex::new(Sums::default());
    let by_model = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..CALLERS {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::SeqCst);
                    if number >= SUGGESTIONS {
                        return;
                    }
                    let answer = server.post("/v1/suggest-reply", &ticket(number).to_string());
                    assert_eq!(answer.status, 200, "{}", answer.body);
                    if check(&answer.json(), &mut sums.lock().unwrap()) {
                        by_model.fetch_add(1, Ordering::SeqCst);
                    }
                }
            });
        }
    });
    let (sums, by_model) = (sums.into_inner().unwrap(), by_model.into_inner());
    // With both targets fewer than one in a hundred is left to the exemplar; once the first has no budget left, one in eleven.
    assert!(by_model > SUGGESTIONS * 85 / 100, "{by_model} drafts by a model");
    assert_eq!(sums.attempts as usize, one.requests() + two.requests());

    let mut kept = Sums::default();
    let usage = server.get("/v1/usage?limit=100").json();
    let mut spent_at_a = 0.0;
    for row in usage["data"].as_array().unwrap() {
        kept.add(row["attempts"].as_u64().unwrap(), row);
        spent_at_a += if row["provider"] == "a" { row["cost"].as_f64().unwrap() } else { 0.0 };
    }
    assert_eq!(kept, sums, "the account is the sum of the answers");
    assert!(spent_at_a <= 0.5, "{spent_at_a} at a budget of 0.5");
    assert!(spent_at_a > 0.4, "the budget was used, and then the second target was asked: {spent_at_a}");
    let budgets = usage["budgets"].as_array().unwrap();
    assert!(budgets.iter().all(|budget| budget["tokens_left"].as_u64() != Some(0)), "{usage}");

    assert_eq!(audited(&server), one.requests() + two.requests(), "every sending is recorded");
    for received in one.received().iter().chain(&two.received()) {
        let raw = String::from_utf8_lossy(&received.raw);
        for value in ["reuter", "Reuter", "3704", "0532"] {
            assert!(!raw.contains(value), "{value} was sent: {raw}");
        }
        assert!(opening_marks(&received.prompt_text()), "the mail stands in fences still: {raw}");
    }
    let metrics = server.get("/metrics").body;
    assert!(metrics.contains("rejoinder_model_attempts_total{"), "{metrics}");
    assert!(!metrics.contains("routing\""), "no tenant in a label");
    assert!(server.terminate());
}

/// Whether there are fences and all of them open with the same sixteen letters, which no redaction has touched.
fn opening_marks(prompt: &str) -> bool {
    let mut marks = prompt.lines().filter_map(|line| line.strip_prefix("<<<MAIL "));
    let is_mark = |mark: &str| mark.len() == 16 && mark.bytes().all(|letter| letter.is_ascii_lowercase());
    marks.next().is_some_and(|first| is_mark(first) && marks.all(|mark| mark == first))
}

/// How many records the audit has, page by page.
fn audited(server: &Serving) -> usize {
    let (mut count, mut cursor) = (0, String::new());
    loop {
        let page = server.get(&format!("/v1/audit?limit=100{cursor}")).json();
        let records = page["data"].as_array().unwrap();
        for record in records {
            assert_eq!(record["egress"], "redact_then_remote", "{record}");
            assert!(record["redactions"].as_object().is_some_and(|kinds| !kinds.is_empty()), "{record}");
            assert!(!record.to_string().contains("euter"), "the audit holds no text");
        }
        count += records.len();
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return count,
        }
    }
}

#[test]
fn what_left_the_machine_outlives_a_kill() {
    let setting = Setting::new();
    let one = setting.provider(Script::always(Answer::text(DRAFT)));
    let product = setting.product(&[&one]);
    let server = product.serve();
    for number in 0..5 {
        assert_eq!(server.post("/v1/suggest-reply", &ticket(number).to_string()).status, 200);
    }
    // Dropping kills.
    drop(server);
    let server = product.serve();
    assert_eq!((audited(&server), one.requests()), (5, 5));
    assert!(server.terminate());
}

/// Takes what an exporter posts and keeps the bytes.
fn collector() -> (String, Arc<Mutex<Vec<u8>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let kept = Arc::new(Mutex::new(Vec::new()));
    let into = Arc::clone(&kept);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, into) = (stream.unwrap(), Arc::clone(&into));
            std::thread::spawn(move || {
                stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
                let mut bytes = Vec::new();
                let mut part = [0; 4096];
                while let Ok(count) = stream.read(&mut part) {
                    bytes.extend_from_slice(&part[..count]);
                    let head = bytes.windows(4).position(|four| four == b"\r\n\r\n");
                    let length = head.and_then(|head| {
                        let head = String::from_utf8_lossy(&bytes[..head]).to_lowercase();
                        let length = head.split("content-length:").nth(1)?.lines().next()?.trim().parse::<usize>();
                        length.ok().map(|length| length + head.len() + 4)
                    });
                    if count == 0 || length.is_some_and(|length| bytes.len() >= length) {
                        break;
                    }
                }
                into.lock().unwrap().extend_from_slice(&bytes);
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            });
        }
    });
    (url, kept)
}

#[test]
fn a_request_joins_the_trace_of_its_caller() {
    let setting = Setting::new();
    let one = setting.provider(Script::always(Answer::text(DRAFT)));
    let product = setting.product(&[&one]);
    let (url, kept) = collector();
    let server = product.serve_with(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &url)]);
    let (trace, parent) = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");
    let header = format!("traceparent: 00-{trace}-{parent}-01");
    let body = ticket(1).to_string();
    let arguments = ["-H", "content-type: application/json", "-H", &header, "--data-binary", &body];
    assert_eq!(server.call("/v1/suggest-reply", &arguments).status, 200);
    // Ending sends what is left.
    assert!(server.terminate());
    let kept = kept.lock().unwrap();
    let bytes = |hex: &str| -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
    };
    let count = |part: &[u8]| kept.windows(part.len()).filter(|window| *window == part).count();
    assert!(count(&bytes(trace)) >= 2, "the request and its attempt are of the caller's trace");
    assert_eq!(count(&bytes(parent)), 1, "the request is the caller's child");
    assert!(count(b"POST /v1/suggest-reply") == 1 && count(b"chat model-a") == 1);
}

#[test]
fn traces_name_models_and_tokens_and_hold_no_text() {
    let setting = Setting::new();
    let one = setting.provider(Script::always(Answer::text(DRAFT)));
    let product = setting.product(&[&one]);
    let path = product.path("ticket.json");
    std::fs::write(&path, ticket(1).to_string()).unwrap();
    for (content, is_there) in [("false", false), ("true", true)] {
        let (url, kept) = collector();
        let mut command = product.command(&["suggest", "--ticket", path.to_str().unwrap(), "--json"]);
        command
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", &url)
            .env("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", content)
            .env("RUST_LOG", "trace");
        let output = command.stderr(Stdio::piped()).output().unwrap();
        let log = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{log}");
        assert!(!log.contains("corrected copy") && !log.contains(DRAFT), "the log holds no text");
        let traced = String::from_utf8_lossy(&kept.lock().unwrap()).into_owned();
        for word in ["gen_ai.request.model", "model-a", "gen_ai.usage.output_tokens", "gen_ai.provider.name"] {
            assert!(traced.contains(word), "{word} is not in the trace");
        }
        assert_eq!(traced.contains("corrected copy"), is_there);
        let place = traced.find("3704 0044").map(|at| &traced[at.saturating_sub(300)..at + 20]);
        assert_eq!(place, None, "what may not leave for the model leaves for nobody");
    }
}

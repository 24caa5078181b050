//! What a CRM developer and an operator copy: the clients in `examples`, run against the built program, and the dashboard
//! and alerts in `config/deploy`, compared with the metrics that there are.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};

use rejoinder_scripted_provider::{Answer as Scripted, Script};
use serde_json::Value;

use crate::product::{Product, Serving, repository};
use crate::remote::Remotes;
use crate::spine::ingest_sample;

const TYPESCRIPT: [&str; 6] =
    ["package.json", "package-lock.json", "tsconfig.json", "src/rejoinder.ts", "src/server.ts", "src/walkthrough.ts"];

/// The sample's mail behind a key of the role admin.
fn sidecar() -> (Product, Serving, String) {
    let product = Product::new();
    ingest_sample(&product);
    let key = product.json(&["keys", "create", "--name", "examples", "--roles", "admin"], 0);
    let key = key["key"].as_str().expect("a key").to_owned();
    let server = product.serve();
    (product, server, key)
}

/// Runs an example as its first lines say; what it printed.
fn run(example: Command, server: &Serving, key: &str) -> String {
    run_at(example, &server.url, key)
}

fn run_at(mut example: Command, url: &str, key: &str) -> String {
    for name in ["http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
        example.env_remove(name);
    }
    let output = example.env("REJOINDER_URL", url).env("REJOINDER_KEY", key).output();
    succeeded(&example, &output.expect("the example starts"))
}

fn succeeded(command: &Command, output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{command:?}\n{text}\n{}", String::from_utf8_lossy(&output.stderr));
    text
}

#[test]
fn the_walkthrough_with_curl_gets_an_answer_of_every_route() {
    let (_product, server, key) = sidecar();
    let mut script = Command::new("sh");
    script.arg(repository().join("examples/curl/walkthrough.sh"));
    let said = run(script, &server, &key);
    for answered in [
        "POST /v1/messages: 201",
        "POST /v1/messages?mailbox=crm: 201",
        "POST /v1/ingest/jobs: 202",
        "POST /v1/search: 200",
        "POST /v1/suggest-reply: 200",
        "/events: 200",
        "POST /v1/feedback: 204",
        "POST /v1/extract-attributes: 200",
        "GET /v1/stats: 200",
        "GET /v1/subjects/paula.dent@marlowceramics.example: 200",
        "DELETE /v1/messages/",
    ] {
        assert!(said.contains(answered), "{answered} is missing:\n{said}");
    }
}

#[test]
fn the_python_example_takes_a_ticket_from_its_mail_to_its_fields() {
    let (_product, server, key) = sidecar();
    let mut example = Command::new("python3");
    example.arg("-B").arg(repository().join("examples/python/example.py"));
    let said = run(example, &server, &key);
    for line in ["message indexed in thread", "draft by exemplar", "/amount = 1250", "refused: 422 unsupported_schema"]
    {
        assert!(said.contains(line), "{line:?} is missing:\n{said}");
    }
    assert!(said.contains("events: retrieval draft"), "{said}");
}

/// The compiled program of the TypeScript example, type-checked on the way; made once for each state of its files.
static CRM: LazyLock<PathBuf> = LazyLock::new(|| {
    let source = repository().join("examples/typescript");
    let mut hasher = DefaultHasher::new();
    for name in TYPESCRIPT {
        std::fs::read(source.join(name)).unwrap_or_else(|error| panic!("{name}: {error}")).hash(&mut hasher);
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("typescript-{:016x}", hasher.finish()));
    if !folder.join("complete").is_file() {
        // What an earlier run left half done.
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(folder.join("src")).expect("a folder");
        for name in TYPESCRIPT {
            std::fs::copy(source.join(name), folder.join(name)).expect("the file is copied");
        }
        let mut install = Command::new("npm");
        install.args(["ci", "--no-audit", "--no-fund", "--ignore-scripts"]).current_dir(&folder);
        let output = install.output().expect("this test needs Node 20 or later with npm: apt-get install nodejs npm");
        succeeded(&install, &output);
        let mut compile = Command::new("node");
        compile.arg("node_modules/typescript/bin/tsc").current_dir(&folder);
        let output = compile.output().expect("node runs");
        succeeded(&compile, &output);
        std::fs::write(folder.join("complete"), "").expect("a mark");
    }
    folder
});

#[test]
fn the_typescript_crm_streams_a_draft_sends_it_and_closes_the_ticket() {
    let (product, server, key) = sidecar();
    let mut walkthrough = Command::new("node");
    walkthrough.arg(CRM.join("dist/walkthrough.js"));
    let said = run(walkthrough, &server, &key);
    for line in
        ["mail indexed as", "events: retrieval draft", "draft by exemplar", "ticket holds 2 messages", "closed with "]
    {
        assert!(said.contains(line), "{line:?} is missing:\n{said}");
    }
    // The reply that the agent sent and the mail that it answers are in the index.
    let subjects: Vec<Value> = product.messages().into_iter().map(|message| message["subject"].clone()).collect();
    assert!(subjects.contains(&"Re: Lost invoice".into()), "{subjects:?}");
}

/// A network between client and server as bad as networks are: the first request is answered 503, and the first stream of
/// events breaks off in its middle.
struct BadNetwork {
    url: String,
    refused: Arc<AtomicUsize>,
    cut: Arc<AtomicUsize>,
}

impl BadNetwork {
    fn before(server: &Serving) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let (refused, cut) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let upstream = server.url.trim_start_matches("http://").to_owned();
        let network = Self { url, refused: Arc::clone(&refused), cut: Arc::clone(&cut) };
        // The threads end with their connections, and the one that listens with the test's process.
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let client = client.expect("a client");
                if refused.fetch_add(1, Ordering::SeqCst) == 0 {
                    std::thread::spawn(move || refuse(client));
                    continue;
                }
                let server = TcpStream::connect(&upstream).expect("the server");
                let (mut up, mut down) = (client.try_clone().expect("a handle"), server.try_clone().expect("a handle"));
                let silent = Arc::new(AtomicBool::new(false));
                let (cut, is_silent) = (Arc::clone(&cut), Arc::clone(&silent));
                std::thread::spawn(move || {
                    // Either end may close at any time.
                    let _ = std::io::copy(&mut up, &mut down);
                    if !is_silent.load(Ordering::SeqCst) {
                        let _ = down.shutdown(Shutdown::Write);
                    }
                });
                std::thread::spawn(move || pass_on(server, client, &cut, &silent));
            }
        });
        network
    }
}

/// Too busy, for a second.
fn refuse(mut client: TcpStream) {
    let mut request = vec![0; 65_536];
    let _ = client.read(&mut request);
    let answer = "HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    client.write_all(answer.as_bytes()).expect("the client listens");
    let _ = client.shutdown(Shutdown::Write);
    let _ = client.read_to_end(&mut Vec::new());
}

/// What the server says, up to the event `draft` of the first stream. There the client is cut off, and the server is not told,
/// as when a network fails: a server that sees its reader go stops the model, and the stream would begin anew.
fn pass_on(mut server: TcpStream, mut client: TcpStream, cut: &AtomicUsize, silent: &AtomicBool) {
    let mut bytes = [0; 1024];
    let mut passed = Vec::new();
    while let Ok(read @ 1..) = server.read(&mut bytes) {
        passed.extend_from_slice(&bytes[..read]);
        let streams_draft = passed.windows(12).any(|part| part == b"event: draft");
        if streams_draft && cut.compare_exchange(0, 1, Ordering::SeqCst, Ordering::SeqCst).is_ok() {
            silent.store(true, Ordering::SeqCst);
            let _ = client.shutdown(Shutdown::Both);
            let _ = std::io::copy(&mut server, &mut std::io::sink());
            return;
        }
        if client.write_all(&bytes[..read]).is_err() {
            break;
        }
    }
    let _ = client.shutdown(Shutdown::Both);
    let _ = server.shutdown(Shutdown::Both);
}

#[test]
fn both_clients_wait_as_told_and_take_up_a_stream_that_broke_off() {
    let (_product, server, key) = sidecar();
    let mut python = Command::new("python3");
    python.arg("-B").arg(repository().join("examples/python/example.py"));
    let mut node = Command::new("node");
    node.arg(CRM.join("dist/walkthrough.js"));
    for example in [python, node] {
        let network = BadNetwork::before(&server);
        let said = run_at(example, &network.url, &key);
        let events = said.lines().find(|line| line.starts_with("events:")).expect("a line of events");
        assert_eq!(events, "events: retrieval draft done", "{said}");
        assert!(network.refused.load(Ordering::SeqCst) > 1, "the refused call was repeated");
        assert_eq!(network.cut.load(Ordering::SeqCst), 1, "the stream was broken off");
    }
}

/// Names of metrics in a text, without what Prometheus adds for the parts of a histogram.
fn metrics(text: &str) -> BTreeSet<String> {
    let word = |letter: char| !(letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_');
    let names = text.split(word).filter(|name| name.starts_with("rejoinder_"));
    names
        .map(|name| name.trim_end_matches("_bucket").trim_end_matches("_sum").trim_end_matches("_count").to_owned())
        .collect()
}

#[test]
fn the_dashboard_and_the_alerts_name_only_metrics_that_there_are() {
    let remotes = Remotes::new().with("remote", Script::always(Scripted::text("Good morning.")));
    let product = remotes.product("");
    let server = product.serve();
    let chat = r#"{"model": "remote", "messages": [{"role": "user", "content": "hello"}]}"#;
    assert_eq!(server.post("/v1/chat/completions", chat).status, 200);
    let mut known = metrics(&server.get("/metrics").body);
    assert!(known.contains("rejoinder_model_attempts_total"), "{known:?}");
    // A metric that counts by a label is not there before it has counted, and the local model's only with a model: the table
    // in the router's documentation and the local model's list name them all.
    let read =
        |path: &str| std::fs::read_to_string(repository().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
    let table: String = read("crates/router/src/metrics.rs").lines().filter(|line| line.starts_with("//! |")).collect();
    known.extend(metrics(&table));
    known.extend(["rejoinder_answer_cache_entries".to_owned()]);
    for name in metrics(&read("crates/rejoinder/src/metrics.rs")) {
        known.insert(format!("{name}_total"));
        known.insert(name);
    }
    for shipped in ["config/deploy/grafana/rejoinder.json", "config/deploy/prometheus/alerts.yml"] {
        let used = metrics(&read(shipped));
        assert!(used.len() > 5, "{used:?}");
        let missing: Vec<_> = used.difference(&known).collect();
        assert!(missing.is_empty(), "{shipped} names {missing:?}, which nothing exposes");
    }
    let dashboard: Value = serde_json::from_str(&read("config/deploy/grafana/rejoinder.json")).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    assert!(
        panels.iter().all(|panel| panel["type"] == "row" || panel["description"].is_string()),
        "a panel says nothing"
    );
}

//! OpenAI's own Python and Node clients drive the running sidecar. What they need is installed by the test itself, from
//! the package registries that pip and npm are set up for, into the build folder.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use rejoinder_scripted_provider::{Answer as Scripted, Behaviour, Failure, Received, RetryAfter, Script};
use serde_json::{Value, json};

use crate::product::{Product, Serving, model_is_here, repository, weights_are_here};
use crate::remote::Remotes;

const SMOLLM2: &str = "SmolLM2-135M-Instruct";
const LOCAL: &[&str] =
    &["models", "chat", "chat_streamed", "json_schema", "stop_texts", "embeddings", "errors", "hang_up"];
const LOCAL_NODE: &[&str] = &["models", "chat", "chat_streamed", "json_schema", "embeddings", "errors", "hang_up"];
const REMOTE: &[&str] = &["tools", "tools_streamed", "json_schema_remote", "routing", "rate_limited", "broken_stream"];
const REMOTE_NODE: &[&str] = &["tools", "tools_streamed", "json_schema", "routing", "rate_limited", "broken_stream"];

fn sources(language: &str) -> PathBuf {
    repository().join("tests/clients").join(language)
}

/// A folder that holds exactly what these files pin; made once, and whole or not at all.
fn installed(language: &str, pins: &[&str], install: impl FnOnce(&Path)) -> PathBuf {
    let mut hasher = DefaultHasher::new();
    for pin in pins {
        std::fs::read(sources(language).join(pin)).expect("the pinned versions").hash(&mut hasher);
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{language}-{:016x}", hasher.finish()));
    if !folder.join("complete").is_file() {
        // What an earlier run left half done.
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).expect("a folder");
        for pin in pins {
            std::fs::copy(sources(language).join(pin), folder.join(pin)).expect("the pins are copied");
        }
        install(&folder);
        std::fs::write(folder.join("complete"), "").expect("a mark");
    }
    folder
}

fn must(command: &mut Command, otherwise: &str) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}; {otherwise}"));
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?} failed; {otherwise}\n{text}");
}

/// The interpreter with the client.
static PYTHON: LazyLock<PathBuf> = LazyLock::new(|| {
    let folder = installed("python", &["requirements.txt"], |folder| {
        let missing = "this test needs Python 3.9 or later with venv: apt-get install python3 python3-venv";
        must(Command::new("python3").args(["-m", "venv"]).arg(folder.join("venv")), missing);
        let mut pip = Command::new(folder.join("venv/bin/python"));
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"]);
        must(pip.arg(folder.join("requirements.txt")), "pip must reach a package registry");
    });
    folder.join("venv/bin/python")
});

/// The script beside the modules that it imports.
static NODE_SCRIPT: LazyLock<PathBuf> = LazyLock::new(|| {
    let folder = installed("node", &["package.json", "package-lock.json"], |folder| {
        let missing = "this test needs Node 20 or later with npm: apt-get install nodejs npm";
        must(Command::new("node").arg("--version"), missing);
        let mut npm = Command::new("npm");
        npm.args(["ci", "--no-audit", "--no-fund", "--ignore-scripts"]).current_dir(folder);
        must(&mut npm, "npm must be there and reach a package registry");
    });
    let script = folder.join("drive.mjs");
    std::fs::copy(sources("node").join("drive.mjs"), &script).expect("the script is copied");
    script
});

/// Runs a suite of checks and expects that each passed.
fn drive(mut client: Command, server: &Serving, suite: &str, checks: &[&str]) {
    let proxies = ["http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"];
    for name in proxies {
        client.env_remove(name);
    }
    let output = client.arg(format!("{}/v1", server.url)).arg(suite).output().expect("the client runs");
    let passed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "passed: {passed}\n{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(passed.lines().collect::<Vec<_>>(), checks);
}

fn drive_python(server: &Serving, suite: &str, checks: &[&str]) {
    let mut client = Command::new(PYTHON.as_path());
    client.arg(sources("python").join("drive.py"));
    drive(client, server, suite, checks);
}

fn drive_node(server: &Serving, suite: &str, checks: &[&str]) {
    let mut client = Command::new("node");
    client.arg(NODE_SCRIPT.as_path());
    drive(client, server, suite, checks);
}

#[test]
fn both_clients_get_answers_of_the_local_models() {
    if !weights_are_here() || !model_is_here(SMOLLM2) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("rejoinder.toml");
    std::fs::write(&config, "tenant = \"clients\"\n[server]\nmax_concurrent_requests = 2\n").unwrap();
    let product = Product::with_config(&config).with_language_model(SMOLLM2);
    let server = product.serve();
    drive_python(&server, "local", LOCAL);
    drive_node(&server, "local", LOCAL_NODE);
}

/// Calls the tool, then answers from its result; fills a schema; repeats everything else.
fn assistant(received: &Received) -> Behaviour {
    let messages = received.body["messages"].as_array().expect("messages");
    if messages.last().is_some_and(|message| message["role"] == "tool") {
        let calls = messages.iter().filter_map(|message| message["tool_calls"].as_array()).flatten();
        let asked: Vec<&Value> = calls.map(|call| &call["id"]).collect();
        let answered = messages.last().map(|message| &message["tool_call_id"]);
        assert_eq!(asked.last().copied(), answered, "a result names its call: {messages:?}");
        return Scripted::text("It is paid.").into();
    }
    if received.body["tools"].is_array() {
        let call = json!({"number": "HM-2026-00417"});
        return Scripted::text("").with_call("look_up_invoice", call).in_chunks_of(3).into();
    }
    if received.asks_for_schema() {
        return Scripted::json(json!({"approved": true, "days": 14})).into();
    }
    Scripted::echo().into()
}

#[test]
fn both_clients_call_tools_and_see_what_a_remote_target_does_wrong() {
    let remotes = Remotes::new()
        .with("remote", Script::each(assistant))
        .with("limited", Script::always(Failure::RateLimited(Some(RetryAfter::Seconds(30)))))
        .with("broken", Script::always(Failure::Cut { after: 3 }));
    let product = remotes.product("");
    let server = product.serve();
    drive_python(&server, "remote", REMOTE);
    drive_node(&server, "remote", REMOTE_NODE);
}

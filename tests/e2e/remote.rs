//! Remote targets for the built program: scripted providers on loopback, and a configuration that names them.

use std::path::PathBuf;

use rejoinder_scripted_provider::{Script, ScriptedProvider};
use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::product::{Answer, Product};

/// Providers, each a target of its name.
pub(crate) struct Remotes {
    runtime: Runtime,
    targets: Vec<(String, ScriptedProvider)>,
    folder: TempDir,
}

/// Everything is tried once and nothing is kept, so that a test sees what it scripted.
const PLAIN: &str = "tenant = \"remotes\"\n[ownership]\ndomains = [\"haldenmarsh.example\"]\n[models]\nembedder = \"none\"\n\
                     [router]\negress = \"remote_allowed\"\n[router.retry]\nextra_tries = 0\n[router.cache]\nmax_bytes = 0\n\
                     [router.breaker]\nfailures_in_a_row = 0\nmin_requests = 1000\n";

impl Remotes {
    pub(crate) fn new() -> Self {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime = builder.worker_threads(1).enable_all().build().expect("a runtime");
        Self { runtime, targets: Vec::new(), folder: tempfile::tempdir().expect("a temporary folder") }
    }

    /// Adds a target that follows `script`.
    pub(crate) fn with(mut self, name: &str, script: Script) -> Self {
        let provider = self.runtime.block_on(ScriptedProvider::start(script)).expect("the provider starts");
        self.targets.push((name.to_owned(), provider));
        self
    }

    pub(crate) fn provider(&self, name: &str) -> &ScriptedProvider {
        &self.targets.iter().find(|(known, _)| known == name).expect("a provider of this name").1
    }

    /// Waits for something of the providers.
    pub(crate) fn wait<T>(&self, future: impl Future<Output = T>) -> T {
        let within = std::time::Duration::from_mins(1);
        let waited = self.runtime.block_on(async { tokio::time::timeout(within, future).await });
        waited.expect("what is waited for comes within a minute")
    }

    /// The program with these targets; `more` is added to the configuration.
    pub(crate) fn product(&self, more: &str) -> Product {
        Product::with_config(&self.config(more))
    }

    fn config(&self, more: &str) -> PathBuf {
        let mut text = format!("{PLAIN}{more}\n");
        for (place, (name, provider)) in self.targets.iter().enumerate() {
            let url = provider.base_url();
            let lines = format!(
                "[[targets]]\nname = \"{name}\"\napi = \"openai\"\nbase_url = \"{url}/v1\"\nmodel = \"scripted-{}\"\n\
                 price = {{ input = 1.0, output = 2.0 }}\n",
                place + 1
            );
            text.push_str(&lines);
        }
        let path = self.folder.path().join("rejoinder.toml");
        std::fs::write(&path, text).expect("a configuration");
        path
    }
}

/// An event of a stream.
#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) name: String,
    pub(crate) id: String,
    pub(crate) data: String,
}

impl Event {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.data).unwrap_or_else(|error| panic!("{error}: {}", self.data))
    }
}

/// The events of a streamed answer, in order, without its comments.
pub(crate) fn events(answer: &Answer) -> Vec<Event> {
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert!(answer.headers.contains("content-type: text/event-stream"), "{}", answer.headers);
    let blocks = answer.body.split("\n\n").filter(|block| !block.trim().is_empty());
    let fields = |block: &str, field: &str| {
        let prefix = format!("{field}: ");
        let lines: Vec<&str> = block.lines().filter_map(|line| line.strip_prefix(&prefix)).collect();
        lines.join("\n")
    };
    blocks
        .filter(|block| !block.starts_with(':'))
        .map(|block| Event { name: fields(block, "event"), id: fields(block, "id"), data: fields(block, "data") })
        .collect()
}

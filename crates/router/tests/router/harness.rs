//! A router over scripted providers, and what it told.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use prometheus_client::registry::Registry;
use rejoinder_domain::{
    ChatMessage, ChatRole, Egress, EgressRecord, ErrorKind, GenerateEvent, GenerateRequest, GenerateStream, Generated,
    Journal, LanguageModel, ModelAttempt, SeamError, Spent, TenantId, ToolCallPart, UsageRecord,
};
use rejoinder_providers::{Anthropic, OpenAiCompatible, RemoteOptions};
use rejoinder_router::{
    Capabilities, Place, Price, Router, RouterConfig, RouterParts, Target, TargetOptions, Timeouts,
};
use rejoinder_scripted_provider::{Script, ScriptedProvider};

/// Keeps records in memory.
#[derive(Default)]
pub(crate) struct MemoryJournal {
    pub(crate) egress: Mutex<Vec<EgressRecord>>,
    pub(crate) usage: Mutex<Vec<UsageRecord>>,
    pub(crate) is_full: AtomicBool,
}

#[async_trait]
impl Journal for MemoryJournal {
    async fn egress(&self, record: EgressRecord) -> Result<(), SeamError> {
        if self.is_full.load(Ordering::SeqCst) {
            return Err(SeamError::new(ErrorKind::Transient, "the disk is full"));
        }
        self.egress.lock().unwrap().push(record);
        Ok(())
    }

    fn usage(&self, record: UsageRecord) {
        self.usage.lock().unwrap().push(record);
    }

    fn spent(&self, _: Timestamp) -> Result<Vec<Spent>, SeamError> {
        Ok(Vec::new())
    }
}

/// What is known of a remote target in tests: short times, a price, everything possible.
pub(crate) fn remote_options() -> TargetOptions {
    TargetOptions {
        place: Place::Remote,
        can: Capabilities { tools: true, structured_output: true },
        timeouts: Timeouts {
            first_token: Duration::from_millis(1500),
            between_tokens: Duration::from_millis(1500),
            whole: Duration::from_secs(20),
        },
        price: Price { input: 150, cached_input: 75, output: 600 },
        concurrency: 0,
    }
}

/// An OpenAI-compatible target at `base_url`.
pub(crate) fn openai(name: &str, base_url: String) -> Target {
    let mut options = RemoteOptions::new(name, base_url, format!("{name}-model"));
    options.connect_timeout = Duration::from_millis(500);
    Target {
        name: name.to_owned(),
        model: Arc::new(OpenAiCompatible::new(options).unwrap()),
        options: remote_options(),
    }
}

/// The same with Anthropic's API.
pub(crate) fn anthropic(name: &str, base_url: String) -> Target {
    let options = RemoteOptions::new(name, base_url, format!("{name}-model"));
    Target { name: name.to_owned(), model: Arc::new(Anthropic::new(options).unwrap()), options: remote_options() }
}

/// A model in this process that says one thing, or fails.
pub(crate) struct LocalFake(pub(crate) Result<&'static str, ErrorKind>, pub(crate) usize);

#[async_trait]
impl LanguageModel for LocalFake {
    fn provider(&self) -> &'static str {
        "local"
    }

    fn model(&self) -> &'static str {
        "small"
    }

    fn context_tokens(&self) -> usize {
        self.1
    }

    fn count_tokens(&self, text: &str) -> Result<usize, SeamError> {
        Ok(text.split_whitespace().count())
    }

    async fn generate(&self, _: GenerateRequest) -> Result<GenerateStream, SeamError> {
        let text = self.0.clone().map_err(|kind| SeamError::new(kind, "as the test wants"))?;
        Ok(Box::pin(Events(vec![
            GenerateEvent::Done(Generated { finish: rejoinder_domain::FinishReason::Stop, usage: usage(7, 3) }),
            GenerateEvent::Text(text.to_owned()),
        ])))
    }
}

pub(crate) fn local(model: LocalFake) -> Target {
    Target { name: "local".to_owned(), model: Arc::new(model), options: TargetOptions::local() }
}

pub(crate) fn usage(input: usize, output: usize) -> rejoinder_domain::TokenUsage {
    rejoinder_domain::TokenUsage { input, cached_input: 0, output }
}

/// Events, last first.
struct Events(Vec<GenerateEvent>);

impl futures_core::Stream for Events {
    type Item = Result<GenerateEvent, SeamError>;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        std::task::Poll::Ready(self.0.pop().map(Ok))
    }
}

/// Everything leaves the machine, and waits are short.
pub(crate) fn config() -> RouterConfig {
    let mut config = RouterConfig { egress: Egress::RemoteAllowed, ..RouterConfig::default() };
    config.retry.base_ms = 10;
    config.retry.max_ms = 1100;
    config.cache.max_bytes = 0;
    config
}

/// A router, its journal and its metrics.
pub(crate) struct Routed {
    pub(crate) router: Router,
    pub(crate) journal: Arc<MemoryJournal>,
    pub(crate) registry: Registry,
}

pub(crate) fn routed(config: RouterConfig, targets: Vec<Target>) -> Routed {
    let journal = Arc::new(MemoryJournal::default());
    let mut registry = Registry::default();
    let parts =
        RouterParts { config, targets, journal: Arc::clone(&journal) as Arc<dyn Journal>, metrics: &mut registry };
    Routed { router: Router::new(parts).unwrap(), journal, registry }
}

impl Routed {
    pub(crate) fn metrics(&self) -> String {
        self.router.refresh_metrics();
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).unwrap();
        text
    }

    /// The stream's events must agree with the journal: the same attempts, the same tokens, the same cost.
    pub(crate) fn assert_adds_up(&self, told: &[Told]) {
        let attempts: Vec<&ModelAttempt> = told.iter().flat_map(|told| &told.attempts).collect();
        let asked: Vec<&&ModelAttempt> = attempts
            .iter()
            .filter(|attempt| {
                !matches!(
                    attempt.outcome,
                    rejoinder_domain::AttemptOutcome::Skipped(_) | rejoinder_domain::AttemptOutcome::Cached
                )
            })
            .collect();
        let usage = self.journal.usage.lock().unwrap();
        assert_eq!(asked.len(), usage.len());
        let told = asked.iter().fold((0, 0, 0), |sum, attempt| {
            let cost = attempt.cost.unwrap_or_default().nanos;
            (sum.0 + attempt.usage.input as u64, sum.1 + attempt.usage.output as u64, sum.2 + cost)
        });
        let kept = usage.iter().fold((0, 0, 0), |sum, record| {
            (sum.0 + record.input_tokens, sum.1 + record.output_tokens, sum.2 + record.cost.nanos)
        });
        assert_eq!(told, kept);
    }
}

/// What came of a question.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) text: String,
    pub(crate) calls: Vec<ToolCallPart>,
    pub(crate) attempts: Vec<ModelAttempt>,
    pub(crate) restarts: usize,
    pub(crate) result: Result<Generated, SeamError>,
}

impl Told {
    /// `provider:outcome` of every attempt.
    pub(crate) fn way(&self) -> Vec<String> {
        self.attempts.iter().map(|attempt| format!("{}:{}", attempt.provider, attempt.outcome.code())).collect()
    }

    pub(crate) fn kind(&self) -> &ErrorKind {
        &self.result.as_ref().unwrap_err().kind
    }
}

pub(crate) fn tenant() -> TenantId {
    TenantId::new("acme").unwrap()
}

pub(crate) fn question(text: &str) -> GenerateRequest {
    let messages = vec![ChatMessage::new(ChatRole::System, "Answer briefly."), ChatMessage::new(ChatRole::User, text)];
    let mut request = GenerateRequest::new(tenant(), messages, 200);
    "req_test".clone_into(&mut request.context.request_id);
    request
}

/// Reads an answer to its end.
pub(crate) async fn read(mut stream: GenerateStream) -> Told {
    let mut told = Told {
        text: String::new(),
        calls: Vec::new(),
        attempts: Vec::new(),
        restarts: 0,
        result: Err(SeamError::new(ErrorKind::Internal, "no end")),
    };
    while let Some(event) = std::future::poll_fn(|context| stream.as_mut().poll_next(context)).await {
        match event {
            Ok(GenerateEvent::Text(part)) => told.text.push_str(&part),
            Ok(GenerateEvent::ToolCall(part)) => told.calls.push(part),
            Ok(GenerateEvent::Restart) => {
                told.restarts += 1;
                told.text.clear();
                told.calls.clear();
            }
            Ok(GenerateEvent::Attempt(attempt)) => told.attempts.push(attempt),
            Ok(GenerateEvent::Done(generated)) => told.result = Ok(generated),
            Err(error) => told.result = Err(error),
        }
    }
    told
}

pub(crate) async fn ask(routed: &Routed, request: GenerateRequest) -> Told {
    read(routed.router.generate(request).await.unwrap()).await
}

pub(crate) async fn provider(script: Script) -> ScriptedProvider {
    ScriptedProvider::start(script).await.unwrap()
}

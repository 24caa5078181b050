//! The seam to language models.

use std::pin::Pin;
use std::time::Duration;

use async_trait::async_trait;
use futures_core::Stream;
use serde::{Deserialize, Serialize};

use crate::{Address, ErrorKind, MessageId, SeamError, TenantId};

/// Who says a message of the prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChatRole {
    /// The instructions.
    System,
    /// The one who asks.
    User,
    /// The model.
    Assistant,
    /// The result of a tool that the model called.
    Tool,
}

impl ChatRole {
    /// The name that chat templates and remote providers use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
            Self::Tool => "tool",
        }
    }
}

/// One message of a prompt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChatMessage {
    /// Who says it.
    pub role: ChatRole,
    /// What is said.
    pub content: String,
    /// The tools that the model called, in a message of the model.
    pub tool_calls: Vec<ToolCall>,
    /// Which call this is the result of, in a message of a tool.
    pub tool_call_id: Option<String>,
}

impl ChatMessage {
    /// A message of `role`.
    pub fn new(role: ChatRole, content: impl Into<String>) -> Self {
        Self { role, content: content.into(), tool_calls: Vec::new(), tool_call_id: None }
    }
}

/// A function that the model may ask the caller to run.
#[derive(Clone, Debug, PartialEq)]
pub struct Tool {
    /// Its name: letters, digits, `_` and `-`.
    pub name: String,
    /// What it does, for the model.
    pub description: Option<String>,
    /// JSON Schema of its arguments.
    pub parameters: serde_json::Value,
    /// Whether the arguments must be valid against the schema.
    pub strict: bool,
}

/// Whether the model may, must or must not call a tool.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ToolChoice {
    /// As it likes.
    #[default]
    Auto,
    /// None.
    Off,
    /// At least one.
    Required,
    /// This one.
    Named(String),
}

/// A call that the model asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ToolCall {
    /// Names the call in this conversation.
    pub id: String,
    /// The tool.
    pub name: String,
    /// The arguments as the model wrote them: a JSON object, unless the model failed.
    pub arguments: String,
}

/// What the answer must look like.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum OutputFormat {
    /// Any text.
    #[default]
    Text,
    /// A JSON value that is valid against this JSON Schema (2020-12).
    Json(serde_json::Value),
    /// A text that matches this regular expression as a whole.
    Regex(String),
    /// One of these texts, verbatim.
    Choice(Vec<String>),
}

/// How the next token is chosen. The default is greedy.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    /// Flattens (above 1) or sharpens (below 1) the distribution; 0 takes the most probable token.
    pub temperature: f32,
    /// Keeps the most probable tokens that together have this probability, 0 to 1.
    pub top_p: f32,
    /// Keeps tokens at least this many times as probable as the most probable one, 0 to 1.
    pub min_p: f32,
    /// Divides (or, below zero, multiplies) the logit of what was already written; 1 does nothing.
    pub repetition_penalty: f32,
    /// The same seed and request give the same answer; `None` draws one.
    pub seed: Option<u64>,
}

impl Default for Sampling {
    fn default() -> Self {
        Self { temperature: 0.0, top_p: 1.0, min_p: 0.0, repetition_penalty: 1.0, seed: None }
    }
}

/// Who waits for the answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// A program that has time.
    Batch,
    /// A person.
    #[default]
    Interactive,
}

/// What a call is made for; configuration says which models serve it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// Drafting a reply.
    Suggest,
    /// Filling a schema.
    Extract,
    /// Anything that the caller asks by itself.
    #[default]
    Chat,
}

impl Purpose {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Suggest, Self::Extract, Self::Chat];

    /// The stable name, in configuration, usage and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Suggest => "suggest",
            Self::Extract => "extract",
            Self::Chat => "chat",
        }
    }
}

/// What of a prompt may leave the machine, from the strictest on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Egress {
    /// Nothing.
    #[default]
    LocalOnly,
    /// The prompt with personal data replaced by placeholders.
    RedactThenRemote,
    /// The prompt as it is.
    RemoteAllowed,
}

impl Egress {
    /// The stable name, in configuration, requests and the audit.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::LocalOnly => "local_only",
            Self::RedactThenRemote => "redact_then_remote",
            Self::RemoteAllowed => "remote_allowed",
        }
    }

    /// The stricter of the two: a request can narrow its tenant's policy and never widen it.
    #[must_use]
    pub fn narrowed(self, wish: Option<Self>) -> Self {
        wish.map_or(self, |wish| self.min(wish))
    }
}

/// What a router has to know about a call beyond the question. A model that answers by itself ignores it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CallContext {
    /// Names the request in the audit, the traces and the log.
    pub request_id: String,
    /// What the call is for.
    pub purpose: Purpose,
    /// Narrows the tenant's policy for this call.
    pub egress: Option<Egress>,
    /// Only this target or model, by name.
    pub wanted: Option<String>,
    /// How many different answers the caller asks for in all.
    pub candidates: u32,
    /// Who takes part in the conversation or stands in its mails' headers: their names are personal data.
    pub people: Vec<Address>,
    /// The messages that the prompt quotes: an answer kept for later is forgotten with any of them.
    pub rests_on: Vec<MessageId>,
    /// The index that the prompt was made from.
    pub index_version: String,
    /// How long one model may take to begin, where that is shorter than what is configured for it.
    pub first_token: Option<Duration>,
}

/// One question to a language model.
#[derive(Clone, Debug, PartialEq)]
pub struct GenerateRequest {
    /// Whose text the prompt holds: what is computed for one tenant is never reused for another.
    pub tenant: TenantId,
    /// The prompt.
    pub messages: Vec<ChatMessage>,
    /// What the answer must look like.
    pub output: OutputFormat,
    /// How tokens are chosen.
    pub sampling: Sampling,
    /// The answer's tokens at most, at least 1.
    pub max_tokens: usize,
    /// The answer ends before the first of these; it does not hold it.
    pub stop: Vec<String>,
    /// Who waits.
    pub priority: Priority,
    /// How long the whole answer may take from now on.
    pub deadline: Option<Duration>,
    /// Texts that the answer will probably repeat in part. They change how fast it comes, never what it says.
    pub lookup: Vec<String>,
    /// What the model may ask the caller to run.
    pub tools: Vec<Tool>,
    /// Whether it must.
    pub tool_choice: ToolChoice,
    /// What a router has to know.
    pub context: CallContext,
}

impl GenerateRequest {
    /// A greedy answer in plain text of at most `max_tokens` tokens, for a person.
    pub fn new(tenant: TenantId, messages: Vec<ChatMessage>, max_tokens: usize) -> Self {
        Self {
            tenant,
            messages,
            output: OutputFormat::Text,
            sampling: Sampling::default(),
            max_tokens,
            stop: Vec::new(),
            priority: Priority::default(),
            deadline: None,
            lookup: Vec::new(),
            tools: Vec::new(),
            tool_choice: ToolChoice::default(),
            context: CallContext::default(),
        }
    }
}

/// Why an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FinishReason {
    /// The model was done, a stop text came, or the required form was complete.
    Stop,
    /// The tokens allowed were used up.
    Length,
    /// The model waits for the results of the tools that it called.
    ToolCalls,
}

/// What an answer cost, in tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TokenUsage {
    /// Tokens of the prompt.
    pub input: usize,
    /// How many of those did not have to be computed, because an earlier request had the same beginning.
    pub cached_input: usize,
    /// Tokens of the answer.
    pub output: usize,
}

/// Money in billionths of the configured currency: prices per million tokens stay whole numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cost {
    /// Billionths.
    pub nanos: u64,
}

impl Cost {
    /// In units of the currency.
    pub fn units(self) -> f64 {
        self.nanos as f64 / 1e9
    }

    /// The sum; the largest value where it would not fit.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self { nanos: self.nanos.saturating_add(other.nanos) }
    }
}

/// What became of an attempt to get an answer from a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttemptOutcome {
    /// It is the answer.
    Ok,
    /// The answer to the same question was kept.
    Cached,
    /// It failed.
    Failed(ErrorKind),
    /// Another attempt at the same time was faster.
    Lost,
    /// The caller went away.
    Cancelled,
    /// It was not asked; a stable code says why: `circuit_open`, `over_budget`, `egress_denied`, `busy`, `unsupported`.
    Skipped(&'static str),
}

impl AttemptOutcome {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Cached => "cached",
            Self::Failed(kind) => kind.outcome(),
            Self::Lost => "lost",
            Self::Cancelled => "cancelled",
            Self::Skipped(reason) => reason,
        }
    }
}

/// One attempt of a router to get an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelAttempt {
    /// Who was asked: `local`, or the name of a remote target.
    pub provider: String,
    /// The model that was asked.
    pub model: String,
    /// What became of it.
    pub outcome: AttemptOutcome,
    /// Milliseconds it took.
    pub ms: u64,
    /// Milliseconds until the first text.
    pub first_token_ms: Option<u64>,
    /// Tokens that it cost, also where it failed.
    pub usage: TokenUsage,
    /// What that cost, where the target has a price.
    pub cost: Option<Cost>,
    /// Values that were replaced by placeholders before the prompt left the machine.
    pub redactions: u32,
    /// Placeholders in the answer that stand for nothing, because the model changed or invented them; the text shows a
    /// mark in their place.
    pub unrestored: u32,
}

/// How an answer ended and what it cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Generated {
    /// Why it ended.
    pub finish: FinishReason,
    /// What it cost.
    pub usage: TokenUsage,
}

/// One piece of a streamed answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GenerateEvent {
    /// The next part of the text: whole characters, not empty.
    Text(String),
    /// The next part of a call that the model asks for.
    ToolCall(ToolCallPart),
    /// What came so far is void: it failed, and another model starts over.
    Restart,
    /// An attempt is over: a failed one before the [`GenerateEvent::Restart`] or the text that follows it, the one that
    /// gave the answer right before [`GenerateEvent::Done`]. Only routers say this.
    Attempt(ModelAttempt),
    /// The end, once, last.
    Done(Generated),
}

/// The next part of a call; what belongs together has the same index.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ToolCallPart {
    /// Which call of the answer, from 0.
    pub index: usize,
    /// Its id, with the first part.
    pub id: Option<String>,
    /// The tool, with the first part.
    pub name: Option<String>,
    /// What is to be appended to the arguments.
    pub arguments: String,
}

/// An answer while it is written: texts, then [`GenerateEvent::Done`], or an error that ends it. Dropping it stops the
/// work within one token.
pub type GenerateStream = Pin<Box<dyn Stream<Item = Result<GenerateEvent, SeamError>> + Send>>;

/// A language model: local, remote, or a choice of several.
///
/// Error kinds: [`ErrorKind::ContextTooLong`] where prompt and answer do not fit (nothing is ever cut),
/// [`ErrorKind::RateLimited`] where too much is waiting, [`ErrorKind::DeadlineExceeded`],
/// [`ErrorKind::OutputIncomplete`] where [`OutputFormat`] asked for a form that was not complete at `max_tokens`,
/// [`ErrorKind::Invalid`] for a request, schema or expression that cannot be honoured.
#[async_trait]
pub trait LanguageModel: Send + Sync {
    /// Who runs it: `local`, or the name of a remote provider.
    fn provider(&self) -> &str;

    /// The model's name.
    fn model(&self) -> &str;

    /// Tokens of prompt and answer together, at most.
    fn context_tokens(&self) -> usize;

    /// Tokens of `text`, without the template around it: exact for a local model, an estimate for a remote one.
    fn count_tokens(&self, text: &str) -> Result<usize, SeamError>;

    /// Begins an answer. Errors that are known before the first token come from here, later ones through the stream.
    async fn generate(&self, request: GenerateRequest) -> Result<GenerateStream, SeamError>;
}

/// The whole text of a stream's answer.
pub async fn collect(mut stream: GenerateStream) -> Result<(String, Generated), SeamError> {
    let mut text = String::new();
    while let Some(event) = std::future::poll_fn(|context| stream.as_mut().poll_next(context)).await {
        match event? {
            GenerateEvent::Text(part) => text.push_str(&part),
            GenerateEvent::Restart => text.clear(),
            GenerateEvent::ToolCall(_) | GenerateEvent::Attempt(_) => {}
            GenerateEvent::Done(generated) => return Ok((text, generated)),
        }
    }
    Err(SeamError::new(ErrorKind::Internal, "the model's answer broke off without an end"))
}

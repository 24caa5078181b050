//! The seam to language models.

use std::pin::Pin;
use std::time::Duration;

use async_trait::async_trait;
use futures_core::Stream;

use crate::{ErrorKind, SeamError, TenantId};

/// Who says a message of the prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChatRole {
    /// The instructions.
    System,
    /// The one who asks.
    User,
    /// The model.
    Assistant,
}

impl ChatRole {
    /// The name that chat templates and remote providers use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
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
}

impl ChatMessage {
    /// A message of `role`.
    pub fn new(role: ChatRole, content: impl Into<String>) -> Self {
        Self { role, content: content.into() }
    }
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
    /// The end, once, last.
    Done(Generated),
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

/// The whole answer of a stream.
pub async fn collect(mut stream: GenerateStream) -> Result<(String, Generated), SeamError> {
    let mut text = String::new();
    while let Some(event) = std::future::poll_fn(|context| stream.as_mut().poll_next(context)).await {
        match event? {
            GenerateEvent::Text(part) => text.push_str(&part),
            GenerateEvent::Done(generated) => return Ok((text, generated)),
        }
    }
    Err(SeamError::new(ErrorKind::Internal, "the model's answer broke off without an end"))
}

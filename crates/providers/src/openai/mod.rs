//! OpenAI's Chat Completions, and everything that imitates them.

pub(crate) mod chunk;
pub(crate) mod guard;
mod request;

use std::sync::Arc;

use async_openai::Client;
use async_openai::config::Config;
use async_openai::error::OpenAIError;
use async_trait::async_trait;
use futures_core::Stream;
use reqwest::header::HeaderMap;
use secrecy::SecretString;

use rejoinder_domain::{ErrorKind, GenerateRequest, GenerateStream, LanguageModel, SeamError};

use crate::answer::{Answering, Expected, Writer};
use crate::endpoint::Endpoint;
use crate::estimate::estimate_tokens;
use crate::options::{RemoteOptions, StructuredOutput, TokenLimitField};
use crate::request::check;
use chunk::{ChunkReader, Framed};
use guard::Guard;

/// A model behind OpenAI's Chat Completions: OpenAI, Azure, vLLM, llama.cpp's server, Ollama, and gateways.
///
/// Asks once and never again by itself, and goes nowhere but to its base URL. What fails is one of the kinds in the
/// table of [the crate](crate). [`rejoinder_domain::OutputFormat::Regex`] is refused as invalid, and
/// [`rejoinder_domain::OutputFormat::Choice`] is asked for as JSON.
pub struct OpenAiCompatible {
    name: Arc<str>,
    options: RemoteOptions,
    client: Client<Base>,
}

impl OpenAiCompatible {
    /// Checks the options and prepares the connections; opens none.
    pub fn new(options: RemoteOptions) -> Result<Self, SeamError> {
        let endpoint = Endpoint::new(&options)?;
        let name: Arc<str> = options.name.as_str().into();
        let guard =
            Guard { client: endpoint.client.clone(), max_bytes: options.max_answer_bytes, name: Arc::clone(&name) };
        let client = Client::build(endpoint.client.clone(), Base(endpoint)).with_http_service(guard);
        Ok(Self { name, options, client })
    }

    fn limit_field(&self) -> TokenLimitField {
        match self.options.token_limit {
            TokenLimitField::ByHost if self.options.base_url.starts_with("https://api.openai.com/") => {
                TokenLimitField::MaxCompletionTokens
            }
            TokenLimitField::ByHost => TokenLimitField::MaxTokens,
            chosen => chosen,
        }
    }
}

#[async_trait]
impl LanguageModel for OpenAiCompatible {
    fn provider(&self) -> &str {
        &self.name
    }

    fn model(&self) -> &str {
        &self.options.model
    }

    fn context_tokens(&self) -> usize {
        self.options.context_tokens
    }

    fn count_tokens(&self, text: &str) -> Result<usize, SeamError> {
        Ok(estimate_tokens(text))
    }

    async fn generate(&self, request: GenerateRequest) -> Result<GenerateStream, SeamError> {
        check(&request)?;
        let body = request::body(&self.options, self.limit_field(), &request)?;
        let answer_tool = self.options.structured_output == StructuredOutput::Tool
            && request.output != rejoinder_domain::OutputFormat::Text;
        let stops = request.stop.get(request::MAX_STOPS..).unwrap_or_default().to_vec();
        let frames = self
            .client
            .chat()
            .create_stream_byot::<_, Framed>(body)
            .await
            .map_err(|error| seam_error(&self.name, error))?;
        let writer = Writer::new(Expected {
            name: Arc::clone(&self.name),
            output: request.output,
            answer_tool,
            stops,
            messages: request.messages,
            tools: request.tools,
        });
        let frames = Frames { frames, name: Arc::clone(&self.name) };
        Ok(Box::pin(Answering::new(Box::pin(frames), ChunkReader::default(), writer)))
    }
}

/// Where requests go and what they carry, in the terms of `async-openai`.
struct Base(Endpoint);

impl Config for Base {
    fn headers(&self) -> HeaderMap {
        self.0.headers.clone()
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.0.base_url)
    }

    fn query(&self) -> Vec<(&str, &str)> {
        self.0.query.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect()
    }

    fn api_base(&self) -> &str {
        &self.0.base_url
    }

    fn api_key(&self) -> &SecretString {
        &self.0.key
    }
}

/// What `async-openai` hands on, with its errors as ours.
struct Frames {
    frames: async_openai::types::stream::StreamResponse<Framed>,
    name: Arc<str>,
}

impl Stream for Frames {
    type Item = Result<Framed, SeamError>;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        let polled = std::task::ready!(self.frames.as_mut().poll_next(context));
        std::task::Poll::Ready(polled.map(|frame| frame.map_err(|error| seam_error(&self.name, error))))
    }
}

/// The guard's errors come through as they are; any other is a defect, and its text may hold what was sent.
fn seam_error(name: &str, error: OpenAIError) -> SeamError {
    let unexpected = || SeamError::new(ErrorKind::Internal, format!("{name}: the client failed"));
    match error {
        OpenAIError::Boxed(error) => error.downcast::<SeamError>().map_or_else(|_| unexpected(), |error| *error),
        _ => unexpected(),
    }
}

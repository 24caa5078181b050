//! Anthropic's Messages API.

pub(crate) mod event;
mod request;

use std::sync::Arc;

use async_trait::async_trait;
use reqwest::Url;
use reqwest::header::{CONTENT_TYPE, HeaderName, HeaderValue};

use rejoinder_domain::{ErrorKind, GenerateRequest, GenerateStream, LanguageModel, SeamError};

use crate::answer::{Answering, Expected, Writer};
use crate::endpoint::Endpoint;
use crate::estimate::estimate_tokens;
use crate::events::Events;
use crate::failure;
use crate::options::RemoteOptions;
use crate::request::check;
use event::MessageReader;

/// The version of the API that is spoken, <https://docs.anthropic.com/en/api/versioning>.
const VERSION: &str = "2023-06-01";

/// A model behind Anthropic's Messages API.
///
/// Asks once and never again by itself, and goes nowhere but to its base URL. What fails is one of the kinds in the
/// table of [the crate](crate). Differences to [`crate::OpenAiCompatible`]: the API has no seed; temperatures above 1
/// are sent as 1, and with a temperature other than 1 no `top_p` is sent, since current models refuse the two together.
pub struct Anthropic {
    name: Arc<str>,
    options: RemoteOptions,
    endpoint: Endpoint,
    url: Url,
}

impl Anthropic {
    /// Checks the options and prepares the connections; opens none.
    pub fn new(options: RemoteOptions) -> Result<Self, SeamError> {
        let mut endpoint = Endpoint::new(&options)?;
        let version = HeaderName::from_static("anthropic-version");
        endpoint.headers.entry(version).or_insert(HeaderValue::from_static(VERSION));
        endpoint.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let path = if endpoint.base_url.ends_with("/v1") { "/messages" } else { "/v1/messages" };
        let mut url = Url::parse(&format!("{}{path}", endpoint.base_url))
            .map_err(|error| SeamError::new(ErrorKind::Invalid, "the base URL cannot be read").caused_by(error))?;
        if !endpoint.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&endpoint.query);
        }
        Ok(Self { name: options.name.as_str().into(), options, endpoint, url })
    }
}

#[async_trait]
impl LanguageModel for Anthropic {
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
        let prepared = request::prepare(&self.options, &request)?;
        let body = serde_json::to_vec(&prepared.body)
            .map_err(|error| SeamError::new(ErrorKind::Internal, "the request cannot be written").caused_by(error))?;
        let (answer_tool, stops) = (prepared.answer_tool, prepared.own_stops);
        let sending =
            self.endpoint.client.post(self.url.clone()).headers(self.endpoint.headers.clone()).body(body).send();
        let response = sending.await.map_err(|error| failure::no_response(&self.name, error))?;
        if !response.status().is_success() {
            return Err(failure::of_response(&self.name, response).await);
        }
        let events = Events::new(response, self.options.max_answer_bytes);
        let writer = Writer::new(Expected {
            name: Arc::clone(&self.name),
            output: request.output,
            answer_tool,
            stops,
            messages: request.messages,
            tools: request.tools,
        });
        Ok(Box::pin(Answering::new(Box::pin(events), MessageReader::default(), writer)))
    }
}

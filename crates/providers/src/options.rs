//! What a remote target is: where, as whom, which model, within which bounds.

use std::time::Duration;

use reqwest::Url;
use reqwest::header::{HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};

/// How the key is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ApiKeyHeader {
    /// `Authorization: Bearer KEY`: OpenAI, vLLM, llama.cpp, Ollama, most gateways.
    #[default]
    Bearer,
    /// `api-key: KEY`: Azure.
    ApiKey,
    /// `x-api-key: KEY`: Anthropic.
    XApiKey,
}

/// Which sampling parameters the target understands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SamplingFields {
    /// None: reasoning models refuse even a temperature.
    Off,
    /// `temperature`, `top_p` and `seed` (Anthropic has no `seed`).
    #[default]
    Standard,
    /// Those, `min_p` and `repetition_penalty`: vLLM.
    Extended,
    /// Those, `min_p` and `repeat_penalty`: llama.cpp's server.
    LlamaCpp,
}

/// The field that bounds the answer of an OpenAI-compatible target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TokenLimitField {
    /// `max_completion_tokens` for `api.openai.com`, else `max_tokens`.
    #[default]
    ByHost,
    /// `max_tokens`: everywhere but for OpenAI's reasoning models.
    MaxTokens,
    /// `max_completion_tokens`: OpenAI and Azure, also for reasoning models.
    MaxCompletionTokens,
}

/// How an answer in JSON is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StructuredOutput {
    /// As the API offers it: `response_format` with OpenAI, `output_config.format` with Anthropic.
    #[default]
    Native,
    /// By a tool that the model has to call, whose arguments are the answer: for models and gateways that know tools and
    /// no schemas.
    Tool,
}

/// One remote target. [`RemoteOptions::new`] gives the defaults; [`RemoteOptions::validate`] says what is wrong.
#[derive(Clone)]
pub struct RemoteOptions {
    /// What [`rejoinder_domain::LanguageModel::provider`] says.
    pub name: String,
    /// Where: `https://api.openai.com/v1`, `https://api.anthropic.com`, `http://127.0.0.1:8000/v1`, or Azure's
    /// `https://RESOURCE.openai.azure.com/openai/deployments/DEPLOYMENT`. Without credentials, query and fragment.
    pub base_url: String,
    /// The model, as the target calls it.
    pub model: String,
    /// The key, where the target wants one.
    pub api_key: Option<SecretString>,
    /// How it is sent.
    pub api_key_header: ApiKeyHeader,
    /// Goes with every URL: Azure's `api-version`.
    pub query: Vec<(String, String)>,
    /// Goes with every request; the values are treated as secrets.
    pub headers: Vec<(String, SecretString)>,
    /// OpenAI's organisation.
    pub organization: Option<String>,
    /// OpenAI's project.
    pub project: Option<String>,
    /// Lets `http://` go to other machines: prompts and key can then be read on the way.
    pub allow_plain_http: bool,
    /// The proxy that everything goes through, where there is one. Those of the environment are never used.
    pub proxy: Option<String>,
    /// How long connecting may take, names and TLS included.
    pub connect_timeout: Duration,
    /// Tokens of prompt and answer together, at most.
    pub context_tokens: usize,
    /// Whether the target can stream; else the answer comes in one piece.
    pub can_stream: bool,
    /// Bytes of one response at most, with everything around the text: about 300 for a streamed token.
    pub max_answer_bytes: usize,
    /// Which sampling parameters are sent.
    pub sampling: SamplingFields,
    /// The field that bounds the answer.
    pub token_limit: TokenLimitField,
    /// How JSON is asked for.
    pub structured_output: StructuredOutput,
}

impl RemoteOptions {
    /// A target with ten seconds to connect, a context of 32,768 tokens and answers of at most 16 MiB.
    pub fn new(name: impl Into<String>, base_url: impl Into<String>, model: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            base_url: base_url.into(),
            model: model.into(),
            api_key: None,
            api_key_header: ApiKeyHeader::Bearer,
            query: Vec::new(),
            headers: Vec::new(),
            organization: None,
            project: None,
            allow_plain_http: false,
            proxy: None,
            connect_timeout: Duration::from_secs(10),
            context_tokens: 32_768,
            can_stream: true,
            max_answer_bytes: 16 << 20,
            sampling: SamplingFields::Standard,
            token_limit: TokenLimitField::ByHost,
            structured_output: StructuredOutput::Native,
        }
    }

    /// Says in a sentence what is to be changed, without showing a secret.
    pub fn validate(&self) -> Result<(), String> {
        let name = &self.name;
        if name.is_empty() || name == "local" {
            return Err("A remote target needs a name other than \"local\".".into());
        }
        if self.model.is_empty() {
            return Err(format!("The target {name} needs a model."));
        }
        self.url()?;
        if let Some(proxy) = &self.proxy {
            reqwest::Proxy::all(proxy).map_err(|_| format!("The proxy of the target {name} is not a URL."))?;
        }
        if let Some(key) = &self.api_key
            && (key.expose_secret().is_empty() || HeaderValue::from_str(key.expose_secret()).is_err())
        {
            return Err(format!(
                "The key of the target {name} is empty or holds characters that no header can hold, such as a line break."
            ));
        }
        for (header, value) in &self.headers {
            let parsed = HeaderName::try_from(header.as_str())
                .map_err(|_| format!("The target {name} has a header whose name is not allowed: {header}."))?;
            if OWN_HEADERS.contains(&parsed.as_str()) {
                return Err(format!("The target {name} must not set the header {header}: it is set by Rejoinder."));
            }
            HeaderValue::from_str(value.expose_secret())
                .map_err(|_| format!("The value of the header {header} of the target {name} is not allowed."))?;
        }
        for value in [&self.organization, &self.project].into_iter().flatten() {
            HeaderValue::from_str(value)
                .map_err(|_| format!("The organisation or project of the target {name} is not allowed in a header."))?;
        }
        if self.connect_timeout.is_zero() {
            return Err(format!("The connect time-out of the target {name} must be more than zero."));
        }
        if self.context_tokens < 16 || self.max_answer_bytes < 1024 {
            return Err(format!(
                "The target {name} needs a context of at least 16 tokens and answers of at least 1,024 bytes."
            ));
        }
        Ok(())
    }

    /// The base URL, without a slash at its end.
    pub(crate) fn url(&self) -> Result<Url, String> {
        let name = &self.name;
        let url = Url::parse(self.base_url.trim_end_matches('/'))
            .map_err(|error| format!("The base URL of the target {name} cannot be read: {error}."))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(format!("The base URL of the target {name} holds credentials: use its key instead."));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(format!(
                "The base URL of the target {name} must have no query and no fragment: use its query."
            ));
        }
        match url.scheme() {
            "https" => Ok(url),
            "http" if self.allow_plain_http || is_loopback(&url) => Ok(url),
            "http" => Err(format!(
                "The target {name} uses http:// to another machine, so that prompts and key can be read on the way: use https://, or allow it."
            )),
            _ => Err(format!("The base URL of the target {name} must begin with https:// or http://.")),
        }
    }
}

/// Headers that would break a request, or say something else than the options do.
const OWN_HEADERS: [&str; 9] = [
    "host",
    "connection",
    "content-length",
    "content-type",
    "transfer-encoding",
    "content-encoding",
    "accept-encoding",
    "accept",
    "te",
];

fn is_loopback(url: &Url) -> bool {
    let Some(host) = url.host_str() else { return false };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

impl std::fmt::Debug for RemoteOptions {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let headers: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        // A URL with credentials is refused, and this may be what shows the refused options.
        let base_url = self.url().map_or_else(|_| "(not usable)".to_owned(), |url| url.to_string());
        formatter
            .debug_struct("RemoteOptions")
            .field("name", &self.name)
            .field("base_url", &base_url)
            .field("model", &self.model)
            .field("api_key", &self.api_key.as_ref().map(|_| "redacted"))
            .field("headers", &headers)
            .field("context_tokens", &self.context_tokens)
            .field("can_stream", &self.can_stream)
            .finish_non_exhaustive()
    }
}

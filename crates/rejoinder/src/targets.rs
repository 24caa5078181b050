//! The `[[targets]]` of the configuration: remote models, with what the router has to know of each.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rejoinder_domain::{ErrorKind, LanguageModel, SeamError};
use rejoinder_providers::{
    Anthropic, ApiKeyHeader, OpenAiCompatible, RemoteOptions, SamplingFields, StructuredOutput, TokenLimitField,
};
use rejoinder_router::{Capabilities, Place, Price, Target, TargetOptions, Timeouts};
use secrecy::SecretString;
use serde::Deserialize;

use crate::Error;

/// One remote model.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TargetConfig {
    /// What it is called in the router's configuration, in answers, usage and audit.
    pub name: String,
    /// The API that it speaks.
    pub api: Api,
    /// Where it is, with the path up to what the API adds: `https://api.openai.com/v1`.
    pub base_url: String,
    /// The model, as the provider calls it.
    pub model: String,
    /// The environment variable that holds the key.
    #[serde(default)]
    pub api_key_env: Option<String>,
    /// The file that holds the key; white space around it is not part of it.
    #[serde(default)]
    pub api_key_file: Option<PathBuf>,
    /// How the key is sent; the usual way of the API if not set.
    #[serde(default)]
    pub api_key_header: Option<KeyHeader>,
    /// Goes with every URL: Azure's `api-version`.
    #[serde(default)]
    pub query: BTreeMap<String, String>,
    /// Goes with every request; values of the form `env:NAME` are read from the environment.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// OpenAI's organisation.
    #[serde(default)]
    pub organization: Option<String>,
    /// OpenAI's project.
    #[serde(default)]
    pub project: Option<String>,
    /// Lets `http://` go to other machines.
    #[serde(default)]
    pub allow_plain_http: bool,
    /// The proxy that everything goes through; those of the environment are never used.
    #[serde(default)]
    pub proxy: Option<String>,
    /// Tokens of prompt and answer together.
    #[serde(default = "context_tokens")]
    pub context_tokens: usize,
    /// Requests at the same time; 0 is no limit.
    #[serde(default = "concurrency")]
    pub concurrency: usize,
    /// What it can do.
    #[serde(default)]
    pub can: CanConfig,
    /// Which sampling parameters it is sent.
    #[serde(default)]
    pub sampling: SamplingConfig,
    /// The field that bounds the answer of an OpenAI-compatible target: `max_tokens` or `max_completion_tokens`; by the
    /// host if not set.
    #[serde(default)]
    pub token_limit: Option<TokenLimitConfig>,
    /// How long to wait, in milliseconds.
    #[serde(default)]
    pub timeouts: TimeoutsConfig,
    /// What it costs, per million tokens, in the currency of the budgets.
    #[serde(default)]
    pub price: PriceConfig,
    /// Largest response, bytes.
    #[serde(default = "max_answer_bytes")]
    pub max_answer_bytes: usize,
}

/// The API of a remote model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Api {
    /// Chat completions: OpenAI, Azure, vLLM, llama.cpp's server, Ollama.
    Openai,
    /// Messages.
    Anthropic,
}

/// How a key is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyHeader {
    /// `Authorization: Bearer`.
    Bearer,
    /// `api-key`: Azure.
    ApiKey,
    /// `x-api-key`: Anthropic.
    XApiKey,
}

/// What a target can do.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CanConfig {
    /// Call tools.
    pub tools: bool,
    /// How an answer in a required form is asked for.
    pub structured_output: StructuredConfig,
    /// Stream its answer.
    pub streaming: bool,
}

/// How an answer in a required form is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StructuredConfig {
    /// As the API offers it.
    Native,
    /// By a tool that the model has to call.
    Tool,
    /// Not at all: such requests go to other targets.
    No,
}

/// Which sampling parameters a target is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SamplingConfig {
    /// None.
    Off,
    /// `temperature`, `top_p`, `seed`.
    #[default]
    Standard,
    /// Those, `min_p` and `repetition_penalty`: vLLM.
    Extended,
    /// Those, `min_p` and `repeat_penalty`: llama.cpp.
    LlamaCpp,
}

/// The field that bounds an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenLimitConfig {
    /// `max_tokens`.
    MaxTokens,
    /// `max_completion_tokens`.
    MaxCompletionTokens,
}

/// How long to wait, in milliseconds.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TimeoutsConfig {
    /// Until the connection stands.
    pub connect: u64,
    /// Until the answer begins.
    pub first_token: u64,
    /// Between two parts of the answer.
    pub between_tokens: u64,
    /// For the whole answer.
    pub whole: u64,
}

/// Units of the currency per million tokens.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PriceConfig {
    /// Of the prompt.
    pub input: f64,
    /// Of what the provider had kept of the prompt; as `input` if not set.
    pub cached_input: Option<f64>,
    /// Of the answer.
    pub output: f64,
}

impl Default for CanConfig {
    fn default() -> Self {
        Self { tools: true, structured_output: StructuredConfig::Native, streaming: true }
    }
}

impl Default for TimeoutsConfig {
    fn default() -> Self {
        Self { connect: 5_000, first_token: 30_000, between_tokens: 15_000, whole: 120_000 }
    }
}

fn context_tokens() -> usize {
    32_768
}

fn concurrency() -> usize {
    32
}

fn max_answer_bytes() -> usize {
    16 << 20
}

/// The name that the model on this machine has as a target.
pub(crate) const LOCAL: &str = "local";

impl TargetConfig {
    /// Checks what serde cannot, but for the key, which only a start needs.
    pub(crate) fn validate(&self) -> Result<(), Error> {
        let invalid = |problem: String| Err(Error::Config(format!("[[targets]] {}: {problem}", self.name)));
        if self.name.is_empty() || !self.name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)) {
            return invalid("a name has letters, digits, '-', '_' and '.'".to_owned());
        }
        if ["local", "auto", "rejoinder", "exemplar", "recognisers", "router"].contains(&self.name.as_str()) {
            return invalid("that name has a meaning of its own; choose another".to_owned());
        }
        if self.api_key_env.is_some() && self.api_key_file.is_some() {
            return invalid("set api_key_env or api_key_file, not both".to_owned());
        }
        let times = self.timeouts;
        if [times.connect, times.first_token, times.between_tokens, times.whole].contains(&0) {
            return invalid("timeouts must be at least 1 ms".to_owned());
        }
        let prices = [self.price.input, self.price.output, self.price.cached_input.unwrap_or_default()];
        // More than a million a million tokens is a slip of the unit.
        if !prices.iter().all(|price| (0.0..=1e6).contains(price)) {
            return invalid("prices are units of the currency per million tokens, 0 to 1000000".to_owned());
        }
        self.options(None, &|_| Some(String::new())).and_then(|options| match options.validate() {
            Ok(()) => Ok(()),
            Err(problem) => invalid(problem),
        })
    }

    /// The target, ready to be asked. Reads the key.
    pub(crate) fn open(&self) -> Result<Target, Error> {
        let options = self.options(self.key()?, &|name| std::env::var(name).ok())?;
        let failed = |problem: String| Error::Config(format!("[[targets]] {}: {problem}", self.name));
        options.validate().map_err(failed)?;
        let model: Arc<dyn LanguageModel> = match self.api {
            Api::Openai => Arc::new(OpenAiCompatible::new(options).map_err(refused)?),
            Api::Anthropic => Arc::new(Anthropic::new(options).map_err(refused)?),
        };
        let milliseconds = Duration::from_millis;
        let nanos = |per_million: f64| (per_million * 1000.0).round() as u64;
        let options = TargetOptions {
            place: Place::Remote,
            can: Capabilities {
                tools: self.can.tools,
                structured_output: self.can.structured_output != StructuredConfig::No,
            },
            timeouts: Timeouts {
                first_token: milliseconds(self.timeouts.first_token + self.timeouts.connect),
                between_tokens: milliseconds(self.timeouts.between_tokens),
                whole: milliseconds(self.timeouts.whole),
            },
            price: Price {
                input: nanos(self.price.input),
                cached_input: nanos(self.price.cached_input.unwrap_or(self.price.input)),
                output: nanos(self.price.output),
            },
            concurrency: self.concurrency,
        };
        Ok(Target { name: self.name.clone(), model, options })
    }

    fn options(
        &self,
        api_key: Option<SecretString>,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<RemoteOptions, Error> {
        let mut options = RemoteOptions::new(&self.name, &self.base_url, &self.model);
        options.api_key = api_key;
        options.api_key_header = match (self.api_key_header, self.api) {
            (Some(KeyHeader::Bearer), _) | (None, Api::Openai) => ApiKeyHeader::Bearer,
            (Some(KeyHeader::ApiKey), _) => ApiKeyHeader::ApiKey,
            (Some(KeyHeader::XApiKey), _) | (None, Api::Anthropic) => ApiKeyHeader::XApiKey,
        };
        options.query = self.query.clone().into_iter().collect();
        for (name, value) in &self.headers {
            let value = match value.strip_prefix("env:") {
                Some(name) => variable(name).ok_or_else(|| self.missing_variable(name))?,
                None => value.clone(),
            };
            options.headers.push((name.clone(), SecretString::from(value)));
        }
        options.organization.clone_from(&self.organization);
        options.project.clone_from(&self.project);
        options.allow_plain_http = self.allow_plain_http;
        options.proxy.clone_from(&self.proxy);
        options.connect_timeout = Duration::from_millis(self.timeouts.connect);
        options.context_tokens = self.context_tokens;
        options.can_stream = self.can.streaming;
        options.max_answer_bytes = self.max_answer_bytes;
        options.sampling = match self.sampling {
            SamplingConfig::Off => SamplingFields::Off,
            SamplingConfig::Standard => SamplingFields::Standard,
            SamplingConfig::Extended => SamplingFields::Extended,
            SamplingConfig::LlamaCpp => SamplingFields::LlamaCpp,
        };
        options.token_limit = match self.token_limit {
            None => TokenLimitField::ByHost,
            Some(TokenLimitConfig::MaxTokens) => TokenLimitField::MaxTokens,
            Some(TokenLimitConfig::MaxCompletionTokens) => TokenLimitField::MaxCompletionTokens,
        };
        options.structured_output = match self.can.structured_output {
            StructuredConfig::Tool => StructuredOutput::Tool,
            StructuredConfig::Native | StructuredConfig::No => StructuredOutput::Native,
        };
        Ok(options)
    }

    fn key(&self) -> Result<Option<SecretString>, Error> {
        let key = match (&self.api_key_env, &self.api_key_file) {
            (Some(name), _) => std::env::var(name).map_err(|_| self.missing_variable(name))?,
            (None, Some(path)) => std::fs::read_to_string(path).map_err(|error| {
                let path = path.display();
                Error::Config(format!("[[targets]] {}: api_key_file {path} cannot be read: {error}", self.name))
            })?,
            (None, None) => return Ok(None),
        };
        Ok(Some(SecretString::from(key.trim().to_owned())))
    }

    fn missing_variable(&self, name: &str) -> Error {
        Error::Config(format!("[[targets]] {}: the environment variable {name} is not set", self.name))
    }
}

fn refused(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    SeamError::new(ErrorKind::Invalid, "a remote target cannot be used").caused_by(error).into()
}

#[cfg(test)]
mod tests {
    use super::TargetConfig;

    const TARGET: &str = r#"
        name = "cloud"
        api = "openai"
        base_url = "https://api.example/v1"
        model = "m"
    "#;

    fn problem(more: &str) -> String {
        let config: TargetConfig = toml::from_str(&format!("{TARGET}\n{more}")).unwrap();
        config.validate().unwrap_err().to_string()
    }

    #[test]
    fn a_target_needs_four_lines_and_its_mistakes_are_named() {
        let config: TargetConfig = toml::from_str(TARGET).unwrap();
        config.validate().unwrap();
        assert!(problem("[timeouts]\nwhole = 0").contains("timeouts"));
        assert!(problem("[price]\ninput = -1.0").contains("per million"));
        assert!(problem("api_key_env = \"A\"\napi_key_file = \"b\"").contains("not both"));
        let local: TargetConfig = toml::from_str(&TARGET.replace("cloud", "local")).unwrap();
        assert!(local.validate().is_err());
        let plain: TargetConfig = toml::from_str(&TARGET.replace("https://api.example", "http://api.example")).unwrap();
        assert!(plain.validate().unwrap_err().to_string().contains("https"));
        assert!(toml::from_str::<TargetConfig>(&format!("{TARGET}\nkey = \"secret\"")).is_err());
    }

    #[test]
    fn prices_per_million_become_billionths_per_token() {
        let config: TargetConfig = toml::from_str(&format!("{TARGET}\n[price]\ninput = 0.15\noutput = 0.6")).unwrap();
        let price = config.open().unwrap().options.price;
        assert_eq!((price.input, price.cached_input, price.output), (150, 150, 600));
    }
}

//! From what a provider says to the kind that decisions are made on.
//!
//! Bodies of errors are read to tell kinds apart and then forgotten: they may quote the prompt.

use std::time::Duration;

use jiff::Timestamp;
use reqwest::Response;
use reqwest::header::HeaderMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use rejoinder_domain::{ErrorKind, SeamError};

use crate::retry_after::retry_after;

/// Bytes of an error's body that are looked at.
const MAX_ERROR_BODY: usize = 64 << 10;
/// An error's body that does not come is not waited for: the status says enough.
const ERROR_BODY_WAIT: Duration = Duration::from_secs(2);

/// A request that brought no response.
pub(crate) fn no_response(name: &str, error: reqwest::Error) -> SeamError {
    let (kind, what) = if error.is_builder() {
        (ErrorKind::Invalid, "the request could not be built")
    } else if error.is_connect() && error.is_timeout() {
        (ErrorKind::Transient, "no connection in time")
    } else if error.is_connect() {
        (ErrorKind::Transient, "no connection")
    } else {
        (ErrorKind::Transient, "the connection broke before there was an answer")
    };
    // The URL may hold what an operator put into its query.
    SeamError::new(kind, format!("{name}: {what}")).caused_by(error.without_url())
}

/// Why an answer cannot be read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Broken {
    /// The connection broke, or the stream ended, before the answer's end.
    BrokeOff,
    /// What came is nothing that this API says.
    NotAnAnswer,
    /// More came than an answer may have.
    TooLarge,
}

impl Broken {
    /// Another attempt may bring an answer that can be read.
    pub(crate) fn error(self, name: &str) -> SeamError {
        let what = match self {
            Self::BrokeOff => "the answer broke off",
            Self::NotAnAnswer => "what came is not an answer of this API",
            Self::TooLarge => "more came than an answer may have",
        };
        SeamError::new(ErrorKind::Transient, format!("{name}: {what}"))
    }
}

/// The model or its provider declined.
pub(crate) fn refused(name: &str) -> SeamError {
    SeamError::new(ErrorKind::Refused, format!("{name}: the model or a content filter refused to answer"))
}

/// A response with another status than success.
pub(crate) async fn of_response(name: &str, mut response: Response) -> SeamError {
    let mut body = Vec::new();
    let reading = async {
        while body.len() < MAX_ERROR_BODY {
            match response.chunk().await {
                Ok(Some(bytes)) => body.extend_from_slice(&bytes),
                Ok(None) | Err(_) => return,
            }
        }
    };
    // However the reading ends, what came so far is looked at.
    let _ = tokio::time::timeout(ERROR_BODY_WAIT, reading).await;
    let status = response.status().as_u16();
    let kind = kind_of(status, response.headers(), &body);
    let mut message = format!("{name}: status {status}");
    if let Some(id) = request_id(response.headers()) {
        message.push_str(", request ");
        message.push_str(id);
    }
    SeamError::new(kind, message)
}

/// An error that came within a stream or under status 200.
pub(crate) fn of_event(name: &str, error: &Value) -> SeamError {
    let said = Said::of(error);
    let status = said.status.unwrap_or_else(|| said.status_of_type());
    SeamError::new(
        kind_of_said(status, &HeaderMap::new(), &said),
        format!("{name}: an error instead of the rest of the answer (as status {status})"),
    )
}

fn kind_of(status: u16, headers: &HeaderMap, body: &[u8]) -> ErrorKind {
    let value: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
    let said = if value.is_null() { Said::text(body) } else { Said::of(&value) };
    kind_of_said(status, headers, &said)
}

fn kind_of_said(status: u16, headers: &HeaderMap, said: &Said) -> ErrorKind {
    let wait = || retry_after(headers, Timestamp::now());
    match status {
        400 | 413 | 422 | 500 if said.is_context_too_long() => ErrorKind::ContextTooLong,
        413 => ErrorKind::ContextTooLong,
        400..=403 | 422 | 429 if said.is_out_of_money() => ErrorKind::Auth,
        400 | 403 | 422 if said.is_filtered() => ErrorKind::Refused,
        400 if said.has("model_not_found") => ErrorKind::NotFound,
        401..=403 | 407 => ErrorKind::Auth,
        404 | 405 | 410 => ErrorKind::NotFound,
        429 | 529 => ErrorKind::RateLimited { retry_after: wait() },
        503 => wait().map_or(ErrorKind::Transient, |wait| ErrorKind::RateLimited { retry_after: Some(wait) }),
        408 | 409 | 425 | 500..=599 => ErrorKind::Transient,
        // Whatever is left is a request that this target does not serve as it is; a redirect is a wrong base URL.
        _ => ErrorKind::Invalid,
    }
}

/// What an error's body says, in lower case, wherever the provider puts it.
struct Said {
    /// `type` and `code`.
    names: Vec<String>,
    message: String,
    /// A numeric code that is a status.
    status: Option<u16>,
}

impl Said {
    /// OpenAI and Anthropic nest it under `error`; old versions of vLLM do not; Ollama says `{"error": "text"}`.
    fn of(value: &Value) -> Self {
        let inner = value.get("error").filter(|error| error.is_object() || error.is_string()).unwrap_or(value);
        let mut said = Self { names: Vec::new(), message: String::new(), status: None };
        if let Some(text) = inner.as_str() {
            said.message = text.to_lowercase();
            return said;
        }
        for field in [inner.get("type"), inner.get("code"), inner.pointer("/innererror/code")].into_iter().flatten() {
            match field {
                Value::String(name) => said.names.push(name.to_lowercase()),
                Value::Number(code) => {
                    said.status = code
                        .as_u64()
                        .and_then(|code| u16::try_from(code).ok())
                        .filter(|code| (400..600).contains(code));
                }
                _ => {}
            }
        }
        let message = inner.get("message").or_else(|| inner.get("detail")).and_then(Value::as_str);
        said.message = message.unwrap_or_default().to_lowercase();
        said
    }

    fn text(body: &[u8]) -> Self {
        Self { names: Vec::new(), message: String::from_utf8_lossy(body).to_lowercase(), status: None }
    }

    fn has(&self, name: &str) -> bool {
        self.names.iter().any(|one| one == name)
    }

    fn mentions(&self, phrases: &[&str]) -> bool {
        phrases.iter().any(|phrase| self.message.contains(phrase))
    }

    /// OpenAI and Azure by code, llama.cpp by type, vLLM, Anthropic, text-generation-inference and Gemini by words.
    fn is_context_too_long(&self) -> bool {
        self.has("context_length_exceeded")
            || self.has("exceed_context_size_error")
            || self.has("request_too_large")
            || self.mentions(&[
                "maximum context length",
                "maximum model length",
                "prompt is too long",
                "exceed context limit",
                "available context size",
                "context size exceeded",
                "context window",
                "context length",
                "input token count",
                "`inputs` tokens + `max_new_tokens` must be",
            ])
    }

    fn is_out_of_money(&self) -> bool {
        ["insufficient_quota", "billing_hard_limit_reached", "billing_not_active", "billing_error"]
            .iter()
            .any(|name| self.has(name))
            || self.mentions(&["credit balance is too low"])
    }

    fn is_filtered(&self) -> bool {
        ["content_filter", "content_policy_violation", "responsibleaipolicyviolation"].iter().any(|name| self.has(name))
    }

    /// The status that Anthropic's and OpenAI's types of errors have outside of streams.
    fn status_of_type(&self) -> u16 {
        let statuses = [
            ("overloaded_error", 529),
            ("rate_limit_error", 429),
            ("rate_limit_exceeded", 429),
            ("requests", 429),
            ("tokens", 429),
            ("insufficient_quota", 429),
            ("authentication_error", 401),
            ("permission_error", 403),
            ("billing_error", 402),
            ("not_found_error", 404),
            ("request_too_large", 413),
            ("invalid_request_error", 400),
            ("badrequesterror", 400),
        ];
        statuses.iter().find(|(name, _)| self.has(name)).map_or(500, |(_, status)| *status)
    }
}

/// The provider's name of the request, which its support asks for.
fn request_id(headers: &HeaderMap) -> Option<&str> {
    let id = headers.get("request-id").or_else(|| headers.get("x-request-id"))?.to_str().ok()?;
    let fits =
        (1..=64).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    fits.then_some(id)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn kind(status: u16, body: &Value) -> ErrorKind {
        kind_of(status, &HeaderMap::new(), body.to_string().as_bytes())
    }

    #[test]
    fn what_other_servers_say() {
        let ollama = json!({"error": "model \"llama9\" not found, try pulling it first"});
        assert_eq!(kind(404, &ollama), ErrorKind::NotFound);
        let azure = json!({"error": {"code": "content_filter", "innererror": {"code": "ResponsibleAIPolicyViolation"}, "message": "x"}});
        assert_eq!(kind(400, &azure), ErrorKind::Refused);
        let tgi = json!({"error": "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. Given: 5000", "error_type": "validation"});
        assert_eq!(kind(422, &tgi), ErrorKind::ContextTooLong);
        let gemini = json!({"error": {"code": 400, "message": "The input token count (99) exceeds the maximum number of tokens allowed (9).", "status": "INVALID_ARGUMENT"}});
        assert_eq!(kind(400, &gemini), ErrorKind::ContextTooLong);
        assert_eq!(kind(400, &json!({"error": {"code": "model_not_found"}})), ErrorKind::NotFound);
        assert_eq!(kind(418, &json!([])), ErrorKind::Invalid);
        assert_eq!(kind_of(500, &HeaderMap::new(), b"\xff\xfe"), ErrorKind::Transient);
        let quota = json!({"error": {"code": "insufficient_quota", "type": "insufficient_quota", "message": ""}});
        assert_eq!(kind(429, &quota), ErrorKind::Auth);
        assert_eq!(kind(402, &json!({})), ErrorKind::Auth);
    }

    #[test]
    fn errors_within_streams() {
        let of = |value: Value| of_event("it", &value).kind;
        assert_eq!(
            of(json!({"type": "overloaded_error", "message": "Overloaded"})),
            ErrorKind::RateLimited { retry_after: None }
        );
        assert_eq!(of(json!({"error": {"code": 503, "message": "Loading model"}})), ErrorKind::Transient);
        assert_eq!(of(json!({"message": "who knows"})), ErrorKind::Transient);
        assert_eq!(
            of(json!({"error": {"type": "invalid_request_error", "message": "prompt is too long: 3 > 2"}})),
            ErrorKind::ContextTooLong
        );
    }
}

//! Errors as OpenAI's clients read them: `{"error": {"message", "type", "param", "code"}}`.

use std::time::Duration;

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use rejoinder::{ErrorKind, ModelAttempt, SeamError};
use serde::Serialize;
use utoipa::ToSchema;

use crate::problem::{Problem, chain};

/// What the official clients obey before their own rules for trying again.
const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");
/// The clients wait at most this long by themselves; who has to wait longer is told at once.
const LONGEST_RETRY: Duration = Duration::from_mins(1);

/// A failure in OpenAI's shape. Like a [`Problem`] it never carries internal text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OpenAiError {
    status: StatusCode,
    kind: &'static str,
    code: &'static str,
    message: String,
    param: Option<String>,
    retry_after: Option<Duration>,
    /// `None` leaves it to the client.
    should_retry: Option<bool>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = OpenAiError)]
pub(crate) struct Document<'a> {
    error: Body<'a>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = OpenAiErrorBody)]
struct Body<'a> {
    message: &'a str,
    r#type: &'a str,
    param: Option<&'a str>,
    code: &'a str,
}

impl OpenAiError {
    fn new(status: StatusCode, kind: &'static str, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, kind, code, message: message.into(), param: None, retry_after: None, should_retry: None }
    }

    fn request(status: StatusCode, code: &'static str, param: impl Into<String>, message: impl Into<String>) -> Self {
        let param = Some(param.into()).filter(|param: &String| !param.is_empty());
        Self { param, ..Self::new(status, "invalid_request_error", code, message) }
    }

    /// 400: the value of `param` has the wrong type.
    pub(crate) fn wrong_type(param: impl Into<String>, message: impl Into<String>) -> Self {
        Self::request(StatusCode::BAD_REQUEST, "invalid_type", param, message)
    }

    /// 400: the value of `param` is not possible.
    pub(crate) fn invalid(param: impl Into<String>, message: impl Into<String>) -> Self {
        Self::request(StatusCode::BAD_REQUEST, "invalid_value", param, message)
    }

    /// 400: `param` must be there.
    pub(crate) fn missing(param: impl Into<String>) -> Self {
        let param = param.into();
        let message = format!("missing required parameter: '{param}'");
        Self::request(StatusCode::BAD_REQUEST, "missing_required_parameter", param, message)
    }

    /// 400: the API knows `param` and this server does not do it.
    pub(crate) fn unsupported(param: impl Into<String>, message: impl Into<String>) -> Self {
        Self::request(StatusCode::BAD_REQUEST, "unsupported_parameter", param, message)
    }

    /// 400: nobody knows `param`.
    pub(crate) fn unknown(param: impl Into<String>) -> Self {
        let param = param.into();
        let message = format!("unknown parameter: '{param}'");
        Self::request(StatusCode::BAD_REQUEST, "unknown_parameter", param, message)
    }

    /// 404: there is no such model, or it is of another kind.
    pub(crate) fn no_model(message: impl Into<String>) -> Self {
        Self::request(StatusCode::NOT_FOUND, "model_not_found", "model", message)
    }

    /// 503 for a client that received text which is void.
    pub(crate) fn restarted() -> Self {
        let message = "the model failed after it had begun to answer; what was sent is void, ask again";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "server_error", "stream_restarted", message)
    }

    /// 503 for a client whose stream outlives the server.
    pub(crate) fn stopping() -> Self {
        let message = "the server stops; ask again";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "server_error", "service_unavailable", message)
    }

    /// The answer ended without an end.
    pub(crate) fn broken_off() -> Self {
        tracing::error!("the model's answer broke off without an end");
        Self::internal()
    }

    fn internal() -> Self {
        let message = "something went wrong; the cause is in the server's log under this request id";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "server_error", "internal", message)
    }

    /// A failure of the library.
    pub(crate) fn from_library(error: &rejoinder::Error) -> Self {
        match error {
            rejoinder::Error::Seam(error) => Self::from_seam(error),
            other => {
                tracing::error!(error = chain(other), "a request failed");
                Self::from_kind(&other.kind(), "the request cannot be served as it is")
            }
        }
    }

    /// A failure of a model. What is wrong with the request is told in its words, everything else by its kind alone.
    pub(crate) fn from_seam(error: &SeamError) -> Self {
        let of_the_caller = matches!(
            error.kind,
            ErrorKind::Invalid | ErrorKind::ContextTooLong | ErrorKind::NotFound | ErrorKind::OverBudget { .. }
        );
        if !of_the_caller {
            tracing::error!(error = chain(error), "a model failed");
        }
        Self::from_kind(&error.kind, &error.message)
    }

    /// The failure of a call after these attempts: where the policy kept the prompt from a model, that is what is told.
    pub(crate) fn of_call(error: &SeamError, attempts: &[ModelAttempt]) -> Self {
        let denied = attempts.iter().any(|attempt| attempt.outcome.code() == "egress_denied");
        if denied && error.kind == ErrorKind::Unavailable {
            let message = "the policy keeps this prompt on the machine, where no model is ready";
            return Self::new(StatusCode::FORBIDDEN, "permission_error", "egress_denied", message);
        }
        Self::from_seam(error)
    }

    /// `message` reaches the client only where the kind says that the request is at fault.
    fn from_kind(kind: &ErrorKind, message: &str) -> Self {
        let server = |status, code, message: &str| Self::new(status, "server_error", code, message);
        match kind {
            ErrorKind::Invalid => Self::invalid("", message),
            ErrorKind::ContextTooLong => {
                Self::request(StatusCode::BAD_REQUEST, "context_length_exceeded", "messages", message)
            }
            ErrorKind::NotFound => Self::no_model(message),
            ErrorKind::Refused => {
                let message = "the model or its provider will not answer this";
                Self::request(StatusCode::BAD_REQUEST, "content_filter", "messages", message)
            }
            ErrorKind::RateLimited { retry_after } => {
                let message = "too much is waiting for this model; try again after the time in Retry-After";
                let limited =
                    Self::new(StatusCode::TOO_MANY_REQUESTS, "rate_limit_error", "rate_limit_exceeded", message);
                limited.after(retry_after.unwrap_or(Duration::from_secs(1)))
            }
            ErrorKind::OverBudget { resets_in } => {
                let message = "the budget is used up; there is some again after the time in Retry-After";
                let over =
                    Self::new(StatusCode::TOO_MANY_REQUESTS, "insufficient_quota", "insufficient_quota", message);
                over.after(*resets_in)
            }
            ErrorKind::Transient => {
                let message = "the model failed in a way that may pass; try again";
                server(StatusCode::SERVICE_UNAVAILABLE, "service_unavailable", message).after(Duration::from_secs(1))
            }
            ErrorKind::Unavailable | ErrorKind::Auth => {
                let message = "no model that could answer this is ready; see /readyz";
                server(StatusCode::SERVICE_UNAVAILABLE, "service_unavailable", message).finally()
            }
            ErrorKind::DeadlineExceeded => {
                let message = "the answer did not come within its time";
                server(StatusCode::GATEWAY_TIMEOUT, "timeout", message).finally()
            }
            ErrorKind::OutputIncomplete | ErrorKind::OutputInvalid => {
                let message = "the model's answer does not have the required form";
                server(StatusCode::BAD_GATEWAY, "output_invalid", message).finally()
            }
            _ => Self::internal().finally(),
        }
    }

    fn after(self, wait: Duration) -> Self {
        let should_retry = (wait > LONGEST_RETRY).then_some(false);
        Self { retry_after: Some(wait), should_retry, ..self }
    }

    /// Trying again would give the same.
    fn finally(self) -> Self {
        Self { should_retry: Some(false), ..self }
    }

    /// The same about `param`, where an error that has none of its own came of it.
    pub(crate) fn about(self, param: &str) -> Self {
        let of_the_request = self.kind == "invalid_request_error";
        Self { param: if of_the_request { Some(param.to_owned()) } else { self.param }, ..self }
    }

    /// The document.
    pub(crate) fn document(&self) -> String {
        let Self { message, kind, param, code, .. } = self;
        let body = Document { error: Body { message, r#type: kind, param: param.as_deref(), code } };
        serde_json::to_string(&body).unwrap_or_default()
    }
}

impl From<&Problem> for OpenAiError {
    fn from(problem: &Problem) -> Self {
        let status = problem.status();
        let kind = if status.is_server_error() { "server_error" } else { "invalid_request_error" };
        let retry_after = problem.retry_after_seconds().map(Duration::from_secs);
        Self { retry_after, ..Self::new(status, kind, problem.code(), problem.detail()) }
    }
}

impl From<Problem> for OpenAiError {
    fn from(problem: Problem) -> Self {
        Self::from(&problem)
    }
}

impl IntoResponse for OpenAiError {
    fn into_response(self) -> Response {
        let mut response = (self.status, self.document()).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(wait) = self.retry_after {
            // Rounded up: who comes back a moment early is refused again.
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds.max(1)));
        }
        if let Some(should) = self.should_retry {
            headers.insert(SHOULD_RETRY, HeaderValue::from_static(if should { "true" } else { "false" }));
        }
        response
    }
}

/// Middleware: a problem of what surrounds a handler (too busy, too late, wrong method) in OpenAI's shape.
pub(crate) async fn shaped(mut response: Response) -> Response {
    match response.extensions_mut().remove::<Problem>() {
        Some(problem) => {
            let mut response = OpenAiError::from(&problem).into_response();
            problem.tell(response.headers_mut());
            response
        }
        None => response,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use axum::http::header::RETRY_AFTER;
    use axum::response::IntoResponse as _;
    use rejoinder::{ErrorKind, SeamError};

    use super::{OpenAiError, SHOULD_RETRY};

    #[test]
    fn every_kind_has_a_status_and_only_the_callers_own_mistakes_are_told_in_words() {
        let cases = [
            (ErrorKind::Invalid, 400, "invalid_value", true),
            (ErrorKind::ContextTooLong, 400, "context_length_exceeded", true),
            (ErrorKind::NotFound, 404, "model_not_found", true),
            (ErrorKind::Refused, 400, "content_filter", false),
            (ErrorKind::RateLimited { retry_after: None }, 429, "rate_limit_exceeded", false),
            (ErrorKind::OverBudget { resets_in: Duration::from_secs(9) }, 429, "insufficient_quota", false),
            (ErrorKind::Transient, 503, "service_unavailable", false),
            (ErrorKind::Unavailable, 503, "service_unavailable", false),
            (ErrorKind::Auth, 503, "service_unavailable", false),
            (ErrorKind::DeadlineExceeded, 504, "timeout", false),
            (ErrorKind::OutputInvalid, 502, "output_invalid", false),
            (ErrorKind::Corrupt, 500, "internal", false),
            (ErrorKind::Internal, 500, "internal", false),
        ];
        for (kind, status, code, told) in cases {
            let error = OpenAiError::from_seam(&SeamError::new(kind.clone(), "/srv/models/x.gguf is bad"));
            assert_eq!((error.status.as_u16(), error.code), (status, code), "{kind:?}");
            assert_eq!(error.document().contains("x.gguf"), told, "{kind:?}");
        }
    }

    #[test]
    fn who_would_have_to_wait_long_is_told_not_to_try_by_itself() {
        let over = |resets_in| {
            let error = SeamError::new(ErrorKind::OverBudget { resets_in }, "over");
            OpenAiError::from_seam(&error).into_response()
        };
        let soon = over(Duration::from_millis(1_500));
        assert_eq!(soon.headers()[RETRY_AFTER], "2");
        assert!(!soon.headers().contains_key(SHOULD_RETRY));
        let late = over(Duration::from_hours(1));
        assert_eq!(late.headers()[RETRY_AFTER], "3600");
        assert_eq!(late.headers()[SHOULD_RETRY], "false");
    }
}

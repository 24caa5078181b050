//! Errors as RFC 9457 problem documents: the one place where a failure becomes a status, a stable code and a safe text.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use rejoinder::ErrorKind;
use rejoinder::assist::AssistError;
use rejoinder_access::Taken;
use serde::Serialize;
use utoipa::ToSchema;

use crate::access;
use crate::request_id::RequestId;

/// One invalid place in a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct InvalidField {
    /// JSON pointer into the request body (RFC 6901).
    pub pointer: String,
    /// What is wrong with it.
    pub detail: String,
}

/// A failure that a client may see. It never carries internal text; that goes to the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    status: StatusCode,
    code: &'static str,
    title: &'static str,
    detail: String,
    errors: Vec<InvalidField>,
    retry_after_seconds: Option<u64>,
    allowance: Option<Box<Taken>>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct ProblemBody<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
    code: &'a str,
    request_id: &'a str,
    errors: &'a [InvalidField],
}

impl Problem {
    fn new(status: StatusCode, code: &'static str, title: &'static str, detail: impl Into<String>) -> Self {
        Self {
            status,
            code,
            title,
            detail: detail.into(),
            errors: Vec::new(),
            retry_after_seconds: None,
            allowance: None,
        }
    }

    /// 400: the body is not JSON.
    pub fn malformed(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "malformed_json", "The body is not valid JSON", detail)
    }

    /// 400: the address is not well formed (RFC 3986).
    pub(crate) fn malformed_address(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "malformed_address", "The address is not well formed", detail)
    }

    /// 400: a multipart body that cannot be read.
    pub(crate) fn malformed_multipart() -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "malformed_multipart",
            "The body is not valid multipart/form-data",
            "the upload broke off or is not multipart/form-data (RFC 7578)",
        )
    }

    /// 503: the disk does not take what was sent.
    pub(crate) fn no_space() -> Self {
        Self {
            retry_after_seconds: Some(60),
            ..Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "unavailable",
                "The service is not ready",
                "what was sent cannot be written to the disk now",
            )
        }
    }

    /// 422: JSON, but not what the route takes.
    pub fn invalid(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        let field = InvalidField { pointer: pointer.into(), detail: detail.into() };
        let mut problem = Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "invalid_request",
            "The request is not valid",
            format!("{}: {}", if field.pointer.is_empty() { "body" } else { &field.pointer }, field.detail),
        );
        problem.errors.push(field);
        problem
    }

    /// 422: a parameter of the address is not what the route takes; without a name where it is in the detail.
    pub(crate) fn parameter(name: &str, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        let detail = if name.is_empty() { detail } else { format!("{name}: {detail}") };
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_request", "The request is not valid", detail)
    }

    /// 422: the schema uses what extraction does not support.
    pub fn unsupported_schema(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        let mut problem = Self::invalid(pointer, detail);
        problem.code = "unsupported_schema";
        problem.title = "The schema is not supported";
        problem
    }

    /// 413: over a limit, which `detail` names.
    pub fn too_large(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", "The request is too large", detail)
    }

    /// 415: not `application/json`.
    pub fn unsupported_media_type() -> Self {
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_media_type",
            "The media type is not supported",
            "send the body as application/json",
        )
    }

    /// 401: no credential, or none that is valid.
    pub(crate) fn unauthenticated(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthenticated", "A valid credential is needed", detail)
    }

    /// 403: the credential is valid and does not allow this.
    pub(crate) fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", "The credential does not allow this", detail)
    }

    /// 503: the keys that credentials are checked with cannot be had.
    pub(crate) fn credentials_unavailable(detail: impl Into<String>) -> Self {
        Self {
            retry_after_seconds: Some(5),
            ..Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "The service is not ready", detail)
        }
    }

    /// 404: an object that is not there, or not this tenant's.
    pub(crate) fn no_such(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "There is nothing here", format!("there is no such {what}"))
    }

    /// 409: it contradicts what is stored.
    pub(crate) fn conflict(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, code, "The request contradicts an earlier one", detail)
    }

    /// 429: the tenant's allowance is used up for the moment.
    pub(crate) fn rate_limited(detail: impl Into<String>, retry_after_seconds: u64) -> Self {
        Self {
            retry_after_seconds: Some(retry_after_seconds.max(1)),
            ..Self::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", "Too much in too short a time", detail)
        }
    }

    /// 404 for a route that does not exist.
    pub fn no_route() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "There is nothing here", "no such route")
    }

    /// 405.
    pub fn method_not_allowed() -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method_not_allowed",
            "The method is not allowed",
            "this route does not take this method",
        )
    }

    /// 503: more requests at once than configured.
    pub(crate) fn busy(retry_after: Duration) -> Self {
        Self {
            retry_after_seconds: Some(retry_after.as_secs().max(1)),
            ..Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "busy",
                "The server is busy",
                "too many requests at once; try again after the time in Retry-After",
            )
        }
    }

    /// 408: the body did not arrive within its time.
    pub(crate) fn slow_body() -> Self {
        Self::new(
            StatusCode::REQUEST_TIMEOUT,
            "request_timeout",
            "The request came too slowly",
            "the body did not arrive within its time (connections.body_timeout_seconds, body_bytes_per_second)",
        )
    }

    /// 503: mail of the tenant is being taken in, and nothing may be taken out meanwhile.
    pub(crate) fn ingesting() -> Self {
        Self {
            retry_after_seconds: Some(10),
            ..Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "busy",
                "The server is busy",
                "mail is being ingested, and nothing is erased meanwhile; cancel the job or try again after the time in Retry-After",
            )
        }
    }

    /// 503: erased everywhere but in the store, which failed.
    pub(crate) fn erased_but_store() -> Self {
        Self {
            retry_after_seconds: Some(10),
            ..Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "unavailable",
                "The store could not be reached",
                "all is erased but what the store holds, which failed; that is noted and erased as soon as the store can be \
                 reached, within a minute",
            )
        }
    }

    /// 504: the configured time for one request is over.
    pub fn timed_out() -> Self {
        Self::new(
            StatusCode::GATEWAY_TIMEOUT,
            "timeout",
            "The request took too long",
            "the work was stopped at the configured time limit",
        )
    }

    /// Tells of the allowance that is used up.
    pub(crate) fn allowance(&mut self, taken: Taken) {
        self.allowance = Some(Box::new(taken));
    }

    /// The stable code.
    pub(crate) fn code(&self) -> &'static str {
        self.code
    }

    /// The status.
    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }

    /// Seconds after which it may be better.
    pub(crate) fn retry_after_seconds(&self) -> Option<u64> {
        self.retry_after_seconds
    }

    /// What went wrong, for a person.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// A failure of the library: what is wrong with a request is told, everything else by its kind alone and logged.
    pub fn from_library(error: &rejoinder::Error) -> Self {
        match error {
            rejoinder::Error::Assist(AssistError::Invalid { pointer, message }) => Self::invalid(pointer, message),
            rejoinder::Error::Assist(AssistError::Schema(schema)) => {
                Self::unsupported_schema(format!("/schema{}", schema.pointer), schema.to_string())
            }
            other => {
                // What the caller got wrong, or what is gone, is nobody's failure here.
                if matches!(other.kind(), ErrorKind::NotFound | ErrorKind::Invalid) {
                    tracing::debug!(error = chain(other), "a request was refused");
                } else {
                    tracing::error!(error = chain(other), "a request failed");
                }
                Self::from_kind(&other.kind())
            }
        }
    }

    fn from_kind(kind: &ErrorKind) -> Self {
        match kind {
            ErrorKind::Invalid => Self::invalid("", "the request cannot be served as it is"),
            ErrorKind::ContextTooLong => Self::too_large("the text is longer than the model takes"),
            ErrorKind::NotFound => {
                Self::new(StatusCode::NOT_FOUND, "not_found", "There is nothing here", "no such object")
            }
            ErrorKind::Transient | ErrorKind::Unavailable | ErrorKind::RateLimited { .. } => {
                let retry_after = match kind {
                    ErrorKind::RateLimited { retry_after: Some(wait) } => wait.as_secs().max(1),
                    _ => 1,
                };
                Self {
                    retry_after_seconds: Some(retry_after),
                    ..Self::new(
                        StatusCode::SERVICE_UNAVAILABLE,
                        "unavailable",
                        "The service is not ready",
                        "a part of the service is not ready; see /readyz",
                    )
                }
            }
            ErrorKind::OverBudget { resets_in } => Self {
                retry_after_seconds: Some(resets_in.as_secs() + u64::from(resets_in.subsec_nanos() > 0)),
                ..Self::new(
                    StatusCode::TOO_MANY_REQUESTS,
                    "over_budget",
                    "The budget is used up",
                    "there is some again after the time in Retry-After",
                )
            },
            ErrorKind::DeadlineExceeded => Self::timed_out(),
            _ => Self::internal(),
        }
    }

    /// 500: a defect or damaged data. The cause is in the log under the request id.
    pub fn internal() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "Something went wrong",
            "the cause is in the server's log under this request id",
        )
    }

    /// The document, with the request's id in it.
    pub(crate) fn document(&self, request_id: &RequestId) -> String {
        debug_assert!(crate::openapi::codes::is_known(self.code), "{} is not documented", self.code);
        let body = ProblemBody {
            r#type: format!("urn:rejoinder:problem:{}", self.code),
            title: self.title,
            status: self.status.as_u16(),
            detail: &self.detail,
            code: self.code,
            request_id: request_id.as_str(),
            errors: &self.errors,
        };
        serde_json::to_string(&body).unwrap_or_default()
    }

    /// What the headers say of it, whatever shape the document has.
    pub(crate) fn tell(&self, headers: &mut HeaderMap) {
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(taken) = &self.allowance {
            access::tell(headers, **taken);
        }
    }

    /// The document as a response.
    pub(crate) fn into_response_for(self, request_id: &RequestId) -> Response {
        let mut response = (self.status, self.document(request_id)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        self.tell(headers);
        if let Some(seconds) = self.retry_after_seconds {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// A handler returns its problem as it is; the middleware that knows the request's id writes the document
/// ([`crate::request_id`]).
impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// An error with its causes, for the log. Errors of the library hold no text of a message.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text.push_str(": ");
        text.push_str(&next.to_string());
        cause = next.source();
    }
    text
}

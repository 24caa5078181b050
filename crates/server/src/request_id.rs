//! `x-request-id`: taken from the client where it is sane, else made; echoed in every answer.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use crate::connection::BodyWatch;
use crate::problem::Problem;

/// The header's name.
pub(crate) const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// The id of one request; an extension of every request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestId(String);

impl RequestId {
    /// The id as text: 1 to 128 characters of letters, digits, `-`, `_`, `.`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn from_client(value: &HeaderValue) -> Option<Self> {
        let text = value.to_str().ok()?;
        let sane = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        ((1..=128).contains(&text.len()) && text.chars().all(sane)).then(|| Self(text.to_owned()))
    }

    fn fresh() -> Self {
        Self(format!("req_{}", unique()))
    }
}

/// Unique over processes and restarts: time, process and a counter.
pub(crate) fn unique() -> String {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let micros = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros());
    let count = COUNTER.fetch_add(1, Ordering::Relaxed);
    format!("{micros:x}{:08x}{count:x}", std::process::id())
}

/// Middleware: gives every request its id, every response the header, and a problem its document.
pub(crate) async fn assign(mut request: Request, next: Next) -> Response {
    let id = request.headers().get(&HEADER).and_then(RequestId::from_client).unwrap_or_else(RequestId::fresh);
    request.extensions_mut().insert(id.clone());
    let body = request.extensions().get::<BodyWatch>().cloned();
    let mut response = next.run(request).await;
    // Whatever a handler made of a body that broke off: who was too slow is told so.
    if body.is_some_and(|body| body.was_slow()) && response.status() != StatusCode::REQUEST_TIMEOUT {
        response = Problem::slow_body().into_response();
    }
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        response = problem.into_response_for(&id);
    }
    if let Ok(value) = HeaderValue::from_str(id.as_str()) {
        response.headers_mut().insert(HEADER, value);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::{HeaderValue, RequestId};

    #[test]
    fn a_clients_id_is_taken_only_where_it_is_sane() {
        let from = |text: &str| RequestId::from_client(&HeaderValue::from_str(text).unwrap());
        assert_eq!(from("crm-42.a_b").unwrap().as_str(), "crm-42.a_b");
        assert!(from("").is_none());
        assert!(from("a b").is_none());
        assert!(from(&"a".repeat(129)).is_none());
        assert_ne!(RequestId::fresh(), RequestId::fresh());
    }
}

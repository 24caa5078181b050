//! Which web pages of other origins may call the server: none, unless the configuration names them.
//!
//! A browser asks before it sends a request with an `Authorization` header to another origin (the Fetch standard's
//! preflight). That question carries no credential, so it is answered before any is asked for. Credentials of the
//! browser's own (cookies) are never allowed: the server knows none. There is no wildcard: a page of any origin must not
//! reach a server that may answer without a credential on loopback.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;

/// What a page may call with.
const METHODS: HeaderValue = HeaderValue::from_static("GET, POST, DELETE");
/// What a page may send.
const HEADERS: HeaderValue = HeaderValue::from_static(
    "authorization, content-type, idempotency-key, last-event-id, traceparent, tracestate, x-request-id, \
     x-rejoinder-egress, x-rejoinder-role",
);
/// What a page may read of an answer, beyond what every page may.
const EXPOSED: HeaderValue = HeaderValue::from_static(
    "idempotency-replayed, location, retry-after, www-authenticate, x-ratelimit-limit, x-ratelimit-remaining, \
     x-ratelimit-reset, x-rejoinder-attempts, x-rejoinder-provider, x-request-id, x-should-retry",
);

/// `[server.cors]`: off without it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CorsConfig {
    /// Origins whose pages may call the server, each as the browser sends it: `https://crm.example.com`, with its port where
    /// it is not the scheme's own.
    pub origins: Vec<String>,
    /// How long a browser may remember the answer, seconds.
    #[serde(default = "ten_minutes")]
    pub max_age_seconds: u32,
}

fn ten_minutes() -> u32 {
    600
}

impl CorsConfig {
    /// Checks what serde cannot; the error is a sentence that says what to change.
    pub(crate) fn validate(&self) -> Result<(), String> {
        if self.origins.is_empty() {
            return Err("cors.origins names no origin; leave [server.cors] out to allow none".to_owned());
        }
        match self.origins.iter().find(|origin| !is_origin(origin)) {
            None => Ok(()),
            Some(origin) => Err(format!(
                "cors.origins: \"{origin}\" is no origin; write scheme, host and port alone, in lower case and without a \
                 wildcard or a slash at the end, as in \"https://crm.example.com\""
            )),
        }
    }
}

/// `http` or `https`, a host, and a port if need be; nothing that a browser would write differently.
fn is_origin(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")) else { return false };
    let is_of_host = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.[]:".contains(c);
    !rest.is_empty() && rest.chars().all(is_of_host) && text.parse::<axum::http::Uri>().is_ok()
}

/// Middleware, for a server that has the section. It surrounds what asks for credentials.
pub(crate) async fn allow(State(config): State<Arc<CorsConfig>>, request: Request, next: Next) -> Response {
    let origin = request.headers().get(header::ORIGIN).filter(|origin| is_allowed(&config, origin)).cloned();
    let asks_before = is_preflight(request.method(), request.headers());
    let mut response = match &origin {
        Some(_) if asks_before => StatusCode::NO_CONTENT.into_response(),
        _ => next.run(request).await,
    };
    let headers = response.headers_mut();
    // A cache must not give one origin's answer to another.
    headers.append(header::VARY, HeaderValue::from_static("origin"));
    if let Some(origin) = origin {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        if asks_before {
            headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS);
            headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HEADERS);
            headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from(config.max_age_seconds));
        } else {
            headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
        }
    }
    response
}

fn is_allowed(config: &CorsConfig, origin: &HeaderValue) -> bool {
    config.origins.iter().any(|allowed| allowed.as_bytes() == origin.as_bytes())
}

fn is_preflight(method: &Method, headers: &HeaderMap) -> bool {
    const ASKS: HeaderName = header::ACCESS_CONTROL_REQUEST_METHOD;
    *method == Method::OPTIONS && headers.contains_key(ASKS)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use axum::Router;
    use axum::body::Body;
    use axum::http::{HeaderMap, Request, StatusCode};
    use axum::middleware::from_fn_with_state;
    use axum::routing::post;
    use hyper::service::Service as _;
    use hyper_util::service::TowerToHyperService;

    use super::{CorsConfig, allow, is_origin};

    const OURS: &str = "https://crm.example.com";

    /// A route that nobody is let in to, behind the middleware.
    async fn ask(method: &str, headers: &[(&str, &str)]) -> (StatusCode, HeaderMap) {
        let config = CorsConfig { origins: vec![OURS.to_owned()], max_age_seconds: 600 };
        let app = Router::new()
            .route("/", post(async || StatusCode::UNAUTHORIZED))
            .layer(from_fn_with_state(Arc::new(config), allow));
        let mut request = Request::builder().method(method).uri("/");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::empty()).unwrap();
        let response = TowerToHyperService::new(app).call(request).await.unwrap();
        (response.status(), response.headers().clone())
    }

    #[tokio::test]
    async fn a_preflight_is_answered_without_a_credential() {
        let asked = [("origin", OURS), ("access-control-request-method", "POST")];
        let (status, headers) = ask("OPTIONS", &asked).await;
        assert_eq!(status, StatusCode::NO_CONTENT);
        assert_eq!(headers["access-control-allow-origin"], OURS);
        assert_eq!(headers["access-control-max-age"], "600");
        assert!(headers["access-control-allow-headers"].to_str().unwrap().contains("authorization"));
        assert!(!headers.contains_key("access-control-allow-credentials"));
    }

    #[tokio::test]
    async fn an_error_can_be_read_by_an_allowed_page_and_by_no_other() {
        let (status, headers) = ask("POST", &[("origin", OURS)]).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED);
        assert_eq!(headers["access-control-allow-origin"], OURS);
        assert!(headers["access-control-expose-headers"].to_str().unwrap().contains("x-request-id"));
        for other in ["https://evil.example", "https://crm.example.com.evil.example", "http://crm.example.com", "null"]
        {
            let (_, headers) = ask("POST", &[("origin", other)]).await;
            assert!(!headers.contains_key("access-control-allow-origin"), "{other}");
            assert_eq!(headers["vary"], "origin");
            let asked = [("origin", other), ("access-control-request-method", "POST")];
            let (status, headers) = ask("OPTIONS", &asked).await;
            assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);
            assert!(!headers.contains_key("access-control-allow-origin"), "{other}");
        }
    }

    #[test]
    fn an_origin_is_what_a_browser_sends() {
        for good in ["https://crm.example.com", "http://localhost:3000", "https://[::1]:8443"] {
            assert!(is_origin(good), "{good}");
        }
        for bad in [
            "*",
            "https://*.example.com",
            "https://crm.example.com/",
            "crm.example.com",
            "https://",
            "null",
            "https://A.de",
        ] {
            assert!(!is_origin(bad), "{bad}");
        }
    }

    #[test]
    fn an_empty_list_is_a_mistake() {
        let config = CorsConfig { origins: Vec::new(), max_age_seconds: 1 };
        assert!(config.validate().unwrap_err().contains("leave [server.cors] out"));
    }
}

//! `Idempotency-Key`: the same request with the same key is carried out once and answered the same again.
//!
//! The key holds for a tenant and a route. What is compared is the body, byte by byte. An answer is kept when it is whole:
//! one that a client did not read to its end, and every 5xx, leaves the key free.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, BodyDataStream, Bytes};
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use futures_core::Stream;
use http_body_util::BodyExt as _;
use rejoinder::{Begun, MAX_STORED_BODY, StoredResponse, TenantId};
use rejoinder_access::Principal;
use sha2::{Digest as _, Sha256};

use crate::problem::Problem;
use crate::server::App;

const KEY: HeaderName = HeaderName::from_static("idempotency-key");
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// Routes whose answers hold ids and counts. They outlive an erasure: a job that was ordered once is not run again.
const IDS_ONLY: [&str; 3] = ["POST /v1/messages", "POST /v1/ingest/jobs", "POST /v1/feedback"];
/// Longer keys are refused.
const MAX_KEY: usize = 255;

/// Who used which key on which route.
#[derive(Clone)]
struct Claim {
    tenant: TenantId,
    route: String,
    key: String,
}

/// Middleware of routes that create or spend.
pub(crate) async fn replay(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let key = match key_of(&request) {
        Ok(Some(key)) => key,
        Ok(None) => return next.run(request).await,
        Err(problem) => return problem.into_response(),
    };
    let Some(tenant) = request.extensions().get::<Principal>().map(|principal| principal.tenant.clone()) else {
        return Problem::internal().into_response();
    };
    let route = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
    let claim = Claim { tenant, route: format!("{} {route}", request.method()), key };
    let is_upload = request.headers().get(header::CONTENT_TYPE).is_some_and(|kind| {
        kind.to_str().is_ok_and(|kind| kind.trim_start().to_ascii_lowercase().starts_with("multipart/"))
    });
    if is_upload {
        let problem =
            Problem::parameter("Idempotency-Key", "an upload is not compared; name a path in the inbox instead");
        return problem.into_response();
    }
    let (parts, body) = request.into_parts();
    let body = match body_of(body, app.config.max_body_bytes).await {
        Ok(body) => body,
        Err(problem) => return problem.into_response(),
    };
    let media_type = parts.headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    let query = parts.uri.query().unwrap_or_default().as_bytes();
    let parted = [media_type, query, &body]
        .iter()
        .fold(Sha256::new(), |digest, part| digest.chain_update((part.len() as u64).to_le_bytes()).chain_update(part));
    match app.rejoinder.begin_request(&claim.tenant, &claim.route, &claim.key, parted.finalize().into()).await {
        Ok(Begun::Fresh) => {}
        Ok(Begun::Replay(stored)) => return replayed(stored),
        Ok(Begun::Conflict) => {
            let detail = "this Idempotency-Key belongs to a request with another body";
            return Problem::conflict("idempotency_conflict", detail).into_response();
        }
        Ok(Begun::InProgress) => {
            let detail = "the request with this Idempotency-Key is being carried out";
            return Problem::conflict("idempotency_in_progress", detail).into_response();
        }
        Err(error) => return Problem::from_library(&error).into_response(),
    }
    let mut open = Open { app: Arc::clone(&app), claim: Some(claim) };
    let response = next.run(Request::from_parts(parts, Body::from(body))).await;
    open.watch(response).await
}

fn key_of(request: &Request) -> Result<Option<String>, Problem> {
    let mut values = request.headers().get_all(KEY).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let text = value.to_str().unwrap_or_default();
    let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic());
    if values.next().is_some() || !is_plain || text.is_empty() || text.len() > MAX_KEY {
        let detail = format!("one key of 1 to {MAX_KEY} visible ASCII characters without spaces");
        return Err(Problem::parameter("Idempotency-Key", detail));
    }
    Ok(Some(text.to_owned()))
}

async fn body_of(body: Body, most: usize) -> Result<Bytes, Problem> {
    let limited = http_body_util::Limited::new(body, most);
    match limited.collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => {
            Err(Problem::too_large(format!("a request has at most {most} bytes (max_body_bytes)")))
        }
        Err(_) => Err(Problem::malformed("the body broke off")),
    }
}

fn replayed(stored: StoredResponse) -> Response {
    let status = StatusCode::from_u16(stored.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = (status, stored.body).into_response();
    let headers = response.headers_mut();
    headers.remove(header::CONTENT_TYPE);
    let further = stored.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    for (name, value) in further.chain([("content-type", stored.content_type.as_str())]) {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value))
            && !value.is_empty()
        {
            headers.insert(name, value);
        }
    }
    headers.insert(REPLAYED, HeaderValue::from_static("true"));
    response
}

/// A request that is being carried out: dropped before its answer is whole, it gives its key back.
struct Open {
    app: Arc<App>,
    claim: Option<Claim>,
}

impl Open {
    async fn watch(&mut self, response: Response) -> Response {
        let problem = response.extensions().get::<Problem>().cloned();
        // What may be different next time is no answer to keep.
        let passes = response.status().is_server_error()
            || matches!(response.status(), StatusCode::TOO_MANY_REQUESTS | StatusCode::CONFLICT);
        if passes || problem.is_some() {
            return response;
        }
        let Some(claim) = self.claim.take() else { return response };
        let keeper = Keeper { app: Arc::clone(&self.app), claim: Some(claim), response: head(&response) };
        let streamed = response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == "text/event-stream");
        if streamed {
            return response.map(|body| {
                Body::from_stream(Copied { body: body.into_data_stream(), keeper: Some(keeper), bytes: Vec::new() })
            });
        }
        let (parts, body) = response.into_parts();
        let Ok(collected) = body.collect().await else {
            return Problem::internal().into_response();
        };
        let bytes = collected.to_bytes();
        keeper.keep(bytes.to_vec()).await;
        Response::from_parts(parts, Body::from(bytes))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if let Some(claim) = self.claim.take() {
            give_back(&self.app, claim);
        }
    }
}

fn give_back(app: &Arc<App>, claim: Claim) {
    let rejoinder = app.rejoinder.clone();
    tokio::spawn(async move {
        if let Err(error) = rejoinder.abandon_request(&claim.tenant, &claim.route, &claim.key).await {
            tracing::warn!(kind = ?error.kind(), "a request's key could not be given back; it is free after a restart");
        }
    });
}

/// Status and headers that are part of an answer.
fn head(response: &Response) -> StoredResponse {
    let text = |name: &HeaderName| {
        response.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
    };
    let location = text(&header::LOCATION);
    StoredResponse {
        status: response.status().as_u16(),
        content_type: text(&header::CONTENT_TYPE),
        headers: if location.is_empty() { Vec::new() } else { vec![("location".to_owned(), location)] },
        body: Vec::new(),
    }
}

/// Keeps an answer once it is whole.
struct Keeper {
    app: Arc<App>,
    claim: Option<Claim>,
    response: StoredResponse,
}

impl Keeper {
    async fn keep(mut self, body: Vec<u8>) {
        let Some(claim) = self.claim.take() else { return };
        let response = StoredResponse { body, ..self.response.clone() };
        let holds_text = !IDS_ONLY.contains(&claim.route.as_str());
        let kept =
            self.app.rejoinder.finish_request(&claim.tenant, &claim.route, &claim.key, (response, holds_text)).await;
        if let Err(error) = kept {
            tracing::warn!(kind = ?error.kind(), "an answer could not be kept under its key");
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        if let Some(claim) = self.claim.take() {
            give_back(&self.app, claim);
        }
    }
}

/// A streamed answer that is copied while it is sent.
struct Copied {
    body: BodyDataStream,
    keeper: Option<Keeper>,
    bytes: Vec<u8>,
}

impl Stream for Copied {
    type Item = Result<Bytes, axum::Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = std::task::ready!(Pin::new(&mut self.body).poll_next(context));
        match &next {
            Some(Ok(part)) if self.bytes.len() + part.len() <= MAX_STORED_BODY => self.bytes.extend_from_slice(part),
            Some(_) => self.keeper = None,
            None => {
                let bytes = std::mem::take(&mut self.bytes);
                if let Some(keeper) = self.keeper.take() {
                    tokio::spawn(keeper.keep(bytes));
                }
            }
        }
        Poll::Ready(next)
    }
}

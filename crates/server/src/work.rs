//! A place to work at: how many requests are worked on at once, in which order tenants get one, and how long each may take.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::body::{Body, BodyDataStream, Bytes};
use axum::extract::{MatchedPath, Request, State};
use axum::http::header;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use futures_core::Stream;
use rejoinder_access::{Permit, Principal};

use crate::problem::Problem;
use crate::request_id::RequestId;
use crate::server::App;

/// Middleware: a place for the configured time at most.
pub(crate) async fn place(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let limit = Duration::from_secs(app.config.request_timeout_seconds);
    work(&app, request, next, Some(limit)).await
}

/// Middleware: a place as long as the client sends; a slow client is the connection's business.
pub(crate) async fn place_without_end(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    work(&app, request, next, None).await
}

async fn work(app: &Arc<App>, request: Request, next: Next, limit: Option<Duration>) -> Response {
    let request_id = request.extensions().get::<RequestId>().cloned();
    let Some(tenant) = request.extensions().get::<Principal>().map(|principal| principal.tenant.clone()) else {
        return Problem::internal().into_response();
    };
    // Not the path itself: what a mailbox or a person is called is no business of the log.
    let route = request.extensions().get::<MatchedPath>().cloned();
    let started = Instant::now();
    let permit = match app.access.enter(&tenant).await {
        Ok(permit) => permit,
        Err(problem) => return problem.into_response(),
    };
    let response = match limit {
        Some(limit) => match tokio::time::timeout(limit, next.run(request)).await {
            Ok(response) => response,
            Err(_) => Problem::timed_out().into_response(),
        },
        None => next.run(request).await,
    };
    tracing::info!(
        request_id = request_id.as_ref().map(RequestId::as_str),
        route = route.as_ref().map(MatchedPath::as_str),
        status = response.status().as_u16(),
        ms = started.elapsed().as_millis(),
        "request"
    );
    let streamed = response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == "text/event-stream");
    if streamed {
        let held = |body: Body| Held { body: body.into_data_stream(), request_id, started, _permit: permit };
        response.map(|body| Body::from_stream(held(body)))
    } else {
        response
    }
}

/// A streamed answer, which takes a place as long as it is written.
struct Held {
    body: BodyDataStream,
    request_id: Option<RequestId>,
    started: Instant,
    _permit: Permit,
}

impl Stream for Held {
    type Item = Result<Bytes, axum::Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Pin::new(&mut self.body).poll_next(context)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        tracing::info!(
            request_id = self.request_id.as_ref().map(RequestId::as_str),
            ms = self.started.elapsed().as_millis(),
            "stream ended"
        );
    }
}

//! The server as an object: bind, join, shut down. The same one for the binary, the tests and embedders.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, BodyDataStream, Bytes};
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderValue, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{delete, get, post};
use futures_core::Stream;
use jiff::Timestamp;
use rejoinder::Rejoinder;
use tokio::net::TcpListener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinHandle;

use crate::config::ServerConfig;
use crate::connection::{self, Serving};
use crate::problem::Problem;
use crate::request_id::{self, RequestId};
use crate::tls::{Certificates, TlsError};
use crate::{audit, cors, erase, extract, health, metrics, openai, search, suggest, trace, usage};

/// What every handler sees.
pub(crate) struct App {
    pub(crate) rejoinder: Rejoinder,
    pub(crate) config: ServerConfig,
    pub(crate) started: Timestamp,
    slots: Arc<Semaphore>,
}

/// A running HTTP server.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    task: JoinHandle<std::io::Result<()>>,
    grace: Duration,
}

/// The server could not start.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// A value of the configuration is not possible.
    #[error("[server] {0}")]
    Config(String),
    /// The address cannot be bound.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// HTTPS is configured and its certificate or key cannot be used.
    #[error("[server.tls]")]
    Tls(#[from] TlsError),
}

impl Server {
    /// Binds and starts to serve.
    pub async fn bind(rejoinder: Rejoinder, config: ServerConfig) -> Result<Self, BindError> {
        config.validate(false).map_err(BindError::Config)?;
        let failed = |source| BindError::Listen { address: config.listen, source };
        let listener = TcpListener::bind(config.listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let tls = config.tls.clone().map(Certificates::open).transpose()?;
        if config.is_readable_on_the_way() {
            tracing::warn!("without [server.tls] credentials and mail cross the network in clear: let a proxy speak TLS");
        }
        let grace = Duration::from_secs(config.shutdown_grace_seconds);
        let (stop, stopped) = watch::channel(false);
        let limits = config.connections.clone();
        let app = router(rejoinder, config);
        let task = tokio::spawn(connection::serve(Serving { listener, app, limits, tls, stop: stopped, grace }));
        Ok(Self { address, stop, task, grace })
    }

    /// Where it listens; tells the port where the configuration said 0.
    pub fn local_address(&self) -> SocketAddr {
        self.address
    }

    /// Runs until the server fails or the process is told to stop (interrupt or terminate), then drains.
    pub async fn join(mut self) -> std::io::Result<()> {
        tokio::select! {
            ended = &mut self.task => return ended.map_err(std::io::Error::other)?,
            signal = stop_signal() => signal?,
        }
        tracing::info!("stopping: waiting for requests in flight");
        self.shutdown().await
    }

    /// Takes no new requests, lets those in flight finish within the configured time, and returns.
    pub async fn shutdown(mut self) -> std::io::Result<()> {
        // No receiver is left only if the server has ended already.
        let _ = self.stop.send(true);
        if let Ok(ended) = tokio::time::timeout(self.grace, &mut self.task).await {
            return ended.map_err(std::io::Error::other)?;
        }
        tracing::warn!("requests were still in flight after the grace period; dropping them");
        self.task.abort();
        Ok(())
    }
}

fn router(rejoinder: Rejoinder, config: ServerConfig) -> Router {
    let body_limit = DefaultBodyLimit::max(config.max_body_bytes);
    let slots = Arc::new(Semaphore::new(config.max_concurrent_requests));
    let app = Arc::new(App { rejoinder, config, started: Timestamp::now(), slots });
    let openai = openai::routes(&app);
    let work = Router::new()
        .route("/v1/suggest-reply", post(suggest::handle))
        .route("/v1/extract-attributes", post(extract::handle))
        .route("/v1/search", post(search::handle))
        .route("/v1/messages/{id}", delete(erase::message))
        .route("/v1/mailboxes/{id}", delete(erase::mailbox))
        .route("/v1/subjects/{email}", delete(erase::subject))
        .layer(body_limit)
        .layer(middleware::from_fn_with_state(Arc::clone(&app), limit_work));
    let cors = app.config.cors.clone().map(Arc::new);
    let is_tls = app.config.tls.is_some();
    let routes = Router::new()
        .merge(work)
        .merge(openai)
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(metrics::handle))
        .route("/v1/usage", get(usage::handle))
        .route("/v1/audit", get(audit::handle))
        .fallback(async || Problem::no_route())
        .method_not_allowed_fallback(async || Problem::method_not_allowed())
        .layer(middleware::from_fn(trace::request))
        .layer(middleware::from_fn(request_id::assign))
        .layer(middleware::from_fn_with_state(is_tls, security_headers))
        .with_state(app);
    match cors {
        Some(cors) => routes.layer(middleware::from_fn_with_state(cors, cors::allow)),
        None => routes,
    }
}

/// Bounds how many requests are worked on at once and how long each may take, and logs each by its id.
pub(crate) async fn limit_work(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let request_id = request.extensions().get::<RequestId>().cloned();
    let path = request.uri().path().to_owned();
    let started = std::time::Instant::now();
    let Ok(slot) = Arc::clone(&app.slots).try_acquire_owned() else {
        return Problem::busy().into_response();
    };
    let limit = Duration::from_secs(app.config.request_timeout_seconds);
    let response = match tokio::time::timeout(limit, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Problem::timed_out().into_response(),
    };
    tracing::info!(
        request_id = request_id.as_ref().map(RequestId::as_str),
        path,
        status = response.status().as_u16(),
        ms = started.elapsed().as_millis(),
        "request"
    );
    let streamed = response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == "text/event-stream");
    if streamed {
        let held = |body: Body| Held { body: body.into_data_stream(), request_id, started, _slot: slot };
        response.map(|body| Body::from_stream(held(body)))
    } else {
        response
    }
}

/// A streamed answer, which takes a place as long as it is written.
struct Held {
    body: BodyDataStream,
    request_id: Option<RequestId>,
    started: std::time::Instant,
    _slot: OwnedSemaphorePermit,
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

/// What keeps a browser from making more of an answer than it is. A page of the server's own says itself what it needs.
async fn security_headers(State(is_tls): State<bool>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers
        .entry(header::CONTENT_SECURITY_POLICY)
        .or_insert(HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"));
    if is_tls {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000"));
    }
    response
}

#[cfg(unix)]
async fn stop_signal() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted,
        _ = terminate.recv() => Ok(()),
    }
}

#[cfg(not(unix))]
async fn stop_signal() -> std::io::Result<()> {
    tokio::signal::ctrl_c().await
}

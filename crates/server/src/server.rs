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
use axum::serve::ListenerExt as _;
use futures_core::Stream;
use jiff::Timestamp;
use rejoinder::Rejoinder;
use tokio::net::TcpListener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinHandle;

use crate::config::ServerConfig;
use crate::problem::Problem;
use crate::request_id::{self, RequestId};
use crate::{audit, erase, extract, health, metrics, openai, search, suggest, trace, usage};

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
}

impl Server {
    /// Binds and starts to serve.
    pub async fn bind(rejoinder: Rejoinder, config: ServerConfig) -> Result<Self, BindError> {
        config.validate().map_err(BindError::Config)?;
        let failed = |source| BindError::Listen { address: config.listen, source };
        let listener = TcpListener::bind(config.listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        // A streamed answer is many small writes: none may wait until the client has acknowledged the one before. A
        // connection on which that cannot be set is only slower.
        let listener = listener.tap_io(|connection| drop(connection.set_nodelay(true)));
        let grace = Duration::from_secs(config.shutdown_grace_seconds);
        let (stop, mut stopped) = watch::channel(false);
        let app = router(rejoinder, config);
        let task = tokio::spawn(async move {
            let until_stopped = async move {
                // An error means that the server object is gone: that is a stop as well.
                let _ = stopped.wait_for(|stop| *stop).await;
            };
            axum::serve(listener, app).with_graceful_shutdown(until_stopped).await
        });
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
    Router::new()
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
        .layer(middleware::from_fn(security_headers))
        .with_state(app)
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

async fn security_headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    headers.insert("cache-control", HeaderValue::from_static("no-store"));
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

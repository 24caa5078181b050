//! The server as an object: bind, join, shut down. The same one for the binary, the tests and embedders.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use jiff::Timestamp;
use rejoinder::Rejoinder;
use rejoinder_access::{AuthConfig, KeyError, KeyStore, LimitsConfig};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::access::Access;
use crate::config::ServerConfig;
use crate::connection::{self, Serving};
use crate::http_metrics::HttpMetrics;
use crate::live::LiveLog;
use crate::routes;
use crate::tls::{Certificates, TlsError};

/// What every handler sees.
pub(crate) struct App {
    pub(crate) rejoinder: Rejoinder,
    pub(crate) config: ServerConfig,
    pub(crate) started: Timestamp,
    pub(crate) access: Access,
    pub(crate) live: LiveLog,
    pub(crate) http_metrics: HttpMetrics,
}

/// A running HTTP server.
pub struct Server {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    task: JoinHandle<std::io::Result<()>>,
    app: Arc<App>,
    grace: Duration,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("address", &self.address).finish_non_exhaustive()
    }
}

/// The server could not start.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// A value of the configuration is not possible.
    #[error("[server] {0}")]
    Config(String),
    /// The file of API keys cannot be used.
    #[error("the file of API keys")]
    Keys(#[source] KeyError),
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
        let keys = KeyStore::open(rejoinder.keys_path()).map_err(BindError::Keys)?;
        // Shorter than a request may take: who waits in vain gets its answer in time to try again.
        let wait = Duration::from_secs(config.queue_wait_seconds);
        let access =
            Access::open(keys, &config.auth, &config.limits, (config.max_concurrent_requests, config.turns()), wait)?;
        config.validate(access.needed()).map_err(BindError::Config)?;
        let failed = |source| BindError::Listen { address: config.listen, source };
        let listener = TcpListener::bind(config.listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let tls = config.tls.clone().map(Certificates::open).transpose()?;
        if config.is_readable_on_the_way() {
            tracing::warn!(
                "without [server.tls] credentials and mail cross the network in clear: let a proxy speak TLS"
            );
        }
        let grace = Duration::from_secs(config.shutdown_grace_seconds);
        let (stop, stopped) = watch::channel(false);
        let limits = config.connections.clone();
        let live = LiveLog::new(Duration::from_secs(config.resume_seconds), config.max_concurrent_requests * 4);
        let app = Arc::new(App {
            rejoinder,
            config,
            started: Timestamp::now(),
            access,
            live,
            http_metrics: HttpMetrics::new(),
        });
        let routes = routes::all(&app);
        let task =
            tokio::spawn(connection::serve(Serving { listener, app: routes, limits, tls, stop: stopped, grace }));
        Ok(Self { address, stop, task, app, grace })
    }

    /// The same as a URL.
    pub fn local_url(&self) -> String {
        let scheme = if self.app.config.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// Whether callers need a credential.
    pub fn needs_credentials(&self) -> bool {
        self.app.access.needed()
    }

    /// A handle by which what may change while the server runs is changed.
    pub fn control(&self) -> Control {
        Control { app: Arc::clone(&self.app) }
    }

    /// What it serves.
    #[cfg(test)]
    pub(crate) fn routes(&self) -> axum::Router {
        routes::all(&self.app)
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

/// Changes what may change while the server runs: who is let in, and how much each tenant may use.
#[derive(Clone)]
pub struct Control {
    app: Arc<App>,
}

impl Control {
    /// Puts other issuers of tokens and other limits in force; the error is a sentence that says what is wrong with them, and
    /// then nothing changes. API keys need no call: they are read from their file.
    pub fn reconfigure(&self, auth: &AuthConfig, limits: &LimitsConfig) -> Result<(), String> {
        self.app.access.reconfigure(auth, limits)
    }
}

/// What keeps a browser from making more of an answer than it is. A page of the server's own says itself what it needs.
pub(crate) async fn security_headers(State(is_tls): State<bool>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    // Its body was not read to the end, so the connection ends with it: a client must not send another request on it.
    let unread = matches!(response.status(), StatusCode::PAYLOAD_TOO_LARGE | StatusCode::REQUEST_TIMEOUT);
    let headers = response.headers_mut();
    if unread {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
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

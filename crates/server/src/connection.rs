//! The connections of the server: how many there may be, and how long a client may take for each part of a request.
//!
//! A server behind nothing but this must survive clients that open connections and say nothing, send a header or a body
//! byte by byte, or never read their answer. Each of these has its own limit here, because each ends in another way: a
//! slow header is answered 408 and closed, a slow body is a 408 problem of the route, and who does not read its answer is
//! dropped, with the work for it. HTTP/1.1 only, as the rest of the product speaks it; many streams over one connection are
//! the business of a proxy.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{HeaderValue, Request, Response, header};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::tls::Certificates;

pub(crate) use body::{Answer, Arriving, BodyWatch, LastEvent, is_slow_body};
use watched::{Activity, Watched};

mod body;
#[cfg(test)]
mod tests;
mod watched;

/// How long a closed connection is read on, so that what the client still sends does not wipe out the answer on its way.
const LINGER: Duration = Duration::from_secs(1);
/// Bytes that are read on at most.
const LINGER_BYTES: usize = 1 << 20;
/// Connections over the limit that are told so at the same time; one more is closed without a word.
const REFUSALS: usize = 64;
/// How much of the grace is left when streams are told to end.
const LAST_CALL: Duration = Duration::from_secs(2);

/// `[server.connections]`: limits on connections and on slow clients.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ConnectionConfig {
    /// Open connections at most; one more is answered 503 with `Retry-After` and closed.
    pub most: usize,
    /// Longest time from the first byte of a request's head to its last, seconds; 408 after it.
    pub header_timeout_seconds: u64,
    /// Longest time without a request, before the first one and between two, seconds; the connection is closed after it.
    pub idle_timeout_seconds: u64,
    /// Longest time without a byte of a body that is waited for, seconds; 408 after it.
    pub body_timeout_seconds: u64,
    /// Bytes of a body in each second that was waited for them, on average, after the first `body_timeout_seconds`; 0 asks for none.
    pub body_bytes_per_second: u64,
    /// Longest time in which a client takes nothing of an answer that is ready, seconds; the connection is dropped after it.
    pub write_timeout_seconds: u64,
    /// Bytes of a request's head at most; 431 over it.
    pub max_header_bytes: usize,
    /// Headers of a request at most; 431 over it.
    pub max_headers: usize,
}

impl Default for ConnectionConfig {
    fn default() -> Self {
        Self {
            most: 1024,
            header_timeout_seconds: 10,
            idle_timeout_seconds: 75,
            body_timeout_seconds: 20,
            body_bytes_per_second: 512,
            write_timeout_seconds: 30,
            max_header_bytes: 32 << 10,
            max_headers: 100,
        }
    }
}

impl ConnectionConfig {
    /// hyper's buffer is never smaller, so a smaller limit could not be kept.
    const LEAST_HEADER_BYTES: usize = 8192;

    /// Checks what serde cannot; the error is a sentence that says what to change.
    pub(crate) fn validate(&self) -> Result<(), String> {
        let positive = [
            ("most", self.most as u64),
            ("header_timeout_seconds", self.header_timeout_seconds),
            ("idle_timeout_seconds", self.idle_timeout_seconds),
            ("body_timeout_seconds", self.body_timeout_seconds),
            ("write_timeout_seconds", self.write_timeout_seconds),
            ("max_headers", self.max_headers as u64),
        ];
        if let Some((name, _)) = positive.iter().find(|(_, value)| *value == 0) {
            return Err(format!("connections.{name} must be at least 1"));
        }
        if self.most > Semaphore::MAX_PERMITS {
            return Err(format!("connections.most must be at most {}", Semaphore::MAX_PERMITS));
        }
        if self.max_header_bytes < Self::LEAST_HEADER_BYTES {
            return Err(format!("connections.max_header_bytes must be at least {}", Self::LEAST_HEADER_BYTES));
        }
        Ok(())
    }

    fn limits(&self) -> Limits {
        Limits {
            header: Duration::from_secs(self.header_timeout_seconds),
            idle: Duration::from_secs(self.idle_timeout_seconds),
            body: Duration::from_secs(self.body_timeout_seconds),
            body_bytes_per_second: self.body_bytes_per_second,
            write: Duration::from_secs(self.write_timeout_seconds),
            max_header_bytes: self.max_header_bytes,
            max_headers: self.max_headers,
        }
    }
}

/// What one connection has to keep to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    header: Duration,
    idle: Duration,
    body: Duration,
    body_bytes_per_second: u64,
    write: Duration,
    max_header_bytes: usize,
    max_headers: usize,
}

/// What the accept loop needs.
pub(crate) struct Serving {
    pub(crate) listener: TcpListener,
    pub(crate) app: Router,
    pub(crate) limits: ConnectionConfig,
    /// Without it, plain HTTP.
    pub(crate) tls: Option<Certificates>,
    /// Becomes true when no more requests are to be taken.
    pub(crate) stop: watch::Receiver<bool>,
    /// How long requests in flight may go on after that.
    pub(crate) grace: Duration,
}

/// Accepts and serves until it is told to stop, then until the last request in flight has its answer. Dropping the future
/// drops all connections.
pub(crate) async fn serve(serving: Serving) -> io::Result<()> {
    let Serving { listener, app, limits, tls, mut stop, grace } = serving;
    let ending = CancellationToken::new();
    let shared = Arc::new(Shared { app, limits: limits.limits(), tls, stop: stop.clone(), ending: ending.clone() });
    let places = Arc::new(Semaphore::new(limits.most));
    let refusals = Arc::new(Semaphore::new(REFUSALS));
    let mut connections = JoinSet::new();
    let mut stopped = pin!(async move {
        // An error means that the server object is gone: that is a stop as well.
        let _ = stop.wait_for(|stop| *stop).await;
    });
    loop {
        let (stream, peer) = tokio::select! {
            () = &mut stopped => break,
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    accept_failed(&error).await;
                    continue;
                }
            },
        };
        // A streamed answer is many small writes: none may wait until the client has acknowledged the one before. A
        // connection on which that cannot be set is only slower.
        drop(stream.set_nodelay(true));
        if let Ok(place) = Arc::clone(&places).try_acquire_owned() {
            connections.spawn(connection(Arc::clone(&shared), stream, peer, place));
        } else {
            tracing::warn!(most = limits.most, "too many connections: one more is refused");
            if let (Ok(place), None) = (Arc::clone(&refusals).try_acquire_owned(), &shared.tls) {
                connections.spawn(refuse(stream, place));
            }
        }
    }
    drop(listener);
    let last_call = sleep(grace.saturating_sub(LAST_CALL.min(grace / 4)));
    tokio::select! {
        () = drain(&mut connections) => return Ok(()),
        () = last_call => ending.cancel(),
    }
    drain(&mut connections).await;
    Ok(())
}

async fn drain(connections: &mut JoinSet<()>) {
    while connections.join_next().await.is_some() {}
}

/// A client that is gone before it was accepted is nobody's trouble; without descriptors or memory, accepting at once again
/// would only spin.
async fn accept_failed(error: &io::Error) {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    if !matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset) {
        tracing::error!(%error, "a connection could not be accepted");
        sleep(Duration::from_millis(200)).await;
    }
}

/// What all connections share.
struct Shared {
    app: Router,
    limits: Limits,
    tls: Option<Certificates>,
    stop: watch::Receiver<bool>,
    ending: CancellationToken,
}

async fn connection(shared: Arc<Shared>, stream: TcpStream, peer: SocketAddr, place: OwnedSemaphorePermit) {
    match &shared.tls {
        None => exchange(&shared, stream, peer).await,
        Some(certificates) => match certificates.accept(stream).await {
            Ok(stream) => exchange(&shared, stream, peer).await,
            Err(error) => tracing::debug!(%error, "a TLS handshake failed"),
        },
    }
    drop(place);
}

/// Serves the requests of one connection.
async fn exchange<S>(shared: &Shared, stream: S, peer: SocketAddr)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let limits = shared.limits;
    let activity = Arc::new(Activity::default());
    let stream = Watched::new(stream, Arc::clone(&activity), &limits);
    let app = TowerToHyperService::new(shared.app.clone());
    let ending = shared.ending.clone();
    let service = service_fn(move |request: Request<Incoming>| {
        let watch = BodyWatch::default();
        let ready = Answer::begin(&activity, ending.clone());
        let request = prepare(request, &limits, watch.clone(), peer);
        let answer = app.call(request);
        Box::pin(async move { answer.await.map(|response| finish(response, ready, &watch)) })
    });
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.idle)
        .max_header_size(limits.max_header_bytes)
        .max_buf_size(limits.max_header_bytes.max(64 << 10))
        .max_headers(limits.max_headers)
        .serve_connection(TokioIo::new(stream), service);
    let mut stop = shared.stop.clone();
    let mut stopped = pin!(async move {
        let _ = stop.wait_for(|stop| *stop).await;
    });
    let mut told = false;
    let ended = loop {
        tokio::select! {
            ended = std::future::poll_fn(|context| connection.poll_without_shutdown(context)) => break ended,
            () = &mut stopped, if !told => {
                told = true;
                Pin::new(&mut connection).graceful_shutdown();
            }
        }
    };
    let mut stream = connection.into_parts().io.into_inner();
    if let Err(error) = ended {
        tracing::debug!(error = %crate::problem::chain(&error), "a connection ended early");
        if stream.header_was_slow() {
            let words = "the request's head did not arrive within its time (header_timeout_seconds)";
            // Who is that slow may be gone.
            let _ = stream.write_all(bare_problem(408, "Request Timeout", "request_timeout", words).as_bytes()).await;
        } else if stream.reader_was_slow() {
            return;
        }
    }
    close(stream).await;
}

/// Gives a request what the routes know of its connection, and its body the limits on slow clients.
fn prepare(request: Request<Incoming>, limits: &Limits, watch: BodyWatch, peer: SocketAddr) -> Request<Body> {
    let (mut parts, body) = request.into_parts();
    parts.extensions.insert(ConnectInfo(peer));
    parts.extensions.insert(watch.clone());
    let body = Body::new(Arriving::new(body, limits.body, limits.body_bytes_per_second, watch));
    Request::from_parts(parts, body)
}

fn finish(mut response: Response<Body>, ready: body::Ready, watch: &BodyWatch) -> Response<Answer> {
    if watch.was_slow() {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    ready.answer(response)
}

/// Says that there are too many connections.
async fn refuse(mut stream: TcpStream, place: OwnedSemaphorePermit) {
    let words = "too many connections at once; try again after the time in Retry-After";
    let text = bare_problem(503, "Service Unavailable", "busy", words);
    if matches!(timeout(LINGER, stream.write_all(text.as_bytes())).await, Ok(Ok(()))) {
        close(stream).await;
    }
    drop(place);
}

/// Closes in the order in which a client can still read what was written: end of the answer, then what it sends, then the
/// socket.
async fn close<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S) {
    let rest = async {
        stream.shutdown().await?;
        let mut scrap = vec![0; 8192];
        let mut left = LINGER_BYTES;
        while left > 0 {
            match stream.read(&mut scrap).await? {
                0 => break,
                read => left = left.saturating_sub(read),
            }
        }
        io::Result::Ok(())
    };
    // However it ends, the connection is closed.
    let _ = timeout(LINGER, rest).await;
}

/// A whole answer for a client that no route will see.
fn bare_problem(status: u16, reason: &str, code: &str, detail: &str) -> String {
    let retry = if status == 503 { "retry-after: 1\r\n" } else { "" };
    let request_id = format!("req_{}", crate::request_id::unique());
    let body = format!(
        "{{\"type\":\"urn:rejoinder:problem:{code}\",\"title\":\"{reason}\",\"status\":{status},\"detail\":\"{detail}\",\
         \"code\":\"{code}\",\"request_id\":\"{request_id}\",\"errors\":[]}}"
    );
    format!(
        "HTTP/1.1 {status} {reason}\r\ncontent-type: application/problem+json\r\ncontent-length: {}\r\n\
         x-request-id: {request_id}\r\n{retry}cache-control: no-store\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}

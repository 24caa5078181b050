//! The HTTP server.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::header::{HeaderName, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::body::{Open, Played};
use crate::counts::{Billed, Counts};
use crate::delivery::{Before, Delivery};
use crate::{Received, Script};

/// The requests that are kept, unless told otherwise.
const KEPT: usize = 20_000;
/// The bytes of a request's body at most.
const MAX_REQUEST: usize = 64 << 20;

/// A provider that listens on loopback until it is dropped.
pub struct ScriptedProvider {
    address: SocketAddr,
    state: Arc<State>,
    stop: watch::Sender<bool>,
}

struct State {
    script: Mutex<Script>,
    counts: Arc<Counts>,
    connections: AtomicUsize,
}

impl ScriptedProvider {
    /// Listens on a free port of 127.0.0.1, in the runtime that this is called in.
    pub async fn start(script: Script) -> std::io::Result<Self> {
        Self::start_keeping(script, KEPT).await
    }

    /// As [`ScriptedProvider::start`], and keeps only the last `keep` requests, for runs whose memory is looked at.
    pub async fn start_keeping(script: Script, keep: usize) -> std::io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let state = Arc::new(State {
            script: Mutex::new(script),
            counts: Arc::new(Counts::new(keep)),
            connections: AtomicUsize::new(0),
        });
        let (stop, stopped) = watch::channel(false);
        tokio::spawn(accept(listener, Arc::clone(&state), stopped));
        Ok(Self { address, state, stop })
    }

    /// `http://127.0.0.1:port`. Paths are told apart by how they end, so any prefix may follow: `/v1`, or Azure's
    /// `/openai/deployments/name`.
    pub fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Follows another script from the next request on.
    pub fn follow(&self, script: Script) {
        *self.state.script.lock().unwrap_or_else(PoisonError::into_inner) = script;
    }

    /// The requests, in order of arrival; the last ones, where there were more than are kept.
    pub fn received(&self) -> Vec<Received> {
        self.state.counts.received()
    }

    /// How many requests there were.
    pub fn requests(&self) -> usize {
        self.state.counts.requests()
    }

    /// What was charged so far, by outcome: `answered`, the name of a [`crate::Failure`], or `disconnected` where the
    /// client left before the end. Requests that are still open are not in it.
    pub fn billed(&self) -> BTreeMap<&'static str, Billed> {
        self.state.counts.billed()
    }

    /// All that was charged so far.
    pub fn billed_in_all(&self) -> Billed {
        self.billed().values().fold(Billed::default(), |sum, one| Billed {
            requests: sum.requests + one.requests,
            input: sum.input + one.input,
            output: sum.output + one.output,
        })
    }

    /// How many connections were accepted.
    pub fn connections(&self) -> usize {
        self.state.connections.load(Ordering::Acquire)
    }

    /// Requests that are being answered now.
    pub fn open(&self) -> usize {
        *self.state.counts.open().borrow()
    }

    /// Waits until no request is being answered: all were delivered, or their clients left.
    pub async fn idle(&self) {
        self.wait_for_open(0).await;
    }

    /// Waits until `count` requests are being answered.
    pub async fn wait_for_open(&self, count: usize) {
        // The sender lives as long as `self`, so waiting cannot fail.
        let _ = self.state.counts.open().wait_for(|open| *open == count).await;
    }
}

impl Drop for ScriptedProvider {
    fn drop(&mut self) {
        self.stop.send_replace(true);
    }
}

async fn accept(listener: TcpListener, state: Arc<State>, mut stopped: watch::Receiver<bool>) {
    loop {
        let accepted = tokio::select! {
            _ = stopped.wait_for(|stopped| *stopped) => return,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, _)) = accepted else { continue };
        let connection = state.connections.fetch_add(1, Ordering::AcqRel);
        tokio::spawn(serve(stream, connection, Arc::clone(&state), stopped.clone()));
    }
}

async fn serve(stream: TcpStream, connection: usize, state: Arc<State>, mut stopped: watch::Receiver<bool>) {
    // Without it a small chunk waits for the acknowledgement of the one before.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| answer(request, connection, Arc::clone(&state)));
    let serving = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        _ = stopped.wait_for(|stopped| *stopped) => {}
        // An error is a script that cuts the connection, or a client that left.
        _ = serving => {}
    }
}

/// Closes the connection without an answer.
#[derive(Debug)]
struct Closed;

impl std::fmt::Display for Closed {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("the script closes the connection")
    }
}

impl std::error::Error for Closed {}

impl From<Infallible> for Closed {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

async fn answer(request: Request<Incoming>, connection: usize, state: Arc<State>) -> Result<Response<Played>, Closed> {
    let (head, body) = request.into_parts();
    let raw = Limited::new(body, MAX_REQUEST).collect().await.map_err(|_| Closed)?.to_bytes().to_vec();
    let received = Received {
        number: 0,
        connection,
        method: head.method.to_string(),
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        headers: head
            .headers
            .iter()
            .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
            .collect(),
        body: serde_json::from_slice(&raw).unwrap_or(Value::Null),
        raw,
    };
    let mut open = Open::new(Arc::clone(&state.counts));
    let delivery = state.counts.record(received, |received| {
        if received.path.ends_with("/models") {
            Delivery::models()
        } else if received.path.ends_with("/chat/completions") || received.path.ends_with("/messages") {
            let behaviour = state.script.lock().unwrap_or_else(PoisonError::into_inner).next(received);
            Delivery::new(&behaviour, received)
        } else {
            Delivery::no_such_path()
        }
    });
    match delivery.before {
        Before::Wait(wait) if wait.is_zero() => {}
        Before::Wait(wait) => tokio::time::sleep(wait).await,
        Before::Hang => std::future::pending().await,
        Before::Close => {
            open.ends_as(delivery.outcome);
            return Err(Closed);
        }
    }
    let status = StatusCode::from_u16(delivery.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = delivery.headers.clone();
    let mut response = Response::new(Played::new(delivery, open));
    *response.status_mut() = status;
    for (name, value) in headers {
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().insert(HeaderName::from_static(name), value);
        }
    }
    Ok(response)
}

//! Real sockets on loopback, hostile clients, short limits. None of the tests measures time: each waits for what must come.

#![allow(clippy::items_after_statements, clippy::format_collect, reason = "a test reads from the top to the bottom")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::ConnectInfo;
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use axum::routing::{get, post};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

use super::{ConnectionConfig, Serving, is_slow_body, serve};

struct Server {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    task: JoinHandle<std::io::Result<()>>,
}

impl Server {
    async fn start(app: Router, limits: ConnectionConfig) -> Self {
        Self::with_grace(app, limits, Duration::from_secs(20)).await
    }

    async fn with_grace(app: Router, limits: ConnectionConfig, grace: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(serve(Serving { listener, app, limits, tls: None, stop: stopped, grace }));
        Self { address, stop, task }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends `request` and reads until the server closes.
    async fn exchange(&self, request: &str) -> String {
        let mut stream = self.connect().await;
        stream.write_all(request.as_bytes()).await.unwrap();
        to_the_end(&mut stream).await
    }
}

async fn to_the_end(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    // A reset ends it as well.
    let _ = stream.read_to_end(&mut text).await;
    String::from_utf8_lossy(&text).into_owned()
}

async fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let mut text = String::new();
    while !text.ends_with(end) {
        let byte = stream.read_u8().await.unwrap();
        text.push(char::from(byte));
    }
    text
}

fn app() -> Router {
    Router::new()
        .route("/", get(async || "hello"))
        .route("/peer", get(async |ConnectInfo(peer): ConnectInfo<SocketAddr>| peer.to_string()))
        .route("/body", post(read_body))
}

async fn read_body(body: Body) -> axum::response::Response {
    match axum::body::to_bytes(body, 1 << 20).await {
        Ok(bytes) => bytes.len().to_string().into_response(),
        Err(error) if is_slow_body(&error) => StatusCode::REQUEST_TIMEOUT.into_response(),
        Err(_) => StatusCode::BAD_REQUEST.into_response(),
    }
}

fn short() -> ConnectionConfig {
    ConnectionConfig {
        header_timeout_seconds: 1,
        idle_timeout_seconds: 1,
        body_timeout_seconds: 1,
        write_timeout_seconds: 1,
        ..ConnectionConfig::default()
    }
}

#[tokio::test]
async fn requests_of_one_connection_follow_each_other_and_know_their_peer() {
    let server = Server::start(app(), ConnectionConfig::default()).await;
    let mut stream = server.connect().await;
    for _ in 0..3 {
        stream.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        read_until(&mut stream, "hello").await;
    }
    let own = stream.local_addr().unwrap().to_string();
    stream.write_all(b"GET /peer HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    read_until(&mut stream, &own).await;
}

#[tokio::test]
async fn a_head_that_never_ends_is_answered_408() {
    let server = Server::start(app(), ConnectionConfig { idle_timeout_seconds: 600, ..short() }).await;
    let answer = server.exchange("GET / HTTP/1.1\r\nhost: a\r\nx-slow: ").await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(answer.contains("\"code\":\"request_timeout\""), "{answer}");
}

#[tokio::test]
async fn the_second_heads_clock_starts_with_its_first_byte() {
    let server = Server::start(app(), ConnectionConfig { idle_timeout_seconds: 600, ..short() }).await;
    let mut stream = server.connect().await;
    stream.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    read_until(&mut stream, "hello").await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    stream.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    read_until(&mut stream, "hello").await;
    stream.write_all(b"GET / HT").await.unwrap();
    let answer = to_the_end(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
}

#[tokio::test]
async fn a_silent_connection_is_closed_without_a_word() {
    let server = Server::start(app(), short()).await;
    assert_eq!(server.exchange("").await, "");
}

#[tokio::test]
async fn a_body_that_stops_is_408_and_the_connection_closes() {
    let server = Server::start(app(), short()).await;
    let answer = server.exchange("POST /body HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nabc").await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(answer.to_lowercase().contains("connection: close"), "{answer}");
}

#[tokio::test]
async fn a_body_that_trickles_is_408() {
    let limits = ConnectionConfig { body_bytes_per_second: 1_000_000, ..short() };
    let server = Server::start(app(), limits).await;
    let (mut reader, mut writer) = server.connect().await.into_split();
    writer.write_all(b"POST /body HTTP/1.1\r\nhost: a\r\ncontent-length: 1000\r\n\r\n").await.unwrap();
    let trickle = tokio::spawn(async move {
        while writer.write_all(b"a").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    let mut start = [0; 12];
    reader.read_exact(&mut start).await.unwrap();
    assert_eq!(&start, b"HTTP/1.1 408");
    trickle.abort();
}

#[tokio::test]
async fn who_does_not_read_is_dropped_with_the_work_for_it() {
    struct Work(Arc<Notify>);
    impl Drop for Work {
        fn drop(&mut self) {
            self.0.notify_one();
        }
    }
    let dropped = Arc::new(Notify::new());
    let told = Arc::clone(&dropped);
    let endless = move || {
        let work = Work(Arc::clone(&told));
        async move { Body::new(Endless { _work: work }) }
    };
    let server = Server::start(Router::new().route("/", get(endless)), short()).await;
    let mut stream = server.connect().await;
    stream.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    dropped.notified().await;

    struct Endless {
        _work: Work,
    }
    impl axum::body::HttpBody for Endless {
        type Data = Bytes;
        type Error = std::convert::Infallible;
        fn poll_frame(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Result<hyper::body::Frame<Bytes>, Self::Error>>> {
            std::task::Poll::Ready(Some(Ok(hyper::body::Frame::data(Bytes::from_static(&[b'a'; 16384])))))
        }
    }
}

#[tokio::test]
async fn heads_that_are_too_large_or_have_too_many_headers_are_431() {
    let server = Server::start(app(), ConnectionConfig::default()).await;
    let long = format!("GET / HTTP/1.1\r\nhost: a\r\nx-long: {}\r\n\r\n", "a".repeat(40_000));
    assert!(server.exchange(&long).await.starts_with("HTTP/1.1 431 "));
    let many: String = (0..200).map(|number| format!("x-{number}: a\r\n")).collect();
    let many = format!("GET / HTTP/1.1\r\nhost: a\r\n{many}\r\n");
    assert!(server.exchange(&many).await.starts_with("HTTP/1.1 431 "));
    let plain = "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    assert!(server.exchange(plain).await.ends_with("hello"));
}

#[tokio::test]
async fn one_connection_too_many_is_503_and_a_freed_place_is_taken_again() {
    let server = Server::start(app(), ConnectionConfig { most: 1, ..ConnectionConfig::default() }).await;
    let plain = "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    let mut first = server.connect().await;
    first.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    read_until(&mut first, "hello").await;
    let refused = server.exchange(plain).await;
    assert!(refused.starts_with("HTTP/1.1 503 "), "{refused}");
    assert!(refused.contains("retry-after: 1") && refused.contains("\"code\":\"busy\""), "{refused}");
    drop(first);
    // The place is free a moment after the client has gone.
    while !server.exchange(plain).await.ends_with("hello") {}
}

#[tokio::test]
async fn stopping_drains_what_is_in_flight_and_takes_nothing_more() {
    let entered = Arc::new(Notify::new());
    let go_on = Arc::new(Notify::new());
    let (inside, waits) = (Arc::clone(&entered), Arc::clone(&go_on));
    let slow = async move || {
        inside.notify_one();
        waits.notified().await;
        "done"
    };
    let server = Server::start(Router::new().route("/", get(slow)), ConnectionConfig::default()).await;
    let mut idle = server.connect().await;
    let mut busy = server.connect().await;
    busy.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    entered.notified().await;
    server.stop.send(true).unwrap();
    assert_eq!(to_the_end(&mut idle).await, "");
    go_on.notify_one();
    assert!(to_the_end(&mut busy).await.ends_with("done"));
    drop((idle, busy));
    server.task.await.unwrap().unwrap();
    assert!(TcpStream::connect(server.address).await.is_err());
}

#[tokio::test]
async fn a_stream_that_outlives_the_grace_ends_with_an_error() {
    let endless = async || {
        let body = Body::new(OneThenSilence(Some(Bytes::from_static(b"event: delta\ndata: {}\n\n"))));
        ([("content-type", "text/event-stream")], body)
    };
    let app = Router::new().route("/", get(endless));
    let server = Server::with_grace(app, ConnectionConfig::default(), Duration::from_secs(1)).await;
    let mut stream = server.connect().await;
    stream.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    read_until(&mut stream, "data: {}\n\n").await;
    server.stop.send(true).unwrap();
    let rest = to_the_end(&mut stream).await;
    assert!(rest.contains("event: error") && rest.contains("urn:rejoinder:problem:unavailable"), "{rest}");
    drop(stream);
    server.task.await.unwrap().unwrap();

    struct OneThenSilence(Option<Bytes>);
    impl axum::body::HttpBody for OneThenSilence {
        type Data = Bytes;
        type Error = std::convert::Infallible;
        fn poll_frame(
            mut self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Result<hyper::body::Frame<Bytes>, Self::Error>>> {
            match self.0.take() {
                Some(bytes) => std::task::Poll::Ready(Some(Ok(hyper::body::Frame::data(bytes)))),
                None => std::task::Poll::Pending,
            }
        }
    }
}

#[test]
fn limits_that_cannot_be_kept_are_refused() {
    assert_eq!(ConnectionConfig::default().validate(), Ok(()));
    let none = ConnectionConfig { most: 0, ..ConnectionConfig::default() };
    assert!(none.validate().unwrap_err().contains("connections.most"));
    let small = ConnectionConfig { max_header_bytes: 100, ..ConnectionConfig::default() };
    assert!(small.validate().unwrap_err().contains("8192"));
}

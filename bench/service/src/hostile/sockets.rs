//! What is wrong below the level of requests: heads, lengths, floods of headers, and clients that take their time.

use std::io::{Read as _, Write as _};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use serde_json::json;

use super::Target;
use crate::call::Call;
use crate::wire;

/// Clients that say next to nothing, at the same time.
const SLOW: usize = 100;

pub(super) fn attack(target: &mut Target) {
    heads(target);
    slow_heads(target);
    slow_body(target);
    deaf(target);
}

fn heads(target: &mut Target) {
    let key = target.key.clone();
    let with = |rest: &str| {
        format!("POST /v1/search HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {key}\r\ncontent-type: application/json\r\nconnection: close\r\n{rest}").into_bytes()
    };
    let flood = |count: usize, bytes: usize| -> String {
        let header = |number| format!("x-{number}: {}\r\n", "a".repeat(bytes));
        (0..count).map(header).collect::<Vec<_>>().concat()
    };
    // A closed connection (0) is an answer to what is no HTTP.
    let refused = [0, 400, 401, 404, 405, 408, 411, 413, 414, 417, 422, 431];
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("no HTTP", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec()),
        ("a line and nothing", b"\r\n\r\n\r\n\r\n".to_vec()),
        ("HTTP/0.9", b"GET /readyz\r\n\r\n".to_vec()),
        ("no version", b"GET / HTTP/9.9\r\n\r\n".to_vec()),
        ("an unknown method", b"BREW /v1/search HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n".to_vec()),
        ("a method without end", format!("{} / HTTP/1.1\r\n\r\n", "A".repeat(100_000)).into_bytes()),
        (
            "an address without end",
            format!("GET /{} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n", "a".repeat(200_000)).into_bytes(),
        ),
        ("an address of control characters", b"GET /\x01\x02 HTTP/1.1\r\nhost: a\r\n\r\n".to_vec()),
        ("a proxy's request", b"CONNECT internal:22 HTTP/1.1\r\nhost: internal\r\nconnection: close\r\n\r\n".to_vec()),
        (
            "an absolute address",
            b"GET http://internal.example/v1/search HTTP/1.1\r\nhost: internal\r\nconnection: close\r\n\r\n".to_vec(),
        ),
        ("5,000 headers", with(&format!("{}content-length: 2\r\n\r\n{{}}", flood(5_000, 10)))),
        ("a header of 1 MB", with(&format!("x-a: {}\r\ncontent-length: 2\r\n\r\n{{}}", "a".repeat(1 << 20)))),
        ("90 headers of 1 kB", with(&format!("{}content-length: 2\r\n\r\n{{}}", flood(90, 1024)))),
        ("a header without a name", with(": a\r\ncontent-length: 2\r\n\r\n{}")),
        ("a header with a blank in its name", with("content length: 2\r\n\r\n{}")),
        ("a folded header", with("x-a: b\r\n c\r\ncontent-length: 2\r\n\r\n{}")),
        ("a NUL in a header", with("x-a: b\0c\r\ncontent-length: 2\r\n\r\n{}")),
        ("a negative length", with("content-length: -2\r\n\r\n{}")),
        ("a length without end", with("content-length: 99999999999999999999999\r\n\r\n{}")),
        ("a length of an exabyte", with("content-length: 1000000000000000000\r\n\r\n{}")),
        ("two lengths", with("content-length: 2\r\ncontent-length: 3\r\n\r\n{}x")),
        (
            "a length and chunks",
            with(
                "content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n",
            ),
        ),
        ("chunks that lie", with("transfer-encoding: chunked\r\n\r\nffffffffffffffffff\r\nx")),
        ("chunks that are none", with("transfer-encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n")),
        ("an unknown coding", with("transfer-encoding: gzip\r\n\r\n{}")),
        ("a body that does not come", with("content-length: 100\r\n\r\n{")),
        ("an unknown expectation", with("expect: a-miracle\r\ncontent-length: 2\r\n\r\n{}")),
    ];
    for (name, bytes) in cases {
        target.refuse_bytes(name, &bytes, &refused);
    }
    // HTTP/2 without having agreed on it.
    target.refuse_bytes("HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &[0, 400, 404, 405]);
}

/// Many clients that send a header byte by byte: each is cut off, and others are served meanwhile.
fn slow_heads(target: &mut Target) {
    let result = (|| {
        let mut clients = Vec::new();
        for _ in 0..SLOW {
            let mut client = wire::connect(&target.sidecar.url)?;
            client.write_all(b"GET /readyz HTTP/1.1\r\nhost: ")?;
            clients.push(client);
        }
        let (started, mut slowest) = (Instant::now(), Duration::ZERO);
        while started.elapsed() < Duration::from_secs(4) {
            for client in &mut clients {
                // It may be closed already, which is what is wanted.
                let _ = client.write_all(b"a");
            }
            let asked = Instant::now();
            let answer = target.ask(Call::json("/v1/search", &json!({"query": "delivery"})))?;
            slowest = slowest.max(asked.elapsed());
            ensure!(answer.status == 200, "meanwhile another is answered {}", answer.status);
            std::thread::sleep(Duration::from_millis(200));
        }
        ensure!(slowest < Duration::from_secs(2), "meanwhile another waits {slowest:?}");
        for mut client in clients {
            client.set_read_timeout(Some(Duration::from_secs(3)))?;
            let mut answer = [0; 64];
            let read = client.read(&mut answer);
            let open = matches!(&read, Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut));
            ensure!(!open, "a client that is slow keeps its connection after four seconds");
            if matches!(read, Ok(bytes) if bytes > 0) {
                ensure!(wire::status(&answer) == 408, "it is answered {}", wire::status(&answer));
            }
        }
        Ok(())
    })();
    target.note("100 slow heads", result);
}

fn slow_body(target: &mut Target) {
    let head = format!(
        "POST /v1/search HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\ncontent-length: 100000\r\n\r\n",
        target.key
    );
    let result = (|| {
        let mut client = wire::connect(&target.sidecar.url)?;
        client.write_all(head.as_bytes())?;
        let started = Instant::now();
        let mut closed = false;
        while started.elapsed() < Duration::from_secs(15) && !closed {
            closed = client.write_all(b" ").is_err();
            client.set_read_timeout(Some(Duration::from_millis(300)))?;
            let mut answer = [0; 64];
            match client.read(&mut answer) {
                Ok(0) => closed = true,
                Ok(_) => {
                    ensure!(wire::status(&answer) == 408, "it is answered {}", wire::status(&answer));
                    closed = true;
                }
                Err(_) => {}
            }
        }
        ensure!(closed, "a body of some bytes a second is waited for without end");
        Ok(())
    })();
    target.note("a slow body", result);
}

/// A client that asks and asks and never reads: it does not fill the server's memory.
fn deaf(target: &mut Target) {
    let request = "GET /openapi.json HTTP/1.1\r\nhost: a\r\n\r\n".repeat(200);
    let before = target.sidecar.memory();
    let result = (|| {
        let mut clients = Vec::new();
        for _ in 0..20 {
            let mut client = wire::connect(&target.sidecar.url)?;
            client.set_write_timeout(Some(Duration::from_millis(500)))?;
            // It stops taking requests when nobody takes the answers.
            let _ = client.write_all(request.as_bytes());
            clients.push(client);
        }
        let answer = target.ask(Call::json("/v1/search", &json!({"query": "delivery"})))?;
        ensure!(answer.status == 200, "meanwhile another is answered {}", answer.status);
        let grown = target.sidecar.memory().saturating_sub(before);
        ensure!(grown < 200 << 20, "the server grew by {} MiB", grown >> 20);
        drop(clients);
        target.ask(Call::get("/readyz")).context("afterwards")?;
        Ok(())
    })();
    target.note("20 clients that do not read", result);
}

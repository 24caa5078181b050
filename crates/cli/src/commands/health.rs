//! `rejoinder health`: asks a running server, for a container's health check that has no curl.

use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::Outcome;
use crate::settings::Settings;

/// A server that needs longer is not ready.
const LONGEST: Duration = Duration::from_secs(5);
/// Bytes of an answer that are looked at.
const MOST: u64 = 64 << 10;

pub(crate) async fn run(settings: &Settings, url: Option<&str>, as_json: bool) -> anyhow::Result<Outcome> {
    let authority = match url {
        Some(url) => {
            let rest =
                url.strip_prefix("http://").context("--url begins with http://; with TLS ask /readyz by curl")?;
            rest.split('/').next().unwrap_or_default().to_owned()
        }
        None if settings.server.tls.is_some() => bail!("the server speaks TLS: ask https://.../readyz by curl"),
        None => {
            let mut address = settings.server.listen;
            if address.ip().is_unspecified() {
                address.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
            }
            address.to_string()
        }
    };
    let answer = tokio::time::timeout(LONGEST, ask(&authority)).await;
    let answer = answer.context("no answer in time")?.with_context(|| format!("cannot ask {authority}"))?;
    let (head, body) = answer.split_once("\r\n\r\n").context("this is no answer of an HTTP server")?;
    let is_ready = head.split(' ').nth(1) == Some("200");
    if as_json {
        println!("{body}");
    } else {
        println!("{authority} is {}", if is_ready { "ready" } else { "not ready" });
    }
    if !is_ready {
        bail!("{authority} is not ready");
    }
    Ok(Outcome::Complete)
}

async fn ask(authority: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(authority).await?;
    // HTTP/1.0: the answer ends with the connection and is not in chunks.
    let request = format!("GET /readyz HTTP/1.0\r\nhost: {authority}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(MOST).read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

//! HTTP as bytes on a socket: what no client library would send.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

/// An answer that takes longer is none.
const PATIENCE: Duration = Duration::from_secs(30);

/// Connects to the server of `url`.
pub(crate) fn connect(url: &str) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect(url.trim_start_matches("http://"))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// Sends `bytes` and reads until the server closes the connection, a time-out, or a megabyte.
pub(crate) fn exchange(url: &str, bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut stream = connect(url)?;
    // A server that has refused already may close while this is still being sent.
    let sent = stream.write_all(bytes);
    let mut answer = Vec::new();
    let read = stream.take(1 << 20).read_to_end(&mut answer);
    if answer.is_empty() {
        sent?;
        read?;
    }
    Ok(answer)
}

/// The status of an answer; 0 where the connection was closed without one.
pub(crate) fn status(answer: &[u8]) -> u16 {
    let line = answer.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let line = String::from_utf8_lossy(line);
    line.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or_default()
}

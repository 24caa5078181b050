//! An address that takes no connection and refuses none.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};

/// An address where connecting hangs, as long as this lives.
///
/// A listener with a queue of one accepts nothing, and its queue is filled with connections of our own. Linux then
/// drops every further attempt, as it does for an overloaded server, and the client tries again until it gives up.
pub struct Unresponsive {
    address: SocketAddr,
    _listener: TcpListener,
    _queued: Vec<TcpStream>,
}

impl Unresponsive {
    /// Where connecting hangs.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The same, as a base URL.
    pub fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }
}

/// Sets up an address where connecting hangs. Fails where the system lets connections through nevertheless.
pub async fn unresponsive_address() -> std::io::Result<Unresponsive> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((Ipv4Addr::LOCALHOST, 0).into())?;
    let listener = socket.listen(1)?;
    let address = listener.local_addr()?;
    let (mut queued, mut hung) = (Vec::new(), 0);
    // The queue holds one or two more than it was asked for. A busy machine may be late once.
    for _ in 0..16 {
        match tokio::time::timeout(Duration::from_millis(300), TcpStream::connect(address)).await {
            Ok(stream) => {
                queued.push(stream?);
                hung = 0;
            }
            Err(_) if hung == 0 => hung = 1,
            Err(_) => return Ok(Unresponsive { address, _listener: listener, _queued: queued }),
        }
    }
    Err(std::io::Error::other("a full queue of connections still takes more"))
}

//! `rejoinder serve`.

use std::net::SocketAddr;

use anyhow::Context as _;
use rejoinder_server::Server;

use super::{Outcome, open};
use crate::settings::Settings;

pub(crate) async fn run(settings: Settings, listen: Option<SocketAddr>) -> anyhow::Result<Outcome> {
    let mut config = settings.server.clone();
    if let Some(listen) = listen {
        config.listen = listen;
    }
    let rejoinder = open(settings).await?;
    tracing::info!("no credentials are configured: serving on loopback only, as the configured tenant");
    let server = Server::bind(rejoinder, config).await?;
    // A line on standard output, so that a script that asked for port 0 learns the port.
    println!("listening on http://{}", server.local_address());
    server.join().await.context("the server failed")?;
    Ok(Outcome::Complete)
}

//! The `[server]` section.

use std::net::SocketAddr;
use std::time::Duration;

use rejoinder_access::{AuthConfig, LimitsConfig};
use serde::Deserialize;

use crate::connection::ConnectionConfig;
use crate::cors::CorsConfig;
use crate::tls::TlsConfig;
use crate::turn;

/// Where the server listens and what it takes.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ServerConfig {
    /// Address to listen on. Anything but loopback needs configured credentials.
    pub listen: SocketAddr,
    /// Largest request body, bytes.
    pub max_body_bytes: usize,
    /// Requests that may be worked on at once; one more is answered 503 with `Retry-After`.
    pub max_concurrent_requests: usize,
    /// Of those, requests that may compute at once, where they do not wait for a model; 0 is one per processor.
    pub max_computing_requests: usize,
    /// Longest time for one request, seconds.
    pub request_timeout_seconds: u64,
    /// A streamed answer says that it lives whenever nothing came for this time, seconds.
    pub heartbeat_seconds: u64,
    /// Longest time that requests in flight get to finish at shutdown, seconds.
    pub shutdown_grace_seconds: u64,
    /// Longest wait of a request for a place to work at, seconds; then it is answered 503 with `Retry-After`.
    pub queue_wait_seconds: u64,
    /// How long what a streamed suggestion said is kept for a client that comes back, seconds.
    pub resume_seconds: u64,
    /// Largest upload of an ingest job, bytes of all its files together.
    pub max_upload_bytes: u64,
    /// Whether `/metrics` is given without a credential.
    pub metrics_open: bool,
    /// Identity providers whose tokens are taken.
    pub auth: AuthConfig,
    /// How much each tenant may use.
    pub limits: LimitsConfig,
    /// The OpenAI-shaped routes.
    pub openai: OpenAiConfig,
    /// Limits on connections and on slow clients.
    pub connections: ConnectionConfig,
    /// HTTPS; plain HTTP without it.
    pub tls: Option<TlsConfig>,
    /// Web pages of other origins that may call; none without it.
    pub cors: Option<CorsConfig>,
}

/// Defaults and limits of the OpenAI-shaped routes.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OpenAiConfig {
    /// Tokens of an answer at most, where the request does not say.
    pub max_tokens: usize,
    /// Temperature where the request does not say; 1 is what the API's clients expect, 0 gives the same answer again.
    pub temperature: f32,
    /// Messages of a chat at most.
    pub messages: usize,
    /// Tools of a chat at most.
    pub tools: usize,
    /// Bytes of a schema of `response_format` at most, as compact JSON.
    pub schema_bytes: usize,
    /// Texts to embed at most.
    pub inputs: usize,
}

impl Default for OpenAiConfig {
    fn default() -> Self {
        Self { max_tokens: 1024, temperature: 1.0, messages: 1024, tools: 128, schema_bytes: 65_536, inputs: 2048 }
    }
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 7788)),
            max_body_bytes: 4 << 20,
            max_concurrent_requests: 64,
            max_computing_requests: 0,
            request_timeout_seconds: 120,
            heartbeat_seconds: 15,
            shutdown_grace_seconds: 20,
            queue_wait_seconds: 20,
            resume_seconds: 120,
            max_upload_bytes: 64 << 30,
            metrics_open: false,
            auth: AuthConfig::default(),
            limits: LimitsConfig::default(),
            openai: OpenAiConfig::default(),
            connections: ConnectionConfig::default(),
            tls: None,
            cors: None,
        }
    }
}

impl ServerConfig {
    /// Whether credentials and mail cross a network in clear: not on loopback, and no TLS of the server's own.
    pub(crate) fn is_readable_on_the_way(&self) -> bool {
        self.tls.is_none() && !self.listen.ip().is_loopback()
    }

    /// Time between two signs of life of a streamed answer.
    pub(crate) fn heartbeat(&self) -> Duration {
        Duration::from_secs(self.heartbeat_seconds)
    }

    /// Requests that may compute at once.
    pub(crate) fn turns(&self) -> usize {
        if self.max_computing_requests == 0 { turn::by_processors() } else { self.max_computing_requests }
    }

    /// Checks what serde cannot; the error is a sentence that says what to change. `credentials` tells whether a caller needs
    /// one: without, who reaches the server is let in, so nobody but this machine may reach it.
    pub fn validate(&self, credentials: bool) -> Result<(), String> {
        if !credentials && !self.listen.ip().is_loopback() {
            return Err(format!(
                "listen = \"{}\" is refused: without credentials the server binds to loopback only; create a key \
                 (`rejoinder keys create`) or configure tokens, or use 127.0.0.1 or [::1]",
                self.listen
            ));
        }
        self.connections.validate()?;
        self.tls.as_ref().map_or(Ok(()), TlsConfig::validate)?;
        self.cors.as_ref().map_or(Ok(()), CorsConfig::validate)?;
        if !(0.0..=2.0).contains(&self.openai.temperature) {
            return Err("openai.temperature must be 0 to 2".to_owned());
        }
        let seconds = |value: u64| usize::try_from(value).unwrap_or(usize::MAX);
        let positive = [
            ("max_body_bytes", self.max_body_bytes),
            ("max_concurrent_requests", self.max_concurrent_requests),
            ("queue_wait_seconds", seconds(self.queue_wait_seconds)),
            ("resume_seconds", seconds(self.resume_seconds)),
            ("request_timeout_seconds", seconds(self.request_timeout_seconds)),
            ("heartbeat_seconds", seconds(self.heartbeat_seconds)),
            ("openai.max_tokens", self.openai.max_tokens),
            ("openai.messages", self.openai.messages),
            ("openai.tools", self.openai.tools),
            ("openai.schema_bytes", self.openai.schema_bytes),
            ("openai.inputs", self.openai.inputs),
        ];
        match positive.iter().find(|(_, value)| *value == 0) {
            Some((name, _)) => Err(format!("{name} must be at least 1")),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::ServerConfig;

    #[test]
    fn only_loopback_without_credentials() {
        let mut config = ServerConfig::default();
        assert_eq!(config.validate(false), Ok(()));
        config.listen = "0.0.0.0:80".parse().unwrap();
        assert!(config.validate(false).unwrap_err().contains("loopback"));
        assert_eq!(config.validate(true), Ok(()));
        config.listen = "[::1]:80".parse().unwrap();
        assert_eq!(config.validate(false), Ok(()));
    }
}

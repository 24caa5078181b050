//! The `[server]` section.

use std::net::SocketAddr;

use serde::Deserialize;

/// Where the server listens and what it takes.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ServerConfig {
    /// Address to listen on. Only loopback for now: there are no credentials yet that could protect anything else.
    pub listen: SocketAddr,
    /// Largest request body, bytes.
    pub max_body_bytes: usize,
    /// Requests that may be worked on at once; one more is answered 503 with `Retry-After`.
    pub max_concurrent_requests: usize,
    /// Longest time for one request, seconds.
    pub request_timeout_seconds: u64,
    /// Longest time that requests in flight get to finish at shutdown, seconds.
    pub shutdown_grace_seconds: u64,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 7788)),
            max_body_bytes: 4 << 20,
            max_concurrent_requests: 64,
            request_timeout_seconds: 120,
            shutdown_grace_seconds: 20,
        }
    }
}

impl ServerConfig {
    /// Checks what serde cannot; the error is a sentence that says what to change.
    pub fn validate(&self) -> Result<(), String> {
        if !self.listen.ip().is_loopback() {
            return Err(format!(
                "listen = \"{}\" is refused: without credentials the server binds to loopback only; use 127.0.0.1 or \
                 [::1], or put a proxy that authenticates in front of it",
                self.listen
            ));
        }
        let positive = [
            ("max_body_bytes", self.max_body_bytes),
            ("max_concurrent_requests", self.max_concurrent_requests),
            ("request_timeout_seconds", usize::try_from(self.request_timeout_seconds).unwrap_or(usize::MAX)),
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
        assert_eq!(config.validate(), Ok(()));
        config.listen = "0.0.0.0:80".parse().unwrap();
        assert!(config.validate().unwrap_err().contains("loopback"));
        config.listen = "[::1]:80".parse().unwrap();
        assert_eq!(config.validate(), Ok(()));
    }
}

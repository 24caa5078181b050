//! Calls of the server: which errors pass, and trying again where they do.

use std::error::Error as _;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

use qdrant_client::{Qdrant, QdrantError};
use rejoinder_domain::{ErrorKind, SeamError};
use secrecy::ExposeSecret;

use super::config::QdrantConfig;

/// The first wait before a call is made again, and the longest; between them each is twice the one before.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// Status codes of gRPC (grpc.io, "Status codes and their use in gRPC").
mod code {
    pub(super) const CANCELLED: i32 = 1;
    pub(super) const UNKNOWN: i32 = 2;
    pub(super) const INVALID_ARGUMENT: i32 = 3;
    pub(super) const DEADLINE_EXCEEDED: i32 = 4;
    pub(super) const NOT_FOUND: i32 = 5;
    pub(super) const ALREADY_EXISTS: i32 = 6;
    pub(super) const PERMISSION_DENIED: i32 = 7;
    pub(super) const RESOURCE_EXHAUSTED: i32 = 8;
    pub(super) const FAILED_PRECONDITION: i32 = 9;
    pub(super) const ABORTED: i32 = 10;
    pub(super) const OUT_OF_RANGE: i32 = 11;
    pub(super) const INTERNAL: i32 = 13;
    pub(super) const UNAVAILABLE: i32 = 14;
    pub(super) const DATA_LOSS: i32 = 15;
    pub(super) const UNAUTHENTICATED: i32 = 16;
}

/// A connection to the server. It is made with the first call, and again when it broke.
pub(super) struct Server {
    client: Qdrant,
    retries: u32,
}

impl Server {
    pub(super) fn new(config: &QdrantConfig) -> Result<Self, SeamError> {
        let mut settings = qdrant_client::config::QdrantConfig::from_url(&config.url);
        settings.timeout = config.timeout();
        settings.connect_timeout = Duration::from_secs(config.connect_timeout_s);
        settings.pool_size = config.connections;
        settings.keep_alive_while_idle = true;
        // The check prints to the standard output and blocks the thread; `health` tells the version.
        settings.check_compatibility = false;
        settings.api_key = config.api_key()?.map(|key| key.expose_secret().to_owned());
        let client = Qdrant::new(settings).map_err(failed("preparing a connection"))?;
        Ok(Self { client, retries: config.retries })
    }

    /// Makes a call, and makes it again where the reason why it failed may pass. Every call that the store makes can be made
    /// twice: upserts replace, deletes delete what is there.
    pub(super) async fn call<T, F>(&self, doing: &'static str, call: impl Fn(Qdrant) -> F) -> Result<T, SeamError>
    where
        F: Future<Output = Result<T, QdrantError>>,
    {
        let mut wait = FIRST_WAIT;
        for _ in 0..self.retries {
            let error = match call(self.client.clone()).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let pause = match kind(&error) {
                ErrorKind::RateLimited { retry_after } => retry_after.unwrap_or(wait).min(LONGEST_WAIT * 4),
                ErrorKind::Transient | ErrorKind::DeadlineExceeded => wait,
                _ => return Err(failed(doing)(error)),
            };
            // Somewhere between half of it and all of it, so that clients that failed together do not come back together.
            tokio::time::sleep(pause.mul_f64(0.5 + random() / 2.0)).await;
            wait = (wait * 2).min(LONGEST_WAIT);
        }
        call(self.client.clone()).await.map_err(failed(doing))
    }
}

/// A number from 0 to 1: the standard library seeds every hasher at random.
fn random() -> f64 {
    let bits = RandomState::new().build_hasher().finish() >> 11;
    bits as f64 / (1_u64 << 53) as f64
}

/// Says what was being done. The cause is not kept: the text of a status may repeat what was sent.
pub(super) fn failed(doing: &'static str) -> impl Fn(QdrantError) -> SeamError {
    move |error| {
        let why = match &error {
            QdrantError::ResponseError { status } => format!("{:?}", status.code()),
            QdrantError::ResourceExhaustedError { retry_after_seconds, .. } => {
                format!("ResourceExhausted, again in {retry_after_seconds} s")
            }
            QdrantError::InvalidUri(_) => "the url is not one".to_owned(),
            QdrantError::Io(error) => error.to_string(),
            _ => "the answer cannot be read".to_owned(),
        };
        let kind = kind(&error);
        let connecting = if is_connecting(&error) { "; the server cannot be reached" } else { "" };
        SeamError::new(kind, format!("Qdrant failed while {doing}: {why}{connecting}"))
    }
}

/// Whether the collection that was named is not there.
pub(super) fn is_missing(error: &SeamError) -> bool {
    error.kind == ErrorKind::NotFound
}

/// Whether somebody else made it first.
pub(super) fn is_there_already(error: &QdrantError) -> bool {
    match error {
        QdrantError::ResponseError { status } => {
            let code = i32::from(status.code());
            code == code::ALREADY_EXISTS
                || code == code::INVALID_ARGUMENT && status.message().contains("already exists")
        }
        _ => false,
    }
}

/// Whether no connection came about. The client says so in words alone.
fn is_connecting(error: &QdrantError) -> bool {
    matches!(error, QdrantError::ResponseError { status } if status.message().starts_with("Failed to connect"))
}

fn kind(error: &QdrantError) -> ErrorKind {
    match error {
        QdrantError::ResponseError { status } => match i32::from(status.code()) {
            code::UNAVAILABLE | code::ABORTED | code::CANCELLED => ErrorKind::Transient,
            code::DEADLINE_EXCEEDED => ErrorKind::DeadlineExceeded,
            code::RESOURCE_EXHAUSTED => ErrorKind::RateLimited { retry_after: None },
            code::UNAUTHENTICATED | code::PERMISSION_DENIED => ErrorKind::Auth,
            code::NOT_FOUND => ErrorKind::NotFound,
            code::DATA_LOSS => ErrorKind::Corrupt,
            code::INVALID_ARGUMENT | code::FAILED_PRECONDITION | code::OUT_OF_RANGE => ErrorKind::Invalid,
            // A connection that broke has these codes too; it has a cause on this side, which a server's status never has.
            code::INTERNAL | code::UNKNOWN if status.source().is_some() || is_connecting(error) => ErrorKind::Transient,
            _ => ErrorKind::Internal,
        },
        QdrantError::ResourceExhaustedError { retry_after_seconds, .. } => {
            ErrorKind::RateLimited { retry_after: Some(Duration::from_secs(*retry_after_seconds)) }
        }
        QdrantError::InvalidUri(_) => ErrorKind::Invalid,
        QdrantError::Io(_) => ErrorKind::Transient,
        _ => ErrorKind::Internal,
    }
}

#[cfg(test)]
mod tests {
    use super::random;

    #[test]
    fn waits_differ() {
        let drawn: Vec<f64> = (0..20).map(|_| random()).collect();
        assert!(drawn.iter().all(|number| (0.0..1.0).contains(number)));
        assert!(drawn.windows(2).any(|pair| pair[0] < pair[1]) && drawn.windows(2).any(|pair| pair[0] > pair[1]));
    }
}

//! TLS without a proxy in front: certificate and key from PEM files, read again when they change.
//!
//! The cryptography is named here and nowhere taken from the process: two implementations are in the program, and which of
//! them were the default would depend on who asked first.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde::Deserialize;
use tokio::net::TcpStream;
use tokio::task::AbortHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

#[cfg(test)]
mod tests;

/// `[server.tls]`: HTTPS. TLS 1.2 and 1.3, HTTP/1.1, no client certificates.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsConfig {
    /// PEM file with the server's certificate and those between it and its root, in this order.
    pub certificate: PathBuf,
    /// PEM file with the certificate's private key (PKCS#8, PKCS#1 or SEC1).
    pub key: PathBuf,
    /// Longest time for a handshake, seconds.
    #[serde(default = "ten")]
    pub handshake_timeout_seconds: u64,
    /// How often the files are looked at, seconds; what changed is used for new connections.
    #[serde(default = "ten")]
    pub reload_seconds: u64,
}

fn ten() -> u64 {
    10
}

impl TlsConfig {
    /// Checks what serde cannot; the error is a sentence that says what to change.
    pub(crate) fn validate(&self) -> Result<(), String> {
        match (self.handshake_timeout_seconds, self.reload_seconds) {
            (0, _) => Err("tls.handshake_timeout_seconds must be at least 1".to_owned()),
            (_, 0) => Err("tls.reload_seconds must be at least 1".to_owned()),
            _ => Ok(()),
        }
    }
}

/// The certificate or its key cannot be used. The key's content is in no message.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read, or holds no PEM of the kind.
    #[error("cannot read {what} from {}", path.display())]
    Read {
        /// The certificate or the key.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: rustls::pki_types::pem::Error,
    },
    /// The certificate and the key do not go together, or are of a kind that is not supported.
    #[error("certificate and key cannot be used")]
    Use(#[source] rustls::Error),
}

/// The certificate in use. Clones share it; the last one that goes stops the reloading.
#[derive(Clone)]
pub(crate) struct Certificates {
    shared: Arc<Shared>,
    _reloading: Arc<Reloading>,
}

struct Shared {
    config: TlsConfig,
    current: RwLock<Arc<rustls::ServerConfig>>,
}

struct Reloading(AbortHandle);

impl Drop for Reloading {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Certificates {
    /// Reads the files and begins to look for changes. Must be called on a runtime.
    pub(crate) fn open(config: TlsConfig) -> Result<Self, TlsError> {
        let seen = stamp(&config);
        let current = RwLock::new(load(&config)?);
        let shared = Arc::new(Shared { config, current });
        let task = tokio::spawn(reload(Arc::clone(&shared), seen));
        Ok(Self { shared, _reloading: Arc::new(Reloading(task.abort_handle())) })
    }

    /// The handshake, within its time.
    pub(crate) async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let current = Arc::clone(&*self.shared.current.read().unwrap_or_else(PoisonError::into_inner));
        let limit = Duration::from_secs(self.shared.config.handshake_timeout_seconds);
        match tokio::time::timeout(limit, TlsAcceptor::from(current).accept(stream)).await {
            Ok(accepted) => accepted,
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        }
    }
}

/// What tells that a file is another one: when it was written, and its length.
type Stamp = [Option<(SystemTime, u64)>; 2];

fn stamp(config: &TlsConfig) -> Stamp {
    let of = |path: &Path| {
        let file = std::fs::metadata(path).ok()?;
        Some((file.modified().ok()?, file.len()))
    };
    [of(&config.certificate), of(&config.key)]
}

/// Looks for changes for ever. What cannot be used leaves what is in use: a certificate that is written before its key is
/// a pair at the next look.
async fn reload(shared: Arc<Shared>, mut seen: Stamp) {
    let mut interval = tokio::time::interval(Duration::from_secs(shared.config.reload_seconds));
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    interval.tick().await;
    loop {
        interval.tick().await;
        let shared = Arc::clone(&shared);
        let looked = tokio::task::spawn_blocking(move || {
            let now = stamp(&shared.config);
            if now != seen {
                renew(&shared);
            }
            now
        });
        match looked.await {
            Ok(now) => seen = now,
            Err(_) => return,
        }
    }
}

fn renew(shared: &Shared) {
    match load(&shared.config) {
        Ok(loaded) => {
            *shared.current.write().unwrap_or_else(PoisonError::into_inner) = loaded;
            tracing::info!("the TLS certificate was read again");
        }
        Err(error) => {
            let error = crate::problem::chain(&error);
            tracing::error!(error, "the TLS certificate changed and cannot be used; the one before stays in use");
        }
    }
}

fn load(config: &TlsConfig) -> Result<Arc<rustls::ServerConfig>, TlsError> {
    let unreadable = |what, path: &Path| {
        let path = path.to_owned();
        move |source| TlsError::Read { what, path, source }
    };
    let chain = CertificateDer::pem_file_iter(&config.certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(unreadable("the certificate", &config.certificate))?;
    let key = PrivateKeyDer::from_pem_file(&config.key).map_err(unreadable("the key", &config.key))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Use)?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(TlsError::Use)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

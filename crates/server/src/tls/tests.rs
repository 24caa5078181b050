//! A real handshake with certificates that openssl makes for the test.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;

use super::{Certificates, TlsConfig};

/// A folder that goes with the test.
struct Folder(std::path::PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("rejoinder-tls-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn config(&self) -> TlsConfig {
        TlsConfig {
            certificate: self.0.join("cert.pem"),
            key: self.0.join("key.pem"),
            handshake_timeout_seconds: 1,
            reload_seconds: 1,
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left is in the system's temporary folder.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn make_certificate(config: &TlsConfig) {
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"])
        .args(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE", "-keyout"])
        .arg(&config.key)
        .arg("-out")
        .arg(&config.certificate)
        .output()
        .expect("openssl is on this machine");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

fn trusting(certificate: &Path) -> TlsConnector {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(certificate).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    TlsConnector::from(Arc::new(config))
}

/// Whether a client that trusts `connector`'s certificate alone gets through.
async fn greets(listener: &TcpListener, certificates: &Certificates, connector: &TlsConnector) -> bool {
    let server = async {
        let (stream, _) = listener.accept().await.unwrap();
        if let Ok(mut stream) = certificates.accept(stream).await {
            let _ = stream.write_all(b"hello").await;
            let _ = stream.shutdown().await;
        }
    };
    let client = async {
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let Ok(mut stream) = connector.connect(name, stream).await else { return false };
        let mut text = String::new();
        stream.read_to_string(&mut text).await.is_ok() && text == "hello"
    };
    tokio::join!(server, client).1
}

#[tokio::test]
async fn a_changed_certificate_is_taken_and_a_broken_one_is_not() {
    let folder = Folder::new("reload");
    let config = folder.config();
    make_certificate(&config);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let certificates = Certificates::open(config.clone()).unwrap();
    let first = trusting(&config.certificate);
    assert!(greets(&listener, &certificates, &first).await);

    std::fs::write(&config.certificate, "not a certificate").unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(1500)).await;
    assert!(greets(&listener, &certificates, &first).await);

    make_certificate(&config);
    let second = trusting(&config.certificate);
    while !greets(&listener, &certificates, &second).await {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    assert!(!greets(&listener, &certificates, &first).await);
}

#[tokio::test]
async fn who_does_not_shake_hands_is_let_go() {
    let folder = Folder::new("silent");
    let config = folder.config();
    make_certificate(&config);
    let certificates = Certificates::open(config).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let _silent = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (stream, _) = listener.accept().await.unwrap();
    let ended = certificates.accept(stream).await.map(drop).unwrap_err();
    assert_eq!(ended.kind(), std::io::ErrorKind::TimedOut);
}

#[tokio::test]
async fn files_that_cannot_be_used_stop_the_start_and_are_named() {
    let folder = Folder::new("bad");
    let config = folder.config();
    let told = |config: &TlsConfig| Certificates::open(config.clone()).map(drop).unwrap_err().to_string();
    assert!(told(&config).contains("cert.pem"));
    make_certificate(&config);
    std::fs::write(&config.key, "no key").unwrap();
    assert!(told(&config).contains("key.pem"));
    make_certificate(&config);
    let other = Folder::new("other");
    let mixed = TlsConfig { key: other.config().key, ..config };
    make_certificate(&other.config());
    assert!(told(&mixed).contains("certificate and key"));
}

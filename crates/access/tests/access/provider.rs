//! An identity provider: keys, tokens, and a JWKS endpoint that can fail in all the usual ways.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair, RsaPublicKeyComponents,
};
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::crypto::{CryptoProvider, KeyUtils};
use rejoinder_access::{AuthConfig, AuthError, Authenticator, IssuerConfig, KeyStore, Principal};
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::hand_clock::{HandClock, START};

pub(crate) const ISSUER: &str = "https://id.example/";

pub(crate) fn base64url(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A key that signs, and what is published of it.
pub(crate) enum SigningKey {
    Rsa(Box<RsaKeyPair>),
    P256(EcdsaKeyPair),
}

impl SigningKey {
    /// Two RSA keys, made once for all tests because that takes a while.
    pub(crate) fn rsa(number: usize) -> &'static Self {
        static KEYS: [OnceLock<SigningKey>; 2] = [OnceLock::new(), OnceLock::new()];
        KEYS[number].get_or_init(|| Self::Rsa(Box::new(RsaKeyPair::generate(KeySize::Rsa2048).unwrap())))
    }

    pub(crate) fn p256() -> Self {
        Self::P256(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap())
    }

    pub(crate) fn algorithm(&self) -> &'static str {
        match self {
            Self::Rsa(_) => "RS256",
            Self::P256(_) => "ES256",
        }
    }

    pub(crate) fn public(&self) -> Value {
        match self {
            Self::Rsa(pair) => {
                let public = RsaPublicKeyComponents::<Vec<u8>>::from(pair.public_key());
                json!({"kty": "RSA", "n": base64url(public.n), "e": base64url(public.e)})
            }
            Self::P256(pair) => {
                let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
                json!({"kty": "EC", "crv": "P-256", "x": base64url(x), "y": base64url(y)})
            }
        }
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Self::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).unwrap();
                signature
            }
            Self::P256(pair) => pair.sign(&random, message).unwrap().as_ref().to_vec(),
        }
    }

    /// A token with the usual header.
    pub(crate) fn token(&self, id: &str, claims: &Value) -> String {
        self.token_with(&json!({"alg": self.algorithm(), "kid": id, "typ": "JWT"}), claims)
    }

    /// A token with any header, signed with this key whatever the header says.
    pub(crate) fn token_with(&self, header: &Value, claims: &Value) -> String {
        let message = format!("{}.{}", base64url(header.to_string()), base64url(claims.to_string()));
        let signature = base64url(self.sign(message.as_bytes()));
        format!("{message}.{signature}")
    }
}

/// A JWK Set of keys with ids.
pub(crate) fn key_set(keys: &[(&str, &SigningKey)]) -> Value {
    let keys: Vec<Value> = keys
        .iter()
        .map(|(id, key)| {
            let mut jwk = key.public();
            jwk["kid"] = json!(id);
            jwk["use"] = json!("sig");
            jwk
        })
        .collect();
    json!({ "keys": keys })
}

/// Claims of a token that is good for ten minutes from the start of the hand clock.
pub(crate) fn claims() -> Value {
    json!({
        "iss": ISSUER, "aud": "rejoinder", "sub": "user-7", "exp": START + 600, "iat": START,
        "tenant": "acme", "roles": ["agent"],
    })
}

pub(crate) fn with(mut claims: Value, name: &str, value: Value) -> Value {
    claims[name] = value;
    claims
}

pub(crate) fn without(mut claims: Value, name: &str) -> Value {
    claims.as_object_mut().unwrap().remove(name);
    claims
}

/// What the endpoint answers.
#[derive(Clone)]
pub(crate) enum Answer {
    Keys(Value),
    Status(u16),
    Redirect(&'static str),
    Text(String),
    /// Waits until it is told to go on, then answers with the keys.
    Gate(Arc<Notify>, Value),
}

/// The endpoint.
#[derive(Clone)]
pub(crate) struct Provider {
    pub(crate) url: String,
    inner: Arc<Inner>,
}

struct Inner {
    answer: Mutex<Answer>,
    asked: AtomicUsize,
    asked_elsewhere: AtomicUsize,
}

impl Provider {
    pub(crate) async fn start(answer: Answer) -> Self {
        refuse_the_default_cryptography();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/jwks", listener.local_addr().unwrap());
        let inner = Arc::new(Inner {
            answer: Mutex::new(answer),
            asked: AtomicUsize::new(0),
            asked_elsewhere: AtomicUsize::new(0),
        });
        let routes = Router::new().route("/jwks", get(answer_jwks)).fallback(elsewhere).with_state(Arc::clone(&inner));
        tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        Self { url, inner }
    }

    pub(crate) fn answer(&self, answer: Answer) {
        *self.inner.answer.lock().unwrap() = answer;
    }

    /// How often the keys were asked for.
    pub(crate) fn asked(&self) -> usize {
        self.inner.asked.load(Ordering::SeqCst)
    }

    /// How often anything else was.
    pub(crate) fn asked_elsewhere(&self) -> usize {
        self.inner.asked_elsewhere.load(Ordering::SeqCst)
    }

    pub(crate) fn config(&self) -> IssuerConfig {
        IssuerConfig::new(ISSUER, "rejoinder", &self.url)
    }
}

async fn answer_jwks(State(inner): State<Arc<Inner>>) -> Response {
    inner.asked.fetch_add(1, Ordering::SeqCst);
    let answer = inner.answer.lock().unwrap().clone();
    match answer {
        Answer::Keys(keys) => keys.to_string().into_response(),
        Answer::Status(status) => StatusCode::from_u16(status).unwrap().into_response(),
        Answer::Redirect(place) => Redirect::temporary(place).into_response(),
        Answer::Text(text) => text.into_response(),
        Answer::Gate(gate, keys) => {
            gate.notified().await;
            keys.to_string().into_response()
        }
    }
}

async fn elsewhere(State(inner): State<Arc<Inner>>) -> Response {
    inner.asked_elsewhere.fetch_add(1, Ordering::SeqCst);
    key_set(&[("r", SigningKey::rsa(0))]).to_string().into_response()
}

/// Other crates of a program may choose jsonwebtoken's process-wide cryptography, or compile in two, which makes it panic.
/// Nothing of ours may depend on it: here every use of it panics.
fn refuse_the_default_cryptography() {
    static PANICS: CryptoProvider = CryptoProvider {
        signer_factory: |_, _| panic!("the default cryptography was used"),
        verifier_factory: |_, _| panic!("the default cryptography was used"),
        key_utils: KeyUtils::new_unimplemented(),
    };
    let _ = PANICS.install_default();
}

/// A server's authenticator with its clock.
pub(crate) struct World {
    pub(crate) authenticator: Arc<Authenticator>,
    pub(crate) clock: Arc<HandClock>,
    _folder: tempfile::TempDir,
}

impl World {
    pub(crate) fn new(issuers: Vec<IssuerConfig>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let keys = Arc::new(KeyStore::open(folder.path().join("keys.sqlite")).unwrap());
        let clock = Arc::new(HandClock::new());
        let config = AuthConfig { issuers };
        let authenticator = Arc::new(Authenticator::with_clock(keys, &config, clock.clone()).unwrap());
        Self { authenticator, clock, _folder: folder }
    }

    pub(crate) async fn ask(&self, token: &str) -> Result<Principal, AuthError> {
        self.authenticator.authenticate(Some(&format!("Bearer {token}"))).await
    }
}

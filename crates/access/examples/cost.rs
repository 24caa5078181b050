//! What a request pays at the doors: `cargo run -p rejoinder-access --example cost`.
//!
//! Prints the mean over some thousand calls, one after the other, on a store with a thousand keys, and what a thousand more
//! keys cost the first request after each of them.

use std::error::Error;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair, RsaPublicKeyComponents,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use rejoinder_access::{
    AuthConfig, Authenticator, Fair, FairOptions, IssuerConfig, KeyStore, LimitsConfig, NewKey, Quantity, RateLimiter,
    Role, Roles, SystemClock,
};
use rejoinder_domain::TenantId;
use serde_json::json;

type Outcome<T> = Result<T, Box<dyn Error>>;

const CALLS: u32 = 5000;
const KEYS: usize = 1000;

#[tokio::main]
async fn main() -> Outcome<()> {
    let folder = tempfile::tempdir()?;
    let keys = Arc::new(KeyStore::open(folder.path().join("keys.sqlite"))?);
    let tenant = TenantId::new("acme")?;
    let new_key =
        || NewKey { tenant: tenant.clone(), name: "cost".into(), roles: Roles::from(Role::Agent), expires_at: None };

    let began = Instant::now();
    let mut secret = keys.create(new_key())?.1;
    for _ in 1..KEYS {
        secret = keys.create(new_key())?.1;
    }
    show("create a key (on the disk)", began.elapsed(), KEYS as u32);

    let (jwks, tokens) = issuer()?;
    let file = folder.path().join("jwks.json");
    std::fs::write(&file, jwks)?;
    let mut issuer = IssuerConfig::new("https://id.example", "rejoinder", "");
    issuer.jwks_url = None;
    issuer.jwks_file = Some(file);
    let door = Authenticator::new(Arc::clone(&keys), &AuthConfig { issuers: vec![issuer] })?;
    time(&door, "authenticate: key", secret.expose()).await?;
    for (name, token) in &tokens {
        time(&door, name, token).await?;
    }

    // Another program's change is noticed by the next request, which reads all keys again.
    let other = KeyStore::open(keys.path())?;
    let mut took = Duration::ZERO;
    for _ in 0..20 {
        other.create(new_key())?;
        let began = Instant::now();
        keys.authenticate(secret.expose(), Timestamp::now())?;
        took += began.elapsed();
    }
    show("authenticate: key, first after a change", took, 20);

    let limits: Arc<LimitsConfig> = Arc::new(serde_json::from_str(r#"{"default": {"requests_per_minute": 1000000}}"#)?);
    let rates = RateLimiter::new(Arc::clone(&limits), Arc::new(SystemClock));
    let began = Instant::now();
    for _ in 0..CALLS {
        rates.take(&tenant, Quantity::Requests, 1)?;
    }
    show("take from a rate limit", began.elapsed(), CALLS);

    let places = NonZeroUsize::MIN;
    let fair = Fair::new(FairOptions { places, longest_wait: Duration::from_secs(30), limits });
    let began = Instant::now();
    for _ in 0..CALLS {
        drop(fair.enter(&tenant).await?);
    }
    show("enter and leave, nobody waiting", began.elapsed(), CALLS);
    Ok(())
}

async fn time(door: &Authenticator, name: &str, credential: &str) -> Outcome<()> {
    let header = format!("Bearer {credential}");
    door.authenticate(Some(&header)).await?;
    let began = Instant::now();
    for _ in 0..CALLS {
        door.authenticate(Some(&header)).await?;
    }
    show(name, began.elapsed(), CALLS);
    Ok(())
}

fn show(name: &str, took: Duration, calls: u32) {
    println!("{name:42} {:9.2} µs", took.as_secs_f64() * 1e6 / f64::from(calls));
}

/// A key set and a token for each of its keys.
fn issuer() -> Outcome<(String, Vec<(&'static str, String)>)> {
    let random = SystemRandom::new();
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let rsa = RsaKeyPair::generate(KeySize::Rsa2048)?;
    let p256 = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)?;
    let public = RsaPublicKeyComponents::<Vec<u8>>::from(rsa.public_key());
    let (x, y) = p256.public_key().as_ref().get(1..).ok_or("no point")?.split_at(32);
    let jwks = json!({"keys": [
        {"kty": "RSA", "kid": "r", "n": encode(&public.n), "e": encode(&public.e)},
        {"kty": "EC", "kid": "e", "crv": "P-256", "x": encode(x), "y": encode(y)},
    ]});
    let claims = json!({"iss": "https://id.example", "aud": "rejoinder", "sub": "user-7", "tenant": "acme",
        "roles": ["agent"], "exp": Timestamp::now().as_second() + 600});
    let message = |algorithm: &str, id: &str| {
        let header = json!({"alg": algorithm, "kid": id, "typ": "JWT"});
        format!("{}.{}", encode(header.to_string().as_bytes()), encode(claims.to_string().as_bytes()))
    };
    let (rs256, es256) = (message("RS256", "r"), message("ES256", "e"));
    let mut signature = vec![0; rsa.public_modulus_len()];
    rsa.sign(&RSA_PKCS1_SHA256, &random, rs256.as_bytes(), &mut signature)?;
    let es256_signature = p256.sign(&random, es256.as_bytes())?;
    Ok((
        jwks.to_string(),
        vec![
            ("authenticate: token, RS256 (2048 bits)", format!("{rs256}.{}", encode(&signature))),
            ("authenticate: token, ES256", format!("{es256}.{}", encode(es256_signature.as_ref()))),
        ],
    ))
}

//! Tokens that somebody made to get in.

use aws_lc_rs::hmac;
use aws_lc_rs::signature::RSA_PKCS1_SHA512;
use rejoinder_access::AuthError;
use serde_json::{Value, json};

use crate::provider::{Answer, Provider, SigningKey, World, base64url, claims, key_set, with};

struct Scene {
    provider: Provider,
    world: World,
    p256: SigningKey,
}

/// A server that knows the keys `r` (RSA) and `e` (P-256), and has fetched them.
async fn scene() -> Scene {
    let p256 = SigningKey::p256();
    let provider = Provider::start(Answer::Keys(key_set(&[("r", SigningKey::rsa(0)), ("e", &p256)]))).await;
    let world = World::new(vec![provider.config()]);
    assert!(world.ask(&SigningKey::rsa(0).token("r", &claims())).await.is_ok());
    Scene { provider, world, p256 }
}

fn message(header: &Value) -> String {
    format!("{}.{}", base64url(header.to_string()), base64url(claims().to_string()))
}

#[tokio::test]
async fn no_other_algorithm_is_taken_whatever_it_is_signed_with() {
    let Scene { world, p256, .. } = scene().await;
    let algorithms = [
        "none",
        "None",
        "nOnE",
        "NONE",
        "",
        "HS256",
        "HS384",
        "HS512",
        "RS384",
        "RS512",
        "PS256",
        "ES384",
        "ES512",
        "ES256K",
        "EdDSA",
        "rs256",
        "RS256 ",
        "RS256\u{0}",
    ];
    for algorithm in algorithms {
        for id in ["r", "e"] {
            let message = message(&json!({"alg": algorithm, "kid": id}));
            let signatures = [
                String::new(),
                base64url([0; 64]),
                base64url(SigningKey::rsa(0).sign(message.as_bytes())),
                base64url(p256.sign(message.as_bytes())),
            ];
            for signature in signatures {
                let answer = world.ask(&format!("{message}.{signature}")).await;
                assert_eq!(answer, Err(AuthError::Invalid("algorithm")), "{algorithm:?}");
            }
        }
    }
}

/// The public key as the secret of an HMAC, in all the forms that a library might take it in.
#[tokio::test]
async fn a_public_key_is_no_secret() {
    let Scene { world, p256, .. } = scene().await;
    let rsa = SigningKey::rsa(0).public();
    let secrets = [
        rsa.to_string(),
        rsa["n"].as_str().unwrap().to_owned(),
        p256.public().to_string(),
        p256.public()["x"].as_str().unwrap().to_owned(),
        String::new(),
    ];
    for secret in secrets {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        for (algorithm, id) in [("HS256", "r"), ("HS256", "e"), ("RS256", "r"), ("ES256", "e")] {
            let message = message(&json!({"alg": algorithm, "kid": id}));
            let token = format!("{message}.{}", base64url(hmac::sign(&key, message.as_bytes())));
            assert!(matches!(world.ask(&token).await, Err(AuthError::Invalid("algorithm" | "signature"))));
        }
    }
}

#[tokio::test]
async fn a_key_is_for_its_own_algorithm() {
    let Scene { provider, world, p256 } = scene().await;
    let mismatched = [("RS256", "e"), ("ES256", "r")];
    for (algorithm, id) in mismatched {
        let header = json!({"alg": algorithm, "kid": id});
        for key in [SigningKey::rsa(0), &p256] {
            let token = key.token_with(&header, &claims());
            assert_eq!(world.ask(&token).await, Err(AuthError::Invalid("no such signing key")));
        }
    }
    // RS256 by name, with the padding or the hash of another algorithm.
    let SigningKey::Rsa(pair) = SigningKey::rsa(0) else { unreachable!() };
    let message = message(&json!({"alg": "RS256", "kid": "r"}));
    let mut signature = vec![0; pair.public_modulus_len()];
    let random = aws_lc_rs::rand::SystemRandom::new();
    pair.sign(&RSA_PKCS1_SHA512, &random, message.as_bytes(), &mut signature).unwrap();
    let token = format!("{message}.{}", base64url(signature));
    assert_eq!(world.ask(&token).await, Err(AuthError::Invalid("signature")));
    assert_eq!(provider.asked(), 1);
}

#[tokio::test]
async fn keys_that_come_with_the_token_are_not_looked_at() {
    let Scene { provider, world, .. } = scene().await;
    let own = SigningKey::rsa(1);
    let elsewhere = provider.url.replace("jwks", "elsewhere");
    let embedded = [
        json!({"alg": "RS256", "kid": "r", "jwk": own.public()}),
        json!({"alg": "RS256", "jwk": own.public()}),
        json!({"alg": "RS256", "kid": "r", "jku": elsewhere}),
        json!({"alg": "RS256", "kid": "r", "x5u": elsewhere}),
        json!({"alg": "RS256", "kid": elsewhere}),
        json!({"alg": "RS256", "kid": "../../../dev/null"}),
        json!({"alg": "RS256", "kid": "r' OR 1=1 --"}),
        json!({"alg": "RS256", "kid": ""}),
    ];
    for header in embedded {
        let answer = world.ask(&own.token_with(&header, &claims())).await;
        assert!(matches!(answer, Err(AuthError::Invalid("signature" | "no such signing key"))), "{header}: {answer:?}");
    }
    assert_eq!(provider.asked_elsewhere(), 0);
}

/// r = s = 0 was once accepted by a well-known verifier for every message (CVE-2022-21449); r and s may also not be in DER.
#[tokio::test]
async fn signatures_that_are_none_are_refused() {
    let Scene { world, p256, .. } = scene().await;
    let header = json!({"alg": "ES256", "kid": "e"});
    let message = message(&header);
    let good = p256.sign(message.as_bytes());
    assert!(world.ask(&format!("{message}.{}", base64url(&good))).await.is_ok());
    let mut der = vec![0x30, 0x44, 0x02, 0x20];
    der.extend_from_slice(&good[..32]);
    der.extend_from_slice(&[0x02, 0x20]);
    der.extend_from_slice(&good[32..]);
    let half_order = [&good[..32], &[0xff; 32][..]].concat();
    let bad = [
        vec![],
        vec![0; 64],
        vec![0; 1],
        vec![0xff; 64],
        good[..63].to_vec(),
        [&good[..], &[0]].concat(),
        der,
        half_order,
    ];
    for signature in bad {
        let answer = world.ask(&format!("{message}.{}", base64url(&signature))).await;
        assert_eq!(answer, Err(AuthError::Invalid("signature")), "{signature:?}");
    }
}

#[tokio::test]
async fn headers_that_mean_something_else_are_refused() {
    let Scene { world, .. } = scene().await;
    let key = SigningKey::rsa(0);
    let critical = json!({"alg": "RS256", "kid": "r", "crit": ["b64"], "b64": false});
    assert_eq!(world.ask(&key.token_with(&critical, &claims())).await, Err(AuthError::Invalid("a critical header")));
    // Readers differ in which of two they take.
    let texts = [
        r#"{"alg":"none","alg":"RS256","kid":"r"}"#,
        r#"{"alg":"RS256","kid":"r","kid":"e"}"#,
        r#"{"kid":"r"}"#,
        r#"{"alg":["RS256"],"kid":"r"}"#,
        r#"{"alg":"RS256","kid":7}"#,
        r#"["RS256"]"#,
        "null",
        "",
    ];
    for text in texts {
        let message = format!("{}.{}", base64url(text), base64url(claims().to_string()));
        let token = format!("{message}.{}", base64url(key.sign(message.as_bytes())));
        assert!(matches!(world.ask(&token).await, Err(AuthError::Malformed(_))), "{text}");
    }
}

#[tokio::test]
async fn long_and_deep_tokens_are_refused_before_anything_is_done() {
    let Scene { provider, world, .. } = scene().await;
    let key = SigningKey::rsa(0);
    let of_length = |padding: usize| key.token("r", &with(claims(), "padding", json!("x".repeat(padding))));
    let base = of_length(0).len();
    let fitting = of_length((8192 - base) / 4 * 3 - 8);
    assert!(fitting.len() <= 8192 && world.ask(&fitting).await.is_ok(), "{}", fitting.len());
    let long = of_length(8192);
    assert_eq!(world.ask(&long).await, Err(AuthError::Malformed("a token of more than 8 KiB")));
    let deep = format!("{}{}", r#"{"a":"#.repeat(300), "}".repeat(300));
    let message = format!("{}.{}", base64url(r#"{"alg":"RS256","kid":"r"}"#), base64url(deep));
    let token = format!("{message}.{}", base64url(key.sign(message.as_bytes())));
    assert_eq!(world.ask(&token).await, Err(AuthError::Malformed("no claims of a token")));
    assert_eq!(provider.asked(), 1);
}

/// Every single character of a good token changed, removed and doubled, and a few thousand random texts: none is let in.
#[tokio::test]
async fn nothing_but_the_token_itself_is_let_in() {
    let Scene { world, p256, .. } = scene().await;
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = move || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=+/ ~";
    for token in [SigningKey::rsa(0).token("r", &claims()), p256.token("e", &claims())] {
        assert!(world.ask(&token).await.is_ok());
        for place in 0..token.len() {
            let mut bytes = token.clone().into_bytes();
            let other = alphabet[next() as usize % alphabet.len()];
            bytes[place] = if other == bytes[place] { b'!' } else { other };
            refused(&world, &bytes).await;
            let mut bytes = token.clone().into_bytes();
            bytes.remove(place);
            refused(&world, &bytes).await;
            bytes.insert(place, token.as_bytes()[place]);
            bytes.insert(place, token.as_bytes()[place]);
            refused(&world, &bytes).await;
        }
    }
    for _ in 0..5000 {
        let length = next() as usize % 120;
        let bytes: Vec<u8> = (0..length).map(|_| alphabet[next() as usize % alphabet.len()]).collect();
        refused(&world, &bytes).await;
        refused(&world, &[b"eyJhbGciOiJSUzI1NiJ9.", &bytes[..], b".AAAA"].concat()).await;
        refused(&world, &[b"rj_", &bytes[..]].concat()).await;
    }
}

async fn refused(world: &World, token: &[u8]) {
    let token = std::str::from_utf8(token).unwrap();
    // White space around the credential is not part of it.
    let trimmed = token.trim();
    let answer = world.ask(trimmed).await;
    assert!(matches!(answer, Err(AuthError::Malformed(_) | AuthError::Invalid(_))), "{token}: {answer:?}");
}

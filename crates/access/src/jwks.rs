//! The public keys of an issuer: a JWK Set (RFC 7517, with the parameters of RFC 7518, section 6).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::Value;

/// The longest document, bytes.
pub(crate) const LONGEST_DOCUMENT: usize = 1 << 20;
/// Keys of a document that are looked at. Providers have two or three.
const MOST_KEYS: usize = 128;

/// The keys that we can use.
pub(crate) struct KeySet {
    keys: Vec<Key>,
}

struct Key {
    id: Option<String>,
    /// What the key is for, and all that it is for.
    algorithm: Algorithm,
    public: DecodingKey,
}

#[derive(Deserialize)]
struct Document {
    keys: Vec<Value>,
}

/// Members that we read; a set may hold others, and keys of kinds that we do not know.
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    key_ops: Option<Vec<String>>,
    alg: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl KeySet {
    /// Reads a document. Keys that are not for checking signatures by RS256 or ES256 are passed over, as RFC 7517, section 5,
    /// has it; a document without any that is, is an error.
    pub(crate) fn parse(document: &[u8]) -> Result<Self, &'static str> {
        if document.len() > LONGEST_DOCUMENT {
            return Err("the key set is longer than 1 MiB");
        }
        let document: Document = serde_json::from_slice(document).map_err(|_| "what came is no JWK Set")?;
        let keys: Vec<Key> = document
            .keys
            .into_iter()
            .take(MOST_KEYS)
            .filter_map(|jwk| Key::read(&serde_json::from_value(jwk).ok()?))
            .collect();
        if keys.is_empty() { Err("the key set has no key for RS256 or ES256") } else { Ok(Self { keys }) }
    }

    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there is a key that could have made such a token.
    pub(crate) fn has(&self, id: Option<&str>, algorithm: Algorithm) -> bool {
        self.fitting(id, algorithm).next().is_some()
    }

    /// Whether one of the fitting keys made `signature`. A token that names no key fits only where there is no choice.
    pub(crate) fn verifies(&self, id: Option<&str>, algorithm: Algorithm, signed: &[u8], signature: &Vec<u8>) -> bool {
        if id.is_none() && self.fitting(id, algorithm).count() > 1 {
            return false;
        }
        self.fitting(id, algorithm).any(|key| key.verifies(signed, signature))
    }

    /// Keys of two kinds may share an id (RFC 7517, section 4.5), so the algorithm is part of the question.
    fn fitting<'a>(&'a self, id: Option<&'a str>, algorithm: Algorithm) -> impl Iterator<Item = &'a Key> {
        self.keys.iter().filter(move |key| key.algorithm == algorithm && (id.is_none() || key.id.as_deref() == id))
    }
}

impl Key {
    fn read(jwk: &Jwk) -> Option<Self> {
        let is_for_signatures = jwk.usage.as_deref().is_none_or(|usage| usage == "sig")
            && jwk.key_ops.as_ref().is_none_or(|operations| operations.iter().any(|name| name == "verify"));
        if !is_for_signatures {
            return None;
        }
        let (algorithm, name, public) = match jwk.kty.as_str() {
            "RSA" => (Algorithm::RS256, "RS256", rsa(jwk)?),
            "EC" => (Algorithm::ES256, "ES256", p256(jwk)?),
            _ => return None,
        };
        let is_for_algorithm = jwk.alg.as_deref().is_none_or(|alg| alg == name);
        is_for_algorithm.then(|| Self { id: jwk.kid.clone(), algorithm, public })
    }

    fn verifies(&self, signed: &[u8], signature: &Vec<u8>) -> bool {
        (DEFAULT_PROVIDER.verifier_factory)(&self.algorithm, &self.public)
            .is_ok_and(|verifier| verifier.verify(signed, signature).is_ok())
    }
}

/// 2048 to 8192 bits (RFC 7518, section 3.3, asks for the former).
fn rsa(jwk: &Jwk) -> Option<DecodingKey> {
    let number = |text: &Option<String>| -> Option<Vec<u8>> {
        let bytes = URL_SAFE_NO_PAD.decode(text.as_deref()?).ok()?;
        // A leading zero is not allowed, and some providers write one.
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        Some(bytes.into_iter().skip(zeros).collect())
    };
    let (modulus, exponent) = (number(&jwk.n)?, number(&jwk.e)?);
    let sane = (256..=1024).contains(&modulus.len()) && (1..=8).contains(&exponent.len());
    sane.then(|| DecodingKey::from_rsa_raw_components(&modulus, &exponent))
}

/// A point of P-256, each coordinate in 32 bytes (RFC 7518, section 6.2.1).
fn p256(jwk: &Jwk) -> Option<DecodingKey> {
    let (x, y) = (jwk.x.as_deref()?, jwk.y.as_deref()?);
    let is_coordinate = |text: &str| URL_SAFE_NO_PAD.decode(text).is_ok_and(|bytes| bytes.len() == 32);
    if jwk.crv.as_deref() != Some("P-256") || !is_coordinate(x) || !is_coordinate(y) {
        return None;
    }
    DecodingKey::from_ec_components(x, y).ok()
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use jsonwebtoken::Algorithm;
    use serde_json::json;

    use super::{KeySet, LONGEST_DOCUMENT};

    fn number(length: usize) -> String {
        URL_SAFE_NO_PAD.encode(vec![0xab; length])
    }

    fn count(keys: &serde_json::Value) -> usize {
        KeySet::parse(json!({ "keys": keys }).to_string().as_bytes()).map_or(0, |set| set.len())
    }

    #[test]
    fn only_keys_for_our_two_algorithms_are_taken() {
        let rsa = json!({"kty": "RSA", "kid": "r", "n": number(256), "e": "AQAB"});
        let ec = json!({"kty": "EC", "kid": "e", "crv": "P-256", "x": number(32), "y": number(32)});
        assert_eq!(count(&json!([rsa, ec])), 2);
        let with = |key: &serde_json::Value, name: &str, value: serde_json::Value| {
            let mut key = key.clone();
            key[name] = value;
            json!([key])
        };
        assert_eq!(count(&with(&rsa, "use", json!("sig"))), 1);
        assert_eq!(count(&with(&rsa, "alg", json!("RS256"))), 1);
        assert_eq!(count(&with(&rsa, "key_ops", json!(["verify"]))), 1);
        assert_eq!(count(&with(&rsa, "x5c", json!(["whatever"]))), 1, "members that are not known are passed over");
        assert_eq!(count(&with(&rsa, "n", json!(format!("AAAA{}", number(256))))), 1, "leading zeros");
        let refused = [
            (&rsa, "use", json!("enc")),
            (&rsa, "key_ops", json!(["sign"])),
            (&rsa, "alg", json!("PS256")),
            (&rsa, "alg", json!("HS256")),
            (&rsa, "kty", json!("oct")),
            (&rsa, "n", json!(number(128))),
            (&rsa, "n", json!(number(1025))),
            (&rsa, "n", json!("not base64!")),
            (&rsa, "e", json!("")),
            (&rsa, "kid", json!(7)),
            (&ec, "crv", json!("P-384")),
            (&ec, "crv", json!("secp256k1")),
            (&ec, "x", json!(number(31))),
            (&ec, "alg", json!("RS256")),
        ];
        for (key, name, value) in refused {
            assert_eq!(count(&with(key, name, value.clone())), 0, "{name}: {value}");
        }
    }

    #[test]
    fn a_document_that_is_none_is_an_error() {
        for bad in ["", "[]", "{}", r#"{"keys": {}}"#, r#"{"keys": []}"#, r#"{"keys": [1, null, {}]}"#, "<html>"] {
            assert!(KeySet::parse(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(KeySet::parse("[".repeat(100_000).as_bytes()).is_err(), "too deep");
        let key = json!({"kty": "RSA", "n": number(256), "e": "AQAB"}).to_string();
        let long = format!(r#"{{"keys": [{key}], "more": "{}"}}"#, "x".repeat(LONGEST_DOCUMENT));
        assert!(KeySet::parse(long.as_bytes()).is_err());
    }

    #[test]
    fn a_key_is_found_by_id_and_algorithm() {
        let keys = json!({"keys": [
            {"kty": "RSA", "kid": "a", "n": number(256), "e": "AQAB"},
            {"kty": "EC", "kid": "a", "crv": "P-256", "x": number(32), "y": number(32)},
            {"kty": "RSA", "n": number(256), "e": "AQAB"},
        ]});
        let set = KeySet::parse(keys.to_string().as_bytes()).unwrap();
        assert!(set.has(Some("a"), Algorithm::RS256) && set.has(Some("a"), Algorithm::ES256));
        assert!(!set.has(Some("b"), Algorithm::RS256) && !set.has(Some(""), Algorithm::RS256));
        assert!(set.has(None, Algorithm::ES256));
        assert!(!set.has(Some("a"), Algorithm::HS256) && !set.has(None, Algorithm::PS256));
    }
}

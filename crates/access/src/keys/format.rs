//! How a key is written: `rj_`, 8 characters that name it, `_`, 43 that prove it.

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use crate::KeyError;

/// What every key begins with, so that scanners for leaked secrets can know it.
pub(crate) const PREFIX: &str = "rj_";
/// Characters of an id.
const ID_LENGTH: usize = 8;
/// Characters of 32 bytes in base64url without padding (RFC 4648, section 5).
const SECRET_LENGTH: usize = 43;
/// What ids are made of: 32 characters, none of them easily taken for another.
const ID_ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

/// The whole key, shown once. It is in no log: `Debug` hides it.
pub struct Secret(String);

impl Secret {
    /// The key as the caller sends it, 55 characters of ASCII.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret([hidden])")
    }
}

/// A new key.
pub(super) struct Fresh {
    pub(super) id: String,
    pub(super) digest: [u8; 32],
    pub(super) secret: Secret,
}

/// Makes a key from the system's random bytes.
pub(super) fn fresh() -> Result<Fresh, KeyError> {
    let random = SystemRandom::new();
    let mut name = [0_u8; ID_LENGTH];
    let mut bytes = [0_u8; 32];
    random.fill(&mut name).map_err(|_| KeyError::NoRandomness)?;
    random.fill(&mut bytes).map_err(|_| KeyError::NoRandomness)?;
    // 32 divides 256, so every character is as likely as another.
    let id: String = name
        .iter()
        .filter_map(|byte| ID_ALPHABET.get(usize::from(*byte) % ID_ALPHABET.len()))
        .map(|byte| char::from(*byte))
        .collect();
    let secret = Secret(format!("{PREFIX}{id}_{}", URL_SAFE_NO_PAD.encode(bytes)));
    Ok(Fresh { id, digest: Sha256::digest(bytes).into(), secret })
}

/// Splits what a caller sent into the id and the SHA-256 of the secret. `None` if it has not the form of a key.
pub(super) fn parse(key: &str) -> Option<(&str, [u8; 32])> {
    let (id, rest) = key.strip_prefix(PREFIX)?.split_at_checked(ID_LENGTH)?;
    let secret = rest.strip_prefix('_').filter(|secret| secret.len() == SECRET_LENGTH)?;
    if !is_id(id) {
        return None;
    }
    let bytes: [u8; 32] = URL_SAFE_NO_PAD.decode(secret).ok()?.try_into().ok()?;
    Some((id, Sha256::digest(bytes).into()))
}

pub(super) fn is_id(id: &str) -> bool {
    id.len() == ID_LENGTH && id.bytes().all(|byte| ID_ALPHABET.contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::{fresh, parse};

    #[test]
    fn a_key_is_read_as_it_was_made_and_nothing_else_is() {
        let made = fresh().unwrap();
        let key = made.secret.expose();
        assert_eq!(key.len(), 3 + 8 + 1 + 43);
        assert_eq!(parse(key), Some((made.id.as_str(), made.digest)));
        assert!(!format!("{:?}", made.secret).contains(&made.id));
        for end in 0..key.len() {
            assert_eq!(parse(&key[..end]), None);
        }
        for bad in [format!("{key}A"), format!("{key} "), key.replace("rj_", "RJ_"), key.to_uppercase(), "ä".repeat(40)]
        {
            assert_eq!(parse(&bad), None, "{bad}");
        }
        // 43 characters hold 258 bits: the two that are too many must be zero, or one key could be written in four ways.
        let (start, last) = key.split_at(key.len() - 1);
        let others = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".chars();
        let same = others
            .filter(|other| !last.starts_with(*other))
            .filter(|other| parse(&format!("{start}{other}")).is_some_and(|(_, digest)| digest == made.digest));
        assert_eq!(same.count(), 0);
    }
}

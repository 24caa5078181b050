//! Terms of a full-text index that do not tell the words.

use std::borrow::Cow;
use std::sync::Arc;

use aws_lc_rs::hmac;

/// Bits of a term that a character of base32 takes.
const BITS: u32 = 5;

/// 128 bits in base32.
const LENGTH: u32 = 128_u32.div_ceil(BITS);

const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// Blinds the terms of one tenant: HMAC-SHA-256 under the tenant's key, the first 128 bits, as 26 characters of `a-z` and
/// `2-7`. Equal terms give equal blind terms and others do not (with 2^32 different terms two meet by a chance of 2^-65), so
/// that term frequencies, document frequencies and lengths, and with them BM25, are the same as over the words. A tokenizer
/// has to leave such a term alone: no stemming, no stop words, no splitting, no limit under 26 characters; all that is done
/// before, to the word.
#[derive(Clone)]
pub struct Blinder {
    /// The state after both paddings of the key, so that a short term costs two runs of SHA-256.
    key: Option<Arc<hmac::Key>>,
}

impl Blinder {
    pub(crate) fn new(key: Arc<hmac::Key>) -> Self {
        Self { key: Some(key) }
    }

    /// Leaves terms as they are.
    pub fn clear() -> Self {
        Self { key: None }
    }

    /// Whether terms are changed.
    pub fn is_blinding(&self) -> bool {
        self.key.is_some()
    }

    /// The blind term of a term.
    pub fn blind<'t>(&self, term: &'t str) -> Cow<'t, str> {
        let Some(key) = &self.key else { return Cow::Borrowed(term) };
        let tag = hmac::sign(key, term.as_bytes());
        let digest = tag.as_ref().first_chunk::<16>().copied().unwrap_or_default();
        let bits = u128::from_be_bytes(digest);
        // The last character has the three bits that are left, followed by zeros.
        let text = (0..LENGTH).map(|at| {
            let end = 128_u32.saturating_sub(BITS * (at + 1));
            let value = if at + 1 == LENGTH { bits << 2 } else { bits >> end };
            char::from(ALPHABET.get((value & 31) as usize).copied().unwrap_or_default())
        });
        Cow::Owned(text.collect())
    }

    /// The blind terms of terms, parted by spaces.
    pub fn blind_all<'t>(&self, terms: impl IntoIterator<Item = &'t str>) -> String {
        let mut text = String::new();
        for term in terms {
            if !text.is_empty() {
                text.push(' ');
            }
            text.push_str(&self.blind(term));
        }
        text
    }
}

//! How a sealed text lies in a column, and how it is told from one that is not sealed.
//!
//! As bytes: a mark of three bytes, the format, 8 bytes of key id, 24 of nonce, the ciphertext, 16 of tag. As text: a mark of
//! three characters, the format, a colon, the key id in 16 hexadecimal digits, and the rest in base64, so that the database can
//! look at the key id of either. A text that is stored plain and happens to begin with the mark gets
//! the mark and the format 0 before it, so that no mail can pass for a sealed text.

use std::borrow::Cow;
use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;

use crate::cipher::{Cipher, NONCE, TAG, random};
use crate::{KeyId, VaultError};

const MARK: [u8; 3] = [0xa5, b'r', b'j'];
const TEXT_MARK: &str = "\u{1}rj";
const ESCAPED: u8 = 0;
const SEALED: u8 = 1;

/// Bytes of a key id, and characters of one.
const ID: usize = size_of::<u64>();
const TEXT_ID: usize = 2 * ID;

/// Bytes before the key id.
const HEAD: usize = MARK.len() + 1;

/// What a column holds.
pub(crate) enum Stored<P> {
    /// A text as it is.
    Plain(P),
    /// A sealed text.
    Sealed(Envelope),
}

/// A sealed text, taken apart.
pub(crate) struct Envelope {
    pub(crate) key: KeyId,
    nonce: [u8; NONCE],
    bytes: Vec<u8>,
    /// Where in `bytes` the ciphertext begins.
    from: usize,
}

impl Envelope {
    /// `bytes` holds, from `at` on, nonce, ciphertext and tag.
    fn new(key: KeyId, bytes: Vec<u8>, at: usize) -> Result<Self, VaultError> {
        let nonce = *bytes.get(at..).and_then(<[u8]>::first_chunk::<NONCE>).ok_or(VaultError::Damaged)?;
        Ok(Self { key, nonce, from: at + NONCE, bytes })
    }

    pub(crate) fn open(mut self, cipher: &Cipher, aad: &[u8]) -> Result<Vec<u8>, VaultError> {
        cipher.open(self.nonce, aad, &mut self.bytes, self.from)?;
        Ok(self.bytes)
    }
}

/// A key and its id.
pub(crate) struct NamedKey<'k> {
    pub(crate) id: KeyId,
    pub(crate) cipher: &'k Cipher,
}

pub(crate) fn seal(key: &NamedKey<'_>, aad: &[u8], plain: &[u8]) -> Result<Vec<u8>, VaultError> {
    let mut sealed = Vec::with_capacity(HEAD + ID + NONCE + plain.len() + TAG);
    sealed.extend(MARK);
    sealed.push(SEALED);
    sealed.extend(key.id.number().to_be_bytes());
    append(&mut sealed, key, aad, plain)?;
    Ok(sealed)
}

pub(crate) fn seal_text(key: &NamedKey<'_>, aad: &[u8], plain: &str) -> Result<String, VaultError> {
    let mut body = Vec::with_capacity(NONCE + plain.len() + TAG);
    append(&mut body, key, aad, plain.as_bytes())?;
    let mut sealed = String::with_capacity(TEXT_MARK.len() + 2 + TEXT_ID + body.len().div_ceil(3) * 4);
    // Writing to a string does not fail.
    let _ = write!(sealed, "{TEXT_MARK}{SEALED}:{}", key.id);
    STANDARD_NO_PAD.encode_string(&body, &mut sealed);
    Ok(sealed)
}

fn append(to: &mut Vec<u8>, key: &NamedKey<'_>, aad: &[u8], plain: &[u8]) -> Result<(), VaultError> {
    let nonce: [u8; NONCE] = random()?;
    to.extend(nonce);
    let from = to.len();
    to.extend(plain);
    let tag = key.cipher.seal(nonce, aad, to.get_mut(from..).unwrap_or_default())?;
    to.extend(tag);
    Ok(())
}

/// Bytes as they are stored without a key.
pub(crate) fn plain(bytes: &[u8]) -> Cow<'_, [u8]> {
    if bytes.starts_with(&MARK) { Cow::Owned([&MARK, &[ESCAPED][..], bytes].concat()) } else { Cow::Borrowed(bytes) }
}

/// A text as it is stored without a key.
pub(crate) fn plain_text(text: &str) -> Cow<'_, str> {
    if text.starts_with(TEXT_MARK) { Cow::Owned(format!("{TEXT_MARK}{ESCAPED}:{text}")) } else { Cow::Borrowed(text) }
}

pub(crate) fn read(mut stored: Vec<u8>) -> Result<Stored<Vec<u8>>, VaultError> {
    let Some(rest) = stored.strip_prefix(&MARK) else { return Ok(Stored::Plain(stored)) };
    match rest.first().copied() {
        Some(ESCAPED) => {
            stored.drain(..=MARK.len());
            Ok(Stored::Plain(stored))
        }
        Some(SEALED) => {
            let id = *rest.get(1..).and_then(<[u8]>::first_chunk::<ID>).ok_or(VaultError::Damaged)?;
            Envelope::new(KeyId::new(u64::from_be_bytes(id)), stored, HEAD + ID).map(Stored::Sealed)
        }
        Some(version) => Err(VaultError::Format { version }),
        None => Err(VaultError::Damaged),
    }
}

pub(crate) fn read_text(mut stored: String) -> Result<Stored<String>, VaultError> {
    let Some(rest) = stored.strip_prefix(TEXT_MARK) else { return Ok(Stored::Plain(stored)) };
    let (version, body) = rest.split_once(':').ok_or(VaultError::Damaged)?;
    match version.parse::<u8>().map_err(|_| VaultError::Damaged)? {
        ESCAPED => {
            let at = stored.len() - body.len();
            stored.drain(..at);
            Ok(Stored::Plain(stored))
        }
        SEALED => {
            let (id, body) = body.split_at_checked(TEXT_ID).ok_or(VaultError::Damaged)?;
            let id = u64::from_str_radix(id, 16).map_err(|_| VaultError::Damaged)?;
            let bytes = STANDARD_NO_PAD.decode(body).map_err(|_| VaultError::Damaged)?;
            Envelope::new(KeyId::new(id), bytes, 0).map(Stored::Sealed)
        }
        version => Err(VaultError::Format { version }),
    }
}

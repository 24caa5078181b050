//! XAES-256-GCM (c2sp.org/XAES-256-GCM): AES-256-GCM with nonces of 192 bits.
//!
//! The first half of the nonce derives a key of its own for every text, by CMAC as in NIST SP 800-108r1, and AES-256-GCM
//! takes the second half as its nonce. With random nonces a key may seal 2^80 texts before the chance that two share key and
//! nonce reaches 2^-32; for AES-256-GCM alone that would be after 2^32 texts, and somebody would have to count them.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::cipher::{AES_256, EncryptingKey, UnboundCipherKey};
use secrecy::zeroize::Zeroizing;

use crate::VaultError;

pub(crate) const KEY: usize = 32;
pub(crate) const NONCE: usize = 24;
pub(crate) const TAG: usize = 16;

const BLOCK: usize = 16;
const HALF: usize = 12;

/// A key. Its memory is overwritten when it is dropped.
pub(crate) struct Cipher {
    block: EncryptingKey,
    /// The first subkey of CMAC.
    subkey: Zeroizing<[u8; BLOCK]>,
}

impl Cipher {
    pub(crate) fn new(key: &[u8; KEY]) -> Result<Self, VaultError> {
        let block = EncryptingKey::ecb(UnboundCipherKey::new(&AES_256, key)?)?;
        let mut subkey = Zeroizing::new([0; BLOCK]);
        block.encrypt(&mut subkey[..])?;
        // Twice the block, in the field that CMAC works in.
        let doubled = u128::from_be_bytes(*subkey);
        let carry = if doubled >> 127 == 1 { 0x87 } else { 0 };
        *subkey = ((doubled << 1) ^ carry).to_be_bytes();
        Ok(Self { block, subkey })
    }

    /// Encrypts `text` in place and returns the tag.
    pub(crate) fn seal(&self, nonce: [u8; NONCE], aad: &[u8], text: &mut [u8]) -> Result<[u8; TAG], VaultError> {
        let (key, nonce) = self.derive(nonce)?;
        let tag = key.seal_in_place_separate_tag(nonce, Aad::from(aad), text)?;
        tag.as_ref().try_into().map_err(|_| VaultError::Library)
    }

    /// Decrypts what `sealed` holds from `from` on, ciphertext and tag, and moves it to the beginning.
    pub(crate) fn open(
        &self,
        nonce: [u8; NONCE],
        aad: &[u8],
        sealed: &mut Vec<u8>,
        from: usize,
    ) -> Result<(), VaultError> {
        let (key, nonce) = self.derive(nonce)?;
        let length = key.open_within(nonce, Aad::from(aad), sealed, from..).map_err(|_| VaultError::Damaged)?.len();
        sealed.truncate(length);
        Ok(())
    }

    fn derive(&self, nonce: [u8; NONCE]) -> Result<(LessSafeKey, Nonce), VaultError> {
        let mut rest = [0; HALF];
        let mut key = Zeroizing::new([0; KEY]);
        for (half, counter) in key.chunks_exact_mut(BLOCK).zip(1_u8..) {
            let prefix = [0, counter, b'X', 0];
            let input = prefix.iter().chain(&nonce);
            for ((to, from), mask) in half.iter_mut().zip(input).zip(&*self.subkey) {
                *to = from ^ mask;
            }
        }
        self.block.encrypt(&mut key[..])?;
        for (to, from) in rest.iter_mut().zip(nonce.iter().skip(HALF)) {
            *to = *from;
        }
        let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &key[..])?);
        Ok((key, Nonce::assume_unique_for_key(rest)))
    }
}

/// New random bytes.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], VaultError> {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::{Cipher, KEY};

    /// The vectors of the specification.
    #[test]
    fn it_is_xaes_256_gcm() {
        let nonce = *b"ABCDEFGHIJKLMNOPQRSTUVWX";
        let vectors: [(u8, &[u8], u128, u128); 2] = [
            (1, b"", 0xce54_6ef6_3c9c_c607_6592_3609, 0xb33a_9a19_74e9_6e52_daf2_fcf7_075e_2271),
            (3, b"c2sp.org/XAES-256-GCM", 0x986e_c183_2593_df54_43a1_7943, 0x7fd0_83bf_3fdb_41ab_d740_a21f_71eb_769d),
        ];
        for (byte, aad, sealed, expected) in vectors {
            let cipher = Cipher::new(&[byte; KEY]).unwrap();
            let mut text = b"XAES-256-GCM".to_vec();
            let tag = cipher.seal(nonce, aad, &mut text).unwrap();
            assert_eq!((&text[..], tag), (&sealed.to_be_bytes()[4..], expected.to_be_bytes()));
            text.extend(tag);
            cipher.open(nonce, aad, &mut text, 0).unwrap();
            assert_eq!(text, b"XAES-256-GCM");
        }
    }
}

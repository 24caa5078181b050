//! The master keys: where they come from and what they wrap.

use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use rejoinder_domain::TenantId;
use secrecy::zeroize::{Zeroize as _, Zeroizing};

use crate::VaultError;
use crate::cipher::{Cipher, KEY, NONCE, random};
use crate::table::{KeyId, KeyPurpose, WrappedKey};

/// More than a thousand keys are not a file of keys.
const MAX_FILE: u64 = 64 * 1024;

const LONGEST_ID: usize = 64;

const ANY_PADDING: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, ANY_PADDING);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, ANY_PADDING);

/// The master keys. The first is active: it wraps new data keys. The others unwrap what they wrapped once.
///
/// Written as `id:base64`, one per line, the active one first; base64 of 32 random bytes, in the usual or the URL-safe
/// alphabet. An id has 1 to 64 characters of `A-Z`, `a-z`, `0-9`, `-`, `_` and `.`. Empty lines and such that begin with `#`
/// are passed over.
pub struct Keyring {
    keys: Vec<(String, Cipher)>,
}

impl Keyring {
    /// The keys of a file. On Unix it must be readable by its owner alone.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, VaultError> {
        let path = path.as_ref();
        let failed = |source| VaultError::KeyFile { path: path.to_path_buf(), source };
        let file = File::open(path).map_err(failed)?;
        check_mode(path, &file)?;
        // Reserved at once, so that no outgrown buffer is left behind with keys in it.
        let mut text = Zeroizing::new(String::with_capacity(MAX_FILE as usize));
        file.take(MAX_FILE).read_to_string(&mut text).map_err(failed)?;
        Self::parse(&text)
    }

    /// The keys of an environment variable; a comma or a space parts them as well as a new line does.
    pub fn from_env(name: &str) -> Result<Self, VaultError> {
        let mut text =
            Zeroizing::new(std::env::var(name).map_err(|_| VaultError::KeyVariable { name: name.to_owned() })?);
        let lines = Zeroizing::new(text.replace([',', ' ', '\t'], "\n"));
        text.zeroize();
        Self::parse(&lines)
    }

    /// The keys of a text.
    pub fn parse(text: &str) -> Result<Self, VaultError> {
        let mut keys: Vec<(String, Cipher)> = Vec::new();
        let mut seen: Vec<Zeroizing<[u8; KEY]>> = Vec::new();
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        for (line, number) in lines.zip(1..) {
            let wrong = |problem| VaultError::MasterKey { number, problem };
            let (id, encoded) = line.split_once(':').ok_or_else(|| wrong("it is to be written as `id:base64`"))?;
            let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
            if id.is_empty() || id.len() > LONGEST_ID || !id.chars().all(is_allowed) {
                return Err(wrong("its id is to have 1 to 64 characters of A-Z, a-z, 0-9, '-', '_' and '.'"));
            }
            let key = decode(encoded.trim()).ok_or_else(|| wrong("what follows its id is not base64 of 32 bytes"))?;
            if key.iter().all(|byte| Some(byte) == key.first()) {
                return Err(wrong("it is one byte 32 times over and not random"));
            }
            if keys.iter().any(|(other, _)| other == id) || seen.contains(&key) {
                return Err(wrong("the same id or the same key came before"));
            }
            keys.push((id.to_owned(), Cipher::new(&key)?));
            seen.push(key);
        }
        if keys.is_empty() { Err(VaultError::NoMasterKey) } else { Ok(Self { keys }) }
    }

    /// A line with a new random key, to be kept in a file that only its owner can read, or in a store of secrets.
    pub fn generate(id: &str) -> Result<Zeroizing<String>, VaultError> {
        let key = Zeroizing::new(random::<KEY>()?);
        let mut line = Zeroizing::new(String::with_capacity(LONGEST_ID + 64));
        line.push_str(id);
        line.push(':');
        STANDARD.encode_string(&key[..], &mut line);
        Self::parse(&line)?;
        Ok(line)
    }

    /// The id of the key that wraps new data keys.
    pub fn active(&self) -> &str {
        self.keys.first().map_or("", |(id, _)| id)
    }

    /// The ids, the active one first.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().map(|(id, _)| id.as_str())
    }

    /// Wraps a data key by the active master key.
    pub(crate) fn wrap(&self, tenant: &TenantId, of: KeyOf, key: &[u8; KEY]) -> Result<WrappedKey, VaultError> {
        let (master, cipher) = self.keys.first().ok_or(VaultError::NoMasterKey)?;
        let nonce: [u8; NONCE] = random()?;
        let mut wrapped = Vec::with_capacity(NONCE + KEY + crate::cipher::TAG);
        wrapped.extend(nonce);
        let mut body = Zeroizing::new(*key);
        let tag = cipher.seal(nonce, &of.aad(tenant), &mut body[..])?;
        wrapped.extend(&body[..]);
        wrapped.extend(tag);
        Ok(WrappedKey { id: of.id, number: of.number, purpose: of.purpose, master: master.clone(), wrapped })
    }

    /// Unwraps a data key by the master key that wrapped it.
    pub(crate) fn unwrap(&self, tenant: &TenantId, key: &WrappedKey) -> Result<Zeroizing<[u8; KEY]>, VaultError> {
        let (id, cipher) = self
            .keys
            .iter()
            .find(|(id, _)| *id == key.master)
            .ok_or_else(|| VaultError::UnknownMaster { id: key.master.clone() })?;
        let wrong = || VaultError::WrongMaster { id: id.clone() };
        let nonce = *key.wrapped.first_chunk::<NONCE>().ok_or_else(wrong)?;
        let of = KeyOf { id: key.id, number: key.number, purpose: key.purpose };
        // Decrypting in place leaves no second copy of the key to be overwritten.
        let mut body = Zeroizing::new(key.wrapped.clone());
        cipher.open(nonce, &of.aad(tenant), &mut body, NONCE).map_err(|_| wrong())?;
        let key: [u8; KEY] = body.as_slice().try_into().map_err(|_| wrong())?;
        Ok(Zeroizing::new(key))
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.ids()).finish()
    }
}

/// What a wrapped key is bound to beside its tenant.
#[derive(Clone, Copy)]
pub(crate) struct KeyOf {
    pub(crate) id: KeyId,
    pub(crate) number: u32,
    pub(crate) purpose: KeyPurpose,
}

impl KeyOf {
    fn aad(&self, tenant: &TenantId) -> Vec<u8> {
        // No part but the last can have a zero character in it, so no two keys share this text.
        format!("rejoinder data key 1\0{}\0{}\0{}\0{tenant}", self.id, self.number, self.purpose.as_str()).into_bytes()
    }
}

fn decode(encoded: &str) -> Option<Zeroizing<[u8; KEY]>> {
    let mut bytes = Zeroizing::new([0; 2 * KEY]);
    let length = match STANDARD.decode_slice(encoded, &mut bytes[..]) {
        Ok(length) => length,
        Err(_) => URL_SAFE.decode_slice(encoded, &mut bytes[..]).ok()?,
    };
    let key: [u8; KEY] = bytes.get(..length)?.try_into().ok()?;
    Some(Zeroizing::new(key))
}

#[cfg(unix)]
fn check_mode(path: &Path, file: &File) -> Result<(), VaultError> {
    use std::os::unix::fs::PermissionsExt as _;

    let metadata = file.metadata().map_err(|source| VaultError::KeyFile { path: path.to_path_buf(), source })?;
    let mode = metadata.permissions().mode() & 0o777;
    let others = mode & 0o077;
    if others == 0 { Ok(()) } else { Err(VaultError::KeyFileShared { path: path.to_path_buf(), mode }) }
}

#[cfg(not(unix))]
fn check_mode(_: &Path, _: &File) -> Result<(), VaultError> {
    Ok(())
}

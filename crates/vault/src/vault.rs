//! The data keys in memory, made, unwrapped and rotated.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use aws_lc_rs::hmac;
use rejoinder_domain::TenantId;
use secrecy::zeroize::Zeroizing;

use crate::cipher::{Cipher, KEY, random};
use crate::envelope::{self, Envelope, NamedKey, Stored};
use crate::keyring::{KeyOf, Keyring};
use crate::sealer::Sealer;
use crate::table::{KeyId, KeyPurpose, KeyTable, WrappedKey};
use crate::{Blinder, VaultError};

/// How long keys are used before the table is asked again. Another process may have rotated them or erased the tenant.
const FRESH: Duration = Duration::from_secs(1);

/// Seals texts with the data keys of their tenants, which it keeps unwrapped while it lives.
pub struct Vault {
    keyring: RwLock<Arc<Keyring>>,
    table: Arc<dyn KeyTable>,
    tenants: RwLock<HashMap<TenantId, Arc<TenantKeys>>>,
    /// Held while a key is made, so that one process makes one.
    making: Mutex<()>,
}

/// The unwrapped data keys of one tenant.
struct TenantKeys {
    /// The one that seals new texts comes last.
    text: Vec<TextKey>,
    terms: Option<Arc<hmac::Key>>,
    loaded: Instant,
}

#[derive(Clone)]
struct TextKey {
    id: KeyId,
    number: u32,
    cipher: Arc<Cipher>,
}

/// Which keys there are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VaultStatus {
    /// The id of the master key that wraps new data keys.
    pub active_master: String,
    /// How many data keys each master key wraps, by its id. One of the ring that wraps none can be taken out of it.
    pub masters: BTreeMap<String, u64>,
    /// The tenants that have data keys.
    pub tenants: Vec<TenantStatus>,
}

/// Which data keys a tenant has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantStatus {
    /// The tenant.
    pub tenant: TenantId,
    /// How many data keys seal or sealed texts.
    pub text_keys: u64,
    /// The one that seals new texts.
    pub current: Option<KeyId>,
    /// Whether there is a key that blinds terms.
    pub blinds_terms: bool,
}

/// What a change of the master key did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rewrapped {
    /// Tenants that had keys to be wrapped anew.
    pub tenants: u64,
    /// Data keys that were wrapped anew.
    pub keys: u64,
    /// Data keys that the active master key wrapped already.
    pub unchanged: u64,
}

impl Vault {
    /// A vault over a table of keys. Nothing is read yet.
    pub fn new(keyring: Keyring, table: Arc<dyn KeyTable>) -> Self {
        Self { keyring: RwLock::new(Arc::new(keyring)), table, tenants: RwLock::default(), making: Mutex::new(()) }
    }

    /// Unwraps every data key once, so that a missing or wrong master key is found before anything is served.
    pub fn check(&self) -> Result<(), VaultError> {
        let keyring = self.keyring();
        for tenant in self.table.tenants()? {
            for key in self.table.load(&tenant)? {
                keyring.unwrap(&tenant, &key)?;
            }
        }
        Ok(())
    }

    /// Which keys there are.
    pub fn status(&self) -> Result<VaultStatus, VaultError> {
        let keyring = self.keyring();
        let mut status = VaultStatus {
            active_master: keyring.active().to_owned(),
            masters: keyring.ids().map(|id| (id.to_owned(), 0)).collect(),
            tenants: Vec::new(),
        };
        for tenant in self.table.tenants()? {
            let keys = self.table.load(&tenant)?;
            for key in &keys {
                *status.masters.entry(key.master.clone()).or_default() += 1;
            }
            let text = || keys.iter().filter(|key| key.purpose == KeyPurpose::Text);
            status.tenants.push(TenantStatus {
                tenant,
                text_keys: text().count() as u64,
                current: text().max_by_key(|key| (key.number, key.id)).map(|key| key.id),
                blinds_terms: keys.iter().any(|key| key.purpose == KeyPurpose::Terms),
            });
        }
        Ok(status)
    }

    /// Takes other master keys from now on, after their file was changed. Keys that are in memory stay. Where the new ring
    /// cannot unwrap some data key, the old one stays and this fails.
    pub fn use_keyring(&self, keyring: Keyring) -> Result<(), VaultError> {
        let checked = Self::new(keyring, Arc::clone(&self.table));
        checked.check()?;
        *self.keyring.write().unwrap_or_else(PoisonError::into_inner) = checked.keyring();
        Ok(())
    }

    /// Wraps with the active master key every data key that another one wraps. No sealed text is touched. Tenant by tenant, so
    /// that what is interrupted goes on when it is called again.
    pub fn rewrap(&self) -> Result<Rewrapped, VaultError> {
        let keyring = self.keyring();
        let mut sum = Rewrapped::default();
        for tenant in self.table.tenants()? {
            let mut changed = Vec::new();
            for key in self.table.load(&tenant)? {
                if key.master == keyring.active() {
                    sum.unchanged += 1;
                    continue;
                }
                let data_key = keyring.unwrap(&tenant, &key)?;
                let of = KeyOf { id: key.id, number: key.number, purpose: key.purpose };
                changed.push(keyring.wrap(&tenant, of, &data_key)?);
            }
            if !changed.is_empty() {
                self.table.rewrap(&tenant, &changed)?;
                sum.tenants += 1;
                sum.keys += changed.len() as u64;
            }
        }
        Ok(sum)
    }

    /// Gives the tenant a new data key for new texts and returns its id. What older keys sealed stays readable. Another
    /// process takes the new key within a second.
    pub fn rotate(&self, tenant: &TenantId) -> Result<KeyId, VaultError> {
        let _making = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        self.make_text_key(tenant)?;
        self.load(tenant)?.text.last().map(|key| key.id).ok_or(VaultError::Library)
    }

    fn keyring(&self) -> Arc<Keyring> {
        Arc::clone(&self.keyring.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn known(&self, tenant: &TenantId) -> Option<Arc<TenantKeys>> {
        self.tenants.read().unwrap_or_else(PoisonError::into_inner).get(tenant).cloned()
    }

    /// The tenant's keys, not older than [`FRESH`].
    fn keys(&self, tenant: &TenantId) -> Result<Arc<TenantKeys>, VaultError> {
        match self.known(tenant) {
            Some(keys) if keys.loaded.elapsed() < FRESH => Ok(keys),
            _ => self.load(tenant),
        }
    }

    /// Reads the tenant's keys from the table, and unwraps those that are not in memory yet.
    fn load(&self, tenant: &TenantId) -> Result<Arc<TenantKeys>, VaultError> {
        let loaded = Instant::now();
        let keyring = self.keyring();
        let known = self.known(tenant);
        let mut keys = TenantKeys { text: Vec::new(), terms: None, loaded };
        for wrapped in self.table.load(tenant)? {
            match wrapped.purpose {
                KeyPurpose::Text => {
                    let same = known.iter().flat_map(|keys| &keys.text).find(|key| key.id == wrapped.id);
                    keys.text.push(match same {
                        Some(key) => key.clone(),
                        None => text_key(&wrapped, &*keyring.unwrap(tenant, &wrapped)?)?,
                    });
                }
                // An erased tenant's key for terms has the id of the next one's, so this one is always unwrapped.
                KeyPurpose::Terms => {
                    let key = keyring.unwrap(tenant, &wrapped)?;
                    keys.terms = Some(Arc::new(hmac::Key::new(hmac::HMAC_SHA256, &key[..])));
                }
            }
        }
        keys.text.sort_unstable_by_key(|key| (key.number, key.id));
        let keys = Arc::new(keys);
        let mut tenants = self.tenants.write().unwrap_or_else(PoisonError::into_inner);
        if keys.text.is_empty() && keys.terms.is_none() {
            tenants.remove(tenant);
        } else {
            tenants.insert(tenant.clone(), Arc::clone(&keys));
        }
        Ok(keys)
    }

    /// The tenant's keys with one that seals texts.
    fn text_keys(&self, tenant: &TenantId) -> Result<Arc<TenantKeys>, VaultError> {
        let keys = self.keys(tenant)?;
        if !keys.text.is_empty() {
            return Ok(keys);
        }
        let _making = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        let keys = self.load(tenant)?;
        if !keys.text.is_empty() {
            return Ok(keys);
        }
        self.make_text_key(tenant)?;
        self.load(tenant)
    }

    fn make_text_key(&self, tenant: &TenantId) -> Result<(), VaultError> {
        let number = self.table.load(tenant)?.iter().map(|key| key.number).max().unwrap_or(0) + 1;
        let id = KeyId::new(u64::from_be_bytes(random()?).max(1));
        self.make(tenant, KeyOf { id, number, purpose: KeyPurpose::Text })
    }

    fn make(&self, tenant: &TenantId, of: KeyOf) -> Result<(), VaultError> {
        let key = Zeroizing::new(random::<KEY>()?);
        Ok(self.table.add(tenant, &self.keyring().wrap(tenant, of, &key)?)?)
    }

    fn open_envelope(&self, tenant: &TenantId, context: &str, envelope: Envelope) -> Result<Vec<u8>, VaultError> {
        let find =
            |keys: &TenantKeys| keys.text.iter().find(|key| key.id == envelope.key).map(|key| Arc::clone(&key.cipher));
        let cipher = match find(&*self.keys(tenant)?) {
            Some(cipher) => cipher,
            // Another process may just have made it.
            None => find(&*self.load(tenant)?).ok_or(VaultError::KeyGone { key: envelope.key })?,
        };
        envelope.open(&cipher, &aad(tenant, context))
    }
}

impl Sealer for Vault {
    fn is_sealing(&self) -> bool {
        true
    }

    fn prepare(&self, tenant: &TenantId) -> Result<Option<KeyId>, VaultError> {
        Ok(self.text_keys(tenant)?.text.last().map(|key| key.id))
    }

    fn seal<'t>(&self, tenant: &TenantId, context: &str, plain: &'t [u8]) -> Result<Cow<'t, [u8]>, VaultError> {
        let keys = self.text_keys(tenant)?;
        let sealed = envelope::seal(&keys.newest()?, &aad(tenant, context), plain)?;
        Ok(Cow::Owned(sealed))
    }

    fn open(&self, tenant: &TenantId, context: &str, stored: Vec<u8>) -> Result<Vec<u8>, VaultError> {
        match envelope::read(stored)? {
            Stored::Plain(plain) => Ok(plain),
            Stored::Sealed(envelope) => self.open_envelope(tenant, context, envelope),
        }
    }

    fn seal_text<'t>(&self, tenant: &TenantId, context: &str, plain: &'t str) -> Result<Cow<'t, str>, VaultError> {
        let keys = self.text_keys(tenant)?;
        let sealed = envelope::seal_text(&keys.newest()?, &aad(tenant, context), plain)?;
        Ok(Cow::Owned(sealed))
    }

    fn open_text(&self, tenant: &TenantId, context: &str, stored: String) -> Result<String, VaultError> {
        match envelope::read_text(stored)? {
            Stored::Plain(plain) => Ok(plain),
            Stored::Sealed(envelope) => {
                let plain = self.open_envelope(tenant, context, envelope)?;
                String::from_utf8(plain).map_err(|_| VaultError::Damaged)
            }
        }
    }

    fn blinder(&self, tenant: &TenantId) -> Result<Blinder, VaultError> {
        if let Some(key) = &self.keys(tenant)?.terms {
            return Ok(Blinder::new(Arc::clone(key)));
        }
        let _making = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        // Where another process was faster, its key stays in the table and is what is loaded.
        self.make(tenant, KeyOf { id: KeyId::TERMS, number: 0, purpose: KeyPurpose::Terms })?;
        let terms = self.load(tenant)?.terms.clone();
        terms.map(Blinder::new).ok_or(VaultError::KeyGone { key: KeyId::TERMS })
    }

    fn forget(&self, tenant: &TenantId) {
        self.tenants.write().unwrap_or_else(PoisonError::into_inner).remove(tenant);
    }
}

impl TenantKeys {
    /// The key that seals new texts.
    fn newest(&self) -> Result<NamedKey<'_>, VaultError> {
        let key = self.text.last().ok_or(VaultError::Library)?;
        Ok(NamedKey { id: key.id, cipher: &key.cipher })
    }
}

fn text_key(wrapped: &WrappedKey, key: &[u8; KEY]) -> Result<TextKey, VaultError> {
    Ok(TextKey { id: wrapped.id, number: wrapped.number, cipher: Arc::new(Cipher::new(key)?) })
}

/// What a text is bound to. A tenant has no zero character in it, so no two pairs share this text.
fn aad(tenant: &TenantId, context: &str) -> Vec<u8> {
    const FORMAT: &str = "rejoinder text 1\0";
    let mut aad = Vec::with_capacity(FORMAT.len() + tenant.as_str().len() + 1 + context.len());
    aad.extend(FORMAT.as_bytes());
    aad.extend(tenant.as_str().as_bytes());
    aad.push(0);
    aad.extend(context.as_bytes());
    aad
}

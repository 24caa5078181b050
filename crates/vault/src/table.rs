//! Where wrapped data keys are kept.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use rejoinder_domain::{SeamError, TenantId};

/// The id of a data key: 64 random bits, so that a key is never taken for another one, also not for one of an erased tenant.
/// [`KeyId::TERMS`] is the one key of a tenant that blinds terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId(u64);

impl KeyId {
    /// The key that blinds terms has the same id for every tenant, so that two processes cannot make two of them.
    pub const TERMS: Self = Self(0);

    /// The id of this number.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number.
    pub const fn number(self) -> u64 {
        self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// What a data key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum KeyPurpose {
    /// Seals texts.
    Text,
    /// Blinds terms of a full-text index.
    Terms,
}

impl KeyPurpose {
    /// The name that it is stored by.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Terms => "terms",
        }
    }

    /// The purpose of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Text, Self::Terms].into_iter().find(|purpose| purpose.as_str() == name)
    }
}

/// A data key as it is kept: encrypted by a master key, bound to its tenant, id, number and purpose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrappedKey {
    /// Its id.
    pub id: KeyId,
    /// Counts the keys of a tenant from 1; the highest seals new texts.
    pub number: u32,
    /// What it is for.
    pub purpose: KeyPurpose,
    /// The id of the master key that wraps it.
    pub master: String,
    /// 24 bytes of nonce, 32 of ciphertext, 16 of tag.
    pub wrapped: Vec<u8>,
}

/// Where wrapped data keys are kept. The ledger implements it.
pub trait KeyTable: Send + Sync {
    /// The keys of a tenant, in any order.
    fn load(&self, tenant: &TenantId) -> Result<Vec<WrappedKey>, SeamError>;

    /// Adds a key. It is durable when this returns: what is sealed with it can be read after a power failure. Where the
    /// tenant has a key of this id, that one stays and this is not an error.
    fn add(&self, tenant: &TenantId, key: &WrappedKey) -> Result<(), SeamError>;

    /// Replaces master and wrapping of keys that are there, all of them or none. A key that is not there is not added.
    fn rewrap(&self, tenant: &TenantId, keys: &[WrappedKey]) -> Result<(), SeamError>;

    /// Every tenant that has a key.
    fn tenants(&self) -> Result<Vec<TenantId>, SeamError>;
}

/// Data keys in memory, for tests and for what is not kept.
#[derive(Debug, Default)]
pub struct MemoryKeys {
    keys: Mutex<BTreeMap<TenantId, BTreeMap<KeyId, WrappedKey>>>,
}

impl MemoryKeys {
    /// Forgets the keys of a tenant.
    pub fn remove(&self, tenant: &TenantId) {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner).remove(tenant);
    }
}

impl KeyTable for MemoryKeys {
    fn load(&self, tenant: &TenantId) -> Result<Vec<WrappedKey>, SeamError> {
        let keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(keys.get(tenant).map(|keys| keys.values().cloned().collect()).unwrap_or_default())
    }

    fn add(&self, tenant: &TenantId, key: &WrappedKey) -> Result<(), SeamError> {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        keys.entry(tenant.clone()).or_default().entry(key.id).or_insert_with(|| key.clone());
        Ok(())
    }

    fn rewrap(&self, tenant: &TenantId, new: &[WrappedKey]) -> Result<(), SeamError> {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(keys) = keys.get_mut(tenant) {
            for key in new {
                keys.entry(key.id).and_modify(|kept| kept.clone_from(key));
            }
        }
        Ok(())
    }

    fn tenants(&self) -> Result<Vec<TenantId>, SeamError> {
        Ok(self.keys.lock().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect())
    }
}

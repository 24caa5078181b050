//! Encryption at rest, for whoever runs the service: how far it is, sealing what lies in clear, other keys.

use std::collections::BTreeMap;
use std::sync::Arc;

use rejoinder_domain::ErrorKind;
use rejoinder_vault::{Keyring, VaultError};
use serde::Serialize;

use crate::Error;
use crate::feedback::{blocking, failed};
use crate::rejoinder::Rejoinder;

/// How far the data folder is encrypted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EncryptionStatus {
    /// The id of the master key that wraps new data keys.
    pub active: String,
    /// How many data keys each master key wraps. One that wraps none can be taken away.
    pub wrapped_by: BTreeMap<String, u64>,
    /// Rows of the ledger with a text in clear.
    pub in_clear: u64,
}

/// What a change of keys did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RotatedKeys {
    /// Data keys that the first master key wraps now.
    pub rewrapped: u64,
    /// Tenants whose new texts get a new data key.
    pub new_data_keys: u64,
}

/// A line for the file or variable of master keys, with a new key of this id.
pub fn new_master_key(id: &str) -> Result<impl std::ops::Deref<Target = String>, VaultError> {
    Keyring::generate(id)
}

impl Rejoinder {
    /// How far the data folder is encrypted; `None` where no master key is configured.
    pub async fn vault_status(&self) -> Result<Option<EncryptionStatus>, Error> {
        let ledger = Arc::clone(&self.parts.ledger);
        blocking(move || {
            let Some(vault) = ledger.vault() else { return Ok(None) };
            let status = vault.status().map_err(Error::Vault)?;
            let in_clear = ledger.sealing_status()?.plain.values().sum();
            Ok(Some(EncryptionStatus { active: status.active_master, wrapped_by: status.masters, in_clear }))
        })
        .await
    }

    /// Encrypts what the ledger holds in clear, and returns how many rows that were. It can be interrupted and repeated.
    pub async fn seal_all(&self) -> Result<u64, Error> {
        let ledger = Arc::clone(&self.parts.ledger);
        blocking(move || Ok(ledger.seal_all(|_| true)?.rows)).await
    }

    /// Wraps all data keys with the first master key, and gives every tenant a new data key for what is written from now on.
    pub async fn rotate_keys(&self) -> Result<RotatedKeys, Error> {
        let ledger = Arc::clone(&self.parts.ledger);
        blocking(move || {
            let vault = ledger.vault().ok_or_else(|| failed(ErrorKind::Invalid, "encryption at rest is off"))?;
            let rewrapped = vault.rewrap().map_err(Error::Vault)?.keys;
            let tenants = vault.status().map_err(Error::Vault)?.tenants;
            for tenant in &tenants {
                vault.rotate(&tenant.tenant).map_err(Error::Vault)?;
            }
            Ok(RotatedKeys { rewrapped, new_data_keys: tenants.len() as u64 })
        })
        .await
    }
}

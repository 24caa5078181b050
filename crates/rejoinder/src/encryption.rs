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

/// What became encrypted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sealed {
    /// Rows of the ledger.
    pub rows: u64,
    /// Records of the index that were written anew.
    pub written: u64,
    /// Messages that could not be indexed; while there are any, the index in clear stays.
    pub pending: u64,
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

    /// Encrypts what the ledger holds in clear, fills an encrypted index from it for every tenant, and removes the embedded
    /// index that lay in clear. Returns how many rows were encrypted and how many messages indexed. It can be interrupted and
    /// repeated; the index in clear goes last.
    pub async fn seal_all(&self) -> Result<Sealed, Error> {
        let ledger = Arc::clone(&self.parts.ledger);
        let (rows, tenants) = blocking(move || Ok((ledger.seal_all(|_| true)?.rows, ledger.tenants()?))).await?;
        let mut sealed = Sealed { rows, ..Sealed::default() };
        for tenant in &tenants {
            let report = self.ingest(tenant, &[], &()).await?;
            sealed.pending += report.pending;
            sealed.written += report.written;
        }
        if sealed.pending == 0 {
            let clear = self.parts.config.store_path(false);
            blocking(move || match std::fs::remove_dir_all(&clear) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::DataFolder(clear, error)),
                _ => Ok(()),
            })
            .await?;
        }
        Ok(sealed)
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

//! Where the master keys come from.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::{Keyring, VaultError};

/// The section `[vault]`. Without a source of master keys nothing is encrypted. With one that is empty or wrong, nothing
/// starts: text never goes to the disk in clear because a variable was forgotten.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct VaultConfig {
    /// The environment variable that holds the master keys, such as `REJOINDER_MASTER_KEY`.
    pub key_env: Option<String>,
    /// The file that holds the master keys, readable by its owner alone.
    pub key_file: Option<PathBuf>,
}

impl VaultConfig {
    /// The master keys, or `None` where none are configured.
    pub fn keyring(&self) -> Result<Option<Keyring>, VaultError> {
        match (&self.key_env, &self.key_file) {
            (None, None) => Ok(None),
            (Some(name), None) => Keyring::from_env(name).map(Some),
            (None, Some(path)) => Keyring::from_file(path).map(Some),
            (Some(_), Some(_)) => Err(VaultError::TwoSources),
        }
    }
}

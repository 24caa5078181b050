//! The seam that ledger and store see: text goes in and comes out, sealed or not.

use std::borrow::Cow;

use rejoinder_domain::TenantId;

use crate::envelope::{self, Stored};
use crate::{Blinder, KeyId, VaultError};

/// Seals what is stored. Ledger and store take an `Arc<dyn Sealer>` and work the same with [`Plain`] and with
/// [`crate::Vault`].
///
/// `context` names the place of a text, such as table, column and row. A text opens only for the tenant and the context that
/// it was sealed for, so nobody who can write to the disk can move it to another row. What was stored before there was a key
/// opens as it is.
pub trait Sealer: Send + Sync {
    /// Whether texts are encrypted.
    fn is_sealing(&self) -> bool;

    /// Makes the tenant's data key where there is none yet, and returns the id of the one that new texts are sealed with, or
    /// `None` where nothing is sealed. Sealing does that by itself; whoever holds a lock on the table of keys calls this
    /// before.
    fn prepare(&self, tenant: &TenantId) -> Result<Option<KeyId>, VaultError>;

    /// Seals bytes; 52 bytes are added.
    fn seal<'t>(&self, tenant: &TenantId, context: &str, plain: &'t [u8]) -> Result<Cow<'t, [u8]>, VaultError>;

    /// Opens what [`Sealer::seal`] gave.
    fn open(&self, tenant: &TenantId, context: &str, stored: Vec<u8>) -> Result<Vec<u8>, VaultError>;

    /// Seals a text as a text, for columns that take no bytes; it becomes a third longer, and up to 75 characters.
    fn seal_text<'t>(&self, tenant: &TenantId, context: &str, plain: &'t str) -> Result<Cow<'t, str>, VaultError>;

    /// Opens what [`Sealer::seal_text`] gave.
    fn open_text(&self, tenant: &TenantId, context: &str, stored: String) -> Result<String, VaultError>;

    /// What blinds the terms of a tenant. Ask for it once per query or batch and do not keep it: the tenant may be erased.
    fn blinder(&self, tenant: &TenantId) -> Result<Blinder, VaultError>;

    /// Forgets the data keys of a tenant that are in memory, because they were deleted or rotated.
    fn forget(&self, tenant: &TenantId);
}

/// Does not seal.
#[derive(Clone, Copy, Debug, Default)]
pub struct Plain;

impl Sealer for Plain {
    fn is_sealing(&self) -> bool {
        false
    }

    fn prepare(&self, _: &TenantId) -> Result<Option<KeyId>, VaultError> {
        Ok(None)
    }

    fn seal<'t>(&self, _: &TenantId, _: &str, plain: &'t [u8]) -> Result<Cow<'t, [u8]>, VaultError> {
        Ok(envelope::plain(plain))
    }

    fn open(&self, _: &TenantId, _: &str, stored: Vec<u8>) -> Result<Vec<u8>, VaultError> {
        match envelope::read(stored)? {
            Stored::Plain(plain) => Ok(plain),
            Stored::Sealed(_) => Err(VaultError::NoKey),
        }
    }

    fn seal_text<'t>(&self, _: &TenantId, _: &str, plain: &'t str) -> Result<Cow<'t, str>, VaultError> {
        Ok(envelope::plain_text(plain))
    }

    fn open_text(&self, _: &TenantId, _: &str, stored: String) -> Result<String, VaultError> {
        match envelope::read_text(stored)? {
            Stored::Plain(plain) => Ok(plain),
            Stored::Sealed(_) => Err(VaultError::NoKey),
        }
    }

    fn blinder(&self, _: &TenantId) -> Result<Blinder, VaultError> {
        Ok(Blinder::clear())
    }

    fn forget(&self, _: &TenantId) {}
}

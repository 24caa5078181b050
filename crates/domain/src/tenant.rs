//! Whose mail it is.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The tenant that every store, ledger and cache call names. It has no default and no empty value.
///
/// 1 to 64 characters of `a-z`, `0-9`, `-`, `_`, starting with a letter or a digit, so that it is safe as a file name,
/// a table name and a metrics label.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TenantId(String);

/// A tenant id that is empty, too long, or has a character that is not allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a tenant id has 1 to 64 characters of a-z, 0-9, '-' and '_' and starts with a letter or digit; got {0:?}")]
pub struct InvalidTenant(String);

impl TenantId {
    /// Checks and wraps `id`.
    pub fn new(id: impl Into<String>) -> Result<Self, InvalidTenant> {
        let id = id.into();
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
        let starts_well = id.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
        if starts_well && id.len() <= 64 && id.chars().all(allowed) { Ok(Self(id)) } else { Err(InvalidTenant(id)) }
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for TenantId {
    type Error = InvalidTenant;

    fn try_from(id: String) -> Result<Self, InvalidTenant> {
        Self::new(id)
    }
}

impl From<TenantId> for String {
    fn from(tenant: TenantId) -> Self {
        tenant.0
    }
}

#[cfg(test)]
mod tests {
    use super::TenantId;

    #[test]
    fn a_tenant_is_never_empty_or_a_path() {
        for bad in ["", "-a", "_a", "A", "a/b", "a.b", "..", "ä", &"a".repeat(65)] {
            assert!(TenantId::new(bad).is_err(), "{bad:?} must be refused");
        }
        for good in ["a", "0", "acme-finance_2", &"a".repeat(64)] {
            assert!(TenantId::new(good).is_ok(), "{good:?} must be accepted");
        }
    }
}

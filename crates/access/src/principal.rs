//! Who calls.

use std::fmt;

use rejoinder_domain::TenantId;
use sha2::{Digest, Sha256};

use crate::{Permission, Roles};

/// What a caller proved to be. The tenant comes from the credential and from nowhere else.
#[derive(Clone, PartialEq, Eq)]
pub struct Principal {
    /// Whose mail the caller works with.
    pub tenant: TenantId,
    /// What the caller may do.
    pub roles: Roles,
    /// The id of the key, or issuer and `sub` of the token with a space between them (RFC 7519, section 4.1.2: `sub` alone is
    /// unique only within its issuer). An issuer is free to put a mail address into `sub`, so this is never logged; see
    /// [`Principal::reference`].
    pub subject: String,
    /// By what it was proved.
    pub kind: CredentialKind,
}

/// The kind of a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CredentialKind {
    /// A key of ours.
    Key,
    /// A token of an identity provider.
    Jwt,
}

impl CredentialKind {
    /// The stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Jwt => "jwt",
        }
    }
}

impl Principal {
    /// Whether one of the roles is enough.
    pub fn allows(&self, permission: Permission) -> bool {
        self.roles.allows(permission)
    }

    /// A stable name for logs and audit that holds no address: `key:` and the key's id, or `jwt:` and 64 bits of the
    /// SHA-256 of the subject as 16 hexadecimal digits.
    pub fn reference(&self) -> String {
        match self.kind {
            CredentialKind::Key => format!("key:{}", self.subject),
            CredentialKind::Jwt => {
                let digest = Sha256::digest(self.subject.as_bytes());
                digest.iter().take(8).fold("jwt:".to_owned(), |name, byte| format!("{name}{byte:02x}"))
            }
        }
    }
}

impl fmt::Debug for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Principal")
            .field("tenant", &self.tenant)
            .field("roles", &self.roles)
            .field("reference", &self.reference())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use rejoinder_domain::TenantId;

    use super::{CredentialKind, Principal};
    use crate::{Role, Roles};

    #[test]
    fn a_subject_is_not_shown() {
        let mut principal = Principal {
            tenant: TenantId::new("acme").unwrap(),
            roles: Roles::from(Role::Agent),
            subject: "https://id.example ada@example.org".into(),
            kind: CredentialKind::Jwt,
        };
        assert!(!format!("{principal:?}").contains("ada"));
        assert_eq!(principal.reference().len(), 4 + 16);
        let reference = principal.reference();
        principal.subject.push('x');
        assert_ne!(principal.reference(), reference);
    }
}

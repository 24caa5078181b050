//! What can go wrong, with a kind to decide on.

use rejoinder_domain::ErrorKind;

/// Why a caller was not let in.
///
/// `Display` is safe to show to the caller. What is in the variants is for the operator's log: it says which check failed
/// and never holds a part of a credential.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// No credential came with the request. 401.
    #[error("a credential is needed: Authorization: Bearer, with an API key or a token")]
    Missing,
    /// What came is neither a key nor a token. 401.
    #[error("the credential is neither an API key nor a token")]
    Malformed(&'static str),
    /// A key that is unknown or wrong (which of the two is not told), or a token that is not for this server. 401.
    #[error("the credential is not valid")]
    Invalid(&'static str),
    /// It was valid once. 401.
    #[error("the credential has expired")]
    Expired,
    /// The key was revoked. Told only to who has the whole key. 401.
    #[error("the credential was revoked")]
    Revoked,
    /// It cannot be told now whether the credential is valid. 503.
    #[error("credentials cannot be checked at the moment; try again")]
    Unavailable(&'static str),
    /// The token is valid and names no tenant, or none that can be one. 403.
    #[error("the token names no tenant")]
    NoTenant,
    /// The token is valid and names no role of this server. 403.
    #[error("the token gives no role here")]
    NoRole,
}

impl AuthError {
    /// What to decide on.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Unavailable(_) => ErrorKind::Unavailable,
            _ => ErrorKind::Auth,
        }
    }

    /// A stable word for logs and metrics.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Malformed(_) => "malformed",
            Self::Invalid(_) => "invalid",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
            Self::Unavailable(_) => "unavailable",
            Self::NoTenant => "no_tenant",
            Self::NoRole => "no_role",
        }
    }

    /// Which check failed, for the operator's log.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Malformed(reason) | Self::Invalid(reason) | Self::Unavailable(reason) => reason,
            other => other.code(),
        }
    }
}

/// The store of keys could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The database refused or failed.
    #[error("the database of keys failed")]
    Database(#[from] rusqlite::Error),
    /// The file or its folder could not be used.
    #[error("the file of keys cannot be used")]
    File(#[from] std::io::Error),
    /// The file was written by a newer version of the program.
    #[error("the file of keys has schema version {found} and this program knows up to {known}; use a newer program")]
    TooNew {
        /// The file's version.
        found: i64,
        /// The newest version that this program knows.
        known: i64,
    },
    /// A stored value cannot be understood.
    #[error("the file of keys holds a damaged {0}")]
    Corrupt(&'static str),
    /// The key that was asked for cannot be made; the sentence says why.
    #[error("{0}")]
    Invalid(&'static str),
    /// No key has this id.
    #[error("there is no key with this id")]
    NotFound,
    /// The system gave no random bytes.
    #[error("the system gave no random bytes")]
    NoRandomness,
    /// A thread panicked while it held the database.
    #[error("the store of keys was left in the middle of a change by a failed thread")]
    Poisoned,
}

impl KeyError {
    /// What to decide on.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Database(rusqlite::Error::SqliteFailure(failure, _)) => match failure.code {
                rusqlite::ErrorCode::DatabaseBusy
                | rusqlite::ErrorCode::DatabaseLocked
                | rusqlite::ErrorCode::DiskFull => ErrorKind::Transient,
                rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase => ErrorKind::Corrupt,
                rusqlite::ErrorCode::CannotOpen
                | rusqlite::ErrorCode::ReadOnly
                | rusqlite::ErrorCode::PermissionDenied => ErrorKind::Unavailable,
                _ => ErrorKind::Internal,
            },
            Self::Database(_) | Self::Poisoned => ErrorKind::Internal,
            Self::File(_) | Self::TooNew { .. } | Self::NoRandomness => ErrorKind::Unavailable,
            Self::Corrupt(_) => ErrorKind::Corrupt,
            Self::Invalid(_) => ErrorKind::Invalid,
            Self::NotFound => ErrorKind::NotFound,
        }
    }
}

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A value makes no sense; the sentence says what to change.
    #[error("{0}")]
    Invalid(String),
    /// No HTTP client could be made for an issuer.
    #[error("no HTTP client for the keys of issuer {issuer}")]
    Client {
        /// The issuer as configured.
        issuer: String,
        /// The cause.
        #[source]
        source: reqwest::Error,
    },
}

impl ConfigError {
    /// What to decide on.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Invalid(_) => ErrorKind::Invalid,
            Self::Client { .. } => ErrorKind::Unavailable,
        }
    }
}

//! Who calls, for which tenant, and how much of it each may use.
//!
//! A request passes three doors. The [`Authenticator`] turns its `Authorization` header into a [`Principal`]: an API key of
//! our own [`KeyStore`], or a token of an identity provider that is configured in [`AuthConfig`]. The [`RateLimiter`] asks
//! whether the tenant has any of its minute left. [`Fair`] gives it a place, in turn with the other tenants. Each door knows
//! nothing of the others and nothing of HTTP, so that a command line, a test or another server can use one alone.
//!
//! ```
//! use std::num::NonZeroUsize;
//! use std::sync::Arc;
//! use std::time::Duration;
//!
//! use rejoinder_access::{
//!     AuthConfig, Authenticator, Fair, FairOptions, KeyStore, LimitsConfig, NewKey, Permission, Quantity, RateLimiter, Role,
//!     Roles, SystemClock,
//! };
//! use rejoinder_domain::TenantId;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! let keys = Arc::new(KeyStore::open(folder.path().join("keys.sqlite"))?);
//! let tenant = TenantId::new("acme-finance")?;
//! let key = NewKey { tenant, name: "the CRM".into(), roles: Roles::from(Role::Agent), expires_at: None };
//! let (record, secret) = keys.create(key)?;
//!
//! let door = Authenticator::new(Arc::clone(&keys), &AuthConfig::default())?;
//! let limits = Arc::new(LimitsConfig::default());
//! let rates = RateLimiter::new(Arc::clone(&limits), Arc::new(SystemClock));
//! let places = NonZeroUsize::new(64).ok_or("no places")?;
//! let fair = Fair::new(FairOptions { places, longest_wait: Duration::from_secs(30), limits });
//!
//! let header = format!("Bearer {}", secret.expose());
//! let principal = door.authenticate(Some(&header)).await?;
//! assert!(principal.allows(Permission::Assist) && !principal.allows(Permission::Administer));
//! rates.take(&principal.tenant, Quantity::Requests, 1)?;
//! let place = fair.enter(&principal.tenant).await?;
//! // … the work …
//! drop(place);
//!
//! keys.revoke(&record.id)?;
//! assert!(door.authenticate(Some(&header)).await.is_err(), "from the next request on");
//! # Ok(())
//! # }
//! ```
//!
//! Invariants: the tenant comes from the credential alone, and a credential has exactly one; what cannot be checked lets
//! nobody in; a secret is shown once and is neither stored nor logged; a confirmed key or revocation is on the disk and counts
//! in every process from the next request on; a token is checked with the key and the algorithm of its configured issuer and
//! with nothing that it brings along; memory is bounded in the number of tenants, of those who wait and of key ids that
//! somebody makes up; an error's text may be shown to the caller, and holds no part of a credential.
//!
//! Modules in reading order: `role`, `principal`, `keys` (ours), `config` (whose tokens), `jwt` and `claims` (a token), `jwks`
//! and `source` (the keys of an issuer and when they are fetched), `authenticator` (from the header to the principal),
//! `limits` (how much in a time), `fairness` (how much at once), `clock`, `error`.

mod authenticator;
mod claims;
mod clock;
mod config;
mod error;
mod fairness;
mod jwks;
mod jwt;
mod keys;
mod limits;
mod principal;
mod role;
mod source;

pub use authenticator::Authenticator;
pub use clock::{Clock, SystemClock};
pub use config::{AuthConfig, IssuerConfig};
pub use error::{AuthError, ConfigError, KeyError};
pub use fairness::{Busy, Fair, FairOptions, Load, Permit};
pub use keys::{KeyRecord, KeyStore, NewKey, Secret};
pub use limits::{Limit, Limited, LimitsConfig, LimitsOverride, Quantity, RateLimiter, Taken, TenantLimits};
pub use principal::{CredentialKind, Principal};
pub use role::{Permission, Role, Roles, UnknownRole};
pub use source::IssuerHealth;

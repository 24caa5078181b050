//! Who calls, for which tenant, and how much of it each may use.

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

//! From the `Authorization` header to the one who calls.

use std::sync::{Arc, PoisonError, RwLock};

use crate::jwt::Token;
use crate::keys::PREFIX;
use crate::source::{IssuerHealth, KeySource};
use crate::{AuthConfig, AuthError, Clock, ConfigError, IssuerConfig, KeyError, KeyStore, Principal, SystemClock};

/// Knows the keys and the issuers. Cheap to share (`Arc<Authenticator>`).
pub struct Authenticator {
    keys: Arc<KeyStore>,
    clock: Arc<dyn Clock>,
    issuers: RwLock<Arc<[Arc<Issuer>]>>,
}

struct Issuer {
    config: IssuerConfig,
    keys: Arc<KeySource>,
}

impl Authenticator {
    /// An authenticator by the machine's clock. Nothing is fetched yet; see [`Authenticator::warm_up`].
    pub fn new(keys: Arc<KeyStore>, config: &AuthConfig) -> Result<Self, ConfigError> {
        Self::with_clock(keys, config, Arc::new(SystemClock))
    }

    /// The same by another clock.
    pub fn with_clock(keys: Arc<KeyStore>, config: &AuthConfig, clock: Arc<dyn Clock>) -> Result<Self, ConfigError> {
        let issuers = issuers(config, &[], &clock)?;
        Ok(Self { keys, clock, issuers: RwLock::new(issuers) })
    }

    /// Takes another configuration from the next request on. An issuer that has not changed keeps the keys that were fetched.
    /// On an error the old configuration stays.
    pub fn reconfigure(&self, config: &AuthConfig) -> Result<(), ConfigError> {
        let issuers = issuers(config, &self.issuers(), &self.clock)?;
        *self.issuers.write().unwrap_or_else(PoisonError::into_inner) = issuers;
        Ok(())
    }

    /// The store of keys.
    pub fn keys(&self) -> &Arc<KeyStore> {
        &self.keys
    }

    /// Whether anybody could be let in: there is a valid key or an issuer. Without, a server binds to loopback only. Asks the
    /// database for microseconds.
    pub fn configured(&self) -> Result<bool, KeyError> {
        Ok(!self.issuers().is_empty() || self.keys.active(self.clock.wall())? > 0)
    }

    /// Who calls.
    ///
    /// `authorization` is the value of the header (RFC 6750, section 2.1), `None` where there was none; for one that is no
    /// text, or for several, pass an empty text. A key costs microseconds, a token some ten of them, and a fetch of the issuer's
    /// keys now and then. Must be called inside a tokio runtime.
    pub async fn authenticate(&self, authorization: Option<&str>) -> Result<Principal, AuthError> {
        let credential = bearer(authorization.ok_or(AuthError::Missing)?)?;
        if credential.starts_with(PREFIX) {
            return self.keys.authenticate(credential, self.clock.wall());
        }
        let token = Token::parse(credential)?;
        let name = token.issuer()?;
        let issuer = self.issuers().iter().find(|issuer| issuer.config.issuer == name).cloned();
        let issuer = issuer.ok_or(AuthError::Invalid("issuer"))?;
        issuer.check_signature(&token).await?;
        token.principal(&issuer.config, self.clock.wall())
    }

    /// Fetches the keys of all issuers, so that the first request need not wait, and says how they are.
    pub async fn warm_up(&self) -> Vec<IssuerHealth> {
        for issuer in self.issuers().iter() {
            // A failure is in the health and in the log.
            let _ = issuer.keys.find(|_| true).await;
        }
        self.health()
    }

    /// How the issuers' keys are, for a readiness report.
    pub fn health(&self) -> Vec<IssuerHealth> {
        self.issuers().iter().map(|issuer| issuer.keys.health()).collect()
    }

    fn issuers(&self) -> Arc<[Arc<Issuer>]> {
        Arc::clone(&self.issuers.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Issuer {
    async fn check_signature(&self, token: &Token<'_>) -> Result<(), AuthError> {
        let (id, algorithm) = (token.key_id(), token.algorithm());
        let set = self.keys.find(|set| set.has(id, algorithm)).await?;
        if set.verifies(id, algorithm, token.signed(), token.signature()) {
            return Ok(());
        }
        if id.is_none() {
            // Where keys have no ids, a wrong signature is all that is seen of a rotation.
            let newer = self.keys.find(|other| !Arc::ptr_eq(other, &set)).await;
            if newer.is_ok_and(|newer| newer.verifies(id, algorithm, token.signed(), token.signature())) {
                return Ok(());
            }
        }
        Err(AuthError::Invalid("signature"))
    }
}

fn issuers(
    config: &AuthConfig,
    old: &[Arc<Issuer>],
    clock: &Arc<dyn Clock>,
) -> Result<Arc<[Arc<Issuer>]>, ConfigError> {
    config.validate()?;
    let issuer = |config: &IssuerConfig| -> Result<Arc<Issuer>, ConfigError> {
        if let Some(same) = old.iter().find(|issuer| issuer.config == *config) {
            return Ok(Arc::clone(same));
        }
        let keys = Arc::new(KeySource::new(config, Arc::clone(clock))?);
        Ok(Arc::new(Issuer { config: config.clone(), keys }))
    };
    config.issuers.iter().map(issuer).collect()
}

/// What stands after `Bearer`. The scheme's name may be written in any case (RFC 9110, section 11.1).
fn bearer(authorization: &str) -> Result<&str, AuthError> {
    let (scheme, credential) =
        authorization.trim().split_once(' ').ok_or(AuthError::Malformed("no scheme and credential"))?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(AuthError::Malformed("not the Bearer scheme"));
    }
    Ok(credential.trim_start_matches(' '))
}

#[cfg(test)]
mod tests {
    use super::bearer;

    #[test]
    fn the_bearer_scheme_is_found() {
        for good in ["Bearer abc", "bearer abc", "BEARER   abc", " Bearer abc "] {
            assert_eq!(bearer(good), Ok("abc"), "{good:?}");
        }
        for bad in ["", " ", "abc", "Bearer", "Bearer ", "Basic abc", "Bearerabc", "Bearer\tabc"] {
            assert!(bearer(bad).is_err(), "{bad:?}");
        }
    }
}

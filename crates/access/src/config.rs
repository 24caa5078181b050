//! The `[auth]` section.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use rejoinder_domain::TenantId;
use serde::{Deserialize, Serialize};

use crate::{ConfigError, Role};

/// Whose tokens are taken beside the keys of the [`crate::KeyStore`]. Without issuers none are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AuthConfig {
    /// The identity providers.
    pub issuers: Vec<IssuerConfig>,
}

/// One identity provider and how its tokens are read. The defaults stand at the fields.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IssuerConfig {
    /// The `iss` of its tokens, compared character by character (RFC 7519, section 4.1.1).
    pub issuer: String,
    /// A token must name at least one of these in `aud`. At least one must stand here: without it, a token that the provider
    /// made for another service would be good for this one (RFC 8725, section 3.9).
    pub audience: Vec<String>,
    /// Where its keys are (RFC 7517). This or `jwks_file`.
    #[serde(default)]
    pub jwks_url: Option<String>,
    /// The same from a file, for a provider that cannot be reached from here.
    #[serde(default)]
    pub jwks_file: Option<PathBuf>,
    /// Lets `jwks_url` be `http://` to another machine. Who can change that answer can sign as anybody. Default false.
    #[serde(default)]
    pub allow_plain_http: bool,
    /// A proxy on the way to `jwks_url`. The environment's proxy variables are not read. Default none.
    #[serde(default)]
    pub proxy: Option<String>,
    /// The claim that names the tenant: a name, or a path of names with dots between them (`ext.tenant`). A claim that has the
    /// whole text as its name comes first, so that names such as `https://example.com/tenant` work. Default `tenant`.
    #[serde(default = "tenant_claim")]
    pub tenant_claim: String,
    /// All tokens of this issuer belong to this tenant, and `tenant_claim` is not read. Default none.
    #[serde(default)]
    pub tenant: Option<TenantId>,
    /// From the claim's value to our tenant. When it has entries, values that are not in it name no tenant, which also keeps
    /// one provider from speaking for another's tenants. Default empty: the value is the tenant's id.
    #[serde(default)]
    pub tenant_map: BTreeMap<String, TenantId>,
    /// The claim with the roles: an array of texts, or one text with white space or commas between the names. Default `roles`.
    #[serde(default = "roles_claim")]
    pub roles_claim: String,
    /// From the claim's value to our role. When it has entries, values that are not in it give no role. Default empty: the
    /// values are the names of our roles, and others are passed over.
    #[serde(default)]
    pub role_map: BTreeMap<String, Role>,
    /// The `typ` headers that are taken, without `application/` and in any case (RFC 8725, section 3.11); `at+jwt` keeps out
    /// ID tokens of a provider that makes access tokens by RFC 9068. Default empty: any.
    #[serde(default)]
    pub token_types: Vec<String>,
    /// How far the provider's clock may be from ours, seconds, 0 to 600. Default 60.
    #[serde(default = "clock_skew")]
    pub clock_skew_seconds: u32,
    /// How long fetched keys are used before they are fetched again, seconds. A key that the provider withdraws is good for
    /// this long. Default 3600.
    #[serde(default = "max_age")]
    pub max_age_seconds: u32,
    /// The least time between two fetches, seconds: tokens with an unknown `kid` cause no more than this. Default 10.
    #[serde(default = "min_refresh")]
    pub min_refresh_seconds: u32,
    /// How long, since they were fetched, keys are used while they cannot be fetched again, seconds. Default 86400.
    #[serde(default = "max_stale")]
    pub max_stale_seconds: u32,
    /// The longest time for one fetch, seconds, 1 to 60. Default 5.
    #[serde(default = "fetch_timeout")]
    pub timeout_seconds: u32,
}

fn tenant_claim() -> String {
    "tenant".to_owned()
}

fn roles_claim() -> String {
    "roles".to_owned()
}

fn clock_skew() -> u32 {
    60
}

fn max_age() -> u32 {
    3600
}

fn min_refresh() -> u32 {
    10
}

fn max_stale() -> u32 {
    86_400
}

fn fetch_timeout() -> u32 {
    5
}

/// Where the keys of an issuer come from, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Location {
    /// A GET without redirects.
    Url(reqwest::Url),
    /// A file that is read whole.
    File(PathBuf),
}

impl AuthConfig {
    /// Says what to change where a value makes no sense.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let mut names = BTreeSet::new();
        for issuer in &self.issuers {
            issuer.validate()?;
            if !names.insert(issuer.issuer.as_str()) {
                return Err(ConfigError::Invalid(format!("auth: the issuer {} stands twice", issuer.issuer)));
            }
        }
        Ok(())
    }
}

impl IssuerConfig {
    /// An issuer with the defaults, whose keys are at `jwks_url`.
    pub fn new(issuer: impl Into<String>, audience: impl Into<String>, jwks_url: impl Into<String>) -> Self {
        Self {
            issuer: issuer.into(),
            audience: vec![audience.into()],
            jwks_url: Some(jwks_url.into()),
            jwks_file: None,
            allow_plain_http: false,
            proxy: None,
            tenant_claim: tenant_claim(),
            tenant: None,
            tenant_map: BTreeMap::new(),
            roles_claim: roles_claim(),
            role_map: BTreeMap::new(),
            token_types: Vec::new(),
            clock_skew_seconds: clock_skew(),
            max_age_seconds: max_age(),
            min_refresh_seconds: min_refresh(),
            max_stale_seconds: max_stale(),
            timeout_seconds: fetch_timeout(),
        }
    }

    /// Says what to change where a value makes no sense.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let refuse = |sentence: &str| Err(ConfigError::Invalid(format!("auth: issuer {:?}: {sentence}", self.issuer)));
        if self.issuer.is_empty() {
            return refuse("issuer must not be empty");
        }
        if self.audience.is_empty() || self.audience.iter().any(String::is_empty) {
            return refuse("audience must name this server as the provider does, at least once and never empty");
        }
        if self.tenant.is_none() && self.tenant_claim.is_empty() {
            return refuse("tenant_claim must not be empty; give the claim's name, or tenant for all tokens");
        }
        if self.tenant.is_some() && !self.tenant_map.is_empty() {
            return refuse("tenant and tenant_map exclude each other");
        }
        if self.roles_claim.is_empty() {
            return refuse("roles_claim must not be empty");
        }
        if self.clock_skew_seconds > 600 {
            return refuse("clock_skew_seconds must be at most 600; set the clocks instead");
        }
        if self.min_refresh_seconds == 0 || self.max_age_seconds < self.min_refresh_seconds {
            return refuse("min_refresh_seconds must be at least 1 and at most max_age_seconds");
        }
        if self.max_stale_seconds < self.max_age_seconds {
            return refuse("max_stale_seconds must not be below max_age_seconds");
        }
        if !(1..=60).contains(&self.timeout_seconds) {
            return refuse("timeout_seconds must be 1 to 60");
        }
        self.location().map(|_| ())
    }

    /// Where the keys are.
    pub(crate) fn location(&self) -> Result<Location, ConfigError> {
        let refuse = |sentence: &str| ConfigError::Invalid(format!("auth: issuer {:?}: {sentence}", self.issuer));
        match (&self.jwks_url, &self.jwks_file) {
            (Some(_), Some(_)) | (None, None) => Err(refuse("give jwks_url or jwks_file, and not both")),
            (None, Some(file)) => Ok(Location::File(file.clone())),
            (Some(url), None) => {
                let url = reqwest::Url::parse(url).map_err(|_| refuse("jwks_url is no URL"))?;
                match url.scheme() {
                    "https" => Ok(Location::Url(url)),
                    "http" if self.allow_plain_http || is_loopback(&url) => Ok(Location::Url(url)),
                    "http" => Err(refuse(
                        "jwks_url must be https://, because who changes the keys on their way can sign as anybody; set \
                         allow_plain_http = true if the network in between is yours",
                    )),
                    _ => Err(refuse("jwks_url must be https://")),
                }
            }
        }
    }

    pub(crate) fn timing(&self) -> Timing {
        let seconds = |value: u32| Duration::from_secs(u64::from(value));
        Timing {
            max_age: seconds(self.max_age_seconds),
            min_refresh: seconds(self.min_refresh_seconds),
            max_stale: seconds(self.max_stale_seconds),
            timeout: seconds(self.timeout_seconds),
        }
    }
}

/// When keys are fetched.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timing {
    pub(crate) max_age: Duration,
    pub(crate) min_refresh: Duration,
    pub(crate) max_stale: Duration,
    pub(crate) timeout: Duration,
}

fn is_loopback(url: &reqwest::Url) -> bool {
    let Some(host) = url.host_str() else { return false };
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || address.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::{AuthConfig, IssuerConfig};

    type Change = fn(&mut IssuerConfig);

    fn issuer() -> IssuerConfig {
        IssuerConfig::new("https://id.example/", "rejoinder", "https://id.example/.well-known/jwks.json")
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_a_sentence() {
        assert!(issuer().validate().is_ok());
        let changes: [(Change, &str); 12] = [
            (|c| c.issuer.clear(), "issuer must not"),
            (|c| c.audience.clear(), "audience"),
            (|c| c.audience.push(String::new()), "audience"),
            (|c| c.tenant_claim.clear(), "tenant_claim"),
            (|c| c.clock_skew_seconds = 601, "clock_skew_seconds"),
            (|c| c.min_refresh_seconds = 0, "min_refresh_seconds"),
            (|c| c.max_stale_seconds = 1, "max_stale_seconds"),
            (|c| c.timeout_seconds = 0, "timeout_seconds"),
            (|c| c.jwks_file = Some("keys.json".into()), "and not both"),
            (|c| c.jwks_url = None, "jwks_url or jwks_file"),
            (|c| c.jwks_url = Some("http://id.example/keys".into()), "allow_plain_http"),
            (|c| c.jwks_url = Some("file:///etc/passwd".into()), "https://"),
        ];
        for (change, sentence) in changes {
            let mut config = issuer();
            change(&mut config);
            assert!(config.validate().unwrap_err().to_string().contains(sentence), "{sentence}");
        }
        for url in ["http://127.0.0.1:9/keys", "http://[::1]/keys", "http://localhost/keys"] {
            let config = IssuerConfig { jwks_url: Some(url.into()), ..issuer() };
            assert!(config.validate().is_ok(), "{url}");
        }
        let twice = AuthConfig { issuers: vec![issuer(), issuer()] };
        assert!(twice.validate().unwrap_err().to_string().contains("twice"));
    }

    #[test]
    fn a_misspelt_field_is_an_error_and_the_defaults_are_those_of_the_documentation() {
        let json = r#"{"issuer": "https://id.example/", "audience": ["rejoinder"],
                       "jwks_url": "https://id.example/.well-known/jwks.json"}"#;
        assert_eq!(serde_json::from_str::<IssuerConfig>(json).unwrap(), issuer());
        let misspelt = json.replace("audience", "audiences");
        assert!(serde_json::from_str::<IssuerConfig>(&misspelt).is_err());
    }
}

//! Signed tokens: RFC 7519 in the compact form of RFC 7515, taken as RFC 8725 advises.
//!
//! * Two algorithms and no others, `RS256` and `ES256` (section 3.1). Which of them a key is for is a property of the key, not
//!   of the token: `none`, or a public key used as the secret of an `HS256`, finds no key to be checked with.
//! * Keys come from the configured place of the issuer alone. A key that is in the token, or a place that it names (`jwk`,
//!   `jku`, `x5c`, `x5u`), is not looked at (section 3.10).
//! * Issuer, audience and expiry are required (sections 3.8 and 3.9); a header that is critical and not known, as all are
//!   (RFC 7515, section 4.1.11), is refused.
//!
//! Signatures are checked by `jsonwebtoken` with aws-lc, which is named at each call: the library's own choice between the
//! cryptographic libraries that are compiled in is a panic where there are two.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use jsonwebtoken::Algorithm;
use serde::Deserialize;

use crate::claims::{self, Claims};
use crate::{AuthError, CredentialKind, IssuerConfig, Principal};

/// The longest token, bytes. Larger than any header that common servers let through.
const LONGEST_TOKEN: usize = 8 << 10;

/// A token that is well formed. Nothing of it is believed yet.
pub(crate) struct Token<'a> {
    header: Header,
    algorithm: Algorithm,
    claims: Claims,
    /// Header and claims as they were signed.
    signed: &'a [u8],
    signature: Vec<u8>,
}

/// What is read of the header. A name that stands twice is an error, so that no two readers can differ.
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
    crit: Option<serde_json::Value>,
}

impl<'a> Token<'a> {
    pub(crate) fn parse(token: &'a str) -> Result<Self, AuthError> {
        if token.len() > LONGEST_TOKEN {
            return Err(AuthError::Malformed("a token of more than 8 KiB"));
        }
        let mut parts = token.split('.');
        let (Some(header), Some(claims), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(AuthError::Malformed("not the three parts of a token"));
        };
        let signed = token.as_bytes().get(..header.len() + 1 + claims.len()).unwrap_or_default();
        let decode =
            |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| AuthError::Malformed("a part is not base64url"));
        let header: Header =
            serde_json::from_slice(&decode(header)?).map_err(|_| AuthError::Malformed("no header of a token"))?;
        let claims: Claims =
            serde_json::from_slice(&decode(claims)?).map_err(|_| AuthError::Malformed("no claims of a token"))?;
        let algorithm = match header.alg.as_str() {
            "RS256" => Algorithm::RS256,
            "ES256" => Algorithm::ES256,
            _ => return Err(AuthError::Invalid("algorithm")),
        };
        if header.crit.is_some() {
            return Err(AuthError::Invalid("a critical header"));
        }
        Ok(Self { header, algorithm, claims, signed, signature: decode(signature)? })
    }

    /// Who says to have made it.
    pub(crate) fn issuer(&self) -> Result<&str, AuthError> {
        claims::issuer(&self.claims)
    }

    pub(crate) fn key_id(&self) -> Option<&str> {
        self.header.kid.as_deref()
    }

    pub(crate) fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    pub(crate) fn signed(&self) -> &[u8] {
        self.signed
    }

    pub(crate) fn signature(&self) -> &Vec<u8> {
        &self.signature
    }

    /// What it says, after its signature was found to be right.
    pub(crate) fn principal(&self, config: &IssuerConfig, now: Timestamp) -> Result<Principal, AuthError> {
        if self.issuer()? != config.issuer {
            return Err(AuthError::Invalid("issuer"));
        }
        self.check_type(config)?;
        claims::check_audience(&self.claims, config)?;
        claims::check_time(&self.claims, config.clock_skew_seconds, now)?;
        let subject = claims::subject(&self.claims)?;
        Ok(Principal {
            tenant: claims::tenant(&self.claims, config)?,
            roles: claims::roles(&self.claims, config)?,
            subject: format!("{} {subject}", config.issuer),
            kind: CredentialKind::Jwt,
        })
    }

    /// `typ` is a media type whose `application/` may be left out (RFC 7515, section 4.1.9).
    fn check_type(&self, config: &IssuerConfig) -> Result<(), AuthError> {
        if config.token_types.is_empty() {
            return Ok(());
        }
        let short = |name: &str| {
            let name = name.to_ascii_lowercase();
            name.strip_prefix("application/").map_or(name.clone(), str::to_owned)
        };
        let given = self.header.typ.as_deref().map(short);
        let taken = given.is_some_and(|given| config.token_types.iter().any(|taken| short(taken) == given));
        if taken { Ok(()) } else { Err(AuthError::Invalid("type")) }
    }
}

//! What a request lets leave the machine. No tier of this version sends anything anywhere, so every value is kept; the
//! field is read so that a client can state its policy now and a misspelt value is an error, not a leak later.

use serde::Deserialize;

/// The policy of one request; it can only narrow the tenant's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Egress {
    LocalOnly,
    RedactThenRemote,
    RemoteAllowed,
}

//! What a request lets leave the machine.

use serde::Deserialize;
use utoipa::ToSchema;

/// The policy of one request; it can only narrow the tenant's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Egress {
    LocalOnly,
    RedactThenRemote,
    RemoteAllowed,
}

impl From<Egress> for rejoinder::Egress {
    fn from(egress: Egress) -> Self {
        match egress {
            Egress::LocalOnly => Self::LocalOnly,
            Egress::RedactThenRemote => Self::RedactThenRemote,
            Egress::RemoteAllowed => Self::RemoteAllowed,
        }
    }
}

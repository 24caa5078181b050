//! Who asks.

use rejoinder_domain::Egress;

/// Where a request comes from and what of it may leave the machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Caller {
    /// Names the request in the log and the audit; may be empty.
    pub request_id: String,
    /// Narrows the tenant's policy for this request.
    pub egress: Option<Egress>,
}

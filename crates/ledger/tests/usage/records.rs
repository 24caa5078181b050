//! Records for the tests.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::Timestamp;
use rejoinder_domain::{AttemptId, Cost, Egress, EgressRecord, Purpose, Spending, TenantId, UsageRecord};
use rejoinder_ledger::{AuditQuery, UsageJournal, UsageOptions};

pub(crate) fn tenant(name: &str) -> TenantId {
    TenantId::new(name).unwrap()
}

pub(crate) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub(crate) fn open(folder: &Path) -> UsageJournal {
    UsageJournal::open(folder.join("data/usage.sqlite"), UsageOptions::default()).unwrap()
}

pub(crate) fn egress(attempt: &str, who: &str, time: &str) -> EgressRecord {
    EgressRecord {
        attempt: AttemptId(attempt.to_owned()),
        at: at(time),
        tenant: tenant(who),
        request_id: format!("req-of-{attempt}"),
        purpose: Purpose::Suggest,
        provider: "cloud".to_owned(),
        model: "large".to_owned(),
        policy: Egress::RedactThenRemote,
        bytes: 2048,
        redactions: BTreeMap::from([("email".to_owned(), 2), ("iban".to_owned(), 1)]),
        reserved: Spending { tokens: 500, cost: Cost { nanos: 5000 } },
    }
}

/// What the attempt used in the second after `time`.
pub(crate) fn usage(attempt: &str, who: &str, time: &str) -> UsageRecord {
    UsageRecord {
        attempt: AttemptId(attempt.to_owned()),
        at: at(time) + jiff::SignedDuration::from_secs(1),
        tenant: tenant(who),
        request_id: format!("req-of-{attempt}"),
        purpose: Purpose::Suggest,
        provider: "cloud".to_owned(),
        model: "large".to_owned(),
        outcome: "ok".to_owned(),
        input_tokens: 100,
        cached_input_tokens: 40,
        output_tokens: 20,
        cost: Cost { nanos: 1200 },
        ms: 1000,
        first_token_ms: Some(300),
    }
}

pub(crate) fn everything() -> AuditQuery {
    AuditQuery { provider: None, since: None, until: None, cursor: None, limit: 1_000_000 }
}

use std::collections::BTreeSet;

use rejoinder_domain::Journal as _;
use rejoinder_ledger::{UsageJournal, UsageOptions};

use crate::records::{egress, everything, open, tenant, usage};

#[tokio::test]
async fn a_copy_has_what_still_waited_and_is_a_journal() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(folder.path());
    let mut all = BTreeSet::new();
    for n in 0..100 {
        let attempt = format!("att_{n}");
        journal.egress(egress(&attempt, "acme", "2026-11-21T18:00:00Z")).await.unwrap();
        journal.usage(usage(&attempt, "acme", "2026-11-21T18:00:00Z"));
        all.insert(attempt);
    }
    let copy = folder.path().join("copy/usage.sqlite");
    let whole = journal.backup(&copy).unwrap();
    assert_eq!(UsageJournal::check(&copy).unwrap(), whole);
    // Later records are not in it.
    journal.egress(egress("att_late", "acme", "2026-11-21T18:00:00Z")).await.unwrap();

    let restored = UsageJournal::open(&copy, UsageOptions::default()).unwrap();
    let audit = restored.audit(&tenant("acme"), &everything()).unwrap();
    assert!(audit.records.iter().all(|record| record.outcome.is_some()), "the usage of each is there");
    let found: BTreeSet<String> = audit.records.into_iter().map(|record| record.egress.attempt.0).collect();
    assert_eq!(found, all);
}

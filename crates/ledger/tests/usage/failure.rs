//! Many callers at once, callers who leave, and a database that fails for a while.

use std::sync::Arc;

use jiff::Timestamp;
use rejoinder_domain::{ErrorKind, Journal as _};
use rejoinder_ledger::{AuditQuery, LedgerError};

use crate::records::{egress, everything, open, tenant, usage};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn five_hundred_and_twelve_at_once_are_all_kept() {
    let folder = tempfile::tempdir().unwrap();
    let journal = Arc::new(open(folder.path()));
    let calls: Vec<_> = (0..512)
        .map(|n| {
            let journal = Arc::clone(&journal);
            tokio::spawn(async move {
                for round in 0..4 {
                    let attempt = format!("att_{n}_{round}");
                    journal.egress(egress(&attempt, "acme", "2026-11-21T18:00:00Z")).await.unwrap();
                    // Whoever got the answer finds the record.
                    if n % 64 == 0 {
                        let audit = journal.audit(&tenant("acme"), &everything()).unwrap();
                        assert!(audit.records.iter().any(|record| record.egress.attempt.0 == attempt));
                    }
                    journal.usage(usage(&attempt, "acme", "2026-11-21T18:00:00Z"));
                }
            })
        })
        .collect();
    for call in calls {
        call.await.unwrap();
    }
    journal.flush().unwrap();
    let audit = journal.audit(&tenant("acme"), &AuditQuery { limit: 4096, ..everything() }).unwrap();
    assert_eq!(audit.records.len(), 2048);
    assert!(audit.records.iter().all(|record| record.outcome.is_some()));
    assert_eq!(journal.spent(Timestamp::UNIX_EPOCH).unwrap()[0].spending.tokens, 2048 * 120);
}

#[tokio::test]
async fn a_caller_who_leaves_hurts_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(folder.path());
    for n in 0..50 {
        let waiting = journal.egress(egress(&format!("left_{n}"), "acme", "2026-11-21T18:00:00Z"));
        // Polled once, so that it is queued, and dropped.
        let _ = tokio::time::timeout(std::time::Duration::ZERO, waiting).await;
        journal.egress(egress(&format!("stays_{n}"), "acme", "2026-11-21T18:00:00Z")).await.unwrap();
    }
    let audit = journal.audit(&tenant("acme"), &everything()).unwrap();
    let stayed = audit.records.iter().filter(|record| record.egress.attempt.0.starts_with("stays_")).count();
    assert_eq!(stayed, 50);
}

#[tokio::test]
async fn while_the_database_fails_nothing_may_leave_and_no_usage_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(folder.path());
    let break_it = |statement: &str| {
        let connection = rusqlite::Connection::open(folder.path().join("data/usage.sqlite")).unwrap();
        connection.busy_timeout(std::time::Duration::from_secs(30)).unwrap();
        connection.execute_batch(statement).unwrap();
    };
    journal.egress(egress("att_1", "acme", "2026-11-21T18:00:00Z")).await.unwrap();
    break_it("ALTER TABLE egress RENAME TO gone; ALTER TABLE usage RENAME TO gone_too;");
    assert!(journal.egress(egress("att_2", "acme", "2026-11-21T18:00:00Z")).await.is_err());
    for n in 1..4 {
        journal.usage(usage(&format!("att_{n}"), "acme", "2026-11-21T18:00:00Z"));
    }
    let failing = journal.flush().unwrap_err();
    assert!(matches!(failing, LedgerError::Unwritten(3)), "{failing}");
    assert_eq!(failing.kind(), ErrorKind::Transient);
    assert_eq!((journal.health().unwritten, journal.health().lost), (3, 0));
    break_it("ALTER TABLE gone RENAME TO egress; ALTER TABLE gone_too RENAME TO usage;");
    journal.flush().unwrap();
    assert_eq!(journal.health().unwritten, 0);
    assert_eq!(journal.spent(Timestamp::UNIX_EPOCH).unwrap()[0].spending.tokens, 3 * 120);
    journal.egress(egress("att_4", "acme", "2026-11-21T18:00:00Z")).await.unwrap();
}

#[tokio::test]
async fn after_closing_nothing_may_leave_and_what_is_lost_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(folder.path());
    journal.usage(usage("att_1", "acme", "2026-11-21T18:00:00Z"));
    journal.close().unwrap();
    assert_eq!(journal.spent(Timestamp::UNIX_EPOCH).unwrap()[0].spending.tokens, 120, "closing wrote what waited");
    let refused = journal.egress(egress("att_2", "acme", "2026-11-21T18:00:00Z")).await.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::Unavailable);
    journal.usage(usage("att_2", "acme", "2026-11-21T18:00:00Z"));
    assert_eq!(journal.health().lost, 1);
    assert!(matches!(journal.close(), Err(LedgerError::Closed)));
}

//! Pages of the audit, while others write.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rejoinder_domain::{EgressRecord, ErrorKind, Journal as _};
use rejoinder_ledger::{AuditQuery, Step, UsageQuery};

use crate::records::{at, egress, everything, open, tenant};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn pages_have_everything_once_newest_first_while_others_write() {
    let folder = tempfile::tempdir().unwrap();
    let journal = Arc::new(open(folder.path()));
    let record = |n: usize| {
        // Three at the same time each, and those of another tenant between them.
        let who = if n.is_multiple_of(5) { "other" } else { "acme" };
        egress(&format!("att_{n:x}"), who, &format!("2026-11-21T18:{:02}:{:02}Z", n / 180, n / 3 % 60))
    };
    let mut before = BTreeSet::new();
    for n in 0..900 {
        journal.egress(record(n)).await.unwrap();
        if n % 5 > 0 {
            before.insert(format!("att_{n:x}"));
        }
    }
    let stop = Arc::new(AtomicBool::new(false));
    let (begun, has_begun) = tokio::sync::oneshot::channel();
    let writer = tokio::spawn({
        let (journal, stop) = (Arc::clone(&journal), Arc::clone(&stop));
        async move {
            journal.egress(record(1000)).await.unwrap();
            begun.send(()).unwrap();
            for n in (1001..9000).take_while(|_| !stop.load(Ordering::Relaxed)) {
                journal.egress(record(n)).await.unwrap();
            }
        }
    });
    has_begun.await.unwrap();
    let read = tokio::task::spawn_blocking({
        let journal = Arc::clone(&journal);
        move || {
            let mut query = AuditQuery { limit: 7, ..everything() };
            let mut all: Vec<EgressRecord> = Vec::new();
            loop {
                let page = journal.audit(&tenant("acme"), &query).unwrap();
                assert!(page.records.len() <= 7);
                all.extend(page.records.into_iter().map(|record| record.egress));
                match page.next {
                    Some(next) => query.cursor = Some(next),
                    None => return all,
                }
            }
        }
    });
    let all = read.await.unwrap();
    stop.store(true, Ordering::Relaxed);
    writer.await.unwrap();
    let found: BTreeSet<String> = all.iter().map(|record| record.attempt.0.clone()).collect();
    assert_eq!(found.len(), all.len(), "nothing is on two pages");
    assert!(found.is_superset(&before), "nothing that was there is missing");
    assert!(all.windows(2).all(|pair| pair[0].at >= pair[1].at), "newest first");
    assert!(all.iter().all(|record| record.tenant == tenant("acme")));
}

#[tokio::test]
async fn filters_choose_and_pages_end_where_they_should() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(folder.path());
    for n in 0..10 {
        let mut record = egress(&format!("att_{n}"), "acme", &format!("2026-11-21T18:00:0{n}Z"));
        record.provider = ["cloud", "backup"][n % 2].to_owned();
        journal.egress(record).await.unwrap();
    }
    let ask = |query: AuditQuery| {
        let audit = journal.audit(&tenant("acme"), &query).unwrap();
        let names: Vec<String> = audit.records.into_iter().map(|record| record.egress.attempt.0).collect();
        (names.join(" "), audit.next)
    };
    let backup = AuditQuery { provider: Some("backup".to_owned()), ..everything() };
    assert_eq!(ask(backup.clone()).0, "att_9 att_7 att_5 att_3 att_1");
    let between = AuditQuery {
        since: Some(at("2026-11-21T18:00:03Z")),
        until: Some(at("2026-11-21T18:00:09Z")),
        ..backup.clone()
    };
    assert_eq!(ask(between).0, "att_7 att_5 att_3");
    let (names, next) = ask(AuditQuery { limit: 4, ..backup.clone() });
    assert_eq!((names.as_str(), next.is_some()), ("att_9 att_7 att_5 att_3", true));
    let (names, next) = ask(AuditQuery { limit: 4, cursor: next, ..backup.clone() });
    assert_eq!((names.as_str(), next), ("att_1", None));
    let (_, next) = ask(AuditQuery { limit: 5, ..backup });
    assert_eq!(next, None, "a full last page says that it is the last");
    assert_eq!(ask(AuditQuery { limit: 0, ..everything() }).0, "att_9");
}

#[tokio::test]
async fn a_cursor_of_nowhere_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(folder.path());
    let mut of_the_audit = None;
    for n in 0..2 {
        journal.egress(egress(&format!("att_{n}"), "acme", "2026-11-21T18:00:00Z")).await.unwrap();
        of_the_audit = journal.audit(&tenant("acme"), &AuditQuery { limit: 1, ..everything() }).unwrap().next;
    }
    let of_the_audit = of_the_audit.unwrap();
    for cursor in ["", "1", "zz", "31", "311f", "é1", "+1+1", &of_the_audit[1..], &format!("{of_the_audit}1f61")] {
        let asked = AuditQuery { cursor: Some(cursor.to_owned()), ..everything() };
        match journal.audit(&tenant("acme"), &asked) {
            Err(error) => assert_eq!(error.kind(), ErrorKind::Invalid, "{cursor:?}"),
            Ok(_) => assert_eq!(cursor, "311f", "only this one has the form"),
        }
    }
    let query = UsageQuery {
        from: at("2026-01-01T00:00:00Z"),
        to: at("2027-01-01T00:00:00Z"),
        step: Step::Day,
        cursor: Some(of_the_audit),
        limit: 10,
    };
    assert_eq!(journal.report(&tenant("acme"), &query).unwrap_err().kind(), ErrorKind::Invalid);
}

use rejoinder_domain::ErrorKind;
use rejoinder_ledger::{ItemStatus, JobEnd, JobRecord, JobSignal, JobSource, JobState, Ledger, LedgerError, NewJob};
use serde_json::json;

use crate::mail::{at, id, mailbox, message, open, other, read, record, reopen, tenant};

fn new(id: &str, seconds: i64) -> NewJob {
    NewJob {
        id: id.to_owned(),
        source: JobSource::Upload,
        name: "sales.pst".to_owned(),
        path: format!("/data/uploads/{id}"),
        bytes: Some(1 << 40),
        created: at(seconds),
    }
}

fn ids(jobs: &[JobRecord]) -> Vec<&str> {
    jobs.iter().map(|job| job.id.as_str()).collect()
}

#[test]
fn a_job_goes_on_after_a_restart_and_ends_once() {
    let (folder, ledger) = open();
    let queued = ledger.create_job(&tenant(), &new("job_a", 0)).unwrap();
    assert_eq!((queued.state, queued.bytes, queued.started), (JobState::Queued, Some(1 << 40), None));
    ledger.create_job(&tenant(), &new("job_b", 1)).unwrap();
    assert_eq!(ledger.job_progress(&tenant(), "job_a", &json!({})).unwrap(), JobSignal::Gone, "it does not run yet");
    ledger.start_job(&tenant(), "job_a", at(5)).unwrap().unwrap();
    assert_eq!(ledger.job_progress(&tenant(), "job_a", &json!({"seen": 7})).unwrap(), JobSignal::GoOn);
    drop(ledger);

    let ledger = reopen(&folder);
    let left = ledger.unfinished_jobs().unwrap();
    assert_eq!(ids(&left), ["job_a", "job_b"]);
    assert_eq!((left[0].state, &left[0].progress), (JobState::Running, &Some(json!({"seen": 7}))));
    let again = ledger.start_job(&tenant(), "job_a", at(60)).unwrap().unwrap();
    assert_eq!(again.started, Some(at(5)), "the first start counts");
    let failed = JobEnd::Failed("the disk is full".to_owned());
    let ended = ledger.finish_job(&tenant(), "job_a", &failed, Some(&json!({"seen": 9})), at(70)).unwrap().unwrap();
    assert_eq!((ended.state, ended.finished), (JobState::Failed, Some(at(70))));
    assert_eq!((ended.error.as_deref(), &ended.progress), (Some("the disk is full"), &Some(json!({"seen": 9}))));
    // An end is for good.
    assert_eq!(ledger.finish_job(&tenant(), "job_a", &JobEnd::Completed, None, at(80)).unwrap(), None);
    assert_eq!(ledger.start_job(&tenant(), "job_a", at(80)).unwrap(), None);
    assert_eq!(ledger.job_progress(&tenant(), "job_a", &json!({})).unwrap(), JobSignal::Gone);
    assert_eq!(ledger.job(&tenant(), "job_a").unwrap(), Some(ended));
    assert_eq!(ids(&ledger.unfinished_jobs().unwrap()), ["job_b"]);
}

#[test]
fn a_queued_job_is_cancelled_at_once_and_a_running_one_is_told() {
    let (_folder, ledger) = open();
    for job in ["job_a", "job_b", "job_c"] {
        ledger.create_job(&tenant(), &new(job, 0)).unwrap();
    }
    let queued = ledger.request_cancel(&tenant(), "job_a", at(1)).unwrap().unwrap();
    assert_eq!((queued.state, queued.finished), (JobState::Cancelled, Some(at(1))));
    assert_eq!(ledger.start_job(&tenant(), "job_a", at(2)).unwrap(), None);

    ledger.start_job(&tenant(), "job_b", at(2)).unwrap();
    let running = ledger.request_cancel(&tenant(), "job_b", at(3)).unwrap().unwrap();
    assert_eq!((running.state, running.finished, running.cancel_requested), (JobState::Running, None, true));
    assert_eq!(ledger.job_progress(&tenant(), "job_b", &json!({})).unwrap(), JobSignal::Cancel);
    let ended = ledger.finish_job(&tenant(), "job_b", &JobEnd::Cancelled, None, at(4)).unwrap().unwrap();
    assert_eq!((ended.state, ended.progress), (JobState::Cancelled, Some(json!({}))), "the last report stays");

    ledger.start_job(&tenant(), "job_c", at(2)).unwrap();
    let done = ledger.finish_job(&tenant(), "job_c", &JobEnd::Completed, None, at(4)).unwrap().unwrap();
    assert_eq!(ledger.request_cancel(&tenant(), "job_c", at(5)).unwrap(), Some(done), "too late");
    assert_eq!(ledger.request_cancel(&tenant(), "job_x", at(5)).unwrap(), None);
}

#[test]
fn jobs_are_listed_newest_first_and_stay_with_their_tenant() {
    let (_folder, ledger) = open();
    for n in 0..25 {
        // Five of them in each second.
        ledger.create_job(&tenant(), &new(&format!("job_{n:02}"), n / 5)).unwrap();
    }
    ledger.create_job(&other(), &new("job_00", 3)).unwrap();
    assert!(matches!(ledger.create_job(&tenant(), &new("job_00", 3)), Err(LedgerError::Exists("job"))));
    let mut found = Vec::new();
    let mut cursor = None;
    loop {
        let page = ledger.jobs(&tenant(), cursor.as_deref(), 7).unwrap();
        found.extend(page.jobs);
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    let expected: Vec<String> = (0..25).rev().map(|n| format!("job_{n:02}")).collect();
    assert_eq!(ids(&found), expected);
    assert!(found.iter().all(|job| job.tenant == tenant()));
    assert_eq!(ledger.jobs(&other(), None, 7).unwrap().jobs.len(), 1);
    assert_eq!(ledger.job(&other(), "job_01").unwrap(), None);
    let error = ledger.jobs(&tenant(), Some("zz"), 7).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
}

#[test]
fn only_ended_jobs_get_too_old() {
    let (_folder, ledger) = open();
    for job in ["job_old", "job_running", "job_late"] {
        ledger.create_job(&tenant(), &new(job, 0)).unwrap();
        ledger.start_job(&tenant(), job, at(0)).unwrap();
    }
    ledger.finish_job(&tenant(), "job_old", &JobEnd::Completed, None, at(9)).unwrap();
    ledger.finish_job(&tenant(), "job_late", &JobEnd::Completed, None, at(10)).unwrap();
    assert_eq!(ledger.delete_jobs_before(&other(), at(10)).unwrap(), 0);
    assert_eq!(ledger.delete_jobs_before(&tenant(), at(10)).unwrap(), 1);
    assert_eq!(ids(&ledger.jobs(&tenant(), None, 9).unwrap().jobs), ["job_running", "job_late"]);
}

/// Place, status, reason and message of the items, two by two.
fn items(ledger: &Ledger, job: &str, status: Option<ItemStatus>) -> Vec<(ItemStatus, String, Option<String>)> {
    let mut all = Vec::new();
    let mut cursor = None;
    loop {
        let page = ledger.job_items(&tenant(), job, status, cursor.as_deref(), 2).unwrap();
        assert!(page.items.len() <= 2);
        for item in page.items {
            let message = item.message.as_ref().map(|id| id.as_str().to_owned());
            all.push((item.status, format!("{}: {}", item.place, item.reason.unwrap_or_default()), message));
        }
        cursor = page.next;
        if cursor.is_none() {
            return all;
        }
    }
}

#[test]
fn items_of_a_job_are_those_of_the_mailboxes_it_read() {
    use ItemStatus::{Duplicate, Indexed, Salvaged, Skipped};
    let (_folder, ledger) = open();
    read(&ledger, &mailbox("earlier", "1"), &[message("x")]);
    ledger.create_job(&tenant(), &new("job_a", 0)).unwrap();
    let (a, b) = (mailbox("a", "1"), mailbox("b", "1"));
    assert!(matches!(ledger.job_reads(&tenant(), "job_a", &a.id), Err(LedgerError::UnknownMailbox)));
    for mailbox in [&a, &b] {
        ledger.begin_read(&tenant(), mailbox).unwrap();
        assert!(matches!(ledger.job_reads(&tenant(), "job_x", &mailbox.id), Err(LedgerError::UnknownJob)));
        ledger.job_reads(&tenant(), "job_a", &mailbox.id).unwrap();
        ledger.job_reads(&tenant(), "job_a", &mailbox.id).unwrap();
    }
    record(&ledger, &a, &[message("x"), message("damaged"), message("y")], &["no end", "no start"]);
    record(&ledger, &b, &[message("z"), message("y")], &[]);

    let name = |name: &str| Some(id(name).as_str().to_owned());
    let (mail, none) = ("Inbox/mail: ".to_owned(), None);
    let mut of_a = vec![
        (Duplicate, mail.clone(), name("x")),
        (Indexed, mail.clone(), name("damaged")),
        (Indexed, mail.clone(), name("y")),
        (Skipped, "mail: no end".to_owned(), none.clone()),
        (Skipped, "mail: no start".to_owned(), none),
    ];
    let mut of_b = vec![(Indexed, mail.clone(), name("z")), (Duplicate, mail, name("y"))];
    let all = if a.id < b.id {
        of_a.append(&mut of_b);
        of_a
    } else {
        of_b.append(&mut of_a);
        of_b
    };
    assert_eq!(items(&ledger, "job_a", None), all);
    for status in [Indexed, Duplicate, Skipped] {
        let expected: Vec<_> = all.iter().filter(|item| item.0 == status).cloned().collect();
        assert_eq!(items(&ledger, "job_a", Some(status)), expected);
    }
    assert_eq!(items(&ledger, "job_a", Some(Salvaged)), [(Salvaged, "part 1: damaged".to_owned(), name("damaged"))]);
    assert!(items(&ledger, "job_x", None).is_empty());
    assert!(ledger.job_items(&other(), "job_a", None, None, 9).unwrap().items.is_empty());

    // A later job that reads a changed mailbox takes over its items.
    ledger.create_job(&tenant(), &new("job_b", 1)).unwrap();
    let changed = mailbox("a", "2");
    ledger.begin_read(&tenant(), &changed).unwrap();
    ledger.job_reads(&tenant(), "job_b", &a.id).unwrap();
    record(&ledger, &changed, &[message("x")], &[]);
    ledger.finish_read(&tenant(), &a.id).unwrap();
    assert_eq!(items(&ledger, "job_b", None).len(), 1);
    assert_eq!(items(&ledger, "job_a", None).len(), 2, "mailbox b");
}

//! What is kept, and what it adds up to.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rejoinder_domain::{Cost, ErrorKind, Journal as _, Purpose, Spending, Spent, UsageRecord};
use rejoinder_ledger::{DeletedUsage, LedgerError, Step, UsageJournal, UsageOptions, UsageQuery, UsageSum};

use crate::records::{at, egress, everything, open, tenant, usage};

fn query(from: &str, to: &str, step: Step) -> UsageQuery {
    UsageQuery { from: at(from), to: at(to), step, cursor: None, limit: 1000 }
}

#[tokio::test]
async fn a_record_comes_back_as_it_was_and_tells_what_became_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(folder.path());
    let record = egress("att_1", "acme", "2026-11-21T18:00:00.000001Z");
    journal.egress(record.clone()).await.unwrap();
    let audit = journal.audit(&tenant("acme"), &everything()).unwrap();
    assert_eq!((audit.records.len(), &audit.records[0].egress, &audit.records[0].outcome), (1, &record, &None));
    journal.usage(usage("att_1", "acme", "2026-11-21T18:00:00.000001Z"));
    journal.flush().unwrap();
    let audit = journal.audit(&tenant("acme"), &everything()).unwrap();
    assert_eq!(audit.records[0].outcome.as_deref(), Some("ok"));
    assert!(journal.audit(&tenant("other"), &everything()).unwrap().records.is_empty());
}

#[tokio::test]
async fn an_attempt_leaves_once_and_ends_once() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(folder.path());
    journal.egress(egress("att_1", "acme", "2026-11-21T18:00:00Z")).await.unwrap();
    let again = journal.egress(egress("att_1", "other", "2026-11-21T18:00:01Z")).await.unwrap_err();
    assert_eq!(again.kind, ErrorKind::Internal);
    journal.egress(egress("att_2", "acme", "2026-11-21T18:00:02Z")).await.unwrap();
    journal.usage(usage("att_1", "acme", "2026-11-21T18:00:00Z"));
    journal.usage(UsageRecord { output_tokens: 9999, ..usage("att_1", "acme", "2026-11-21T18:00:00Z") });
    journal.flush().unwrap();
    let spent = journal.spent(Timestamp::UNIX_EPOCH).unwrap();
    assert_eq!(spent.len(), 1);
    assert_eq!(spent[0].spending, Spending { tokens: 120 + 500, cost: Cost { nanos: 1200 + 5000 } });
}

#[tokio::test]
async fn what_is_under_way_counts_with_what_is_reserved_also_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    {
        let journal = open(folder.path());
        journal.egress(egress("att_1", "acme", "2026-11-21T18:00:00Z")).await.unwrap();
        journal.egress(egress("att_2", "acme", "2026-11-21T18:00:01Z")).await.unwrap();
        journal.usage(usage("att_2", "acme", "2026-11-21T18:00:01Z"));
        journal.usage(UsageRecord { provider: "local".to_owned(), ..usage("att_3", "other", "2026-11-21T17:59:00Z") });
    }
    let journal = open(folder.path());
    let spent = |provider: &str, who, tokens, nanos| Spent {
        tenant: tenant(who),
        purpose: Purpose::Suggest,
        provider: provider.to_owned(),
        spending: Spending { tokens, cost: Cost { nanos } },
    };
    assert_eq!(
        journal.spent(at("2026-11-21T17:00:00Z")).unwrap(),
        [spent("cloud", "acme", 620, 6200), spent("local", "other", 120, 1200)]
    );
    // An attempt counts at the time it began: the second ended within the second, and began before it.
    assert_eq!(journal.spent(at("2026-11-21T18:00:01Z")).unwrap(), [spent("cloud", "acme", 120, 1200)]);
    assert_eq!(journal.spent(at("2026-11-21T18:00:02Z")).unwrap(), []);
    let report =
        journal.report(&tenant("acme"), &query("2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z", Step::Day)).unwrap();
    assert_eq!(
        report.sums,
        [UsageSum {
            begin: at("2026-11-21T00:00:00Z"),
            purpose: Purpose::Suggest,
            provider: "cloud".to_owned(),
            model: "large".to_owned(),
            attempts: 1,
            answers: 1,
            input_tokens: 100,
            cached_input_tokens: 40,
            output_tokens: 20,
            cost: Cost { nanos: 1200 },
            open_attempts: 1,
            open: Spending { tokens: 500, cost: Cost { nanos: 5000 } },
        }]
    );
}

#[test]
fn steps_are_those_of_the_utc_calendar_and_the_end_is_not_part_of_the_time() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(folder.path());
    let times = [
        "2026-01-31T23:59:59.999999Z",
        "2026-02-01T00:00:00Z",
        "2026-02-28T12:34:56Z",
        "2026-02-28T12:34:59Z",
        "2026-02-28T12:59:00Z",
        "2026-03-01T00:00:00Z",
    ];
    for (n, time) in times.iter().enumerate() {
        journal.usage(usage(&format!("att_{n}"), "acme", time));
    }
    journal.flush().unwrap();
    let begins = |from, to, step| {
        let report = journal.report(&tenant("acme"), &query(from, to, step)).unwrap();
        report.sums.iter().map(|sum| format!("{} {}", sum.begin, sum.attempts)).collect::<Vec<_>>()
    };
    let (from, to) = ("2026-01-01T00:00:00Z", "2026-03-01T00:00:00Z");
    assert_eq!(begins(from, to, Step::Month), ["2026-01-01T00:00:00Z 1", "2026-02-01T00:00:00Z 4"]);
    let days = ["2026-01-31T00:00:00Z 1", "2026-02-01T00:00:00Z 1", "2026-02-28T00:00:00Z 3"];
    assert_eq!(begins(from, to, Step::Day), days);
    let from = "2026-02-28T00:00:00Z";
    assert_eq!(begins(from, to, Step::Hour), ["2026-02-28T12:00:00Z 3"]);
    assert_eq!(begins(from, to, Step::Minute), ["2026-02-28T12:34:00Z 2", "2026-02-28T12:59:00Z 1"]);
    assert_eq!(begins("2026-02-28T12:34:59Z", "2026-02-28T12:59:00Z", Step::Day), ["2026-02-28T00:00:00Z 1"]);
}

/// A number that looks like chance and is always the same.
fn draw(state: &mut u64, below: u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*state >> 33) % below
}

/// Tenant, minute, purpose, provider, model.
type Key = (String, Timestamp, &'static str, String, String);

#[tokio::test]
async fn sums_are_those_of_a_list() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(folder.path());
    let mut state = 7;
    let begin = at("2026-11-21T18:00:00Z");
    let mut sums: BTreeMap<Key, [u64; 6]> = BTreeMap::new();
    for n in 0..1500 {
        let who = ["acme", "other"][draw(&mut state, 2) as usize];
        let time = begin + jiff::SignedDuration::from_secs(draw(&mut state, 7200) as i64);
        let mut left = egress(&format!("att_{n:x}"), who, &time.to_string());
        left.purpose = Purpose::ALL[draw(&mut state, 3) as usize];
        left.provider = ["cloud", "backup"][draw(&mut state, 2) as usize].to_owned();
        left.model = ["large", "small"][draw(&mut state, 2) as usize].to_owned();
        left.reserved = Spending { tokens: draw(&mut state, 900), cost: Cost { nanos: draw(&mut state, 900) } };
        let mut used = usage(&left.attempt.0, who, &time.to_string());
        (used.purpose, used.provider, used.model) = (left.purpose, left.provider.clone(), left.model.clone());
        used.outcome = ["ok", "timeout"][draw(&mut state, 2) as usize].to_owned();
        (used.input_tokens, used.output_tokens) = (draw(&mut state, 500), draw(&mut state, 500));
        used.cost = Cost { nanos: draw(&mut state, 1_000_000_000) };
        let minute = Timestamp::from_second(time.as_second() - time.as_second() % 60).unwrap();
        let key = (who.to_owned(), minute, left.purpose.as_str(), left.provider.clone(), left.model.clone());
        let sum = sums.entry(key).or_default();
        // Some end, some are remote and some local, some are never heard of again.
        let (remote, ends) = (draw(&mut state, 3) > 0, draw(&mut state, 10) > 0);
        if remote {
            journal.egress(left.clone()).await.unwrap();
        }
        if ends {
            journal.usage(used.clone());
            let answered = u64::from(used.outcome == "ok");
            let more = [1, answered, used.input_tokens, used.output_tokens, used.cost.nanos, 0];
            sum.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
        } else if remote {
            sum[5] += left.reserved.tokens;
        }
    }
    journal.flush().unwrap();
    let mut found = BTreeMap::new();
    for who in ["acme", "other"] {
        let mut asked = query("2026-11-21T18:00:00Z", "2026-11-21T20:00:00Z", Step::Minute);
        asked.limit = 37;
        loop {
            let report = journal.report(&tenant(who), &asked).unwrap();
            for sum in report.sums {
                let key = (who.to_owned(), sum.begin, sum.purpose.as_str(), sum.provider, sum.model);
                let values =
                    [sum.attempts, sum.answers, sum.input_tokens, sum.output_tokens, sum.cost.nanos, sum.open.tokens];
                assert!(found.insert(key, values).is_none(), "no sum is on two pages");
            }
            match report.next {
                Some(next) => asked.cursor = Some(next),
                None => break,
            }
        }
    }
    sums.retain(|_, sum| sum[0] > 0 || sum[5] > 0);
    found.retain(|_, sum| sum[0] > 0 || sum[5] > 0);
    assert_eq!(found, sums);
    let spent = journal.spent(begin).unwrap();
    let tokens: u64 = sums.values().map(|sum| sum[2] + sum[3] + sum[5]).sum();
    assert_eq!(spent.iter().map(|spent| spent.spending.tokens).sum::<u64>(), tokens);
}

#[test]
fn a_provider_that_makes_numbers_up_does_not_break_the_sums() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(folder.path());
    for n in 0..3 {
        let wild = usage(&format!("att_{n}"), "acme", "2026-11-21T18:00:00Z");
        journal.usage(UsageRecord { input_tokens: u64::MAX, cost: Cost { nanos: u64::MAX }, ms: u64::MAX, ..wild });
    }
    journal.usage(usage("att_9", "acme", "2026-11-21T18:00:00Z"));
    journal.flush().unwrap();
    let spent = journal.spent(at("2026-11-21T00:00:00Z")).unwrap();
    assert_eq!(spent[0].spending.tokens, 120, "an attempt that took longer than time itself began long ago");
    let spent = journal.spent(Timestamp::UNIX_EPOCH).unwrap();
    assert_eq!(spent[0].spending.tokens, i64::MAX as u64, "the most that there is");
}

#[tokio::test]
async fn an_erased_tenant_leaves_nothing_in_the_files() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(folder.path());
    for n in 0..3000 {
        for who in ["acme", "erasable-firm"] {
            let attempt = format!("{who}_{n}");
            if n < 100 {
                journal.egress(egress(&attempt, who, "2026-11-21T18:00:00Z")).await.unwrap();
            }
            journal.usage(usage(&attempt, who, "2026-11-21T18:00:00Z"));
        }
    }
    // Some of them are still queued.
    let deleted = journal.erase_tenant(&tenant("erasable-firm")).unwrap();
    assert_eq!(deleted, DeletedUsage { egress: 100, usage: 3000 });
    assert_eq!(journal.erase_tenant(&tenant("erasable-firm")).unwrap(), DeletedUsage::default());
    for file in std::fs::read_dir(folder.path().join("data")).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        assert!(!bytes.windows(13).any(|window| window == b"erasable-firm"));
    }
    assert_eq!(journal.audit(&tenant("acme"), &everything()).unwrap().records.len(), 100);
    let spent = journal.spent(Timestamp::UNIX_EPOCH).unwrap();
    assert_eq!((spent.len(), spent[0].spending.tokens), (1, 3000 * 120));
}

#[tokio::test]
async fn what_is_old_is_deleted_for_all_tenants_and_sums_of_the_rest_stay() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(folder.path());
    let (old, new) = ("2026-01-31T23:59:59Z", "2026-02-01T00:00:00Z");
    for who in ["acme", "other"] {
        for (n, time) in [old, new].into_iter().enumerate() {
            journal.egress(egress(&format!("{who}_{n}"), who, time)).await.unwrap();
            journal.usage(usage(&format!("{who}_{n}"), who, time));
        }
    }
    // The clock went back between the two: the prompt left in the time that stays, so its usage stays too.
    journal.egress(egress("odd", "acme", new)).await.unwrap();
    journal.usage(usage("odd", "acme", old));
    journal.flush().unwrap();
    let before = journal.spent(at(new)).unwrap();
    let deleted = journal.delete_before(at(new)).unwrap();
    assert_eq!(deleted, DeletedUsage { egress: 2, usage: 2 });
    assert_eq!(journal.spent(at(new)).unwrap(), before);
    assert_eq!(journal.audit(&tenant("acme"), &everything()).unwrap().records.len(), 2);
}

#[test]
fn a_file_is_opened_again_and_one_of_a_newer_program_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for n in 0..3 {
        let journal = open(folder.path());
        journal.usage(usage(&format!("att_{n}"), "acme", "2026-11-21T18:00:00Z"));
        journal.close().unwrap();
    }
    let path = folder.path().join("data/usage.sqlite");
    let strict = UsageJournal::open(&path, UsageOptions { survive_power_failure: true }).unwrap();
    assert_eq!(strict.spent(Timestamp::UNIX_EPOCH).unwrap()[0].spending.tokens, 360);
    drop(strict);
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection.pragma_update(None, "user_version", 99).unwrap();
    drop(connection);
    let refused = UsageJournal::open(&path, UsageOptions::default()).err().unwrap();
    assert!(matches!(refused, LedgerError::TooNew { found: 99, .. }), "{refused}");
    assert!(UsageJournal::open(folder.path(), UsageOptions::default()).is_err(), "a folder is no file");
    std::fs::write(folder.path().join("letter.txt"), "Dear Sir or Madam, ".repeat(200)).unwrap();
    let refused = UsageJournal::open(folder.path().join("letter.txt"), UsageOptions::default()).err().unwrap();
    assert_eq!(refused.kind(), ErrorKind::Corrupt);
}

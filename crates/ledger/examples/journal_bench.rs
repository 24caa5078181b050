//! How long a call to a model waits for its audit: acknowledged records of egress per second and the time of each, with as
//! many callers at once. Every attempt is recorded twice, before it leaves and when it ends, as the router does.
//!
//! `cargo run -p rejoinder-ledger --example journal_bench [FOLDER]`; the folder's disk is what is measured, with and without
//! waiting for it.

#![allow(clippy::unwrap_used, reason = "a benchmark ends by panicking")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rejoinder_domain::{AttemptId, Cost, Egress, EgressRecord, Journal as _, Purpose, Spending, TenantId, UsageRecord};
use rejoinder_ledger::{UsageJournal, UsageOptions};

const RECORDS: usize = 20_000;

fn main() {
    let folder = std::env::args().nth(1).map_or_else(std::env::temp_dir, Into::into);
    let runtime = tokio::runtime::Builder::new_multi_thread().build().unwrap();
    println!("{:>22} {:>8} {:>10} {:>9} {:>9} {:>9}", "", "at once", "records/s", "p50 us", "p99 us", "max us");
    for survive_power_failure in [false, true] {
        for callers in [1, 64, 512] {
            let place = tempfile::tempdir_in(&folder).unwrap();
            let records = if survive_power_failure { RECORDS / 10 } else { RECORDS };
            let (mut times, took) =
                runtime.block_on(measure(place.path(), UsageOptions { survive_power_failure }, callers, records));
            times.sort_unstable();
            let at = |share: f64| times.get((times.len() as f64 * share) as usize).unwrap().as_micros();
            println!(
                "{:>22} {callers:>8} {:>10.0} {:>9} {:>9} {:>9}",
                if survive_power_failure { "waits for the disk" } else { "survives kill -9" },
                times.len() as f64 / took.as_secs_f64(),
                at(0.5),
                at(0.99),
                times.last().unwrap().as_micros()
            );
        }
    }
}

async fn measure(folder: &Path, options: UsageOptions, callers: usize, records: usize) -> (Vec<Duration>, Duration) {
    let journal = Arc::new(UsageJournal::open(folder.join("usage.sqlite"), options).unwrap());
    let begin = Instant::now();
    let calls: Vec<_> = (0..callers)
        .map(|caller| {
            let journal = Arc::clone(&journal);
            tokio::spawn(async move {
                let mut times = Vec::new();
                for n in 0..records.div_ceil(callers) {
                    let (left, used) = attempt(caller, n);
                    let begin = Instant::now();
                    journal.egress(left).await.unwrap();
                    times.push(begin.elapsed());
                    journal.usage(used);
                }
                times
            })
        })
        .collect();
    let mut times = Vec::new();
    for call in calls {
        times.extend(call.await.unwrap());
    }
    (times, begin.elapsed())
}

fn attempt(caller: usize, n: usize) -> (EgressRecord, UsageRecord) {
    let attempt = AttemptId(format!("att_{caller:x}_{n:x}"));
    let tenant = TenantId::new(format!("firm-{}", caller % 3)).unwrap();
    let left = EgressRecord {
        attempt: attempt.clone(),
        at: Timestamp::now(),
        tenant: tenant.clone(),
        request_id: format!("req_{caller:x}_{n:x}"),
        purpose: Purpose::Suggest,
        provider: "cloud".to_owned(),
        model: "large".to_owned(),
        policy: Egress::RedactThenRemote,
        bytes: 6000,
        redactions: BTreeMap::from([("email".to_owned(), 2), ("person".to_owned(), 3)]),
        reserved: Spending { tokens: 2000, cost: Cost { nanos: 2_000_000 } },
    };
    let used = UsageRecord {
        attempt,
        at: Timestamp::now(),
        tenant,
        request_id: left.request_id.clone(),
        purpose: Purpose::Suggest,
        provider: "cloud".to_owned(),
        model: "large".to_owned(),
        outcome: "ok".to_owned(),
        input_tokens: 1500,
        cached_input_tokens: 0,
        output_tokens: 200,
        cost: Cost { nanos: 1_700_000 },
        ms: 800,
        first_token_ms: Some(200),
    };
    (left, used)
}

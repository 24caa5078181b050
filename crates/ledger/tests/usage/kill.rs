//! `kill -9` while many calls record: what was acknowledged is there.
//!
//! The process that dies is this test executable, started again with [`FOLDER`] in its environment. It writes the name of
//! every acknowledged attempt to its standard output, and the test kills it from outside.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;

use rejoinder_domain::{Journal as _, Purpose};

use crate::records::{egress, everything, open, tenant, usage};

const FOLDER: &str = "REJOINDER_TEST_FOLDER";
const RUN: &str = "REJOINDER_TEST_RUN";

/// The part of the killed process. Not a test: without the environment it does nothing.
#[test]
fn child_of_the_kill_test() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let run = std::env::var(RUN).unwrap();
    let journal = Arc::new(open(&PathBuf::from(folder)));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let calls: Vec<_> = (0..32)
            .map(|call| {
                let (journal, run) = (Arc::clone(&journal), run.clone());
                tokio::spawn(async move {
                    for n in 0.. {
                        let attempt = format!("att_{run}_{call}_{n}");
                        journal.egress(egress(&attempt, "acme", "2026-11-21T18:00:00Z")).await.unwrap();
                        // One write, so that a line is whole or not there.
                        std::io::stdout().lock().write_all(format!("{attempt}\n").as_bytes()).unwrap();
                        if n % 2 == 0 {
                            journal.usage(usage(&attempt, "acme", "2026-11-21T18:00:00Z"));
                        }
                    }
                })
            })
            .collect();
        for call in calls {
            call.await.unwrap();
        }
    });
}

#[test]
fn what_was_acknowledged_survives_kill_9() {
    let folder = tempfile::tempdir().unwrap();
    let mut acknowledged = BTreeSet::new();
    // Over 6 runs on one file: at once, and after checkpoints have begun.
    for (run, lines) in [1, 40, 700, 5, 2500, 90].into_iter().enumerate() {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "kill::child_of_the_kill_test", "--nocapture"])
            .env(FOLDER, folder.path())
            .env(RUN, run.to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut read = |line: &mut String| {
            line.clear();
            output.read_line(line).unwrap() > 0
        };
        let mut line = String::new();
        let before = acknowledged.len();
        while acknowledged.len() < before + lines && read(&mut line) {
            acknowledged.extend(line.trim_end().strip_prefix("att_").map(str::to_owned));
        }
        // SIGKILL on Unix: no destructor runs and nothing is flushed.
        child.kill().unwrap();
        // What it said before it died counts as well.
        while read(&mut line) {
            if line.ends_with('\n') {
                acknowledged.extend(line.trim_end().strip_prefix("att_").map(str::to_owned));
            }
        }
        assert!(!child.wait().unwrap().success());
        assert!(acknowledged.len() >= before + lines, "run {run} died by itself");

        let journal = open(folder.path());
        let audit = journal.audit(&tenant("acme"), &everything()).unwrap();
        let found: BTreeSet<&str> =
            audit.records.iter().filter_map(|record| record.egress.attempt.0.strip_prefix("att_")).collect();
        let lost: Vec<&String> = acknowledged.iter().filter(|name| !found.contains(name.as_str())).collect();
        assert!(lost.is_empty(), "run {run}: acknowledged and lost: {lost:?}");
        // At most the 32 calls that were under way were recorded without anybody having heard of it.
        assert!(found.len() <= acknowledged.len() + 32 * (run + 1));
        let open_attempts = audit.records.iter().filter(|record| record.outcome.is_none()).count() as u64;
        let ended = audit.records.len() as u64 - open_attempts;
        let spent = journal.spent(jiff::Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!((spent.len(), spent[0].purpose), (1, Purpose::Suggest));
        assert_eq!(
            spent[0].spending.tokens,
            ended * 120 + open_attempts * 500,
            "the others count with their reservation"
        );
    }
}

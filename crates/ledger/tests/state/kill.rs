//! `kill -9` while jobs, requests, suggestions and outcomes are written: what was acknowledged is there, whole.
//!
//! The process that dies is this test executable, started again with [`FOLDER`] in its environment.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use rejoinder_ledger::{
    Begun, JobEnd, JobSource, JobState, Ledger, NewJob, OutcomeKind, OutcomeRecorded, RequestKey, StoredResponse,
};

use crate::mail::{at, suggestion, tenant};
use crate::outcomes::outcome;

const FOLDER: &str = "REJOINDER_TEST_STATE_FOLDER";
const RUN: &str = "REJOINDER_TEST_STATE_RUN";

fn job(id: &str) -> NewJob {
    NewJob {
        id: id.to_owned(),
        source: JobSource::Watch,
        name: String::new(),
        path: String::new(),
        bytes: None,
        created: at(0),
    }
}

fn key(id: &str) -> RequestKey<'_> {
    RequestKey { route: "POST /v1/feedback", key: id }
}

fn answer(id: &str) -> StoredResponse {
    StoredResponse { status: 204, content_type: String::new(), headers: Vec::new(), body: id.as_bytes().to_vec() }
}

/// The part of the killed process. Not a test: without the environment it does nothing.
#[test]
fn child_of_the_kill_test() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let run = std::env::var(RUN).unwrap();
    let ledger = Ledger::open(PathBuf::from(folder).join("ledger.sqlite")).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (ledger, run) = (&ledger, &run);
            scope.spawn(move || {
                for n in 0.. {
                    let id = format!("{run}_{thread}_{n}");
                    // One write each, so that a line is whole or not there.
                    let say = |what: &str| {
                        std::io::stdout().lock().write_all(format!("kept {what} {id}\n").as_bytes()).unwrap();
                    };
                    ledger.create_job(&tenant(), &job(&id)).unwrap();
                    say("job");
                    ledger.finish_job(&tenant(), &id, &JobEnd::Completed, None, at(1)).unwrap();
                    say("end");
                    assert_eq!(ledger.begin(&tenant(), key(&id), &[1; 32], at(0)).unwrap(), Begun::Fresh);
                    ledger.record_suggestion(&tenant(), &suggestion(&id)).unwrap();
                    say("suggestion");
                    ledger.record_outcome(&tenant(), &id, &outcome(OutcomeKind::Accepted)).unwrap();
                    say("outcome");
                    ledger.finish(&tenant(), key(&id), &answer(&id), false).unwrap();
                    say("answer");
                }
            });
        }
    });
}

/// Whether what a line says was kept is there.
fn is_there(ledger: &Ledger, line: &str) -> bool {
    let mut words = line.split_whitespace().skip(1);
    let (what, id) = (words.next().unwrap(), words.next().unwrap());
    match what {
        "job" => ledger.job(&tenant(), id).unwrap().is_some(),
        "end" => ledger.job(&tenant(), id).unwrap().is_some_and(|job| job.state == JobState::Completed),
        "suggestion" => ledger.suggestion(&tenant(), id).unwrap().is_some(),
        "outcome" => {
            let accepted = outcome(OutcomeKind::Accepted);
            ledger.record_outcome(&tenant(), id, &accepted).unwrap() == OutcomeRecorded::Same
        }
        "answer" => {
            let begun = ledger.begin(&tenant(), key(id), &[1; 32], at(9)).unwrap();
            begun == Begun::Replay(answer(id))
        }
        other => panic!("{other}"),
    }
}

#[test]
fn what_was_acknowledged_survives_kill_9() {
    let folder = tempfile::tempdir().unwrap();
    let mut acknowledged: Vec<String> = Vec::new();
    for (run, lines) in [1, 30, 400, 3, 1200].into_iter().enumerate() {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "kill::child_of_the_kill_test", "--nocapture"])
            .env(FOLDER, folder.path())
            .env(RUN, run.to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let before = acknowledged.len();
        let mut line = String::new();
        let mut killed = false;
        loop {
            line.clear();
            if output.read_line(&mut line).unwrap() == 0 {
                break;
            }
            // What it said before it died counts as well.
            if line.starts_with("kept ") && line.ends_with('\n') {
                acknowledged.push(line.trim_end().to_owned());
            }
            if !killed && acknowledged.len() >= before + lines {
                // SIGKILL on Unix: no destructor runs and nothing is flushed.
                child.kill().unwrap();
                killed = true;
            }
        }
        assert!(killed, "run {run} died by itself");
        child.wait().unwrap();
        let path = folder.path().join("ledger.sqlite");
        Ledger::check(&path).unwrap();
        let ledger = Ledger::open(&path).unwrap();
        let lost: Vec<&String> = acknowledged.iter().filter(|line| !is_there(&ledger, line)).collect();
        assert!(lost.is_empty(), "run {run}: acknowledged and lost: {lost:?}");
    }
}

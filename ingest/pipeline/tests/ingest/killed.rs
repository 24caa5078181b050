//! `kill -9` of a process that takes single messages, and of one that works on a job.
//!
//! The process that dies is this test executable, started again with [`KIND`] in its environment.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rejoinder_domain::{MessageId, Pool};
use rejoinder_ledger::{JobSource, JobState};
use rejoinder_mail::direction::Ownership;
use rejoinder_pipeline::{Delivery, Intake, JobOrder, JobRunner, NewMessage, RunnerConfig};

use crate::mailboxes::{self, Plan};
use crate::single::messages;
use crate::state::{Site, runtime, tenant};

const KIND: &str = "REJOINDER_TEST_KIND";
const FUSE: &str = "REJOINDER_TEST_KIND_FUSE";
const FOLDER: &str = "REJOINDER_TEST_KIND_FOLDER";

/// The one job of these tests.
const JOB: &str = "job_of_the_kill_tests";

/// The part of the killed process. Not a test: without the environment it does nothing.
#[test]
fn child_of_these_tests() {
    let Ok(kind) = std::env::var(KIND) else { return };
    let folder = PathBuf::from(std::env::var(FOLDER).unwrap());
    let site = Site::with_fuse(&folder.join("data"), &std::env::var(FUSE).unwrap());
    if kind == "single" { deliver(&site, &folder) } else { work(&site, &folder) }
}

/// Delivers all mail, and notes what was answered for.
fn deliver(site: &Site, folder: &Path) {
    let intake = Intake::new(site.pipeline.clone(), Ownership::default());
    let mut acknowledged =
        std::fs::File::options().create(true).append(true).open(folder.join("acknowledged")).unwrap();
    for text in messages(&mailboxes::paths(&folder.join("mail"))) {
        let message = NewMessage::Raw(text.into_bytes());
        let delivery = Delivery { mailbox: "crm".to_owned(), message, direction: None };
        let indexed = runtime().block_on(intake.index_message(&tenant(), delivery)).unwrap();
        writeln!(acknowledged, "{}", indexed.id).unwrap();
    }
}

/// Goes on with the job, or orders it.
fn work(site: &Site, folder: &Path) {
    runtime().block_on(async {
        let runner = JobRunner::start(site.pipeline.clone(), Ownership::default(), RunnerConfig::default(), None);
        let runner = runner.await.unwrap();
        if site.pipeline.ledger.job(&tenant(), JOB).unwrap().is_none() {
            let order = JobOrder {
                id: JOB.to_owned(),
                tenant: tenant(),
                source: JobSource::Inbox,
                name: "mail".to_owned(),
                path: folder.join("mail"),
                bytes: None,
            };
            runner.submit(order).await.unwrap();
        }
        let mut states = runner.subscribe(&tenant(), JOB).await.unwrap().unwrap();
        states.wait_for(|job| job.state.is_final()).await.unwrap();
    });
}

/// Whether the child died as it should; it ends well if it never comes to the point.
fn dies(kind: &str, folder: &Path, fuse: &str) -> bool {
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "killed::child_of_these_tests", "--nocapture"])
        .env(KIND, kind)
        .env(FUSE, fuse)
        .env(FOLDER, folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    !status.unwrap().success()
}

const FUSES: [&str; 12] = [
    "tokenize:1",
    "tokenize:25",
    "embed:1",
    "embed:9",
    "before-upsert:1",
    "before-upsert:8",
    "store-torn:1",
    "store-torn:7",
    "after-upsert:1",
    "after-upsert:12",
    "before-delete:1",
    "after-delete:1",
];

#[test]
fn messages_sent_again_after_a_kill_end_as_if_nothing_had_happened() {
    let clean_folder = tempfile::tempdir().unwrap();
    mailboxes::write(&clean_folder.path().join("mail"), Plan { first: 0, last: 10 });
    let clean = Site::open(&clean_folder.path().join("data"));
    deliver(&clean, clean_folder.path());
    let clean = clean.state();
    let mut died = 0;
    for fuse in FUSES {
        let folder = tempfile::tempdir().unwrap();
        mailboxes::write(&folder.path().join("mail"), Plan { first: 0, last: 10 });
        died += usize::from(dies("single", folder.path(), fuse));
        let site = Site::open(&folder.path().join("data"));
        let acknowledged = std::fs::read_to_string(folder.path().join("acknowledged")).unwrap_or_default();
        let found = site.records(Pool::Passage);
        for id in acknowledged.lines().map(MessageId::from_stored) {
            assert!(found.iter().any(|record| record.message_id == id), "{fuse}: answered for and not there");
            assert!(site.pipeline.ledger.message(&tenant(), &id).unwrap().is_some());
        }
        deliver(&site, folder.path());
        assert!(site.state() == clean, "{fuse}: ledger or store differ");
    }
    assert!(died >= 8, "most children must die, {died} did");
}

#[test]
fn a_job_killed_again_and_again_comes_to_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let paths = mailboxes::write(&folder.path().join("mail"), Plan { first: 0, last: 40 });
    let clean = Site::open(&folder.path().join("clean"));
    clean.ingest(&paths);
    let fuses = ["tokenize:1", "embed:3", "before-upsert:2", "store-torn:3", "after-upsert:4", "optimize:1"];
    let died = fuses.iter().filter(|fuse| dies("job", folder.path(), fuse)).count();
    assert!(died >= 5, "{died} died");
    assert!(!dies("job", folder.path(), "none:0"));
    let site = Site::open(&folder.path().join("data"));
    let job = site.pipeline.ledger.job(&tenant(), JOB).unwrap().unwrap();
    assert_eq!((job.state, job.error), (JobState::Completed, None));
    assert!(site.state() == clean.state());
    assert!(site.pipeline.ledger.unfinished_jobs().unwrap().is_empty());
}

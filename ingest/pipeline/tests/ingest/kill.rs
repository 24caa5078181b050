//! `kill -9` at many points, then a second run: the same index and the same ledger as one clean run.
//!
//! The process that dies is this test executable, started again with [`FUSE`] in its environment.

use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use crate::mailboxes::{self, NAMES, Plan};
use crate::state::{Site, State, account, tenant};

/// Where the child dies, as [`crate::fakes::Fuse`] reads it.
const FUSE: &str = "REJOINDER_TEST_FUSE";
/// The child's data folder, and its mailboxes, separated by line ends.
const FOLDER: &str = "REJOINDER_TEST_FOLDER";
const PATHS: &str = "REJOINDER_TEST_PATHS";

/// The mail before and after it changed: conversations left at the start and came at the end.
const BEFORE: Plan = Plan { first: 0, last: 40 };
const AFTER: Plan = Plan { first: 7, last: 55 };

/// The part of the killed process. Not a test: without the environment it does nothing.
#[test]
fn child_of_the_kill_tests() {
    let Ok(fuse) = std::env::var(FUSE) else { return };
    let folder = PathBuf::from(std::env::var(FOLDER).unwrap());
    let paths: Vec<PathBuf> = std::env::var(PATHS).unwrap().lines().map(PathBuf::from).collect();
    let site = Site::with_fuse(&folder, &fuse);
    // Reading passes neither store nor model, so another thread watches how far it is and dies in the middle of it.
    for name in NAMES {
        let Some(items) = site.embedder.fuse.threshold(name) else { continue };
        let ledger = site.pipeline.ledger.clone();
        std::thread::spawn(move || {
            loop {
                let status = ledger.status(&tenant(), "").unwrap();
                if status.iter().any(|mailbox| mailbox.name == name && !mailbox.complete && mailbox.seen >= items) {
                    std::process::abort();
                }
            }
        });
    }
    site.ingest(&paths);
}

fn spawn(folder: &Path, paths: &[PathBuf], fuse: &str) -> Child {
    let paths: Vec<&str> = paths.iter().map(|path| path.to_str().unwrap()).collect();
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "kill::child_of_the_kill_tests", "--nocapture"])
        .env(FUSE, fuse)
        .env(FOLDER, folder)
        .env(PATHS, paths.join("\n"))
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap()
}

/// Whether the child died as it should; it ends well if it never comes to the point.
fn dies(folder: &Path, paths: &[PathBuf], fuse: &str) -> bool {
    !spawn(folder, paths, fuse).wait().unwrap().success()
}

/// Both mailboxes before and after the change, at the same paths: `switch` puts one or the other there.
struct Mail {
    root: tempfile::TempDir,
    paths: Vec<PathBuf>,
}

impl Mail {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        mailboxes::write(&root.path().join("before"), BEFORE);
        mailboxes::write(&root.path().join("after"), AFTER);
        let live = root.path().join("live");
        let paths = NAMES.iter().map(|name| live.join(name)).collect();
        std::fs::create_dir(live).unwrap();
        let mail = Self { root, paths };
        mail.switch("before");
        mail
    }

    fn switch(&self, to: &str) {
        for path in &self.paths {
            let from = self.root.path().join(to).join(path.file_name().unwrap());
            std::fs::copy(&from, path).unwrap();
            // The same time for the same content: a copy must not look like a change.
            let time = std::time::SystemTime::UNIX_EPOCH + Duration::from_hours(490_000);
            std::fs::File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
        }
    }
}

fn assert_same(state: &State, clean: &State, what: &str) {
    assert_eq!(state.passages.len(), clean.passages.len(), "{what}: number of passages");
    assert_eq!(state.reply_pairs.len(), clean.reply_pairs.len(), "{what}: number of reply pairs");
    assert!(state == clean, "{what}: ledger or store differ from a clean run's");
}

/// Each point with the passages at which the child dies there.
const POINTS: [(&str, &[u64]); 10] = [
    ("Archive.mbox", &[1]),
    ("Inbox.mbox", &[1, 6, 30]),
    ("Sent.mbox", &[1, 20]),
    ("tokenize", &[1, 50, 200]),
    ("embed", &[1, 7, 30]),
    ("before-upsert", &[1, 4, 12]),
    ("store-torn", &[1, 4, 12]),
    ("after-upsert", &[1, 4, 12]),
    ("optimize", &[1]),
    ("none", &[0]),
];

#[test]
fn a_first_ingest_killed_anywhere_ends_like_a_clean_one() {
    let mail = Mail::new();
    let clean_folder = tempfile::tempdir().unwrap();
    let clean_site = Site::open(clean_folder.path());
    let clean_report = account(clean_site.ingest(&mail.paths));
    let clean = clean_site.state();
    assert!(clean.passages.len() > 100 && clean.reply_pairs.len() == 40, "the mail makes a real index");
    let mut died = 0;
    for (point, passages) in POINTS {
        for passage in passages {
            let fuse = format!("{point}:{passage}");
            let folder = tempfile::tempdir().unwrap();
            died += usize::from(dies(folder.path(), &mail.paths, &fuse));
            let site = Site::open(folder.path());
            assert_eq!(account(site.ingest(&mail.paths)), clean_report, "{fuse}");
            assert_same(&site.state(), &clean, &fuse);
        }
    }
    assert!(died >= 12, "most children must die, {died} did");
}

#[test]
fn a_changed_mailbox_killed_anywhere_ends_like_a_clean_one() {
    let mail = Mail::new();
    let ingested = |fuses: &[String]| {
        mail.switch("before");
        let folder = tempfile::tempdir().unwrap();
        Site::open(folder.path()).ingest(&mail.paths);
        mail.switch("after");
        let died = fuses.iter().filter(|fuse| dies(folder.path(), &mail.paths, fuse)).count();
        let site = Site::open(folder.path());
        let report = site.ingest(&mail.paths);
        (account(report), site.state(), died)
    };
    let (clean_report, clean, _) = ingested(&[]);
    let fresh_folder = tempfile::tempdir().unwrap();
    let fresh = Site::open(fresh_folder.path());
    fresh.ingest(&mail.paths);
    assert_same(&clean, &fresh.state(), "a changed mailbox is as one read for the first time");
    let mut died = 0;
    let more = [("before-delete", [1, 2].as_slice()), ("after-delete", &[1, 2])];
    for (point, passages) in POINTS.into_iter().chain(more) {
        for passage in passages {
            let fuse = format!("{point}:{passage}");
            let (report, state, dead) = ingested(std::slice::from_ref(&fuse));
            died += dead;
            assert_eq!(report, clean_report, "{fuse}");
            assert_same(&state, &clean, &fuse);
        }
    }
    assert!(died >= 12, "most children must die, {died} did");
    // One data folder, killed again and again on its way.
    let fuses = ["after-delete:1", "tokenize:1", "store-torn:1", "after-upsert:1", "embed:1", "optimize:1"];
    let (report, state, died) = ingested(&fuses.map(str::to_owned));
    assert!(died >= 5, "{died} died");
    assert_eq!(report, clean_report);
    assert_same(&state, &clean, "killed many times");
}

#[test]
fn sigkill_at_any_time_ends_like_a_clean_run() {
    let mail = Mail::new();
    let clean_folder = tempfile::tempdir().unwrap();
    let clean_site = Site::open(clean_folder.path());
    clean_site.ingest(&mail.paths);
    let clean = clean_site.state();
    // Later and later, until a child ends before it is killed: however slow the machine is, some die on their way.
    let mut delay = Duration::from_millis(15);
    let mut killed = 0;
    loop {
        let folder = tempfile::tempdir().unwrap();
        let mut child = spawn(folder.path(), &mail.paths, "none:0");
        std::thread::sleep(delay);
        let ended = child.try_wait().unwrap().is_some();
        // SIGKILL on Unix.
        child.kill().unwrap();
        child.wait().unwrap();
        let site = Site::open(folder.path());
        site.ingest(&mail.paths);
        assert_same(&site.state(), &clean, &format!("killed after {delay:?}"));
        if ended {
            break;
        }
        killed += 1;
        delay = delay * 3 / 2;
    }
    assert!(killed >= 2, "{killed} were killed before their end");
}

//! Jobs: turns, cancelling, restarts, uploads, and a watched folder.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rejoinder_domain::{Pool, TenantId};
use rejoinder_ledger::{ItemStatus, JobRecord, JobSource, JobState};
use rejoinder_mail::direction::Ownership;
use rejoinder_pipeline::{
    Cancel, IngestError, JobOrder, JobProgress, JobRunner, RunnerConfig, Watch, WatchConfig, fresh_job_id,
};

use crate::mailboxes::{self, Plan};
use crate::state::{Site, account, runtime, tenant};

fn order(tenant: &TenantId, path: &Path) -> JobOrder {
    JobOrder {
        id: fresh_job_id(),
        tenant: tenant.clone(),
        source: JobSource::Inbox,
        name: "mail".to_owned(),
        path: path.to_owned(),
        bytes: None,
    }
}

async fn runner(site: &Site) -> JobRunner {
    runner_with(site, RunnerConfig::default()).await
}

async fn runner_with(site: &Site, config: RunnerConfig) -> JobRunner {
    JobRunner::start(site.pipeline.clone(), Ownership::default(), config, None).await.unwrap()
}

/// The job when it has ended.
async fn ended(runner: &JobRunner, tenant: &TenantId, id: &str) -> JobRecord {
    let mut states = runner.subscribe(tenant, id).await.unwrap().unwrap();
    loop {
        let job = states.borrow_and_update().clone();
        if job.state.is_final() {
            return job;
        }
        states.changed().await.unwrap();
    }
}

fn progress(job: &JobRecord) -> JobProgress {
    serde_json::from_value(job.progress.clone().unwrap()).unwrap()
}

fn other(name: &str) -> TenantId {
    TenantId::new(name).unwrap()
}

#[test]
fn a_job_ends_as_an_ingest_does_with_an_account_of_its_items() {
    let folder = tempfile::tempdir().unwrap();
    let mail = folder.path().join("mail");
    let paths = mailboxes::write(&mail, Plan { first: 0, last: 30 });
    std::fs::write(mail.join("notes.txt"), "no mail").unwrap();
    let clean = Site::open(&folder.path().join("clean"));
    let report = clean.ingest(&paths);
    let site = Site::open(&folder.path().join("data"));
    let job = runtime().block_on(async {
        let runner = runner(&site).await;
        let job = runner.submit(order(&tenant(), &mail)).await.unwrap();
        assert_eq!(job.state, JobState::Queued);
        let twice = JobOrder { id: job.id.clone(), ..order(&tenant(), &mail) };
        assert!(matches!(runner.submit(twice).await, Err(IngestError::Ledger(_))));
        let job = ended(&runner, &tenant(), &job.id).await;
        runner.shutdown().await;
        job
    });
    assert_eq!((job.state, job.error.clone()), (JobState::Completed, None));
    let told = progress(&job);
    assert_eq!(
        (told.seen, told.indexed, told.duplicate, told.skipped, told.pending),
        (report.seen + 1, report.indexed, report.duplicate, report.skipped + 1, 0),
        "the notes are one more"
    );
    assert_eq!(told.pairs, Some(report.pairs));
    assert!(site.state() == clean.state());
    let ledger = &site.pipeline.ledger;
    let items = |status| ledger.job_items(&tenant(), &job.id, status, None, 1000).unwrap().items;
    assert_eq!(items(Some(ItemStatus::Indexed)).len() as u64, report.indexed);
    assert_eq!(items(Some(ItemStatus::Skipped)).len() as u64, report.skipped);
}

#[test]
fn tenants_take_turns_and_each_has_one_job_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let site = Site::open(&folder.path().join("data"));
    let mail: Vec<PathBuf> = (0..4)
        .map(|n| {
            let mail = folder.path().join(format!("mail{n}"));
            mailboxes::write(&mail, Plan { first: n * 3, last: n * 3 + 3 });
            mail
        })
        .collect();
    let order_of_ends = runtime().block_on(async {
        let config = RunnerConfig { concurrent_jobs: 1, ..RunnerConfig::default() };
        let runner = runner_with(&site, config).await;
        let mut jobs = Vec::new();
        // One tenant floods; the other comes last.
        for path in &mail {
            jobs.push(runner.submit(order(&tenant(), path)).await.unwrap());
        }
        jobs.push(runner.submit(order(&other("small"), &mail[0])).await.unwrap());
        let mut ends = Vec::new();
        for job in jobs {
            let job = ended(&runner, &job.tenant, &job.id).await;
            assert_eq!(job.state, JobState::Completed);
            ends.push((job.finished.unwrap(), job.tenant));
        }
        assert_eq!(runner.load(), (0, 0));
        ends.sort();
        ends.into_iter().map(|(_, tenant)| tenant).collect::<Vec<_>>()
    });
    let place = order_of_ends.iter().position(|tenant| *tenant == other("small")).unwrap();
    assert!(place <= 2, "it did not wait for all four of the other: {order_of_ends:?}");
}

#[test]
fn a_cancelled_job_says_so_and_another_goes_on_from_there() {
    let folder = tempfile::tempdir().unwrap();
    let mail = folder.path().join("mail");
    let paths = mailboxes::write(&mail, Plan { first: 0, last: 300 });
    let clean = Site::open(&folder.path().join("clean"));
    let clean_report = account(clean.ingest(&paths));
    let site = Site::open(&folder.path().join("data"));
    let uploads = folder.path().join("uploads");
    let spool = uploads.join("job_1");
    mailboxes::write(&spool, Plan { first: 0, last: 2 });
    runtime().block_on(async {
        let config = RunnerConfig { uploads: Some(uploads.clone()), ..RunnerConfig::default() };
        let runner = runner_with(&site, config).await;
        let running = runner.submit(order(&tenant(), &mail)).await.unwrap();
        let upload = JobOrder { source: JobSource::Upload, ..order(&tenant(), &spool) };
        let waiting = runner.submit(upload).await.unwrap();
        let mut states = runner.subscribe(&tenant(), &running.id).await.unwrap().unwrap();
        states.wait_for(|job| job.state == JobState::Running && job.progress.is_some()).await.unwrap();
        // The one that waits ends at once, and its files go.
        let cancelled = runner.cancel(&tenant(), &waiting.id).await.unwrap().unwrap();
        assert_eq!(cancelled.state, JobState::Cancelled);
        assert!(!spool.exists() && uploads.exists());
        assert_eq!(ended(&runner, &tenant(), &waiting.id).await.state, JobState::Cancelled);
        runner.cancel(&tenant(), &running.id).await.unwrap().unwrap();
        let job = ended(&runner, &tenant(), &running.id).await;
        assert_eq!(job.state, JobState::Cancelled);
        assert!(progress(&job).pending > 0 || progress(&job).seen < clean_report.seen, "{:?}", job.progress);
        assert!(runner.cancel(&tenant(), "job_none").await.unwrap().is_none());
        let again = runner.submit(order(&tenant(), &mail)).await.unwrap();
        assert_eq!(ended(&runner, &tenant(), &again.id).await.state, JobState::Completed);
        runner.shutdown().await;
    });
    assert_eq!(account(site.ingest(&paths)), clean_report);
    assert!(site.state() == clean.state());
}

#[test]
fn a_token_stops_an_ingest() {
    let folder = tempfile::tempdir().unwrap();
    let paths = mailboxes::write(&folder.path().join("mail"), Plan { first: 0, last: 100 });
    let site = Site::open(&folder.path().join("data"));
    let cancel = Cancel::default();
    cancel.clone().cancel();
    let report = site.ingest_watched(&paths, &cancel);
    assert!(report.cancelled && (report.pending > 0 || report.seen == 0), "{report:?}");
    assert_eq!(site.ingest(&paths).pending, 0);
}

#[test]
fn what_a_stopped_process_left_is_continued() {
    let folder = tempfile::tempdir().unwrap();
    let mail = folder.path().join("mail");
    let paths = mailboxes::write(&mail, Plan { first: 0, last: 200 });
    let clean = Site::open(&folder.path().join("clean"));
    clean.ingest(&paths);
    for polite in [true, false] {
        let data = folder.path().join(format!("data-{polite}"));
        let (first, second) = {
            let site = Site::open(&data);
            let runtime = runtime();
            runtime.block_on(async {
                let runner = runner(&site).await;
                let first = runner.submit(order(&tenant(), &mail)).await.unwrap();
                let second = runner.submit(order(&tenant(), &mail)).await.unwrap();
                let mut states = runner.subscribe(&tenant(), &first.id).await.unwrap().unwrap();
                states.wait_for(|job| job.state == JobState::Running && job.progress.is_some()).await.unwrap();
                if polite {
                    runner.shutdown().await;
                    assert!(states.wait_for(|job| job.state.is_final()).await.is_err(), "it has not ended");
                }
                (first.id, second.id)
            })
            // Otherwise everything is dropped where it stands.
        };
        let site = Site::open(&data);
        let left: Vec<JobState> =
            site.pipeline.ledger.unfinished_jobs().unwrap().into_iter().map(|job| job.state).collect();
        assert_eq!(left, [JobState::Running, JobState::Queued]);
        runtime().block_on(async {
            let runner = runner(&site).await;
            for id in [&first, &second] {
                let job = ended(&runner, &tenant(), id).await;
                assert_eq!((job.state, job.error), (JobState::Completed, None));
            }
        });
        assert!(site.state() == clean.state(), "polite: {polite}");
    }
}

#[test]
fn files_of_uploads_go_unless_the_job_failed() {
    let folder = tempfile::tempdir().unwrap();
    let uploads = folder.path().join("uploads");
    let (good, bad) = (uploads.join("good"), uploads.join("bad"));
    mailboxes::write(&good, Plan { first: 0, last: 3 });
    std::fs::create_dir_all(&bad).unwrap();
    std::fs::write(bad.join("secret-name.txt"), "no mail").unwrap();
    let outside = folder.path().join("outside");
    mailboxes::write(&outside, Plan { first: 0, last: 3 });
    let site = Site::open(&folder.path().join("data"));
    let config = RunnerConfig { uploads: Some(uploads), ..RunnerConfig::default() };
    let failed = runtime().block_on(async {
        let runner = runner_with(&site, config.clone()).await;
        let mut ends = Vec::new();
        for path in [&good, &bad, &outside] {
            let upload = JobOrder { source: JobSource::Upload, ..order(&tenant(), path) };
            let job = runner.submit(upload).await.unwrap();
            ends.push(ended(&runner, &tenant(), &job.id).await);
        }
        runner.shutdown().await;
        let states: Vec<JobState> = ends.iter().map(|job| job.state).collect();
        assert_eq!(states, [JobState::Completed, JobState::Failed, JobState::Completed]);
        ends.swap_remove(1)
    });
    assert!(!good.exists() && bad.exists() && outside.exists(), "nothing outside the uploads is deleted");
    let error = failed.error.unwrap();
    assert!(error.contains("no mailbox") && !error.contains("secret-name"), "{error}");
    assert_eq!(site.state().reply_pairs.len(), 3, "what was read of an upload stays when its file goes");
    // Long after, the next start clears up.
    runtime().block_on(async {
        let config = RunnerConfig { keep_failed_uploads: Duration::ZERO, ..config };
        tokio::time::sleep(Duration::from_millis(1100)).await;
        runner_with(&site, config).await;
    });
    assert!(!bad.exists());
}

/// Until the folder has been looked at often enough, or for ten seconds.
async fn until(mut is_so: impl FnMut() -> bool) {
    for _ in 0..1000 {
        if is_so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it did not come to that");
}

#[test]
fn a_watched_folder_is_taken_file_by_file_and_nothing_twice() {
    let folder = tempfile::tempdir().unwrap();
    let (watched, outside) = (folder.path().join("watched"), folder.path().join("outside"));
    let paths = mailboxes::write(&outside, Plan { first: 0, last: 4 });
    std::fs::create_dir_all(watched.join("sub")).unwrap();
    std::fs::copy(&paths[1], watched.join("sub/first.mbox")).unwrap();
    std::fs::copy(&paths[1], watched.join("late.mbox.part")).unwrap();
    std::fs::write(watched.join("notes.txt"), "no mail").unwrap();
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(&paths[2], watched.join("link.mbox")).unwrap();
        std::os::unix::fs::symlink(&outside, watched.join("linked")).unwrap();
    }
    let config = WatchConfig {
        poll: Duration::from_millis(20),
        settle: Duration::from_millis(60),
        patience: Duration::from_mins(1),
    };
    let names = |site: &Site| {
        let page = site.pipeline.ledger.jobs(&tenant(), None, 100).unwrap();
        let mut names: Vec<(String, JobState)> = page
            .jobs
            .into_iter()
            .filter(|job| job.source == JobSource::Watch)
            .map(|job| (job.name, job.state))
            .collect();
        names.sort_by(|a, b| a.0.cmp(&b.0));
        names
    };
    let all_ended = |site: &Site, count: usize| {
        let names = names(site);
        names.len() == count && names.iter().all(|(_, state)| state.is_final())
    };
    for round in 0..2 {
        // In the second round everything was opened anew: nothing is taken again.
        let site = Site::open(&folder.path().join("data"));
        runtime().block_on(async {
            let runner = runner(&site).await;
            let watch = Watch::start(runner.clone(), tenant(), &watched, config.clone()).unwrap();
            let before = if round == 0 { 2 } else { 4 };
            until(|| all_ended(&site, before)).await;
            tokio::time::sleep(Duration::from_millis(300)).await;
            assert_eq!(names(&site).len(), before, "{:?}", names(&site));
            if round == 0 {
                // It got its name, and a Maildir got mail.
                std::fs::rename(watched.join("late.mbox.part"), watched.join("late.mbox")).unwrap();
                maildir(&watched.join("Mail"), 1);
                until(|| all_ended(&site, 4)).await;
            } else {
                maildir(&watched.join("Mail"), 2);
                until(|| all_ended(&site, 5)).await;
            }
            watch.stop().await;
            runner.shutdown().await;
        });
        let ended = names(&site);
        let of = |name: &str| ended.iter().filter(|(n, _)| n == name).map(|(_, state)| *state).collect::<Vec<_>>();
        assert_eq!(of("first.mbox"), [JobState::Completed]);
        assert_eq!(of("notes.txt"), [JobState::Failed], "it is told, once");
        assert_eq!(of("Mail").len(), round + 1);
        assert!(of("link.mbox").is_empty());
        let found =
            site.records(Pool::Passage).iter().filter(|record| record.subject.starts_with("In the Maildir")).count();
        assert_eq!(found, round + 1);
    }
}

fn maildir(root: &Path, n: usize) {
    for name in ["cur", "new", "tmp"] {
        std::fs::create_dir_all(root.join(name)).unwrap();
    }
    let mail = format!(
        "From: a@else.example\nSubject: In the Maildir {n}\nMessage-ID: <m{n}@else.example>\n\nThe text of message {n}.\n"
    );
    std::fs::write(root.join("tmp").join(n.to_string()), mail).unwrap();
    std::fs::rename(root.join("tmp").join(n.to_string()), root.join("new").join(n.to_string())).unwrap();
}

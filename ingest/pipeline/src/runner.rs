//! Works on jobs: durable, one per tenant at a time, fair over tenants.
//!
//! The ledger holds the queue; what is here is only who is at work. A process that starts takes up what the one before left,
//! in the order in which it was ordered, and since reading is idempotent a job goes on where its mailboxes stopped. Tenants
//! take turns: whoever's job just ran queues behind the others.
//!
//! Files of an upload are deleted when its job is completed or cancelled. Those of a failed one stay, so that an operator can
//! see to them or have them read again; after [`RunnerConfig::keep_failed_uploads`] the next start deletes them.

use std::collections::{HashMap, HashSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use rejoinder_domain::{ErrorKind, TenantId};
use rejoinder_ledger::{JobEnd, JobRecord, JobSignal, JobSource, JobState, Ledger, LedgerError, NewJob};
use rejoinder_mail::direction::Ownership;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

use crate::jobs::{JobOrder, JobProgress};
use crate::progress::{Cancel, Observer};
use crate::{IngestError, IngestReport, Pipeline, Progress};

/// How often a running job is told to the ledger.
const TICK: Duration = Duration::from_secs(1);

/// How long a job waits when another process ingests for its tenant, or a part fails for the moment.
const WAIT: Duration = Duration::from_secs(2);

/// How often a failure that may pass is tried again.
const MAX_RETRIES: u32 = 5;

/// How jobs are worked on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunnerConfig {
    /// How many jobs run at once, each of another tenant. One embedding model serves them all, so more is not faster, only
    /// fairer.
    pub concurrent_jobs: usize,
    /// The folder that uploads lie in; files are deleted below it only. Without it none are.
    pub uploads: Option<PathBuf>,
    /// How long files of failed uploads stay.
    pub keep_failed_uploads: Duration,
}

impl Default for RunnerConfig {
    fn default() -> Self {
        Self { concurrent_jobs: 2, uploads: None, keep_failed_uploads: Duration::from_hours(7 * 24) }
    }
}

/// Called after an ingest that left nothing pending, before its job is completed.
pub type AfterIngest = Arc<dyn Fn(&TenantId, &IngestReport) -> AfterFuture + Send + Sync>;
/// What it returns.
pub type AfterFuture = std::pin::Pin<Box<dyn Future<Output = Result<(), IngestError>> + Send>>;

/// Works on jobs. Cheap to clone; all clones are the same runner.
#[derive(Clone)]
pub struct JobRunner {
    shared: Arc<Shared>,
}

struct Shared {
    pipeline: Pipeline,
    ownership: Ownership,
    config: RunnerConfig,
    after: Option<AfterIngest>,
    queue: Mutex<Queue>,
    /// Something changed in the queue.
    changed: Notify,
    /// The one task that starts jobs.
    starter: tokio::sync::Mutex<Option<tokio::task::JoinHandle<()>>>,
}

type Key = (TenantId, String);

#[derive(Default)]
struct Queue {
    /// Tenants that have a job waiting, in the order of their turns.
    turns: VecDeque<TenantId>,
    waiting: HashMap<TenantId, VecDeque<String>>,
    running: HashSet<TenantId>,
    live: HashMap<Key, Live>,
    stopping: bool,
}

/// A job that has not ended.
struct Live {
    state: watch::Sender<JobRecord>,
    cancel: Cancel,
}

impl JobRunner {
    /// Starts working, on what an earlier process left first. Needs a tokio runtime.
    ///
    /// # Errors
    /// [`IngestError::Ledger`] when the ledger cannot be read; [`IngestError::Config`] for no concurrent job at all.
    pub async fn start(
        pipeline: Pipeline,
        ownership: Ownership,
        config: RunnerConfig,
        after: Option<AfterIngest>,
    ) -> Result<Self, IngestError> {
        if config.concurrent_jobs == 0 {
            return Err(IngestError::Config("concurrent_jobs is 0; set it to at least 1".to_owned()));
        }
        let shared = Arc::new(Shared {
            pipeline,
            ownership,
            config,
            after,
            queue: Mutex::default(),
            changed: Notify::new(),
            starter: tokio::sync::Mutex::new(None),
        });
        let of = Arc::clone(&shared);
        let left = of_ledger(&shared, move |ledger| {
            let left = ledger.unfinished_jobs()?;
            of.delete_old_uploads(ledger)?;
            Ok(left)
        })
        .await?;
        for job in left {
            if job.cancel_requested {
                end(&shared, &job, JobEnd::Cancelled, None).await?;
            } else {
                shared.lock().enqueue(job);
            }
        }
        let starter = tokio::spawn(start_jobs(Arc::clone(&shared)));
        *shared.starter.lock().await = Some(starter);
        Ok(Self { shared })
    }

    /// Queues a job; it outlives the process from here on.
    ///
    /// # Errors
    /// [`LedgerError::Exists`] in [`IngestError::Ledger`] where the tenant has a job of this id.
    pub async fn submit(&self, order: JobOrder) -> Result<JobRecord, IngestError> {
        let tenant = order.tenant.clone();
        let new = NewJob {
            id: order.id,
            source: order.source,
            name: order.name,
            path: order
                .path
                .to_str()
                .ok_or_else(|| IngestError::Refused("the path is not Unicode".to_owned()))?
                .to_owned(),
            bytes: order.bytes,
            created: Timestamp::now(),
        };
        let job = of_ledger(&self.shared, move |ledger| ledger.create_job(&tenant, &new)).await?;
        self.shared.lock().enqueue(job.clone());
        self.shared.changed.notify_one();
        Ok(job)
    }

    /// The job as it is now and from now on, some times a second while it runs. The last value is final; after it the
    /// channel closes. `None` where there is no such job.
    pub async fn subscribe(
        &self,
        tenant: &TenantId,
        id: &str,
    ) -> Result<Option<watch::Receiver<JobRecord>>, IngestError> {
        let key = (tenant.clone(), id.to_owned());
        if let Some(live) = self.shared.lock().live.get(&key) {
            return Ok(Some(live.state.subscribe()));
        }
        let job = of_ledger(&self.shared, move |ledger| ledger.job(&key.0, &key.1)).await?;
        Ok(job.map(|job| watch::channel(job).1))
    }

    /// Asks to stop a job: a queued one has ended when this returns, a running one stops within one batch. What was read stays
    /// and the files of an upload go. `None` where there is no such job; one that has ended stays as it is.
    pub async fn cancel(&self, tenant: &TenantId, id: &str) -> Result<Option<JobRecord>, IngestError> {
        let key = (tenant.clone(), id.to_owned());
        let of = key.clone();
        let asked =
            of_ledger(&self.shared, move |ledger| ledger.request_cancel(&of.0, &of.1, Timestamp::now())).await?;
        let Some(job) = asked else { return Ok(None) };
        let ended = {
            let mut queue = self.shared.lock();
            match queue.live.get(&key) {
                Some(live) => live.cancel.cancel(),
                None => return Ok(Some(job)),
            }
            if job.state == JobState::Cancelled { queue.leave(&key, &job) } else { false }
        };
        if ended {
            self.shared.delete_upload(&job).await;
        }
        Ok(Some(job))
    }

    /// How many jobs wait and how many run.
    pub fn load(&self) -> (usize, usize) {
        let queue = self.shared.lock();
        (queue.waiting.values().map(VecDeque::len).sum(), queue.running.len())
    }

    /// Stops: running jobs within one batch, to be continued at the next start. Nothing is lost if the process dies instead.
    pub async fn shutdown(&self) {
        {
            let mut queue = self.shared.lock();
            queue.stopping = true;
            queue.live.values().for_each(|live| live.cancel.cancel());
        }
        self.shared.changed.notify_one();
        if let Some(starter) = self.shared.starter.lock().await.take() {
            let _ = starter.await;
        }
        // Whoever watches a job is told that nothing more will come.
        self.shared.lock().live.clear();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the path is one of an upload, so that it may be deleted.
    fn is_upload(&self, path: &Path) -> bool {
        let Some(uploads) = self.config.uploads.as_ref().and_then(|uploads| std::fs::canonicalize(uploads).ok()) else {
            return false;
        };
        std::fs::canonicalize(path).is_ok_and(|path| path != uploads && path.starts_with(&uploads))
    }

    /// Deletes the files of an upload. What cannot be deleted is told to the operator.
    async fn delete_upload(self: &Arc<Self>, job: &JobRecord) {
        if job.source != JobSource::Upload {
            return;
        }
        let (shared, path, id) = (Arc::clone(self), PathBuf::from(&job.path), job.id.clone());
        let _ = tokio::task::spawn_blocking(move || shared.delete_files(&path, &id)).await;
    }

    fn delete_files(&self, path: &Path, id: &str) {
        if !self.is_upload(path) {
            return;
        }
        let deleted = match std::fs::symlink_metadata(path) {
            Ok(metadata) if metadata.is_dir() => std::fs::remove_dir_all(path),
            Ok(_) => std::fs::remove_file(path),
            Err(error) => Err(error),
        };
        if let Err(error) = deleted {
            tracing::warn!(job = id, error = %error.kind(), "the files of an upload could not be deleted");
        }
    }

    /// Deletes the files of uploads that failed long ago, of every tenant.
    fn delete_old_uploads(&self, ledger: &Ledger) -> Result<(), LedgerError> {
        if self.config.uploads.is_none() {
            return Ok(());
        }
        let age = i64::try_from(self.config.keep_failed_uploads.as_secs()).unwrap_or(i64::MAX);
        let before = Timestamp::now().as_second().saturating_sub(age);
        for tenant in ledger.tenants()? {
            let mut after: Option<String> = None;
            loop {
                let page = ledger.jobs(&tenant, after.as_deref(), 200)?;
                let old = |job: &&JobRecord| job.finished.is_some_and(|at| at.as_second() < before);
                for job in page.jobs.iter().filter(|job| job.source == JobSource::Upload).filter(old) {
                    if Path::new(&job.path).exists() {
                        self.delete_files(Path::new(&job.path), &job.id);
                    }
                }
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
        }
        Ok(())
    }
}

impl Queue {
    fn enqueue(&mut self, job: JobRecord) {
        let key = (job.tenant.clone(), job.id.clone());
        let waiting = self.waiting.entry(job.tenant.clone()).or_default();
        if waiting.is_empty() {
            self.turns.push_back(job.tenant.clone());
        }
        waiting.push_back(job.id.clone());
        self.live.insert(key, Live { state: watch::channel(job).0, cancel: Cancel::default() });
    }

    /// The next job whose tenant has none running.
    fn next(&mut self) -> Option<(Key, Cancel)> {
        let at = self.turns.iter().position(|tenant| !self.running.contains(tenant))?;
        let tenant = self.turns.remove(at)?;
        let waiting = self.waiting.get_mut(&tenant)?;
        let id = waiting.pop_front()?;
        if waiting.is_empty() {
            self.waiting.remove(&tenant);
        } else {
            self.turns.push_back(tenant.clone());
        }
        self.running.insert(tenant.clone());
        let key = (tenant, id);
        let cancel = self.live.get(&key).map(|live| live.cancel.clone()).unwrap_or_default();
        Some((key, cancel))
    }

    /// Takes out a job that has ended, telling so whoever watches it. Whether it was there and did not run.
    fn leave(&mut self, key: &Key, job: &JobRecord) -> bool {
        let mut waited = false;
        if let Some(waiting) = self.waiting.get_mut(&key.0) {
            let before = waiting.len();
            waiting.retain(|id| *id != key.1);
            waited = waiting.len() < before;
            if waiting.is_empty() {
                self.waiting.remove(&key.0);
                self.turns.retain(|tenant| *tenant != key.0);
            }
        }
        if let Some(live) = self.live.remove(key) {
            live.state.send_replace(job.clone());
        }
        waited
    }
}

/// Starts jobs as long as there are some and places are free.
async fn start_jobs(shared: Arc<Shared>) {
    let mut running: JoinSet<()> = JoinSet::new();
    loop {
        while running.len() < shared.config.concurrent_jobs {
            let next = {
                let mut queue = shared.lock();
                if queue.stopping { None } else { queue.next() }
            };
            let Some((key, cancel)) = next else { break };
            let shared = Arc::clone(&shared);
            running.spawn(async move {
                work(&shared, &key, &cancel).await;
                shared.lock().running.remove(&key.0);
            });
        }
        if shared.lock().stopping {
            while running.join_next().await.is_some() {}
            return;
        }
        tokio::select! {
            () = shared.changed.notified() => {}
            Some(_) = running.join_next() => {}
        }
    }
}

/// Works on one job to its end, or until the runner stops.
async fn work(shared: &Arc<Shared>, key: &Key, cancel: &Cancel) {
    let of = key.clone();
    let started = of_ledger(shared, move |ledger| ledger.start_job(&of.0, &of.1, Timestamp::now())).await;
    let job = match started {
        Ok(Some(job)) => job,
        // Somebody else ended it.
        Ok(None) => return settle(shared, key).await,
        Err(error) => {
            tracing::error!(job = key.1, kind = error.kind().outcome(), "a job could not be started");
            return;
        }
    };
    if let Some(live) = shared.lock().live.get(key) {
        live.state.send_replace(job.clone());
    }
    tracing::info!(tenant = %key.0, job = key.1, "job started");
    let result = ingest(shared, &job, cancel).await;
    let stopping = shared.lock().stopping;
    let (how, progress) = match &result {
        Ok(report) if report.cancelled => {
            let asked = of_ledger(shared, {
                let of = key.clone();
                move |ledger| ledger.job(&of.0, &of.1)
            })
            .await;
            let asked = asked.ok().flatten().is_some_and(|job| job.cancel_requested);
            if stopping && !asked {
                // It stays as running in the ledger: the next start goes on with it.
                return;
            }
            (JobEnd::Cancelled, Some(JobProgress::at_end(report)))
        }
        Ok(report) if report.sources == 0 && report.skipped > 0 => {
            let why = format!("no mailbox of a known format was found in it ({} files looked at)", report.skipped);
            (JobEnd::Failed(why), Some(JobProgress::at_end(report)))
        }
        Ok(report) => (JobEnd::Completed, Some(JobProgress::at_end(report))),
        Err(_) if stopping => return,
        // The sentences of our errors hold no text of a message; their causes may hold paths and are for the log.
        Err(error) => (JobEnd::Failed(error.to_string()), None),
    };
    if let Err(error) = end(shared, &job, how, progress).await {
        tracing::error!(
            job = key.1,
            kind = error.kind().outcome(),
            "the end of a job could not be written; it is run again"
        );
    }
}

/// Ingests, trying again what may pass.
async fn ingest(shared: &Arc<Shared>, job: &JobRecord, cancel: &Cancel) -> Result<IngestReport, IngestError> {
    let paths = [PathBuf::from(&job.path)];
    let mut tries = 0;
    loop {
        let result = ingest_once(shared, job, &paths, cancel).await;
        let error = match result {
            Ok(report) => return Ok(report),
            Err(error) => error,
        };
        let busy = matches!(error, IngestError::Ledger(LedgerError::Busy));
        let passes = busy || matches!(error.kind(), ErrorKind::Transient | ErrorKind::RateLimited { .. });
        tries += u32::from(!busy);
        if !passes || tries > MAX_RETRIES || (cancel.is_cancelled() && !busy) {
            tracing::warn!(job = job.id, kind = error.kind().outcome(), cause = ?std::error::Error::source(&error).map(ToString::to_string), "job failed");
            return Err(error);
        }
        if cancel.is_cancelled() {
            // Another process holds the tenant; nothing was done and nothing will be.
            return Ok(IngestReport { cancelled: true, ..IngestReport::default() });
        }
        tokio::time::sleep(WAIT * tries.max(1)).await;
    }
}

async fn ingest_once(
    shared: &Arc<Shared>,
    job: &JobRecord,
    paths: &[PathBuf],
    cancel: &Cancel,
) -> Result<IngestReport, IngestError> {
    let watcher = Watcher { shared, job, cancel, latest: Mutex::new(None) };
    let (ledger, tenant, id) = (Arc::clone(&shared.pipeline.ledger), job.tenant.clone(), job.id.clone());
    let on_mailbox = Box::new(move |mailbox: &rejoinder_domain::MailboxId| {
        ledger.job_reads(&tenant, &id, mailbox).map_err(IngestError::Ledger)
    });
    let ingest = shared.pipeline.ingest_noted(&job.tenant, paths, &shared.ownership, &watcher, Some(on_mailbox));
    let report = tokio::select! {
        report = ingest => report?,
        never = watcher.tell_ledger() => match never {},
    };
    if report.pending == 0
        && let Some(after) = &shared.after
    {
        after(&job.tenant, &report).await?;
    }
    Ok(report)
}

/// Watches the ingest of a job.
struct Watcher<'a> {
    shared: &'a Arc<Shared>,
    job: &'a JobRecord,
    cancel: &'a Cancel,
    latest: Mutex<Option<JobProgress>>,
}

impl Watcher<'_> {
    /// Once a second, and never while the last time is not through.
    async fn tell_ledger(&self) -> std::convert::Infallible {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut told: Option<JobProgress> = None;
        loop {
            tick.tick().await;
            let latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let Some(latest) = latest.filter(|latest| told.as_ref() != Some(latest)) else { continue };
            let (tenant, id, json) = (self.job.tenant.clone(), self.job.id.clone(), latest.json());
            match of_ledger(self.shared, move |ledger| ledger.job_progress(&tenant, &id, &json)).await {
                Ok(JobSignal::GoOn) => told = Some(latest),
                Ok(JobSignal::Cancel | JobSignal::Gone) => self.cancel.cancel(),
                // The ingest meets the same trouble and says so better.
                Err(_) => {}
            }
        }
    }
}

impl Observer for Watcher<'_> {
    fn progress(&self, progress: &Progress) {
        let progress = JobProgress::of(progress);
        let key = (self.job.tenant.clone(), self.job.id.clone());
        if let Some(live) = self.shared.lock().live.get(&key) {
            let json = progress.json();
            live.state.send_if_modified(|job| {
                let changed = job.progress.as_ref() != Some(&json);
                job.progress = Some(json);
                changed
            });
        }
        *self.latest.lock().unwrap_or_else(PoisonError::into_inner) = Some(progress);
    }

    fn cancelled(&self) -> bool {
        self.cancel.is_cancelled()
    }
}

/// Writes the end of a job and tells it. The files of an upload go first only in what cannot fail any more: the end is written.
async fn end(
    shared: &Arc<Shared>,
    job: &JobRecord,
    how: JobEnd,
    progress: Option<JobProgress>,
) -> Result<(), IngestError> {
    let delete = !matches!(how, JobEnd::Failed(_));
    let (tenant, id) = (job.tenant.clone(), job.id.clone());
    let ended = of_ledger(shared, move |ledger| {
        let json = progress.as_ref().map(JobProgress::json);
        ledger.finish_job(&tenant, &id, &how, json.as_ref(), Timestamp::now())
    })
    .await?;
    if delete {
        shared.delete_upload(job).await;
    }
    let key = (job.tenant.clone(), job.id.clone());
    match ended {
        Some(job) => {
            tracing::info!(tenant = %job.tenant, job = job.id, state = job.state.as_str(), "job ended");
            shared.lock().leave(&key, &job);
        }
        None => settle(shared, &key).await,
    }
    Ok(())
}

/// Lets go of a job that ended otherwise, as the ledger has it.
async fn settle(shared: &Arc<Shared>, key: &Key) {
    let of = key.clone();
    if let Ok(Some(job)) = of_ledger(shared, move |ledger| ledger.job(&of.0, &of.1)).await {
        shared.lock().leave(key, &job);
    } else {
        shared.lock().live.remove(key);
    }
}

async fn of_ledger<T: Send + 'static>(
    shared: &Arc<Shared>,
    ask: impl FnOnce(&Ledger) -> Result<T, LedgerError> + Send + 'static,
) -> Result<T, IngestError> {
    let ledger = Arc::clone(&shared.pipeline.ledger);
    let asked = tokio::task::spawn_blocking(move || ask(&ledger)).await;
    Ok(asked.map_err(|_| IngestError::Internal("a thread panicked"))??)
}

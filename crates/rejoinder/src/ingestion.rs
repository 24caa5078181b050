//! Mail that comes in while the program runs: one message at a time, and jobs over whole mailboxes.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use rejoinder_domain::{ErrorKind, TenantId};
use rejoinder_ledger::{ItemStatus, JobItemPage, JobPage, JobRecord, JobSource};
use rejoinder_pipeline::jobs::{JobOrder, fresh_job_id, path_below};
use rejoinder_pipeline::runner::{AfterIngest, RunnerConfig};
use rejoinder_pipeline::watching::{Watch, WatchConfig};
use rejoinder_pipeline::{Delivery, Indexed, IngestError, JobRunner};

use crate::Error;
use crate::feedback::{blocking, failed};
use crate::rejoinder::Rejoinder;

/// Files that were uploaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upload {
    /// The job's id.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// A file, or a folder of files.
    pub path: PathBuf,
    /// Bytes of all of them.
    pub bytes: u64,
}

impl Rejoinder {
    /// Indexes one message now. When it returns, ledger and store have it; the same message again is a duplicate with the same
    /// id.
    pub async fn index_message(&self, tenant: &TenantId, delivery: Delivery) -> Result<Indexed, Error> {
        Ok(self.parts.intake.index_message(tenant, delivery).await?)
    }

    /// Notes that a ticket got another message: suggestions for it are stale from now on.
    pub async fn note_ticket(&self, tenant: &TenantId, ticket: &str, state: &str) -> Result<(), Error> {
        let (ledger, of) = (Arc::clone(&self.parts.ledger), tenant.clone());
        let (ticket, state) = (ticket.to_owned(), state.to_owned());
        blocking(move || Ok(ledger.note_ticket(&of, &ticket, &state, Timestamp::now())?)).await
    }

    /// Begins to work on jobs, on what an earlier process left first. One process does that for a data folder.
    pub async fn start_jobs(&self) -> Result<(), Error> {
        if self.parts.runner.get().is_none() {
            self.remove_orphans().await?;
        }
        self.runner().await.map(|_| ())
    }

    async fn runner(&self) -> Result<&JobRunner, Error> {
        let start = || async {
            let config = RunnerConfig {
                concurrent_jobs: self.parts.config.jobs.concurrent,
                uploads: Some(self.parts.config.uploads_path()),
                ..RunnerConfig::default()
            };
            let (store, intake) = (Arc::clone(&self.parts.store), self.parts.intake.clone());
            let after: AfterIngest = Arc::new(move |tenant, _| {
                let (store, intake, tenant) = (Arc::clone(&store), intake.clone(), tenant.clone());
                // Everything is in this embedder's tables; those of another one only take space.
                Box::pin(async move {
                    store.drop_other_spaces(&tenant).await.map_err(IngestError::Store)?;
                    // Else the next message would wait for the digests to be read.
                    intake.warm(&tenant).await
                })
            });
            let (pipeline, ownership) = (self.parts.pipeline.clone(), self.parts.config.ownership());
            JobRunner::start(pipeline, ownership, config, Some(after)).await
        };
        Ok(self.parts.runner.get_or_try_init(start).await?)
    }

    /// Removes uploads that no job knows: the process died before they were whole.
    async fn remove_orphans(&self) -> Result<(), Error> {
        let (ledger, root) = (Arc::clone(&self.parts.ledger), self.parts.config.uploads_path());
        blocking(move || {
            let folders = |dir: &Path| std::fs::read_dir(dir).into_iter().flatten().flatten().collect::<Vec<_>>();
            for of_tenant in folders(&root) {
                let Ok(tenant) = TenantId::new(of_tenant.file_name().to_string_lossy().as_ref()) else { continue };
                for upload in folders(&of_tenant.path()) {
                    let id = upload.file_name().to_string_lossy().into_owned();
                    if ledger.job(&tenant, &id)?.is_none() {
                        let removed = std::fs::remove_dir_all(upload.path());
                        tracing::info!(job = id, ok = removed.is_ok(), "an upload that was never whole is removed");
                    }
                }
            }
            Ok(())
        })
        .await
    }

    /// An id for a job that is about to be made.
    pub fn new_job_id(&self) -> String {
        fresh_job_id()
    }

    /// The tenant's folder in the inbox, where one is configured.
    pub fn inbox(&self, tenant: &TenantId) -> Option<PathBuf> {
        self.parts.config.jobs.inbox.as_ref().map(|inbox| inbox.join(tenant.as_str()))
    }

    /// Queues a job over files that were uploaded below [`Rejoinder::uploads`]; they are deleted when it has read them.
    pub async fn submit_upload(&self, tenant: &TenantId, upload: Upload) -> Result<JobRecord, Error> {
        let Upload { id, name, path, bytes } = upload;
        let order = JobOrder { id, tenant: tenant.clone(), source: JobSource::Upload, name, path, bytes: Some(bytes) };
        Ok(self.runner().await?.submit(order).await?)
    }

    /// Queues a job over what is called `path` in the tenant's folder of the inbox. [`ErrorKind::Invalid`] for a path that leads
    /// out of it or to nothing.
    pub async fn submit_inbox(&self, tenant: &TenantId, path: &str) -> Result<JobRecord, Error> {
        let Some(inbox) = self.inbox(tenant) else {
            return Err(failed(ErrorKind::Invalid, "no inbox folder is configured"));
        };
        let given = path.to_owned();
        let found = blocking(move || Ok::<_, Error>(path_below(&inbox, &given)?)).await?;
        let order = JobOrder {
            id: fresh_job_id(),
            tenant: tenant.clone(),
            source: JobSource::Inbox,
            name: path.to_owned(),
            path: found,
            bytes: None,
        };
        Ok(self.runner().await?.submit(order).await?)
    }

    /// A page of jobs, newest first.
    pub async fn jobs(&self, tenant: &TenantId, cursor: Option<String>, limit: u32) -> Result<JobPage, Error> {
        let (ledger, of) = (Arc::clone(&self.parts.ledger), tenant.clone());
        blocking(move || Ok(ledger.jobs(&of, cursor.as_deref(), limit)?)).await
    }

    /// A job as it is now.
    pub async fn job(&self, tenant: &TenantId, id: &str) -> Result<Option<JobRecord>, Error> {
        let job = self.runner().await?.subscribe(tenant, id).await?;
        Ok(job.map(|state| state.borrow().clone()))
    }

    /// A page of what became of the items of a job.
    pub async fn job_items(
        &self,
        tenant: &TenantId,
        id: String,
        status: Option<ItemStatus>,
        cursor: Option<String>,
        limit: u32,
    ) -> Result<JobItemPage, Error> {
        let (ledger, of) = (Arc::clone(&self.parts.ledger), tenant.clone());
        blocking(move || Ok(ledger.job_items(&of, &id, status, cursor.as_deref(), limit)?)).await
    }

    /// Asks a job to stop.
    pub async fn cancel_job(&self, tenant: &TenantId, id: &str) -> Result<Option<JobRecord>, Error> {
        Ok(self.runner().await?.cancel(tenant, id).await?)
    }

    /// Watches a folder: whatever appears in it and has come to rest becomes a job.
    pub async fn watch(&self, tenant: &TenantId, folder: &Path, config: WatchConfig) -> Result<Watch, Error> {
        let runner = self.runner().await?.clone();
        Ok(Watch::start(runner, tenant.clone(), folder, config)?)
    }

    /// How many jobs wait and how many run.
    pub fn job_load(&self) -> (usize, usize) {
        self.parts.runner.get().map_or((0, 0), JobRunner::load)
    }

    /// Where uploads of the tenant are written until they are read.
    pub fn uploads(&self, tenant: &TenantId) -> PathBuf {
        self.parts.config.uploads_path().join(tenant.as_str())
    }

    /// Removes uploads of the tenant that wait to be read.
    pub(crate) async fn erase_uploads(&self, tenant: &TenantId) -> Result<(), Error> {
        let folder = self.uploads(tenant);
        blocking(move || match std::fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::DataFolder(folder, error)),
            _ => Ok(()),
        })
        .await
    }
}

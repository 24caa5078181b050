//! Jobs of ingestion: orders that outlive the process which took them.
//!
//! A job is queued, runs and ends once. What a killed process left is in [`Ledger::unfinished_jobs`]: started again, a job
//! goes on where its mailboxes stopped, since reading them is idempotent.

use jiff::Timestamp;
use rejoinder_domain::{MailboxId, TenantId};
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use serde::{Deserialize, Serialize};

use crate::sealing::place;
use crate::{Ledger, LedgerError, cursor, time};

/// The columns of [`Ledger::job_of`], in order.
const COLUMNS: &str =
    "tenant, id, state, source, name, path, bytes, created, started, finished, error, progress, cancel";

/// How far a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// It waits.
    Queued,
    /// It is being worked on, or was when the process died.
    Running,
    /// It ended well; single items may have been skipped.
    Completed,
    /// It ended with an error.
    Failed,
    /// It was stopped on request. What it had read stays.
    Cancelled,
}

impl JobState {
    const ALL: [Self; 5] = [Self::Queued, Self::Running, Self::Completed, Self::Failed, Self::Cancelled];

    /// The stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether it will not change any more.
    pub fn is_final(self) -> bool {
        !matches!(self, Self::Queued | Self::Running)
    }
}

/// Where the files of a job come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobSource {
    /// Sent over HTTP.
    Upload,
    /// Named under the configured inbox.
    Inbox,
    /// Seen in a watched folder.
    Watch,
}

impl JobSource {
    const ALL: [Self; 3] = [Self::Upload, Self::Inbox, Self::Watch];

    /// The stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Upload => "upload",
            Self::Inbox => "inbox",
            Self::Watch => "watch",
        }
    }
}

/// A job that is to be queued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewJob {
    /// `job_...`, unique within the tenant.
    pub id: String,
    /// Where the files come from.
    pub source: JobSource,
    /// What people call it.
    pub name: String,
    /// The file or folder to be read.
    pub path: String,
    /// Size in bytes, where it is known.
    pub bytes: Option<u64>,
    /// When it was ordered.
    pub created: Timestamp,
}

/// A job as it is known.
#[derive(Clone, Debug, PartialEq)]
pub struct JobRecord {
    /// `job_...`, unique within the tenant.
    pub id: String,
    /// Whose it is.
    pub tenant: TenantId,
    /// How far it is.
    pub state: JobState,
    /// Where the files come from.
    pub source: JobSource,
    /// What people call it.
    pub name: String,
    /// The file or folder to be read.
    pub path: String,
    /// Size in bytes, where it is known.
    pub bytes: Option<u64>,
    /// When it was ordered.
    pub created: Timestamp,
    /// When it was started first.
    pub started: Option<Timestamp>,
    /// When it ended.
    pub finished: Option<Timestamp>,
    /// Why it failed, without any text of a message.
    pub error: Option<String>,
    /// What was last reported; opaque here.
    pub progress: Option<serde_json::Value>,
    /// Whether somebody asked to stop it. It goes on until whoever works on it looks.
    pub cancel_requested: bool,
}

/// How a job ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobEnd {
    /// Well.
    Completed,
    /// With an error, in a sentence without any text of a message.
    Failed(String),
    /// On request.
    Cancelled,
}

/// What whoever works on a job is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobSignal {
    /// Go on.
    GoOn,
    /// Stop, and say [`JobEnd::Cancelled`].
    Cancel,
    /// Stop: there is no such job, or it has ended.
    Gone,
}

/// A page of jobs, newest first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct JobPage {
    /// The jobs.
    pub jobs: Vec<JobRecord>,
    /// Where there is more: the cursor for it.
    pub next: Option<String>,
}

impl Ledger {
    /// Queues a job. [`LedgerError::Exists`] where the tenant has one of this id.
    pub fn create_job(&self, tenant: &TenantId, job: &NewJob) -> Result<JobRecord, LedgerError> {
        let name = self.seal_text(tenant, &place("job.name", &[&job.id]), &job.name)?;
        let path = self.seal_text(tenant, &place("job.path", &[&job.id]), &job.path)?;
        self.write(|transaction| {
            let inserted = transaction
                .prepare_cached(
                    "INSERT INTO job (tenant, id, state, source, name, path, bytes, created, cancel)
                     VALUES (?1, ?2, 'queued', ?3, ?4, ?5, ?6, ?7, 0) ON CONFLICT DO NOTHING",
                )?
                .execute(params![
                    tenant.as_str(),
                    job.id,
                    job.source.as_str(),
                    name,
                    path,
                    job.bytes.map(u64::cast_signed),
                    job.created.as_millisecond(),
                ])?;
            if inserted == 0 {
                return Err(LedgerError::Exists("job"));
            }
            self.find_job(transaction, tenant, &job.id)?.ok_or(LedgerError::Corrupt("job"))
        })
    }

    /// The job of this id.
    pub fn job(&self, tenant: &TenantId, id: &str) -> Result<Option<JobRecord>, LedgerError> {
        let connection = self.reader()?;
        self.find_job(&connection, tenant, id)
    }

    /// A page of up to `limit` jobs (at least 1), newest first, from a cursor on.
    pub fn jobs(&self, tenant: &TenantId, after: Option<&str>, limit: u32) -> Result<JobPage, LedgerError> {
        let (before, [id]) = cursor::position(after)?;
        let connection = self.reader()?;
        let mut statement = connection.prepare_cached(&format!(
            "SELECT {COLUMNS} FROM job WHERE tenant = ?1 AND created <= ?2 AND (created, id) < (?2, ?3)
             ORDER BY created DESC, id DESC LIMIT ?4"
        ))?;
        let mut rows = statement.query(params![tenant.as_str(), before, id, i64::from(limit.max(1)) + 1])?;
        let mut jobs = Vec::new();
        while let Some(row) = rows.next()? {
            jobs.push(self.job_of(row)?);
        }
        let next = cursor::more(&mut jobs, limit)
            .map(|last: &JobRecord| cursor::encode(&[&last.created.as_millisecond().to_string(), &last.id]));
        Ok(JobPage { jobs, next })
    }

    /// Jobs of all tenants that are queued or running, oldest first: what a process that starts has to go on with.
    pub fn unfinished_jobs(&self) -> Result<Vec<JobRecord>, LedgerError> {
        let connection = self.reader()?;
        let mut statement = connection.prepare_cached(&format!(
            "SELECT {COLUMNS} FROM job WHERE state IN ('queued', 'running') ORDER BY created, job.rowid"
        ))?;
        let mut rows = statement.query([])?;
        let mut jobs = Vec::new();
        while let Some(row) = rows.next()? {
            jobs.push(self.job_of(row)?);
        }
        Ok(jobs)
    }

    /// Says that the job is worked on from now, also again after a restart: the first start counts. `None` where there is no
    /// such job or it has ended.
    pub fn start_job(&self, tenant: &TenantId, id: &str, now: Timestamp) -> Result<Option<JobRecord>, LedgerError> {
        self.write(|transaction| {
            let started = transaction
                .prepare_cached(
                    "UPDATE job SET state = 'running', started = ifnull(started, ?3)
                     WHERE tenant = ?1 AND id = ?2 AND state IN ('queued', 'running')",
                )?
                .execute(params![tenant.as_str(), id, now.as_millisecond()])?;
            if started == 0 { Ok(None) } else { self.find_job(transaction, tenant, id) }
        })
    }

    /// Keeps what the job reports and says whether it is to go on. Every call waits for the disk: once a second is plenty.
    pub fn job_progress(
        &self,
        tenant: &TenantId,
        id: &str,
        progress: &serde_json::Value,
    ) -> Result<JobSignal, LedgerError> {
        self.write(|transaction| {
            let cancel: Option<bool> = transaction
                .prepare_cached(
                    "UPDATE job SET progress = ?3 WHERE tenant = ?1 AND id = ?2 AND state = 'running' RETURNING cancel",
                )?
                .query_row(params![tenant.as_str(), id, progress.to_string()], |row| row.get(0))
                .optional()?;
            Ok(match cancel {
                Some(true) => JobSignal::Cancel,
                Some(false) => JobSignal::GoOn,
                None => JobSignal::Gone,
            })
        })
    }

    /// Ends the job, with its last report where there is one. `None` where there is no such job or it has ended: an end is for
    /// good.
    pub fn finish_job(
        &self,
        tenant: &TenantId,
        id: &str,
        end: &JobEnd,
        progress: Option<&serde_json::Value>,
        now: Timestamp,
    ) -> Result<Option<JobRecord>, LedgerError> {
        let (state, why) = match end {
            JobEnd::Completed => (JobState::Completed, None),
            JobEnd::Failed(why) => (JobState::Failed, Some(why.as_str())),
            JobEnd::Cancelled => (JobState::Cancelled, None),
        };
        let error = why.map(|why| self.seal_text(tenant, &place("job.error", &[id]), why)).transpose()?;
        self.write(|transaction| {
            let ended = transaction
                .prepare_cached(
                    "UPDATE job SET state = ?3, error = ?4, progress = ifnull(?5, progress), finished = ?6
                     WHERE tenant = ?1 AND id = ?2 AND state IN ('queued', 'running')",
                )?
                .execute(params![
                    tenant.as_str(),
                    id,
                    state.as_str(),
                    error,
                    progress.map(serde_json::Value::to_string),
                    now.as_millisecond(),
                ])?;
            if ended == 0 { Ok(None) } else { self.find_job(transaction, tenant, id) }
        })
    }

    /// Asks to stop the job: a queued one is cancelled at once, a running one is told at its next [`Ledger::job_progress`], one
    /// that has ended stays as it is. `None` where there is no such job.
    pub fn request_cancel(
        &self,
        tenant: &TenantId,
        id: &str,
        now: Timestamp,
    ) -> Result<Option<JobRecord>, LedgerError> {
        self.write(|transaction| {
            transaction
                .prepare_cached(
                    "UPDATE job SET cancel = 1, finished = iif(state = 'queued', ?3, NULL),
                        state = iif(state = 'queued', 'cancelled', state)
                     WHERE tenant = ?1 AND id = ?2 AND state IN ('queued', 'running')",
                )?
                .execute(params![tenant.as_str(), id, now.as_millisecond()])?;
            self.find_job(transaction, tenant, id)
        })
    }

    /// Says that the job reads this mailbox, as [`Ledger::begin_read`] announced it: its items are the job's from then on.
    /// [`LedgerError::UnknownMailbox`] before that, [`LedgerError::UnknownJob`] where there is no such job.
    pub fn job_reads(&self, tenant: &TenantId, id: &str, mailbox: &MailboxId) -> Result<(), LedgerError> {
        self.write(|transaction| {
            if self.find_job(transaction, tenant, id)?.is_none() {
                return Err(LedgerError::UnknownJob);
            }
            let generation: i64 = transaction
                .prepare_cached("SELECT generation FROM mailbox WHERE tenant = ?1 AND id = ?2")?
                .query_row(params![tenant.as_str(), mailbox.as_str()], |row| row.get(0))
                .optional()?
                .ok_or(LedgerError::UnknownMailbox)?;
            transaction
                .prepare_cached("INSERT OR IGNORE INTO job_mailbox VALUES (?1, ?2, ?3, ?4)")?
                .execute(params![tenant.as_str(), id, mailbox.as_str(), generation])?;
            Ok(())
        })
    }

    /// Deletes the jobs of a tenant that ended before `time`. What they read stays.
    pub fn delete_jobs_before(&self, tenant: &TenantId, time: Timestamp) -> Result<u64, LedgerError> {
        self.write(|transaction| {
            let deleted = transaction.execute(
                "DELETE FROM job WHERE tenant = ?1 AND created < ?2 AND finished < ?2",
                params![tenant.as_str(), time.as_millisecond()],
            )?;
            Ok(deleted as u64)
        })
    }
}

impl Ledger {
    fn find_job(&self, connection: &Connection, tenant: &TenantId, id: &str) -> Result<Option<JobRecord>, LedgerError> {
        let mut statement =
            connection.prepare_cached(&format!("SELECT {COLUMNS} FROM job WHERE tenant = ?1 AND id = ?2"))?;
        let mut rows = statement.query(params![tenant.as_str(), id])?;
        rows.next()?.map(|row| self.job_of(row)).transpose()
    }

    /// From [`COLUMNS`].
    fn job_of(&self, row: &Row<'_>) -> Result<JobRecord, LedgerError> {
        let mut job = stored_job(row)?;
        let open = |column: &str, stored| self.open_text(&job.tenant, &place(column, &[&job.id]), stored);
        let (name, path) = (open("job.name", job.name.clone())?, open("job.path", job.path.clone())?);
        let error = job.error.clone().map(|error| open("job.error", error)).transpose()?;
        (job.name, job.path, job.error) = (name, path, error);
        Ok(job)
    }
}

/// The job with its texts as they are stored.
fn stored_job(row: &Row<'_>) -> Result<JobRecord, LedgerError> {
    let state: String = row.get(2)?;
    let source: String = row.get(3)?;
    let progress: Option<String> = row.get(11)?;
    Ok(JobRecord {
        tenant: TenantId::new(row.get::<_, String>(0)?).map_err(|_| LedgerError::Corrupt("tenant"))?,
        id: row.get(1)?,
        state: JobState::ALL.into_iter().find(|s| s.as_str() == state).ok_or(LedgerError::Corrupt("state of a job"))?,
        source: JobSource::ALL
            .into_iter()
            .find(|s| s.as_str() == source)
            .ok_or(LedgerError::Corrupt("source of a job"))?,
        name: row.get(4)?,
        path: row.get(5)?,
        bytes: row.get::<_, Option<i64>>(6)?.map(i64::cast_unsigned),
        created: time::read(row.get(7)?)?,
        started: row.get::<_, Option<i64>>(8)?.map(time::read).transpose()?,
        finished: row.get::<_, Option<i64>>(9)?.map(time::read).transpose()?,
        error: row.get(10)?,
        progress: progress
            .map(|json| serde_json::from_str(&json).map_err(|_| LedgerError::Corrupt("progress of a job")))
            .transpose()?,
        cancel_requested: row.get(12)?,
    })
}

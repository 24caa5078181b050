//! The thread that writes, and the one that keeps the write-ahead log short.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rejoinder_domain::{EgressRecord, TenantId, UsageRecord};
use rusqlite::{Connection, Transaction, TransactionBehavior, params};
use tokio::sync::oneshot;

use super::{Counts, DeletedUsage};
use crate::LedgerError;

/// Records that one transaction takes at most: those behind them wait no longer than for that.
const BATCH: usize = 1024;

/// Records of usage that wait in memory while the database fails.
const UNWRITTEN: usize = 100_000;

/// How long a record of usage waits for others to share a transaction with, most often the egress of the next call. Should
/// the process die meanwhile, the attempt counts with its reservation.
const LINGER: Duration = Duration::from_millis(20);

/// How long a database that failed is left alone, unless something else is to be written.
const PAUSE: Duration = Duration::from_secs(1);

/// Records after which the log is looked at, and pages from which on writers have to wait until it is empty.
const RECORDS_PER_CHECKPOINT: usize = 512;
const LONG_LOG: i64 = 16_384;

pub(super) enum Job {
    Egress(Box<EgressRecord>, Waiting),
    Usage(Box<UsageRecord>),
    Work(Box<dyn FnOnce(&mut Connection) + Send>),
    End,
}

/// Whoever waits for a record to be written.
pub(super) type Waiting = oneshot::Sender<Result<(), Arc<LedgerError>>>;

pub(super) struct Writer {
    connection: Connection,
    queue: Receiver<Job>,
    ticks: Sender<()>,
    counts: Arc<Counts>,
    /// In order; also those that the database refused before.
    usage: VecDeque<UsageRecord>,
    egress: Vec<(EgressRecord, Waiting)>,
    /// When what is gathered is to be written at the latest.
    due: Option<Instant>,
    since_tick: usize,
}

impl Writer {
    pub(super) fn new(connection: Connection, queue: Receiver<Job>, ticks: Sender<()>, counts: Arc<Counts>) -> Self {
        Self { connection, queue, ticks, counts, usage: VecDeque::new(), egress: Vec::new(), due: None, since_tick: 0 }
    }

    pub(super) fn run(mut self) {
        loop {
            let next = match self.due {
                None => self.queue.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(due) => self.queue.recv_timeout(due.saturating_duration_since(Instant::now())),
            };
            let other = match next {
                Ok(first) => self.gather(first),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => Some(Job::End),
            };
            let is_due = self.due.is_some_and(|due| due <= Instant::now());
            if is_due || other.is_some() || !self.egress.is_empty() || self.usage.len() >= BATCH {
                self.write();
            } else if !self.usage.is_empty() {
                self.due.get_or_insert_with(|| Instant::now() + LINGER);
            }
            match other {
                Some(Job::Work(work)) => work(&mut self.connection),
                Some(Job::End) => {
                    self.counts.lost.fetch_add(self.usage.len() as u64, Ordering::Relaxed);
                    return;
                }
                Some(Job::Egress(..) | Job::Usage(_)) | None => {}
            }
        }
    }

    /// Takes what waits, up to a job that is none of writing; that one is given back.
    fn gather(&mut self, first: Job) -> Option<Job> {
        let mut next = Some(first);
        let mut taken = 0;
        while let Some(job) = next {
            match job {
                // Who does not wait any more sends nothing either.
                Job::Egress(_, waiting) if waiting.is_closed() => {}
                Job::Egress(record, waiting) => self.egress.push((*record, waiting)),
                Job::Usage(record) => self.usage.push_back(*record),
                other => return Some(other),
            }
            taken += 1;
            next = if taken < BATCH { self.queue.try_recv().ok() } else { None };
        }
        None
    }

    /// Writes what was gathered and tells who waits for it.
    fn write(&mut self) {
        let records = self.egress.len() + self.usage.len();
        if records == 0 {
            self.due = None;
            return;
        }
        match write(&mut self.connection, &self.egress, &self.usage) {
            Ok(outcomes) => {
                self.due = None;
                self.usage.clear();
                for ((_, waiting), outcome) in self.egress.drain(..).zip(outcomes) {
                    let _ = waiting.send(outcome.map_err(Arc::new));
                }
                self.since_tick += records;
                if self.since_tick >= RECORDS_PER_CHECKPOINT {
                    self.since_tick = 0;
                    let _ = self.ticks.send(());
                }
            }
            Err(error) => {
                let error = Arc::new(error);
                for (_, waiting) in self.egress.drain(..) {
                    let _ = waiting.send(Err(Arc::clone(&error)));
                }
                self.due = Some(Instant::now() + PAUSE);
                let too_many = self.usage.len().saturating_sub(UNWRITTEN);
                self.usage.drain(..too_many);
                self.counts.lost.fetch_add(too_many as u64, Ordering::Relaxed);
            }
        }
        self.counts.unwritten.store(self.usage.len() as u64, Ordering::Relaxed);
    }
}

/// One transaction with all of it; the outcomes are those of the records of egress.
fn write(
    connection: &mut Connection,
    egress: &[(EgressRecord, Waiting)],
    usage: &VecDeque<UsageRecord>,
) -> Result<Vec<Result<(), LedgerError>>, LedgerError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let outcomes = egress.iter().map(|(record, _)| insert_egress(&transaction, record));
    let outcomes: Vec<Result<(), LedgerError>> = outcomes.collect::<Result<_, _>>()?;
    for record in usage {
        insert_usage(&transaction, record)?;
    }
    transaction.commit()?;
    Ok(outcomes)
}

/// The outer error is the database's, the inner one the record's.
fn insert_egress(transaction: &Transaction<'_>, record: &EgressRecord) -> Result<Result<(), LedgerError>, LedgerError> {
    let redactions =
        serde_json::to_string(&record.redactions).map_err(|_| LedgerError::Corrupt("list of redactions"))?;
    let inserted = transaction
        .prepare_cached(
            "INSERT INTO egress (attempt, at, tenant, request, purpose, provider, model, policy, bytes, redactions,
                reserved_tokens, reserved_nanos)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12) ON CONFLICT (attempt) DO NOTHING",
        )?
        .execute(params![
            record.attempt.0,
            record.at.as_microsecond().max(0),
            record.tenant.as_str(),
            record.request_id,
            record.purpose.as_str(),
            record.provider,
            record.model,
            record.policy.as_str(),
            whole(record.bytes),
            redactions,
            whole(record.reserved.tokens),
            whole(record.reserved.cost.nanos),
        ])?;
    Ok(if inserted == 1 { Ok(()) } else { Err(LedgerError::Recorded) })
}

/// An attempt ends once: what was said first stays.
fn insert_usage(transaction: &Transaction<'_>, record: &UsageRecord) -> Result<(), LedgerError> {
    // No attempt began before 1970, whatever a clock said.
    let began = record.at.as_microsecond().saturating_sub(whole(record.ms).saturating_mul(1000)).max(0);
    transaction
        .prepare_cached(
            "INSERT INTO usage (attempt, began, tenant, request, purpose, provider, model, outcome, input_tokens,
                cached_input_tokens, output_tokens, nanos, ms, first_token_ms)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14) ON CONFLICT (attempt) DO NOTHING",
        )?
        .execute(params![
            record.attempt.0,
            began,
            record.tenant.as_str(),
            record.request_id,
            record.purpose.as_str(),
            record.provider,
            record.model,
            record.outcome,
            whole(record.input_tokens),
            whole(record.cached_input_tokens),
            whole(record.output_tokens),
            whole(record.cost.nanos),
            whole(record.ms),
            record.first_token_ms.map(whole),
        ])?;
    Ok(())
}

/// As the database has it: a number that a provider made up must not become a negative one.
fn whole(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Deletes up to `limit` records of each kind whose attempts began before a time. Usage goes after the egress of its attempt:
/// egress without usage would count with its reservation.
pub(super) fn delete(
    connection: &mut Connection,
    tenant: &TenantId,
    before: i64,
    limit: u32,
) -> Result<DeletedUsage, LedgerError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let values = params![tenant.as_str(), before, limit];
    let egress = transaction
        .prepare_cached(
            "DELETE FROM egress WHERE attempt IN
                (SELECT attempt FROM egress WHERE tenant = ?1 AND at < ?2 ORDER BY at LIMIT ?3)",
        )?
        .execute(values)?;
    let usage = transaction
        .prepare_cached(
            "DELETE FROM usage WHERE attempt IN
                (SELECT attempt FROM usage WHERE tenant = ?1 AND began < ?2
                    AND NOT EXISTS (SELECT 1 FROM egress WHERE egress.attempt = usage.attempt)
                 ORDER BY began LIMIT ?3)",
        )?
        .execute(values)?;
    transaction.commit()?;
    Ok(DeletedUsage { egress: egress as u64, usage: usage as u64 })
}

/// Moves what is committed from the log into the file, until the writer ends. That waits for the disk, which the writer must
/// not; writers go on beside it. A log that grows all the same, because they never pause, is emptied while they wait: little
/// is left to do then.
pub(super) fn keep_log_short(connection: &Mutex<Connection>, ticks: &Receiver<()>) {
    while ticks.recv().is_ok() {
        while ticks.try_recv().is_ok() {}
        let Ok(connection) = connection.lock() else { return };
        let pages = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| row.get::<_, i64>(1));
        if pages.is_ok_and(|pages| pages > LONG_LOG) {
            // Where a reader holds it up, the next time will do.
            let _ = connection.query_row("PRAGMA wal_checkpoint(RESTART)", [], |_| Ok(()));
        }
    }
}

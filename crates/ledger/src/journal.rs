//! Runs of the pipeline, and suggestions that were made.

use jiff::Timestamp;
use rejoinder_domain::TenantId;
use rusqlite::{OptionalExtension as _, params};
use serde::Serialize;

use crate::{Ledger, LedgerError};

/// One run of the pipeline.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Run {
    /// Its number, 1 for a tenant's first.
    pub id: i64,
    /// When it started.
    pub started: Timestamp,
    /// When it ended; `None` while it runs, and for good where it was killed.
    pub finished: Option<Timestamp>,
    /// Its report.
    pub report: Option<serde_json::Value>,
}

/// A suggestion as it was given.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StoredSuggestion {
    /// Its id.
    pub id: String,
    /// The ticket that it is for.
    pub ticket_id: String,
    /// When it was made.
    pub created: Timestamp,
    /// The whole answer.
    pub body: serde_json::Value,
}

impl Ledger {
    /// Notes that a run starts and returns its number.
    pub fn start_run(&self, tenant: &TenantId) -> Result<i64, LedgerError> {
        self.write(|transaction| {
            Ok(transaction.query_row(
                "INSERT INTO run (tenant, id, started)
                    SELECT ?1, ifnull(max(id), 0) + 1, ?2 FROM run WHERE tenant = ?1 RETURNING id",
                params![tenant.as_str(), Timestamp::now().as_millisecond()],
                |row| row.get(0),
            )?)
        })
    }

    /// Notes that a run ended, with its report.
    pub fn finish_run(&self, tenant: &TenantId, run: i64, report: &serde_json::Value) -> Result<(), LedgerError> {
        self.write(|transaction| {
            transaction.execute(
                "UPDATE run SET finished = ?3, report = ?4 WHERE tenant = ?1 AND id = ?2",
                params![tenant.as_str(), run, Timestamp::now().as_millisecond(), report.to_string()],
            )?;
            Ok(())
        })
    }

    /// The latest runs, newest first.
    pub fn runs(&self, tenant: &TenantId, limit: u32) -> Result<Vec<Run>, LedgerError> {
        let connection = self.reader()?;
        let mut statement = connection.prepare_cached(
            "SELECT id, started, finished, report FROM run WHERE tenant = ?1 ORDER BY id DESC LIMIT ?2",
        )?;
        let rows: Vec<(i64, i64, Option<i64>, Option<String>)> = statement
            .query_map(params![tenant.as_str(), limit], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?
            .collect::<Result<_, _>>()?;
        rows.into_iter()
            .map(|(id, started, finished, report)| {
                Ok(Run {
                    id,
                    started: time(started)?,
                    finished: finished.map(time).transpose()?,
                    report: report.as_deref().map(json).transpose()?,
                })
            })
            .collect()
    }

    /// Keeps a suggestion; one of the same id is replaced.
    pub fn put_suggestion(&self, tenant: &TenantId, suggestion: &StoredSuggestion) -> Result<(), LedgerError> {
        self.write(|transaction| {
            transaction.execute(
                "INSERT OR REPLACE INTO suggestion (tenant, id, ticket, created, body) VALUES (?1, ?2, ?3, ?4, ?5)",
                params![
                    tenant.as_str(),
                    suggestion.id,
                    suggestion.ticket_id,
                    suggestion.created.as_millisecond(),
                    suggestion.body.to_string(),
                ],
            )?;
            Ok(())
        })
    }

    /// The suggestion of this id.
    pub fn suggestion(&self, tenant: &TenantId, id: &str) -> Result<Option<StoredSuggestion>, LedgerError> {
        let row: Option<(String, i64, String)> = self
            .reader()?
            .prepare_cached("SELECT ticket, created, body FROM suggestion WHERE tenant = ?1 AND id = ?2")?
            .query_row(params![tenant.as_str(), id], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .optional()?;
        row.map(|(ticket_id, created, body)| {
            Ok(StoredSuggestion { id: id.to_owned(), ticket_id, created: time(created)?, body: json(&body)? })
        })
        .transpose()
    }
}

fn time(milliseconds: i64) -> Result<Timestamp, LedgerError> {
    Timestamp::from_millisecond(milliseconds).map_err(|_| LedgerError::Corrupt("time"))
}

fn json(text: &str) -> Result<serde_json::Value, LedgerError> {
    serde_json::from_str(text).map_err(|_| LedgerError::Corrupt("report"))
}

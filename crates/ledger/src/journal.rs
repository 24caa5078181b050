//! Runs of the pipeline.

use jiff::Timestamp;
use rejoinder_domain::TenantId;
use rusqlite::params;
use serde::Serialize;

use crate::sealing::place;
use crate::{Ledger, LedgerError, time};

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
        let report = report.to_string();
        let report = self.seal_text(tenant, &report_place(run), &report)?;
        self.write(|transaction| {
            transaction.execute(
                "UPDATE run SET finished = ?3, report = ?4 WHERE tenant = ?1 AND id = ?2",
                params![tenant.as_str(), run, Timestamp::now().as_millisecond(), report],
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
                    started: time::read(started)?,
                    finished: finished.map(time::read).transpose()?,
                    report: report
                        .map(|stored| json(&self.open_text(tenant, &report_place(id), stored)?))
                        .transpose()?,
                })
            })
            .collect()
    }
}

fn report_place(run: i64) -> String {
    place("run.report", &[&run.to_string()])
}

fn json(text: &str) -> Result<serde_json::Value, LedgerError> {
    serde_json::from_str(text).map_err(|_| LedgerError::Corrupt("report"))
}

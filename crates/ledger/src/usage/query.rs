//! Questions to the journal. Each sees what was committed when it began.

use std::collections::BTreeSet;

use jiff::Timestamp;
use rejoinder_domain::{AttemptId, Cost, Egress, EgressRecord, Purpose, Spending, Spent, TenantId};
use rusqlite::{Connection, Row, params};
use serde::{Deserialize, Serialize};

use super::UsageJournal;
use crate::{LedgerError, cursor};

/// How long each sum of a report lasts, in the UTC calendar.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// A minute.
    Minute,
    /// An hour.
    Hour,
    /// A day.
    #[default]
    Day,
    /// A month.
    Month,
}

/// Which usage is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageQuery {
    /// Attempts that began then or later.
    pub from: Timestamp,
    /// Attempts that began before.
    pub to: Timestamp,
    /// How long each sum lasts.
    pub step: Step,
    /// From [`UsageReport::next`], to go on with the same question.
    pub cursor: Option<String>,
    /// Sums in one answer at most, at least 1.
    pub limit: u32,
}

/// What was used in one step, for one purpose, at one model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageSum {
    /// When the step begins; the first can begin before the time that was asked for and counts only what is after it.
    pub begin: Timestamp,
    /// What for.
    pub purpose: Purpose,
    /// The target's name.
    pub provider: String,
    /// The model.
    pub model: String,
    /// Attempts that ended.
    pub attempts: u64,
    /// Those of them that gave the answer.
    pub answers: u64,
    /// Tokens of prompts.
    pub input_tokens: u64,
    /// Those of them that the provider did not have to compute.
    pub cached_input_tokens: u64,
    /// Tokens of answers.
    pub output_tokens: u64,
    /// What it cost.
    pub cost: Cost,
    /// Attempts that left the machine and whose end is not known: under way, or lost with the process.
    pub open_attempts: u64,
    /// What is reserved for those. Not part of the other sums.
    pub open: Spending,
}

/// Sums in order of time, purpose, provider and model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UsageReport {
    /// The sums.
    pub sums: Vec<UsageSum>,
    /// Where there is more: the cursor for it.
    pub next: Option<String>,
}

/// Which egress is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditQuery {
    /// Only to this target.
    pub provider: Option<String>,
    /// Only then or later.
    pub since: Option<Timestamp>,
    /// Only before.
    pub until: Option<Timestamp>,
    /// From [`Audit::next`], to go on with the same question.
    pub cursor: Option<String>,
    /// Records in one answer at most, at least 1.
    pub limit: u32,
}

/// A prompt that left the machine, or was about to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditRecord {
    /// What was recorded before.
    pub egress: EgressRecord,
    /// The stable code of what became of the attempt, once that is known.
    pub outcome: Option<String>,
}

/// Records, newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Audit {
    /// The records.
    pub records: Vec<AuditRecord>,
    /// Where there is more: the cursor for it. What is recorded while pages are read is on none of the later ones.
    pub next: Option<String>,
}

impl UsageJournal {
    /// What a tenant used.
    pub fn report(&self, tenant: &TenantId, query: &UsageQuery) -> Result<UsageReport, LedgerError> {
        let (after, [purpose, provider, model]) = match &query.cursor {
            Some(cursor) => {
                let (time, key) = cursor::decode::<3>(cursor)?;
                (Some(time), key)
            }
            None => (None, Default::default()),
        };
        let connection = self.reader()?;
        let mut statement = connection.prepare_cached(&report_statement(query.step))?;
        let values = params![
            tenant.as_str(),
            query.from.as_microsecond(),
            query.to.as_microsecond(),
            after,
            purpose,
            provider,
            model,
            i64::from(query.limit.max(1)) + 1,
        ];
        let mut rows = statement.query(values)?;
        let mut sums: Vec<UsageSum> = Vec::new();
        while let Some(row) = rows.next()? {
            sums.push(sum(row)?);
        }
        let next = cursor::more(&mut sums, query.limit).map(|last| {
            let begin = last.begin.as_microsecond().to_string();
            cursor::encode(&[&begin, last.purpose.as_str(), &last.provider, &last.model])
        });
        Ok(UsageReport { sums, next })
    }

    /// What left the machine of a tenant's text.
    pub fn audit(&self, tenant: &TenantId, query: &AuditQuery) -> Result<Audit, LedgerError> {
        let (time, [attempt]) = match &query.cursor {
            Some(cursor) => cursor::decode::<1>(cursor)?,
            None => (i64::MAX, Default::default()),
        };
        let connection = self.reader()?;
        // The bound of the cursor stands alone as well, so that the index begins there.
        let mut statement = connection.prepare_cached(
            "SELECT egress.attempt, at, egress.request, egress.purpose, egress.provider, egress.model, policy, bytes, redactions,
                reserved_tokens, reserved_nanos, outcome
             FROM egress LEFT JOIN usage ON usage.attempt = egress.attempt
             WHERE egress.tenant = ?1 AND at <= ?2 AND (at, egress.attempt) < (?2, ?3)
                AND at >= ?4 AND at < ?5 AND (?6 IS NULL OR egress.provider = ?6)
             ORDER BY at DESC, egress.attempt DESC LIMIT ?7",
        )?;
        let values = params![
            tenant.as_str(),
            time,
            attempt,
            query.since.map_or(i64::MIN, Timestamp::as_microsecond),
            query.until.map_or(i64::MAX, Timestamp::as_microsecond),
            query.provider,
            i64::from(query.limit.max(1)) + 1,
        ];
        let mut rows = statement.query(values)?;
        let mut records: Vec<AuditRecord> = Vec::new();
        while let Some(row) = rows.next()? {
            records.push(audit_record(tenant, row)?);
        }
        let next = cursor::more(&mut records, query.limit)
            .map(|last| cursor::encode(&[&last.egress.at.as_microsecond().to_string(), &last.egress.attempt.0]));
        Ok(Audit { records, next })
    }
}

/// An attempt without usage is an open one. `total` adds up exactly as long as a double can and, unlike `sum`, never fails.
fn report_statement(step: Step) -> String {
    const SECOND: i64 = 1_000_000;
    let begin = match step {
        Step::Minute => format!("at - at % {}", 60 * SECOND),
        Step::Hour => format!("at - at % {}", 3600 * SECOND),
        Step::Day => format!("at - at % {}", 86_400 * SECOND),
        Step::Month => format!("unixepoch(at / {SECOND}, 'unixepoch', 'start of month') * {SECOND}"),
    };
    let sums = ["attempts", "answers", "input", "cached", "output", "nanos", "opened", "open_tokens", "open_nanos"];
    let sums = sums.map(|column| format!("CAST(total({column}) AS INTEGER)")).join(", ");
    format!(
        "SELECT {begin} AS begin, purpose, provider, model, {sums} FROM (
            SELECT began AS at, purpose, provider, model, 1 AS attempts, outcome = 'ok' AS answers, input_tokens AS input,
                cached_input_tokens AS cached, output_tokens AS output, nanos, 0 AS opened, 0 AS open_tokens, 0 AS open_nanos
            FROM usage WHERE tenant = ?1 AND began >= ?2 AND began < ?3
            UNION ALL
            SELECT at, purpose, provider, model, 0, 0, 0, 0, 0, 0, 1, reserved_tokens, reserved_nanos
            FROM egress WHERE tenant = ?1 AND at >= ?2 AND at < ?3
                AND NOT EXISTS (SELECT 1 FROM usage WHERE usage.attempt = egress.attempt))
         GROUP BY begin, purpose, provider, model
         HAVING ?4 IS NULL OR (begin, purpose, provider, model) > (?4, ?5, ?6, ?7)
         ORDER BY begin, purpose, provider, model LIMIT ?8"
    )
}

fn sum(row: &Row<'_>) -> Result<UsageSum, LedgerError> {
    let count = |column: usize| row.get::<_, i64>(column).map(i64::cast_unsigned);
    Ok(UsageSum {
        begin: time(row.get(0)?)?,
        purpose: purpose(row.get_ref(1)?.as_str().unwrap_or_default())?,
        provider: row.get(2)?,
        model: row.get(3)?,
        attempts: count(4)?,
        answers: count(5)?,
        input_tokens: count(6)?,
        cached_input_tokens: count(7)?,
        output_tokens: count(8)?,
        cost: Cost { nanos: count(9)? },
        open_attempts: count(10)?,
        open: Spending { tokens: count(11)?, cost: Cost { nanos: count(12)? } },
    })
}

fn audit_record(tenant: &TenantId, row: &Row<'_>) -> Result<AuditRecord, LedgerError> {
    let count = |column: usize| row.get::<_, i64>(column).map(i64::cast_unsigned);
    let redactions = row.get_ref(8)?.as_str().unwrap_or_default();
    let egress = EgressRecord {
        attempt: AttemptId(row.get(0)?),
        at: time(row.get(1)?)?,
        tenant: tenant.clone(),
        request_id: row.get(2)?,
        purpose: purpose(row.get_ref(3)?.as_str().unwrap_or_default())?,
        provider: row.get(4)?,
        model: row.get(5)?,
        policy: policy(row.get_ref(6)?.as_str().unwrap_or_default())?,
        bytes: count(7)?,
        redactions: serde_json::from_str(redactions).map_err(|_| LedgerError::Corrupt("list of redactions"))?,
        reserved: Spending { tokens: count(9)?, cost: Cost { nanos: count(10)? } },
    };
    Ok(AuditRecord { egress, outcome: row.get(11)? })
}

/// Everyone of whom there is a record.
pub(super) fn tenants(connection: &Connection) -> Result<BTreeSet<TenantId>, LedgerError> {
    let mut tenants = BTreeSet::new();
    for table in ["egress", "usage"] {
        // One step of the index per tenant, however many records there are.
        let mut statement = connection.prepare_cached(&format!("SELECT min(tenant) FROM {table} WHERE tenant > ?1"))?;
        let mut last = String::new();
        while let Some(tenant) = statement.query_row([&last], |row| row.get::<_, Option<String>>(0))? {
            tenants.insert(TenantId::new(tenant.as_str()).map_err(|_| LedgerError::Corrupt("tenant"))?);
            last = tenant;
        }
    }
    Ok(tenants)
}

/// Sums of all tenants over attempts that began at `since` or later.
pub(super) fn spent(connection: &Connection, since: Timestamp) -> Result<Vec<Spent>, LedgerError> {
    let mut all = Vec::new();
    for tenant in tenants(connection)? {
        let mut statement = connection.prepare_cached(
            "SELECT purpose, provider, CAST(total(tokens) AS INTEGER), CAST(total(nanos) AS INTEGER) FROM (
                SELECT purpose, provider, input_tokens AS tokens, nanos FROM usage WHERE tenant = ?1 AND began >= ?2
                UNION ALL
                SELECT purpose, provider, output_tokens, 0 FROM usage WHERE tenant = ?1 AND began >= ?2
                UNION ALL
                SELECT purpose, provider, reserved_tokens, reserved_nanos FROM egress WHERE tenant = ?1 AND at >= ?2
                    AND NOT EXISTS (SELECT 1 FROM usage WHERE usage.attempt = egress.attempt))
             GROUP BY purpose, provider ORDER BY purpose, provider",
        )?;
        let mut rows = statement.query(params![tenant.as_str(), since.as_microsecond()])?;
        while let Some(row) = rows.next()? {
            let (tokens, nanos): (i64, i64) = (row.get(2)?, row.get(3)?);
            all.push(Spent {
                tenant: tenant.clone(),
                purpose: purpose(row.get_ref(0)?.as_str().unwrap_or_default())?,
                provider: row.get(1)?,
                spending: Spending { tokens: tokens.cast_unsigned(), cost: Cost { nanos: nanos.cast_unsigned() } },
            });
        }
    }
    Ok(all)
}

fn time(microseconds: i64) -> Result<Timestamp, LedgerError> {
    Timestamp::from_microsecond(microseconds).map_err(|_| LedgerError::Corrupt("time"))
}

fn purpose(name: &str) -> Result<Purpose, LedgerError> {
    Purpose::ALL.into_iter().find(|purpose| purpose.as_str() == name).ok_or(LedgerError::Corrupt("purpose"))
}

fn policy(name: &str) -> Result<Egress, LedgerError> {
    let all = [Egress::LocalOnly, Egress::RedactThenRemote, Egress::RemoteAllowed];
    all.into_iter().find(|policy| policy.as_str() == name).ok_or(LedgerError::Corrupt("policy"))
}

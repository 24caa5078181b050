//! `GET /v1/audit`: what of the tenant's text left the machine, newest first: when, where to, how much; never the text.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use jiff::Timestamp;
use rejoinder::{AuditQuery, AuditRecord};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::auth::Tenant;
use crate::page::{self, Limit};
use crate::problem::Problem;
use crate::server::App;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AuditParameters {
    provider: Option<String>,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    cursor: Option<String>,
    #[serde(default)]
    limit: Limit,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct AuditAnswer {
    data: Vec<RecordDto>,
    next_cursor: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = AuditRecord)]
struct RecordDto {
    attempt: String,
    at: Timestamp,
    request_id: String,
    purpose: &'static str,
    provider: String,
    model: String,
    /// The policy that allowed it.
    egress: &'static str,
    bytes: u64,
    /// How many different values of each kind were replaced by placeholders.
    redactions: BTreeMap<String, u32>,
    reserved_tokens: u64,
    reserved_cost: f64,
    /// What became of it; null as long as that is not known.
    outcome: Option<String>,
}

pub(crate) async fn handle(
    State(app): State<Arc<App>>,
    Tenant(tenant): Tenant,
    parameters: Result<Query<AuditParameters>, QueryRejection>,
) -> Result<Json<AuditAnswer>, Problem> {
    let asked = page::parameters(parameters)?;
    let query = AuditQuery {
        provider: asked.provider,
        since: asked.since,
        until: asked.until,
        cursor: asked.cursor,
        limit: asked.limit.get()?,
    };
    let rejoinder = app.rejoinder.clone();
    let audit = page::blocking(move || rejoinder.audit(&tenant, &query)).await?;
    Ok(Json(AuditAnswer { data: audit.records.into_iter().map(RecordDto::from).collect(), next_cursor: audit.next }))
}

impl From<AuditRecord> for RecordDto {
    fn from(record: AuditRecord) -> Self {
        let egress = record.egress;
        Self {
            attempt: egress.attempt.0,
            at: egress.at,
            request_id: egress.request_id,
            purpose: egress.purpose.as_str(),
            provider: egress.provider,
            model: egress.model,
            egress: egress.policy.as_str(),
            bytes: egress.bytes,
            redactions: egress.redactions,
            reserved_tokens: egress.reserved.tokens,
            reserved_cost: egress.reserved.cost.units(),
            outcome: record.outcome,
        }
    }
}

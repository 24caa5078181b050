//! `POST /v1/extract-attributes`: what goes over the wire, and the handler.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::{Extension, Json};
use jiff::Timestamp;
use rejoinder::assist::{Caller, Evidence, ExtractInput, ExtractRequest};
use rejoinder::{Extracted, Rejoinder, TenantId};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::problem::Problem;
use crate::request_id::RequestId;
use crate::server::App;
use crate::suggest::{AttemptDto, UsageDto};
use crate::ticket::TicketDto;
use crate::{egress, json};

/// The request's body.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExtractAttributesRequest {
    #[serde(default)]
    text: Option<String>,
    #[serde(default)]
    ticket: Option<TicketDto>,
    /// When the text was written, for dates without a year.
    #[serde(default)]
    written_at: Option<Timestamp>,
    #[serde(default)]
    schema: Option<Value>,
    #[serde(default)]
    schema_name: Option<String>,
    #[serde(default)]
    current: Option<Value>,
    #[serde(default)]
    egress: Option<egress::Egress>,
}

/// The answer's body.
#[derive(Clone, Debug, Serialize)]
pub struct ExtractAttributesAnswer {
    id: String,
    attributes: Value,
    provider: String,
    model: String,
    needs_review: bool,
    evidence: Vec<EvidenceDto>,
    changes: Vec<ChangeDto>,
    conflicts: Vec<EvidenceDto>,
    abstained: Vec<String>,
    missing_required: Vec<String>,
    unaligned: Vec<String>,
    attempts: Vec<AttemptDto>,
    usage: UsageDto,
}

#[derive(Clone, Debug, Serialize)]
struct EvidenceDto {
    pointer: String,
    value: Value,
    source: String,
    start: usize,
    end: usize,
    byte_start: usize,
    byte_end: usize,
    quote: String,
    confidence: f32,
    origin: &'static str,
    agreement: &'static str,
}

#[derive(Clone, Debug, Serialize)]
struct ChangeDto {
    pointer: String,
    old: Value,
    new: Value,
}

/// Answers one request, for `rejoinder extract`.
pub async fn extract(
    rejoinder: &Rejoinder,
    tenant: &TenantId,
    request: ExtractAttributesRequest,
) -> Result<ExtractAttributesAnswer, Problem> {
    answer(rejoinder, tenant, request, "").await
}

async fn answer(
    rejoinder: &Rejoinder,
    tenant: &TenantId,
    request: ExtractAttributesRequest,
    request_id: &str,
) -> Result<ExtractAttributesAnswer, Problem> {
    let input = match (request.text, request.ticket) {
        (Some(text), None) => ExtractInput::Text { text, written_at: request.written_at },
        (None, Some(ticket)) => ExtractInput::Ticket(ticket.into()),
        (Some(_), Some(_)) => return Err(Problem::invalid("/text", "send a text or a ticket, not both")),
        (None, None) => return Err(Problem::invalid("/text", "send a text or a ticket")),
    };
    if request.schema_name.is_some() {
        return Err(Problem::invalid("/schema_name", "named schemas are not supported yet; send the schema inline"));
    }
    let Some(schema) = request.schema else {
        return Err(Problem::invalid("/schema", "send a JSON Schema"));
    };
    let caller = Caller { request_id: request_id.to_owned(), egress: request.egress.map(Into::into) };
    let request = ExtractRequest { input, schema, current: request.current, caller };
    let extracted = rejoinder.extract(tenant, &request).await.map_err(|error| Problem::from_library(&error))?;
    Ok(extracted.into())
}

pub(crate) async fn handle(
    State(app): State<Arc<App>>,
    Extension(request_id): Extension<RequestId>,
    headers: HeaderMap,
    body: json::Body,
) -> Result<Json<ExtractAttributesAnswer>, Problem> {
    let request = json::read(&headers, body, &app.config)?;
    answer(&app.rejoinder, app.rejoinder.default_tenant(), request, request_id.as_str()).await.map(Json)
}

impl From<Extracted> for ExtractAttributesAnswer {
    fn from(extracted: Extracted) -> Self {
        let answer = extracted.answer;
        let changes = answer.changes.into_iter();
        Self {
            id: extracted.id,
            attributes: answer.attributes,
            provider: answer.provider,
            model: answer.model,
            needs_review: answer.needs_review,
            evidence: answer.evidence.into_iter().map(EvidenceDto::from).collect(),
            changes: changes
                .map(|change| ChangeDto { pointer: change.pointer, old: change.old, new: change.new })
                .collect(),
            conflicts: answer.conflicts.into_iter().map(EvidenceDto::from).collect(),
            abstained: answer.abstained,
            missing_required: answer.missing_required,
            unaligned: answer.unaligned,
            attempts: answer.attempts.into_iter().map(AttemptDto::from).collect(),
            usage: answer.usage.into(),
        }
    }
}

impl From<Evidence> for EvidenceDto {
    fn from(evidence: Evidence) -> Self {
        Self {
            pointer: evidence.pointer,
            value: evidence.value,
            source: evidence.source,
            start: evidence.start,
            end: evidence.end,
            byte_start: evidence.byte_start,
            byte_end: evidence.byte_end,
            quote: evidence.quote,
            confidence: evidence.confidence,
            origin: evidence.origin.as_str(),
            agreement: evidence.agreement.as_str(),
        }
    }
}

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
use utoipa::ToSchema;

use crate::auth::Tenant;
use crate::problem::Problem;
use crate::request_id::RequestId;
use crate::server::App;
use crate::suggest::{AttemptDto, UsageDto};
use crate::ticket::TicketDto;
use crate::{egress, json};

/// The request's body.
#[derive(Clone, Debug, Deserialize, ToSchema)]
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
    #[schema(value_type = Option<Object>)]
    schema: Option<Value>,
    #[serde(default)]
    schema_name: Option<String>,
    #[serde(default)]
    current: Option<Value>,
    #[serde(default)]
    egress: Option<egress::Egress>,
}

/// The answer's body.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ExtractAttributesAnswer {
    id: String,
    /// The named schema that was filled, with its version; null where the schema came with the request.
    schema_name: Option<String>,
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

#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Evidence)]
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

#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Change)]
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
    let (schema, named) = match (request.schema, request.schema_name) {
        (Some(schema), None) => (schema, None),
        (None, Some(name)) => {
            let found = rejoinder.schema(tenant, &name);
            let found = found.ok_or_else(|| Problem::invalid("/schema_name", "there is no schema of this name"))?;
            ((*found.schema).clone(), Some(format!("{}@{}", found.name, found.version)))
        }
        (Some(_), Some(_)) => {
            return Err(Problem::invalid("/schema_name", "send a schema or the name of one, not both"));
        }
        (None, None) => return Err(Problem::invalid("/schema", "send a JSON Schema or schema_name")),
    };
    let caller = Caller { request_id: request_id.to_owned(), egress: request.egress.map(Into::into) };
    let request = ExtractRequest { input, schema, current: request.current, caller };
    let extracted = rejoinder.extract(tenant, &request).await.map_err(|error| Problem::from_library(&error))?;
    Ok(ExtractAttributesAnswer { schema_name: named, ..extracted.into() })
}

pub(crate) async fn handle(
    State(app): State<Arc<App>>,
    Tenant(tenant): Tenant,
    Extension(request_id): Extension<RequestId>,
    headers: HeaderMap,
    body: json::Body,
) -> Result<Json<ExtractAttributesAnswer>, Problem> {
    let request = json::read(&headers, body, &app.config)?;
    // Who waits for a model does not compute.
    let _turn = if app.rejoinder.has_targets() { None } else { Some(app.access.turn(&tenant).await?) };
    let answer = answer(&app.rejoinder, &tenant, request, request_id.as_str()).await?;
    app.access.charge_tokens(&tenant, answer.usage.tokens());
    Ok(Json(answer))
}

impl From<Extracted> for ExtractAttributesAnswer {
    fn from(extracted: Extracted) -> Self {
        let answer = extracted.answer;
        let changes = answer.changes.into_iter();
        Self {
            id: extracted.id,
            schema_name: None,
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

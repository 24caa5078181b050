//! `GET /v1/suggestions`, `/v1/suggestions/{id}`, `POST /v1/feedback`: what was suggested, and what people made of it.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use jiff::Timestamp;
use rejoinder::{ErrorKind, Feedback, KnownSuggestion, Outcome, OutcomeKind, OutcomeRecorded};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::auth::Tenant;
use crate::json;
use crate::page::{self, Limit};
use crate::problem::Problem;
use crate::server::App;

/// The body of `POST /v1/feedback`.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FeedbackRequest {
    /// `sug_...`.
    suggestion_id: String,
    /// Which of the suggestion's drafts, from 0.
    #[serde(default)]
    #[schema(format = Int64, minimum = 0, maximum = 4_294_967_295_i64)]
    candidate: u32,
    /// What the person did with it.
    outcome: OutcomeDto,
    /// What was sent; needed for `edited`. For `accepted` null is the draft as it was.
    #[serde(default)]
    final_text: Option<String>,
    /// Why, in the person's words.
    #[serde(default)]
    reason: Option<String>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum OutcomeDto {
    Accepted,
    Edited,
    Rejected,
}

/// A suggestion as it was given, with what became of it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct KnownSuggestionDto {
    /// The answer of suggest-reply.
    #[serde(flatten)]
    #[schema(value_type = crate::suggest::SuggestReplyAnswer)]
    answer: Value,
    created_at: Timestamp,
    /// Whether the ticket got another message since.
    stale: bool,
    outcome: Option<RecordedOutcomeDto>,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct RecordedOutcomeDto {
    candidate: u32,
    outcome: OutcomeDto,
    /// `none`, `light` (up to a tenth of the words), `moderate` (three tenths), `heavy` (six tenths), `rewritten`.
    edit_class: &'static str,
    /// Share of the words that were changed, 0 to 1.
    edit_ratio: f64,
    reason: Option<String>,
    recorded_at: Timestamp,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct SuggestionList {
    data: Vec<KnownSuggestionDto>,
    next_cursor: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SuggestionParameters {
    ticket_id: Option<String>,
    cursor: Option<String>,
    #[serde(default)]
    limit: Limit,
}

pub(crate) async fn feedback(
    State(app): State<Arc<App>>,
    Tenant(tenant): Tenant,
    headers: HeaderMap,
    body: json::Body,
) -> Result<StatusCode, Problem> {
    let request: FeedbackRequest = json::read(&headers, body, &app.config)?;
    let feedback = Feedback {
        suggestion: request.suggestion_id,
        candidate: request.candidate,
        kind: request.outcome.into(),
        final_text: request.final_text,
        reason: request.reason,
    };
    let needs_text = matches!(feedback.kind, OutcomeKind::Edited) && feedback.final_text.is_none();
    if needs_text {
        return Err(Problem::invalid("/final_text", "an edited draft needs the text that was sent"));
    }
    let _turn = app.access.turn(&tenant).await?;
    let recorded = app.rejoinder.feedback(&tenant, feedback).await.map_err(|error| match error.kind() {
        ErrorKind::NotFound => Problem::no_such("draft of this suggestion"),
        ErrorKind::Invalid => Problem::invalid("/final_text", "the text is empty or too long"),
        _ => Problem::from_library(&error),
    })?;
    match recorded {
        OutcomeRecorded::Recorded | OutcomeRecorded::Same => Ok(StatusCode::NO_CONTENT),
        OutcomeRecorded::Conflict => {
            Err(Problem::conflict("conflict", "another outcome of this suggestion was recorded before"))
        }
        OutcomeRecorded::NotFound => Err(Problem::no_such("suggestion")),
    }
}

pub(crate) async fn one(
    State(app): State<Arc<App>>,
    Tenant(tenant): Tenant,
    Path(id): Path<String>,
) -> Result<Json<KnownSuggestionDto>, Problem> {
    let known = app.rejoinder.suggestion(&tenant, &id).await.map_err(|error| Problem::from_library(&error))?;
    known.map(|known| Json(known.into())).ok_or_else(|| Problem::no_such("suggestion"))
}

pub(crate) async fn list(
    State(app): State<Arc<App>>,
    Tenant(tenant): Tenant,
    parameters: Result<Query<SuggestionParameters>, QueryRejection>,
) -> Result<Json<SuggestionList>, Problem> {
    let asked = page::parameters(parameters)?;
    let limit = asked.limit.get()?;
    let page = app.rejoinder.suggestions(&tenant, asked.ticket_id, asked.cursor, limit).await;
    let page = page.map_err(|error| page::problem_of(&error))?;
    let data = page.suggestions.into_iter().map(KnownSuggestionDto::from).collect();
    Ok(Json(SuggestionList { data, next_cursor: page.next }))
}

impl From<KnownSuggestion> for KnownSuggestionDto {
    fn from(known: KnownSuggestion) -> Self {
        let mut body = known.suggestion.body;
        Self {
            answer: body.get_mut("answer").map(Value::take).unwrap_or_default(),
            created_at: known.suggestion.created,
            stale: known.stale,
            outcome: known.outcome.map(RecordedOutcomeDto::from),
        }
    }
}

impl From<Outcome> for RecordedOutcomeDto {
    fn from(outcome: Outcome) -> Self {
        Self {
            candidate: outcome.candidate,
            outcome: outcome.kind.into(),
            edit_class: outcome.edit_class.as_str(),
            edit_ratio: outcome.edit_ratio,
            reason: outcome.reason,
            recorded_at: outcome.recorded,
        }
    }
}

impl From<OutcomeDto> for OutcomeKind {
    fn from(outcome: OutcomeDto) -> Self {
        match outcome {
            OutcomeDto::Accepted => Self::Accepted,
            OutcomeDto::Edited => Self::Edited,
            OutcomeDto::Rejected => Self::Rejected,
        }
    }
}

impl From<OutcomeKind> for OutcomeDto {
    fn from(kind: OutcomeKind) -> Self {
        match kind {
            OutcomeKind::Accepted => Self::Accepted,
            OutcomeKind::Edited => Self::Edited,
            OutcomeKind::Rejected => Self::Rejected,
        }
    }
}

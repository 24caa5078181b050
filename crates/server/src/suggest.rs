//! `POST /v1/suggest-reply`: what goes over the wire, and the handler.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use jiff::Timestamp;
use rejoinder::assist::{Attempt, Citation, NoSuggestion, Retrieval, SuggestAnswer, SuggestRequest, Usage};
use rejoinder::{MailboxId, Rejoinder, TenantId};
use serde::{Deserialize, Serialize};

use crate::problem::Problem;
use crate::server::App;
use crate::ticket::TicketDto;
use crate::{egress, json};

/// The request's body.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SuggestReplyRequest {
    ticket: TicketDto,
    #[serde(default)]
    instructions: Option<String>,
    #[serde(default)]
    tone: Option<String>,
    #[serde(default)]
    language: Option<String>,
    #[serde(default = "one")]
    candidates: u32,
    #[serde(default)]
    max_tokens: Option<u32>,
    #[serde(default)]
    #[expect(dead_code, reason = "read so that a misspelt policy is an error; every tier of this version is local")]
    egress: Option<egress::Egress>,
    #[serde(default)]
    stream: bool,
    #[serde(default)]
    agent_name: Option<String>,
    #[serde(default)]
    retrieval: RetrievalDto,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RetrievalDto {
    limit: Option<usize>,
    since: Option<Timestamp>,
    mailboxes: Vec<String>,
}

fn one() -> u32 {
    1
}

/// The answer's body.
#[derive(Clone, Debug, Serialize)]
pub struct SuggestReplyAnswer {
    id: String,
    ticket_id: String,
    suggestions: Vec<SuggestionDto>,
    no_suggestion_reason: Option<&'static str>,
    nearest: Vec<CitationDto>,
    attempts: Vec<AttemptDto>,
    usage: UsageDto,
    timings_ms: TimingsDto,
    index_version: String,
}

#[derive(Clone, Debug, Serialize)]
struct SuggestionDto {
    text: String,
    provider: String,
    model: String,
    language: Option<String>,
    confidence: f32,
    needs_review: bool,
    review_reasons: Vec<&'static str>,
    checks: Vec<CheckDto>,
    citations: Vec<CitationDto>,
}

#[derive(Clone, Debug, Serialize)]
struct CheckDto {
    name: &'static str,
    passed: bool,
    detail: String,
}

#[derive(Clone, Debug, Serialize)]
struct CitationDto {
    n: u32,
    message_id: String,
    mailbox: String,
    subject: String,
    sent_at: Option<Timestamp>,
    from: String,
    quote: String,
    start: usize,
    end: usize,
    score: f32,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct AttemptDto {
    provider: String,
    model: String,
    outcome: &'static str,
    ms: u64,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct UsageDto {
    input_tokens: u64,
    cached_input_tokens: u64,
    output_tokens: u64,
    cost: Option<f64>,
}

#[derive(Clone, Debug, Serialize)]
struct TimingsDto {
    retrieve: u64,
    first_token: u64,
    total: u64,
}

/// Answers one request: the same for the route and for `rejoinder suggest`.
pub async fn suggest(
    rejoinder: &Rejoinder,
    tenant: &TenantId,
    request: SuggestReplyRequest,
) -> Result<SuggestReplyAnswer, Problem> {
    if request.stream {
        return Err(Problem::invalid("/stream", "streaming is not supported yet; leave it out or send false"));
    }
    let request = SuggestRequest {
        ticket: request.ticket.into(),
        instructions: request.instructions,
        tone: request.tone,
        language: request.language,
        candidates: request.candidates,
        max_tokens: request.max_tokens,
        retrieval: Retrieval {
            limit: request.retrieval.limit,
            since: request.retrieval.since,
            mailboxes: request.retrieval.mailboxes.into_iter().map(MailboxId::from_stored).collect(),
        },
        agent_name: request.agent_name,
    };
    let suggested = rejoinder.suggest(tenant, &request).await.map_err(|error| Problem::from_library(&error))?;
    Ok(SuggestReplyAnswer::new(suggested.id, suggested.index_version, suggested.answer))
}

pub(crate) async fn handle(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    body: json::Body,
) -> Result<Json<SuggestReplyAnswer>, Problem> {
    let request = json::read(&headers, body, &app.config)?;
    suggest(&app.rejoinder, app.rejoinder.default_tenant(), request).await.map(Json)
}

impl SuggestReplyAnswer {
    fn new(id: String, index_version: String, answer: SuggestAnswer) -> Self {
        let suggestions = answer.suggestions.into_iter().map(|suggestion| SuggestionDto {
            text: suggestion.text,
            provider: suggestion.provider,
            model: suggestion.model,
            language: suggestion.language,
            confidence: suggestion.confidence,
            needs_review: suggestion.needs_review,
            review_reasons: suggestion.review_reasons,
            checks: suggestion
                .checks
                .into_iter()
                .map(|check| CheckDto { name: check.name, passed: check.passed, detail: check.detail })
                .collect(),
            citations: suggestion.citations.into_iter().map(CitationDto::from).collect(),
        });
        Self {
            id,
            ticket_id: answer.ticket_id,
            suggestions: suggestions.collect(),
            no_suggestion_reason: answer.no_suggestion_reason.map(NoSuggestion::code),
            nearest: answer.nearest.into_iter().map(CitationDto::from).collect(),
            attempts: answer.attempts.into_iter().map(AttemptDto::from).collect(),
            usage: answer.usage.into(),
            timings_ms: TimingsDto {
                retrieve: answer.timings.retrieve,
                first_token: answer.timings.first_token,
                total: answer.timings.total,
            },
            index_version,
        }
    }
}

impl From<Attempt> for AttemptDto {
    fn from(attempt: Attempt) -> Self {
        Self { provider: attempt.provider, model: attempt.model, outcome: attempt.outcome, ms: attempt.ms }
    }
}

impl From<Usage> for UsageDto {
    fn from(usage: Usage) -> Self {
        Self {
            input_tokens: usage.input_tokens,
            cached_input_tokens: usage.cached_input_tokens,
            output_tokens: usage.output_tokens,
            cost: usage.cost,
        }
    }
}

impl From<Citation> for CitationDto {
    fn from(citation: Citation) -> Self {
        Self {
            n: citation.n,
            message_id: citation.message_id.as_str().to_owned(),
            mailbox: citation.mailbox,
            subject: citation.subject,
            sent_at: citation.sent_at,
            from: citation.from,
            quote: citation.quote,
            start: citation.start,
            end: citation.end,
            score: citation.score,
        }
    }
}

//! `POST /v1/suggest-reply`: what goes over the wire, and the handler.

use std::num::NonZeroU32;
use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use jiff::Timestamp;
use rejoinder::assist::{
    Attempt, Caller, Citation, NoSuggestion, Retrieval, SuggestObserver, SuggestRequest, Suggestion, Usage,
};
use rejoinder::{Cost, MailboxId, Rejoinder, Suggested, TenantId};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use utoipa::ToSchema;

use crate::auth::Tenant;
use crate::problem::Problem;
use crate::request_id::RequestId;
use crate::server::App;
use crate::ticket::TicketDto;
use crate::turn::UntilFound;
use crate::{egress, json, suggest_stream};

/// The request's body.
#[derive(Clone, Debug, Deserialize, ToSchema)]
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
    #[schema(default = 1, minimum = 1, maximum = 5)]
    candidates: u32,
    #[serde(default)]
    #[schema(value_type = Option<u32>, format = Int64, minimum = 1, maximum = 4_294_967_295_i64)]
    max_tokens: Option<NonZeroU32>,
    #[serde(default)]
    egress: Option<egress::Egress>,
    #[serde(default)]
    stream: bool,
    #[serde(default)]
    agent_name: Option<String>,
    #[serde(default)]
    retrieval: RetrievalDto,
}

#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[schema(as = RetrievalOptions)]
#[serde(deny_unknown_fields, default)]
struct RetrievalDto {
    #[schema(minimum = 1, maximum = 100)]
    limit: Option<usize>,
    since: Option<Timestamp>,
    /// Only these mailboxes, by id or by name; empty is all.
    mailboxes: Vec<String>,
}

fn one() -> u32 {
    1
}

/// The answer's body.
#[derive(Clone, Debug, Serialize, ToSchema)]
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

#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Suggestion)]
pub(crate) struct SuggestionDto {
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

#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Check)]
struct CheckDto {
    name: &'static str,
    passed: bool,
    detail: String,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Citation)]
pub(crate) struct CitationDto {
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

#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Attempt)]
pub(crate) struct AttemptDto {
    provider: String,
    model: String,
    outcome: &'static str,
    ms: u64,
    usage: UsageDto,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Usage)]
pub(crate) struct UsageDto {
    input_tokens: u64,
    cached_input_tokens: u64,
    output_tokens: u64,
    cost: Option<f64>,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Timings)]
struct TimingsDto {
    retrieve: u64,
    first_token: u64,
    total: u64,
}

/// Answers one request in one piece, for `rejoinder suggest`.
pub async fn suggest(
    rejoinder: &Rejoinder,
    tenant: &TenantId,
    request: SuggestReplyRequest,
) -> Result<SuggestReplyAnswer, Problem> {
    if request.stream {
        return Err(Problem::invalid("/stream", "only the server streams; leave it out or send false"));
    }
    let id = rejoinder.new_suggestion_id();
    make(rejoinder, tenant, &id, &request.into_request(""), |_| async { Ok(UntilFound::new(None)) }).await
}

/// Makes the suggestion and keeps it. `begin` gives what observes a try: the first, or, where the answer is true, the second
/// and last one, for what the first cites was erased in the meantime and another one does not find that any more.
pub(crate) async fn make<O: SuggestObserver, F: Future<Output = Result<O, Problem>>>(
    rejoinder: &Rejoinder,
    tenant: &TenantId,
    id: &str,
    request: &SuggestRequest,
    begin: impl Fn(bool) -> F,
) -> Result<SuggestReplyAnswer, Problem> {
    let mut again = false;
    loop {
        let observer = begin(again).await?;
        let suggested = rejoinder.suggest_observed(tenant, request, &observer).await;
        let mut suggested = suggested.map_err(|error| Problem::from_library(&error))?;
        id.clone_into(&mut suggested.id);
        match keep(rejoinder, tenant, request, suggested).await {
            Err(problem) if !again && problem.retry_after_seconds().is_some() => again = true,
            kept => return kept,
        }
    }
}

/// Keeps the suggestion before it is shown: whoever has its id can tell what became of it.
async fn keep(
    rejoinder: &Rejoinder,
    tenant: &TenantId,
    request: &SuggestRequest,
    suggested: Suggested,
) -> Result<SuggestReplyAnswer, Problem> {
    let answer = SuggestReplyAnswer::from(suggested.clone());
    // By way of the text: the numbers are kept as they are shown.
    let shown = serde_json::to_string(&answer).and_then(|text| serde_json::from_str(&text));
    let body = shown.map_err(|_| Problem::internal())?;
    rejoinder
        .keep_suggestion(tenant, request, &suggested, body)
        .await
        .map_err(|error| Problem::from_library(&error))?;
    Ok(answer)
}

impl SuggestReplyAnswer {
    /// What its models read and wrote.
    pub(crate) fn tokens(&self) -> u64 {
        self.usage.tokens()
    }
}

impl UsageDto {
    /// Input and output together.
    pub(crate) fn tokens(&self) -> u64 {
        self.input_tokens + self.output_tokens
    }
}

pub(crate) async fn handle(
    State(app): State<Arc<App>>,
    Tenant(tenant): Tenant,
    Extension(request_id): Extension<RequestId>,
    headers: HeaderMap,
    body: json::Body,
) -> Result<Response, Problem> {
    let digest = body.as_ref().map(|body| Sha256::digest(body).into()).unwrap_or_default();
    let request: SuggestReplyRequest = json::read(&headers, body, &app.config)?;
    let stream = request.stream;
    let request = request.into_request(request_id.as_str());
    if stream {
        let asked = suggest_stream::Asked { request, digest, request_id };
        return suggest_stream::respond(&app, tenant, asked, &headers).await;
    }
    let id = app.rejoinder.new_suggestion_id();
    let begin = |_| async { Ok(UntilFound::new(Some(app.access.turn(&tenant).await?))) };
    let answer = make(&app.rejoinder, &tenant, &id, &request, begin).await?;
    app.access.charge_tokens(&tenant, answer.tokens());
    Ok(Json(answer).into_response())
}

impl SuggestReplyRequest {
    fn into_request(self, request_id: &str) -> SuggestRequest {
        SuggestRequest {
            ticket: self.ticket.into(),
            instructions: self.instructions,
            tone: self.tone,
            language: self.language,
            candidates: self.candidates,
            max_tokens: self.max_tokens.map(NonZeroU32::get),
            retrieval: Retrieval {
                limit: self.retrieval.limit,
                since: self.retrieval.since,
                mailboxes: self.retrieval.mailboxes.into_iter().map(MailboxId::from_stored).collect(),
            },
            agent_name: self.agent_name,
            caller: Caller { request_id: request_id.to_owned(), egress: self.egress.map(Into::into) },
        }
    }
}

impl From<Suggestion> for SuggestionDto {
    fn from(suggestion: Suggestion) -> Self {
        let checks = suggestion.checks.into_iter();
        Self {
            text: suggestion.text,
            provider: suggestion.provider,
            model: suggestion.model,
            language: suggestion.language,
            confidence: suggestion.confidence,
            needs_review: suggestion.needs_review,
            review_reasons: suggestion.review_reasons,
            checks: checks
                .map(|check| CheckDto { name: check.name, passed: check.passed, detail: check.detail })
                .collect(),
            citations: suggestion.citations.into_iter().map(CitationDto::from).collect(),
        }
    }
}

impl From<Suggested> for SuggestReplyAnswer {
    fn from(suggested: Suggested) -> Self {
        let answer = suggested.answer;
        Self {
            id: suggested.id,
            ticket_id: answer.ticket_id,
            suggestions: answer.suggestions.into_iter().map(SuggestionDto::from).collect(),
            no_suggestion_reason: answer.no_suggestion_reason.map(NoSuggestion::code),
            nearest: answer.nearest.into_iter().map(CitationDto::from).collect(),
            attempts: answer.attempts.into_iter().map(AttemptDto::from).collect(),
            usage: answer.usage.into(),
            timings_ms: TimingsDto {
                retrieve: answer.timings.retrieve,
                first_token: answer.timings.first_token,
                total: answer.timings.total,
            },
            index_version: suggested.index_version,
        }
    }
}

impl From<Attempt> for AttemptDto {
    fn from(attempt: Attempt) -> Self {
        Self {
            provider: attempt.provider,
            model: attempt.model,
            outcome: attempt.outcome,
            ms: attempt.ms,
            usage: attempt.usage.into(),
        }
    }
}

impl From<Usage> for UsageDto {
    fn from(usage: Usage) -> Self {
        Self {
            input_tokens: usage.input_tokens,
            cached_input_tokens: usage.cached_input_tokens,
            output_tokens: usage.output_tokens,
            cost: usage.cost.map(Cost::units),
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

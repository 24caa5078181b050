//! `POST /v1/search`: what goes over the wire, and the handler.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use jiff::Timestamp;
use rejoinder::assist::{SearchRequest, SearchResult};
use rejoinder::{Direction, Filter, MailboxId, Rejoinder, TenantId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::auth::Tenant;
use crate::json;
use crate::problem::Problem;
use crate::server::App;

/// The request's body.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SearchBody {
    #[schema(min_length = 1, pattern = r"\S")]
    query: String,
    #[serde(default)]
    #[schema(minimum = 1, maximum = 100)]
    limit: Option<usize>,
    #[serde(default)]
    since: Option<Timestamp>,
    #[serde(default)]
    until: Option<Timestamp>,
    /// Only these mailboxes, by id or by name; empty is all.
    #[serde(default)]
    mailboxes: Vec<String>,
    #[serde(default)]
    directions: Vec<DirectionDto>,
    #[serde(default)]
    participants: Vec<String>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Direction)]
#[serde(rename_all = "snake_case")]
pub(crate) enum DirectionDto {
    Inbound,
    Outbound,
    Internal,
    Unknown,
}

/// The answer's body: a list of one page, since a ranking has no stable next one.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct SearchAnswer {
    data: Vec<ResultDto>,
    next_cursor: Option<String>,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = SearchResult)]
struct ResultDto {
    message_id: String,
    mailbox: String,
    subject: String,
    sent_at: Option<Timestamp>,
    from: String,
    direction: DirectionDto,
    text: String,
    start: usize,
    end: usize,
    score: f32,
    similarity: Option<f32>,
    lexical: Option<f32>,
}

/// Answers one request: the same for the route and for `rejoinder search`.
pub async fn search(rejoinder: &Rejoinder, tenant: &TenantId, body: SearchBody) -> Result<SearchAnswer, Problem> {
    let request = SearchRequest {
        query: body.query,
        limit: body.limit,
        filter: Filter {
            since: body.since,
            until: body.until,
            mailboxes: body.mailboxes.into_iter().map(MailboxId::from_stored).collect(),
            directions: body.directions.into_iter().map(Direction::from).collect(),
            participants: body.participants.into_iter().map(|address| address.to_lowercase()).collect(),
            exclude_messages: Vec::new(),
        },
    };
    let results = rejoinder.search(tenant, &request).await.map_err(|error| Problem::from_library(&error))?;
    Ok(SearchAnswer { data: results.into_iter().map(ResultDto::from).collect(), next_cursor: None })
}

pub(crate) async fn handle(
    State(app): State<Arc<App>>,
    Tenant(tenant): Tenant,
    headers: HeaderMap,
    body: json::Body,
) -> Result<Json<SearchAnswer>, Problem> {
    let request = json::read(&headers, body, &app.config)?;
    let _turn = app.access.turn(&tenant).await?;
    search(&app.rejoinder, &tenant, request).await.map(Json)
}

impl From<SearchResult> for ResultDto {
    fn from(result: SearchResult) -> Self {
        Self {
            message_id: result.message_id.as_str().to_owned(),
            mailbox: result.mailbox,
            subject: result.subject,
            sent_at: result.sent_at,
            from: result.from,
            direction: result.direction.into(),
            text: result.text,
            start: result.start,
            end: result.end,
            score: result.score,
            similarity: result.similarity,
            lexical: result.lexical,
        }
    }
}

impl From<DirectionDto> for Direction {
    fn from(direction: DirectionDto) -> Self {
        match direction {
            DirectionDto::Inbound => Self::Inbound,
            DirectionDto::Outbound => Self::Outbound,
            DirectionDto::Internal => Self::Internal,
            DirectionDto::Unknown => Self::Unknown,
        }
    }
}

impl From<Direction> for DirectionDto {
    fn from(direction: Direction) -> Self {
        match direction {
            Direction::Inbound => Self::Inbound,
            Direction::Outbound => Self::Outbound,
            Direction::Internal => Self::Internal,
            Direction::Unknown => Self::Unknown,
        }
    }
}

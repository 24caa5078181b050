//! `/v1/ingest/jobs`: batch ingestion by upload or from the inbox folder, its progress and its account.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::sse::Event;
use axum::response::{IntoResponse as _, Response};
use axum::{Json, RequestExt as _};
use futures_core::Stream;
use jiff::Timestamp;
use rejoinder::{ErrorKind, ItemStatus, JobItem, JobRecord, JobState, TenantId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::auth::Tenant;
use crate::page::{self, Limit};
use crate::problem::Problem;
use crate::server::App;
use crate::{json, sse, upload};

/// How often a job is looked at for those who follow it.
const LOOK: Duration = Duration::from_millis(500);

/// A job over a file or folder of the inbox.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct InboxJob {
    /// Relative to the configured inbox folder.
    path: String,
}

/// A job of ingestion.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct JobDto {
    id: String,
    #[schema(value_type = String)]
    state: JobState,
    source: SourceDto,
    created_at: Timestamp,
    started_at: Option<Timestamp>,
    finished_at: Option<Timestamp>,
    /// Null until the job has begun.
    progress: Option<ProgressDto>,
    /// Why it failed.
    error: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
struct SourceDto {
    /// `upload`, `inbox` or `watch`.
    kind: &'static str,
    name: String,
    bytes: Option<u64>,
}

/// Counts of items; `seen` = `indexed` + `duplicate` + `skipped` + `pending`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
struct ProgressDto {
    seen: u64,
    indexed: u64,
    duplicate: u64,
    skipped: u64,
    salvaged: u64,
    pending: u64,
    per_second: Option<f64>,
    eta_seconds: Option<u64>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct JobList {
    data: Vec<JobDto>,
    next_cursor: Option<String>,
}

/// What became of one item.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ItemDto {
    /// Folder and place in the mailbox.
    place: String,
    status: &'static str,
    reason: Option<String>,
    message_id: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ItemList {
    data: Vec<ItemDto>,
    next_cursor: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct JobParameters {
    cursor: Option<String>,
    #[serde(default)]
    limit: Limit,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ItemParameters {
    status: Option<StatusDto>,
    cursor: Option<String>,
    #[serde(default)]
    limit: Limit,
}

#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum StatusDto {
    Indexed,
    Duplicate,
    Skipped,
    Salvaged,
}

/// `POST /v1/ingest/jobs`: files of a multipart upload, which go to the disk as they arrive, or a path under the inbox.
pub(crate) async fn create(
    State(app): State<Arc<App>>,
    Tenant(tenant): Tenant,
    request: Request,
) -> Result<Response, Problem> {
    let media_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = media_type.unwrap_or_default().split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let job = if essence == "multipart/form-data" {
        let boundary = multer::parse_boundary(media_type.unwrap_or_default())
            .map_err(|_| Problem::malformed("the multipart body has no boundary"))?;
        upload::receive(&app, &tenant, boundary, request.into_body()).await?
    } else {
        inbox_job(&app, &tenant, request).await?
    };
    let location = HeaderValue::try_from(format!("/v1/ingest/jobs/{}", job.id)).map_err(|_| Problem::internal())?;
    Ok((StatusCode::ACCEPTED, [(header::LOCATION, location)], Json(JobDto::from(job))).into_response())
}

async fn inbox_job(app: &App, tenant: &TenantId, request: Request) -> Result<JobRecord, Problem> {
    let headers: HeaderMap = request.headers().clone();
    let body: json::Body = request.with_limited_body().extract().await;
    let InboxJob { path } = json::read(&headers, body, &app.config)?;
    if app.rejoinder.inbox(tenant).is_none() {
        return Err(Problem::invalid("/path", "this server has no inbox folder; upload the file"));
    }
    app.rejoinder.submit_inbox(tenant, &path).await.map_err(|error| match error.kind() {
        ErrorKind::Invalid => Problem::invalid(
            "/path",
            "it must be the path of something in the inbox folder, without .. and without links that lead out of it",
        ),
        _ => Problem::from_library(&error),
    })
}

pub(crate) async fn list(
    State(app): State<Arc<App>>,
    Tenant(tenant): Tenant,
    parameters: Result<Query<JobParameters>, QueryRejection>,
) -> Result<Json<JobList>, Problem> {
    let asked = page::parameters(parameters)?;
    let limit = asked.limit.get()?;
    let page = app.rejoinder.jobs(&tenant, asked.cursor, limit).await.map_err(|error| page::problem_of(&error))?;
    Ok(Json(JobList { data: page.jobs.into_iter().map(JobDto::from).collect(), next_cursor: page.next }))
}

pub(crate) async fn one(
    State(app): State<Arc<App>>,
    Tenant(tenant): Tenant,
    Path(id): Path<String>,
) -> Result<Json<JobDto>, Problem> {
    find(&app, &tenant, &id).await.map(|job| Json(job.into()))
}

pub(crate) async fn items(
    State(app): State<Arc<App>>,
    Tenant(tenant): Tenant,
    Path(id): Path<String>,
    parameters: Result<Query<ItemParameters>, QueryRejection>,
) -> Result<Json<ItemList>, Problem> {
    let asked = page::parameters(parameters)?;
    let limit = asked.limit.get()?;
    find(&app, &tenant, &id).await?;
    let status = asked.status.map(ItemStatus::from);
    let page = app.rejoinder.job_items(&tenant, id, status, asked.cursor, limit).await;
    let page = page.map_err(|error| page::problem_of(&error))?;
    Ok(Json(ItemList { data: page.items.into_iter().map(ItemDto::from).collect(), next_cursor: page.next }))
}

/// `POST /v1/ingest/jobs/{id}/cancel`: the job stops within one batch; what it has read stays.
pub(crate) async fn cancel(
    State(app): State<Arc<App>>,
    Tenant(tenant): Tenant,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let job = app.rejoinder.cancel_job(&tenant, &id).await.map_err(|error| Problem::from_library(&error))?;
    let job = job.ok_or_else(|| Problem::no_such("job"))?;
    Ok((StatusCode::ACCEPTED, Json(JobDto::from(job))).into_response())
}

/// `GET /v1/ingest/jobs/{id}/events`: `progress` whenever something changed, then `done`; each with the whole job. An event
/// tells a state and not a difference: who comes back misses nothing.
pub(crate) async fn events(
    State(app): State<Arc<App>>,
    Tenant(tenant): Tenant,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let job = find(&app, &tenant, &id).await?;
    let last = headers.get("last-event-id").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let number: u64 = last.rsplit_once(':').and_then(|(_, number)| number.parse().ok()).unwrap_or(0);
    let heartbeat = app.config.heartbeat();
    Ok(sse::response(follow(app, tenant, job, number), heartbeat))
}

fn follow(app: Arc<App>, tenant: TenantId, job: JobRecord, number: u64) -> Told {
    let (sender, receiver) = tokio::sync::mpsc::channel::<Event>(1);
    // Ends with the job, with the client (nobody receives any more) or with the job's erasure.
    tokio::spawn(async move {
        let (mut number, id) = (number, job.id.clone());
        let mut told: Option<JobDto> = None;
        let mut known = Some(job);
        while let Some(job) = known {
            let ended = job.state.is_final();
            let now = JobDto::from(job);
            if told.as_ref() != Some(&now) {
                number += 1;
                let data = serde_json::to_string(&now).unwrap_or_default();
                let name = if ended { "done" } else { "progress" };
                let event = Event::default().id(format!("{id}:{number}")).event(name).data(data);
                if sender.send(event).await.is_err() || ended {
                    return;
                }
                told = Some(now);
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                () = sender.closed() => return,
            }
            known = app.rejoinder.job(&tenant, &id).await.unwrap_or_default();
        }
    });
    Told(receiver)
}

/// What was told.
struct Told(tokio::sync::mpsc::Receiver<Event>);

impl Stream for Told {
    type Item = Result<Event, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(context).map(|event| event.map(Ok))
    }
}

async fn find(app: &App, tenant: &TenantId, id: &str) -> Result<JobRecord, Problem> {
    let job = app.rejoinder.job(tenant, id).await.map_err(|error| Problem::from_library(&error))?;
    job.ok_or_else(|| Problem::no_such("job"))
}

impl From<JobRecord> for JobDto {
    fn from(job: JobRecord) -> Self {
        let progress = job.progress.map(|progress| serde_json::from_value(progress).unwrap_or_default());
        Self {
            id: job.id,
            state: job.state,
            source: SourceDto { kind: job.source.as_str(), name: job.name, bytes: job.bytes },
            created_at: job.created,
            started_at: job.started,
            finished_at: job.finished,
            progress,
            error: job.error,
        }
    }
}

impl From<JobItem> for ItemDto {
    fn from(item: JobItem) -> Self {
        Self {
            place: item.place,
            status: item.status.as_str(),
            reason: item.reason,
            message_id: item.message.map(|id| id.as_str().to_owned()),
        }
    }
}

impl From<StatusDto> for ItemStatus {
    fn from(status: StatusDto) -> Self {
        match status {
            StatusDto::Indexed => Self::Indexed,
            StatusDto::Duplicate => Self::Duplicate,
            StatusDto::Skipped => Self::Skipped,
            StatusDto::Salvaged => Self::Salvaged,
        }
    }
}

//! `POST /v1/suggest-reply` with `stream: true`: what becomes known, as server-sent events.
//!
//! `retrieval`, `draft`, `delta`, `citation`, `restart`, then `done` with the whole answer or `error` with a problem. The `id` of
//! an event is the suggestion's id and the event's number, `sug_...:3`: sent back as `Last-Event-ID`, with the same request or
//! to `GET /v1/suggest-reply/{id}/events`, it gives what came after. What fails before the first event is an ordinary problem
//! with its status.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Extension;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use axum::response::sse::Event;
use futures_core::Stream;
use rejoinder::TenantId;
use rejoinder::assist::{SuggestEvent, SuggestObserver, SuggestRequest};
use serde::Serialize;

use crate::auth::Tenant;
use crate::live::{Live, Reader, Said};
use crate::problem::Problem;
use crate::request_id::RequestId;
use crate::server::App;
use crate::sse;
use crate::suggest::{self, CitationDto, SuggestionDto};
use crate::turn::UntilFound;

/// The header of a client that comes back (HTML, section 9.2.4).
const LAST_EVENT_ID: &str = "last-event-id";

#[derive(Serialize)]
struct Retrieved {
    citations: Vec<CitationDto>,
}

#[derive(Serialize)]
struct Delta<'a> {
    text: &'a str,
}

/// Begins the answer, or goes on with it where the client names the last event that it got of the same request.
pub(crate) async fn respond(
    app: &Arc<App>,
    tenant: TenantId,
    asked: Asked,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let known = match last_event(headers)? {
        Some((id, number)) => app.live.find(&tenant, &id).filter(|live| live.is_of(&asked.digest)).zip(Some(number)),
        None => None,
    };
    let (live, after) = match known {
        Some(known) => known,
        None => (app.live.begin(app.rejoinder.new_suggestion_id(), tenant, asked.digest, asked.request), 0),
    };
    follow(app, &live, after, asked.request_id).await
}

/// A request to be answered by events.
pub(crate) struct Asked {
    /// The request.
    pub(crate) request: SuggestRequest,
    /// SHA-256 of its body.
    pub(crate) digest: [u8; 32],
    /// Its id.
    pub(crate) request_id: RequestId,
}

/// `GET /v1/suggest-reply/{id}/events`: the events of a streamed suggestion from `Last-Event-ID` on, as long as they are kept.
pub(crate) async fn events(
    State(app): State<Arc<App>>,
    Tenant(tenant): Tenant,
    Extension(request_id): Extension<RequestId>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let after = match last_event(&headers)? {
        Some((of, number)) if of == id => number,
        Some(_) => return Err(Problem::parameter("Last-Event-ID", "it is of another suggestion")),
        None => 0,
    };
    let live = app.live.find(&tenant, &id).ok_or_else(|| Problem::no_such("streamed suggestion, or not any more"))?;
    follow(&app, &live, after, request_id).await
}

async fn follow(app: &Arc<App>, live: &Arc<Live>, after: usize, request_id: RequestId) -> Result<Response, Problem> {
    let worker = Arc::clone(app);
    let mut reader = live.read(after, |live| work(worker, live, request_id));
    let heartbeat = app.config.heartbeat();
    let Ok(first) = tokio::time::timeout(heartbeat, reader.next()).await else {
        return Ok(sse::response(Events::new(reader, None), heartbeat));
    };
    if let (Some((1, _)), Some(problem)) = (&first, live.take_failure()) {
        return Err(problem);
    }
    Ok(sse::response(Events::new(reader, first), heartbeat))
}

/// `sug_...:3` is the third event of that suggestion.
fn last_event(headers: &HeaderMap) -> Result<Option<(String, usize)>, Problem> {
    let Some(value) = headers.get(LAST_EVENT_ID) else { return Ok(None) };
    let text = value.to_str().unwrap_or_default();
    // A client that never got an event sends an empty one.
    if text.is_empty() && value.is_empty() {
        return Ok(None);
    }
    let read = text.rsplit_once(':').and_then(|(id, number)| Some((id.to_owned(), number.parse().ok()?)));
    read.map(Some).ok_or_else(|| Problem::parameter("Last-Event-ID", "this is no id of an event of this server"))
}

async fn work(app: Arc<App>, live: Arc<Live>, request_id: RequestId) {
    let limit = Duration::from_secs(app.config.request_timeout_seconds);
    let answered = async {
        let (app, live) = (&app, &live);
        let begin = |again| async move {
            if again {
                live.say("restart", "{}".to_owned());
            }
            let turn = match app.access.turn(live.tenant()).await {
                // Who was let in is not sent away in the middle: a second try has waited for its turn, and goes on.
                Err(_) if again => None,
                turn => Some(turn?),
            };
            Ok(Teller { live: Arc::clone(live), turn: UntilFound::new(turn) })
        };
        suggest::make(&app.rejoinder, live.tenant(), live.id(), live.request(), begin).await
    };
    match tokio::time::timeout(limit, answered).await {
        Ok(Ok(answer)) => {
            app.access.charge_tokens(live.tenant(), answer.tokens());
            live.end("done", text(&answer));
        }
        Ok(Err(problem)) => live.fail(problem, &request_id),
        Err(_) => live.fail(Problem::timed_out(), &request_id),
    }
}

/// Writes what becomes known into the log.
struct Teller {
    live: Arc<Live>,
    turn: UntilFound,
}

impl SuggestObserver for Teller {
    fn event(&self, event: SuggestEvent) {
        self.turn.end();
        match event {
            SuggestEvent::Retrieval(found) => {
                let citations = found.into_iter().map(CitationDto::from).collect();
                self.live.say("retrieval", text(&Retrieved { citations }));
            }
            SuggestEvent::Draft(draft) => self.live.say("draft", text(&SuggestionDto::from(*draft))),
            SuggestEvent::Delta(delta) => self.live.say("delta", text(&Delta { text: &delta })),
            SuggestEvent::Citation(citation) => self.live.say("citation", text(&CitationDto::from(citation))),
            SuggestEvent::Restart => self.live.say("restart", "{}".to_owned()),
        }
    }
}

fn text(data: &impl Serialize) -> String {
    serde_json::to_string(data).unwrap_or_default()
}

/// What a read of the log is waited for by.
type Next = Pin<Box<dyn Future<Output = (Option<(usize, Said)>, Reader)> + Send>>;

/// The events of one connection. Dropping it is hanging up.
struct Events {
    ready: Option<Event>,
    id: String,
    next: Option<Next>,
}

impl Events {
    fn new(reader: Reader, first: Option<(usize, Said)>) -> Self {
        let id = reader.live().id().to_owned();
        let ready = first.map(|(number, said)| event(&id, number, &said));
        Self { ready, id, next: Some(Box::pin(read(reader))) }
    }
}

async fn read(mut reader: Reader) -> (Option<(usize, Said)>, Reader) {
    (reader.next().await, reader)
}

fn event(id: &str, number: usize, said: &Said) -> Event {
    Event::default().id(format!("{id}:{number}")).event(said.name).data(&*said.data)
}

impl Stream for Events {
    type Item = Result<Event, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(event) = self.ready.take() {
            return Poll::Ready(Some(Ok(event)));
        }
        let Some(next) = &mut self.next else { return Poll::Ready(None) };
        let (said, reader) = std::task::ready!(next.as_mut().poll(context));
        let Some((number, said)) = said else {
            self.next = None;
            return Poll::Ready(None);
        };
        self.next = Some(Box::pin(read(reader)));
        Poll::Ready(Some(Ok(event(&self.id, number, &said))))
    }
}

//! `POST /v1/suggest-reply` with `stream: true`: what becomes known, as server-sent events.
//!
//! `retrieval`, `draft`, `delta`, `citation`, `restart`, then `done` with the whole answer or `error` with a problem; each
//! with its number as `id`. What fails before the first event is an ordinary problem with its status.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::response::Response;
use axum::response::sse::Event;
use futures_core::Stream;
use rejoinder::Suggested;
use rejoinder::assist::{SuggestEvent, SuggestObserver, SuggestRequest};
use serde::Serialize;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{Sleep, sleep};

use crate::problem::Problem;
use crate::request_id::RequestId;
use crate::server::App;
use crate::sse;
use crate::suggest::{CitationDto, SuggestReplyAnswer, SuggestionDto};

#[derive(Serialize)]
struct Retrieved {
    citations: Vec<CitationDto>,
}

#[derive(Serialize)]
struct Delta<'a> {
    text: &'a str,
}

#[derive(Serialize)]
struct Nothing {}

/// Begins the answer.
pub(crate) async fn respond(
    app: &Arc<App>,
    request: SuggestRequest,
    request_id: RequestId,
) -> Result<Response, Problem> {
    let (sender, receiver) = unbounded_channel();
    let rejoinder = app.rejoinder.clone();
    let work = async move {
        let observer = Sender(sender);
        rejoinder.suggest_observed(rejoinder.default_tenant(), &request, &observer).await
    };
    let mut events = Events {
        work: Box::pin(work),
        receiver,
        limit: Box::pin(sleep(Duration::from_secs(app.config.request_timeout_seconds))),
        ready: VecDeque::new(),
        number: 0,
        begun: false,
        ended: false,
        failure: None,
        request_id,
    };
    let heartbeat = app.config.heartbeat();
    let begun = poll_fn(|context| events.poll_begun(context));
    if let Ok(Err(problem)) = tokio::time::timeout(heartbeat, begun).await {
        return Err(problem);
    }
    Ok(sse::response(events, heartbeat))
}

/// Hands on what becomes known; a client that is gone needs nothing.
struct Sender(UnboundedSender<SuggestEvent>);

impl SuggestObserver for Sender {
    fn event(&self, event: SuggestEvent) {
        let _ = self.0.send(event);
    }
}

/// The events of one suggestion. Dropping it drops the work.
struct Events {
    work: Pin<Box<dyn Future<Output = Result<Suggested, rejoinder::Error>> + Send>>,
    receiver: UnboundedReceiver<SuggestEvent>,
    limit: Pin<Box<Sleep>>,
    ready: VecDeque<Event>,
    number: u64,
    /// Whether anything but a failure is known.
    begun: bool,
    ended: bool,
    failure: Option<Problem>,
    request_id: RequestId,
}

impl Events {
    /// Ready as soon as it is known whether the answer begins or fails.
    fn poll_begun(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Problem>> {
        while !self.begun && !self.ended {
            ready!(self.poll_work(context));
        }
        Poll::Ready(match self.failure.take() {
            Some(problem) if !self.begun => Err(problem),
            _ => Ok(()),
        })
    }

    /// Ready when there is one more event. It must not be polled after the end.
    fn poll_work(&mut self, context: &mut Context<'_>) -> Poll<()> {
        // The work tells of events while it is polled, so what it told is looked for before and after.
        if let Poll::Ready(Some(event)) = self.receiver.poll_recv(context) {
            self.known(event);
            return Poll::Ready(());
        }
        if let Poll::Ready(result) = self.work.as_mut().poll(context) {
            while let Ok(event) = self.receiver.try_recv() {
                self.known(event);
            }
            match result {
                Ok(suggested) => self.push("done", &SuggestReplyAnswer::from(suggested)),
                Err(error) => self.fail(Problem::from_library(&error)),
            }
            self.ended = true;
            return Poll::Ready(());
        }
        if let Poll::Ready(Some(event)) = self.receiver.poll_recv(context) {
            self.known(event);
            return Poll::Ready(());
        }
        ready!(self.limit.as_mut().poll(context));
        self.fail(Problem::timed_out());
        Poll::Ready(())
    }

    fn known(&mut self, event: SuggestEvent) {
        match event {
            SuggestEvent::Retrieval(found) => {
                let citations = found.into_iter().map(CitationDto::from).collect();
                self.push("retrieval", &Retrieved { citations });
            }
            SuggestEvent::Draft(draft) => self.push("draft", &SuggestionDto::from(*draft)),
            SuggestEvent::Delta(text) => self.push("delta", &Delta { text: &text }),
            SuggestEvent::Citation(citation) => self.push("citation", &CitationDto::from(citation)),
            SuggestEvent::Restart => self.push("restart", &Nothing {}),
        }
    }

    fn push(&mut self, name: &str, data: &impl Serialize) {
        self.begun = true;
        let text = serde_json::to_string(data).unwrap_or_default();
        self.queue(name, text);
    }

    fn fail(&mut self, problem: Problem) {
        self.ended = true;
        let text = problem.document(&self.request_id);
        self.queue("error", text);
        self.failure = Some(problem);
    }

    fn queue(&mut self, name: &str, text: String) {
        self.number += 1;
        self.ready.push_back(Event::default().id(self.number.to_string()).event(name).data(text));
    }
}

impl Stream for Events {
    type Item = Result<Event, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Poll::Ready(Some(Ok(event)));
            }
            if self.ended {
                return Poll::Ready(None);
            }
            ready!(self.poll_work(context));
        }
    }
}

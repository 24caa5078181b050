//! An answer in chunks, as server-sent events.
//!
//! Nothing is answered before the first text, call or end is there (or the time of a heartbeat is over), so that a failure
//! before it has its own status. A failure after it is an event with an error, which the clients raise, and then nothing:
//! without `[DONE]` no client takes what it has for an answer. An answer that starts over cannot be told in this
//! protocol once something was sent, so it is such a failure too.

use std::collections::{BTreeSet, VecDeque};
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::response::Response;
use axum::response::sse::Event;
use futures_core::Stream;
use rejoinder::{
    ErrorKind, FinishReason, GenerateEvent, GenerateStream, Generated, ModelAttempt, SeamError, ToolCallPart,
};
use serde::Serialize;
use serde_json::Value;

use super::answer::{self, RoutingDto, UsageDto};
use super::chat::Head;
use super::error::OpenAiError;
use super::request::Delivery;
use crate::connection::LastEvent;
use crate::request_id::unique;
use crate::sse;

#[derive(Serialize)]
struct Chunk<'a> {
    id: &'a str,
    object: &'static str,
    created: i64,
    model: &'a str,
    system_fingerprint: Option<&'a str>,
    choices: Vec<ChunkChoice<'a>>,
    /// Left out where the client did not ask; null in all chunks but the last where it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[expect(clippy::option_option, reason = "left out and null say different things")]
    usage: Option<Option<UsageDto>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rejoinder: Option<RoutingDto>,
}

#[derive(Serialize)]
struct ChunkChoice<'a> {
    index: u32,
    delta: Delta<'a>,
    logprobs: Option<Value>,
    finish_reason: Option<&'static str>,
}

#[derive(Default, Serialize)]
struct Delta<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_calls: Option<[CallDelta<'a>; 1]>,
}

#[derive(Serialize)]
struct CallDelta<'a> {
    index: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    r#type: Option<&'static str>,
    function: FunctionDelta<'a>,
}

#[derive(Serialize)]
struct FunctionDelta<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    arguments: &'a str,
}

/// Begins the answer, or fails with a status where nothing was sent yet.
pub(crate) async fn respond(
    source: GenerateStream,
    head: Head,
    delivery: Delivery,
    heartbeat: Duration,
) -> Result<Response, OpenAiError> {
    let mut chunks = Chunks {
        source,
        head,
        delivery,
        attempts: Vec::new(),
        calls: BTreeSet::new(),
        ready: VecDeque::new(),
        begun: false,
        ended: false,
        failure: None,
    };
    let first = std::future::poll_fn(|context| chunks.poll_begun(context));
    if let Ok(Err(error)) = tokio::time::timeout(heartbeat, first).await {
        return Err(error);
    }
    let mut response = sse::response(chunks, heartbeat);
    let last = format!("data: {}\n\n", OpenAiError::stopping().document());
    response.extensions_mut().insert(LastEvent(last.into()));
    Ok(response)
}

/// The chunks of one answer. Dropping it drops the model's work.
struct Chunks {
    source: GenerateStream,
    head: Head,
    delivery: Delivery,
    attempts: Vec<ModelAttempt>,
    /// Calls whose first part was sent.
    calls: BTreeSet<usize>,
    ready: VecDeque<String>,
    /// Whether the model's own text, or a call, is or was in `ready`.
    begun: bool,
    ended: bool,
    /// A failure before anything was sent.
    failure: Option<OpenAiError>,
}

impl Chunks {
    /// Ready as soon as it is known whether the answer begins or fails.
    fn poll_begun(&mut self, context: &mut Context<'_>) -> Poll<Result<(), OpenAiError>> {
        while !self.begun && !self.ended {
            let event = ready!(self.source.as_mut().poll_next(context));
            self.advance(event);
        }
        Poll::Ready(match self.failure.take() {
            Some(failure) if !self.begun => Err(failure),
            _ => Ok(()),
        })
    }

    fn advance(&mut self, event: Option<Result<GenerateEvent, SeamError>>) {
        match event {
            Some(Ok(GenerateEvent::Text(text))) => {
                self.begin();
                self.delta(Delta { content: Some(&text), ..Delta::default() });
            }
            Some(Ok(GenerateEvent::ToolCall(part))) => self.call(&part),
            Some(Ok(GenerateEvent::Attempt(attempt))) => self.attempts.push(attempt),
            Some(Ok(GenerateEvent::Restart)) => {
                if self.begun {
                    self.fail(OpenAiError::restarted());
                }
            }
            Some(Ok(GenerateEvent::Done(generated))) => self.finish(generated.finish, Some(generated)),
            // What a client asked to have a form and did not allow the tokens for ends as OpenAI's answers do.
            Some(Err(error)) if error.kind == ErrorKind::OutputIncomplete => self.finish(FinishReason::Length, None),
            Some(Err(error)) => self.fail(OpenAiError::of_call(&error, &self.attempts)),
            None => self.fail(OpenAiError::broken_off()),
        }
    }

    /// The chunk that says who speaks, before the first other one.
    fn begin(&mut self) {
        if !self.begun {
            self.begun = true;
            self.delta(Delta { role: Some("assistant"), content: Some(""), ..Delta::default() });
        }
    }

    fn call(&mut self, part: &ToolCallPart) {
        if self.delivery.one_tool_call && part.index > 0 {
            return;
        }
        self.begin();
        let first = self.calls.insert(part.index);
        let made_up = || format!("call_{}", unique());
        let call = CallDelta {
            index: part.index,
            id: first.then(|| part.id.clone().unwrap_or_else(made_up)),
            r#type: first.then_some("function"),
            function: FunctionDelta { name: part.name.as_deref().filter(|_| first), arguments: &part.arguments },
        };
        self.delta(Delta { tool_calls: Some([call]), ..Delta::default() });
    }

    fn finish(&mut self, finish: FinishReason, generated: Option<Generated>) {
        self.begin();
        let choice = ChunkChoice {
            index: 0,
            delta: Delta::default(),
            logprobs: None,
            finish_reason: Some(answer::finish_reason(finish)),
        };
        let routing = answer::routing(&self.attempts);
        self.push(vec![choice], None, routing);
        if self.delivery.include_usage {
            let usage = generated.map(|generated| generated.usage);
            let usage = usage.or_else(|| self.attempts.last().map(|attempt| attempt.usage));
            self.push(Vec::new(), usage.map(UsageDto::from), None);
        }
        self.ready.push_back("[DONE]".to_owned());
        self.ended = true;
    }

    fn fail(&mut self, error: OpenAiError) {
        self.ended = true;
        self.ready.push_back(error.document());
        self.failure = Some(error);
    }

    fn delta(&mut self, delta: Delta<'_>) {
        self.push(vec![ChunkChoice { index: 0, delta, logprobs: None, finish_reason: None }], None, None);
    }

    fn push(&mut self, choices: Vec<ChunkChoice<'_>>, usage: Option<UsageDto>, rejoinder: Option<RoutingDto>) {
        let chunk = Chunk {
            id: &self.head.id,
            object: "chat.completion.chunk",
            created: self.head.created,
            model: &self.head.model,
            system_fingerprint: None,
            choices,
            usage: self.delivery.include_usage.then_some(usage),
            rejoinder,
        };
        let text = serde_json::to_string(&chunk).unwrap_or_default();
        self.ready.push_back(text);
    }
}

impl Stream for Chunks {
    type Item = Result<Event, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(data) = self.ready.pop_front() {
                return Poll::Ready(Some(Ok(Event::default().data(data))));
            }
            if self.ended {
                return Poll::Ready(None);
            }
            let event = ready!(self.source.as_mut().poll_next(context));
            self.advance(event);
        }
    }
}

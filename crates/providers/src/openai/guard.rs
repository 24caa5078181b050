//! What stands between `async-openai` and the network.
//!
//! That client logs what it cannot read, quotes it in its errors, retries by itself unless told otherwise, reads lines of
//! any length, and cannot tell an answer that is complete from one that was cut. So it gets to see success only, in
//! frames that were read before it reads them: one event each, of the very type that it reads them as.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use async_openai::error::OpenAIError;
use async_openai::middleware::HttpRequestFactory;
use bytes::Bytes;
use futures_core::Stream;
use reqwest::{Body, Client, Response};

use rejoinder_domain::SeamError;

use super::chunk::Framed;
use crate::events::Events;
use crate::failure::{self, Broken};
use crate::sse::Event;

/// The service that executes requests.
#[derive(Clone)]
pub(crate) struct Guard {
    pub(crate) client: Client,
    pub(crate) max_bytes: usize,
    pub(crate) name: Arc<str>,
}

impl tower_service::Service<HttpRequestFactory> for Guard {
    type Response = Response;
    type Error = OpenAIError;
    type Future = Pin<Box<dyn Future<Output = Result<Response, OpenAIError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), OpenAIError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: HttpRequestFactory) -> Self::Future {
        let guard = self.clone();
        Box::pin(async move {
            let request = request.build().await?;
            guard.execute(request).await.map_err(|error| OpenAIError::Boxed(Box::new(error)))
        })
    }
}

impl Guard {
    async fn execute(self, request: reqwest::Request) -> Result<Response, SeamError> {
        let response = self.client.execute(request).await.map_err(|error| failure::no_response(&self.name, error))?;
        if !response.status().is_success() {
            return Err(failure::of_response(&self.name, response).await);
        }
        let frames = GuardedFrames::new(Events::new(response, self.max_bytes));
        Ok(http::Response::new(Body::wrap_stream(frames)).into())
    }
}

/// Events, each checked and put into a frame.
pub(crate) struct GuardedFrames {
    events: Events,
    over: bool,
}

impl GuardedFrames {
    pub(crate) fn new(events: Events) -> Self {
        Self { events, over: false }
    }
}

impl Stream for GuardedFrames {
    type Item = Result<Bytes, std::convert::Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.over {
            return Poll::Ready(None);
        }
        let frame = match std::task::ready!(Pin::new(&mut self.events).poll_next(context)) {
            None => return Poll::Ready(None),
            Some(Ok(event)) => framed(&event).unwrap_or_else(|| broken(Broken::NotAnAnswer)),
            Some(Err(reason)) => broken(reason),
        };
        self.over = matches!(frame, Frame::Last(_));
        let (Frame::Next(frame) | Frame::Last(frame)) = frame;
        Poll::Ready(Some(Ok(frame.into())))
    }
}

/// A frame as it is sent on.
enum Frame {
    Next(String),
    /// Nothing of what follows would be an answer.
    Last(String),
}

/// A frame that says why there are no more.
fn broken(broken: Broken) -> Frame {
    let reason = serde_json::to_string(&broken).unwrap_or_default();
    Frame::Last(format!("data: {{\"broken\":{reason}}}\n\n"))
}

/// The event in a frame; nothing where it is not what this API says.
fn framed(event: &Event) -> Option<Frame> {
    if event.data.trim() == "[DONE]" {
        return Some(Frame::Next("data: \"done\"\n\n".into()));
    }
    // A line break within data, which a whole body has, would end the line. It can only stand between JSON's tokens.
    let data = event.data.replace("\r\n", "\n").replace('\r', "\n");
    let field = if event.kind == "error" { "error" } else { "chunk" };
    let frame = format!("{{\"{field}\":{data}}}");
    serde_json::from_str::<Framed>(&frame).ok()?;
    Some(Frame::Next(format!("data: {}\n\n", frame.replace('\n', "\ndata: "))))
}

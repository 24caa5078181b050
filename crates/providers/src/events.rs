//! A response as a stream of events, within bounds.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_core::Stream;
use reqwest::Response;
use reqwest::header::CONTENT_TYPE;

use crate::failure::Broken;
use crate::sse::{Event, EventReader};

/// The events of a response. A body of plain JSON is one event: so answers a target that does not stream.
pub(crate) struct Events {
    response: Pin<Box<dyn Stream<Item = reqwest::Result<Bytes>> + Send>>,
    body: Body,
    ready: VecDeque<Event>,
    failed: Option<Broken>,
    over: bool,
}

enum Body {
    Events(EventReader),
    Whole { bytes: Vec<u8>, max: usize },
}

impl Events {
    /// Reads at most `max_bytes`.
    pub(crate) fn new(response: Response, max_bytes: usize) -> Self {
        let is_json = response
            .headers()
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .is_some_and(|kind| kind.trim_start().to_ascii_lowercase().starts_with("application/json"));
        let body = if is_json {
            Body::Whole { bytes: Vec::new(), max: max_bytes }
        } else {
            Body::Events(EventReader::new(max_bytes))
        };
        let response = Box::pin(response.bytes_stream());
        Self { response, body, ready: VecDeque::new(), failed: None, over: false }
    }

    fn push(&mut self, bytes: &[u8]) -> Result<(), Broken> {
        match &mut self.body {
            Body::Events(reader) => reader.push(bytes, &mut self.ready),
            Body::Whole { bytes: whole, max } if whole.len() + bytes.len() <= *max => {
                whole.extend_from_slice(bytes);
                Ok(())
            }
            Body::Whole { .. } => Err(Broken::TooLarge),
        }
    }

    fn finish(&mut self) -> Result<(), Broken> {
        match &mut self.body {
            Body::Events(reader) => reader.finish(&mut self.ready),
            Body::Whole { bytes, .. } if bytes.is_empty() => Ok(()),
            Body::Whole { bytes, .. } => {
                let data = String::from_utf8(std::mem::take(bytes)).map_err(|_| Broken::NotAnAnswer)?;
                self.ready.push_back(Event { kind: String::new(), data });
                Ok(())
            }
        }
    }
}

impl Stream for Events {
    type Item = Result<Event, Broken>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            // What came before a failure is delivered before it.
            if let Some(event) = this.ready.pop_front() {
                return Poll::Ready(Some(Ok(event)));
            }
            if let Some(error) = this.failed.take() {
                return Poll::Ready(Some(Err(error)));
            }
            if this.over {
                return Poll::Ready(None);
            }
            let result = match std::task::ready!(this.response.as_mut().poll_next(context)) {
                Some(Ok(bytes)) => this.push(&bytes),
                Some(Err(_)) => Err(Broken::BrokeOff),
                None => {
                    this.over = true;
                    this.finish()
                }
            };
            if let Err(error) = result {
                this.over = true;
                this.failed = Some(error);
            }
        }
    }
}

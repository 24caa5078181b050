//! The answer on its way to the caller.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;
use rejoinder_domain::{ErrorKind, GenerateEvent, SeamError};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// One part of an answer, or why it ended.
pub(crate) type Event = Result<GenerateEvent, SeamError>;

/// A channel for one answer. It is bounded by `max_tokens` of the request, so a caller that reads slowly delays nobody.
pub(crate) fn answer() -> (UnboundedSender<Event>, Answer) {
    let (sender, receiver) = unbounded_channel();
    (sender, Answer { receiver, ended: false })
}

/// The caller's end. When it is dropped the writer sees a closed channel and stops.
#[derive(Debug)]
pub(crate) struct Answer {
    receiver: UnboundedReceiver<Event>,
    ended: bool,
}

impl Stream for Answer {
    type Item = Event;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Event>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let event = match self.receiver.poll_recv(context) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Some(event)) => event,
            // No caller hangs or takes half an answer for a whole one, whatever became of the writer.
            Poll::Ready(None) => {
                Err(SeamError::new(ErrorKind::Internal, "the local model stopped in the middle of an answer"))
            }
        };
        self.ended = !matches!(event, Ok(GenerateEvent::Text(_)));
        Poll::Ready(Some(event))
    }
}

//! A response's body as it is delivered.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::Sleep;

use crate::counts::Counts;
use crate::delivery::{Delivery, Ending};
use crate::turn::Piece;

/// One request's place in the counts: it is open until this is dropped.
pub(crate) struct Open {
    counts: Arc<Counts>,
    outcome: Option<&'static str>,
    input: usize,
    output: usize,
}

impl Open {
    pub(crate) fn new(counts: Arc<Counts>) -> Self {
        counts.opened();
        Self { counts, outcome: None, input: 0, output: 0 }
    }

    pub(crate) fn ends_as(&mut self, outcome: &'static str) {
        self.outcome = Some(outcome);
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.counts.closed(self.outcome.unwrap_or("disconnected"), self.input, self.output);
    }
}

/// Pieces, waits between them, and the ending.
pub(crate) struct Played {
    pieces: VecDeque<Piece>,
    wait: Duration,
    sleep: Option<Pin<Box<Sleep>>>,
    flushed: bool,
    ending: Ending,
    outcome: &'static str,
    output: Option<usize>,
    open: Open,
}

impl Played {
    pub(crate) fn new(delivery: Delivery, mut open: Open) -> Self {
        open.input = delivery.input;
        let mut played = Self {
            pieces: delivery.pieces.into(),
            wait: delivery.chunk_delay,
            sleep: None,
            flushed: false,
            ending: delivery.ending,
            outcome: delivery.outcome,
            output: delivery.output,
            open,
        };
        if played.pieces.is_empty() {
            played.all_was_delivered();
        }
        played
    }

    fn all_was_delivered(&mut self) {
        // A stream without end is never delivered whole: whoever leaves it is counted as gone.
        if matches!(self.ending, Ending::Clean | Ending::Cut) {
            self.open.ends_as(self.outcome);
            self.open.output = self.output.unwrap_or(self.open.output);
        }
    }
}

impl Body for Played {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        if let Some(sleep) = self.sleep.as_mut() {
            std::task::ready!(sleep.as_mut().poll(context));
            self.sleep = None;
        }
        if let Some(piece) = self.pieces.pop_front() {
            if let Some(tokens) = piece.chunk {
                self.open.output += tokens;
                if !self.wait.is_zero() {
                    self.sleep = Some(Box::pin(tokio::time::sleep(self.wait)));
                }
            }
            if self.pieces.is_empty() {
                self.all_was_delivered();
            }
            return Poll::Ready(Some(Ok(Frame::data(piece.bytes))));
        }
        // An error drops what is still in the server's buffer. Whoever waits once lets it be sent before.
        if matches!(self.ending, Ending::Cut) && !std::mem::replace(&mut self.flushed, true) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        match &self.ending {
            Ending::Clean => Poll::Ready(None),
            Ending::Cut => Poll::Ready(Some(Err(std::io::Error::other("the script cuts the connection")))),
            Ending::Stall => Poll::Pending,
            Ending::Repeat(bytes) => Poll::Ready(Some(Ok(Frame::data(bytes.clone())))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.pieces.is_empty() && matches!(self.ending, Ending::Clean)
    }

    fn size_hint(&self) -> SizeHint {
        match (&self.ending, self.pieces.len()) {
            (Ending::Clean, 0 | 1) => {
                SizeHint::with_exact(self.pieces.iter().map(|piece| piece.bytes.len() as u64).sum())
            }
            _ => SizeHint::default(),
        }
    }
}

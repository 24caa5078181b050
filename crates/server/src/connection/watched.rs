//! A connection's bytes under two clocks: one for the head of a request, one for a client that does not read.
//!
//! A head whose first bytes came together with the request before it has no first byte of its own here; hyper's clock for
//! idle connections ends that one.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use super::Limits;

/// What a connection is doing, told by the side that knows the requests to the side that sees the bytes.
#[derive(Debug, Default)]
pub(crate) struct Activity {
    begun: AtomicU64,
    answered: AtomicU64,
}

impl Activity {
    /// A request's head is complete.
    pub(crate) fn begin(&self) {
        self.begun.fetch_add(1, Ordering::AcqRel);
    }

    /// Its answer is on its way, or was given up.
    pub(crate) fn end(&self) {
        self.answered.fetch_add(1, Ordering::AcqRel);
    }

    /// How many requests there were, if none is being worked on.
    fn idle_after(&self) -> Option<u64> {
        let begun = self.begun.load(Ordering::Acquire);
        (self.answered.load(Ordering::Acquire) == begun).then_some(begun)
    }
}

/// A head that has begun to arrive.
struct Head {
    /// Requests before it: it is complete once there is one more.
    after: u64,
    deadline: Pin<Box<Sleep>>,
}

/// A stream that fails when the client is too slow.
pub(crate) struct Watched<S> {
    stream: S,
    activity: Arc<Activity>,
    header_timeout: Duration,
    write_timeout: Duration,
    head: Option<Head>,
    /// Runs while the client takes nothing.
    stalled: Option<Pin<Box<Sleep>>>,
    slow: Option<Slow>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slow {
    Header,
    Reader,
}

impl<S> Watched<S> {
    pub(crate) fn new(stream: S, activity: Arc<Activity>, limits: &Limits) -> Self {
        Self {
            stream,
            activity,
            header_timeout: limits.header,
            write_timeout: limits.write,
            head: None,
            stalled: None,
            slow: None,
        }
    }

    pub(crate) fn header_was_slow(&self) -> bool {
        self.slow == Some(Slow::Header)
    }

    pub(crate) fn reader_was_slow(&self) -> bool {
        self.slow == Some(Slow::Reader)
    }

    /// Bytes came: the first of a head start its clock.
    fn arrived(&mut self) {
        let Some(after) = self.activity.idle_after() else {
            self.head = None;
            return;
        };
        if self.head.as_ref().is_none_or(|head| head.after != after) {
            self.head = Some(Head { after, deadline: Box::pin(sleep(self.header_timeout)) });
        }
    }

    /// Nothing came: that is an error once a head that has begun took too long.
    fn poll_head(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let idle_after = self.activity.idle_after();
        match &mut self.head {
            Some(head) if idle_after == Some(head.after) && self.slow.is_none() => {
                std::task::ready!(head.deadline.as_mut().poll(context));
                self.slow = Some(Slow::Header);
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
            _ => {
                self.head = None;
                Poll::Pending
            }
        }
    }

    /// What a write came to, under the clock of a client that does not read.
    fn written<T>(&mut self, context: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let wait = self.write_timeout;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(wait)));
        std::task::ready!(stalled.as_mut().poll(context));
        self.slow = Some(Slow::Reader);
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buffer.filled().len();
        let read = Pin::new(&mut this.stream).poll_read(context, buffer);
        if read.is_pending() {
            return this.poll_head(context);
        }
        if buffer.filled().len() > before {
            this.arrived();
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let written = Pin::new(&mut this.stream).poll_write(context, data);
        this.written(context, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let flushed = Pin::new(&mut this.stream).poll_flush(context);
        this.written(context, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let shut = Pin::new(&mut this.stream).poll_shutdown(context);
        this.written(context, shut)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let written = Pin::new(&mut this.stream).poll_write_vectored(context, data);
        this.written(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

//! The bodies of a connection: what arrives, under the limits on slow clients, and what is answered, which ends in good
//! order when the server stops.

use std::error::Error;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::http::{Response, header};
use hyper::body::{Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::watched::Activity;

/// Whether the body of a request was too slow; an extension of every request.
#[derive(Clone, Debug, Default)]
pub(crate) struct BodyWatch(Arc<AtomicBool>);

impl BodyWatch {
    /// Whether reading the body failed because the client was too slow.
    pub(crate) fn was_slow(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// The client took too long to send the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the body arrived too slowly")]
pub(crate) struct SlowBody;

/// Whether `error`, or what caused it, is a body that came too slowly.
pub(crate) fn is_slow_body(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if error.is::<SlowBody>() {
            return true;
        }
        next = error.source();
    }
    false
}

/// The body of a request.
///
/// Only the time in which the server waits for the client counts: who uploads to a slow disk is not slow.
pub(crate) struct Arriving<B> {
    body: B,
    longest_silence: Duration,
    bytes_per_second: u64,
    watch: BodyWatch,
    silence: Option<(Instant, Pin<Box<Sleep>>)>,
    waited: Duration,
    bytes: u64,
}

impl<B> Arriving<B> {
    pub(crate) fn new(body: B, longest_silence: Duration, bytes_per_second: u64, watch: BodyWatch) -> Self {
        Self { body, longest_silence, bytes_per_second, watch, silence: None, waited: Duration::ZERO, bytes: 0 }
    }

    /// Whether the client keeps to the least rate. A burst after a pause is no reason to refuse it, so the rate is over all.
    fn is_fast_enough(&self) -> bool {
        let due = self.waited.saturating_sub(self.longest_silence).as_secs().saturating_mul(self.bytes_per_second);
        self.bytes >= due
    }

    fn too_slow(&self) -> SlowBody {
        self.watch.0.store(true, Ordering::Release);
        SlowBody
    }
}

impl<B> HttpBody for Arriving<B>
where
    B: HttpBody<Data = Bytes> + Unpin,
    B::Error: Into<axum::BoxError>,
{
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = &mut *self;
        let Poll::Ready(arrived) = Pin::new(&mut this.body).poll_frame(context) else {
            let longest = this.longest_silence;
            let (_, over) = this.silence.get_or_insert_with(|| (Instant::now(), Box::pin(sleep(longest))));
            ready!(over.as_mut().poll(context));
            return Poll::Ready(Some(Err(this.too_slow().into())));
        };
        if let Some((since, _)) = this.silence.take() {
            this.waited += since.elapsed();
        }
        let Some(frame) = arrived else { return Poll::Ready(None) };
        let frame = frame.map_err(Into::into)?;
        this.bytes += frame.data_ref().map_or(0, Bytes::len) as u64;
        if this.is_fast_enough() {
            Poll::Ready(Some(Ok(frame)))
        } else {
            Poll::Ready(Some(Err(this.too_slow().into())))
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// What a stream of events says last when the server stops before its end; an extension of a response, where it is not to
/// be the usual problem.
#[derive(Clone, Debug)]
pub(crate) struct LastEvent(pub(crate) Bytes);

/// A connection's share of one request; dropping it ends the request.
pub(crate) struct Ready {
    activity: Arc<Activity>,
    ending: CancellationToken,
}

impl Drop for Ready {
    fn drop(&mut self) {
        self.activity.end();
    }
}

impl Ready {
    /// The response with a body that knows when it is over.
    pub(crate) fn answer(self, mut response: Response<Body>) -> Response<Answer> {
        let kind = response.headers().get(header::CONTENT_TYPE);
        let is_stream = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
        let last = response.extensions_mut().remove::<LastEvent>();
        let ending = is_stream.then(|| {
            let last = last.map_or_else(|| Bytes::from_static(STOPPING.as_bytes()), |LastEvent(bytes)| bytes);
            (Box::pin(self.ending.clone().cancelled_owned()), last)
        });
        response.map(|body| Answer { body: Some(body), ending, _ready: self })
    }
}

/// The event of a stream that the server cuts short.
const STOPPING: &str = "event: error\ndata: {\"type\":\"urn:rejoinder:problem:unavailable\",\"title\":\"The service is not \
ready\",\"status\":503,\"detail\":\"the server stops; ask again\",\"code\":\"unavailable\",\"errors\":[]}\n\n";

/// The body of an answer.
pub(crate) struct Answer {
    /// None once it was cut short.
    body: Option<Body>,
    /// For a stream of events: when to end it, and with which last event.
    ending: Option<(Pin<Box<WaitForCancellationFutureOwned>>, Bytes)>,
    _ready: Ready,
}

impl Answer {
    /// A request of this connection begins.
    pub(crate) fn begin(activity: &Arc<Activity>, ending: CancellationToken) -> Ready {
        activity.begin();
        Ready { activity: Arc::clone(activity), ending }
    }
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = &mut *self;
        let Some(body) = &mut this.body else { return Poll::Ready(None) };
        if let Poll::Ready(frame) = Pin::new(body).poll_frame(context) {
            return Poll::Ready(frame);
        }
        let Some((ending, last)) = &mut this.ending else { return Poll::Pending };
        ready!(ending.as_mut().poll(context));
        // Dropping the body drops the work behind it.
        this.body = None;
        Poll::Ready(Some(Ok(Frame::data(std::mem::take(last)))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), HttpBody::size_hint)
    }
}

//! One answer of a language model, within its time, and what came of it.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use rejoinder_domain::{ErrorKind, GenerateEvent, GenerateRequest, Generated, LanguageModel, SeamError};

use crate::Timer;

/// How long a model may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// Until the first text; `None` where only the end counts.
    pub(crate) first_token: Option<Duration>,
    /// Until the end.
    pub(crate) whole: Duration,
}

/// What a model wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Written {
    /// All of it.
    pub(crate) text: String,
    /// How it ended and what it cost.
    pub(crate) generated: Generated,
    /// Milliseconds until the first text.
    pub(crate) first_token: u64,
}

/// Asks `model` and hands every piece of text to `on_text` as it comes. Dropping the future ends the model's work.
pub(crate) async fn generate(
    model: &dyn LanguageModel,
    mut request: GenerateRequest,
    patience: Patience,
    timer: Option<&dyn Timer>,
    on_text: &mut (dyn FnMut(&str) + Send),
) -> Result<Written, SeamError> {
    let started = Instant::now();
    request.deadline = Some(patience.whole);
    let mut alarms = Alarms {
        first: timer.zip(patience.first_token).map(|(timer, duration)| timer.after(duration)),
        whole: timer.map(|timer| timer.after(patience.whole)),
    };
    let mut stream = alarms.before(model.generate(request)).await??;
    let (mut text, mut first_token) = (String::new(), None);
    loop {
        let event = alarms.before(poll_fn(|context| stream.as_mut().poll_next(context))).await?;
        match event {
            Some(Ok(GenerateEvent::Text(part))) => {
                if first_token.is_none() {
                    alarms.first = None;
                    first_token = Some(elapsed_ms(started));
                }
                text.push_str(&part);
                on_text(&part);
            }
            Some(Ok(GenerateEvent::Done(generated))) => {
                let first_token = first_token.unwrap_or_else(|| elapsed_ms(started));
                return Ok(Written { text, generated, first_token });
            }
            Some(Ok(GenerateEvent::Restart)) => text.clear(),
            Some(Ok(GenerateEvent::ToolCall(_) | GenerateEvent::Attempt(_))) => {}
            Some(Err(error)) => return Err(error),
            None => return Err(SeamError::new(ErrorKind::Internal, "the model's answer broke off without an end")),
        }
    }
}

/// Times that run out while a model is waited for.
struct Alarms {
    first: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    whole: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl Alarms {
    /// The future's result, unless an alarm comes first. After an alarm nothing is polled again.
    async fn before<T>(&mut self, future: impl Future<Output = T>) -> Result<T, SeamError> {
        let mut future = pin!(future);
        poll_fn(|context| match future.as_mut().poll(context) {
            Poll::Ready(result) => Poll::Ready(Ok(result)),
            Poll::Pending if self.rang(context) => Poll::Ready(Err(SeamError::new(
                ErrorKind::DeadlineExceeded,
                "the language model did not answer within its time",
            ))),
            Poll::Pending => Poll::Pending,
        })
        .await
    }

    fn rang(&mut self, context: &mut Context<'_>) -> bool {
        let rings =
            |alarm: &mut Pin<Box<dyn Future<Output = ()> + Send>>| alarm.as_mut().poll(&mut *context).is_ready();
        self.first.iter_mut().chain(&mut self.whole).any(rings)
    }
}

/// Milliseconds since `since`.
pub(crate) fn elapsed_ms(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}

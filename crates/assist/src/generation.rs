//! One answer of a language model, within its time, and what came of it.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use rejoinder_domain::{
    ErrorKind, GenerateEvent, GenerateRequest, GenerateStream, Generated, LanguageModel, ModelAttempt, SeamError,
};

use crate::Timer;
use crate::suggest::answer::{Attempt, Usage};

/// How much longer than its time a model is waited for.
const GRACE: Duration = Duration::from_secs(1);

/// What a model wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Written {
    /// All of it.
    pub(crate) text: String,
    /// How it ended and what it cost.
    pub(crate) generated: Generated,
}

/// Something that is known before the answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard<'a> {
    /// The next part of the text.
    Text(&'a str),
    /// What came so far is void; another model starts over.
    Restart,
}

/// An answer and the way to it.
#[derive(Debug)]
pub(crate) struct Generation {
    /// Who was asked, in order; at least one.
    pub(crate) attempts: Vec<Attempt>,
    /// The answer, or why there is none.
    pub(crate) result: Result<Written, SeamError>,
    /// Milliseconds until the first text of what is not void.
    pub(crate) first_token: Option<u64>,
}

/// Asks `model` and tells `hear` what comes. It may take `whole`; dropping the future ends the model's work.
pub(crate) async fn generate(
    model: &dyn LanguageModel,
    mut request: GenerateRequest,
    whole: Duration,
    timer: Option<&dyn Timer>,
    hear: &mut (dyn FnMut(Heard<'_>) + Send),
) -> Generation {
    let mut listening =
        Listening { started: Instant::now(), text: String::new(), attempts: Vec::new(), first_token: None, hear };
    request.deadline = Some(whole);
    // A model that keeps to its deadline says itself what became of it; the alarm is for one that does not.
    let mut alarm = Alarm(timer.map(|timer| timer.after(whole + GRACE)));
    let result = match alarm.before(model.generate(request)).await {
        Ok(Ok(stream)) => listening.to(stream, &mut alarm).await,
        Ok(Err(error)) | Err(error) => Err(error),
    };
    let Listening { started, attempts: told, text, first_token, .. } = listening;
    let mut attempts: Vec<Attempt> = told.into_iter().map(Attempt::of).collect();
    // A model that asks nobody else says nothing of attempts.
    if attempts.is_empty() {
        let (outcome, usage) = match &result {
            Ok(generated) => ("ok", Usage::of(generated.usage, None)),
            Err(error) => (error.kind.outcome(), Usage::default()),
        };
        attempts.push(Attempt::by(model, outcome, started, usage));
    }
    Generation { attempts, result: result.map(|generated| Written { text, generated }), first_token }
}

struct Listening<'a> {
    started: Instant,
    text: String,
    attempts: Vec<ModelAttempt>,
    first_token: Option<u64>,
    hear: &'a mut (dyn FnMut(Heard<'_>) + Send),
}

impl Listening<'_> {
    async fn to(&mut self, mut stream: GenerateStream, alarm: &mut Alarm) -> Result<Generated, SeamError> {
        loop {
            let event = alarm.before(poll_fn(|context| stream.as_mut().poll_next(context))).await?;
            match event {
                Some(Ok(GenerateEvent::Text(part))) => {
                    self.first_token.get_or_insert_with(|| elapsed_ms(self.started));
                    self.text.push_str(&part);
                    (self.hear)(Heard::Text(&part));
                }
                Some(Ok(GenerateEvent::Restart)) => {
                    self.text.clear();
                    self.first_token = None;
                    (self.hear)(Heard::Restart);
                }
                Some(Ok(GenerateEvent::Attempt(attempt))) => self.attempts.push(attempt),
                Some(Ok(GenerateEvent::ToolCall(_))) => {}
                Some(Ok(GenerateEvent::Done(generated))) => return Ok(generated),
                Some(Err(error)) => return Err(error),
                None => {
                    return Err(SeamError::new(ErrorKind::Internal, "the model's answer broke off without an end"));
                }
            }
        }
    }
}

/// A time that runs out while a model is waited for.
struct Alarm(Option<Pin<Box<dyn Future<Output = ()> + Send>>>);

impl Alarm {
    /// The future's result, unless the alarm comes first. After the alarm nothing is polled again.
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
        self.0.as_mut().is_some_and(|alarm| alarm.as_mut().poll(context).is_ready())
    }
}

/// Milliseconds since `since`.
pub(crate) fn elapsed_ms(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}

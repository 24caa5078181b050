//! An answer in flight: written by one task, read by everyone who asked the same question, and stopped when the last of
//! them is gone.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use futures_core::Stream;
use rejoinder_domain::{AttemptOutcome, Cost, ErrorKind, GenerateEvent, SeamError, TokenUsage};
use tokio::task::AbortHandle;

/// What was written so far.
#[derive(Debug, Default)]
pub(crate) struct Log(Mutex<Entries>);

#[derive(Debug, Default)]
struct Entries {
    events: Vec<Result<GenerateEvent, (ErrorKind, String)>>,
    ended: bool,
    wakers: Vec<Waker>,
}

impl Log {
    /// Adds an event and wakes who waits for it. After the end nothing is added.
    pub(crate) fn push(&self, event: Result<GenerateEvent, SeamError>) {
        let mut entries = self.lock();
        if entries.ended {
            return;
        }
        entries.ended = matches!(event, Err(_) | Ok(GenerateEvent::Done(_)));
        entries.events.push(event.map_err(|error| (error.kind, error.message)));
        let wakers = std::mem::take(&mut entries.wakers);
        drop(entries);
        wakers.into_iter().for_each(Waker::wake);
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        // An entry is added whole or not at all, so a panic elsewhere leaves nothing half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Stops the task that writes when the last reader is gone.
#[derive(Debug)]
pub(crate) struct Flight {
    log: Arc<Log>,
    task: Option<AbortHandle>,
}

impl Flight {
    /// The flight of a task that writes into `log`.
    pub(crate) fn new(log: Arc<Log>, task: AbortHandle) -> Self {
        Self { log, task: Some(task) }
    }

    /// A flight that is over: all of it is in `log`.
    pub(crate) fn over(log: Arc<Log>) -> Self {
        Self { log, task: None }
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

/// One reader of a flight. Everyone reads all of it, from the start.
pub(crate) struct Reader {
    flight: Arc<Flight>,
    next: usize,
    joined: bool,
}

impl Reader {
    /// The reader for whom the flight began.
    pub(crate) fn first(flight: Arc<Flight>) -> Self {
        Self { flight, next: 0, joined: false }
    }

    /// A reader who asked the same while the answer was on its way. What it cost is the first one's.
    pub(crate) fn joined(flight: Arc<Flight>) -> Self {
        Self { flight, next: 0, joined: true }
    }
}

impl Stream for Reader {
    type Item = Result<GenerateEvent, SeamError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            let found = {
                let mut entries = self.flight.log.lock();
                match entries.events.get(self.next) {
                    Some(event) => Some(event.clone()),
                    None if entries.ended => None,
                    None => {
                        if !entries.wakers.iter().any(|waker| waker.will_wake(context.waker())) {
                            entries.wakers.push(context.waker().clone());
                        }
                        return Poll::Pending;
                    }
                }
            };
            self.next += 1;
            let event = match found {
                None => return Poll::Ready(None),
                Some(Err((kind, message))) => return Poll::Ready(Some(Err(SeamError::new(kind, message)))),
                Some(Ok(event)) => event,
            };
            match event {
                GenerateEvent::Attempt(attempt) if self.joined => {
                    // Failures on the way are the first reader's; the answer itself was there for the asking.
                    if attempt.outcome != AttemptOutcome::Ok {
                        continue;
                    }
                    let mut attempt = attempt;
                    attempt.outcome = AttemptOutcome::Cached;
                    attempt.usage = TokenUsage::default();
                    attempt.cost = attempt.cost.map(|_| Cost::default());
                    return Poll::Ready(Some(Ok(GenerateEvent::Attempt(attempt))));
                }
                event => return Poll::Ready(Some(Ok(event))),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rejoinder_domain::{FinishReason, GenerateEvent, Generated, TokenUsage, language::collect};

    use super::{Flight, Log, Reader};

    #[tokio::test]
    async fn everyone_reads_all_and_the_last_one_stops_the_work() {
        let log = Arc::new(Log::default());
        let task = tokio::spawn(std::future::pending::<()>());
        let flight = Arc::new(Flight::new(Arc::clone(&log), task.abort_handle()));
        let first = tokio::spawn(collect(Box::pin(Reader::first(Arc::clone(&flight)))));
        log.push(Ok(GenerateEvent::Text("a".to_owned())));
        let late = Reader::joined(flight);
        log.push(Ok(GenerateEvent::Text("b".to_owned())));
        let done = Generated { finish: FinishReason::Stop, usage: TokenUsage::default() };
        log.push(Ok(GenerateEvent::Done(done)));
        log.push(Ok(GenerateEvent::Text("never read".to_owned())));
        assert_eq!(first.await.unwrap().unwrap().0, "ab");
        assert!(!task.is_finished());
        assert_eq!(collect(Box::pin(late)).await.unwrap().0, "ab");
        assert!(task.await.unwrap_err().is_cancelled());
    }
}

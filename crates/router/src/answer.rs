//! From target to target until one has answered.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rejoinder_domain::{
    AttemptOutcome, ChatMessage, ChatRole, ErrorKind, GenerateEvent, GenerateRequest, ModelAttempt, SeamError,
    ToolCallPart,
};
use tracing::Instrument as _;

use crate::attempt::{Attempt, Failure, Finished, free};
use crate::call::Call;
use crate::config::OnRefusal;
use crate::errors::Errors;
use crate::flight::Log;
use crate::router::Inner;
use crate::state::TargetState;
use crate::target::Place;

/// What the callers are told.
pub(crate) struct Output {
    log: Arc<Log>,
    /// Whether anything of the present attempt was shown.
    shown: bool,
}

impl Output {
    pub(crate) fn new(log: Arc<Log>) -> Self {
        Self { log, shown: false }
    }

    pub(crate) fn text(&mut self, part: String) {
        if !part.is_empty() {
            self.shown = true;
            self.log.push(Ok(GenerateEvent::Text(part)));
        }
    }

    pub(crate) fn tool_call(&mut self, part: ToolCallPart) {
        if part.id.is_some() || part.name.is_some() || !part.arguments.is_empty() {
            self.shown = true;
            self.log.push(Ok(GenerateEvent::ToolCall(part)));
        }
    }

    pub(crate) fn attempt(&mut self, attempt: ModelAttempt) {
        self.log.push(Ok(GenerateEvent::Attempt(attempt)));
    }

    /// Voids what was shown.
    fn restart(&mut self) -> bool {
        let shown = std::mem::take(&mut self.shown);
        if shown {
            self.log.push(Ok(GenerateEvent::Restart));
        }
        shown
    }
}

/// The answer, and the attempt that gave it.
pub(crate) struct Answer {
    pub(crate) finished: Finished,
    pub(crate) told: ModelAttempt,
}

/// One call's way through its targets.
pub(crate) struct Course<'a> {
    pub(crate) inner: &'a Arc<Inner>,
    pub(crate) call: &'a Arc<Call>,
    pub(crate) output: &'a mut Output,
    queue: VecDeque<Arc<TargetState>>,
    errors: Errors,
    /// The largest context that was too small.
    too_small: usize,
}

/// What to do after a failure.
enum Next {
    Again(Duration),
    Target,
    Fail,
}

impl<'a> Course<'a> {
    pub(crate) fn new(
        inner: &'a Arc<Inner>,
        call: &'a Arc<Call>,
        targets: Vec<Arc<TargetState>>,
        output: &'a mut Output,
    ) -> Self {
        Self { inner, call, output, queue: targets.into(), errors: Errors::default(), too_small: 0 }
    }

    /// Asks one target after the other. The error, where none answers, is the one that says most about what to do.
    pub(crate) async fn run(mut self) -> Result<Answer, SeamError> {
        while let Some(state) = self.queue.pop_front() {
            if let Some(answer) = self.ask(state).await? {
                return Ok(answer);
            }
        }
        Err(self.errors.worst())
    }

    /// Asks one target, again where that may help. `None` sends to the next.
    async fn ask(&mut self, state: Arc<TargetState>) -> Result<Option<Answer>, SeamError> {
        let mut request = match self.prompt(&state) {
            Ok(request) => request,
            Err(error) => {
                self.skip(&state, "egress_denied", error);
                return Ok(None);
            }
        };
        let (mut retries, mut may_complain) = (0, true);
        loop {
            let Some(attempt) = self.attempt(&state, &request, true).await else { return Ok(None) };
            let failure = match self.begin(attempt).await {
                Err(error) => Failure::from(error),
                Ok((mut attempt, begun)) => {
                    let span = attempt.span();
                    let read = attempt.read(begun, self.output).instrument(span).await;
                    let hedged = !Arc::ptr_eq(&attempt.state, &state);
                    match read {
                        Ok(finished) => return Ok(Some(self.done(attempt, finished))),
                        Err(mut failure) => {
                            let raw = attempt.raw().to_owned();
                            self.failed(attempt, &failure.error);
                            if let Some(complaint) = failure.complaint.take().filter(|_| may_complain && !hedged) {
                                may_complain = false;
                                complain(&mut request, raw, &complaint);
                                continue;
                            }
                            if hedged {
                                // The slower one has not failed yet.
                                self.queue.push_back(state);
                                self.errors.add(failure.error);
                                return Ok(None);
                            }
                            failure
                        }
                    }
                }
            };
            let next = self.next(&state, &failure.error.kind, retries);
            self.errors.add(failure.error);
            match next {
                Next::Again(wait) => {
                    retries += 1;
                    tokio::time::sleep(wait).await;
                }
                Next::Target => return Ok(None),
                Next::Fail => return Err(std::mem::take(&mut self.errors).worst()),
            }
        }
    }

    /// The prompt as this target gets it.
    fn prompt(&self, state: &TargetState) -> Result<GenerateRequest, SeamError> {
        match state.target.options.place {
            Place::Local => Ok(self.call.request.clone()),
            Place::Remote => Ok(self.call.outgoing(&self.inner.redactor)?.request.clone()),
        }
    }

    /// An attempt at this target, with what it holds reserved; `None` where it is not asked.
    async fn attempt(
        &mut self,
        state: &Arc<TargetState>,
        request: &GenerateRequest,
        may_wait: bool,
    ) -> Option<Attempt> {
        match self.inner.admit(self.call, state, request, (self.too_small, may_wait)).await {
            Ok(admission) => Some(Attempt::new(self.inner, self.call, state, request.clone(), admission)),
            Err((reason, error)) => {
                if reason == "over_budget" {
                    self.cheaper_first(state);
                }
                self.skip(state, reason, error);
                None
            }
        }
    }

    /// Over budget at one target: those that cost less come before those that do not.
    fn cheaper_first(&mut self, than: &TargetState) {
        let price = than.target.options.price.rank();
        let (cheaper, other): (VecDeque<_>, VecDeque<_>) =
            std::mem::take(&mut self.queue).into_iter().partition(|state| state.target.options.price.rank() < price);
        self.queue = cheaper.into_iter().chain(other).collect();
    }

    /// Waits for the answer to begin; if that takes unusually long, a second target is asked too and the faster one wins.
    async fn begin(&mut self, attempt: Attempt) -> Result<(Attempt, crate::attempt::Begun), SeamError> {
        let hedge_after = attempt.state.hedge_after(&self.inner.config().hedge);
        let first = Racer::new(attempt);
        let Some(hedge_after) = hedge_after else { return self.sole(first).await };
        let mut first = first;
        tokio::select! {
            biased;
            began = &mut first.future => return self.arrived(began),
            () = tokio::time::sleep(hedge_after) => {}
        }
        let Some(second) = self.second().await else { return self.sole(first).await };
        self.inner.metrics.hedge(&first.name);
        let mut second = Racer::new(second);
        let (began, other) = tokio::select! {
            biased;
            began = &mut first.future => (began, second),
            began = &mut second.future => (began, first),
        };
        match self.arrived(began) {
            Ok(winner) => {
                let epilogue = other.epilogue;
                epilogue.lose();
                drop(other.future);
                epilogue.told().into_iter().for_each(|lost| self.output.attempt(lost));
                Ok(winner)
            }
            Err(error) => {
                self.errors.add(error);
                self.sole(other).await
            }
        }
    }

    async fn sole(&mut self, racer: Racer) -> Result<(Attempt, crate::attempt::Begun), SeamError> {
        let began = racer.future.await;
        self.arrived(began)
    }

    fn arrived(&mut self, began: Began) -> Result<(Attempt, crate::attempt::Begun), SeamError> {
        let (attempt, result) = began;
        match result {
            Ok(answer) => Ok((attempt, answer)),
            Err(error) => {
                self.failed(attempt, &error);
                Err(error)
            }
        }
    }

    /// An attempt at the next target that can be asked at once. It leaves the queue.
    async fn second(&mut self) -> Option<Attempt> {
        let state = self.queue.pop_front()?;
        let request = self.prompt(&state).ok()?;
        self.attempt(&state, &request, false).await
    }

    fn done(&mut self, attempt: Attempt, finished: Finished) -> Answer {
        let told = attempt.end(AttemptOutcome::Ok);
        self.output.attempt(told.clone());
        Answer { finished, told }
    }

    fn failed(&mut self, attempt: Attempt, error: &SeamError) {
        let told = attempt.end(AttemptOutcome::Failed(error.kind.clone()));
        tracing::warn!(provider = told.provider, outcome = told.outcome.code(), ms = told.ms, "a model failed");
        self.output.attempt(told);
        if self.output.restart() {
            self.inner.metrics.restart();
        }
    }

    fn skip(&mut self, state: &TargetState, reason: &'static str, error: SeamError) {
        let (name, model) = (state.target.name.clone(), state.target.model.model().to_owned());
        let attempt = free(name, model, AttemptOutcome::Skipped(reason));
        self.inner.metrics.attempt(&attempt, self.call.request.context.purpose);
        self.output.attempt(attempt);
        self.errors.add(error);
    }

    fn next(&mut self, state: &TargetState, kind: &ErrorKind, retries: u32) -> Next {
        if self.call.deadline.is_some_and(|deadline| deadline <= Instant::now()) {
            return Next::Fail;
        }
        match kind {
            ErrorKind::Transient | ErrorKind::RateLimited { .. } => self.again(kind, retries),
            ErrorKind::ContextTooLong => {
                self.too_small = self.too_small.max(state.target.model.context_tokens());
                Next::Target
            }
            ErrorKind::Refused if self.inner.config().on_refusal == OnRefusal::Fail => Next::Fail,
            _ => Next::Target,
        }
    }

    /// Waits as long as the target asks for, or a little longer each time; not longer than is left.
    fn again(&self, kind: &ErrorKind, retries: u32) -> Next {
        let config = self.inner.config().retry;
        if retries >= config.extra_tries {
            return Next::Target;
        }
        let (step, most) = config.bounds(retries + 1);
        let asked = match kind {
            ErrorKind::RateLimited { retry_after } => *retry_after,
            _ => None,
        };
        let jitter = self.inner.jitter();
        let wait = match asked {
            Some(asked) => asked + step.mul_f64(jitter / 2.0),
            None => step.mul_f64(0.5 + jitter / 2.0),
        };
        let in_time = self.call.deadline.is_none_or(|deadline| Instant::now() + wait < deadline);
        if asked.is_some_and(|asked| asked > most) || !in_time { Next::Target } else { Next::Again(wait) }
    }
}

type Began = (Attempt, Result<crate::attempt::Begun, SeamError>);

/// An attempt that waits for its first text, in a race or alone.
struct Racer {
    name: String,
    epilogue: Arc<crate::attempt::Epilogue>,
    future: std::pin::Pin<Box<dyn Future<Output = Began> + Send>>,
}

impl Racer {
    fn new(mut attempt: Attempt) -> Self {
        let (name, epilogue, span) = (attempt.state.target.name.clone(), attempt.epilogue(), attempt.span());
        let future = async move {
            let result = attempt.begin().await;
            (attempt, result)
        };
        Self { name, epilogue, future: Box::pin(future.instrument(span)) }
    }
}

/// Shows the model its answer and what is wrong with it.
fn complain(request: &mut GenerateRequest, raw: String, complaint: &str) {
    request.messages.push(ChatMessage::new(ChatRole::Assistant, raw));
    let words =
        format!("That answer cannot be used: {complaint}. Answer again, with the required form and nothing else.");
    request.messages.push(ChatMessage::new(ChatRole::User, words));
}

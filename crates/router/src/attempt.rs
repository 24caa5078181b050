//! One attempt: what is reserved, recorded and settled around one answer of one target.
//!
//! Whatever becomes of it (an answer, a failure, a caller who left), an attempt ends once: its reservation is settled with
//! what it used, its breaker learns of it, and its record goes to the journal.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rejoinder_domain::{
    AttemptId, AttemptOutcome, Egress, EgressRecord, ErrorKind, FinishReason, GenerateEvent, GenerateRequest,
    GenerateStream, Generated, ModelAttempt, OutputFormat, SeamError, Spending, TokenUsage, UsageRecord,
};
use rejoinder_redaction::{Form, Session};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant as TokioInstant, timeout_at};
use tracing::Span;

use crate::answer::Output;
use crate::breaker::Permit;
use crate::budget::Reservation;
use crate::call::{self, Call};
use crate::restore::Restoring;
use crate::router::Inner;
use crate::state::TargetState;
use crate::target::Place;
use crate::validate::Validator;

/// An attempt that is under way.
pub(crate) struct Attempt {
    inner: Arc<Inner>,
    call: Arc<Call>,
    pub(crate) state: Arc<TargetState>,
    pub(crate) request: GenerateRequest,
    id: AttemptId,
    span: Span,
    started: Instant,
    first_token: Option<Duration>,
    /// The prompt is on its way.
    asked: bool,
    /// The provider has begun to work on the prompt, or may have.
    billed: bool,
    /// The answer as the model wrote it, before values are put back.
    raw: String,
    reported: Option<TokenUsage>,
    input_tokens: usize,
    redactions: u32,
    unrestored: u32,
    permit: Option<Permit>,
    reservation: Option<Reservation>,
    _place: Option<OwnedSemaphorePermit>,
    epilogue: Arc<Epilogue>,
    reserved: Spending,
    over: bool,
}

/// What is told of an attempt that somebody else drops: whether it lost a race, and how it ended.
#[derive(Debug, Default)]
pub(crate) struct Epilogue {
    lost: AtomicBool,
    told: Mutex<Option<ModelAttempt>>,
}

impl Epilogue {
    /// Another attempt was faster: when this one is dropped, it has lost.
    pub(crate) fn lose(&self) {
        self.lost.store(true, Ordering::Release);
    }

    /// How it ended, once.
    pub(crate) fn told(&self) -> Option<ModelAttempt> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// What an attempt holds while it runs.
pub(crate) struct Admission {
    pub(crate) permit: Permit,
    pub(crate) reservation: Reservation,
    pub(crate) place: Option<OwnedSemaphorePermit>,
    pub(crate) reserved: Spending,
    pub(crate) input_tokens: usize,
}

/// An answer that has begun: its stream and its first event.
pub(crate) struct Begun {
    stream: GenerateStream,
    first: GenerateEvent,
}

/// A whole answer.
pub(crate) struct Finished {
    pub(crate) text: String,
    pub(crate) generated: Generated,
}

/// Why an attempt failed; `complaint` says what is wrong with the form of the answer, for the model.
pub(crate) struct Failure {
    pub(crate) error: SeamError,
    pub(crate) complaint: Option<String>,
}

impl From<SeamError> for Failure {
    fn from(error: SeamError) -> Self {
        Self { error, complaint: None }
    }
}

impl Attempt {
    pub(crate) fn new(
        inner: &Arc<Inner>,
        call: &Arc<Call>,
        state: &Arc<TargetState>,
        request: GenerateRequest,
        admission: Admission,
    ) -> Self {
        let id = inner.next_attempt();
        let span = crate::trace::attempt(&call.request, &state.target);
        Self {
            inner: Arc::clone(inner),
            call: Arc::clone(call),
            state: Arc::clone(state),
            request,
            id,
            span,
            started: Instant::now(),
            first_token: None,
            asked: false,
            billed: false,
            raw: String::new(),
            reported: None,
            input_tokens: admission.input_tokens,
            redactions: 0,
            unrestored: 0,
            permit: Some(admission.permit),
            reservation: Some(admission.reservation),
            _place: admission.place,
            epilogue: Arc::default(),
            reserved: admission.reserved,
            over: false,
        }
    }

    pub(crate) fn span(&self) -> Span {
        self.span.clone()
    }

    pub(crate) fn epilogue(&self) -> Arc<Epilogue> {
        Arc::clone(&self.epilogue)
    }

    /// Sends the prompt and waits for the answer to begin. What leaves the machine is recorded before.
    pub(crate) async fn begin(&mut self) -> Result<Begun, SeamError> {
        if self.state.target.options.place == Place::Remote {
            // The policy is asked once more: here is the last place before the prompt leaves.
            if !self.call.may_go(Place::Remote) {
                return Err(SeamError::new(ErrorKind::Invalid, "the policy keeps this prompt on the machine"));
            }
            let outgoing = self.call.outgoing(&self.inner.redactor)?;
            self.redactions = outgoing.redactions.values().sum();
            let record = EgressRecord {
                attempt: self.id.clone(),
                at: Timestamp::now(),
                tenant: self.call.request.tenant.clone(),
                request_id: self.call.request.context.request_id.clone(),
                purpose: self.call.request.context.purpose,
                provider: self.state.target.name.clone(),
                model: self.state.target.model.model().to_owned(),
                policy: self.call.policy,
                bytes: call::bytes(&self.request),
                redactions: outgoing.redactions.clone(),
                reserved: self.reserved,
            };
            self.inner.journal.egress(record.clone()).await.map_err(|error| {
                SeamError::new(ErrorKind::Unavailable, "the audit could not be written; nothing was sent")
                    .caused_by(error)
            })?;
            self.inner.metrics.egress(&record);
        }
        self.started = Instant::now();
        self.asked = true;
        let configured = self.state.target.options.timeouts.first_token;
        let patience = self.call.request.context.first_token.map_or(configured, |wish| wish.min(configured));
        let until = self.until(patience);
        let model = Arc::clone(&self.state.target.model);
        let request = self.request.clone();
        let begun = timeout_at(until, async {
            let mut stream = model.generate(request).await?;
            let first = next(&mut stream).await?;
            Ok::<_, SeamError>(Begun { stream, first })
        });
        match begun.await {
            Ok(Ok(begun)) => {
                self.billed = true;
                Ok(begun)
            }
            Ok(Err(error)) => Err(error),
            Err(_) => {
                self.billed = true;
                Err(SeamError::new(ErrorKind::DeadlineExceeded, "the model did not begin to answer within its time"))
            }
        }
    }

    /// Reads the answer to its end. What the caller may see goes to `output` as it comes; an answer that must have a form
    /// and comes from elsewhere is shown when it is whole and has it.
    pub(crate) async fn read(&mut self, begun: Begun, output: &mut Output) -> Result<Finished, Failure> {
        let call = Arc::clone(&self.call);
        let session = self.session(&call)?;
        let validator = Validator::new(&call.request.output)?;
        let local = self.state.target.options.place == Place::Local;
        let held = call.request.output != OutputFormat::Text && !local;
        let form = if matches!(call.request.output, OutputFormat::Json(_)) { Form::Json } else { Form::Text };
        let mut restoring = Restoring::new(session, form);
        let Begun { mut stream, first } = begun;
        let mut event = first;
        let mut text = String::new();
        let mut called = false;
        let generated = loop {
            match event {
                GenerateEvent::Text(part) => {
                    self.note_first_token();
                    self.raw.push_str(&part);
                    let part = restoring.text(&part);
                    text.push_str(&part);
                    if !held {
                        output.text(part);
                    }
                }
                GenerateEvent::ToolCall(part) => {
                    self.note_first_token();
                    self.raw.push_str(&part.arguments);
                    called = true;
                    output.tool_call(restoring.tool_call(part));
                }
                GenerateEvent::Restart | GenerateEvent::Attempt(_) => {}
                GenerateEvent::Done(generated) => break generated,
            }
            event = self.next_in_time(&mut stream).await?;
        };
        self.reported = Some(generated.usage);
        let (rest, calls) = restoring.finish();
        self.unrestored = restoring.flagged();
        text.push_str(&rest);
        if !held {
            output.text(rest);
        }
        for part in calls {
            output.tool_call(part);
        }
        // A model that calls tools owes its answer later.
        if !called {
            if call.request.output != OutputFormat::Text && generated.finish == FinishReason::Length {
                let error = SeamError::new(ErrorKind::OutputIncomplete, "the answer has no end within its tokens");
                return Err(error.into());
            }
            validator.check(&text).map_err(|complaint| Failure {
                error: SeamError::new(ErrorKind::OutputInvalid, "the answer does not have the form that was asked for"),
                complaint: Some(complaint),
            })?;
            if text.is_empty() && !local {
                // A model that thinks can use up its tokens before it says anything.
                let spent = generated.finish == FinishReason::Length;
                let kind = if spent { ErrorKind::OutputIncomplete } else { ErrorKind::Transient };
                return Err(SeamError::new(kind, "the answer is empty").into());
            }
        }
        if held && !text.is_empty() {
            output.text(text.clone());
        }
        Ok(Finished { text, generated })
    }

    fn session<'call>(&self, call: &'call Call) -> Result<Option<&'call Session>, SeamError> {
        match self.state.target.options.place {
            Place::Local => Ok(None),
            Place::Remote => Ok(call.outgoing(&self.inner.redactor)?.session.as_ref()),
        }
    }

    fn note_first_token(&mut self) {
        if self.first_token.is_none() {
            let time = self.started.elapsed();
            self.first_token = Some(time);
            self.state.began(time);
        }
    }

    async fn next_in_time(&self, stream: &mut GenerateStream) -> Result<GenerateEvent, SeamError> {
        let until = self.until(self.state.target.options.timeouts.between_tokens);
        timeout_at(until, next(stream)).await.unwrap_or_else(|_| {
            Err(SeamError::new(ErrorKind::DeadlineExceeded, "the model fell silent in the middle of its answer"))
        })
    }

    /// The nearest of: `patience` from now, the target's time for a whole answer, the caller's.
    fn until(&self, patience: Duration) -> TokioInstant {
        let now = Instant::now();
        let whole = self.started + self.state.target.options.timeouts.whole;
        let until = (now + patience).min(whole);
        self.call.deadline.map_or(until, |deadline| until.min(deadline)).into()
    }

    /// What the model wrote, as it wrote it, to show it what was wrong.
    pub(crate) fn raw(&self) -> &str {
        &self.raw
    }

    /// What is known of the usage: as reported; else the prompt, where the provider may have read it, and what came.
    fn usage(&self) -> TokenUsage {
        if let Some(reported) = self.reported {
            return reported;
        }
        let output = match self.state.target.options.place {
            Place::Local => self.raw.len().div_ceil(3),
            Place::Remote => self.state.target.model.count_tokens(&self.raw).unwrap_or_default(),
        };
        TokenUsage { input: if self.billed { self.input_tokens } else { 0 }, cached_input: 0, output }
    }

    /// Ends the attempt and tells what is to be told of it.
    pub(crate) fn end(mut self, outcome: AttemptOutcome) -> ModelAttempt {
        self.conclude(outcome)
    }

    fn conclude(&mut self, outcome: AttemptOutcome) -> ModelAttempt {
        self.over = true;
        let now = Instant::now();
        let usage = self.usage();
        let target = &self.state.target;
        let price = target.options.price;
        let cost = price.of(usage);
        if let Some(reservation) = self.reservation.take() {
            reservation.settle(Spending { tokens: (usage.input + usage.output) as u64, cost });
        }
        match (self.permit.take(), &outcome) {
            (Some(permit), AttemptOutcome::Ok) => permit.succeeded(now),
            (Some(permit), AttemptOutcome::Failed(kind)) if is_the_targets_fault(kind) => permit.failed(now),
            // Neither: the target did what it could, or nobody waited for it.
            (permit, _) => drop(permit),
        }
        let attempt = ModelAttempt {
            provider: target.name.clone(),
            model: target.model.model().to_owned(),
            outcome,
            ms: millis(now.saturating_duration_since(self.started)),
            first_token_ms: self.first_token.map(millis),
            usage,
            cost: (price != crate::Price::default()).then_some(cost),
            redactions: self.redactions,
            unrestored: self.unrestored,
        };
        let request = &self.call.request;
        self.inner.journal.usage(UsageRecord {
            attempt: self.id.clone(),
            at: Timestamp::now(),
            tenant: request.tenant.clone(),
            request_id: request.context.request_id.clone(),
            purpose: request.context.purpose,
            provider: attempt.provider.clone(),
            model: attempt.model.clone(),
            outcome: attempt.outcome.code().to_owned(),
            input_tokens: usage.input as u64,
            cached_input_tokens: usage.cached_input as u64,
            output_tokens: usage.output as u64,
            cost,
            ms: attempt.ms,
            first_token_ms: attempt.first_token_ms,
        });
        self.inner.metrics.attempt(&attempt, request.context.purpose);
        let is_remote = self.state.target.options.place == Place::Remote;
        if self.call.policy == Egress::RemoteAllowed || (self.call.policy == Egress::RedactThenRemote && is_remote) {
            crate::trace::content(&self.span, &self.request, &self.raw);
        }
        crate::trace::ended(&self.span, &attempt);
        attempt
    }
}

impl Drop for Attempt {
    /// The caller left in the middle, or another attempt was faster.
    fn drop(&mut self) {
        if !self.over {
            // A prompt that was sent may be paid for, though nobody waits for the answer.
            self.billed |= self.asked;
            let lost = self.epilogue.lost.load(Ordering::Acquire);
            let attempt = self.conclude(if lost { AttemptOutcome::Lost } else { AttemptOutcome::Cancelled });
            *self.epilogue.told.lock().unwrap_or_else(PoisonError::into_inner) = Some(attempt);
        }
    }
}

/// What is told of an answer that took no attempt: it was kept, or the target was not asked.
pub(crate) fn free(provider: String, model: String, outcome: AttemptOutcome) -> ModelAttempt {
    ModelAttempt {
        provider,
        model,
        outcome,
        ms: 0,
        first_token_ms: None,
        usage: TokenUsage::default(),
        cost: None,
        redactions: 0,
        unrestored: 0,
    }
}

/// Whether a failure says something about the target and not about the request.
fn is_the_targets_fault(kind: &ErrorKind) -> bool {
    !matches!(
        kind,
        ErrorKind::ContextTooLong
            | ErrorKind::Invalid
            | ErrorKind::Refused
            | ErrorKind::OutputIncomplete
            | ErrorKind::OutputInvalid
    )
}

async fn next(stream: &mut GenerateStream) -> Result<GenerateEvent, SeamError> {
    match std::future::poll_fn(|context| stream.as_mut().poll_next(context)).await {
        Some(event) => event,
        None => Err(SeamError::new(ErrorKind::Transient, "the answer broke off without an end")),
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

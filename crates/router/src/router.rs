//! The router: a language model that asks others.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use jiff::Timestamp;
use prometheus_client::registry::Registry;
use rejoinder_domain::{
    AttemptId, AttemptOutcome, Cost, Egress, ErrorKind, GenerateEvent, GenerateRequest, GenerateStream, Journal,
    LanguageModel, MessageId, OutputFormat, Purpose, SeamError, Spending, TenantId, TokenUsage,
};
use rejoinder_redaction::Redactor;
use tokio::sync::OwnedSemaphorePermit;
use tracing::Instrument as _;

use crate::answer::{Answer, Course, Output};
use crate::attempt::{Admission, free};
use crate::breaker::BreakerHealth;
use crate::budget::{BudgetLeft, Budgets};
use crate::cache::{self, Answers, Kept, Key};
use crate::call::{self, Call};
use crate::config::RouterConfig;
use crate::flight::{Flight, Log, Reader};
use crate::metrics::RouterMetrics;
use crate::plan::plan;
use crate::state::TargetState;
use crate::target::{Place, Target};

/// What a router is made of.
pub struct RouterParts<'a> {
    /// The configuration.
    pub config: RouterConfig,
    /// The models, in the order in which they are asked unless the configuration says otherwise.
    pub targets: Vec<Target>,
    /// Where egress and usage are kept; what was spent before is read from it.
    pub journal: Arc<dyn Journal>,
    /// Where metrics are registered.
    pub metrics: &'a mut Registry,
}

/// Asks one of several models, by purpose, policy, budget and health. Clones are the same router.
#[derive(Clone)]
pub struct Router {
    inner: Arc<Inner>,
}

/// How a target is.
#[derive(Clone, Debug, PartialEq)]
pub struct TargetHealth {
    /// Its name.
    pub name: String,
    /// Its model.
    pub model: String,
    /// Where it runs.
    pub place: Place,
    /// Tokens of prompt and answer together.
    pub context_tokens: usize,
    /// What its breaker knows.
    pub breaker: BreakerHealth,
}

/// The parts of a router that its attempts share.
pub(crate) struct Inner {
    config: RwLock<Arc<RouterConfig>>,
    pub(crate) redactor: Redactor,
    pub(crate) journal: Arc<dyn Journal>,
    pub(crate) metrics: RouterMetrics,
    targets: Vec<Arc<TargetState>>,
    budgets: Budgets,
    answers: Answers,
    run: u64,
    counter: AtomicU64,
}

/// Why a target is not asked.
pub(crate) type Refusal = (&'static str, SeamError);

impl Router {
    /// Puts the parts together. Reads what was spent in this month, this day and this minute; blocks.
    pub fn new(parts: RouterParts<'_>) -> Result<Self, SeamError> {
        let RouterParts { config, targets, journal, metrics } = parts;
        let names: Vec<&str> = targets.iter().map(|target| target.name.as_str()).collect();
        let invalid = |problem| SeamError::new(ErrorKind::Invalid, problem);
        if let Some(twice) =
            names.iter().enumerate().find(|(index, name)| names.iter().skip(index + 1).any(|n| n == *name))
        {
            return Err(invalid(format!("two targets are called {:?}; names must differ", twice.1)));
        }
        config.validate(&names).map_err(invalid)?;
        let now = Timestamp::now();
        let budgets = Budgets::restore(config.budgets.clone(), now, |since| journal.spent(since))?;
        let inner = Inner {
            redactor: Redactor::new(&config.redaction),
            metrics: RouterMetrics::register(metrics),
            targets: targets.into_iter().map(|target| Arc::new(TargetState::new(target, &config))).collect(),
            budgets,
            answers: Answers::new(&config.cache),
            run: u64::try_from(now.as_microsecond()).unwrap_or_default(),
            counter: AtomicU64::new(0),
            journal,
            config: RwLock::new(Arc::new(config)),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// How the targets are, as configured.
    pub fn health(&self) -> Vec<TargetHealth> {
        let now = Instant::now();
        let health = |state: &Arc<TargetState>| TargetHealth {
            name: state.target.name.clone(),
            model: state.target.model.model().to_owned(),
            place: state.target.options.place,
            context_tokens: state.target.model.context_tokens(),
            breaker: state.breaker.health(now),
        };
        self.inner.targets.iter().map(health).collect()
    }

    /// Brings metrics up to date that only change with time, before they are read.
    pub fn refresh_metrics(&self) {
        let now = Instant::now();
        for state in &self.inner.targets {
            self.inner.metrics.breaker(&state.target.name, state.breaker.health(now).state);
        }
        let (bytes, entries) = self.inner.answers.size();
        self.inner.metrics.cache_size(bytes, entries);
    }

    /// What may leave the machine of a tenant's text.
    pub fn policy(&self, tenant: &TenantId) -> Egress {
        self.inner.config().policy(tenant)
    }

    /// Puts another configuration in force for questions that come from now on: policies, orders, rules, refusals, retries,
    /// hedging. Breakers, the cache, redaction and budgets stay as they were made. The error is a sentence that says what to
    /// change; nothing has changed then.
    pub fn reconfigure(&self, config: RouterConfig) -> Result<(), String> {
        let names: Vec<&str> = self.inner.targets.iter().map(|state| state.target.name.as_str()).collect();
        config.validate(&names)?;
        *self.inner.config.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
        Ok(())
    }

    /// What is left of the budgets of a tenant.
    pub fn budgets(&self, tenant: &TenantId) -> Vec<BudgetLeft> {
        self.inner.budgets.left(tenant, Timestamp::now())
    }

    /// Forgets answers that rest on these messages, or every answer of the tenant. When it returns they are gone, and an
    /// answer that is being given is not kept.
    pub fn forget(&self, tenant: &TenantId, messages: Option<&[MessageId]>) {
        self.inner.answers.forget(tenant, messages);
    }

    fn replay(&self, kept: &Kept, purpose: Purpose) -> GenerateStream {
        let attempt = free(kept.provider.clone(), kept.model.clone(), AttemptOutcome::Cached);
        self.inner.metrics.attempt(&attempt, purpose);
        let log = Arc::new(Log::default());
        if !kept.text.is_empty() {
            log.push(Ok(GenerateEvent::Text(kept.text.clone())));
        }
        log.push(Ok(GenerateEvent::Attempt(attempt)));
        log.push(Ok(GenerateEvent::Done(kept.generated)));
        Box::pin(Reader::first(Arc::new(Flight::over(log))))
    }

    /// A task that answers the call and writes into the flight's log.
    fn begin(&self, call: Call, targets: Vec<Arc<TargetState>>, key: Option<Key>) -> Arc<Flight> {
        let log = Arc::new(Log::default());
        let landing = Landing { inner: Arc::clone(&self.inner), log: Arc::clone(&log), key };
        let task = tokio::spawn(fly(landing, Arc::new(call), targets).in_current_span());
        Arc::new(Flight::new(log, task.abort_handle()))
    }
}

/// Ends a flight whatever happens, so that no reader waits for ever.
struct Landing {
    inner: Arc<Inner>,
    log: Arc<Log>,
    key: Option<Key>,
}

impl Drop for Landing {
    fn drop(&mut self) {
        if let Some(key) = &self.key {
            self.inner.answers.landed(key);
        }
        // After an end this says nothing.
        self.log.push(Err(SeamError::new(ErrorKind::Internal, "the answer was given up by a defect")));
    }
}

async fn fly(landing: Landing, call: Arc<Call>, targets: Vec<Arc<TargetState>>) {
    let inner = &landing.inner;
    let mark = inner.answers.mark();
    let mut output = Output::new(Arc::clone(&landing.log));
    let result = Course::new(inner, &call, targets, &mut output).run().await;
    let ended = match result {
        Ok(Answer { finished, told }) => {
            // A text with marks in the place of values may come out better the next time.
            if let Some(key) = landing.key.filter(|_| told.unrestored == 0) {
                inner.answers.keep(key, Kept::new(&call.request, finished.text, finished.generated, &told), mark);
            }
            Ok(GenerateEvent::Done(finished.generated))
        }
        Err(error) => Err(error),
    };
    if let Some(key) = &landing.key {
        inner.answers.landed(key);
    }
    landing.log.push(ended);
}

#[async_trait]
impl LanguageModel for Router {
    fn provider(&self) -> &'static str {
        "router"
    }

    /// The model that is asked first.
    fn model(&self) -> &str {
        self.inner.targets.first().map_or("none", |state| state.target.model.model())
    }

    /// The largest context of all targets.
    fn context_tokens(&self) -> usize {
        self.inner.targets.iter().map(|state| state.target.model.context_tokens()).max().unwrap_or_default()
    }

    /// As the first target counts that can.
    fn count_tokens(&self, text: &str) -> Result<usize, SeamError> {
        let mut counts = self.inner.targets.iter().map(|state| state.target.model.count_tokens(text));
        let unavailable = || SeamError::new(ErrorKind::Unavailable, "no model is configured");
        counts.find(Result::is_ok).unwrap_or_else(|| Err(unavailable()))
    }

    /// Errors that depend on targets come through the stream, after the attempts.
    async fn generate(&self, request: GenerateRequest) -> Result<GenerateStream, SeamError> {
        if request.max_tokens == 0 || request.messages.is_empty() {
            let problem = "a request needs a message and at least one token for the answer";
            return Err(SeamError::new(ErrorKind::Invalid, problem));
        }
        let inner = &self.inner;
        let config = inner.config();
        let policy = config.policy(&request.tenant).narrowed(request.context.egress);
        let targets = plan(&config, &inner.targets, &request)?;
        let names: Vec<(&str, &str)> =
            targets.iter().map(|state| (state.target.name.as_str(), state.target.model.model())).collect();
        let key = cache::key(&request, policy, &names);
        let purpose = request.context.purpose;
        let call = || Call::new(request, policy);
        let Some(key) = key else {
            let flight = self.begin(call(), targets, None);
            return Ok(Box::pin(Reader::first(flight)));
        };
        if let Some(kept) = inner.answers.kept(&key) {
            inner.metrics.cache_hit();
            return Ok(self.replay(&kept, purpose));
        }
        let (flight, joined) = inner.answers.fly(key, || self.begin(call(), targets, Some(key)));
        if joined {
            inner.metrics.cache_joined();
            return Ok(Box::pin(Reader::joined(flight)));
        }
        inner.metrics.cache_miss();
        Ok(Box::pin(Reader::first(flight)))
    }
}

impl Inner {
    /// What is in force now.
    pub(crate) fn config(&self) -> Arc<RouterConfig> {
        Arc::clone(&self.config.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Everything that a target must allow before it is asked, in the order of what it costs to find out.
    pub(crate) async fn admit(
        &self,
        call: &Call,
        state: &TargetState,
        request: &GenerateRequest,
        (too_small, may_wait): (usize, bool),
    ) -> Result<Admission, Refusal> {
        let target = &state.target;
        let refuse = |reason, kind, words: &str| Err((reason, SeamError::new(kind, words.to_owned())));
        if !call.may_go(target.options.place) {
            return refuse(
                "egress_denied",
                ErrorKind::Unavailable,
                "the policy keeps this prompt on the machine, where no model is ready",
            );
        }
        let can = target.options.can;
        if (!request.tools.is_empty() && !can.tools) || (request.output != OutputFormat::Text && !can.structured_output)
        {
            return refuse(
                "unsupported",
                ErrorKind::Invalid,
                "no model that may be asked can do what the request needs",
            );
        }
        if too_small > 0 && target.model.context_tokens() <= too_small {
            return refuse("context_too_long", ErrorKind::ContextTooLong, "the prompt is longer than the model takes");
        }
        let permit = state.breaker.permit(Instant::now()).map_err(|open| {
            let retry_after = open.until.saturating_duration_since(Instant::now()).max(Duration::from_secs(1));
            let kind = ErrorKind::RateLimited { retry_after: Some(retry_after) };
            ("circuit_open", SeamError::new(kind, "the model failed too often and is left alone for a while"))
        })?;
        let Ok(place) = self.place(state, may_wait).await else {
            let kind = ErrorKind::RateLimited { retry_after: Some(Duration::from_secs(1)) };
            return refuse("busy", kind, "all places at the model are taken");
        };
        let input_tokens = call::input_tokens(request, target.model.as_ref(), target.options.place);
        // A provider may count some prompts half as high again as the estimate; what is not used comes back.
        let input = input_tokens + input_tokens / 2;
        let reserved = TokenUsage { input, cached_input: 0, output: request.max_tokens };
        let reserved = Spending {
            tokens: (input + request.max_tokens) as u64,
            cost: if target.options.place == Place::Local {
                Cost::default()
            } else {
                target.options.price.of(reserved)
            },
        };
        let context = &request.context;
        let reservation =
            self.budgets.reserve(&request.tenant, context.purpose, &target.name, reserved, Timestamp::now());
        let reservation = reservation.map_err(|over| {
            self.metrics.over_budget(&target.name);
            let kind = ErrorKind::OverBudget { resets_in: over.resets_in };
            ("over_budget", SeamError::new(kind, format!("the budget per {} is used up", over.per.as_str())))
        })?;
        Ok(Admission { permit, reservation, place, reserved, input_tokens })
    }

    /// A place at the target; waits a little for one where that is worth it.
    async fn place(&self, state: &TargetState, may_wait: bool) -> Result<Option<OwnedSemaphorePermit>, ()> {
        let Some(places) = &state.places else { return Ok(None) };
        let wait = Duration::from_millis(if may_wait { self.config().retry.slot_wait_ms } else { 0 });
        if let Ok(place) = Arc::clone(places).try_acquire_owned() {
            return Ok(Some(place));
        }
        match tokio::time::timeout(wait, Arc::clone(places).acquire_owned()).await {
            Ok(Ok(place)) => Ok(Some(place)),
            _ => Err(()),
        }
    }

    /// Unique over restarts: the time of the start and a counter.
    pub(crate) fn next_attempt(&self) -> AttemptId {
        AttemptId(format!("att_{:x}_{:x}", self.run, self.counter.fetch_add(1, Ordering::Relaxed)))
    }

    /// A number between 0 and 1 that differs from try to try, to spread them in time. Not for secrets.
    pub(crate) fn jitter(&self) -> f64 {
        // The golden ratio's multiples are spread evenly whatever their number.
        let count = self.counter.load(Ordering::Relaxed).wrapping_add(self.run) & 0xffff_ffff;
        (count as f64 * 0.618_033_988_749_894_9).fract()
    }
}

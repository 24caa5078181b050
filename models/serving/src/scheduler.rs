//! Who runs: requests come in, get a place, share steps, give way, and end.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use rejoinder_domain::{ErrorKind, FinishReason, Generated, Priority, SeamError, TenantId};

use crate::engine::{Engine, EngineCache};
use crate::error::internal;
use crate::form::MaskThread;
use crate::metrics::{Metrics, Speed};
use crate::options::ServingOptions;
use crate::prefix::PrefixStore;
use crate::queue::{Inbox, Places, closed, lock};
use crate::sequence::{Request, Sequence};
use crate::turns::Turns;
use crate::writer::Writer;

/// The time. Tests bring their own.
pub(crate) type Clock = Arc<dyn Fn() -> Instant + Send + Sync>;

/// What the inference thread is asked to do.
#[derive(Debug)]
pub(crate) enum Order {
    /// Answer this.
    Run(Box<Request>),
    /// Drop what was kept for this tenant.
    Forget(TenantId),
    /// End everything that is not done.
    Cancel,
}

/// What a scheduler is made of.
pub(crate) struct SchedulerParts<E> {
    /// The decoder.
    pub(crate) engine: E,
    /// How it is shared.
    pub(crate) options: ServingOptions,
    /// Where orders come from.
    pub(crate) inbox: Arc<Inbox<Order>>,
    /// Who may wait.
    pub(crate) places: Arc<Places>,
    /// What is told.
    pub(crate) metrics: Arc<Mutex<Metrics>>,
    /// The time.
    pub(crate) clock: Clock,
}

/// Runs requests on one engine. All of it happens on one thread.
pub(crate) struct Scheduler<E: Engine> {
    pub(crate) engine: E,
    pub(crate) options: ServingOptions,
    inbox: Arc<Inbox<Order>>,
    places: Arc<Places>,
    pub(crate) masks: MaskThread,
    /// Requests that have no place: new ones, and those that had to give theirs to a more urgent one.
    pub(crate) waiting: Vec<Sequence<E::Cache>>,
    /// Requests that take part in steps, most urgent first.
    pub(crate) running: Vec<Sequence<E::Cache>>,
    pub(crate) kept: PrefixStore<E::Cache>,
    /// Answers that ended in this turn.
    ending: Vec<(Writer, Result<Generated, SeamError>)>,
    /// What happened since the last time it was told.
    pub(crate) metrics: Metrics,
    told: Arc<Mutex<Metrics>>,
    pub(crate) speed: Speed,
    pub(crate) clock: Clock,
    arrivals: u64,
    turns: Turns,
    /// Requests that ended, so that those who wait for memory know when to try again.
    released: u64,
}

/// What a turn did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// One step.
    Worked,
    /// Nothing: nobody runs or waits.
    Idle,
}

impl<E: Engine> Scheduler<E> {
    /// A scheduler that has nothing to do.
    pub(crate) fn new(parts: SchedulerParts<E>) -> Result<Self, crate::ServingError> {
        Ok(Self {
            kept: PrefixStore::new(parts.options.reuse_bytes),
            engine: parts.engine,
            options: parts.options,
            inbox: parts.inbox,
            places: parts.places,
            masks: MaskThread::start()?,
            waiting: Vec::new(),
            running: Vec::new(),
            ending: Vec::new(),
            metrics: Metrics::default(),
            told: parts.metrics,
            speed: Speed::default(),
            clock: parts.clock,
            arrivals: 0,
            turns: Turns::default(),
            released: 0,
        })
    }

    /// Takes orders, drops who is gone or late, gives places, and computes one step.
    pub(crate) fn turn(&mut self) -> Turn {
        self.take_orders();
        self.sweep();
        self.admit();
        if self.running.is_empty() {
            self.tell();
            return Turn::Idle;
        }
        self.step();
        self.tell();
        Turn::Worked
    }

    /// Fails everything; what is left to do after a defect or at the end.
    pub(crate) fn fail_all(&mut self, error: impl Fn() -> SeamError) {
        for sequence in self.running.drain(..).chain(self.waiting.drain(..)) {
            self.metrics.failed += 1;
            self.ending.push((sequence.request.writer, Err(error())));
        }
        self.tell();
    }

    fn take_orders(&mut self) {
        while let Some(order) = self.inbox.try_pop() {
            match order {
                Order::Run(request) => {
                    self.metrics.input_tokens += request.prompt.len() as u64;
                    let turn = self.turns.take(&request.tenant, request.priority);
                    let sequence = Sequence::new(*request, self.engine.cache(), self.arrivals, turn);
                    self.arrivals += 1;
                    self.waiting.push(sequence);
                }
                Order::Forget(tenant) => self.kept.forget(&tenant),
                Order::Cancel => self.fail_all(closed),
            }
        }
    }

    /// Drops requests whose caller is gone or whose time is over.
    fn sweep(&mut self) {
        let now = (self.clock)();
        let ends = |sequence: &Sequence<E::Cache>| {
            sequence.request.writer.is_abandoned() || sequence.request.deadline.is_some_and(|deadline| deadline <= now)
        };
        let gone: Vec<_> = self
            .running
            .extract_if(.., |sequence| ends(sequence))
            .chain(self.waiting.extract_if(.., |s| ends(s)))
            .collect();
        for sequence in gone {
            if sequence.request.place.is_some() {
                self.turns.give_back(&sequence.request.tenant, sequence.request.priority);
            }
            if sequence.request.writer.is_abandoned() {
                self.metrics.cancelled += 1;
            } else {
                self.metrics.expired += 1;
            }
            // Where nobody listens, nobody hears this.
            let message = "the local model did not finish the answer in the time that the request allows";
            self.keep(sequence, Err(SeamError::new(ErrorKind::DeadlineExceeded, message)));
        }
    }

    /// Gives places to the most urgent; an interactive request takes the place of a batch request if it must.
    fn admit(&mut self) {
        self.waiting.sort_by_key(Sequence::urgency);
        let mut index = 0;
        while index < self.waiting.len() {
            let Some(candidate) = self.waiting.get(index) else { break };
            let has_memory = candidate.waits_for_memory.is_none_or(|released| released < self.released);
            if !has_memory && !self.running.is_empty() {
                index += 1;
                continue;
            }
            if self.running.len() >= self.options.max_sequences {
                let yields = |sequence: &Sequence<E::Cache>| sequence.rank() == Priority::Batch;
                let youngest = self.running.iter().rposition(yields);
                let (Priority::Interactive, Some(youngest)) = (candidate.rank(), youngest) else { break };
                let yielding = self.running.remove(youngest);
                self.metrics.preempted += 1;
                self.waiting.push(yielding);
            }
            let admitted = self.waiting.remove(index);
            self.give_place(admitted);
            // Who was passed over may have become interactive by it, and who yielded stands at the end.
            self.waiting.sort_by_key(Sequence::urgency);
            index = 0;
        }
    }

    fn give_place(&mut self, mut admitted: Sequence<E::Cache>) {
        admitted.waits_for_memory = None;
        if admitted.request.place.take().is_some() {
            self.turns.serve(admitted.turn);
            let wait = (self.clock)().saturating_duration_since(admitted.request.arrived);
            self.metrics.waited(admitted.request.priority, wait);
            if admitted.request.priority == Priority::Interactive {
                self.pass_over(admitted.arrival);
            }
        }
        self.running.push(admitted);
        self.running.sort_by_key(Sequence::urgency);
    }

    /// Counts that an interactive request went before the batch requests that came earlier, so that none starves.
    fn pass_over(&mut self, arrival: u64) {
        let patience = self.options.batch_patience;
        for sequence in self.running.iter_mut().chain(&mut self.waiting) {
            if sequence.request.priority == Priority::Batch && sequence.arrival < arrival {
                sequence.passed_over += 1;
                sequence.promoted = sequence.passed_over >= patience;
            }
        }
    }

    /// Ends an answer well.
    pub(crate) fn finish(&mut self, mut sequence: Sequence<E::Cache>, reason: FinishReason) {
        let input = sequence.request.prompt.len();
        let outcome = sequence.request.writer.finish(reason, input, sequence.cached_input);
        match outcome {
            Ok(_) => self.metrics.finished += 1,
            Err(_) => self.metrics.failed += 1,
        }
        if let Some(started) = sequence.started {
            self.places.served((self.clock)().saturating_duration_since(started));
        }
        self.keep(sequence, outcome);
    }

    /// Ends an answer with an error; nothing of it is kept.
    pub(crate) fn fail(&mut self, sequence: Sequence<E::Cache>, error: SeamError) {
        tracing::warn!(kind = ?error.kind, "a request to the local model failed");
        self.metrics.failed += 1;
        self.released += 1;
        self.ending.push((sequence.request.writer, Err(error)));
    }

    /// Keeps what was computed for later requests, and tells the caller the outcome.
    fn keep(&mut self, sequence: Sequence<E::Cache>, outcome: Result<Generated, SeamError>) {
        self.released += 1;
        let tokens = sequence.computed().to_vec();
        let Sequence { request, cache, .. } = sequence;
        let system = tokens.get(..request.system_tokens).unwrap_or_default();
        if !system.is_empty() {
            let mut instructions = cache.fork();
            instructions.truncate(system.len());
            self.kept.insert(&request.tenant, system.to_vec(), instructions, true);
        }
        self.kept.insert(&request.tenant, tokens, cache, false);
        self.ending.push((request.writer, outcome));
    }

    /// Takes the cache and the place of a request that is less urgent than the most urgent one that runs, to make room.
    /// What is there to take first: places of others in this step, then caches of those that wait. False where there is
    /// nobody.
    pub(crate) fn make_room(&mut self) -> bool {
        if self.kept.evict() {
            return true;
        }
        let released = self.released;
        let waiting = self.waiting.iter_mut().filter(|sequence| sequence.cache.len() > 0).max_by_key(|s| s.urgency());
        if let Some(sequence) = waiting {
            sequence.cache = self.engine.cache();
            sequence.waits_for_memory = Some(released);
            self.metrics.preempted += 1;
            return true;
        }
        if self.running.len() < 2 {
            return false;
        }
        if let Some(mut sequence) = self.running.pop() {
            sequence.cache = self.engine.cache();
            sequence.waits_for_memory = Some(released);
            self.metrics.preempted += 1;
            self.waiting.push(sequence);
        }
        true
    }

    /// The error of a request that cannot be held even alone.
    pub(crate) fn no_room(&self) -> SeamError {
        let message = format!(
            "the request does not fit into the key-value cache of {} bytes; raise `cache_bytes`",
            self.options.cache_bytes
        );
        SeamError::new(ErrorKind::ContextTooLong, message)
    }

    /// Publishes the metrics, then tells the callers whose answers ended: who looks after the end finds it counted.
    fn tell(&mut self) {
        self.metrics.running = self.running.len();
        self.metrics.cache_bytes = self.engine.used_bytes();
        self.metrics.reuse_entries = self.kept.len();
        self.metrics.reuse_bytes = self.kept.bytes();
        lock(&self.told).clone_from(&self.metrics);
        for (writer, outcome) in self.ending.drain(..) {
            writer.end(outcome);
        }
    }

    /// Runs until the inbox is closed and everything in it is done.
    pub(crate) fn run(mut self) {
        loop {
            let turn = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.turn()));
            match turn {
                Ok(Turn::Worked) => {}
                Ok(Turn::Idle) => {
                    if !self.inbox.wait() {
                        return;
                    }
                }
                Err(_) => {
                    tracing::error!("the scheduler of the local model panicked; its requests fail");
                    self.fail_all(|| internal("the local model failed"));
                }
            }
        }
    }
}

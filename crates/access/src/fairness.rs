//! Who is worked on next.
//!
//! There are so many places in all and so many for each tenant. Who finds none waits in a queue of its tenant, and a place
//! that becomes free goes to the tenant that had the least of them lately, and to the tenants in turn where that is equal. So
//! a tenant that sends a thousand requests gets what the others leave, and who asks now and then waits for no more than a
//! place to become free; where all ask for more than there is, all get the same. Queues are bounded, and who finds his full
//! is turned away at once.
//!
//! Whatever happens to the one who waits or works, nothing is lost: a dropped [`Permit`] frees its place, a dropped wait
//! leaves the queue.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rejoinder_domain::{ErrorKind, TenantId};
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::LimitsConfig;

/// What a request is thought to take before any has ended.
const FIRST_GUESS: Duration = Duration::from_secs(1);
/// After this time what a tenant had counts half.
const HALF_LIFE: Duration = Duration::from_secs(10);
/// Seconds that count for nothing any more.
const NOTHING: f64 = 0.001;
/// Requests after whose end tenants that had nothing lately are forgotten.
const SWEEP_EVERY: u64 = 256;

/// How many places there are, and how long one is waited for.
#[derive(Clone, Debug)]
pub struct FairOptions {
    /// Places for all tenants together.
    pub places: NonZeroUsize,
    /// The longest wait in a queue. Should be below the time-out of a request.
    pub longest_wait: Duration,
    /// `concurrent_requests` and `queue_length` of each tenant are read from here.
    pub limits: Arc<LimitsConfig>,
}

/// The places and the queues. A clone is the same one.
#[derive(Clone)]
pub struct Fair {
    shared: Arc<Shared>,
}

/// A place. Dropping it frees it.
#[must_use = "a permit that is dropped is a place that is free again"]
pub struct Permit {
    place: Option<Place>,
}

/// There is no place, and no room to wait for one, or the wait was too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many requests of this tenant are waiting")]
pub struct Busy {
    /// When one should be free, by how long requests took lately: 1 to 60 seconds.
    pub retry_after: Duration,
}

impl Busy {
    /// What to decide on.
    pub fn kind(&self) -> ErrorKind {
        ErrorKind::RateLimited { retry_after: Some(self.retry_after) }
    }
}

/// What is going on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Places in use.
    pub running: usize,
    /// Requests that wait.
    pub waiting: usize,
    /// Tenants that have one or the other.
    pub tenants: usize,
}

struct Shared {
    state: Mutex<State>,
}

struct Place {
    shared: Arc<Shared>,
    tenant: TenantId,
    since: Instant,
}

struct State {
    options: FairOptions,
    running: usize,
    lanes: HashMap<TenantId, Lane>,
    /// The tenants that wait and may have another place, each once, in the order of their turns. It is empty whenever there
    /// is a free place.
    turns: VecDeque<TenantId>,
    next_ticket: u64,
    /// Requests that ended.
    ended: u64,
    /// How long requests take, a moving mean.
    mean: Duration,
}

/// One tenant.
#[derive(Default)]
struct Lane {
    running: usize,
    /// By ticket, so in the order of arrival, and one that gives up is found at once.
    queue: BTreeMap<u64, oneshot::Sender<Permit>>,
    /// Whether the tenant is in `turns`.
    in_turns: bool,
    had: Had,
}

/// The time for which a tenant had places, in seconds; what is past counts less and less.
#[derive(Clone, Copy, Debug, Default)]
struct Had {
    seconds: f64,
    at: Option<Instant>,
}

/// Takes one who waits out of the queue when he no longer does.
struct Waiting<'a> {
    shared: &'a Shared,
    tenant: &'a TenantId,
    ticket: u64,
}

impl Fair {
    /// All places free.
    pub fn new(options: FairOptions) -> Self {
        let state = State {
            options,
            running: 0,
            lanes: HashMap::new(),
            turns: VecDeque::new(),
            next_ticket: 0,
            ended: 0,
            mean: FIRST_GUESS,
        };
        Self { shared: Arc::new(Shared { state: Mutex::new(state) }) }
    }

    /// Changes the limits. Who has a place or waits keeps it.
    pub fn reconfigure(&self, options: FairOptions) {
        let mut state = self.shared.lock();
        state.options = options;
        // What a tenant may have has changed, so whose turn it can be is found out anew.
        state.turns.clear();
        let waiting: Vec<TenantId> = state
            .lanes
            .iter_mut()
            .filter_map(|(tenant, lane)| {
                lane.in_turns = false;
                (!lane.queue.is_empty()).then(|| tenant.clone())
            })
            .collect();
        for tenant in waiting {
            state.line_up(&tenant);
        }
        drop(state);
        self.shared.hand_out();
    }

    /// A place for a request of `tenant`, at once or when it is its turn. Dropping the future gives up the wait.
    pub async fn enter(&self, tenant: &TenantId) -> Result<Permit, Busy> {
        let (place, ticket, longest_wait) = {
            let mut state = self.shared.lock();
            if state.may_enter(tenant) {
                return Ok(self.shared.permit(state.occupy(tenant)));
            }
            if state.queue_is_full(tenant) {
                return Err(state.busy(tenant));
            }
            let (sender, place) = oneshot::channel();
            (place, state.queue(tenant, sender), state.options.longest_wait)
        };
        let waiting = Waiting { shared: &self.shared, tenant, ticket };
        let place = tokio::time::timeout(longest_wait, place).await;
        drop(waiting);
        match place {
            Ok(Ok(permit)) => Ok(permit),
            // The other end is dropped only together with everything else.
            Ok(Err(_)) | Err(_) => Err(self.shared.lock().busy(tenant)),
        }
    }

    /// What is going on.
    pub fn load(&self) -> Load {
        let state = self.shared.lock();
        let waiting = state.lanes.values().map(|lane| lane.queue.len()).sum();
        let tenants = state.lanes.values().filter(|lane| !lane.is_idle()).count();
        Load { running: state.running, waiting, tenants }
    }

    /// What is going on for one tenant.
    pub fn load_of(&self, tenant: &TenantId) -> Load {
        let state = self.shared.lock();
        let lane = state.lanes.get(tenant);
        lane.filter(|lane| !lane.is_idle()).map_or_else(Load::default, |lane| Load {
            running: lane.running,
            waiting: lane.queue.len(),
            tenants: 1,
        })
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing below can panic between two changes that belong together.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn permit(self: &Arc<Self>, tenant: TenantId) -> Permit {
        Permit { place: Some(Place { shared: Arc::clone(self), tenant, since: Instant::now() }) }
    }

    /// Gives the free places to those whose turn it is. A place whose taker has just gone is given to the next; that is done
    /// here, in a loop and without the lock, because the permit's own `drop` would come back here once for each of them.
    fn hand_out(self: &Arc<Self>) {
        let mut refused: Vec<TenantId> = Vec::new();
        loop {
            let mut state = self.lock();
            for tenant in refused.drain(..) {
                state.vacate(&tenant, Duration::ZERO);
            }
            let mut granted = Vec::new();
            while state.running < state.options.places.get() {
                let Some((tenant, sender)) = state.next() else { break };
                granted.push((tenant, sender));
            }
            drop(state);
            for (tenant, sender) in granted {
                if let Err(mut permit) = sender.send(self.permit(tenant)) {
                    refused.extend(permit.place.take().map(|place| place.tenant));
                }
            }
            if refused.is_empty() {
                return;
            }
        }
    }
}

impl State {
    fn places_of(&self, tenant: &TenantId) -> usize {
        at_most(self.options.limits.of(tenant).concurrent_requests)
    }

    /// Whether there is a place and nobody who came before.
    fn may_enter(&self, tenant: &TenantId) -> bool {
        let (running, queued) =
            self.lanes.get(tenant).map_or((0, false), |lane| (lane.running, !lane.queue.is_empty()));
        self.running < self.options.places.get() && running < self.places_of(tenant) && !queued
    }

    fn queue_is_full(&self, tenant: &TenantId) -> bool {
        let queued = self.lanes.get(tenant).map_or(0, |lane| lane.queue.len());
        queued >= at_most(self.options.limits.of(tenant).queue_length)
    }

    fn occupy(&mut self, tenant: &TenantId) -> TenantId {
        self.running += 1;
        self.lanes.entry(tenant.clone()).or_default().running += 1;
        tenant.clone()
    }

    fn queue(&mut self, tenant: &TenantId, sender: oneshot::Sender<Permit>) -> u64 {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        self.lanes.entry(tenant.clone()).or_default().queue.insert(ticket, sender);
        self.line_up(tenant);
        ticket
    }

    /// Puts the tenant at the end of the turns, if somebody of it waits and it may have another place.
    fn line_up(&mut self, tenant: &TenantId) {
        let places = self.places_of(tenant);
        let Some(lane) = self.lanes.get_mut(tenant) else { return };
        if !lane.in_turns && !lane.queue.is_empty() && lane.running < places {
            lane.in_turns = true;
            self.turns.push_back(tenant.clone());
        }
    }

    /// Takes a place for the one whose turn it is.
    fn next(&mut self) -> Option<(TenantId, oneshot::Sender<Permit>)> {
        while let Some(tenant) = self.least() {
            let places = self.places_of(&tenant);
            let Some(lane) = self.lanes.get_mut(&tenant) else { continue };
            lane.in_turns = false;
            let first = if lane.running < places { lane.queue.pop_first() } else { None };
            let Some((_, sender)) = first else {
                self.forget_idle(&tenant);
                continue;
            };
            lane.running += 1;
            self.running += 1;
            self.line_up(&tenant);
            return Some((tenant, sender));
        }
        None
    }

    /// Takes the tenant out of the turns that had the least lately, the first of them where it is equal.
    fn least(&mut self) -> Option<TenantId> {
        let now = Instant::now();
        let had = |tenant: &TenantId| self.lanes.get(tenant).map_or(0.0, |lane| lane.had.until(now));
        let of_each = self.turns.iter().map(had).enumerate();
        let (place, _) = of_each.min_by(|(_, one), (_, other)| one.total_cmp(other))?;
        self.turns.remove(place)
    }

    fn vacate(&mut self, tenant: &TenantId, took: Duration) {
        self.running = self.running.saturating_sub(1);
        if let Some(lane) = self.lanes.get_mut(tenant) {
            lane.running = lane.running.saturating_sub(1);
            lane.had.add(Instant::now(), took);
        }
        self.line_up(tenant);
        self.forget_idle(tenant);
        self.ended += 1;
        if self.ended.is_multiple_of(SWEEP_EVERY) {
            self.lanes.retain(|_, lane| !lane.may_be_forgotten());
        }
    }

    fn leave_queue(&mut self, tenant: &TenantId, ticket: u64) {
        if let Some(lane) = self.lanes.get_mut(tenant) {
            lane.queue.remove(&ticket);
        }
        self.forget_idle(tenant);
    }

    /// A tenant without requests takes no memory once what it had counts for nothing. One that left a turn behind is passed
    /// over when it comes.
    fn forget_idle(&mut self, tenant: &TenantId) {
        if self.lanes.get(tenant).is_some_and(Lane::may_be_forgotten) {
            self.lanes.remove(tenant);
        }
    }

    /// The next one of the tenant would wait for those before him, which are worked on as many at a time as it has places.
    fn busy(&self, tenant: &TenantId) -> Busy {
        let queued = self.lanes.get(tenant).map_or(0, |lane| lane.queue.len());
        let abreast = self.places_of(tenant).min(self.options.places.get()).max(1);
        let rounds = (queued / abreast + 1) as u32;
        let wait = self.mean.saturating_mul(rounds);
        Busy { retry_after: wait.clamp(Duration::from_secs(1), Duration::from_mins(1)) }
    }

    fn learn(&mut self, took: Duration) {
        self.mean = self.mean.saturating_mul(7).saturating_add(took) / 8;
    }
}

impl Lane {
    fn is_idle(&self) -> bool {
        self.running == 0 && self.queue.is_empty()
    }

    fn may_be_forgotten(&self) -> bool {
        self.is_idle() && !self.in_turns && self.had.until(Instant::now()) < NOTHING
    }
}

impl Had {
    fn until(self, now: Instant) -> f64 {
        let passed = self.at.map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        self.seconds * 0.5_f64.powf(passed.as_secs_f64() / HALF_LIFE.as_secs_f64())
    }

    fn add(&mut self, now: Instant, took: Duration) {
        *self = Self { seconds: self.until(now) + took.as_secs_f64(), at: Some(now) };
    }
}

fn at_most(limit: Option<u64>) -> usize {
    limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX))
}

impl Drop for Permit {
    fn drop(&mut self) {
        let Some(place) = self.place.take() else { return };
        let mut state = place.shared.lock();
        let took = place.since.elapsed();
        state.vacate(&place.tenant, took);
        state.learn(took);
        drop(state);
        place.shared.hand_out();
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.shared.lock().leave_queue(self.tenant, self.ticket);
    }
}

impl std::fmt::Debug for Permit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Permit").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Between the drop of a wait and its leaving the queue, another thread may give it a place. It is made to last here.
    #[tokio::test(start_paused = true)]
    async fn a_place_for_one_who_has_just_gone_goes_to_the_next() {
        let limits = Arc::new(LimitsConfig::default());
        let options = FairOptions { places: NonZeroUsize::MIN, longest_wait: Duration::from_secs(30), limits };
        let fair = Fair::new(options);
        let tenants: Vec<TenantId> = (0..3).map(|number| TenantId::new(format!("t{number}")).unwrap()).collect();
        let held = fair.enter(&tenants[0]).await.unwrap();
        let mut gone = Vec::new();
        let mut last = None;
        for number in 0..5000 {
            let (sender, place) = oneshot::channel();
            fair.shared.lock().queue(&tenants[number % 3], sender);
            gone.extend(last.replace(place));
        }
        drop(gone);
        assert_eq!(fair.load(), Load { running: 1, waiting: 5000, tenants: 3 });
        drop(held);
        assert_eq!(fair.load(), Load { running: 1, waiting: 0, tenants: 1 });
        drop(last.unwrap().await.unwrap());
        assert_eq!(fair.load(), Load::default());
    }
}

//! A circuit breaker: a target that keeps failing is left alone for a while, so that nobody waits for it to fail again.
//!
//! The clock is an argument everywhere, and which failures count is the caller's decision.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// The window slides by a tenth of its length: what is older than the window by less than that may still count.
const SLOTS: u64 = 10;

/// When a target is left alone and for how long.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BreakerConfig {
    /// How far back attempts count, in seconds.
    pub window_seconds: u32,
    /// Attempts that the window must hold before their share of failures says anything.
    pub min_requests: u32,
    /// The share of failures in the window, above 0 to 1, from which on the target is left alone. A target that fails less
    /// often still answers most requests at the second try; one that fails more often costs more waiting than it saves.
    pub error_share: f64,
    /// Failures without a success between them after which the target is left alone, however long they took: a firm with
    /// one request a minute never fills the window. 0 switches this off.
    pub failures_in_a_row: u32,
    /// How long the target is left alone at first, in seconds. Doubles each time that a probe fails.
    pub open_seconds: u32,
    /// The longest it is left alone, in seconds.
    pub max_open_seconds: u32,
    /// How many requests may try the target at once after that, and how many of them must succeed, before it is used as
    /// usual again. One failure leaves it alone again.
    pub probes: u32,
}

impl Default for BreakerConfig {
    fn default() -> Self {
        Self {
            window_seconds: 60,
            min_requests: 20,
            error_share: 0.5,
            failures_in_a_row: 8,
            open_seconds: 30,
            max_open_seconds: 300,
            probes: 2,
        }
    }
}

impl BreakerConfig {
    /// Says what to change where a value makes no sense.
    pub fn validate(&self) -> Result<(), String> {
        let refuse = |sentence: &str| Err(sentence.to_owned());
        if self.window_seconds == 0 {
            return refuse("window_seconds must be at least 1");
        }
        if self.min_requests == 0 {
            return refuse("min_requests must be at least 1");
        }
        if !(self.error_share > 0.0 && self.error_share <= 1.0) {
            return refuse("error_share must be above 0 and at most 1: it is the share of attempts that fail");
        }
        if self.open_seconds == 0 {
            return refuse("open_seconds must be at least 1");
        }
        if self.max_open_seconds < self.open_seconds {
            return refuse("max_open_seconds must not be below open_seconds");
        }
        if self.probes == 0 {
            return refuse("probes must be at least 1, or an opened breaker never closes");
        }
        Ok(())
    }
}

/// The target is left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Open {
    /// When it may be tried at the earliest; now, where as many probes as allowed are under way.
    pub until: Instant,
}

/// Whether a target is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerState {
    /// As usual.
    Closed,
    /// A few requests may try whether it works again.
    HalfOpen,
    /// Not.
    Open {
        /// Until then.
        until: Instant,
    },
}

impl BreakerState {
    /// The stable name, in health reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::HalfOpen => "half_open",
            Self::Open { .. } => "open",
        }
    }
}

/// What the breaker of a target knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerHealth {
    /// Whether the target is used.
    pub state: BreakerState,
    /// Attempts of the window.
    pub requests: u32,
    /// Those of them that failed.
    pub failures: u32,
}

impl BreakerHealth {
    /// The share of attempts of the window that failed, 0 without any.
    pub fn error_share(&self) -> f64 {
        if self.requests == 0 { 0.0 } else { f64::from(self.failures) / f64::from(self.requests) }
    }
}

/// The breaker of one target. Clones are the same breaker.
#[derive(Clone, Debug)]
pub struct Breaker {
    shared: Arc<Shared>,
}

/// Leave to ask the target. What came of it is told by [`Permit::succeeded`] or [`Permit::failed`]; a permit that is dropped
/// says nothing about the target (the caller went away), and lets another probe go.
#[derive(Debug)]
#[must_use]
pub struct Permit {
    shared: Arc<Shared>,
    epoch: u64,
    probe: bool,
}

#[derive(Debug)]
struct Shared {
    config: BreakerConfig,
    began: Instant,
    /// Milliseconds of one slot of the window.
    slot: u64,
    circuit: Mutex<Circuit>,
}

#[derive(Debug)]
struct Circuit {
    phase: Phase,
    /// Grows with every change of the phase: what was permitted before it says nothing about the time after it.
    epoch: u64,
    slots: [Slot; SLOTS as usize],
    in_a_row: u32,
    /// For how long the target is left alone when it fails the next time.
    pause: Duration,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    Closed,
    /// Left alone until then, afterwards probed.
    Open(Instant),
    /// Probes under way, and those that succeeded.
    Probing {
        out: u32,
        succeeded: u32,
    },
}

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    number: u64,
    requests: u32,
    failures: u32,
}

impl Breaker {
    /// A closed breaker without any history; `config` has been validated.
    pub fn new(config: BreakerConfig, now: Instant) -> Self {
        let slot = (u64::from(config.window_seconds) * 1000 / SLOTS).max(1);
        let pause = Duration::from_secs(config.open_seconds.into());
        let circuit = Circuit { phase: Phase::Closed, epoch: 0, slots: Default::default(), in_a_row: 0, pause };
        Self { shared: Arc::new(Shared { config, began: now, slot, circuit: Mutex::new(circuit) }) }
    }

    /// Asks whether the target may be tried.
    pub fn permit(&self, now: Instant) -> Result<Permit, Open> {
        let mut circuit = self.shared.circuit();
        if let Phase::Open(until) = circuit.phase {
            if now < until {
                return Err(Open { until });
            }
            circuit.enter(Phase::Probing { out: 0, succeeded: 0 });
        }
        let mut probe = false;
        if let Phase::Probing { out, .. } = &mut circuit.phase {
            if *out >= self.shared.config.probes {
                return Err(Open { until: now });
            }
            *out += 1;
            probe = true;
        }
        Ok(Permit { shared: Arc::clone(&self.shared), epoch: circuit.epoch, probe })
    }

    /// What is known now.
    pub fn health(&self, now: Instant) -> BreakerHealth {
        let circuit = self.shared.circuit();
        let state = match circuit.phase {
            Phase::Closed => BreakerState::Closed,
            Phase::Open(until) if now < until => BreakerState::Open { until },
            Phase::Open(_) | Phase::Probing { .. } => BreakerState::HalfOpen,
        };
        let (requests, failures) = circuit.window(self.shared.slot_number(now));
        BreakerHealth { state, requests, failures }
    }
}

impl Permit {
    /// The target did its part.
    pub fn succeeded(self, now: Instant) {
        self.resolve(now, true);
    }

    /// The target failed.
    pub fn failed(self, now: Instant) {
        self.resolve(now, false);
    }

    fn resolve(mut self, now: Instant, success: bool) {
        let mut circuit = self.shared.circuit();
        if circuit.epoch == self.epoch {
            self.shared.note(&mut circuit, now, success);
        }
        drop(circuit);
        // What was noted let go of the probe.
        self.probe = false;
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if !self.probe {
            return;
        }
        let mut circuit = self.shared.circuit();
        if circuit.epoch == self.epoch
            && let Phase::Probing { out, .. } = &mut circuit.phase
        {
            *out = out.saturating_sub(1);
        }
    }
}

impl Shared {
    fn circuit(&self) -> MutexGuard<'_, Circuit> {
        // Every change is complete before anything could panic.
        self.circuit.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn slot_number(&self, now: Instant) -> u64 {
        // From 1 on: 0 is a slot that was never used.
        now.saturating_duration_since(self.began).as_millis() as u64 / self.slot + 1
    }

    fn note(&self, circuit: &mut Circuit, now: Instant, success: bool) {
        let number = self.slot_number(now);
        circuit.count(number, success);
        circuit.in_a_row = if success { 0 } else { circuit.in_a_row.saturating_add(1) };
        match &mut circuit.phase {
            Phase::Probing { out, succeeded } if success => {
                *out = out.saturating_sub(1);
                *succeeded += 1;
                if *succeeded >= self.config.probes {
                    circuit.slots = Default::default();
                    circuit.pause = Duration::from_secs(self.config.open_seconds.into());
                    circuit.enter(Phase::Closed);
                }
            }
            Phase::Probing { .. } => self.open(circuit, now),
            Phase::Closed if !success => {
                let (requests, failures) = circuit.window(number);
                let share = f64::from(failures) / f64::from(requests.max(1));
                let in_a_row = self.config.failures_in_a_row;
                if (requests >= self.config.min_requests && share >= self.config.error_share)
                    || (in_a_row > 0 && circuit.in_a_row >= in_a_row)
                {
                    self.open(circuit, now);
                }
            }
            Phase::Closed | Phase::Open(_) => {}
        }
    }

    fn open(&self, circuit: &mut Circuit, now: Instant) {
        circuit.enter(Phase::Open(now + circuit.pause));
        let longest = Duration::from_secs(self.config.max_open_seconds.into());
        circuit.pause = circuit.pause.saturating_mul(2).min(longest);
    }
}

impl Circuit {
    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.epoch += 1;
    }

    fn count(&mut self, number: u64, success: bool) {
        let Some(slot) = self.slots.get_mut((number % SLOTS) as usize) else { return };
        if slot.number < number {
            *slot = Slot { number, requests: 0, failures: 0 };
        }
        slot.requests = slot.requests.saturating_add(1);
        slot.failures = slot.failures.saturating_add(u32::from(!success));
    }

    fn window(&self, number: u64) -> (u32, u32) {
        let current = self.slots.iter().filter(|slot| slot.number > 0 && slot.number + SLOTS > number);
        current.fold((0, 0), |(requests, failures), slot| {
            (requests.saturating_add(slot.requests), failures.saturating_add(slot.failures))
        })
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    struct Clock(Instant);

    impl Clock {
        fn seconds(&mut self, seconds: u64) -> Instant {
            self.0 += Duration::from_secs(seconds);
            self.0
        }
    }

    fn breaker(change: impl FnOnce(&mut BreakerConfig)) -> (Breaker, Clock) {
        let mut config = BreakerConfig::default();
        change(&mut config);
        config.validate().unwrap();
        let clock = Clock(Instant::now());
        (Breaker::new(config, clock.0), clock)
    }

    fn attempts(breaker: &Breaker, now: Instant, outcomes: impl IntoIterator<Item = bool>) {
        for success in outcomes {
            let permit = breaker.permit(now).unwrap();
            if success { permit.succeeded(now) } else { permit.failed(now) }
        }
    }

    #[test]
    fn a_share_of_failures_opens_it_once_enough_was_tried() {
        let (breaker, mut clock) = breaker(|_| ());
        let now = clock.seconds(1);
        attempts(&breaker, now, (0..19).map(|n| n % 2 == 0));
        assert_eq!(
            breaker.health(now).state,
            BreakerState::Closed,
            "nine of nineteen failed, and that is too few to judge"
        );
        attempts(&breaker, now, [false]);
        let until = now + Duration::from_secs(30);
        assert_eq!(
            breaker.health(now),
            BreakerHealth { state: BreakerState::Open { until }, requests: 20, failures: 10 }
        );
        assert_eq!(breaker.permit(clock.seconds(29)).unwrap_err(), Open { until });
    }

    #[test]
    fn fewer_failures_than_the_share_never_open_it() {
        let (breaker, mut clock) = breaker(|_| ());
        for _ in 0..200 {
            attempts(&breaker, clock.seconds(1), [false, true, true, false, true]);
        }
        assert_eq!(breaker.health(clock.0).state, BreakerState::Closed);
        assert!((breaker.health(clock.0).error_share() - 0.4).abs() < 1e-9);
    }

    #[test]
    fn what_is_older_than_the_window_does_not_count() {
        let (breaker, mut clock) = breaker(|config| config.failures_in_a_row = 0);
        attempts(&breaker, clock.seconds(1), [false; 19]);
        let now = clock.seconds(66);
        assert_eq!(breaker.health(now).requests, 0);
        attempts(&breaker, now, [false; 19]);
        assert_eq!(breaker.health(now).state, BreakerState::Closed);
        assert_eq!(breaker.health(clock.seconds(30)).failures, 19, "still within the window");
    }

    #[test]
    fn failures_in_a_row_open_it_however_slowly_they_come() {
        let (breaker, mut clock) = breaker(|_| ());
        for _ in 0..7 {
            attempts(&breaker, clock.seconds(3600), [false]);
        }
        attempts(&breaker, clock.seconds(3600), [true]);
        for _ in 0..7 {
            attempts(&breaker, clock.seconds(3600), [false]);
        }
        assert_eq!(breaker.health(clock.0).state, BreakerState::Closed, "a success lies between them");
        attempts(&breaker, clock.seconds(3600), [false]);
        assert!(matches!(breaker.health(clock.0).state, BreakerState::Open { .. }));
    }

    #[test]
    fn probes_close_it_and_the_past_is_forgotten() {
        let (breaker, mut clock) = breaker(|_| ());
        attempts(&breaker, clock.0, [false; 8]);
        let now = clock.seconds(30);
        assert_eq!(breaker.health(now).state, BreakerState::HalfOpen);
        let (first, second) = (breaker.permit(now).unwrap(), breaker.permit(now).unwrap());
        assert_eq!(breaker.permit(now).unwrap_err(), Open { until: now }, "both probes are under way");
        first.succeeded(now);
        assert_eq!(breaker.health(now).state, BreakerState::HalfOpen);
        second.succeeded(now);
        assert_eq!(breaker.health(now), BreakerHealth { state: BreakerState::Closed, requests: 0, failures: 0 });
    }

    #[test]
    fn a_failed_probe_opens_it_for_twice_as_long_up_to_the_longest() {
        let (breaker, mut clock) = breaker(|_| ());
        attempts(&breaker, clock.0, [false; 8]);
        for pause in [30, 60, 120, 240, 300, 300] {
            assert!(breaker.permit(clock.seconds(pause - 1)).is_err(), "within {pause} s");
            attempts(&breaker, clock.seconds(1), [false]);
        }
        attempts(&breaker, clock.seconds(300), [true, true]);
        attempts(&breaker, clock.0, [false; 8]);
        assert!(breaker.permit(clock.seconds(29)).is_err());
        assert!(breaker.permit(clock.seconds(1)).is_ok(), "having worked again, it begins with the short pause");
    }

    #[test]
    fn a_dropped_permit_counts_as_nothing_and_frees_its_probe() {
        let (breaker, mut clock) = breaker(|config| config.probes = 1);
        drop(breaker.permit(clock.0).unwrap());
        assert_eq!(breaker.health(clock.0).requests, 0);
        attempts(&breaker, clock.0, [false; 8]);
        let now = clock.seconds(30);
        let probe = breaker.permit(now).unwrap();
        assert!(breaker.permit(now).is_err());
        drop(probe);
        breaker.permit(now).unwrap().succeeded(now);
        assert_eq!(breaker.health(now).state, BreakerState::Closed);
    }

    #[test]
    fn what_was_begun_before_a_change_says_nothing_after_it() {
        let (breaker, mut clock) = breaker(|config| config.probes = 1);
        let early: Vec<Permit> = (0..4).map(|_| breaker.permit(clock.0).unwrap()).collect();
        attempts(&breaker, clock.0, [false; 8]);
        let mut early = early.into_iter();
        early.next().unwrap().succeeded(clock.0);
        assert!(matches!(breaker.health(clock.0).state, BreakerState::Open { .. }));
        let now = clock.seconds(30);
        let probe = breaker.permit(now).unwrap();
        early.next().unwrap().failed(now);
        drop(early.next());
        assert!(breaker.permit(now).is_err(), "the only probe is still under way");
        probe.succeeded(now);
        early.next().unwrap().failed(now);
        assert_eq!(breaker.health(now), BreakerHealth { state: BreakerState::Closed, requests: 0, failures: 0 });
    }

    #[test]
    fn instants_out_of_order_are_counted_where_they_fall() {
        let (breaker, mut clock) = breaker(|_| ());
        let before = clock.0.checked_sub(Duration::from_secs(5)).unwrap();
        attempts(&breaker, before, [true]);
        let now = clock.seconds(61);
        attempts(&breaker, now, [true]);
        // Falls into the slot that the newest one has taken over.
        attempts(&breaker, now.checked_sub(Duration::from_secs(60)).unwrap(), [true]);
        assert_eq!(breaker.health(now).requests, 2);
    }

    #[test]
    fn probes_never_exceed_their_number_whatever_many_threads_do() {
        let (breaker, mut clock) = breaker(|config| config.probes = 3);
        attempts(&breaker, clock.0, [false; 8]);
        let now = clock.seconds(30);
        let out = std::sync::atomic::AtomicI64::new(0);
        let most = std::sync::atomic::AtomicI64::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..2000 {
                        if let Ok(permit) = breaker.permit(now) {
                            use std::sync::atomic::Ordering::SeqCst;
                            most.fetch_max(out.fetch_add(1, SeqCst) + 1, SeqCst);
                            out.fetch_sub(1, SeqCst);
                            drop(permit);
                        }
                    }
                });
            }
        });
        assert!((1..=3).contains(&most.into_inner()));
        assert_eq!(breaker.health(now).state, BreakerState::HalfOpen);
    }

    #[test]
    fn senseless_values_are_refused_with_a_sentence() {
        type Change = fn(&mut BreakerConfig);
        let wrong: [(Change, &str); 8] = [
            (|c| c.window_seconds = 0, "window_seconds"),
            (|c| c.min_requests = 0, "min_requests"),
            (|c| c.error_share = 0.0, "error_share"),
            (|c| c.error_share = 1.1, "error_share"),
            (|c| c.error_share = f64::NAN, "error_share"),
            (|c| c.open_seconds = 0, "open_seconds"),
            (|c| c.max_open_seconds = 29, "max_open_seconds"),
            (|c| c.probes = 0, "probes"),
        ];
        for (change, field) in wrong {
            let mut config = BreakerConfig::default();
            change(&mut config);
            assert!(config.validate().unwrap_err().contains(field));
        }
        assert!(serde_json::from_str::<BreakerConfig>(r#"{"windowseconds": 3}"#).is_err());
        assert_eq!(serde_json::from_str::<BreakerConfig>("{}").unwrap(), BreakerConfig::default());
    }
}

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
mod tests;

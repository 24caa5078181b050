//! A clock that is moved by hand.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rejoinder_access::Clock;

/// Where the hand stands at first.
pub(crate) const START: i64 = 1_800_000_000;

pub(crate) struct HandClock {
    begin: Instant,
    passed: Mutex<Duration>,
}

impl HandClock {
    pub(crate) fn new() -> Self {
        Self { begin: Instant::now(), passed: Mutex::new(Duration::ZERO) }
    }

    pub(crate) fn advance(&self, seconds: f64) {
        *self.passed.lock().unwrap() += Duration::from_secs_f64(seconds);
    }

    fn passed(&self) -> Duration {
        *self.passed.lock().unwrap()
    }
}

impl Clock for HandClock {
    fn wall(&self) -> Timestamp {
        Timestamp::from_second(START).unwrap() + self.passed()
    }

    fn monotonic(&self) -> Instant {
        self.begin + self.passed()
    }
}

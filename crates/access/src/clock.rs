//! What time it is, as an argument: expiry, rates and the age of fetched keys are tested without waiting.

use std::time::Instant;

use jiff::Timestamp;

/// The two times that access control decides by.
pub trait Clock: Send + Sync {
    /// The time of day, for what carries a date: tokens and keys.
    fn wall(&self) -> Timestamp;
    /// A time that never goes back, for rates and ages.
    fn monotonic(&self) -> Instant;
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn wall(&self) -> Timestamp {
        Timestamp::now()
    }

    fn monotonic(&self) -> Instant {
        Instant::now()
    }
}

//! What a local model did and does, in numbers. No text, no tenant.

use std::time::Duration;

use rejoinder_domain::Priority;

/// A snapshot of a local model's work. Counts are since it was opened.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metrics {
    /// Interactive requests that wait for a place.
    pub waiting_interactive: usize,
    /// Batch requests that wait for a place.
    pub waiting_batch: usize,
    /// Answers that are being written.
    pub running: usize,
    /// Bytes of the key-value cache in use.
    pub cache_bytes: usize,
    /// Beginnings of earlier requests that are kept.
    pub reuse_entries: usize,
    /// Their bytes; what they share is counted for each.
    pub reuse_bytes: usize,
    /// Answers that were finished.
    pub finished: u64,
    /// Requests whose caller went away.
    pub cancelled: u64,
    /// Requests that were not done in time.
    pub expired: u64,
    /// Requests that failed otherwise.
    pub failed: u64,
    /// Requests refused because too many were waiting.
    pub refused: u64,
    /// Times that an answer had to give its place or its cache to another.
    pub preempted: u64,
    /// Forward passes.
    pub steps: u64,
    /// Tokens of prompts.
    pub input_tokens: u64,
    /// How many of them did not have to be computed.
    pub cached_input_tokens: u64,
    /// Tokens of answers.
    pub output_tokens: u64,
    /// How many of them the required form left no choice about.
    pub forced_tokens: u64,
    /// Tokens that prompt lookup proposed.
    pub proposed_tokens: u64,
    /// How many of them were right.
    pub accepted_tokens: u64,
    /// Tokens of answers a second, over the last hundred or so steps.
    pub tokens_per_second: f64,
    /// How long interactive requests waited for a place.
    pub waits_interactive: Waits,
    /// How long batch requests waited for a place.
    pub waits_batch: Waits,
}

impl Metrics {
    pub(crate) fn waited(&mut self, priority: Priority, wait: Duration) {
        match priority {
            Priority::Interactive => self.waits_interactive.add(wait),
            Priority::Batch => self.waits_batch.add(wait),
        }
    }
}

/// How long requests waited, in classes of doubling width.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waits {
    /// Waits under 1 ms, under 2 ms, under 4 ms and so on; the last class takes the rest.
    classes: [u64; 24],
}

impl Waits {
    fn add(&mut self, wait: Duration) {
        let milliseconds = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        let class = (u64::BITS - milliseconds.leading_zeros()) as usize;
        let last = self.classes.len() - 1;
        if let Some(count) = self.classes.get_mut(class.min(last)) {
            *count += 1;
        }
    }

    /// How many waits there were.
    pub fn count(&self) -> u64 {
        self.classes.iter().sum()
    }

    /// A time that `share` (0 to 1) of the waits were shorter than, at most twice too long. `None` without waits.
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        let goal = (self.count() as f64 * share.clamp(0.0, 1.0)).ceil().max(1.0) as u64;
        let mut sum = 0;
        (0u32..).zip(self.classes).find_map(|(class, count)| {
            sum += count;
            (sum >= goal).then(|| Duration::from_millis(1 << class))
        })
    }
}

/// Tokens a second, where older steps count less and less.
#[derive(Debug, Default)]
pub(crate) struct Speed {
    tokens: f64,
    seconds: f64,
}

impl Speed {
    const KEPT: f64 = 0.99;

    pub(crate) fn add(&mut self, tokens: u64, took: Duration) -> f64 {
        self.tokens = self.tokens * Self::KEPT + tokens as f64;
        self.seconds = self.seconds * Self::KEPT + took.as_secs_f64();
        if self.seconds > 0.0 { self.tokens / self.seconds } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Waits;

    #[test]
    fn quantiles_are_upper_bounds_within_a_factor_of_two() {
        let mut waits = Waits::default();
        assert_eq!(waits.quantile(0.5), None);
        for milliseconds in 0..100 {
            waits.add(Duration::from_millis(milliseconds));
        }
        waits.add(Duration::from_secs(1 << 40));
        assert_eq!(waits.count(), 101);
        for (share, exact) in [(0.1, 10), (0.5, 50), (0.9, 90)] {
            let bound = waits.quantile(share).unwrap().as_millis();
            assert!(bound > exact && bound <= 2 * exact + 2, "{share}: {bound}");
        }
    }
}

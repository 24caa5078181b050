//! A target with what was learnt of it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

use crate::breaker::Breaker;
use crate::config::{HedgeConfig, RouterConfig};
use crate::target::Target;

/// How many beginnings of answers are remembered.
const REMEMBERED: usize = 128;

/// A target, its breaker, its free places and how fast it answers.
pub(crate) struct TargetState {
    pub(crate) target: Target,
    pub(crate) breaker: Breaker,
    pub(crate) places: Option<Arc<Semaphore>>,
    first_tokens: Mutex<VecDeque<Duration>>,
}

impl TargetState {
    pub(crate) fn new(target: Target, config: &RouterConfig) -> Self {
        let concurrency = target.options.concurrency;
        let places = (concurrency > 0).then(|| Arc::new(Semaphore::new(concurrency)));
        Self {
            target,
            breaker: Breaker::new(config.breaker.clone(), Instant::now()),
            places,
            first_tokens: Mutex::default(),
        }
    }

    /// An answer began after `time`.
    pub(crate) fn began(&self, time: Duration) {
        let mut known = self.first_tokens.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() == REMEMBERED {
            known.pop_front();
        }
        known.push_back(time);
    }

    /// After how long a second target is asked; `None` where too little is known.
    pub(crate) fn hedge_after(&self, config: &HedgeConfig) -> Option<Duration> {
        if !config.enabled {
            return None;
        }
        let known = self.first_tokens.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() < config.min_samples.max(1) {
            return None;
        }
        let mut times: Vec<Duration> = known.iter().copied().collect();
        let rank = ((times.len() as f64 * config.quantile).ceil() as usize).clamp(1, times.len()) - 1;
        let (_, time, _) = times.select_nth_unstable(rank);
        Some(*time)
    }
}

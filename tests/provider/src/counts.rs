//! What was charged, by outcome.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::Received;

/// What requests with one outcome cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Billed {
    /// How many there were.
    pub requests: usize,
    /// Tokens of their prompts.
    pub input: usize,
    /// Tokens of their answers, as far as they were delivered.
    pub output: usize,
}

pub(crate) struct Counts {
    kept: Mutex<Kept>,
    open: watch::Sender<usize>,
}

struct Kept {
    received: VecDeque<Received>,
    keep: usize,
    requests: usize,
    billed: BTreeMap<&'static str, Billed>,
}

impl Counts {
    pub(crate) fn new(keep: usize) -> Self {
        let kept = Kept { received: VecDeque::new(), keep, requests: 0, billed: BTreeMap::new() };
        Self { kept: Mutex::new(kept), open: watch::Sender::new(0) }
    }

    pub(crate) fn opened(&self) {
        self.open.send_modify(|open| *open += 1);
    }

    pub(crate) fn closed(&self, outcome: &'static str, input: usize, output: usize) {
        {
            let mut kept = self.lock();
            let billed = kept.billed.entry(outcome).or_default();
            billed.requests += 1;
            billed.input += input;
            billed.output += output;
        }
        self.open.send_modify(|open| *open = open.saturating_sub(1));
    }

    /// Gives the request its number and, after `decide` has seen it, keeps it.
    pub(crate) fn record<T>(&self, mut received: Received, decide: impl FnOnce(&Received) -> T) -> T {
        let mut kept = self.lock();
        received.number = kept.requests;
        kept.requests += 1;
        let decision = decide(&received);
        if kept.keep > 0 {
            if kept.received.len() == kept.keep {
                kept.received.pop_front();
            }
            kept.received.push_back(received);
        }
        decision
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.lock().received.iter().cloned().collect()
    }

    pub(crate) fn requests(&self) -> usize {
        self.lock().requests
    }

    pub(crate) fn billed(&self) -> BTreeMap<&'static str, Billed> {
        self.lock().billed.clone()
    }

    pub(crate) fn open(&self) -> watch::Receiver<usize> {
        self.open.subscribe()
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

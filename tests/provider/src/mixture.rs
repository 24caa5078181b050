//! Answers and failures at random, the same ones in every run.

use crate::{Answer, Behaviour, Failure, Received};

/// A share of failures, spread evenly over kinds.
#[derive(Clone, Debug)]
pub struct Mixture {
    /// Another seed, other failures.
    pub seed: u64,
    /// The share of requests that fail, 0 to 1.
    pub failing: f64,
    /// How they fail; [`Failure::WrongSchema`] meets only requests that ask for a schema.
    pub kinds: Vec<Failure>,
    /// What the others get, and what failures begin as.
    pub answer: Answer,
}

impl Mixture {
    /// `failing` of the requests fail in all the ways of [`Failure::passing`].
    pub fn new(seed: u64, failing: f64, answer: Answer) -> Self {
        Self { seed, failing, kinds: Failure::passing(), answer }
    }

    /// What happens to this request.
    pub fn behaviour(&self, received: &Received) -> Behaviour {
        let mut state = self.seed ^ (received.number as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let share = (next(&mut state) >> 11) as f64 / (1_u64 << 53) as f64;
        if share >= self.failing {
            return self.answer.clone().into();
        }
        let fitting: Vec<&Failure> =
            self.kinds.iter().filter(|kind| **kind != Failure::WrongSchema || received.asks_for_schema()).collect();
        let Some(count) = std::num::NonZeroU64::new(fitting.len() as u64) else { return self.answer.clone().into() };
        match fitting.get((next(&mut state) % count) as usize) {
            Some(kind) => Behaviour::Fail((*kind).clone(), self.answer.clone()),
            None => self.answer.clone().into(),
        }
    }
}

/// `SplitMix64` (Steele, Lea and Flood, 2014).
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

//! Which token comes next.
//!
//! The order is: repetition penalty, the form's mask, temperature, `min_p`, `top_p`, draw. The random number of a position
//! depends on the seed and on the position alone, never on how many tokens one step brought: an answer that was speculated,
//! preempted or batched with others draws the same numbers.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};

use rejoinder_domain::Sampling;
use rejoinder_grammar::TokenMask;

/// Chooses the tokens of one answer.
#[derive(Debug)]
pub(crate) struct Sampler {
    sampling: Sampling,
    seed: u64,
    written: HashSet<u32>,
}

impl Sampler {
    /// A sampler for one answer; draws a seed where none is given.
    pub(crate) fn new(sampling: Sampling) -> Self {
        let seed = sampling.seed.unwrap_or_else(|| RandomState::new().hash_one("seed"));
        Self { sampling, seed, written: HashSet::new() }
    }

    /// What is wrong with the numbers of `sampling`.
    pub(crate) fn check(sampling: &Sampling) -> Result<(), &'static str> {
        let Sampling { temperature, top_p, min_p, repetition_penalty, seed: _ } = *sampling;
        if !(temperature.is_finite() && temperature >= 0.0) {
            Err("`temperature` must be 0 or more")
        } else if !(top_p > 0.0 && top_p <= 1.0) {
            Err("`top_p` must be above 0 and at most 1")
        } else if !(0.0..=1.0).contains(&min_p) {
            Err("`min_p` must be 0 to 1")
        } else if !(repetition_penalty.is_finite() && repetition_penalty > 0.0) {
            Err("`repetition_penalty` must be above 0")
        } else {
            Ok(())
        }
    }

    /// Takes note that `token` stands in the answer.
    pub(crate) fn record(&mut self, token: u32) {
        self.written.insert(token);
    }

    /// The token at `position` of the answer, given one logit per token of the vocabulary. `None` where no token is
    /// allowed or every logit is not a number.
    pub(crate) fn choose(&self, logits: &mut [f32], mask: Option<&TokenMask>, position: usize) -> Option<u32> {
        // What the form forces does not depend on the model, whatever its logits are.
        if let Some(token) = mask.and_then(TokenMask::single) {
            return Some(token);
        }
        self.penalise(logits);
        let allowed = |token: u32| mask.is_none_or(|mask| mask.allows(token));
        if self.sampling.temperature <= 0.0 {
            return most_probable(logits, allowed);
        }
        let mut candidates: Vec<Candidate> = (0..)
            .zip(logits.iter())
            .filter(|&(token, logit)| *logit > f32::NEG_INFINITY && allowed(token))
            .map(|(token, &weight)| Candidate { token, weight })
            .collect();
        let most = candidates.iter().map(|candidate| candidate.weight).fold(f32::NEG_INFINITY, f32::max);
        for candidate in &mut candidates {
            // An infinite logit beside others is certain; without this it would be infinity minus infinity.
            let below = if candidate.weight < most { candidate.weight - most } else { 0.0 };
            candidate.weight = (below / self.sampling.temperature).exp();
        }
        candidates.retain(|candidate| candidate.weight >= self.sampling.min_p);
        if self.sampling.top_p < 1.0 {
            keep_nucleus(&mut candidates, self.sampling.top_p);
        }
        draw(&candidates, uniform(self.seed, position))
    }

    fn penalise(&self, logits: &mut [f32]) {
        let penalty = self.sampling.repetition_penalty;
        if (penalty - 1.0).abs() < f32::EPSILON {
            return;
        }
        for token in &self.written {
            if let Some(logit) = logits.get_mut(*token as usize) {
                *logit = if *logit > 0.0 { *logit / penalty } else { *logit * penalty };
            }
        }
    }
}

/// A token that may come next; its weight is its probability times a number that is the same for all.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    token: u32,
    weight: f32,
}

impl Candidate {
    /// The more probable one first, of equals the lower id.
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "this is how a comparison takes its sides")]
    fn order(&self, other: &Self) -> Ordering {
        other.weight.total_cmp(&self.weight).then(self.token.cmp(&other.token))
    }
}

/// The allowed token with the highest logit, of equals the lowest id.
fn most_probable(logits: &[f32], allowed: impl Fn(u32) -> bool) -> Option<u32> {
    let mut best = None;
    let mut highest = f32::NEG_INFINITY;
    for (token, &logit) in (0..).zip(logits) {
        // Comparing first keeps the test of the mask to the few tokens that would win.
        if (logit > highest || (best.is_none() && logit >= highest)) && allowed(token) {
            best = Some(token);
            highest = logit;
        }
    }
    best
}

/// Keeps the most probable candidates that together have `top_p` of the weight, most probable first.
///
/// A vocabulary has 50 to 150 thousand tokens, the nucleus mostly some dozen: more and more of the best are selected and
/// only those sorted.
fn keep_nucleus(candidates: &mut Vec<Candidate>, top_p: f32) {
    let total: f64 = candidates.iter().map(|candidate| f64::from(candidate.weight)).sum();
    let goal = total * f64::from(top_p);
    let mut count = 64;
    loop {
        let len = candidates.len();
        if count < len {
            candidates.select_nth_unstable_by(count, Candidate::order);
        }
        let best = candidates.split_at_mut(count.min(len)).0;
        best.sort_unstable_by(Candidate::order);
        let mut sum = 0.0;
        let reached = best.iter().position(|candidate| {
            sum += f64::from(candidate.weight);
            sum >= goal
        });
        match reached {
            Some(last) => return candidates.truncate(last + 1),
            None if count >= len => return,
            None => count *= 8,
        }
    }
}

/// Draws by weight with a number in 0..1.
fn draw(candidates: &[Candidate], number: f64) -> Option<u32> {
    let total: f64 = candidates.iter().map(|candidate| f64::from(candidate.weight)).sum();
    let mut left = total * number;
    for candidate in candidates {
        left -= f64::from(candidate.weight);
        if left < 0.0 {
            return Some(candidate.token);
        }
    }
    // Rounding may leave a little; the last one that has any weight takes it.
    candidates.iter().rev().find(|candidate| candidate.weight > 0.0).map(|candidate| candidate.token)
}

/// A number in 0..1 for a position: the `position`-th output of `SplitMix64` (Steele, Lea, Flood 2014), whose state is a
/// counter and which can therefore be entered anywhere.
fn uniform(seed: u64, position: usize) -> f64 {
    let mut bits = seed.wrapping_add((position as u64).wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^= bits >> 31;
    (bits >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use rejoinder_domain::Sampling;

    use super::{Candidate, Sampler, keep_nucleus, uniform};

    fn sampling(temperature: f32) -> Sampling {
        Sampling { temperature, seed: Some(7), ..Sampling::default() }
    }

    fn shares(sampling: Sampling, logits: &[f32]) -> HashMap<u32, f64> {
        let sampler = Sampler::new(sampling);
        let mut counts = HashMap::new();
        for position in 0..20_000 {
            *counts.entry(sampler.choose(&mut logits.to_vec(), None, position).unwrap()).or_insert(0.0) +=
                1.0 / 20_000.0;
        }
        counts
    }

    #[test]
    fn greedy_takes_the_highest_and_of_equals_the_lowest_id() {
        let sampler = Sampler::new(sampling(0.0));
        assert_eq!(sampler.choose(&mut [1.0, 3.0, 3.0, 2.0], None, 0), Some(1));
        assert_eq!(sampler.choose(&mut [f32::NAN, -5.0, f32::NAN], None, 0), Some(1));
        assert_eq!(sampler.choose(&mut [f32::NAN, f32::NAN], None, 0), None);
        assert_eq!(sampler.choose(&mut [], None, 0), None);
    }

    #[test]
    fn draws_follow_the_probabilities() {
        // Probabilities 0.5, 0.3, 0.2 at temperature 1; squared and normalised at temperature 0.5.
        let logits = [0.5_f32.ln(), 0.3_f32.ln(), 0.2_f32.ln()];
        let shares_at_one = shares(sampling(1.0), &logits);
        for (token, probability) in [(0, 0.5), (1, 0.3), (2, 0.2)] {
            assert!((shares_at_one[&token] - probability).abs() < 0.015, "{shares_at_one:?}");
        }
        let sharp = shares(sampling(0.5), &logits);
        for (token, probability) in [(0, 0.25 / 0.38), (1, 0.09 / 0.38), (2, 0.04 / 0.38)] {
            assert!((sharp[&token] - probability).abs() < 0.015, "{sharp:?}");
        }
    }

    #[test]
    fn top_p_and_min_p_cut_the_tail() {
        let logits = [0.5_f32.ln(), 0.3_f32.ln(), 0.15_f32.ln(), 0.05_f32.ln()];
        let nucleus = shares(Sampling { top_p: 0.7, ..sampling(1.0) }, &logits);
        assert_eq!(nucleus.keys().copied().max(), Some(1));
        assert!((nucleus[&0] - 0.625).abs() < 0.015, "{nucleus:?}");
        let tenth = shares(Sampling { min_p: 0.2, ..sampling(1.0) }, &logits);
        assert_eq!(tenth.keys().copied().max(), Some(2));
    }

    #[test]
    fn a_nucleus_of_many_equals_what_sorting_all_gives() {
        for top_p in [0.01, 0.3, 0.9, 0.999] {
            let all: Vec<Candidate> =
                (0..3000).map(|token| Candidate { token, weight: uniform(3, token as usize) as f32 }).collect();
            let mut sorted = all.clone();
            sorted.sort_by(Candidate::order);
            let goal = all.iter().map(|c| f64::from(c.weight)).sum::<f64>() * f64::from(top_p);
            let mut sum = 0.0;
            let expected: Vec<u32> = sorted
                .iter()
                .take_while(|c| {
                    let before = sum;
                    sum += f64::from(c.weight);
                    before < goal
                })
                .map(|c| c.token)
                .collect();
            let mut kept = all;
            keep_nucleus(&mut kept, top_p);
            assert_eq!(kept.iter().map(|c| c.token).collect::<Vec<_>>(), expected, "top_p {top_p}");
        }
    }

    #[test]
    fn the_repetition_penalty_weakens_what_was_written() {
        let mut sampler = Sampler::new(Sampling { repetition_penalty: 2.0, ..sampling(0.0) });
        assert_eq!(sampler.choose(&mut [3.0, 2.0, -1.0], None, 0), Some(0));
        sampler.record(0);
        assert_eq!(sampler.choose(&mut [3.0, 2.0, -1.0], None, 1), Some(1));
        // Below zero it multiplies: a penalty never makes a token more probable.
        assert_eq!(sampler.choose(&mut [-1.0, -1.5, -3.0], None, 1), Some(1));
    }

    #[test]
    fn a_seed_gives_the_same_answer_and_another_seed_another() {
        let logits: Vec<f32> = (0..50).map(|token| (token as f32 * 0.7).sin()).collect();
        let answer = |seed| {
            let sampler = Sampler::new(Sampling { temperature: 1.0, seed, ..Sampling::default() });
            (0..40).map(|position| sampler.choose(&mut logits.clone(), None, position)).collect::<Vec<_>>()
        };
        assert_eq!(answer(Some(1)), answer(Some(1)));
        assert_ne!(answer(Some(1)), answer(Some(2)));
        assert_ne!(answer(None), answer(None));
    }

    #[test]
    fn certain_and_impossible_tokens() {
        let sampler = Sampler::new(sampling(1.0));
        assert_eq!(sampler.choose(&mut [0.0, f32::INFINITY, 5.0], None, 0), Some(1));
        assert_eq!(sampler.choose(&mut [f32::NEG_INFINITY; 3], None, 0), None);
        assert_eq!(sampler.choose(&mut [f32::NEG_INFINITY, 1.0], None, 0), Some(1));
    }

    #[test]
    fn numbers_out_of_range_are_named() {
        assert!(Sampler::check(&Sampling::default()).is_ok());
        for (wrong, name) in [
            (Sampling { temperature: -1.0, ..Sampling::default() }, "temperature"),
            (Sampling { temperature: f32::NAN, ..Sampling::default() }, "temperature"),
            (Sampling { top_p: 0.0, ..Sampling::default() }, "top_p"),
            (Sampling { min_p: 1.5, ..Sampling::default() }, "min_p"),
            (Sampling { repetition_penalty: 0.0, ..Sampling::default() }, "repetition_penalty"),
        ] {
            assert!(Sampler::check(&wrong).unwrap_err().contains(name));
        }
    }
}

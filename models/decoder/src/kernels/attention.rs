//! Attention of a few queries to one key-value head, page by page.
//!
//! The softmax is computed while the pages go by (Milakov and Gimelshein 2018), within spans of [`SPAN`] positions that
//! begin at fixed places; the spans are then merged in order. The borders do not depend on what is computed together, so
//! that a token decoded alone, in a batch or in a chunk of the prompt comes out bit for bit the same, and a long sequence
//! can be shared out among threads span by span.

use super::lanes::Lanes;
use super::{Kernel, LANES};

/// Positions of a page of the cache.
pub(crate) const PAGE: usize = 64;
/// Positions whose softmax is computed as one.
pub(crate) const SPAN: usize = 8 * PAGE;
/// Queries of a tile at most.
pub(crate) const QUERIES: usize = 8;
/// Values of a head at most.
pub(crate) const WIDEST_HEAD: usize = 256;
/// Values that a slot has beyond the head's: the largest score and the sum of the weights, up to a full register.
const EXTRA: usize = LANES;

/// How keys and values are kept.
pub(crate) trait Element: Copy + Default + Send + Sync {
    fn load<L: Lanes>(lanes: L, values: &[Self; LANES]) -> L::Floats;
    fn store<L: Lanes>(lanes: L, values: L::Floats, target: &mut [Self; LANES]);
}

impl Element for f32 {
    #[inline(always)]
    fn load<L: Lanes>(lanes: L, values: &[f32; LANES]) -> L::Floats {
        lanes.load(values)
    }

    #[inline(always)]
    fn store<L: Lanes>(lanes: L, values: L::Floats, target: &mut [f32; LANES]) {
        lanes.store(values, target);
    }
}

/// binary16, by its bits.
impl Element for u16 {
    #[inline(always)]
    fn load<L: Lanes>(lanes: L, values: &[u16; LANES]) -> L::Floats {
        lanes.load_half(values)
    }

    #[inline(always)]
    fn store<L: Lanes>(lanes: L, values: L::Floats, target: &mut [u16; LANES]) {
        lanes.store_half(values, target);
    }
}

/// Keys and values of one head on one page. Keys: for 16 positions each input in turn, 16 values side by side. Values:
/// position by position.
#[derive(Clone, Copy)]
pub(crate) struct PagePart<'a, E> {
    pub(crate) keys: &'a [E],
    pub(crate) values: &'a [E],
}

/// Values of a slot for heads of `width`.
pub(crate) fn slot_values(width: usize) -> usize {
    width + EXTRA
}

/// Attention of a tile of queries to one span.
pub(crate) struct AttendSpan<'a, E, P> {
    /// Heads' width.
    pub(crate) width: usize,
    /// For each query `width` values, scaled by `1 / sqrt(width)`.
    pub(crate) queries: &'a [f32],
    /// For each query, how many positions from the span's first it sees.
    pub(crate) limits: &'a [usize],
    /// The page at an index, counted from the span's first.
    pub(crate) page: P,
    /// For each query a slot: `width` sums of values, the largest score, the sum of weights.
    pub(crate) slots: &'a mut [f32],
    pub(crate) element: std::marker::PhantomData<E>,
}

impl<'p, E: Element + 'p, P: Fn(usize) -> PagePart<'p, E>> Kernel for AttendSpan<'_, E, P> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L) {
        match self.limits.len() {
            1 => self.attend::<L, 1>(lanes),
            2 => self.attend::<L, 2>(lanes),
            3 => self.attend::<L, 3>(lanes),
            4 => self.attend::<L, 4>(lanes),
            5 => self.attend::<L, 5>(lanes),
            6 => self.attend::<L, 6>(lanes),
            7 => self.attend::<L, 7>(lanes),
            _ => self.attend::<L, 8>(lanes),
        }
    }
}

impl<'p, E: Element + 'p, P: Fn(usize) -> PagePart<'p, E>> AttendSpan<'_, E, P> {
    #[inline(always)]
    fn attend<L: Lanes, const R: usize>(self, lanes: L) {
        let Self { width, queries, limits, page, slots, .. } = self;
        let Some(limits) = limits.first_chunk::<R>() else { return };
        let mut by_input = [[0.0_f32; R]; WIDEST_HEAD];
        for (row, query) in queries.chunks_exact(width).take(R).enumerate() {
            for (value, target) in query.iter().zip(&mut by_input) {
                if let Some(slot) = target.get_mut(row) {
                    *slot = *value;
                }
            }
        }
        let by_input = by_input.get(..width).unwrap_or_default();
        for slot in slots.chunks_exact_mut(width + EXTRA) {
            slot.fill(0.0);
            if let Some(largest) = slot.get_mut(width) {
                *largest = f32::NEG_INFINITY;
            }
        }
        let furthest = limits.iter().copied().max().unwrap_or(0);
        for index in 0..furthest.div_ceil(PAGE) {
            let part = page(index);
            let mut scores = [[0.0_f32; PAGE]; R];
            score::<L, E, R>(lanes, by_input, part.keys, &mut scores);
            let mut factors = [0.0_f32; R];
            let rows = scores.iter_mut().zip(limits).zip(slots.chunks_exact_mut(width + EXTRA)).zip(&mut factors);
            for (((scores, limit), slot), factor) in rows {
                let visible = limit.saturating_sub(index * PAGE).min(PAGE);
                scores.get_mut(visible..).unwrap_or_default().fill(f32::NEG_INFINITY);
                if let Some([largest, sum]) = slot.get_mut(width..width + 2) {
                    *factor = weigh(lanes, scores, largest, sum);
                }
            }
            let seen = furthest.saturating_sub(index * PAGE).min(PAGE);
            mix::<L, E, R>(lanes, width, &scores, part.values.get(..seen * width).unwrap_or_default(), &factors, slots);
        }
    }
}

/// Scores of `R` queries for the positions of a page.
#[inline(always)]
fn score<L: Lanes, E: Element, const R: usize>(
    lanes: L,
    queries: &[[f32; R]],
    keys: &[E],
    scores: &mut [[f32; PAGE]; R],
) {
    // Two registers of positions at a time: twice R sums hide the latency of the additions.
    let groups = keys.chunks_exact(2 * LANES * queries.len());
    for (group, keys) in groups.enumerate() {
        let (first, second) = keys.split_at(keys.len() / 2);
        let mut sums = [[lanes.splat(0.0); 2]; R];
        let keys = first.as_chunks::<LANES>().0.iter().zip(second.as_chunks::<LANES>().0);
        for (query, (first, second)) in queries.iter().zip(keys) {
            let (first, second) = (E::load(lanes, first), E::load(lanes, second));
            for (sum, value) in sums.iter_mut().zip(query) {
                let value = lanes.splat(*value);
                let [a, b] = *sum;
                *sum = [lanes.mul_add(value, first, a), lanes.mul_add(value, second, b)];
            }
        }
        for (scores, [first, second]) in scores.iter_mut().zip(sums) {
            let (scores, _) = scores.as_chunks_mut::<LANES>();
            if let Some([a, b]) = scores.get_mut(2 * group..2 * group + 2) {
                lanes.store(first, a);
                lanes.store(second, b);
            }
        }
    }
}

/// Turns scores into weights relative to the largest score so far; gives the factor for what was summed before.
#[inline(always)]
fn weigh<L: Lanes>(lanes: L, scores: &mut [f32; PAGE], largest: &mut f32, sum: &mut f32) -> f32 {
    let (registers, _) = scores.as_chunks_mut::<LANES>();
    let mut maximum = lanes.splat(*largest);
    for register in registers.iter() {
        maximum = lanes.max(maximum, lanes.load(register));
    }
    let new = lanes.maximum(maximum);
    if new == f32::NEG_INFINITY {
        // This query sees nothing of this page and has seen nothing before.
        scores.fill(0.0);
        return 1.0;
    }
    let mut total = lanes.splat(0.0);
    for register in registers {
        let weight = lanes.exp(lanes.sub(lanes.load(register), lanes.splat(new)));
        total = lanes.add(total, weight);
        lanes.store(weight, register);
    }
    let factor = (*largest - new).exp();
    *largest = new;
    *sum = *sum * factor + lanes.sum(total);
    factor
}

/// Adds the values of a page, weighed, to the slots.
#[inline(always)]
fn mix<L: Lanes, E: Element, const R: usize>(
    lanes: L,
    width: usize,
    weights: &[[f32; PAGE]; R],
    values: &[E],
    factors: &[f32; R],
    slots: &mut [f32],
) {
    for at in (0..width).step_by(2 * LANES) {
        let mut sums = [[lanes.splat(0.0); 2]; R];
        for ((sum, slot), factor) in sums.iter_mut().zip(slots.chunks_exact(width + EXTRA)).zip(factors) {
            if let Some([first, second, ..]) = slot.get(at..).map(|slot| slot.as_chunks::<LANES>().0) {
                let factor = lanes.splat(*factor);
                *sum = [lanes.mul(lanes.load(first), factor), lanes.mul(lanes.load(second), factor)];
            }
        }
        for (position, values) in values.chunks_exact(width).enumerate() {
            let Some([first, second, ..]) = values.get(at..).map(|values| values.as_chunks::<LANES>().0) else { break };
            let (first, second) = (E::load(lanes, first), E::load(lanes, second));
            for (sum, weights) in sums.iter_mut().zip(weights) {
                let weight = lanes.splat(weights.get(position).copied().unwrap_or(0.0));
                let [a, b] = *sum;
                *sum = [lanes.mul_add(weight, first, a), lanes.mul_add(weight, second, b)];
            }
        }
        for (sum, slot) in sums.into_iter().zip(slots.chunks_exact_mut(width + EXTRA)) {
            let [first, second] = sum;
            if let Some([a, b, ..]) = slot.get_mut(at..).map(|slot| slot.as_chunks_mut::<LANES>().0) {
                lanes.store(first, a);
                lanes.store(second, b);
            }
        }
    }
}

/// Merges the slots of one query over its spans, in order, and divides by the sum of weights.
pub(crate) struct Merge<'a, S> {
    pub(crate) width: usize,
    pub(crate) spans: usize,
    /// The slot of a span.
    pub(crate) slot: S,
    /// `width` values.
    pub(crate) output: &'a mut [f32],
}

impl<'s, S: Fn(usize) -> &'s [f32]> Kernel for Merge<'_, S> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L) {
        let Self { width, spans, slot, output } = self;
        let state = |span: usize| match slot(span).get(width..width + 2) {
            Some(&[largest, sum]) => (largest, sum),
            _ => (f32::NEG_INFINITY, 0.0),
        };
        let mut largest = f32::NEG_INFINITY;
        for span in 0..spans {
            largest = largest.max(state(span).0);
        }
        let mut total = 0.0;
        for span in 0..spans {
            let (of_span, sum) = state(span);
            total += (of_span - largest).exp() * sum;
        }
        output.fill(0.0);
        for span in 0..spans {
            let factor = lanes.splat((state(span).0 - largest).exp() / total);
            let values = slot(span).as_chunks::<LANES>().0;
            for (target, values) in output.as_chunks_mut::<LANES>().0.iter_mut().zip(values) {
                lanes.store(lanes.mul_add(lanes.load(values), factor, lanes.load(target)), target);
            }
        }
    }
}

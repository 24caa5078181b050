//! What happens between the products: norms, rotary positions, the gate of the feed-forward layer.

use super::lanes::Lanes;
use super::{Kernel, LANES};

/// Root-mean-square norm of one token (Zhang and Sennrich 2019): `row = x / sqrt(mean(x^2) + epsilon) * weights`.
pub(crate) struct Norm<'a> {
    /// Activations of all tokens, panel by panel.
    pub(crate) input: &'a [f32],
    pub(crate) tokens: usize,
    pub(crate) token: usize,
    pub(crate) weights: &'a [f32],
    pub(crate) epsilon: f32,
    pub(crate) row: &'a mut [f32],
}

impl Kernel for Norm<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L) {
        let Self { input, tokens, token, weights, epsilon, row } = self;
        let (panels, _) = input.as_chunks::<LANES>();
        let mut squares = lanes.splat(0.0);
        for values in panels.iter().skip(token).step_by(tokens) {
            let values = lanes.load(values);
            squares = lanes.mul_add(values, values, squares);
        }
        let scale = lanes.splat(1.0 / (lanes.sum(squares) / weights.len() as f32 + epsilon).sqrt());
        let targets = row.as_chunks_mut::<LANES>().0.iter_mut().zip(weights.as_chunks::<LANES>().0);
        for (values, (target, weights)) in panels.iter().skip(token).step_by(tokens).zip(targets) {
            lanes.store(lanes.mul(lanes.mul(lanes.load(values), scale), lanes.load(weights)), target);
        }
    }
}

/// The gate of one token (`SwiGLU`, Shazeer 2020): `row = gate / (1 + exp(-gate)) * up`.
pub(crate) struct Gated<'a> {
    /// Gates of all tokens, panel by panel.
    pub(crate) gate: &'a [f32],
    /// What they gate, in the same order.
    pub(crate) up: &'a [f32],
    pub(crate) tokens: usize,
    pub(crate) token: usize,
    pub(crate) row: &'a mut [f32],
}

impl Kernel for Gated<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L) {
        let Self { gate, up, tokens, token, row } = self;
        let gates = gate.as_chunks::<LANES>().0.iter().skip(token).step_by(tokens);
        let ups = up.as_chunks::<LANES>().0.iter().skip(token).step_by(tokens);
        let one = lanes.splat(1.0);
        for ((gate, up), target) in gates.zip(ups).zip(row.as_chunks_mut::<LANES>().0) {
            let gate = lanes.load(gate);
            let below = lanes.add(one, lanes.exp(lanes.sub(lanes.splat(0.0), gate)));
            lanes.store(lanes.mul(lanes.div(gate, below), lanes.load(up)), target);
        }
    }
}

/// Norm (where the model has one) and rotary position (Su et al. 2021, halves of a head rotated against each other) of one
/// head of every token.
pub(crate) struct Rotate<'a> {
    /// The head's values of all tokens, panel by panel.
    pub(crate) head: &'a mut [f32],
    pub(crate) tokens: usize,
    /// Weights of the head's norm.
    pub(crate) norm: Option<&'a [f32]>,
    pub(crate) epsilon: f32,
    /// For every token half a head's cosines, then as many sines.
    pub(crate) angles: &'a [f32],
}

impl Kernel for Rotate<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L) {
        let Self { head, tokens, norm, epsilon, angles } = self;
        let width = head.len() / tokens;
        let (low, high) = head.split_at_mut(head.len() / 2);
        let (low, high) = (low.as_chunks_mut::<LANES>().0, high.as_chunks_mut::<LANES>().0);
        for (token, angles) in angles.chunks_exact(width).enumerate() {
            let mut squares = lanes.splat(0.0);
            let scale = match norm {
                Some(_) => {
                    for values in low.iter().skip(token).step_by(tokens).chain(high.iter().skip(token).step_by(tokens))
                    {
                        let values = lanes.load(values);
                        squares = lanes.mul_add(values, values, squares);
                    }
                    1.0 / (lanes.sum(squares) / width as f32 + epsilon).sqrt()
                }
                None => 1.0,
            };
            let (cosines, sines) = angles.split_at(width / 2);
            let turns = cosines.as_chunks::<LANES>().0.iter().zip(sines.as_chunks::<LANES>().0);
            let pairs = low.iter_mut().skip(token).step_by(tokens).zip(high.iter_mut().skip(token).step_by(tokens));
            for (panel, ((low, high), (cosines, sines))) in pairs.zip(turns).enumerate() {
                let (mut a, mut b) = (lanes.load(low), lanes.load(high));
                if let Some(weights) = norm {
                    let (weights, _) = weights.as_chunks::<LANES>();
                    let half = weights.len() / 2;
                    if let (Some(first), Some(second)) = (weights.get(panel), weights.get(half + panel)) {
                        a = lanes.mul(lanes.mul(a, lanes.splat(scale)), lanes.load(first));
                        b = lanes.mul(lanes.mul(b, lanes.splat(scale)), lanes.load(second));
                    }
                }
                let (cosines, sines) = (lanes.load(cosines), lanes.load(sines));
                let turned = lanes.mul(b, sines);
                lanes.store(lanes.sub(lanes.mul(a, cosines), turned), low);
                lanes.store(lanes.mul_add(b, cosines, lanes.mul(a, sines)), high);
            }
        }
    }
}

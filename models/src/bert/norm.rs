//! Layer normalisation in place.

use pulp::{Simd, WithSimd};

/// Scale, shift and epsilon of one layer normalisation.
#[derive(Debug)]
pub(super) struct Norm {
    pub(super) weight: Vec<f32>,
    pub(super) bias: Vec<f32>,
    pub(super) epsilon: f32,
}

/// Normalises every row of `rows`, each as long as the weight.
pub(super) struct NormCall<'a> {
    pub(super) norm: &'a Norm,
    pub(super) rows: &'a mut [f32],
}

impl WithSimd for NormCall<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let width = self.norm.weight.len();
        for row in self.rows.chunks_exact_mut(width) {
            let mean = sum(simd, row, 0.0, false) / width as f32;
            let variance = sum(simd, row, mean, true) / width as f32;
            let inverse = 1.0 / (variance + self.norm.epsilon).sqrt();
            for ((value, weight), bias) in row.iter_mut().zip(&self.norm.weight).zip(&self.norm.bias) {
                *value = (*value - mean) * inverse * weight + bias;
            }
        }
    }
}

/// The sum of `value - shift`, or of its square.
#[inline(always)]
fn sum<S: Simd>(simd: S, row: &[f32], shift: f32, squared: bool) -> f32 {
    let (vectors, rest) = S::as_simd_f32s(row);
    let shifts = simd.splat_f32s(shift);
    let mut total = simd.splat_f32s(0.0);
    for vector in vectors {
        let value = simd.sub_f32s(*vector, shifts);
        total = if squared { simd.mul_add_f32s(value, value, total) } else { simd.add_f32s(total, value) };
    }
    let tail: f32 = rest.iter().map(|v| if squared { (v - shift) * (v - shift) } else { v - shift }).sum();
    simd.reduce_sum_f32s(total) + tail
}

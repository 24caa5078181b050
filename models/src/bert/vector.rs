//! Functions of one SIMD register: the activations that a scalar library call would make expensive.

use pulp::Simd;

/// `1.5 * 2^23`: adding it to a float of small magnitude leaves the rounded integer in the low bits.
const ROUNDER: f32 = 12_582_912.0;

/// Past this the error function is 1 in single precision, up to 1e-7 of the product with `x`.
const ERF_LIMIT: f32 = 5.4;

/// `erf(x / sqrt 2) = x * P(x^2) / Q(x^2)` on `|x| <= ERF_LIMIT`: minimax coefficients of our own, highest power first,
/// fitted in double precision (error of the GELU below 2e-8 before rounding).
const ERF_NUMERATOR: [f32; 6] =
    [4.555_161_6e-8, 1.298_016e-5, 3.525_176_3e-4, 9.444_721e-3, 6.898_323e-2, 7.978_841e-1];
const ERF_DENOMINATOR: [f32; 6] = [1.208_605_4e-6, 7.650_64e-5, 1.925_455_7e-3, 2.902_760_2e-2, 2.531_219_5e-1, 1.0];

/// `exp(r)` for `|r| <= ln(2) / 2`, highest power first; relative error below 1e-7.
const EXP_POLYNOMIAL: [f32; 6] = [8.290_312e-3, 4.189_793e-2, 1.666_763_6e-1, 4.999_915e-1, 9.999_997e-1, 1.0];

/// `x * Phi(x)` with the exact normal distribution function, as BERT's `gelu` means it; error below 1e-6 for `|x| <= 6`
/// and below two units in the last place beyond.
#[inline(always)]
pub(super) fn gelu<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let limit = simd.splat_f32s(ERF_LIMIT);
    let clamped = simd.max_f32s(simd.min_f32s(x, limit), simd.splat_f32s(-ERF_LIMIT));
    let square = simd.mul_f32s(clamped, clamped);
    let numerator = simd.mul_f32s(clamped, polynomial(simd, square, &ERF_NUMERATOR));
    let erf = simd.div_f32s(numerator, polynomial(simd, square, &ERF_DENOMINATOR));
    let half = simd.mul_f32s(x, simd.splat_f32s(0.5));
    simd.mul_add_f32s(half, erf, half)
}

/// `exp(x)` for `-87 <= x <= 88`; smaller `x` give the value at -87, which is zero for every use here.
#[inline(always)]
pub(super) fn exp<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let x = simd.max_f32s(x, simd.splat_f32s(-87.0));
    let rounder = simd.splat_f32s(ROUNDER);
    let shifted = simd.mul_add_f32s(x, simd.splat_f32s(std::f32::consts::LOG2_E), rounder);
    let whole = simd.sub_f32s(shifted, rounder);
    // ln(2) in two parts, so that the remainder keeps its low bits.
    let rest = simd.mul_add_f32s(whole, simd.splat_f32s(-0.693_145_75), x);
    let rest = simd.mul_add_f32s(whole, simd.splat_f32s(-1.428_606_8e-6), rest);
    let mantissa = polynomial(simd, rest, &EXP_POLYNOMIAL);
    // The low bits of `shifted` hold the exponent; the bits of the rounder itself fall off the left end.
    let biased = simd.add_u32s(simd.transmute_u32s_f32s(shifted), simd.splat_u32s(127));
    let scale = simd.wrapping_dyn_shl_u32s(biased, simd.splat_u32s(23));
    simd.mul_f32s(mantissa, simd.transmute_f32s_u32s(scale))
}

/// Horner's rule, highest power first.
#[inline(always)]
fn polynomial<S: Simd>(simd: S, x: S::f32s, coefficients: &[f32; 6]) -> S::f32s {
    let mut sum = simd.splat_f32s(0.0);
    for coefficient in coefficients {
        sum = simd.mul_add_f32s(sum, x, simd.splat_f32s(*coefficient));
    }
    sum
}

#[cfg(test)]
mod tests {
    use pulp::{Arch, Simd, WithSimd};

    use super::{exp, gelu};

    struct Apply<'a> {
        values: &'a mut [f32],
        gelu: bool,
    }

    impl WithSimd for Apply<'_> {
        type Output = ();

        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) {
            let (vectors, rest) = S::as_mut_simd_f32s(self.values);
            assert!(rest.is_empty());
            for v in vectors {
                *v = if self.gelu { gelu(simd, *v) } else { exp(simd, *v) };
            }
        }
    }

    /// `erf` in double precision: the series where it converges fast, the continued fraction beyond.
    fn erf(x: f64) -> f64 {
        let magnitude = x.abs();
        if magnitude < 3.0 {
            let (mut term, mut sum, mut n) = (magnitude, magnitude, 0.0);
            while term.abs() > 1e-18 {
                n += 1.0;
                term *= -magnitude * magnitude / n;
                sum += term / (2.0 * n + 1.0);
            }
            return x.signum() * 2.0 / std::f64::consts::PI.sqrt() * sum;
        }
        let mut fraction = 0.0;
        for n in (1..200).rev() {
            fraction = f64::from(n) / 2.0 / (magnitude + fraction);
        }
        let tail = (-magnitude * magnitude).exp() / (std::f64::consts::PI.sqrt() * (magnitude + fraction));
        x.signum() * (1.0 - tail)
    }

    #[test]
    fn gelu_is_the_exact_one_within_a_millionth() {
        let inputs: Vec<f32> = (-160_000..160_000).map(|i| i as f32 * 5e-5).collect();
        let mut outputs = inputs.clone();
        Arch::new().dispatch(Apply { values: &mut outputs, gelu: true });
        for (x, y) in inputs.iter().zip(&outputs) {
            let wide = f64::from(*x);
            let exact = 0.5 * wide * (1.0 + erf(wide / std::f64::consts::SQRT_2));
            let allowed = 1e-6 * (wide.abs() / 6.0).max(1.0);
            assert!((f64::from(*y) - exact).abs() < allowed, "gelu({x}) = {y}, exactly {exact}");
        }
    }

    #[test]
    fn exp_is_exact_to_single_precision() {
        let inputs: Vec<f32> = (-86_000..16).map(|i| i as f32 * 1e-3).collect();
        let mut outputs = inputs.clone();
        Arch::new().dispatch(Apply { values: &mut outputs, gelu: false });
        for (x, y) in inputs.iter().zip(&outputs) {
            let exact = f64::from(*x).exp();
            assert!((f64::from(*y) / exact - 1.0).abs() < 5e-7, "exp({x}) = {y}, exactly {exact}");
        }
        let mut far = vec![f32::MIN; 64];
        Arch::new().dispatch(Apply { values: &mut far, gelu: false });
        assert!(far.iter().all(|v| (0.0..1e-37).contains(v)), "{far:?}");
    }
}

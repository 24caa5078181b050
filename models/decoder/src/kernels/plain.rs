//! Lanes as arrays: for any machine, and, compiled with AVX2, for x86-64 machines without AVX-512 VNNI.

use half::f16;

use super::lanes::Lanes;
use super::{Kernel, LANES};

/// No instruction set in particular.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plain;

/// Proof that the machine has AVX2, FMA and F16C.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Avx2(());

#[cfg(target_arch = "x86_64")]
impl Avx2 {
    pub(crate) fn detect() -> Option<Self> {
        let there =
            is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") && is_x86_feature_detected!("f16c");
        there.then_some(Self(()))
    }

    /// Runs `kernel` on arrays, which the compiler turns into these instructions.
    #[expect(clippy::unused_self, reason = "it is the proof that the machine has the instructions")]
    pub(crate) fn run<K: Kernel>(self, kernel: K) -> K::Output {
        #[target_feature(enable = "avx2,fma,f16c")]
        fn inner<K: Kernel>(kernel: K) -> K::Output {
            kernel.run(Plain)
        }
        // SAFETY: `self` exists only where the machine was found to have the instructions.
        #[expect(unsafe_code, reason = "detected instructions")]
        unsafe {
            inner(kernel)
        }
    }
}

#[inline(always)]
fn both(a: [f32; LANES], b: [f32; LANES], operation: impl Fn(f32, f32) -> f32) -> [f32; LANES] {
    let mut out = a;
    for (out, b) in out.iter_mut().zip(b) {
        *out = operation(*out, b);
    }
    out
}

impl Lanes for Plain {
    type Floats = [f32; LANES];
    type Ints = [i32; LANES];
    type Bytes = [u8; 4 * LANES];

    #[inline(always)]
    fn splat(self, value: f32) -> [f32; LANES] {
        [value; LANES]
    }

    #[inline(always)]
    fn load(self, values: &[f32; LANES]) -> [f32; LANES] {
        *values
    }

    #[inline(always)]
    fn store(self, values: [f32; LANES], target: &mut [f32; LANES]) {
        *target = values;
    }

    #[inline(always)]
    fn load_half(self, values: &[u16; LANES]) -> [f32; LANES] {
        values.map(|bits| f16::from_bits(bits).to_f32())
    }

    #[inline(always)]
    fn store_half(self, values: [f32; LANES], target: &mut [u16; LANES]) {
        *target = values.map(|value| f16::from_f32(value).to_bits());
    }

    #[inline(always)]
    fn load_signed(self, values: &[i8; LANES]) -> [f32; LANES] {
        values.map(f32::from)
    }

    #[inline(always)]
    fn load_unsigned(self, values: &[u8; LANES]) -> [f32; LANES] {
        values.map(f32::from)
    }

    #[inline(always)]
    fn add(self, a: [f32; LANES], b: [f32; LANES]) -> [f32; LANES] {
        both(a, b, |a, b| a + b)
    }

    #[inline(always)]
    fn sub(self, a: [f32; LANES], b: [f32; LANES]) -> [f32; LANES] {
        both(a, b, |a, b| a - b)
    }

    #[inline(always)]
    fn mul(self, a: [f32; LANES], b: [f32; LANES]) -> [f32; LANES] {
        both(a, b, |a, b| a * b)
    }

    #[inline(always)]
    fn div(self, a: [f32; LANES], b: [f32; LANES]) -> [f32; LANES] {
        both(a, b, |a, b| a / b)
    }

    #[inline(always)]
    fn max(self, a: [f32; LANES], b: [f32; LANES]) -> [f32; LANES] {
        both(a, b, f32::max)
    }

    #[inline(always)]
    fn abs(self, a: [f32; LANES]) -> [f32; LANES] {
        a.map(f32::abs)
    }

    #[inline(always)]
    fn mul_add(self, a: [f32; LANES], b: [f32; LANES], c: [f32; LANES]) -> [f32; LANES] {
        let mut out = c;
        for ((out, a), b) in out.iter_mut().zip(a).zip(b) {
            *out = a.mul_add(b, *out);
        }
        out
    }

    #[inline(always)]
    fn round(self, a: [f32; LANES]) -> [f32; LANES] {
        a.map(f32::round_ties_even)
    }

    #[inline(always)]
    fn scale_by_power(self, a: [f32; LANES], power: [f32; LANES]) -> [f32; LANES] {
        // In two steps, so that results below the smallest normal number come out as they should.
        both(a, power, |a, power| {
            let power = (power as i32).clamp(-252, 254);
            let half = power / 2;
            let of = |power: i32| f32::from_bits(((power + 127) as u32) << 23);
            a * of(half) * of(power - half)
        })
    }

    #[inline(always)]
    fn sum(self, a: [f32; LANES]) -> f32 {
        a.iter().sum()
    }

    #[inline(always)]
    fn maximum(self, a: [f32; LANES]) -> f32 {
        a.iter().copied().fold(f32::NEG_INFINITY, f32::max)
    }

    #[inline(always)]
    fn store_bytes(self, values: [f32; LANES], target: &mut [i8; LANES]) {
        *target = values.map(|value| value as i8);
    }

    #[inline(always)]
    fn splat_int(self, value: i32) -> [i32; LANES] {
        [value; LANES]
    }

    #[inline(always)]
    fn to_floats(self, values: [i32; LANES]) -> [f32; LANES] {
        values.map(|value| value as f32)
    }

    #[inline(always)]
    fn load_bytes(self, bytes: &[u8; 4 * LANES]) -> [u8; 4 * LANES] {
        *bytes
    }

    #[inline(always)]
    fn low_nibbles(self, bytes: [u8; 4 * LANES]) -> [u8; 4 * LANES] {
        bytes.map(|byte| byte & 0x0F)
    }

    #[inline(always)]
    fn high_nibbles(self, bytes: [u8; 4 * LANES]) -> [u8; 4 * LANES] {
        bytes.map(|byte| byte >> 4)
    }

    #[inline(always)]
    fn with_pair<const PAIR: u32>(self, nibbles: [u8; 4 * LANES], high: [u8; 4 * LANES]) -> [u8; 4 * LANES] {
        let mut out = nibbles;
        for (out, high) in out.iter_mut().zip(high) {
            *out |= ((high >> (2 * PAIR)) & 3) << 4;
        }
        out
    }

    #[inline(always)]
    fn dot(self, sums: [i32; LANES], bytes: [u8; 4 * LANES], quad: i32) -> [i32; LANES] {
        let mut out = sums;
        let quad = quad.to_le_bytes();
        let (fours, _) = bytes.as_chunks::<4>();
        for (out, four) in out.iter_mut().zip(fours) {
            for (byte, value) in four.iter().zip(quad) {
                *out += i32::from(*byte) * i32::from(value as i8);
            }
        }
        out
    }
}

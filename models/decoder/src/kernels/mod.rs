//! Arithmetic on 16 lanes: what the decoder computes, written once over [`lanes::Lanes`] and compiled for AVX-512 with VNNI,
//! for AVX2, and for any machine; the choice is made at run time.
//!
//! Everything is laid out so that one register holds 16 outputs: no sum across lanes, no shuffles. Weights are packed when
//! the model is loaded ([`pack`]), activations are quantised per 32 values ([`activation`]) and multiplied as bytes
//! ([`product`]). Every output value is computed by the same additions in the same order, whatever else is in the call: a
//! batch gives bit for bit what its rows give one by one.

pub(crate) mod activation;
pub(crate) mod attention;
#[cfg(target_arch = "x86_64")]
mod avx512;
pub(crate) mod lanes;
pub(crate) mod pack;
mod plain;
pub(crate) mod product;
#[cfg(test)]
mod tests;
pub(crate) mod vector;

use lanes::Lanes;

/// Values in a register, and outputs in a panel of packed weights.
pub(crate) const LANES: usize = 16;

/// A piece of arithmetic that is compiled once per instruction set.
pub(crate) trait Kernel {
    type Output;
    /// Must be `#[inline(always)]`, so that it is compiled inside of the function that has the instructions.
    fn run<L: Lanes>(self, lanes: L) -> Self::Output;
}

/// The instruction set that kernels run with.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Level {
    #[cfg(target_arch = "x86_64")]
    Avx512(avx512::Avx512),
    #[cfg(target_arch = "x86_64")]
    Avx2(plain::Avx2),
    Plain,
}

impl Level {
    /// The best that this machine has.
    pub(crate) fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            if let Some(lanes) = avx512::Avx512::detect() {
                return Self::Avx512(lanes);
            }
            if let Some(lanes) = plain::Avx2::detect() {
                return Self::Avx2(lanes);
            }
        }
        Self::Plain
    }

    /// Every level that this machine can run, for tests.
    #[cfg(test)]
    pub(crate) fn all() -> Vec<Self> {
        let mut all = vec![Self::Plain];
        #[cfg(target_arch = "x86_64")]
        {
            all.extend(plain::Avx2::detect().map(Self::Avx2));
            all.extend(avx512::Avx512::detect().map(Self::Avx512));
        }
        all
    }

    /// Runs `kernel`.
    pub(crate) fn run<K: Kernel>(self, kernel: K) -> K::Output {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(lanes) => lanes.run(kernel),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(lanes) => lanes.run(kernel),
            Self::Plain => kernel.run(plain::Plain),
        }
    }
}

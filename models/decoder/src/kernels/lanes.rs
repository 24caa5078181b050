//! The operations that kernels are made of.

use super::LANES;

/// 16 lanes of an instruction set. A value of an implementing type proves that the machine has it.
pub(crate) trait Lanes: Copy + Send + Sync {
    /// 16 numbers.
    type Floats: Copy;
    /// 16 sums of products of bytes.
    type Ints: Copy;
    /// 64 unsigned bytes: four for each lane.
    type Bytes: Copy;

    fn splat(self, value: f32) -> Self::Floats;
    fn load(self, values: &[f32; LANES]) -> Self::Floats;
    fn store(self, values: Self::Floats, target: &mut [f32; LANES]);
    /// Half-precision numbers by their bits (IEEE 754 binary16).
    fn load_half(self, values: &[u16; LANES]) -> Self::Floats;
    fn store_half(self, values: Self::Floats, target: &mut [u16; LANES]);
    fn load_signed(self, values: &[i8; LANES]) -> Self::Floats;
    fn load_unsigned(self, values: &[u8; LANES]) -> Self::Floats;
    fn add(self, a: Self::Floats, b: Self::Floats) -> Self::Floats;
    fn sub(self, a: Self::Floats, b: Self::Floats) -> Self::Floats;
    fn mul(self, a: Self::Floats, b: Self::Floats) -> Self::Floats;
    fn div(self, a: Self::Floats, b: Self::Floats) -> Self::Floats;
    fn max(self, a: Self::Floats, b: Self::Floats) -> Self::Floats;
    fn abs(self, a: Self::Floats) -> Self::Floats;
    /// `a * b + c`, rounded once.
    fn mul_add(self, a: Self::Floats, b: Self::Floats, c: Self::Floats) -> Self::Floats;
    /// To the nearest whole number, ties to even.
    fn round(self, a: Self::Floats) -> Self::Floats;
    /// `a` times two to the power of `power`, which holds whole numbers.
    fn scale_by_power(self, a: Self::Floats, power: Self::Floats) -> Self::Floats;
    fn sum(self, a: Self::Floats) -> f32;
    fn maximum(self, a: Self::Floats) -> f32;
    /// Whole numbers from -128 to 127 as bytes.
    fn store_bytes(self, values: Self::Floats, target: &mut [i8; LANES]);

    fn splat_int(self, value: i32) -> Self::Ints;
    fn to_floats(self, values: Self::Ints) -> Self::Floats;
    fn load_bytes(self, bytes: &[u8; 4 * LANES]) -> Self::Bytes;
    /// The lower four bits of every byte.
    fn low_nibbles(self, bytes: Self::Bytes) -> Self::Bytes;
    /// The upper four bits of every byte.
    fn high_nibbles(self, bytes: Self::Bytes) -> Self::Bytes;
    /// `nibbles` with bits `2 * PAIR` and `2 * PAIR + 1` of `high` as bits 4 and 5.
    fn with_pair<const PAIR: u32>(self, nibbles: Self::Bytes, high: Self::Bytes) -> Self::Bytes;
    /// Adds to each lane the products of its four unsigned bytes with the four signed bytes of `quad`.
    fn dot(self, sums: Self::Ints, bytes: Self::Bytes, quad: i32) -> Self::Ints;

    /// e to the power of every value, within 2 units in the last place; 0 for minus infinity.
    ///
    /// `x = n ln 2 + r` with whole `n` and `|r| <= ln 2 / 2`; `e^r` by its Taylor polynomial of degree 7, whose error in that
    /// range is below a unit in the last place.
    #[inline(always)]
    fn exp(self, x: Self::Floats) -> Self::Floats {
        // Below, the result is 0 in single precision anyway, and the steps must stay finite.
        let x = self.max(x, self.splat(-120.0));
        let power = self.round(self.mul(x, self.splat(std::f32::consts::LOG2_E)));
        // ln 2 in two parts, the first with so few bits that its product with `n` is exact.
        let rest = self.mul_add(power, self.splat(-0.693_359_4), x);
        let rest = self.mul_add(power, self.splat(2.121_944_4e-4), rest);
        let mut sum = self.splat(1.0 / 5040.0);
        for factor in [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0] {
            sum = self.mul_add(sum, rest, self.splat(factor));
        }
        self.scale_by_power(sum, power)
    }
}

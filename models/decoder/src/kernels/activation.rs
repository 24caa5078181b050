//! Activations on their way into a product: quantised per 32 values to signed bytes, as ggml's `block_q8_0` is, and laid
//! out so that a product reads its broadcasts one after another.

use half::f16;

use super::lanes::Lanes;
use super::pack::BLOCK;
use super::{Kernel, LANES, Level};

/// Tokens of a tile at most. Eight sums for eight tokens hide the latency of `dot` and leave registers for the rest.
pub(crate) const TILE: usize = 8;

/// Up to [`TILE`] tokens of activations. Every vector is ordered along the inputs, and for each place by token.
#[derive(Default)]
pub(crate) struct ActivationTile {
    /// Tokens: 1, 2, 4 or 8.
    pub(crate) width: usize,
    /// First token.
    pub(crate) first: usize,
    /// Four inputs of a token, as signed bytes in little-endian order.
    pub(crate) quads: Vec<i32>,
    /// For each block of 32 inputs: what a byte is worth.
    pub(crate) scales: Vec<f32>,
    /// For each block: the sum of its values.
    pub(crate) sums: Vec<f32>,
    /// For each block: -128 times the sum of its bytes, which undoes the 128 in every weight of Q8.
    pub(crate) offsets: Vec<i32>,
    /// For each 16 inputs: -32 times the sum of their bytes, which undoes the 32 in every weight of Q6.
    pub(crate) half_offsets: Vec<i32>,
    /// The values themselves, for matrices of F32.
    pub(crate) floats: Vec<f32>,
    /// One token's values on their way.
    pub(crate) row: Vec<f32>,
}

/// A batch of activations as tiles.
#[derive(Default)]
pub(crate) struct Activations {
    tiles: Vec<ActivationTile>,
    used: usize,
}

/// What the products that follow will read.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Wanted {
    pub(crate) bytes: bool,
    pub(crate) floats: bool,
}

impl Activations {
    /// Makes room for `tokens` rows of `columns` values.
    pub(crate) fn prepare(&mut self, tokens: usize, columns: usize, wanted: Wanted) -> &mut [ActivationTile] {
        self.used = 0;
        let mut first = 0;
        while first < tokens {
            // The largest power of two that is left, so that the kernels are compiled for four widths only.
            let width = (1 << (tokens - first).ilog2()).min(TILE);
            if self.tiles.len() == self.used {
                self.tiles.push(ActivationTile::default());
            }
            if let Some(tile) = self.tiles.get_mut(self.used) {
                tile.resize(first, width, columns, wanted);
            }
            self.used += 1;
            first += width;
        }
        self.tiles.get_mut(..self.used).unwrap_or_default()
    }

    pub(crate) fn tiles(&self) -> &[ActivationTile] {
        self.tiles.get(..self.used).unwrap_or_default()
    }
}

impl ActivationTile {
    fn resize(&mut self, first: usize, width: usize, columns: usize, wanted: Wanted) {
        (self.first, self.width) = (first, width);
        let of = |count: usize, wanted: bool| if wanted { count * width } else { 0 };
        self.quads.resize(of(columns / 4, wanted.bytes), 0);
        self.scales.resize(of(columns / BLOCK, wanted.bytes), 0.0);
        self.sums.resize(of(columns / BLOCK, wanted.bytes), 0.0);
        self.offsets.resize(of(columns / BLOCK, wanted.bytes), 0);
        self.half_offsets.resize(of(columns / LANES, wanted.bytes), 0);
        self.floats.resize(of(columns, wanted.floats), 0.0);
        self.row.resize(columns, 0.0);
    }

    /// Takes `row` as the values of token `index` of the tile.
    pub(crate) fn put(&mut self, level: Level, index: usize) {
        if !self.floats.is_empty() {
            for (value, place) in self.row.iter().zip(self.floats.chunks_exact_mut(self.width)) {
                set(place, index, *value);
            }
        }
        if !self.quads.is_empty() {
            level.run(Quantise { tile: self, index });
        }
    }
}

#[inline(always)]
fn set<T>(values: &mut [T], index: usize, value: T) {
    if let Some(slot) = values.get_mut(index) {
        *slot = value;
    }
}

/// Quantises a tile's row.
struct Quantise<'a> {
    tile: &'a mut ActivationTile,
    index: usize,
}

impl Kernel for Quantise<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L) {
        let Self { tile, index } = self;
        let width = tile.width;
        let blocks = tile
            .row
            .as_chunks::<BLOCK>()
            .0
            .iter()
            .zip(tile.quads.chunks_exact_mut(8 * width))
            .zip(tile.scales.chunks_exact_mut(width).zip(tile.sums.chunks_exact_mut(width)))
            .zip(tile.offsets.chunks_exact_mut(width).zip(tile.half_offsets.chunks_exact_mut(2 * width)));
        for (((block, quads), (scales, sums)), (offsets, half_offsets)) in blocks {
            let ([first, second], _) = block.as_chunks::<LANES>() else { continue };
            let (a, b) = (lanes.load(first), lanes.load(second));
            let largest = lanes.maximum(lanes.max(lanes.abs(a), lanes.abs(b)));
            let scale = largest / 127.0;
            let inverse = lanes.splat(if scale > 0.0 { 1.0 / scale } else { 0.0 });
            let mut bytes = [[0_i8; LANES]; 2];
            let [low, high] = &mut bytes;
            lanes.store_bytes(lanes.round(lanes.mul(a, inverse)), low);
            lanes.store_bytes(lanes.round(lanes.mul(b, inverse)), high);
            let sum_of = |bytes: &[i8; LANES]| bytes.iter().map(|byte| i32::from(*byte)).sum::<i32>();
            let (low_sum, high_sum) = (sum_of(low), sum_of(high));
            let kept = f16::from_f32(scale).to_f32();
            set(scales, index, kept);
            set(sums, index, kept * (low_sum + high_sum) as f32);
            set(offsets, index, -128 * (low_sum + high_sum));
            set(half_offsets, index, -32 * low_sum);
            set(half_offsets, width + index, -32 * high_sum);
            let fours = bytes.as_flattened().as_chunks::<4>().0;
            for (four, quad) in fours.iter().zip(quads.chunks_exact_mut(width)) {
                set(quad, index, i32::from_le_bytes(four.map(|byte| byte as u8)));
            }
        }
    }
}

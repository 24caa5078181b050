//! Packed weights times activations.

use super::activation::ActivationTile;
use super::lanes::Lanes;
use super::pack::{Format, PackedMatrix, Q4Scales, Q6Scales, QUAD_BYTES};
use super::{Kernel, LANES};

/// Products of neighbouring panels of one matrix with all tiles.
///
/// Activations are kept panel by panel: for 16 outputs the 16 values of the first token, of the second, and so on. That is
/// what a panel's product gives, and members of a team that work on different panels write to different places.
pub(crate) struct Product<'a> {
    pub(crate) matrix: &'a PackedMatrix,
    pub(crate) first_panel: usize,
    pub(crate) tiles: &'a [ActivationTile],
    /// Tokens of all tiles.
    pub(crate) tokens: usize,
    /// `tokens` times 16 values for every panel.
    pub(crate) output: &'a mut [f32],
    /// Adds to the output instead of replacing it.
    pub(crate) add: bool,
}

impl Kernel for Product<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L) {
        let Self { matrix, first_panel, tiles, tokens, output, add } = self;
        for (index, output) in output.chunks_exact_mut(tokens * LANES).enumerate() {
            let panel = first_panel + index;
            let (output, _) = output.as_chunks_mut::<LANES>();
            for tile in tiles {
                let Some(output) = output.get_mut(tile.first..tile.first + tile.width) else { continue };
                match tile.width {
                    8 => one::<L, 8>(lanes, matrix, panel, tile, output, add),
                    4 => one::<L, 4>(lanes, matrix, panel, tile, output, add),
                    2 => one::<L, 2>(lanes, matrix, panel, tile, output, add),
                    _ => one::<L, 1>(lanes, matrix, panel, tile, output, add),
                }
            }
        }
    }
}

#[inline(always)]
fn one<L: Lanes, const T: usize>(
    lanes: L,
    matrix: &PackedMatrix,
    panel: usize,
    tile: &ActivationTile,
    output: &mut [[f32; LANES]],
    add: bool,
) {
    let sums = match &matrix.format {
        Format::F32(values) => {
            let length = matrix.columns * LANES;
            floats::<L, T>(lanes, part(values, panel, length), tile)
        }
        Format::Q8 { quads, scales } => {
            let blocks = matrix.columns / super::pack::BLOCK;
            q8::<L, T>(lanes, part(quads.as_slice(), panel, blocks * 8), part(scales, panel, blocks), tile)
        }
        Format::Q4 { quads, scales } => {
            let supers = matrix.columns / super::pack::SUPER;
            q4::<L, T>(lanes, part(quads.as_slice(), panel, supers * 32), part(scales, panel, supers), tile)
        }
        Format::Q6 { quads, scales } => {
            let supers = matrix.columns / super::pack::SUPER;
            q6::<L, T>(lanes, part(quads.as_slice(), panel, supers * 48), part(scales, panel, supers), tile)
        }
    };
    for (sum, target) in sums.into_iter().zip(output) {
        let sum = if add { lanes.add(sum, lanes.load(target)) } else { sum };
        lanes.store(sum, target);
    }
}

/// The items of panel `panel`, `length` to each.
#[inline(always)]
fn part<T>(items: &[T], panel: usize, length: usize) -> &[T] {
    items.get(panel * length..(panel + 1) * length).unwrap_or_default()
}

#[inline(always)]
fn floats<L: Lanes, const T: usize>(lanes: L, values: &[f32], tile: &ActivationTile) -> [L::Floats; T] {
    let mut sums = [lanes.splat(0.0); T];
    for (weights, inputs) in values.as_chunks::<LANES>().0.iter().zip(tile.floats.as_chunks::<T>().0) {
        let weights = lanes.load(weights);
        for (sum, input) in sums.iter_mut().zip(inputs) {
            *sum = lanes.mul_add(weights, lanes.splat(*input), *sum);
        }
    }
    sums
}

/// Every `dot` of eight quads on top of `starts`, with the weights that `weights` gives for each.
#[inline(always)]
fn dots<L: Lanes, const T: usize, const N: usize>(
    lanes: L,
    starts: [L::Ints; T],
    weights: [L::Bytes; N],
    quads: &[[i32; T]],
) -> [L::Ints; T] {
    let mut dots = starts;
    for (weights, quads) in weights.into_iter().zip(quads) {
        for (dot, quad) in dots.iter_mut().zip(quads) {
            *dot = lanes.dot(*dot, weights, *quad);
        }
    }
    dots
}

#[inline(always)]
fn starts<L: Lanes, const T: usize>(lanes: L, values: &[i32; T]) -> [L::Ints; T] {
    let mut starts = [lanes.splat_int(0); T];
    for (start, value) in starts.iter_mut().zip(values) {
        *start = lanes.splat_int(*value);
    }
    starts
}

#[inline(always)]
fn q8<L: Lanes, const T: usize>(
    lanes: L,
    weights: &[[u8; QUAD_BYTES]],
    scales: &[[u16; LANES]],
    tile: &ActivationTile,
) -> [L::Floats; T] {
    let mut sums = [lanes.splat(0.0); T];
    let inputs = tile.quads.as_chunks::<T>().0.as_chunks::<8>().0;
    let input_scales = tile.scales.as_chunks::<T>().0.iter().zip(tile.offsets.as_chunks::<T>().0);
    let blocks = weights.as_chunks::<8>().0.iter().zip(scales).zip(inputs).zip(input_scales);
    for (((weights, scale), inputs), (input_scales, offsets)) in blocks {
        let mut dots = starts::<L, T>(lanes, offsets);
        for (weights, inputs) in weights.iter().zip(inputs) {
            let weights = lanes.load_bytes(weights);
            for (dot, input) in dots.iter_mut().zip(inputs) {
                *dot = lanes.dot(*dot, weights, *input);
            }
        }
        let scale = lanes.load_half(scale);
        for ((sum, dot), input_scale) in sums.iter_mut().zip(dots).zip(input_scales) {
            *sum = lanes.mul_add(lanes.to_floats(dot), lanes.mul(scale, lanes.splat(*input_scale)), *sum);
        }
    }
    sums
}

#[inline(always)]
fn q4<L: Lanes, const T: usize>(
    lanes: L,
    weights: &[[u8; QUAD_BYTES]],
    scales: &[Q4Scales],
    tile: &ActivationTile,
) -> [L::Floats; T] {
    let mut sums = [lanes.splat(0.0); T];
    // 256 inputs are 64 quads and 8 blocks.
    let inputs = tile.quads.as_chunks::<T>().0.as_chunks::<16>().0.as_chunks::<4>().0;
    let input_scales = tile.scales.as_chunks::<T>().0.as_chunks::<2>().0.as_chunks::<4>().0;
    let input_sums = tile.sums.as_chunks::<T>().0.as_chunks::<2>().0.as_chunks::<4>().0;
    let supers =
        weights.as_chunks::<8>().0.as_chunks::<4>().0.iter().zip(scales).zip(inputs).zip(input_scales).zip(input_sums);
    for ((((weights, scales), inputs), input_scales), input_sums) in supers {
        let (factor, minimum) = (lanes.load_half(&scales.scale), lanes.load_half(&scales.minimum));
        let parts = weights
            .iter()
            .zip(inputs)
            .zip(input_scales.iter().zip(input_sums))
            .zip(scales.scales.as_chunks::<2>().0.iter().zip(scales.minima.as_chunks::<2>().0));
        for (((weights, inputs), (input_scales, input_sums)), (scales, minima)) in parts {
            let (mut low, mut high) = ([lanes.splat_int(0); T], [lanes.splat_int(0); T]);
            let (low_inputs, high_inputs) = inputs.split_at(8);
            for ((weights, low_inputs), high_inputs) in weights.iter().zip(low_inputs).zip(high_inputs) {
                let weights = lanes.load_bytes(weights);
                let (low_nibbles, high_nibbles) = (lanes.low_nibbles(weights), lanes.high_nibbles(weights));
                for (dot, input) in low.iter_mut().zip(low_inputs) {
                    *dot = lanes.dot(*dot, low_nibbles, *input);
                }
                for (dot, input) in high.iter_mut().zip(high_inputs) {
                    *dot = lanes.dot(*dot, high_nibbles, *input);
                }
            }
            let ([low_scale, high_scale], [low_minimum, high_minimum]) = (scales, minima);
            let ([low_scales, high_scales], [low_sums, high_sums]) = (input_scales, input_sums);
            add_scaled(lanes, &mut sums, low, lanes.mul(factor, lanes.load_unsigned(low_scale)), low_scales);
            take_minimum(lanes, &mut sums, lanes.mul(minimum, lanes.load_unsigned(low_minimum)), low_sums);
            add_scaled(lanes, &mut sums, high, lanes.mul(factor, lanes.load_unsigned(high_scale)), high_scales);
            take_minimum(lanes, &mut sums, lanes.mul(minimum, lanes.load_unsigned(high_minimum)), high_sums);
        }
    }
    sums
}

/// `sums += dots * scale * input_scales`.
#[inline(always)]
fn add_scaled<L: Lanes, const T: usize>(
    lanes: L,
    sums: &mut [L::Floats; T],
    dots: [L::Ints; T],
    scale: L::Floats,
    input_scales: &[f32; T],
) {
    for ((sum, dot), input_scale) in sums.iter_mut().zip(dots).zip(input_scales) {
        *sum = lanes.mul_add(lanes.to_floats(dot), lanes.mul(scale, lanes.splat(*input_scale)), *sum);
    }
}

/// `sums -= least * input_sums`.
#[inline(always)]
fn take_minimum<L: Lanes, const T: usize>(
    lanes: L,
    sums: &mut [L::Floats; T],
    least: L::Floats,
    input_sums: &[f32; T],
) {
    for (sum, input_sum) in sums.iter_mut().zip(input_sums) {
        *sum = lanes.mul_add(least, lanes.splat(-*input_sum), *sum);
    }
}

#[inline(always)]
fn q6<L: Lanes, const T: usize>(
    lanes: L,
    weights: &[[u8; QUAD_BYTES]],
    scales: &[Q6Scales],
    tile: &ActivationTile,
) -> [L::Floats; T] {
    let mut sums = [lanes.splat(0.0); T];
    let inputs = tile.quads.as_chunks::<T>().0.as_chunks::<16>().0.as_chunks::<4>().0;
    let input_scales = tile.scales.as_chunks::<T>().0.as_chunks::<2>().0.as_chunks::<4>().0;
    let offsets = tile.half_offsets.as_chunks::<T>().0.as_chunks::<4>().0.as_chunks::<4>().0;
    let supers =
        weights.as_chunks::<12>().0.as_chunks::<4>().0.iter().zip(scales).zip(inputs).zip(input_scales).zip(offsets);
    for ((((weights, scales), inputs), input_scales), offsets) in supers {
        let factor = lanes.load_half(&scales.scale);
        let parts =
            weights.iter().zip(inputs).zip(input_scales.iter().zip(offsets)).zip(scales.scales.as_chunks::<4>().0);
        for (((weights, inputs), (input_scales, offsets)), scales) in parts {
            let ([a, b, c, d, e, f, g, h, high @ ..], [first, second, third, fourth]) =
                (weights, inputs.as_chunks::<4>().0)
            else {
                continue;
            };
            let high = load_four(lanes, high);
            let ([low_scales, high_scales], [s0, s1, s2, s3], [o0, o1, o2, o3]) = (input_scales, scales, offsets);
            let (low, next) = (load_four(lanes, &[*a, *b, *c, *d]), load_four(lanes, &[*e, *f, *g, *h]));
            let dots0 = six::<L, T, 0>(lanes, starts(lanes, o0), low_of(lanes, low), high, first);
            add_scaled(lanes, &mut sums, dots0, lanes.mul(factor, lanes.load_signed(s0)), low_scales);
            let dots1 = six::<L, T, 1>(lanes, starts(lanes, o1), low_of(lanes, next), high, second);
            add_scaled(lanes, &mut sums, dots1, lanes.mul(factor, lanes.load_signed(s1)), low_scales);
            let dots2 = six::<L, T, 2>(lanes, starts(lanes, o2), high_of(lanes, low), high, third);
            add_scaled(lanes, &mut sums, dots2, lanes.mul(factor, lanes.load_signed(s2)), high_scales);
            let dots3 = six::<L, T, 3>(lanes, starts(lanes, o3), high_of(lanes, next), high, fourth);
            add_scaled(lanes, &mut sums, dots3, lanes.mul(factor, lanes.load_signed(s3)), high_scales);
        }
    }
    sums
}

#[inline(always)]
fn load_four<L: Lanes>(lanes: L, quads: &[[u8; QUAD_BYTES]; 4]) -> [L::Bytes; 4] {
    let mut loaded = [lanes.load_bytes(&[0; QUAD_BYTES]); 4];
    for (loaded, quad) in loaded.iter_mut().zip(quads) {
        *loaded = lanes.load_bytes(quad);
    }
    loaded
}

#[inline(always)]
fn low_of<L: Lanes>(lanes: L, mut bytes: [L::Bytes; 4]) -> [L::Bytes; 4] {
    for byte in &mut bytes {
        *byte = lanes.low_nibbles(*byte);
    }
    bytes
}

#[inline(always)]
fn high_of<L: Lanes>(lanes: L, mut bytes: [L::Bytes; 4]) -> [L::Bytes; 4] {
    for byte in &mut bytes {
        *byte = lanes.high_nibbles(*byte);
    }
    bytes
}

/// 16 inputs of a Q6 super-block: their nibbles with pair `PAIR` of the upper bits.
#[inline(always)]
fn six<L: Lanes, const T: usize, const PAIR: u32>(
    lanes: L,
    starts: [L::Ints; T],
    nibbles: [L::Bytes; 4],
    high: [L::Bytes; 4],
    inputs: &[[i32; T]; 4],
) -> [L::Ints; T] {
    let mut weights = nibbles;
    for (weights, high) in weights.iter_mut().zip(high) {
        *weights = lanes.with_pair::<PAIR>(*weights, high);
    }
    dots::<L, T, 4>(lanes, starts, weights, inputs)
}

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
            // Quads 0 to 3 hold the nibbles of inputs 0 to 15 and 32 to 47, 4 to 7 those of 16 to 31 and 48 to 63.
            let Some((first, rest)) = weights.split_first_chunk::<4>() else { continue };
            let Some((second, high)) = rest.split_first_chunk::<4>() else { continue };
            let ([first_scale, second_scale, third_scale, fourth_scale], [from0, from1, from2, from3]) =
                (scales, offsets);
            let [inputs0, inputs1, inputs2, inputs3] = inputs.as_chunks::<4>().0 else { continue };
            let [low_scales, high_scales] = input_scales;
            let dots = six::<L, T, 0>(lanes, from0, first, high, inputs0);
            add_scaled(lanes, &mut sums, dots, lanes.mul(factor, lanes.load_signed(first_scale)), low_scales);
            let dots = six::<L, T, 1>(lanes, from1, second, high, inputs1);
            add_scaled(lanes, &mut sums, dots, lanes.mul(factor, lanes.load_signed(second_scale)), low_scales);
            let dots = six::<L, T, 2>(lanes, from2, first, high, inputs2);
            add_scaled(lanes, &mut sums, dots, lanes.mul(factor, lanes.load_signed(third_scale)), high_scales);
            let dots = six::<L, T, 3>(lanes, from3, second, high, inputs3);
            add_scaled(lanes, &mut sums, dots, lanes.mul(factor, lanes.load_signed(fourth_scale)), high_scales);
        }
    }
    sums
}

/// 16 inputs of a Q6 super-block on top of `offsets`: the low (`PAIR` 0 and 1) or high nibbles of `quads` with pair `PAIR`
/// of the upper bits.
#[inline(always)]
fn six<L: Lanes, const T: usize, const PAIR: u32>(
    lanes: L,
    offsets: &[i32; T],
    quads: &[[u8; QUAD_BYTES]; 4],
    high: &[[u8; QUAD_BYTES]],
    inputs: &[[i32; T]; 4],
) -> [L::Ints; T] {
    let mut dots = starts::<L, T>(lanes, offsets);
    for ((quad, high), inputs) in quads.iter().zip(high).zip(inputs) {
        let quad = lanes.load_bytes(quad);
        let nibbles = if PAIR < 2 { lanes.low_nibbles(quad) } else { lanes.high_nibbles(quad) };
        let weights = lanes.with_pair::<PAIR>(nibbles, lanes.load_bytes(high));
        for (dot, input) in dots.iter_mut().zip(inputs) {
            *dot = lanes.dot(*dot, weights, *input);
        }
    }
    dots
}

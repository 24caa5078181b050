//! Matrix products for one thread: weights packed once, activations packed per block of rows.
//!
//! The inner loop is the usual register tile: a few rows of the left matrix times two registers of columns of the right
//! one, every product kept in registers until the whole inner dimension is summed. What differs from a general matrix
//! library is that the right matrix is packed when the model is loaded, not at every call, and that the bias, the
//! activation and the residual are applied while the tile is still in registers.

use pulp::{Arch, Simd, WithSimd};

use super::buffer::AlignedBuffer;
use super::vector;

/// Bytes of packed rows that one pass over the weights works on: about half of a second-level cache.
const PACKED_ROWS_BYTES: usize = 512 * 1024;

/// Columns that are packed at a time: with 12 rows 6 KB.
const PACKED_COLUMNS: usize = 128;

/// Columns of a panel: two registers of the machine's widest instruction set.
pub(super) fn panel_width(arch: Arch) -> usize {
    struct Lanes;
    impl WithSimd for Lanes {
        type Output = usize;
        fn with_simd<S: Simd>(self, _: S) -> usize {
            S::F32_LANES
        }
    }
    2 * arch.dispatch(Lanes)
}

/// The weights and bias of one linear layer, `outputs x inputs` in the file, packed for one instruction set.
#[derive(Debug)]
pub(super) struct PackedLinear {
    inputs: usize,
    outputs: usize,
    /// One panel per [`panel_width`] outputs: for each input, the weights of the panel's outputs side by side.
    panels: AlignedBuffer,
    /// One value per output, zeros up to the end of the last panel.
    bias: AlignedBuffer,
}

impl PackedLinear {
    /// Packs row-major `weights` (one row of `inputs` values per output) and `bias`; `None` if the lengths do not meet.
    pub(super) fn new(arch: Arch, inputs: usize, weights: &[f32], bias: &[f32]) -> Option<Self> {
        let outputs = bias.len();
        if inputs == 0 || outputs == 0 || weights.len() != inputs.checked_mul(outputs)? {
            return None;
        }
        let width = panel_width(arch);
        let panel_count = outputs.div_ceil(width);
        let mut panels = AlignedBuffer::zeroed(panel_count * inputs * width);
        for (rows, panel) in weights.chunks(inputs * width).zip(panels.as_mut_slice().chunks_exact_mut(inputs * width))
        {
            for (column, row) in rows.chunks_exact(inputs).enumerate() {
                for (value, packed) in row.iter().zip(panel.chunks_exact_mut(width)) {
                    if let Some(slot) = packed.get_mut(column) {
                        *slot = *value;
                    }
                }
            }
        }
        let mut padded = AlignedBuffer::zeroed(panel_count * width);
        for (slot, value) in padded.as_mut_slice().iter_mut().zip(bias) {
            *slot = *value;
        }
        Some(Self { inputs, outputs, panels, bias: padded })
    }
}

/// What is done to a product before it is stored.
#[derive(Clone, Copy, Debug)]
pub(super) enum Epilogue<'a> {
    /// Nothing but the bias.
    Bias,
    /// The bias and the exact GELU.
    BiasGelu,
    /// The bias and a matrix of the output's shape.
    BiasAdd(&'a [f32]),
}

/// One linear layer over row-major `input`, written row-major to `output`.
pub(super) struct LinearCall<'a> {
    pub(super) layer: &'a PackedLinear,
    pub(super) input: &'a [f32],
    pub(super) epilogue: Epilogue<'a>,
    pub(super) output: &'a mut [f32],
    /// Scratch for packed rows.
    pub(super) packed: &'a mut AlignedBuffer,
}

impl WithSimd for LinearCall<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        // 32 registers of 512 bits hold 12 x 2 sums, 16 registers of 256 bits 6 x 2.
        if S::F32_LANES >= 16 { self.run::<S, 12>(simd) } else { self.run::<S, 6>(simd) }
    }
}

impl LinearCall<'_> {
    #[inline(always)]
    fn run<S: Simd, const ROWS: usize>(self, simd: S) {
        let Self { layer, input, epilogue, output, packed } = self;
        let (inputs, outputs, width) = (layer.inputs, layer.outputs, 2 * S::F32_LANES);
        let rows_per_pass = (PACKED_ROWS_BYTES / (4 * inputs)).max(ROWS) / ROWS * ROWS;
        for (pass, rows) in input.chunks(rows_per_pass * inputs).enumerate() {
            let first_row = pass * rows_per_pass;
            let row_count = rows.len() / inputs;
            let blocks = packed.at_least(row_count.div_ceil(ROWS) * ROWS * inputs);
            pack_rows::<ROWS>(rows, inputs, inputs, blocks);
            let panels = layer.panels.as_slice().chunks_exact(inputs * width);
            for ((index, panel), bias) in panels.enumerate().zip(layer.bias.as_slice().chunks_exact(width)) {
                let columns = width.min(outputs - index * width);
                let bias = registers(simd, bias);
                for (block_index, block) in blocks.chunks_exact(ROWS * inputs).enumerate() {
                    let tile = product::<S, ROWS>(simd, block, panel, bias);
                    let block_row = first_row + block_index * ROWS;
                    let offset = block_row * outputs + index * width;
                    let place = Place { offset, stride: outputs, columns };
                    match epilogue {
                        Epilogue::Bias => store(simd, tile, place, output),
                        Epilogue::BiasGelu => store(simd, gelu_all(simd, tile), place, output),
                        Epilogue::BiasAdd(other) => store(simd, add(simd, tile, place, other), place, output),
                    }
                }
            }
        }
    }
}

/// Where a tile belongs in a row-major matrix.
#[derive(Clone, Copy)]
pub(super) struct Place {
    /// Index of the tile's first value.
    pub(super) offset: usize,
    /// Values from one row to the next.
    pub(super) stride: usize,
    /// How many of the tile's columns exist.
    pub(super) columns: usize,
}

/// Two registers from up to a panel's width of values; what is missing is zero.
#[inline(always)]
pub(super) fn registers<S: Simd>(simd: S, values: &[f32]) -> [S::f32s; 2] {
    if let ([first, second], []) = S::as_simd_f32s(values) {
        return [*first, *second];
    }
    let (head, tail) = values.split_at(S::F32_LANES.min(values.len()));
    [simd.partial_load_f32s(head), simd.partial_load_f32s(tail)]
}

/// The sum over the inner dimension of `block` (for each step `ROWS` values) times `panel` (for each step two registers),
/// on top of `start`.
#[inline(always)]
pub(super) fn product<S: Simd, const ROWS: usize>(
    simd: S,
    block: &[f32],
    panel: &[f32],
    start: [S::f32s; 2],
) -> [[S::f32s; 2]; ROWS] {
    let mut sums = [start; ROWS];
    let (block, _) = block.as_chunks::<ROWS>();
    let (panel, _) = S::as_simd_f32s(panel);
    let (panel, _) = panel.as_chunks::<2>();
    for (left, [first, second]) in block.iter().zip(panel) {
        for (sum, value) in sums.iter_mut().zip(left) {
            let value = simd.splat_f32s(*value);
            let [a, b] = *sum;
            *sum = [simd.mul_add_f32s(value, *first, a), simd.mul_add_f32s(value, *second, b)];
        }
    }
    sums
}

/// Writes the rows and columns of a tile that exist in `output`.
#[inline(always)]
pub(super) fn store<S: Simd, const ROWS: usize>(simd: S, tile: [[S::f32s; 2]; ROWS], place: Place, output: &mut [f32]) {
    for (row, [first, second]) in tile.into_iter().enumerate() {
        let start = place.offset + row * place.stride;
        let Some(target) = output.get_mut(start..start + place.columns) else { break };
        if let ([a, b], []) = S::as_mut_simd_f32s(target) {
            (*a, *b) = (first, second);
        } else {
            let (head, tail) = target.split_at_mut(S::F32_LANES.min(place.columns));
            simd.partial_store_f32s(head, first);
            simd.partial_store_f32s(tail, second);
        }
    }
}

/// The GELU of every value.
///
/// Here and wherever registers are touched there is a loop where `map` would be shorter: a closure is a function of its
/// own, compiled for the oldest machine, and calls every instruction as a function.
#[inline(always)]
fn gelu_all<S: Simd, const ROWS: usize>(simd: S, mut tile: [[S::f32s; 2]; ROWS]) -> [[S::f32s; 2]; ROWS] {
    for row in &mut tile {
        for value in row {
            *value = vector::gelu(simd, *value);
        }
    }
    tile
}

/// The tile plus the same place of `other`.
#[inline(always)]
fn add<S: Simd, const ROWS: usize>(
    simd: S,
    mut tile: [[S::f32s; 2]; ROWS],
    place: Place,
    other: &[f32],
) -> [[S::f32s; 2]; ROWS] {
    for (row, sum) in tile.iter_mut().enumerate() {
        let start = place.offset + row * place.stride;
        let Some(values) = other.get(start..start + place.columns) else { break };
        let [a, b] = *sum;
        let [first, second] = registers(simd, values);
        *sum = [simd.add_f32s(a, first), simd.add_f32s(b, second)];
    }
    tile
}

/// Packs `inputs` leading values of every row of `rows` (rows start `stride` apart) into blocks of `ROWS` rows: for each
/// column the block's values side by side; rows that do not exist are zeros.
///
/// Never inlined: inside a function for AVX-512 the compiler would make scatter instructions of these stores, which are
/// far slower than one store after another.
#[inline(never)]
pub(super) fn pack_rows<const ROWS: usize>(rows: &[f32], stride: usize, inputs: usize, blocks: &mut [f32]) {
    for (rows, block) in rows.chunks(stride * ROWS).zip(blocks.chunks_exact_mut(ROWS * inputs)) {
        let present = rows.len().div_ceil(stride);
        let (block, _) = block.as_chunks_mut::<ROWS>();
        // In pieces that stay in the first-level cache while every row writes its own values between the others'.
        for (piece_index, piece) in block.chunks_mut(PACKED_COLUMNS).enumerate() {
            for (row, source) in rows.chunks(stride).enumerate() {
                let source = source.get(piece_index * PACKED_COLUMNS..).unwrap_or_default();
                for (packed, value) in piece.iter_mut().zip(source) {
                    if let Some(slot) = packed.get_mut(row) {
                        *slot = *value;
                    }
                }
            }
            if present < ROWS {
                for packed in piece {
                    packed.get_mut(present..).unwrap_or_default().fill(0.0);
                }
            }
        }
    }
}

//! Self-attention of packed sequences, one head at a time, with nothing padded but the last register.
//!
//! Scores are kept transposed, one row per key and one column per query: the softmax then runs down registers without
//! any sum across lanes, and the weights come out in the layout that the product with the values reads.

use std::ops::Range;

use pulp::{Simd, WithSimd};

use super::buffer::AlignedBuffer;
use super::matrix::{Place, pack_rows, product, registers, store};
use super::vector;

/// Scratch of one worker, kept from call to call.
#[derive(Debug, Default)]
pub(super) struct AttentionScratch {
    queries: AlignedBuffer,
    keys: AlignedBuffer,
    values: AlignedBuffer,
    scores: AlignedBuffer,
    mixed: AlignedBuffer,
}

impl AttentionScratch {
    /// Bytes held.
    pub(super) fn bytes(&self) -> usize {
        [&self.queries, &self.keys, &self.values, &self.scores, &self.mixed].iter().map(|b| b.bytes()).sum()
    }
}

/// Attention over sequences that lie one after another in `projected`.
pub(super) struct AttentionCall<'a> {
    /// Query, key and value of every token side by side: rows of three times `hidden`. The queries are already scaled.
    pub(super) projected: &'a [f32],
    /// Tokens of each sequence.
    pub(super) lengths: &'a [usize],
    pub(super) hidden: usize,
    pub(super) heads: usize,
    /// Rows of `hidden`.
    pub(super) context: &'a mut [f32],
    pub(super) scratch: &'a mut AttentionScratch,
}

impl WithSimd for AttentionCall<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        if S::F32_LANES >= 16 { self.run::<S, 12, 8>(simd) } else { self.run::<S, 6, 4>(simd) }
    }
}

impl AttentionCall<'_> {
    #[inline(always)]
    fn run<S: Simd, const KEY_ROWS: usize, const VALUE_ROWS: usize>(self, simd: S) {
        let Self { projected, lengths, hidden, heads, context, scratch } = self;
        let head_width = hidden / heads;
        let mut rows = projected;
        let mut targets = context;
        for length in lengths {
            let Some((sequence, rest)) = rows.split_at_checked(length * 3 * hidden) else { return };
            let Some((target, rest_of_targets)) = targets.split_at_mut_checked(length * hidden) else { return };
            for head in 0..heads {
                let shape = HeadShape { length: *length, hidden, width: head_width, offset: head * head_width };
                attend::<S, KEY_ROWS, VALUE_ROWS>(simd, shape, sequence, target, scratch);
            }
            (rows, targets) = (rest, rest_of_targets);
        }
    }
}

/// One head of one sequence.
#[derive(Clone, Copy)]
struct HeadShape {
    length: usize,
    hidden: usize,
    width: usize,
    offset: usize,
}

impl HeadShape {
    /// The rows from this head's part of section `section` (0 query, 1 key, 2 value) on; rows are three times `hidden` apart.
    fn part(self, section: usize, sequence: &[f32]) -> &[f32] {
        sequence.get(section * self.hidden + self.offset..).unwrap_or_default()
    }
}

#[inline(always)]
fn attend<S: Simd, const KEY_ROWS: usize, const VALUE_ROWS: usize>(
    simd: S,
    shape: HeadShape,
    sequence: &[f32],
    target: &mut [f32],
    scratch: &mut AttentionScratch,
) {
    let HeadShape { length, hidden, width: head_width, offset } = shape;
    let panel_width = 2 * S::F32_LANES;
    let stride = 3 * hidden;
    let query_panels = length.div_ceil(panel_width);
    let queries = scratch.queries.at_least(query_panels * head_width * panel_width);
    pack_columns(shape.part(0, sequence), stride, head_width, panel_width, queries);
    let keys = scratch.keys.at_least(length.div_ceil(KEY_ROWS) * KEY_ROWS * head_width);
    pack_rows::<KEY_ROWS>(shape.part(1, sequence), stride, head_width, keys);
    let values = scratch.values.at_least(head_width.div_ceil(VALUE_ROWS) * VALUE_ROWS * length);
    pack_values::<VALUE_ROWS>(shape.part(2, sequence), stride, head_width, length, values);
    let scores = scratch.scores.at_least(length.div_ceil(KEY_ROWS) * KEY_ROWS * panel_width);
    let mixed = scratch.mixed.at_least(head_width.div_ceil(VALUE_ROWS) * VALUE_ROWS * panel_width);
    let zero = [simd.splat_f32s(0.0); 2];

    let panels = queries.chunks_exact(head_width * panel_width).zip(target.chunks_mut(panel_width * hidden));
    for (panel, target) in panels {
        for (block, out) in
            keys.chunks_exact(KEY_ROWS * head_width).zip(scores.chunks_exact_mut(KEY_ROWS * panel_width))
        {
            let tile = product::<S, KEY_ROWS>(simd, block, panel, zero);
            store(simd, tile, Place { offset: 0, stride: panel_width, columns: panel_width }, out);
        }
        let Some(weights) = scores.get_mut(..length * panel_width) else { return };
        let inverse = softmax_down(simd, weights);
        for (block, out) in
            values.chunks_exact(VALUE_ROWS * length).zip(mixed.chunks_exact_mut(VALUE_ROWS * panel_width))
        {
            let mut tile = product::<S, VALUE_ROWS>(simd, block, weights, zero);
            let [first, second] = inverse;
            for row in &mut tile {
                let [a, b] = *row;
                *row = [simd.mul_f32s(a, first), simd.mul_f32s(b, second)];
            }
            store(simd, tile, Place { offset: 0, stride: panel_width, columns: panel_width }, out);
        }
        unpack_columns(mixed, panel_width, target, hidden, offset..offset + head_width);
    }
}

/// Replaces every column of scores (rows of two registers) by `exp(score - maximum)` and returns, for each column, the
/// inverse of the sum: the product with the values is cheaper to scale than the weights.
#[inline(always)]
fn softmax_down<S: Simd>(simd: S, scores: &mut [f32]) -> [S::f32s; 2] {
    let panel_width = 2 * S::F32_LANES;
    let mut maximum = [simd.splat_f32s(f32::MIN); 2];
    for row in scores.chunks_exact(panel_width) {
        let [a, b] = registers(simd, row);
        let [x, y] = maximum;
        maximum = [simd.max_f32s(a, x), simd.max_f32s(b, y)];
    }
    let mut sum = [simd.splat_f32s(0.0); 2];
    let (vectors, _) = S::as_mut_simd_f32s(scores);
    let (rows, _) = vectors.as_chunks_mut::<2>();
    for row in rows {
        let mut total = sum;
        for ((value, maximum), total) in row.iter_mut().zip(maximum).zip(&mut total) {
            *value = vector::exp(simd, simd.sub_f32s(*value, maximum));
            *total = simd.add_f32s(*total, *value);
        }
        sum = total;
    }
    let [first, second] = sum;
    let one = simd.splat_f32s(1.0);
    [simd.div_f32s(one, first), simd.div_f32s(one, second)]
}

/// Packs the first `width` values of every row into panels of `panel_width` rows: for each column the rows' values side
/// by side; rows that do not exist are zeros. Never inlined, for the reason given at [`pack_rows`].
#[inline(never)]
fn pack_columns(rows: &[f32], stride: usize, width: usize, panel_width: usize, panels: &mut [f32]) {
    for (rows, panel) in rows.chunks(stride * panel_width).zip(panels.chunks_exact_mut(width * panel_width)) {
        let present = rows.len().div_ceil(stride);
        for (row, source) in rows.chunks(stride).enumerate() {
            for (packed, value) in panel.chunks_exact_mut(panel_width).zip(source) {
                if let Some(slot) = packed.get_mut(row) {
                    *slot = *value;
                }
            }
        }
        if present < panel_width {
            for packed in panel.chunks_exact_mut(panel_width) {
                packed.get_mut(present..).unwrap_or_default().fill(0.0);
            }
        }
    }
}

/// Writes the columns of `mixed` (one per row of `target`) to the values `place` of each row. Never inlined, as above.
#[inline(never)]
fn unpack_columns(mixed: &[f32], panel_width: usize, target: &mut [f32], stride: usize, place: Range<usize>) {
    for (query, row) in target.chunks_mut(stride).enumerate() {
        let Some(out) = row.get_mut(place.clone()) else { return };
        for (value, column) in out.iter_mut().zip(mixed.chunks_exact(panel_width)) {
            if let Some(mixed) = column.get(query) {
                *value = *mixed;
            }
        }
    }
}

/// Packs the first `width` values of every row into blocks of `ROWS` columns: for each row `ROWS` of its values side by
/// side; columns that do not exist are zeros.
#[inline(always)]
fn pack_values<const ROWS: usize>(rows: &[f32], stride: usize, width: usize, length: usize, blocks: &mut [f32]) {
    for (index, block) in blocks.chunks_exact_mut(ROWS * length).enumerate() {
        let (block, _) = block.as_chunks_mut::<ROWS>();
        let columns = index * ROWS..((index + 1) * ROWS).min(width);
        for (packed, row) in block.iter_mut().zip(rows.chunks(stride)) {
            let Some(values) = row.get(columns.clone()) else { return };
            if let Ok(values) = <[f32; ROWS]>::try_from(values) {
                *packed = values;
            } else {
                packed.fill(0.0);
                for (slot, value) in packed.iter_mut().zip(values) {
                    *slot = *value;
                }
            }
        }
    }
}

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::float_cmp,
    reason = "tests fail by panicking, and what must be the same to the last bit is compared so"
)]

use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{Device, Tensor};
use half::f16;

use super::activation::{Activations, Wanted};
use super::attention::{AttendSpan, Element, Merge, PAGE, PagePart, SPAN, slot_values};
use super::lanes::Lanes;
use super::pack::PackedMatrix;
use super::product::Product;
use super::vector::{Gated, Norm, Rotate};
use super::{Kernel, LANES, Level};
use crate::gguf::TensorView;
use crate::team::Team;

const KINDS: [GgmlDType; 9] = [
    GgmlDType::F32,
    GgmlDType::F16,
    GgmlDType::Q8_0,
    GgmlDType::Q4K,
    GgmlDType::Q6K,
    GgmlDType::Q4_0,
    GgmlDType::Q4_1,
    GgmlDType::Q5_1,
    GgmlDType::Q5K,
];

/// Numbers between -1 and 1 that look random.
fn numbers(count: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

struct Sample {
    packed: PackedMatrix,
    /// What candle reads from the same bytes, row by row.
    values: Vec<Vec<f32>>,
}

fn sample(kind: GgmlDType, rows: usize, columns: usize) -> Sample {
    let tensor = Tensor::from_vec(numbers(rows * columns, 7), (rows, columns), &Device::Cpu).unwrap();
    let quantised = QTensor::quantize(&tensor, kind).unwrap();
    let bytes = quantised.data().unwrap().to_vec();
    let values = quantised.dequantize(&Device::Cpu).unwrap().to_vec2::<f32>().unwrap();
    let view = TensorView { kind, rows, columns, bytes: &bytes };
    Sample { packed: PackedMatrix::new(&view, &mut Team::new(2), |row| row).unwrap(), values }
}

/// Products of every row of `inputs` as the kernels compute them, row by row.
fn products(level: Level, matrix: &PackedMatrix, inputs: &[Vec<f32>]) -> Vec<Vec<f32>> {
    let tokens = inputs.len();
    let mut activations = Activations::default();
    for tile in activations.prepare(tokens, matrix.columns, Wanted { bytes: true, floats: true }) {
        for index in 0..tile.width {
            tile.row.copy_from_slice(&inputs[tile.first + index]);
            tile.put(level, index);
        }
    }
    let mut output = vec![0.0; matrix.panels() * LANES * tokens];
    let tiles = activations.tiles();
    level.run(Product { matrix, first_panel: 0, tiles, tokens, output: &mut output, add: false });
    let row = |token: usize| {
        let panels = output.as_chunks::<LANES>().0.iter().skip(token).step_by(tokens);
        panels.flatten().copied().take(matrix.rows).collect()
    };
    (0..tokens).map(row).collect()
}

/// A row as the kernels see it: to the nearest of 255 steps in every block of 32.
fn rounded(row: &[f32]) -> Vec<f32> {
    let block = |block: &[f32]| {
        let scale = block.iter().fold(0.0_f32, |most, value| most.max(value.abs())) / 127.0;
        let kept = f16::from_f32(scale).to_f32();
        block.iter().map(|value| kept * (value * (1.0 / scale)).round_ties_even()).collect::<Vec<_>>()
    };
    row.chunks(32).flat_map(block).collect()
}

#[test]
fn packed_rows_are_what_candle_reads() {
    for kind in KINDS {
        let Sample { packed, values } = sample(kind, 37, 512);
        let mut row = vec![0.0; 512];
        for (index, expected) in values.iter().enumerate() {
            packed.read_row(index, &mut row);
            for (value, expected) in row.iter().zip(expected) {
                // What has no kernel of its own is rounded once more, to Q8_0.
                let own =
                    matches!(kind, GgmlDType::F32 | GgmlDType::F16 | GgmlDType::Q8_0 | GgmlDType::Q4K | GgmlDType::Q6K);
                let tolerance = if own { 1e-6 } else { 5e-3 };
                assert!((value - expected).abs() <= tolerance, "{kind:?}: {value} {expected}");
            }
        }
    }
}

#[test]
fn rows_are_packed_in_the_order_asked_for() {
    let bytes: Vec<u8> = numbers(20 * 32, 3).iter().flat_map(|value| value.to_le_bytes()).collect();
    let view = TensorView { kind: GgmlDType::F32, rows: 20, columns: 32, bytes: &bytes };
    let straight = PackedMatrix::new(&view, &mut Team::new(1), |row| row).unwrap();
    let reversed = PackedMatrix::new(&view, &mut Team::new(1), |row| 19 - row).unwrap();
    let (mut a, mut b) = (vec![0.0; 32], vec![0.0; 32]);
    for row in 0..20 {
        straight.read_row(row, &mut a);
        reversed.read_row(19 - row, &mut b);
        assert_eq!(a, b);
    }
}

#[test]
fn products_are_those_of_the_rounded_inputs() {
    for kind in KINDS {
        let Sample { packed, values } = sample(kind, 37, 512);
        let mut kept = vec![vec![0.0; 512]; values.len()];
        kept.iter_mut().enumerate().for_each(|(row, target)| packed.read_row(row, target));
        let floats = matches!(kind, GgmlDType::F32 | GgmlDType::F16);
        let inputs: Vec<Vec<f32>> = (0..15).map(|token| numbers(512, 100 + token)).collect();
        for level in Level::all() {
            for (input, product) in inputs.iter().zip(products(level, &packed, &inputs)) {
                let seen = if floats { input.clone() } else { rounded(input) };
                for (row, value) in kept.iter().zip(product) {
                    let expected: f64 = row.iter().zip(&seen).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
                    assert!((f64::from(value) - expected).abs() < 2e-4, "{kind:?} {level:?}: {value} {expected}");
                }
            }
        }
    }
}

#[test]
fn a_batch_gives_to_the_last_bit_what_its_rows_give() {
    for kind in KINDS {
        let Sample { packed, .. } = sample(kind, 48, 256);
        let inputs: Vec<Vec<f32>> = (0..15).map(|token| numbers(256, 200 + token)).collect();
        for level in Level::all() {
            let together = products(level, &packed, &inputs);
            for (input, row) in inputs.iter().zip(together) {
                assert_eq!(products(level, &packed, std::slice::from_ref(input)), [row], "{kind:?} {level:?}");
            }
        }
    }
}

#[test]
fn inputs_of_zeros_and_of_one_huge_value_stay_finite() {
    let Sample { packed, .. } = sample(GgmlDType::Q4K, 16, 256);
    let mut spike = vec![0.0; 256];
    spike[17] = 3.0e4;
    for level in Level::all() {
        let rows = products(level, &packed, &[vec![0.0; 256], spike.clone()]);
        assert!(rows[0].iter().all(|value| *value == 0.0));
        assert!(rows[1].iter().all(|value| value.is_finite()));
    }
}

struct Exp<'a>(&'a [[f32; LANES]]);

impl Kernel for Exp<'_> {
    type Output = Vec<[f32; LANES]>;

    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L) -> Vec<[f32; LANES]> {
        let mut out = self.0.to_vec();
        for values in &mut out {
            let result = lanes.exp(lanes.load(values));
            lanes.store(result, values);
        }
        out
    }
}

#[test]
fn exp_is_right_over_its_range() {
    let inputs: Vec<f32> = (-16_000..=1_408).map(|step| step as f32 / 160.0).chain([f32::NEG_INFINITY; 15]).collect();
    for level in Level::all() {
        let results = level.run(Exp(inputs.as_chunks().0));
        for (x, value) in inputs.iter().zip(results.as_flattened()) {
            let expected = f64::from(*x).exp();
            assert!(
                (f64::from(*value) - expected).abs() <= 2.5e-7 * expected + 1e-45,
                "{level:?} {x}: {value} {expected}"
            );
        }
    }
}

#[test]
fn norm_gate_and_rotation_are_those_of_the_formulas() {
    let (tokens, width) = (3, 64);
    let by_token: Vec<Vec<f32>> = (0..tokens as u64).map(|token| numbers(width, token + 1)).collect();
    let panels = |rows: &[Vec<f32>]| -> Vec<f32> {
        let panel = |panel: usize| rows.iter().flat_map(move |row| row[panel * LANES..(panel + 1) * LANES].to_vec());
        (0..width / LANES).flat_map(panel).collect()
    };
    let (input, weights) = (panels(&by_token), numbers(width, 99));
    let half = width / 2;
    let angles: Vec<f32> = (0..tokens)
        .flat_map(|token| {
            let angle = move |pair: usize| token as f32 * 0.3 * (pair as f32 + 1.0);
            (0..half).map(move |pair| angle(pair).cos()).chain((0..half).map(move |pair| angle(pair).sin()))
        })
        .collect();
    for level in Level::all() {
        let mut rotated = input.clone();
        level.run(Rotate { head: &mut rotated, tokens, norm: Some(&weights), epsilon: 1e-5, angles: &angles });
        for (token, x) in by_token.iter().enumerate() {
            let scale = 1.0 / (x.iter().map(|x| x * x).sum::<f32>() / width as f32 + 1e-5).sqrt();
            let normed: Vec<f32> = x.iter().zip(&weights).map(|(x, w)| x * scale * w).collect();
            let mut row = vec![0.0; width];
            level.run(Norm { input: &input, tokens, token, weights: &weights, epsilon: 1e-5, row: &mut row });
            let close = |a: f32, b: f32| assert!((a - b).abs() < 2e-6, "{level:?}: {a} {b}");
            row.iter().zip(&normed).for_each(|(a, b)| close(*a, *b));
            level.run(Gated { gate: &input, up: &input, tokens, token, row: &mut row });
            row.iter().zip(x).for_each(|(a, x)| close(*a, x / (1.0 + (-x).exp()) * x));
            for pair in 0..half {
                let (sin, cos) = (token as f32 * 0.3 * (pair as f32 + 1.0)).sin_cos();
                let (a, b) = (normed[pair], normed[pair + half]);
                let at = |index: usize| rotated[(index / LANES * tokens + token) * LANES + index % LANES];
                close(at(pair), a * cos - b * sin);
                close(at(pair + half), b * cos + a * sin);
            }
        }
    }
}

/// Keys and values of `positions` positions as pages, and row by row.
struct Kept<E> {
    pages: Vec<(Vec<E>, Vec<E>)>,
    keys: Vec<Vec<f32>>,
    values: Vec<Vec<f32>>,
}

fn kept<E: Element>(positions: usize, width: usize, of: impl Fn(f32) -> (E, f32)) -> Kept<E> {
    let rows = |seed: u64| -> Vec<Vec<(E, f32)>> {
        (0..positions).map(|at| numbers(width, seed + at as u64).into_iter().map(&of).collect()).collect()
    };
    let (keys, values) = (rows(1_000), rows(50_000));
    let page = |index: usize| {
        let (mut key_part, mut value_part) = (vec![E::default(); PAGE * width], vec![E::default(); PAGE * width]);
        for place in 0..PAGE.min(positions - index * PAGE) {
            for input in 0..width {
                key_part[(place / LANES * width + input) * LANES + place % LANES] = keys[index * PAGE + place][input].0;
                value_part[place * width + input] = values[index * PAGE + place][input].0;
            }
        }
        (key_part, value_part)
    };
    let plain = |rows: &[Vec<(E, f32)>]| rows.iter().map(|row| row.iter().map(|(_, value)| *value).collect()).collect();
    Kept { pages: (0..positions.div_ceil(PAGE)).map(page).collect(), keys: plain(&keys), values: plain(&values) }
}

/// Attention of `queries`, each seeing as many positions as `seen` says, as the kernels compute it.
fn attend<E: Element>(level: Level, kept: &Kept<E>, queries: &[Vec<f32>], seen: &[usize]) -> Vec<Vec<f32>> {
    let width = queries[0].len();
    let spans = seen.iter().max().unwrap().div_ceil(SPAN);
    let flat: Vec<f32> = queries.iter().flatten().map(|value| value / (width as f32).sqrt()).collect();
    let mut slots = vec![0.0; spans * queries.len() * slot_values(width)];
    for (span, slots) in slots.chunks_exact_mut(queries.len() * slot_values(width)).enumerate() {
        let limits: Vec<usize> = seen.iter().map(|seen| seen.saturating_sub(span * SPAN).min(SPAN)).collect();
        let page = |page: usize| {
            let (keys, values) = &kept.pages[span * SPAN / PAGE + page];
            PagePart { keys, values }
        };
        let element = std::marker::PhantomData::<E>;
        level.run(AttendSpan { width, queries: &flat, limits: &limits, page, slots, element });
    }
    let merged = |query: usize| {
        let mut output = vec![0.0; width];
        let slot = |span: usize| {
            let start = (span * queries.len() + query) * slot_values(width);
            &slots[start..start + slot_values(width)]
        };
        level.run(Merge { width, spans, slot, output: &mut output });
        output
    };
    (0..queries.len()).map(merged).collect()
}

#[test]
fn attention_is_the_softmax_over_what_each_query_sees() {
    let width = 32;
    let in_halves = kept(1_300, width, |value| (f16::from_f32(value).to_bits(), f16::from_f32(value).to_f32()));
    let queries: Vec<Vec<f32>> = (0..8).map(|query| numbers(width, 300 + query)).collect();
    let seen = [1, 2, 64, 65, 512, 513, 1_299, 1_300];
    for level in Level::all() {
        let results = attend(level, &in_halves, &queries, &seen);
        for ((query, seen), result) in queries.iter().zip(seen).zip(&results) {
            let score = |key: &Vec<f32>| {
                let product: f64 = query.iter().zip(key).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
                (product / f64::from(width as u32).sqrt()).exp()
            };
            let weights: Vec<f64> = in_halves.keys[..seen].iter().map(score).collect();
            let total: f64 = weights.iter().sum();
            for (input, value) in result.iter().enumerate() {
                let sum: f64 = weights.iter().zip(&in_halves.values).map(|(w, row)| w * f64::from(row[input])).sum();
                assert!((f64::from(*value) - sum / total).abs() < 1e-5, "{level:?} {seen}");
            }
        }
        // Alone, each query gives the same bits.
        for ((query, seen), result) in queries.iter().zip(seen).zip(&results) {
            let alone = attend(level, &in_halves, std::slice::from_ref(query), &[seen]);
            assert_eq!(&alone[0], result, "{level:?} {seen}");
        }
    }
}

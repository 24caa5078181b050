//! Weights, packed so that a register holds the same four inputs of 16 outputs.
//!
//! A panel is 16 rows (outputs) of a matrix. Within it four neighbouring inputs of each row lie side by side, 64 bytes in
//! all: what one `dot` takes. The bits are those of the file's blocks (formats: ggml's `block_q8_0`, `block_q4_K`,
//! `block_q6_K`), only their places change, so that packed weights are as large as the file's within 3 %.

use candle_core::Device;
use candle_core::quantized::GgmlDType;
use candle_core::quantized::ggml_file::qtensor_from_ggml;
use half::f16;
use memmap2::{Advice, MmapMut};

use super::LANES;
use crate::DecoderError;
use crate::gguf::TensorView;
use crate::team::Team;

/// Values that share a scale in `Q8_0` and in quantised activations.
pub(crate) const BLOCK: usize = 32;
/// Values of a super-block of `Q4_K` and `Q6_K`.
pub(crate) const SUPER: usize = 256;
/// Bytes that one `dot` takes.
pub(crate) const QUAD_BYTES: usize = 4 * LANES;

/// A matrix of `rows` outputs times `columns` inputs.
pub(crate) struct PackedMatrix {
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) format: Format,
}

/// How the values are written. All vectors are ordered by panel, then along the inputs.
pub(crate) enum Format {
    /// For every panel and input 16 numbers.
    F32(Vec<f32>),
    /// For every panel and block of 32 inputs: 8 quads of bytes, each the value plus 128; 16 scales (binary16).
    Q8 { quads: Quads, scales: Vec<[u16; LANES]> },
    /// For every panel and super-block: 4 times 8 quads; the low nibbles are the first 32 of 64 inputs, the high the rest.
    Q4 { quads: Quads, scales: Vec<Q4Scales> },
    /// For every panel and super-block: 4 times 8 quads of low nibbles as in Q4 and 4 quads of the two upper bits: of
    /// quad `i` bits `2 p` and `2 p + 1` belong to inputs `16 p + 4 i` on.
    Q6 { quads: Quads, scales: Vec<Q6Scales> },
}

/// Scales of 16 rows of a `Q4_K` super-block.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Q4Scales {
    /// binary16: factor of the scales.
    pub(crate) scale: [u16; LANES],
    /// binary16: factor of the minima.
    pub(crate) minimum: [u16; LANES],
    /// For each 32 inputs.
    pub(crate) scales: [[u8; LANES]; 8],
    /// For each 32 inputs.
    pub(crate) minima: [[u8; LANES]; 8],
}

/// Scales of 16 rows of a `Q6_K` super-block.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Q6Scales {
    /// binary16: factor of the scales.
    pub(crate) scale: [u16; LANES],
    /// For each 16 inputs.
    pub(crate) scales: [[i8; LANES]; 16],
}

/// Bytes in anonymous memory, on huge pages where the system has them: a token reads every weight once, and with small
/// pages a good part of that time goes into address translation.
pub(crate) struct Quads(MmapMut);

impl Quads {
    fn zeroed(bytes: usize) -> Result<Self, DecoderError> {
        let map = MmapMut::map_anon(bytes).map_err(|source| DecoderError::OutOfMemory { bytes, source })?;
        #[cfg(target_os = "linux")]
        if let Err(error) = map.advise(Advice::HugePage) {
            tracing::debug!(%error, "weights lie on small pages");
        }
        Ok(Self(map))
    }

    pub(crate) fn as_slice(&self) -> &[[u8; QUAD_BYTES]] {
        self.0.as_chunks().0
    }
}

impl PackedMatrix {
    /// Packs `tensor`; row `r` of the matrix is row `source_row(r)` of the tensor.
    pub(crate) fn new(
        tensor: &TensorView<'_>,
        team: &mut Team,
        source_row: impl Fn(usize) -> usize + Sync,
    ) -> Result<Self, DecoderError> {
        let (rows, columns) = (tensor.rows, tensor.columns);
        let reader = Reader { tensor, row_bytes: tensor.bytes.len() / rows, source_row: &source_row };
        let format = match tensor.kind {
            GgmlDType::F32 | GgmlDType::F16 | GgmlDType::BF16 => {
                let values = dequantised(tensor)?;
                let rows = rows_of(&values, columns, rows, &source_row);
                Format::F32(pack_floats(&rows, columns, team))
            }
            GgmlDType::Q8_0 => pack_q8(&reader, team)?,
            GgmlDType::Q4K => pack_q4(&reader, team)?,
            GgmlDType::Q6K => pack_q6(&reader, team)?,
            GgmlDType::Q4_0
            | GgmlDType::Q4_1
            | GgmlDType::Q5_0
            | GgmlDType::Q5_1
            | GgmlDType::Q2K
            | GgmlDType::Q3K
            | GgmlDType::Q5K => {
                let bytes = requantised(&dequantised(tensor)?);
                let view = TensorView { kind: GgmlDType::Q8_0, rows, columns, bytes: &bytes };
                let reader = Reader { tensor: &view, row_bytes: bytes.len() / rows, source_row: &source_row };
                pack_q8(&reader, team)?
            }
            other => return Err(DecoderError::Unsupported { what: format!("tensors of type {other:?}") }),
        };
        Ok(Self { rows, columns, format })
    }

    /// Number of panels.
    pub(crate) fn panels(&self) -> usize {
        self.rows.div_ceil(LANES)
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        match &self.format {
            Format::F32(values) => size_of_val(values.as_slice()),
            Format::Q8 { quads, scales } => quads.0.len() + size_of_val(scales.as_slice()),
            Format::Q4 { quads, scales } => quads.0.len() + size_of_val(scales.as_slice()),
            Format::Q6 { quads, scales } => quads.0.len() + size_of_val(scales.as_slice()),
        }
    }

    /// Writes the values of one row to `target`, `columns` long: the embedding of a token.
    pub(crate) fn read_row(&self, row: usize, target: &mut [f32]) {
        let (panel, lane) = (row / LANES, row % LANES);
        let half = |bits: Option<&u16>| bits.map_or(0.0, |bits| f16::from_bits(*bits).to_f32());
        match &self.format {
            Format::F32(values) => {
                let panel = values.get(panel * self.columns * LANES..).unwrap_or_default();
                for (target, lanes) in target.iter_mut().zip(panel.chunks_exact(LANES)) {
                    *target = lanes.get(lane).copied().unwrap_or(0.0);
                }
            }
            Format::Q8 { quads, scales } => {
                let blocks = self.columns / BLOCK;
                let quads = quads.as_slice().get(panel * blocks * 8..).unwrap_or_default();
                let scales = scales.get(panel * blocks..).unwrap_or_default();
                for ((target, quads), scales) in target.chunks_exact_mut(BLOCK).zip(quads.chunks_exact(8)).zip(scales) {
                    let scale = half(scales.get(lane));
                    for (target, quad) in target.chunks_exact_mut(4).zip(quads) {
                        for (target, byte) in target.iter_mut().zip(four(quad, lane)) {
                            *target = scale * (f32::from(byte) - 128.0);
                        }
                    }
                }
            }
            Format::Q4 { quads, scales } => {
                let supers = self.columns / SUPER;
                let quads = quads.as_slice().get(panel * supers * 32..).unwrap_or_default();
                let scales = scales.get(panel * supers..).unwrap_or_default();
                for ((target, quads), scales) in target.chunks_exact_mut(SUPER).zip(quads.chunks_exact(32)).zip(scales)
                {
                    let (scale, minimum) = (half(scales.scale.get(lane)), half(scales.minimum.get(lane)));
                    for (index, value) in target.iter_mut().enumerate() {
                        let group = index / 32;
                        let of = |values: &[[u8; LANES]; 8]| {
                            values.get(group).and_then(|lanes| lanes.get(lane)).map_or(0.0, |value| f32::from(*value))
                        };
                        let nibble = f32::from(nibble(quads, index, lane));
                        *value = scale * of(&scales.scales) * nibble - minimum * of(&scales.minima);
                    }
                }
            }
            Format::Q6 { quads, scales } => {
                let supers = self.columns / SUPER;
                let quads = quads.as_slice().get(panel * supers * 48..).unwrap_or_default();
                let scales = scales.get(panel * supers..).unwrap_or_default();
                for ((target, quads), scales) in target.chunks_exact_mut(SUPER).zip(quads.chunks_exact(48)).zip(scales)
                {
                    let scale = half(scales.scale.get(lane));
                    for (index, value) in target.iter_mut().enumerate() {
                        let group = scales.scales.get(index / 16).and_then(|lanes| lanes.get(lane));
                        let part = quads.chunks_exact(12).nth(index / 64).unwrap_or_default();
                        let low = nibble(part, index % 64, lane);
                        let high = part.get(8 + index % 16 / 4).map_or(0, |quad| byte(quad, lane, index % 4));
                        let six = low | ((high >> (2 * (index % 64 / 16))) & 3) << 4;
                        *value = scale * group.map_or(0.0, |group| f32::from(*group)) * (f32::from(six) - 32.0);
                    }
                }
            }
        }
    }
}

/// The four bytes of one lane.
fn four(quad: &[u8; QUAD_BYTES], lane: usize) -> [u8; 4] {
    quad.as_chunks::<4>().0.get(lane).copied().unwrap_or_default()
}

fn byte(quad: &[u8; QUAD_BYTES], lane: usize, index: usize) -> u8 {
    quad.get(4 * lane + index).copied().unwrap_or_default()
}

/// The nibble of input `index`; 64 inputs take 8 quads.
fn nibble(quads: &[[u8; QUAD_BYTES]], index: usize, lane: usize) -> u8 {
    let within = index % 64;
    let byte = quads.get(index / 64 * 8 + within % 32 / 4).map_or(0, |quad| byte(quad, lane, index % 4));
    if within < 32 { byte & 0x0F } else { byte >> 4 }
}

/// Rows of a tensor as bytes, in the order of the packed matrix.
struct Reader<'a> {
    tensor: &'a TensorView<'a>,
    row_bytes: usize,
    source_row: &'a (dyn Fn(usize) -> usize + Sync),
}

impl Reader<'_> {
    /// Row `row` as blocks of `SIZE` bytes; nothing past the last row.
    fn blocks<const SIZE: usize>(&self, row: usize) -> &[[u8; SIZE]] {
        if row >= self.tensor.rows {
            return &[];
        }
        let start = (self.source_row)(row) * self.row_bytes;
        self.tensor.bytes.get(start..start + self.row_bytes).unwrap_or_default().as_chunks().0
    }

    fn panels(&self) -> usize {
        self.tensor.rows.div_ceil(LANES)
    }
}

/// A panel's quads and scales, to be filled by one member of the team.
type Piece<'a, S> = (&'a mut [[u8; QUAD_BYTES]], &'a mut [S]);

/// Allocates quads and scales for every panel and lets `fill` write them, panel by panel.
fn pack_panels<S: Copy + Send>(
    panels: usize,
    quads_per_panel: usize,
    empty_scales: Vec<S>,
    team: &mut Team,
    fill: impl Fn(usize, &mut [[u8; QUAD_BYTES]], &mut [S]) + Sync,
) -> Result<(Quads, Vec<S>), DecoderError> {
    let mut quads = Quads::zeroed(panels * quads_per_panel * QUAD_BYTES)?;
    let mut scales = empty_scales;
    let scales_per_panel = (scales.len() / panels.max(1)).max(1);
    let (all, _) = quads.0.as_chunks_mut::<QUAD_BYTES>();
    let mut pieces: Vec<Piece<'_, S>> =
        all.chunks_exact_mut(quads_per_panel).zip(scales.chunks_exact_mut(scales_per_panel)).collect();
    team.for_each(&mut pieces, 1, |panel, pieces| {
        for (quads, scales) in pieces {
            fill(panel, quads, scales);
        }
    });
    Ok((quads, scales))
}

fn half_at<const SIZE: usize>(block: &[u8; SIZE], at: usize) -> u16 {
    match block.get(at..at + 2) {
        Some(&[low, high]) => u16::from_le_bytes([low, high]),
        _ => 0,
    }
}

fn set<T>(values: &mut [T], index: usize, value: T) {
    if let Some(slot) = values.get_mut(index) {
        *slot = value;
    }
}

/// `block_q8_0`: a scale (binary16) and 32 signed bytes.
fn pack_q8(reader: &Reader<'_>, team: &mut Team) -> Result<Format, DecoderError> {
    let blocks = reader.tensor.columns / BLOCK;
    let panels = reader.panels();
    let empty = vec![[0_u16; LANES]; panels * blocks];
    let (quads, scales) = pack_panels(panels, blocks * 8, empty, team, |panel, quads, scales| {
        for lane in 0..LANES {
            let rows = reader.blocks::<34>(panel * LANES + lane);
            for ((block, quads), scales) in rows.iter().zip(quads.chunks_exact_mut(8)).zip(scales.iter_mut()) {
                set(scales, lane, half_at(block, 0));
                let values = block.get(2..).unwrap_or_default();
                for (values, quad) in values.as_chunks::<4>().0.iter().zip(quads) {
                    if let Some(four) = quad.as_chunks_mut::<4>().0.get_mut(lane) {
                        *four = values.map(|value| value ^ 0x80);
                    }
                }
            }
        }
    })?;
    Ok(Format::Q8 { quads, scales })
}

/// `block_q4_K`: factor of scales and of minima (binary16), 8 scales and minima of 6 bits in 12 bytes, 128 bytes of nibbles.
fn pack_q4(reader: &Reader<'_>, team: &mut Team) -> Result<Format, DecoderError> {
    let supers = reader.tensor.columns / SUPER;
    let panels = reader.panels();
    let empty = Q4Scales { scale: [0; LANES], minimum: [0; LANES], scales: [[0; LANES]; 8], minima: [[0; LANES]; 8] };
    let (quads, scales) =
        pack_panels(panels, supers * 32, vec![empty; panels * supers], team, |panel, quads, scales| {
            for lane in 0..LANES {
                let rows = reader.blocks::<144>(panel * LANES + lane);
                for ((block, quads), scales) in rows.iter().zip(quads.chunks_exact_mut(32)).zip(scales.iter_mut()) {
                    set(&mut scales.scale, lane, half_at(block, 0));
                    set(&mut scales.minimum, lane, half_at(block, 2));
                    let six = six_bits(block.get(4..16).unwrap_or_default());
                    for ((scale, minimum), (to_scale, to_minimum)) in
                        six.into_iter().zip(scales.scales.iter_mut().zip(&mut scales.minima))
                    {
                        set(to_scale, lane, scale);
                        set(to_minimum, lane, minimum);
                    }
                    // The file's order is the packed order: 32 bytes for 64 values, low nibbles first.
                    let values = block.get(16..).unwrap_or_default();
                    for (values, quad) in values.as_chunks::<4>().0.iter().zip(quads) {
                        if let Some(four) = quad.as_chunks_mut::<4>().0.get_mut(lane) {
                            *four = *values;
                        }
                    }
                }
            }
        })?;
    Ok(Format::Q4 { quads, scales })
}

/// The 8 pairs of scale and minimum in the 12 bytes of a `block_q4_K`: the first four pairs have their six bits in bytes 0
/// to 7, the others four bits in bytes 8 to 11 and two above those of the first.
fn six_bits(bytes: &[u8]) -> [(u8, u8); 8] {
    let at = |index: usize| bytes.get(index).copied().unwrap_or_default();
    std::array::from_fn(|index| {
        if index < 4 {
            (at(index) & 63, at(index + 4) & 63)
        } else {
            let low = at(index + 4);
            ((low & 0x0F) | (at(index - 4) >> 6) << 4, (low >> 4) | (at(index) >> 6) << 4)
        }
    })
}

/// `block_q6_K`: 128 bytes of low nibbles, 64 bytes of upper pairs of bits, 16 signed scales, a factor (binary16). Of each
/// 128 values, the nibble of value `32 q + l` is in byte `l + 32 (q % 2)`, in its high half for `q >= 2`; the pair is
/// pair `q` of byte `l`.
fn pack_q6(reader: &Reader<'_>, team: &mut Team) -> Result<Format, DecoderError> {
    let supers = reader.tensor.columns / SUPER;
    let panels = reader.panels();
    let empty = Q6Scales { scale: [0; LANES], scales: [[0; LANES]; 16] };
    let (quads, scales) =
        pack_panels(panels, supers * 48, vec![empty; panels * supers], team, |panel, quads, scales| {
            for lane in 0..LANES {
                let rows = reader.blocks::<210>(panel * LANES + lane);
                for ((block, quads), scales) in rows.iter().zip(quads.chunks_exact_mut(48)).zip(scales.iter_mut()) {
                    set(&mut scales.scale, lane, half_at(block, 208));
                    for (scale, group) in block.get(192..208).unwrap_or_default().iter().zip(&mut scales.scales) {
                        set(group, lane, *scale as i8);
                    }
                    for (index, six) in six_bit_values(block).into_iter().enumerate() {
                        put_six(quads, index, lane, six);
                    }
                }
            }
        })?;
    Ok(Format::Q6 { quads, scales })
}

/// The 256 values of a `block_q6_K`, 0 to 63.
fn six_bit_values(block: &[u8; 210]) -> [u8; SUPER] {
    let at = |index: usize| block.get(index).copied().unwrap_or_default();
    std::array::from_fn(|index| {
        let (half, within) = (index / 128, index % 128);
        let (quarter, place) = (within / 32, within % 32);
        let byte = at(half * 64 + place + 32 * (quarter % 2));
        let low = if quarter < 2 { byte & 0x0F } else { byte >> 4 };
        let high = (at(128 + half * 32 + place) >> (2 * quarter)) & 3;
        low | high << 4
    })
}

fn put_six(quads: &mut [[u8; QUAD_BYTES]], index: usize, lane: usize, six: u8) {
    let (part, within) = (index / 64 * 12, index % 64);
    let place = 4 * lane + index % 4;
    let nibble = if within < 32 { six & 0x0F } else { six << 4 };
    if let Some(slot) = quads.get_mut(part + within % 32 / 4).and_then(|quad| quad.get_mut(place)) {
        *slot |= nibble;
    }
    if let Some(slot) = quads.get_mut(part + 8 + within % 16 / 4).and_then(|quad| quad.get_mut(place)) {
        *slot |= (six >> 4) << (2 * (within / 16));
    }
}

fn dequantised(tensor: &TensorView<'_>) -> Result<Vec<f32>, DecoderError> {
    let refused = |error: candle_core::Error| DecoderError::Inconsistent(error.to_string());
    let dims = vec![tensor.rows, tensor.columns];
    let quantised = qtensor_from_ggml(tensor.kind, tensor.bytes, dims, &Device::Cpu).map_err(refused)?;
    let values = quantised.dequantize(&Device::Cpu).and_then(|tensor| tensor.flatten_all()).map_err(refused)?;
    values.to_vec1::<f32>().map_err(refused)
}

fn rows_of<'a>(values: &'a [f32], columns: usize, rows: usize, source_row: &impl Fn(usize) -> usize) -> Vec<&'a [f32]> {
    let row = |row| {
        let start = source_row(row) * columns;
        values.get(start..start + columns).unwrap_or_default()
    };
    (0..rows).map(row).collect()
}

fn pack_floats(rows: &[&[f32]], columns: usize, team: &mut Team) -> Vec<f32> {
    let mut packed = vec![0.0; rows.len().div_ceil(LANES) * columns * LANES];
    team.for_each(&mut packed, columns * LANES, |panel, packed| {
        for (lane, row) in rows.iter().skip(panel * LANES).take(LANES).enumerate() {
            for (value, lanes) in row.iter().zip(packed.chunks_exact_mut(LANES)) {
                set(lanes, lane, *value);
            }
        }
    });
    packed
}

/// `values` as `block_q8_0`: the scale is a 127th of the largest value of 32, kept as binary16.
fn requantised(values: &[f32]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(values.len() / BLOCK * 34);
    for block in values.chunks_exact(BLOCK) {
        let largest = block.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
        let scale = largest / 127.0;
        let inverse = if scale > 0.0 { 1.0 / scale } else { 0.0 };
        bytes.extend(f16::from_f32(scale).to_bits().to_le_bytes());
        bytes.extend(block.iter().map(|value| (value * inverse).round() as i8 as u8));
    }
    bytes
}

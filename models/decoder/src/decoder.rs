//! The forward pass.

use crate::cache::{Cache, CachePool, CachePrecision, Kept, Layout, PAGE_TOKENS, Put};
use crate::kernels::activation::{ActivationTile, Activations, Wanted};
use crate::kernels::attention::{AttendSpan, Merge, QUERIES, SPAN, WIDEST_HEAD, slot_values};
use crate::kernels::pack::{Format, PackedMatrix};
use crate::kernels::product::Product;
use crate::kernels::vector::{Gated, Norm, Rotate};
use crate::kernels::{LANES, Level};
use crate::shape::Shape;
use crate::team::Team;
use crate::weights::{Layer, Weights};
use crate::{DecoderError, Gguf};

/// How a decoder runs.
#[derive(Clone, Debug, PartialEq)]
pub struct DecoderOptions {
    /// Threads that compute; all cores if not set.
    pub threads: Option<usize>,
    /// Tokens that are computed together at most; longer steps are taken in parts.
    pub max_batch_tokens: usize,
    /// Memory for keys and values.
    pub cache: CacheOptions,
}

/// Memory for keys and values.
#[derive(Clone, Debug, PartialEq)]
pub struct CacheOptions {
    /// Bytes of all sequences together.
    pub max_bytes: usize,
    /// How they are kept.
    pub precision: CachePrecision,
}

impl Default for DecoderOptions {
    fn default() -> Self {
        let cache = CacheOptions { max_bytes: 2 << 30, precision: CachePrecision::Half };
        Self { threads: None, max_batch_tokens: 256, cache }
    }
}

/// Which logits a step wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Logits {
    /// None: the prompt goes on.
    None,
    /// Those after the step's last token.
    Last,
    /// Those after each of its tokens.
    All,
}

/// More tokens for one sequence.
#[derive(Debug)]
pub struct Step<'a> {
    /// The sequence so far; the step's tokens are appended.
    pub cache: &'a mut Cache,
    /// At least one.
    pub tokens: &'a [u32],
    /// Which logits are wanted.
    pub logits: Logits,
}

/// A model that can be run.
pub struct Decoder {
    shape: Shape,
    weights: Weights,
    pool: CachePool,
    team: Team,
    level: Level,
    max_batch_tokens: usize,
    /// Per pair of a head's values: the angle of one position, in radians.
    frequencies: Vec<f32>,
    scratch: Scratch,
}

/// Buffers that stay from pass to pass. Activations lie panel by panel, see [`Product`].
#[derive(Default)]
struct Scratch {
    residual: Vec<f32>,
    activations: Activations,
    query_key_value: Vec<f32>,
    slots: Vec<f32>,
    gate_up: Vec<f32>,
    angles: Vec<f32>,
    logits: Vec<f32>,
}

/// Neighbouring tokens of one step in a pass.
#[derive(Clone, Copy)]
struct Segment {
    step: usize,
    /// First token within the step and within the pass.
    from: usize,
    first: usize,
    count: usize,
    /// Position of the first token in its sequence.
    position: usize,
    /// First slot of attention.
    slot: usize,
}

impl Segment {
    /// Tiles of queries of one key-value head.
    fn tiles(&self, shape: &Shape) -> usize {
        (self.count * shape.group()).div_ceil(QUERIES)
    }

    /// Tiles of all heads, one for every span that they see.
    fn slots(&self, shape: &Shape) -> usize {
        shape.key_value_heads * self.tiles(shape) * spans(self)
    }
}

impl Decoder {
    /// Packs the weights of `gguf`, which may be dropped afterwards.
    pub fn load(gguf: &Gguf, options: &DecoderOptions) -> Result<Self, DecoderError> {
        let shape = Shape::of(gguf)?;
        let cores = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let mut team = Team::new(options.threads.unwrap_or_else(cores).max(1));
        let weights = Weights::load(gguf, &shape, &mut team)?;
        let layout = Layout {
            layers: shape.layers,
            heads: shape.key_value_heads,
            width: shape.head_width,
            precision: options.cache.precision,
        };
        let frequencies = frequencies(&shape, &weights.rope_factors);
        Ok(Self {
            pool: CachePool::new(layout, options.cache.max_bytes),
            shape,
            weights,
            team,
            level: Level::detect(),
            max_batch_tokens: options.max_batch_tokens.max(1),
            frequencies,
            scratch: Scratch::default(),
        })
    }

    /// Its sizes.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// Where caches come from.
    pub fn pool(&self) -> &CachePool {
        &self.pool
    }

    /// Bytes of the packed weights.
    pub fn weight_bytes(&self) -> usize {
        self.weights.bytes()
    }

    /// Threads that compute, the caller's included.
    pub fn threads(&self) -> usize {
        self.team.size()
    }

    /// Appends every step's tokens to its cache and returns the logits that were asked for, in the order of the steps and
    /// of their tokens: rows of `vocabulary` values.
    ///
    /// Sequences do not influence each other: a batch gives bit for bit what its steps give one by one, and a step what its
    /// tokens give one by one. A step that fails has changed no cache.
    pub fn forward(&mut self, steps: &mut [Step<'_>]) -> Result<Vec<Vec<f32>>, DecoderError> {
        self.check(steps)?;
        for index in 0..steps.len() {
            let reserved = steps.get_mut(index).map_or(Ok(()), |step| step.cache.reserve(step.tokens.len()));
            if let Err(error) = reserved {
                for step in steps.iter_mut() {
                    step.cache.give_back_spare();
                }
                return Err(error);
            }
        }
        let mut rows = Vec::new();
        let mut next = (0, 0);
        loop {
            let segments = self.next_pass(steps, &mut next);
            if segments.is_empty() {
                break;
            }
            self.embed(steps, &segments);
            self.angles(&segments);
            match self.precision() {
                CachePrecision::Half => self.layers::<u16>(steps, &segments),
                CachePrecision::Single => self.layers::<f32>(steps, &segments),
            }
            self.logits(steps, &segments, &mut rows);
        }
        for step in steps {
            step.cache.advance(step.tokens.len());
        }
        Ok(rows)
    }

    fn precision(&self) -> CachePrecision {
        self.pool.layout().precision
    }

    fn check(&self, steps: &[Step<'_>]) -> Result<(), DecoderError> {
        let (vocabulary, context) = (self.shape.vocabulary, self.shape.context);
        for step in steps {
            if !step.cache.is_of(&self.pool) {
                return Err(DecoderError::ForeignCache);
            }
            if step.tokens.is_empty() {
                return Err(DecoderError::EmptyStep);
            }
            if let Some(token) = step.tokens.iter().find(|token| **token as usize >= vocabulary) {
                return Err(DecoderError::UnknownToken { token: *token, vocabulary });
            }
            let tokens = step.cache.len() + step.tokens.len();
            if tokens > context {
                return Err(DecoderError::ContextTooLong { tokens, context });
            }
        }
        Ok(())
    }

    /// The tokens of the next pass, from `next` (step and token) on.
    fn next_pass(&self, steps: &[Step<'_>], next: &mut (usize, usize)) -> Vec<Segment> {
        let (mut segments, mut first, mut slot) = (Vec::new(), 0, 0);
        while let Some(step) = steps.get(next.0) {
            let from = next.1;
            let count = (step.tokens.len() - from).min(self.max_batch_tokens - first);
            if count == 0 {
                break;
            }
            let segment = Segment { step: next.0, from, first, count, position: step.cache.len() + from, slot };
            first += count;
            slot += segment.slots(&self.shape);
            segments.push(segment);
            *next = if from + count == step.tokens.len() { (next.0 + 1, 0) } else { (next.0, from + count) };
        }
        segments
    }

    /// Starts the residual stream with the tokens' embeddings.
    fn embed(&mut self, steps: &[Step<'_>], segments: &[Segment]) {
        let tokens = tokens_of(segments);
        let hidden = self.shape.hidden;
        let residual = &mut self.scratch.residual;
        residual.resize(tokens * hidden, 0.0);
        let mut row = vec![0.0; hidden];
        for segment in segments {
            let ids = steps.get(segment.step).map_or(&[][..], |step| step.tokens).iter().skip(segment.from);
            for (token, id) in (segment.first..segment.first + segment.count).zip(ids) {
                self.weights.embedding.read_row(*id as usize, &mut row);
                let places = residual.as_chunks_mut::<LANES>().0.iter_mut().skip(token).step_by(tokens);
                for (place, values) in places.zip(row.as_chunks::<LANES>().0) {
                    *place = *values;
                }
            }
        }
    }

    /// Cosines and sines of every token's position.
    fn angles(&mut self, segments: &[Segment]) {
        let angles = &mut self.scratch.angles;
        angles.clear();
        for segment in segments {
            for position in segment.position..segment.position + segment.count {
                let angle = |frequency: &f32| position as f32 * frequency;
                angles.extend(self.frequencies.iter().map(|frequency| angle(frequency).cos()));
                angles.extend(self.frequencies.iter().map(|frequency| angle(frequency).sin()));
            }
        }
    }

    fn layers<E: Kept>(&mut self, steps: &mut [Step<'_>], segments: &[Segment]) {
        for index in 0..self.weights.layers.len() {
            self.attention::<E>(index, steps, segments);
            self.feed_forward(index, tokens_of(segments));
        }
    }

    fn attention<E: Kept>(&mut self, index: usize, steps: &mut [Step<'_>], segments: &[Segment]) {
        let Some(layer) = self.weights.layers.get(index) else { return };
        let tokens = tokens_of(segments);
        let shape = &self.shape;
        let (level, team, scratch) = (self.level, &mut self.team, &mut self.scratch);
        let [queries, keys, values] = &layer.query_key_value;
        let parts = [queries, keys, values];
        let normed = Normed { weights: &layer.attention_norm, epsilon: shape.norm_epsilon, level };
        normed.prepare(team, &mut scratch.activations, &scratch.residual, tokens, wanted(&parts));
        let query_values = tokens * shape.query_width();
        let key_values = tokens * shape.key_width();
        scratch.query_key_value.resize(query_values + 2 * key_values, 0.0);
        multiply(team, level, &parts, &scratch.activations, tokens, &mut scratch.query_key_value, false);

        let (query_part, rest) = scratch.query_key_value.split_at_mut(query_values);
        let (key_part, value_part) = rest.split_at_mut(key_values);
        let head_values = tokens * shape.head_width;
        for (heads, norm) in [(&mut *query_part, &layer.query_norm), (&mut *key_part, &layer.key_norm)] {
            let (norm, angles) = (norm.as_deref(), scratch.angles.as_slice());
            let grain = if tokens < 8 { heads.len() } else { head_values };
            team.for_each(heads, grain, |_, heads| {
                for head in heads.chunks_exact_mut(head_values) {
                    level.run(Rotate { head, tokens, norm, epsilon: shape.norm_epsilon, angles });
                }
            });
        }
        append::<E>(team, level, index, steps, segments, (key_part, value_part, head_values));

        let group = shape.group();
        let task = Attention { shape, level, group, layer: index, tokens, queries: query_part, steps, segments };
        let tile_values = QUERIES * slot_values(shape.head_width);
        scratch.slots.resize(task.slot_count() * tile_values, 0.0);
        team.for_each(&mut scratch.slots, tile_values, |slot, target| task.tile::<E>(slot, target));

        let slots = scratch.slots.as_slice();
        let output = [&layer.attention_output];
        let tiles = scratch.activations.prepare(tokens, shape.query_width(), wanted(&output));
        team.for_each(tiles, 1, |_, tiles| {
            for tile in tiles {
                for index in 0..tile.width {
                    task.merge(tile.first + index, slots, &mut tile.row);
                    tile.put(level, index);
                }
            }
        });
        multiply(team, level, &output, &scratch.activations, tokens, &mut scratch.residual, true);
    }

    fn feed_forward(&mut self, index: usize, tokens: usize) {
        let Some(Layer { feed_norm, gate_up: [gate, up], down, .. }) = self.weights.layers.get(index) else { return };
        let (level, team, scratch) = (self.level, &mut self.team, &mut self.scratch);
        let feed = self.shape.feed_forward;
        let normed = Normed { weights: feed_norm, epsilon: self.shape.norm_epsilon, level };
        normed.prepare(team, &mut scratch.activations, &scratch.residual, tokens, wanted(&[gate, up]));
        scratch.gate_up.resize(2 * tokens * feed, 0.0);
        multiply(team, level, &[gate, up], &scratch.activations, tokens, &mut scratch.gate_up, false);
        let (gates, ups) = scratch.gate_up.split_at(tokens * feed);
        let tiles = scratch.activations.prepare(tokens, feed, wanted(&[down]));
        team.for_each(tiles, 1, |_, tiles| {
            for tile in tiles {
                for index in 0..tile.width {
                    let (token, row) = (tile.first + index, tile.row.as_mut_slice());
                    level.run(Gated { gate: gates, up: ups, tokens, token, row });
                    tile.put(level, index);
                }
            }
        });
        multiply(team, level, &[down], &scratch.activations, tokens, &mut scratch.residual, true);
    }

    /// Appends the rows that were asked for.
    fn logits(&mut self, steps: &[Step<'_>], segments: &[Segment], rows: &mut Vec<Vec<f32>>) {
        let mut chosen = Vec::new();
        for segment in segments {
            let Some(step) = steps.get(segment.step) else { continue };
            let last = segment.from + segment.count == step.tokens.len();
            match step.logits {
                Logits::All => chosen.extend(segment.first..segment.first + segment.count),
                Logits::Last if last => chosen.push(segment.first + segment.count - 1),
                Logits::Last | Logits::None => {}
            }
        }
        let tokens = tokens_of(segments);
        let head = self.weights.head();
        let vocabulary = self.shape.vocabulary;
        // A few rows at a time: the logits of a token are larger than all else that is computed for it.
        for chosen in chosen.chunks(2 * QUERIES) {
            let (level, team, scratch) = (self.level, &mut self.team, &mut self.scratch);
            let tiles = scratch.activations.prepare(chosen.len(), self.shape.hidden, wanted(&[head]));
            let (weights, epsilon, input) = (&self.weights.norm, self.shape.norm_epsilon, scratch.residual.as_slice());
            team.for_each(tiles, 1, |_, tiles| {
                for tile in tiles {
                    for index in 0..tile.width {
                        let Some(token) = chosen.get(tile.first + index).copied() else { continue };
                        level.run(Norm { input, tokens, token, weights, epsilon, row: &mut tile.row });
                        tile.put(level, index);
                    }
                }
            });
            scratch.logits.resize(head.panels() * LANES * chosen.len(), 0.0);
            multiply(team, level, &[head], &scratch.activations, chosen.len(), &mut scratch.logits, false);
            let panels = scratch.logits.as_chunks::<LANES>().0;
            for index in 0..chosen.len() {
                let mut row = Vec::with_capacity(head.panels() * LANES);
                panels.iter().skip(index).step_by(chosen.len()).for_each(|values| row.extend_from_slice(values));
                row.truncate(vocabulary);
                rows.push(row);
            }
        }
    }
}

/// Tokens of a pass.
fn tokens_of(segments: &[Segment]) -> usize {
    segments.iter().map(|segment| segment.count).sum()
}

/// Spans that the last token of a segment sees.
fn spans(segment: &Segment) -> usize {
    (segment.position + segment.count).div_ceil(SPAN)
}

/// `base ^ (-2 i / width)` for each pair of values, divided by the model's scaling.
fn frequencies(shape: &Shape, factors: &[f32]) -> Vec<f32> {
    let pairs = shape.head_width / 2;
    let plain = (0..pairs).map(|pair| {
        let exponent = -2.0 * pair as f64 / shape.head_width as f64;
        f64::from(shape.rope_base).powf(exponent) / f64::from(shape.rope_divisor)
    });
    plain
        .enumerate()
        .map(|(pair, frequency)| (frequency / f64::from(factors.get(pair).copied().unwrap_or(1.0))) as f32)
        .collect()
}

/// What products with these matrices read.
fn wanted(matrices: &[&PackedMatrix]) -> Wanted {
    let floats = matrices.iter().any(|matrix| matches!(matrix.format, Format::F32(_)));
    let bytes = matrices.iter().any(|matrix| !matches!(matrix.format, Format::F32(_)));
    Wanted { bytes, floats }
}

/// The norm before a product.
struct Normed<'a> {
    weights: &'a [f32],
    epsilon: f32,
    level: Level,
}

impl Normed<'_> {
    fn prepare(&self, team: &mut Team, activations: &mut Activations, input: &[f32], tokens: usize, wanted: Wanted) {
        let tiles: &mut [ActivationTile] = activations.prepare(tokens, self.weights.len(), wanted);
        team.for_each(tiles, 1, |_, tiles| {
            for tile in tiles {
                for index in 0..tile.width {
                    let (weights, epsilon, token) = (self.weights, self.epsilon, tile.first + index);
                    self.level.run(Norm { input, tokens, token, weights, epsilon, row: &mut tile.row });
                    tile.put(self.level, index);
                }
            }
        });
    }
}

/// Products of the stacked `matrices` with the activations, panels shared out among the team.
fn multiply(
    team: &mut Team,
    level: Level,
    matrices: &[&PackedMatrix],
    activations: &Activations,
    tokens: usize,
    output: &mut [f32],
    add: bool,
) {
    let panel_values = tokens * LANES;
    let panels: usize = matrices.iter().map(|matrix| matrix.panels()).sum();
    // Some pieces for each member, so that one that is held up does not hold up the others.
    let grain = panels.div_ceil(8 * team.size()).max(1);
    let tiles = activations.tiles();
    team.for_each(output, grain * panel_values, |index, output| {
        let mut panel = index * grain;
        let mut output = output;
        let mut begin = 0;
        for matrix in matrices {
            let end = begin + matrix.panels();
            if panel < end && !output.is_empty() {
                let count = ((end - panel) * panel_values).min(output.len());
                let (part, rest) = output.split_at_mut(count);
                level.run(Product { matrix, first_panel: panel - begin, tiles, tokens, output: part, add });
                panel += count / panel_values;
                output = rest;
            }
            begin = end;
        }
    });
}

/// Writes the new keys and values of every sequence into its cache.
fn append<E: Kept>(
    team: &mut Team,
    level: Level,
    layer: usize,
    steps: &mut [Step<'_>],
    segments: &[Segment],
    (keys, values, head_values): (&[f32], &[f32], usize),
) {
    let tokens = tokens_of(segments);
    for segment in segments {
        let Some(step) = steps.get_mut(segment.step) else { continue };
        let mut done = 0;
        while done < segment.count {
            let position = segment.position + done;
            let place = position % PAGE_TOKENS;
            let count = (PAGE_TOKENS - place).min(segment.count - done);
            let token = segment.first + done;
            let heads = step.cache.layer_mut::<E>(position / PAGE_TOKENS, layer);
            let head_part = heads.len() / (keys.len() / head_values).max(1);
            let grain = if count < 8 { heads.len() } else { head_part };
            team.for_each(heads, grain, |first, parts| {
                for (index, part) in parts.chunks_exact_mut(head_part).enumerate() {
                    let head = first * (grain / head_part) + index;
                    let of = |all: &'_ [f32]| head * head_values..((head + 1) * head_values).min(all.len());
                    let (Some(keys), Some(values)) = (keys.get(of(keys)), values.get(of(values))) else { continue };
                    level.run(Put { part, keys, values, tokens, token, place, count });
                }
            });
            done += count;
        }
    }
}

/// The attention of one layer for all tokens of a pass.
struct Attention<'a, 's> {
    shape: &'a Shape,
    level: Level,
    group: usize,
    layer: usize,
    tokens: usize,
    queries: &'a [f32],
    steps: &'a [Step<'s>],
    segments: &'a [Segment],
}

impl Attention<'_, '_> {
    /// Tiles of queries, one for every span that they see.
    fn slot_count(&self) -> usize {
        self.segments.last().map_or(0, |segment| segment.slot + segment.slots(self.shape))
    }

    /// Computes tile `slot` into `target`.
    fn tile<E: Kept>(&self, slot: usize, target: &mut [f32]) {
        let of = self.segments.partition_point(|segment| segment.slot <= slot).saturating_sub(1);
        let Some(segment) = self.segments.get(of) else { return };
        let Some(step) = self.steps.get(segment.step) else { return };
        let within = slot - segment.slot;
        let (span, tile) = (within % spans(segment), within / spans(segment));
        let (tile, head) = (tile % segment.tiles(self.shape), tile / segment.tiles(self.shape));
        let width = self.shape.head_width;
        let scale = 1.0 / (width as f32).sqrt();
        let mut queries = [0.0_f32; QUERIES * WIDEST_HEAD];
        let mut limits = [0_usize; QUERIES];
        let rows = (segment.count * self.group - tile * QUERIES).min(QUERIES);
        for ((row, query), limit) in queries.chunks_exact_mut(width).take(rows).enumerate().zip(&mut limits) {
            let flat = tile * QUERIES + row;
            let (token, member) = (flat / self.group, flat % self.group);
            let start = (head * self.group + member) * width * self.tokens;
            let panels = self.queries.get(start..).unwrap_or_default().as_chunks::<LANES>().0;
            let panels = panels.iter().skip(segment.first + token).step_by(self.tokens).flatten();
            for (value, target) in panels.zip(query) {
                *target = value * scale;
            }
            *limit = (segment.position + token + 1).saturating_sub(span * SPAN).min(SPAN);
        }
        let Some(limits) = limits.get(..rows) else { return };
        let first_page = span * SPAN / PAGE_TOKENS;
        self.level.run(AttendSpan {
            width,
            queries: &queries,
            limits,
            page: |page| step.cache.part::<E>(first_page + page, self.layer, head),
            slots: target,
            element: std::marker::PhantomData,
        });
    }

    /// The attention's result for token `token` of the pass, all heads, into `row`.
    fn merge(&self, token: usize, slots: &[f32], row: &mut [f32]) {
        let of = self.segments.partition_point(|segment| segment.first <= token).saturating_sub(1);
        let Some(segment) = self.segments.get(of) else { return };
        let width = self.shape.head_width;
        let (tiles, spans) = (segment.tiles(self.shape), spans(segment));
        for (head, output) in row.chunks_exact_mut(width).enumerate() {
            let flat = (token - segment.first) * self.group + head % self.group;
            let first = segment.slot + (head / self.group * tiles + flat / QUERIES) * spans;
            let slot = |span: usize| {
                let start = ((first + span) * QUERIES + flat % QUERIES) * slot_values(width);
                slots.get(start..start + slot_values(width)).unwrap_or_default()
            };
            self.level.run(Merge { width, spans, slot, output });
        }
    }
}

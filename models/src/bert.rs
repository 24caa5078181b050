//! A BERT encoder for one thread, without padding and with every elementwise step fused into a product.
//!
//! The tokens of all sequences of a batch lie one after another: each linear layer is one product over all of them, and
//! attention runs per sequence. Nothing is padded, so a batch equals its texts one by one and costs what its tokens cost.

#![expect(
    clippy::inline_always,
    reason = "a function that is not inlined into the one that pulp compiled for the machine's instructions uses none of them"
)]

mod attention;
mod buffer;
mod config;
mod matrix;
mod norm;
mod vector;
mod weights;

use pulp::Arch;

use attention::{AttentionCall, AttentionScratch};
use buffer::AlignedBuffer;
pub(crate) use config::BertConfig;
use matrix::{Epilogue, LinearCall, PackedLinear};
use norm::{Norm, NormCall};
use weights::{Layer, Weights};

/// The encoder and its mean-pooling head.
#[derive(Debug)]
pub(crate) struct Bert {
    config: BertConfig,
    arch: Arch,
    weights: Weights,
}

/// The buffers of one worker, grown to the largest batch it has seen and reused.
#[derive(Debug, Default)]
pub(crate) struct Workspace {
    /// The residual stream.
    hidden: AlignedBuffer,
    /// What the next normalisation reads.
    next: AlignedBuffer,
    /// Query, key and value; then the widened layer.
    wide: AlignedBuffer,
    context: AlignedBuffer,
    packed: AlignedBuffer,
    attention: AttentionScratch,
}

impl Workspace {
    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        let buffers = [&self.hidden, &self.next, &self.wide, &self.context, &self.packed];
        buffers.iter().map(|buffer| buffer.bytes()).sum::<usize>() + self.attention.bytes()
    }
}

impl Bert {
    /// Reads the weights from the bytes of a `safetensors` file. An error is a sentence about what is wrong with them.
    pub(crate) fn new(config: BertConfig, file: &[u8]) -> Result<Self, String> {
        config.validate()?;
        let arch = Arch::new();
        let weights = Weights::read(&config, arch, file)?;
        Ok(Self { config, arch, weights })
    }

    /// The model's configuration.
    pub(crate) fn config(&self) -> &BertConfig {
        &self.config
    }

    /// The mean of the last layer over each sequence's tokens, L2-normalised: one vector per sequence, in order.
    /// `None` where a sequence is empty or longer than the model has positions, or a token is outside the vocabulary.
    pub(crate) fn embed(&self, sequences: &[&[u32]], workspace: &mut Workspace) -> Option<Vec<Vec<f32>>> {
        let width = self.config.hidden_size;
        let lengths: Vec<usize> = sequences.iter().map(|tokens| tokens.len()).collect();
        if lengths.iter().any(|length| *length == 0 || *length > self.config.max_position_embeddings) {
            return None;
        }
        let tokens = lengths.iter().sum::<usize>();
        self.look_up(sequences, workspace.hidden.at_least(tokens * width))?;
        self.normalise(&self.weights.embedding_norm, workspace.hidden.at_least(tokens * width));
        for layer in &self.weights.layers {
            self.layer(layer, &lengths, tokens, workspace);
        }
        let mut rows: &[f32] = workspace.hidden.at_least(tokens * width);
        let mut vectors = Vec::with_capacity(lengths.len());
        for length in lengths {
            let (sequence, rest) = rows.split_at_checked(length * width)?;
            vectors.push(mean_direction(sequence, width));
            rows = rest;
        }
        Some(vectors)
    }

    /// Writes word plus position embedding of every token.
    fn look_up(&self, sequences: &[&[u32]], out: &mut [f32]) -> Option<()> {
        let width = self.config.hidden_size;
        let mut rows = out.chunks_exact_mut(width);
        for tokens in sequences {
            for (token, position) in tokens.iter().zip(self.weights.positions.chunks_exact(width)) {
                let start = (*token as usize).checked_mul(width)?;
                let word = self.weights.words.get(start..start + width)?;
                for ((value, word), position) in rows.next()?.iter_mut().zip(word).zip(position) {
                    *value = word + position;
                }
            }
        }
        Some(())
    }

    fn layer(&self, layer: &Layer, lengths: &[usize], tokens: usize, workspace: &mut Workspace) {
        let (width, inner) = (self.config.hidden_size, self.config.intermediate_size);
        let Workspace { hidden, next, wide, context, packed, attention } = workspace;
        let hidden = hidden.at_least(tokens * width);
        let next = next.at_least(tokens * width);
        let context = context.at_least(tokens * width);
        let wide = wide.at_least(tokens * inner.max(3 * width));

        let projected = wide.get_mut(..tokens * 3 * width).unwrap_or_default();
        self.linear(&layer.projection, hidden, Epilogue::Bias, projected, packed);
        let heads = self.config.num_attention_heads;
        self.arch.dispatch(AttentionCall { projected, lengths, hidden: width, heads, context, scratch: attention });
        self.linear(&layer.attention_output, context, Epilogue::BiasAdd(hidden), next, packed);
        self.normalise(&layer.attention_norm, next);

        let widened = wide.get_mut(..tokens * inner).unwrap_or_default();
        self.linear(&layer.widen, next, Epilogue::BiasGelu, widened, packed);
        self.linear(&layer.narrow, widened, Epilogue::BiasAdd(next), hidden, packed);
        self.normalise(&layer.output_norm, hidden);
    }

    fn linear(
        &self,
        layer: &PackedLinear,
        input: &[f32],
        epilogue: Epilogue<'_>,
        output: &mut [f32],
        packed: &mut AlignedBuffer,
    ) {
        self.arch.dispatch(LinearCall { layer, input, epilogue, output, packed });
    }

    fn normalise(&self, norm: &Norm, rows: &mut [f32]) {
        self.arch.dispatch(NormCall { norm, rows });
    }
}

/// The mean of the rows, scaled to length 1.
fn mean_direction(rows: &[f32], width: usize) -> Vec<f32> {
    let mut sum = vec![0.0_f32; width];
    for row in rows.chunks_exact(width) {
        for (total, value) in sum.iter_mut().zip(row) {
            *total += value;
        }
    }
    // The count of rows cancels in the normalisation.
    let length = sum.iter().map(|v| v * v).sum::<f32>().sqrt();
    if length > 0.0 {
        for value in &mut sum {
            *value /= length;
        }
    }
    sum
}

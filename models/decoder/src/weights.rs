//! A model's weights, packed.

use crate::gguf::TensorView;
use crate::kernels::pack::PackedMatrix;
use crate::shape::{Architecture, Shape};
use crate::team::Team;
use crate::{DecoderError, Gguf};

/// Everything that is learnt.
pub(crate) struct Weights {
    /// A row for every token; also the output's matrix where the file has none of its own.
    pub(crate) embedding: PackedMatrix,
    pub(crate) layers: Vec<Layer>,
    pub(crate) norm: Vec<f32>,
    pub(crate) output: Option<PackedMatrix>,
    /// What rotary frequencies are divided by, one for each pair of a head's values; empty for 1.
    pub(crate) rope_factors: Vec<f32>,
}

/// One layer. Matrices that read the same activations are stacked and multiplied in one go.
pub(crate) struct Layer {
    pub(crate) attention_norm: Vec<f32>,
    /// Queries, keys, values.
    pub(crate) query_key_value: [PackedMatrix; 3],
    pub(crate) query_norm: Option<Vec<f32>>,
    pub(crate) key_norm: Option<Vec<f32>>,
    pub(crate) attention_output: PackedMatrix,
    pub(crate) feed_norm: Vec<f32>,
    /// Gates and what they gate.
    pub(crate) gate_up: [PackedMatrix; 2],
    pub(crate) down: PackedMatrix,
}

/// Tensors of a layer that have a place here.
const LAYER_TENSORS: &[&str] = &[
    "attn_norm.weight",
    "attn_q.weight",
    "attn_k.weight",
    "attn_v.weight",
    "attn_output.weight",
    "attn_q_norm.weight",
    "attn_k_norm.weight",
    "ffn_norm.weight",
    "ffn_gate.weight",
    "ffn_up.weight",
    "ffn_down.weight",
];
/// Those of them that Llama models do not have.
const HEAD_NORMS: &[&str] = &["attn_q_norm.weight", "attn_k_norm.weight"];
const OTHER_TENSORS: &[&str] = &["token_embd.weight", "output_norm.weight", "output.weight", "rope_freqs.weight"];

impl Weights {
    /// Packs every tensor of `gguf`.
    pub(crate) fn load(gguf: &Gguf, shape: &Shape, team: &mut Team) -> Result<Self, DecoderError> {
        refuse_unknown_tensors(gguf, shape)?;
        let mut loader = Loader { gguf, team };
        let straight = |row: usize| row;
        let embedding = loader.matrix("token_embd.weight", shape.vocabulary, shape.hidden, straight)?;
        let output = if gguf.has("output.weight") {
            Some(loader.matrix("output.weight", shape.vocabulary, shape.hidden, straight)?)
        } else {
            None
        };
        let layers = (0..shape.layers).map(|index| loader.layer(index, shape)).collect::<Result<Vec<_>, _>>()?;
        let norm = loader.vector("output_norm.weight", shape.hidden)?;
        let rope_factors = if gguf.has("rope_freqs.weight") {
            loader.vector("rope_freqs.weight", shape.head_width / 2)?
        } else {
            Vec::new()
        };
        Ok(Self { embedding, layers, norm, output, rope_factors })
    }

    /// Bytes of all matrices.
    pub(crate) fn bytes(&self) -> usize {
        let of_layer = |layer: &Layer| {
            let [queries, keys, values] = &layer.query_key_value;
            let [gate, up] = &layer.gate_up;
            [queries, keys, values, gate, up, &layer.attention_output, &layer.down]
                .iter()
                .map(|m| m.bytes())
                .sum::<usize>()
        };
        let output = self.output.as_ref().map_or(0, PackedMatrix::bytes);
        self.embedding.bytes() + output + self.layers.iter().map(of_layer).sum::<usize>()
    }

    /// The matrix that turns a token's values into logits.
    pub(crate) fn head(&self) -> &PackedMatrix {
        self.output.as_ref().unwrap_or(&self.embedding)
    }
}

/// A tensor that is not used would give another model than the one that was trained.
fn refuse_unknown_tensors(gguf: &Gguf, shape: &Shape) -> Result<(), DecoderError> {
    let qwen = shape.architecture == Architecture::Qwen3;
    for name in gguf.tensor_names() {
        let of_layer = name.strip_prefix("blk.").and_then(|rest| rest.split_once('.'));
        let known = match of_layer {
            Some((layer, part)) => {
                let here = LAYER_TENSORS.contains(&part) && (qwen || !HEAD_NORMS.contains(&part));
                here && layer.parse::<usize>().is_ok_and(|layer| layer < shape.layers)
            }
            None => OTHER_TENSORS.contains(&name),
        };
        if !known {
            return Err(DecoderError::Unsupported { what: format!("tensor {name}") });
        }
    }
    Ok(())
}

struct Loader<'a> {
    gguf: &'a Gguf,
    team: &'a mut Team,
}

impl Loader<'_> {
    fn layer(&mut self, index: usize, shape: &Shape) -> Result<Layer, DecoderError> {
        let name = |part: &str| format!("blk.{index}.{part}.weight");
        let (hidden, feed, width) = (shape.hidden, shape.feed_forward, shape.head_width);
        let straight = |row: usize| row;
        // Llama files have the two halves of a head's rotary pairs side by side; here the halves lie one after the other.
        let by_halves = |row: usize| {
            let (head, within) = (row / width, row % width);
            head * width + if within < width / 2 { 2 * within } else { 2 * (within - width / 2) + 1 }
        };
        let order: &(dyn Fn(usize) -> usize + Sync) =
            if shape.architecture == Architecture::Llama { &by_halves } else { &straight };
        let qwen = shape.architecture == Architecture::Qwen3;
        let layer = Layer {
            attention_norm: self.vector(&name("attn_norm"), hidden)?,
            query_key_value: [
                self.matrix(&name("attn_q"), shape.query_width(), hidden, order)?,
                self.matrix(&name("attn_k"), shape.key_width(), hidden, order)?,
                self.matrix(&name("attn_v"), shape.key_width(), hidden, straight)?,
            ],
            query_norm: if qwen { Some(self.vector(&name("attn_q_norm"), width)?) } else { None },
            key_norm: if qwen { Some(self.vector(&name("attn_k_norm"), width)?) } else { None },
            attention_output: self.matrix(&name("attn_output"), hidden, shape.query_width(), straight)?,
            feed_norm: self.vector(&name("ffn_norm"), hidden)?,
            gate_up: [
                self.matrix(&name("ffn_gate"), feed, hidden, straight)?,
                self.matrix(&name("ffn_up"), feed, hidden, straight)?,
            ],
            down: self.matrix(&name("ffn_down"), hidden, feed, straight)?,
        };
        self.gguf.release();
        Ok(layer)
    }

    fn matrix(
        &mut self,
        name: &str,
        rows: usize,
        columns: usize,
        source_row: impl Fn(usize) -> usize + Sync,
    ) -> Result<PackedMatrix, DecoderError> {
        let tensor = self.gguf.tensor(name)?;
        if (tensor.rows, tensor.columns) != (rows, columns) {
            return Err(wrong_size(name, &tensor, rows, columns));
        }
        PackedMatrix::new(&tensor, self.team, source_row)
    }

    fn vector(&mut self, name: &str, length: usize) -> Result<Vec<f32>, DecoderError> {
        let tensor = self.gguf.tensor(name)?;
        if (tensor.rows, tensor.columns) != (1, length) {
            return Err(wrong_size(name, &tensor, 1, length));
        }
        let packed = PackedMatrix::new(&tensor, self.team, |row| row)?;
        let mut values = vec![0.0; length];
        packed.read_row(0, &mut values);
        Ok(values)
    }
}

fn wrong_size(name: &str, tensor: &TensorView<'_>, rows: usize, columns: usize) -> DecoderError {
    DecoderError::Inconsistent(format!(
        "{name} is {} x {} and should be {rows} x {columns}",
        tensor.rows, tensor.columns
    ))
}

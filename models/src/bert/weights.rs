//! Reads the tensors of a BERT encoder by candle and packs them for the kernels.

use candle_core::safetensors::SliceSafetensors;
use candle_core::{DType, Device};
use pulp::Arch;

use super::config::BertConfig;
use super::matrix::PackedLinear;
use super::norm::Norm;

/// One encoder layer.
#[derive(Debug)]
pub(super) struct Layer {
    /// Query (scaled by the inverse root of the head width), key and value in one product.
    pub(super) projection: PackedLinear,
    pub(super) attention_output: PackedLinear,
    pub(super) attention_norm: Norm,
    pub(super) widen: PackedLinear,
    pub(super) narrow: PackedLinear,
    pub(super) output_norm: Norm,
}

/// Everything that a forward pass reads.
#[derive(Debug)]
pub(super) struct Weights {
    /// One row per token of the vocabulary.
    pub(super) words: Vec<f32>,
    /// One row per position, the embedding of token type 0 added.
    pub(super) positions: Vec<f32>,
    pub(super) embedding_norm: Norm,
    pub(super) layers: Vec<Layer>,
}

/// Reads named tensors of one file, checking every shape.
struct Reader<'a> {
    tensors: SliceSafetensors<'a>,
    prefix: &'static str,
}

impl Weights {
    /// Reads the weights from the bytes of a `safetensors` file; an error says which tensor is missing or misshapen.
    pub(super) fn read(config: &BertConfig, arch: Arch, file: &[u8]) -> Result<Self, String> {
        let tensors = SliceSafetensors::new(file).map_err(|error| error.to_string())?;
        let prefixed = tensors.tensors().iter().any(|(name, _)| name == "bert.embeddings.word_embeddings.weight");
        let reader = Reader { tensors, prefix: if prefixed { "bert." } else { "" } };
        let hidden = config.hidden_size;
        let words = reader.tensor("embeddings.word_embeddings.weight", &[config.vocab_size, hidden])?;
        let mut positions =
            reader.tensor("embeddings.position_embeddings.weight", &[config.max_position_embeddings, hidden])?;
        let types = reader.any("embeddings.token_type_embeddings.weight")?;
        let type_zero = types.get(..hidden).ok_or("embeddings.token_type_embeddings.weight is shorter than a row")?;
        for row in positions.chunks_exact_mut(hidden) {
            for (value, addend) in row.iter_mut().zip(type_zero) {
                *value += addend;
            }
        }
        let embedding_norm = reader.norm("embeddings.LayerNorm", config)?;
        let layers = (0..config.num_hidden_layers)
            .map(|index| reader.layer(config, arch, index))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self { words, positions, embedding_norm, layers })
    }
}

impl Reader<'_> {
    fn layer(&self, config: &BertConfig, arch: Arch, index: usize) -> Result<Layer, String> {
        let name = |part: &str| format!("encoder.layer.{index}.{part}");
        let (hidden, wide) = (config.hidden_size, config.intermediate_size);
        let scale = 1.0 / ((hidden / config.num_attention_heads) as f32).sqrt();
        let (mut weights, mut biases) = (Vec::with_capacity(3 * hidden * hidden), Vec::with_capacity(3 * hidden));
        for (part, scale) in [("query", scale), ("key", 1.0), ("value", 1.0)] {
            let weight = self.tensor(&name(&format!("attention.self.{part}.weight")), &[hidden, hidden])?;
            let bias = self.tensor(&name(&format!("attention.self.{part}.bias")), &[hidden])?;
            weights.extend(weight.iter().map(|value| value * scale));
            biases.extend(bias.iter().map(|value| value * scale));
        }
        let projection = PackedLinear::new(arch, hidden, &weights, &biases).ok_or("attention: shapes do not meet")?;
        Ok(Layer {
            projection,
            attention_output: self.linear(&name("attention.output.dense"), arch, hidden, hidden)?,
            attention_norm: self.norm(&name("attention.output.LayerNorm"), config)?,
            widen: self.linear(&name("intermediate.dense"), arch, hidden, wide)?,
            narrow: self.linear(&name("output.dense"), arch, wide, hidden)?,
            output_norm: self.norm(&name("output.LayerNorm"), config)?,
        })
    }

    fn linear(&self, name: &str, arch: Arch, inputs: usize, outputs: usize) -> Result<PackedLinear, String> {
        let weight = self.tensor(&format!("{name}.weight"), &[outputs, inputs])?;
        let bias = self.tensor(&format!("{name}.bias"), &[outputs])?;
        PackedLinear::new(arch, inputs, &weight, &bias).ok_or_else(|| format!("{name}: shapes do not meet"))
    }

    fn norm(&self, name: &str, config: &BertConfig) -> Result<Norm, String> {
        let shape = [config.hidden_size];
        Ok(Norm {
            weight: self.tensor(&format!("{name}.weight"), &shape)?,
            bias: self.tensor(&format!("{name}.bias"), &shape)?,
            epsilon: config.layer_norm_eps,
        })
    }

    /// The tensor's values in row-major order, in single precision.
    fn tensor(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, String> {
        let full = format!("{}{name}", self.prefix);
        let view = self.tensors.get(&full).map_err(|_| format!("tensor {full} is missing"))?;
        if view.shape() != shape {
            return Err(format!("tensor {full} has shape {:?}, should have {shape:?}", view.shape()));
        }
        self.any(name)
    }

    /// As [`Reader::tensor`], of whatever shape.
    fn any(&self, name: &str) -> Result<Vec<f32>, String> {
        let full = format!("{}{name}", self.prefix);
        self.tensors
            .load(&full, &Device::Cpu)
            .and_then(|tensor| tensor.to_dtype(DType::F32))
            .and_then(|tensor| tensor.flatten_all())
            .and_then(|tensor| tensor.to_vec1::<f32>())
            .map_err(|error| format!("tensor {full}: {error}"))
    }
}

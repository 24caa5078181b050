//! Generated weights in the shape of a real model, for machines that cannot fetch the real ones.
//!
//! What an engine does with a matrix depends on its shape and format, not on its values, so speed and memory are those of
//! the real model as long as the values are sane (no infinities, no denormals). All layers of one kind share their values;
//! each still has its own place in the file, so an engine reads as many bytes as it would of the real file.

use std::collections::HashMap;
use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

use anyhow::Context as _;
use candle_core::quantized::gguf_file::{self, Value};
use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{Device, Tensor};
use clap::ValueEnum;

use crate::vocabulary;

/// Which model's shape.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Shape {
    /// Qwen3-0.6B.
    #[value(name = "qwen3-0.6b")]
    Qwen3Small,
}

/// Which formats, as llama.cpp's quantiser mixes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mix {
    /// `Q4_K`, with `Q6_K` for the embeddings and for half of the value and down projections.
    #[value(name = "q4_k_m")]
    Q4KM,
    /// `Q8_0` throughout.
    #[value(name = "q8_0")]
    Q80,
}

impl Mix {
    /// As it is called in file names.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Q4KM => "q4_k_m",
            Self::Q80 => "q8_0",
        }
    }

    /// The number of `general.file_type`.
    fn file_type(self) -> u32 {
        match self {
            Self::Q4KM => 15,
            Self::Q80 => 7,
        }
    }

    fn embedding(self) -> GgmlDType {
        match self {
            Self::Q4KM => GgmlDType::Q6K,
            Self::Q80 => GgmlDType::Q8_0,
        }
    }

    /// The format of a matrix of `layer`. llama.cpp gives the value and down projections more bits in the first and last
    /// eighth of the layers and in every third between.
    fn matrix(self, part: &str, layer: usize, layers: usize) -> GgmlDType {
        let more_bits = layer < layers / 8 || layer >= 7 * layers / 8 || (layer - layers / 8) % 3 == 2;
        match self {
            Self::Q80 => GgmlDType::Q8_0,
            Self::Q4KM if more_bits && matches!(part, "attn_v" | "ffn_down") => GgmlDType::Q6K,
            Self::Q4KM => GgmlDType::Q4K,
        }
    }
}

struct Dimensions {
    name: &'static str,
    layers: usize,
    hidden: usize,
    feed_forward: usize,
    heads: usize,
    kv_heads: usize,
    head: usize,
    context: u32,
    theta: f32,
}

impl Shape {
    /// As it is called in file names.
    pub(crate) fn name(self) -> &'static str {
        self.dimensions().name
    }

    fn dimensions(self) -> Dimensions {
        match self {
            Self::Qwen3Small => Dimensions {
                name: "qwen3-0.6b",
                layers: 28,
                hidden: 1024,
                feed_forward: 3072,
                heads: 16,
                kv_heads: 8,
                head: 128,
                context: 40_960,
                theta: 1e6,
            },
        }
    }
}

/// Writes the file, in full or not at all.
pub(crate) fn write(shape: Shape, mix: Mix, path: &Path) -> anyhow::Result<()> {
    let dimensions = shape.dimensions();
    let mut values = Values::default();
    let names = tensors(&dimensions, mix);
    for (_, kind) in &names {
        values.make(*kind)?;
    }
    let tensors: Vec<(&str, &QTensor)> =
        names.iter().map(|(name, kind)| Ok((name.as_str(), values.get(*kind)?))).collect::<anyhow::Result<_>>()?;
    let metadata = metadata(&dimensions, mix);
    let metadata: Vec<(&str, &Value)> = metadata.iter().map(|(name, value)| (name.as_str(), value)).collect();
    let partial = path.with_extension("partial");
    let file = File::create(&partial).with_context(|| format!("cannot write {}", partial.display()))?;
    let mut writer = BufWriter::with_capacity(1 << 20, file);
    gguf_file::write(&mut writer, &metadata, &tensors)?;
    writer.into_inner().map_err(std::io::IntoInnerError::into_error)?.sync_all()?;
    std::fs::rename(&partial, path)?;
    Ok(())
}

/// What sets a tensor's content apart from another's.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Kind {
    part: &'static str,
    rows: usize,
    columns: usize,
    format: GgmlDType,
}

/// Every tensor by its name in the file, in the order of llama.cpp's converter.
fn tensors(shape: &Dimensions, mix: Mix) -> Vec<(String, Kind)> {
    let norm = |part, width| Kind { part, rows: 1, columns: width, format: GgmlDType::F32 };
    let embedding =
        Kind { part: "token_embd", rows: vocabulary::WORDS, columns: shape.hidden, format: mix.embedding() };
    let mut named = vec![
        ("token_embd.weight".to_owned(), embedding),
        ("output_norm.weight".to_owned(), norm("output_norm", shape.hidden)),
    ];
    let queries = shape.heads * shape.head;
    let keys = shape.kv_heads * shape.head;
    for layer in 0..shape.layers {
        let matrix = |part, rows, columns| Kind { part, rows, columns, format: mix.matrix(part, layer, shape.layers) };
        let parts = [
            norm("attn_norm", shape.hidden),
            matrix("ffn_down", shape.hidden, shape.feed_forward),
            matrix("ffn_gate", shape.feed_forward, shape.hidden),
            matrix("ffn_up", shape.feed_forward, shape.hidden),
            norm("ffn_norm", shape.hidden),
            norm("attn_k_norm", shape.head),
            matrix("attn_k", keys, shape.hidden),
            matrix("attn_output", shape.hidden, queries),
            norm("attn_q_norm", shape.head),
            matrix("attn_q", queries, shape.hidden),
            matrix("attn_v", keys, shape.hidden),
        ];
        named.extend(parts.map(|kind| (format!("blk.{layer}.{}.weight", kind.part), kind)));
    }
    named
}

fn metadata(shape: &Dimensions, mix: Mix) -> Vec<(String, Value)> {
    let number = |value: usize| Value::U32(value as u32);
    let mut metadata = vec![
        ("general.architecture".to_owned(), Value::String("qwen3".to_owned())),
        ("general.name".to_owned(), Value::String(format!("{} shape, generated", shape.name))),
        ("general.file_type".to_owned(), Value::U32(mix.file_type())),
        ("general.quantization_version".to_owned(), Value::U32(2)),
    ];
    metadata.extend(
        [
            ("block_count", number(shape.layers)),
            ("context_length", Value::U32(shape.context)),
            ("embedding_length", number(shape.hidden)),
            ("feed_forward_length", number(shape.feed_forward)),
            ("attention.head_count", number(shape.heads)),
            ("attention.head_count_kv", number(shape.kv_heads)),
            ("attention.key_length", number(shape.head)),
            ("attention.value_length", number(shape.head)),
            ("attention.layer_norm_rms_epsilon", Value::F32(1e-6)),
            ("rope.freq_base", Value::F32(shape.theta)),
        ]
        .map(|(name, value)| (format!("qwen3.{name}"), value)),
    );
    metadata.extend(vocabulary::metadata());
    metadata
}

/// The generated tensors, each made once.
#[derive(Default)]
struct Values {
    made: HashMap<Kind, QTensor>,
    state: u64,
}

impl Values {
    fn get(&self, kind: Kind) -> anyhow::Result<&QTensor> {
        self.made.get(&kind).context("every kind was made")
    }

    fn make(&mut self, kind: Kind) -> anyhow::Result<()> {
        if self.made.contains_key(&kind) {
            return Ok(());
        }
        let count = kind.rows * kind.columns;
        let tensor = if kind.format == GgmlDType::F32 {
            let values: Vec<f32> = (0..count).map(|_| 1.0 + 0.1 * self.normal()).collect();
            QTensor::quantize(&Tensor::from_vec(values, kind.columns, &Device::Cpu)?, kind.format)?
        } else {
            // As trained matrices have it, so that activations keep their size from layer to layer.
            let deviation = 0.5 / (kind.columns as f32).sqrt();
            let values: Vec<f32> = (0..count).map(|_| deviation * self.normal()).collect();
            QTensor::quantize(&Tensor::from_vec(values, (kind.rows, kind.columns), &Device::Cpu)?, kind.format)?
        };
        self.made.insert(kind, tensor);
        Ok(())
    }

    /// Nearly normal, deviation 1: four uniform values of 16 bits, summed.
    fn normal(&mut self) -> f32 {
        let bits = self.next();
        let sum: u64 = (0..4).map(|part| (bits >> (16 * part)) & 0xFFFF).sum();
        // Four values that are uniform over 2^16 have mean 2^17 and deviation 2^16 / sqrt(3).
        (sum as f32 - 131_070.0) / 65_536.0 * 1.732_050_8
    }

    /// The next value of splitmix64 (Steele, Lea and Flood 2014).
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}

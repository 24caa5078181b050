//! The tiny generated models of tiny.json: the Rust half of tiny.py, which see.
//!
//! A test takes this module by `#[path = "reference/tiny.rs"] mod tiny;`. No weights are stored: both sides compute the same
//! values from the names of model and tensor.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use candle_core::quantized::gguf_file::{self, Value};
use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{Device, Tensor};
use serde::Deserialize;

/// What tiny.json holds.
#[derive(Deserialize)]
pub(crate) struct Reference {
    /// Token ids of each prompt.
    pub(crate) prompts: Vec<Vec<u32>>,
    /// How many of each prompt's last positions have stored logits.
    pub(crate) rows: Vec<usize>,
    vocabulary: Vocabulary,
    models: Vec<Model>,
}

#[derive(Deserialize)]
struct Vocabulary {
    tokens: Vec<String>,
    types: Vec<i32>,
    merges: Vec<String>,
}

/// One model: its shape and how its tensors are generated.
#[derive(Deserialize)]
pub(crate) struct Model {
    pub(crate) name: String,
    architecture: String,
    metadata: BTreeMap<String, serde_json::Number>,
    tensors: Vec<Generated>,
    rope_factors: Option<Vec<f32>>,
}

#[derive(Deserialize)]
struct Generated {
    name: String,
    shape: Vec<usize>,
    scale: f32,
    offset: f32,
}

impl Reference {
    /// Reads tiny.json.
    pub(crate) fn load() -> Self {
        serde_json::from_str(&std::fs::read_to_string(folder().join("tiny.json")).unwrap()).unwrap()
    }

    /// Every model, by the names `qwen3-tied`, `qwen3-untied`, `llama-tied` and `llama-scaled`.
    pub(crate) fn models(&self) -> &[Model] {
        &self.models
    }

    /// Writes `model` into `folder` as GGUF, its matrices in `kind` (the norms stay F32), and says where.
    pub(crate) fn write_gguf(&self, model: &Model, kind: GgmlDType, folder: &Path) -> PathBuf {
        let tensors = model.tensors(kind);
        let tensors: Vec<(&str, &QTensor)> = tensors.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
        let metadata = self.metadata(model);
        let metadata: Vec<(&str, &Value)> = metadata.iter().map(|(name, value)| (name.as_str(), value)).collect();
        let path = folder.join(format!("{}-{kind:?}.gguf", model.name));
        let mut file = std::io::BufWriter::new(std::fs::File::create(&path).unwrap());
        gguf_file::write(&mut file, &metadata, &tensors).unwrap();
        path
    }

    /// The reference logits of `model`: for each prompt its stored rows, of one value per word of the vocabulary.
    pub(crate) fn logits(&self, model: &Model) -> Vec<Vec<Vec<f32>>> {
        let bytes = std::fs::read(folder().join("tiny").join(format!("{}.f32", model.name))).unwrap();
        let width = self.vocabulary.tokens.len();
        assert_eq!(bytes.len(), self.rows.iter().sum::<usize>() * width * 4);
        let values: Vec<f32> =
            bytes.chunks_exact(4).map(|four| f32::from_le_bytes([four[0], four[1], four[2], four[3]])).collect();
        let mut rows = values.chunks_exact(width).map(<[f32]>::to_vec);
        self.rows.iter().map(|count| rows.by_ref().take(*count).collect()).collect()
    }

    fn metadata(&self, model: &Model) -> Vec<(String, Value)> {
        let words = &self.vocabulary;
        let strings = |list: &[String]| Value::Array(list.iter().cloned().map(Value::String).collect());
        let mut metadata = vec![
            ("general.architecture".to_owned(), Value::String(model.architecture.clone())),
            ("tokenizer.ggml.model".to_owned(), Value::String("gpt2".to_owned())),
            ("tokenizer.ggml.pre".to_owned(), Value::String("gpt-2".to_owned())),
            ("tokenizer.ggml.tokens".to_owned(), strings(&words.tokens)),
            (
                "tokenizer.ggml.token_type".to_owned(),
                Value::Array(words.types.iter().copied().map(Value::I32).collect()),
            ),
            ("tokenizer.ggml.merges".to_owned(), strings(&words.merges)),
            ("tokenizer.ggml.eos_token_id".to_owned(), Value::U32(words.tokens.len() as u32 - 1)),
        ];
        metadata.extend(model.metadata.iter().map(|(name, number)| {
            let value = number
                .as_u64()
                .map_or_else(|| Value::F32(number.as_f64().unwrap() as f32), |whole| Value::U32(whole as u32));
            (name.clone(), value)
        }));
        metadata
    }
}

impl Model {
    fn tensors(&self, kind: GgmlDType) -> Vec<(String, QTensor)> {
        let mut tensors: Vec<(String, QTensor)> = self
            .tensors
            .iter()
            .map(|tensor| {
                let kind = if tensor.shape.len() == 1 { GgmlDType::F32 } else { kind };
                (tensor.name.clone(), quantised(tensor.values(&self.name), &tensor.shape, kind))
            })
            .collect();
        if let Some(factors) = &self.rope_factors {
            tensors
                .push(("rope_freqs.weight".to_owned(), quantised(factors.clone(), &[factors.len()], GgmlDType::F32)));
        }
        tensors
    }
}

impl Generated {
    /// offset + scale * u for u in [-1, 1) in steps of 2^-15; exact in f32 because the scales are powers of two.
    fn values(&self, model: &str) -> Vec<f32> {
        let mut state = fnv1a(&format!("{model}/{}", self.name));
        (0..self.shape.iter().product())
            .map(|_| {
                let top = (split_mix(&mut state) >> 48) as f32;
                self.offset + self.scale * ((top - 32768.0) / 32768.0)
            })
            .collect()
    }
}

fn quantised(values: Vec<f32>, shape: &[usize], kind: GgmlDType) -> QTensor {
    QTensor::quantize(&Tensor::from_vec(values, shape, &Device::Cpu).unwrap(), kind).unwrap()
}

/// The 64-bit FNV-1a hash.
fn fnv1a(text: &str) -> u64 {
    text.bytes()
        .fold(0xCBF2_9CE4_8422_2325, |state: u64, byte| (state ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3))
}

/// The next value of splitmix64 (Steele, Lea and Flood 2014).
fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference")
}

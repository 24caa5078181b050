//! A generated model: a small Llama over single bytes, with `ChatML`.

use std::path::{Path, PathBuf};

use candle_core::quantized::gguf_file::{self, Value};
use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{Device, Tensor};

const HIDDEN: usize = 64;
const FEED: usize = 96;
const HEADS: usize = 2;
const LAYERS: usize = 2;
/// The context, so that tests can reach its end.
pub(crate) const CONTEXT: usize = 700;

/// Writes the model into `folder`.
pub(crate) fn write(folder: &Path) -> PathBuf {
    write_with_context(folder, CONTEXT)
}

/// Writes the model into `folder`, made for `context` positions.
pub(crate) fn write_with_context(folder: &Path, context: usize) -> PathBuf {
    let (tokens, types) = vocabulary();
    let vocabulary = tokens.len();
    let mut metadata: Vec<(String, Value)> = [
        ("context_length", context),
        ("embedding_length", HIDDEN),
        ("block_count", LAYERS),
        ("feed_forward_length", FEED),
        ("attention.head_count", HEADS),
        ("attention.head_count_kv", 1),
        ("rope.dimension_count", HIDDEN / HEADS),
    ]
    .map(|(key, value)| (format!("llama.{key}"), Value::U32(value as u32)))
    .into();
    metadata.extend([
        ("general.architecture".to_owned(), Value::String("llama".to_owned())),
        ("llama.attention.layer_norm_rms_epsilon".to_owned(), Value::F32(1e-5)),
        ("tokenizer.ggml.model".to_owned(), Value::String("gpt2".to_owned())),
        ("tokenizer.ggml.pre".to_owned(), Value::String("qwen2".to_owned())),
        ("tokenizer.ggml.tokens".to_owned(), Value::Array(tokens.into_iter().map(Value::String).collect())),
        ("tokenizer.ggml.token_type".to_owned(), Value::Array(types.into_iter().map(Value::I32).collect())),
        ("tokenizer.ggml.merges".to_owned(), Value::Array(Vec::new())),
    ]);
    let mut tensors = vec![
        matrix("token_embd.weight", vocabulary, HIDDEN),
        matrix("output.weight", vocabulary, HIDDEN),
        norm("output_norm.weight".to_owned()),
    ];
    for layer in 0..LAYERS {
        let name = |part: &str| format!("blk.{layer}.{part}.weight");
        tensors.extend([
            norm(name("attn_norm")),
            norm(name("ffn_norm")),
            matrix(&name("attn_q"), HIDDEN, HIDDEN),
            matrix(&name("attn_k"), HIDDEN / HEADS, HIDDEN),
            matrix(&name("attn_v"), HIDDEN / HEADS, HIDDEN),
            matrix(&name("attn_output"), HIDDEN, HIDDEN),
            matrix(&name("ffn_gate"), FEED, HIDDEN),
            matrix(&name("ffn_up"), FEED, HIDDEN),
            matrix(&name("ffn_down"), HIDDEN, FEED),
        ]);
    }
    let path = folder.join("tiny.gguf");
    let metadata: Vec<(&str, &Value)> = metadata.iter().map(|(key, value)| (key.as_str(), value)).collect();
    let tensors: Vec<(&str, &QTensor)> = tensors.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
    let mut file = std::io::BufWriter::new(std::fs::File::create(&path).unwrap());
    gguf_file::write(&mut file, &metadata, &tensors).unwrap();
    path
}

/// One token for each byte, in the letters that stand for bytes, and what `ChatML` needs.
fn vocabulary() -> (Vec<String>, Vec<i32>) {
    let letter = |byte: u32| match byte {
        0..=0x20 => 0x100 + byte,
        0x7f..=0xa0 => 0x100 + byte - 0x7f + 33,
        0xad => 0x143,
        printable => printable,
    };
    let mut tokens: Vec<String> = (0..256).map(|byte| char::from_u32(letter(byte)).unwrap().to_string()).collect();
    tokens.extend(["<|im_start|>".to_owned(), "<|im_end|>".to_owned()]);
    let types = (0..tokens.len()).map(|id| if id < 256 { 1 } else { 3 }).collect();
    (tokens, types)
}

fn matrix(name: &str, rows: usize, columns: usize) -> (String, QTensor) {
    let mut state = name.bytes().fold(17_u64, |state, byte| state.wrapping_mul(0x0100_0000_01B3) ^ u64::from(byte));
    let values: Vec<f32> = (0..rows * columns)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            ((state >> 40) as f32 / (1 << 24) as f32 - 0.5) * 0.6
        })
        .collect();
    let tensor = Tensor::from_vec(values, (rows, columns), &Device::Cpu).unwrap();
    (name.to_owned(), QTensor::quantize(&tensor, GgmlDType::Q8_0).unwrap())
}

fn norm(name: String) -> (String, QTensor) {
    let tensor = Tensor::ones(HIDDEN, candle_core::DType::F32, &Device::Cpu).unwrap();
    (name, QTensor::quantize(&tensor, GgmlDType::F32).unwrap())
}

//! A small BERT of random weights, made here: our kernels against the same computation in plain candle operations.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, in its helpers too"
)]

use std::collections::HashMap;
use std::path::Path;

use candle_core::{D, DType, Device, Result, Tensor};
use rejoinder_domain::{Embedder, ErrorKind, Role, SeamError};
use rejoinder_models::{CandleEmbedder, EmbedderOptions, ModelError, ModelFiles};

/// Sizes that fill no register and no block evenly, so that every edge is run.
#[derive(Clone, Copy)]
struct Shape {
    hidden: usize,
    heads: usize,
    inner: usize,
    layers: usize,
}

const WORDS: [&str; 12] =
    ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "pay", "##ment", "invoice", "the", "of", "late", "fee", "."];
const POSITIONS: usize = 300;
const EPSILON: f64 = 1e-12;

struct Model {
    shape: Shape,
    weights: HashMap<String, Tensor>,
}

/// Even numbers in -1..1 from a fixed seed.
fn noise(count: usize, seed: &mut u64) -> Vec<f32> {
    let mut next = || {
        *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (*seed >> 40) as f32 / (1_u64 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

impl Model {
    fn random(shape: Shape, mut seed: u64) -> Self {
        let mut weights = HashMap::new();
        let mut add = |name: String, dims: &[usize], scale: f32, offset: f32| {
            let values: Vec<f32> =
                noise(dims.iter().product(), &mut seed).into_iter().map(|v| v * scale + offset).collect();
            weights.insert(name, Tensor::from_vec(values, dims, &Device::Cpu).unwrap());
        };
        let Shape { hidden, inner, layers, .. } = shape;
        add("embeddings.word_embeddings.weight".into(), &[WORDS.len(), hidden], 1.0, 0.0);
        add("embeddings.position_embeddings.weight".into(), &[POSITIONS, hidden], 0.3, 0.0);
        add("embeddings.token_type_embeddings.weight".into(), &[2, hidden], 0.3, 0.0);
        let mut norms = vec!["embeddings.LayerNorm".to_owned()];
        for layer in 0..layers {
            let part = format!("encoder.layer.{layer}");
            for (name, outputs, inputs) in [
                ("attention.self.query", hidden, hidden),
                ("attention.self.key", hidden, hidden),
                ("attention.self.value", hidden, hidden),
                ("attention.output.dense", hidden, hidden),
                ("intermediate.dense", inner, hidden),
                ("output.dense", hidden, inner),
            ] {
                let scale = 3.0 / (inputs as f32).sqrt();
                add(format!("{part}.{name}.weight"), &[outputs, inputs], scale, 0.0);
                add(format!("{part}.{name}.bias"), &[outputs], 0.2, 0.0);
            }
            norms.push(format!("{part}.attention.output.LayerNorm"));
            norms.push(format!("{part}.output.LayerNorm"));
        }
        for norm in norms {
            add(format!("{norm}.weight"), &[hidden], 0.2, 1.0);
            add(format!("{norm}.bias"), &[hidden], 0.1, 0.0);
        }
        Self { shape, weights }
    }

    fn write(&self, folder: &Path) -> ModelFiles {
        candle_core::safetensors::save(&self.weights, folder.join("model.safetensors")).unwrap();
        let Shape { hidden, heads, inner, layers } = self.shape;
        let config = serde_json::json!({
            "model_type": "bert", "hidden_act": "gelu", "vocab_size": WORDS.len(), "hidden_size": hidden,
            "num_hidden_layers": layers, "num_attention_heads": heads, "intermediate_size": inner,
            "max_position_embeddings": POSITIONS, "layer_norm_eps": EPSILON, "type_vocab_size": 2,
        });
        std::fs::write(folder.join("config.json"), config.to_string()).unwrap();
        let vocabulary: HashMap<&str, usize> = WORDS.iter().enumerate().map(|(id, word)| (*word, id)).collect();
        let tokenizer = serde_json::json!({
            "version": "1.0",
            "truncation": {"max_length": 8, "strategy": "LongestFirst", "stride": 0},
            "padding": {"strategy": {"Fixed": 8}, "direction": "Right", "pad_to_multiple_of": null, "pad_id": 0,
                        "pad_type_id": 0, "pad_token": "[PAD]"},
            "added_tokens": [],
            "normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
                           "strip_accents": null, "lowercase": true},
            "pre_tokenizer": {"type": "BertPreTokenizer"},
            "post_processor": {"type": "TemplateProcessing",
                "single": [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
                           {"SpecialToken": {"id": "[SEP]", "type_id": 0}}],
                "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
                "special_tokens": {"[CLS]": {"id": "[CLS]", "ids": [2], "tokens": ["[CLS]"]},
                                   "[SEP]": {"id": "[SEP]", "ids": [3], "tokens": ["[SEP]"]}}},
            "decoder": null,
            "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                      "max_input_chars_per_word": 100, "vocab": vocabulary},
        });
        std::fs::write(folder.join("tokenizer.json"), tokenizer.to_string()).unwrap();
        ModelFiles::unlisted("tiny", folder, 256)
    }

    fn get(&self, name: &str) -> &Tensor {
        &self.weights[name]
    }

    fn linear(&self, x: &Tensor, name: &str) -> Result<Tensor> {
        x.matmul(&self.get(&format!("{name}.weight")).t()?)?.broadcast_add(self.get(&format!("{name}.bias")))
    }

    fn norm(&self, x: &Tensor, name: &str) -> Result<Tensor> {
        let x = x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?;
        let variance = (x.sqr()?.mean_keepdim(D::Minus1)? + EPSILON)?;
        let x = x.broadcast_div(&variance.sqrt()?)?;
        x.broadcast_mul(self.get(&format!("{name}.weight")))?.broadcast_add(self.get(&format!("{name}.bias")))
    }

    /// The sentence vector in plain candle operations.
    fn vector(&self, ids: &[u32]) -> Result<Vec<f32>> {
        let count = ids.len();
        let ids = Tensor::new(ids, &Device::Cpu)?;
        let words = self.get("embeddings.word_embeddings.weight").index_select(&ids, 0)?;
        let positions = self.get("embeddings.position_embeddings.weight").narrow(0, 0, count)?;
        let types = self.get("embeddings.token_type_embeddings.weight").narrow(0, 0, 1)?;
        let mut x = self.norm(&(words + positions)?.broadcast_add(&types)?, "embeddings.LayerNorm")?;
        let Shape { hidden, heads, layers, .. } = self.shape;
        let width = hidden / heads;
        for layer in 0..layers {
            let part = format!("encoder.layer.{layer}");
            let head = |name: &str| -> Result<Tensor> {
                let y = self.linear(&x, &format!("{part}.attention.self.{name}"))?;
                y.reshape((count, heads, width))?.transpose(0, 1)?.contiguous()
            };
            let scores =
                (head("query")?.matmul(&head("key")?.transpose(1, 2)?.contiguous()?)? / (width as f64).sqrt())?;
            let scores = scores.broadcast_sub(&scores.max_keepdim(D::Minus1)?)?.exp()?;
            let scores = scores.broadcast_div(&scores.sum_keepdim(D::Minus1)?)?;
            let mixed = scores.matmul(&head("value")?)?.transpose(0, 1)?.contiguous()?.reshape((count, hidden))?;
            let mixed = self.linear(&mixed, &format!("{part}.attention.output.dense"))?;
            x = self.norm(&(x + mixed)?, &format!("{part}.attention.output.LayerNorm"))?;
            let wide = self.linear(&x, &format!("{part}.intermediate.dense"))?.gelu_erf()?;
            let narrow = self.linear(&wide, &format!("{part}.output.dense"))?;
            x = self.norm(&(x + narrow)?, &format!("{part}.output.LayerNorm"))?;
        }
        let mean = x.mean(0)?;
        mean.broadcast_div(&mean.sqr()?.sum_all()?.sqrt()?)?.to_dtype(DType::F32)?.to_vec1()
    }
}

/// A text of `tokens` words of one token each, and its token numbers.
fn text(tokens: usize) -> (String, Vec<u32>) {
    let pick = |i: usize| 6 + (i * i + i / 3) % 6;
    let words: Vec<&str> = (0..tokens).map(|i| WORDS[pick(i)]).collect();
    let ids = [2].into_iter().chain((0..tokens).map(|i| pick(i) as u32)).chain([3]).collect();
    (words.join(" "), ids)
}

#[test]
fn kernels_equal_plain_candle_operations() {
    for (seed, shape) in [
        Shape { hidden: 384, heads: 12, inner: 1536, layers: 1 },
        Shape { hidden: 60, heads: 3, inner: 100, layers: 3 },
        Shape { hidden: 10, heads: 2, inner: 7, layers: 2 },
        Shape { hidden: 33, heads: 1, inner: 65, layers: 2 },
    ]
    .into_iter()
    .enumerate()
    {
        let folder = tempfile::tempdir().unwrap();
        let model = Model::random(shape, seed as u64 + 1);
        let files = model.write(folder.path());
        let options = EmbedderOptions { workers: 2, max_batch_tokens: 256 };
        let embedder = CandleEmbedder::load(&files, &options).unwrap();
        assert_eq!(embedder.dims(), shape.hidden);
        let (texts, ids): (Vec<String>, Vec<Vec<u32>>) =
            [0, 1, 9, 10, 11, 29, 30, 31, 63, 64, 65, 100, 200, 254].into_iter().map(text).unzip();
        let borrowed: Vec<&str> = texts.iter().map(String::as_str).collect();
        let together = embedder.embed(&borrowed, Role::Passage).unwrap();
        for ((text, ids), vector) in borrowed.iter().zip(&ids).zip(&together) {
            let plain = model.vector(ids).unwrap();
            let worst = plain.iter().zip(vector).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(worst < 1e-5, "{} tokens, hidden {}: differs by {worst}", ids.len(), shape.hidden);
            let alone = embedder.embed(&[text], Role::Query).unwrap();
            let worst = alone[0].iter().zip(vector).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(worst < 1e-5, "a batch differs from its rows by {worst}");
        }
    }
}

fn tiny(folder: &Path) -> ModelFiles {
    Model::random(Shape { hidden: 32, heads: 2, inner: 64, layers: 1 }, 9).write(folder)
}

#[test]
fn the_files_own_truncation_and_padding_do_not_apply() {
    let folder = tempfile::tempdir().unwrap();
    let embedder = CandleEmbedder::load(&tiny(folder.path()), &EmbedderOptions::default()).unwrap();
    assert_eq!(embedder.token_spans(&text(20).0).unwrap().len(), 20);
    assert_eq!(embedder.token_spans("payment").unwrap().len(), 2);
    let vectors = embedder.embed(&[&text(20).0, &text(6).0], Role::Passage).unwrap();
    assert!(vectors[0].iter().zip(&vectors[1]).any(|(a, b)| (a - b).abs() > 1e-3), "the words past the eighth count");
    // Past the model's limit they do not.
    let long = embedder.embed(&[&text(400).0, &text(300).0], Role::Passage).unwrap();
    assert_eq!(long[0], long[1]);
}

#[test]
fn what_cannot_be_run_is_refused_with_a_reason() {
    let folder = tempfile::tempdir().unwrap();
    let files = tiny(folder.path());
    let refused = |files: &ModelFiles| CandleEmbedder::load(files, &EmbedderOptions::default()).unwrap_err();
    let config = std::fs::read_to_string(files.path("config.json")).unwrap();
    for (from, to, reason) in [
        ("\"gelu\"", "\"relu\"", "hidden_act"),
        ("\"hidden_size\":32", "\"hidden_size\":0", "hidden_size is 0"),
        ("\"hidden_size\":32", "\"hidden_size\":34", "shape"),
        (
            "\"num_hidden_layers\":1",
            "\"num_hidden_layers\":2",
            "encoder.layer.1.attention.self.query.weight is missing",
        ),
        ("\"num_attention_heads\":2", "\"num_attention_heads\":5", "no multiple"),
        ("{", "", "expected"),
    ] {
        let bad = config.replacen(from, to, 1);
        assert_ne!(bad, config, "{from}");
        std::fs::write(files.path("config.json"), bad).unwrap();
        let error = refused(&files).to_string();
        assert!(error.contains(reason), "{error:?} should name {reason:?}");
    }
    std::fs::write(files.path("config.json"), &config).unwrap();

    let mut listed = files.clone();
    listed.weights_sha256 = Some("0".repeat(64));
    let error = refused(&listed);
    assert!(matches!(error, ModelError::Digest { .. }), "{error}");
    let weights = std::fs::read(files.path("model.safetensors")).unwrap();
    for length in [0, 4, 100, weights.len() / 2, weights.len() - 1] {
        std::fs::write(files.path("model.safetensors"), &weights[..length]).unwrap();
        assert_eq!(refused(&files).kind(), ErrorKind::Corrupt, "cut to {length} bytes");
    }
    std::fs::remove_file(files.path("model.safetensors")).unwrap();
    let error = SeamError::from(refused(&files));
    assert_eq!(error.kind, ErrorKind::Unavailable);
    assert!(error.message.contains("rejoinder models pull tiny"), "{}", error.message);
}

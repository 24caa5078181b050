//! The vectors against a reference that was computed by other means (`tests/reference/make_reference.py`).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, in its helpers too"
)]

use rejoinder_domain::{Embedder, Role};
use rejoinder_models::{CandleEmbedder, EmbedderOptions, Manifest, ModelFiles, ModelStore};
use serde::Deserialize;

#[derive(Deserialize)]
struct Reference {
    text: String,
    tokens: usize,
    vector: Vec<f32>,
}

fn references() -> Vec<Reference> {
    serde_json::from_str(include_str!("reference/vectors.json")).unwrap()
}

/// The pulled model, or `None` with a loud line: `make test` pulls it first.
fn files() -> Option<ModelFiles> {
    let manifest = Manifest::embedded().unwrap();
    match ModelStore::of_user().locate(manifest.get("all-MiniLM-L6-v2").unwrap()) {
        Ok(files) => Some(files),
        Err(error) => {
            eprintln!("SKIPPED, the weights are not here: {error}");
            None
        }
    }
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len());
    let dot = |x: &[f32], y: &[f32]| x.iter().zip(y).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum::<f64>();
    dot(a, b) / (dot(a, a).sqrt() * dot(b, b).sqrt())
}

fn check(embedder: &dyn Embedder) {
    assert_eq!((embedder.dims(), embedder.max_tokens()), (384, 256));
    let references = references();
    let texts: Vec<&str> = references.iter().map(|reference| reference.text.as_str()).collect();
    let vectors = embedder.embed(&texts, Role::Passage).unwrap();
    assert_eq!(vectors.len(), texts.len());
    for (reference, vector) in references.iter().zip(&vectors) {
        let agreement = cosine(vector, &reference.vector);
        assert!(agreement >= 0.999_999, "cosine {agreement} for {:?}", reference.text);
        let length = vector.iter().map(|v| v * v).sum::<f32>().sqrt();
        assert!((length - 1.0).abs() < 1e-5, "length {length}");
    }
    for (text, together) in texts.iter().zip(&vectors) {
        let alone = embedder.embed(&[text], Role::Query).unwrap();
        let worst = alone[0].iter().zip(together).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst < 1e-5, "{text:?} differs by {worst} alone and in a batch");
    }
}

#[test]
fn candle_gives_the_reference_vectors() {
    let Some(files) = files() else { return };
    for workers in [1, 3] {
        let options = EmbedderOptions { workers, max_batch_tokens: 300 };
        let embedder = CandleEmbedder::load(&files, &options).unwrap();
        assert_eq!(embedder.id(), "all-MiniLM-L6-v2@53aa51172d142c89");
        check(&embedder);
    }
}

#[test]
fn token_spans_cover_the_text_and_are_not_cut() {
    let Some(files) = files() else { return };
    let embedder = CandleEmbedder::load(&files, &EmbedderOptions::default()).unwrap();
    for reference in references() {
        let spans = embedder.token_spans(&reference.text).unwrap();
        if reference.tokens < 256 {
            assert_eq!(spans.len() + 2, reference.tokens, "{:?}", reference.text);
        } else {
            assert!(spans.len() > 254, "a long text is not cut");
        }
        assert!(spans.is_sorted_by_key(|span| span.start()));
        let mut covered = vec![false; reference.text.len()];
        for span in &spans {
            assert!(span.of(&reference.text).is_some_and(|token| !token.is_empty()), "{span:?}");
            covered[span.start()..span.end()].fill(true);
        }
        for (at, character) in reference.text.char_indices().filter(|(_, c)| c.is_alphanumeric()) {
            assert!(covered[at], "{character:?} at {at} of {:?} is in no token", reference.text);
        }
    }
    let text = "Grüße, Müller";
    let words: Vec<&str> = embedder.token_spans(text).unwrap().iter().filter_map(|span| span.of(text)).collect();
    assert_eq!(words.concat(), "Grüße,Müller");
}

#[test]
fn structure_tokens_in_a_text_are_text() {
    let Some(files) = files() else { return };
    let embedder = CandleEmbedder::load(&files, &EmbedderOptions::default()).unwrap();
    // As one special token it would be a single span.
    assert!(embedder.token_spans("[SEP]").unwrap().len() > 1);
}

#[test]
fn callers_at_once_share_the_workers() {
    let Some(files) = files() else { return };
    let options = EmbedderOptions { workers: 2, ..EmbedderOptions::default() };
    let embedder = CandleEmbedder::load(&files, &options).unwrap();
    let expected = embedder.embed(&["a query", "another"], Role::Query).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| assert_eq!(embedder.embed(&["a query", "another"], Role::Query).unwrap(), expected));
        }
    });
    assert!(embedder.embed(&[], Role::Query).unwrap().is_empty());
    assert!(embedder.buffer_bytes() < 64 << 20);
}

#[test]
fn a_text_without_end_costs_no_more_than_its_beginning() {
    let Some(files) = files() else { return };
    let embedder = CandleEmbedder::load(&files, &EmbedderOptions::default()).unwrap();
    let long = "settlement of the trade failed ".repeat(300_000);
    let started = std::time::Instant::now();
    let vectors = embedder.embed(&[&long, &long[..20_000]], Role::Passage).unwrap();
    assert!(started.elapsed().as_secs() < 5, "{:?}", started.elapsed());
    assert_eq!(vectors[0], vectors[1]);
}

/// Needs the model as ONNX (`REJOINDER_BENCH_ONNX`) and ONNX Runtime (`ORT_DYLIB_PATH`).
#[cfg(feature = "fastembed")]
#[test]
fn fastembed_gives_the_reference_vectors() {
    let (Some(files), Some(onnx)) = (files(), std::env::var_os("REJOINDER_BENCH_ONNX")) else {
        eprintln!("SKIPPED, REJOINDER_BENCH_ONNX names no model");
        return;
    };
    let options = EmbedderOptions { workers: 2, max_batch_tokens: 300 };
    let embedder = rejoinder_models::FastEmbedEmbedder::load(&files, onnx.as_ref(), &options).unwrap();
    assert!(embedder.id().starts_with("all-MiniLM-L6-v2-onnx@"), "{}", embedder.id());
    check(&embedder);
}

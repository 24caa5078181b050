//! ONNX Runtime, through fastembed and called directly.

use std::path::Path;

use anyhow::{Context, bail, ensure};
use rejoinder_models::fastembed_embedder::onnx_environment;
use rejoinder_models::{EmbedderOptions, FastEmbedEmbedder, ModelFiles};
use tokenizers::Tokenizer;

use super::{Contestant, Engine, Ours, contestant};

/// fastembed, then ONNX Runtime called directly: the last is what the others are compared to.
pub(super) fn contestants(
    onnx: &Path,
    files: &ModelFiles,
    settings: &EmbedderOptions,
) -> anyhow::Result<Vec<Contestant>> {
    let fastembed = || Ok(Box::new(Ours(FastEmbedEmbedder::load(files, onnx, settings)?)) as Box<dyn Engine>);
    let direct = || Ok(Box::new(Direct::load(files, onnx, settings.worker_count())?) as Box<dyn Engine>);
    Ok(vec![
        contestant("fastembed (ONNX Runtime fp32)", fastembed)?,
        contestant("ONNX Runtime called directly", direct)?,
    ])
}

/// ONNX Runtime without anything between: sorted by length, two texts at a time, mean of the last layer.
struct Direct {
    session: ort::session::Session,
    tokenizer: Tokenizer,
    max_tokens: usize,
}

/// Texts per run of [`Direct`]: two of like length, so that next to nothing is padding.
const DIRECT_BATCH: usize = 2;

impl Direct {
    fn load(files: &ModelFiles, onnx: &Path, threads: usize) -> anyhow::Result<Self> {
        let mut tokenizer = Tokenizer::from_file(files.path("tokenizer.json")).map_err(anyhow::Error::msg)?;
        tokenizer.with_padding(None);
        tokenizer.with_truncation(None).map_err(anyhow::Error::msg)?;
        let session = ort::session::Session::builder(&onnx_environment()?)?
            .with_intra_threads(threads)
            .map_err(|error| anyhow::anyhow!("{error}"))?
            .commit_from_file(onnx)?;
        Ok(Self { session, tokenizer, max_tokens: files.context_tokens })
    }

    fn run(&mut self, batch: &[(usize, Vec<u32>)], vectors: &mut [Vec<f32>]) -> anyhow::Result<()> {
        let longest = batch.iter().map(|(_, tokens)| tokens.len()).max().unwrap_or(0);
        let (mut ids, mut mask) = (Vec::new(), Vec::new());
        for (_, tokens) in batch {
            ids.extend(tokens.iter().map(|token| i64::from(*token)));
            mask.extend(tokens.iter().map(|_| 1_i64));
            ids.resize(ids.len() + longest - tokens.len(), 0);
            mask.resize(ids.len(), 0);
        }
        let shape = [batch.len(), longest];
        let types = ort::value::Tensor::from_array((shape, vec![0_i64; ids.len()]))?;
        let ids = ort::value::Tensor::from_array((shape, ids))?;
        let mask = ort::value::Tensor::from_array((shape, mask))?;
        let inputs = ort::inputs!["input_ids" => ids, "attention_mask" => mask, "token_type_ids" => types];
        let outputs = self.session.run(inputs)?;
        let (shape, values) = outputs["last_hidden_state"].try_extract_tensor::<f32>()?;
        let width = shape.last().copied().unwrap_or(0) as usize;
        if width == 0 {
            bail!("the model gives vectors of no length");
        }
        for ((index, tokens), rows) in batch.iter().zip(values.chunks_exact(longest * width)) {
            let mut sum = vec![0.0_f32; width];
            for row in rows.chunks_exact(width).take(tokens.len()) {
                sum.iter_mut().zip(row).for_each(|(total, value)| *total += value);
            }
            let length = sum.iter().map(|value| value * value).sum::<f32>().sqrt();
            sum.iter_mut().for_each(|value| *value /= length);
            *vectors.get_mut(*index).context("a vector too many")? = sum;
        }
        Ok(())
    }
}

impl Engine for Direct {
    fn embed(&mut self, texts: &[&str]) -> anyhow::Result<Vec<Vec<f32>>> {
        let mut encoded = Vec::with_capacity(texts.len());
        for (index, text) in texts.iter().enumerate() {
            let encoding = self.tokenizer.encode_fast(*text, true).map_err(anyhow::Error::msg)?;
            let ids = encoding.get_ids();
            ensure!(ids.len() <= self.max_tokens, "the benchmark's texts fit the model");
            encoded.push((index, ids.to_vec()));
        }
        encoded.sort_by_key(|(_, tokens)| std::cmp::Reverse(tokens.len()));
        let mut vectors = vec![Vec::new(); texts.len()];
        for batch in encoded.chunks(DIRECT_BATCH) {
            self.run(batch, &mut vectors)?;
        }
        Ok(vectors)
    }
}

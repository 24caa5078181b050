//! Our decoder as a process that answers [`Question`]s, so that its memory can be measured like its peer's.

use std::io::{BufRead as _, Write as _};
use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, bail};
use rejoinder_decoder::{Cache, CacheOptions, Decoder, DecoderOptions, Gguf, Logits, Step};
use serde::Serialize;

use crate::process;
use crate::protocol::{Filled, Hello, Peak, Question, Took};

/// How large an engine is made.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct Size {
    /// Threads that compute
    #[arg(long, default_value_t = 2)]
    pub(crate) threads: usize,
    /// Tokens of each sequence at most
    #[arg(long, default_value_t = 2048)]
    pub(crate) context: usize,
    /// Sequences that are decoded together
    #[arg(long, default_value_t = 1)]
    pub(crate) sequences: usize,
}

/// Answers until standard input ends.
pub(crate) fn serve(model: &Path, size: Size) -> anyhow::Result<()> {
    let before = process::memory("self", "VmRSS")?;
    let begun = Instant::now();
    let mut engine = Engine::load(model, size)?;
    say(&Hello::Ready { engine: "rejoinder".to_owned(), load: begun.elapsed().as_secs_f64() })?;
    for line in std::io::stdin().lock().lines() {
        match serde_json::from_str(&line?)? {
            Question::Fill { depth } => {
                engine.fill(depth)?;
                say(&Filled {})?;
            }
            Question::Prefill { depth, tokens } => say(&engine.prefill(depth, tokens)?)?,
            Question::Decode { depth, tokens } => say(&engine.decode(depth, tokens)?)?,
            Question::Memory {} => say(&Peak { bytes: process::memory("self", "VmHWM")?.saturating_sub(before) })?,
            Question::Extract { .. } => bail!("extraction is not asked of the bare decoder"),
        }
    }
    Ok(())
}

pub(crate) fn say(answer: &impl Serialize) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    serde_json::to_writer(&mut out, answer)?;
    out.write_all(b"\n")?;
    Ok(out.flush()?)
}

struct Engine {
    decoder: Decoder,
    sequences: Vec<Cache>,
}

impl Engine {
    fn load(model: &Path, size: Size) -> anyhow::Result<Self> {
        let gguf = Gguf::open(model)?;
        // Pages are taken as they are needed, so the bound itself costs nothing.
        let cache = CacheOptions { max_bytes: usize::MAX, ..DecoderOptions::default().cache };
        let options = DecoderOptions { threads: Some(size.threads), cache, ..DecoderOptions::default() };
        let decoder = Decoder::load(&gguf, &options)?;
        let context = decoder.shape().context;
        if size.context > context {
            bail!("the model's context is {context} tokens, {} are wanted", size.context);
        }
        let sequences = (0..size.sequences).map(|_| decoder.pool().cache()).collect();
        Ok(Self { decoder, sequences })
    }

    /// The index-th of a fixed series of tokens; `peer_llama_cpp.py` has the same.
    fn tokens(&self, from: usize, count: usize) -> Vec<u32> {
        let words = self.decoder.shape().vocabulary * 9 / 10;
        (from..from + count).map(|index| ((index * 7919 + 1009) % words) as u32).collect()
    }

    /// Every sequence is computed, not forked, so that each has memory of its own.
    fn fill(&mut self, depth: usize) -> anyhow::Result<()> {
        for index in 0..self.sequences.len() {
            let held = self.sequences.get(index).map_or(0, Cache::len);
            let tokens = self.tokens(held, depth.saturating_sub(held));
            let cache = self.sequences.get_mut(index).context("a sequence")?;
            cache.truncate(depth);
            if !tokens.is_empty() {
                self.decoder.forward(&mut [Step { cache, tokens: &tokens, logits: Logits::None }])?;
            }
        }
        Ok(())
    }

    fn prefill(&mut self, depth: usize, count: usize) -> anyhow::Result<Took> {
        let tokens = self.tokens(depth, count);
        let cache = self.sequences.first_mut().context("a sequence")?;
        let begun = Instant::now();
        self.decoder.forward(&mut [Step { cache, tokens: &tokens, logits: Logits::Last }])?;
        let seconds = begun.elapsed().as_secs_f64();
        cache.truncate(depth);
        Ok(Took { seconds })
    }

    fn decode(&mut self, depth: usize, count: usize) -> anyhow::Result<Took> {
        let tokens = self.tokens(depth, count);
        let begun = Instant::now();
        for token in tokens.chunks(1) {
            let mut steps: Vec<Step<'_>> =
                self.sequences.iter_mut().map(|cache| Step { cache, tokens: token, logits: Logits::Last }).collect();
            self.decoder.forward(&mut steps)?;
        }
        let seconds = begun.elapsed().as_secs_f64();
        self.sequences.iter_mut().for_each(|cache| cache.truncate(depth));
        Ok(Took { seconds })
    }
}

//! What is computed for a token does not depend on what is computed with it, nor on how it came into the cache.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

#[path = "reference/tiny.rs"]
mod tiny;

use candle_core::quantized::GgmlDType;
use proptest::prelude::*;
use rejoinder_decoder::{
    Cache, CacheOptions, CachePrecision, Decoder, DecoderError, DecoderOptions, Gguf, Logits, PAGE_TOKENS, Step,
};

const VOCABULARY: u32 = 320;

fn options(threads: usize, max_batch_tokens: usize, precision: CachePrecision) -> DecoderOptions {
    let cache = CacheOptions { max_bytes: 256 << 20, precision };
    DecoderOptions { threads: Some(threads), max_batch_tokens, cache }
}

fn decoder(name: &str, kind: GgmlDType, options: &DecoderOptions) -> Decoder {
    let folder = tempfile::tempdir().unwrap();
    let reference = tiny::Reference::load();
    let model = reference.models().iter().find(|model| model.name == name).unwrap();
    let gguf = Gguf::open(reference.write_gguf(model, kind, folder.path())).unwrap();
    Decoder::load(&gguf, options).unwrap()
}

fn forward(decoder: &mut Decoder, cache: &mut Cache, tokens: &[u32], logits: Logits) -> Vec<Vec<f32>> {
    decoder.forward(&mut [Step { cache, tokens, logits }]).unwrap()
}

/// Logits after every token, in one call from an empty cache.
fn plain(decoder: &mut Decoder, tokens: &[u32]) -> Vec<Vec<f32>> {
    let mut cache = decoder.pool().cache();
    forward(decoder, &mut cache, tokens, Logits::All)
}

fn tokens(count: usize, seed: u32) -> Vec<u32> {
    (0..count as u32).map(|at| at.wrapping_mul(2_654_435_761).wrapping_add(seed * 977) % VOCABULARY).collect()
}

#[test]
fn chunks_single_tokens_and_threads_do_not_change_a_bit() {
    let prompt = tokens(150, 1);
    for (name, kind) in
        [("qwen3-tied", GgmlDType::F32), ("qwen3-untied", GgmlDType::Q8_0), ("llama-tied", GgmlDType::Q8_0)]
    {
        let mut whole = decoder(name, kind, &options(1, 512, CachePrecision::Half));
        let expected = plain(&mut whole, &prompt);
        for (threads, batch) in [(1, 1), (2, 7), (3, 64), (2, 512)] {
            let mut other = decoder(name, kind, &options(threads, batch, CachePrecision::Half));
            assert!(plain(&mut other, &prompt) == expected, "{name}: {threads} threads, {batch} tokens at a time");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Any history of appending, truncating, forking and batching ends with the logits of one plain pass.
    #[test]
    fn any_history_ends_like_one_plain_pass(
        moves in proptest::collection::vec((0_usize..4, 0_usize..5, 1_usize..70), 1..14),
        llama in any::<bool>(),
    ) {
        let name = if llama { "llama-scaled" } else { "qwen3-tied" };
        let mut decoder = decoder(name, GgmlDType::Q8_0, &options(2, 48, CachePrecision::Half));
        let context = decoder.shape().context;
        let mut sequences: Vec<(Cache, Vec<u32>)> = vec![(decoder.pool().cache(), Vec::new())];
        for (step, (kind, which, amount)) in moves.into_iter().enumerate() {
            let which = which % sequences.len();
            match kind {
                // One sequence grows, or all do in one batch.
                0 | 1 => {
                    let grown = |index: usize, history: &Vec<u32>| {
                        let wanted = if kind == 0 && index != which { 0 } else { 1 + (amount + 13 * index) % 70 };
                        // One place is kept for the token that is compared.
                        tokens(wanted.min(context - 1 - history.len()), (step + 31 * index) as u32)
                    };
                    let fresh: Vec<Vec<u32>> =
                        sequences.iter().enumerate().map(|(index, (_, history))| grown(index, history)).collect();
                    let mut steps: Vec<Step<'_>> = sequences
                        .iter_mut()
                        .zip(&fresh)
                        .filter(|(_, fresh)| !fresh.is_empty())
                        .map(|((cache, _), tokens)| Step { cache, tokens, logits: Logits::None })
                        .collect();
                    decoder.forward(&mut steps).unwrap();
                    for ((_, history), fresh) in sequences.iter_mut().zip(fresh) {
                        history.extend(fresh);
                    }
                }
                2 => {
                    let (cache, history) = &mut sequences[which];
                    let length = history.len().saturating_sub(amount);
                    cache.truncate(length);
                    history.truncate(length);
                }
                _ if sequences.len() < 5 => {
                    let (cache, history) = &sequences[which];
                    let forked = (cache.fork(), history.clone());
                    sequences.push(forked);
                }
                _ => {
                    sequences.remove(which);
                }
            }
        }
        for (cache, history) in &mut sequences {
            prop_assert_eq!(cache.len(), history.len());
            let last = forward(&mut decoder, cache, &[5], Logits::Last);
            history.push(5);
            prop_assert!(plain(&mut decoder, history).last() == last.last());
        }
    }
}

#[test]
fn a_batch_of_four_is_each_of_the_four() {
    let mut decoder = decoder("qwen3-untied", GgmlDType::F32, &options(2, 64, CachePrecision::Half));
    let prompts: Vec<Vec<u32>> = (0..4).map(|seed| tokens(3 + 40 * seed as usize, seed)).collect();
    let alone: Vec<Vec<f32>> = prompts.iter().map(|prompt| plain(&mut decoder, prompt).pop().unwrap()).collect();
    let mut caches: Vec<Cache> = prompts.iter().map(|_| decoder.pool().cache()).collect();
    let mut steps: Vec<Step<'_>> =
        caches.iter_mut().zip(&prompts).map(|(cache, tokens)| Step { cache, tokens, logits: Logits::Last }).collect();
    let rows = decoder.forward(&mut steps).unwrap();
    assert!(rows == alone);
}

#[test]
fn rows_come_in_the_order_of_steps_and_as_many_as_asked_for() {
    let mut decoder = decoder("llama-tied", GgmlDType::F32, &options(1, 5, CachePrecision::Single));
    let (first, second, third) = (tokens(9, 1), tokens(12, 2), tokens(3, 3));
    let expected = [plain(&mut decoder, &first)[8..].to_vec(), plain(&mut decoder, &third)].concat();
    let (mut a, mut b, mut c) = (decoder.pool().cache(), decoder.pool().cache(), decoder.pool().cache());
    let rows = decoder
        .forward(&mut [
            Step { cache: &mut a, tokens: &first, logits: Logits::Last },
            Step { cache: &mut b, tokens: &second, logits: Logits::None },
            Step { cache: &mut c, tokens: &third, logits: Logits::All },
        ])
        .unwrap();
    assert!(rows == expected);
    assert_eq!((a.len(), b.len(), c.len()), (9, 12, 3));
}

#[test]
fn a_fork_shares_memory_until_it_parts() {
    let mut decoder = decoder("qwen3-tied", GgmlDType::Q8_0, &options(1, 256, CachePrecision::Half));
    let pool = decoder.pool().clone();
    let mut cache = pool.cache();
    forward(&mut decoder, &mut cache, &tokens(3 * PAGE_TOKENS + 5, 1), Logits::None);
    assert_eq!(pool.used_bytes(), 4 * pool.page_bytes());
    let mut fork = cache.fork();
    assert_eq!(pool.used_bytes(), 4 * pool.page_bytes());
    forward(&mut decoder, &mut fork, &[1], Logits::None);
    assert_eq!(pool.used_bytes(), 5 * pool.page_bytes());
    drop(cache);
    assert_eq!(pool.used_bytes(), 4 * pool.page_bytes());
    fork.truncate(PAGE_TOKENS);
    assert_eq!(fork.bytes(), pool.page_bytes());
    drop(fork);
    assert_eq!(pool.used_bytes(), 0);
}

#[test]
fn a_step_that_fails_changes_nothing() {
    let page = decoder("qwen3-tied", GgmlDType::F32, &options(1, 64, CachePrecision::Half)).pool().page_bytes();
    let small = CacheOptions { max_bytes: 3 * page, precision: CachePrecision::Half };
    let options = DecoderOptions { threads: Some(1), max_batch_tokens: 64, cache: small };
    let mut decoder = decoder("qwen3-tied", GgmlDType::F32, &options);
    let context = decoder.shape().context;
    let (mut a, mut b) = (decoder.pool().cache(), decoder.pool().cache());
    forward(&mut decoder, &mut a, &tokens(PAGE_TOKENS, 1), Logits::None);
    let used = decoder.pool().used_bytes();
    let long = tokens(2 * PAGE_TOKENS + 1, 2);
    let too_long = tokens(context + 1, 2);
    let wrong = [VOCABULARY];
    for (tokens, expected) in
        [(&long[..], "full"), (&too_long[..], "context"), (&wrong[..], "vocabulary"), (&[][..], "at least one")]
    {
        let error = decoder
            .forward(&mut [
                Step { cache: &mut a, tokens: &[7], logits: Logits::Last },
                Step { cache: &mut b, tokens, logits: Logits::Last },
            ])
            .unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        assert_eq!((a.len(), b.len(), decoder.pool().used_bytes()), (PAGE_TOKENS, 0, used));
    }
    let mut foreign = self::decoder("llama-tied", GgmlDType::F32, &options).pool().cache();
    let error = decoder.forward(&mut [Step { cache: &mut foreign, tokens: &[1], logits: Logits::None }]).unwrap_err();
    assert!(matches!(error, DecoderError::ForeignCache));
    let again = forward(&mut decoder, &mut a, &[7], Logits::Last);
    let mut history = tokens(PAGE_TOKENS, 1);
    history.push(7);
    drop((a, b));
    assert!(plain(&mut decoder, &history).last() == again.last());
}

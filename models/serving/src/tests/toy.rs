//! A small engine that is a real function of the whole sequence.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use candle_core::quantized::gguf_file::Value;
use rejoinder_vocabulary::{ChatTemplate, Metadata, Vocabulary};

use crate::engine::{Engine, EngineCache, EngineError, EngineStep, Rows};
use crate::queue::lock;

/// Tokens of a page; each counts as a byte.
pub(crate) const PAGE: usize = 16;
/// Rows are wider than the vocabulary, as models pad their tables.
const PADDING: usize = 5;

/// Pairs of texts that are one token together.
const MERGES: &[(&str, &str)] =
    &[("t", "h"), ("th", "e"), ("i", "n"), ("e", "r"), ("a", "n"), ("an", "d"), ("Ġ", "the"), ("r", "e"), ("Ã", "¼")];

/// A byte-level vocabulary with a few merges, and `ChatML`.
pub(crate) fn vocabulary() -> (Vocabulary, ChatTemplate) {
    let letter = |byte: u32| match byte {
        0..=0x20 => 0x100 + byte,
        0x7f..=0xa0 => 0x100 + byte - 0x7f + 33,
        0xad => 0x143,
        printable => printable,
    };
    let mut tokens: Vec<String> = (0..256).map(|byte| char::from_u32(letter(byte)).unwrap().to_string()).collect();
    tokens.extend(MERGES.iter().map(|(left, right)| format!("{left}{right}")));
    let plain = tokens.len();
    tokens.extend(["<|im_start|>".to_owned(), "<|im_end|>".to_owned()]);
    let types = (0..tokens.len()).map(|id| Value::I32(if id < plain { 1 } else { 3 })).collect();
    let merges = MERGES.iter().map(|(left, right)| Value::String(format!("{left} {right}"))).collect();
    let metadata = Metadata::from([
        ("tokenizer.ggml.model".into(), Value::String("gpt2".into())),
        ("tokenizer.ggml.pre".into(), Value::String("qwen2".into())),
        ("tokenizer.ggml.tokens".into(), Value::Array(tokens.into_iter().map(Value::String).collect())),
        ("tokenizer.ggml.token_type".into(), Value::Array(types)),
        ("tokenizer.ggml.merges".into(), Value::Array(merges)),
    ]);
    let vocabulary = Vocabulary::from_metadata(&metadata).unwrap();
    let template = ChatTemplate::from_metadata(&metadata, &vocabulary).unwrap();
    (vocabulary, template)
}

/// The logits after `tokens`: noise from a hash of all of them, with a strong wish to repeat what followed the last two
/// tokens before, and now and then to end.
pub(crate) fn logits(tokens: &[u32], vocabulary: &Vocabulary) -> Vec<f32> {
    let hash = tokens.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &token| mix(hash ^ u64::from(token)));
    let mut logits: Vec<f32> = (0..vocabulary.len() + PADDING)
        .map(|token| (mix(hash ^ (token as u64) << 32) >> 40) as f32 / (1u64 << 24) as f32 * 4.0)
        .collect();
    let mut raise = |token: u32, by: f32| logits[token as usize] += by;
    (b'a'..=b'z').chain(*b" .\n").for_each(|byte| raise(vocabulary.encode(&char::from(byte).to_string())[0], 2.0));
    // Characters of more than one byte: first bytes come now and then, second bytes follow them.
    raise(0xC3, 2.0);
    if tokens.last() == Some(&0xC3) {
        (0x80..0xC0).for_each(|byte| raise(byte, 9.0));
    }
    if let Some(last) = tokens.last_chunk::<2>()
        && hash % 12 != 0
        && let Some(place) = tokens[..tokens.len() - 1].windows(2).rposition(|pair| pair == last)
    {
        raise(tokens[place + 2], 7.0);
    }
    if hash % 251 == 0 {
        raise(vocabulary.end_tokens()[0], 12.0);
    } else {
        vocabulary.end_tokens().iter().for_each(|&end| raise(end, -20.0));
    }
    logits
}

fn mix(mut bits: u64) -> u64 {
    bits = bits.wrapping_add(0x9E37_79B9_7F4A_7C15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^ (bits >> 31)
}

/// What one forward call computed for one sequence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Computed {
    /// The sequence with the new tokens.
    pub(crate) sequence: Vec<u32>,
    /// How many of them are new.
    pub(crate) new: usize,
    pub(crate) rows: Rows,
}

/// What tests see and steer while the engine belongs to a scheduler.
#[derive(Debug)]
pub(crate) struct Controls {
    /// All forward calls that worked.
    pub(crate) calls: Mutex<Vec<Vec<Computed>>>,
    /// A call in which a sequence has this token among its new ones fails.
    pub(crate) error_at: Mutex<Option<u32>>,
    /// The same, with a panic after caches were half written.
    pub(crate) panic_at: Mutex<Option<u32>>,
    /// The time, which passes by a millisecond for each token computed.
    pub(crate) now: Mutex<Instant>,
    pages: AtomicUsize,
}

/// The engine.
pub(crate) struct Toy {
    vocabulary: Arc<Vocabulary>,
    controls: Arc<Controls>,
    most_pages: usize,
}

impl Toy {
    pub(crate) fn new(vocabulary: Arc<Vocabulary>, cache_bytes: usize) -> (Self, Arc<Controls>) {
        let controls = Arc::new(Controls {
            calls: Mutex::default(),
            error_at: Mutex::default(),
            panic_at: Mutex::default(),
            now: Mutex::new(Instant::now()),
            pages: AtomicUsize::new(0),
        });
        let most_pages = cache_bytes / PAGE;
        (Self { vocabulary, controls: Arc::clone(&controls), most_pages }, controls)
    }
}

impl Controls {
    /// Pages of all caches.
    pub(crate) fn pages(&self) -> usize {
        self.pages.load(Ordering::SeqCst)
    }
}

#[derive(Debug)]
struct Page {
    tokens: Vec<u32>,
    controls: Arc<Controls>,
}

impl Page {
    fn new(tokens: Vec<u32>, controls: &Arc<Controls>) -> Arc<Self> {
        controls.pages.fetch_add(1, Ordering::SeqCst);
        Arc::new(Self { tokens, controls: Arc::clone(controls) })
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        self.controls.pages.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Pages of tokens, shared until one writes.
#[derive(Debug)]
pub(crate) struct ToyCache {
    pages: Vec<Arc<Page>>,
    len: usize,
    controls: Arc<Controls>,
}

impl ToyCache {
    fn tokens(&self) -> Vec<u32> {
        self.pages.iter().flat_map(|page| page.tokens.iter().copied()).take(self.len).collect()
    }

    /// Pages that appending so many tokens takes.
    fn needed(&self, count: usize) -> usize {
        let shared =
            !self.len.is_multiple_of(PAGE) && self.pages.last().is_some_and(|page| Arc::strong_count(page) > 1);
        (self.len + count).div_ceil(PAGE) - self.len.div_ceil(PAGE) + usize::from(shared)
    }

    fn append(&mut self, token: u32) {
        let at = self.len % PAGE;
        if at == 0 {
            self.pages.push(Page::new(vec![token], &self.controls));
        } else {
            let page = self.pages.last_mut().unwrap();
            if Arc::get_mut(page).is_none() {
                *page = Page::new(page.tokens.clone(), &self.controls);
            }
            let tokens = &mut Arc::get_mut(page).unwrap().tokens;
            tokens.truncate(at);
            tokens.push(token);
        }
        self.len += 1;
    }
}

impl EngineCache for ToyCache {
    fn len(&self) -> usize {
        self.len
    }

    fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
        self.pages.truncate(self.len.div_ceil(PAGE));
    }

    fn fork(&self) -> Self {
        Self { pages: self.pages.clone(), len: self.len, controls: Arc::clone(&self.controls) }
    }

    fn bytes(&self) -> usize {
        self.pages.len() * PAGE
    }
}

impl Engine for Toy {
    type Cache = ToyCache;

    fn vocabulary(&self) -> usize {
        self.vocabulary.len() + PADDING
    }

    fn cache(&self) -> ToyCache {
        ToyCache { pages: Vec::new(), len: 0, controls: Arc::clone(&self.controls) }
    }

    fn used_bytes(&self) -> usize {
        self.controls.pages() * PAGE
    }

    fn forward(&mut self, steps: &mut [EngineStep<'_, ToyCache>]) -> Result<Vec<Vec<f32>>, EngineError> {
        assert!(!steps.is_empty());
        let meets = |token: &Mutex<Option<u32>>, step: &EngineStep<'_, ToyCache>| {
            lock(token).is_some_and(|token| step.tokens.contains(&token))
        };
        if steps.iter().any(|step| meets(&self.controls.error_at, step)) {
            return Err(EngineError::Other("this token cannot be computed".into()));
        }
        let needed: usize = steps.iter().map(|step| step.cache.needed(step.tokens.len())).sum();
        if self.controls.pages() + needed > self.most_pages {
            return Err(EngineError::Full);
        }
        let mut rows = Vec::new();
        let mut call = Vec::new();
        for step in steps {
            assert!(!step.tokens.is_empty());
            let mut sequence = step.cache.tokens();
            for (index, &token) in step.tokens.iter().enumerate() {
                step.cache.append(token);
                assert!(*lock(&self.controls.panic_at) != Some(token), "the toy engine panics, as it was told");
                sequence.push(token);
                let wanted = match step.rows {
                    Rows::None => false,
                    Rows::Last => index + 1 == step.tokens.len(),
                    Rows::All => true,
                };
                if wanted {
                    rows.push(logits(&sequence, &self.vocabulary));
                }
            }
            *lock(&self.controls.now) += Duration::from_millis(step.tokens.len() as u64);
            call.push(Computed { sequence, new: step.tokens.len(), rows: step.rows });
        }
        assert!(self.controls.pages() <= self.most_pages, "the toy engine counts its pages wrongly");
        lock(&self.controls.calls).push(call);
        Ok(rows)
    }
}

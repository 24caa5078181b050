//! A byte-level byte-pair tokenizer, trained on the text below: all 256 bytes and some hundred merges.

#![allow(dead_code, reason = "not every test uses all of it")]

use std::collections::HashMap;
use std::sync::Arc;

use rejoinder_grammar::{GrammarError, GrammarFactory, Matcher, TokenTable};

const TEXT: &str = r#"{"name": "Anna Smith", "email": "anna.smith@example.com", "age": 42, "active": true, "tags": ["new", "vip"]}
{"order_id": "A-1001", "status": "refunded", "amount": 19.99, "currency": "EUR", "items": [{"sku": "X1", "count": 2}]}
{"question": "Where is my order?", "answer": "Your order was shipped on 2024-03-05 and should arrive within 3 days."}
{"priority": "high", "category": "billing", "summary": "The customer was charged twice and asks for a refund."}
{"date": "2023-12-31", "time": "23:59:59Z", "created_at": "2024-01-01T00:00:00Z", "value": null, "flag": false}
The quick brown fox jumps over the lazy dog. Please reset your password by following the link in the message.
Thank you for contacting us. We are sorry for the delay; the parcel was returned to the sender and sent again.
"#;

/// How many tokens the merges add.
const MERGES: usize = 300;

pub(crate) struct Bpe {
    pub(crate) words: Vec<Vec<u8>>,
    ranks: HashMap<(u32, u32), u32>,
}

impl Bpe {
    pub(crate) fn train() -> Self {
        let mut words: Vec<Vec<u8>> = (0..=255u8).map(|byte| vec![byte]).collect();
        let mut ranks = HashMap::new();
        let mut sequence: Vec<u32> = TEXT.bytes().map(u32::from).collect();
        for _ in 0..MERGES {
            let mut counts: HashMap<(u32, u32), usize> = HashMap::new();
            for pair in sequence.windows(2).filter(|pair| of_one_kind(&words, pair)) {
                *counts.entry((pair[0], pair[1])).or_default() += 1;
            }
            let best = counts.into_iter().max_by_key(|(pair, count)| (*count, std::cmp::Reverse(*pair))).unwrap().0;
            let token = words.len() as u32;
            let word = [words[best.0 as usize].clone(), words[best.1 as usize].clone()].concat();
            words.push(word);
            ranks.insert(best, token);
            sequence = merge(&sequence, best, token);
        }
        Self { words, ranks }
    }

    pub(crate) fn encode(&self, text: &str) -> Vec<u32> {
        let mut sequence: Vec<u32> = text.bytes().map(u32::from).collect();
        loop {
            let pairs = sequence.windows(2).filter_map(|pair| {
                let pair = (pair[0], pair[1]);
                self.ranks.get(&pair).map(|token| (*token, pair))
            });
            let Some((token, pair)) = pairs.min() else { return sequence };
            sequence = merge(&sequence, pair, token);
        }
    }

    pub(crate) fn decode(&self, tokens: &[u32]) -> Vec<u8> {
        tokens.iter().flat_map(|token| self.words[*token as usize].clone()).collect()
    }
}

/// Words and punctuation are not merged, as the splitting before a real tokenizer's merges sees to.
fn of_one_kind(words: &[Vec<u8>], pair: &[u32]) -> bool {
    let word: Vec<u8> = pair.iter().flat_map(|token| words[*token as usize].clone()).collect();
    let word = word.strip_prefix(b" ").unwrap_or(&word);
    word.iter().all(u8::is_ascii_alphanumeric) || !word.iter().any(u8::is_ascii_alphanumeric)
}

fn merge(sequence: &[u32], pair: (u32, u32), token: u32) -> Vec<u32> {
    let mut merged = Vec::with_capacity(sequence.len());
    let mut index = 0;
    while index < sequence.len() {
        if index + 1 < sequence.len() && (sequence[index], sequence[index + 1]) == pair {
            merged.push(token);
            index += 2;
        } else {
            merged.push(sequence[index]);
            index += 1;
        }
    }
    merged
}

/// The tokenizer with two control tokens behind its words, the first of which ends an answer.
pub(crate) struct Vocabulary {
    pub(crate) bpe: Arc<Bpe>,
    pub(crate) factory: GrammarFactory,
    pub(crate) end: u32,
    pub(crate) control: u32,
}

impl Vocabulary {
    pub(crate) fn new() -> Self {
        let bpe = Arc::new(Bpe::train());
        let end = bpe.words.len() as u32;
        let mut table = TokenTable::new(bpe.words.len() + 2, &[end]).unwrap();
        for (token, word) in bpe.words.iter().enumerate() {
            table.set_text(token as u32, word).unwrap();
        }
        table.set_special(end + 1, "<|im_start|>").unwrap();
        let encoder = Arc::clone(&bpe);
        let factory = GrammarFactory::new(&table, Arc::new(move |text: &str| encoder.encode(text))).unwrap();
        Self { bpe, factory, end, control: end + 1 }
    }

    /// Takes random allowed tokens until the end; `None` where there is none within `max_tokens`.
    pub(crate) fn random_walk(
        &self,
        matcher: &mut Matcher,
        dice: &mut Dice,
        max_tokens: usize,
    ) -> Result<Option<String>, GrammarError> {
        let mut bytes = Vec::new();
        for _ in 0..max_tokens {
            let mut next = matcher.forced_tokens();
            if next.is_empty() {
                let tokens = matcher.mask()?.tokens();
                next = vec![tokens[dice.below(tokens.len())]];
            }
            for token in next {
                matcher.accept(token)?;
                if token == self.end {
                    return Ok(Some(String::from_utf8(bytes).unwrap()));
                }
                bytes.extend_from_slice(&self.bpe.words[token as usize]);
            }
        }
        Ok(None)
    }
}

/// A generator of random numbers (xorshift64*).
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    pub(crate) fn below(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % sides
    }
}

//! A small vocabulary, learned on a few lines of text.

use std::collections::HashMap;

use candle_core::quantized::gguf_file::Value;
use rejoinder_vocabulary::Metadata;

/// What the merges are learned on: several scripts, digits, blanks, code.
const SAMPLE: &str = "where is the refund for the order that we paid? the refund is here, and there is the other order.\n\
    We've paid, they're here, it's done; I'll wait. IT'S THE ORDER.\n\n    if (order == 1234) { return the_order; }\n\
    Die Lieferung der Bestellung ist beschädigt; wir möchten die Lieferung zurück.   Grüße\r\n\r\n\
    Où est la commande n° 2024-117 ? ¿Dónde está el pedido? Не пришёл заказ, где заказ? 注文はどこですか。注文 👍👍\n";

/// Control tokens, in the order of their ids after the plain ones.
pub(crate) const CONTROL: &[&str] = &[
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|begin_of_text|>",
    "<|eot_id|>",
    "<|start_header_id|>",
    "<|end_header_id|>",
];
/// Added tokens that are text.
pub(crate) const ADDED: &[&str] = &["<think>", "</think>"];

/// The letter of GPT-2's alphabet for a byte.
pub(crate) fn letter(byte: u8) -> char {
    let code = match byte {
        0..=0x20 => 0x100 + u32::from(byte),
        0x7f..=0xa0 => 0x100 + u32::from(byte) - 0x7f + 33,
        0xad => 0x143,
        printable => u32::from(printable),
    };
    char::from_u32(code).unwrap()
}

/// A small vocabulary's parts.
pub(crate) struct Small {
    /// Plain tokens, the 256 bytes first.
    pub(crate) plain: Vec<String>,
    /// Merges in order.
    pub(crate) merges: Vec<(String, String)>,
}

impl Small {
    /// Learns `count` merges of the pair that is most frequent, the first in order of text among equals.
    pub(crate) fn learn(count: usize) -> Self {
        let mut words: Vec<Vec<String>> = SAMPLE
            .split_inclusive(char::is_whitespace)
            .map(|word| word.bytes().map(|byte| letter(byte).to_string()).collect())
            .collect();
        let mut small = Self { plain: (0..=255).map(|byte| letter(byte).to_string()).collect(), merges: Vec::new() };
        while small.merges.len() < count {
            let mut pairs: HashMap<(String, String), usize> = HashMap::new();
            for pair in words.iter().flat_map(|word| word.windows(2)) {
                *pairs.entry((pair[0].clone(), pair[1].clone())).or_default() += 1;
            }
            let Some((pair, _)) = pairs.into_iter().max_by(|(a, m), (b, n)| m.cmp(n).then_with(|| b.cmp(a))) else {
                break;
            };
            let whole = format!("{}{}", pair.0, pair.1);
            for word in &mut words {
                let mut at = 0;
                while at + 1 < word.len() {
                    if word[at] == pair.0 && word[at + 1] == pair.1 {
                        word.splice(at..at + 2, [whole.clone()]);
                    }
                    at += 1;
                }
            }
            if !small.plain.contains(&whole) {
                small.plain.push(whole);
            }
            small.merges.push(pair);
        }
        small
    }

    /// The metadata of a GGUF file with this vocabulary.
    pub(crate) fn metadata(&self, pre: &str) -> Metadata {
        let names = self.plain.iter().map(String::as_str).chain(CONTROL.iter().copied()).chain(ADDED.iter().copied());
        let tokens: Vec<Value> = names.map(|name| Value::String(name.to_owned())).collect();
        let kinds = [(1, self.plain.len()), (3, CONTROL.len()), (4, ADDED.len())];
        let types = kinds.iter().flat_map(|(kind, count)| vec![Value::I32(*kind); *count]).collect();
        let merges = self.merges.iter().map(|(left, right)| Value::String(format!("{left} {right}"))).collect();
        let id = |name: &str| self.plain.len() as u32 + CONTROL.iter().position(|known| *known == name).unwrap() as u32;
        [
            ("model", Value::String("gpt2".to_owned())),
            ("pre", Value::String(pre.to_owned())),
            ("tokens", Value::Array(tokens)),
            ("token_type", Value::Array(types)),
            ("merges", Value::Array(merges)),
            ("bos_token_id", Value::U32(id("<|begin_of_text|>"))),
            ("eos_token_id", Value::U32(id("<|im_end|>"))),
            ("add_bos_token", Value::Bool(false)),
        ]
        .into_iter()
        .map(|(key, value)| (format!("tokenizer.ggml.{key}"), value))
        .collect()
    }
}

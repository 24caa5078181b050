//! The tokenizer against the `tokenizers` crate, on a small generated vocabulary; and files that are refused.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod support;

use candle_core::quantized::gguf_file::Value;
use proptest::prelude::*;
use rejoinder_vocabulary::{Metadata, TokenKind, Vocabulary, VocabularyError};
use support::Small;
use tokenizers::models::bpe::BPE;
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::digits::Digits;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{SplitDelimiterBehavior, Tokenizer};

const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const QWEN2: &str =
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// The tokenizer as `tokenizers` builds it from the published `tokenizer.json` of each family.
fn reference(small: &Small, pre: &str) -> Tokenizer {
    let split = |pattern: &str| {
        let pattern = SplitPattern::Regex(pattern.to_owned());
        PreTokenizerWrapper::Split(Split::new(pattern, SplitDelimiterBehavior::Isolated, false).unwrap())
    };
    let bytes = |words: bool| PreTokenizerWrapper::ByteLevel(ByteLevel::new(false, true, words));
    let steps = match pre {
        "gpt-2" => vec![bytes(true)],
        "smollm" => vec![PreTokenizerWrapper::Digits(Digits::new(true)), bytes(true)],
        "qwen2" => vec![split(QWEN2), bytes(false)],
        "llama-bpe" => vec![split(LLAMA3), bytes(false)],
        _ => panic!("{pre}"),
    };
    let vocabulary: Vec<(String, u32)> = small.plain.iter().cloned().zip(0..).collect();
    let model = BPE::builder()
        .vocab_and_merges(vocabulary.into_iter().collect::<tokenizers::models::bpe::Vocab>(), small.merges.clone())
        .ignore_merges(pre == "llama-bpe")
        .build()
        .unwrap();
    let mut tokenizer = Tokenizer::new(model);
    tokenizer.with_pre_tokenizer(Some(Sequence::new(steps)));
    tokenizer
}

fn text() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        4 => "[a-eA-E]{1,6}",
        2 => "[ \t\r\n]{1,4}",
        1 => "[0-9]{1,5}",
        1 => "'(s|S|re|LL|d|t|x)",
        1 => prop::sample::select(vec![
            "refund", " the order", "they're", "Lieferung", " beschädigt", "заказ", "注文", "👍", "\u{a0}", "\u{2028}",
            "\u{85}", "½", "²", "e\u{301}", "<|im_end|>", "<think>",
        ])
        .prop_map(str::to_owned),
        1 => "\\PC{1,3}",
        1 => any::<char>().prop_map(String::from),
    ];
    prop::collection::vec(part, 0..24).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn tokens_are_those_of_the_tokenizers_crate(text in text()) {
        let small = SMALL.with(Compared::clone);
        for (pre, reference, vocabulary) in small.iter() {
            let expected = reference.encode(text.as_str(), false).unwrap();
            let found = vocabulary.encode(&text);
            prop_assert_eq!(&found, expected.get_ids(), "{} {:?}", pre, &text);
            prop_assert_eq!(vocabulary.decode(&found), text.as_str());
            prop_assert!(found.iter().all(|token| vocabulary.kind(*token) == TokenKind::Plain));
            prop_assert_eq!(vocabulary.encode_bytes(text.as_bytes()).unwrap(), found);
        }
    }

    #[test]
    fn bytes_come_back(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let vocabulary = Vocabulary::from_metadata(&Small::learn(20).metadata("qwen2")).unwrap();
        let tokens = vocabulary.encode_bytes(&bytes).unwrap();
        let written: Vec<u8> = tokens.iter().flat_map(|token| vocabulary.token_bytes(*token)).copied().collect();
        prop_assert_eq!(written, bytes);
    }
}

type Compared = std::rc::Rc<Vec<(&'static str, Tokenizer, Vocabulary)>>;

thread_local! {
    static SMALL: Compared = {
        let small = Small::learn(300);
        let compare = |pre| (pre, reference(&small, pre), Vocabulary::from_metadata(&small.metadata(pre)).unwrap());
        std::rc::Rc::new(["gpt-2", "smollm", "qwen2", "llama-bpe"].map(compare).into())
    };
}

#[test]
fn a_megabyte_without_a_border_is_tokenised() {
    let vocabulary = Vocabulary::from_metadata(&Small::learn(300).metadata("qwen2")).unwrap();
    for unit in ["a", " ", "\n", "refund", "-", "é"] {
        let text = unit.repeat((1 << 20) / unit.len());
        assert_eq!(vocabulary.decode(&vocabulary.encode(&text)), text, "{unit:?}");
    }
}

#[test]
fn special_tokens_are_read_in_markup_only() {
    let vocabulary = Vocabulary::from_metadata(&Small::learn(30).metadata("qwen2")).unwrap();
    let text = "<|im_start|>user\n<think>refund</think><|im_end|><|im_en";
    let [start, end] = ["<|im_start|>", "<|im_end|>"].map(|name| vocabulary.marker(name).unwrap());
    let [think, thought] = ["<think>", "</think>"].map(|name| vocabulary.marker(name).unwrap());
    let plain = |text: &str| vocabulary.encode(text);
    let expected = [vec![start], plain("user\n"), vec![think], plain("refund"), vec![thought, end], plain("<|im_en")];
    assert_eq!(vocabulary.encode_markup(text), expected.concat());
    assert!(plain(text).iter().all(|token| vocabulary.kind(*token) == TokenKind::Plain));
    // Added tokens are text of an answer, control tokens are not.
    assert_eq!(vocabulary.decode(&expected.concat()), "user\n<think>refund</think><|im_en");
    assert_eq!(vocabulary.token_bytes(end), b"<|im_end|>");
    assert_eq!((vocabulary.is_special(end), vocabulary.is_special(think)), (true, false));
    let beyond = vocabulary.len() as u32;
    assert_eq!((vocabulary.token_bytes(beyond), vocabulary.is_special(beyond)), (&b""[..], true));
}

#[test]
fn ends_are_found_by_id_and_by_text() {
    let mut metadata = Small::learn(0).metadata("qwen2");
    let vocabulary = Vocabulary::from_metadata(&metadata).unwrap();
    let ends = |vocabulary: &Vocabulary| {
        let text = |token: &u32| String::from_utf8(vocabulary.token_bytes(*token).to_vec()).unwrap();
        vocabulary.end_tokens().iter().map(text).collect::<Vec<_>>()
    };
    assert_eq!(ends(&vocabulary), ["<|endoftext|>", "<|im_end|>", "<|eot_id|>"]);
    // A file that types an end as text: it is a control token even so.
    set(&mut metadata, "token_type", Value::Array(vec![Value::I32(1); vocabulary.len()]));
    set(&mut metadata, "eos_token_id", Value::I64(65));
    let vocabulary = Vocabulary::from_metadata(&metadata).unwrap();
    assert_eq!(ends(&vocabulary), ["A", "<|endoftext|>", "<|im_end|>", "<|eot_id|>"]);
    assert!(vocabulary.end_tokens().iter().all(|token| vocabulary.is_special(*token)));
    assert!(!vocabulary.encode_markup("A<|im_start|>").contains(&vocabulary.marker("<|im_end|>").unwrap()));
}

#[test]
fn what_cannot_be_written_is_replaced_or_refused() {
    let small = Small::learn(0);
    let mut metadata = small.metadata("smollm");
    let Value::Array(types) = metadata.get_mut("tokenizer.ggml.token_type").unwrap() else { panic!() };
    for byte in [0x04, 0xf1] {
        types[byte] = Value::I32(5);
    }
    let vocabulary = Vocabulary::from_metadata(&metadata).unwrap();
    let text = "a\u{4}b \u{40000}\u{1f600}";
    assert_eq!(vocabulary.decode(&vocabulary.encode(text)), "a\u{fffd}b \u{fffd}\u{1f600}");
    let error = vocabulary.encode_bytes(text.as_bytes()).unwrap_err();
    assert!(matches!(error, VocabularyError::Unencodable { byte: 0x04 }), "{error}");

    let Value::Array(types) = metadata.get_mut("tokenizer.ggml.token_type").unwrap() else { panic!() };
    types[0xbd] = Value::I32(5);
    let error = Vocabulary::from_metadata(&metadata).unwrap_err();
    assert!(matches!(error, VocabularyError::Unencodable { byte: 0xbd }), "{error}");
}

#[test]
fn a_merge_cannot_make_a_control_token_of_text() {
    let mut metadata = Small::learn(0).metadata("qwen2");
    let Value::Array(merges) = metadata.get_mut("tokenizer.ggml.merges").unwrap() else { panic!() };
    merges.push(Value::String("<|im_end| >".to_owned()));
    assert!(Vocabulary::from_metadata(&metadata).unwrap_err().to_string().contains("no plain token"));
}

fn set(metadata: &mut Metadata, key: &str, value: Value) {
    metadata.insert(format!("tokenizer.ggml.{key}"), value);
}

#[test]
fn hostile_metadata_is_refused_with_a_reason() {
    let good = Small::learn(10).metadata("qwen2");
    let count = Vocabulary::from_metadata(&good).unwrap().len();
    let text = |text: &str| Value::String(text.to_owned());
    let many = |value: Value, count| Value::Array(vec![value; count]);
    for (key, value, reason) in [
        ("model", text("llama"), "supported are: gpt2"),
        ("model", Value::U32(1), "is not a text"),
        ("pre", text("tekken"), "default, gpt-2, llama-bpe, llama-v3, llama3, qwen2"),
        ("tokens", text("a"), "is not a list"),
        ("tokens", many(Value::U32(1), 3), "is not a list of texts"),
        ("tokens", many(text("a"), count), "tokens 0 and 1 are the same text"),
        ("tokens", many(text(""), (1 << 20) + 1), "holds 1048577, more than 1048576"),
        ("tokens", many(text(&"a".repeat(1 << 18)), count), "more than 67108864"),
        ("tokens", Value::Array(Vec::new()), "outside of 0 tokens"),
        ("token_type", many(Value::I32(1), 3), "3 types for"),
        ("token_type", many(Value::I32(77), count), "no token type 77"),
        ("token_type", many(text("1"), count), "list of whole numbers"),
        ("token_type", many(Value::I32(3), count), "no plain token"),
        ("merges", many(text("ab"), 1), "entry 0 is not two tokens"),
        ("merges", many(text("ab c"), 1), "\"ab\" is no plain token"),
        ("merges", many(text("a q"), 1), "\"aq\" is no plain token"),
        ("merges", many(Value::Bool(true), 1), "list of texts"),
        ("eos_token_id", Value::U32(u32::MAX), "is outside of"),
        ("eos_token_id", Value::I32(-1), "-1 is outside of"),
        ("bos_token_id", text("<s>"), "is not a token id"),
        ("add_bos_token", Value::U32(1), "is not true or false"),
    ] {
        let mut metadata = good.clone();
        set(&mut metadata, key, value);
        let error = Vocabulary::from_metadata(&metadata).unwrap_err().to_string();
        assert!(error.contains(reason), "{key}: {error:?} should say {reason:?}");
    }
    for key in ["model", "pre", "tokens", "merges"] {
        let mut metadata = good.clone();
        metadata.remove(&format!("tokenizer.ggml.{key}"));
        let error = Vocabulary::from_metadata(&metadata).unwrap_err();
        assert!(matches!(error, VocabularyError::Missing { .. }), "{key}: {error}");
    }
}

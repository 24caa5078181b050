//! The vocabulary of `SmolLM2` against llama.cpp.
//!
//! `REJOINDER_SMOLLM2` = path of a GGUF file of it runs the checked-in ids. `REJOINDER_TOKENS` = the folder that
//! `tests/reference/llama_tokens.py` wrote runs every text in it, under every pre-tokenizer.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

use std::io::BufRead;
use std::path::Path;

use rejoinder_vocabulary::{ChatTemplate, Metadata, Vocabulary};

fn metadata(path: &Path) -> Metadata {
    let file = std::fs::File::open(path).unwrap();
    candle_core::quantized::gguf_file::Content::read(&mut std::io::BufReader::new(file)).unwrap().metadata
}

fn pairs(path: &Path) -> Vec<(String, Vec<u32>)> {
    let lines = std::io::BufReader::new(std::fs::File::open(path).unwrap()).lines();
    lines.map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect()
}

#[test]
fn smollm2_has_the_checked_in_tokens() {
    let Some(path) = std::env::var_os("REJOINDER_SMOLLM2") else { return };
    let metadata = metadata(Path::new(&path));
    let vocabulary = Vocabulary::from_metadata(&metadata).unwrap();
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/smollm2.jsonl");
    for (text, expected) in pairs(&golden) {
        assert_eq!(vocabulary.encode(&text), expected, "{text:?}");
        assert_eq!(vocabulary.decode(&expected), text);
    }
    let template = ChatTemplate::from_metadata(&metadata, &vocabulary).unwrap();
    let messages = [("system", "Be brief."), ("user", "Where is my refund?")];
    let prompt = template.prompt_tokens(&vocabulary, &messages).unwrap();
    // llama.cpp's tokens for the same prompt, special tokens recognised.
    let expected =
        [1, 9690, 198, 6077, 5453, 30, 2, 198, 1, 4093, 198, 9576, 314, 957, 37393, 47, 2, 198, 1, 520, 9531, 198];
    assert_eq!(prompt.tokens, expected);
    assert_eq!(prompt.message_ends, [7, 17]);
    assert_eq!(vocabulary.end_tokens(), [0, 2]);
}

#[test]
fn every_text_has_the_tokens_of_llama_cpp() {
    let Some(folder) = std::env::var_os("REJOINDER_TOKENS") else { return };
    let folder = Path::new(&folder);
    for pre in ["smollm", "qwen2", "llama-bpe", "gpt-2", "default"] {
        let vocabulary = Vocabulary::from_metadata(&metadata(&folder.join(format!("{pre}.gguf")))).unwrap();
        let (mut texts, mut replaced, mut different) = (0, 0, Vec::new());
        for (text, expected) in pairs(&folder.join(format!("{pre}.jsonl"))) {
            // llama.cpp drops bytes that have no token, this crate writes U+FFFD.
            if vocabulary.encode_bytes(text.as_bytes()).is_err() {
                replaced += 1;
                continue;
            }
            texts += 1;
            let found = vocabulary.encode(&text);
            if found != expected {
                let at = found.iter().zip(&expected).take_while(|(a, b)| a == b).count();
                different.push(format!("{at}: {:?} in {text:?}", found.get(at)));
            }
        }
        println!("{pre}: {texts} texts compared, {replaced} not; different: {different:#?}");
        // The tables of Unicode differ by version: of 41730 texts, a fifth of them random, one differed.
        assert!(texts > 0 && different.len() * 10_000 <= texts, "{pre}");
    }
}

//! What a generator relies on: masks, forced tokens, ends, speculation, rollback, copies.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod vocabulary;

use std::sync::{Arc, LazyLock};

use rejoinder_grammar::{Grammar, GrammarError, GrammarFactory, GrammarOptions, Matcher, TokenMask, TokenTable};
use serde_json::json;
use vocabulary::Vocabulary;

static VOCABULARY: LazyLock<Vocabulary> = LazyLock::new(Vocabulary::new);

fn matcher(grammar: &Grammar) -> Matcher {
    VOCABULARY.factory.matcher(grammar, &GrammarOptions::default()).unwrap()
}

fn person() -> Grammar {
    Grammar::Json(json!({
        "type": "object",
        "properties": {"name": {"type": "string"}, "age": {"type": "integer", "minimum": 0, "maximum": 150}},
        "required": ["name", "age"]
    }))
}

/// Writes `text` byte by byte or as the tokenizer cuts it, taking forced tokens as they come.
fn write(matcher: &mut Matcher, text: &str) -> Result<(), GrammarError> {
    for token in VOCABULARY.bpe.encode(text) {
        matcher.accept(token)?;
    }
    Ok(())
}

fn text_of(mask: &TokenMask) -> Vec<String> {
    mask.tokens()
        .into_iter()
        .map(|token| {
            VOCABULARY
                .bpe
                .words
                .get(token as usize)
                .map_or_else(|| format!("<{token}>"), |word| String::from_utf8_lossy(word).into_owned())
        })
        .collect()
}

#[test]
fn the_beginning_of_an_object_is_forced() {
    let mut matcher = matcher(&person());
    let forced = matcher.forced_tokens();
    let text = VOCABULARY.bpe.decode(&forced);
    assert!(!forced.is_empty() && br#"{"name": ""#.starts_with(&text[..]), "{:?}", String::from_utf8_lossy(&text));
    // The mask says the same.
    assert_eq!(matcher.mask().unwrap().single(), Some(forced[0]));
    for token in forced {
        matcher.accept(token).unwrap();
    }
    assert!(!matcher.may_end() && !matcher.is_complete());
}

#[test]
fn a_complete_object_allows_the_end_only() {
    let mut matcher = matcher(&person());
    write(&mut matcher, r#"{"name": "Anna", "age": 42"#).unwrap();
    assert!(!matcher.may_end());
    write(&mut matcher, "}").unwrap();
    assert!(matcher.may_end() && matcher.is_complete());
    assert_eq!(matcher.mask().unwrap().tokens(), [VOCABULARY.end]);
    assert!(matcher.forced_tokens().is_empty());
    matcher.accept(VOCABULARY.end).unwrap();
    assert!(matcher.is_complete());
    assert_eq!(matcher.accept(VOCABULARY.end), Err(GrammarError::NotAllowed { token: VOCABULARY.end }));
    // The end can be taken back, and then more.
    matcher.rollback(2).unwrap();
    assert!(!matcher.may_end());
    write(&mut matcher, "}").unwrap();
    assert!(matcher.is_complete());
}

#[test]
fn a_token_that_is_not_allowed_changes_nothing() {
    let mut matcher = matcher(&person());
    write(&mut matcher, r#"{"name": "Anna", "age": "#).unwrap();
    let before = matcher.mask().unwrap();
    for token in [u32::from(b'x'), VOCABULARY.end, VOCABULARY.control, 1_000_000] {
        assert_eq!(matcher.accept(token), Err(GrammarError::NotAllowed { token }));
    }
    assert_eq!(matcher.mask().unwrap(), before);
    assert!(!before.allows(u32::from(b'x')) && before.allows(u32::from(b'4')) && !before.allows(u32::from(b'-')));
    write(&mut matcher, "42}").unwrap();
    assert!(matcher.is_complete());
}

#[test]
fn logits_of_what_is_not_allowed_become_minus_infinity() {
    let mut matcher = matcher(&Grammar::Choice(vec!["yes".into(), "no".into(), "nothing".into()]));
    let mask = matcher.mask().unwrap();
    // A model's table is often longer than its vocabulary.
    let mut logits = vec![1.0f32; VOCABULARY.factory.vocabulary() + 70];
    mask.apply(&mut logits);
    for (token, logit) in logits.iter().enumerate() {
        let allowed = mask.allows(token as u32);
        let expected = if allowed { 1.0f32 } else { f32::NEG_INFINITY };
        assert_eq!(logit.to_bits(), expected.to_bits(), "{token}");
    }
    assert!(mask.allows(u32::from(b'y')) && mask.allows(u32::from(b'n')) && mask.count() < 10, "{:?}", text_of(&mask));
    write(&mut matcher, "no").unwrap();
    assert!(matcher.may_end() && !matcher.is_complete());
    write(&mut matcher, "thing").unwrap();
    assert!(matcher.is_complete());
}

#[test]
fn a_regular_expression_is_matched_as_a_whole() {
    let mut matcher = matcher(&Grammar::Regex(r"[A-Z]-\d{4}".to_owned()));
    assert!(write(&mut matcher.clone(), "a-1").is_err());
    write(&mut matcher, "A-100").unwrap();
    assert!(!matcher.may_end());
    write(&mut matcher, "1").unwrap();
    assert!(matcher.is_complete());
}

#[test]
fn speculation_follows_the_masks_and_leaves_no_trace() {
    let mut matcher = matcher(&person());
    write(&mut matcher, r#"{"name": "An"#).unwrap();
    let mut proposal = VOCABULARY.bpe.encode(r#"na", "age": 4"#);
    let good = proposal.len();
    proposal.push(u32::from(b'x'));
    let before = matcher.mask().unwrap();
    assert_eq!(matcher.allowed_prefix(&proposal).unwrap(), good);
    let speculation = matcher.speculate(&proposal).unwrap();
    assert_eq!(matcher.mask().unwrap(), before);
    assert_eq!(speculation.masks.len(), speculation.allowed + 1);
    // Each mask is the one that a generator without speculation would have seen.
    let mut plain = matcher.clone();
    for (mask, token) in speculation.masks.iter().zip(&proposal) {
        assert_eq!(*mask, plain.mask().unwrap());
        if plain.mask().unwrap().allows(*token) {
            plain.accept(*token).unwrap();
        }
    }
}

#[test]
fn copies_go_their_own_ways() {
    let mut matcher = matcher(&person());
    write(&mut matcher, r#"{"name": "A"#).unwrap();
    let mut copy = matcher.clone();
    let mut independent = matcher.independent_copy();
    write(&mut copy, r#"nna", "age": 1}"#).unwrap();
    let mask = std::thread::spawn(move || {
        write(&mut independent, r#"da", "age": "#).unwrap();
        independent.mask().unwrap()
    });
    assert!(copy.is_complete() && !matcher.may_end());
    assert!(mask.join().unwrap().allows(u32::from(b'1')));
    write(&mut matcher, r#"lan", "age": 2}"#).unwrap();
    assert!(matcher.is_complete());
}

#[test]
fn more_than_was_accepted_cannot_be_taken_back() {
    let mut matcher = matcher(&person());
    write(&mut matcher, "{").unwrap();
    assert_eq!(matcher.rollback(2), Err(GrammarError::Rollback { requested: 2, accepted: 1 }));
    matcher.rollback(1).unwrap();
    assert_eq!(matcher.accepted(), 0);
    write(&mut matcher, r#"{"name""#).unwrap();
}

#[test]
fn forms_that_cannot_be_honoured_are_refused() {
    let refused = |grammar: &Grammar| VOCABULARY.factory.matcher(grammar, &GrammarOptions::default()).unwrap_err();
    assert!(matches!(refused(&Grammar::Choice(vec![])), GrammarError::InvalidChoice { .. }));
    assert!(matches!(refused(&Grammar::Choice(vec![String::new()])), GrammarError::InvalidChoice { .. }));
    assert!(matches!(refused(&Grammar::Regex("(a".into())), GrammarError::InvalidRegex { .. }));
    assert!(matches!(refused(&Grammar::Regex("(?=a)b".into())), GrammarError::InvalidRegex { .. }));
    assert!(matches!(refused(&Grammar::Regex("a".repeat(200_000))), GrammarError::TooComplex { .. }));
    assert!(matches!(refused(&Grammar::Json(json!([1]))), GrammarError::InvalidSchema { .. }));
}

#[test]
fn forced_text_of_a_schema_is_never_read_as_a_control_token() {
    let mut matcher = matcher(&Grammar::Choice(vec!["<|im_start|>é€😀 \"x\"\n/\\".into()]));
    let mut text = Vec::new();
    while !matcher.is_complete() {
        let mut next = matcher.forced_tokens();
        if next.is_empty() {
            next = matcher.mask().unwrap().tokens();
            next.truncate(1);
        }
        for token in next {
            assert_ne!(token, VOCABULARY.control);
            matcher.accept(token).unwrap();
            text.extend_from_slice(&VOCABULARY.bpe.words[token as usize]);
        }
    }
    assert_eq!(String::from_utf8(text).unwrap(), "<|im_start|>é€😀 \"x\"\n/\\");
}

#[test]
fn a_vocabulary_without_some_bytes_still_has_its_text_forced() {
    // Printable ASCII alone, one token for each byte, and an end.
    let mut table = TokenTable::new(96, &[95]).unwrap();
    for (token, byte) in (b' '..=b'~').enumerate() {
        table.set_text(token as u32, &[byte]).unwrap();
    }
    let encode = |text: &str| text.bytes().map(|byte| u32::from(byte.wrapping_sub(b' '))).collect::<Vec<u32>>();
    let factory = GrammarFactory::new(&table, Arc::new(encode)).unwrap();
    let written = |text: &str| {
        let grammar = Grammar::Choice(vec![text.to_owned()]);
        let mut matcher = factory.matcher(&grammar, &GrammarOptions::default()).unwrap();
        let forced = matcher.forced_tokens();
        String::from_utf8(forced.iter().map(|token| *token as u8 + b' ').collect()).unwrap()
    };
    assert_eq!(written("as it is"), "as it is");
    let cut = written("up to \u{4} here");
    assert!("up to ".starts_with(&cut) && !cut.is_empty(), "{cut:?}");
}

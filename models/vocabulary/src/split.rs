//! Pre-tokenizers: where a text is cut before pairs of tokens are merged, so that no token reaches across two words.
//!
//! Every byte-level vocabulary was learned behind one such rule, published as a regular expression, and gives other
//! tokens, never seen in training, behind any other. The expressions end in `\s+(?!\S)|\s+`: a run of blanks leaves its
//! last one to the word that follows. The look-ahead is done by hand here, because an engine that can look ahead
//! backtracks, and backtracking over a long run of blanks is what a hostile mail would make it do.

use regex::Regex;

use crate::VocabularyError;

/// Contractions in lower case, words, numbers and signs with one space before them (GPT-2).
const GPT2: &str = r"'(?:[stmd]|re|ve|ll)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+";
/// Contractions in any case, words with one sign before them, numbers of up to three digits (Llama 3).
const LLAMA3: &str = r"'(?:[sStTmMdD]|[rR][eE]|[vV][eE]|[lL][lL])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+";
/// As Llama 3, but each digit for itself (Qwen2, Qwen3).
const QWEN2: &str = r"'(?:[sStTmMdD]|[rR][eE]|[vV][eE]|[lL][lL])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+";
const DIGIT: &str = r"\p{N}";
const NUMBER: &str = r"\p{N}+";
const THREE_DIGITS: &str = "[0-9]{3}";
const SIGNS: &str = r"[\p{P}$+<=>^~|]+";

/// Names of `tokenizer.ggml.pre` and what they mean.
const SCHEMES: &[(&str, &[Rule])] = &[
    ("default", &[Rule::Apart(SIGNS), Rule::Words(GPT2), Rule::Apart(NUMBER), Rule::Apart(THREE_DIGITS)]),
    ("gpt-2", &[Rule::Words(GPT2)]),
    ("llama-bpe", &[Rule::WordsAndLines(LLAMA3)]),
    ("llama-v3", &[Rule::WordsAndLines(LLAMA3)]),
    ("llama3", &[Rule::WordsAndLines(LLAMA3)]),
    ("qwen2", &[Rule::WordsAndLines(QWEN2)]),
    ("deepseek-r1-qwen", &[Rule::WordsAndLines(QWEN2)]),
    ("smollm", &[Rule::Apart(DIGIT), Rule::Words(GPT2)]),
];

/// One cut through every piece so far.
#[derive(Clone, Copy, Debug)]
enum Rule {
    /// Matches stand apart from what lies between them.
    Apart(&'static str),
    /// Matches follow one another; a run of blanks leaves its last to what follows.
    Words(&'static str),
    /// The same, but a run of blanks that ends a line stays whole.
    WordsAndLines(&'static str),
}

/// A pre-tokenizer, ready to run.
#[derive(Debug)]
pub(crate) struct Splitter {
    rules: Vec<(Rule, Regex)>,
}

impl Splitter {
    /// The pre-tokenizer that `tokenizer.ggml.pre` names.
    pub(crate) fn named(name: &str) -> Result<Self, VocabularyError> {
        let unsupported = || VocabularyError::Unsupported {
            key: "tokenizer.ggml.pre",
            found: name.chars().take(64).collect(),
            supported: SCHEMES.iter().map(|(known, _)| *known).collect::<Vec<_>>().join(", "),
        };
        let (_, rules) = SCHEMES.iter().find(|(known, _)| *known == name).ok_or_else(unsupported)?;
        let compile = |rule: &Rule| {
            let (Rule::Apart(pattern) | Rule::Words(pattern) | Rule::WordsAndLines(pattern)) = rule;
            // The patterns are constants of this file, and a test compiles every one.
            Regex::new(pattern).map(|regex| (*rule, regex)).map_err(|_| unsupported())
        };
        Ok(Self { rules: rules.iter().map(compile).collect::<Result<_, _>>()? })
    }

    /// The pieces of `text`, in order, none empty; together they are `text`.
    pub(crate) fn split<'t>(&self, text: &'t str) -> Vec<&'t str> {
        let mut pieces = vec![text];
        for (rule, regex) in &self.rules {
            let mut finer = Vec::with_capacity(text.len() / 4 + 1);
            for piece in pieces {
                match rule {
                    Rule::Apart(_) => apart(regex, piece, &mut finer),
                    Rule::Words(_) => words(regex, false, piece, &mut finer),
                    Rule::WordsAndLines(_) => words(regex, true, piece, &mut finer),
                }
            }
            pieces = finer;
        }
        pieces
    }
}

fn apart<'t>(regex: &Regex, text: &'t str, pieces: &mut Vec<&'t str>) {
    let mut rest = text;
    let mut start = 0;
    for found in regex.find_iter(text) {
        let (before, _) = rest.split_at(found.start() - start);
        (start, rest) = (found.end(), text.split_at(found.end()).1);
        pieces.extend([before, found.as_str()].into_iter().filter(|piece| !piece.is_empty()));
    }
    pieces.extend(Some(rest).filter(|rest| !rest.is_empty()));
}

fn words<'t>(regex: &Regex, keep_line_ends: bool, text: &'t str, pieces: &mut Vec<&'t str>) {
    let mut rest = text;
    // Every character is a letter, a number, a blank or something else, so a match begins where the last one ended.
    while let Some(found) = regex.find(rest) {
        let mut end = found.end();
        // Only a run of blanks can end in one: all other alternatives end in something else, or in a line end, which
        // then belongs to them.
        if let Some((last, blank)) = found.as_str().char_indices().next_back()
            && end < rest.len()
            && last > 0
            && blank.is_whitespace()
            && !(keep_line_ends && matches!(blank, '\r' | '\n'))
        {
            end = found.start() + last;
        }
        let (piece, after) = rest.split_at(end);
        pieces.push(piece);
        rest = after;
    }
    pieces.extend(Some(rest).filter(|rest| !rest.is_empty()));
}

#[cfg(test)]
mod tests {
    use super::{SCHEMES, Splitter};

    #[test]
    fn every_scheme_compiles_and_loses_nothing() {
        for (name, _) in SCHEMES {
            let splitter = Splitter::named(name).unwrap();
            for text in ["", " ", "\n", "a  \r\n b\u{a0}\u{a0}1234½ «x» e\u{301}\u{200b}'S \u{1f44d}\u{1f3fd}  "] {
                let pieces = splitter.split(text);
                assert_eq!(pieces.concat(), text, "{name}");
                assert!(pieces.iter().all(|piece| text.is_empty() || !piece.is_empty()), "{name}: {pieces:?}");
            }
        }
        let error = Splitter::named("tekken").unwrap_err().to_string();
        assert!(error.contains("tekken") && error.contains("qwen2") && error.contains("smollm"), "{error}");
    }

    /// The same texts under every rule; `|` separates the pieces, `⏎` is a line feed.
    #[test]
    fn golden_pieces() {
        let table: &[(&str, [(&str, &str); 5])] = &[
            (
                "We've 1234 ITEMS, don'T",
                [
                    ("gpt-2", "We|'ve| 1234| ITEMS|,| don|'|T"),
                    ("smollm", "We|'ve| |1|2|3|4| ITEMS|,| don|'|T"),
                    ("qwen2", "We|'ve| |1|2|3|4| ITEMS|,| don|'T"),
                    ("llama-bpe", "We|'ve| |123|4| ITEMS|,| don|'T"),
                    ("default", "We|'|ve| |123|4| ITEMS|,| don|'|T"),
                ],
            ),
            (
                "  a   b  12  ",
                [
                    ("gpt-2", " | a|  | b| | 12|  "),
                    ("smollm", " | a|  | b|  |1|2|  "),
                    ("qwen2", " | a|  | b| | |1|2|  "),
                    ("llama-bpe", " | a|  | b| | |12|  "),
                    ("default", " | a|  | b| | |12|  "),
                ],
            ),
            (
                "x!⏎⏎y  ⏎  z",
                [
                    ("gpt-2", "x|!|⏎|⏎|y|  ⏎ | z"),
                    ("smollm", "x|!|⏎|⏎|y|  ⏎ | z"),
                    ("qwen2", "x|!⏎⏎|y|  ⏎| | z"),
                    ("llama-bpe", "x|!⏎⏎|y|  ⏎| | z"),
                    ("default", "x|!|⏎|⏎|y|  ⏎ | z"),
                ],
            ),
            (
                "\"Grüße\" $5 a=b",
                [
                    ("gpt-2", "\"|Grüße|\"| $|5| a|=|b"),
                    ("smollm", "\"|Grüße|\"| $|5| a|=|b"),
                    ("qwen2", "\"Grüße|\"| $|5| a|=b"),
                    ("llama-bpe", "\"Grüße|\"| $|5| a|=b"),
                    ("default", "\"|Grüße|\"| |$|5| a|=|b"),
                ],
            ),
        ];
        for (text, expected) in table {
            for (name, pieces) in expected {
                let found = Splitter::named(name).unwrap().split(&text.replace('⏎', "\n")).join("|");
                assert_eq!(found.replace('\n', "⏎"), *pieces, "{name} on {text:?}");
            }
        }
    }
}

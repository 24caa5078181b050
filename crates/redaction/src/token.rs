//! A text cut into words, numbers, signs and line breaks, each word with what the lexicon says of it.

use unicode_normalization::UnicodeNormalization;

use crate::lexicon::{self, Tags};

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Letters.
    Word,
    /// ASCII digits.
    Number,
    /// Letters and digits without anything between.
    Mixed,
    /// One character that is no letter, digit or space.
    Sign(char),
    /// One or more line breaks and the spaces around them.
    Break(u8),
}

/// One piece of a text; spaces are between pieces and none themselves.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Token {
    /// First byte.
    pub(crate) start: usize,
    /// One past the last byte.
    pub(crate) end: usize,
    /// What it is.
    pub(crate) shape: Shape,
    /// What a word means.
    pub(crate) tags: Tags,
    /// Hash of the folded word.
    pub(crate) hash: u64,
    /// Hash of the folded word without its last letter, where that is an `s`: a genitive or plural.
    pub(crate) stem: Option<u64>,
    /// How many of the word's letters are upper case.
    pub(crate) upper: u16,
    /// How many letters and digits.
    pub(crate) letters: u16,
    /// Whether the first letter is upper case.
    pub(crate) capital: bool,
    /// The folded letter, where there is one only.
    pub(crate) initial: Option<char>,
}

impl Token {
    /// Whether the lexicon gives it one of these meanings.
    pub(crate) fn is(&self, tags: Tags) -> bool {
        self.tags & tags != 0
    }

    /// Whether it is this sign.
    pub(crate) fn sign(&self, sign: char) -> bool {
        self.shape == Shape::Sign(sign)
    }

    /// Whether it is a word or a number or both.
    pub(crate) fn is_text(&self) -> bool {
        matches!(self.shape, Shape::Word | Shape::Number | Shape::Mixed)
    }

    /// Whether it has a digit.
    pub(crate) fn has_digit(&self) -> bool {
        matches!(self.shape, Shape::Number | Shape::Mixed)
    }

    /// Whether all its letters are upper case.
    pub(crate) fn all_upper(&self) -> bool {
        self.shape == Shape::Word && self.upper == self.letters
    }
}

/// FNV-1a of a folded word, one byte at a time.
#[derive(Clone, Copy)]
pub(crate) struct WordHash(u64);

impl WordHash {
    pub(crate) const fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    const fn push(self, byte: u8) -> Self {
        Self((self.0 ^ byte as u64).wrapping_mul(0x0100_0000_01b3))
    }

    /// The hash of a word that is folded already.
    pub(crate) fn of(folded: &str) -> u64 {
        folded.bytes().fold(Self::new(), Self::push).0
    }
}

/// Appends a character in lower case without accents.
pub(crate) fn fold_into(folded: &mut String, c: char) {
    if c.is_ascii() {
        folded.push(c.to_ascii_lowercase());
        return;
    }
    for c in c.to_lowercase().flat_map(|c| std::iter::once(c).nfd()) {
        match c {
            '\u{300}'..='\u{36f}' => {}
            'ß' => folded.push_str("ss"),
            'æ' => folded.push_str("ae"),
            'œ' => folded.push_str("oe"),
            'þ' => folded.push_str("th"),
            'ø' => folded.push('o'),
            'ł' => folded.push('l'),
            'đ' | 'ð' => folded.push('d'),
            'ı' => folded.push('i'),
            c => folded.push(c),
        }
    }
}

/// A word in lower case without accents.
pub(crate) fn fold(word: &str) -> String {
    let mut folded = String::with_capacity(word.len());
    word.chars().for_each(|c| fold_into(&mut folded, c));
    folded
}

/// Cuts a text; takes time linear in it.
pub(crate) fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::with_capacity(text.len() / 5);
    let mut folded = String::new();
    let mut chars = text.char_indices().peekable();
    while let Some((start, c)) = chars.next() {
        if c == '\n' || c == '\r' {
            let mut breaks = u8::from(c == '\n');
            let mut end = start + 1;
            while let Some((at, c)) = chars.next_if(|(_, c)| c.is_whitespace()) {
                breaks = breaks.saturating_add(u8::from(c == '\n'));
                end = at + c.len_utf8();
            }
            tokens.push(sign(start, end, Shape::Break(breaks.max(1))));
        } else if is_word_char(c) {
            folded.clear();
            let mut word = Word::default();
            word.push(c, &mut folded);
            let mut end = start + c.len_utf8();
            while let Some((at, c)) = chars.next_if(|(_, c)| is_word_char(*c)) {
                word.push(c, &mut folded);
                end = at + c.len_utf8();
            }
            tokens.push(word.token(start, end, c.is_uppercase(), &folded));
        } else if !c.is_whitespace() {
            tokens.push(sign(start, start + c.len_utf8(), Shape::Sign(c)));
        }
    }
    tokens
}

fn is_word_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || (!c.is_ascii() && (c.is_alphanumeric() || matches!(c, '\u{300}'..='\u{36f}')))
}

fn sign(start: usize, end: usize, shape: Shape) -> Token {
    Token { start, end, shape, tags: 0, hash: 0, stem: None, upper: 0, letters: 0, capital: false, initial: None }
}

#[derive(Default)]
struct Word {
    digits: u16,
    letters: u16,
    upper: u16,
}

impl Word {
    fn push(&mut self, c: char, folded: &mut String) {
        self.letters = self.letters.saturating_add(1);
        self.digits = self.digits.saturating_add(u16::from(c.is_ascii_digit()));
        self.upper = self.upper.saturating_add(u16::from(c.is_uppercase()));
        fold_into(folded, c);
    }

    fn token(&self, start: usize, end: usize, capital: bool, folded: &str) -> Token {
        let shape = match self.digits {
            0 => Shape::Word,
            digits if digits == self.letters => Shape::Number,
            _ => Shape::Mixed,
        };
        let mut token = Token { capital, letters: self.letters, upper: self.upper, ..sign(start, end, shape) };
        if shape != Shape::Number {
            let hash = WordHash::of(folded);
            token.hash = hash;
            token.initial = folded.chars().next().filter(|_| self.letters == 1);
            token.stem = folded.strip_suffix('s').filter(|stem| stem.len() > 2).map(WordHash::of);
            token.tags = lexicon::tags(hash, folded);
        }
        token
    }
}

#[cfg(test)]
mod tests {
    use super::{Shape, WordHash, fold, tokens};

    #[test]
    fn words_numbers_signs_and_breaks() {
        let text = "Größe 12b,\n\n ÅSE's 5";
        let found = tokens(text);
        let shapes: Vec<Shape> = found.iter().map(|token| token.shape).collect();
        let expected = [
            Shape::Word,
            Shape::Mixed,
            Shape::Sign(','),
            Shape::Break(2),
            Shape::Word,
            Shape::Sign('\''),
            Shape::Word,
            Shape::Number,
        ];
        assert_eq!(shapes, expected);
        assert_eq!(found[4].hash, WordHash::of("ase"));
        assert!(found[4].all_upper() && found[4].capital && !found[1].capital);
        assert_eq!(fold("ŁÓDŹ Straße Ærø"), "lodz strasse aero");
    }
}

//! What a placeholder looks like, and what looks like one.
//!
//! A placeholder is `[` TAG `_` number, for a name perhaps `_FIRST` or `_LAST`, for another spelling of the same value a
//! letter (`_B`), and `]`. A model may write it in small letters, with other brackets, spaces, a backslash, or leave a
//! bracket out: all of that is recognised, by the same function in what is sent and in what comes back, so that text
//! which only looks like a placeholder cannot be taken for one.

use crate::kind::Kind;

/// What tells a model how to treat placeholders; it belongs to the instructions of a prompt that was redacted.
pub const PLACEHOLDER_NOTE: &str = "Some values of this conversation are replaced by placeholders: a word in capitals and a \
number in square brackets. Where you refer to such a value, copy its placeholder exactly as it stands, brackets included. \
Do not make up placeholders and do not guess what they stand for.";

/// What stands at the beginning of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scan {
    /// No placeholder begins here.
    Nothing,
    /// What follows decides.
    More,
    /// A placeholder or something like one, of so many bytes.
    Found {
        /// Bytes.
        length: usize,
        /// Of which kind; `None` for a word that is no kind's.
        kind: Option<Kind>,
    },
}

/// Letters of a tag that is looked at, at most.
const TAG: usize = 24;

const OPENING: [char; 8] = ['[', '［', '【', '〔', '「', '『', '《', '〈'];
const CLOSING: [char; 8] = [']', '］', '】', '〕', '」', '』', '》', '〉'];

/// Whether a placeholder, or something like one, may begin with this character.
pub(crate) fn may_begin(c: char) -> bool {
    c.is_ascii_uppercase() || OPENING.contains(&c)
}

/// The bytes that characters begin with which may begin a placeholder.
pub(crate) fn may_begin_byte(byte: u8) -> bool {
    byte.is_ascii_uppercase() || matches!(byte, b'[' | 0xE3 | 0xEF)
}

/// Reads what `text` begins with. `before` is the character before it; `last` says that nothing will follow the text.
pub(crate) fn scan(text: &str, before: Option<char>, last: bool) -> Scan {
    let Some(first) = text.chars().next() else { return Scan::Nothing };
    if OPENING.contains(&first) {
        bracketed(text, first, last)
    } else if before.is_some_and(|c| c.is_ascii_alphanumeric() || c == '_') {
        Scan::Nothing
    } else {
        bare(text, last)
    }
}

struct Cursor<'a> {
    rest: &'a str,
    at: usize,
}

impl Cursor<'_> {
    fn peek(&self) -> Option<char> {
        self.rest.get(self.at..)?.chars().next()
    }

    fn skip(&mut self, most: usize, matches: impl Fn(char) -> bool) -> usize {
        let mut count = 0;
        while count < most
            && let Some(c) = self.peek().filter(|c| matches(*c))
        {
            self.at += c.len_utf8();
            count += 1;
        }
        count
    }

    fn done(&self) -> bool {
        self.at >= self.rest.len()
    }
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\u{a0}' | '\u{202f}' | '\\' | '*' | '`')
}

fn is_digit(c: char) -> bool {
    c.is_ascii_digit() || ('０'..='９').contains(&c)
}

/// The kind whose tag this is, in any case.
fn kind_of(tag: &str) -> Option<Kind> {
    Kind::ALL.into_iter().find(|kind| kind.tag().eq_ignore_ascii_case(tag))
}

fn begins_a_tag(start: &str) -> bool {
    let begins = |tag: &str| tag.get(..start.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(start));
    Kind::ALL.into_iter().any(|kind| begins(kind.tag()))
}

/// With an opening bracket: every tag in any case, and any other word of capitals with `_` and a number.
fn bracketed(text: &str, open: char, last: bool) -> Scan {
    let undecided = if last { Scan::Nothing } else { Scan::More };
    let mut cursor = Cursor { rest: text, at: open.len_utf8() };
    cursor.skip(3, is_blank);
    let from = cursor.at;
    cursor.skip(TAG, |c| c.is_ascii_alphabetic());
    let word = text.get(from..cursor.at).unwrap_or_default();
    let kind = kind_of(word);
    if kind.is_none() {
        return other_word(text, open, last);
    }
    if cursor.done() {
        return undecided;
    }
    cursor.skip(4, |c| is_blank(c) || matches!(c, '_' | '-' | '.' | '#' | ':' | '＿'));
    if cursor.done() {
        return undecided;
    }
    finish(cursor, kind, last)
}

/// `[COMPANY_1]`: what a model makes up in the likeness of ours.
fn other_word(text: &str, open: char, last: bool) -> Scan {
    let undecided = if last { Scan::Nothing } else { Scan::More };
    let mut cursor = Cursor { rest: text, at: open.len_utf8() };
    cursor.skip(3, is_blank);
    let from = cursor.at;
    cursor.skip(TAG, |c| c.is_ascii_alphabetic());
    let letters = text.get(from..cursor.at).unwrap_or_default();
    if cursor.done()
        && (letters.len() < TAG && (begins_a_tag(letters) || letters.bytes().all(|byte| byte.is_ascii_uppercase())))
    {
        return undecided;
    }
    cursor.at = from;
    cursor.skip(TAG, |c| c.is_ascii_uppercase() || c == '_');
    let word = text.get(from..cursor.at).unwrap_or_default();
    let begins = word.starts_with(|c: char| c.is_ascii_uppercase()) && word.len() > 1;
    if open != '[' || from != 1 || !begins {
        return Scan::Nothing;
    }
    if cursor.done() && word.len() < TAG {
        return undecided;
    }
    let digits = cursor.skip(usize::MAX, |c| c.is_ascii_digit());
    match cursor.peek() {
        _ if !word.ends_with('_') => Scan::Nothing,
        None if !last => Scan::More,
        Some(']') if digits > 0 => Scan::Found { length: cursor.at + 1, kind: None },
        _ => Scan::Nothing,
    }
}

/// Without an opening bracket: a tag in capitals, `_` and a number.
fn bare(text: &str, last: bool) -> Scan {
    let undecided = if last { Scan::Nothing } else { Scan::More };
    let mut cursor = Cursor { rest: text, at: 0 };
    cursor.skip(TAG, |c| c.is_ascii_uppercase());
    let word = text.get(..cursor.at).unwrap_or_default();
    let Some(kind) = Kind::ALL.into_iter().find(|kind| kind.tag() == word) else {
        let begins = cursor.done() && Kind::ALL.into_iter().any(|kind| kind.tag().starts_with(word));
        return if begins && !word.is_empty() { undecided } else { Scan::Nothing };
    };
    cursor.skip(1, |c| c == '\\');
    if cursor.done() {
        return undecided;
    }
    if cursor.skip(1, |c| c == '_') == 0 {
        return Scan::Nothing;
    }
    if cursor.done() {
        return undecided;
    }
    finish(cursor, Some(kind), last)
}

/// The number, what may follow it, and the closing bracket.
fn finish(mut cursor: Cursor<'_>, kind: Option<Kind>, last: bool) -> Scan {
    if cursor.skip(usize::MAX, is_digit) == 0 {
        return Scan::Nothing;
    }
    let mut end = cursor.at;
    for _ in 0..2 {
        // `_FIRST`, `_B`; anything longer is not ours.
        let blank = cursor.skip(1, |c| c == '\\');
        if cursor.skip(1, |c| matches!(c, '_' | '-')) == 0 {
            cursor.at -= blank;
            break;
        }
        let letters = cursor.skip(6, |c| c.is_ascii_alphabetic());
        if letters == 6 || (letters == 0 && !cursor.done()) {
            cursor.at = end;
            break;
        }
        if cursor.done() && !last {
            return Scan::More;
        }
        if letters == 0 {
            cursor.at = end;
            break;
        }
        end = cursor.at;
    }
    cursor.skip(2, is_blank);
    match cursor.peek() {
        None if !last => Scan::More,
        Some(c) if CLOSING.contains(&c) => Scan::Found { length: cursor.at + c.len_utf8(), kind },
        _ => Scan::Found { length: end, kind },
    }
}

/// The name of a value in a request: `[EMAIL_1]`, `[PERSON_2_LAST]`, and `[EMAIL_1_B]` for its second spelling.
pub(crate) fn write(kind: Kind, number: u32, form: &str, spelling: u32) -> String {
    let mut letters = String::new();
    let mut rest = spelling;
    while rest > 0 {
        // Base 26 with A for 0: the first spelling has no letter, the second is B.
        let letter = char::from_u32(u32::from('A') + rest % 26).unwrap_or('A');
        letters.insert(0, letter);
        rest /= 26;
    }
    let letters = if letters.is_empty() { letters } else { format!("_{letters}") };
    format!("[{}_{number}{form}{letters}]", kind.tag())
}

#[cfg(test)]
mod tests {
    use super::{Scan, may_begin, scan, write};
    use crate::kind::Kind;

    #[test]
    fn what_is_written_is_recognised() {
        let mut seen = std::collections::HashSet::new();
        for kind in Kind::ALL {
            for form in ["", "_FIRST", "_LAST"] {
                for spelling in [0, 1, 2, 25, 26, 27, 700, 20_000] {
                    let placeholder = write(kind, 12, form, spelling);
                    assert!(seen.insert(placeholder.clone()), "{placeholder} twice");
                    let found = Scan::Found { length: placeholder.len(), kind: Some(kind) };
                    assert_eq!(scan(&placeholder, None, true), found, "{placeholder}");
                    assert_eq!(scan(&format!("{placeholder}]_x"), Some('a'), false), found, "{placeholder}");
                }
            }
        }
        assert_eq!(write(Kind::Email, 1, "", 1), "[EMAIL_1_B]");
    }

    #[test]
    fn what_a_model_makes_of_them() {
        for text in [
            "[email_1]",
            "[EMAIL 1]",
            "[ EMAIL_1 ]",
            "[EMAIL-1]",
            "[EMAIL1]",
            "[Email_1",
            "EMAIL_1]",
            "EMAIL_1",
            "【EMAIL_1】",
            "［EMAIL＿１］",
            "「email 1」",
            "[EMAIL\\_1\\]",
            "EMAIL\\_1",
            "[EMAIL_99_Q]",
            "[email_1_first]",
            "[**EMAIL_1**]",
            "《EMAIL_1》",
        ] {
            assert_eq!(scan(text, None, true), Scan::Found { length: text.len(), kind: Some(Kind::Email) }, "{text}");
            assert!(may_begin(text.chars().next().unwrap()));
        }
        assert_eq!(scan("[COMPANY_NAME_1] x", None, true), Scan::Found { length: 16, kind: None });
        for text in [
            "[1]",
            "[x]",
            "[EMAIL]",
            "EMAIL",
            "EMAIL 1",
            "email_1",
            "Email_1",
            "[[EMAIL_1]]",
            "[e-mail: 5]",
            "[]",
            "[",
            "E",
            "[emails 5]",
            "EMAILS_1",
            "[A B_1]",
            "[COMPANY_NAME]",
            "[company_1]",
        ] {
            assert_eq!(scan(text, None, true), Scan::Nothing, "{text}");
        }
        assert_eq!(scan("IP_10", Some('K'), true), Scan::Nothing, "SKIP_10");
    }

    #[test]
    fn nothing_is_held_back_longer_than_needed() {
        for text in [
            "[",
            "[E",
            "[em",
            "[EMAIL",
            "[EMAIL_",
            "[EMAIL_1",
            "[EMAIL_1_FI",
            "E",
            "EMAIL",
            "EMAIL_",
            "EMAIL_1",
            "[COMP",
            "[COMPANY_",
        ] {
            assert_eq!(scan(text, None, false), Scan::More, "{text}");
        }
        for text in ["[1", "[x", "[[", "[ the", "EX", "A ", "Em", "EMAIL ", "[EMAIL x", "[\"EMAIL"] {
            assert_eq!(scan(text, None, false), Scan::Nothing, "{text}");
        }
    }
}

//! Regular expressions of JSON Schema (ECMA-262) in the engine's syntax (that of Rust's `regex-syntax`).
//!
//! Most expressions mean the same in both. Where they would not, they are rewritten; where the engine has no
//! counterpart (look-around, back references), or a letter is escaped that means nothing in ECMA-262, there is an error.

use std::fmt::Write as _;
use std::iter::Peekable;
use std::str::Chars;

/// White space of ECMA-262, as the inside of a class.
const SPACE: &str = r"\t\n\x0B\x0C\r \x{A0}\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}\x{3000}\x{FEFF}";
/// What `.` does not match in ECMA-262, as the inside of a class.
const LINE_ENDS: &str = r"\n\r\x{2028}\x{2029}";
/// The largest count of a repetition.
const MAX_REPEAT: u32 = 20_000;

/// `pattern` in the engine's syntax, or what about it has no counterpart.
pub(super) fn translate(pattern: &str) -> Result<String, String> {
    let mut translator = Translator { rest: pattern.chars().peekable(), out: String::with_capacity(pattern.len()) };
    translator.run()?;
    Ok(translator.out)
}

struct Translator<'a> {
    rest: Peekable<Chars<'a>>,
    out: String,
}

/// One member of a class, or one escape.
enum Atom {
    Character(char),
    /// The inside of a class.
    Class(&'static str),
    /// The inside of a class that is excluded.
    NotClass(&'static str),
    /// `\p{..}` or `\P{..}`.
    Property(String),
}

impl Translator<'_> {
    fn run(&mut self) -> Result<(), String> {
        while let Some(character) = self.rest.next() {
            match character {
                '\\' => {
                    let atom = self.escape(false)?;
                    self.atom(&atom);
                }
                '.' => {
                    let _ = write!(self.out, "[^{LINE_ENDS}]");
                }
                '[' => self.class()?,
                '(' => self.group()?,
                '{' => self.repetition()?,
                '}' | ']' => self.character(character),
                _ => self.out.push(character),
            }
        }
        Ok(())
    }

    fn group(&mut self) -> Result<(), String> {
        self.out.push('(');
        if !self.take('?') {
            return Ok(());
        }
        self.out.push_str("?:");
        match self.rest.next() {
            Some(':') => Ok(()),
            Some('<') if !matches!(self.rest.peek(), Some('=' | '!')) => {
                // Names mean nothing without back references.
                if self.rest.any(|character| character == '>') { Ok(()) } else { Err("an open group name".to_owned()) }
            }
            Some('=' | '!' | '<') => Err("look-around is not supported".to_owned()),
            _ => Err("a group that ECMA-262 does not know".to_owned()),
        }
    }

    /// `{` was read: a repetition, or a brace that stands for itself.
    fn repetition(&mut self) -> Result<(), String> {
        let ahead: String = self.rest.clone().take_while(|character| *character != '}').collect();
        let closed = self.rest.clone().nth(ahead.chars().count()) == Some('}');
        let (low, high) = ahead.split_once(',').unwrap_or((&ahead, ""));
        let digits = |text: &str| text.chars().all(|character| character.is_ascii_digit());
        if !closed || low.is_empty() || !digits(low) || !digits(high) {
            self.character('{');
            return Ok(());
        }
        for count in [low, high].into_iter().filter(|count| !count.is_empty()) {
            if !count.parse::<u32>().is_ok_and(|count| count <= MAX_REPEAT) {
                return Err(format!("a repetition of more than {MAX_REPEAT}"));
            }
        }
        let _ = write!(self.out, "{{{ahead}}}");
        for _ in 0..=ahead.chars().count() {
            self.rest.next();
        }
        Ok(())
    }

    fn class(&mut self) -> Result<(), String> {
        let negated = self.take('^');
        if self.take(']') {
            // `[]` matches nothing and `[^]` anything.
            self.out.push_str(if negated { "(?s:.)" } else { r"[^\x00-\x{10FFFF}]" });
            return Ok(());
        }
        self.out.push_str(if negated { "[^" } else { "[" });
        loop {
            let atom = match self.rest.next() {
                None => return Err("an open class".to_owned()),
                Some(']') => break,
                Some('\\') => self.escape(true)?,
                Some(character) => Atom::Character(character),
            };
            let mut ahead = self.rest.clone();
            let ranges = ahead.next() == Some('-') && !matches!(ahead.next(), Some(']') | None);
            if !ranges {
                self.atom_in_class(&atom);
                continue;
            }
            self.rest.next();
            let end = match self.rest.next() {
                Some('\\') => self.escape(true)?,
                Some(character) => Atom::Character(character),
                None => return Err("an open class".to_owned()),
            };
            match (&atom, &end) {
                (Atom::Character(low), Atom::Character(high)) if low <= high => {
                    self.character(*low);
                    self.out.push('-');
                    self.character(*high);
                }
                (Atom::Character(_), Atom::Character(_)) => return Err("a range that is out of order".to_owned()),
                // A hyphen beside a class stands for itself.
                _ => {
                    self.atom_in_class(&atom);
                    self.character('-');
                    self.atom_in_class(&end);
                }
            }
        }
        self.out.push(']');
        Ok(())
    }

    /// A backslash was read.
    fn escape(&mut self, in_class: bool) -> Result<Atom, String> {
        let character = self.rest.next().ok_or("a backslash at the end")?;
        Ok(match character {
            'd' => Atom::Class("0-9"),
            'D' => Atom::NotClass("0-9"),
            'w' => Atom::Class("0-9A-Za-z_"),
            'W' => Atom::NotClass("0-9A-Za-z_"),
            's' => Atom::Class(SPACE),
            'S' => Atom::NotClass(SPACE),
            't' => Atom::Character('\t'),
            'n' => Atom::Character('\n'),
            'r' => Atom::Character('\r'),
            'v' => Atom::Character('\u{B}'),
            'f' => Atom::Character('\u{C}'),
            'b' if in_class => Atom::Character('\u{8}'),
            'b' | 'B' => return Err("word boundaries are not supported".to_owned()),
            '0' if !self.rest.peek().is_some_and(char::is_ascii_digit) => Atom::Character('\0'),
            '0'..='9' | 'k' => return Err("back references are not supported".to_owned()),
            'c' => match self.rest.next() {
                Some(letter) if letter.is_ascii_alphabetic() => Atom::Character(char::from(letter as u8 % 32)),
                _ => return Err("`\\c` without a letter".to_owned()),
            },
            'x' => Atom::Character(self.hex(2)?),
            'u' => Atom::Character(self.unicode()?),
            'p' | 'P' => {
                if !self.take('{') {
                    return Err("`\\p` without a property".to_owned());
                }
                let name: String = self.rest.by_ref().take_while(|character| *character != '}').collect();
                Atom::Property(format!("\\{character}{{{name}}}"))
            }
            letter if letter.is_ascii_alphanumeric() => {
                return Err(format!("`\\{letter}` means nothing in ECMA-262"));
            }
            other => Atom::Character(other),
        })
    }

    fn unicode(&mut self) -> Result<char, String> {
        if self.take('{') {
            let digits: String = self.rest.by_ref().take_while(|character| *character != '}').collect();
            return u32::from_str_radix(&digits, 16)
                .ok()
                .and_then(char::from_u32)
                .ok_or_else(|| format!("`\\u{{{digits}}}` is no character"));
        }
        let high = self.hex_digits(4)?;
        if (0xD800..0xDC00).contains(&high) && self.take('\\') && self.take('u') {
            let low = self.hex_digits(4)?;
            return char::decode_utf16([high as u16, low as u16])
                .next()
                .and_then(Result::ok)
                .ok_or_else(|| "half a surrogate pair".to_owned());
        }
        char::from_u32(high).ok_or_else(|| "half a surrogate pair".to_owned())
    }

    fn hex(&mut self, count: usize) -> Result<char, String> {
        let value = self.hex_digits(count)?;
        char::from_u32(value).ok_or_else(|| "no character".to_owned())
    }

    fn hex_digits(&mut self, count: usize) -> Result<u32, String> {
        let digits: String = self.rest.by_ref().take(count).collect();
        u32::from_str_radix(&digits, 16).map_err(|_| format!("`{digits}` is not hexadecimal"))
    }

    fn take(&mut self, character: char) -> bool {
        self.rest.next_if_eq(&character).is_some()
    }

    fn atom(&mut self, atom: &Atom) {
        let _ = match atom {
            Atom::Character(character) => {
                self.character(*character);
                Ok(())
            }
            Atom::Class(inside) => write!(self.out, "[{inside}]"),
            Atom::NotClass(inside) => write!(self.out, "[^{inside}]"),
            Atom::Property(property) => write!(self.out, "{property}"),
        };
    }

    fn atom_in_class(&mut self, atom: &Atom) {
        match atom {
            Atom::Class(inside) => self.out.push_str(inside),
            _ => self.atom(atom),
        }
    }

    /// A character that stands for itself, inside and outside of classes.
    fn character(&mut self, character: char) {
        if character.is_ascii_alphanumeric() {
            self.out.push(character);
        } else {
            let _ = write!(self.out, "\\x{{{:X}}}", u32::from(character));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::translate;

    #[test]
    fn what_differs_is_rewritten_and_the_rest_is_kept() {
        let cases = [
            ("^[a-z]+$", "^[a-z]+$"),
            (r"^\d{2,4}$", "^[0-9]{2,4}$"),
            ("a{", r"a\x{7B}"),
            ("a{,3}", r"a\x{7B},3\x{7D}"),
            (r"[+--]", r"[\x{2B}-\x{2D}]"),
            (r"[\w-.]", r"[0-9A-Za-z_\x{2D}\x{2E}]"),
            ("[a&&b]", r"[a\x{26}\x{26}b]"),
            ("[[]", r"[\x{5B}]"),
            (r"(?<year>\d)", "(?:[0-9])"),
            ("[^]", "(?s:.)"),
            (r"\ud83d\ude00", r"\x{1F600}"),
            (r"\/", r"\x{2F}"),
        ];
        for (pattern, expected) in cases {
            assert_eq!(translate(pattern).as_deref(), Ok(expected), "{pattern}");
        }
    }

    #[test]
    fn what_has_no_counterpart_is_an_error() {
        for pattern in ["(?=a)", "(?!a)", "(?<=a)", r"(a)\1", r"\bword", r"\Aa", "[a", "a{30000}", r"\ud800", "[b-a]"] {
            assert!(translate(pattern).is_err(), "{pattern}");
        }
    }
}

//! A text as the detectors read it: digits, spaces and dashes of every script as ASCII, what cannot be seen left out,
//! entities and escapes decoded. Every place in it is known in the text.

use std::borrow::Cow;

/// A text in its plain form.
pub(crate) struct View<'a> {
    text: &'a str,
    plain: Cow<'a, str>,
    /// For each byte of the plain form, where the character it stands for begins and ends in the text.
    origin: Vec<(u32, u32)>,
}

impl<'a> View<'a> {
    /// Reads a text of up to 4 GiB.
    pub(crate) fn new(text: &'a str) -> Self {
        let Some(first) = first_change(text) else {
            return Self { text, plain: Cow::Borrowed(text), origin: Vec::new() };
        };
        let mut plain = String::with_capacity(text.len());
        let mut origin = Vec::with_capacity(text.len());
        plain.push_str(text.get(..first).unwrap_or_default());
        for (at, c) in text.char_indices().take_while(|(at, _)| *at < first) {
            origin.extend(std::iter::repeat_n((at as u32, (at + c.len_utf8()) as u32), c.len_utf8()));
        }
        let mut at = first;
        while let Some((read, length)) = text.get(at..).and_then(next) {
            if let Some(c) = read.and_then(simple) {
                plain.push(c);
                origin.extend(std::iter::repeat_n((at as u32, (at + length) as u32), c.len_utf8()));
            }
            at += length;
        }
        Self { text, plain: Cow::Owned(plain), origin }
    }

    /// The plain form.
    pub(crate) fn plain(&self) -> &str {
        &self.plain
    }

    /// Where a range of the plain form is in the text.
    pub(crate) fn locate(&self, start: usize, end: usize) -> (usize, usize) {
        if matches!(self.plain, Cow::Borrowed(_)) || start >= end {
            return (start.min(self.text.len()), end.min(self.text.len()));
        }
        let from = self.origin.get(start).map_or(self.text.len(), |(from, _)| *from as usize);
        let to = self.origin.get(end - 1).map_or(self.text.len(), |(_, to)| *to as usize);
        (from, to)
    }
}

fn first_change(text: &str) -> Option<usize> {
    let mut at = 0;
    while let Some(c) = text.get(at..).and_then(|rest| {
        let skip = rest.bytes().position(|byte| byte >= 0x80 || matches!(byte, b'&' | b'\\' | b'%'))?;
        at += skip;
        text.get(at..)?.chars().next()
    }) {
        let changed = if c.is_ascii() {
            text.get(at..).and_then(next).is_some_and(|(_, length)| length > 1)
        } else {
            simple(c) != Some(c)
        };
        if changed {
            return Some(at);
        }
        at += c.len_utf8();
    }
    None
}

/// The next character, decoded where it is an entity or escape, and how many bytes it takes; `None` at the end.
fn next(rest: &str) -> Option<(Option<char>, usize)> {
    let c = rest.chars().next()?;
    let decoded = match c {
        '&' => entity(rest),
        '\\' => escape(rest),
        '%' if rest.starts_with("%40") => Some(('@', 3)),
        _ => None,
    };
    Some(decoded.map_or((Some(c), c.len_utf8()), |(c, length)| (Some(c), length)))
}

/// The entities that come in names, addresses and numbers (WHATWG HTML, named character references).
const ENTITIES: [(&str, char); 40] = [
    ("nbsp", ' '),
    ("amp", '&'),
    ("lt", '<'),
    ("gt", '>'),
    ("quot", '"'),
    ("apos", '\''),
    ("commat", '@'),
    ("period", '.'),
    ("plus", '+'),
    ("shy", '\u{ad}'),
    ("zwnj", '\u{200c}'),
    ("zwj", '\u{200d}'),
    ("ensp", ' '),
    ("emsp", ' '),
    ("thinsp", ' '),
    ("hyphen", '-'),
    ("dash", '-'),
    ("ndash", '-'),
    ("mdash", '-'),
    ("num", '#'),
    ("lpar", '('),
    ("rpar", ')'),
    ("auml", 'ä'),
    ("ouml", 'ö'),
    ("uuml", 'ü'),
    ("Auml", 'Ä'),
    ("Ouml", 'Ö'),
    ("Uuml", 'Ü'),
    ("szlig", 'ß'),
    ("eacute", 'é'),
    ("Eacute", 'É'),
    ("egrave", 'è'),
    ("agrave", 'à'),
    ("aacute", 'á'),
    ("iacute", 'í'),
    ("oacute", 'ó'),
    ("uacute", 'ú'),
    ("ntilde", 'ñ'),
    ("ccedil", 'ç'),
    ("oslash", 'ø'),
];

fn entity(rest: &str) -> Option<(char, usize)> {
    let end = rest.bytes().take(12).position(|byte| byte == b';')?;
    let name = rest.get(1..end)?;
    let decoded = match name.strip_prefix('#') {
        Some(number) => {
            let hex = number.strip_prefix(['x', 'X']);
            let code = hex.map_or_else(|| number.parse().ok(), |hex| u32::from_str_radix(hex, 16).ok())?;
            char::from_u32(code)?
        }
        None => ENTITIES.iter().find(|(entity, _)| *entity == name).map(|(_, c)| *c)?,
    };
    Some((decoded, end + 1))
}

/// The escapes of a JSON string, for tools answer in JSON.
fn escape(rest: &str) -> Option<(char, usize)> {
    match rest.as_bytes().get(1)? {
        b'n' | b'r' => Some(('\n', 2)),
        b't' => Some((' ', 2)),
        b'"' => Some(('"', 2)),
        b'/' => Some(('/', 2)),
        b'u' => {
            let code = u32::from_str_radix(rest.get(2..6)?, 16).ok()?;
            Some((char::from_u32(code)?, 6))
        }
        _ => None,
    }
}

/// Where the ten digits of each script begin (Unicode category Nd), ASCII left out.
const ZEROS: [u32; 36] = [
    0x0660, 0x06F0, 0x07C0, 0x0966, 0x09E6, 0x0A66, 0x0AE6, 0x0B66, 0x0BE6, 0x0C66, 0x0CE6, 0x0D66, 0x0DE6, 0x0E50,
    0x0ED0, 0x0F20, 0x1040, 0x1090, 0x17E0, 0x1810, 0x1946, 0x19D0, 0x1A80, 0x1A90, 0x1B50, 0x1BB0, 0x1C40, 0x1C50,
    0xA620, 0xA8D0, 0xA900, 0xA9D0, 0xAA50, 0xABF0, 0x104A0, 0x11066,
];

/// The plain form of one character; `None` for what cannot be seen.
fn simple(c: char) -> Option<char> {
    if c.is_ascii() {
        return Some(if c == '\t' { ' ' } else { c });
    }
    let code = u32::from(c);
    match code {
        0xAD | 0x180E | 0x200B..=0x200F | 0x202A..=0x202E | 0x2060..=0x206F | 0xFE00..=0xFE0F | 0xFEFF => return None,
        0xA0 | 0x1680 | 0x2000..=0x200A | 0x202F | 0x205F | 0x3000 => return Some(' '),
        0x2028 | 0x2029 | 0x85 => return Some('\n'),
        0x2010..=0x2015 | 0x2212 | 0xFE58 | 0xFE63 => return Some('-'),
        0x2018 | 0x2019 | 0x02BC => return Some('\''),
        0x3002 => return Some('.'),
        // Greek capitals as the signs of mathematics and physics that look like them.
        0x2206 => return Some('Δ'),
        0x2126 => return Some('Ω'),
        0xFF01..=0xFF5E => return char::from_u32(code - 0xFF01 + 0x21),
        0x1D7CE..=0x1D7FF => return char::from_digit((code - 0x1D7CE) % 10, 10),
        _ => {}
    }
    if code >= 0x0660 && c.is_numeric() {
        let zero = ZEROS.iter().find(|zero| (**zero..**zero + 10).contains(&code));
        return Some(zero.and_then(|zero| char::from_digit(code - zero, 10)).unwrap_or(c));
    }
    Some(c)
}

#[cfg(test)]
mod tests {
    use super::View;

    #[test]
    fn every_place_is_known() {
        for (text, plain, quote) in [
            ("ab 12", "ab 12", "12"),
            ("tel\u{a0}０３０\u{200b}１２ x", "tel 03012 x", "０３０\u{200b}１２"),
            ("ü a&#64;b.de.", "ü a@b.de.", "a&#64;b.de"),
            ("M&uuml;ller!", "Müller!", "M&uuml;ller"),
            ("x M\\u00fcller\\n", "x Müller\n", "M\\u00fcller"),
            ("DE89\u{ad} 37", "DE89 37", "DE89\u{ad} 37"),
            ("٠٣٠-١٢", "030-12", "٠٣٠-١٢"),
            ("a%40b", "a@b", "a%40b"),
        ] {
            let view = View::new(text);
            assert_eq!(view.plain(), plain);
            let wanted = View::new(quote).plain().to_owned();
            let start = view.plain().find(&wanted).unwrap();
            let (from, to) = view.locate(start, start + wanted.len());
            assert_eq!(&text[from..to], quote, "{text}");
        }
        assert_eq!(View::new("100 % & C:\\path &; &#xffffffff;").plain(), "100 % & C:\\path &; &#xffffffff;");
    }
}

//! Charsets, quoted-printable, encoded words and header folding.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::source::Charset;

/// The name of a charset in MIME.
pub(crate) fn charset_label(charset: Charset) -> &'static str {
    match charset {
        Charset::Utf8 => "utf-8",
        Charset::Latin1 => "iso-8859-1",
        Charset::Windows1252 => "windows-1252",
    }
}

/// `text` in `charset`; `None` where it has a character that the charset lacks.
pub(crate) fn encode_text(text: &str, charset: Charset) -> Option<Vec<u8>> {
    match charset {
        Charset::Utf8 => Some(text.as_bytes().to_vec()),
        // The label means windows-1252 to browsers, but its upper control characters are not those letters.
        Charset::Latin1 => text.chars().map(|character| u8::try_from(u32::from(character)).ok()).collect(),
        Charset::Windows1252 => {
            let (bytes, _, lossy) = encoding_rs::WINDOWS_1252.encode(text);
            (!lossy).then(|| bytes.into_owned())
        }
    }
}

/// `bytes`, lines ended by CR LF, as quoted-printable (RFC 2045 section 6.7).
pub(crate) fn quoted_printable(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() * 5 / 4);
    let text_end = bytes.strip_suffix(b"\r\n").unwrap_or(bytes);
    for (index, line) in text_end.split(|byte| *byte == b'\n').enumerate() {
        if index > 0 {
            out.extend_from_slice(b"\r\n");
        }
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let mut column = 0;
        for (place, byte) in line.iter().enumerate() {
            let last = place + 1 == line.len();
            let literal = matches!(byte, b'!'..=b'<' | b'>'..=b'~') || (matches!(byte, b' ' | b'\t') && !last);
            let width = if literal { 1 } else { 3 };
            if column + width > if last { 76 } else { 75 } {
                out.extend_from_slice(b"=\r\n");
                column = 0;
            }
            if literal {
                out.push(*byte);
            } else {
                out.extend_from_slice(format!("={byte:02X}").as_bytes());
            }
            column += width;
        }
    }
    out.extend_from_slice(b"\r\n");
    out
}

/// `text` for a header that takes free text (RFC 2047): as it is if ASCII, else as encoded words of 75 characters at
/// most, "B" or "Q".
pub(crate) fn encoded_words(text: &str, charset: Charset, base64: bool) -> String {
    if text.is_ascii() {
        return text.to_owned();
    }
    let charset = if encode_text(text, charset).is_some() { charset } else { Charset::Utf8 };
    let label = charset_label(charset);
    let limit = 75 - label.len() - "=??Q??=".len();
    let mut words: Vec<String> = Vec::new();
    let mut word = String::new();
    for character in text.chars() {
        let longer = format!("{word}{character}");
        if word_body(&longer, charset, base64).len() > limit {
            words.push(std::mem::replace(&mut word, character.to_string()));
        } else {
            word = longer;
        }
    }
    words.push(word);
    let mark = if base64 { 'B' } else { 'Q' };
    let encoded = words.iter().map(|word| format!("=?{label}?{mark}?{}?=", word_body(word, charset, base64)));
    encoded.collect::<Vec<_>>().join(" ")
}

/// A display name: an atom, a quoted string or encoded words.
pub(crate) fn encoded_phrase(name: &str, charset: Charset, base64: bool) -> String {
    let is_atom = |c: char| c.is_ascii_alphanumeric() || " !#$%&'*+-/=?^_`{|}~".contains(c);
    if name.chars().all(is_atom) {
        name.to_owned()
    } else if name.is_ascii() {
        format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""))
    } else {
        encoded_words(name, charset, base64)
    }
}

/// `text` as RFC 2231 writes a parameter's value.
pub(crate) fn percent_encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-._".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
        out
    })
}

/// A header line broken before words so that its lines stay within 76 characters where they can.
pub(crate) fn fold(line: &str) -> String {
    let mut folded = String::new();
    let mut column = 0;
    for (index, word) in line.split(' ').enumerate() {
        // Nothing is broken right behind the name: some readers take an empty first line for an empty value.
        if index > 1 && column + 1 + word.len() > 76 {
            folded.push_str("\r\n ");
            column = 1;
        } else if index > 0 {
            folded.push(' ');
            column += 1;
        }
        folded.push_str(word);
        column += word.len();
    }
    folded
}

fn word_body(text: &str, charset: Charset, base64: bool) -> String {
    let bytes = encode_text(text, charset).unwrap_or_default();
    if base64 {
        return STANDARD.encode(bytes);
    }
    bytes.iter().fold(String::new(), |mut out, byte| {
        match byte {
            b' ' => out.push('_'),
            byte if byte.is_ascii_alphanumeric() || b"!*+-/".contains(byte) => out.push(char::from(*byte)),
            byte => {
                let _ = write!(out, "={byte:02X}");
            }
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_printable_breaks_softly_and_guards_blanks_at_the_end() {
        assert_eq!(quoted_printable("a=ü \r\nb\r\n".as_bytes()), b"a=3D=C3=BC=20\r\nb\r\n");
        let long = quoted_printable(&[b'x'; 200]);
        assert!(long.split(|byte| *byte == b'\n').all(|line| line.len() <= 77), "76 and a carriage return");
        assert_eq!(String::from_utf8(long).unwrap().replace("=\r\n", ""), "x".repeat(200) + "\r\n");
    }

    #[test]
    fn encoded_words_are_short_and_split_between_characters() {
        let subject = "Rücklastschrift für die Rechnung über die Gebühren im März und im Übrigen";
        for base64 in [true, false] {
            let words = encoded_words(subject, Charset::Utf8, base64);
            assert!(words.split(' ').all(|word| word.len() <= 75), "{words}");
            assert!(words.split(' ').count() > 1);
        }
        assert_eq!(encoded_words("Prélèvement", Charset::Latin1, false), "=?iso-8859-1?Q?Pr=E9l=E8vement?=");
    }

    #[test]
    fn names_are_atoms_quoted_or_encoded() {
        assert_eq!(encoded_phrase("Grace Okafor", Charset::Utf8, false), "Grace Okafor");
        assert_eq!(encoded_phrase("Orr, Duncan", Charset::Utf8, false), "\"Orr, Duncan\"");
        assert_eq!(encoded_phrase("Inês", Charset::Windows1252, false), "=?windows-1252?Q?In=EAs?=");
    }

    #[test]
    fn a_charset_refuses_what_it_lacks() {
        assert_eq!(encode_text("€", Charset::Latin1), None);
        assert_eq!(encode_text("€", Charset::Windows1252), Some(vec![0x80]));
    }
}

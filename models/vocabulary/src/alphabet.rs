//! The letters that stand for bytes in a byte-level vocabulary.
//!
//! GPT-2's authors wanted a vocabulary of printable text, so each byte has a letter: the printable ones of Latin-1 are
//! themselves, the 68 others follow from U+0100 in order (a space is `Ġ`, a line feed `Ċ`).

/// The byte that `letter` stands for, if it stands for one.
pub(crate) fn byte_of(letter: char) -> Option<u8> {
    match letter {
        '!'..='~' | '\u{a1}'..='\u{ac}' | '\u{ae}'..='\u{ff}' => u8::try_from(u32::from(letter)).ok(),
        '\u{100}'..='\u{143}' => match (u32::from(letter) - 0x100) as u8 {
            control @ 0..=0x20 => Some(control),
            67 => Some(0xad),
            upper => Some(upper - 33 + 0x7f),
        },
        _ => None,
    }
}

/// The bytes of a token; `None` where one of its letters stands for no byte.
pub(crate) fn bytes_of(token: &str) -> Option<Vec<u8>> {
    token.chars().map(byte_of).collect()
}

/// The letter that stands for `byte`: the inverse of [`byte_of`].
#[cfg(test)]
pub(crate) fn letter_of(byte: u8) -> char {
    ('!'..='\u{143}').find(|&letter| byte_of(letter) == Some(byte)).unwrap()
}

#[cfg(test)]
mod tests {
    use super::{byte_of, bytes_of, letter_of};

    #[test]
    fn every_byte_has_one_letter() {
        let mut letters: Vec<char> = (0..=255).map(letter_of).collect();
        letters.sort_unstable();
        letters.dedup();
        assert_eq!(letters.len(), 256);
        assert_eq!((letter_of(b' '), letter_of(b'\n'), letter_of(0xad), letter_of(0x7f)), ('Ġ', 'Ċ', 'Ń', 'ġ'));
        let expected = tokenizers::pre_tokenizers::byte_level::ByteLevel::alphabet();
        assert!(letters.iter().all(|letter| expected.contains(letter)));
        assert_eq!(byte_of(' '), None);
        assert_eq!(byte_of('\u{144}'), None);
        assert_eq!(bytes_of("Ġhé").unwrap(), [0x20, b'h', 0xe9]);
        assert_eq!(bytes_of("a b"), None);
    }
}

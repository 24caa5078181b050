//! Numbers that a mail program broke over two lines: the break, and what marks a quoted line, stands inside the number.

use rejoinder_recognise::bank::{find_cards, find_ibans};

use crate::kind::Kind;
use crate::raw::Raw;

/// Bytes around a break that are read: longer than any number looked for, with its spaces.
const AROUND: usize = 48;

/// The IBANs and cards that hold a line break. Their checksums say that two lines belong together.
pub(crate) fn find_wrapped(text: &str) -> Vec<Raw> {
    let bytes = text.as_bytes();
    let mut found: Vec<Raw> = Vec::new();
    let mut at = 0;
    while let Some(line_end) = bytes.get(at..).and_then(|rest| rest.iter().position(|byte| *byte == b'\n')) {
        let line_end = at + line_end;
        let next = next_line(bytes, line_end + 1);
        let before = bytes.get(..line_end).unwrap_or_default().trim_ascii_end().len();
        let goes_on = |place: usize| bytes.get(place).is_some_and(u8::is_ascii_alphanumeric);
        if before > 0 && goes_on(before - 1) && goes_on(next) {
            let from = floor(text, before.saturating_sub(AROUND));
            let to = floor(text, next + AROUND);
            let (head, tail) = (text.get(from..before).unwrap_or_default(), text.get(next..to).unwrap_or_default());
            found.extend(in_joined(head, tail).into_iter().map(|(start, end, kind)| {
                let end = end - head.len() - 1;
                Raw::new(from + start, next + end, kind)
            }));
        }
        at = line_end + 1;
    }
    found
}

/// What crosses from the one part into the other, by its place in both with a space between.
fn in_joined(head: &str, tail: &str) -> Vec<(usize, usize, Kind)> {
    let joined = format!("{head} {tail}");
    let ibans = find_ibans(&joined).into_iter().map(|iban| (iban.span, Kind::Iban));
    let cards = find_cards(&joined).into_iter().map(|card| (card.span, Kind::Card));
    let crossing = |start: usize, end: usize| start < head.len() && end > head.len() + 1;
    let places = ibans.chain(cards).map(|(span, kind)| (span.start(), span.end(), kind));
    places.filter(|(start, end, _)| crossing(*start, *end)).collect()
}

/// Where the text of a line begins, behind spaces and marks of quotation.
fn next_line(bytes: &[u8], start: usize) -> usize {
    let rest = bytes.get(start..).unwrap_or_default();
    start + rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'>' | b'|')).count()
}

fn floor(text: &str, mut at: usize) -> usize {
    at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::find_wrapped;

    fn found(text: &str) -> Vec<&str> {
        find_wrapped(text).iter().map(|raw| &text[raw.start..raw.end]).collect()
    }

    #[test]
    fn a_number_broken_over_two_lines_is_found_whole() {
        assert_eq!(found("Konto: DE89 3704 0044 0532\n0130 00 ab Juli"), ["DE89 3704 0044 0532\n0130 00"]);
        assert_eq!(found("> DE89 3704 0044 0532 \r\n> 0130 00."), ["DE89 3704 0044 0532 \r\n> 0130 00"]);
        assert_eq!(found("card 4111 1111\n1111 1111!"), ["4111 1111\n1111 1111"]);
        assert_eq!(found("1\n2\n3\n4\n5"), Vec::<&str>::new());
        assert_eq!(found("ä\nß 12\n34 DE89 3704 0044 0532 0130 00\n"), Vec::<&str>::new());
    }
}

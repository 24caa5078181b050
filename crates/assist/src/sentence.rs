//! Sentences of a text, with where they are.

use rejoinder_domain::Span;

/// Words that end with a dot inside a sentence.
const ABBREVIATIONS: [&str; 44] = [
    "mr", "mrs", "ms", "dr", "prof", "st", "no", "nr", "vs", "etc", "approx", "incl", "inc", "ltd", "co", "tel", "art",
    "bzw", "ca", "inkl", "evtl", "ggf", "usw", "zzgl", "str", "abs", "mio", "sog", "vgl", "fr", "hr", "mme", "mlle",
    "env", "sr", "sra", "srta", "ud", "uds", "núm", "dra", "exmo", "exma", "av",
];

/// Every sentence of `text` in order, trimmed, none empty: up to a line's end, or to `.`, `!`, `?` or `…` before a space.
/// A dot after an abbreviation, a single letter or the number of a day does not end one.
pub(crate) fn sentences(text: &str) -> Vec<Span> {
    let mut spans = Vec::new();
    let mut from = 0;
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let next = chars.peek().map(|(_, next)| *next);
        let closes = matches!(c, '.' | '!' | '?' | '…') && next.is_none_or(char::is_whitespace);
        let ends = c == '\n' || next.is_none() || (closes && !(c == '.' && is_inner_dot(text.get(from..at))));
        if ends {
            let end = at + c.len_utf8();
            let sentence = text.get(from..end).unwrap_or_default();
            let start = from + (sentence.len() - sentence.trim_start().len());
            spans.extend(Span::new(start, start + sentence.trim().len()).filter(|span| !span.is_empty()));
            from = end;
        }
    }
    spans
}

/// Whether a dot after `before` belongs to the word before it.
fn is_inner_dot(before: Option<&str>) -> bool {
    let before = before.unwrap_or_default();
    let word = before.rsplit(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
    // At a line's start a number opens an item of a list; elsewhere one of two digits is the day of a date.
    let is_day = word.len() <= 2 && word.bytes().all(|byte| byte.is_ascii_digit());
    let is_letter = word.chars().count() == 1 && word.chars().all(char::is_alphabetic);
    !word.is_empty() && (is_day || is_letter || ABBREVIATIONS.contains(&word.to_lowercase().as_str()))
}

#[cfg(test)]
mod tests {
    use super::sentences;

    #[test]
    fn sentences_end_where_people_end_them() {
        let split = |text: &'static str| -> Vec<&str> {
            sentences(text).into_iter().map(|span| span.of(text).unwrap()).collect()
        };
        assert_eq!(split("Hi Anna,\n\nIt works. Does it? "), ["Hi Anna,", "It works.", "Does it?"]);
        assert_eq!(split("Am 12. März z. B. kam Dr. Weber.  Gut"), ["Am 12. März z. B. kam Dr. Weber.", "Gut"]);
        assert_eq!(split("v1.2 costs 3.50! Größe…\n"), ["v1.2 costs 3.50!", "Größe…"]);
        assert_eq!(split("1. Open it.\n2. Close it."), ["1. Open it.", "2. Close it."]);
        assert!(split(" \n . \n").len() == 1);
    }
}

//! The numbers by which a model cites, taken out of its text while it writes.

use rejoinder_domain::Span;

/// Where a model cited which sources.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    /// Byte in the text without marks at which it stood: it belongs to what is before it.
    pub(crate) at: usize,
    /// The numbers, as written: there need be no such source.
    pub(crate) numbers: Vec<usize>,
}

/// Takes `[1]`, `[2, 3]`, `[source 4]` out of a text that comes in pieces, with the space before them.
#[derive(Debug, Default)]
pub(crate) struct MarkFilter {
    text: String,
    marks: Vec<Mark>,
    held: String,
    skips_space: bool,
}

/// A bracket that goes on for longer is no citation.
const LONGEST_MARK: usize = 40;

impl MarkFilter {
    /// Takes the next piece and returns what can be shown of it. Spaces and an open bracket wait for what follows.
    pub(crate) fn push(&mut self, piece: &str) -> String {
        let before = self.text.len();
        for c in piece.chars() {
            self.take(c);
        }
        self.text.get(before..).unwrap_or_default().to_owned()
    }

    /// The end: what was held back is shown after all.
    pub(crate) fn finish(&mut self) -> String {
        let before = self.text.len();
        self.release();
        self.text.get(before..).unwrap_or_default().to_owned()
    }

    /// The text without marks, so far.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The marks in order.
    pub(crate) fn marks(&self) -> &[Mark] {
        &self.marks
    }

    fn take(&mut self, c: char) {
        let is_open = self.held.contains('[');
        match c {
            '[' => {
                if is_open {
                    // What was held cites nothing; the spaces at its end may be before something that does.
                    let kept = self.held.trim_end_matches([' ', '\t']).len();
                    let spaces = self.held.split_off(kept);
                    self.release();
                    self.held = spaces;
                }
                self.held.push(c);
            }
            ']' if is_open => {
                self.held.push(c);
                match numbers(&self.held) {
                    Some(numbers) => {
                        // A mark at a line's start would leave the space after it behind.
                        self.skips_space = self.text.is_empty() || self.text.ends_with('\n');
                        self.marks.push(Mark { at: self.text.len(), numbers });
                        self.held.clear();
                    }
                    None => self.release(),
                }
            }
            _ if is_open => {
                self.held.push(c);
                let may_cite = c.is_alphanumeric() || matches!(c, ' ' | ',' | ';' | '#' | '.' | '-' | '–' | '&');
                if !may_cite || self.held.len() > LONGEST_MARK {
                    self.release();
                }
            }
            ' ' | '\t' if self.skips_space => {}
            ' ' | '\t' => self.held.push(c),
            _ => {
                self.skips_space = false;
                self.release();
                self.text.push(c);
            }
        }
    }

    fn release(&mut self) {
        self.text.push_str(&self.held);
        self.held.clear();
    }
}

/// The numbers of a bracket that cites: numbers with commas between, perhaps after one word.
fn numbers(bracket: &str) -> Option<Vec<usize>> {
    let inner = bracket.trim_start().strip_prefix('[')?.strip_suffix(']')?.trim();
    let digits = inner.trim_start_matches(|c: char| c.is_alphabetic() || matches!(c, ' ' | '#' | '.'));
    let word = inner.get(..inner.len() - digits.len())?.trim().trim_end_matches(['#', '.', ' ']).to_lowercase();
    let names_source = ["", "source", "sources", "src", "quelle", "quellen", "fuente", "fuentes", "fonte", "fontes"];
    if !names_source.contains(&word.as_str()) {
        return None;
    }
    let mut all = Vec::new();
    for part in digits.split([',', ';', '&']) {
        let (first, last) = part.trim().split_once(['-', '–']).unwrap_or((part.trim(), part.trim()));
        let (first, last) = (number(first)?, number(last)?);
        all.extend((first..=last).take(20));
    }
    Some(all)
}

/// A year in brackets is no source.
fn number(text: &str) -> Option<usize> {
    let text = text.trim();
    (text.len() <= 2 && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok()).flatten()
}

/// The index of the sentence that the mark belongs to: the last that begins before it.
pub(crate) fn sentence_of(mark: &Mark, sentences: &[Span]) -> Option<usize> {
    sentences.partition_point(|sentence| sentence.start() < mark.at).checked_sub(1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{MarkFilter, sentence_of};
    use crate::sentence::sentences;

    fn filtered(text: &str) -> (String, Vec<(usize, Vec<usize>)>) {
        let mut filter = MarkFilter::default();
        let mut shown = filter.push(text);
        shown.push_str(&filter.finish());
        assert_eq!(shown, filter.text());
        (shown, filter.marks().iter().map(|mark| (mark.at, mark.numbers.clone())).collect())
    }

    #[test]
    fn citations_are_taken_out_and_other_brackets_stay() {
        let table: [(&str, &str, &[usize]); 12] = [
            ("It works [1].", "It works.", &[1]),
            ("It works. [1] Good.", "It works. Good.", &[1]),
            ("It works.[1][2]\nGood", "It works.\nGood", &[1, 2]),
            ("It works [1, 3; 4].", "It works.", &[1, 3, 4]),
            ("It works [Source 2].", "It works.", &[2]),
            ("It works [1-3]", "It works", &[1, 2, 3]),
            ("[1] It works", "It works", &[1]),
            ("Hi [customer name], [agent name]", "Hi [customer name], [agent name]", &[]),
            ("array[i] and [2024] and [x1]", "array[i] and [2024] and [x1]", &[]),
            ("[[check: EUR 5]] [", "[[check: EUR 5]] [", &[]),
            ("a [b [1] c", "a [b c", &[1]),
            ("", "", &[]),
        ];
        for (text, expected, cited) in table {
            let (shown, marks) = filtered(text);
            let numbers: Vec<usize> = marks.into_iter().flat_map(|(_, numbers)| numbers).collect();
            assert_eq!((shown.as_str(), numbers.as_slice()), (expected, cited), "{text}");
        }
    }

    #[test]
    fn a_mark_belongs_to_the_sentence_before_it() {
        let (text, marks) = filtered("One is so [1]. Two is so. [2] Three [3] is so.");
        assert_eq!(text, "One is so. Two is so. Three is so.");
        let mut filter = MarkFilter::default();
        filter.push("One is so [1]. Two is so. [2] Three [3] is so.");
        let spans = sentences(&text);
        let owners: Vec<Option<usize>> = filter.marks().iter().map(|mark| sentence_of(mark, &spans)).collect();
        assert_eq!((owners, marks.len()), (vec![Some(0), Some(1), Some(2)], 3));
    }

    proptest! {
        #[test]
        fn the_pieces_make_no_difference(text in "(\\[1\\]|\\[2, 3\\]|\\[source 1\\]|[\\[\\]a-c0-9ä ,.\n]){0,40}", cut in 1_usize..6) {
            let whole = filtered(&text);
            let mut filter = MarkFilter::default();
            let chars: Vec<char> = text.chars().collect();
            let mut shown = String::new();
            for piece in chars.chunks(cut) {
                shown.push_str(&filter.push(&piece.iter().collect::<String>()));
            }
            shown.push_str(&filter.finish());
            let marks: Vec<_> = filter.marks().iter().map(|mark| (mark.at, mark.numbers.clone())).collect();
            prop_assert_eq!((shown, marks), whole);
        }
    }
}

//! A range of a text.

use serde::{Deserialize, Serialize};

/// A half-open range of bytes of one text, `start <= end`. What was made from a text never splits one of its characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Span {
    start: usize,
    end: usize,
}

impl Span {
    /// The bytes from `start` up to, not including, `end`; `None` if `end < start`.
    pub fn new(start: usize, end: usize) -> Option<Self> {
        (start <= end).then_some(Self { start, end })
    }

    /// The whole of `text`.
    pub fn whole(text: &str) -> Self {
        Self { start: 0, end: text.len() }
    }

    /// First byte.
    pub fn start(self) -> usize {
        self.start
    }

    /// One past the last byte.
    pub fn end(self) -> usize {
        self.end
    }

    /// Length in bytes.
    pub fn len(self) -> usize {
        self.end - self.start
    }

    /// Whether it covers nothing.
    pub fn is_empty(self) -> bool {
        self.start == self.end
    }

    /// The part of `text` that it covers; `None` if it reaches outside or splits a character.
    pub fn of(self, text: &str) -> Option<&str> {
        text.get(self.start..self.end)
    }

    /// The same range in Unicode code points, `(start, end)`; `None` as for [`Span::of`].
    pub fn in_chars(self, text: &str) -> Option<(usize, usize)> {
        let start = text.get(..self.start)?.chars().count();
        Some((start, start + self.of(text)?.chars().count()))
    }
}

#[cfg(test)]
mod tests {
    use super::Span;

    #[test]
    fn code_points_are_not_bytes() {
        let text = "Grüße, 5 €";
        let span = Span::new(9, 14).unwrap();
        assert_eq!(span.of(text), Some("5 €").filter(|s| s.len() == span.len()));
        assert_eq!(Span::new(9, 14).unwrap().in_chars(text), Some((7, 10)));
        assert_eq!(Span::new(3, 4).unwrap().of(text), None, "inside ü");
        assert!(Span::new(2, 1).is_none());
    }
}

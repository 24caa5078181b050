//! What detectors hand over, and how claims on the same text are settled.

use crate::kind::Kind;
use crate::name::Form;

/// Something that a detector found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Raw {
    /// First byte.
    pub(crate) start: usize,
    /// One past the last byte.
    pub(crate) end: usize,
    /// What it is.
    pub(crate) kind: Kind,
    /// How sure the kind is: the lowest wins.
    pub(crate) rank: u8,
    /// Whose name in which form, of a [`Kind::Person`].
    pub(crate) name: Option<(usize, Form)>,
}

impl Raw {
    pub(crate) fn new(start: usize, end: usize, kind: Kind) -> Self {
        Self { start, end, kind, rank: kind as u8, name: None }
    }

    /// What the form alone makes one: whatever else claims it is more likely.
    pub(crate) fn by_form(start: usize, end: usize, kind: Kind) -> Self {
        Self { rank: u8::MAX, ..Self::new(start, end, kind) }
    }
}

/// Puts in order and joins what overlaps: everything that was found stays covered, and the kind of a joined stretch is the
/// most specific one's. A name that is part of something else is that.
pub(crate) fn settle(mut found: Vec<Raw>) -> Vec<Raw> {
    found.retain(|raw| raw.start < raw.end);
    found.sort_by_key(|raw| (raw.start, std::cmp::Reverse(raw.end), raw.rank));
    let mut settled: Vec<Raw> = Vec::with_capacity(found.len());
    for raw in found {
        match settled.last_mut() {
            Some(last) if raw.start < last.end => {
                let wider = (raw.end - raw.start) > (last.end - last.start);
                let whole = raw.end.max(last.end);
                let same = raw.start == last.start && raw.end == last.end;
                // What lies within something longer is a part of it; only of equal or crossing ones the kind decides.
                if (same || raw.end > last.end) && (raw.rank < last.rank || (raw.rank == last.rank && wider)) {
                    last.kind = raw.kind;
                    last.rank = raw.rank;
                    last.name = raw.name;
                }
                last.end = whole;
            }
            _ => settled.push(raw),
        }
    }
    settled
}

#[cfg(test)]
mod tests {
    use super::{Raw, settle};
    use crate::kind::Kind;

    #[test]
    fn nothing_that_was_found_is_left_uncovered() {
        let found = vec![
            Raw::new(5, 9, Kind::Phone),
            Raw::new(0, 4, Kind::Person),
            Raw::by_form(7, 12, Kind::ReferenceNumber),
            Raw::new(20, 30, Kind::PostalAddress),
            Raw::new(22, 25, Kind::Email),
            Raw::new(3, 3, Kind::Email),
        ];
        let expected =
            vec![Raw::new(0, 4, Kind::Person), Raw::new(5, 12, Kind::Phone), Raw::new(20, 30, Kind::PostalAddress)];
        assert_eq!(settle(found), expected);
    }
}

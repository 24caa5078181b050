//! Digits in groups: what account, card and identity numbers are read from.

use rejoinder_domain::Span;

/// Groups of ASCII digits with one separator between, and what part of them is looked at.
pub(crate) struct Window<'a> {
    text: &'a str,
    chain: &'a [(usize, usize)],
    from: usize,
    to: usize,
}

impl Window<'_> {
    fn groups(&self) -> &[(usize, usize)] {
        self.chain.get(self.from..self.to).unwrap_or_default()
    }

    /// Where.
    pub(crate) fn span(&self) -> Option<Span> {
        let groups = self.groups();
        Span::new(groups.first()?.0, groups.last()?.1)
    }

    /// The digits alone.
    pub(crate) fn digits(&self) -> Vec<u8> {
        let bytes = self.groups().iter().filter_map(|(start, end)| self.text.as_bytes().get(*start..*end));
        bytes.flatten().map(|byte| byte - b'0').collect()
    }

    /// How many digits there are.
    pub(crate) fn len(&self) -> usize {
        self.group_lengths().sum()
    }

    /// How many digits each group has.
    pub(crate) fn group_lengths(&self) -> impl DoubleEndedIterator<Item = usize> {
        self.groups().iter().map(|(start, end)| end - start)
    }

    /// Whether the groups have the same one of these signs between them all; one group alone has.
    pub(crate) fn separated_by(&self, signs: &[u8]) -> bool {
        let mut between = self.groups().iter().skip(1).map(|(start, _)| self.text.as_bytes().get(start - 1));
        let Some(first) = between.next() else { return true };
        first.is_some_and(|sign| signs.contains(sign)) && between.all(|sign| sign == first)
    }

    /// The sign before each group but the first.
    pub(crate) fn separators(&self) -> Vec<u8> {
        let starts = self.groups().iter().skip(1);
        starts.filter_map(|(start, _)| self.text.as_bytes().get(start - 1).copied()).collect()
    }

    /// Whether nothing but a space sets it off from digits beside it.
    pub(crate) fn stands_alone(&self) -> bool {
        let bytes = self.text.as_bytes();
        let start = self.groups().first().map_or(0, |(start, _)| *start);
        let end = self.groups().last().map_or(0, |(_, end)| *end);
        let tight = |sign: Option<&u8>| sign.is_some_and(|sign| *sign != b' ');
        (self.from == 0 || !tight(start.checked_sub(1).and_then(|before| bytes.get(before))))
            && (self.to == self.chain.len() || !tight(bytes.get(end)))
    }

    /// Whether a decimal point sets it off from digits beside it.
    pub(crate) fn is_fraction(&self) -> bool {
        let bytes = self.text.as_bytes();
        let start = self.groups().first().map_or(0, |(start, _)| *start);
        let end = self.groups().last().map_or(0, |(_, end)| *end);
        let point = |at: Option<usize>| at.and_then(|at| bytes.get(at)) == Some(&b'.');
        (self.from > 0 && point(start.checked_sub(1))) || (self.to < self.chain.len() && point(Some(end)))
    }

    /// Whether no other group belongs to the chain.
    pub(crate) fn is_whole_chain(&self) -> bool {
        self.from == 0 && self.to == self.chain.len()
    }
}

/// Shows `read` every run of whole groups of at most `most` digits, from each group on the longest first; where it says
/// that a run is what it looks for, the next one begins behind it. A chain touches no letter.
pub(crate) fn for_each_window(text: &str, most: usize, mut read: impl FnMut(&Window<'_>) -> bool) {
    let bytes = text.as_bytes();
    let mut chain: Vec<(usize, usize)> = Vec::new();
    let mut at = 0;
    while let Some(start) = bytes.get(at..).and_then(|rest| rest.iter().position(u8::is_ascii_digit)).map(|n| at + n) {
        at = start + count_digits(bytes, start);
        chain.clear();
        chain.push((start, at));
        while bytes.get(at).is_some_and(|sign| b" -./+".contains(sign)) {
            let length = count_digits(bytes, at + 1);
            if length == 0 {
                break;
            }
            chain.push((at + 1, at + 1 + length));
            at += 1 + length;
        }
        let before = text.get(..start).and_then(|before| before.chars().next_back());
        let after = text.get(at..).and_then(|after| after.chars().next());
        // A group that touches a letter is part of a word, and so is not looked at.
        let first = usize::from(before.is_some_and(char::is_alphanumeric));
        let last = chain.len() - usize::from(after.is_some_and(char::is_alphanumeric));
        if let Some(free) = chain.get(first..last) {
            read_chain(text, free, most, &mut read);
        }
    }
}

fn read_chain(text: &str, chain: &[(usize, usize)], most: usize, read: &mut impl FnMut(&Window<'_>) -> bool) {
    let mut from = 0;
    while from < chain.len() {
        let mut digits = 0;
        let fits = |(start, end): &&(usize, usize)| {
            digits += end - start;
            digits <= most
        };
        let longest = from + chain.iter().skip(from).take_while(fits).count();
        let found = (from + 1..=longest).rev().find(|to| read(&Window { text, chain, from, to: *to }));
        from = found.unwrap_or(from + 1);
    }
}

fn count_digits(bytes: &[u8], from: usize) -> usize {
    bytes.get(from..).unwrap_or_default().iter().take_while(|byte| byte.is_ascii_digit()).count()
}

/// The checksum of ISO/IEC 7812-1, also of Swedish personal numbers.
pub(crate) fn luhn(digits: &[u8]) -> bool {
    let weigh = |(place, digit): (usize, &u8)| {
        let digit = u32::from(*digit);
        if place % 2 == 0 { digit } else { (digit * 2) / 10 + (digit * 2) % 10 }
    };
    digits.iter().rev().enumerate().map(weigh).sum::<u32>().is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use super::for_each_window;

    #[test]
    fn windows_are_whole_groups_from_long_to_short() {
        let mut seen = Vec::new();
        for_each_window("a1 22-33 4x", 5, |window| {
            seen.push(window.digits().len());
            false
        });
        assert_eq!(seen, [4, 2, 2], "`1` and `4` touch letters");
    }
}

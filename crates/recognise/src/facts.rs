//! Every fact of a text at once, each with where it is.

use std::sync::LazyLock;

use regex::Regex;
use rejoinder_domain::Span;

use crate::amount::{FoundAmount, FoundNumber};
use crate::contact::FoundPhone;
use crate::date::DateValue;
use crate::pattern::constant_pattern;
use crate::{amount, bank, contact, date};

/// One fact of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    /// Where.
    pub span: Span,
    /// What.
    pub kind: FactKind,
}

/// What a fact is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FactKind {
    /// A link, as written.
    Link,
    /// An e-mail address, as written.
    Email,
    /// An IBAN, compact.
    Iban(String),
    /// A card number, masked.
    Card(String),
    /// A date expression.
    Date(DateValue),
    /// Money.
    Amount(FoundAmount),
    /// A telephone number.
    Phone(FoundPhone),
    /// A word with digits that is no plain number: an order, invoice or ticket number, a version.
    Identifier,
    /// A number or percentage.
    Number(FoundNumber),
}

static WORD_WITH_DIGITS: LazyLock<Regex> =
    LazyLock::new(|| constant_pattern(r"#?[\p{L}\p{N}]+(?:[._/:#+-][\p{L}\p{N}]+)*"));

static WORD: LazyLock<Regex> = LazyLock::new(|| constant_pattern(r"[\p{L}\p{N}]+"));

/// Every fact of `text`, in order, without overlap; where two kinds claim the same words, the more specific wins, in
/// the order of [`FactKind`].
pub fn find_facts(text: &str, language: Option<&str>) -> Vec<Fact> {
    let mut claims = Claims::default();
    claims.add(contact::find_links(text).into_iter().map(|span| Fact { span, kind: FactKind::Link }));
    claims.add(contact::find_emails(text).into_iter().map(|span| Fact { span, kind: FactKind::Email }));
    let iban = |found: bank::FoundIban| Fact { span: found.span, kind: FactKind::Iban(found.iban) };
    claims.add(bank::find_ibans(text).into_iter().map(iban));
    let card = |found: bank::FoundCard| Fact { span: found.span, kind: FactKind::Card(found.masked) };
    claims.add(bank::find_cards(text).into_iter().map(card));
    let date = |found: date::FoundDate| Fact { span: found.span, kind: FactKind::Date(found.value) };
    claims.add(date::find_dates(text, language).into_iter().map(date));
    let amount = |found: FoundAmount| Fact { span: found.span, kind: FactKind::Amount(found) };
    claims.add(amount::find_amounts(text).into_iter().map(amount));
    let phones = contact::find_phones(text);
    let phone = |found: FoundPhone| Fact { span: found.span, kind: FactKind::Phone(found) };
    claims.add(phones.into_iter().filter(|phone| phone.certain).map(phone));
    claims.add(find_identifiers(text).into_iter().map(|span| Fact { span, kind: FactKind::Identifier }));
    let number = |found: FoundNumber| Fact { span: found.span, kind: FactKind::Number(found) };
    claims.add(amount::find_numbers(text, language).into_iter().map(number));
    let unclaimed = unclaimed_digits(text, &claims.facts);
    claims.add(unclaimed.into_iter().map(|span| Fact { span, kind: FactKind::Identifier }));
    claims.facts
}

/// Digits that no fact covers, each with the letters around it: where two expressions overlapped and one gave way, and
/// numerals that are no number. Without them a digit could escape notice.
fn unclaimed_digits(text: &str, facts: &[Fact]) -> Vec<Span> {
    let mut unclaimed = Vec::new();
    let starts = std::iter::once(0).chain(facts.iter().map(|fact| fact.span.end()));
    let ends = facts.iter().map(|fact| fact.span.start()).chain(std::iter::once(text.len()));
    for (start, end) in starts.zip(ends) {
        let gap = text.get(start..end).unwrap_or_default();
        let words = WORD.find_iter(gap).filter(|word| word.as_str().contains(char::is_numeric));
        unclaimed.extend(words.filter_map(|word| Span::new(start + word.start(), start + word.end())));
    }
    unclaimed
}

/// Every word that mixes digits with letters or joins groups of digits, in order: `INV-2024-001`, `#4711`, `3.15.0`,
/// `B210`. Plain numbers are not identifiers.
pub fn find_identifiers(text: &str) -> Vec<Span> {
    let is_identifier = |word: &str| {
        let has_digit = word.contains(|c: char| c.is_numeric());
        let has_other = word.contains(|c: char| c.is_alphabetic() || matches!(c, '#' | '/' | '_' | '-' | ':' | '+'));
        has_digit && (has_other || word.matches('.').count() > 1)
    };
    let found = WORD_WITH_DIGITS.find_iter(text).filter(|found| is_identifier(found.as_str()));
    found.filter_map(|found| Span::new(found.start(), found.end())).collect()
}

/// Facts in order, without overlap; who comes first keeps the words.
#[derive(Default)]
struct Claims {
    facts: Vec<Fact>,
}

impl Claims {
    /// Adds those that overlap nothing. `facts` are in order and do not overlap each other.
    fn add(&mut self, facts: impl Iterator<Item = Fact>) {
        let earlier = std::mem::take(&mut self.facts);
        let mut merged = Vec::with_capacity(earlier.len());
        let mut rest = earlier.into_iter().peekable();
        let mut last_end = 0;
        for fact in facts {
            while let Some(before) = rest.next_if(|other| other.span.start() < fact.span.end()) {
                last_end = last_end.max(before.span.end());
                merged.push(before);
            }
            if fact.span.start() >= last_end {
                last_end = fact.span.end();
                merged.push(fact);
            }
        }
        merged.extend(rest);
        self.facts = merged;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{FactKind, find_facts};

    fn kinds(text: &str) -> Vec<(String, &'static str)> {
        let name = |kind: &FactKind| match kind {
            FactKind::Link => "link",
            FactKind::Email => "email",
            FactKind::Iban(_) => "iban",
            FactKind::Card(_) => "card",
            FactKind::Date(_) => "date",
            FactKind::Amount(_) => "amount",
            FactKind::Phone(_) => "phone",
            FactKind::Identifier => "identifier",
            FactKind::Number(_) => "number",
        };
        find_facts(text, None).iter().map(|fact| (fact.span.of(text).unwrap().to_owned(), name(&fact.kind))).collect()
    }

    #[test]
    fn each_expression_is_what_it_most_specifically_is() {
        let text = "Dear Ms Weber, invoice INV-2024-001 of 12.03.2024 over EUR 1,250.00 (19 %) went to \
                    DE89 3704 0044 0532 0130 00; call +49 30 1234567 or see https://x.example/k?id=9 or a1@x.example. Seat B210, 3 items.";
        let expected = [
            ("INV-2024-001", "identifier"),
            ("12.03.2024", "date"),
            ("EUR 1,250.00", "amount"),
            ("19 %", "number"),
            ("DE89 3704 0044 0532 0130 00", "iban"),
            ("+49 30 1234567", "phone"),
            ("https://x.example/k?id=9", "link"),
            ("a1@x.example", "email"),
            ("B210", "identifier"),
            ("3", "number"),
        ];
        let expected: Vec<(String, &str)> = expected.map(|(quote, kind)| (quote.to_owned(), kind)).to_vec();
        assert_eq!(kinds(text), expected);
    }

    #[test]
    fn a_time_and_a_version_are_one_piece() {
        assert_eq!(kinds("at 14:30"), [("14:30".to_owned(), "identifier")]);
        assert_eq!(kinds("UHD 3.15.0"), [("3.15.0".to_owned(), "identifier")]);
        assert_eq!(kinds("2-3 days"), [("2-3".to_owned(), "identifier")]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]
        #[test]
        fn every_span_is_exact_and_nothing_overlaps(
            text in "([a-zA-ZäßéЖ€$£%#@+()'\u{a0}\u{202f} \n.,:;/0-9-]|EUR|DE89|https://|März| 12\\.03\\.2024){0,60}"
        ) {
            let mut last = 0;
            for fact in find_facts(&text, None) {
                prop_assert!(fact.span.start() >= last);
                prop_assert!(fact.span.of(&text).is_some_and(|quote| !quote.trim().is_empty()));
                last = fact.span.end();
            }
        }

        #[test]
        fn no_digit_escapes(text in "[a-zäЖ €$%#@+()\n.,:/0-9-]{0,60}") {
            let facts = find_facts(&text, None);
            for (at, _) in text.char_indices().filter(|(_, c)| c.is_ascii_digit()) {
                prop_assert!(facts.iter().any(|fact| fact.span.start() <= at && at < fact.span.end()), "digit at {at} of {text:?}");
            }
        }
    }
}

//! Fits an earlier reply to this ticket: addresses this customer, and marks in place what belongs to the earlier case.

use std::sync::LazyLock;

use regex::Regex;
use rejoinder_domain::Span;
use rejoinder_recognise::bank::mask_cards;
use rejoinder_recognise::constant_pattern;

use super::salutation::{self, PersonName};
use super::support::{EarlierPeople, Support, Unsupported};

/// The placeholder for who signs.
pub(crate) const AGENT_PLACEHOLDER: &str = "[agent name]";

/// What a fit needs.
pub(crate) struct Fit<'a> {
    /// This ticket's customer, where the name is known.
    pub(crate) customer: Option<&'a PersonName>,
    /// Who signs, where that is known.
    pub(crate) agent_name: Option<&'a str>,
    /// Who signed the earlier reply.
    pub(crate) earlier_agent: Option<&'a PersonName>,
    /// Everybody else of the earlier case.
    pub(crate) people: &'a EarlierPeople,
    /// What the ticket says.
    pub(crate) support: &'a Support,
    /// ISO 639-1 code of the reply's language.
    pub(crate) language: Option<&'a str>,
}

/// A fitted reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fitted {
    /// The draft, with marks and placeholders.
    pub(crate) text: String,
    /// What was marked, in order: the words and what they are.
    pub(crate) marked: Vec<(Unsupported, String)>,
}

static MARK: LazyLock<Regex> = LazyLock::new(|| constant_pattern(r"\[\[check: ([^\[\]]*)\]\]"));

/// What an open place in a draft looks like: our marks and placeholders, and those that templates leave behind.
static PLACEHOLDER: LazyLock<Regex> = LazyLock::new(|| {
    constant_pattern(
        r"\[\[check: [^\[\]]*\]\]|\[\p{L}[\p{L} _-]{2,40}\]|<\p{L}[\p{L} _-]{2,40}>|\{\{[^{}\n]{1,80}\}\}|_{4,}|\bX{4,}\b",
    )
});

/// How many open places a draft has.
pub(crate) fn count_placeholders(draft: &str) -> usize {
    PLACEHOLDER.find_iter(draft).count()
}

impl Fit<'_> {
    /// Fits `reply`: its new text, from the salutation to the sign-off.
    pub(crate) fn apply(&self, reply: &str) -> Fitted {
        // A reply that was itself sent with open marks must not get marks within marks.
        let reply = MARK.replace_all(reply.trim(), "$1").into_owned();
        let mut edits = Edits::default();
        if let Some(edit) = self.salutation(&reply) {
            edits.push(edit.0, edit.1);
        }
        let sign_off = salutation::find_sign_off(&reply).and_then(|sign_off| sign_off.name);
        let signer = self.agent_name.unwrap_or(AGENT_PLACEHOLDER);
        if let Some(name) = sign_off {
            edits.push(name, signer.to_owned());
        }
        let mut marked = Vec::new();
        for item in self.support.unsupported(&reply, self.people, self.language) {
            for span in edits.free_parts(item.span) {
                // A card number is masked even inside the mark.
                let words = mask_cards(span.of(&reply).unwrap_or_default());
                if !words.trim().is_empty() {
                    edits.push(span, format!("[[check: {words}]]"));
                    marked.push((Unsupported { span, kind: item.kind }, words));
                }
            }
        }
        // Last, so that a name never takes a digit's place out of a mark.
        for span in self.earlier_agent_named(&reply) {
            edits.push(span, signer.to_owned());
        }
        Fitted { text: edits.apply(&reply), marked }
    }

    /// The salutation's span and what stands there now; `None` where it may stay.
    fn salutation(&self, reply: &str) -> Option<(Span, String)> {
        let Some(found) = salutation::find_salutation(reply) else { return self.bare_name(reply) };
        let name = found.name.and_then(|name| name.of(reply));
        match name {
            Some(name) if salutation::addresses_anyone(name) => None,
            // A greeting without a name stays without one.
            None => None,
            Some(_) => Some((found.span, salutation::address(reply, &found, self.customer))),
        }
    }

    /// A first line that is nothing but the earlier customer's name: `Anna,`.
    fn bare_name(&self, reply: &str) -> Option<(Span, String)> {
        let line = reply.lines().next()?;
        let name = line.trim_end().strip_suffix([',', ':', '!'])?;
        let named = self.people.named_in(name);
        let whole = named.first().is_some_and(|span| span.start() == 0 && span.end() == name.len());
        let new = self.customer.map_or_else(
            || salutation::CUSTOMER_PLACEHOLDER.to_owned(),
            |customer| {
                if name.contains(' ') { customer.full() } else { customer.first.clone() }
            },
        );
        whole.then(|| Some((Span::new(0, name.len())?, new))).flatten()
    }

    /// Every place that names who answered, as in `this is Peter from support`.
    fn earlier_agent_named(&self, reply: &str) -> Vec<Span> {
        let mut agents = EarlierPeople::default();
        if let Some(agent) = self.earlier_agent {
            agents.add(&agent.full(), "");
        }
        agents.named_in(reply)
    }
}

fn overlap(one: Span, other: Span) -> bool {
    one.start() < other.end() && other.start() < one.end()
}

/// Replacements of spans that do not overlap; who comes first keeps the place.
#[derive(Default)]
struct Edits {
    edits: Vec<(Span, String)>,
}

impl Edits {
    /// Adds a replacement if its place is free.
    fn push(&mut self, span: Span, replacement: String) {
        if !span.is_empty() && !self.edits.iter().any(|(other, _)| overlap(*other, span)) {
            self.edits.push((span, replacement));
        }
    }

    /// The parts of `span` that no edit has yet, in order.
    fn free_parts(&self, span: Span) -> Vec<Span> {
        let mut taken: Vec<Span> =
            self.edits.iter().map(|(edit, _)| *edit).filter(|edit| overlap(*edit, span)).collect();
        taken.sort_by_key(|edit| edit.start());
        let starts = std::iter::once(span.start()).chain(taken.iter().map(|edit| edit.end()));
        let ends = taken.iter().map(|edit| edit.start()).chain(std::iter::once(span.end()));
        starts.zip(ends).filter_map(|(start, end)| Span::new(start, end)).filter(|part| !part.is_empty()).collect()
    }

    fn apply(mut self, text: &str) -> String {
        self.edits.sort_by_key(|(span, _)| span.start());
        let mut fitted = String::with_capacity(text.len() + 32 * self.edits.len());
        let mut from = 0;
        for (span, replacement) in &self.edits {
            fitted.push_str(text.get(from..span.start()).unwrap_or_default());
            fitted.push_str(replacement);
            from = span.end();
        }
        fitted.push_str(text.get(from..).unwrap_or_default());
        fitted
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::salutation::PersonName;
    use super::super::support::{EarlierPeople, Support};
    use super::{Fit, count_placeholders};

    fn fit(ticket: &str, customer: &str, agent_name: Option<&str>, reply: &str) -> String {
        let mut support = Support::default();
        support.add(ticket, None);
        support.add(customer, None);
        let mut people = EarlierPeople::default();
        people.add("Anna Weber", "anna@weberbau.example");
        let (customer, agent) = (PersonName::parse(customer), PersonName::parse("Peter Braun"));
        let fit = Fit {
            customer: customer.as_ref(),
            agent_name,
            earlier_agent: agent.as_ref(),
            people: &people,
            support: &support,
            language: None,
        };
        fit.apply(reply).text
    }

    #[test]
    fn an_english_reply() {
        let reply = "Dear Ms Weber,\n\nthank you. Invoice INV-7 over EUR 1,250.00 was paid on 12 March 2024; Anna, the next\n\
                     is due Friday. This is Peter from billing.\n\n1. Open https://old.example/p\n2. Enter 77\n\nBest regards,\nPeter Braun\nBilling, +49 30 1234567";
        let expected = "Dear Paul Klein,\n\nthank you. Invoice INV-7 over [[check: EUR 1,250.00]] was paid on [[check: 12 March 2024]]; [[check: Anna]], the next\n\
                     is due [[check: Friday]]. This is [agent name] from billing.\n\n1. Open [[check: https://old.example/p]]\n2. Enter [[check: 77]]\n\nBest regards,\n[agent name]\nBilling, [[check: +49 30 1234567]]";
        let fitted = fit("My invoice INV-7 is wrong", "Paul Klein", None, reply);
        assert_eq!(fitted, expected);
        assert_eq!(count_placeholders(&fitted), 9);
    }

    #[test]
    fn a_german_reply_signed_by_a_known_agent() {
        let reply = "Sehr geehrte Frau Weber,\n\nwir haben Ihnen 1.250,00 € am 12.03.2024 erstattet.\n\nMit freundlichen Grüßen\nPeter Braun";
        let fitted = fit("Es geht um 1250 Euro", "Herr Klein", Some("Eva Roth"), reply);
        let expected = "Sehr geehrter Herr Klein,\n\nwir haben Ihnen 1.250,00 € am [[check: 12.03.2024]] erstattet.\n\nMit freundlichen Grüßen\nEva Roth";
        assert_eq!(fitted, expected);
    }

    #[test]
    fn what_fits_stays_as_it_is() {
        for reply in [
            "Dear all,\nit works again.\nRegards,\nEva Roth",
            "Hello,\nplease restart it.",
            "Sehr geehrte Damen und Herren,\nes geht wieder.",
            "Hi Paul,\nyour order 4711 is on its way.",
        ] {
            assert_eq!(fit("order #4711", "Paul Klein", Some("Eva Roth"), reply), reply);
        }
    }

    #[test]
    fn a_name_alone_is_a_salutation_too() {
        assert_eq!(fit("", "Paul Klein", None, "Anna,\nit works."), "Paul,\nit works.");
        assert_eq!(fit("", "", None, "Anna,\nit works."), "[customer name],\nit works.");
    }

    #[test]
    fn marks_are_not_nested_and_cards_never_shown() {
        assert_eq!(fit("", "Paul", None, "Pay [[check: EUR 5]] now."), "Pay [[check: EUR 5]] now.");
        let fitted = fit("", "Paul", None, "Your card 4111 1111 1111 1111 was charged.");
        assert_eq!(fitted, "Your card [[check: **** **** **** 1111]] was charged.");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn no_digit_of_the_earlier_case_is_kept_without_a_mark(
            reply in "((Dear |Hi |Anna|Weber|EUR |Best regards,\n|Peter|[a-zä ,.\n€%#()-]|[0-9]|12\\.03\\.2024)){0,40}"
        ) {
            let fitted = fit("", "Paul Klein", None, &reply);
            let unmarked = super::MARK.replace_all(&fitted, "");
            for line in unmarked.lines() {
                let without_enumerator = super::super::support::strip_enumerator(line);
                prop_assert!(!without_enumerator.contains(|c: char| c.is_ascii_digit()), "{fitted:?}");
            }
            let names = regex::Regex::new(r"\b(Anna|Weber|Peter)\b").unwrap();
            prop_assert!(!names.is_match(&unmarked), "{fitted:?}");
        }
    }
}

//! What a draft may state: the facts and names that occur in the ticket, and what in a draft does not.

use std::collections::HashSet;
use std::sync::LazyLock;

use regex::Regex;
use rejoinder_domain::Span;
use rejoinder_recognise::date::DateValue;
use rejoinder_recognise::number::Decimal;
use rejoinder_recognise::{Fact, FactKind, constant_pattern, find_facts};

use super::salutation::PersonName;

/// What an unsupported expression is; decides which check fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum UnsupportedKind {
    /// An amount, percentage or number.
    Figure,
    /// A date, a weekday, a relative day.
    Date,
    /// A person's or company's name.
    Name,
    /// An order, invoice or version number, an account, a card.
    Identifier,
    /// A link, an e-mail address, a telephone number.
    Contact,
}

/// An expression of a draft that nothing supports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unsupported {
    /// Where in the draft.
    pub(crate) span: Span,
    /// What it is.
    pub(crate) kind: UnsupportedKind,
}

/// Names of the people of an earlier case.
#[derive(Clone, Debug, Default)]
pub(crate) struct EarlierPeople {
    terms: Vec<String>,
    companies: Vec<String>,
}

/// More names than this are a distribution list, not a case.
const MAX_TERMS: usize = 96;

/// Words of display names that are nobody's name.
const NO_NAMES: [&str; 24] = [
    "support",
    "service",
    "team",
    "info",
    "sales",
    "billing",
    "admin",
    "office",
    "customer",
    "kundenservice",
    "help",
    "desk",
    "helpdesk",
    "contact",
    "accounts",
    "accounting",
    "via",
    "the",
    "and",
    "von",
    "van",
    "der",
    "for",
    "list",
];

/// Providers whose domain is no company of the customer.
const PUBLIC_MAIL: [&str; 20] = [
    "gmail",
    "googlemail",
    "outlook",
    "hotmail",
    "live",
    "yahoo",
    "icloud",
    "proton",
    "protonmail",
    "gmx",
    "web",
    "aol",
    "mail",
    "freenet",
    "orange",
    "libero",
    "wanadoo",
    "posteo",
    "example",
    "localhost",
];

impl EarlierPeople {
    /// Adds a display name or address, and the company that the address belongs to.
    pub(crate) fn add(&mut self, name: &str, email: &str) {
        if let Some(person) = PersonName::parse(name) {
            for part in [person.full(), person.last.clone(), person.first.clone()] {
                let is_name = part.chars().count() > 1
                    && !part.split_whitespace().all(|word| NO_NAMES.contains(&word.to_lowercase().as_str()));
                if is_name && self.terms.len() < MAX_TERMS && !self.terms.contains(&part) {
                    self.terms.push(part);
                }
            }
        }
        let labels: Vec<&str> =
            email.rsplit_once('@').map(|(_, domain)| domain.split('.').collect()).unwrap_or_default();
        let company = labels.iter().rev().skip(1).find(|label| label.len() > 3);
        if let Some(company) = company.map(|company| company.to_lowercase())
            && !PUBLIC_MAIL.contains(&company.as_str())
            && self.companies.len() < MAX_TERMS
        {
            self.companies.push(company);
        }
    }

    /// Adds everybody of another case.
    pub(crate) fn add_all(&mut self, others: &Self) {
        for (own, theirs) in [(&mut self.terms, &others.terms), (&mut self.companies, &others.companies)] {
            for name in theirs {
                if own.len() < MAX_TERMS && !own.contains(name) {
                    own.push(name.clone());
                }
            }
        }
    }

    /// Drops a company: our own domain is in every mail.
    pub(crate) fn without_company_of(&mut self, email: &str) {
        let mut own = Self::default();
        own.add("", email);
        self.companies.retain(|company| !own.companies.contains(company));
    }

    /// Where these people are named in `text`, in order.
    pub(crate) fn named_in(&self, text: &str) -> Vec<Span> {
        let mut terms: Vec<&String> = self.terms.iter().collect();
        terms.sort_by_key(|term| std::cmp::Reverse(term.len()));
        let names: Vec<String> = terms.into_iter().map(|term| regex::escape(term)).collect();
        let companies: Vec<String> = self.companies.iter().map(|company| company_pattern(company)).collect();
        // A company may begin with a person's name, so it is looked for first.
        let mut alternatives = Vec::new();
        if !companies.is_empty() {
            alternatives.push(format!("(?i:{})", companies.join("|")));
        }
        if !names.is_empty() {
            alternatives.push(names.join("|"));
        }
        if alternatives.is_empty() {
            return Vec::new();
        }
        // Escaped words of bounded length and number always compile; if not, an honorific still finds most names.
        let Ok(pattern) = Regex::new(&format!(r"\b(?:{})\b", alternatives.join("|"))) else { return Vec::new() };
        pattern.find_iter(text).filter_map(|found| Span::new(found.start(), found.end())).collect()
    }
}

/// A domain's label as people write the company: `orrinshipping` is also `Orrin Shipping` and `Orrin-Shipping`.
fn company_pattern(label: &str) -> String {
    let letters = label.chars().filter(|letter| letter.is_alphanumeric());
    letters.map(|letter| regex::escape(&letter.to_string())).collect::<Vec<_>>().join(r"[ \u{a0}&.'’-]{0,3}")
}

static WITH_HONORIFIC: LazyLock<Regex> = LazyLock::new(|| {
    constant_pattern(
        r"\b(?:Mr|Mrs|Ms|Miss|Mx|Dr|Prof|Herrn?|Frau|Monsieur|Madame|Mme|Mlle|Señora?|Sra?|Signora?|Sig|[Mm]evrouw|[Mm]eneer|[Dd]hr|[Mm]evr|Senhora?)\b\.?(?:ra)?[ \u{a0}](?P<name>(?:(?:Dr|Prof)\.? )?\p{Lu}[\p{L}'’-]+(?:[ \u{a0}]\p{Lu}[\p{L}'’-]+)?)",
    )
});

/// A number that opens a line of a list.
static ENUMERATOR: LazyLock<Regex> = LazyLock::new(|| {
    constant_pattern(r"(?m)^[ \t]*(?P<n>(?:(?i:step|schritt|étape|paso|passo|stap) )?\d{1,2})(?:[.):]|\.\))[ \t]")
});

/// The facts and words of the texts that a draft may rely on.
#[derive(Clone, Debug, Default)]
pub(crate) struct Support {
    numbers: HashSet<Decimal>,
    amounts: HashSet<(Decimal, Option<&'static str>)>,
    dates: HashSet<(Option<i16>, i8, i8)>,
    phones: Vec<String>,
    /// Identifiers, accounts, masked cards, addresses and links: letters and digits only, lower case.
    tokens: HashSet<String>,
    /// Lower-cased words, for names and relative dates.
    words: HashSet<String>,
    quoted: Option<Box<Quoted>>,
}

/// What a draft that cites may state besides.
#[derive(Clone, Debug, Default)]
struct Quoted {
    /// What the verified quotations state.
    quotations: Support,
    /// What the earlier customers stated: where a quotation repeats it, it is their case and not a rule.
    earlier: Support,
}

impl Support {
    /// Adds a text whose statements a draft may repeat.
    pub(crate) fn add(&mut self, text: &str, language: Option<&str>) {
        for word in text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
            self.words.insert(word.to_lowercase());
        }
        for fact in find_facts(text, language) {
            let quote = fact.span.of(text).unwrap_or_default();
            self.tokens.insert(token(quote));
            match fact.kind {
                FactKind::Number(number) => self.add_number(number.value),
                FactKind::Amount(amount) => {
                    let value = amount.value.magnitude();
                    self.amounts.insert((value, amount.currency));
                }
                FactKind::Date(DateValue::Day(date)) => self.add_date(Some(date.year()), date.month(), date.day()),
                FactKind::Date(DateValue::Ambiguous(one, other)) => {
                    self.add_date(Some(one.year()), one.month(), one.day());
                    self.add_date(Some(other.year()), other.month(), other.day());
                }
                FactKind::Date(DateValue::YearMissing(month, day)) => self.add_date(None, month, day),
                FactKind::Phone(phone) => self.phones.push(national(&phone.number)),
                FactKind::Iban(iban) => {
                    self.tokens.insert(token(&iban));
                }
                _ => {}
            }
        }
    }

    fn add_number(&mut self, value: Decimal) {
        self.numbers.insert(value.magnitude());
    }

    fn add_date(&mut self, year: Option<i16>, month: i8, day: i8) {
        self.dates.insert((year, month, day));
    }

    /// The same, and besides what `quotations` state and `earlier`, the questions that they answered, do not. A name is
    /// never taken from a quotation.
    pub(crate) fn with_quoted(&self, quotations: Self, earlier: Self) -> Self {
        Self { quoted: Some(Box::new(Quoted { quotations, earlier })), ..self.clone() }
    }

    /// Everything in `draft` that nothing here supports, in order, without overlap.
    pub(crate) fn unsupported(&self, draft: &str, people: &EarlierPeople, language: Option<&str>) -> Vec<Unsupported> {
        let enumerators: Vec<Span> = ENUMERATOR
            .captures_iter(draft)
            .filter_map(|captures| captures.name("n"))
            .filter_map(|n| Span::new(n.start(), n.end()))
            .collect();
        let facts =
            find_facts(draft, language).into_iter().filter(|fact| !enumerators.iter().any(|at| covers(*at, fact.span)));
        let mut found: Vec<Unsupported> = facts
            .filter(|fact| !self.supports(fact, draft) && !self.is_quoted(fact, draft))
            .map(|fact| Unsupported { span: fact.span, kind: kind_of(&fact.kind) })
            .collect();
        let honorific = WITH_HONORIFIC
            .captures_iter(draft)
            .filter_map(|captures| captures.name("name"))
            .filter_map(|name| Span::new(name.start(), name.end()));
        let mut names: Vec<Span> = honorific.chain(people.named_in(draft)).collect();
        names.retain(|name| !self.supports_name(name.of(draft).unwrap_or_default()));
        found.extend(names.into_iter().map(|span| Unsupported { span, kind: UnsupportedKind::Name }));
        without_overlap(found)
    }

    /// Whether every word of the name occurs.
    fn supports_name(&self, name: &str) -> bool {
        name.split(|c: char| !c.is_alphanumeric())
            .filter(|word| !word.is_empty())
            .all(|word| self.words.contains(&word.to_lowercase()))
    }

    fn is_quoted(&self, fact: &Fact, draft: &str) -> bool {
        self.quoted
            .as_ref()
            .is_some_and(|quoted| quoted.quotations.supports(fact, draft) && !quoted.earlier.supports(fact, draft))
    }

    fn supports(&self, fact: &Fact, draft: &str) -> bool {
        let quote = fact.span.of(draft).unwrap_or_default();
        let has_token = |text: &str| self.tokens.contains(&token(text));
        match &fact.kind {
            FactKind::Link | FactKind::Email | FactKind::Identifier => has_token(quote),
            FactKind::Iban(iban) => has_token(iban),
            // A card number is never repeated, not even the ticket's own.
            FactKind::Card(_) => false,
            FactKind::Date(date) => self.supports_date(date, quote),
            FactKind::Amount(amount) => {
                let value = amount.value.magnitude();
                let any_currency = |code| self.amounts.contains(&(value, code));
                any_currency(amount.currency) || any_currency(None) || self.numbers.contains(&value)
            }
            FactKind::Phone(phone) => {
                let number = national(&phone.number);
                self.phones.iter().any(|known| known.ends_with(&number) || number.ends_with(known.as_str()))
            }
            FactKind::Number(number) => {
                let value = number.value.magnitude();
                // A bare number may be the ticket's amount; a percentage may not.
                let as_amount = !number.percent && self.amounts.iter().any(|(amount, _)| *amount == value);
                self.numbers.contains(&value) || as_amount || (!number.percent && has_token(quote))
            }
        }
    }

    fn supports_date(&self, date: &DateValue, quote: &str) -> bool {
        let day = |date: &jiff::civil::Date| {
            self.dates.contains(&(Some(date.year()), date.month(), date.day()))
                || self.dates.contains(&(None, date.month(), date.day()))
        };
        match date {
            DateValue::Day(date) => day(date),
            DateValue::Ambiguous(one, other) => day(one) || day(other),
            DateValue::YearMissing(month, of_month) => self.dates.iter().any(|(_, m, d)| m == month && d == of_month),
            DateValue::Relative(words) => {
                self.tokens.contains(&token(quote)) || words.split_whitespace().all(|word| self.words.contains(word))
            }
        }
    }
}

fn kind_of(kind: &FactKind) -> UnsupportedKind {
    match kind {
        FactKind::Link | FactKind::Email | FactKind::Phone(_) => UnsupportedKind::Contact,
        FactKind::Iban(_) | FactKind::Card(_) | FactKind::Identifier => UnsupportedKind::Identifier,
        FactKind::Date(_) => UnsupportedKind::Date,
        FactKind::Amount(_) | FactKind::Number(_) => UnsupportedKind::Figure,
    }
}

/// In order; of two that overlap, the one that starts first stays, the longer of two that start together.
fn without_overlap(mut found: Vec<Unsupported>) -> Vec<Unsupported> {
    found.sort_by_key(|item| (item.span.start(), std::cmp::Reverse(item.span.end())));
    let mut last_end = 0;
    found.retain(|item| {
        let keep = item.span.start() >= last_end;
        if keep {
            last_end = item.span.end();
        }
        keep
    });
    found
}

fn covers(outer: Span, inner: Span) -> bool {
    outer.start() <= inner.start() && inner.end() <= outer.end()
}

/// Letters and digits only, lower case: how two writings of one identifier are compared.
fn token(text: &str) -> String {
    let text = text.trim_start_matches("https://").trim_start_matches("http://");
    text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// The last digits of a telephone number, which are the same with and without country code and trunk zero.
fn national(number: &str) -> String {
    let digits = number.trim_start_matches(['+', '0']);
    let skip = digits.len().saturating_sub(8);
    digits.get(skip..).unwrap_or(digits).to_owned()
}

/// The line without the number that makes it an item of a list.
#[cfg(test)]
pub(crate) fn strip_enumerator(line: &str) -> String {
    ENUMERATOR.replace(line, "").into_owned()
}

#[cfg(test)]
mod tests {
    use super::{EarlierPeople, Support};

    fn unsupported(ticket: &str, draft: &str) -> Vec<String> {
        let mut support = Support::default();
        support.add(ticket, None);
        let mut people = EarlierPeople::default();
        people.add("Anna Weber", "anna@weberbau.example");
        people.add("Support Team", "support@ours.example");
        people.without_company_of("x@ours.example");
        let found = support.unsupported(draft, &people, None);
        found.iter().map(|item| item.span.of(draft).unwrap().to_owned()).collect()
    }

    #[test]
    fn a_quotation_supports_rules_and_not_the_earlier_case() {
        let of = |text: &str| {
            let mut support = Support::default();
            support.add(text, None);
            support
        };
        let quoted = of("Returns take 30 days. We paid EUR 80.00 for order A-17 to Ms Weber.");
        let support = of("order B-18").with_quoted(quoted, of("My order A-17 over EUR 80.00"));
        let mut people = EarlierPeople::default();
        people.add("Anna Weber", "");
        let draft = "Ms Weber, order B-18 takes 30 days, 31 days or EUR 80.00 like A-17.";
        let found = support.unsupported(draft, &people, None);
        let words: Vec<&str> = found.iter().map(|item| item.span.of(draft).unwrap()).collect();
        assert_eq!(words, ["Weber", "31", "EUR 80.00", "A-17"]);
    }

    #[test]
    fn what_the_ticket_does_not_say_is_found() {
        let table: [(&str, &str, &[&str]); 36] = [
            ("", "the number we have for Weber Bau is old", &["Weber Bau"]),
            ("Weber-Bau asks", "the number we have for Weberbau is old", &["Weberbau"]),
            ("", "You owe EUR 1,250.00 now.", &["EUR 1,250.00"]),
            ("over 1.250,00 €", "You owe EUR 1,250.00 now.", &[]),
            ("over $1,250.00", "You owe EUR 1,250.00 now.", &["EUR 1,250.00"]),
            ("the 1250 is wrong", "You owe EUR 1,250.00 now.", &[]),
            ("1 250,00 €", "Die 1.250 € sind da", &[]),
            ("EUR 1,250", "EUR 1,250.01", &["EUR 1,250.01"]),
            ("", "by 12 March 2024", &["12 March 2024"]),
            ("am 12.03.2024", "by 12 March 2024", &[]),
            ("am 12.03.", "by 12 March 2024", &[]),
            ("am 13.03.2024", "by 12 March 2024", &["12 March 2024"]),
            ("on 3/12/2024", "on 2024-03-12", &[]),
            ("", "by Friday, tomorrow or heute", &["Friday", "tomorrow", "heute"]),
            ("before Friday", "by Friday", &[]),
            ("", "invoice INV-2024-001", &["INV-2024-001"]),
            ("my inv-2024-001", "invoice INV-2024-001", &[]),
            ("order #4711", "order 4711", &[]),
            ("order 4711", "order #4711", &[]),
            ("order 4711", "order 4712", &["4712"]),
            ("", "19 % VAT", &["19 %"]),
            ("19 units", "19 % VAT", &[]),
            ("", "to DE89 3704 0044 0532 0130 00", &["DE89 3704 0044 0532 0130 00"]),
            ("DE89370400440532013000", "to DE89 3704 0044 0532 0130 00", &[]),
            ("4111111111111111", "card 4111 1111 1111 1111", &["4111 1111 1111 1111"]),
            ("", "call +49 30 1234567", &["+49 30 1234567"]),
            ("030/1234567", "call +49 30 1234567", &[]),
            ("", "see https://x.example/a or a@x.example", &["https://x.example/a", "a@x.example"]),
            ("at https://x.example/a/ from A@x.example", "see https://x.example/a or a@x.example", &[]),
            ("", "1. Open it\n2) Close it\nStep 3: wait", &[]),
            ("", "1. Wait 14 days", &["14"]),
            ("", "as Ms Weber said, Anna", &["Weber", "Anna"]),
            ("I am Anna Weber", "as Ms Weber said, Anna", &[]),
            ("", "as Herr Schulz said to WeberBau", &["Schulz", "WeberBau"]),
            ("", "ours and the Support Team will help", &[]),
            ("", "use UHD 3.15.0 on the B210", &["3.15.0", "B210"]),
        ];
        for (ticket, draft, expected) in table {
            assert_eq!(unsupported(ticket, draft), expected, "{ticket:?} -> {draft:?}");
        }
    }
}

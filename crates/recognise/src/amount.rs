//! Amounts of money, percentages and plain numbers.

use std::sync::LazyLock;

use regex::Regex;
use rejoinder_domain::Span;

use crate::number::{Decimal, NumberContext, read_number};
use crate::pattern::constant_pattern;

/// An amount of money and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundAmount {
    /// Number and currency together.
    pub span: Span,
    /// The currency alone.
    pub currency_span: Span,
    /// How much.
    pub value: Decimal,
    /// ISO 4217 code; `None` for a word that several currencies share (`kr`).
    pub currency: Option<&'static str>,
    /// Whether the sign alone leaves the currency open (`$` is taken for USD, `£` for GBP).
    pub currency_assumed: bool,
}

/// A number or percentage and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundNumber {
    /// Where; a percentage with its sign.
    pub span: Span,
    /// How much; a percentage as it is written (`7.5` for `7.5 %`).
    pub value: Decimal,
    /// The other reading of `1.250`.
    pub alternative: Option<Decimal>,
    /// Whether it is a percentage.
    pub percent: bool,
}

/// How currencies are written: as a pattern, the ISO 4217 code, whether the sign leaves it open.
const CURRENCIES: [(&str, Option<&str>, bool); 27] = [
    (r"€|EUR|[Ee]uros?", Some("EUR"), false),
    (r"US\$|USD|US[- ][Dd]ollars?", Some("USD"), false),
    (r"CA?\$|CAD", Some("CAD"), false),
    (r"AU?\$|AUD", Some("AUD"), false),
    (r"NZ\$|NZD", Some("NZD"), false),
    (r"\$|[Dd]ollars?|[Dd]ólares", Some("USD"), true),
    (r"GBP", Some("GBP"), false),
    (r"£|[Pp]ounds?(?: sterling)?|Pfund", Some("GBP"), true),
    (r"CHF|SFr\.?|Fr\.|[Ff]ranken|[Ss]wiss francs?", Some("CHF"), false),
    (r"JPY|[Yy]en", Some("JPY"), false),
    (r"¥", Some("JPY"), true),
    (r"CNY|RMB", Some("CNY"), false),
    (r"INR|₹|[Rr]upees?|Rs\.?", Some("INR"), false),
    (r"PLN|zł|[Zz]łotych|[Zz]loty", Some("PLN"), false),
    (r"CZK|Kč", Some("CZK"), false),
    (r"SEK", Some("SEK"), false),
    (r"NOK", Some("NOK"), false),
    (r"DKK", Some("DKK"), false),
    (r"kr\.?", None, true),
    (r"HUF|Ft|[Ff]orint", Some("HUF"), false),
    (r"RON", Some("RON"), false),
    (r"TRY|₺", Some("TRY"), false),
    (r"BRL|R\$", Some("BRL"), false),
    (r"MXN", Some("MXN"), false),
    (r"RUB|₽", Some("RUB"), false),
    (r"UAH|₴", Some("UAH"), false),
    (r"ZAR|SGD|HKD|KRW|AED|ILS|THB|BGN", None, false),
];

/// Codes that are their own meaning, for the last row of [`CURRENCIES`].
const OTHER_CODES: [&str; 8] = ["ZAR", "SGD", "HKD", "KRW", "AED", "ILS", "THB", "BGN"];

static CURRENCY_EXACT: LazyLock<Vec<Regex>> =
    LazyLock::new(|| CURRENCIES.iter().map(|(pattern, _, _)| constant_pattern(&format!("^(?:{pattern})$"))).collect());

/// A numeral of money: groups may be set off by spaces, for the currency beside it says that they belong together.
const MONEY: &str = r"\d{1,3}(?:[ \u{a0}\u{202f}\u{2009}'’]\d{3})+(?:[.,]\d{1,2})?|\d(?:[\d.,]*\d)?";

const MULTIPLIER: &str = r"[ \u{a0}]?(?:(?i:million(?:en|s)?|mio\.?|mln|millones|millions|billion|mrd\.?|milliarden|milliards?|tsd\.?)|[kKM])";

static AMOUNT: LazyLock<Regex> = LazyLock::new(|| {
    let currency: Vec<&str> = CURRENCIES.iter().map(|(pattern, _, _)| *pattern).collect();
    let currency = currency.join("|");
    let space = r"[ \u{a0}\u{202f}]?";
    constant_pattern(&format!(
        r"(?P<s1>[-−–])?(?P<c1>{currency}){space}(?P<s2>[-−–])?{space}(?P<n1>{MONEY})(?P<m1>{MULTIPLIER}\b)?(?:[.,][-–—]{{1,2}})?|(?P<s3>[-−])?(?P<n2>{MONEY})(?P<m2>{MULTIPLIER})?(?:[.,][-–—]{{1,2}})?{space}(?P<c2>{currency})"
    ))
});

static NUMERAL: LazyLock<Regex> = LazyLock::new(|| {
    constant_pattern(
        r"(?P<n>\d(?:[\d.,\u{a0}\u{202f}'’]*\d)?)(?P<p>[ \u{a0}\u{202f}]?(?:%|(?i:percent|per cent|prozent|pour cent|por ciento|per cento|procent)\b))?",
    )
});

/// Every amount of money, in order, without overlap.
pub fn find_amounts(text: &str) -> Vec<FoundAmount> {
    let mut found = Vec::new();
    for captures in AMOUNT.captures_iter(text) {
        let name = |first: &str, second: &str| captures.name(first).or_else(|| captures.name(second));
        let (Some(whole), Some(numeral), Some(currency)) = (captures.get(0), name("n1", "n2"), name("c1", "c2")) else {
            continue;
        };
        let (Some(span), Some(currency_span)) =
            (Span::new(whole.start(), whole.end()), Span::new(currency.start(), currency.end()))
        else {
            continue;
        };
        if !stands_alone(text, span) {
            continue;
        }
        let context = NumberContext { language: None, money: true };
        let Some(read) = read_number(numeral.as_str(), context) else { continue };
        let exponent = name("m1", "m2").map_or(0, |word| multiplier_exponent(word.as_str()));
        let Some(mut value) = read.value.shifted(exponent) else { continue };
        if ["s1", "s2", "s3"].into_iter().any(|sign| captures.name(sign).is_some()) {
            value = value.negated();
        }
        let (currency, currency_assumed) = currency_code(currency.as_str());
        found.push(FoundAmount { span, currency_span, value, currency, currency_assumed });
    }
    found
}

/// The ISO 4217 code of a currency's sign, word or code, and whether it is only the likeliest.
pub fn currency_code(written: &str) -> (Option<&'static str>, bool) {
    if let Some(code) = OTHER_CODES.into_iter().find(|code| *code == written) {
        return (Some(code), false);
    }
    let row = CURRENCY_EXACT.iter().position(|pattern| pattern.is_match(written));
    let row = row.and_then(|row| CURRENCIES.get(row));
    row.map_or((None, true), |(_, code, assumed)| (*code, *assumed))
}

/// Every number and percentage, in order; amounts of money, dates and so on are found as numbers too, and the caller
/// drops what something more specific covers.
pub fn find_numbers(text: &str, language: Option<&str>) -> Vec<FoundNumber> {
    let mut found = Vec::new();
    for captures in NUMERAL.captures_iter(text) {
        let (Some(whole), Some(numeral)) = (captures.get(0), captures.name("n")) else { continue };
        let percent = captures.name("p").is_some();
        let Some(mut span) = Span::new(whole.start(), whole.end()) else { continue };
        if !stands_alone(text, span) {
            continue;
        }
        let Some(read) = read_number(numeral.as_str(), NumberContext { language, money: false }) else { continue };
        let (mut value, mut alternative) = (read.value, read.alternative);
        if is_negative(text, span.start()) {
            span = Span::new(span.start() - 1, span.end()).unwrap_or(span);
            value = value.negated();
            alternative = alternative.map(Decimal::negated);
        }
        found.push(FoundNumber { span, value, alternative, percent });
    }
    found
}

/// Whether an ASCII minus sign that is no hyphen stands before the number.
fn is_negative(text: &str, start: usize) -> bool {
    let mut back = text.get(..start).unwrap_or_default().chars().rev();
    back.next() == Some('-') && back.next().is_none_or(|c| c.is_whitespace() || matches!(c, '(' | ':' | '='))
}

/// Whether no letter or digit touches the span: what is inside a word is not an amount.
fn stands_alone(text: &str, span: Span) -> bool {
    let quote = span.of(text).unwrap_or_default();
    let before = text.get(..span.start()).and_then(|before| before.chars().next_back());
    let after = text.get(span.end()..).and_then(|after| after.chars().next());
    let touches = |inner: Option<char>, outer: Option<char>| {
        // A sign (`€`) may touch a letter; a letter or digit may not touch another.
        inner.is_some_and(char::is_alphanumeric) && outer.is_some_and(|c| c.is_alphanumeric() || c == '_')
    };
    let decimal_before = before.is_some_and(|c| matches!(c, '.' | ',' | '/'))
        && quote.starts_with(|c: char| c.is_ascii_digit())
        && text.get(..span.start().saturating_sub(1)).is_some_and(|t| t.ends_with(|c: char| c.is_ascii_digit()));
    !touches(quote.chars().next(), before) && !touches(quote.chars().next_back(), after) && !decimal_before
}

fn multiplier_exponent(word: &str) -> u32 {
    let word = word.trim().to_lowercase();
    match word.as_str() {
        "k" => 3,
        "m" => 6,
        _ if word.starts_with("tsd") => 3,
        _ if word.starts_with("billion") || word.starts_with("mrd") || word.starts_with("milliard") => 9,
        _ => 6,
    }
}

#[cfg(test)]
mod tests {
    use super::{find_amounts, find_numbers};

    fn amounts(text: &str) -> Vec<String> {
        let write = |found: &super::FoundAmount| {
            let currency = found.currency.unwrap_or("?");
            format!("{}={} {currency}", found.span.of(text).unwrap(), found.value)
        };
        find_amounts(text).iter().map(write).collect()
    }

    #[test]
    fn amounts_in_many_notations() {
        let table = [
            ("EUR 1,250.00 is due", "EUR 1,250.00=1250 EUR"),
            ("1.250,00 €.", "1.250,00 €=1250 EUR"),
            ("1 250,00 €", "1 250,00 €=1250 EUR"),
            ("1\u{202f}250,50\u{a0}€", "1\u{202f}250,50\u{a0}€=1250.5 EUR"),
            ("CHF 1'250.05", "CHF 1'250.05=1250.05 CHF"),
            ("$5", "$5=5 USD"),
            ("US$ 12.5", "US$ 12.5=12.5 USD"),
            ("C$40", "C$40=40 CAD"),
            ("£1,000", "£1,000=1000 GBP"),
            ("1.250 Euro", "1.250 Euro=1250 EUR"),
            ("12 euros", "12 euros=12 EUR"),
            ("20 dollars,", "20 dollars=20 USD"),
            ("EUR 50,-", "EUR 50,-=50 EUR"),
            ("50,-- €", "50,-- €=50 EUR"),
            ("-€12.30", "-€12.30=-12.3 EUR"),
            ("EUR -12,30", "EUR -12,30=-12.3 EUR"),
            ("3,5 Mio. €", "3,5 Mio. €=3500000 EUR"),
            ("$5k", "$5k=5000 USD"),
            ("€2 million", "€2 million=2000000 EUR"),
            ("100 kr", "100 kr=100 ?"),
            ("99 SEK", "99 SEK=99 SEK"),
            ("1 000 zł", "1 000 zł=1000 PLN"),
            ("ZAR 7", "ZAR 7=7 ZAR"),
            ("₹1,00,000", "₹1,00,000=100000 INR"),
            ("Betrag:99€", "99€=99 EUR"),
        ];
        for (text, expected) in table {
            assert_eq!(amounts(text), [expected], "{text}");
        }
    }

    #[test]
    fn what_is_no_amount() {
        for text in
            ["12", "EUR", "NEUR 12x", "EUROPE 2024", "$variable", "12 eurozone", "A12€B", "12.03.2024 €x", "krone 5"]
        {
            assert_eq!(amounts(text), Vec::<String>::new(), "{text}");
        }
    }

    #[test]
    fn numbers_and_percentages() {
        let numbers = |text: &'static str| -> Vec<(String, String, bool)> {
            let found = find_numbers(text, Some("en"));
            found.iter().map(|n| (n.span.of(text).unwrap().to_owned(), n.value.to_string(), n.percent)).collect()
        };
        let one = |quote: &str, value: &str, percent| vec![(quote.to_owned(), value.to_owned(), percent)];
        assert_eq!(numbers("7.5 % VAT"), one("7.5 %", "7.5", true));
        assert_eq!(numbers("19%"), one("19%", "19", true));
        assert_eq!(numbers("20 percent off"), one("20 percent", "20", true));
        assert_eq!(numbers("for 14 days."), one("14", "14", false));
        assert_eq!(numbers("at -3 degrees"), one("-3", "-3", false));
        assert_eq!(numbers("1,250 units"), one("1,250", "1250", false));
        for text in ["B210", "MP3", "12.03.2024", "v3", "a_1", "7th"] {
            assert_eq!(numbers(text), vec![], "{text}");
        }
    }
}

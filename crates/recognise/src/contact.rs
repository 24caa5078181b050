//! E-mail addresses, links and telephone numbers.

use std::sync::LazyLock;

use regex::Regex;
use rejoinder_domain::Span;

use crate::pattern::constant_pattern;

static URL: LazyLock<Regex> =
    LazyLock::new(|| constant_pattern(r#"(?i)\b(?:(?:https?|ftp)://|www\.)[^\s<>"'`\x00-\x1f\[\]{}|\\^]+"#));

/// Digits in groups. Which of them are telephone numbers, [`find_phones`] decides.
static PHONE: LazyLock<Regex> = LazyLock::new(|| {
    constant_pattern(
        r"(?:\+|\b00[ -]?)?(?:\(\+?\d{1,5}\)[ ./-]?|\b\d|\d)(?:[ \u{a0}./()\u{2010}-\u{2013}-]{0,2}\d){5,16}",
    )
});

/// A telephone number and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundPhone {
    /// Where.
    pub span: Span,
    /// Digits only, with a leading `+` where the country is given (`00` becomes `+`).
    pub number: String,
    /// Whether its shape alone makes it one: a `+`, or groups as no other number has them.
    pub certain: bool,
}

/// Characters of an address's local part, at most (RFC 5321).
const LOCAL_PART: usize = 64;

/// Characters of a label of a host's name, at most (RFC 1035).
const LABEL: usize = 63;

/// Every e-mail address (RFC 5321 dot-atoms, letters of any script), in order.
pub fn find_emails(text: &str) -> Vec<Span> {
    let mut found: Vec<Span> = Vec::new();
    for (at, _) in text.match_indices('@') {
        let from = found.last().map_or(0, |last| last.end());
        let start = text.get(from..at).and_then(local_part).map(|length| at - length);
        let end = text.get(at + 1..).and_then(host).map(|length| at + 1 + length);
        found.extend(start.zip(end).and_then(|(start, end)| Span::new(start, end)));
    }
    found
}

/// How many bytes of the end of a text are a local part.
fn local_part(before: &str) -> Option<usize> {
    let is_part = |c: char| c.is_alphanumeric() || ".!#$%&'*+/=?^_`{|}~-".contains(c);
    let part = before.chars().rev().take(LOCAL_PART).take_while(|c| is_part(*c)).map(char::len_utf8).sum::<usize>();
    let part = before.get(before.len() - part..)?;
    let part = part.get(part.find(char::is_alphanumeric)?..)?;
    (!part.ends_with('.') && !part.contains("..")).then_some(part.len())
}

/// How many bytes of the beginning of a text are a host's name with a top-level domain of letters.
fn host(after: &str) -> Option<usize> {
    let mut end = None;
    let mut at = 0;
    for place in 0..LABEL {
        let rest = after.get(at..)?;
        let ends_there = |c: char| c.is_alphanumeric() || c == '@' || c == '_';
        let letters: usize = rest.chars().take_while(|c| c.is_alphabetic()).map(char::len_utf8).sum();
        let is_top = (2..=24).contains(&rest.chars().take_while(|c| c.is_alphabetic()).take(25).count());
        if place > 0 && is_top && !rest.get(letters..)?.starts_with(ends_there) {
            end = Some(at + letters);
        }
        let label = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '-').take(LABEL + 1);
        let length: usize = label.clone().map(char::len_utf8).sum();
        let written = rest.get(..length)?;
        let holds =
            !written.is_empty() && !written.starts_with('-') && !written.ends_with('-') && label.count() <= LABEL;
        if !holds || !rest.get(length..)?.starts_with('.') {
            break;
        }
        at += length + 1;
    }
    end
}

/// Every link with a scheme or `www.`, in order, without the punctuation of the sentence around it.
pub fn find_links(text: &str) -> Vec<Span> {
    let trim = |found: regex::Match<'_>| {
        let mut link = found.as_str();
        loop {
            let closing = link.ends_with(')') && link.matches(')').count() > link.matches('(').count();
            let shorter = link.trim_end_matches(['.', ',', ';', ':', '!', '?', '*', '…', '»', '”', '’']);
            let shorter = if closing { shorter.strip_suffix(')').unwrap_or(shorter) } else { shorter };
            if shorter.len() == link.len() {
                break;
            }
            link = shorter;
        }
        let host = link.split_once("://").map_or(link, |(_, rest)| rest);
        let is_link = host.chars().next().is_some_and(char::is_alphanumeric) && host.len() > 4;
        is_link.then(|| Span::new(found.start(), found.start() + link.len())).flatten()
    };
    URL.find_iter(text).filter_map(trim).collect()
}

/// Every telephone number, in order: 7 to 15 digits (ITU-T E.164), grouped or with `+`.
pub fn find_phones(text: &str) -> Vec<FoundPhone> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some((start, end)) = digits_in_groups(text, at) {
        let piece = text.get(start..end).unwrap_or_default();
        let quotes = PHONE.find_iter(piece);
        found.extend(quotes.filter_map(|quote| read_phone(text, start + quote.start(), quote.as_str())));
        at = end;
    }
    found
}

/// The next stretch, from `at` on, of digits and what may stand between those of a telephone number. Only these are looked
/// at closely.
fn digits_in_groups(text: &str, at: usize) -> Option<(usize, usize)> {
    let bytes = text.as_bytes();
    let mut from = at;
    loop {
        let digit = from + bytes.get(from..)?.iter().position(u8::is_ascii_digit)?;
        let opening = bytes.get(at..digit)?.iter().rev().take(4).take_while(|byte| b"+(".contains(byte)).count();
        let (mut digits, mut end) = (0, digit);
        for (place, c) in text.get(digit..)?.char_indices() {
            match c {
                '0'..='9' => digits += 1,
                ' ' | '\u{a0}' | '.' | '/' | '(' | ')' | '-' | '\u{2010}'..='\u{2013}' => {}
                _ => break,
            }
            end = digit + place + c.len_utf8();
        }
        if digits >= 6 {
            return Some((digit - opening, end));
        }
        from = end;
    }
}

fn read_phone(text: &str, start: usize, quote: &str) -> Option<FoundPhone> {
    let span = Span::new(start, start + quote.len())?;
    let before = text.get(..start)?.chars().next_back();
    let mut after = text.get(span.end()..)?.chars();
    let next = after.next();
    let goes_on = next.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '@')
        || (next.is_some_and(|c| matches!(c, ',' | '.' | ':' | '-' | '/'))
            && after.next().is_some_and(|c| c.is_ascii_digit()));
    if goes_on
        || before
            .is_some_and(|c| c.is_alphanumeric() || matches!(c, '_' | '#' | '/' | '=' | '-' | '.' | ',' | ':' | '+'))
    {
        return None;
    }
    let digits: String = quote.chars().filter(char::is_ascii_digit).collect();
    // Two zeros without any separator after them begin an identifier as often as a call abroad.
    let exit_code =
        digits.starts_with("00") && !digits.starts_with("000") && quote.contains(|c: char| !c.is_ascii_digit());
    let international = quote.starts_with('+') || quote.starts_with("(+") || exit_code;
    // The zero in +44 (0)20 is for callers at home only.
    let digits = if international { digits.trim_start_matches("00").to_owned() } else { digits };
    let digits = if international && quote.contains("(0)") { digits.replacen('0', "", 1) } else { digits };
    if !(7..=15).contains(&digits.len()) {
        return None;
    }
    let groups = quote.split(|c: char| !c.is_ascii_digit()).filter(|group| !group.is_empty());
    let lengths: Vec<usize> = groups.map(str::len).collect();
    let opens = quote.matches('(').count() == quote.matches(')').count();
    // Thousands are groups of three with one sign between, after a first of one to three: `1 250 000`, `1.250.000`.
    let as_thousands = lengths.len() > 1
        && lengths.iter().skip(1).all(|length| *length == 3)
        && lengths.first().is_some_and(|length| *length <= 3)
        && !digits.starts_with('0')
        && !quote.contains(['-', '/', '(']);
    let is_network_address = lengths.len() == 4 && quote.matches('.').count() == 3 && lengths.iter().all(|l| *l <= 3);
    // `0.375614`, `10.0 10.1`: a point between two figures is a decimal one, unless a trunk's zero leads more of them.
    let is_decimal = |piece: &str| {
        let mut figures = piece.split('.');
        let (whole, fraction, more) = (figures.next(), figures.next(), figures.next());
        let numbers = [whole, fraction]
            .iter()
            .all(|part| part.is_some_and(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit())));
        numbers && more.is_none() && whole.is_some_and(|whole| whole.len() < 3 || !whole.starts_with('0'))
    };
    let decimals = !international && quote.split([' ', '\u{a0}']).any(is_decimal);
    if !opens || decimals || is_network_address || (as_thousands && !international) {
        return None;
    }
    let trunk = digits.starts_with('0');
    let certain = international
        || quote.contains('(')
        || (lengths.len() >= 3 && (trunk || digits.len() == 10))
        || (trunk && lengths.len() == 2);
    let number = if international { format!("+{digits}") } else { digits };
    Some(FoundPhone { span, number, certain })
}

#[cfg(test)]
mod tests {
    use super::{find_emails, find_links, find_phones};

    #[test]
    fn email_addresses() {
        let table: [(&str, &[&str]); 20] = [
            ("write to anna@weber.example.", &["anna@weber.example"]),
            ("<anna.weber+x@mail.weber.example>", &["anna.weber+x@mail.weber.example"]),
            ("mailto:a@b.example?subject=x", &["a@b.example"]),
            ("jürgen@müller.example", &["jürgen@müller.example"]),
            ("a@b.example, c@d.example", &["a@b.example", "c@d.example"]),
            ("(o'neil@x.example)", &["o'neil@x.example"]),
            ("E-Mail:info@firma.example", &["info@firma.example"]),
            ("x_y-z@a-b.example", &["x_y-z@a-b.example"]),
            ("1@2.example", &["1@2.example"]),
            ("почта@пример.example", &["почта@пример.example"]),
            ("UPPER@CASE.EXAMPLE", &["UPPER@CASE.EXAMPLE"]),
            ("a@b.co.uk!", &["a@b.co.uk"]),
            ("no at sign", &[]),
            ("@handle", &[]),
            ("a@b", &[]),
            ("a@@b.example", &[]),
            ("a..b@c.example", &[]),
            ("a.@c.example", &[]),
            ("a@b.c", &[]),
            ("a@-b.example", &[]),
        ];
        for (text, expected) in table {
            let found: Vec<&str> = find_emails(text).into_iter().map(|span| span.of(text).unwrap()).collect();
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn links() {
        let table: [(&str, &[&str]); 12] = [
            ("see https://a.example/x.", &["https://a.example/x"]),
            ("(https://a.example/x_(y))", &["https://a.example/x_(y)"]),
            ("www.a.example, or", &["www.a.example"]),
            ("<http://a.example/?q=1&r=2>", &["http://a.example/?q=1&r=2"]),
            ("HTTPS://A.EXAMPLE", &["HTTPS://A.EXAMPLE"]),
            ("https://a.example/ü/ß!", &["https://a.example/ü/ß"]),
            ("ftp://f.example/a https://b.example", &["ftp://f.example/a", "https://b.example"]),
            ("\"https://a.example\"", &["https://a.example"]),
            ("https://", &[]),
            ("http:/a.example", &[]),
            ("awww.x", &[]),
            ("https://...", &[]),
        ];
        for (text, expected) in table {
            let found: Vec<&str> = find_links(text).into_iter().map(|span| span.of(text).unwrap()).collect();
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn telephone_numbers() {
        let table = [
            ("call +49 30 1234567.", "+49 30 1234567=+49301234567"),
            ("Tel.: 030/1234567", "030/1234567=0301234567"),
            ("(030) 123 45 67", "(030) 123 45 67=0301234567"),
            ("0049 30 1234567", "0049 30 1234567=+49301234567"),
            ("+44 (0)20 7946 0958", "+44 (0)20 7946 0958=+442079460958"),
            ("408-247-8880", "408-247-8880=4082478880"),
            ("(408) 247-8880", "(408) 247-8880=4082478880"),
            ("01.84.17.61.18", "01.84.17.61.18=0184176118"),
            ("01 84 17 61 18", "01 84 17 61 18=0184176118"),
            ("+33184176118", "+33184176118=+33184176118"),
            ("079 2718 1155", "079 2718 1155=07927181155"),
            ("71-33-52-22", "71-33-52-22=71335222"),
            ("+1 (555) 010-9999", "+1 (555) 010-9999=+15550109999"),
            ("5550109", "5550109=5550109"),
        ];
        for (text, expected) in table {
            let found: Vec<String> =
                find_phones(text).into_iter().map(|p| format!("{}={}", p.span.of(text).unwrap(), p.number)).collect();
            assert_eq!(found, [expected], "{text}");
        }
        for text in [
            "12345",
            "1 250 000",
            "1.250.000",
            "192.168.10.24",
            "#1234567",
            "ORD-1234567",
            "1234567890123456",
            "a1234567",
            "10,000,000.50",
            "0.375614",
            "34.017832",
            "10.0 10.1 10.1 10.2",
        ] {
            assert_eq!(find_phones(text), vec![], "{text}");
        }
    }
}

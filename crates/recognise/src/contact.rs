//! E-mail addresses, links and telephone numbers.

use std::sync::LazyLock;

use regex::Regex;
use rejoinder_domain::Span;

use crate::pattern::constant_pattern;

static EMAIL: LazyLock<Regex> = LazyLock::new(|| {
    constant_pattern(
        r"[\p{L}\p{N}][\p{L}\p{N}.!#$%&'*+/=?^_`{|}~-]{0,63}@(?:[\p{L}\p{N}](?:[\p{L}\p{N}-]{0,61}[\p{L}\p{N}])?\.)+\p{L}{2,24}",
    )
});

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

/// Every e-mail address (RFC 5321 dot-atoms, letters of any script), in order.
pub fn find_emails(text: &str) -> Vec<Span> {
    let found = EMAIL.find_iter(text).filter(|found| {
        // What goes on after the top-level domain is not where it ends.
        let after = text.get(found.end()..).and_then(|after| after.chars().next());
        let local = found.as_str().split('@').next().unwrap_or_default();
        !after.is_some_and(|c| c.is_alphanumeric() || c == '@' || c == '_')
            && !local.ends_with('.')
            && !local.contains("..")
    });
    found.filter_map(|found| Span::new(found.start(), found.end())).collect()
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
    PHONE.find_iter(text).filter_map(|found| read_phone(text, found.start(), found.as_str())).collect()
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
    if !opens || is_network_address || (as_thousands && !international) {
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
        ] {
            assert_eq!(find_phones(text), vec![], "{text}");
        }
    }
}

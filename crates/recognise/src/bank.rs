//! Bank accounts (ISO 13616 IBAN, ISO 9362 BIC) and payment cards (ISO/IEC 7812).

use std::sync::LazyLock;

use regex::Regex;
use rejoinder_domain::Span;

use crate::digits::{Window, for_each_window, luhn};
use crate::pattern::constant_pattern;

/// An IBAN whose checksum holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundIban {
    /// Where, spaces included.
    pub span: Span,
    /// Upper case, without spaces.
    pub iban: String,
}

/// A card number whose checksum holds. The number itself is not kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundCard {
    /// Where, spaces included.
    pub span: Span,
    /// `**** **** **** 1111`.
    pub masked: String,
}

/// Length of each country's IBAN, from the SWIFT IBAN registry.
const IBAN_LENGTHS: [(&str, usize); 79] = [
    ("AD", 24),
    ("AE", 23),
    ("AL", 28),
    ("AT", 20),
    ("AZ", 28),
    ("BA", 20),
    ("BE", 16),
    ("BG", 22),
    ("BH", 22),
    ("BR", 29),
    ("BY", 28),
    ("CH", 21),
    ("CR", 22),
    ("CY", 28),
    ("CZ", 24),
    ("DE", 22),
    ("DJ", 27),
    ("DK", 18),
    ("DO", 28),
    ("EE", 20),
    ("EG", 29),
    ("ES", 24),
    ("FI", 18),
    ("FK", 18),
    ("FO", 18),
    ("FR", 27),
    ("GB", 22),
    ("GE", 22),
    ("GI", 23),
    ("GL", 18),
    ("GR", 27),
    ("GT", 28),
    ("HR", 21),
    ("HU", 28),
    ("IE", 22),
    ("IL", 23),
    ("IQ", 23),
    ("IS", 26),
    ("IT", 27),
    ("JO", 30),
    ("KW", 30),
    ("KZ", 20),
    ("LB", 28),
    ("LC", 32),
    ("LI", 21),
    ("LT", 20),
    ("LU", 20),
    ("LV", 21),
    ("LY", 25),
    ("MC", 27),
    ("MD", 24),
    ("ME", 22),
    ("MK", 19),
    ("MN", 20),
    ("MR", 27),
    ("MT", 31),
    ("MU", 30),
    ("NI", 28),
    ("NL", 18),
    ("NO", 15),
    ("OM", 23),
    ("PK", 24),
    ("PL", 28),
    ("PS", 29),
    ("PT", 25),
    ("QA", 29),
    ("RO", 24),
    ("RS", 22),
    ("SA", 24),
    ("SE", 24),
    ("SI", 19),
    ("SK", 24),
    ("SM", 27),
    ("TN", 24),
    ("TR", 26),
    ("UA", 29),
    ("VA", 22),
    ("VG", 24),
    ("XK", 20),
];

/// Countries whose banks have a BIC but no IBAN.
const OTHER_COUNTRIES: [&str; 20] = [
    "US", "CA", "AU", "NZ", "JP", "CN", "HK", "SG", "IN", "KR", "TW", "MX", "ZA", "TH", "MY", "ID", "PH", "AR", "CL",
    "RU",
];

static IBAN_START: LazyLock<Regex> = LazyLock::new(|| constant_pattern(r"(?-u:\b[A-Za-z]{2} ?\d{2}[ -]?[A-Za-z0-9])"));
static BIC: LazyLock<Regex> = LazyLock::new(|| constant_pattern(r"\b[A-Z]{6}[A-Z0-9]{2}(?:[A-Z0-9]{3})?\b"));

/// Every IBAN of a known country with the right length and checksum (ISO 7064 MOD 97-10), in order.
pub fn find_ibans(text: &str) -> Vec<FoundIban> {
    let mut found: Vec<FoundIban> = Vec::new();
    for start in IBAN_START.find_iter(text).map(|start| start.start()) {
        let before = text.get(..start).and_then(|before| before.chars().next_back());
        if found.last().is_some_and(|last| last.span.end() > start) || before.is_some_and(char::is_alphanumeric) {
            continue;
        }
        found.extend(read_iban(text, start));
    }
    found
}

/// The mailbox-wide rule for one IBAN: upper case and compact, `None` where length or checksum is wrong.
pub fn normal_iban(written: &str) -> Option<String> {
    let found = read_iban(written, 0)?;
    (found.span.end() == written.len()).then_some(found.iban)
}

fn read_iban(text: &str, start: usize) -> Option<FoundIban> {
    let country = text.get(start..start + 2)?.to_ascii_uppercase();
    let length = IBAN_LENGTHS.iter().find(|(code, _)| *code == country).map(|(_, length)| *length)?;
    let mut iban = String::with_capacity(length);
    let mut separated = false;
    let mut end = start;
    for (offset, c) in text.get(start..)?.char_indices() {
        if iban.len() == length {
            break;
        }
        match c {
            _ if c.is_ascii_alphanumeric() => {
                iban.push(c.to_ascii_uppercase());
                separated = false;
                end = start + offset + 1;
            }
            ' ' | '-' | '\u{a0}' if !separated => separated = true,
            _ => return None,
        }
    }
    let ends_there = !text.get(end..)?.starts_with(|c: char| c.is_alphanumeric());
    let holds = iban.len() == length && ends_there && mod_97(&iban) == Some(1);
    holds.then(|| Some(FoundIban { span: Span::new(start, end)?, iban })).flatten()
}

/// The remainder that ISO 7064 MOD 97-10 checks: 1 for a valid IBAN.
fn mod_97(iban: &str) -> Option<u32> {
    let (head, tail) = iban.split_at_checked(4)?;
    let mut remainder = 0;
    for c in tail.chars().chain(head.chars()) {
        let value = c.to_digit(36)?;
        let shift = if value > 9 { 100 } else { 10 };
        remainder = (remainder * shift + value) % 97;
    }
    Some(remainder)
}

/// Every word with the shape of a BIC and a real country, in order. Capitalised words of eight letters have it too
/// (`CUSTOMER`), so that one without a digit counts only where `BIC` or `SWIFT` stands within 24 characters before.
pub fn find_bics(text: &str) -> Vec<Span> {
    let is_country =
        |code: &str| IBAN_LENGTHS.iter().any(|(country, _)| *country == code) || OTHER_COUNTRIES.contains(&code);
    let labelled = |start: usize| {
        let before: String = text.get(..start).unwrap_or_default().chars().rev().take(24).collect();
        let before: String = before.chars().rev().collect::<String>().to_uppercase();
        before.contains("BIC") || before.contains("SWIFT")
    };
    BIC.find_iter(text)
        .filter(|found| found.as_str().get(4..6).is_some_and(is_country))
        .filter(|found| labelled(found.start()) || found.as_str().contains(|c: char| c.is_ascii_digit()))
        .filter_map(|found| Span::new(found.start(), found.end()))
        .collect()
}

/// Every number of 12 to 19 digits that begins like a payment card's and whose checksum (Luhn) holds, in order: in one
/// piece, in groups of four to six digits, or with the same separator throughout.
pub fn find_cards(text: &str) -> Vec<FoundCard> {
    let mut found = Vec::new();
    for_each_window(text, 19, |window| {
        let card = read_card(window);
        let is_card = card.is_some();
        found.extend(card);
        is_card
    });
    if !found.is_empty() {
        // Four groups of an IBAN have a card's checksum one time in ten.
        let ibans = find_ibans(text);
        let apart = |card: &FoundCard, iban: &FoundIban| {
            card.span.end() <= iban.span.start() || iban.span.end() <= card.span.start()
        };
        found.retain(|card: &FoundCard| ibans.iter().all(|iban| apart(card, iban)));
    }
    found
}

fn read_card(window: &Window<'_>) -> Option<FoundCard> {
    if !(12..=19).contains(&window.len()) || !window.separated_by(b" -") || window.is_fraction() {
        return None;
    }
    // Figures that happen to stand side by side have a valid checksum one time in ten, so groups must look like a card's.
    let lengths: Vec<usize> = window.group_lengths().rev().skip(1).collect();
    let grouped = lengths.iter().all(|length| (4..=6).contains(length));
    let even = window.is_whole_chain() && lengths.windows(2).all(|pair| pair.first() == pair.last());
    if !(grouped || even) {
        return None;
    }
    let digits = window.digits();
    let begins = matches!(digits.first()?, 2..=6) || digits.starts_with(&[1, 8, 0, 0]);
    let all_same = digits.windows(2).all(|pair| pair.first() == pair.last());
    if !begins || all_same || !luhn(&digits) {
        return None;
    }
    let last: String = digits.iter().skip(digits.len() - 4).map(ToString::to_string).collect();
    Some(FoundCard { span: window.span()?, masked: format!("**** **** **** {last}") })
}

/// The text with every card number masked: what may go into an answer.
pub fn mask_cards(text: &str) -> String {
    let mut masked = String::with_capacity(text.len());
    let mut from = 0;
    for card in find_cards(text) {
        masked.push_str(text.get(from..card.span.start()).unwrap_or_default());
        masked.push_str(&card.masked);
        from = card.span.end();
    }
    masked.push_str(text.get(from..).unwrap_or_default());
    masked
}

#[cfg(test)]
mod tests {
    use super::{find_bics, find_cards, find_ibans, mask_cards, normal_iban};

    #[test]
    fn the_groups_of_an_iban_are_no_card() {
        let text = "IBAN DE75 5121 0800 1245 1261 99, card 4111 1111 1111 1111";
        let cards: Vec<&str> = find_cards(text).iter().filter_map(|card| card.span.of(text)).collect();
        assert_eq!(cards, ["4111 1111 1111 1111"]);
        assert_eq!(mask_cards("DE75 5121 0800 1245 1261 99"), "DE75 5121 0800 1245 1261 99");
    }

    #[test]
    fn ibans_with_and_without_spaces() {
        // The registry's published examples.
        let table = [
            ("IBAN: DE89 3704 0044 0532 0130 00 bitte", "DE89370400440532013000"),
            ("DE89370400440532013000", "DE89370400440532013000"),
            ("de89 3704 0044 0532 0130 00", "DE89370400440532013000"),
            ("GB29NWBK60161331926819.", "GB29NWBK60161331926819"),
            ("GB29 NWBK 6016 1331 9268 19", "GB29NWBK60161331926819"),
            ("FR14 2004 1010 0505 0001 3M02 606", "FR1420041010050500013M02606"),
            ("ES91 2100 0418 4502 0005 1332", "ES9121000418450200051332"),
            ("IT60 X054 2811 1010 0000 0123 456", "IT60X0542811101000000123456"),
            ("NL91 ABNA 0417 1643 00", "NL91ABNA0417164300"),
            ("AT61 1904 3002 3457 3201", "AT611904300234573201"),
            ("CH93-0076-2011-6238-5295-7", "CH9300762011623852957"),
            ("BE68 5390 0754 7034", "BE68539007547034"),
            ("NO93 8601 1117 947", "NO9386011117947"),
            ("PL61 1090 1014 0000 0712 1981 2874", "PL61109010140000071219812874"),
            ("SE45 5000 0000 0583 9825 7466", "SE4550000000058398257466"),
            ("PT50 0002 0123 1234 5678 9015 4", "PT50000201231234567890154"),
            ("(LU28 0019 4006 4475 0000)", "LU280019400644750000"),
            ("MT84 MALT 0110 0001 2345 MTLC AST0 01S", "MT84MALT011000012345MTLCAST001S"),
        ];
        for (text, expected) in table {
            let found: Vec<String> = find_ibans(text).into_iter().map(|found| found.iban).collect();
            assert_eq!(found, [expected], "{text}");
        }
        for text in [
            "DE89 3704 0044 0532 0130 01",  // one digit changed
            "DE89 3704 0044 0532 0130 0",   // too short
            "DE893704004405320130001",      // too long
            "ZZ89370400440532013000",       // no such country
            "DE89 3704  0044 0532 0130 00", // two spaces
            "XDE89370400440532013000",
        ] {
            assert_eq!(find_ibans(text), vec![], "{text}");
        }
        assert_eq!(normal_iban("DE89 3704 0044 0532 0130 00 x"), None);
    }

    #[test]
    fn bics_need_a_label_or_a_digit() {
        let found =
            |text: &'static str| -> Vec<&str> { find_bics(text).into_iter().map(|s| s.of(text).unwrap()).collect() };
        assert_eq!(found("BIC: DEUTDEFF"), ["DEUTDEFF"]);
        assert_eq!(found("SWIFT NEDSZAJJXXX"), ["NEDSZAJJXXX"]);
        assert_eq!(found("COBADEFF370"), ["COBADEFF370"]);
        assert_eq!(found("DEAR CUSTOMER, INVOICES"), Vec::<&str>::new());
        assert_eq!(found("BIC ABCDXXFF"), Vec::<&str>::new());
    }

    #[test]
    fn cards_are_masked() {
        // The card networks' published test numbers.
        for (text, last) in [
            ("4111 1111 1111 1111", "1111"),
            ("card 5500-0000-0000-0004.", "0004"),
            ("378282246310005", "0005"),
            ("6011000990139424", "9424"),
            ("30569309025904", "5904"),
            ("3530111333300000", "0000"),
        ] {
            let found = find_cards(text);
            assert_eq!(found.len(), 1, "{text}");
            assert_eq!(found[0].masked, format!("**** **** **** {last}"));
            assert!(!mask_cards(text).contains("0009901") && !mask_cards(text).contains("4111"), "{text}");
        }
        for text in [
            "4111 1111 1111 1112",
            "1234567890123456",
            "0000000000000000",
            "4444444444444444",
            "x4111111111111111",
            "41111",
        ] {
            assert_eq!(find_cards(text), vec![], "{text}");
        }
        assert_eq!(mask_cards("a 4111111111111111 b"), "a **** **** **** 1111 b");
        // What stands beside a card does not hide it.
        assert_eq!(mask_cards("2 4111 1111 1111 1111 12/27"), "2 **** **** **** 1111 12/27");
        assert_eq!(mask_cards("4111-1111-1111-1111 123"), "**** **** **** 1111 123");
    }
}

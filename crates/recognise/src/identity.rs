//! Numbers that a state gives to a person, by their checksum or their official form.

use std::sync::LazyLock;

use regex::Regex;
use rejoinder_domain::Span;

use crate::digits::{Window, for_each_window, luhn};
use crate::pattern::constant_pattern;

/// Who gives the number, and which.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// United States: social security number (the rules of the Social Security Administration for what is never issued).
    UsSocialSecurity,
    /// United Kingdom: national insurance number (HMRC's rules for prefixes).
    UkNationalInsurance,
    /// Germany: tax identification number (ISO 7064 MOD 11,10).
    DeTax,
    /// France: numéro de sécurité sociale (97 less the remainder).
    FrSocialSecurity,
    /// Spain: DNI and NIE (letter by remainder of 23).
    EsIdentity,
    /// Italy: codice fiscale (letter by weighted sum).
    ItFiscalCode,
    /// Netherlands: burgerservicenummer (the eleven test).
    NlCitizen,
    /// Poland: PESEL (weights 1, 3, 7, 9).
    PlPesel,
    /// Portugal: NIF (MOD 11).
    PtTax,
    /// Sweden: personnummer (Luhn).
    SePersonal,
    /// Switzerland: AHV number (EAN-13, begins with 756).
    ChSocialSecurity,
    /// Belgium: national number (97 less the remainder).
    BeNational,
}

/// A person's official number and where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FoundIdentity {
    /// Where, separators included.
    pub span: Span,
    /// Which.
    pub scheme: Scheme,
    /// Whether form and checksum make it one; nine digits in one piece pass a checksum by chance too often.
    pub certain: bool,
}

static WITH_LETTERS: LazyLock<Regex> = LazyLock::new(|| {
    constant_pattern(concat!(
        r"(?i-u:\b(?:",
        r"(?P<nino>[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z][ -]?\d\d[ -]?\d\d[ -]?\d\d[ -]?[A-D])",
        r"|(?P<dni>(?:\d{8}|\d\d\.\d{3}\.\d{3}|[XYZ][ -]?\d{7})[ -]?[A-Z])",
        r"|(?P<cf>[A-Z]{6}[0-9L-NP-V]{2}[A-EHLMPRST][0-9L-NP-V]{2}[A-Z][0-9L-NP-V]{3}[A-Z])",
        r"|(?P<nir>[12] ?\d\d ?\d\d ?2[AB] ?\d{3} ?\d{3} ?\d\d)",
        r")\b)",
    ))
});

/// Every number of a known scheme whose rules hold, in order; the bytes around it are no letters and no digits.
pub fn find_identities(text: &str) -> Vec<FoundIdentity> {
    let mut found = Vec::new();
    for_each_window(text, 15, |window| {
        let read = window.stands_alone().then(|| read_digits(window)).flatten();
        let is_one = read.is_some();
        found.extend(read.and_then(|(scheme, certain)| Some(FoundIdentity { span: window.span()?, scheme, certain })));
        is_one
    });
    for captures in WITH_LETTERS.captures_iter(text) {
        let of = |name: &str| captures.name(name);
        let (scheme, quote) = match (of("nino"), of("dni"), of("cf"), of("nir")) {
            (Some(quote), ..) => (Scheme::UkNationalInsurance, quote),
            (_, Some(quote), ..) => (Scheme::EsIdentity, quote),
            (_, _, Some(quote), _) => (Scheme::ItFiscalCode, quote),
            (.., Some(quote)) => (Scheme::FrSocialSecurity, quote),
            _ => continue,
        };
        let compact: String = quote.as_str().chars().filter(char::is_ascii_alphanumeric).collect();
        if let Some(span) = Span::new(quote.start(), quote.end())
            && is_free(text, span)
            && holds(scheme, &compact.to_ascii_uppercase())
        {
            found.push(FoundIdentity { span, scheme, certain: true });
        }
    }
    found.sort_by_key(|identity| identity.span.start());
    found
}

/// Whether no letter beyond ASCII adjoins, which the pattern cannot see.
fn is_free(text: &str, span: Span) -> bool {
    let before = text.get(..span.start()).and_then(|before| before.chars().next_back());
    let after = text.get(span.end()..).and_then(|after| after.chars().next());
    !before.is_some_and(char::is_alphanumeric) && !after.is_some_and(char::is_alphanumeric)
}

/// Groups of the number that has most of them, the French one.
const GROUPS: usize = 7;

fn read_digits(window: &Window<'_>) -> Option<(Scheme, bool)> {
    if !matches!(window.len(), 9..=13 | 15) || window.group_lengths().count() > GROUPS {
        return None;
    }
    let digits = window.digits();
    let groups: Vec<usize> = window.group_lengths().collect();
    let signs = window.separators();
    let joined = signs.is_empty();
    let one_sign = window.separated_by(b" -.");
    match digits.len() {
        9 if groups == [3, 2, 4] && window.separated_by(b" -") && is_us_number(&digits) => {
            Some((Scheme::UsSocialSecurity, true))
        }
        9 if (joined || one_sign) && eleven_test(&digits) => Some((Scheme::NlCitizen, false)),
        9 if (joined || one_sign) && is_portuguese(&digits) => Some((Scheme::PtTax, false)),
        9 if joined && is_us_number(&digits) => Some((Scheme::UsSocialSecurity, false)),
        10 if groups == [6, 4] && matches!(signs.as_slice(), [b'-' | b'+']) && is_swedish(&digits) => {
            Some((Scheme::SePersonal, true))
        }
        10 if joined && is_swedish(&digits) => Some((Scheme::SePersonal, false)),
        11 if joined || one_sign || groups == [2, 2, 2, 3, 2] => {
            let is_belgian = is_belgian(&digits) && (joined || groups == [2, 2, 2, 3, 2] || groups == [6, 3, 2]);
            let is_polish = joined && is_polish(&digits);
            let is_german = (joined || groups == [2, 3, 3, 3]) && is_german(&digits);
            let scheme = [(is_belgian, Scheme::BeNational), (is_polish, Scheme::PlPesel), (is_german, Scheme::DeTax)];
            scheme.into_iter().find(|(is_it, _)| *is_it).map(|(_, scheme)| (scheme, true))
        }
        12 if (joined || groups == [8, 4]) && is_swedish(digits.get(2..)?) && is_century(&digits) => {
            Some((Scheme::SePersonal, true))
        }
        13 if digits.starts_with(&[7, 5, 6]) && (joined || one_sign) && is_ean(&digits) => {
            Some((Scheme::ChSocialSecurity, true))
        }
        15 if (joined || (one_sign && is_french_grouping(&groups))) && is_french(&digits) => {
            Some((Scheme::FrSocialSecurity, true))
        }
        _ => None,
    }
}

fn number(digits: &[u8]) -> u64 {
    digits.iter().fold(0, |sum, digit| sum * 10 + u64::from(*digit))
}

fn weighted(digits: &[u8], weights: &[u32]) -> u32 {
    digits.iter().zip(weights).map(|(digit, weight)| u32::from(*digit) * weight).sum()
}

fn part(digits: &[u8], from: usize, to: usize) -> u64 {
    number(digits.get(from..to).unwrap_or_default())
}

/// Areas 000, 666 and 900 to 999, group 00 and serial 0000 are never issued.
fn is_us_number(digits: &[u8]) -> bool {
    let (area, group, serial) = (part(digits, 0, 3), part(digits, 3, 5), part(digits, 5, 9));
    (1..900).contains(&area) && area != 666 && group != 0 && serial != 0
}

fn eleven_test(digits: &[u8]) -> bool {
    let last = digits.last().map_or(0, |digit| u32::from(*digit));
    let sum = weighted(digits, &[9, 8, 7, 6, 5, 4, 3, 2]);
    sum >= last && (sum - last).is_multiple_of(11) && sum > 0
}

fn is_portuguese(digits: &[u8]) -> bool {
    let check = match 11 - weighted(digits, &[9, 8, 7, 6, 5, 4, 3, 2]) % 11 {
        10 | 11 => 0,
        check => check,
    };
    matches!(digits.first(), Some(1 | 2 | 3 | 5 | 6 | 8 | 9)) && digits.last().is_some_and(|d| u32::from(*d) == check)
}

fn is_day(month: u64, day: u64) -> bool {
    (1..=12).contains(&month) && (1..=31).contains(&day)
}

/// Ten digits; the day is 60 higher in a coordination number.
fn is_swedish(digits: &[u8]) -> bool {
    let day = part(digits, 4, 6);
    is_day(part(digits, 2, 4), if day > 60 { day - 60 } else { day }) && luhn(digits)
}

fn is_century(digits: &[u8]) -> bool {
    matches!(part(digits, 0, 2), 18..=20)
}

fn is_polish(digits: &[u8]) -> bool {
    // The month holds the century: 80, 0, 20, 40 or 60 more.
    let sum = weighted(digits, &[1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1]);
    is_day(part(digits, 2, 4) % 20, part(digits, 4, 6)) && sum.is_multiple_of(10)
}

fn is_belgian(digits: &[u8]) -> bool {
    let (body, check) = (part(digits, 0, 9), part(digits, 9, 11));
    // From 2000 on a 2 stands before the number; 20 or 40 more in the month where the sex is unknown or not certain.
    let day = is_day(part(digits, 2, 4) % 20, part(digits, 4, 6));
    day && (97 - body % 97 == check || 97 - (2_000_000_000 + body) % 97 == check)
}

fn is_german(digits: &[u8]) -> bool {
    // Of the first ten digits exactly one occurs twice or three times.
    let mut counts = [0_u8; 10];
    for digit in digits.iter().take(10) {
        if let Some(count) = counts.get_mut(usize::from(*digit)) {
            *count += 1;
        }
    }
    let repeated = counts.iter().filter(|count| **count > 1).count();
    if digits.first() == Some(&0) || repeated != 1 || counts.iter().any(|count| *count > 3) {
        return false;
    }
    let product = digits.iter().take(10).fold(10_u32, |product, digit| {
        let sum = (u32::from(*digit) + product) % 10;
        (if sum == 0 { 10 } else { sum }) * 2 % 11
    });
    let check = (11 - product) % 10;
    digits.last().is_some_and(|digit| u32::from(*digit) == check)
}

fn is_ean(digits: &[u8]) -> bool {
    weighted(digits, &[1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1]).is_multiple_of(10)
}

/// Sex, year, month, department, commune, order, key; or the key apart.
fn is_french_grouping(groups: &[usize]) -> bool {
    matches!(groups, [1, 2, 2, 2, 3, 3, 2] | [1, 2, 2, 5, 3, 2] | [13, 2])
}

fn is_french(digits: &[u8]) -> bool {
    matches!(digits.first(), Some(1 | 2 | 3 | 4 | 7 | 8))
        && matches!(part(digits, 3, 5), 1..=12 | 20..=42 | 50..=99)
        && 97 - part(digits, 0, 13) % 97 == part(digits, 13, 15)
}

/// The rule of a scheme whose numbers have letters; `compact` is upper case without separators.
fn holds(scheme: Scheme, compact: &str) -> bool {
    match scheme {
        Scheme::UkNationalInsurance => {
            !["BG", "GB", "KN", "NK", "NT", "TN", "ZZ"].iter().any(|never| compact.starts_with(never))
        }
        Scheme::EsIdentity => spanish(compact).is_some_and(|expected| compact.ends_with(expected)),
        // Letters may stand for digits where two people would have the same code; sixteen letters without any are a word.
        Scheme::ItFiscalCode => {
            compact.contains(|c: char| c.is_ascii_digit())
                && italian(compact).is_some_and(|expected| compact.ends_with(expected))
        }
        Scheme::FrSocialSecurity => {
            // Corsica's departments count as 19 and 18.
            let digits = compact.replace("2A", "19").replace("2B", "18");
            let digits: Vec<u8> = digits.bytes().map(|byte| byte.wrapping_sub(b'0')).collect();
            digits.len() == 15 && is_french(&digits)
        }
        _ => false,
    }
}

fn spanish(compact: &str) -> Option<char> {
    let body = compact.get(..compact.len().checked_sub(1)?)?;
    let digits = body.replace('X', "0").replace('Y', "1").replace('Z', "2");
    let remainder: usize = (digits.parse::<u64>().ok()? % 23).try_into().ok()?;
    "TRWAGMYFPDXBNJZSQVHLCKE".chars().nth(remainder)
}

fn italian(compact: &str) -> Option<char> {
    const ODD: [u32; 26] =
        [1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23];
    let value = |c: char| c.to_digit(10).or_else(|| c.to_digit(36).map(|value| value - 10));
    let mut sum = 0;
    for (place, c) in compact.chars().take(15).enumerate() {
        let value = value(c)?;
        sum += if place % 2 == 0 { *ODD.get(value as usize)? } else { value };
    }
    char::from_u32(u32::from('A') + sum % 26)
}

#[cfg(test)]
mod tests {
    use super::{Scheme, find_identities};

    fn certain(text: &str) -> Vec<(&str, Scheme)> {
        let found = find_identities(text).into_iter().filter(|found| found.certain);
        found.map(|found| (found.span.of(text).unwrap(), found.scheme)).collect()
    }

    #[test]
    fn each_scheme_by_its_rule() {
        let table = [
            ("219-09-9999", Scheme::UsSocialSecurity),
            ("078 05 1120", Scheme::UsSocialSecurity),
            ("AB 12 34 56 C", Scheme::UkNationalInsurance),
            ("ab123456c", Scheme::UkNationalInsurance),
            ("86095742719", Scheme::DeTax),
            ("86 095 742 719", Scheme::DeTax),
            ("255081416802538", Scheme::FrSocialSecurity),
            ("2 55 08 14 168 025 38", Scheme::FrSocialSecurity),
            ("12345678Z", Scheme::EsIdentity),
            ("12.345.678-Z", Scheme::EsIdentity),
            ("X1234567L", Scheme::EsIdentity),
            ("RSSMRA85T10A562S", Scheme::ItFiscalCode),
            ("RSSMRA8RT10A56NT", Scheme::ItFiscalCode),
            ("44051401359", Scheme::PlPesel),
            ("811228-9874", Scheme::SePersonal),
            ("19811228-9874", Scheme::SePersonal),
            ("756.9217.0769.85", Scheme::ChSocialSecurity),
            ("85.07.30-033.28", Scheme::BeNational),
        ];
        for (number, scheme) in table {
            for text in [format!("x: {number}, y"), number.to_owned(), format!("7 {number}")] {
                assert_eq!(certain(&text), [(number, scheme)], "{text}");
            }
            let one_more = format!("{number}1");
            assert!(certain(&one_more).iter().all(|(quote, _)| *quote != number), "{one_more}");
        }
    }

    #[test]
    fn one_wrong_sign_is_no_number() {
        for text in [
            "666-12-3456",
            "900-12-3456",
            "123-00-4567",
            "GB123456A",
            "AB123456E",
            "86095742718",
            "255081416802539",
            "12345678A",
            "RSSMRA85T10A562T",
            "RSSMRAUTTMLRLSNA",
            "44051401358",
            "811228-9873",
            "811328-9874",
            "756.9217.0769.84",
            "85.07.30-033.29",
            "x219-09-99990",
            "219-09-9999-1",
        ] {
            assert_eq!(certain(text), [], "{text}");
        }
    }

    #[test]
    fn nine_digits_alone_are_not_certain() {
        let found = find_identities("BSN 111222333 NIF 501964843");
        assert_eq!(found.iter().map(|f| f.scheme).collect::<Vec<_>>(), [Scheme::NlCitizen, Scheme::PtTax]);
        assert!(found.iter().all(|found| !found.certain));
    }
}

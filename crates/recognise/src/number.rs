//! Numbers as people write them: `1.250,00`, `1,250.00`, `1 250,00`, `1'250.00`.

use std::fmt;

/// An exact decimal number, `mantissa / 10^scale`, without trailing zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Decimal {
    mantissa: i128,
    scale: u32,
}

/// More digits than any amount has are an identifier, not a number.
const MAX_DIGITS: usize = 24;

impl Decimal {
    /// The number with these digits before and after the decimal point; `None` where a character is not an ASCII digit
    /// or there are more than 24.
    pub fn from_digits(whole: &str, fraction: &str, negative: bool) -> Option<Self> {
        if whole.len() + fraction.len() > MAX_DIGITS || whole.is_empty() {
            return None;
        }
        let mut mantissa: i128 = 0;
        for digit in whole.chars().chain(fraction.chars()) {
            mantissa = mantissa * 10 + i128::from(digit.to_digit(10)?);
        }
        let sign = if negative { -1 } else { 1 };
        Some(Self { mantissa: mantissa * sign, scale: fraction.len() as u32 }.normalised())
    }

    /// The number times ten to the power of `exponent`.
    #[must_use]
    pub fn shifted(self, exponent: u32) -> Option<Self> {
        let factor = 10_i128.checked_pow(exponent)?;
        Some(Self { mantissa: self.mantissa.checked_mul(factor)?, scale: self.scale }.normalised())
    }

    /// The number with its sign turned.
    #[must_use]
    pub fn negated(self) -> Self {
        Self { mantissa: -self.mantissa, scale: self.scale }
    }

    /// The number without its sign.
    #[must_use]
    pub fn magnitude(self) -> Self {
        if self.mantissa < 0 { self.negated() } else { self }
    }

    /// Whether it has no fraction.
    pub fn is_integer(self) -> bool {
        self.scale == 0
    }

    /// As a JSON number: an integer where it is one and fits, else the nearest double.
    pub fn to_json(self) -> Option<serde_json::Value> {
        if self.scale == 0
            && let Ok(whole) = i64::try_from(self.mantissa)
        {
            return Some(serde_json::Value::from(whole));
        }
        let float: f64 = self.to_string().parse().ok()?;
        serde_json::Number::from_f64(float).map(serde_json::Value::Number)
    }

    /// The nearest double.
    pub fn to_f64(self) -> f64 {
        self.to_string().parse().unwrap_or(f64::NAN)
    }

    fn normalised(mut self) -> Self {
        while self.scale > 0 && self.mantissa % 10 == 0 {
            self.mantissa /= 10;
            self.scale -= 1;
        }
        self
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.mantissa < 0 { "-" } else { "" };
        let digits = self.mantissa.unsigned_abs().to_string();
        let scale = self.scale as usize;
        if scale == 0 {
            return write!(f, "{sign}{digits}");
        }
        let padded = format!("{digits:0>width$}", width = scale + 1);
        let (whole, fraction) = padded.split_at_checked(padded.len() - scale).unwrap_or((&padded, ""));
        write!(f, "{sign}{whole}.{fraction}")
    }
}

/// How to read a number that is written in one of two ways.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NumberContext<'a> {
    /// ISO 639-1 code of the text's language.
    pub language: Option<&'a str>,
    /// Whether it is an amount of money: nobody writes three decimals of a currency.
    pub money: bool,
}

/// What a numeral says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadNumber {
    /// The likelier reading.
    pub value: Decimal,
    /// The other reading, where the numeral alone does not tell (`1.250`).
    pub alternative: Option<Decimal>,
}

/// Reads a numeral: digits with `.`, `,`, apostrophes or spaces between them, starting and ending with a digit.
/// `None` where the separators make no number (`12.03.2024`, `1,2,3`).
pub fn read_number(numeral: &str, context: NumberContext<'_>) -> Option<ReadNumber> {
    let point = numeral.matches('.').count();
    let comma = numeral.matches(',').count();
    let only_spaces = |text: &str| grouped(text, is_group_mark);
    let plain = |value: Decimal| Some(ReadNumber { value, alternative: None });
    match (point, comma) {
        (0, 0) => plain(Decimal::from_digits(&only_spaces(numeral)?, "", false)?),
        (1, 0) | (0, 1) => read_one_separator(numeral, if point == 1 { '.' } else { ',' }, context),
        (_, 0) => plain(Decimal::from_digits(&grouped(numeral, |c| c == '.')?, "", false)?),
        (0, _) => plain(Decimal::from_digits(&grouped(numeral, |c| c == ',')?, "", false)?),
        _ => {
            let last = numeral.rfind(['.', ','])?;
            let (whole, fraction) = numeral.split_at_checked(last)?;
            let decimal = fraction.chars().next()?;
            let group = if decimal == '.' { ',' } else { '.' };
            if whole.contains(decimal) {
                return None;
            }
            plain(Decimal::from_digits(&grouped(whole, |c| c == group)?, fraction.get(1..)?, false)?)
        }
    }
}

/// Marks that only ever separate groups of three digits.
fn is_group_mark(c: char) -> bool {
    matches!(c, ' ' | '\u{a0}' | '\u{202f}' | '\u{2009}' | '\'' | '\u{2019}')
}

/// A numeral with one point or one comma, which is a decimal or a group separator.
fn read_one_separator(numeral: &str, separator: char, context: NumberContext<'_>) -> Option<ReadNumber> {
    let (whole, fraction) = numeral.split_once(separator)?;
    let has_group_marks = whole.contains(is_group_mark);
    let whole_digits = grouped(whole, is_group_mark)?;
    let as_decimal = Decimal::from_digits(&whole_digits, fraction, false)?;
    let may_group =
        fraction.len() == 3 && whole_digits.len() <= 3 && !whole_digits.starts_with('0') && !has_group_marks;
    if !may_group {
        return Some(ReadNumber { value: as_decimal, alternative: None });
    }
    let as_group = Decimal::from_digits(&format!("{whole_digits}{fraction}"), "", false)?;
    if context.money {
        return Some(ReadNumber { value: as_group, alternative: None });
    }
    let grouping = context.language.map(|language| if decimal_comma(language) { '.' } else { ',' });
    Some(match grouping {
        Some(grouping) if grouping == separator => ReadNumber { value: as_group, alternative: None },
        Some(_) => ReadNumber { value: as_decimal, alternative: None },
        None => ReadNumber { value: as_group, alternative: Some(as_decimal) },
    })
}

/// Whether the language's speakers mostly write a decimal comma.
fn decimal_comma(language: &str) -> bool {
    !matches!(language, "en" | "zh" | "ja" | "ko" | "he" | "th")
}

/// The digits without group separators; `None` unless every group after the first has three digits (or, as in India,
/// the last has three and those between have two).
fn grouped(numeral: &str, separator: impl Fn(char) -> bool) -> Option<String> {
    let groups: Vec<&str> = numeral.split(separator).collect();
    if groups.iter().any(|group| group.is_empty() || !group.bytes().all(|byte| byte.is_ascii_digit())) {
        return None;
    }
    let (first, rest) = groups.split_first()?;
    let thousands = rest.iter().all(|group| group.len() == 3);
    let lakhs =
        rest.split_last().is_some_and(|(last, between)| last.len() == 3 && between.iter().all(|g| g.len() == 2));
    let fits = rest.is_empty() || (first.len() <= 3 && (thousands || (lakhs && first.len() <= 2)));
    fits.then(|| groups.concat())
}

#[cfg(test)]
mod tests {
    use super::{Decimal, NumberContext, read_number};

    #[test]
    fn numerals_of_many_countries() {
        let money = NumberContext { language: None, money: true };
        let table = [
            ("7", "7"),
            ("1250", "1250"),
            ("1.250,00", "1250"),
            ("1,250.00", "1250"),
            ("1 250,00", "1250"),
            ("1\u{a0}250,50", "1250.5"),
            ("1\u{202f}250,50", "1250.5"),
            ("1'250.05", "1250.05"),
            ("1’250’000", "1250000"),
            ("1.250", "1250"),
            ("1,250", "1250"),
            ("0,250", "0.25"),
            ("0.250", "0.25"),
            ("12,5", "12.5"),
            ("12.50", "12.5"),
            ("1.234.567", "1234567"),
            ("1.234.567,89", "1234567.89"),
            ("12,34,567", "1234567"),
            ("1234,567", "1234.567"),
            ("99,99", "99.99"),
            ("00120", "120"),
        ];
        for (numeral, value) in table {
            let read = read_number(numeral, money).unwrap_or_else(|| panic!("{numeral} is a number"));
            assert_eq!(read.value.to_string(), value, "{numeral}");
            assert_eq!(read.alternative, None, "{numeral}");
        }
    }

    #[test]
    fn what_is_no_number() {
        for numeral in ["12.03.2024", "1,2,3", "1.25,0.3", "1..2", "", "1,250.00.0", "12 34", "1234.567.8", "٣"] {
            assert_eq!(read_number(numeral, NumberContext::default()), None, "{numeral}");
        }
        assert_eq!(read_number(&"9".repeat(25), NumberContext::default()), None);
    }

    #[test]
    fn the_language_decides_what_the_numeral_does_not() {
        let read = |numeral, language| {
            let read = read_number(numeral, NumberContext { language, money: false }).unwrap();
            (read.value.to_string(), read.alternative.map(|other| other.to_string()))
        };
        assert_eq!(read("1.250", Some("de")), ("1250".to_owned(), None));
        assert_eq!(read("1.250", Some("en")), ("1.25".to_owned(), None));
        assert_eq!(read("1,250", Some("en")), ("1250".to_owned(), None));
        assert_eq!(read("1,250", Some("fr")), ("1.25".to_owned(), None));
        assert_eq!(read("1.250", None), ("1250".to_owned(), Some("1.25".to_owned())));
    }

    #[test]
    fn json_keeps_integers() {
        let json =
            |whole, fraction| Decimal::from_digits(whole, fraction, false).unwrap().to_json().unwrap().to_string();
        assert_eq!(json("1250", "00"), "1250");
        assert_eq!(json("0", "05"), "0.05");
        assert_eq!(json("1250", "50"), "1250.5");
        assert_eq!(Decimal::from_digits("12", "5", true).unwrap().shifted(6).unwrap().to_string(), "-12500000");
        assert_eq!(Decimal::from_digits("0", "07", true).unwrap().to_string(), "-0.07");
    }
}

//! Dates as people write them in English, German, French, Spanish, Italian, Dutch and Portuguese.

use std::sync::LazyLock;

use jiff::civil::Date;
use regex::{Captures, Regex};
use rejoinder_domain::Span;

use crate::pattern::constant_pattern;

/// What a date expression says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DateValue {
    /// A day.
    Day(Date),
    /// One of two days: `3/12/2024` where nothing says which convention holds. Day first, then month first.
    Ambiguous(Date, Date),
    /// A day without its year: month, day.
    YearMissing(i8, i8),
    /// Relative to when it was written (`tomorrow`, `next Monday`, `March`): lower-cased words.
    Relative(String),
}

/// A date expression and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundDate {
    /// Where.
    pub span: Span,
    /// What it says.
    pub value: DateValue,
}

const MONTHS: &str = "jan(?:uary|uar|vier|eiro|uari)?|jänner|enero|gennaio|feb(?:ruary|ruar|braio|rero|ruari)?|févr(?:ier)?|\
fevereiro|mar(?:ch|s|zo|ço)?|märz|mrz|maart|apr(?:il|ile)?|avr(?:il)?|abr(?:il)?|may|mai|mayo|maggio|mei|maio|jun(?:e|i|io|ho)?|\
juin|giugno|jul(?:y|i|io|ho)?|juil(?:let)?|luglio|aug(?:ust|ustus)?|août|ago(?:sto)?|sep(?:t|tember|tembre|tiembre)?|settembre|\
setembro|oct(?:ober|obre|ubre)?|okt(?:ober)?|ottobre|outubro|nov(?:ember|embre|iembre|embro)?|dec(?:ember|embre|embro)?|\
dez(?:ember|embro)?|déc(?:embre)?|dic(?:embre|iembre)?";

const WEEKDAYS: &str = "monday|tuesday|wednesday|thursday|friday|saturday|sunday|montag|dienstag|mittwoch|donnerstag|freitag|\
samstag|sonnabend|sonntag|lundi|mardi|mercredi|jeudi|vendredi|samedi|dimanche|lunes|martes|miércoles|jueves|viernes|sábado|\
domingo|lunedì|martedì|mercoledì|giovedì|venerdì|sabato|domenica|maandag|dinsdag|woensdag|donderdag|vrijdag|zaterdag|zondag";

const DAYS_FROM_TODAY: &str = "today|tomorrow|yesterday|heute|morgen|gestern|übermorgen|vorgestern|aujourd['’]hui|demain|hier|\
mañana|ayer|hoy|oggi|domani|ieri|vandaag|gisteren|hoje|amanhã|ontem";

static NUMERIC: LazyLock<Regex> = LazyLock::new(|| {
    constant_pattern(concat!(
        r"\b(?:(?P<iso_y>\d{4})[-/.](?P<iso_m>\d{1,2})[-/.](?P<iso_d>\d{1,2})",
        r"|(?P<a1>\d{1,2})\.\s?(?P<b1>\d{1,2})\.\s?(?P<y1>\d{4}|\d{2})",
        r"|(?P<a2>\d{1,2})/(?P<b2>\d{1,2})/(?P<y2>\d{4}|\d{2})",
        r"|(?P<a3>\d{1,2})-(?P<b3>\d{1,2})-(?P<y3>\d{4}))\b",
    ))
});

static DAY_MONTH: LazyLock<Regex> = LazyLock::new(|| {
    constant_pattern(&format!(
        r"(?i)\b(?P<d>\d{{1,2}})(?:st|nd|rd|th|er|º|ª|\.)?[ \u{{a0}}]{{0,2}}(?:-|of |de |d['’]|den )?(?P<m>{MONTHS})\b\.?,?(?:(?: (?:de |del )?|-)(?P<y>\d{{4}}))?"
    ))
});

static MONTH_DAY: LazyLock<Regex> = LazyLock::new(|| {
    constant_pattern(&format!(r"(?i)\b(?P<m>{MONTHS})\.? (?P<d>\d{{1,2}})(?:st|nd|rd|th)?(?:,? (?P<y>\d{{4}})|\b)"))
});

static DAY_MONTH_DOTS: LazyLock<Regex> = LazyLock::new(|| constant_pattern(r"\b(?P<d>\d{1,2})\.(?P<m>\d{1,2})\."));

static RELATIVE: LazyLock<Regex> = LazyLock::new(|| {
    constant_pattern(&format!(
        r"(?i)\b(?:(?:next|last|this|nächsten?|letzten?|kommenden?|próximo|pasado|prossimo|scorso|volgende|vorige) (?:week|month|year|woche|monat|jahr|(?:{WEEKDAYS}|{MONTHS})\b)|{WEEKDAYS}|{DAYS_FROM_TODAY})\b"
    ))
});

/// A month on its own. Case decides, for `may`, `mars` and `dec` are words too.
static MONTH_ALONE: LazyLock<Regex> = LazyLock::new(|| {
    constant_pattern(
        r"\b(?:January|February|April|June|July|August|September|October|November|December|Januar|Februar|März|Juni|Juli|Oktober|Dezember|(?:[Ii]n|[Bb]y|[Ss]ince|[Uu]ntil|[Dd]uring|[Ll]ate|[Ee]arly|[Mm]id|[Ii]m|[Bb]is|[Ss]eit|[Ee]nde|[Aa]nfang) (?:March|May|Mai)|janvier|février|avril|juillet|août|septembre|octobre|novembre|décembre|enero|febrero|septiembre|octubre|noviembre|diciembre|gennaio|febbraio|luglio|settembre|ottobre|dicembre)\b(?: \d{4})?",
    )
});

/// Makes a date of what a pattern captured, in a text of the language.
type Reader = fn(&Captures<'_>, Option<&str>) -> Option<DateValue>;

/// Every date expression of `text`, in order, without overlap. `language` (ISO 639-1) decides between day-first and
/// month-first where the numbers do not; English does not decide, for Britain and America differ.
pub fn find_dates(text: &str, language: Option<&str>) -> Vec<FoundDate> {
    let mut found: Vec<FoundDate> = Vec::new();
    let patterns: [(&Regex, Reader); 6] = [
        (&NUMERIC, read_numeric),
        (&DAY_MONTH, read_named),
        (&MONTH_DAY, read_named),
        (&DAY_MONTH_DOTS, read_dots),
        (&RELATIVE, read_relative),
        (&MONTH_ALONE, read_relative),
    ];
    for (pattern, read) in patterns {
        let earlier = found.len();
        for captures in pattern.captures_iter(text) {
            let Some(whole) = captures.get(0) else { continue };
            let trimmed = whole.as_str().trim_end_matches([',', ' ']);
            let Some(span) = Span::new(whole.start(), whole.start() + trimmed.len()) else { continue };
            let Some(value) = read(&captures, language) else { continue };
            if is_isolated(text, span) && !overlaps(found.get(..earlier).unwrap_or_default(), span) {
                found.push(FoundDate { span, value });
            }
        }
        // Later patterns are looked up in the earlier ones' finds, which therefore stay in order.
        found.sort_by_key(|date| date.span.start());
    }
    found
}

/// Whether a span meets one of `found`, which are in order and do not overlap.
fn overlaps(found: &[FoundDate], span: Span) -> bool {
    let next = found.partition_point(|date| date.span.end() <= span.start());
    found.get(next).is_some_and(|date| date.span.start() < span.end())
}

/// A date does not go on as another number: `1.2.2024.5` is a version, `12.03.20241` an identifier.
fn is_isolated(text: &str, span: Span) -> bool {
    let before = text.get(..span.start()).unwrap_or_default();
    let after = text.get(span.end()..).unwrap_or_default();
    let mut rest = after.chars();
    let goes_on = match rest.next() {
        Some('.' | '-' | '/' | ':') => rest.next().is_some_and(|c| c.is_ascii_digit()),
        Some(c) => c.is_ascii_digit(),
        None => false,
    };
    let mut back = before.chars().rev();
    let came_from = match back.next() {
        Some('.' | '-' | '/') => back.next().is_some_and(|c| c.is_ascii_digit()),
        _ => false,
    };
    !goes_on && !came_from
}

fn group<T: std::str::FromStr>(captures: &Captures<'_>, name: &str) -> Option<T> {
    captures.name(name)?.as_str().parse().ok()
}

fn read_numeric(captures: &Captures<'_>, language: Option<&str>) -> Option<DateValue> {
    if let Some(year) = group(captures, "iso_y") {
        let date = Date::new(year, group(captures, "iso_m")?, group(captures, "iso_d")?).ok()?;
        return plausible(date).map(DateValue::Day);
    }
    let (kind, first, second, year): (u8, i8, i8, i16) = [1_u8, 2, 3].into_iter().find_map(|kind| {
        let first = group(captures, &format!("a{kind}"))?;
        Some((kind, first, group(captures, &format!("b{kind}"))?, group(captures, &format!("y{kind}"))?))
    })?;
    // Two digits of a year: 00 to 69 are this century's, as POSIX reads them.
    let year = match year {
        0..=69 => year + 2000,
        70..=99 => year + 1900,
        _ => year,
    };
    let day_first = Date::new(year, second, first).ok().and_then(plausible);
    let month_first = Date::new(year, first, second).ok().and_then(plausible);
    // With points the day is first everywhere; with other signs it is everywhere but in America.
    let day_first_only = kind == 1 || language.is_some_and(|language| language != "en");
    match (day_first, month_first) {
        (Some(day), _) if day_first_only => Some(DateValue::Day(day)),
        (None, _) if kind == 1 => None,
        (Some(day), Some(month)) if day != month => Some(DateValue::Ambiguous(day, month)),
        (Some(day), _) | (None, Some(day)) => Some(DateValue::Day(day)),
        (None, None) => None,
    }
}

fn read_named(captures: &Captures<'_>, _language: Option<&str>) -> Option<DateValue> {
    let month = month_number(captures.name("m")?.as_str())?;
    let day: i8 = group(captures, "d")?;
    match group::<i16>(captures, "y") {
        Some(year) => Date::new(year, month, day).ok().and_then(plausible).map(DateValue::Day),
        // 29 February exists in some years, so a leap year decides whether the day exists at all.
        None => Date::new(2024, month, day).ok().map(|_| DateValue::YearMissing(month, day)),
    }
}

fn read_dots(captures: &Captures<'_>, _language: Option<&str>) -> Option<DateValue> {
    let (month, day) = (group(captures, "m")?, group(captures, "d")?);
    Date::new(2024, month, day).ok().map(|_| DateValue::YearMissing(month, day))
}

#[expect(clippy::unnecessary_wraps, reason = "one of several readers with the same signature")]
fn read_relative(captures: &Captures<'_>, _language: Option<&str>) -> Option<DateValue> {
    Some(DateValue::Relative(captures.get(0).map(|whole| whole.as_str().to_lowercase()).unwrap_or_default()))
}

/// Business mail speaks of years that someone alive has seen or will see.
fn plausible(date: Date) -> Option<Date> {
    (1900..=2199).contains(&date.year()).then_some(date)
}

/// 1 to 12 for a month's name or abbreviation in any of the languages.
fn month_number(name: &str) -> Option<i8> {
    let lower = name.to_lowercase();
    let starts = |prefixes: &[&str]| prefixes.iter().any(|prefix| lower.starts_with(prefix));
    let table: [(&[&str], i8); 12] = [
        (&["jan", "jän", "ene", "gen"], 1),
        (&["feb", "fév", "fev"], 2),
        (&["mar", "mär", "mrz", "maa"], 3),
        (&["apr", "avr", "abr"], 4),
        (&["may", "mai", "mag", "mei"], 5),
        (&["jun", "juin", "giu"], 6),
        (&["jul", "juil", "lug"], 7),
        (&["aug", "aoû", "ago"], 8),
        (&["sep", "set"], 9),
        (&["oct", "okt", "ott", "out"], 10),
        (&["nov"], 11),
        (&["dec", "dez", "déc", "dic"], 12),
    ];
    table.into_iter().find(|(prefixes, _)| starts(prefixes)).map(|(_, number)| number)
}

#[cfg(test)]
mod tests {
    use super::{DateValue, find_dates};

    /// Each find as `quote=meaning`.
    fn read(text: &str, language: Option<&str>) -> Vec<String> {
        find_dates(text, language)
            .into_iter()
            .map(|found| {
                let value = match found.value {
                    DateValue::Day(date) => date.to_string(),
                    DateValue::Ambiguous(day, month) => format!("{day}|{month}"),
                    DateValue::YearMissing(month, day) => format!("??-{month:02}-{day:02}"),
                    DateValue::Relative(words) => format!("~{words}"),
                };
                format!("{}={value}", found.span.of(text).unwrap())
            })
            .collect()
    }

    #[test]
    fn dates_in_seven_languages() {
        let table = [
            ("due 2024-03-12.", "2024-03-12=2024-03-12"),
            ("am 12.03.2024 fällig", "12.03.2024=2024-03-12"),
            ("am 3.12.24", "3.12.24=2024-12-03"),
            ("12/31/2024", "12/31/2024=2024-12-31"),
            ("31/12/2024", "31/12/2024=2024-12-31"),
            ("3/12/2024", "3/12/2024=2024-12-03|2024-03-12"),
            ("3/3/2024", "3/3/2024=2024-03-03"),
            ("12-03-2024 en", "12-03-2024=2024-03-12|2024-12-03"),
            ("on 12 March 2024, we", "12 March 2024=2024-03-12"),
            ("on the 1st of May 2024", "1st of May 2024=2024-05-01"),
            ("March 12, 2024", "March 12, 2024=2024-03-12"),
            ("Mar. 12th, 2024", "Mar. 12th, 2024=2024-03-12"),
            ("12. März 2024", "12. März 2024=2024-03-12"),
            ("le 1er août 2024", "1er août 2024=2024-08-01"),
            ("12 mars 2024", "12 mars 2024=2024-03-12"),
            ("el 5 de febrero de 2024", "5 de febrero de 2024=2024-02-05"),
            ("il 7 settembre 2024", "7 settembre 2024=2024-09-07"),
            ("op 9 mei 2024", "9 mei 2024=2024-05-09"),
            ("em 3 de março de 2024", "3 de março de 2024=2024-03-03"),
            ("09-May-2024", "09-May-2024=2024-05-09"),
            ("by June 7", "June 7=??-06-07"),
            ("bis 12.03. bitte", "12.03.=??-03-12"),
            ("next Monday", "next Monday=~next monday"),
            ("bis Freitag", "Freitag=~freitag"),
            ("we shipped it yesterday", "yesterday=~yesterday"),
            ("in May we", "in May=~in may"),
            ("August 2023", "August 2023=~august 2023"),
        ];
        for (text, expected) in table {
            assert_eq!(read(text, None), [expected], "{text}");
        }
    }

    #[test]
    fn what_is_no_date() {
        for text in [
            "version 3.15.0",
            "1.2.2024.5",
            "31.02.2024",
            "2024-13-01",
            "mars",
            "part 12345-03-2024",
            "192.168.10.24",
            "99/99/2024",
            "0/0/2024",
            "march on",
            "dec",
            "x2024-03-12y",
        ] {
            assert_eq!(read(text, None), Vec::<String>::new(), "{text}");
        }
    }

    #[test]
    fn the_language_decides_the_order() {
        assert_eq!(read("3/12/2024", Some("fr")), ["3/12/2024=2024-12-03"]);
        assert_eq!(read("12-03-2024", Some("nl")), ["12-03-2024=2024-03-12"]);
        assert_eq!(read("3/12/2024", Some("en")), ["3/12/2024=2024-12-03|2024-03-12"]);
    }
}

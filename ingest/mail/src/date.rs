//! Dates of mail headers, as tolerant as the programs that wrote them were careless.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;

/// Reads a date: RFC 5322 section 3.3, its obsolete forms (two-digit years, zone names), `asctime`, ISO 8601. Comments and
/// the weekday are passed over; an unknown zone counts as UTC, as RFC 5322 section 4.3 says. `None` where no day, month and
/// year can be found, or they name no day between 1900 and 2200.
pub(crate) fn parse(text: &str) -> Option<Timestamp> {
    let text: String = without_comments(text).chars().take(120).collect();
    let mut fields = Fields::default();
    for word in text.split(|c: char| c.is_whitespace() || c == ',').filter(|word| !word.is_empty()) {
        fields.read(word);
    }
    fields.timestamp()
}

fn without_comments(text: &str) -> String {
    let mut depth = 0usize;
    text.chars()
        .filter(|&c| {
            match c {
                '(' => depth += 1,
                ')' if depth > 0 => {
                    depth -= 1;
                    return false;
                }
                _ => {}
            }
            depth == 0
        })
        .collect()
}

#[derive(Default)]
struct Fields {
    day: Option<i8>,
    month: Option<i8>,
    year: Option<i16>,
    time: Option<(i8, i8, i8)>,
    /// Seconds east of Greenwich.
    zone: Option<i32>,
    afternoon: Option<bool>,
}

impl Fields {
    fn read(&mut self, word: &str) {
        let digits = word.bytes().all(|byte| byte.is_ascii_digit());
        if word.contains(':') {
            self.read_time(word);
        } else if digits {
            self.read_number(word);
        } else if word.starts_with(['+', '-']) && self.time.is_some() {
            self.zone = self.zone.or_else(|| numeric_zone(word));
        } else if word.contains('-') || word.contains('/') || word.contains('.') {
            self.read_compound(word);
        } else {
            self.read_name(word);
        }
    }

    fn read_number(&mut self, word: &str) {
        let Ok(value) = word.parse::<i32>() else { return };
        if self.day.is_none() && word.len() <= 2 && (1..=31).contains(&value) {
            self.day = Some(value as i8);
        } else if self.year.is_none() && word.len() <= 4 {
            self.year = full_year(value, word.len());
        } else if self.zone.is_none() && self.time.is_some() && word.len() == 4 {
            self.zone = numeric_zone(&format!("+{word}"));
        }
    }

    /// `14:05`, `14:05:09.250`, `14:05:09+0100`, `2024-03-01T14:05:09Z`.
    fn read_time(&mut self, word: &str) {
        let (date, time) = match word.split_once(['T', 't']) {
            Some((date, time)) if date.contains('-') => (Some(date), time),
            _ => (None, word),
        };
        if let Some(date) = date {
            self.read_compound(date);
        }
        let end = time.find(['+', '-', 'Z', 'z']).unwrap_or(time.len());
        let (clock, zone) = time.split_at(end);
        let mut parts =
            clock.split([':', '.']).map(|part| part.trim_end_matches(|c: char| !c.is_ascii_digit()).parse::<i8>());
        let hour = parts.next().and_then(Result::ok);
        let minute = parts.next().and_then(Result::ok);
        let second = parts.next().and_then(Result::ok).unwrap_or(0);
        if let (Some(hour @ 0..=24), Some(minute @ 0..=59), None) = (hour, minute, self.time) {
            self.time = Some((hour, minute, second.clamp(0, 59)));
            let suffix = clock.to_ascii_lowercase();
            if suffix.ends_with("pm") || suffix.ends_with("am") {
                self.afternoon = Some(suffix.ends_with("pm"));
            }
        }
        if zone.eq_ignore_ascii_case("z") {
            self.zone = Some(0);
        } else if !zone.is_empty() {
            self.zone = numeric_zone(zone);
        }
    }

    /// `2024-03-01`, `01-Mar-2024`, `1.3.2024`, `GMT-0500`. Slashes are left alone: nobody knows their order.
    fn read_compound(&mut self, word: &str) {
        let parts: Vec<&str> = word.split(['-', '.']).filter(|part| !part.is_empty()).collect();
        match parts.as_slice() {
            [year, month, day] if year.len() == 4 && year.bytes().all(|b| b.is_ascii_digit()) => {
                self.year = year.parse().ok();
                self.month = month.parse().ok().or_else(|| month_of(month));
                self.day = day.parse().ok();
            }
            [day, month, year] => {
                self.day = day.parse().ok();
                self.month = month.parse().ok().or_else(|| month_of(month));
                self.year = year.parse().ok().and_then(|value| full_year(value, year.len()));
            }
            _ => {
                if let Some(at) = word.find(['+', '-']).filter(|_| self.time.is_some() && self.zone.is_none()) {
                    self.zone = numeric_zone(word.get(at..).unwrap_or_default());
                } else {
                    self.read_name(word.trim_end_matches('.'));
                }
            }
        }
    }

    fn read_name(&mut self, word: &str) {
        if self.month.is_none()
            && let Some(month) = month_of(word)
        {
            self.month = Some(month);
        } else if self.time.is_some() && word.eq_ignore_ascii_case("pm") {
            self.afternoon = Some(true);
        } else if self.time.is_some() && word.eq_ignore_ascii_case("am") {
            self.afternoon = Some(false);
        } else if self.time.is_some() && self.zone.is_none() {
            self.zone = named_zone(word);
        }
    }

    fn timestamp(&self) -> Option<Timestamp> {
        let (mut hour, minute, second) = self.time.unwrap_or((0, 0, 0));
        match self.afternoon {
            Some(true) if hour < 12 => hour += 12,
            Some(false) if hour == 12 => hour = 0,
            _ => {}
        }
        let next_day = hour == 24;
        let hour = if next_day { 0 } else { hour };
        let moment = DateTime::new(self.year?, self.month?, self.day?, hour, minute, second, 0).ok()?;
        let moment = if next_day { moment.checked_add(jiff::Span::new().days(1)).ok()? } else { moment };
        let offset = Offset::from_seconds(self.zone.unwrap_or(0)).ok()?;
        let timestamp = offset.to_timestamp(moment).ok()?;
        (-2_208_988_800..7_258_118_400).contains(&timestamp.as_second()).then_some(timestamp)
    }
}

/// RFC 5322 section 4.3: two digits below 50 are of this century, others and three digits count from 1900.
fn full_year(value: i32, digits: usize) -> Option<i16> {
    let year = match digits {
        1 | 2 if value < 50 => value + 2000,
        1..=3 => value + 1900,
        _ => value,
    };
    i16::try_from(year).ok()
}

fn month_of(word: &str) -> Option<i8> {
    const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
    // What some clients write in their own language.
    const LOCAL: [(&str, i8); 14] = [
        ("mär", 3),
        ("mrz", 3),
        ("mai", 5),
        ("mei", 5),
        ("okt", 10),
        ("dez", 12),
        ("fév", 2),
        ("fev", 2),
        ("avr", 4),
        ("juin", 6),
        ("juil", 7),
        ("aoû", 8),
        ("déc", 12),
        ("ene", 1),
    ];
    let word = word.to_lowercase();
    if word.chars().count() < 3 || !word.chars().all(|c| c.is_alphabetic() || c == '.') {
        return None;
    }
    let local = LOCAL.iter().find(|(name, _)| word.starts_with(name)).map(|&(_, month)| month);
    local.or_else(|| MONTHS.iter().position(|name| word.starts_with(name)).map(|at| at as i8 + 1))
}

/// `+0130`, `-05:00`, `+1`: seconds east of Greenwich. An offset that no place has counts as UTC.
fn numeric_zone(word: &str) -> Option<i32> {
    let (sign, digits) = match word.split_at_checked(1)? {
        ("+", digits) => (1, digits),
        ("-", digits) => (-1, digits),
        _ => return None,
    };
    let digits: String = digits.chars().filter(char::is_ascii_digit).collect();
    let value: i32 = digits.parse().ok()?;
    let (hours, minutes) = if digits.len() <= 2 { (value, 0) } else { (value / 100, value % 100) };
    if hours > 18 || minutes > 59 {
        return Some(0);
    }
    Some(sign * (hours * 3600 + minutes * 60))
}

/// Zone names of RFC 5322 section 4.3 and the common European ones.
fn named_zone(word: &str) -> Option<i32> {
    let hours = match word.to_ascii_uppercase().as_str() {
        "UT" | "UTC" | "GMT" | "Z" | "WET" => 0,
        "EST" | "CDT" => -5,
        "EDT" => -4,
        "CST" | "MDT" => -6,
        "MST" | "PDT" => -7,
        "PST" => -8,
        "CET" | "MEZ" | "BST" | "MET" | "WEST" => 1,
        "CEST" | "MESZ" | "EET" | "MEST" => 2,
        "EEST" | "MSK" => 3,
        "JST" | "KST" => 9,
        _ => return None,
    };
    Some(hours * 3600)
}

#[cfg(test)]
mod tests {
    use super::parse;

    fn utc(text: &str) -> Option<String> {
        parse(text).map(|at| at.to_string())
    }

    #[test]
    fn the_forms_that_occur() {
        for (text, expected) in [
            ("Fri, 3 Dec 2021 14:14:54 +0000", "2021-12-03T14:14:54Z"),
            ("Fri,3 Dec 2021 09:14:54 -0500 (EST)", "2021-12-03T14:14:54Z"),
            ("3 Dec 21 14:14 GMT", "2021-12-03T14:14:00Z"),
            ("Tue, 01 Jul 97 10:20:30 EDT", "1997-07-01T14:20:30Z"),
            ("Thu Jan  1 00:00:07 1970", "1970-01-01T00:00:07Z"),
            ("Mon Mar  4 10:00:00 PST 1996", "1996-03-04T18:00:00Z"),
            ("2024-02-29T23:30:00+01:00", "2024-02-29T22:30:00Z"),
            ("2024-02-29 23:30:00", "2024-02-29T23:30:00Z"),
            ("Mon, 4 Mär 2024 10:00:00 +0100", "2024-03-04T09:00:00Z"),
            ("01-Mar-2024 08:00:00 +0000", "2024-03-01T08:00:00Z"),
            ("Fri, 3 Dec 2021 24:00:00 +0000", "2021-12-04T00:00:00Z"),
            ("Fri, 3 Dec 2021 14:14:60 +0000", "2021-12-03T14:14:59Z"),
            ("Fri, 3 Dec 2021 14:14:54 +9999", "2021-12-03T14:14:54Z"),
            ("Fri, 3 Dec 2021 2:14:54 PM +0000", "2021-12-03T14:14:54Z"),
            ("Wed, 3 Dec 121 14:14:54 GMT-0500", "2021-12-03T19:14:54Z"),
        ] {
            assert_eq!(utc(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_date() {
        for text in
            ["", "yesterday", "32 Dec 2021 10:00", "Fri, 30 Feb 2021 10:00:00 +0000", "12:30:00", "((((", "1/2/2021"]
        {
            assert_eq!(utc(text), None, "{text}");
        }
    }
}

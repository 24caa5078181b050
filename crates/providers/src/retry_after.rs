//! How long a provider asks to wait.

use std::time::Duration;

use jiff::Timestamp;
use reqwest::header::HeaderMap;

/// Nobody waits longer; what asks for more is down or wrong.
const LONGEST: Duration = Duration::from_hours(24);

/// The wait that the headers ask for, at most a day: `retry-after-ms`, `retry-after` (RFC 9110, section 10.2.3: seconds
/// or a date), else the time until an exhausted limit of `x-ratelimit-*` is reset.
pub(crate) fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    if let Some(wait) = text("retry-after-ms").and_then(|millis| millis.parse::<f64>().ok()) {
        return bounded(wait / 1e3);
    }
    if let Some(value) = text("retry-after") {
        return value.parse::<f64>().ok().map_or_else(|| until(value, now), bounded);
    }
    let exhausted = ["requests", "tokens"].iter().filter_map(|kind| {
        let remaining = text(&format!("x-ratelimit-remaining-{kind}"))?.parse::<f64>().ok()?;
        let reset = duration(text(&format!("x-ratelimit-reset-{kind}"))?)?;
        (remaining <= 0.0).then_some(reset)
    });
    exhausted.max().or_else(|| reset_at(text("x-ratelimit-reset")?, now))
}

fn bounded(seconds: f64) -> Option<Duration> {
    if !seconds.is_finite() || seconds < 0.0 {
        return None;
    }
    Some(Duration::try_from_secs_f64(seconds).map_or(LONGEST, |wait| wait.min(LONGEST)))
}

/// From `now` to an HTTP date; nothing where it is over.
fn until(date: &str, now: Timestamp) -> Option<Duration> {
    let then = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(date).ok()?;
    bounded((then.as_second() - now.as_second()).max(0) as f64)
}

/// A number of seconds; larger than any wait, it is a time: seconds since 1970, or milliseconds.
fn reset_at(value: &str, now: Timestamp) -> Option<Duration> {
    let number = value.parse::<f64>().ok()?;
    if number < 1e9 {
        return bounded(number);
    }
    let seconds = if number < 1e11 { number } else { number / 1e3 };
    bounded((seconds - now.as_second() as f64).max(0.0))
}

/// OpenAI's durations: `1s`, `6m0s`, `250ms`, `1h2m3.5s`.
fn duration(text: &str) -> Option<Duration> {
    let mut left = text;
    let mut seconds = 0.0;
    while !left.is_empty() {
        let digits = left.find(|one: char| !one.is_ascii_digit() && one != '.')?;
        let (number, rest) = left.split_at(digits);
        let unit = rest.find(|one: char| one.is_ascii_digit()).unwrap_or(rest.len());
        let (unit, rest) = rest.split_at(unit);
        let scale = match unit {
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            "d" => 86_400.0,
            _ => return None,
        };
        seconds += number.parse::<f64>().ok()? * scale;
        left = rest;
    }
    if text.is_empty() { None } else { bounded(seconds) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(pairs: &[(&'static str, &str)]) -> Option<Duration> {
        let headers = pairs.iter().map(|(name, value)| ((*name).parse().unwrap(), value.parse().unwrap())).collect();
        retry_after(&headers, "2026-11-21T18:00:00Z".parse().unwrap())
    }

    #[test]
    fn every_spelling_of_a_wait() {
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        assert_eq!(wait(&[("retry-after", "7")]), seconds(7));
        assert_eq!(wait(&[("retry-after", " 1.5 ")]), Some(Duration::from_millis(1500)));
        assert_eq!(wait(&[("retry-after", "Sat, 21 Nov 2026 18:01:30 GMT")]), seconds(90));
        assert_eq!(wait(&[("retry-after", "Sat, 21 Nov 2026 17:00:00 GMT")]), seconds(0), "it is over");
        assert_eq!(wait(&[("retry-after-ms", "250"), ("retry-after", "9")]), Some(Duration::from_millis(250)));
        assert_eq!(
            wait(&[("x-ratelimit-reset-requests", "1m2.5s"), ("x-ratelimit-remaining-requests", "0")]),
            Some(Duration::from_millis(62_500))
        );
        assert_eq!(wait(&[("x-ratelimit-reset-requests", "1m"), ("x-ratelimit-remaining-requests", "3")]), None);
        assert_eq!(wait(&[("x-ratelimit-reset", "12")]), seconds(12));
        assert_eq!(wait(&[("x-ratelimit-reset", "1795284060")]), seconds(60));
        assert_eq!(wait(&[("x-ratelimit-reset", "1795284060000")]), seconds(60));
        assert_eq!(wait(&[("retry-after", "1e300")]), Some(LONGEST));
        for nonsense in ["-1", "soon", "NaN", "inf", ""] {
            assert_eq!(wait(&[("retry-after", nonsense)]), None, "{nonsense}");
        }
        assert_eq!(wait(&[]), None);
    }
}

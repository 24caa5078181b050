//! Lines that introduce a quote: "On Monday Anna wrote:", in the languages of the mail programs, over up to four lines.

use std::sync::LazyLock;

use regex::Regex;

use super::line::Line;

/// Most lines and characters of an attribution.
const MAX_LINES: usize = 4;
const MAX_CHARS: usize = 400;

/// Verbs of writing, as they stand in attributions. Longer forms need not be listed where a shorter one is part of them.
static WRITES: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r"(?ix)
        \b(?: wrote | writes | schrieb | geschrieben | a\s+écrit | écrivait | écrit | escribi[óo] | escribe | ha\s+escrito
          | ha\s+scritto | scrisse | scrive | schreef | geschreven | escreveu | skrev | skriver | napisał(?:a|\(a\))? | pisze
          | написал(?:а|\(а\))? | пишет | писал(?:а)? | написав | kirjoitti | yazdı | a\s+scris | napsal(?:a|\(a\))? | írta
          | va\s+escriure | έγραψε | said | dixit )(?:\b|\)|$)
        | 写道 | 書きました | 작성 | wrote",
    )
    .ok()
});

/// What attributions start with.
static STARTS: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r"(?ix) ^ (?:[*_(\[]{0,2}|-\s) (?:
            on | at | in\s+(?:a\s+)?message | am | le | el | il | op | em | en | den | dnia | w\s+dniu | dne | на | tiistai
          | 于 | 在 | (?:mon|tue|wed|thu|fri|sat|sun)[a-z]*[,.\s] | (?:mo|di|mi|do|fr|sa|so)[.,]\s
          | (?:lun|mar|mer|mié|mie|jeu|jue|ven|vie|sam|sáb|dim|dom|gio|sab)[a-zé]*[.,]\s | (?:man|tir|ons|tor|lør|søn|mån|tis|fre|lör|sön)[a-zø]*[.,]?\s
          | (?:pon|wt|śr|czw|pt|sob|niedz)[.,] | (?:пн|вт|ср|чт|пт|сб|вс)[.,] | (?:ma|di|wo|do|vr|za|zo)\s\d
          | \d{4}[-/.年] | \d{1,2}[-/.\s][\d\p{L}]
        )",
    )
    .ok()
});

/// A date with a year, or a time of day.
static MOMENT: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"(?x) \b(?:19|20)\d\d\b | \b\d{1,2}[.:h]\d{2}\b | \b\d{1,2}[./-]\d{1,2}[./-]\d{2,4}\b | \d{4}年").ok()
});

fn matches(pattern: &LazyLock<Option<Regex>>, text: &str) -> bool {
    pattern.as_ref().is_some_and(|pattern| pattern.is_match(text))
}

/// How many lines the attribution that starts at `at` takes; `None` where there is none.
pub(super) fn at(lines: &[Line<'_>], at: usize) -> Option<usize> {
    let first = lines.get(at)?;
    if first.is_blank() || first.depth > 0 || first.chars() > MAX_CHARS {
        return None;
    }
    let starts = matches(&STARTS, first.text);
    let mut joined = String::new();
    for count in 1..=MAX_LINES {
        let line = lines.get(at + count - 1)?;
        // A line that starts with the `>` of an address is no quote.
        let closes_address =
            line.text.starts_with(">:") || line.text.starts_with("> wrote") || line.text.starts_with("> skrev");
        if line.is_blank()
            || (line.depth > 0 && !(count > 1 && closes_address))
            || joined.len() + line.text.len() > MAX_CHARS * 2
        {
            return None;
        }
        if !joined.is_empty() {
            joined.push(' ');
        }
        joined.push_str(line.text);
        if count > 1 && !starts && !first.text.contains('@') && !matches(&MOMENT, first.text) {
            return None;
        }
        let rest = lines.get(at + count..).unwrap_or_default();
        if is_attribution(&joined, starts, rest) {
            return Some(count);
        }
        if joined.ends_with([':', '：']) {
            return None;
        }
    }
    None
}

fn is_attribution(text: &str, starts: bool, rest: &[Line<'_>]) -> bool {
    if text.chars().count() > MAX_CHARS {
        return false;
    }
    let quote_follows = rest.iter().find(|line| !line.is_blank()).is_some_and(|line| line.depth > 0);
    let body = text.trim_end_matches(['*', '_', ' ', ']', ')']);
    let ends_with_colon = body.ends_with([':', '：']);
    let address = body.contains('@');
    let moment = matches(&MOMENT, body);
    let writes = matches(&WRITES, body);
    if ends_with_colon && writes {
        if quote_follows {
            return starts || address || moment || text.split_whitespace().count() <= 8;
        }
        // What follows is not marked, so the line has to be beyond doubt.
        return (moment && (starts || address)) || (starts && address);
    }
    // Gmail in some languages: a date, a name and an address, no verb.
    let bare = ends_with_colon
        && address
        && moment
        && starts
        && body.contains(['<', '('])
        && text.split_whitespace().count() <= 24;
    bare || (quote_follows && writes && starts && moment && ends_with_verb(body))
}

/// "On Monday at 10:30 Anna wrote" without the colon.
fn ends_with_verb(text: &str) -> bool {
    let last: String =
        text.split_whitespace().rev().take(2).collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>().join(" ");
    matches(&WRITES, &last)
}

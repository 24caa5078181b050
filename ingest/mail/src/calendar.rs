//! Calendar parts (RFC 5545) as readable text.

/// The properties that a reader wants, unfolded and unescaped, one per line; the text as it is where there are none.
pub(crate) fn to_text(source: &str) -> String {
    const WANTED: [&str; 9] =
        ["METHOD", "SUMMARY", "DTSTART", "DTEND", "LOCATION", "ORGANIZER", "ATTENDEE", "STATUS", "DESCRIPTION"];
    let mut out = String::new();
    let mut component = "";
    let unfolded = source.replace("\n ", "").replace("\n\t", "");
    for line in unfolded.lines() {
        let Some((property, value)) = split_property(line) else { continue };
        let name = property.split(';').next().unwrap_or_default();
        if name.eq_ignore_ascii_case("BEGIN") {
            component = value;
        }
        // Time-zone definitions have start times too.
        let is_definition =
            matches!(component.to_ascii_uppercase().as_str(), "STANDARD" | "DAYLIGHT" | "VTIMEZONE" | "VALARM");
        let wanted = WANTED.iter().find(|wanted| name.eq_ignore_ascii_case(wanted)).filter(|_| !is_definition);
        if let Some(wanted) = wanted {
            out.push_str(wanted);
            out.push_str(": ");
            if let Some(person) = property.split(';').find_map(|part| part.strip_prefix("CN=")) {
                out.push_str(person.trim_matches('"'));
                out.push(' ');
            }
            out.push_str(&unescape(value));
            out.push('\n');
        }
    }
    if out.is_empty() { source.to_owned() } else { out }
}

/// Splits at the first colon outside quotes.
fn split_property(line: &str) -> Option<(&str, &str)> {
    let mut quoted = false;
    let at = line.find(|c| {
        quoted ^= c == '"';
        c == ':' && !quoted
    })?;
    Some((line.get(..at)?, line.get(at + 1..)?.trim()))
}

fn unescape(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    let mut escaped = false;
    for c in value.chars() {
        match (escaped, c) {
            (false, '\\') => escaped = true,
            (true, 'n' | 'N') => {
                out.push('\n');
                escaped = false;
            }
            (_, c) => {
                out.push(c);
                escaped = false;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::to_text;

    #[test]
    fn an_invitation() {
        let text = to_text(
            "BEGIN:VCALENDAR\nMETHOD:REQUEST\nBEGIN:VTIMEZONE\nDTSTART:16010101T020000\nEND:VTIMEZONE\nBEGIN:VEVENT\n\
             SUMMARY:Review\\, again\nORGANIZER;CN=\"Weber: Anna\":mailto:anna@weber.example\nDTSTART;TZID=CET:20240301T100000\n\
             DESCRIPTION:First\\nSec\n ond\nEND:VEVENT\n",
        );
        assert_eq!(
            text,
            "METHOD: REQUEST\nSUMMARY: Review, again\nORGANIZER: Weber: Anna mailto:anna@weber.example\n\
             DTSTART: 20240301T100000\nDESCRIPTION: First\nSecond\n"
        );
    }
}

//! Formats as anchored regular expressions.
//!
//! The generating ones are narrower than the judging ones: years from 1800 to 2199, seconds below 60, upper case `T`
//! and `Z`, addresses of everyday length. Days exist: there is no February 30, and February 29 in leap years only.

/// Whether a generated value is to match, or a given one is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Generate,
    Judge,
}

/// What is known of a format.
pub(super) enum Format {
    /// An anchored expression in the engine's syntax, and a greatest length that it does not say.
    Pattern(String, Option<u64>),
    /// The name is of the JSON Schema specification, and there is no expression for it.
    Unsupported,
    /// The name is not of the specification: an annotation, as the specification says.
    Annotation,
}

/// The month and day of any year but for February 29.
const MONTH_DAY: &str = concat!(
    "(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])",
    "|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)",
    "|02-(?:0[1-9]|1[0-9]|2[0-8]))",
);
/// The last two digits of a year that four divides, but for 00.
const LEAP: &str = "(?:0[48]|[2468][048]|[13579][26])";
const UUID: &str = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}";
const UUID_ANY_CASE: &str = "[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}";
const BYTE: &str = "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])";
/// RFC 5322 `dot-atom` and host names of labels.
const EMAIL: &str = concat!(
    "[A-Za-z0-9_+-]{1,32}(?:\\.[A-Za-z0-9_+-]{1,32}){0,3}",
    "@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,30}[A-Za-z0-9])?\\.){1,4}[A-Za-z]{2,12}",
);
/// RFC 5321 section 4.1.2 `Mailbox` without quoted local parts and address literals.
const EMAIL_ANY: &str = concat!(
    "[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*",
    "@[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?(?:\\.[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*",
);
/// Letters, digits and hyphens, not hyphens as third and fourth (RFC 5890: those are encodings, whose validity no
/// expression can tell).
const LABEL: &str = concat!(
    "[A-Za-z0-9](?:[A-Za-z0-9-]?[A-Za-z0-9])?",
    "|[A-Za-z0-9][A-Za-z0-9-](?:[A-Za-z0-9][A-Za-z0-9-]?[A-Za-z0-9-]{0,REST}[A-Za-z0-9]",
    "|-[A-Za-z0-9](?:[A-Za-z0-9-]{0,REST}[A-Za-z0-9])?)",
);
/// The longest host name (RFC 1123).
const HOST_CHARS: u64 = 253;
const URI: &str = concat!(
    "(?:https?://(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,30}[A-Za-z0-9])?\\.){1,4}[A-Za-z]{2,12}(?::[1-9][0-9]{1,4})?",
    "(?:/(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-F]{2}){0,64}){0,8}",
    "(?:\\?(?:[A-Za-z0-9._~!$&'()*+,;=:@/?-]|%[0-9A-F]{2}){0,128})?",
    "(?:#(?:[A-Za-z0-9._~!$&'()*+,;=:@/?-]|%[0-9A-F]{2}){0,64})?",
    "|mailto:[A-Za-z0-9_+-]{1,32}(?:\\.[A-Za-z0-9_+-]{1,32}){0,3}",
    "@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,30}[A-Za-z0-9])?\\.){1,4}[A-Za-z]{2,12})",
);

/// The expression of `format`.
pub(super) fn lookup(format: &str, purpose: Purpose) -> Format {
    let generate = purpose == Purpose::Generate;
    let choose = |narrow: &str, wide: &str| if generate { narrow.to_owned() } else { wide.to_owned() };
    let body = match format {
        "date" => date(purpose),
        "time" => time(purpose),
        "date-time" => format!("{}{}{}", date(purpose), choose("T", "[Tt]"), time(purpose)),
        "duration" => duration(purpose),
        "uuid" => choose(UUID, UUID_ANY_CASE),
        "ipv4" => format!("{BYTE}(?:\\.{BYTE}){{3}}"),
        "ipv6" => ipv6(),
        "email" => choose(EMAIL, EMAIL_ANY),
        "hostname" => host(purpose),
        "uri" if generate => URI.to_owned(),
        "uri"
        | "uri-reference"
        | "uri-template"
        | "iri"
        | "iri-reference"
        | "idn-email"
        | "idn-hostname"
        | "json-pointer"
        | "relative-json-pointer"
        | "regex" => return Format::Unsupported,
        _ => return Format::Annotation,
    };
    Format::Pattern(format!("^(?:{body})$"), (format == "hostname").then_some(HOST_CHARS))
}

/// RFC 1123 section 2.1: labels of at most 63 characters.
fn host(purpose: Purpose) -> String {
    let (rest, labels) = if purpose == Purpose::Generate { ("28", "{0,4}") } else { ("58", "*") };
    let label = LABEL.replace("REST", rest);
    format!("(?:{label})(?:\\.(?:{label})){labels}")
}

/// RFC 3339 `full-date`.
fn date(purpose: Purpose) -> String {
    match purpose {
        Purpose::Generate => {
            format!("(?:(?:1[89]|2[01])[0-9]{{2}}-{MONTH_DAY}|(?:(?:1[89]|2[01]){LEAP}|2000)-02-29)")
        }
        Purpose::Judge => format!("(?:[0-9]{{4}}-{MONTH_DAY}|(?:[0-9]{{2}}{LEAP}|(?:00|{LEAP})00)-02-29)"),
    }
}

/// RFC 3339 `full-time`; a judged leap second is 23:59:60 of UTC, written in UTC.
fn time(purpose: Purpose) -> String {
    let clock = "(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]";
    match purpose {
        Purpose::Generate => format!("{clock}(?:\\.[0-9]{{1,3}})?(?:Z|[+-](?:0[0-9]|1[0-3]):[0-5][0-9])"),
        Purpose::Judge => format!(
            "(?:{clock}(?:\\.[0-9]+)?(?:[Zz]|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])|23:59:60(?:\\.[0-9]+)?(?:[Zz]|[+-]00:00))"
        ),
    }
}

/// RFC 3339 appendix A.
fn duration(purpose: Purpose) -> String {
    let number = match purpose {
        Purpose::Generate => "(?:0|[1-9][0-9]{0,3})",
        Purpose::Judge => "[0-9]+",
    };
    let time = format!("T(?:{number}H(?:{number}M(?:{number}S)?)?|{number}M(?:{number}S)?|{number}S)");
    let date = format!("(?:{number}D|{number}M(?:{number}D)?|{number}Y(?:{number}M(?:{number}D)?)?)");
    format!("P(?:{date}(?:{time})?|{time}|{number}W)")
}

/// RFC 4291 section 2.2: every place of `::`, and an IPv4 address in the last two groups.
fn ipv6() -> String {
    const GROUP: &str = "[0-9a-fA-F]{1,4}";
    let last = format!("(?:{GROUP}:{GROUP}|{BYTE}(?:\\.{BYTE}){{3}})");
    let mut forms = vec![format!("(?:{GROUP}:){{6}}{last}")];
    for before in 0..=7 {
        let head = if before == 0 { String::new() } else { format!("{GROUP}(?::{GROUP}){{{}}}", before - 1) };
        let groups_after = 7 - before;
        forms.push(format!("{head}::"));
        if groups_after >= 1 {
            forms.push(format!("{head}::{GROUP}"));
        }
        if groups_after >= 2 {
            forms.push(format!("{head}::(?:{GROUP}:){{0,{}}}{last}", groups_after - 2));
        }
    }
    format!("(?:{})", forms.join("|"))
}

//! What mail clients put above the history: attribution lines, header blocks and reply prefixes, by client and language.

use std::fmt::Write as _;

use jiff::Zoned;
use jiff::tz::TimeZone;

use crate::error::{Result, SampleError};
use crate::letter::{Letter, Mailbox};
use crate::source::{Language, Style, Zone};
use crate::text::escape;

/// What stands between new text and history.
pub(crate) struct Attribution {
    pub(crate) plain: String,
    pub(crate) html: String,
}

/// The clock of `zone`.
pub(crate) fn time_zone(zone: Zone) -> Result<TimeZone> {
    let rule = match zone {
        Zone::London => "GMT0BST,M3.5.0/1,M10.5.0",
        Zone::Berlin | Zone::Paris => "CET-1CEST,M3.5.0,M10.5.0/3",
        Zone::Newyork => "EST5EDT,M3.2.0,M11.1.0",
    };
    TimeZone::posix(rule).map_err(|error| SampleError::at(rule, error.to_string()))
}

/// The prefix that the client puts before the subject of a reply.
pub(crate) fn reply_prefix(style: Style, language: Language) -> &'static str {
    match (style, language) {
        (Style::Outlook | Style::OutlookHtml, Language::De) => "AW: ",
        (Style::Outlook | Style::OutlookHtml, _) => "RE: ",
        _ => "Re: ",
    }
}

/// The prefix that the client puts before the subject of a message passed on.
pub(crate) fn forward_prefix(style: Style, language: Language) -> &'static str {
    match (style, language) {
        (Style::Outlook | Style::OutlookHtml, Language::De) => "WG: ",
        (Style::Outlook | Style::OutlookHtml, Language::Fr) => "TR: ",
        (Style::Outlook | Style::OutlookHtml, Language::En) => "FW: ",
        _ => "Fwd: ",
    }
}

/// The line or block that introduces `earlier` in a reply, at the clock of `reader`.
pub(crate) fn attribution(style: Style, language: Language, earlier: &Letter, reader: &TimeZone) -> Attribution {
    let at = earlier.sent.with_time_zone(reader.clone());
    let name = earlier.from.name.as_str();
    let email = earlier.from.email.as_str();
    let plain = match style {
        Style::Outlook | Style::OutlookHtml => return header_block(language, earlier, &at),
        Style::Gmail => match language {
            Language::En => format!("On {}, {} <{}> wrote:", at.strftime("%a, %-d %b %Y at %H:%M"), name, email),
            Language::De => format!(
                "Am {}., {}. {} {} um {} Uhr schrieb {name} <{email}>:",
                day_short(language, &at),
                at.day(),
                month_short(language, &at),
                at.year(),
                at.strftime("%H:%M")
            ),
            Language::Fr => format!(
                "Le {}. {} {} {} à {}, {name} <{email}> a écrit :",
                day_short(language, &at),
                at.day(),
                month_short(language, &at),
                at.year(),
                at.strftime("%H:%M")
            ),
        },
        Style::Iphone | Style::Apple => match language {
            Language::En => format!("On {}, {name} <{email}> wrote:", at.strftime("%-d %b %Y, at %H:%M")),
            Language::De => format!("Am {} schrieb {name} <{email}>:", at.strftime("%d.%m.%Y um %H:%M")),
            Language::Fr => format!(
                "Le {} {} {} à {}, {name} <{email}> a écrit :",
                at.day(),
                month_short(language, &at),
                at.year(),
                at.strftime("%H:%M")
            ),
        },
        Style::Thunderbird | Style::Plain => match language {
            Language::En => format!("On {}, {name} wrote:", at.strftime("%d/%m/%Y %H:%M")),
            Language::De => format!("Am {} schrieb {name}:", at.strftime("%d.%m.%y um %H:%M")),
            Language::Fr => format!("Le {}, {name} a écrit :", at.strftime("%d/%m/%Y à %H:%M")),
        },
    };
    let html = escape(&plain);
    let plain = match style {
        Style::Gmail => broken_before_address(plain),
        // Mail on a Mac quotes the line as well.
        Style::Apple => format!("> {plain}\n>"),
        _ => plain,
    };
    Attribution { plain, html }
}

/// Gmail's plain part breaks at 78 characters: long attribution lines go on in the next with the address.
fn broken_before_address(line: String) -> String {
    const LONGEST: usize = 78;
    if line.chars().count() > LONGEST { line.replace(" <", "\n<") } else { line }
}

/// The block that introduces `earlier` where it is passed on.
pub(crate) fn forward_block(style: Style, language: Language, earlier: &Letter, reader: &TimeZone) -> Attribution {
    let at = earlier.sent.with_time_zone(reader.clone());
    if matches!(style, Style::Outlook | Style::OutlookHtml) {
        return header_block(language, earlier, &at);
    }
    let first = match style {
        Style::Gmail => "---------- Forwarded message ---------",
        Style::Thunderbird | Style::Plain => "-------- Forwarded Message --------",
        _ => "Begin forwarded message:",
    };
    let plain = format!(
        "{first}\nFrom: {} <{}>\nDate: {}\nSubject: {}\nTo: {}\n",
        earlier.from.name,
        earlier.from.email,
        at.strftime("%a, %-d %b %Y at %H:%M"),
        earlier.whole_subject(),
        people(&earlier.to),
    );
    Attribution { html: escape(&plain).replace('\n', "<br>\n"), plain }
}

/// Outlook's header block.
fn header_block(language: Language, earlier: &Letter, at: &Zoned) -> Attribution {
    let [from, sent, to, cc, subject] = match language {
        Language::En => ["From:", "Sent:", "To:", "Cc:", "Subject:"],
        Language::De => ["Von:", "Gesendet:", "An:", "Cc:", "Betreff:"],
        Language::Fr => ["De :", "Envoyé :", "À :", "Cc :", "Objet :"],
    };
    let when = match language {
        Language::En => at.strftime("%d %B %Y %H:%M").to_string(),
        Language::De => format!(
            "{}, {}. {} {} {}",
            day(language, at),
            at.day(),
            month(language, at),
            at.year(),
            at.strftime("%H:%M")
        ),
        Language::Fr => {
            format!("{} {} {} {} {}", day(language, at), at.day(), month(language, at), at.year(), at.strftime("%H:%M"))
        }
    };
    let mut lines = vec![
        (from, format!("{} <{}>", earlier.from.name, earlier.from.email)),
        (sent, when),
        (to, people(&earlier.to)),
    ];
    if !earlier.cc.is_empty() {
        lines.push((cc, people(&earlier.cc)));
    }
    lines.push((subject, earlier.whole_subject()));
    let mut plain = String::from("________________________________\n");
    let mut html = String::from(
        "<div style=\"border:none;border-top:solid #E1E1E1 1.0pt;padding:3.0pt 0cm 0cm 0cm\">\n<p class=\"MsoNormal\">",
    );
    for (index, (label, value)) in lines.iter().enumerate() {
        let _ = writeln!(plain, "{label} {value}");
        let line_break = if index == 0 { "" } else { "<br>\n" };
        let _ = write!(html, "{line_break}<b>{label}</b> {}", escape(value));
    }
    html.push_str("</p>\n</div>\n");
    Attribution { plain, html }
}

fn people(mailboxes: &[Mailbox]) -> String {
    mailboxes.iter().map(|mailbox| format!("{} <{}>", mailbox.name, mailbox.email)).collect::<Vec<_>>().join("; ")
}

fn day(language: Language, at: &Zoned) -> &'static str {
    let names = match language {
        Language::En => ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"],
        Language::De => ["Montag", "Dienstag", "Mittwoch", "Donnerstag", "Freitag", "Samstag", "Sonntag"],
        Language::Fr => ["lundi", "mardi", "mercredi", "jeudi", "vendredi", "samedi", "dimanche"],
    };
    names.get(at.weekday().to_monday_zero_offset() as usize).copied().unwrap_or_default()
}

fn day_short(language: Language, at: &Zoned) -> &'static str {
    let length = if language == Language::De { 2 } else { 3 };
    day(language, at).get(..length).unwrap_or_default()
}

fn month(language: Language, at: &Zoned) -> &'static str {
    let names = match language {
        Language::En => [
            "January",
            "February",
            "March",
            "April",
            "May",
            "June",
            "July",
            "August",
            "September",
            "October",
            "November",
            "December",
        ],
        Language::De => [
            "Januar",
            "Februar",
            "März",
            "April",
            "Mai",
            "Juni",
            "Juli",
            "August",
            "September",
            "Oktober",
            "November",
            "Dezember",
        ],
        Language::Fr => [
            "janvier",
            "février",
            "mars",
            "avril",
            "mai",
            "juin",
            "juillet",
            "août",
            "septembre",
            "octobre",
            "novembre",
            "décembre",
        ],
    };
    names.get(usize::from(at.month().unsigned_abs()).saturating_sub(1)).copied().unwrap_or_default()
}

fn month_short(language: Language, at: &Zoned) -> &'static str {
    let names = match language {
        Language::En => ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"],
        Language::De => {
            ["Jan.", "Feb.", "März", "Apr.", "Mai", "Juni", "Juli", "Aug.", "Sept.", "Okt.", "Nov.", "Dez."]
        }
        Language::Fr => {
            ["janv.", "févr.", "mars", "avr.", "mai", "juin", "juil.", "août", "sept.", "oct.", "nov.", "déc."]
        }
    };
    names.get(usize::from(at.month().unsigned_abs()).saturating_sub(1)).copied().unwrap_or_default()
}

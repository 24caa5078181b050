//! What holds for every text.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

use proptest::prelude::*;
use rejoinder_domain::Address;
use rejoinder_redaction::{Form, Kind, Redactor, Session};
use serde_json::Value;

fn people() -> Vec<Address> {
    let person = |name: &str, email: &str| Address { name: name.to_owned(), email: email.to_owned() };
    vec![
        person("Anna Weber", "anna.weber@kunde.example"),
        person("Jürgen Müller-Lüdenscheidt", ""),
        person("Li, Wei", "w.li@firma.example"),
        person("王小明", ""),
        person("Will Mark", ""),
    ]
}

/// What texts are put together from: values of every kind, forms of names, things that look like placeholders, their
/// halves, and signs that come between.
const PIECES: [&str; 60] = [
    "Anna Weber",
    "Weber",
    "WEBER",
    "weber",
    "Anna",
    "annaweber",
    "Jürgen",
    "Juergen",
    "J\\u00fcrgen",
    "Müller-Lüdenscheidt",
    "Mr Li",
    "Li",
    "王小明",
    "Will",
    "anna.weber@kunde.example",
    "ANNA.WEBER@KUNDE.EXAMPLE",
    "x@y.example",
    "a&#64;b.example",
    "+49 30 1234567",
    "030/1234567",
    "(555) 010-9999",
    "DE89 3704 0044 0532 0130 00",
    "DE89370400440532013000",
    "4111 1111 1111 1111",
    "4111111111111111",
    "219-09-9999",
    "86095742719",
    "Hauptstr. 5\n10115 Berlin",
    "12 Main Street",
    "Apt. 5",
    "SW1A 1AA",
    "order no. 48213",
    "48213",
    "Kundennummer 100234",
    "100234",
    "INV-2024-001",
    "192.168.10.24",
    "born on 12 March 1980",
    "[EMAIL_1]",
    "[PERSON_1_LAST]",
    "[email_1]",
    "EMAIL_1",
    "EMAIL_",
    "EMAIL",
    "[",
    "]",
    "_1",
    "1",
    "[[",
    "【PHONE_1】",
    "[COMPANY_1]",
    "\\n",
    "\\\"",
    "\u{a0}",
    "\u{200b}",
    "\n",
    " ",
    ", ",
    "ß",
    "x",
];

fn text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        6 => proptest::sample::select(PIECES.to_vec()).prop_map(str::to_owned),
        2 => "[ ,.\n]{1,2}",
        1 => "[A-Za-zäß0-9\\[\\]_@.+-]{1,8}",
        1 => "\\PC{1,4}",
    ];
    proptest::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

fn restored(session: &Session, text: &str, form: Form, cuts: &[usize]) -> (String, u32) {
    let mut restorer = session.restorer(form);
    let (mut shown, mut rest) = (String::new(), text);
    for cut in cuts.iter().cycle() {
        if rest.is_empty() || cuts.is_empty() {
            break;
        }
        let end = (*cut + 1..rest.len()).find(|end| rest.is_char_boundary(*end)).unwrap_or(rest.len());
        shown.push_str(&restorer.push(&rest[..end]));
        rest = &rest[end..];
    }
    shown.push_str(&restorer.push(rest));
    shown.push_str(&restorer.finish());
    (shown, restorer.flagged())
}

/// The text with a sign that stands in no value in place of every placeholder.
fn without_placeholders(redacted: &str) -> String {
    let (mut left, mut rest) = (String::new(), redacted);
    while let Some(at) = rest.find('[') {
        left.push_str(&rest[..at]);
        let inner = rest[at + 1..].find(']').map(|end| &rest[at + 1..at + 1 + end]);
        let is_one = |inner: &&str| {
            inner.contains('_') && inner.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
        };
        if let Some(inner) = inner.filter(is_one) {
            left.push('\u{1}');
            rest = &rest[at + inner.len() + 2..];
        } else {
            left.push('[');
            rest = &rest[at + 1..];
        }
    }
    left + rest
}

/// Whether a value stands in a text; a short name counts only as a word.
fn stands_in(text: &str, value: &str, kind: Kind) -> bool {
    let short = kind == Kind::Person && value.chars().filter(|c| c.is_alphabetic()).count() < 5 && value.is_ascii();
    text.match_indices(value).any(|(at, _)| {
        let adjoins =
            text[..at].ends_with(char::is_alphabetic) || text[at + value.len()..].starts_with(char::is_alphabetic);
        !(short && adjoins)
    })
}

fn escaped(text: &str) -> String {
    let written = serde_json::to_string(text).unwrap();
    written[1..written.len() - 1].to_owned()
}

/// The mark of a prompt's fences is a line of sixteen such letters. Where a mark was taken for a value, its place was taken by
/// a placeholder that a mail could guess.
#[test]
fn sixteen_letters_are_no_value() {
    let mut state = 7_u64;
    for _ in 0..20_000 {
        // SplitMix64.
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut number = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let letters = b"bcdfghjklmnpqrst";
        let mark: String = (0..16).map(|place| char::from(letters[(number >> (4 * place)) as usize & 15])).collect();
        let text = format!("<<<MAIL {mark}\nInvoice no. 4821\n{mark} MAIL>>>\n\n<<<MAIL {mark}\nIBAN");
        let redacted = Redactor::default().session(&people()).redact(&text);
        assert_eq!(redacted.matches(&mark).count(), 3, "{redacted}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn what_is_redacted_comes_back(texts in proptest::collection::vec(text(), 1..4), cuts in proptest::collection::vec(0_usize..9, 1..6)) {
        let mut session = Redactor::default().session(&people());
        for text in &texts {
            session.learn(text);
        }
        for text in &texts {
            let redacted = session.redact(text);
            prop_assert_eq!(restored(&session, &redacted, Form::Text, &cuts), (text.clone(), 0), "{}", redacted);
            prop_assert_eq!(session.redact(text), redacted, "the same each time");
        }
    }

    #[test]
    fn no_value_is_left(texts in proptest::collection::vec(text(), 1..4)) {
        let redactor = Redactor::default();
        let mut texts = texts;
        let in_json = escaped(&texts[0]);
        texts.push(in_json);
        let mut session = redactor.session(&people());
        for text in &texts {
            session.learn(text);
        }
        let left: Vec<String> = texts.iter().map(|text| without_placeholders(&session.redact(text))).collect();
        for text in &texts {
            for finding in redactor.find(text, &people()).into_iter().filter(|finding| finding.kind != Kind::Literal) {
                let value = finding.span.of(text).unwrap();
                // What is escaped already is looked for once more escaped, and so on: one level is enough here.
                let forms = if value.contains('\\') { vec![value.to_owned()] } else { vec![value.to_owned(), escaped(value)] };
                for form in forms {
                    for left in &left {
                        prop_assert!(!stands_in(left, &form, finding.kind), "{:?} in {:?}", form, left);
                    }
                }
            }
        }
    }

    #[test]
    fn json_comes_back(texts in proptest::collection::vec(text(), 0..4), cuts in proptest::collection::vec(0_usize..9, 1..6)) {
        let value = Value::Array(texts.into_iter().map(Value::String).collect());
        let mut session = Redactor::default().session(&people());
        let written = serde_json::to_string(&session.redact_json(&value).unwrap()).unwrap();
        let (json, _) = restored(&session, &written, Form::Json, &cuts);
        prop_assert_eq!(serde_json::from_str::<Value>(&json).unwrap(), value, "{}", written);
    }

    #[test]
    fn every_answer_is_shown_the_same_however_it_is_split(answer in text(), cuts in proptest::collection::vec(0_usize..5, 1..6)) {
        let mut session = Redactor::default().session(&people());
        session.redact("Anna Weber +49 30 1234567 anna.weber@kunde.example");
        let whole = restored(&session, &answer, Form::Text, &[usize::MAX - 1]);
        prop_assert_eq!(&restored(&session, &answer, Form::Text, &cuts), &whole);
        prop_assert_eq!(&restored(&session, &answer, Form::Text, &[0]), &whole);
    }

    #[test]
    fn findings_are_exact_in_order_and_apart(text in text()) {
        let mut last = 0;
        for finding in Redactor::default().find(&text, &people()) {
            prop_assert!(finding.span.start() >= last);
            prop_assert!(finding.span.of(&text).is_some_and(|quote| !quote.is_empty()));
            last = finding.span.end();
        }
    }
}

#[test]
fn hostile_long_texts_end() {
    // Where anything took time that grows with the square of the text, this would take very long.
    let pieces = [
        "1",
        "1 ",
        "12-",
        "+",
        "(",
        "4111 ",
        "a@",
        "@",
        "a.",
        "@a.",
        "DE89",
        "DE89 ",
        "[",
        "[EMAIL",
        "[EMAIL_1",
        "[A_",
        "E",
        "EMAIL_",
        "A",
        "a",
        "Weber ",
        "A. ",
        "Anna ",
        "Anna,",
        "Li",
        "street ",
        "Straße ",
        "St. ",
        "rue de ",
        "rue ",
        "12 Main ",
        "Apt. ",
        "Apt. 1 ",
        "10115 Berlin, ",
        "Box 1 ",
        "order ",
        "order no ",
        "born ",
        "tel ",
        "tel 1 ",
        "&#",
        "&#1;",
        "\\u00",
        "\\n",
        "%40",
        "\u{200b}",
        "\u{ad}1",
        "٤",
        "ß",
        "王",
        "\n",
        "and ",
        "corner of ",
        "::",
        "1.",
        "1:",
        "a-",
        "O'",
        "'s ",
        "??? ",
        "New ",
        "\u{301}",
    ];
    let redactor = Redactor::default();
    for piece in pieces {
        let text = piece.repeat((1 << 18) / piece.len());
        let mut session = redactor.session(&people());
        let redacted = session.redact(&text);
        assert_eq!(session.restore(&redacted), text, "{piece:?}");
    }
}

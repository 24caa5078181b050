//! What holds for any input: segments cover the text, nothing panics, time grows with size.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::time::{Duration, Instant};

use proptest::prelude::*;
use rejoinder_domain::Segment;
use rejoinder_mail::{Limits, clean, html, parse_rfc5322};

/// Lines of the kinds that the cleaner looks for, and anything else.
fn line() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        Just("> quoted".to_owned()),
        Just(">> deep >".to_owned()),
        Just("On Mon, Mar 4, 2024 at 9:00 AM Anna Weber <anna@weber.example> wrote:".to_owned()),
        Just("Am 04.03.2024 um 09:00 schrieb Anna Weber:".to_owned()),
        Just("On Mon, Mar 4, 2024 at 9:00 AM Anna".to_owned()),
        Just("-----Original Message-----".to_owned()),
        Just("From: Anna Weber".to_owned()),
        Just("Sent: Monday, March 4, 2024 9:00 AM".to_owned()),
        Just("To: Tom".to_owned()),
        Just("Subject: Invoice".to_owned()),
        Just("---------- Forwarded message ---------".to_owned()),
        Just("-- ".to_owned()),
        Just("Best regards,".to_owned()),
        Just("Anna Weber".to_owned()),
        Just("Tel. +49 30 1234567".to_owned()),
        Just("________________________________".to_owned()),
        Just("users mailing list".to_owned()),
        Just("This message is confidential and intended only for the addressee.".to_owned()),
        Just("Sent from my iPhone".to_owned()),
        "\\PC{0,60}",
        "[ -~äöü>\\t\\r\u{200b}]{0,80}",
    ]
}

fn assert_partition(text: &str, segments: &[Segment]) {
    let mut at = 0;
    for segment in segments {
        assert_eq!(segment.span.start(), at, "a gap or an overlap");
        assert!(!segment.span.is_empty());
        assert!(segment.span.of(text).is_some(), "a character is split");
        at = segment.span.end();
    }
    assert_eq!(at, text.len());
    assert!(segments.windows(2).all(|pair| pair[0].kind != pair[1].kind), "neighbours of one kind are not merged");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn segments_cover_any_text(lines in prop::collection::vec(line(), 0..40), end in any::<bool>()) {
        let mut text = lines.join("\n");
        if end {
            text.push('\n');
        }
        assert_partition(&text, &clean::segments(&text));
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        let _ = parse_rfc5322(&bytes, &Limits::default());
        let mut mail = b"Subject: =?utf-8?B?w6Q=?=\nContent-Type: multipart/mixed; boundary=b\n\n--b\n".to_vec();
        mail.extend_from_slice(&bytes);
        let (message, _) = parse_rfc5322(&mail, &Limits::default()).unwrap();
        assert_partition(&message.body.text, &message.body.segments);
    }

    #[test]
    fn any_header_is_read(value in "[ -~\\n\\t<>=?@;,:\"()äß]{0,300}") {
        for name in ["From", "To", "Subject", "Date", "References", "Content-Type", "Content-Disposition", "Received"] {
            let mail = format!("X: y\nMIME-Version: 1.0\n{name}: {value}\n\nbody\n");
            let _ = parse_rfc5322(mail.as_bytes(), &Limits::default());
        }
    }

    #[test]
    fn any_page_is_rendered(page in "(<[/!?]?[a-z]{0,10}[ =\"'a-z:#;-]{0,12}>?|&[a-z#0-9]{0,6};?|[ -~ä\\n]{0,8}){0,60}") {
        let _ = html::to_text(&page);
    }
}

/// Runs `work` on inputs of one and of eight times the size: the time must not grow much faster.
fn grows_linearly(name: &str, work: impl Fn(usize)) {
    let time = |size| {
        (0..3)
            .map(|_| {
                let started = Instant::now();
                work(size);
                started.elapsed()
            })
            .min()
            .unwrap()
    };
    let (small, large) = (time(1).max(Duration::from_millis(2)), time(8));
    println!("{name}: {small:?} and {large:?}");
    // Other work on the machine disturbs short times: what is quadratic is both slow and eight times slower than it should.
    assert!(large < small * 40 || large < Duration::from_secs(3), "{name}: {small:?} became {large:?}");
}

#[test]
fn hostile_input_costs_time_in_proportion() {
    let limits = Limits::default();
    let parse = |raw: String| drop(parse_rfc5322(raw.as_bytes(), &limits));
    let head = "Subject: x\nContent-Type: multipart/mixed; boundary=a\n\n";
    grows_linearly("parts that open multiparts without their boundary", |size| {
        parse(format!("{head}{}", "--a\nContent-Type: multipart/mixed; boundary=zz\n\nx\n".repeat(size * 2000)));
    });
    grows_linearly("messages in messages", |size| {
        parse(format!("Subject: x\n{}", "Content-Type: message/rfc822\n\n".repeat(size * 5000)));
    });
    grows_linearly("lines that look like boundaries", |size| {
        parse(format!("{head}{}", "--ab\n--b\n--\n".repeat(size * 20_000)));
    });
    grows_linearly("encoded words without an end", |size| {
        parse(format!("Subject: {}\n\nx", "=?a?q?".repeat(size * 5000)));
    });
    grows_linearly("addresses", |size| parse(format!("To: {}\n\nx", "(a <b,\"".repeat(size * 5000))));
    grows_linearly("attributions that do not end", |size| {
        drop(clean::segments(&"On Mon, 4 Mar 2024 9:00 Anna\n".repeat(size * 2000)));
    });
    grows_linearly("header blocks without a sender", |size| {
        drop(clean::segments(&"To: x\nSubject: y\n".repeat(size * 2000)));
    });
    grows_linearly("footers", |size| drop(clean::segments(&"_____________\nusers mailing list\n".repeat(size * 2000))));
    grows_linearly("quotes", |size| drop(clean::segments(&"> a\nb\n".repeat(size * 10_000))));
    grows_linearly("closings", |size| drop(clean::segments(&"Best regards,\nAnna\n".repeat(size * 4000))));
    grows_linearly("one long line", |size| drop(clean::segments(&"wrote: confidential intended ".repeat(size * 4000))));
    grows_linearly("tags", |size| drop(html::to_text(&"<div><blockquote><a href='x'>y".repeat(size * 3000))));
    grows_linearly("broken tags", |size| drop(html::to_text(&"<a b=\"".repeat(size * 10_000))));
    grows_linearly("scripts without an end", |size| drop(html::to_text(&"<script></x".repeat(size * 3000))));
}

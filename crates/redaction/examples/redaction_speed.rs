//! How long redaction takes: `cargo run -p rejoinder-redaction --example redaction_speed [FILE]`.
//!
//! Reads a text file, or makes a prompt of 12 KB as a support desk sends it, and prints the time of each step: learning and
//! redacting with a new session as every request has one, and restoring in parts of four bytes.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a measurement ends with the first error")]

use std::time::{Duration, Instant};

use rejoinder_domain::Address;
use rejoinder_redaction::{Form, Redactor};

const ROUNDS: usize = 200;

const MAIL: &str = "From: Anna Weber <anna.weber@kunde.example>\nTo: support@firma.example\n\nGuten Tag Herr Schmidt,\n\n\
meine Bestellung 4711-889021 vom 12.03.2024 ist noch nicht angekommen, obwohl der Betrag von 1.249,00 EUR am 14.03. von \
meinem Konto DE89 3704 0044 0532 0130 00 abgebucht wurde. Sie erreichen mich unter +49 30 1234567 oder 0171/2345678. Bitte \
senden Sie die Ware an Hauptstraße 12a, 10115 Berlin. I also asked your colleague Peter O'Neill last week whether the \
parcel (tracking number 1Z999AA10123456784) had left the warehouse, and he told me that the carrier would call within two \
days, which did not happen. We have been customers for eleven years and would be sorry to leave.\n\nMit freundlichen \
Grüßen\nAnna Weber\nKundennummer: K-100234\n\n";

fn main() {
    let text = match std::env::args().nth(1) {
        Some(path) => std::fs::read_to_string(path).expect("a text file"),
        None => MAIL.chars().cycle().take(12 * 1024).collect(),
    };
    let person = |name: &str, email: &str| Address { name: name.to_owned(), email: email.to_owned() };
    let people = [
        person("Anna Weber", "anna.weber@kunde.example"),
        person("Schmidt, Jürgen", "j.schmidt@firma.example"),
        person("Peter O'Neill", ""),
        person("Support", "support@firma.example"),
    ];
    let redactor = Redactor::default();
    redactor.find(&text, &people);
    let (mut find, mut redact, mut restore) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let started = Instant::now();
        let found = redactor.find(&text, &people);
        find.push(started.elapsed());
        let started = Instant::now();
        let mut session = redactor.session(&people);
        session.learn(&text);
        let redacted = session.redact(&text);
        redact.push(started.elapsed());
        let started = Instant::now();
        let mut restorer = session.restorer(Form::Text);
        let mut shown = String::new();
        let mut rest = redacted.as_str();
        while !rest.is_empty() {
            let end = (4..rest.len()).find(|end| rest.is_char_boundary(*end)).unwrap_or(rest.len());
            let (part, after) = rest.split_at(end);
            shown.push_str(&restorer.push(part));
            rest = after;
        }
        shown.push_str(&restorer.finish());
        restore.push(started.elapsed());
        assert_eq!(shown, text, "what was redacted comes back");
        assert!(!found.is_empty() || redacted == text, "nothing found, nothing replaced");
    }
    println!("{} bytes, {ROUNDS} rounds", text.len());
    for (step, times) in [("find", &mut find), ("learn and redact", &mut redact), ("restore in parts", &mut restore)] {
        print(step, times, text.len());
    }
}

fn print(step: &str, times: &mut [Duration], bytes: usize) {
    times.sort();
    let at = |share: usize| times.get(times.len() * share / 100).copied().unwrap_or_default().as_secs_f64();
    let speed = bytes as f64 / at(50).max(1e-9) / 1e6;
    println!("{step:<18} p50 {:.3} ms, p99 {:.3} ms, {speed:.0} MB/s", at(50) * 1e3, at(99) * 1e3);
}

//! Fixtures of several projects that strip quotes and signatures: how often our new text is what a person would keep.
//!
//! `replies_gold.tsv` was made by reading the fixtures: for a text file the lines that are new (`1-3,8`), for a page or a
//! message the SHA-256 (first 16 digits) of its new text without white space. It holds none of their text.

use std::path::Path;

use rejoinder_domain::{Segment, SegmentKind};
use rejoinder_mail::{Limits, clean, html, parse_rfc5322};
use sha2::{Digest, Sha256};

use crate::{corpus, unpacked_tar, verbose};

/// Line numbers, from 1, of lines with text that are new.
fn new_lines(text: &str, segments: &[Segment]) -> Vec<usize> {
    let mut numbers = Vec::new();
    let mut at = 0;
    for (index, line) in text.split_inclusive('\n').enumerate() {
        let kind = segments.iter().find(|segment| segment.span.end() > at).map(|segment| segment.kind);
        if kind == Some(SegmentKind::New) && !line.trim().is_empty() {
            numbers.push(index + 1);
        }
        at += line.len();
    }
    numbers
}

/// Reads `1-3,8`, leaving out blank lines.
fn gold_lines(ranges: &str, text: &str) -> Vec<usize> {
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let numbers = ranges.split(',').filter(|range| !range.is_empty() && *range != "none").flat_map(|range| {
        let (from, to) = range.split_once('-').unwrap_or((range, range));
        from.parse::<usize>().unwrap()..=to.parse::<usize>().unwrap()
    });
    numbers.filter(|&number| lines.get(number - 1).is_some_and(|line| !line.trim().is_empty())).collect()
}

fn digest(text: &str) -> String {
    let bare: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    Sha256::digest(bare.as_bytes()).iter().take(8).fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

/// The new text of a page or a message.
fn new_text(path: &Path, raw: &[u8]) -> String {
    if path.extension().is_some_and(|extension| extension == "html") {
        let text = html::to_text(&String::from_utf8_lossy(raw));
        let new = clean::segments(&text).into_iter().filter(|segment| segment.kind == SegmentKind::New);
        return new.map(|segment| segment.span.of(&text).unwrap()).collect();
    }
    let (message, _) = parse_rfc5322(raw, &Limits::default())
        .unwrap_or_else(|skipped| panic!("{}: {}", path.display(), skipped.reason));
    rejoinder_mail::reply_text(&message)
}

#[test]
fn new_text_is_what_a_person_would_keep() {
    let Some(corpus) = corpus() else { return };
    let folder = unpacked_tar(&corpus.join("reply-parsing/fixtures.tar.zst"));
    let gold = include_str!("replies_gold.tsv");
    let (mut right, mut all) = (0usize, 0usize);
    let mut wrong = Vec::new();
    for line in gold.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let (name, expected) = line.split_once('\t').unwrap();
        let path = folder.path().join(name);
        let raw = std::fs::read(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
        let agrees = if path.extension().is_some_and(|extension| extension == "txt") {
            let text = String::from_utf8_lossy(&raw);
            new_lines(&text, &clean::segments(&text)) == gold_lines(expected, &text)
        } else {
            let new = new_text(&path, &raw);
            if verbose() && digest(&new) != expected {
                println!("{name} {}\n{new}\n----", digest(&new));
            }
            digest(&new) == expected
        };
        all += 1;
        right += usize::from(agrees);
        if !agrees {
            wrong.push(name);
        }
    }
    let rate = right as f64 / all as f64;
    println!("new text agrees in {right} of {all} fixtures ({:.1} %); not in {wrong:#?}", rate * 100.0);
    assert!(all >= 90, "{all} fixtures");
    assert!(rate >= 0.93);
}

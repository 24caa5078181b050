//! Mail that is made to cost: each costs memory in proportion to its own size, and says what was left out.
//!
//! Memory is that of a process of its own, this test executable started again with [`CASE`] in its environment.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

use std::fmt::Write as _;
use std::process::Command;

use rejoinder_mail::{Limits, parse_rfc5322};

const CASE: &str = "REJOINDER_TEST_HOSTILE";

const HEAD: &str = "From: a@b.example\nSubject: x\nMIME-Version: 1.0\n";

/// What of a case is expected, and how much memory it may take beyond its own bytes.
struct Case {
    name: &'static str,
    raw: fn() -> Vec<u8>,
    check: fn(&rejoinder_domain::Message, &[rejoinder_domain::Skipped]),
    /// Times its own size.
    times: u64,
}

const CASES: [Case; 7] = [
    Case { name: "messages in messages", raw: nested_messages, check: says_nested, times: 6 },
    Case { name: "multiparts in multiparts", raw: nested_multiparts, check: says_nested, times: 6 },
    Case { name: "encoded messages in encoded messages", raw: encoded_messages, check: says_nested, times: 8 },
    Case { name: "a large attachment", raw: large_attachment, check: holds_no_text, times: 4 },
    Case { name: "a compressed bomb", raw: compressed_bomb, check: holds_no_text, times: 6 },
    Case { name: "many parts", raw: many_parts, check: says_parts, times: 10 },
    Case { name: "tags in tags", raw: nested_tags, check: |_, _| {}, times: 20 },
];

fn nested_messages() -> Vec<u8> {
    let mut raw = String::new();
    for _ in 0..200_000 {
        raw.push_str("Subject: x\nContent-Type: message/rfc822\n\n");
    }
    raw.push_str("Subject: the last\n\ntext\n");
    raw.into_bytes()
}

fn nested_multiparts() -> Vec<u8> {
    let mut raw = HEAD.to_owned();
    for depth in 0..50_000 {
        write!(raw, "Content-Type: multipart/mixed; boundary=\"b{depth}\"\n\n--b{depth}\n").unwrap();
    }
    raw.push_str("\ntext\n");
    raw.into_bytes()
}

fn encoded_messages() -> Vec<u8> {
    let mut inner = format!("{HEAD}\n{}", "text ".repeat(200_000)).into_bytes();
    for _ in 0..8 {
        let head = format!("{HEAD}Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\n");
        inner = [head.as_bytes(), &base64(&inner)].concat();
    }
    inner
}

fn large_attachment() -> Vec<u8> {
    let head = format!(
        "{HEAD}Content-Type: application/octet-stream; name=\"a.bin\"\nContent-Transfer-Encoding: base64\n\
         Content-Disposition: attachment\n\n"
    );
    [head.as_bytes(), &base64(&vec![0x55; 45 << 20])].concat()
}

/// Half a gigabyte of zeros in some kilobytes.
fn compressed_bomb() -> Vec<u8> {
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 3).unwrap();
    let zeros = vec![0; 1 << 20];
    for _ in 0..512 {
        std::io::Write::write_all(&mut encoder, &zeros).unwrap();
    }
    let packed = encoder.finish().unwrap();
    let mut raw = format!("{HEAD}Content-Type: multipart/mixed; boundary=b\n\n").into_bytes();
    for name in ["a.zst", "a.zip", "a.gz"] {
        let head = format!(
            "--b\nContent-Type: application/zip; name=\"{name}\"\nContent-Transfer-Encoding: base64\n\
             Content-Disposition: attachment; filename=\"{name}\"\n\n"
        );
        raw.extend_from_slice(head.as_bytes());
        raw.extend_from_slice(&base64(&packed));
        raw.push(b'\n');
    }
    raw.extend_from_slice(b"--b--\n");
    raw
}

fn many_parts() -> Vec<u8> {
    let mut raw = format!("{HEAD}Content-Type: multipart/mixed; boundary=b\n\n");
    for _ in 0..100_000 {
        raw.push_str("--b\nContent-Type: text/plain; name=x.txt\n\nx\n");
    }
    raw.into_bytes()
}

fn nested_tags() -> Vec<u8> {
    format!("{HEAD}Content-Type: text/html\n\n{}text", "<div><b><table><tr><td>".repeat(100_000)).into_bytes()
}

fn says_nested(_: &rejoinder_domain::Message, losses: &[rejoinder_domain::Skipped]) {
    assert!(losses.iter().any(|loss| loss.reason.contains("nested more than")), "{losses:?}");
}

fn says_parts(message: &rejoinder_domain::Message, losses: &[rejoinder_domain::Skipped]) {
    assert!(losses.iter().any(|loss| loss.reason.contains("parts")), "{losses:?}");
    assert!(message.attachments.len() <= Limits::default().max_parts);
}

fn holds_no_text(message: &rejoinder_domain::Message, _: &[rejoinder_domain::Skipped]) {
    assert!(!message.attachments.is_empty());
    for attachment in &message.attachments {
        assert!(attachment.text.is_none() && attachment.bytes > 1000, "{attachment:?}");
    }
}

fn base64(bytes: &[u8]) -> Vec<u8> {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = Vec::with_capacity(bytes.len() * 4 / 3 + bytes.len() / 50);
    for (count, chunk) in bytes.chunks(3).enumerate() {
        let word = chunk.iter().fold(0_u32, |word, &byte| word << 8 | u32::from(byte)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let digit = if place <= chunk.len() { DIGITS[(word >> (18 - 6 * place)) as usize & 63] } else { b'=' };
            out.push(digit);
        }
        if count % 19 == 18 {
            out.push(b'\n');
        }
    }
    out
}

/// The most memory that this process held, in bytes (`VmHWM`, proc(5)).
#[cfg(target_os = "linux")]
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.split_whitespace().next().unwrap().parse::<u64>().unwrap() * 1024
}

/// The part of the started process. Not a test: without the environment it does nothing.
#[test]
#[cfg(target_os = "linux")]
fn child_of_the_cases() {
    let Ok(name) = std::env::var(CASE) else { return };
    let case = CASES.iter().find(|case| case.name == name).unwrap();
    let raw = (case.raw)();
    let size = raw.len() as u64;
    assert!(size < Limits::default().max_item_bytes);
    // From here on: what making the mail took does not count (clear_refs, proc(5)).
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    let before = peak();
    let (message, losses) = parse_rfc5322(&raw, &Limits::default()).unwrap();
    let taken = peak() - before;
    (case.check)(&message, &losses);
    println!("{name}: {} KB take {} KB", size >> 10, taken >> 10);
    let most = size * case.times + (16 << 20);
    assert!(taken <= most, "{name}: {size} bytes took {taken} of memory");
}

#[test]
#[cfg(target_os = "linux")]
fn hostile_mail_costs_memory_in_proportion_to_its_size() {
    for case in &CASES {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child_of_the_cases", "--nocapture"])
            .env(CASE, case.name)
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&child.stdout);
        assert!(child.status.success(), "{}: {told}{}", case.name, String::from_utf8_lossy(&child.stderr));
        println!("{}", told.lines().find(|line| line.contains(" take ")).unwrap_or_default());
    }
}

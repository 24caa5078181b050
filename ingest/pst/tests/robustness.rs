//! Damage of every kind: whatever the bytes, reading ends, within a bounded amount of work, without a panic.

#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::io::Cursor;

use rejoinder_pst::{Inspection, OpenOptions, PstFile, inspect_file};
use rejoinder_pst_writer::{
    AttachmentSpec, Encoding, Format, HtmlBody, MessageSpec, Person, PstWriter, Recipient, RecipientKind, RtfBody,
    WriterOptions,
};

/// A small file with one of everything.
fn sample(format: Format, encoding: Encoding) -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sample.pst");
    let mut writer = PstWriter::create(&path, WriterOptions { format, encoding, ..WriterOptions::default() }).unwrap();
    let inbox = writer.folder(writer.top(), "Inbox").unwrap();
    for number in 0..6 {
        let inner = MessageSpec { subject: "Inner".into(), text: Some("inner".into()), ..MessageSpec::default() };
        let spec = MessageSpec {
            subject: format!("Message {number}"),
            subject_prefix: "RE: ".into(),
            sender: Some(Person::smtp("Anna", "anna@weber.example")),
            recipients: vec![Recipient::new(RecipientKind::To, Person::smtp("Bernd", "bernd@firm.example"))],
            text: Some("text ".repeat(100)),
            html: Some(HtmlBody { bytes: b"<p>html</p>".repeat(900), code_page: 65001 }),
            rtf: Some(RtfBody::Compressed(b"{\\rtf1\\ansi text\\par}".to_vec())),
            attachments: vec![
                AttachmentSpec::file("a.bin", "application/octet-stream", vec![number; 20_000]),
                AttachmentSpec::message(inner),
            ],
            ..MessageSpec::default()
        };
        writer.message(inbox, &spec).unwrap();
    }
    writer.finish().unwrap();
    std::fs::read(&path).unwrap()
}

/// Work may exceed the file's size by the amplification limit and one item's worth; no clock is asked.
fn inspect_bytes(bytes: &[u8]) -> Option<Inspection> {
    let options = OpenOptions { max_property_bytes: 1 << 20, max_attachment_bytes: 1 << 20, ..OpenOptions::default() };
    let mut file = PstFile::from_reader(Cursor::new(bytes), options.clone()).ok()?;
    let found = inspect_file(&mut file);
    let bound = options.max_read_amplification * bytes.len() as u64 + (256 << 20);
    assert!(file.work_bytes() <= bound, "{} bytes of work", file.work_bytes());
    Some(found)
}

/// xorshift64*: the same damage in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % bound
    }
}

fn samples() -> Vec<Vec<u8>> {
    vec![
        sample(Format::Unicode, Encoding::None),
        sample(Format::Unicode, Encoding::Permute),
        sample(Format::Ansi, Encoding::None),
        sample(Format::Ansi, Encoding::Cyclic),
    ]
}

#[test]
fn truncated_files_end_without_a_panic() {
    for bytes in samples() {
        let whole = inspect_bytes(&bytes).unwrap();
        assert_eq!((whole.items.total(), whole.attachments, whole.embedded), (6, 12, 6));
        assert!(whole.problems.is_empty(), "{:?}", whole.problems);
        for length in (0..bytes.len()).step_by(977).chain([1, 4, 12, 500, 511, 512, 563, 564]) {
            inspect_bytes(&bytes[..length]);
        }
    }
}

#[test]
fn single_flipped_bits_end_without_a_panic() {
    let mut random = Random(7);
    for bytes in samples() {
        // Only places that hold something: a flip among zeros between blocks tests nothing.
        let used: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at] != 0).collect();
        let mut damaged = bytes.clone();
        for _ in 0..1500 {
            let at = used[random.below(used.len())];
            damaged[at] = bytes[at] ^ (1 << random.below(8));
            inspect_bytes(&damaged);
            damaged[at] = bytes[at];
        }
    }
}

#[test]
fn random_blocks_end_without_a_panic() {
    let mut random = Random(11);
    for bytes in samples() {
        for _ in 0..300 {
            let mut damaged = bytes.clone();
            for _ in 0..=random.below(4) {
                let start = 512 + random.below(bytes.len() - 1024);
                let length = [1, 2, 4, 16, 64, 512][random.below(6)];
                match random.below(3) {
                    0 => damaged[start..start + length].fill(0xff),
                    1 => damaged[start..start + length].fill(0),
                    _ => {
                        for byte in &mut damaged[start..start + length] {
                            *byte = random.below(256) as u8;
                        }
                    }
                }
            }
            inspect_bytes(&damaged);
        }
    }
}

/// Bytes that were damaged before their checksum was taken: nothing but the structure's own checks stands in the way.
#[test]
fn damage_under_a_right_checksum_ends_without_a_panic() {
    let mut random = Random(13);
    let options = || OpenOptions { verify_crc: false, max_property_bytes: 1 << 20, ..OpenOptions::default() };
    for bytes in [sample(Format::Unicode, Encoding::None), sample(Format::Ansi, Encoding::None)] {
        let used: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at] != 0).collect();
        for _ in 0..2500 {
            let mut damaged = bytes.clone();
            for _ in 0..=random.below(6) {
                damaged[used[random.below(used.len())]] =
                    [0, 1, 0x7f, 0x80, 0xff, random.below(256) as u8][random.below(6)];
            }
            if let Ok(mut file) = PstFile::from_reader(Cursor::new(damaged.as_slice()), options()) {
                inspect_file(&mut file);
                assert!(file.work_bytes() <= 16 * bytes.len() as u64 + (256 << 20));
            }
        }
    }
}

/// How much of a damaged file is still read: the promise is "that item", not "that file".
#[test]
fn a_few_bad_bytes_cost_few_items() {
    let mut random = Random(17);
    let bytes = sample(Format::Unicode, Encoding::Permute);
    let used: Vec<usize> = (600..bytes.len()).filter(|at| bytes[*at] != 0).collect();
    let (mut read, mut expected) = (0, 0);
    for _ in 0..400 {
        let mut damaged = bytes.clone();
        damaged[used[random.below(used.len())]] ^= 0x10;
        read += inspect_bytes(&damaged).map_or(0, |found| found.items.total());
        expected += 6;
    }
    assert!(read * 100 >= expected * 98, "{read} of {expected} items");
}

//! Other people's tools read what this crate writes. Without them these tests say so and check nothing.

use std::path::Path;
use std::process::Command;

use rejoinder_pst_writer::{
    AttachmentContent, AttachmentSpec, Encoding, FileTime, Format, HtmlBody, MessageSpec, PS_PUBLIC_STRINGS,
    PSETID_APPOINTMENT, PSETID_COMMON, Person, PropertyId, PropertyValue, PstWriter, Recipient, RecipientKind, RtfBody,
    WriterOptions,
};

const FORMATS: [Format; 3] = [Format::Unicode, Format::Ansi, Format::Ansi14];
const ENCODINGS: [Encoding; 3] = [Encoding::None, Encoding::Permute, Encoding::Cyclic];

/// Bytes that are neither constant nor periodic within a block.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x2545_F491_u32;
    let step = |_| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as u8
    };
    (0..length).map(step).collect()
}

fn letter() -> MessageSpec {
    MessageSpec {
        subject_prefix: "RE: ".into(),
        subject: "Überweisung für Mai".into(),
        sender: Some(Person::smtp("Jürgen Groß", "juergen@gross.example")),
        recipients: vec![
            Recipient::new(RecipientKind::To, Person::smtp("Accounts", "accounts@firm.example")),
            Recipient::new(RecipientKind::Cc, Person::exchange("Anna Weber", "/o=firm/cn=anna", "anna@firm.example")),
        ],
        submit_time: Some(FileTime::from_unix_seconds(1_700_000_000)),
        delivery_time: Some(FileTime::from_unix_seconds(1_700_000_060)),
        message_id: Some("<one@gross.example>".into()),
        in_reply_to: Some("<zero@firm.example>".into()),
        references: Some("<zero@firm.example>".into()),
        conversation_topic: Some("Überweisung für Mai".into()),
        conversation_index: Some([vec![1], vec![7; 21]].concat()),
        text: Some("Sehr geehrte Frau Weber,\r\n\r\ndie Überweisung ist unterwegs.\r\n".into()),
        html: Some(HtmlBody { bytes: "<html><body><p>Die Überweisung</p></body></html>".into(), code_page: 65001 }),
        properties: vec![
            (PropertyId::Named { set: PS_PUBLIC_STRINGS, name: "X-Ticket".into() }, PropertyValue::Text("T-1".into())),
            (PropertyId::Numbered { set: PSETID_COMMON, number: 0x8580 }, PropertyValue::Text("SMTP".into())),
            (
                PropertyId::Named { set: PS_PUBLIC_STRINGS, name: "Keywords".into() },
                PropertyValue::Texts(vec!["Rechnung".into(), "Mai".into()]),
            ),
        ],
        ..MessageSpec::default()
    }
}

fn with_attachments() -> MessageSpec {
    MessageSpec {
        subject: "Four attachments".into(),
        sender: Some(Person::smtp("Anna Weber", "anna@firm.example")),
        text: Some("long body ".repeat(2000)),
        rtf: Some(RtfBody::Compressed(b"{\\rtf1\\ansi\\ansicpg1252 Four attachments\\par}".to_vec())),
        attachments: vec![
            AttachmentSpec::file("small.txt", "text/plain", b"a few bytes".to_vec()),
            AttachmentSpec::file("a rather long name.bin", "application/octet-stream", noise(9_000_000)),
            AttachmentSpec::message(MessageSpec {
                subject: "The inner message".into(),
                text: Some("inner body".into()),
                attachments: vec![AttachmentSpec::file("inner.bin", "application/octet-stream", noise(20_000))],
                ..letter()
            }),
            AttachmentSpec::new(AttachmentContent::Ole(noise(5000))),
            AttachmentSpec::new(AttachmentContent::ByReference("\\\\server\\share\\file.doc".into())),
        ],
        ..MessageSpec::default()
    }
}

fn appointment() -> MessageSpec {
    let at = |number| PropertyId::Numbered { set: PSETID_APPOINTMENT, number };
    MessageSpec {
        message_class: "IPM.Appointment".into(),
        subject: "Year-end meeting".into(),
        text: Some("Bring the figures.".into()),
        properties: vec![
            (at(0x820D), PropertyValue::Time(FileTime::from_unix_seconds(1_702_000_000))),
            (at(0x820E), PropertyValue::Time(FileTime::from_unix_seconds(1_702_003_600))),
            (at(0x8208), PropertyValue::Text("Room 4".into())),
        ],
        ..MessageSpec::default()
    }
}

/// A file with everything, and more rows in one folder than fit into a heap.
fn write(path: &Path, format: Format, encoding: Encoding) {
    let options = WriterOptions {
        format,
        encoding,
        owner: Some(Person::smtp("Accounts", "accounts@firm.example")),
        ..WriterOptions::default()
    };
    let mut writer = PstWriter::create(path, options).unwrap();
    let inbox = writer.folder(writer.top(), "Inbox").unwrap();
    let sent = writer.folder(writer.top(), "Sent Items").unwrap();
    let calendar = writer.folder_of_class(writer.top(), "Calendar", "IPF.Appointment").unwrap();
    let many = writer.folder(inbox, "Many").unwrap();
    writer.set_sent_items(sent).unwrap();
    writer.message(inbox, &letter()).unwrap();
    writer.message(inbox, &with_attachments()).unwrap();
    writer.message(calendar, &appointment()).unwrap();
    let settings = MessageSpec { message_class: "IPM.Configuration.Test".into(), ..MessageSpec::default() };
    writer.associated_message(inbox, &settings).unwrap();
    for number in 0..MANY {
        let subject = format!("Number {number:04}");
        let spec = MessageSpec { text: Some(format!("Body of {subject}")), subject, ..letter() };
        writer.message(many, &spec).unwrap();
    }
    let written = writer.finish().unwrap();
    assert_eq!(written.bytes, std::fs::metadata(path).unwrap().len());
}

const MANY: usize = 1500;

fn is_installed(tool: &str) -> bool {
    let found = Command::new(tool).arg("-V").output().is_ok();
    if !found {
        eprintln!("SKIPPED: {tool} is not installed, so nothing was checked with it");
    }
    found
}

#[test]
fn readpst_reads_every_format_and_encoding() {
    if !is_installed("readpst") {
        return;
    }
    for format in FORMATS {
        for encoding in ENCODINGS {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("all.pst");
            write(&path, format, encoding);
            let output = Command::new("readpst")
                .args(["-D", "-r", "-j", "0", "-o"])
                .arg(directory.path())
                .arg(&path)
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{format:?} {encoding:?}: {said}");
            assert!(said.contains(&format!("\"Many\" - {MANY} items done, 0 items skipped")), "{said}");
            let top = directory.path().join("Mailbox");
            let inbox = std::fs::read(top.join("Inbox/mbox")).unwrap();
            let inbox = String::from_utf8_lossy(&inbox);
            println!("{said}");
            for expected in [
                "Subject: Four attachments",
                "The inner message",
                "inner body",
                "small.txt",
                "a rather long name.bin",
                "Message-Id: <one@gross.example>",
            ] {
                assert!(inbox.contains(expected), "{format:?} {encoding:?}: no {expected}");
            }
            let many = std::fs::read(top.join("Inbox/Many/mbox")).unwrap();
            let many = String::from_utf8_lossy(&many);
            for number in 0..MANY {
                assert!(many.contains(&format!("Number {number:04}")), "{format:?} {encoding:?}: no {number}");
                assert!(
                    many.contains(&format!("Body of Number {number:04}")),
                    "{format:?} {encoding:?}: no body {number}"
                );
            }
        }
    }
}

//! Messages and files that the tests share.

use std::path::Path;

use rejoinder_pst_writer::{
    AttachmentContent, AttachmentSpec, Encoding, FileTime, Format, HtmlBody, MessageSpec, PS_PUBLIC_STRINGS,
    PSETID_APPOINTMENT, PSETID_COMMON, Person, PropertyId, PropertyValue, PstWriter, Recipient, RecipientKind, RtfBody,
    WriterOptions,
};

/// Every format.
pub(crate) const FORMATS: [Format; 3] = [Format::Unicode, Format::Ansi, Format::Ansi14];
/// Every encoding.
pub(crate) const ENCODINGS: [Encoding; 3] = [Encoding::None, Encoding::Permute, Encoding::Cyclic];

/// Bytes that are neither constant nor periodic within a block.
pub(crate) fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x2545_F491_u32;
    let step = |_| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as u8
    };
    (0..length).map(step).collect()
}

/// A letter with all that mail has.
pub(crate) fn letter() -> MessageSpec {
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

/// A message with every kind of attachment.
pub(crate) fn with_attachments() -> MessageSpec {
    MessageSpec {
        subject: "Four attachments".into(),
        sender: Some(Person::smtp("Anna Weber", "anna@firm.example")),
        text: Some("long body ".repeat(2000)),
        rtf: Some(RtfBody::Compressed(b"{\\rtf1\\ansi\\ansicpg1252 Four attachments\\par}".to_vec())),
        attachments: vec![
            AttachmentSpec::file("small.txt", "text/plain", b"a few bytes".to_vec()),
            AttachmentSpec::file("a rather long name.bin", "application/octet-stream", noise(BIG_ATTACHMENT)),
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

/// An entry of a calendar.
pub(crate) fn appointment() -> MessageSpec {
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

/// A file with everything, and a folder "Many" of as many messages as asked for.
pub(crate) fn write(
    path: &Path,
    format: Format,
    encoding: Encoding,
    many_messages: usize,
) -> rejoinder_pst_writer::Result<()> {
    let options = WriterOptions {
        format,
        encoding,
        owner: Some(Person::smtp("Accounts", "accounts@firm.example")),
        ..WriterOptions::default()
    };
    let mut writer = PstWriter::create(path, options)?;
    let inbox = writer.folder(writer.top(), "Inbox")?;
    let sent = writer.folder(writer.top(), "Sent Items")?;
    let calendar = writer.folder_of_class(writer.top(), "Calendar", "IPF.Appointment")?;
    let many = writer.folder(inbox, "Many")?;
    writer.set_sent_items(sent)?;
    writer.message(inbox, &letter())?;
    writer.message(inbox, &with_attachments())?;
    writer.message(calendar, &appointment())?;
    let settings = MessageSpec { message_class: "IPM.Configuration.Test".into(), ..MessageSpec::default() };
    writer.associated_message(inbox, &settings)?;
    for number in 0..many_messages {
        let subject = format!("Number {number:04}");
        let spec = MessageSpec { text: Some(format!("Body of {subject}")), subject, ..letter() };
        writer.message(many, &spec)?;
    }
    writer.finish()?;
    Ok(())
}

/// The size of an attachment that needs a list of lists of blocks in Unicode files.
pub(crate) const BIG_ATTACHMENT: usize = 9_000_000;

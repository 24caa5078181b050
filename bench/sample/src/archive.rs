//! The three files that hold the letters: an mbox, a folder of EML files, and the team's PST.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use rejoinder_pst_writer::{
    AttachmentContent, AttachmentSpec, FileTime, HtmlBody, MessageSpec, PSETID_ADDRESS, PSETID_APPOINTMENT, Person,
    PropertyId, PropertyValue, PstWriter, Recipient, RecipientKind, RtfBody, WriterOptions,
};

use crate::artefact;
use crate::compose::{LOGO_ID, SUPPORT};
use crate::encode::encode_text;
use crate::error::{Result, SampleError};
use crate::letter::{Attachment, Direction, Letter, Mailbox};
use crate::mime;
use crate::source::{Charset, Output, Style};

/// What the PST holds besides letters, by Outlook's kinds.
pub(crate) const OTHER_ITEMS: [(&str, u32); 3] = [("appointment", 1), ("contact", 1), ("note", 1)];

/// The letters that `output` holds, oldest first.
pub fn held_by(letters: &[Letter], output: Output) -> Vec<&Letter> {
    let mut held: Vec<&Letter> = letters.iter().filter(|letter| letter.outputs.contains(&output)).collect();
    held.sort_by_key(|letter| (letter.sent.timestamp(), letter.message_id.clone()));
    held
}

/// An mbox file in the mboxrd variant: every line that begins with `From `, however often quoted, gets one more `>`.
pub(crate) fn mbox(letters: &[Letter]) -> Result<Vec<u8>> {
    let mut file = Vec::new();
    for letter in held_by(letters, Output::Mbox) {
        let at = letter.sent.with_time_zone(TimeZone::UTC);
        let postmark = format!("From {} {}\n", letter.from.email, at.strftime("%a %b %e %H:%M:%S %Y"));
        file.extend_from_slice(postmark.as_bytes());
        let message = mime::message(letter)?;
        for line in message.split_inclusive(|byte| *byte == b'\n') {
            let line = line.strip_suffix(b"\r\n").unwrap_or(line);
            let unquoted = line.iter().position(|byte| *byte != b'>').unwrap_or(line.len());
            if line.get(unquoted..).unwrap_or_default().starts_with(b"From ") {
                file.push(b'>');
            }
            file.extend_from_slice(line);
            file.push(b'\n');
        }
        file.push(b'\n');
    }
    Ok(file)
}

/// The EML files: name and content.
pub(crate) fn eml_files(letters: &[Letter]) -> Result<Vec<(String, Vec<u8>)>> {
    held_by(letters, Output::Eml)
        .into_iter()
        .map(|letter| {
            let sent = if letter.direction == Direction::Outbound { "-sent" } else { "" };
            let date = letter.sent.strftime("%Y-%m-%d");
            Ok((format!("{date}-{}-{}{sent}.eml", letter.thread, letter.index + 1), mime::message(letter)?))
        })
        .collect()
}

/// Writes the PST to `path`.
pub(crate) fn write_pst(letters: &[Letter], path: &Path) -> Result<()> {
    let options = WriterOptions {
        display_name: "Halden & Marsh Support".into(),
        owner: Some(Person::smtp("Halden & Marsh Support", SUPPORT)),
        ..WriterOptions::default()
    };
    let mut writer = PstWriter::create(path, options)?;
    let top = writer.top();
    let inbox = writer.folder(top, "Inbox")?;
    let sent_items = writer.folder(top, "Sent Items")?;
    writer.set_sent_items(sent_items)?;
    let mut folders = BTreeMap::from([("Inbox".to_owned(), inbox), ("Sent Items".to_owned(), sent_items)]);
    for letter in held_by(letters, Output::Pst) {
        let path = letter.folder.clone().unwrap_or_else(|| "Inbox".to_owned());
        let known = folders.get(&path).copied();
        let folder = match known {
            Some(folder) => folder,
            None => writer.folder(inbox, path.trim_start_matches("Inbox/"))?,
        };
        folders.insert(path, folder);
        writer.message(folder, &message_spec(letter)?)?;
    }
    let calendar = writer.folder_of_class(top, "Calendar", "IPF.Appointment")?;
    writer.message(calendar, &appointment()?)?;
    let contacts = writer.folder_of_class(top, "Contacts", "IPF.Contact")?;
    writer.message(contacts, &contact()?)?;
    let notes = writer.folder_of_class(top, "Notes", "IPF.StickyNote")?;
    writer.message(notes, &note()?)?;
    writer.finish()?;
    Ok(())
}

fn message_spec(letter: &Letter) -> Result<MessageSpec> {
    let submitted = file_time(letter);
    let as_rtf = letter.direction == Direction::Internal && letter.style == Style::Outlook;
    let charset = mime::charset_of(letter);
    let html = if letter.has_html() && !as_rtf {
        let document = mime::html_document(letter).replace('\n', "\r\n");
        let bytes = encode_text(&document, charset);
        let bytes = bytes.ok_or_else(|| SampleError::at(letter.place(), "HTML outside its charset"))?;
        Some(HtmlBody { bytes, code_page: code_page(charset) })
    } else {
        None
    };
    // What our side sent never went through a server that wrote headers; Outlook keeps the identifiers alone.
    let received = letter.direction == Direction::Inbound;
    let ids: Vec<String> = letter.references.iter().map(|id| format!("<{id}>")).collect();
    let recipients = [(RecipientKind::To, &letter.to), (RecipientKind::Cc, &letter.cc)];
    let recipients = recipients
        .into_iter()
        .flat_map(|(kind, mailboxes)| mailboxes.iter().map(move |mailbox| Recipient::new(kind, person(mailbox))));
    let mut attachments = Vec::new();
    if letter.logo {
        let mut logo = AttachmentSpec::file("logo.png", "image/png", artefact::logo());
        logo.content_id = Some(LOGO_ID.into());
        logo.is_hidden = true;
        attachments.push(logo);
    }
    for attachment in &letter.attachments {
        attachments.push(match attachment {
            Attachment::File { name, media_type, bytes } => AttachmentSpec::file(name, media_type, bytes.clone()),
            Attachment::Message(inner) => {
                AttachmentSpec::new(AttachmentContent::Embedded(Box::new(message_spec(inner)?)))
            }
        });
    }
    Ok(MessageSpec {
        subject_prefix: letter.subject_prefix.to_owned(),
        subject: letter.subject.clone(),
        sender: Some(person(&letter.from)),
        recipients: recipients.collect(),
        submit_time: Some(submitted),
        delivery_time: Some(submitted),
        transport_headers: if received { Some(mime::head(letter)?) } else { None },
        message_id: Some(format!("<{}>", letter.message_id)),
        in_reply_to: letter.in_reply_to.as_ref().map(|id| format!("<{id}>")),
        references: Some(ids.join(" ")).filter(|ids| !ids.is_empty()),
        conversation_index: Some(letter.conversation_index.clone()),
        conversation_topic: Some(letter.subject.clone()),
        text: (letter.has_plain() && !as_rtf).then(|| letter.plain.replace('\n', "\r\n")),
        html,
        rtf: as_rtf.then(|| RtfBody::Compressed(rtf(&letter.plain))),
        attachments,
        ..MessageSpec::default()
    })
}

/// The text as RTF in Windows-1252, other characters escaped with their code point.
fn rtf(text: &str) -> Vec<u8> {
    let mut body = String::from("{\\rtf1\\ansi\\ansicpg1252\\deff0{\\fonttbl{\\f0\\fswiss Calibri;}}\\f0\\fs22 ");
    for character in text.chars() {
        match character {
            '\\' | '{' | '}' => body.extend(['\\', character]),
            '\n' => body.push_str("\\par\r\n"),
            ' '..='~' => body.push(character),
            other => {
                let mut units = [0; 2];
                for unit in other.encode_utf16(&mut units) {
                    let _ = write!(body, "\\u{}?", unit.cast_signed());
                }
            }
        }
    }
    body.push('}');
    body.into_bytes()
}

fn appointment() -> Result<MessageSpec> {
    let named = |number: u32| PropertyId::Numbered { set: PSETID_APPOINTMENT, number };
    Ok(MessageSpec {
        message_class: "IPM.Appointment".into(),
        subject: "Complaint CP-2025-0042: call with Mr Tull".into(),
        sender: Some(Person::smtp("Daniel Osei", "daniel.osei@haldenmarsh.example")),
        submit_time: Some(instant("2025-12-05T14:25:00")?),
        text: Some(
            "Agree the compensation (£268.50 fees and £750.00) and tell him about the cut-off at 17:00.\r\n".into(),
        ),
        properties: vec![
            (named(0x820D), PropertyValue::Time(instant("2025-12-08T10:00:00")?)),
            (named(0x820E), PropertyValue::Time(instant("2025-12-08T10:30:00")?)),
            (named(0x8208), PropertyValue::Text("Telephone".into())),
        ],
        ..MessageSpec::default()
    })
}

fn contact() -> Result<MessageSpec> {
    let named = |number: u32| PropertyId::Numbered { set: PSETID_ADDRESS, number };
    let text = |value: &str| PropertyValue::Text(value.into());
    Ok(MessageSpec {
        message_class: "IPM.Contact".into(),
        subject: "Inês Carvalho".into(),
        submit_time: Some(instant("2025-01-20T09:00:00")?),
        properties: vec![
            (PropertyId::Tag(0x3001), text("Inês Carvalho")),
            (PropertyId::Tag(0x3A06), text("Inês")),
            (PropertyId::Tag(0x3A11), text("Carvalho")),
            (PropertyId::Tag(0x3A16), text("Orrin Shipping Ltd")),
            (PropertyId::Tag(0x3A08), text("+44 20 7946 0588")),
            (named(0x8005), text("Carvalho, Inês")),
            (named(0x8082), text("SMTP")),
            (named(0x8083), text("ines.carvalho@orrinshipping.example")),
        ],
        ..MessageSpec::default()
    })
}

fn note() -> Result<MessageSpec> {
    let text = "Return fees we pass on: GBP 12.50 (UK), EUR 8.50 (DE), EUR 11.00 (FR).\r\nWaive when a closed account was \
                the cause.\r\n";
    Ok(MessageSpec {
        message_class: "IPM.StickyNote".into(),
        subject: "Return fees we pass on".into(),
        submit_time: Some(instant("2025-11-10T16:00:00")?),
        text: Some(text.into()),
        ..MessageSpec::default()
    })
}

/// A time in UTC.
fn instant(at: &str) -> Result<FileTime> {
    let wrong = |error: jiff::Error| SampleError::at(at, error.to_string());
    let civil: DateTime = at.parse().map_err(wrong)?;
    let seconds = civil.to_zoned(TimeZone::UTC).map_err(wrong)?.timestamp().as_second();
    Ok(FileTime::from_unix_seconds(seconds))
}

fn file_time(letter: &Letter) -> FileTime {
    FileTime::from_unix_seconds(letter.sent.timestamp().as_second())
}

fn person(mailbox: &Mailbox) -> Person {
    Person::smtp(&mailbox.name, &mailbox.email)
}

fn code_page(charset: Charset) -> u16 {
    match charset {
        Charset::Utf8 => 65001,
        Charset::Latin1 => 28591,
        Charset::Windows1252 => 1252,
    }
}

//! One Outlook item as a message.

use std::fs::File;
use std::io::Write;

use jiff::Timestamp;
use rejoinder_domain::{Address, Attachment, AttachmentMethod, BodySource, ItemKind, Message};
use rejoinder_pst::{AttachmentInfo, Item, Party, PstFile, RecipientKind};
use sha2::{Digest, Sha256};

use crate::body::{self, Content};
use crate::header::{HeaderBlock, message_ids};
use crate::html;
use crate::limits::Limits;
use crate::rfc5322::{Envelope, hexadecimal};

/// Place and reason of what was lost inside an item.
pub(super) type Losses = Vec<(String, String)>;

/// The message that an item is, and what was lost of it.
pub(super) fn message(file: &mut PstFile<File>, item: &Item, limits: &Limits) -> (Message, Losses) {
    let mut reader = Reader { file, limits, losses: Vec::new() };
    reader.note(item);
    let (text, source) = reader.text(item);
    let mut attachments = Vec::new();
    reader.attachments(item, 0, &mut attachments);
    let losses = std::mem::take(&mut reader.losses);
    let content = Content { text, source, attachments, losses: Vec::new() };
    (envelope(item).into_message(content), losses)
}

struct Reader<'a> {
    file: &'a mut PstFile<File>,
    limits: &'a Limits,
    losses: Losses,
}

impl Reader<'_> {
    fn note(&mut self, item: &Item) {
        self.losses.extend(
            item.problems
                .iter()
                .map(|problem| (problem.place.clone(), format!("{}: {}", problem.kind.as_str(), problem.detail))),
        );
    }

    /// The item's readable text: what its kind says in properties, then its body.
    fn text(&mut self, item: &Item) -> (String, BodySource) {
        let (body, source) = body_text(item);
        let mut text = facts(item);
        if !text.is_empty() && !body.trim().is_empty() {
            text.push('\n');
        }
        text.push_str(&body);
        if body::cut(&mut text, self.limits.max_body_bytes) {
            self.losses.push((
                item.address.to_string(),
                format!("the body's text was cut at {} bytes", self.limits.max_body_bytes),
            ));
        }
        let source = if text.trim().is_empty() {
            BodySource::Empty
        } else if source == BodySource::Empty {
            BodySource::Plain
        } else {
            source
        };
        (text, source)
    }

    /// Lists the item's attachments, those of embedded messages after them. `depth` is bounded by the reader of the file.
    fn attachments(&mut self, item: &Item, depth: u32, found: &mut Vec<Attachment>) {
        for info in &item.attachments {
            if found.len() >= self.limits.max_parts {
                self.losses.push((
                    item.address.to_string(),
                    format!("more than {} attachments; the rest was not read", self.limits.max_parts),
                ));
                return;
            }
            match info.method {
                rejoinder_pst::AttachmentMethod::EmbeddedMessage => self.embedded(item, info, depth, found),
                rejoinder_pst::AttachmentMethod::ByReference => {
                    found.push(Attachment { sha256: None, ..attachment(info, AttachmentMethod::ByReference) });
                }
                rejoinder_pst::AttachmentMethod::Ole => self.file_attachment(item, info, AttachmentMethod::Ole, found),
                _ => self.file_attachment(item, info, AttachmentMethod::ByValue, found),
            }
        }
    }

    fn file_attachment(
        &mut self,
        item: &Item,
        info: &AttachmentInfo,
        method: AttachmentMethod,
        found: &mut Vec<Attachment>,
    ) {
        let mut listed = attachment(info, method);
        let keep = if body::may_have_text(&listed.media_type, &listed.name) {
            self.limits.max_attachment_text_bytes
        } else {
            0
        };
        let mut sink = Sink { hasher: Sha256::new(), kept: Vec::new(), keep, bytes: 0 };
        match self.file.copy_attachment(item, info, &mut sink) {
            Ok(copied) => {
                self.losses.extend(
                    copied.problems.iter().map(|problem| {
                        (problem.place.clone(), format!("{}: {}", problem.kind.as_str(), problem.detail))
                    }),
                );
                listed.bytes = sink.bytes;
                listed.sha256 = Some(hexadecimal(&sink.hasher.finalize()));
                if keep > 0 {
                    let mut cut = Vec::new();
                    let file = body::File {
                        media_type: &listed.media_type,
                        name: &listed.name,
                        label: None,
                        bytes: &sink.kept,
                    };
                    listed.text = file.text(self.limits, &mut cut);
                    if sink.bytes > sink.kept.len() as u64 {
                        let reason =
                            format!("an attachment's text was cut at {} bytes", self.limits.max_attachment_text_bytes);
                        self.losses.push((item.address.to_string(), reason));
                    }
                }
            }
            Err(error) => {
                let place = format!("{} / attachment {:#x}", item.address, info.node_id);
                self.losses.push((place, error.detail().to_owned()));
            }
        }
        found.push(listed);
    }

    fn embedded(&mut self, item: &Item, info: &AttachmentInfo, depth: u32, found: &mut Vec<Attachment>) {
        let mut listed = attachment(info, AttachmentMethod::EmbeddedMessage);
        if depth >= self.limits.max_nesting {
            let reason = format!("messages nested more than {} deep were not followed", self.limits.max_nesting);
            self.losses.push((item.address.to_string(), reason));
            found.push(listed);
            return;
        }
        match self.file.read_embedded(item, info) {
            Ok(inner) => {
                self.note(&inner);
                let (text, _) = self.text(&inner);
                let mut heading = heading(&inner);
                heading.push_str(&text);
                body::cut(&mut heading, self.limits.max_attachment_text_bytes);
                listed.text = Some(heading);
                if listed.name.is_empty() {
                    listed.name.clone_from(&inner.subject);
                }
                found.push(listed);
                self.attachments(&inner, depth + 1, found);
            }
            Err(error) => {
                self.losses.push((error.place().to_owned(), error.detail().to_owned()));
                found.push(listed);
            }
        }
    }
}

/// Hashes what is written to it and keeps its start.
struct Sink {
    hasher: Sha256,
    kept: Vec<u8>,
    keep: usize,
    bytes: u64,
}

impl Write for Sink {
    fn write(&mut self, data: &[u8]) -> std::io::Result<usize> {
        self.hasher.update(data);
        self.bytes += data.len() as u64;
        let room = self.keep.saturating_sub(self.kept.len()).min(data.len());
        self.kept.extend_from_slice(data.get(..room).unwrap_or_default());
        Ok(data.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn attachment(info: &AttachmentInfo, method: AttachmentMethod) -> Attachment {
    let names = [&info.filename, &info.display_name, &info.short_filename, &info.pathname];
    let name = names.into_iter().flatten().map(|name| name.trim()).find(|name| !name.is_empty()).unwrap_or_default();
    let declared =
        info.mime_type.as_deref().map(|kind| kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase());
    let media_type = declared.filter(|kind| kind.contains('/')).unwrap_or_else(|| {
        let fallback = if method == AttachmentMethod::EmbeddedMessage { "message/rfc822" } else { media_type_of(name) };
        fallback.to_owned()
    });
    Attachment {
        name: name.to_owned(),
        media_type,
        bytes: info.bytes,
        sha256: None,
        inline: info.content_id.is_some() && (info.hidden || info.content_location.is_some()),
        method,
        text: None,
    }
}

/// The media type that a file name's extension stands for, where Outlook noted none.
fn media_type_of(name: &str) -> &'static str {
    match name.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase()).as_deref() {
        Some("txt" | "log") => "text/plain",
        Some("csv") => "text/csv",
        Some("htm" | "html") => "text/html",
        Some("ics") => "text/calendar",
        Some("pdf") => "application/pdf",
        Some("jpg" | "jpeg") => "image/jpeg",
        Some("png") => "image/png",
        Some("gif") => "image/gif",
        Some("doc") => "application/msword",
        Some("xls") => "application/vnd.ms-excel",
        Some("docx") => "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        Some("xlsx") => "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        Some("zip") => "application/zip",
        Some("xml") => "text/xml",
        _ => "application/octet-stream",
    }
}

/// Text, else HTML, else what RTF gave. HTML wins over the text where that is only an excuse for it, or lost the quote marks.
fn body_text(item: &Item) -> (String, BodySource) {
    let bodies = &item.bodies;
    let plain = body::normalise(bodies.text.as_deref().unwrap_or_default());
    let from_rtf = |source: Option<rejoinder_pst::BodySource>| source == Some(rejoinder_pst::BodySource::Rtf);
    let plain_source = if from_rtf(bodies.text_source) { BodySource::Rtf } else { BodySource::Plain };
    let Some(page) = bodies.html.as_deref().filter(|page| !page.trim().is_empty()) else {
        let source = if plain.trim().is_empty() { BodySource::Empty } else { plain_source };
        return (plain, source);
    };
    let lost_quotes = !from_rtf(bodies.html_source)
        && page.contains("<blockquote")
        && !plain.lines().any(|line| line.trim_start().starts_with('>'));
    let plain_letters = body::visible(&plain);
    if plain_letters > 0 && !lost_quotes && plain_letters * 4 > page.len() {
        return (plain, plain_source);
    }
    let rendered = html::to_text(page);
    if lost_quotes || body::is_excuse(plain_letters, body::visible(&rendered)) {
        let source = if from_rtf(bodies.html_source) { BodySource::Rtf } else { BodySource::Html };
        return (rendered, source);
    }
    (plain, plain_source)
}

fn timestamp(microseconds: Option<i64>) -> Option<Timestamp> {
    microseconds.and_then(|at| Timestamp::from_microsecond(at).ok())
}

fn address(party: &Party) -> Option<Address> {
    let email = party.email.as_deref().unwrap_or_default().trim().trim_matches(['<', '>', '\'', '"']).to_lowercase();
    let name = party.name.trim().trim_matches(['\'', '"']).to_owned();
    // Outlook repeats the address as the name where it knows no other.
    let name = if name.eq_ignore_ascii_case(&email) { String::new() } else { name };
    (!email.is_empty() || !name.is_empty()).then_some(Address { name, email })
}

/// Fills the envelope from properties, and from the internet headers what these do not say.
fn envelope(item: &Item) -> Envelope {
    let headers = HeaderBlock::parse(header_lines(item.internet_headers.as_deref().unwrap_or_default()).as_bytes());
    let mut envelope = Envelope::of(&headers);
    envelope.kind = Some(kind(item.kind));
    let first_id = |text: &Option<String>| text.as_deref().map(message_ids).unwrap_or_default();
    if let Some(id) = first_id(&item.message_id).into_iter().next() {
        envelope.message_id = Some(id);
    }
    for (known, property) in
        [(&mut envelope.in_reply_to, &item.in_reply_to), (&mut envelope.references, &item.references)]
    {
        if known.is_empty() {
            *known = first_id(property);
        }
    }
    envelope.conversation_index = item
        .conversation_index
        .as_deref()
        .filter(|index| index.len() >= 22)
        .map(hexadecimal)
        .or(envelope.conversation_index);
    envelope.conversation_topic =
        item.conversation_topic.clone().filter(|topic| !topic.is_empty()).or(envelope.conversation_topic);
    let subject = item.subject.split_whitespace().collect::<Vec<_>>().join(" ");
    if !subject.is_empty() {
        envelope.subject = subject;
    }
    people(item, &mut envelope);
    let own_time = match item.kind {
        rejoinder_pst::ItemKind::Message => None,
        _ => item
            .appointment
            .as_ref()
            .and_then(|appointment| appointment.start)
            .or(item.creation_time)
            .or(item.modification_time),
    };
    envelope.sent_at = timestamp(item.client_submit_time).or(envelope.sent_at).or(timestamp(own_time));
    envelope.received_at = timestamp(item.delivery_time).or(envelope.received_at);
    envelope.automatic |= item.message_class.to_ascii_uppercase().starts_with("REPORT")
        || item.message_class.to_ascii_uppercase().contains(".RULES.OOFTEMPLATE");
    envelope
}

fn people(item: &Item, envelope: &mut Envelope) {
    let author = address(&item.sent_representing).or_else(|| address(&item.sender));
    // The properties may know a name of the address book only, where the headers know the address.
    let header_author = envelope.from.take();
    envelope.from = match (author, header_author) {
        (Some(author), Some(known)) if author.email.is_empty() => {
            Some(Address { name: if author.name.is_empty() { known.name } else { author.name }, email: known.email })
        }
        (Some(author), _) => Some(author),
        (None, known) => known,
    };
    let sender = address(&item.sender).filter(|sender| !sender.email.is_empty());
    let author_email = envelope.from.as_ref().map(|from| from.email.clone()).unwrap_or_default();
    envelope.sender = sender.or(envelope.sender.take()).filter(|sender| sender.email != author_email);
    for (list, wanted, shown) in [
        (&mut envelope.to, RecipientKind::To, &item.display_to),
        (&mut envelope.cc, RecipientKind::Cc, &item.display_cc),
        (&mut envelope.bcc, RecipientKind::Bcc, &item.display_bcc),
    ] {
        let mut listed: Vec<Address> = item
            .recipients
            .iter()
            .filter(|recipient| recipient.kind == wanted)
            .filter_map(|recipient| address(&recipient.party))
            .collect();
        if listed.is_empty() && list.is_empty() {
            let names =
                shown.as_deref().unwrap_or_default().split(';').map(|name| name.trim().trim_matches(['\'', '"']));
            listed = names.filter(|name| !name.is_empty()).map(named).collect();
        }
        // The headers know addresses where the table has only names of the address book.
        let unknown = listed.iter().filter(|address| address.email.is_empty()).count();
        let known = list.iter().filter(|address| !address.email.is_empty()).count();
        if !listed.is_empty() && (unknown == 0 || known < listed.len()) {
            *list = listed;
        }
    }
}

/// A recipient as shown: an address, or a name.
fn named(shown: &str) -> Address {
    if shown.contains('@') && !shown.contains(' ') {
        Address { name: String::new(), email: shown.to_lowercase() }
    } else {
        Address { name: shown.to_owned(), email: String::new() }
    }
}

/// The internet headers without what some servers put before them, up to the first empty line.
fn header_lines(headers: &str) -> String {
    let text = headers.replace("\r\n", "\n");
    let lines =
        text.lines().skip_while(|line| line.trim().is_empty() || line.starts_with("Microsoft Mail Internet Headers"));
    lines.take_while(|line| !line.trim().is_empty()).flat_map(|line| [line, "\n"]).collect()
}

fn kind(kind: rejoinder_pst::ItemKind) -> ItemKind {
    match kind {
        rejoinder_pst::ItemKind::Message => ItemKind::Message,
        rejoinder_pst::ItemKind::Appointment => ItemKind::Appointment,
        rejoinder_pst::ItemKind::Contact => ItemKind::Contact,
        rejoinder_pst::ItemKind::Task => ItemKind::Task,
        rejoinder_pst::ItemKind::Journal => ItemKind::Journal,
        rejoinder_pst::ItemKind::Note => ItemKind::Note,
        rejoinder_pst::ItemKind::Other => ItemKind::Other,
    }
}

/// What an appointment, contact or task says in properties, one fact a line.
fn facts(item: &Item) -> String {
    let mut lines: Vec<(&str, String)> = Vec::new();
    let when = |at: Option<i64>| timestamp(at).map(|at| at.to_string());
    if let Some(appointment) = item.appointment.as_ref().filter(|_| item.kind == rejoinder_pst::ItemKind::Appointment) {
        lines.extend(when(appointment.start).map(|at| ("Start", at)));
        lines.extend(when(appointment.end).map(|at| ("End", at)));
        lines.extend(appointment.location.clone().map(|place| ("Location", place)));
    }
    if let Some(contact) = &item.contact {
        lines.extend(contact.display_name.clone().map(|name| ("Name", name)));
        lines.extend(contact.company.clone().map(|company| ("Company", company)));
        lines.extend(contact.job_title.clone().map(|title| ("Title", title)));
        lines.extend(contact.emails.iter().map(|email| ("E-mail", email.clone())));
        lines.extend(contact.phones.iter().map(|phone| ("Phone", phone.clone())));
    }
    if let Some(task) = &item.task {
        lines.extend(when(task.start).map(|at| ("Start", at)));
        lines.extend(when(task.due).map(|at| ("Due", at)));
        lines.push(("Complete", if task.complete { "yes" } else { "no" }.to_owned()));
    }
    let lines = lines.into_iter().filter(|(_, value)| !value.trim().is_empty());
    lines
        .flat_map(|(name, value)| [name.to_owned(), ": ".to_owned(), value.trim().to_owned(), "\n".to_owned()])
        .collect()
}

/// The lines of an embedded message's header that a reader wants.
fn heading(item: &Item) -> String {
    let envelope = envelope(item);
    let shown = |address: &Address| match (address.name.is_empty(), address.email.is_empty()) {
        (false, false) => format!("{} <{}>", address.name, address.email),
        (false, true) => address.name.clone(),
        _ => address.email.clone(),
    };
    let to = envelope.to.iter().map(shown).collect::<Vec<_>>().join(", ");
    let fields = [
        ("From", envelope.from.as_ref().map(shown).unwrap_or_default()),
        ("Date", envelope.sent_at.map(|at| at.to_string()).unwrap_or_default()),
        ("To", to),
        ("Subject", envelope.subject.clone()),
    ];
    let shown = fields.iter().filter(|(_, value)| !value.is_empty());
    let mut text: String = shown.flat_map(|(name, value)| [name, ": ", value.as_str(), "\n"]).collect();
    text.push('\n');
    text
}

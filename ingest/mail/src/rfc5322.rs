//! One RFC 5322 message to our [`Message`].

use jiff::Timestamp;
use rejoinder_domain::{Address, Body, Direction, ItemKind, Message, MessageId, Skipped};

use crate::body::{self, Content};
use crate::clean::{self, Hints};
use crate::header::HeaderBlock;
use crate::language;
use crate::limits::Limits;
use crate::mime;
use crate::transfer;

/// Reads one message from its bytes.
///
/// Returns the message and what was lost inside it. Direction is [`Direction::Unknown`] until [`crate::direction::of`]
/// sets it. Line ends may be CRLF, LF or CR; an mbox postmark or blank lines before the header are passed over.
///
/// # Errors
/// [`Skipped`] when the bytes are more than [`Limits::max_item_bytes`], or hold no header field that a message has.
pub fn parse_rfc5322(raw: &[u8], limits: &Limits) -> Result<(Message, Vec<Skipped>), Skipped> {
    if raw.len() as u64 > limits.max_item_bytes {
        return Err(skipped(format!("{} bytes are over the limit of {}", raw.len(), limits.max_item_bytes)));
    }
    let owned;
    let mut bytes = raw;
    if !bytes.contains(&b'\n') && bytes.contains(&b'\r') {
        owned = bytes.iter().map(|&byte| if byte == b'\r' { b'\n' } else { byte }).collect::<Vec<u8>>();
        bytes = &owned;
    }
    let bytes = trim_start(bytes);
    let structure = mime::structure(bytes, limits);
    let Some(root) = structure.parts.first() else { return Err(skipped("it is empty".to_owned())) };
    if !is_message(&root.headers) {
        return Err(skipped("no header field of a mail message was found".to_owned()));
    }
    let content = body::read(bytes, &structure, limits, 0);
    let mut losses: Vec<Skipped> = structure.problems.iter().cloned().map(skipped).collect();
    losses.extend(content.losses.iter().cloned().map(skipped));
    Ok((message(&root.headers, content), losses))
}

fn skipped(reason: String) -> Skipped {
    Skipped { place: "message".to_owned(), reason }
}

/// Passes over a byte order mark, blank lines and an mbox postmark, quoted or not.
fn trim_start(raw: &[u8]) -> &[u8] {
    let mut bytes = raw.strip_prefix(b"\xef\xbb\xbf").unwrap_or(raw);
    loop {
        let end = memchr::memchr(b'\n', bytes).map_or(bytes.len(), |at| at + 1);
        let (line, rest) = bytes.split_at(end);
        let postmark = line.starts_with(b"From ") || line.starts_with(b">From ");
        if line.is_empty() || !(line.trim_ascii().is_empty() || postmark) {
            return bytes;
        }
        bytes = rest;
    }
}

/// Whether there is any field that only a message has.
fn is_message(headers: &HeaderBlock) -> bool {
    const FIELDS: [&str; 13] = [
        "from",
        "to",
        "subject",
        "date",
        "message-id",
        "received",
        "return-path",
        "sender",
        "mime-version",
        "content-type",
        "cc",
        "delivered-to",
        "reply-to",
    ];
    !headers.is_empty() && FIELDS.iter().any(|name| headers.has(name))
}

/// Header fields as every source gives them; PST items fill them from properties.
#[derive(Default)]
pub(crate) struct Envelope {
    pub(crate) kind: Option<ItemKind>,
    pub(crate) message_id: Option<String>,
    pub(crate) in_reply_to: Vec<String>,
    pub(crate) references: Vec<String>,
    pub(crate) conversation_index: Option<String>,
    pub(crate) conversation_topic: Option<String>,
    pub(crate) subject: String,
    pub(crate) from: Option<Address>,
    pub(crate) sender: Option<Address>,
    pub(crate) reply_to: Vec<Address>,
    pub(crate) to: Vec<Address>,
    pub(crate) cc: Vec<Address>,
    pub(crate) bcc: Vec<Address>,
    pub(crate) sent_at: Option<Timestamp>,
    pub(crate) received_at: Option<Timestamp>,
    pub(crate) automatic: bool,
}

impl Envelope {
    pub(crate) fn of(headers: &HeaderBlock) -> Self {
        let from = headers.addresses("from").into_iter().next();
        let sender = headers.addresses("sender").into_iter().next();
        let author = from.as_ref().or(sender.as_ref()).map(|address| address.email.clone()).unwrap_or_default();
        Self {
            kind: None,
            message_id: headers
                .ids("message-id")
                .into_iter()
                .next()
                .or_else(|| headers.raw("message-id"))
                .filter(|id| !id.is_empty()),
            in_reply_to: headers.ids("in-reply-to"),
            references: headers.ids("references"),
            conversation_index: headers.raw("thread-index").and_then(|value| conversation_index(&value)),
            conversation_topic: headers.text("thread-topic").filter(|topic| !topic.is_empty()),
            subject: headers.text("subject").unwrap_or_default(),
            from: from.clone().or_else(|| sender.clone()),
            sender: sender.filter(|sender| sender.email != author),
            reply_to: headers.addresses("reply-to").into_iter().filter(|address| address.email != author).collect(),
            to: headers.addresses("to"),
            cc: headers.addresses("cc"),
            bcc: headers.addresses("bcc"),
            sent_at: headers.date("date").or_else(|| headers.date("resent-date")),
            received_at: headers.received().or_else(|| headers.date("delivery-date")),
            automatic: is_automatic(headers),
        }
    }

    /// The message of this envelope and content, its text divided and its language told.
    pub(crate) fn into_message(self, content: Content) -> Message {
        let hints = Hints { subject: &self.subject };
        let segments = clean::segments_with(&content.text, &hints);
        let body = Body { source: content.source, segments, text: content.text };
        let mut message = Message {
            id: MessageId::from_content(&[]),
            kind: self.kind.unwrap_or(ItemKind::Message),
            rfc_message_id: self.message_id,
            in_reply_to: self.in_reply_to,
            references: self.references,
            conversation_index: self.conversation_index,
            conversation_topic: self.conversation_topic,
            subject: self.subject,
            from: self.from,
            sender: self.sender,
            reply_to: self.reply_to,
            to: self.to,
            cc: self.cc,
            bcc: self.bcc,
            sent_at: self.sent_at,
            received_at: self.received_at,
            language: None,
            body,
            attachments: content.attachments,
            direction: Direction::Unknown,
            automatic: self.automatic,
        };
        message.language = language::detect(&crate::reply_text(&message));
        message.id = message.key();
        message
    }
}

pub(crate) fn message(headers: &HeaderBlock, content: Content) -> Message {
    Envelope::of(headers).into_message(content)
}

/// Outlook's `Thread-Index`: base64 of the conversation index ([MS-OXOMSG] 2.2.1.3), as hexadecimal.
fn conversation_index(value: &str) -> Option<String> {
    let bytes = transfer::base64(value.as_bytes());
    (bytes.len() >= 22).then(|| hexadecimal(&bytes))
}

/// Bytes as lower-case hexadecimal.
pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |value: u8| DIGITS.get(usize::from(value)).map_or('0', |&digit| digit as char);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// Whether a machine sent it: RFC 3834, delivery reports, vacation notices, bulk mail that is not a list's.
fn is_automatic(headers: &HeaderBlock) -> bool {
    let value = |name: &str| headers.raw(name).unwrap_or_default().to_ascii_lowercase();
    let submitted = value("auto-submitted");
    if !submitted.is_empty() && !submitted.starts_with("no") {
        return true;
    }
    let precedence = value("precedence");
    let from_list = headers.has("list-id") || headers.has("list-post");
    let bulk = matches!(precedence.as_str(), "bulk" | "junk") && !from_list;
    let report = headers.media_type().as_deref() == Some("multipart/report");
    let responder = ["x-autoreply", "x-autorespond", "x-auto-reply"].iter().any(|name| headers.has(name));
    let null_path = headers.raw("return-path").is_some_and(|path| path.trim() == "<>");
    bulk || precedence == "auto_reply" || report || responder || null_path
}

#[cfg(test)]
mod tests {
    use rejoinder_domain::BodySource;

    use super::*;

    fn parse(raw: &str) -> Message {
        parse_rfc5322(raw.as_bytes(), &Limits::default()).unwrap().0
    }

    #[test]
    fn a_plain_message() {
        let message = parse(
            "From: Anna Weber <Anna@Weber.example>\r\nTo: info@firm.example\r\nSubject: =?utf-8?Q?Rechnung_f=C3=BCr_M=C3=A4rz?=\r\n\
             Date: Fri, 1 Mar 2024 10:00:00 +0100\r\nMessage-ID: <1@weber.example>\r\n\r\nHello,\r\nplease send it.\r\n",
        );
        assert_eq!(message.subject, "Rechnung für März");
        assert_eq!(message.from.as_ref().unwrap().email, "anna@weber.example");
        assert_eq!(message.rfc_message_id.as_deref(), Some("1@weber.example"));
        assert_eq!(message.sent_at.unwrap().to_string(), "2024-03-01T09:00:00Z");
        assert_eq!(message.body.text, "Hello,\nplease send it.\n");
        assert_eq!(message.body.source, BodySource::Plain);
        assert!(!message.automatic);
    }

    #[test]
    fn what_is_not_mail_is_skipped() {
        let limits = Limits::default();
        assert!(parse_rfc5322(b"", &limits).is_err());
        assert!(parse_rfc5322(b"just some words\nand more\n", &limits).is_err());
        assert!(parse_rfc5322(&[0u8; 4096], &limits).is_err());
        let small = Limits { max_item_bytes: 10, ..Limits::default() };
        assert!(parse_rfc5322(b"Subject: long enough\n\nx", &small).unwrap_err().reason.contains("over the limit"));
    }

    #[test]
    fn machines_are_told_from_lists() {
        assert!(parse("Subject: x\nAuto-Submitted: auto-replied\n\nx").automatic);
        assert!(parse("Subject: x\nPrecedence: bulk\n\nx").automatic);
        assert!(!parse("Subject: x\nPrecedence: bulk\nList-Id: <l.example>\n\nx").automatic);
        assert!(!parse("Subject: x\nPrecedence: list\nAuto-Submitted: no\n\nx").automatic);
    }

    #[test]
    fn a_body_without_the_blank_line_is_kept() {
        assert_eq!(parse("Subject: x\nFrom: a@b.example\nHello there\nmore\n").body.text, "Hello there\nmore\n");
    }
}

//! A message that is given in fields, as a program knows it, instead of bytes.

use jiff::Timestamp;
use rejoinder_domain::{Address, BodySource, Message, Skipped};

use crate::body::{Content, cut, is_excuse, normalise, visible};
use crate::html;
use crate::limits::Limits;
use crate::rfc5322::Envelope;

/// Most ids that one field names; the rest is reported as lost.
const MAX_IDS: usize = 1000;

/// The fields of a message. What is not known stays empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MessageFields {
    /// `Message-ID`, with or without angle brackets.
    pub message_id: Option<String>,
    /// `In-Reply-To`.
    pub in_reply_to: Vec<String>,
    /// `References`, oldest first.
    pub references: Vec<String>,
    /// Author.
    pub from: Option<Address>,
    /// Recipients.
    pub to: Vec<Address>,
    /// Copies.
    pub cc: Vec<Address>,
    /// Subject, prefix included.
    pub subject: String,
    /// When it was sent. A message without it is no reply: it may be a draft.
    pub sent_at: Option<Timestamp>,
    /// The body as plain text.
    pub text: Option<String>,
    /// The body as HTML; it counts where the plain text is empty or only an excuse for it.
    pub html: Option<String>,
}

/// Makes a message of its fields, its text divided as that of any other. Returns the message and what was lost of it.
///
/// # Errors
/// [`Skipped`] when the fields hold more bytes than [`Limits::max_item_bytes`], or neither author, subject nor text.
pub fn from_fields(fields: MessageFields, limits: &Limits) -> Result<(Message, Vec<Skipped>), Skipped> {
    let skipped = |reason: String| Skipped { place: "message".to_owned(), reason };
    let bytes = size(&fields) as u64;
    if bytes > limits.max_item_bytes {
        return Err(skipped(format!("{bytes} bytes are over the limit of {}", limits.max_item_bytes)));
    }
    let mut losses = Vec::new();
    let content = content(fields.text.as_deref(), fields.html.as_deref(), limits, &mut losses);
    let subject = fields.subject.split_whitespace().collect::<Vec<_>>().join(" ");
    let from = fields.from.as_ref().map(address).filter(|from| !from.email.is_empty() || !from.name.is_empty());
    if from.is_none() && subject.is_empty() && content.source == BodySource::Empty {
        return Err(skipped("it has neither an author, nor a subject, nor a text".to_owned()));
    }
    let mut ids = |list: Vec<String>| {
        if list.len() > MAX_IDS {
            losses.push(format!("more than {MAX_IDS} ids in one field; the rest was not read"));
        }
        list.iter().take(MAX_IDS).filter_map(|id| bare(id)).collect::<Vec<_>>()
    };
    let envelope = Envelope {
        message_id: fields.message_id.as_deref().and_then(bare),
        in_reply_to: ids(fields.in_reply_to),
        references: ids(fields.references),
        subject,
        from,
        to: fields.to.iter().map(address).collect(),
        cc: fields.cc.iter().map(address).collect(),
        sent_at: fields.sent_at,
        ..Envelope::default()
    };
    Ok((envelope.into_message(content), losses.into_iter().map(skipped).collect()))
}

fn size(fields: &MessageFields) -> usize {
    let ids = fields.message_id.iter().chain(&fields.in_reply_to).chain(&fields.references);
    let people = fields.from.iter().chain(&fields.to).chain(&fields.cc);
    let texts = fields.text.iter().chain(&fields.html).chain(std::iter::once(&fields.subject));
    ids.chain(texts).map(String::len).sum::<usize>()
        + people.map(|person| person.name.len() + person.email.len()).sum::<usize>()
}

fn content(text: Option<&str>, page: Option<&str>, limits: &Limits, losses: &mut Vec<String>) -> Content {
    let plain = text.map(normalise).unwrap_or_default();
    let page = page.map(html::to_text).unwrap_or_default();
    let (mut text, source) = if is_excuse(visible(&plain), visible(&page)) && visible(&page) > 0 {
        (page, BodySource::Html)
    } else {
        (plain, BodySource::Plain)
    };
    if cut(&mut text, limits.max_body_bytes) {
        losses.push(format!("the body's text was cut at {} bytes", limits.max_body_bytes));
    }
    let source = if text.trim().is_empty() { BodySource::Empty } else { source };
    Content { text, source, attachments: Vec::new(), losses: Vec::new() }
}

/// As addresses are everywhere: trimmed, the address in lower case.
fn address(address: &Address) -> Address {
    Address { name: address.name.trim().to_owned(), email: address.email.trim().to_lowercase() }
}

/// An id without angle brackets.
fn bare(id: &str) -> Option<String> {
    let id = id.trim().trim_start_matches('<').trim_end_matches('>').trim();
    (!id.is_empty()).then(|| id.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse_rfc5322;

    fn fields() -> MessageFields {
        MessageFields {
            message_id: Some("<1@weber.example>".into()),
            from: Some(Address { name: "Anna Weber".into(), email: "Anna@Weber.example".into() }),
            to: vec![Address { name: String::new(), email: "info@firm.example".into() }],
            subject: "Invoice 12".into(),
            sent_at: Some("2024-03-01T09:00:00Z".parse().unwrap()),
            text: Some("Hello,\r\nplease send it.\r\n".into()),
            ..MessageFields::default()
        }
    }

    #[test]
    fn fields_and_bytes_give_the_same_message() {
        let raw = "From: Anna Weber <anna@weber.example>\r\nTo: info@firm.example\r\nSubject: Invoice 12\r\n\
                   Date: Fri, 1 Mar 2024 10:00:00 +0100\r\nMessage-ID: <1@weber.example>\r\n\r\nHello,\r\nplease send it.\r\n";
        let (parsed, _) = parse_rfc5322(raw.as_bytes(), &Limits::default()).unwrap();
        let (given, losses) = from_fields(fields(), &Limits::default()).unwrap();
        assert!(losses.is_empty());
        assert_eq!(given, parsed);
    }

    #[test]
    fn what_is_too_much_or_nothing_is_refused_or_told() {
        let limits = Limits { max_item_bytes: 200, max_body_bytes: 8, ..Limits::default() };
        assert!(from_fields(MessageFields::default(), &limits).is_err());
        let long = MessageFields { text: Some("x".repeat(300)), ..fields() };
        assert!(from_fields(long, &limits).unwrap_err().reason.contains("over the limit"));
        let (message, losses) = from_fields(fields(), &limits).unwrap();
        assert_eq!((message.body.text.as_str(), losses.len()), ("Hello,\np", 1));
    }

    #[test]
    fn html_counts_where_the_text_says_nothing() {
        let page = MessageFields { text: None, html: Some("<p>Hello <b>you</b></p>".into()), ..fields() };
        let (message, _) = from_fields(page, &Limits::default()).unwrap();
        assert_eq!((message.body.text.trim(), message.body.source), ("Hello you", BodySource::Html));
    }
}

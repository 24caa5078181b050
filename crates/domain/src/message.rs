//! One message, whatever it was read from.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{MailboxId, MessageId, Span};

/// A mailbox of a person or list: `Anna Weber <anna@weber.example>`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Address {
    /// Display name, decoded; empty where there is none.
    pub name: String,
    /// Address, lower-cased; empty where only a name is known (Outlook's address-book entries).
    pub email: String,
}

impl Address {
    /// The part after the last `@`, if there is one.
    pub fn domain(&self) -> Option<&str> {
        self.email.rsplit_once('@').map(|(_, domain)| domain)
    }
}

/// What an item of a mailbox is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ItemKind {
    /// A mail message (also reports, meeting requests and posts).
    Message,
    /// A calendar entry.
    Appointment,
    /// A sticky note.
    Note,
    /// A contact or distribution list.
    Contact,
    /// A task.
    Task,
    /// A journal entry.
    Journal,
    /// Anything else.
    Other,
}

/// Which way a message went, seen from the firm that owns the mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// From outside to us.
    Inbound,
    /// From us to outside.
    Outbound,
    /// From us to us.
    Internal,
    /// Not known: nothing says which addresses are ours.
    Unknown,
}

/// What the body's text was made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BodySource {
    /// A text/plain part or Outlook's plain body.
    Plain,
    /// HTML rendered as text.
    Html,
    /// Compressed RTF rendered as text ([MS-OXRTFCP]).
    Rtf,
    /// There is no body.
    Empty,
}

/// What a part of the body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SegmentKind {
    /// What the sender wrote in this message.
    New,
    /// Earlier messages repeated, with the line that introduces them.
    Quoted,
    /// A message passed on, with its header block.
    Forwarded,
    /// The sender's signature, from its delimiter or first line.
    Signature,
    /// Confidentiality notices, list footers, "sent from my phone", virus-scan banners.
    Legal,
}

/// One part of the body. The segments of a body follow each other without gap or overlap and cover it whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    /// What it is.
    pub kind: SegmentKind,
    /// Where it is in [`Body::text`].
    pub span: Span,
}

/// The readable text of a message and how it divides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Body {
    /// The whole text, quotes and footers included; line ends are `\n`. Spans everywhere are byte ranges of this text.
    pub text: String,
    /// What the text was made from.
    pub source: BodySource,
    /// How the text divides.
    pub segments: Vec<Segment>,
}

impl Body {
    /// The text of all segments of `kind`, in order, each followed by a line end, trimmed as a whole.
    pub fn text_of(&self, kind: SegmentKind) -> String {
        let mut text = String::new();
        for segment in self.segments.iter().filter(|segment| segment.kind == kind) {
            text.push_str(segment.span.of(&self.text).unwrap_or_default().trim_end());
            text.push('\n');
        }
        text.trim().to_owned()
    }
}

/// How an attachment is held ([MS-OXCMSG] 2.2.2.9, `PidTagAttachMethod`); everything that is not Outlook's is by value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttachmentMethod {
    /// The bytes are there.
    ByValue,
    /// A message inside the message.
    EmbeddedMessage,
    /// An OLE object.
    Ole,
    /// Only a path or link to it is there.
    ByReference,
}

/// One attachment: what it is, and its text where it has one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    /// File name, decoded; empty where there is none.
    pub name: String,
    /// Media type, lower-cased, without parameters.
    pub media_type: String,
    /// Size in bytes after transfer decoding.
    pub bytes: u64,
    /// SHA-256 of those bytes in lower-case hexadecimal; `None` where the bytes are not there.
    pub sha256: Option<String>,
    /// Whether it is shown inside the body (has a Content-ID and inline disposition).
    pub inline: bool,
    /// How it is held.
    pub method: AttachmentMethod,
    /// Its text, for text/*, HTML, calendar and embedded messages.
    pub text: Option<String>,
}

/// One message, whatever it was read from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// Content key, see [`Message::key`].
    pub id: MessageId,
    /// What it is.
    pub kind: ItemKind,
    /// `Message-ID` without angle brackets (RFC 5322 section 3.6.4).
    pub rfc_message_id: Option<String>,
    /// `In-Reply-To`, each without angle brackets.
    pub in_reply_to: Vec<String>,
    /// `References`, oldest first, each without angle brackets.
    pub references: Vec<String>,
    /// Outlook's conversation index, 22 bytes and 5 more per reply ([MS-OXOMSG] 2.2.1.3), lower-case hexadecimal.
    pub conversation_index: Option<String>,
    /// Outlook's conversation topic or `Thread-Topic`: the subject without prefix.
    pub conversation_topic: Option<String>,
    /// Subject, decoded, prefix included.
    pub subject: String,
    /// Author.
    pub from: Option<Address>,
    /// Who sent it for the author, where that differs.
    pub sender: Option<Address>,
    /// Where replies go, where that differs.
    pub reply_to: Vec<Address>,
    /// Recipients.
    pub to: Vec<Address>,
    /// Copies.
    pub cc: Vec<Address>,
    /// Blind copies (sent items only).
    pub bcc: Vec<Address>,
    /// `Date`, or Outlook's client submit time.
    pub sent_at: Option<Timestamp>,
    /// Delivery time where known (Outlook, `Received`).
    pub received_at: Option<Timestamp>,
    /// The readable text.
    pub body: Body,
    /// Attachments, inline images included.
    pub attachments: Vec<Attachment>,
    /// Which way it went.
    pub direction: Direction,
    /// ISO 639-1 code of the new text's language, where it is long enough to tell.
    pub language: Option<String>,
    /// Sent by a machine: `Auto-Submitted` (RFC 3834), `Precedence: bulk`, delivery reports. Not a list's mail as such.
    pub automatic: bool,
}

impl Message {
    /// The content key. With a `Message-ID`: that id, the author's address, the date and the subject, so that a copy in
    /// another mailbox or format is the same message even if a footer was added on the way. Without one: author, date,
    /// subject, recipients, text and attachment hashes.
    pub fn key(&self) -> MessageId {
        let author = self.from.as_ref().map(|from| from.email.as_str()).unwrap_or_default();
        let seconds = self.sent_at.map(|at| at.as_second().to_string()).unwrap_or_default();
        let subject = self.subject.split_whitespace().collect::<Vec<_>>().join(" ");
        if let Some(id) = self.rfc_message_id.as_deref().filter(|id| !id.is_empty()) {
            return MessageId::from_content(&[
                b"id",
                id.as_bytes(),
                author.as_bytes(),
                seconds.as_bytes(),
                subject.as_bytes(),
            ]);
        }
        let mut recipients: Vec<&str> =
            self.to.iter().chain(&self.cc).chain(&self.bcc).map(|address| address.email.as_str()).collect();
        recipients.sort_unstable();
        let text = self.body.text.split_whitespace().collect::<Vec<_>>().join(" ");
        let attachments: Vec<&str> = self.attachments.iter().filter_map(|a| a.sha256.as_deref()).collect();
        MessageId::from_content(&[
            b"content",
            author.as_bytes(),
            seconds.as_bytes(),
            subject.as_bytes(),
            recipients.join(",").as_bytes(),
            text.as_bytes(),
            attachments.join(",").as_bytes(),
        ])
    }

    /// Every address on the message, sorted, without repeats: what the participants filter compares.
    pub fn participants(&self) -> Vec<String> {
        let mut all: Vec<String> = self
            .from
            .iter()
            .chain(&self.sender)
            .chain(&self.to)
            .chain(&self.cc)
            .chain(&self.bcc)
            .filter(|address| !address.email.is_empty())
            .map(|address| address.email.clone())
            .collect();
        all.sort_unstable();
        all.dedup();
        all
    }
}

/// Where a copy of an item is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Provenance {
    /// The mailbox.
    pub mailbox: MailboxId,
    /// Folder path inside it, `/` between names; empty where the format has no folders.
    pub folder: String,
    /// Where in it: a node id in a PST, a byte offset in an mbox, a file name in a Maildir.
    pub place: String,
}

/// An item that could not be read, or only in part so small that nothing can be indexed: never dropped, always reported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    /// Where it is, readable by an operator.
    pub place: String,
    /// Why, in a sentence without any of the item's text.
    pub reason: String,
}

//! A letter as it leaves its author's mail client, before it is put into a format.

use jiff::Zoned;

use crate::source::{Charset, Kind, Language, Output, Style, TransferEncoding};

/// A letter of the sample.
#[derive(Clone, Debug)]
pub struct Letter {
    /// Key of its thread.
    pub thread: String,
    /// The conversation it belongs to: its thread's key, or that with a number where it begins a new one.
    pub conversation: String,
    /// Position in its thread, from 0.
    pub index: usize,
    /// What the thread is about.
    pub topic: String,
    /// Language of the new text.
    pub language: Language,
    /// What sort of message.
    pub kind: Kind,
    /// Which way it went.
    pub direction: Direction,
    /// `Message-ID` without angle brackets.
    pub message_id: String,
    /// `In-Reply-To` without angle brackets.
    pub in_reply_to: Option<String>,
    /// `References`, oldest first, without angle brackets.
    pub references: Vec<String>,
    /// Author.
    pub from: Mailbox,
    /// Recipients.
    pub to: Vec<Mailbox>,
    /// Copies.
    pub cc: Vec<Mailbox>,
    /// `RE: ` and the like; empty for none.
    pub subject_prefix: &'static str,
    /// Subject without prefix.
    pub subject: String,
    /// When it was sent, at the author's clock.
    pub sent: Zoned,
    /// The client.
    pub style: Style,
    /// Declared charset.
    pub charset: Charset,
    /// Transfer encoding of the bodies.
    pub encoding: TransferEncoding,
    /// The whole text with signature and history; line ends are `\n`.
    pub plain: String,
    /// The same as HTML, without the frame of a document.
    pub html: String,
    /// Whether the logo stands at `cid:logo@haldenmarsh.example` in the HTML.
    pub logo: bool,
    /// Attachments.
    pub attachments: Vec<Attachment>,
    /// Further header lines, name and value.
    pub headers: Vec<(&'static str, String)>,
    /// Outlook's position in the conversation ([MS-OXOMSG] 2.2.1.3).
    pub conversation_index: Vec<u8>,
    /// The files that hold it.
    pub outputs: Vec<Output>,
    /// The folder of the PST.
    pub folder: Option<String>,
}

/// A name and an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mailbox {
    /// Display name.
    pub name: String,
    /// Address.
    pub email: String,
}

/// Which way a letter went, seen from the firm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Direction {
    /// From a customer.
    Inbound,
    /// To a customer.
    Outbound,
    /// Among agents.
    Internal,
}

/// A file or message attached.
#[derive(Clone, Debug)]
pub enum Attachment {
    /// A file.
    File {
        /// File name.
        name: String,
        /// Media type.
        media_type: String,
        /// Content.
        bytes: Vec<u8>,
    },
    /// A message.
    Message(Box<Letter>),
}

impl Letter {
    /// Subject with its prefix.
    pub fn whole_subject(&self) -> String {
        format!("{}{}", self.subject_prefix, self.subject)
    }

    /// Thread and position, for error messages.
    pub fn place(&self) -> String {
        format!("{}[{}]", self.thread, self.index)
    }

    /// Whether it is sent as HTML.
    pub fn has_html(&self) -> bool {
        !matches!(self.kind, Kind::Webform | Kind::Bounce)
            && matches!(self.style, Style::Outlook | Style::OutlookHtml | Style::Gmail | Style::Iphone)
    }

    /// Whether it is sent as plain text (too).
    pub fn has_plain(&self) -> bool {
        !(self.has_html() && self.style == Style::OutlookHtml)
    }
}

//! What a caller says of a message, its recipients and its attachments.

use crate::property::{FileTime, PropertyId, PropertyValue};

/// Someone who sends or receives.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Person {
    /// The name shown.
    pub name: String,
    /// `SMTP`, or `EX` for Exchange.
    pub address_type: String,
    /// The address in that type's form; empty for none.
    pub address: String,
    /// The SMTP address where the type is another.
    pub smtp_address: Option<String>,
}

impl Person {
    /// Someone with an internet address.
    pub fn smtp(name: &str, address: &str) -> Self {
        Self { name: name.into(), address_type: "SMTP".into(), address: address.into(), smtp_address: None }
    }

    /// Someone in an Exchange organisation.
    pub fn exchange(name: &str, legacy_dn: &str, smtp_address: &str) -> Self {
        Self {
            name: name.into(),
            address_type: "EX".into(),
            address: legacy_dn.into(),
            smtp_address: Some(smtp_address.into()),
        }
    }
}

/// As what someone receives a message (`PidTagRecipientType`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecipientKind {
    /// To
    To = 1,
    /// Carbon copy
    Cc = 2,
    /// Blind carbon copy
    Bcc = 3,
}

/// One recipient of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipient {
    /// As what.
    pub kind: RecipientKind,
    /// Who.
    pub person: Person,
}

impl Recipient {
    /// A recipient.
    pub fn new(kind: RecipientKind, person: Person) -> Self {
        Self { kind, person }
    }
}

/// An HTML body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HtmlBody {
    /// The document's bytes.
    pub bytes: Vec<u8>,
    /// The code page they are in (`PidTagInternetCodepage`), 65001 for UTF-8.
    pub code_page: u16,
}

/// An RTF body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RtfBody {
    /// RTF, to be compressed (`LZFu`).
    Compressed(Vec<u8>),
    /// RTF, to be stored as it is (`MELA`).
    Plain(Vec<u8>),
    /// The value of `PidTagRtfCompressed` as it shall lie in the file, right or wrong.
    Raw(Vec<u8>),
}

/// What an attachment consists of (`PidTagAttachMethod`).
#[derive(Clone, Debug, PartialEq)]
pub enum AttachmentContent {
    /// Bytes (method 1).
    ByValue(Vec<u8>),
    /// A path, the bytes being elsewhere (method 4, by reference only).
    ByReference(String),
    /// Another message (method 5).
    Embedded(Box<MessageSpec>),
    /// The bytes of an OLE storage (method 6).
    Ole(Vec<u8>),
    /// Nothing at all (method 0).
    Empty,
}

/// One attachment.
#[derive(Clone, Debug, PartialEq)]
pub struct AttachmentSpec {
    /// The file's name; empty for none.
    pub file_name: String,
    /// The MIME type, if known.
    pub mime_type: Option<String>,
    /// The id by which an HTML body shows the attachment.
    pub content_id: Option<String>,
    /// Whether it is hidden from the list of attachments.
    pub is_hidden: bool,
    /// What it consists of.
    pub content: AttachmentContent,
    /// Further properties; they replace those that this writer makes from the fields above.
    pub properties: Vec<(PropertyId, PropertyValue)>,
}

impl AttachmentSpec {
    /// A file.
    pub fn file(file_name: &str, mime_type: &str, bytes: Vec<u8>) -> Self {
        Self {
            file_name: file_name.into(),
            mime_type: Some(mime_type.into()),
            ..Self::new(AttachmentContent::ByValue(bytes))
        }
    }

    /// A message within the message. It takes its name from that message's subject.
    pub fn message(message: MessageSpec) -> Self {
        Self { file_name: message.subject.clone(), ..Self::new(AttachmentContent::Embedded(Box::new(message))) }
    }

    /// An attachment without a name.
    pub fn new(content: AttachmentContent) -> Self {
        Self {
            file_name: String::new(),
            mime_type: None,
            content_id: None,
            is_hidden: false,
            content,
            properties: Vec::new(),
        }
    }
}

/// One message, or another item: contacts, appointments, tasks and notes are messages of another class with properties
/// of their own.
#[derive(Clone, Debug, PartialEq)]
pub struct MessageSpec {
    /// `IPM.Note`, `IPM.Appointment`, `IPM.Contact` and so on; empty for none.
    pub message_class: String,
    /// The part of the subject before the subject proper, with its blank: `"RE: "`. It is stored as Outlook does it: the
    /// whole subject behind two characters that say where the prefix ends.
    pub subject_prefix: String,
    /// The subject without its prefix.
    pub subject: String,
    /// Who sent it.
    pub sender: Option<Person>,
    /// On whose behalf; the sender where none is given.
    pub representing: Option<Person>,
    /// Who received it.
    pub recipients: Vec<Recipient>,
    /// When the client sent it.
    pub submit_time: Option<FileTime>,
    /// When it was delivered.
    pub delivery_time: Option<FileTime>,
    /// The header lines it came with.
    pub transport_headers: Option<String>,
    /// The `Message-ID`, angle brackets included.
    pub message_id: Option<String>,
    /// The `In-Reply-To`, angle brackets included.
    pub in_reply_to: Option<String>,
    /// The `References`, angle brackets included.
    pub references: Option<String>,
    /// Outlook's position in the conversation ([MS-OXOMSG] 2.2.1.3).
    pub conversation_index: Option<Vec<u8>>,
    /// Outlook's name of the conversation.
    pub conversation_topic: Option<String>,
    /// The plain body.
    pub text: Option<String>,
    /// The HTML body.
    pub html: Option<HtmlBody>,
    /// The RTF body.
    pub rtf: Option<RtfBody>,
    /// Whether it has been read.
    pub is_read: bool,
    /// Attachments, in order.
    pub attachments: Vec<AttachmentSpec>,
    /// The code page of the message's 8-bit strings (`PidTagMessageCodepage`); the file's own where none is given.
    pub code_page: Option<u16>,
    /// Further properties; they replace those that this writer makes from the fields above.
    pub properties: Vec<(PropertyId, PropertyValue)>,
}

impl Default for MessageSpec {
    fn default() -> Self {
        Self {
            message_class: "IPM.Note".into(),
            subject_prefix: String::new(),
            subject: String::new(),
            sender: None,
            representing: None,
            recipients: Vec::new(),
            submit_time: None,
            delivery_time: None,
            transport_headers: None,
            message_id: None,
            in_reply_to: None,
            references: None,
            conversation_index: None,
            conversation_topic: None,
            text: None,
            html: None,
            rtf: None,
            is_read: true,
            attachments: Vec::new(),
            code_page: None,
            properties: Vec::new(),
        }
    }
}

//! Items: messages, appointments, contacts, tasks, journal entries and notes.

use crate::attachment::AttachmentInfo;
use crate::body::Bodies;
use crate::error::Problem;
use crate::ndb::Node;
use crate::recipient::{Party, Recipient};
use crate::special::{Appointment, Contact, Task};

/// What an item is, by its message class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ItemKind {
    /// A mail message, report, meeting request, post, fax.
    Message,
    /// A calendar entry.
    Appointment,
    /// A contact or distribution list.
    Contact,
    /// A task.
    Task,
    /// A journal entry.
    Journal,
    /// A sticky note.
    Note,
    /// Anything else.
    Other,
}

impl ItemKind {
    /// All kinds, in the order of reports.
    pub const ALL: [Self; 7] =
        [Self::Message, Self::Appointment, Self::Contact, Self::Task, Self::Journal, Self::Note, Self::Other];

    /// The kind that a message class names. An item without a class counts as a message, as Outlook shows it.
    pub fn of_class(class: &str) -> Self {
        let class = class.to_ascii_uppercase();
        let is = |prefix: &str| {
            class.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '_']))
        };
        if is("IPM.APPOINTMENT") || is("IPM.OLE.CLASS.{00061055-0000-0000-C000-000000000046}") {
            Self::Appointment
        } else if is("IPM.CONTACT") || is("IPM.DISTLIST") || is("IPM.ABCHPERSON") {
            Self::Contact
        } else if is("IPM.TASK") {
            Self::Task
        } else if is("IPM.ACTIVITY") {
            Self::Journal
        } else if is("IPM.STICKYNOTE") {
            Self::Note
        } else if class.is_empty() || class == "IPM" || class.starts_with("REPORT") || MAIL.into_iter().any(is) {
            Self::Message
        } else {
            Self::Other
        }
    }

    /// A stable lower-case name for machine-readable reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Message => "message",
            Self::Appointment => "appointment",
            Self::Contact => "contact",
            Self::Task => "task",
            Self::Journal => "journal",
            Self::Note => "note",
            Self::Other => "other",
        }
    }
}

/// Classes of mail.
const MAIL: [&str; 10] = [
    "IPM.NOTE",
    "IPM.SCHEDULE",
    "IPM.POST",
    "IPM.TASKREQUEST",
    "IPM.RECALL",
    "IPM.OUTLOOK.RECALL",
    "IPM.SHARING",
    "IPM.RESEND",
    "IPM.REPLICATION",
    "IPM.CONFLICT",
];

/// Where an item is: its node, and the attachments to open, from the outside in, where it is embedded.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ItemAddress {
    /// Node of the outermost item.
    pub node_id: u32,
    /// Attachment subnodes that lead to an embedded message; empty for an item of a folder.
    pub attachments: Vec<u32>,
}

impl std::fmt::Display for ItemAddress {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "item {:#x}", self.node_id)?;
        self.attachments.iter().try_for_each(|attachment| write!(formatter, " / attachment {attachment:#x}"))
    }
}

/// An item as far as it could be read. Times are microseconds since 1970-01-01 UTC.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// Where it is.
    pub address: ItemAddress,
    /// What it is.
    pub kind: ItemKind,
    /// Its message class (`IPM.Note`); empty where it has none.
    pub message_class: String,
    /// Subject with its prefix (`RE: Invoice`).
    pub subject: String,
    /// The prefix alone (`RE: `), as the item marks it.
    pub subject_prefix: Option<String>,
    /// Who sent it.
    pub sender: Party,
    /// On whose behalf it was sent.
    pub sent_representing: Party,
    /// The mailbox that received it.
    pub received_by: Party,
    /// To whom, in the order of the recipient table.
    pub recipients: Vec<Recipient>,
    /// Names of the To recipients as shown.
    pub display_to: Option<String>,
    /// Names of the Cc recipients as shown.
    pub display_cc: Option<String>,
    /// Names of the Bcc recipients as shown.
    pub display_bcc: Option<String>,
    /// Internet message identifier, with its angle brackets where the file has them.
    pub message_id: Option<String>,
    /// Message identifier that this replies to.
    pub in_reply_to: Option<String>,
    /// Message identifiers of the thread before this.
    pub references: Option<String>,
    /// Internet headers as they arrived; sent mail has none.
    pub internet_headers: Option<String>,
    /// Outlook's thread position: 22 bytes, and 5 for each reply ([MS-OXOMSG] 2.2.1.3).
    pub conversation_index: Option<Vec<u8>>,
    /// Subject of the thread's first message.
    pub conversation_topic: Option<String>,
    /// When it was sent.
    pub client_submit_time: Option<i64>,
    /// When it was delivered.
    pub delivery_time: Option<i64>,
    /// When it was made.
    pub creation_time: Option<i64>,
    /// When it was last changed.
    pub modification_time: Option<i64>,
    /// Flags ([MS-OXCMSG] 2.2.1.6): 0x1 read, 0x8 unsent, 0x10 has attachments, 0x20 from me.
    pub flags: u32,
    /// 0 low, 1 normal, 2 high.
    pub importance: Option<i64>,
    /// Its text.
    pub bodies: Bodies,
    /// What a calendar entry or meeting request says.
    pub appointment: Option<Appointment>,
    /// What a contact says.
    pub contact: Option<Contact>,
    /// What a task says.
    pub task: Option<Task>,
    /// Its attachments, in the order of the attachment table.
    pub attachments: Vec<AttachmentInfo>,
    /// What could not be read of it.
    pub problems: Vec<Problem>,
    pub(crate) node: Node,
}

impl Item {
    /// Node of the item (of the outermost one where it is embedded).
    pub fn node_id(&self) -> u32 {
        self.address.node_id
    }

    /// Whether it was written here and not sent.
    pub fn is_unsent(&self) -> bool {
        self.flags & 0x8 != 0
    }
}

/// A subject, freed of the two characters with which Outlook marks its prefix ([MS-OXCMSG] 2.2.1.46): 0x01, and one more than
/// the prefix's length in characters. Returns subject and prefix.
pub(crate) fn unmark_subject(raw: &str) -> (String, Option<String>) {
    let mut characters = raw.chars();
    if characters.next() != Some('\u{1}') {
        return (raw.to_owned(), None);
    }
    let Some(length) = characters.next() else { return (String::new(), None) };
    let rest = characters.as_str();
    let prefix_units = (length as usize).saturating_sub(1);
    // The length counts UTF-16 units.
    let mut units = 0;
    let within_prefix = |character: &char| {
        units += character.len_utf16();
        units <= prefix_units
    };
    let prefix: String = rest.chars().take_while(within_prefix).collect();
    (rest.to_owned(), (!prefix.is_empty()).then_some(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_name_kinds() {
        for (class, kind) in [
            ("IPM.Note", ItemKind::Message),
            ("ipm.note.smime", ItemKind::Message),
            ("REPORT.IPM.Note.NDR", ItemKind::Message),
            ("IPM.Schedule.Meeting.Request", ItemKind::Message),
            ("", ItemKind::Message),
            ("IPM.Appointment", ItemKind::Appointment),
            ("IPM.Contact", ItemKind::Contact),
            ("IPM.DistList", ItemKind::Contact),
            ("IPM.Task", ItemKind::Task),
            ("IPM.TaskRequest.Accept", ItemKind::Message),
            ("IPM.Activity", ItemKind::Journal),
            ("IPM.StickyNote", ItemKind::Note),
            ("IPM.Configuration.X", ItemKind::Other),
            ("IPM.Notepad", ItemKind::Other),
        ] {
            assert_eq!(ItemKind::of_class(class), kind, "{class}");
        }
    }

    #[test]
    fn subjects_lose_their_mark() {
        assert_eq!(unmark_subject("\u{1}\u{5}RE: Hello"), ("RE: Hello".into(), Some("RE: ".into())));
        assert_eq!(unmark_subject("\u{1}\u{1}Hello"), ("Hello".into(), None));
        assert_eq!(unmark_subject("Hello"), ("Hello".into(), None));
        assert_eq!(unmark_subject("\u{1}"), (String::new(), None));
        assert_eq!(unmark_subject("\u{1}\u{7f}ab"), ("ab".into(), Some("ab".into())));
    }
}

//! What the second phase needs of every message, kept in the ledger beside it so that no message is loaded for it.

use rejoinder_domain::{Address, Body, BodySource, Direction, Message, MessageId};
use rejoinder_ledger::LedgerError;
use rejoinder_mail::direction::{self, Ownership};
use rejoinder_mail::thread::ThreadEntry;
use serde::{Deserialize, Serialize};

use crate::IngestError;

/// The digest that threading works on, and the addresses that tell the direction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) thread: ThreadEntry,
    from: Option<String>,
    sender: Option<String>,
    recipients: Vec<String>,
    /// Which way it went, where whoever gave the message knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    direction: Option<Direction>,
}

impl Entry {
    pub(crate) fn of(message: &Message) -> Self {
        let email = |address: &Option<Address>| address.as_ref().map(|address| address.email.clone());
        let recipients = message.to.iter().chain(&message.cc).chain(&message.bcc);
        Self {
            thread: ThreadEntry::of(message),
            from: email(&message.from),
            sender: email(&message.sender),
            recipients: recipients.map(|address| address.email.clone()).collect(),
            direction: None,
        }
    }

    /// The same, with a direction that is known.
    pub(crate) fn with_direction(self, direction: Option<Direction>) -> Self {
        Self { direction, ..self }
    }

    /// As it is kept.
    pub(crate) fn to_bytes(&self) -> Result<Vec<u8>, IngestError> {
        serde_json::to_vec(self).map_err(|_| IngestError::Internal("a thread entry cannot be written"))
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, IngestError> {
        Ok(serde_json::from_slice(bytes).map_err(|_| LedgerError::Corrupt("thread entry"))?)
    }

    /// Which way the message went: as it was given, else by whose addresses are ours and the folder that it lies in.
    pub(crate) fn direction(&self, in_sent_folder: bool, ownership: &Ownership) -> Direction {
        self.direction.unwrap_or_else(|| direction::of_item(&self.envelope(), in_sent_folder, ownership))
    }

    /// A message with these addresses and nothing else: what `rejoinder_mail::direction` looks at.
    pub(crate) fn envelope(&self) -> Message {
        let address = |email: &String| Address { name: String::new(), email: email.clone() };
        Message {
            id: MessageId::from_stored(""),
            kind: rejoinder_domain::ItemKind::Message,
            rfc_message_id: None,
            in_reply_to: Vec::new(),
            references: Vec::new(),
            conversation_index: None,
            conversation_topic: None,
            subject: String::new(),
            from: self.from.as_ref().map(address),
            sender: self.sender.as_ref().map(address),
            reply_to: Vec::new(),
            to: self.recipients.iter().map(address).collect(),
            cc: Vec::new(),
            bcc: Vec::new(),
            sent_at: None,
            received_at: None,
            body: Body { text: String::new(), source: BodySource::Empty, segments: Vec::new() },
            attachments: Vec::new(),
            direction: Direction::Unknown,
            language: None,
            automatic: false,
        }
    }
}

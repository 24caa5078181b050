//! Mail and suggestions to test with.

use jiff::Timestamp;
use rejoinder_domain::{
    Address, Body, BodySource, Direction, ItemKind, MailboxId, Message, MessageId, Skipped, TenantId,
};
use rejoinder_ledger::{ItemOutcome, ItemRecord, Ledger, MailboxRecord, SuggestionRecord};
use tempfile::TempDir;

pub(crate) fn tenant() -> TenantId {
    TenantId::new("acme").unwrap()
}

pub(crate) fn other() -> TenantId {
    TenantId::new("other").unwrap()
}

pub(crate) fn open() -> (TempDir, Ledger) {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(folder.path().join("ledger.sqlite")).unwrap();
    (folder, ledger)
}

pub(crate) fn reopen(folder: &TempDir) -> Ledger {
    Ledger::open(folder.path().join("ledger.sqlite")).unwrap()
}

/// Seconds after a fixed moment.
pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + seconds).unwrap()
}

pub(crate) fn mailbox(name: &str, fingerprint: &str) -> MailboxRecord {
    MailboxRecord {
        id: MailboxId::from_content(&[name.as_bytes()]),
        name: name.to_owned(),
        path: format!("/mail/{name}"),
        format: "mbox".to_owned(),
        fingerprint: fingerprint.to_owned(),
        owner: None,
    }
}

/// From nobody, to nobody, with a text that nothing else has.
pub(crate) fn message(name: &str) -> Message {
    let mut message = Message {
        id: MessageId::from_stored(""),
        kind: ItemKind::Message,
        rfc_message_id: Some(format!("{name}@mail.example")),
        in_reply_to: Vec::new(),
        references: Vec::new(),
        conversation_index: None,
        conversation_topic: None,
        subject: format!("About {name}"),
        from: Some(Address { name: String::new(), email: format!("{name}@sender.example") }),
        sender: None,
        reply_to: Vec::new(),
        to: Vec::new(),
        cc: Vec::new(),
        bcc: Vec::new(),
        sent_at: Some(at(0)),
        received_at: None,
        body: Body { text: format!("Words of {name}."), source: BodySource::Plain, segments: Vec::new() },
        attachments: Vec::new(),
        direction: Direction::Unknown,
        language: None,
        automatic: false,
    };
    message.id = message.key();
    message
}

pub(crate) fn id(name: &str) -> MessageId {
    message(name).id
}

/// Reads a mailbox that holds these messages and no others.
pub(crate) fn read(ledger: &Ledger, mailbox: &MailboxRecord, messages: &[Message]) {
    ledger.begin_read(&tenant(), mailbox).unwrap();
    record(ledger, mailbox, messages, &[]);
    ledger.finish_read(&tenant(), &mailbox.id).unwrap();
}

/// Reads messages and then items that cannot be read, each with this reason.
pub(crate) fn record(ledger: &Ledger, mailbox: &MailboxRecord, messages: &[Message], skipped: &[&str]) {
    let lost = [Skipped { place: "part 1".to_owned(), reason: "damaged".to_owned() }];
    let read = messages.iter().enumerate().map(|(n, message)| ItemRecord {
        position: n as u64,
        folder: "Inbox",
        place: "mail",
        in_sent_folder: false,
        outcome: ItemOutcome::Read { message, thread_entry: Vec::new() },
        losses: if message.subject.contains("damaged") { &lost } else { &[] },
    });
    let failed = skipped.iter().enumerate().map(|(n, reason)| ItemRecord {
        position: (messages.len() + n) as u64,
        folder: "Inbox",
        place: "mail",
        in_sent_folder: false,
        outcome: ItemOutcome::Skipped { reason },
        losses: &[],
    });
    let items: Vec<ItemRecord<'_>> = read.chain(failed).collect();
    ledger.record_items(&tenant(), &mailbox.id, &items).unwrap();
}

/// A suggestion for ticket `T-1` in state `one`, made at [`at`] 0, that rests on nothing.
pub(crate) fn suggestion(id: &str) -> SuggestionRecord {
    SuggestionRecord {
        id: id.to_owned(),
        ticket: "T-1".to_owned(),
        ticket_state: "one".to_owned(),
        ticket_messages: 2,
        created: at(0),
        terms: vec!["invoice".to_owned(), "rebate".to_owned()],
        found: true,
        provider: "local".to_owned(),
        model: "small".to_owned(),
        source: None,
        cited: Vec::new(),
        body: serde_json::json!({"suggestions": [{"text": format!("Draft of {id}")}]}),
    }
}

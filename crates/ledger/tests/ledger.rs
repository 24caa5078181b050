//! The ledger through its public interface: the account, resuming, changed mailboxes, units, erasure.

#![expect(clippy::unwrap_used, reason = "a test may fail")]
use jiff::Timestamp;
use rejoinder_domain::{
    Address, Body, BodySource, Direction, ErrorKind, ItemKind, MailboxId, Message, MessageId, Skipped, TenantId,
    ThreadId,
};
use rejoinder_ledger::{
    ItemOutcome, ItemRecord, Ledger, LedgerError, MailboxRecord, MailboxStatus, PairRow, ReadCounts, ReadState,
    StoredUnit, SuggestionRecord, ThreadRow, Unit, Vanished,
};
use tempfile::TempDir;

const VERSION: &str = "test-1";

fn tenant() -> TenantId {
    TenantId::new("acme").unwrap()
}

fn open() -> (TempDir, Ledger) {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(folder.path().join("state/ledger.sqlite")).unwrap();
    (folder, ledger)
}

fn mailbox(name: &str, fingerprint: &str) -> MailboxRecord {
    MailboxRecord {
        id: MailboxId::from_content(&[name.as_bytes()]),
        name: name.to_owned(),
        path: format!("/mail/{name}"),
        format: "mbox".to_owned(),
        fingerprint: fingerprint.to_owned(),
        owner: None,
    }
}

fn message(name: &str) -> Message {
    let mut message = Message {
        id: MessageId::from_stored(""),
        kind: ItemKind::Message,
        rfc_message_id: Some(format!("{name}@mail.example")),
        in_reply_to: Vec::new(),
        references: Vec::new(),
        conversation_index: None,
        conversation_topic: None,
        subject: format!("About {name}"),
        from: Some(Address { name: String::new(), email: "anna@weber.example".to_owned() }),
        sender: None,
        reply_to: Vec::new(),
        to: Vec::new(),
        cc: Vec::new(),
        bcc: Vec::new(),
        sent_at: Timestamp::from_second(1_700_000_000).ok(),
        received_at: None,
        body: Body { text: format!("Secret words of {name}."), source: BodySource::Plain, segments: Vec::new() },
        attachments: Vec::new(),
        direction: Direction::Unknown,
        language: None,
        automatic: false,
    };
    message.id = message.key();
    message
}

/// Records messages, or a skipped item for each empty name, at positions from `first` on.
fn record(ledger: &Ledger, mailbox: &MailboxRecord, first: u64, names: &[&str]) -> ReadCounts {
    let messages: Vec<Message> = names.iter().map(|name| message(name)).collect();
    let items: Vec<ItemRecord<'_>> = messages
        .iter()
        .zip(names)
        .enumerate()
        .map(|(i, (message, name))| ItemRecord {
            position: first + i as u64,
            folder: "Inbox",
            place: name,
            in_sent_folder: false,
            outcome: if name.is_empty() {
                ItemOutcome::Skipped { reason: "no end" }
            } else {
                ItemOutcome::Read { message, thread_entry: name.as_bytes().to_vec() }
            },
            losses: &[],
        })
        .collect();
    ledger.record_items(&tenant(), &mailbox.id, &items).unwrap()
}

fn read_whole(ledger: &Ledger, mailbox: &MailboxRecord, names: &[&str]) -> Vanished {
    assert_eq!(ledger.begin_read(&tenant(), mailbox).unwrap(), ReadState::Start);
    record(ledger, mailbox, 0, names);
    ledger.finish_read(&tenant(), &mailbox.id).unwrap()
}

fn thread(ledger: &Ledger, names: &[&str], pairs: &[(&str, &str)]) {
    let rows: Vec<ThreadRow> = names
        .iter()
        .map(|name| ThreadRow {
            message: message(name).id,
            thread: ThreadId::from_content(&[b"one"]),
            parent: None,
            direction: Direction::Inbound,
            stamp: "s1".to_owned(),
        })
        .collect();
    let pairs: Vec<PairRow> = pairs
        .iter()
        .map(|(q, r)| PairRow { question: message(q).id, reply: message(r).id, stamp: "s1".to_owned() })
        .collect();
    ledger.apply_threading(&tenant(), &rows, &pairs).unwrap();
}

fn status_of(ledger: &Ledger, name: &str) -> MailboxStatus {
    let all = ledger.status(&tenant(), VERSION).unwrap();
    let one = all.into_iter().find(|status| status.name == name).unwrap();
    assert_eq!(one.seen, one.indexed + one.pending + one.duplicate + one.skipped, "every item is accounted for");
    one
}

fn unit(name: &str, reply: Option<&str>) -> Unit {
    Unit { message: message(name).id, reply: reply.map(|r| message(r).id), stamp: "s1".to_owned(), records: 2 }
}

/// Whether one of the ledger's files holds these bytes.
fn is_on_disk(folder: &TempDir, marker: &str) -> bool {
    std::fs::read_dir(folder.path().join("state")).unwrap().any(|file| {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        bytes.windows(marker.len()).any(|window| window == marker.as_bytes())
    })
}

#[test]
fn what_is_stored_comes_back_whole() {
    let (_folder, ledger) = open();
    read_whole(&ledger, &mailbox("a", "1"), &["x"]);
    thread(&ledger, &["x"], &[]);
    let stored = ledger.message(&tenant(), &message("x").id).unwrap().unwrap();
    assert_eq!(stored, Message { direction: Direction::Inbound, ..message("x") });
    let facts = ledger.message_facts(&tenant(), None, 10).unwrap();
    assert_eq!(facts.len(), 1);
    assert_eq!(facts[0].thread_entry, b"x");
    assert_eq!(facts[0].mailboxes, [(mailbox("a", "1").id, false)]);
    assert_eq!(ledger.mailboxes(&tenant()).unwrap(), [mailbox("a", "1")]);
}

#[test]
fn an_interrupted_reading_goes_on_after_the_last_batch() {
    let (folder, ledger) = open();
    let a = mailbox("a", "1");
    ledger.begin_read(&tenant(), &a).unwrap();
    record(&ledger, &a, 7, &["x", ""]);
    drop(ledger);
    let ledger = Ledger::open(folder.path().join("state/ledger.sqlite")).unwrap();
    assert_eq!(ledger.begin_read(&tenant(), &a).unwrap(), ReadState::After(8));
    record(&ledger, &a, 9, &["y"]);
    ledger.finish_read(&tenant(), &a.id).unwrap();
    assert_eq!(ledger.begin_read(&tenant(), &a).unwrap(), ReadState::Complete);
    assert_eq!(status_of(&ledger, "a").seen, 3);
    assert_eq!(
        ledger.skipped(&tenant(), None, 0, 10).unwrap(),
        [Skipped { place: String::new(), reason: "no end".to_owned() }]
    );
}

#[test]
fn one_message_in_two_mailboxes_is_stored_once_with_both_places() {
    let (_folder, ledger) = open();
    let (a, b) = (mailbox("a", "1"), mailbox("b", "1"));
    read_whole(&ledger, &a, &["x", "x"]);
    ledger.begin_read(&tenant(), &b).unwrap();
    assert_eq!(record(&ledger, &b, 0, &["x"]), ReadCounts { duplicate: 1, ..ReadCounts::default() });
    ledger.finish_read(&tenant(), &b.id).unwrap();
    assert_eq!(ledger.messages(&tenant(), None, 10).unwrap().len(), 1);
    let mut both = vec![a.id.clone(), b.id.clone()];
    both.sort();
    assert_eq!(ledger.mailboxes_of(&tenant(), &message("x").id).unwrap(), both);
    assert_eq!((status_of(&ledger, "a").duplicate, status_of(&ledger, "b").duplicate), (1, 1));
}

#[test]
fn a_changed_mailbox_lets_go_of_what_vanished_only_when_it_is_read_to_its_end() {
    let (_folder, ledger) = open();
    let (a, b) = (mailbox("a", "1"), mailbox("b", "1"));
    read_whole(&ledger, &a, &["x", "y", "z"]);
    read_whole(&ledger, &b, &["y"]);
    let changed = mailbox("a", "2");
    assert_eq!(ledger.begin_read(&tenant(), &changed).unwrap(), ReadState::Start);
    assert_eq!(record(&ledger, &changed, 0, &["x"]).stored, 1, "its own earlier copy is not another copy");
    assert_eq!(ledger.messages(&tenant(), None, 10).unwrap().len(), 3, "nothing is lost half way");
    assert_eq!(ledger.finish_read(&tenant(), &a.id).unwrap(), Vanished { places: 2, messages: 1 });
    let mut left = vec![message("x").id, message("y").id];
    left.sort();
    let ids: Vec<MessageId> = ledger.messages(&tenant(), None, 10).unwrap().into_iter().map(|m| m.id).collect();
    assert_eq!(ids, left);
    assert_eq!(status_of(&ledger, "b").pending, 1, "the copy that is left is the first copy now");
    // It comes back when a mailbox has it again.
    assert_eq!(read_whole(&ledger, &mailbox("a", "3"), &["x", "z"]), Vanished::default());
    assert_eq!(ledger.messages(&tenant(), None, 10).unwrap().len(), 3);
    assert_eq!(status_of(&ledger, "a").pending, 2);
}

#[test]
fn a_unit_is_pending_until_it_is_confirmed_and_stale_when_its_message_is_gone() {
    let (_folder, ledger) = open();
    read_whole(&ledger, &mailbox("a", "1"), &["x", "y"]);
    assert_eq!(ledger.count_pending(&tenant(), VERSION).unwrap(), (2, 0), "not yet threaded is pending too");
    thread(&ledger, &["x", "y"], &[("x", "y")]);
    assert_eq!(ledger.count_pending(&tenant(), VERSION).unwrap(), (2, 1));
    let units = [unit("x", None), unit("y", None), unit("x", Some("y"))];
    ledger.intend(&tenant(), VERSION, &units).unwrap();
    assert_eq!(ledger.count_pending(&tenant(), VERSION).unwrap(), (2, 1), "announced is not done");
    ledger.confirm(&tenant(), VERSION, &units).unwrap();
    assert_eq!(ledger.count_pending(&tenant(), VERSION).unwrap(), (0, 0));
    assert_eq!(ledger.count_pending(&tenant(), "test-2").unwrap(), (2, 1), "another version lacks all");
    assert_eq!(status_of(&ledger, "a").indexed, 2);
    assert_eq!(ledger.totals(&tenant(), VERSION).unwrap().chunks, 4);

    read_whole(&ledger, &mailbox("a", "2"), &["x"]);
    thread(&ledger, &["x"], &[]);
    let mut stale = ledger.stale_units(&tenant(), VERSION, 10).unwrap();
    stale.sort_by_key(|unit| unit.reply.is_some());
    assert_eq!(
        stale,
        [
            StoredUnit { message: message("y").id, reply: None, records: 2 },
            StoredUnit { message: message("x").id, reply: Some(message("y").id), records: 2 },
        ]
    );
    ledger.forget(&tenant(), VERSION, &stale).unwrap();
    assert_eq!(ledger.stale_units(&tenant(), VERSION, 10).unwrap(), []);
}

#[test]
fn losses_inside_an_item_are_listed_and_counted_and_go_with_it() {
    let (_folder, ledger) = open();
    let a = mailbox("a", "1");
    ledger.begin_read(&tenant(), &a).unwrap();
    let message = message("x");
    let lost: Vec<Skipped> =
        (0..150).map(|n| Skipped { place: format!("part {n}"), reason: "damaged".to_owned() }).collect();
    let item = ItemRecord {
        position: 0,
        folder: "",
        place: "0",
        in_sent_folder: true,
        outcome: ItemOutcome::Read { message: &message, thread_entry: Vec::new() },
        losses: &lost,
    };
    let counts = ledger.record_items(&tenant(), &a.id, &[item]).unwrap();
    assert_eq!((counts.stored, counts.salvaged), (1, 1));
    assert_eq!(status_of(&ledger, "a").salvaged, 1);
    assert_eq!(ledger.losses(&tenant(), None, 0, 1000).unwrap(), lost[..100], "a hundred are listed");
    assert_eq!(ledger.losses(&tenant(), Some(&a.id), 99, 1000).unwrap(), lost[99..100]);
    ledger.erase_messages(&tenant(), &[message.id]).unwrap();
    assert_eq!(ledger.losses(&tenant(), None, 0, 1000).unwrap(), []);
}

#[test]
fn tenants_never_meet() {
    let (_folder, ledger) = open();
    let other = TenantId::new("other").unwrap();
    read_whole(&ledger, &mailbox("a", "1"), &["x"]);
    thread(&ledger, &["x"], &[]);
    assert_eq!(ledger.message(&other, &message("x").id).unwrap(), None);
    assert!(ledger.status(&other, VERSION).unwrap().is_empty());
    assert_eq!(ledger.begin_read(&other, &mailbox("a", "1")).unwrap(), ReadState::Start);
    ledger.erase_tenant(&other).unwrap();
    assert_eq!(ledger.messages(&tenant(), None, 10).unwrap().len(), 1);
}

#[test]
fn an_erased_message_is_in_no_file_and_does_not_come_back() {
    let (folder, ledger) = open();
    read_whole(&ledger, &mailbox("a", "1"), &["x", "y"]);
    thread(&ledger, &["x", "y"], &[("x", "y")]);
    ledger.confirm(&tenant(), VERSION, &[unit("x", None), unit("x", Some("y"))]).unwrap();
    let suggestion = SuggestionRecord {
        id: "sug_1".to_owned(),
        ticket: "T-1".to_owned(),
        ticket_state: "one".to_owned(),
        ticket_messages: 1,
        created: Timestamp::from_second(1_700_000_000).unwrap(),
        terms: Vec::new(),
        found: true,
        provider: "exemplar".to_owned(),
        model: "reply-pairs".to_owned(),
        source: None,
        cited: vec![message("x").id],
        body: serde_json::json!("quoted marker-in-suggestion"),
    };
    assert!(ledger.record_suggestion(&tenant(), &suggestion).unwrap());
    assert_eq!(ledger.suggestion(&tenant(), "sug_1").unwrap().unwrap().suggestion, suggestion);
    assert!(is_on_disk(&folder, "marker-in-suggestion"));

    let erased = ledger.erase_messages(&tenant(), &[message("x").id]).unwrap();
    assert_eq!((erased.messages, erased.suggestions), (vec![message("x").id], 1));
    assert_eq!(ledger.message(&tenant(), &message("x").id).unwrap(), None);
    assert_eq!(ledger.suggestion(&tenant(), "sug_1").unwrap(), None);
    assert_eq!(ledger.stale_units(&tenant(), VERSION, 10).unwrap().len(), 2, "the next ingest clears the store too");
    assert!(!is_on_disk(&folder, "marker-in-suggestion"));
    read_whole(&ledger, &mailbox("a", "2"), &["x", "y"]);
    assert_eq!(ledger.message(&tenant(), &message("x").id).unwrap(), None);
    assert_eq!(status_of(&ledger, "a").skipped, 1);
}

#[test]
fn an_erased_mailbox_takes_along_only_what_no_other_holds() {
    let (_folder, ledger) = open();
    let a = mailbox("a", "1");
    read_whole(&ledger, &a, &["x", "y"]);
    read_whole(&ledger, &mailbox("b", "1"), &["y"]);
    assert_eq!(ledger.erase_mailbox(&tenant(), &a.id).unwrap().messages, [message("x").id]);
    assert!(ledger.message(&tenant(), &message("y").id).unwrap().is_some());
    assert_eq!(status_of(&ledger, "b").pending, 1);
    assert_eq!(read_whole(&ledger, &a, &["x", "y"]), Vanished::default());
    assert!(ledger.message(&tenant(), &message("x").id).unwrap().is_some());
}

#[test]
fn one_ingest_per_tenant_at_a_time() {
    let (_folder, ledger) = open();
    let held = ledger.lock_ingest(&tenant()).unwrap();
    let error = ledger.lock_ingest(&tenant()).unwrap_err();
    assert!(matches!(error, LedgerError::Busy));
    assert_eq!(error.kind(), ErrorKind::Transient);
    ledger.lock_ingest(&TenantId::new("other").unwrap()).unwrap();
    drop(held);
    ledger.lock_ingest(&tenant()).unwrap();
}

#[test]
fn a_file_of_a_newer_version_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.sqlite");
    rusqlite::Connection::open(&path).unwrap().pragma_update(None, "user_version", 999).unwrap();
    assert!(matches!(Ledger::open(&path), Err(LedgerError::TooNew { found: 999, .. })));
}

#[test]
fn runs_are_numbered_and_keep_their_reports() {
    let (_folder, ledger) = open();
    let first = ledger.start_run(&tenant()).unwrap();
    let second = ledger.start_run(&tenant()).unwrap();
    ledger.finish_run(&tenant(), second, &serde_json::json!({"seen": 3})).unwrap();
    let runs = ledger.runs(&tenant(), 10).unwrap();
    assert_eq!(runs.iter().map(|run| run.id).collect::<Vec<_>>(), [second, first]);
    assert!(runs[0].finished.is_some() && runs[1].finished.is_none());
    assert_eq!(runs[0].report.as_ref().unwrap()["seen"], 3);
}

#[test]
fn the_pages_of_a_listing_meet_without_gap() {
    let (_folder, ledger) = open();
    let names: Vec<String> = (0..25).map(|n| format!("m{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    read_whole(&ledger, &mailbox("a", "1"), &names);
    let mut found = Vec::new();
    let mut after: Option<MessageId> = None;
    loop {
        let page = ledger.messages(&tenant(), after.as_ref(), 10).unwrap();
        let Some(last) = page.last() else { break };
        after = Some(last.id.clone());
        found.extend(page.into_iter().map(|m| m.id));
    }
    let mut all: Vec<MessageId> = names.iter().map(|name| message(name).id).collect();
    all.sort();
    assert_eq!(found, all);
}

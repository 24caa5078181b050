//! Encryption at rest: nothing readable on the disk, everything readable with the key, clear errors without it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

use std::path::Path;

use jiff::Timestamp;
use rejoinder_domain::{
    Address, Body, BodySource, Direction, ErrorKind, ItemKind, MailboxId, Message, MessageId, Skipped, TenantId,
    ThreadId,
};
use rejoinder_ledger::{
    Begun, EditClass, ItemOutcome, ItemRecord, JobEnd, JobSource, Ledger, LedgerError, MailboxRecord, NewJob, Outcome,
    OutcomeKind, RequestKey, StoredResponse, SuggestionRecord, ThreadRow,
};
use rejoinder_vault::{Keyring, VaultError};
use tempfile::TempDir;

/// A word of this beginning stands in every text that is to be sealed.
const SECRET: &str = "geheim";

fn tenant() -> TenantId {
    TenantId::new("acme").unwrap()
}

fn other() -> TenantId {
    TenantId::new("other").unwrap()
}

fn keyring(ids: &[&str]) -> Keyring {
    let lines: Vec<String> = ids.iter().map(|id| format!("{id}:{}", key(id))).collect();
    Keyring::parse(&lines.join("\n")).unwrap()
}

/// The same key for the same id.
fn key(id: &str) -> &'static str {
    match id {
        "one" => "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=",
        "two" => "BwoNEBMWGRwfIiUoKy4xNDc6PUBDRklMT1JVWFteYWQ=",
        _ => "CxAVGh8kKS4zOD1CR0xRVltgZWpvdHl+g4iNkpecoaY=",
    }
}

fn path(folder: &TempDir) -> std::path::PathBuf {
    folder.path().join("ledger.sqlite")
}

fn sealed(folder: &TempDir) -> Ledger {
    Ledger::open_sealed(path(folder), keyring(&["one"])).unwrap()
}

fn mailbox(name: &str) -> MailboxRecord {
    MailboxRecord {
        id: MailboxId::from_content(&[name.as_bytes()]),
        name: format!("{SECRET} {name}"),
        path: format!("/mail/{SECRET}/{name}"),
        format: "mbox".to_owned(),
        fingerprint: "1".to_owned(),
        owner: Some(format!("{SECRET}@owner.example")),
    }
}

fn message(name: &str) -> Message {
    let mut message = Message {
        id: MessageId::from_stored(""),
        kind: ItemKind::Message,
        rfc_message_id: Some(format!("{name}@{SECRET}.example")),
        in_reply_to: Vec::new(),
        references: Vec::new(),
        conversation_index: None,
        conversation_topic: None,
        subject: format!("{SECRET} about {name}"),
        from: Some(Address { name: String::new(), email: format!("{SECRET}@sender.example") }),
        sender: None,
        reply_to: Vec::new(),
        to: Vec::new(),
        cc: Vec::new(),
        bcc: Vec::new(),
        sent_at: Some(at(0)),
        received_at: None,
        body: Body { text: format!("The {SECRET} words of {name}."), source: BodySource::Plain, segments: Vec::new() },
        attachments: Vec::new(),
        direction: Direction::Unknown,
        language: None,
        automatic: false,
    };
    message.id = message.key();
    message
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + seconds).unwrap()
}

fn suggestion() -> SuggestionRecord {
    SuggestionRecord {
        id: "sug_1".to_owned(),
        ticket: "T-1".to_owned(),
        ticket_state: "state".to_owned(),
        ticket_messages: 1,
        created: at(0),
        terms: vec![format!("{SECRET}term")],
        found: false,
        provider: "local".to_owned(),
        model: "small".to_owned(),
        source: None,
        cited: Vec::new(),
        body: serde_json::json!({ "text": format!("A {SECRET} draft") }),
    }
}

fn outcome() -> Outcome {
    Outcome {
        candidate: 0,
        kind: OutcomeKind::Rejected,
        edit_class: EditClass::None,
        edit_ratio: 0.0,
        reason: Some(format!("{SECRET} reason")),
        final_digest: None,
        recorded: at(1),
    }
}

fn response() -> StoredResponse {
    StoredResponse {
        status: 201,
        content_type: "application/json".to_owned(),
        headers: vec![("location".to_owned(), format!("/{SECRET}"))],
        body: format!("{{\"text\":\"{SECRET}\"}}").into_bytes(),
    }
}

const REQUEST: RequestKey<'static> = RequestKey { route: "POST /v1/messages", key: "once" };

/// Writes every kind of text that there is, for a tenant.
fn fill(ledger: &Ledger, tenant: &TenantId, names: &[&str]) {
    let mailbox = mailbox("a");
    ledger.begin_read(tenant, &mailbox).unwrap();
    let messages: Vec<Message> = names.iter().map(|name| message(name)).collect();
    let lost = [Skipped { place: format!("{SECRET}.pdf"), reason: "damaged".to_owned() }];
    let folder = format!("Inbox/{SECRET}");
    let places: Vec<String> = names.iter().map(|name| format!("{SECRET}/{name}")).collect();
    let mut items: Vec<ItemRecord<'_>> = messages
        .iter()
        .zip(&places)
        .zip(0..)
        .map(|((message, place), position)| ItemRecord {
            position,
            folder: &folder,
            place,
            in_sent_folder: false,
            outcome: ItemOutcome::Read { message, thread_entry: format!("{SECRET} entry").into_bytes() },
            losses: &lost,
        })
        .collect();
    items.push(ItemRecord {
        position: names.len() as u64,
        folder: &folder,
        place: &folder,
        in_sent_folder: false,
        outcome: ItemOutcome::Skipped { reason: "no end" },
        losses: &[],
    });
    ledger.record_items(tenant, &mailbox.id, &items).unwrap();
    ledger.finish_read(tenant, &mailbox.id).unwrap();
    let rows: Vec<ThreadRow> = messages
        .iter()
        .map(|message| ThreadRow {
            message: message.id.clone(),
            thread: ThreadId::from_content(&[b"one"]),
            parent: None,
            direction: Direction::Inbound,
            stamp: "s".to_owned(),
        })
        .collect();
    ledger.apply_threading(tenant, &rows, &[]).unwrap();
    let job = NewJob {
        id: "job_1".to_owned(),
        source: JobSource::Upload,
        name: format!("{SECRET}.pst"),
        path: format!("/inbox/{SECRET}.pst"),
        bytes: None,
        created: at(0),
    };
    ledger.create_job(tenant, &job).unwrap();
    ledger.start_job(tenant, "job_1", at(1)).unwrap();
    ledger.job_reads(tenant, "job_1", &mailbox.id).unwrap();
    ledger.finish_job(tenant, "job_1", &JobEnd::Failed(format!("{SECRET} error")), None, at(2)).unwrap();
    assert!(ledger.record_suggestion(tenant, &suggestion()).unwrap());
    ledger.record_outcome(tenant, "sug_1", &outcome()).unwrap();
    assert_eq!(ledger.begin(tenant, REQUEST, &[7; 32], at(0)).unwrap(), Begun::Fresh);
    assert!(ledger.finish(tenant, REQUEST, &response(), true).unwrap());
    let run = ledger.start_run(tenant).unwrap();
    ledger.finish_run(tenant, run, &serde_json::json!({ "paths": [SECRET] })).unwrap();
}

/// Everything that [`fill`] wrote comes back as it was.
fn assert_whole(ledger: &Ledger, tenant: &TenantId, names: &[&str]) {
    let mut expected: Vec<Message> =
        names.iter().map(|name| Message { direction: Direction::Inbound, ..message(name) }).collect();
    expected.sort_by(|a, b| a.id.cmp(&b.id));
    assert_eq!(ledger.messages(tenant, None, 100).unwrap(), expected);
    for message in &expected {
        assert_eq!(ledger.message(tenant, &message.id).unwrap().as_ref(), Some(message));
        let facts = ledger.facts_of(tenant, &message.id).unwrap().unwrap();
        assert_eq!(facts.thread_entry, format!("{SECRET} entry").into_bytes());
        let places = ledger.provenance_of(tenant, &message.id).unwrap();
        assert_eq!((places.len(), places[0].folder.as_str()), (1, "Inbox/geheim"));
        assert!(places[0].place.starts_with("geheim/"));
    }
    assert_eq!(ledger.message_facts(tenant, None, 100).unwrap().len(), names.len());
    let mailbox = mailbox("a");
    assert_eq!(ledger.mailboxes(tenant).unwrap(), std::slice::from_ref(&mailbox));
    let status = ledger.status(tenant, "v").unwrap();
    assert_eq!((status[0].name.as_str(), status[0].path.as_str()), (mailbox.name.as_str(), mailbox.path.as_str()));
    let called = ledger.named_mailboxes_of(tenant, &expected[0].id).unwrap();
    assert_eq!(called, [(mailbox.id.clone(), mailbox.name.clone())]);
    assert_eq!(ledger.skipped(tenant, None, 0, 10).unwrap()[0].place, "Inbox/geheim");
    assert_eq!(ledger.losses(tenant, None, 0, 10).unwrap()[0].place, "geheim.pdf");
    let job = ledger.job(tenant, "job_1").unwrap().unwrap();
    assert_eq!((job.name.as_str(), job.path.as_str()), ("geheim.pst", "/inbox/geheim.pst"));
    assert_eq!(job.error.as_deref(), Some("geheim error"));
    assert_eq!(ledger.jobs(tenant, None, 10).unwrap().jobs, [job]);
    let items = ledger.job_items(tenant, "job_1", None, None, 100).unwrap().items;
    assert_eq!(items.len(), names.len() + 1);
    assert!(items[0].place.starts_with("Inbox/geheim/geheim/"), "{}", items[0].place);
    let lost = ledger.job_items(tenant, "job_1", Some(rejoinder_ledger::ItemStatus::Salvaged), None, 100).unwrap();
    assert_eq!(lost.items[0].place, "geheim.pdf");
    let known = ledger.suggestion(tenant, "sug_1").unwrap().unwrap();
    assert_eq!((known.suggestion, known.outcome), (suggestion(), Some(outcome())));
    let replayed = ledger.begin(tenant, REQUEST, &[7; 32], at(5)).unwrap();
    assert_eq!(replayed, Begun::Replay(response()));
    assert_eq!(ledger.runs(tenant, 10).unwrap()[0].report, Some(serde_json::json!({ "paths": [SECRET] })));
    let held = ledger.held_on_person(tenant, "geheim@sender.example").unwrap();
    assert_eq!(held.messages.len(), names.len());
}

/// The files beside the database included.
fn is_on_disk(folder: &Path, marker: &str) -> bool {
    std::fs::read_dir(folder).unwrap().any(|file| {
        let file = file.unwrap();
        let bytes = std::fs::read(file.path()).unwrap();
        file.file_name().to_string_lossy().contains(marker)
            || bytes.windows(marker.len()).any(|window| window == marker.as_bytes())
    })
}

#[test]
fn nothing_readable_is_on_the_disk_and_all_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = sealed(&folder);
    for tenant in [tenant(), other()] {
        fill(&ledger, &tenant, &["x", "y", "z"]);
        assert_whole(&ledger, &tenant, &["x", "y", "z"]);
    }
    assert!(path(&folder).with_file_name("ledger.sqlite-wal").exists(), "the log is looked at as well");
    assert!(!is_on_disk(folder.path(), SECRET));
    assert!(ledger.sealing_status().unwrap().is_complete());
    drop(ledger);
    assert!(!is_on_disk(folder.path(), SECRET));
    let ledger = sealed(&folder);
    for tenant in [tenant(), other()] {
        assert_whole(&ledger, &tenant, &["x", "y", "z"]);
    }
    let copy = folder.path().join("copy.sqlite");
    ledger.backup(&copy).unwrap();
    assert!(!is_on_disk(folder.path(), SECRET), "nor in a backup");
    assert_whole(&Ledger::open_sealed(copy, keyring(&["one"])).unwrap(), &tenant(), &["x", "y", "z"]);
}

/// The search above would find it.
#[test]
fn without_a_key_text_is_on_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(path(&folder)).unwrap();
    fill(&ledger, &tenant(), &["x"]);
    assert_whole(&ledger, &tenant(), &["x"]);
    assert!(is_on_disk(folder.path(), SECRET));
    assert!(matches!(ledger.seal_all(|_| true), Err(LedgerError::NoMasterKey)));
    assert!(ledger.vault().is_none() && !ledger.sealer().is_sealing());
}

#[test]
fn a_sealed_ledger_opens_with_its_key_only() {
    let folder = tempfile::tempdir().unwrap();
    fill(&sealed(&folder), &tenant(), &["x"]);
    let error = Ledger::open(path(&folder)).err().unwrap();
    assert!(matches!(error, LedgerError::Sealed) && error.kind() == ErrorKind::Unavailable);
    let error = Ledger::open_sealed(path(&folder), keyring(&["two"])).err().unwrap();
    assert!(matches!(&error, LedgerError::Vault(VaultError::UnknownMaster { id }) if id == "one"), "{error:?}");
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    let wrong = Keyring::parse(&format!("one:{}", key("another"))).unwrap();
    let error = Ledger::open_sealed(path(&folder), wrong).err().unwrap();
    assert!(matches!(&error, LedgerError::Vault(VaultError::WrongMaster { .. })), "{error:?}");
    assert_whole(&sealed(&folder), &tenant(), &["x"]);
}

#[test]
fn a_plain_ledger_is_sealed_step_by_step() {
    let folder = tempfile::tempdir().unwrap();
    let names: Vec<String> = (0..700).map(|number| format!("n{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    {
        let ledger = Ledger::open(path(&folder)).unwrap();
        fill(&ledger, &tenant(), &names);
        fill(&ledger, &other(), &["x", "y"]);
    }
    let ledger = sealed(&folder);
    let before = ledger.sealing_status().unwrap();
    assert_eq!((before.rows["content"], before.plain["content"], before.plain["mailbox"]), (702, 702, 2));
    // What comes now is sealed, what was there stays readable.
    ledger.begin_read(&tenant(), &mailbox("b")).unwrap();
    assert_eq!(ledger.sealing_status().unwrap().plain["mailbox"], 2);
    assert_eq!(ledger.messages(&tenant(), None, 1000).unwrap().len(), 700);
    // Stopped after the first step, and by a process that went.
    let first = ledger.seal_all(|_| false).unwrap();
    assert!(first.rows > 0 && !first.complete);
    assert_eq!(ledger.messages(&tenant(), None, 1000).unwrap().len(), 700);
    drop(ledger);
    let ledger = sealed(&folder);
    let rest = ledger.seal_all(|_| true).unwrap();
    assert!(rest.complete);
    assert_eq!(first.rows + rest.rows, before.plain.values().sum::<u64>(), "no row is sealed twice");
    assert!(!is_on_disk(folder.path(), SECRET));
    assert_eq!(ledger.seal_all(|_| true).unwrap().rows, 0);
    assert_whole(&ledger, &other(), &["x", "y"]);
    assert_eq!(ledger.messages(&tenant(), None, 1000).unwrap().len(), 700);
    assert_eq!(ledger.mailboxes(&tenant()).unwrap().len(), 2);
}

#[test]
fn an_erased_tenant_leaves_no_key() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = sealed(&folder);
    fill(&ledger, &tenant(), &["x"]);
    fill(&ledger, &other(), &["x"]);
    let backup = folder.path().join("backup.sqlite");
    ledger.backup(&backup).unwrap();
    ledger.erase_tenant(&tenant()).unwrap();
    let status = ledger.vault().unwrap().status().unwrap();
    assert_eq!(status.tenants.iter().map(|known| known.tenant.clone()).collect::<Vec<_>>(), [other()]);
    // A copy of the rows alone is no use: the keys are not in the ledger any more.
    let rows = rusqlite::Connection::open(&backup).unwrap();
    rows.execute("DELETE FROM data_key WHERE tenant = 'acme'", []).unwrap();
    drop(rows);
    let old = Ledger::open_sealed(&backup, keyring(&["one"])).unwrap();
    let error = old.messages(&tenant(), None, 10).unwrap_err();
    assert!(matches!(&error, LedgerError::Vault(VaultError::KeyGone { .. })), "{error:?}");
    assert_whole(&old, &other(), &["x"]);
    // And the tenant begins anew.
    fill(&ledger, &tenant(), &["x"]);
    assert_whole(&ledger, &tenant(), &["x"]);
}

/// Another process, whose vault has the key in memory still, writes after the erasure.
#[test]
fn a_text_sealed_with_an_erased_key_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (ledger, late) = (sealed(&folder), sealed(&folder));
    fill(&ledger, &tenant(), &["x"]);
    late.sealer().prepare(&tenant()).unwrap();
    ledger.erase_tenant(&tenant()).unwrap();
    match late.record_suggestion(&tenant(), &suggestion()) {
        Err(error) => assert_eq!(error.kind(), ErrorKind::Transient, "{error:?}"),
        // A second went by, and it made a new key.
        Ok(kept) => assert!(kept),
    }
    late.sealer().forget(&tenant());
    if ledger.suggestion(&tenant(), "sug_1").unwrap().is_none() {
        assert!(late.record_suggestion(&tenant(), &suggestion()).unwrap());
    }
    assert_eq!(ledger.suggestion(&tenant(), "sug_1").unwrap().unwrap().suggestion, suggestion());
}

#[test]
fn master_and_data_keys_change_while_the_texts_stay() {
    let folder = tempfile::tempdir().unwrap();
    fill(&sealed(&folder), &tenant(), &["x"]);
    {
        let ledger = Ledger::open_sealed(path(&folder), keyring(&["two", "one"])).unwrap();
        let vault = ledger.vault().unwrap();
        assert_eq!(vault.rewrap().unwrap().keys, 1);
        let first = vault.status().unwrap().tenants[0].current;
        assert_ne!(Some(vault.rotate(&tenant()).unwrap()), first);
        ledger.begin_read(&tenant(), &mailbox("b")).unwrap();
        assert_eq!(ledger.mailboxes(&tenant()).unwrap().len(), 2, "one name under each key");
    }
    assert!(Ledger::open_sealed(path(&folder), keyring(&["one"])).is_err());
    let ledger = Ledger::open_sealed(path(&folder), keyring(&["two"])).unwrap();
    assert_eq!(ledger.messages(&tenant(), None, 10).unwrap().len(), 1);
    assert_eq!(ledger.mailboxes(&tenant()).unwrap().len(), 2);
}

/// Whoever can write to the disk cannot have one message read as another, or another tenant's.
#[test]
fn a_text_that_was_moved_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = sealed(&folder);
    fill(&ledger, &tenant(), &["x", "y"]);
    let disk = rusqlite::Connection::open(path(&folder)).unwrap();
    disk.execute(
        "UPDATE content SET content = (SELECT content FROM content WHERE message = ?1) WHERE message = ?2",
        [message("x").id.as_str(), message("y").id.as_str()],
    )
    .unwrap();
    assert!(ledger.message(&tenant(), &message("x").id).unwrap().is_some());
    let error = ledger.message(&tenant(), &message("y").id).unwrap_err();
    assert!(matches!(error, LedgerError::Vault(VaultError::Damaged)) && error.kind() == ErrorKind::Corrupt);
}

/// Making a key needs the database, which other threads write to all the while.
#[test]
fn many_threads_write_for_new_tenants() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = sealed(&folder);
    let tenants: Vec<TenantId> = (0..4).map(|number| TenantId::new(format!("t{number}")).unwrap()).collect();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let (ledger, tenants) = (&ledger, &tenants);
            scope.spawn(move || {
                for (number, tenant) in (0..40).zip(tenants.iter().cycle()) {
                    let suggestion = SuggestionRecord { id: format!("sug_{thread}_{number}"), ..suggestion() };
                    assert!(ledger.record_suggestion(tenant, &suggestion).unwrap());
                    assert_eq!(ledger.suggestion(tenant, &suggestion.id).unwrap().unwrap().suggestion, suggestion);
                }
            });
        }
    });
    for tenant in ledger.vault().unwrap().status().unwrap().tenants {
        assert_eq!(tenant.text_keys, 1, "one process makes one key");
        assert_eq!(ledger.suggestions(&tenant.tenant, None, None, 1000).unwrap().suggestions.len(), 80);
    }
    assert!(!is_on_disk(folder.path(), SECRET));
}

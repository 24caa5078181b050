//! Files of older versions: whole afterwards, or as they were.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use jiff::Timestamp;
use rejoinder_domain::{
    Address, Body, BodySource, Direction, ItemKind, MailboxId, Message, MessageId, TenantId, ThreadId,
};
use rusqlite::{Connection, params};

use super::{MIGRATIONS, VERSION_1, VERSION_2, apply};
use crate::{Ledger, LedgerError, MailboxRecord, ReadState};

const FILE: &str = "REJOINDER_TEST_MIGRATION";

fn tenant() -> TenantId {
    TenantId::new("acme").unwrap()
}

fn message(n: u32, sent_at: Option<Timestamp>) -> Message {
    let mut message = Message {
        id: MessageId::from_stored(""),
        kind: ItemKind::Message,
        rfc_message_id: Some(format!("{n}@mail.example")),
        in_reply_to: Vec::new(),
        references: Vec::new(),
        conversation_index: None,
        conversation_topic: None,
        subject: "An offer".to_owned(),
        from: Some(Address { name: "Anna".to_owned(), email: "anna@weber.example".to_owned() }),
        sender: None,
        reply_to: Vec::new(),
        to: Vec::new(),
        cc: Vec::new(),
        bcc: Vec::new(),
        sent_at,
        received_at: None,
        body: Body { text: format!("Text {n}"), source: BodySource::Plain, segments: Vec::new() },
        attachments: Vec::new(),
        direction: Direction::Inbound,
        language: None,
        automatic: false,
    };
    message.id = message.key();
    message
}

fn mailbox() -> MailboxRecord {
    MailboxRecord {
        id: MailboxId::from_content(&[b"sales"]),
        name: "sales".to_owned(),
        path: "/mail/sales".to_owned(),
        format: "mbox".to_owned(),
        fingerprint: "1".to_owned(),
        owner: None,
    }
}

/// A message as the first version wrote it.
fn pack(message: &Message) -> Vec<u8> {
    zstd::bulk::compress(&serde_json::to_vec(message).unwrap(), 1).unwrap()
}

/// A file as the first version left it, with a row in every table.
fn write_version_1(path: &Path, messages: &[Message]) -> Connection {
    let mut connection = Connection::open(path).unwrap();
    connection.pragma_update(None, "journal_mode", "wal").unwrap();
    apply(&mut connection, &[VERSION_1]).unwrap();
    let box_id = mailbox().id;
    connection
        .execute(
            "INSERT INTO mailbox VALUES ('acme', ?1, 'sales', '/mail/sales', 'mbox', '1', NULL, 3, 7, 1, 1700000000000)",
            [box_id.as_str()],
        )
        .unwrap();
    for (n, message) in messages.iter().enumerate() {
        let id = message.id.as_str();
        let sent = message.sent_at.map(Timestamp::as_millisecond);
        let all: [(&str, &[&dyn rusqlite::ToSql]); 4] = [
            (
                "INSERT INTO message VALUES ('acme', ?1, 'message', ?2, 'inbound', 'thr_1', NULL, 's1', 0)",
                params![id, sent],
            ),
            ("INSERT INTO content VALUES ('acme', ?1, x'01', ?2)", params![id, pack(message)]),
            (
                "INSERT INTO item VALUES ('acme', ?1, 3, ?2, 'Inbox', 'p', 0, 'stored', NULL, ?3, 1)",
                params![box_id.as_str(), n as i64, id],
            ),
            ("INSERT INTO loss VALUES ('acme', ?1, 3, ?2, 0, 'part', 'damaged')", params![box_id.as_str(), n as i64]),
        ];
        for (statement, values) in all {
            connection.execute(statement, values).unwrap();
        }
    }
    let first = messages[0].id.as_str();
    for statement in [
        "INSERT INTO pair VALUES ('acme', ?1, 'msg_reply', 's1')",
        "INSERT INTO unit VALUES ('acme', 'v1', ?1, '', 's1', 2)",
        "INSERT INTO erased VALUES ('acme', ?1 || 'gone')",
        "INSERT INTO suggestion VALUES ('acme', 'sug_1', 'T-1', 1, json_object('cites', ?1))",
    ] {
        connection.execute(statement, [first]).unwrap();
    }
    connection.execute("INSERT INTO run VALUES ('acme', 1, 1700000000000, NULL, NULL)", []).unwrap();
    connection
}

fn version_of(connection: &Connection) -> i64 {
    connection.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap()
}

#[test]
fn a_file_of_version_1_keeps_all_that_it_has() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.sqlite");
    let sent = Timestamp::from_second(1_600_000_000).unwrap();
    let messages =
        [message(1, Some(sent)), message(2, None), message(3, Some(Timestamp::from_second(99_999_999_999).unwrap()))];
    // A migration knows whole seconds.
    let before = Timestamp::now() - jiff::SignedDuration::from_secs(1);
    drop(write_version_1(&path, &messages));
    let ledger = Ledger::open(&path).unwrap();
    for message in &messages {
        assert_eq!(ledger.message(&tenant(), &message.id).unwrap().as_ref(), Some(message));
        assert_eq!(ledger.mailboxes_of(&tenant(), &message.id).unwrap(), [mailbox().id]);
    }
    assert_eq!(ledger.begin_read(&tenant(), &mailbox()).unwrap(), ReadState::Complete, "nothing is read again");
    assert_eq!(ledger.losses(&tenant(), None, 0, 9).unwrap().len(), 3);
    let totals = ledger.totals(&tenant(), "v1").unwrap();
    assert_eq!((totals.messages, totals.pairs, totals.chunks), (3, 1, 2));
    assert_eq!(ledger.thread_of(&tenant(), &messages[0].id).unwrap(), Some(ThreadId::from_stored("thr_1")));
    assert_eq!(ledger.runs(&tenant(), 9).unwrap().len(), 1);
    // A date counts, and where there is none or one to come, the migration does.
    let older = |time| ledger.messages_before(&tenant(), time, 9).unwrap().len();
    assert_eq!(ledger.messages_before(&tenant(), before, 9).unwrap(), [messages[0].id.clone()]);
    assert_eq!((older(sent), older(Timestamp::now() + jiff::SignedDuration::from_secs(5))), (0, 3));
    drop(ledger);
    Ledger::check(&path).unwrap();
    // Opening it again changes nothing.
    drop(Ledger::open(&path).unwrap());
}

#[test]
fn a_migration_that_fails_half_way_leaves_the_file_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.sqlite");
    let mut connection = write_version_1(&path, &[message(1, None)]);
    let schema = |connection: &Connection| -> Vec<Option<String>> {
        let mut statement = connection.prepare("SELECT sql FROM sqlite_schema ORDER BY name").unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
    };
    let before = schema(&connection);
    let statements: Vec<&str> = VERSION_2.split_inclusive(";\n").collect();
    for cut in 1..statements.len() {
        let broken = format!("{} SELECT no_such_column;", statements[..cut].concat());
        assert!(matches!(apply(&mut connection, &[VERSION_1, &broken]), Err(LedgerError::Database(_))));
        assert_eq!((version_of(&connection), schema(&connection)), (1, before.clone()));
    }
    drop(connection);
    assert!(Ledger::open(&path).unwrap().message(&tenant(), &message(1, None).id).unwrap().is_some());
}

/// The part of the killed process. Not a test: without the environment it does nothing.
#[test]
fn child_of_the_kill_test() {
    let Ok(file) = std::env::var(FILE) else { return };
    Ledger::open(PathBuf::from(file)).unwrap();
}

/// The file is so large that the transaction has to write pages out before it ends, and the process is killed once the log
/// has got to a certain size.
#[test]
fn a_process_that_is_killed_while_it_migrates_leaves_a_file_that_opens() {
    const ROWS: i64 = 100_000;
    let folder = tempfile::tempdir().unwrap();
    let old = folder.path().join("old.sqlite");
    let connection = write_version_1(&old, &[message(1, None)]);
    connection
        .execute(
            "WITH RECURSIVE n (n) AS (SELECT 2 UNION ALL SELECT n + 1 FROM n WHERE n < ?1)
             INSERT INTO message SELECT 'acme', printf('msg_%032d', n), 'message', n, 'inbound', NULL, NULL, 's1', 0 FROM n",
            [ROWS],
        )
        .unwrap();
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    drop(connection);
    let mut half_way = 0;
    for (run, megabytes) in [0, 1, 5, 9].into_iter().enumerate() {
        let path = folder.path().join(format!("{run}.sqlite"));
        std::fs::copy(&old, &path).unwrap();
        let log = folder.path().join(format!("{run}.sqlite-wal"));
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "schema::tests::child_of_the_kill_test"])
            .env(FILE, &path)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let written = || std::fs::metadata(&log).map_or(0, |log| log.len());
        while written() <= megabytes << 20 && child.try_wait().unwrap().is_none() {
            std::thread::yield_now();
        }
        // SIGKILL on Unix: no destructor runs and nothing is flushed.
        child.kill().unwrap();
        child.wait().unwrap();
        let connection = Connection::open(&path).unwrap();
        let version = version_of(&connection);
        half_way += u32::from(version == 1 && written() > 0);
        let has_new: bool = connection
            .query_row("SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'outcome')", [], |row| row.get(0))
            .unwrap();
        assert!(version == 1 && !has_new || version == MIGRATIONS.len() as i64 && has_new, "run {run}: {version}");
        drop(connection);

        let ledger = Ledger::open(&path).unwrap();
        let all = Timestamp::now() + jiff::SignedDuration::from_secs(60);
        assert_eq!(ledger.count_before(&tenant(), all).unwrap().0, ROWS as u64, "every message has its age");
        assert!(ledger.message(&tenant(), &message(1, None).id).unwrap().is_some());
        drop(ledger);
        Ledger::check(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
    }
    assert!(half_way >= 2, "the process died too early or too late to prove anything: {half_way}");
}

use std::collections::HashSet;

use rejoinder_domain::EraseScope;
use rejoinder_ledger::{
    Begun, JobSource, LearnedPair, Ledger, NewJob, Outcome, OutcomeKind, RequestKey, StoredResponse, SuggestionRecord,
    Unit,
};
use serde_json::json;
use tempfile::TempDir;

use crate::mail::{at, id, mailbox, message, open, other, read, suggestion, tenant};
use crate::outcomes::outcome;

/// Letters that compression leaves as they are, since nothing repeats.
const MARKER: &str = "Qz7-vX!kP0w#Lm9@";

fn is_on_disk(folder: &TempDir) -> bool {
    std::fs::read_dir(folder.path()).unwrap().any(|file| {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        bytes.windows(MARKER.len()).any(|window| window == MARKER.as_bytes())
    })
}

fn key(key: &str) -> RequestKey<'_> {
    RequestKey { route: "POST /v1/suggest-reply", key }
}

fn answer() -> StoredResponse {
    StoredResponse {
        status: 200,
        content_type: "application/json".to_owned(),
        headers: Vec::new(),
        body: MARKER.as_bytes().to_vec(),
    }
}

fn begin(ledger: &Ledger, name: &str) -> Begun {
    ledger.begin(&tenant(), key(name), &[1; 32], at(0)).unwrap()
}

#[test]
fn whatever_rests_on_a_message_goes_with_it() {
    let (folder, ledger) = open();
    read(&ledger, &mailbox("a", "1"), &[message("x"), message("y"), message("z")]);
    let learned = mailbox("learned", "1");
    read(&ledger, &learned, &[message("reply")]);
    let keep = |name: &str, cited: &str| {
        let cited = vec![id(cited)];
        let one = SuggestionRecord { cited, body: json!(format!("{MARKER} {name}")), ..suggestion(name) };
        assert!(ledger.record_suggestion(&tenant(), &one).unwrap());
        let said = Outcome { reason: Some(MARKER.to_owned()), ..outcome(OutcomeKind::Edited) };
        ledger.record_outcome(&tenant(), name, &said).unwrap();
        ledger.record_rejected(&tenant(), name, &[id("z")], at(1)).unwrap();
    };
    keep("sug_x", "x");
    // One that rests on what was learned from the first.
    keep("sug_reply", "reply");
    let pair = LearnedPair {
        suggestion: "sug_x".to_owned(),
        question: id("y"),
        reply: id("reply"),
        mailbox: learned.id.clone(),
    };
    assert!(ledger.record_learned(&tenant(), &pair).unwrap());
    for name in ["answered", "working"] {
        assert_eq!(begin(&ledger, name), Begun::Fresh);
    }
    assert!(ledger.finish(&tenant(), key("answered"), &answer(), true).unwrap());
    assert!(is_on_disk(&folder));

    let erased = ledger.erase_messages(&tenant(), &[id("x")]).unwrap();
    assert_eq!(erased.messages, [id("x"), id("reply")]);
    assert_eq!((erased.suggestions, erased.outcomes, erased.learned), (2, 2, 1));
    assert!(ledger.message(&tenant(), &id("y")).unwrap().is_some(), "a mailbox of its own holds the question");
    assert!(ledger.suggestions(&tenant(), None, None, 9).unwrap().suggestions.is_empty());
    assert_eq!(ledger.learned(&tenant(), "sug_x").unwrap(), None);
    assert!(ledger.rejections(&tenant(), &[id("z")]).unwrap().is_empty());
    assert!(!is_on_disk(&folder));
    assert_eq!(begin(&ledger, "answered"), Begun::Fresh, "the answer is not given again");
    // What was begun before the erasure may rest on the message: its answer is not kept.
    assert!(!ledger.finish(&tenant(), key("working"), &answer(), true).unwrap());
    assert!(!is_on_disk(&folder));
    assert_eq!(begin(&ledger, "working"), Begun::Fresh);
}

#[test]
fn answers_without_any_text_outlive_an_erasure() {
    let (_folder, ledger) = open();
    read(&ledger, &mailbox("a", "1"), &[message("x")]);
    for name in ["ids", "working"] {
        begin(&ledger, name);
    }
    assert!(ledger.finish(&tenant(), key("ids"), &answer(), false).unwrap());
    ledger.erase_messages(&tenant(), &[id("x")]).unwrap();
    assert!(ledger.finish(&tenant(), key("working"), &answer(), false).unwrap());
    assert_eq!(begin(&ledger, "ids"), Begun::Replay(answer()));
    assert_eq!(begin(&ledger, "working"), Begun::Replay(answer()));
}

#[test]
fn a_question_made_for_its_pair_goes_with_the_reply() {
    let (_folder, ledger) = open();
    let learned = mailbox("learned", "1");
    read(&ledger, &learned, &[message("question"), message("reply")]);
    ledger.record_suggestion(&tenant(), &suggestion("sug_1")).unwrap();
    let pair = LearnedPair {
        suggestion: "sug_1".to_owned(),
        question: id("question"),
        reply: id("reply"),
        mailbox: learned.id.clone(),
    };
    ledger.record_learned(&tenant(), &pair).unwrap();
    // Also where the suggestion is too old to be there.
    ledger.delete_suggestions_before(&tenant(), at(1)).unwrap();
    assert_eq!(ledger.learned(&tenant(), "sug_1").unwrap(), Some(pair));
    let erased = ledger.erase_messages(&tenant(), &[id("reply")]).unwrap();
    assert_eq!(erased.messages, [id("reply"), id("question")]);
    assert_eq!((erased.suggestions, erased.learned), (0, 1));
}

#[test]
fn an_erased_mailbox_takes_along_what_rests_on_its_messages() {
    let (_folder, ledger) = open();
    let (a, b) = (mailbox("a", "1"), mailbox("b", "1"));
    read(&ledger, &a, &[message("x"), message("y")]);
    read(&ledger, &b, &[message("y")]);
    for (name, cited) in [("sug_x", "x"), ("sug_y", "y")] {
        let one = SuggestionRecord { cited: vec![id(cited)], ..suggestion(name) };
        ledger.record_suggestion(&tenant(), &one).unwrap();
    }
    let job = NewJob {
        id: "job_a".to_owned(),
        source: JobSource::Inbox,
        name: "a".to_owned(),
        path: "a".to_owned(),
        bytes: None,
        created: at(0),
    };
    ledger.create_job(&tenant(), &job).unwrap();
    ledger.job_reads(&tenant(), "job_a", &a.id).unwrap();
    assert_eq!(ledger.erase_mailbox(&tenant(), &a.id).unwrap().suggestions, 1);
    assert!(ledger.suggestion(&tenant(), "sug_x").unwrap().is_none());
    assert!(ledger.suggestion(&tenant(), "sug_y").unwrap().is_some());
    assert!(ledger.job_items(&tenant(), "job_a", None, None, 9).unwrap().items.is_empty());
    assert!(ledger.job(&tenant(), "job_a").unwrap().is_some());
}

#[test]
fn suggestions_are_erased_by_id() {
    let (_folder, ledger) = open();
    for name in ["sug_1", "sug_2"] {
        ledger.record_suggestion(&tenant(), &suggestion(name)).unwrap();
    }
    let erased = ledger.erase_suggestions(&tenant(), &["sug_1".to_owned(), "sug_9".to_owned()]).unwrap();
    assert_eq!(erased.suggestions, 1);
    assert!(ledger.suggestion(&tenant(), "sug_1").unwrap().is_none());
    assert!(ledger.suggestion(&tenant(), "sug_2").unwrap().is_some());
}

/// No table may be forgotten: none has a row of the tenant afterwards, and all had one before.
#[test]
fn an_erased_tenant_is_in_no_table() {
    let (folder, ledger) = open();
    let fill = |name: &str| {
        let path = folder.path().join("ledger.sqlite");
        let connection = rusqlite::Connection::open(path).unwrap();
        // What refers to what is not of interest here.
        connection.pragma_update(None, "foreign_keys", false).unwrap();
        let tables: Vec<String> = connection
            .prepare("SELECT name FROM sqlite_schema WHERE type = 'table'")
            .unwrap()
            .query_map([], |row| row.get(0))
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap();
        for table in &tables {
            let columns: Vec<(String, String, bool)> = connection
                .prepare(&format!("PRAGMA table_info({table})"))
                .unwrap()
                .query_map([], |row| Ok((row.get(1)?, row.get(2)?, row.get(3)?)))
                .unwrap()
                .collect::<Result<_, _>>()
                .unwrap();
            if !columns.iter().any(|(column, ..)| column == "tenant") {
                continue;
            }
            let values = columns.iter().filter(|(_, _, needed)| *needed).map(|(column, kind, _)| {
                match (column.as_str(), kind.as_str()) {
                    ("tenant", _) => format!("'{name}'"),
                    ("outcome", _) => "'skipped'".to_owned(),
                    ("state", _) => "'queued'".to_owned(),
                    ("source", _) => "'upload'".to_owned(),
                    ("kind", _) => "'accepted'".to_owned(),
                    ("edit_class", _) => "'none'".to_owned(),
                    ("purpose", _) => "'text'".to_owned(),
                    (_, "TEXT") => "'x'".to_owned(),
                    (_, "BLOB") => "x'00'".to_owned(),
                    _ => "1".to_owned(),
                }
            });
            let values: Vec<String> = values.collect();
            let names: Vec<&str> =
                columns.iter().filter(|(_, _, needed)| *needed).map(|(column, ..)| column.as_str()).collect();
            let statement = format!("INSERT INTO {table} ({}) VALUES ({})", names.join(", "), values.join(", "));
            connection.execute(&statement, []).unwrap();
        }
        tables
    };
    let count = |tables: &[String], of: &str| -> Vec<i64> {
        let connection = rusqlite::Connection::open(folder.path().join("ledger.sqlite")).unwrap();
        let has_tenant = |table: &&String| connection.prepare(&format!("SELECT tenant FROM {table}")).is_ok();
        let count = |table: &String| {
            let query = format!("SELECT count(*) FROM {table} WHERE tenant = ?1");
            connection.query_row(&query, [of], |row| row.get(0)).unwrap()
        };
        tables.iter().filter(has_tenant).map(count).collect()
    };
    let tables = fill("acme");
    fill("other");
    assert!(count(&tables, "acme").len() >= 18);
    assert!(count(&tables, "acme").iter().all(|rows| *rows == 1), "{tables:?}");
    ledger.erase_tenant(&tenant()).unwrap();
    // But for the note that the store is to be rid of it, too.
    assert_eq!(count(&tables, "acme").iter().sum::<i64>(), 1, "{tables:?}: {:?}", count(&tables, "acme"));
    assert_eq!(ledger.to_erase(&tenant()).unwrap(), Some(EraseScope::Tenant));
    ledger.erased_from_store(&tenant(), &EraseScope::Tenant).unwrap();
    assert!(count(&tables, "acme").iter().all(|rows| *rows == 0), "{tables:?}: {:?}", count(&tables, "acme"));
    assert!(count(&tables, other().as_str()).iter().all(|rows| *rows == 1));
}

#[test]
fn the_store_s_part_is_noted_until_it_is_done() {
    const VERSION: &str = "v1";
    let (folder, ledger) = open();
    let (kept, gone) = (mailbox("kept", "1"), mailbox("gone", "1"));
    read(&ledger, &kept, &[message("x")]);
    read(&ledger, &gone, &[message("y"), message("z")]);
    let unit = |question: &str, reply: Option<&str>| Unit {
        message: id(question),
        reply: reply.map(id),
        stamp: "s1".to_owned(),
        records: 1,
    };
    let units = [unit("x", None), unit("y", None), unit("z", None), unit("x", Some("z")), unit("y", Some("x"))];
    ledger.confirm(&tenant(), VERSION, &units).unwrap();
    assert_eq!((ledger.to_erase(&tenant()).unwrap(), ledger.tenants_to_erase().unwrap()), (None, vec![]));

    let erased = ledger.erase_mailbox(&tenant(), &gone.id).unwrap();
    assert_eq!(erased.messages.len(), 2);
    drop(ledger);
    // Another process finds it, also after one of them came again.
    let ledger = crate::mail::reopen(&folder);
    read(&ledger, &gone, &[message("y")]);
    assert_eq!(ledger.tenants_to_erase().unwrap(), [tenant()]);
    let scope = ledger.to_erase(&tenant()).unwrap().unwrap();
    let EraseScope::Messages(messages) = &scope else { panic!("{scope:?}") };
    assert_eq!(messages.iter().collect::<HashSet<_>>(), HashSet::from([&id("y"), &id("z")]));
    assert_eq!(ledger.to_erase(&other()).unwrap(), None);
    ledger.erased_from_store(&tenant(), &scope).unwrap();
    assert_eq!((ledger.to_erase(&tenant()).unwrap(), ledger.tenants_to_erase().unwrap()), (None, vec![]));
    // Of all units that had records of them only this one is left: what came again is to be written again.
    assert_eq!(ledger.totals(&tenant(), VERSION).unwrap().chunks, 1);
    assert_eq!(ledger.stale_units(&tenant(), VERSION, 9).unwrap(), []);
    ledger.erase_tenant(&tenant()).unwrap();
    assert_eq!(ledger.to_erase(&tenant()).unwrap(), Some(EraseScope::Tenant));
}

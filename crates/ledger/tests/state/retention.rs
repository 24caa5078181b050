use jiff::Timestamp;
use rejoinder_domain::{MessageId, TenantId};
use rejoinder_ledger::{Begun, RequestKey, StoredResponse, SuggestionRecord};

use crate::mail::{at, id, mailbox, message, open, other, read, suggestion, tenant};

#[test]
fn messages_get_old_by_their_date_or_by_when_they_were_read() {
    let (_folder, ledger) = open();
    let dated = |name: &str, sent: Option<Timestamp>| {
        let mut message = message(name);
        message.sent_at = sent;
        message.id = message.key();
        message
    };
    let (newer, older) = (dated("newer", Some(at(10))), dated("older", Some(at(5))));
    let (undated, future) = (dated("undated", None), dated("future", Some(Timestamp::MAX)));
    let before = Timestamp::now();
    let all = [newer.clone(), older.clone(), undated.clone(), future.clone()];
    read(&ledger, &mailbox("a", "1"), &all);
    let names = |time, limit| ledger.messages_before(&tenant(), time, limit).unwrap();
    assert!(names(at(5), 9).is_empty(), "of that moment is not older");
    assert_eq!(names(at(11), 9), [older.id.clone(), newer.id.clone()], "oldest first");
    assert_eq!(names(at(11), 1), std::slice::from_ref(&older.id));
    assert_eq!(names(before, 9).len(), 2, "no date, and one to come, count from the first reading");
    assert_eq!(names(Timestamp::MAX, 9).len(), 4);
    assert_eq!(ledger.count_before(&tenant(), at(11)).unwrap(), (2, 0));
    assert!(ledger.messages_before(&other(), Timestamp::MAX, 9).unwrap().is_empty());
    // Reading it again makes nothing younger, and what left its mailbox is named as well.
    read(&ledger, &mailbox("a", "2"), &[newer.clone(), undated, future]);
    assert_eq!(names(at(11), 9), [older.id, newer.id]);
}

#[test]
fn messages_of_all_ages_go_in_pages() {
    let (_folder, ledger) = open();
    let names: Vec<String> = (0..30).map(|n| format!("m{n}")).collect();
    let messages: Vec<_> = names.iter().map(|name| message(name)).collect();
    read(&ledger, &mailbox("a", "1"), &messages);
    let mut gone: Vec<MessageId> = Vec::new();
    loop {
        let page = ledger.messages_before(&tenant(), at(1), 7).unwrap();
        if page.is_empty() {
            break;
        }
        gone.extend(ledger.erase_messages(&tenant(), &page).unwrap().messages);
    }
    gone.sort();
    let mut all: Vec<MessageId> = names.iter().map(|name| id(name)).collect();
    all.sort();
    assert_eq!(gone, all);
    assert!(ledger.messages(&tenant(), None, 99).unwrap().is_empty());
}

#[test]
fn old_suggestions_go_with_what_belongs_to_them() {
    let (_folder, ledger) = open();
    for n in 0..4 {
        let one = SuggestionRecord { created: at(n), ticket: format!("T-{n}"), ..suggestion(&format!("sug_{n}")) };
        ledger.record_suggestion(&tenant(), &one).unwrap();
    }
    ledger.record_suggestion(&other(), &suggestion("sug_0")).unwrap();
    let key = |key| RequestKey { route: "POST /v1/suggest-reply", key };
    for (name, seconds, holds_text) in [("old", 0, true), ("old-ids", 0, false), ("new", 9, true)] {
        ledger.begin(&tenant(), key(name), &[1; 32], at(seconds)).unwrap();
        let response =
            StoredResponse { status: 200, content_type: String::new(), headers: Vec::new(), body: b"x".to_vec() };
        ledger.finish(&tenant(), key(name), &response, holds_text).unwrap();
    }
    assert_eq!(ledger.delete_suggestions_before(&tenant(), at(2)).unwrap(), 2);
    let left: Vec<String> = ledger
        .suggestions(&tenant(), None, None, 9)
        .unwrap()
        .suggestions
        .into_iter()
        .map(|s| s.suggestion.id)
        .collect();
    assert_eq!(left, ["sug_3", "sug_2"]);
    assert!(ledger.suggestion(&other(), "sug_0").unwrap().is_some());
    let begin = |name| ledger.begin(&tenant(), key(name), &[1; 32], at(20)).unwrap();
    assert_eq!(begin("old"), Begun::Fresh);
    assert!(matches!(begin("old-ids"), Begun::Replay(_)));
    assert!(matches!(begin("new"), Begun::Replay(_)));
}

#[test]
fn every_tenant_of_which_there_is_anything_is_known() {
    let (_folder, ledger) = open();
    assert!(ledger.tenants().unwrap().is_empty());
    read(&ledger, &mailbox("a", "1"), &[message("x")]);
    ledger.record_suggestion(&other(), &suggestion("sug_0")).unwrap();
    let third = TenantId::new("third").unwrap();
    let key = RequestKey { route: "POST /v1/messages", key: "k" };
    ledger.begin(&third, key, &[1; 32], at(0)).unwrap();
    assert_eq!(ledger.tenants().unwrap(), [tenant(), other(), third]);
    for tenant in ledger.tenants().unwrap() {
        ledger.erase_tenant(&tenant).unwrap();
    }
    assert!(ledger.tenants().unwrap().is_empty());
}

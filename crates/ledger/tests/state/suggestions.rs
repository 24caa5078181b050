use rejoinder_ledger::{LedgerError, SuggestionRecord};

use crate::mail::{at, id, mailbox, message, open, other, read, reopen, suggestion, tenant};

#[test]
fn a_suggestion_comes_back_as_it_was_after_a_restart() {
    let (folder, ledger) = open();
    read(&ledger, &mailbox("a", "1"), &[message("x"), message("y")]);
    let mut cited = vec![id("x"), id("y")];
    cited.sort();
    let given = SuggestionRecord { cited: cited.clone(), found: false, ..suggestion("sug_1") };
    let twice = SuggestionRecord { cited: [cited.clone(), cited].concat(), ..given.clone() };
    assert!(ledger.record_suggestion(&tenant(), &twice).unwrap());
    drop(ledger);
    let ledger = reopen(&folder);
    let known = ledger.suggestion(&tenant(), "sug_1").unwrap().unwrap();
    assert_eq!(known.suggestion, given, "repeats of a citation are not kept");
    assert_eq!((known.stale, known.outcome), (false, None));
    assert!(matches!(ledger.record_suggestion(&tenant(), &given), Err(LedgerError::Exists("suggestion"))));
    assert_eq!(ledger.suggestion(&tenant(), "sug_2").unwrap(), None);
    assert_eq!(ledger.suggestion(&other(), "sug_1").unwrap(), None);
}

#[test]
fn a_suggestion_on_what_was_erased_meanwhile_is_not_kept() {
    let (_folder, ledger) = open();
    read(&ledger, &mailbox("a", "1"), &[message("x"), message("y")]);
    ledger.erase_messages(&tenant(), &[id("y")]).unwrap();
    let late = SuggestionRecord { cited: vec![id("x"), id("y")], ..suggestion("sug_1") };
    assert!(!ledger.record_suggestion(&tenant(), &late).unwrap());
    assert_eq!(ledger.suggestion(&tenant(), "sug_1").unwrap(), None);
}

#[test]
fn suggestions_of_a_ticket_are_listed_newest_first() {
    let (_folder, ledger) = open();
    for n in 0..20 {
        let ticket = if n % 2 == 0 { "even" } else { "odd" };
        // Four of them at each moment.
        let one =
            SuggestionRecord { ticket: ticket.to_owned(), created: at(n / 4), ..suggestion(&format!("sug_{n:02}")) };
        assert!(ledger.record_suggestion(&tenant(), &one).unwrap());
    }
    let list = |ticket: Option<&str>| {
        let mut found = Vec::new();
        let mut cursor = None;
        loop {
            let page = ledger.suggestions(&tenant(), ticket, cursor.as_deref(), 3).unwrap();
            found.extend(page.suggestions.into_iter().map(|known| known.suggestion.id));
            cursor = page.next;
            if cursor.is_none() {
                return found;
            }
        }
    };
    let all: Vec<String> = (0..20).rev().map(|n| format!("sug_{n:02}")).collect();
    assert_eq!(list(None), all);
    let odd: Vec<String> = all.iter().filter(|id| id.ends_with(['1', '3', '5', '7', '9'])).cloned().collect();
    assert_eq!(list(Some("odd")), odd);
    assert!(list(Some("none")).is_empty());
    assert!(ledger.suggestions(&other(), None, None, 3).unwrap().suggestions.is_empty());
    assert!(matches!(ledger.suggestions(&tenant(), None, Some("x"), 3), Err(LedgerError::Cursor)));
}

#[test]
fn a_suggestion_is_stale_when_its_ticket_moved_on() {
    let (_folder, ledger) = open();
    let stale = |id: &str| {
        let stale = ledger.stale(&tenant(), id).unwrap();
        assert_eq!(ledger.suggestion(&tenant(), id).unwrap().map(|known| known.stale), stale);
        stale
    };
    let of = |id: &str, state: &str, seconds| SuggestionRecord {
        ticket_state: state.to_owned(),
        created: at(seconds),
        ..suggestion(id)
    };
    ledger.record_suggestion(&tenant(), &of("sug_1", "one", 1)).unwrap();
    ledger.note_ticket(&tenant(), "T-1", "one", at(2)).unwrap();
    ledger.note_ticket(&tenant(), "T-2", "two", at(9)).unwrap();
    ledger.note_ticket(&other(), "T-1", "two", at(9)).unwrap();
    assert_eq!(stale("sug_1"), Some(false));
    // What was seen earlier does not count.
    ledger.note_ticket(&tenant(), "T-1", "zero", at(1)).unwrap();
    assert_eq!(stale("sug_1"), Some(false));
    ledger.note_ticket(&tenant(), "T-1", "two", at(3)).unwrap();
    assert_eq!(stale("sug_1"), Some(true));
    // A suggestion notes the state that it is for, and a second one for it is as fresh.
    ledger.record_suggestion(&tenant(), &of("sug_2", "three", 4)).unwrap();
    ledger.record_suggestion(&tenant(), &of("sug_3", "three", 5)).unwrap();
    assert_eq!([stale("sug_1"), stale("sug_2"), stale("sug_3")], [Some(true), Some(false), Some(false)]);
    assert_eq!(ledger.stale(&tenant(), "sug_9").unwrap(), None);
}

use rejoinder_domain::ErrorKind;
use rejoinder_ledger::{Begun, LedgerError, MAX_STORED_BODY, RequestKey, StoredResponse};

use crate::mail::{at, open, other, reopen, tenant};

const KEY: RequestKey<'static> = RequestKey { route: "POST /v1/suggest-reply", key: "k-1" };
const OTHER_ROUTE: RequestKey<'static> = RequestKey { route: "POST /v1/feedback", key: "k-1" };

fn answer(text: &str) -> StoredResponse {
    StoredResponse {
        status: 201,
        content_type: "application/json".to_owned(),
        headers: vec![("location".to_owned(), "/v1/x".to_owned())],
        body: text.as_bytes().to_vec(),
    }
}

#[test]
fn a_request_is_carried_out_once() {
    let (folder, ledger) = open();
    let begin = |key, body: u8| ledger.begin(&tenant(), key, &[body; 32], at(0)).unwrap();
    assert_eq!(begin(KEY, 1), Begun::Fresh);
    assert_eq!(begin(KEY, 1), Begun::InProgress);
    assert_eq!(begin(KEY, 2), Begun::Conflict, "another body, also while the first is carried out");
    assert_eq!(begin(OTHER_ROUTE, 2), Begun::Fresh);
    assert_eq!(ledger.begin(&other(), KEY, &[1; 32], at(0)).unwrap(), Begun::Fresh, "keys of tenants do not meet");
    assert!(ledger.finish(&tenant(), KEY, &answer("done"), true).unwrap());
    assert_eq!(begin(KEY, 1), Begun::Replay(answer("done")));
    assert_eq!(begin(KEY, 2), Begun::Conflict);
    assert!(!ledger.finish(&tenant(), KEY, &answer("again"), true).unwrap(), "the first answer stays");
    // What an opening before this one answered is there, and what it did not is free again.
    let ledger = {
        drop(ledger);
        reopen(&folder)
    };
    assert_eq!(ledger.begin(&tenant(), KEY, &[1; 32], at(9)).unwrap(), Begun::Replay(answer("done")));
    assert_eq!(ledger.begin(&tenant(), OTHER_ROUTE, &[3; 32], at(9)).unwrap(), Begun::Conflict);
    assert_eq!(ledger.begin(&tenant(), OTHER_ROUTE, &[2; 32], at(9)).unwrap(), Begun::Fresh);
    assert_eq!(ledger.begin(&tenant(), OTHER_ROUTE, &[2; 32], at(9)).unwrap(), Begun::InProgress);
}

#[test]
fn a_request_that_came_to_nothing_can_be_sent_again() {
    let (_folder, ledger) = open();
    let begin = || ledger.begin(&tenant(), KEY, &[1; 32], at(0)).unwrap();
    assert_eq!(begin(), Begun::Fresh);
    ledger.abandon(&tenant(), KEY).unwrap();
    assert_eq!(begin(), Begun::Fresh);
    let huge = StoredResponse { body: vec![b'x'; MAX_STORED_BODY + 1], ..answer("") };
    let error = ledger.finish(&tenant(), KEY, &huge, true).unwrap_err();
    assert!(matches!(error, LedgerError::TooLarge { limit: MAX_STORED_BODY, .. }));
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert_eq!(begin(), Begun::Fresh, "it is not kept and not in the way");
    let largest = StoredResponse { body: vec![b'x'; MAX_STORED_BODY], ..answer("") };
    assert!(ledger.finish(&tenant(), KEY, &largest, true).unwrap());
    assert_eq!(begin(), Begun::Replay(largest));
    ledger.abandon(&tenant(), KEY).unwrap();
    assert!(matches!(begin(), Begun::Replay(_)), "what is answered cannot be let go of");
}

#[test]
fn keys_expire_but_not_while_they_are_worked_on() {
    let (folder, ledger) = open();
    let key = |key| RequestKey { route: "POST /v1/messages", key };
    for (name, begun) in [("crashed", 0), ("old", 1)] {
        ledger.begin(&tenant(), key(name), &[1; 32], at(begun)).unwrap();
    }
    ledger.finish(&tenant(), key("old"), &answer(""), false).unwrap();
    drop(ledger);
    let ledger = reopen(&folder);
    for (name, begun) in [("working", 2), ("new", 100)] {
        ledger.begin(&tenant(), key(name), &[1; 32], at(begun)).unwrap();
    }
    ledger.finish(&tenant(), key("new"), &answer(""), false).unwrap();
    assert_eq!(ledger.expire_idempotency(at(100)).unwrap(), 2);
    let begin = |name| ledger.begin(&tenant(), key(name), &[1; 32], at(200)).unwrap();
    assert_eq!((begin("crashed"), begin("old"), begin("working")), (Begun::Fresh, Begun::Fresh, Begun::InProgress));
    assert!(matches!(begin("new"), Begun::Replay(_)));
}

/// Two threads send the same request again and again: one of them carries it out each time.
#[test]
fn one_of_many_at_once_is_fresh() {
    let (_folder, ledger) = open();
    for round in 0..20 {
        let name = format!("k-{round}");
        let key = RequestKey { route: "POST /v1/extract", key: &name };
        let begun: Vec<Begun> = std::thread::scope(|scope| {
            let threads: Vec<_> =
                (0..8).map(|_| scope.spawn(|| ledger.begin(&tenant(), key, &[1; 32], at(0)).unwrap())).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(begun.iter().filter(|begun| **begun == Begun::Fresh).count(), 1);
        assert_eq!(begun.iter().filter(|begun| **begun == Begun::InProgress).count(), 7);
    }
}

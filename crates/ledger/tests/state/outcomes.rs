use std::collections::BTreeMap;

use rejoinder_ledger::{EditClass, LearnedPair, Ledger, Outcome, OutcomeKind, OutcomeRecorded};

use crate::mail::{at, id, mailbox, message, open, other, read, reopen, suggestion, tenant};

pub(crate) fn outcome(kind: OutcomeKind) -> Outcome {
    Outcome {
        candidate: 0,
        kind,
        edit_class: if kind == OutcomeKind::Edited { EditClass::Light } else { EditClass::None },
        edit_ratio: if kind == OutcomeKind::Edited { 0.125 } else { 0.0 },
        reason: None,
        final_digest: Some("d1".to_owned()),
        recorded: at(60),
    }
}

fn record(ledger: &Ledger, outcome: &Outcome) -> OutcomeRecorded {
    ledger.record_outcome(&tenant(), "sug_1", outcome).unwrap()
}

#[test]
fn an_outcome_is_told_once_and_may_be_repeated() {
    let (folder, ledger) = open();
    let edited = Outcome { reason: Some("too long".to_owned()), ..outcome(OutcomeKind::Edited) };
    assert_eq!(record(&ledger, &edited), OutcomeRecorded::NotFound);
    ledger.record_suggestion(&tenant(), &suggestion("sug_1")).unwrap();
    assert_eq!(ledger.record_outcome(&other(), "sug_1", &edited).unwrap(), OutcomeRecorded::NotFound);
    assert_eq!(record(&ledger, &edited), OutcomeRecorded::Recorded);
    drop(ledger);
    let ledger = reopen(&folder);
    assert_eq!(record(&ledger, &Outcome { recorded: at(99), ..edited.clone() }), OutcomeRecorded::Same);
    for another in [
        Outcome { kind: OutcomeKind::Rejected, ..edited.clone() },
        Outcome { candidate: 1, ..edited.clone() },
        Outcome { reason: None, ..edited.clone() },
        Outcome { final_digest: Some("d2".to_owned()), ..edited.clone() },
    ] {
        assert_eq!(record(&ledger, &another), OutcomeRecorded::Conflict);
    }
    assert_eq!(ledger.suggestion(&tenant(), "sug_1").unwrap().unwrap().outcome, Some(edited));
}

#[test]
fn a_ratio_that_is_no_number_is_kept_as_none() {
    let (_folder, ledger) = open();
    ledger.record_suggestion(&tenant(), &suggestion("sug_1")).unwrap();
    let odd = Outcome { edit_ratio: f64::NAN, ..outcome(OutcomeKind::Edited) };
    assert_eq!(record(&ledger, &odd), OutcomeRecorded::Recorded);
    let kept = ledger.suggestion(&tenant(), "sug_1").unwrap().unwrap().outcome.unwrap();
    assert!(kept.edit_ratio.abs() < f64::EPSILON);
}

#[test]
fn a_learned_pair_needs_its_suggestion_and_its_messages() {
    let (_folder, ledger) = open();
    read(&ledger, &mailbox("learned", "1"), &[message("question"), message("reply")]);
    let pair = LearnedPair {
        suggestion: "sug_1".to_owned(),
        question: id("question"),
        reply: id("reply"),
        mailbox: mailbox("learned", "1").id,
    };
    assert!(!ledger.record_learned(&tenant(), &pair).unwrap());
    ledger.record_suggestion(&tenant(), &suggestion("sug_1")).unwrap();
    assert!(!ledger.record_learned(&tenant(), &LearnedPair { reply: id("nobody"), ..pair.clone() }).unwrap());
    assert!(ledger.record_learned(&tenant(), &pair).unwrap());
    assert!(ledger.record_learned(&tenant(), &pair).unwrap(), "again");
    assert_eq!(ledger.learned(&tenant(), "sug_1").unwrap(), Some(pair));
    assert_eq!(ledger.learned(&other(), "sug_1").unwrap(), None);
}

#[test]
fn rejected_replies_are_counted_and_known_by_ticket() {
    let (_folder, ledger) = open();
    read(&ledger, &mailbox("a", "1"), &[message("x"), message("y"), message("z")]);
    let (x, y, z) = (id("x"), id("y"), id("z"));
    for (suggestion_id, ticket) in [("sug_1", "T-1"), ("sug_2", "T-2")] {
        let mut one = suggestion(suggestion_id);
        one.ticket = ticket.to_owned();
        ledger.record_suggestion(&tenant(), &one).unwrap();
    }
    let reject = |of: &str, replies: &[_]| ledger.record_rejected(&tenant(), of, replies, at(1)).unwrap();
    assert_eq!(reject("sug_1", &[x.clone(), y.clone(), id("nobody")]), 2);
    assert_eq!(reject("sug_1", std::slice::from_ref(&x)), 0, "one rejection of a suggestion counts once");
    assert_eq!(reject("sug_2", std::slice::from_ref(&x)), 1);
    assert_eq!(reject("sug_9", std::slice::from_ref(&x)), 0);
    let all = [x.clone(), y.clone(), z];
    assert_eq!(ledger.rejections(&tenant(), &all).unwrap(), BTreeMap::from([(x.clone(), 2), (y.clone(), 1)]));
    let mut both = vec![x.clone(), y.clone()];
    both.sort();
    assert_eq!(ledger.rejected_for(&tenant(), "T-1").unwrap(), both);
    assert_eq!(ledger.rejected_for(&tenant(), "T-2").unwrap(), [x]);
    assert!(ledger.rejections(&other(), &all).unwrap().is_empty());
    // They outlive suggestions that got too old, and go with the message.
    assert_eq!(ledger.delete_suggestions_before(&tenant(), at(1)).unwrap(), 2);
    assert_eq!(ledger.rejections(&tenant(), &all).unwrap().len(), 2);
    ledger.erase_messages(&tenant(), &[id("x")]).unwrap();
    assert_eq!(ledger.rejections(&tenant(), &all).unwrap(), BTreeMap::from([(y, 1)]));
}

use rejoinder_domain::{Address, Attachment, AttachmentMethod, Message};
use rejoinder_ledger::{HeldOnPerson, LearnedPair, Outcome, OutcomeKind, SuggestionRecord};
use serde_json::json;

use crate::mail::{at, id, mailbox, message, open, other, read, suggestion, tenant};
use crate::outcomes::outcome;

const ANNA: &str = "anna@weber.example";

fn with(name: &str, change: impl FnOnce(&mut Message)) -> Message {
    let mut message = message(name);
    change(&mut message);
    message
}

fn address(email: &str) -> Address {
    Address { name: String::new(), email: email.to_owned() }
}

/// One message for each way in which a person can be part of one, and three of others.
fn mail() -> (Vec<Message>, Vec<Message>) {
    let hers = vec![
        with("to", |m| m.to.push(address(ANNA))),
        with("cc", |m| m.cc.push(address(ANNA))),
        with("bcc", |m| m.bcc.push(address("Anna@Weber.example"))),
        with("reply-to", |m| m.reply_to.push(address(ANNA))),
        with("sender", |m| m.sender = Some(address(ANNA))),
        with("name", |m| m.to.push(Address { name: format!("'{ANNA}'"), email: String::new() })),
        with("text", |m| m.body.text.push_str("\n> On Monday, Anna <ANNA@weber.example> wrote:")),
        with("subject", |m| m.subject = format!("Fwd: {ANNA}")),
        with("attached", |m| {
            m.attachments.push(Attachment {
                name: "x.eml".to_owned(),
                media_type: "message/rfc822".to_owned(),
                bytes: 1,
                sha256: None,
                inline: false,
                method: AttachmentMethod::ByValue,
                text: Some(format!("From: {ANNA}")),
            });
        }),
    ];
    let others = vec![
        with("joanna", |m| m.to.push(address("joanna@weber.example"))),
        with("org", |m| m.body.text.push_str(" write to anna@weber.example.org")),
        with("nobody", |_| {}),
    ];
    (hers, others)
}

#[test]
fn a_person_is_found_wherever_the_address_stands() {
    let (_folder, ledger) = open();
    let (hers, others) = mail();
    let vanished = with("vanished", |m| m.to.push(address(ANNA)));
    let all = [hers.clone(), others, vec![vanished.clone()]].concat();
    read(&ledger, &mailbox("a", "1"), &all);
    read(&ledger, &mailbox("a", "2"), &all[..all.len() - 1]);
    assert_eq!(ledger.messages(&tenant(), None, 99).unwrap().len(), all.len() - 1);

    let held = ledger.held_on_person(&tenant(), " Anna@Weber.Example ").unwrap();
    let mut expected: Vec<_> = hers.iter().map(|m| m.id.clone()).chain([vanished.id]).collect();
    expected.sort();
    assert_eq!(held.messages, expected, "also what left its mailbox and is still held");
    assert_eq!(ledger.held_on_person(&other(), ANNA).unwrap(), HeldOnPerson::default());
    assert_eq!(ledger.held_on_person(&tenant(), " ").unwrap(), HeldOnPerson::default(), "nobody is not everybody");
}

#[test]
fn what_was_suggested_on_a_person_is_held_on_her_too() {
    let (_folder, ledger) = open();
    let to = with("to", |m| m.to.push(address(ANNA)));
    read(&ledger, &mailbox("a", "1"), &[to.clone(), message("free")]);
    read(&ledger, &mailbox("learned", "1"), &[message("reply")]);
    let keep = |id: &str, cited: &[_], body, reason: Option<&str>| {
        let one = SuggestionRecord { cited: cited.to_vec(), body, ..suggestion(id) };
        assert!(ledger.record_suggestion(&tenant(), &one).unwrap());
        let said = Outcome { reason: reason.map(str::to_owned), ..outcome(OutcomeKind::Edited) };
        ledger.record_outcome(&tenant(), id, &said).unwrap();
    };
    keep("sug_cites", std::slice::from_ref(&to.id), json!("free"), None);
    keep("sug_names", &[], json!({"text": "Dear Anna\n\"Anna@weber.example\" is right."}), None);
    keep("sug_reason", &[], json!("free"), Some("ask anna@weber.example first"));
    keep("sug_free", &[id("free")], json!("joanna@weber.example"), Some("too long"));
    let pair = |suggestion: &str, question: &str| LearnedPair {
        suggestion: suggestion.to_owned(),
        question: id(question),
        reply: id("reply"),
        mailbox: mailbox("learned", "1").id,
    };
    let hers = LearnedPair { question: to.id.clone(), ..pair("sug_free", "free") };
    for learned in [&pair("sug_names", "free"), &hers] {
        assert!(ledger.record_learned(&tenant(), learned).unwrap());
    }
    let held = ledger.held_on_person(&tenant(), ANNA).unwrap();
    assert_eq!(held.suggestions, ["sug_cites", "sug_names", "sug_reason"]);
    assert_eq!(held.learned, [hers, pair("sug_names", "free")]);

    let erased = ledger.erase_person(&tenant(), ANNA).unwrap();
    // The pair that her message is part of takes its suggestion along, and the reply that exists only for pairs goes.
    assert_eq!((erased.suggestions, erased.outcomes, erased.learned), (4, 4, 2));
    let mut gone = erased.messages;
    gone.sort();
    let mut expected = vec![to.id, id("reply")];
    expected.sort();
    assert_eq!(gone, expected);
    assert_eq!(ledger.held_on_person(&tenant(), ANNA).unwrap(), HeldOnPerson::default());
    assert!(ledger.message(&tenant(), &id("free")).unwrap().is_some());
    assert_eq!(ledger.count_before(&tenant(), at(9)).unwrap(), (1, 0));
}

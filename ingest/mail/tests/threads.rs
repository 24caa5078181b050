//! Threads and reply pairs of small conversations.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use rejoinder_domain::{Direction, Message};
use rejoinder_mail::thread::{How, ReplyPair, ThreadEntry, by_headers, full, reply_pairs};
use rejoinder_mail::{Limits, parse_rfc5322};

struct Mail<'a> {
    id: &'a str,
    from: &'a str,
    to: &'a str,
    subject: &'a str,
    day: u32,
    headers: &'a str,
    body: &'a str,
}

const MAIL: Mail<'_> = Mail {
    id: "1@x",
    from: "anna@client.example",
    to: "info@firm.example",
    subject: "Invoice 12 for the second quarter",
    day: 1,
    headers: "",
    body: "When will the invoice for the second quarter be paid, please, and from which account?",
};

fn message(mail: &Mail<'_>) -> Message {
    let raw = format!(
        "Message-ID: <{}>\nFrom: {}\nTo: {}\nSubject: {}\nDate: {} Mar 2024 10:00:00 +0000\n{}\n{}\n",
        mail.id, mail.from, mail.to, mail.subject, mail.day, mail.headers, mail.body
    );
    parse_rfc5322(raw.as_bytes(), &Limits::default()).unwrap().0
}

fn entries(mails: &[Mail<'_>]) -> Vec<ThreadEntry> {
    mails.iter().map(|mail| ThreadEntry::of(&message(mail))).collect()
}

const REPLY: &str = "It was paid today from our account in Bonn.";

#[test]
fn a_missing_message_holds_its_replies_together() {
    let entries = entries(&[
        Mail { id: "2@x", headers: "References: <0@x> <1@x>\n", day: 2, ..MAIL },
        Mail { id: "3@x", headers: "In-Reply-To: <1@x>\n", day: 3, ..MAIL },
        Mail { id: "4@x", subject: "Something else entirely", day: 4, ..MAIL },
    ]);
    let threads = by_headers(&entries);
    assert_eq!(threads.thread[0], threads.thread[1]);
    assert_ne!(threads.thread[0], threads.thread[2]);
    assert_eq!(threads.parent, [None, None, None]);
}

#[test]
fn references_in_a_loop_end() {
    let entries = entries(&[
        Mail { id: "1@x", headers: "In-Reply-To: <2@x>\n", ..MAIL },
        Mail { id: "2@x", headers: "In-Reply-To: <1@x>\n", day: 2, ..MAIL },
        Mail { id: "3@x", headers: "References: <3@x> <3@x>\n", day: 3, ..MAIL },
    ]);
    let threads = full(&entries);
    assert_eq!(threads.thread[0], threads.thread[1]);
    assert_eq!(threads.thread.len(), 3);
}

#[test]
fn outlooks_conversation_index_joins() {
    let root = "AdpAAAAAAQIDBAUGBwgJCgsMDQ4PEA==";
    let with = |index: &str| format!("Thread-Index: {index}\n");
    let (a, b) = (with(root), with("AdpAAAAAAQIDBAUGBwgJCgsMDQ4PEAAAAAAB"));
    let entries = entries(&[
        Mail { headers: &a, ..MAIL },
        Mail {
            id: "2@x",
            from: "tom@firm.example",
            to: "anna@client.example",
            subject: "AW: changed",
            day: 2,
            headers: &b,
            body: REPLY,
        },
    ]);
    let threads = full(&entries);
    assert_eq!(threads.parent[1], Some(0));
    assert_eq!(threads.how[1], How::ConversationIndex);
}

#[test]
fn quoted_text_joins_and_a_phrase_does_not() {
    let quoting = format!("{REPLY}\n\nOn 1 Mar 2024 at 10:00 Anna <anna@client.example> wrote:\n> {}\n", MAIL.body);
    let entries = entries(&[
        MAIL,
        Mail { id: "2@x", from: "tom@firm.example", to: "anna@client.example", day: 2, body: &quoting, ..MAIL },
        Mail {
            id: "3@x",
            from: "eve@else.example",
            subject: "Other things",
            day: 3,
            body: "When will the parcel arrive?",
            ..MAIL
        },
    ]);
    let threads = full(&entries);
    assert_eq!((threads.parent[1], threads.how[1]), (Some(0), How::QuotedText));
    assert_eq!(threads.parent[2], None);
}

#[test]
fn the_same_subject_joins_replies_only_and_in_time() {
    let reply = |day| Mail {
        id: "2@x",
        from: "tom@firm.example",
        to: "anna@client.example",
        subject: "Re: Invoice 12 for the second quarter",
        day,
        headers: "",
        body: REPLY,
    };
    assert_eq!(full(&entries(&[MAIL, reply(2)])).parent[1], Some(0));
    assert_eq!(
        full(&entries(&[MAIL, Mail { subject: MAIL.subject, ..reply(2) }])).parent[1],
        None,
        "no reply's prefix"
    );
    let stranger = Mail { from: "eve@else.example", to: "bob@else.example", subject: "Re: Hello", ..reply(2) };
    assert_eq!(
        full(&entries(&[Mail { subject: "Hello", ..MAIL }, stranger])).parent[1],
        None,
        "a subject that says nothing"
    );
}

#[test]
fn pairs_go_from_the_client_to_our_first_answer() {
    let ours = |id, day, headers, body| Mail {
        id,
        from: "tom@firm.example",
        to: "anna@client.example",
        subject: "Re: Invoice 12",
        day,
        headers,
        body,
    };
    let mut entries = entries(&[
        MAIL,
        ours("2@x", 2, "In-Reply-To: <1@x>\nAuto-Submitted: auto-replied\n", "I am out of the office until Monday."),
        ours("3@x", 3, "In-Reply-To: <1@x>\n", REPLY),
        ours("4@x", 4, "In-Reply-To: <3@x>\n", "And here is the receipt for it as well."),
        Mail {
            id: "5@x",
            day: 5,
            headers: "In-Reply-To: <4@x>\n",
            body: "Thank you, but the sum is not the right one.",
            ..MAIL
        },
        ours("6@x", 6, "In-Reply-To: <5@x>\n", "You are right, the rest follows tomorrow."),
    ]);
    for (at, entry) in entries.iter_mut().enumerate() {
        entry.set_direction(if matches!(at, 0 | 4) { Direction::Inbound } else { Direction::Outbound });
    }
    let pairs = reply_pairs(&entries, &full(&entries));
    assert_eq!(pairs, [ReplyPair { question: 0, reply: 2 }, ReplyPair { question: 4, reply: 5 }]);
}

#[test]
fn on_a_list_pairs_are_between_authors() {
    let entries = entries(&[
        MAIL,
        Mail { id: "2@x", day: 2, headers: "In-Reply-To: <1@x>\n", body: "I forgot to say that it is urgent.", ..MAIL },
        Mail { id: "3@x", from: "tom@other.example", day: 3, headers: "In-Reply-To: <1@x>\n", body: REPLY, ..MAIL },
    ]);
    assert_eq!(reply_pairs(&entries, &full(&entries)), [ReplyPair { question: 0, reply: 2 }]);
}

#[test]
fn an_entry_survives_the_ledger() {
    let entry = ThreadEntry::of(&message(&MAIL));
    let json = serde_json::to_string(&entry).unwrap();
    assert_eq!(serde_json::from_str::<ThreadEntry>(&json).unwrap(), entry);
    assert!(!json.contains("anna"), "nothing in it can be read");
}

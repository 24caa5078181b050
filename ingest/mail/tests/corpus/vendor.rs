//! The 2,500 messages of a vendor's support list: parsing against an independent parser, threads against headers.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::OnceLock;

use rejoinder_domain::{Message, SegmentKind};
use rejoinder_mail::thread::{self, How, ThreadEntry, Threading};
use rejoinder_mail::{Limits, discover, open};
use serde_json::Value;

use crate::{corpus, json_lines, unpacked, verbose};

struct Mailbox {
    messages: Vec<Message>,
    gold: Vec<Value>,
    folder: std::path::PathBuf,
}

/// The mailbox, read once for all tests.
fn mailbox() -> Option<&'static Mailbox> {
    static MAILBOX: OnceLock<Option<Mailbox>> = OnceLock::new();
    MAILBOX.get_or_init(|| corpus().map(|corpus| read(&corpus.join("vendor-support-list")))).as_ref()
}

fn read(folder: &Path) -> Mailbox {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("mailbox.mbox");
    std::fs::write(&path, unpacked(&folder.join("mailbox.mbox.zst"))).unwrap();
    let found = discover(&path).unwrap();
    assert_eq!(found.mailboxes.len(), 1);
    let started = std::time::Instant::now();
    let mut source = open(&found.mailboxes[0], &Limits::default()).unwrap();
    let mut messages = Vec::new();
    let mut losses = 0;
    for item in source.by_ref() {
        losses += item.losses.len();
        messages
            .push(item.outcome.unwrap_or_else(|skipped| panic!("{} was skipped: {}", skipped.place, skipped.reason)));
    }
    let (done, total) = source.size_hint_bytes();
    assert_eq!(done, total);
    println!("read {} messages, {total} bytes in {:.2?}, {losses} losses", messages.len(), started.elapsed());
    assert_eq!(losses, 0);
    Mailbox { messages, gold: json_lines(&folder.join("mime_gold.jsonl")), folder: folder.to_owned() }
}

fn strings(value: &Value) -> Vec<String> {
    value.as_array().unwrap().iter().map(|item| item.as_str().unwrap().to_owned()).collect()
}

fn sorted(mut list: Vec<String>) -> String {
    list.sort();
    list.join(" ")
}

fn bare(id: &str) -> String {
    id.trim_matches(['<', '>']).to_owned()
}

fn squeezed(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Each field of gold and of ours as comparable text.
fn fields(gold: &Value, message: &Message) -> Vec<(&'static str, String, String)> {
    let id = |value: &Value| value.as_str().map(bare).unwrap_or_default();
    // The gold has addresses sorted.
    let emails = |list: &[rejoinder_domain::Address]| sorted(list.iter().map(|a| a.email.clone()).collect());
    let gold_emails = |name: &str| sorted(strings(&gold[name]).iter().map(|email| email.to_lowercase()).collect());
    let mut gold_attachments: Vec<String> = gold["attachments"]
        .as_array()
        .unwrap()
        .iter()
        .map(|a| {
            format!(
                "{} {} {} {}",
                a[0].as_str().unwrap(),
                squeezed(a[1].as_str().unwrap_or("")),
                a[2],
                a[3].as_str().unwrap()
            )
        })
        .collect();
    let mut attachments: Vec<String> = message
        .attachments
        .iter()
        .map(|a| {
            format!(
                "{} {} {} {}",
                a.media_type,
                a.name,
                a.bytes,
                &a.sha256.as_deref().unwrap_or("0000000000000000")[..16]
            )
        })
        .collect();
    gold_attachments.sort();
    attachments.sort();
    vec![
        ("Message-ID", id(&gold["Message-ID"]), message.rfc_message_id.clone().unwrap_or_default()),
        ("In-Reply-To", id(&gold["In-Reply-To"]), message.in_reply_to.first().cloned().unwrap_or_default()),
        (
            "References",
            strings(&gold["References"]).iter().map(|id| bare(id)).collect::<Vec<_>>().join(" "),
            message.references.join(" "),
        ),
        ("Subject", squeezed(gold["Subject"].as_str().unwrap_or("")), message.subject.clone()),
        ("From", gold_emails("From"), message.from.iter().map(|a| a.email.clone()).collect::<Vec<_>>().join(" ")),
        ("To", gold_emails("To"), emails(&message.to)),
        ("Cc", gold_emails("Cc"), emails(&message.cc)),
        (
            "Date",
            gold["Date"].as_f64().map(|at| (at as i64).to_string()).unwrap_or_default(),
            message.sent_at.map(|at| at.as_second().to_string()).unwrap_or_default(),
        ),
        ("attachments", gold_attachments.join("\n"), attachments.join("\n")),
    ]
}

#[test]
fn agrees_with_an_independent_parser() {
    let Some(mailbox) = mailbox() else { return };
    assert_eq!(mailbox.messages.len(), 2500);
    assert_eq!(mailbox.gold.len(), 2500);
    let mut wrong: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    let mut unbracketed = 0;
    for (index, (gold, message)) in mailbox.gold.iter().zip(&mailbox.messages).enumerate() {
        for (field, theirs, ours) in fields(&gold["gold"], message) {
            wrong.entry(field).or_default();
            if theirs == ours {
                continue;
            }
            // Web forms write In-Reply-To without angle brackets; the gold leaves such a field out, we keep the id.
            if field == "In-Reply-To" && theirs.is_empty() {
                unbracketed += 1;
                continue;
            }
            wrong.entry(field).or_default().push(index);
            if verbose() {
                println!("{index} {field}\n  gold {theirs:?}\n  ours {ours:?}");
            }
        }
    }
    println!("In-Reply-To without angle brackets, kept by us and left out by the gold: {unbracketed}");
    for (field, indexes) in &wrong {
        let agreement = 1.0 - indexes.len() as f64 / 2500.0;
        println!("{field:12} {:.2} % differ at {indexes:?}", agreement * 100.0);
        assert!(agreement >= 0.995, "{field} agrees in {agreement}");
    }
}

#[test]
fn bodies_are_divided_whole() {
    let Some(mailbox) = mailbox() else { return };
    let mut bytes: BTreeMap<SegmentKind, usize> = BTreeMap::new();
    let mut without_new = 0;
    for message in &mailbox.messages {
        let mut at = 0;
        for segment in &message.body.segments {
            assert_eq!(segment.span.start(), at);
            at = segment.span.end();
            *bytes.entry(segment.kind).or_default() += segment.span.len();
        }
        assert_eq!(at, message.body.text.len());
        without_new += usize::from(message.body.text_of(SegmentKind::New).is_empty());
    }
    println!("bytes by kind {bytes:?}; messages without new text: {without_new}");
    assert!(without_new * 100 <= mailbox.messages.len(), "{without_new} messages have no new text");
}

/// Pairs of messages in one thread, as (agreeing, ours, gold's).
fn pair_counts<A: Ord + Clone, B: Ord + Clone>(ours: &[A], gold: &[B]) -> (u64, u64, u64) {
    let pairs = |sizes: &BTreeMap<_, u64>| sizes.values().map(|n| n * (n - 1) / 2).sum::<u64>();
    let mut both: BTreeMap<(A, B), u64> = BTreeMap::new();
    let mut a: BTreeMap<A, u64> = BTreeMap::new();
    let mut b: BTreeMap<B, u64> = BTreeMap::new();
    for (ours, gold) in ours.iter().zip(gold) {
        *both.entry((ours.clone(), gold.clone())).or_default() += 1;
        *a.entry(ours.clone()).or_default() += 1;
        *b.entry(gold.clone()).or_default() += 1;
    }
    let both_pairs = both.values().map(|n| n * (n - 1) / 2).sum::<u64>();
    let gold_pairs = b.values().map(|n| n * (n - 1) / 2).sum::<u64>();
    (both_pairs, pairs(&a), gold_pairs)
}

fn f1(ours: &Threading, gold: &[usize]) -> f64 {
    let (both, ours, gold) = pair_counts(&ours.thread, gold);
    2.0 * both as f64 / (ours + gold) as f64
}

/// The thread of each message by the gold, and its parent.
fn gold_threads(mailbox: &Mailbox) -> (Vec<usize>, Vec<Option<String>>) {
    let mut by_id: HashMap<String, (usize, Option<String>)> = HashMap::new();
    for (thread, line) in json_lines(&mailbox.folder.join("threads.jsonl")).iter().enumerate() {
        for message in line["messages"].as_array().unwrap() {
            let parent = message["parent"].as_str().map(bare);
            by_id.insert(bare(message["mid"].as_str().unwrap()), (thread, parent));
        }
    }
    mailbox.messages.iter().map(|m| by_id[m.rfc_message_id.as_deref().unwrap()].clone()).unzip()
}

/// The entries as the gold's reader sees them: without the ids that stand in In-Reply-To without angle brackets.
fn bracketed_entries(mailbox: &Mailbox) -> Vec<ThreadEntry> {
    let entry = |(message, gold): (&Message, &Value)| {
        let mut message = message.clone();
        if gold["gold"]["In-Reply-To"].is_null() {
            message.in_reply_to.clear();
        }
        ThreadEntry::of(&message)
    };
    mailbox.messages.iter().zip(&mailbox.gold).map(entry).collect()
}

#[test]
fn threads_by_headers_agree() {
    let Some(mailbox) = mailbox() else { return };
    let (gold, gold_parents) = gold_threads(mailbox);
    let bracketed = thread::by_headers(&bracketed_entries(mailbox));
    let score = f1(&bracketed, &gold);
    println!(
        "threads: gold {}, by bracketed headers {}, pairwise F1 {score:.5}",
        gold.iter().max().unwrap() + 1,
        bracketed.thread_count()
    );
    let id = |index: usize| mailbox.messages[index].rfc_message_id.clone().unwrap();
    let same_parent =
        gold_parents.iter().enumerate().filter(|&(at, gold)| bracketed.parent[at].map(id) == *gold).count();
    println!("parents that agree: {same_parent} of 2500");
    assert!(score >= 0.99);
    assert!(same_parent >= 2475);
    let entries: Vec<ThreadEntry> = mailbox.messages.iter().map(ThreadEntry::of).collect();
    let all = thread::by_headers(&entries);
    println!("with ids that stand without brackets: {} threads, F1 {:.5}", all.thread_count(), f1(&all, &gold));
    let full = thread::full(&entries);
    println!("full: {} threads, F1 {:.5}", full.thread_count(), f1(&full, &gold));
}

#[test]
fn what_is_joined_beyond_the_headers() {
    let Some(mailbox) = mailbox() else { return };
    let entries: Vec<ThreadEntry> = mailbox.messages.iter().map(ThreadEntry::of).collect();
    let full = thread::full(&entries);
    let mut by_how: BTreeMap<String, Vec<(usize, usize)>> = BTreeMap::new();
    for (at, how) in full.how.iter().enumerate().filter(|(_, how)| **how != How::Headers) {
        by_how.entry(format!("{how:?}")).or_default().push((at, full.parent[at].unwrap()));
    }
    for (how, joined) in &by_how {
        println!("{how}: {} joined, as (message, parent): {joined:?}", joined.len());
        if verbose() {
            for &(at, parent) in joined {
                let (a, b) = (&mailbox.messages[at], &mailbox.messages[parent]);
                println!("  {at} {:?} {:?}\n    <- {parent} {:?} {:?}", a.subject, a.sent_at, b.subject, b.sent_at);
            }
        }
    }
    // The same, whatever the order of the entries.
    let mut order: Vec<usize> = (0..entries.len()).collect();
    order.sort_by_key(|&at| (at * 7919) % entries.len());
    let shuffled: Vec<ThreadEntry> = order.iter().map(|&at| entries[at].clone()).collect();
    let again = thread::full(&shuffled);
    for (position, &at) in order.iter().enumerate() {
        assert_eq!(again.thread[position], full.thread[at]);
        assert_eq!(again.parent[position].map(|parent| order[parent]), full.parent[at]);
    }
    let bytes: usize = entries.iter().map(|entry| serde_json::to_vec(entry).unwrap().len()).sum();
    println!("an entry takes {} bytes as JSON on average", bytes / entries.len());
}

#[test]
fn pairs_that_the_headers_prove_are_found() {
    let Some(mailbox) = mailbox() else { return };
    let entries: Vec<ThreadEntry> = mailbox.messages.iter().map(ThreadEntry::of).collect();
    let full = thread::full(&entries);
    let pairs = thread::reply_pairs(&entries, &full);
    let gold = json_lines(&mailbox.folder.join("pairs.jsonl"));
    let id = |index: usize| mailbox.messages[index].rfc_message_id.clone().unwrap();
    let ours: HashMap<String, String> = pairs.iter().map(|pair| (id(pair.question), id(pair.reply))).collect();
    let mut questions: HashMap<String, Vec<String>> = HashMap::new();
    for pair in &gold {
        let (question, reply) = (bare(pair["query_mid"].as_str().unwrap()), bare(pair["reply_mid"].as_str().unwrap()));
        questions.entry(question).or_default().push(reply);
    }
    let found = questions
        .iter()
        .filter(|(question, replies)| ours.get(*question).is_some_and(|reply| replies.contains(reply)))
        .count();
    println!(
        "{} pairs; the gold has {} questions, for {found} of them our reply is among its",
        pairs.len(),
        questions.len()
    );
    assert!(found * 100 >= questions.len() * 95);
}

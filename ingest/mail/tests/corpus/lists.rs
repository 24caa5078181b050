//! 64,258 plain-text messages of mailing lists: scale, and reply pairs over years.

use std::collections::{HashMap, HashSet};
use std::time::Instant;

use rejoinder_mail::thread::{self, ThreadEntry};
use rejoinder_mail::{Limits, parse_rfc5322};
use serde_json::Value;

use crate::{corpus, unpacked};

/// The message as it would have been sent. Addresses are hashed in the data.
fn raw(message: &Value) -> String {
    let field = |name: &str| message[name].as_str().unwrap_or("").replace(['\n', '\r'], " ");
    let mut raw = format!(
        "From: {} <{}@{}.example>\nMessage-ID: {}\nDate: {}\nSubject: {}\n",
        field("from_name").replace(['<', '>', '"', ',', ':', ';', '(', ')', '@'], " "),
        field("from_email_hash").get(..16).unwrap_or("unknown"),
        field("list"),
        field("message_id"),
        field("date"),
        field("subject"),
    );
    if message["in_reply_to"].is_string() {
        raw = raw + "In-Reply-To: " + &field("in_reply_to") + "\n";
    }
    raw += "\n";
    raw += message["body"].as_str().unwrap_or("");
    raw
}

#[test]
fn years_of_lists_are_threaded_in_seconds() {
    let Some(corpus) = corpus() else { return };
    let folder = corpus.join("threads-r-lists");
    let started = Instant::now();
    let text = String::from_utf8(unpacked(&folder.join("dev.messages.jsonl.zst"))).unwrap();
    let mut entries = Vec::new();
    let mut ids = Vec::new();
    for line in text.lines() {
        let raw = raw(&serde_json::from_str(line).unwrap());
        let (message, _) = parse_rfc5322(raw.as_bytes(), &Limits::default()).unwrap();
        entries.push(ThreadEntry::of(&message));
        ids.push(message.rfc_message_id.unwrap_or_default());
    }
    println!("{} messages parsed, cleaned and digested in {:.1?}", entries.len(), started.elapsed());
    let started = Instant::now();
    let threading = thread::full(&entries);
    let pairs = thread::reply_pairs(&entries, &threading);
    println!("{} threads, {} pairs in {:.2?}", threading.thread_count(), pairs.len(), started.elapsed());
    let mut joined: HashMap<String, usize> = HashMap::new();
    for how in &threading.how {
        *joined.entry(format!("{how:?}")).or_default() += 1;
    }
    println!("by {joined:?}");
    let bare = |id: &Value| id.as_str().unwrap().trim_matches(['<', '>']).to_owned();
    let gold = String::from_utf8(unpacked(&folder.join("dev.pairs.jsonl.zst"))).unwrap();
    let gold: Vec<Value> = gold.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let all: HashSet<(String, String)> =
        gold.iter().map(|pair| (bare(&pair["query_mid"]), bare(&pair["reply_mid"]))).collect();
    let questions: HashSet<&String> = all.iter().map(|(question, _)| question).collect();
    let ours: HashSet<(String, String)> =
        pairs.iter().map(|pair| (ids[pair.question].clone(), ids[pair.reply].clone())).collect();
    let found: HashSet<&String> = ours.intersection(&all).map(|(question, _)| question).collect();
    println!("the gold has {} questions; for {} of them our reply is among its", questions.len(), found.len());
    assert!(entries.len() > 60_000);
    assert!(found.len() * 100 >= questions.len() * 90);
}

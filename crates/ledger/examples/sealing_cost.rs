//! What encryption at rest costs a ledger: the same messages written to and read from one without a master key and one with,
//! step by step in turn, so that both meet the same machine. The medians of the steps are told. And how long it takes to seal
//! a ledger that was written without.
//!
//! `cargo run -p rejoinder-ledger --example sealing_cost [FOLDER]`

#![allow(clippy::unwrap_used, reason = "a benchmark ends by panicking")]

use std::path::Path;
use std::sync::OnceLock;
use std::time::Instant;

use jiff::Timestamp;
use rejoinder_domain::{
    Address, Body, BodySource, Direction, ItemKind, MailboxId, Message, MessageId, TenantId, ThreadId,
};
use rejoinder_ledger::{ItemOutcome, ItemRecord, Ledger, MailboxRecord, SuggestionRecord, ThreadRow};
use rejoinder_vault::Keyring;

const MESSAGES: usize = 20_000;
/// As many as the pipeline writes in one transaction.
const BATCH: usize = 256;
const SUGGESTIONS: usize = 400;

/// A ledger with what its steps took, in microseconds.
struct Subject {
    ledger: Ledger,
    tenant: TenantId,
    mailbox: MailboxRecord,
    times: Vec<f64>,
}

fn main() {
    let folder = std::env::args().nth(1).map_or_else(std::env::temp_dir, Into::into);
    let place = tempfile::tempdir_in(&folder).unwrap();
    let messages: Vec<Message> = (0..MESSAGES).map(message).collect();
    let text: usize = messages.iter().map(|message| message.body.text.len()).sum();
    println!("{MESSAGES} messages, {:.1} MB of text", text as f64 / 1e6);
    let path = place.path().join("plain.sqlite");
    let mut plain = Subject::new(Ledger::open(&path).unwrap());
    let mut sealed = Subject::new(Ledger::open_sealed(place.path().join("sealed.sqlite"), keyring()).unwrap());
    let both = [&mut plain, &mut sealed];
    println!("{:>34} {:>10} {:>10}", "medians, us", "plain", "sealed");
    run(
        both,
        messages.chunks(BATCH).enumerate(),
        "write a message, of 256 at once",
        BATCH,
        |subject, (batch, some)| {
            let items: Vec<ItemRecord<'_>> =
                some.iter().zip(batch * BATCH..).map(|(message, at)| item(message, at)).collect();
            subject.ledger.record_items(&subject.tenant, &subject.mailbox.id, &items).unwrap();
        },
    );
    for subject in [&plain, &sealed] {
        let rows: Vec<ThreadRow> = messages.iter().map(threaded).collect();
        subject.ledger.finish_read(&subject.tenant, &subject.mailbox.id).unwrap();
        subject.ledger.apply_threading(&subject.tenant, &rows, &[]).unwrap();
    }
    let both = [&mut plain, &mut sealed];
    run(both, messages.chunks(BATCH), "read a message", BATCH, |subject, some| {
        for message in some {
            assert!(subject.ledger.message(&subject.tenant, &message.id).unwrap().is_some());
        }
    });
    let both = [&mut plain, &mut sealed];
    run(both, messages.chunks(BATCH), "read a thread entry", BATCH, |subject, some| {
        let before = some.first().map(|message| &message.id);
        subject.ledger.message_facts(&subject.tenant, before, BATCH as u32).unwrap();
    });
    let both = [&mut plain, &mut sealed];
    run(both, messages.iter().take(SUGGESTIONS).enumerate(), "keep a suggestion", 1, |subject, (number, message)| {
        assert!(subject.ledger.record_suggestion(&subject.tenant, &suggestion(number, message)).unwrap());
    });
    let both = [&mut plain, &mut sealed];
    run(both, 0..SUGGESTIONS, "read a suggestion", 1, |subject, number| {
        assert!(subject.ledger.suggestion(&subject.tenant, &format!("sug_{number}")).unwrap().is_some());
    });
    let size = |subject: &Subject, name: &str| {
        let copy = place.path().join(name);
        subject.ledger.backup(&copy).unwrap().bytes as f64 / 1e6
    };
    println!("{:>34} {:>10.1} {:>10.1}", "file, MB", size(&plain, "copy1"), size(&sealed, "copy2"));
    drop(plain);
    seal(&path);
}

/// Seals what was written without a key.
fn seal(path: &Path) {
    let ledger = Ledger::open_sealed(path, keyring()).unwrap();
    let start = Instant::now();
    let done = ledger.seal_all(|_| true).unwrap();
    assert!(done.complete);
    println!("sealing {} rows took {:.2} s, writing the file anew included", done.rows, start.elapsed().as_secs_f64());
}

/// Does every step with both, the second one first every other time.
fn run<S: Clone>(
    mut both: [&mut Subject; 2],
    steps: impl Iterator<Item = S>,
    what: &str,
    per_step: usize,
    mut work: impl FnMut(&Subject, S),
) {
    for (number, step) in steps.enumerate() {
        for turn in 0..2 {
            let Some(subject) = both.get_mut((turn + number) % 2) else { continue };
            let start = Instant::now();
            work(subject, step.clone());
            subject.times.push(start.elapsed().as_secs_f64() * 1e6 / per_step as f64);
        }
    }
    let [plain, sealed] = both.map(Subject::median);
    println!("{what:>34} {plain:>10.1} {sealed:>10.1}");
}

impl Subject {
    fn new(ledger: Ledger) -> Self {
        let tenant = TenantId::new("cost").unwrap();
        let mailbox = MailboxRecord {
            id: MailboxId::from_content(&[b"cost"]),
            name: "cost".to_owned(),
            path: "/mail/cost.mbox".to_owned(),
            format: "mbox".to_owned(),
            fingerprint: "1".to_owned(),
            owner: None,
        };
        ledger.begin_read(&tenant, &mailbox).unwrap();
        Self { ledger, tenant, mailbox, times: Vec::new() }
    }

    fn median(&mut self) -> f64 {
        let mut times = std::mem::take(&mut self.times);
        times.sort_by(f64::total_cmp);
        times.get(times.len() / 2).copied().unwrap_or_default()
    }
}

fn keyring() -> Keyring {
    static LINE: OnceLock<String> = OnceLock::new();
    Keyring::parse(LINE.get_or_init(|| Keyring::generate("cost").unwrap().to_string())).unwrap()
}

fn item(message: &Message, at: usize) -> ItemRecord<'_> {
    ItemRecord {
        position: at as u64,
        folder: "Inbox/Customers/Repairs",
        place: "cur/1700000000.M1P2.host",
        in_sent_folder: false,
        outcome: ItemOutcome::Read { message, thread_entry: vec![b'e'; 200] },
        losses: &[],
    }
}

fn threaded(message: &Message) -> ThreadRow {
    ThreadRow {
        message: message.id.clone(),
        thread: ThreadId::from_content(&[message.id.as_str().as_bytes()]),
        parent: None,
        direction: Direction::Inbound,
        stamp: "s".to_owned(),
    }
}

fn suggestion(number: usize, message: &Message) -> SuggestionRecord {
    SuggestionRecord {
        id: format!("sug_{number}"),
        ticket: format!("T-{number}"),
        ticket_state: "state".to_owned(),
        ticket_messages: 1,
        created: Timestamp::UNIX_EPOCH,
        terms: ["pump", "leak", "invoice"].map(str::to_owned).to_vec(),
        found: true,
        provider: "local".to_owned(),
        model: "small".to_owned(),
        source: None,
        cited: vec![message.id.clone()],
        body: serde_json::json!({ "candidates": [{ "text": message.body.text }] }),
    }
}

/// A message of some 300 words out of a thousand, the frequent ones more often.
fn message(number: usize) -> Message {
    let mut state = number as u64 + 1;
    let mut random = || {
        // Knuth's constants for a linear congruence modulo 2^64.
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state >> 33
    };
    let mut text = String::new();
    for _ in 0..100 + random() % 400 {
        let rank = (random() % 1000) * (random() % 1000) / 1000;
        text.push_str(["ma", "re", "to", "si", "lu", "ne"].get((rank % 6) as usize).unwrap());
        text.push_str(&rank.to_string());
        text.push(' ');
    }
    let address = |name: &str| Address { name: name.to_owned(), email: format!("{name}@firm.example") };
    let mut message = Message {
        id: MessageId::from_stored(""),
        kind: ItemKind::Message,
        rfc_message_id: Some(format!("{number}@firm.example")),
        in_reply_to: Vec::new(),
        references: Vec::new(),
        conversation_index: None,
        conversation_topic: None,
        subject: format!("About {number}"),
        from: Some(address("anna")),
        sender: None,
        reply_to: Vec::new(),
        to: vec![address("service")],
        cc: Vec::new(),
        bcc: Vec::new(),
        sent_at: Some(Timestamp::UNIX_EPOCH),
        received_at: None,
        body: Body { text, source: BodySource::Plain, segments: Vec::new() },
        attachments: Vec::new(),
        direction: Direction::Unknown,
        language: None,
        automatic: false,
    };
    message.id = message.key();
    message
}

//! One message at a time: in any order, beside an ingest, killed on its way.

use std::path::Path;
use std::sync::atomic::Ordering;

use proptest::prelude::*;
use rejoinder_domain::{Direction, EraseScope, Pool, Record, VectorStore as _};
use rejoinder_mail::MessageFields;
use rejoinder_mail::direction::Ownership;
use rejoinder_pipeline::{Delivery, IndexedStatus, IngestError, Intake, Lesson, NewMessage};

use crate::mailboxes::{self, Plan};
use crate::state::{Site, State, runtime, tenant};

fn ours() -> Ownership {
    Ownership { domains: vec!["firm.example".to_owned()], addresses: Vec::new() }
}

fn intake(site: &Site) -> Intake {
    Intake::new(site.pipeline.clone(), ours())
}

fn raw(text: &str) -> Delivery {
    Delivery { mailbox: "crm".to_owned(), message: NewMessage::Raw(text.as_bytes().to_vec()), direction: None }
}

/// The messages of the mailbox files, as bytes, the one that is too large left out.
pub(crate) fn messages(paths: &[std::path::PathBuf]) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for path in paths {
        let text = std::fs::read_to_string(path).unwrap();
        let items = text.split("From sender@mail.example Mon Jan  5 08:00:00 2026\n").filter(|item| !item.is_empty());
        all.extend(items.filter(|item| item.len() < 100_000).map(|item| item.strip_suffix('\n').unwrap().to_owned()));
    }
    all.sort_unstable();
    all.dedup();
    all
}

/// What does not depend on which mailbox the mail came from.
fn content(state: State) -> (Vec<Record>, Vec<Record>, State) {
    let bare = |records: &[Record]| {
        records.iter().map(|record| Record { mailboxes: Vec::new(), ..record.clone() }).collect::<Vec<_>>()
    };
    let (passages, pairs) = (bare(&state.passages), bare(&state.reply_pairs));
    (passages, pairs, state)
}

/// An ingest of nothing threads all mail anew: nothing may change by it.
fn assert_settled(site: &Site) {
    let before = site.state();
    let report = runtime().block_on(site.pipeline.ingest(&tenant(), &[], &ours(), &())).unwrap();
    assert_eq!((report.written, report.pending), (0, 0));
    assert!(site.state() == before, "a batch finds what was found message by message");
}

fn site(folder: &Path, name: &str) -> Site {
    Site::open(&folder.join(name))
}

fn deliver_all(intake: &Intake, messages: &[String]) {
    for message in messages {
        let indexed = runtime().block_on(intake.index_message(&tenant(), raw(message))).unwrap();
        assert_eq!(indexed.status, IndexedStatus::Indexed);
        assert!(indexed.chunks > 0 && indexed.thread_id.is_some());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, ..ProptestConfig::default() })]

    #[test]
    fn any_order_ends_as_a_mailbox_does(seed in any::<u64>(), part in 0_usize..30) {
        let folder = tempfile::tempdir().unwrap();
        let paths = mailboxes::write(&folder.path().join("mail"), Plan { first: 0, last: 12 });
        let mut mail = messages(&paths);
        let batch = site(folder.path(), "batch");
        runtime().block_on(batch.pipeline.ingest(&tenant(), &paths, &ours(), &())).unwrap();
        let (passages, pairs, batch) = content(batch.state());
        shuffle(&mut mail, seed);

        let singles = site(folder.path(), "singles");
        let intake = intake(&singles);
        // In the middle everything known by heart is lost, as after a restart.
        let (first, second) = mail.split_at(part.min(mail.len()));
        deliver_all(&intake, first);
        intake.forget(&tenant());
        runtime().block_on(intake.warm(&tenant())).unwrap();
        deliver_all(&intake, second);
        let (single_passages, single_pairs, state) = content(singles.state());
        prop_assert_eq!(&single_passages, &passages);
        prop_assert_eq!(&single_pairs, &pairs);
        prop_assert_eq!(&state.pairs, &batch.pairs);
        prop_assert_eq!(state.threads(), batch.threads());
        // An mbox has an empty line at the end of each message.
        let told = |state: &State| state.messages.iter().map(|m| (m.id.clone(), m.direction)).collect::<Vec<_>>();
        prop_assert_eq!(told(&state), told(&batch));
        assert_settled(&singles);
    }
}

fn shuffle<T>(list: &mut [T], seed: u64) {
    let mut state = seed;
    for at in (1..list.len()).rev() {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        list.swap(at, (state >> 33) as usize % (at + 1));
    }
}

#[test]
fn a_repeated_message_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let paths = mailboxes::write(&folder.path().join("mail"), Plan { first: 0, last: 2 });
    let site = site(folder.path(), "data");
    let intake = intake(&site);
    let mail = messages(&paths);
    deliver_all(&intake, &mail);
    let (state, upserted) = (site.state(), site.store.upserted.load(Ordering::SeqCst));
    for message in &mail {
        let again = runtime().block_on(intake.index_message(&tenant(), raw(message))).unwrap();
        assert_eq!(again.status, IndexedStatus::Duplicate);
        assert!(again.chunks > 0 && again.thread_id.is_some());
    }
    assert!(site.state() == state);
    assert_eq!(site.store.upserted.load(Ordering::SeqCst), upserted);
    // In another mailbox it is the same message at a second place.
    let elsewhere = Delivery { mailbox: "shared".to_owned(), ..raw(&mail[0]) };
    let indexed = runtime().block_on(intake.index_message(&tenant(), elsewhere)).unwrap();
    assert_eq!(indexed.status, IndexedStatus::Duplicate);
    assert!(site.store.upserted.load(Ordering::SeqCst) > upserted, "its records name both mailboxes");
    assert_settled(&site);
    let status = site.pipeline.ledger.status(&tenant(), &site.pipeline.index_version()).unwrap();
    assert_eq!(
        status
            .iter()
            .map(|mailbox| (mailbox.name.as_str(), mailbox.format.as_str(), mailbox.complete))
            .collect::<Vec<_>>(),
        [("crm", "api", true), ("shared", "api", true)]
    );
    assert_eq!(status.iter().map(|mailbox| mailbox.pending).sum::<u64>(), 0);
}

#[test]
fn what_was_erased_does_not_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let paths = mailboxes::write(&folder.path().join("mail"), Plan { first: 0, last: 4 });
    let site = site(folder.path(), "data");
    let intake = intake(&site);
    let mail = messages(&paths);
    let first = runtime().block_on(intake.index_message(&tenant(), raw(&mail[0]))).unwrap();
    site.pipeline.ledger.erase_messages(&tenant(), std::slice::from_ref(&first.id)).unwrap();
    for _ in 0..2 {
        let again = runtime().block_on(intake.index_message(&tenant(), raw(&mail[0]))).unwrap();
        assert_eq!((again.status, again.id.clone(), again.thread_id), (IndexedStatus::Erased, first.id.clone(), None));
    }
    // What was known by heart still has it; the next messages of its conversation find out.
    deliver_all(&intake, &mail[1..]);
    assert!(!site.state().messages.iter().any(|message| message.id == first.id));
    // The store was not told of the erasure; an ingest tells it.
    let scope = site.pipeline.ledger.to_erase(&tenant()).unwrap().unwrap();
    assert_eq!(scope, EraseScope::Messages(vec![first.id]));
    assert!(runtime().block_on(site.store.remaining(&tenant(), &scope)).unwrap() > 0);
    runtime().block_on(site.pipeline.ingest(&tenant(), &[], &ours(), &())).unwrap();
    assert_eq!(runtime().block_on(site.store.remaining(&tenant(), &scope)).unwrap(), 0);
    assert_eq!(site.pipeline.ledger.to_erase(&tenant()).unwrap(), None);
    assert_settled(&site);
}

#[test]
fn fields_and_a_direction_that_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let site = site(folder.path(), "data");
    let intake = Intake::new(site.pipeline.clone(), Ownership::default());
    let fields = |id: &str, text: &str, parent: Option<&str>| MessageFields {
        message_id: Some(id.to_owned()),
        subject: "Delivery of the pump".to_owned(),
        sent_at: Some("2026-01-05T08:00:00Z".parse().unwrap()),
        text: Some(text.to_owned()),
        in_reply_to: parent.map(str::to_owned).into_iter().collect(),
        ..MessageFields::default()
    };
    let delivery = |fields: MessageFields, direction| Delivery {
        mailbox: "crm".to_owned(),
        message: NewMessage::Fields(Box::new(fields)),
        direction: Some(direction),
    };
    // The reply comes before what it answers.
    let reply = fields("r@crm", "The pump leaves our house on Tuesday.", Some("q@crm"));
    let reply = runtime().block_on(intake.index_message(&tenant(), delivery(reply, Direction::Outbound))).unwrap();
    assert_eq!(reply.pairs, 0);
    let question = fields("q@crm", "When will the pump be delivered?", None);
    let asked = runtime().block_on(intake.index_message(&tenant(), delivery(question, Direction::Inbound))).unwrap();
    assert_eq!((asked.pairs, &asked.thread_id), (1, &reply.thread_id));
    let pairs = site.records(Pool::ReplyPair);
    assert_eq!((pairs.len(), pairs[0].direction), (1, Direction::Inbound));
    assert!(pairs[0].reply.as_ref().unwrap().text.contains("Tuesday"));
    let before = site.state();
    site.ingest(&[]);
    assert!(site.state() == before, "what was told of directions holds in a batch");
}

#[test]
fn what_is_no_message_is_refused_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let site = site(folder.path(), "data");
    let intake = intake(&site);
    let large = format!("Subject: large\n\n{}", "x".repeat(200_000));
    for wrong in [
        raw("no mail at all"),
        raw(&large),
        Delivery { mailbox: " ".to_owned(), ..raw("Subject: x\n\nx") },
        Delivery { mailbox: "a\nb".to_owned(), ..raw("Subject: x\n\nx") },
        Delivery { message: NewMessage::Fields(Box::default()), ..raw("") },
    ] {
        let refused = runtime().block_on(intake.index_message(&tenant(), wrong));
        assert!(matches!(refused, Err(IngestError::Refused(_))), "{refused:?}");
    }
    assert!(site.state().messages.is_empty() && site.state().status.is_empty());
}

#[test]
fn a_lesson_becomes_a_pair_once() {
    let folder = tempfile::tempdir().unwrap();
    let site = site(folder.path(), "data");
    let intake = intake(&site);
    let lesson = |at: &str| Lesson {
        question_text: "Where do I find the manual of the pump?".to_owned(),
        subject: "Manual".to_owned(),
        reply_text: "You find it on the page of the product, under downloads.".to_owned(),
        sent_at: at.parse().unwrap(),
        ..Lesson::default()
    };
    let learned = runtime().block_on(intake.index_learned(&tenant(), lesson("2026-01-05T08:00:00Z"))).unwrap();
    assert_eq!((learned.question.status, learned.reply.status), (IndexedStatus::Indexed, IndexedStatus::Indexed));
    assert_eq!((learned.question.pairs, learned.reply.pairs), (1, 1));
    let pairs = site.records(Pool::ReplyPair);
    assert_eq!(pairs.len(), 1);
    assert_eq!((&pairs[0].message_id, &pairs[0].mailboxes), (&learned.question.id, &vec![learned.mailbox.clone()]));
    let again = runtime().block_on(intake.index_learned(&tenant(), lesson("2026-03-05T08:00:00Z"))).unwrap();
    assert_eq!((again.question.id, again.reply.id), (learned.question.id, learned.reply.id));
    assert_eq!(again.reply.status, IndexedStatus::Duplicate);
    assert_eq!(site.records(Pool::ReplyPair), pairs);
    assert_settled(&site);
    let nothing = Lesson { reply_text: " ".to_owned(), ..lesson("2026-01-05T08:00:00Z") };
    assert!(matches!(runtime().block_on(intake.index_learned(&tenant(), nothing)), Err(IngestError::Refused(_))));
}

#[test]
fn messages_come_in_while_an_ingest_runs() {
    let folder = tempfile::tempdir().unwrap();
    let paths = mailboxes::write(&folder.path().join("mail"), Plan { first: 0, last: 60 });
    let extra = mailboxes::write(&folder.path().join("extra"), Plan { first: 55, last: 75 });
    let site = site(folder.path(), "data");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let intake = intake(&site);
    let mail = messages(&extra);
    let during = runtime.block_on(async {
        let pipeline = site.pipeline.clone();
        let ingest = tokio::spawn(async move { pipeline.ingest(&tenant(), &paths, &ours(), &()).await });
        let mut during = 0;
        for message in &mail {
            intake.index_message(&tenant(), raw(message)).await.unwrap();
            during += usize::from(!ingest.is_finished());
        }
        ingest.await.unwrap().unwrap();
        during
    });
    assert!(during > 0, "some came while the ingest ran");
    // The index is whole: what a further run finds is what is there.
    let report = runtime.block_on(site.pipeline.ingest(&tenant(), &[], &ours(), &())).unwrap();
    assert_eq!(report.pending, 0);
    assert_settled(&site);
    let all = self::site(folder.path(), "all");
    let both = [folder.path().join("mail"), folder.path().join("extra")];
    runtime.block_on(all.pipeline.ingest(&tenant(), &both, &ours(), &())).unwrap();
    let ((passages, pairs, state), (all_passages, all_pairs, all)) = (content(site.state()), content(all.state()));
    assert!(passages == all_passages && pairs == all_pairs);
    assert_eq!((state.threads(), state.pairs), (all.threads(), all.pairs));
}

#[test]
fn many_at_once_are_taken_in_turn() {
    let folder = tempfile::tempdir().unwrap();
    let paths = mailboxes::write(&folder.path().join("mail"), Plan { first: 0, last: 12 });
    let site = site(folder.path(), "data");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let intake = intake(&site);
    let mail = messages(&paths);
    runtime.block_on(async {
        let calls: Vec<_> = mail
            .iter()
            .chain(&mail)
            .map(|message| {
                let (intake, delivery) = (intake.clone(), raw(message));
                tokio::spawn(async move { intake.index_message(&tenant(), delivery).await.unwrap().status })
            })
            .collect();
        let mut new = 0;
        for call in calls {
            new += usize::from(call.await.unwrap() == IndexedStatus::Indexed);
        }
        assert_eq!(new, mail.len());
    });
    assert_settled(&site);
}

/// What a message costs where the ledger has 20,000 already; printed, not judged.
#[test]
#[ignore = "a measurement"]
fn what_one_message_costs_beside_twenty_thousand() {
    let folder = tempfile::tempdir().unwrap();
    let mut paths = mailboxes::write(&folder.path().join("mail"), Plan { first: 0, last: 8600 });
    paths.retain(|path| !path.ends_with("Archive.mbox"));
    let mut site = site(folder.path(), "data");
    site.pipeline.config = rejoinder_pipeline::IngestConfig::default();
    let report = runtime().block_on(site.pipeline.ingest(&tenant(), &paths, &ours(), &())).unwrap();
    println!("{} messages in {:.1} s, threading {:.2} s", report.indexed, report.seconds, report.threading_seconds);
    let extra = mailboxes::write(&folder.path().join("extra"), Plan { first: 8600, last: 8700 });
    let intake = intake(&site);
    let started = std::time::Instant::now();
    runtime().block_on(intake.warm(&tenant())).unwrap();
    println!("reading the digests {:.0} ms", started.elapsed().as_secs_f64() * 1000.0);
    let mut times: Vec<f64> = Vec::new();
    for message in messages(&extra) {
        let started = std::time::Instant::now();
        runtime().block_on(intake.index_message(&tenant(), raw(&message))).unwrap();
        times.push(started.elapsed().as_secs_f64() * 1000.0);
    }
    times.sort_by(f64::total_cmp);
    println!(
        "then p50 {:.1} ms, p99 {:.1} ms of {}",
        times[times.len() / 2],
        times[times.len() * 99 / 100],
        times.len()
    );
}

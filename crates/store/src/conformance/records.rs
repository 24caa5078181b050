//! Storing, replacing, deleting, and getting back.

use jiff::Timestamp;
use rejoinder_domain::{Direction, ErrorKind, Filter, MailboxId, MessageId, Pool, Record, RecordId, Span};

use super::samples::{DIMS, at, direction_of, finds, ids, passage, query, reply_pair, tenant};
use super::{Harness, Outcome};

pub(super) async fn empty_store(harness: &dyn Harness) -> Outcome {
    let store = harness.open("empty", Some(DIMS)).await?;
    let tenant = tenant();
    for pool in Pool::ALL {
        assert_eq!(store.count(&tenant, pool, &Filter::default()).await?, 0);
        assert_eq!(store.scan(&tenant, pool).await?, []);
        assert_eq!(store.delete(&tenant, pool, &[RecordId::from_stored("rec_1")]).await?, 0);
    }
    assert_eq!(store.search(&tenant, &query(Some(direction_of(1)), Some("invoice"), 5)).await?, []);
    store.optimize(&tenant).await?;
    store.upsert(&tenant, Pool::Passage, Vec::new()).await?;
    assert_eq!(store.count(&tenant, Pool::Passage, &Filter::default()).await?, 0);
    Ok(())
}

/// Records with every field at its edges.
fn edge_cases() -> Vec<Record> {
    let bare = Record {
        mailboxes: Vec::new(),
        direction: Direction::Unknown,
        sent_at: None,
        participants: Vec::new(),
        subject: String::new(),
        author: String::new(),
        language: None,
        vector: None,
        ..passage(1, "")
    };
    let rich = Record {
        mailboxes: vec![MailboxId::from_stored("box_a"), MailboxId::from_stored("box_b")],
        direction: Direction::Internal,
        sent_at: Timestamp::from_nanosecond(1_700_000_000_123_456_789).ok(),
        subject: "Zahlung \u{1f4b6} für März".to_owned(),
        span: Span::new(7, 1 << 40).unwrap_or(Span::whole("")),
        ..passage(2, "Grüße\nаз\u{0}日本 \u{202e}x")
    };
    let before_1970 = Record {
        direction: Direction::Outbound,
        sent_at: Timestamp::from_nanosecond(-1_500_000_001).ok(),
        ..passage(3, "old")
    };
    let far = Record { sent_at: Some(Timestamp::MAX), ..passage(4, "far") };
    vec![bare, rich, before_1970, far]
}

pub(super) async fn round_trip(harness: &dyn Harness) -> Outcome {
    let store = harness.open("round-trip", Some(DIMS)).await?;
    let tenant = tenant();
    let written = edge_cases();
    let reversed = written.iter().rev().cloned().collect();
    store.upsert(&tenant, Pool::Passage, reversed).await?;
    assert_eq!(store.scan(&tenant, Pool::Passage).await?, written, "a scan is ordered by id and loses nothing");

    let mut pairs = vec![reply_pair(1, 2, "one"), reply_pair(3, 4, "two")];
    if let Some(reply) = pairs.last_mut().and_then(|pair| pair.reply.as_mut()) {
        reply.sent_at = None;
        reply.author.clear();
    }
    store.upsert(&tenant, Pool::ReplyPair, pairs.clone()).await?;
    assert_eq!(store.scan(&tenant, Pool::ReplyPair).await?, pairs);
    assert_eq!(store.count(&tenant, Pool::Passage, &Filter::default()).await?, 4, "pools are apart");

    let hits = store.search(&tenant, &query(Some(direction_of(2)), None, 1)).await?;
    let expected = written.get(1).map(|record| Record { vector: None, ..record.clone() });
    assert_eq!(hits.first().map(|hit| &hit.record), expected.as_ref(), "a hit is the record without its vector");
    Ok(())
}

pub(super) async fn upsert_replaces(harness: &dyn Harness) -> Outcome {
    let store = harness.open("replace", Some(DIMS)).await?;
    let tenant = tenant();
    store.upsert(&tenant, Pool::Passage, vec![passage(1, "walnut"), passage(2, "cherry")]).await?;
    let replaced = Record {
        vector: Some(direction_of(9)),
        participants: vec!["new@weber.example".to_owned()],
        sent_at: Some(at(5)),
        ..passage(1, "maple")
    };
    store.upsert(&tenant, Pool::Passage, vec![replaced.clone(), passage(3, "birch")]).await?;
    for _ in 0..2 {
        assert_eq!(
            store.scan(&tenant, Pool::Passage).await?,
            [replaced.clone(), passage(2, "cherry"), passage(3, "birch")]
        );
        finds(&*store, "walnut", Some("en"), &[]).await?;
        finds(&*store, "maple", Some("en"), &["rec_00001"]).await?;
        let nearest = store.search(&tenant, &query(Some(direction_of(9)), None, 1)).await?;
        assert_eq!(ids(&nearest), ["rec_00001"]);
        let before = Filter { until: Some(at(6)), ..Filter::default() };
        assert_eq!(store.count(&tenant, Pool::Passage, &before).await?, 1);
        store.optimize(&tenant).await?;
    }
    // The same again changes nothing.
    store.upsert(&tenant, Pool::Passage, vec![replaced.clone()]).await?;
    assert_eq!(store.count(&tenant, Pool::Passage, &Filter::default()).await?, 3);
    Ok(())
}

pub(super) async fn last_of_equal_ids(harness: &dyn Harness) -> Outcome {
    let store = harness.open("equal-ids", Some(DIMS)).await?;
    let tenant = tenant();
    let twice = vec![passage(1, "first"), passage(2, "other"), passage(1, "second"), passage(1, "third")];
    for _ in 0..2 {
        store.upsert(&tenant, Pool::Passage, twice.clone()).await?;
        assert_eq!(store.scan(&tenant, Pool::Passage).await?, [passage(1, "third"), passage(2, "other")]);
    }
    Ok(())
}

pub(super) async fn refuses(harness: &dyn Harness) -> Outcome {
    let store = harness.open("refuse", Some(DIMS)).await?;
    let tenant = tenant();
    let secret = "a text that no error may repeat";
    let bad = [
        reply_pair(1, 2, secret),
        Record { vector: Some(vec![1.0; DIMS + 1]), ..passage(1, secret) },
        Record { vector: Some(Vec::new()), ..passage(1, secret) },
        Record { vector: Some(vec![f32::NAN; DIMS]), ..passage(1, secret) },
    ];
    for record in bad {
        let Err(error) = store.upsert(&tenant, Pool::Passage, vec![passage(5, "good"), record]).await else {
            unreachable!("the store took a record that it must refuse")
        };
        assert_eq!(error.kind, ErrorKind::Invalid);
        assert!(!format!("{error:?}").contains(secret), "an error repeats a record's text");
    }
    assert_eq!(store.count(&tenant, Pool::Passage, &Filter::default()).await?, 0, "a refused call stores nothing");
    Ok(())
}

pub(super) async fn delete(harness: &dyn Harness) -> Outcome {
    let store = harness.open("delete", Some(DIMS)).await?;
    let tenant = tenant();
    store.upsert(&tenant, Pool::Passage, (0..20).map(|n| passage(n, "walnut")).collect()).await?;
    store.optimize(&tenant).await?;
    let id = |n: usize| RecordId::from_stored(format!("rec_{n:05}"));
    let some: Vec<RecordId> = [3, 4, 4, 99, 5].map(id).to_vec();
    assert_eq!(store.delete(&tenant, Pool::ReplyPair, &some).await?, 0, "a delete stays in its pool");
    assert_eq!(store.delete(&tenant, Pool::Passage, &some).await?, 3);
    assert_eq!(store.delete(&tenant, Pool::Passage, &some).await?, 0);
    assert_eq!(store.delete(&tenant, Pool::Passage, &[]).await?, 0);
    assert_eq!(store.count(&tenant, Pool::Passage, &Filter::default()).await?, 17);
    for text in [Some("walnut"), None] {
        let hits = store.search(&tenant, &query(Some(direction_of(4)), text, 100)).await?;
        assert_eq!(hits.len(), 17);
        assert!(ids(&hits).iter().all(|found| !some.iter().any(|id| id.as_str() == *found)));
    }
    store.upsert(&tenant, Pool::Passage, vec![passage(4, "walnut")]).await?;
    assert_eq!(store.count(&tenant, Pool::Passage, &Filter::default()).await?, 18, "a deleted id can come again");
    let many: Vec<RecordId> = (0..3_000).map(id).collect();
    assert_eq!(store.delete(&tenant, Pool::Passage, &many).await?, 18);
    Ok(())
}

pub(super) async fn persistence(harness: &dyn Harness) -> Outcome {
    let tenant = tenant();
    let records: Vec<Record> = (0..50).map(|n| passage(n, &format!("text number {n}"))).collect();
    {
        let store = harness.open("persistence", Some(DIMS)).await?;
        store.upsert(&tenant, Pool::Passage, records.clone()).await?;
    }
    let store = harness.open("persistence", Some(DIMS)).await?;
    assert_eq!(store.scan(&tenant, Pool::Passage).await?, records);
    finds(&*store, "number", Some("en"), &records.iter().map(|r| r.id.as_str()).collect::<Vec<_>>()).await?;
    let nearest = store.search(&tenant, &query(Some(direction_of(7)), None, 1)).await?;
    assert_eq!(ids(&nearest), ["rec_00007"]);
    Ok(())
}

/// Strings that mean something to SQL, paths, globs, JSON and terminals.
const HOSTILE: [&str; 14] = [
    "it's",
    "''",
    "' OR 1=1 --",
    "\"; DROP TABLE x; --",
    "\\",
    "\\'",
    "%",
    "_",
    "a\u{0}b",
    "\u{202e}\u{feff}",
    "日本語 ñ ß",
    "../../etc",
    "${x} {{y}} `z`",
    "a\nb\r\n\tc",
];

pub(super) async fn hostile_strings(harness: &dyn Harness) -> Outcome {
    let store = harness.open("hostile", Some(DIMS)).await?;
    let tenant = tenant();
    let mut records: Vec<Record> = HOSTILE
        .iter()
        .enumerate()
        .map(|(n, text)| Record {
            id: RecordId::from_stored(format!("rec_{text}")),
            message_id: MessageId::from_stored(format!("msg_{text}")),
            mailboxes: vec![MailboxId::from_stored(*text)],
            participants: vec![(*text).to_owned()],
            subject: (*text).to_owned(),
            author: (*text).to_owned(),
            ..passage(n, text)
        })
        .collect();
    records.sort_unstable_by(|a, b| a.id.cmp(&b.id));
    store.upsert(&tenant, Pool::Passage, records.clone()).await?;
    store.upsert(&tenant, Pool::Passage, records.clone()).await?;
    assert_eq!(store.scan(&tenant, Pool::Passage).await?, records);
    for text in HOSTILE {
        let by_mailbox = Filter { mailboxes: vec![MailboxId::from_stored(text)], ..Filter::default() };
        let by_participant = Filter { participants: vec![text.to_owned()], ..Filter::default() };
        let without =
            Filter { exclude_messages: vec![MessageId::from_stored(format!("msg_{text}"))], ..Filter::default() };
        assert_eq!(store.count(&tenant, Pool::Passage, &by_mailbox).await?, 1, "{text:?}");
        assert_eq!(store.count(&tenant, Pool::Passage, &by_participant).await?, 1, "{text:?}");
        assert_eq!(store.count(&tenant, Pool::Passage, &without).await?, HOSTILE.len() as u64 - 1, "{text:?}");
        // As query words and language they find something or nothing, but do no harm.
        let mut search = query(Some(direction_of(1)), Some(text), 5);
        search.language = Some(text.to_owned());
        search.filter = by_participant;
        assert_eq!(store.search(&tenant, &search).await?.len(), 1, "{text:?}");
    }
    let hostile_ids: Vec<RecordId> = HOSTILE.iter().map(|text| RecordId::from_stored(format!("rec_{text}"))).collect();
    assert_eq!(store.delete(&tenant, Pool::Passage, &hostile_ids).await?, HOSTILE.len() as u64);
    Ok(())
}

pub(super) async fn many_small_upserts(harness: &dyn Harness) -> Outcome {
    let store = harness.open("small-upserts", Some(DIMS)).await?;
    let tenant = tenant();
    let records: Vec<Record> = (0..150).map(|n| passage(n, &format!("walnut {n}"))).collect();
    for record in &records {
        store.upsert(&tenant, Pool::Passage, vec![record.clone()]).await?;
    }
    assert_eq!(store.scan(&tenant, Pool::Passage).await?, records);
    finds(&*store, "149", Some("en"), &["rec_00149"]).await?;
    store.optimize(&tenant).await?;
    assert_eq!(store.scan(&tenant, Pool::Passage).await?, records);
    finds(&*store, "149", Some("en"), &["rec_00149"]).await?;
    Ok(())
}

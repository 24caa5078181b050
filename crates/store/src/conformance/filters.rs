//! Restrictions.

use jiff::Timestamp;
use rejoinder_domain::{Direction, Filter, MailboxId, MessageId, Pool, Record, SearchQuery, VectorStore};

use super::samples::{DIMS, Random, at, direction_of, ids, passage, query, tenant};
use super::{Harness, Outcome};

const DIRECTIONS: [Direction; 4] = [Direction::Inbound, Direction::Outbound, Direction::Internal, Direction::Unknown];

/// Records whose filtered fields vary independently.
fn varied() -> Vec<Record> {
    (0..120)
        .map(|n| Record {
            mailboxes: ["box_a", "box_b", "box_c"]
                .iter()
                .enumerate()
                .filter(|(bit, _)| n >> bit & 1 == 1)
                .map(|(_, name)| MailboxId::from_stored(*name))
                .collect(),
            direction: *DIRECTIONS.iter().cycle().nth(n / 3).unwrap_or(&Direction::Unknown),
            sent_at: (n % 11 != 0).then(|| at(1_000 + n as i64)),
            participants: (0..n % 4).map(|p| format!("p{}@x.example", (n + p) % 6)).collect(),
            message_id: MessageId::from_stored(format!("msg_{}", n / 5)),
            vector: (n % 13 != 0).then(|| direction_of(n)),
            ..passage(n, "walnut")
        })
        .collect()
}

/// What the filter's documentation says.
pub(super) fn lets_through(filter: &Filter, record: &Record) -> bool {
    filter.since.is_none_or(|since| record.sent_at.is_some_and(|at| at >= since))
        && filter.until.is_none_or(|until| record.sent_at.is_some_and(|at| at < until))
        && (filter.mailboxes.is_empty() || record.mailboxes.iter().any(|have| filter.mailboxes.contains(have)))
        && (filter.directions.is_empty() || filter.directions.contains(&record.direction))
        && (filter.participants.is_empty() || record.participants.iter().any(|have| filter.participants.contains(have)))
        && !filter.exclude_messages.contains(&record.message_id)
}

async fn check(store: &dyn VectorStore, records: &[Record], filter: &Filter) -> Outcome {
    let tenant = tenant();
    let expected: Vec<&Record> = records.iter().filter(|record| lets_through(filter, record)).collect();
    assert_eq!(store.count(&tenant, Pool::Passage, filter).await?, expected.len() as u64, "{filter:?}");
    for (vector, text) in
        [(Some(direction_of(500)), None), (None, Some("walnut")), (Some(direction_of(500)), Some("walnut"))]
    {
        let with_vectors_only = text.is_none();
        let search = SearchQuery { filter: filter.clone(), ..query(vector, text, 1_000) };
        let hits = store.search(&tenant, &search).await?;
        let mut found = ids(&hits);
        found.sort_unstable();
        let wanted: Vec<&str> = expected
            .iter()
            .filter(|record| !with_vectors_only || record.vector.is_some())
            .map(|record| record.id.as_str())
            .collect();
        assert_eq!(found, wanted, "{filter:?}, {text:?}");
    }
    Ok(())
}

pub(super) async fn each(harness: &dyn Harness) -> Outcome {
    let store = harness.open("filters", Some(DIMS)).await?;
    let records = varied();
    store.upsert(&tenant(), Pool::Passage, records.clone()).await?;
    let none = Filter::default;
    let mailbox = |name: &str| MailboxId::from_stored(name);
    let filters = [
        none(),
        Filter { since: Some(at(1_050)), ..none() },
        Filter { until: Some(at(1_050)), ..none() },
        Filter { since: Some(at(1_050)), until: Some(at(1_051)), ..none() },
        Filter { since: at(1_050).checked_add(jiff::SignedDuration::from_nanos(1)).ok(), ..none() },
        Filter { until: at(1_050).checked_add(jiff::SignedDuration::from_nanos(1)).ok(), ..none() },
        Filter { since: Some(Timestamp::MIN), until: Some(Timestamp::MAX), ..none() },
        Filter { since: Some(at(9_999)), ..none() },
        Filter { mailboxes: vec![mailbox("box_b")], ..none() },
        Filter { mailboxes: vec![mailbox("box_a"), mailbox("box_c")], ..none() },
        Filter { mailboxes: vec![mailbox("box_")], ..none() },
        Filter { directions: vec![Direction::Outbound], ..none() },
        Filter { directions: vec![Direction::Unknown, Direction::Internal], ..none() },
        Filter { participants: vec!["p3@x.example".to_owned()], ..none() },
        Filter { participants: vec!["p1@x.example".to_owned(), "nobody@x.example".to_owned()], ..none() },
        Filter { exclude_messages: vec![MessageId::from_stored("msg_3"), MessageId::from_stored("msg_x")], ..none() },
    ];
    for filter in &filters {
        check(&*store, &records, filter).await?;
    }
    store.optimize(&tenant()).await?;
    for filter in &filters {
        check(&*store, &records, filter).await?;
    }
    Ok(())
}

pub(super) async fn combined(harness: &dyn Harness) -> Outcome {
    let store = harness.open("filters-combined", Some(DIMS)).await?;
    let records = varied();
    store.upsert(&tenant(), Pool::Passage, records.clone()).await?;
    let mut random = Random::new(11);
    for _ in 0..25 {
        let mut filter = Filter::default();
        let mut chance = |often: usize| random.below(often) == 0;
        if chance(3) {
            filter.since = Some(at(1_020));
        }
        if chance(3) {
            filter.until = Some(at(1_090));
        }
        for name in ["box_a", "box_b", "box_c"] {
            if chance(3) {
                filter.mailboxes.push(MailboxId::from_stored(name));
            }
        }
        filter.directions.extend(DIRECTIONS.iter().filter(|_| chance(2)));
        for n in 0..6 {
            if chance(4) {
                filter.participants.push(format!("p{n}@x.example"));
            }
            if chance(4) {
                filter.exclude_messages.push(MessageId::from_stored(format!("msg_{n}")));
            }
        }
        check(&*store, &records, &filter).await?;
    }
    Ok(())
}

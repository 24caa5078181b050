//! Tenants never meet: random work of three tenants, compared with a model that keeps them apart by construction.

use std::collections::BTreeMap;

use rejoinder_domain::{Direction, EraseScope, Filter, MessageId, Pool, Record, RecordId, SearchQuery, VectorStore};

use super::filters::lets_through;
use super::samples::{DIMS, Random, direction_of, named_tenant, passage, query, reply_pair};
use super::{Harness, Outcome};

/// Names of which one is the start of another, and that differ in a separator alone.
const TENANTS: [&str; 3] = ["acme", "acme-passage", "acme_passage"];
const WORDS: [&str; 4] = ["walnut", "cherry", "birch", "maple"];

/// What each tenant's pools hold.
type Model = BTreeMap<(usize, Pool), BTreeMap<RecordId, Record>>;

pub(super) async fn never_meet(harness: &dyn Harness) -> Outcome {
    let store = harness.open("tenants", Some(DIMS)).await?;
    let mut model = Model::new();
    let mut random = Random::new(3);
    for step in 0..70 {
        let who = random.below(TENANTS.len());
        let pool = if random.below(2) == 0 { Pool::Passage } else { Pool::ReplyPair };
        change(&*store, &mut model, &mut random, who, pool).await?;
        if step % 5 == 0 {
            compare(&*store, &model, &mut random).await?;
        }
    }
    // One tenant goes, the others keep everything.
    let erased = store.erase(&tenant_of(0), &EraseScope::Tenant).await?;
    let held: usize = Pool::ALL.iter().filter_map(|&pool| model.remove(&(0, pool))).map(|records| records.len()).sum();
    assert_eq!(erased, held as u64);
    compare(&*store, &model, &mut random).await
}

fn tenant_of(who: usize) -> rejoinder_domain::TenantId {
    named_tenant(TENANTS.get(who).copied().unwrap_or_default())
}

/// One random change to the store and to the model.
async fn change(store: &dyn VectorStore, model: &mut Model, random: &mut Random, who: usize, pool: Pool) -> Outcome {
    let tenant = tenant_of(who);
    match random.below(10) {
        0 => store.optimize(&tenant).await,
        1 | 2 => {
            let ids: Vec<RecordId> =
                (0..3).map(|_| RecordId::from_stored(format!("rec_{:05}", random.below(40)))).collect();
            let records = model.entry((who, pool)).or_default();
            let held = ids.iter().filter(|id| records.remove(id).is_some()).count();
            assert_eq!(store.delete(&tenant, pool, &ids).await?, held as u64);
            Ok(())
        }
        3 => {
            let message = MessageId::from_stored(format!("msg_{:05}", random.below(40)));
            let mut held = 0;
            for pool in Pool::ALL {
                let records = model.entry((who, pool)).or_default();
                let before = records.len();
                records.retain(|_, record| {
                    record.message_id != message
                        && record.reply.as_ref().is_none_or(|reply| reply.message_id != message)
                });
                held += before - records.len();
            }
            assert_eq!(store.erase(&tenant, &EraseScope::Messages(vec![message])).await?, held as u64);
            Ok(())
        }
        _ => {
            let records: Vec<Record> = (0..=random.below(6)).map(|_| sample(random, who, pool)).collect();
            for record in &records {
                model.entry((who, pool)).or_default().insert(record.id.clone(), record.clone());
            }
            store.upsert(&tenant, pool, records).await
        }
    }
}

/// A record whose id and message other tenants have too, with text and vector of its own.
fn sample(random: &mut Random, who: usize, pool: Pool) -> Record {
    let number = random.below(40);
    let word = WORDS.get(random.below(WORDS.len())).copied().unwrap_or_default();
    let text = format!("{word} of tenant{who}");
    let record = match pool {
        Pool::Passage => passage(number, &text),
        Pool::ReplyPair => reply_pair(number, random.below(40), &text),
    };
    let direction = if random.below(2) == 0 { Direction::Inbound } else { Direction::Outbound };
    Record { direction, vector: (random.below(5) > 0).then(|| direction_of(random.below(1_000))), ..record }
}

/// Everything that can be asked, asked of every tenant.
async fn compare(store: &dyn VectorStore, model: &Model, random: &mut Random) -> Outcome {
    let nothing = BTreeMap::new();
    for who in 0..TENANTS.len() {
        let tenant = tenant_of(who);
        for pool in Pool::ALL {
            let records = model.get(&(who, pool)).unwrap_or(&nothing);
            let all: Vec<Record> = records.values().cloned().collect();
            assert_eq!(store.scan(&tenant, pool).await?, all);
            let filter = Filter { directions: vec![Direction::Outbound], ..Filter::default() };
            let outbound = all.iter().filter(|record| lets_through(&filter, record)).count();
            assert_eq!(store.count(&tenant, pool, &filter).await?, outbound as u64);
            let word = WORDS.get(random.below(WORDS.len())).copied().unwrap_or_default();
            for (vector, text) in
                [(Some(direction_of(1)), None), (None, Some(word)), (Some(direction_of(2)), Some(word))]
            {
                let (by_vector, by_words) = (vector.is_some(), text.is_some());
                let search = SearchQuery { pool, ..query(vector, text, 1_000) };
                let hits = store.search(&tenant, &search).await?;
                let mut found: Vec<Record> = hits.into_iter().map(|hit| hit.record).collect();
                found.sort_unstable_by(|a, b| a.id.cmp(&b.id));
                let expected: Vec<Record> = all
                    .iter()
                    .filter(|record| {
                        (by_vector && record.vector.is_some()) || (by_words && record.text.starts_with(word))
                    })
                    .map(|record| Record { vector: None, ..record.clone() })
                    .collect();
                assert_eq!(found, expected, "tenant {who}, {pool:?}");
            }
        }
    }
    Ok(())
}

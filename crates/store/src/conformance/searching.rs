//! Ranking.

use futures::future::join;
use rejoinder_domain::{ErrorKind, Filter, Pool, Record, SearchQuery};

use super::samples::{DIMS, Random, direction_of, dot, finds, ids, passage, query, reply_pair, tenant, unit};
use super::{Harness, Outcome};

/// How far a similarity may be from the exact one.
const TOLERANCE: f32 = 1e-4;

pub(super) async fn dense_order(harness: &dyn Harness) -> Outcome {
    let store = harness.open("dense", Some(DIMS)).await?;
    let tenant = tenant();
    let records: Vec<Record> = (0..200).map(|n| passage(n, "x")).collect();
    store.upsert(&tenant, Pool::Passage, records.clone()).await?;
    for seed in 1_000..1_005 {
        let wanted = direction_of(seed);
        let mut exact: Vec<(f32, &str)> = records
            .iter()
            .map(|record| (dot(&wanted, record.vector.as_deref().unwrap_or_default()), record.id.as_str()))
            .collect();
        exact.sort_by(|a, b| b.0.total_cmp(&a.0));
        let hits = store.search(&tenant, &query(Some(wanted), None, 20)).await?;
        assert_eq!(ids(&hits), exact.iter().take(20).map(|entry| entry.1).collect::<Vec<_>>());
        for (hit, (similarity, _)) in hits.iter().zip(&exact) {
            assert!(hit.similarity.is_some_and(|found| (found - similarity).abs() < TOLERANCE), "{hit:?}");
            assert!((0.0..=1.0).contains(&hit.score) && hit.lexical.is_none());
        }
        assert!(hits.is_sorted_by(|a, b| a.score >= b.score));
    }
    Ok(())
}

pub(super) async fn ties(harness: &dyn Harness) -> Outcome {
    let store = harness.open("ties", Some(DIMS)).await?;
    let tenant = tenant();
    let mut random = Random::new(7);
    let mut records: Vec<Record> =
        (0..30).map(|n| Record { vector: Some(direction_of(1)), ..passage(n, "walnut cherry") }).collect();
    for last in (1..records.len()).rev() {
        records.swap(last, random.below(last + 1));
    }
    store.upsert(&tenant, Pool::Passage, records).await?;
    for (vector, text) in
        [(Some(direction_of(2)), None), (None, Some("walnut")), (Some(direction_of(2)), Some("walnut"))]
    {
        let hits = store.search(&tenant, &query(vector, text, 30)).await?;
        let found = ids(&hits);
        assert_eq!(found.len(), 30);
        assert!(found.is_sorted(), "equal scores are ordered by id: {found:?}");
    }
    Ok(())
}

pub(super) async fn limits(harness: &dyn Harness) -> Outcome {
    let store = harness.open("limits", Some(DIMS)).await?;
    let tenant = tenant();
    let records: Vec<Record> = (0..1_500).map(|n| passage(n, "walnut")).collect();
    store.upsert(&tenant, Pool::Passage, records).await?;
    for limit in [0, 1, 7, 1_500, 5_000, usize::MAX] {
        for (vector, text) in
            [(Some(direction_of(3)), None), (None, Some("walnut")), (Some(direction_of(3)), Some("walnut"))]
        {
            let hits = store.search(&tenant, &query(vector, text, limit)).await?;
            assert_eq!(hits.len(), limit.min(1_500));
        }
    }
    Ok(())
}

pub(super) async fn fusion(harness: &dyn Harness) -> Outcome {
    let store = harness.open("fusion", Some(DIMS)).await?;
    let tenant = tenant();
    let axis = |cosine: f32| {
        let mut vector = vec![0.0; DIMS];
        if let [first, second, ..] = vector.as_mut_slice() {
            *first = cosine;
            *second = (1.0 - cosine * cosine).sqrt();
        }
        Some(unit(vector))
    };
    let near = Record { vector: axis(0.9), ..passage(1, "cherry birch maple") };
    let both = Record { vector: axis(0.7), ..passage(2, "walnut birch maple") };
    let worded = Record { vector: axis(0.1), ..passage(3, "walnut walnut maple") };
    let neither = Record { vector: axis(-0.5), ..passage(4, "cherry birch maple") };
    store.upsert(&tenant, Pool::Passage, vec![near, both, worded, neither]).await?;
    let search = |dense_weight| SearchQuery { dense_weight, ..query(axis(1.0), Some("walnut"), 10) };

    let by_vector = store.search(&tenant, &search(1.0)).await?;
    assert_eq!(ids(&by_vector), ["rec_00001", "rec_00002", "rec_00003", "rec_00004"]);
    let by_words = store.search(&tenant, &search(0.0)).await?;
    assert_eq!(by_words.first().map(|hit| hit.record.id.as_str()), Some("rec_00003"));
    let mixed = store.search(&tenant, &search(0.5)).await?;
    assert_eq!(mixed.len(), 4, "what either search found is there");
    for hit in &mixed {
        assert!(hit.similarity.is_some(), "every record with a vector is compared with the query");
        let has_word = hit.record.text.contains("walnut");
        assert_eq!(hit.lexical.is_some(), has_word);
        assert!(hit.lexical.is_none_or(|score| score > 0.0));
        assert!((0.0..=1.0).contains(&hit.score));
    }
    assert!(mixed.is_sorted_by(|a, b| a.score >= b.score));
    // Half of each: 0.5 * 1.0 + 0 against 0.5 * (1.2 / 1.4) + 0 and 0.5 * (0.6 / 1.4) + 0.5.
    assert_eq!(mixed.first().map(|hit| hit.record.id.as_str()), Some("rec_00003"));
    Ok(())
}

pub(super) async fn without_vectors(harness: &dyn Harness) -> Outcome {
    let store = harness.open("no-vectors", Some(DIMS)).await?;
    let tenant = tenant();
    let bare = Record { vector: None, ..passage(1, "walnut") };
    store.upsert(&tenant, Pool::Passage, vec![bare, passage(2, "cherry")]).await?;
    for _ in 0..2 {
        let by_vector = store.search(&tenant, &query(Some(direction_of(1)), None, 10)).await?;
        assert_eq!(ids(&by_vector), ["rec_00002"]);
        let by_both = store.search(&tenant, &query(Some(direction_of(1)), Some("walnut"), 10)).await?;
        let bare = by_both.iter().find(|hit| hit.record.id.as_str() == "rec_00001");
        assert!(bare.is_some_and(|hit| hit.similarity.is_none() && hit.lexical.is_some()));
        store.optimize(&tenant).await?;
    }
    Ok(())
}

pub(super) async fn without_embedder(harness: &dyn Harness) -> Outcome {
    let store = harness.open("no-embedder", None).await?;
    let tenant = tenant();
    let bare = |n, text| Record { vector: None, ..passage(n, text) };
    let records = vec![bare(1, "walnut tables"), bare(2, "cherry")];
    store.upsert(&tenant, Pool::Passage, records.clone()).await?;
    finds(&*store, "table", Some("en"), &["rec_00001"]).await?;
    assert_eq!(store.scan(&tenant, Pool::Passage).await?, records);
    let hits = store.search(&tenant, &query(None, Some("cherry"), 5)).await?;
    assert!(hits.iter().all(|hit| hit.similarity.is_none() && (hit.score - 1.0).abs() < TOLERANCE));
    let refused = store.upsert(&tenant, Pool::Passage, vec![passage(3, "x")]).await;
    assert!(refused.is_err_and(|error| error.kind == ErrorKind::Invalid));
    let refused = store.search(&tenant, &query(Some(direction_of(1)), None, 5)).await;
    assert!(refused.is_err_and(|error| error.kind == ErrorKind::Invalid));
    Ok(())
}

pub(super) async fn refuses(harness: &dyn Harness) -> Outcome {
    let store = harness.open("refuse-query", Some(DIMS)).await?;
    let tenant = tenant();
    store.upsert(&tenant, Pool::Passage, vec![passage(1, "walnut")]).await?;
    let good = query(Some(direction_of(1)), Some("walnut"), 5);
    let bad = [
        SearchQuery { vector: Some(vec![0.5; DIMS - 1]), ..good.clone() },
        SearchQuery { vector: Some(vec![f32::INFINITY; DIMS]), ..good.clone() },
        SearchQuery { vector: None, text: None, ..good.clone() },
        SearchQuery { dense_weight: 1.5, ..good.clone() },
        SearchQuery { dense_weight: f32::NAN, ..good.clone() },
    ];
    for query in bad {
        let refused = store.search(&tenant, &query).await;
        assert!(refused.is_err_and(|error| error.kind == ErrorKind::Invalid), "{query:?}");
    }
    // Words that say nothing find nothing.
    for text in ["", "   ", "the of and", "...!?", "\u{0}"] {
        assert_eq!(store.search(&tenant, &query(None, Some(text), 5)).await?, [], "{text:?}");
        let with_vector = store.search(&tenant, &query(Some(direction_of(1)), Some(text), 5)).await?;
        assert_eq!(ids(&with_vector), ["rec_00001"]);
    }
    let long = "walnut cherry ".repeat(20_000);
    assert_eq!(store.search(&tenant, &query(None, Some(&long), 5)).await?.len(), 1);
    Ok(())
}

pub(super) async fn while_writing(harness: &dyn Harness) -> Outcome {
    let store = harness.open("while-writing", Some(DIMS)).await?;
    let tenant = tenant();
    store.upsert(&tenant, Pool::Passage, vec![passage(0, "walnut")]).await?;
    let write = async {
        for round in 1..15 {
            let records = (0..10).map(|n| passage(round * 10 + n, "walnut")).collect();
            let pairs = vec![reply_pair(round, round + 500, "walnut")];
            let (passages, pairs) =
                join(store.upsert(&tenant, Pool::Passage, records), store.upsert(&tenant, Pool::ReplyPair, pairs))
                    .await;
            passages?;
            pairs?;
            store.optimize(&tenant).await?;
        }
        Ok(())
    };
    let also_write = async {
        for round in 0..15 {
            store.upsert(&tenant, Pool::Passage, vec![passage(9_000 + round, "walnut")]).await?;
        }
        Ok(())
    };
    let read = async {
        let mut seen = 0;
        for _ in 0..30 {
            let hits = store.search(&tenant, &query(Some(direction_of(5)), Some("walnut"), 1_000)).await?;
            assert!(hits.len() >= seen, "a reader never sees fewer records than before");
            seen = hits.len();
        }
        Ok(())
    };
    let ((written, also_written), read) = join(join(write, also_write), read).await;
    let outcomes: [Outcome; 3] = [written, also_written, read];
    for outcome in outcomes {
        outcome?;
    }
    assert_eq!(store.count(&tenant, Pool::Passage, &Filter::default()).await?, 1 + 140 + 15);
    assert_eq!(store.count(&tenant, Pool::ReplyPair, &Filter::default()).await?, 14);
    Ok(())
}

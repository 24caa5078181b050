//! Erasing.

use rejoinder_domain::{EraseScope, Filter, MessageId, Pool};

use super::samples::{DIMS, direction_of, finds, ids, passage, query, reply_pair, tenant};
use super::{Harness, Outcome};

fn message(number: usize) -> MessageId {
    MessageId::from_stored(format!("msg_{number:05}"))
}

pub(super) async fn messages_and_tenant(harness: &dyn Harness) -> Outcome {
    let store = harness.open("erase", Some(DIMS)).await?;
    let tenant = tenant();
    assert_eq!(store.erase(&tenant, &EraseScope::Tenant).await?, 0);
    assert_eq!(store.erase(&tenant, &EraseScope::Messages(vec![message(1)])).await?, 0);

    store.upsert(&tenant, Pool::Passage, (0..10).map(|n| passage(n, &format!("walnut number{n}"))).collect()).await?;
    let pairs = vec![reply_pair(1, 50, "cherry"), reply_pair(2, 1, "birch"), reply_pair(3, 51, "maple")];
    store.upsert(&tenant, Pool::ReplyPair, pairs).await?;
    store.optimize(&tenant).await?;

    assert_eq!(store.erase(&tenant, &EraseScope::Messages(Vec::new())).await?, 0);
    // A passage, the pair that it asks in, and the pair that it answers in.
    let scope = EraseScope::Messages(vec![message(1), message(77)]);
    assert_eq!(
        (store.remaining(&tenant, &scope).await?, store.remaining(&tenant, &EraseScope::Tenant).await?),
        (3, 13)
    );
    assert_eq!(store.erase(&tenant, &scope).await?, 3);
    assert_eq!(
        (store.remaining(&tenant, &scope).await?, store.remaining(&tenant, &EraseScope::Tenant).await?),
        (0, 10)
    );
    assert_eq!(store.erase(&tenant, &EraseScope::Messages(vec![message(1)])).await?, 0);
    assert_eq!(store.count(&tenant, Pool::Passage, &Filter::default()).await?, 9);
    assert_eq!(store.count(&tenant, Pool::ReplyPair, &Filter::default()).await?, 1);
    finds(&*store, "number1", Some("en"), &[]).await?;
    finds(&*store, "number2", Some("en"), &["rec_00002"]).await?;
    let hits = store.search(&tenant, &query(Some(direction_of(1)), Some("walnut"), 100)).await?;
    assert!(hits.len() == 9 && !ids(&hits).contains(&"rec_00001"));

    assert_eq!(store.erase(&tenant, &EraseScope::Tenant).await?, 10);
    assert_eq!(store.remaining(&tenant, &EraseScope::Tenant).await?, 0);
    for pool in Pool::ALL {
        assert_eq!(store.count(&tenant, pool, &Filter::default()).await?, 0);
        assert_eq!(store.scan(&tenant, pool).await?, []);
    }
    finds(&*store, "walnut", Some("en"), &[]).await?;
    // The tenant may come back.
    store.upsert(&tenant, Pool::Passage, vec![passage(1, "walnut")]).await?;
    finds(&*store, "walnut", Some("en"), &["rec_00001"]).await?;
    Ok(())
}

//! Answers that are kept, and one answer for many who ask at once.

use std::sync::Arc;
use std::time::Duration;

use rejoinder_domain::{MessageId, TenantId};
use rejoinder_scripted_provider::{Answer, Behaviour, Failure, Script};

use crate::harness::{ask, config, openai, provider, question, routed, tenant};

fn keeping() -> rejoinder_router::RouterConfig {
    let mut config = config();
    config.cache.max_bytes = 1 << 20;
    config
}

#[tokio::test]
async fn an_answer_is_kept_for_its_tenant_until_its_mail_is_erased() {
    let server = provider(Script::always(Answer::echo())).await;
    let routed = routed(keeping(), vec![openai("a", server.base_url())]);
    let mut request = question("Where is my refund?");
    request.context.rests_on = vec![MessageId::from_stored("m1")];
    let first = ask(&routed, request.clone()).await;
    let second = ask(&routed, request.clone()).await;
    assert_eq!((first.text.as_str(), second.way()), (second.text.as_str(), vec!["a:cached".to_owned()]));
    assert_eq!(server.requests(), 1);
    let mut other = request.clone();
    other.tenant = TenantId::new("other").unwrap();
    assert_eq!(ask(&routed, other).await.way(), ["a:ok"], "nothing of one tenant is found by another");
    routed.router.forget(&tenant(), Some(&[MessageId::from_stored("m1")]));
    assert_eq!(ask(&routed, request.clone()).await.way(), ["a:ok"]);
    request.sampling.temperature = 0.7;
    assert_eq!(ask(&routed, request.clone()).await.way(), ["a:ok"]);
    assert_eq!(ask(&routed, request).await.way(), ["a:ok"], "what is drawn is drawn anew");
    assert_eq!(server.requests(), 5);
    assert!(routed.metrics().contains("cache"), "{}", routed.metrics());
}

#[tokio::test]
async fn who_asks_the_same_at_once_shares_one_answer() {
    let slow = Answer::text("One answer for all.").with_delays(Duration::from_millis(200), Duration::from_millis(5));
    let server = provider(Script::always(slow)).await;
    let routed = Arc::new(routed(keeping(), vec![openai("a", server.base_url())]));
    let tasks: Vec<_> = (0..20)
        .map(|_| {
            let routed = Arc::clone(&routed);
            tokio::spawn(async move { ask(&routed, question("The same?")).await })
        })
        .collect();
    let mut told = Vec::new();
    for task in tasks {
        told.push(task.await.unwrap());
    }
    assert_eq!(server.requests(), 1);
    assert!(told.iter().all(|told| told.text == "One answer for all."));
    let paid = told.iter().filter(|told| told.attempts[0].usage.output > 0).count();
    assert_eq!(paid, 1, "it is paid for once");
    routed.assert_adds_up(&told);
}

#[tokio::test]
async fn a_failure_is_not_kept() {
    let server = provider(Script::sequence([
        Behaviour::Fail(Failure::BadRequest(400), Answer::echo()),
        Answer::text("Now it works.").into(),
    ]))
    .await;
    let routed = routed(keeping(), vec![openai("a", server.base_url())]);
    assert!(ask(&routed, question("Hello")).await.result.is_err());
    assert_eq!(ask(&routed, question("Hello")).await.text, "Now it works.");
}

//! Many questions to providers of whom a third of the calls fails in every way.

use std::sync::Arc;
use std::time::Duration;

use rejoinder_router::{BudgetRule, Period};
use rejoinder_scripted_provider::{Answer, Mixture, Script};

use crate::harness::{LocalFake, anthropic, ask, config, local, openai, provider, question, routed};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_question_is_answered_whole_and_everything_adds_up() {
    let one = provider(Script::mixture(Mixture::new(
        1,
        0.3,
        Answer::echo().in_chunks_of(8).with_delays(Duration::ZERO, Duration::from_millis(1)),
    )))
    .await;
    let two = provider(Script::mixture(Mixture::new(
        2,
        0.3,
        Answer::echo().in_chunks_of(8).with_delays(Duration::ZERO, Duration::from_millis(1)),
    )))
    .await;
    let mut config = config();
    config.prefer_local = false;
    config.breaker.failures_in_a_row = 0;
    config.budgets = vec![
        BudgetRule {
            tenant: None,
            purpose: None,
            target: Some("a".to_owned()),
            per: Period::Day,
            tokens: Some(60_000),
            cost: None,
        },
        BudgetRule { tenant: None, purpose: None, target: None, per: Period::Month, tokens: None, cost: Some(1.0) },
    ];
    let mut targets =
        vec![openai("a", one.base_url()), anthropic("b", two.base_url()), local(LocalFake(Ok("From here."), 1000))];
    for target in &mut targets[..2] {
        target.options.timeouts.first_token = Duration::from_millis(400);
        target.options.timeouts.between_tokens = Duration::from_millis(400);
    }
    let routed = Arc::new(routed(config, targets));
    let places = Arc::new(tokio::sync::Semaphore::new(64));
    let tasks: Vec<_> = (0..1000)
        .map(|number| {
            let (routed, places) = (Arc::clone(&routed), Arc::clone(&places));
            tokio::spawn(async move {
                let _place = places.acquire().await.unwrap();
                let text = format!("Question {number}: when does my order come, and with whom?");
                let told = ask(&routed, question(&text)).await;
                assert!(told.text == text || told.text == "From here.", "cut: {:?}", told.text);
                told
            })
        })
        .collect();
    let mut told = Vec::new();
    for task in tasks {
        told.push(task.await.unwrap());
    }
    assert!(told.iter().all(|told| told.result.is_ok()));
    let failed = told.iter().flat_map(|told| &told.attempts).filter(|attempt| attempt.outcome.code() != "ok").count();
    assert!(failed > 100, "{failed} attempts failed");
    assert!(told.iter().any(|told| told.restarts > 0), "some were cut after something was shown");
    routed.assert_adds_up(&told);
    let spent_at_a: u64 = {
        let usage = routed.journal.usage.lock().unwrap();
        let at_a = usage.iter().filter(|record| record.provider == "a");
        at_a.map(|record| record.input_tokens + record.output_tokens).sum()
    };
    assert!(spent_at_a <= 60_000, "{spent_at_a} tokens at a budget of 60,000");
    assert_eq!(routed.journal.egress.lock().unwrap().len(), one.requests() + two.requests());
}

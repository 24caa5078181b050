//! What may be spent.

use std::sync::Arc;

use rejoinder_domain::ErrorKind;
use rejoinder_router::{BudgetRule, Period};
use rejoinder_scripted_provider::{Answer, Script, Usage};

use crate::harness::{LocalFake, ask, config, local, openai, provider, question, routed};

fn per_day(target: Option<&str>, tokens: Option<u64>, cost: Option<f64>) -> BudgetRule {
    BudgetRule { tenant: None, purpose: None, target: target.map(str::to_owned), per: Period::Day, tokens, cost }
}

#[tokio::test]
async fn over_budget_the_cheaper_target_answers_then_the_local_one_then_nobody() {
    let server = provider(Script::always(Answer::text("From afar."))).await;
    let mut cheap = openai("cheap", server.base_url());
    cheap.options.price.output = 10;
    cheap.options.price.input = 1;
    let dear = || openai("dear", server.base_url());
    // The reservation at the dear target alone is above the budget of a day.
    let mut limited = config();
    limited.prefer_local = false;
    limited.budgets = vec![per_day(Some("dear"), None, Some(0.000_01))];
    let targets = vec![dear(), local(LocalFake(Ok("From here."), 100)), cheap];
    let told = ask(&routed(limited.clone(), targets), question("Hello")).await;
    assert_eq!(told.way(), ["dear:over_budget", "local:ok"]);
    let told = ask(&routed(limited, vec![dear()]), question("Hello")).await;
    assert!(matches!(told.kind(), ErrorKind::OverBudget { resets_in } if resets_in.as_secs() <= 86_400));
    assert_eq!(server.requests(), 0);
}

#[tokio::test]
async fn many_at_once_do_not_overspend() {
    let usage = Usage::Fixed { input: 40, cached: 0, output: 60 };
    let server = provider(Script::always(Answer::text("Yes.").with_usage(usage))).await;
    let mut config = config();
    config.retry.extra_tries = 0;
    // An attempt reserves its prompt and 200 tokens, and spends 100.
    config.budgets = vec![per_day(None, Some(5_000), None)];
    let routed = Arc::new(routed(config, vec![openai("a", server.base_url())]));
    let tasks: Vec<_> = (0..200)
        .map(|number| {
            let routed = Arc::clone(&routed);
            tokio::spawn(async move { ask(&routed, question(&format!("Question {number}"))).await })
        })
        .collect();
    let mut told = Vec::new();
    for task in tasks {
        told.push(task.await.unwrap());
    }
    let answered = told.iter().filter(|told| told.result.is_ok()).count();
    assert_eq!(answered, server.requests());
    assert!(answered > 10 && answered * 100 <= 5_000, "{answered} were answered");
    for refused in told.iter().filter(|told| told.result.is_err()) {
        assert!(matches!(refused.kind(), ErrorKind::OverBudget { .. }));
    }
    routed.assert_adds_up(&told);
    let left = routed.router.budgets(&crate::harness::tenant());
    assert_eq!(left[0].tokens, Some(5_000 - answered as u64 * 100));
}

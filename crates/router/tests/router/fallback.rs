//! From target to target: by the kind of the failure, within the time, without a cut answer.

use std::time::{Duration, Instant};

use rejoinder_domain::{ErrorKind, LanguageModel as _, Purpose};
use rejoinder_router::{OnRefusal, Rule};
use rejoinder_scripted_provider::{
    Answer, Behaviour, Failure, Garbage, RetryAfter, Script, Wording, unresponsive_address,
};

use crate::harness::{LocalFake, anthropic, ask, config, local, openai, provider, question, routed};

fn fails(failure: Failure) -> Script {
    Script::always(Behaviour::Fail(failure, Answer::text("An answer that is long enough to break off.")))
}

#[tokio::test]
async fn every_failure_ends_in_the_whole_answer_of_the_next_target() {
    let cases: Vec<(Failure, &[&str])> = vec![
        (Failure::RateLimited(None), &["a:overloaded", "a:overloaded"]),
        (Failure::RateLimited(Some(RetryAfter::Seconds(30))), &["a:overloaded"]),
        (Failure::Status(500, None), &["a:transient", "a:transient"]),
        (Failure::Cut { after: 2 }, &["a:transient", "a:transient"]),
        (Failure::NoEnd { after: 2 }, &["a:transient", "a:transient"]),
        (Failure::Garbage(Garbage::Html), &["a:transient", "a:transient"]),
        (Failure::ErrorEvent { after: 2, overloaded: true }, &["a:overloaded", "a:overloaded"]),
        (Failure::Stall { after: 2 }, &["a:timeout"]),
        (Failure::Hang, &["a:timeout"]),
        (Failure::Unauthorised(401), &["a:auth"]),
        (Failure::BadRequest(400), &["a:invalid"]),
        (Failure::ContentFilter { after: 2 }, &["a:refused"]),
        (Failure::ContextTooLong(Wording::Own), &["a:context_too_long"]),
    ];
    let tasks = cases.into_iter().map(|(failure, way)| {
        tokio::spawn(async move {
            let (bad, good) = (provider(fails(failure.clone())).await, provider(Script::always(Answer::echo())).await);
            let mut better = anthropic("b", good.base_url());
            better.options.price.input = 9;
            let mut worse = openai("a", bad.base_url());
            // Anthropic's context is larger, so that a prompt that is too long for one may fit the other.
            let mut small = rejoinder_providers::RemoteOptions::new("a", bad.base_url(), "a-model");
            small.context_tokens = 1000;
            worse.model = std::sync::Arc::new(rejoinder_providers::OpenAiCompatible::new(small).unwrap());
            let routed = routed(config(), vec![worse, better]);
            let told = ask(&routed, question("Where is my refund?")).await;
            let expected: Vec<&str> = way.iter().copied().chain(["b:ok"]).collect();
            assert_eq!(told.way(), expected, "{failure:?}");
            assert_eq!(told.text, "Where is my refund?", "{failure:?}");
            assert!(told.result.is_ok());
            assert_eq!(bad.requests() + good.requests(), expected.len(), "{failure:?}");
            routed.assert_adds_up(&[told]);
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
}

#[tokio::test]
async fn what_was_shown_of_a_cut_answer_is_voided() {
    // A pause between the parts, so that they are on their way before the connection is cut.
    let broken =
        Answer::text("An answer that breaks off in its middle.").with_delays(Duration::ZERO, Duration::from_millis(30));
    let bad = provider(Script::always(Behaviour::Fail(Failure::Cut { after: 3 }, broken))).await;
    let good = provider(Script::always(Answer::text("Whole."))).await;
    let routed = routed(config(), vec![openai("a", bad.base_url()), openai("b", good.base_url())]);
    let told = ask(&routed, question("Hello")).await;
    assert_eq!((told.text.as_str(), told.restarts), ("Whole.", 2), "two tries were shown in part");
    assert!(told.attempts[0].usage.output > 0, "what came is counted");
    assert!(routed.metrics().contains("restarts_total 2"), "{}", routed.metrics());
}

#[tokio::test]
async fn an_empty_answer_is_no_answer() {
    let (empty, good) =
        (provider(Script::always(Answer::text(""))).await, provider(Script::always(Answer::echo())).await);
    let routed = routed(config(), vec![openai("a", empty.base_url()), openai("b", good.base_url())]);
    let told = ask(&routed, question("Hello")).await;
    assert_eq!(
        (told.way(), told.text.as_str()),
        (["a:transient", "a:transient", "b:ok"].map(str::to_owned).to_vec(), "Hello")
    );
}

#[tokio::test]
async fn retry_after_is_honoured() {
    let limited = Failure::RateLimited(Some(RetryAfter::Seconds(1))).into();
    let server = provider(Script::sequence([limited, Behaviour::from(Answer::text("Now."))])).await;
    let routed = routed(config(), vec![openai("a", server.base_url())]);
    let started = Instant::now();
    let told = ask(&routed, question("Hello")).await;
    assert_eq!(told.way(), ["a:overloaded", "a:ok"]);
    assert!(started.elapsed() >= Duration::from_secs(1));
}

#[tokio::test]
async fn a_connection_that_hangs_is_left_for_the_next_target() {
    let nowhere = unresponsive_address().await.unwrap();
    let good = provider(Script::always(Answer::text("Here."))).await;
    let routed = routed(config(), vec![openai("a", nowhere.base_url()), openai("b", good.base_url())]);
    let told = ask(&routed, question("Hello")).await;
    assert_eq!(told.way(), ["a:transient", "a:transient", "b:ok"]);
}

#[tokio::test]
async fn the_last_error_says_what_the_caller_can_do() {
    let cases = [
        (Failure::Unauthorised(401), ErrorKind::Unavailable),
        (Failure::BadRequest(422), ErrorKind::Invalid),
        (Failure::Refusal, ErrorKind::Refused),
        (Failure::ContextTooLong(Wording::Vllm), ErrorKind::ContextTooLong),
        (Failure::Status(503, None), ErrorKind::Transient),
    ];
    for (failure, kind) in cases {
        let server = provider(fails(failure.clone())).await;
        let told = ask(&routed(config(), vec![openai("a", server.base_url())]), question("Hello")).await;
        assert_eq!(told.kind(), &kind, "{failure:?}");
    }
}

#[tokio::test]
async fn a_refusal_ends_it_where_that_is_configured() {
    let (bad, good) = (provider(fails(Failure::Refusal)).await, provider(Script::always(Answer::echo())).await);
    let mut config = config();
    config.on_refusal = OnRefusal::Fail;
    let routed = routed(config, vec![openai("a", bad.base_url()), openai("b", good.base_url())]);
    let told = ask(&routed, question("Hello")).await;
    assert_eq!((told.way(), told.kind()), (vec!["a:refused".to_owned()], &ErrorKind::Refused));
    assert_eq!(good.requests(), 0);
}

#[tokio::test]
async fn a_target_that_keeps_failing_is_left_alone() {
    let (bad, good) =
        (provider(fails(Failure::Status(500, None))).await, provider(Script::always(Answer::echo())).await);
    let mut config = config();
    config.retry.extra_tries = 0;
    config.breaker.failures_in_a_row = 3;
    let routed = routed(config, vec![openai("a", bad.base_url()), openai("b", good.base_url())]);
    for number in 0..3 {
        assert_eq!(ask(&routed, question(&format!("Question {number}"))).await.way(), ["a:transient", "b:ok"]);
    }
    assert_eq!(ask(&routed, question("Question 4")).await.way(), ["a:circuit_open", "b:ok"]);
    assert_eq!(bad.requests(), 3);
    let health = routed.router.health();
    assert_eq!(health[0].breaker.state.as_str(), "open");
    assert_eq!(health[1].breaker.state.as_str(), "closed");
}

#[tokio::test]
async fn local_comes_first_and_what_it_cannot_goes_elsewhere() {
    let server = provider(Script::always(Answer::text("From afar."))).await;
    let remote = || openai("cloud", server.base_url());
    let ready = routed(config(), vec![remote(), local(LocalFake(Ok("From here."), 100))]);
    assert_eq!(ask(&ready, question("Hello")).await.way(), ["local:ok"]);
    for (kind, way) in [
        (ErrorKind::Unavailable, vec!["local:unavailable", "cloud:ok"]),
        (ErrorKind::ContextTooLong, vec!["local:context_too_long", "cloud:ok"]),
        (ErrorKind::RateLimited { retry_after: None }, vec!["local:overloaded", "local:overloaded", "cloud:ok"]),
    ] {
        let routed = routed(config(), vec![local(LocalFake(Err(kind), 100)), remote()]);
        assert_eq!(ask(&routed, question("Hello")).await.way(), way);
    }
}

#[tokio::test]
async fn rules_tenants_and_names_choose_the_target() {
    let server = provider(Script::always(Answer::text("From afar."))).await;
    let targets = || vec![local(LocalFake(Ok("From here."), 100)), openai("cloud", server.base_url())];
    let cloud = || vec!["cloud".to_owned()];
    let rule =
        || Rule { purpose: None, tenants: Vec::new(), candidates_over: None, input_tokens_over: None, order: cloud() };
    let mut by_rule = config();
    by_rule.rules = vec![
        Rule { candidates_over: Some(1), ..rule() },
        Rule { purpose: Some(Purpose::Extract), input_tokens_over: Some(50), ..rule() },
    ];
    let by_rule = routed(by_rule, targets());
    let mut many = question("Hello");
    many.context.candidates = 3;
    assert_eq!(ask(&by_rule, many).await.way(), ["cloud:ok"]);
    let mut short = question("Hello");
    short.context.purpose = Purpose::Extract;
    assert_eq!(ask(&by_rule, short).await.way(), ["local:ok"]);
    let mut long = question(&"many words ".repeat(60));
    long.context.purpose = Purpose::Extract;
    assert_eq!(ask(&by_rule, long).await.way(), ["cloud:ok"]);

    let mut by_tenant = config();
    let policy = rejoinder_router::TenantPolicy { egress: None, order: Some(cloud()) };
    by_tenant.tenants.insert(crate::harness::tenant(), policy);
    let by_tenant = routed(by_tenant, targets());
    assert_eq!(ask(&by_tenant, question("Hello")).await.way(), ["cloud:ok"]);

    let plain = routed(config(), targets());
    for (wanted, way) in [("cloud", "cloud:ok"), ("cloud-model", "cloud:ok"), ("small", "local:ok")] {
        let mut request = question("Hello");
        request.context.wanted = Some(wanted.to_owned());
        assert_eq!(ask(&plain, request).await.way(), [way]);
    }
    let mut unknown = question("Hello");
    unknown.context.wanted = Some("gpt-0".to_owned());
    assert_eq!(plain.router.generate(unknown).await.err().unwrap().kind, ErrorKind::NotFound);
}

#[tokio::test]
async fn a_hedge_wins_when_the_first_is_slow_and_both_are_paid_for() {
    let slow = Answer::text("Late.").with_delays(Duration::from_millis(900), Duration::ZERO);
    let mut first: Vec<Behaviour> = (0..6).map(|_| Answer::text("Fast.").into()).collect();
    first.push(slow.into());
    let (one, two) = (provider(Script::sequence(first)).await, provider(Script::always(Answer::text("Second."))).await);
    let mut config = config();
    config.hedge.enabled = true;
    config.hedge.min_samples = 5;
    let routed = routed(config, vec![openai("a", one.base_url()), openai("b", two.base_url())]);
    let mut told = Vec::new();
    for number in 0..7 {
        told.push(ask(&routed, question(&format!("Question {number}"))).await);
    }
    let last = told.last().unwrap();
    assert_eq!((last.text.as_str(), last.way()), ("Second.", vec!["a:lost".to_owned(), "b:ok".to_owned()]));
    assert!(last.attempts[0].usage.input > 0, "a prompt that was sent may be billed");
    routed.assert_adds_up(&told);
    one.idle().await;
}

#[tokio::test]
async fn a_caller_who_leaves_stops_the_provider_and_is_accounted_for() {
    let endless = provider(fails(Failure::Endless)).await;
    let routed = routed(config(), vec![openai("a", endless.base_url())]);
    let mut stream = routed.router.generate(question("Hello")).await.unwrap();
    std::future::poll_fn(|context| stream.as_mut().poll_next(context)).await.unwrap().unwrap();
    drop(stream);
    endless.idle().await;
    let usage = routed.journal.usage.lock().unwrap();
    assert_eq!(usage.iter().map(|record| record.outcome.as_str()).collect::<Vec<_>>(), ["cancelled"]);
    assert!(usage[0].input_tokens > 0 && usage[0].output_tokens > 0);
}

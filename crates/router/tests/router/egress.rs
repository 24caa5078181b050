//! Nothing leaves the machine unless policy says so, and then without personal data where it says that.

use std::sync::atomic::Ordering;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use rejoinder_domain::{Address, Egress, ErrorKind, OutputFormat, Tool};
use rejoinder_router::TenantPolicy;
use rejoinder_scripted_provider::{Answer, Behaviour, Failure, Script};
use serde_json::json;

use crate::harness::{LocalFake, anthropic, ask, config, local, openai, provider, question, routed};

fn policy(egress: Egress) -> rejoinder_router::RouterConfig {
    let mut config = config();
    config.egress = egress;
    config
}

fn anna() -> Address {
    Address { name: "Anna Weber".to_owned(), email: "anna.weber@weberbau.example".to_owned() }
}

#[tokio::test]
async fn nothing_is_sent_under_local_only_whatever_the_request_wishes() {
    let server = provider(Script::always(Answer::echo())).await;
    let remote = || openai("cloud", server.base_url());
    let routed_alone = routed(policy(Egress::LocalOnly), vec![remote()]);
    for wish in [None, Some(Egress::RemoteAllowed), Some(Egress::RedactThenRemote)] {
        let mut request = question("Hello");
        request.context.egress = wish;
        let told = ask(&routed_alone, request).await;
        assert_eq!((told.way(), told.kind()), (vec!["cloud:egress_denied".to_owned()], &ErrorKind::Unavailable));
    }
    // A failing local model is no reason to send anything.
    let failing =
        routed(policy(Egress::RemoteAllowed), vec![local(LocalFake(Err(ErrorKind::Internal), 100)), remote()]);
    let mut narrowed = question("Hello");
    narrowed.context.egress = Some(Egress::LocalOnly);
    assert_eq!(ask(&failing, narrowed).await.way(), ["local:failed", "cloud:egress_denied"]);
    assert_eq!(server.connections(), 0);
    assert!(failing.journal.egress.lock().unwrap().is_empty());
}

#[tokio::test]
async fn another_policy_is_in_force_from_the_next_question_on() {
    let server = provider(Script::always(Answer::echo())).await;
    let routed = routed(policy(Egress::LocalOnly), vec![openai("cloud", server.base_url())]);
    assert_eq!(ask(&routed, question("Hello")).await.way(), ["cloud:egress_denied"]);
    routed.router.reconfigure(policy(Egress::RemoteAllowed)).unwrap();
    assert_eq!(ask(&routed, question("Hello")).await.way(), ["cloud:ok"]);
    // What is wrong changes nothing.
    let mut wrong = policy(Egress::LocalOnly);
    wrong.order.suggest = vec!["clout".to_owned()];
    assert!(routed.router.reconfigure(wrong).unwrap_err().contains("\"clout\""));
    assert_eq!(ask(&routed, question("Hello")).await.way(), ["cloud:ok"]);
    let mut narrower = policy(Egress::RemoteAllowed);
    let own = TenantPolicy { egress: Some(Egress::LocalOnly), order: None };
    narrower.tenants.insert(question("Hello").tenant, own);
    routed.router.reconfigure(narrower).unwrap();
    assert_eq!(ask(&routed, question("Hello")).await.way(), ["cloud:egress_denied"]);
    assert_eq!(server.received().len(), 2);
}

#[tokio::test]
async fn values_stay_here_and_come_back_in_the_answer() {
    for streamed_chars in [1, 3, 1000] {
        let server = provider(Script::always(Answer::echo().in_chunks_of(streamed_chars))).await;
        for target in [openai("cloud", server.base_url()), anthropic("cloud", server.base_url())] {
            let routed = routed(policy(Egress::RedactThenRemote), vec![target]);
            let text = "I am Anna Weber, anna.weber@weberbau.example, IBAN DE89 3704 0044 0532 0130 00. Best, Anna";
            let mut request = question(text);
            request.context.people = vec![anna()];
            let told = ask(&routed, request).await;
            assert_eq!(told.text, text, "the echo of the placeholders is the text itself");
            let raw = String::from_utf8(server.received().last().unwrap().raw.clone()).unwrap();
            for value in ["Weber", "weberbau", "3704", "Anna"] {
                assert!(!raw.contains(value), "{value} was sent: {raw}");
            }
            let egress = routed.journal.egress.lock().unwrap();
            let record = egress.last().unwrap();
            assert_eq!((record.policy, record.request_id.as_str()), (Egress::RedactThenRemote, "req_test"));
            assert!(record.redactions.values().sum::<u32>() >= 3, "{record:?}");
            assert!(record.bytes > 0 && record.bytes <= raw.len() as u64);
            assert!(told.attempts[0].redactions >= 3);
        }
    }
}

#[tokio::test]
async fn a_mangled_or_invented_placeholder_is_shown_as_a_mark() {
    let server = provider(Script::always(Answer::text("Write to [EMAIL_7] or to [email 1]."))).await;
    let routed = routed(policy(Egress::RedactThenRemote), vec![openai("cloud", server.base_url())]);
    let told = ask(&routed, question("My address is anna.weber@weberbau.example")).await;
    assert!(!told.text.contains("EMAIL_7") && told.text.contains("[[check: "), "{}", told.text);
    assert!(told.attempts[0].unrestored >= 1);
}

#[tokio::test]
async fn forms_tools_and_stop_texts_are_redacted_too() {
    let server = provider(Script::always(Answer::json(json!({"to": "nobody"})))).await;
    let routed = routed(policy(Egress::RedactThenRemote), vec![openai("cloud", server.base_url())]);
    let mut request = question("Hello");
    request.output = OutputFormat::Json(json!({
        "type": "object",
        "properties": {"to": {"type": "string", "description": "like anna.weber@weberbau.example"}},
    }));
    request.tools.push(Tool {
        name: "mail".to_owned(),
        description: Some("Writes to anna.weber@weberbau.example".to_owned()),
        parameters: json!({"type": "object", "properties": {"to": {"enum": ["anna.weber@weberbau.example"]}}}),
        strict: false,
    });
    request.stop = vec!["anna.weber@weberbau.example".to_owned()];
    ask(&routed, request.clone()).await;
    let raw = String::from_utf8(server.received().last().unwrap().raw.clone()).unwrap();
    assert!(!raw.contains("weberbau"), "{raw}");
    // A key cannot be replaced without changing what the schema means: the prompt stays.
    request.output = OutputFormat::Json(json!({"type": "object", "properties": {"anna.weber@weberbau.example": {}}}));
    let before = server.requests();
    assert_eq!(ask(&routed, request).await.way(), ["cloud:egress_denied"]);
    assert_eq!(server.requests(), before);
}

#[tokio::test]
async fn what_cannot_be_recorded_is_not_sent() {
    let server = provider(Script::always(Answer::echo())).await;
    let routed = routed(policy(Egress::RemoteAllowed), vec![openai("cloud", server.base_url())]);
    routed.journal.is_full.store(true, Ordering::SeqCst);
    let told = ask(&routed, question("Hello")).await;
    assert_eq!(told.way(), ["cloud:unavailable"]);
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn the_model_is_shown_its_own_wrong_answer_with_placeholders() {
    let server = provider(Script::sequence([
        Answer::computed(|received| format!("not json: {}", received.last_user_text())),
        Answer::json(json!({"a": 1})),
    ]))
    .await;
    let routed = routed(policy(Egress::RedactThenRemote), vec![openai("cloud", server.base_url())]);
    let mut request = question("Write to anna.weber@weberbau.example");
    request.output = OutputFormat::Json(json!({"type": "object"}));
    assert_eq!(ask(&routed, request).await.way(), ["cloud:output_invalid", "cloud:ok"]);
    for received in server.received() {
        assert!(!String::from_utf8(received.raw.clone()).unwrap().contains("weberbau"));
    }
}

/// Values of every kind that is configured, as they stand in mail.
fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z]{3,8}\\.[a-z]{3,8}@[a-z]{4,9}\\.example",
        "\\+49 [1-9][0-9]{2} [0-9]{7}",
        Just("DE89 3704 0044 0532 0130 00".to_owned()),
        Just("GB82WEST12345698765432".to_owned()),
        Just("DE89 3704 0044 0532\n> 0130 00".to_owned()),
        Just("4111 1111 1111 1111".to_owned()),
        Just("536-90-4399".to_owned()),
        Just("Anna Weber".to_owned()),
        Just("Weber, Anna".to_owned()),
        Just("Lindenstraße 12, 10969 Berlin".to_owned()),
        Just("customer number 77-120-4".to_owned()),
    ]
}

#[test]
fn no_value_of_a_prompt_is_in_any_byte_sent() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (server, routed) = runtime.block_on(async {
        // Failures on the way, so that retries and complaints are sent as well.
        let server = provider(Script::each(|received| match received.number % 3 {
            0 => Behaviour::Fail(Failure::Cut { after: 1 }, Answer::echo()),
            _ => Answer::echo().into(),
        }))
        .await;
        let targets = vec![openai("a", server.base_url()), anthropic("b", server.base_url())];
        let mut config = policy(Egress::RedactThenRemote);
        config.breaker.failures_in_a_row = 0;
        config.breaker.error_share = 1.0;
        (server, routed(config, targets))
    });
    let filler = "( and |\\n\\n|, please |: |\\. My data: |\u{a0}| – )";
    let prompts = proptest::collection::vec((filler, value()), 1..6);
    let mut runner = TestRunner::new(ProptestConfig { cases: 150, ..ProptestConfig::default() });
    runner
        .run(&prompts, |parts| {
            let text: String = parts.iter().flat_map(|(filler, value)| [filler.as_str(), value.as_str()]).collect();
            let mut request = question(&text);
            request.context.people = vec![anna()];
            let before = server.requests();
            let told = runtime.block_on(ask(&routed, request));
            prop_assert_eq!(&told.text, &text);
            for received in &server.received()[before..] {
                let raw = String::from_utf8(received.raw.clone()).unwrap();
                for (_, value) in &parts {
                    // A label stays; its number does not.
                    let value = value.strip_prefix("customer number ").unwrap_or(value);
                    let value = &value.replace('\n', "\\n");
                    prop_assert!(!raw.contains(value.as_str()), "{} was sent: {}", value, raw);
                }
            }
            Ok(())
        })
        .unwrap();
    let requests = server.requests();
    assert!(requests > 150);
    // And none at all where the request narrows to this machine.
    let mut narrowed = question("anna.weber@weberbau.example");
    narrowed.context.egress = Some(Egress::LocalOnly);
    runtime.block_on(ask(&routed, narrowed));
    assert_eq!(server.requests(), requests);
}

//! Answers that must have a form, and tools.

use rejoinder_domain::{AttemptOutcome, ErrorKind, FinishReason, OutputFormat, Tool};
use rejoinder_scripted_provider::{Answer, Behaviour, Failure, Script};
use serde_json::json;

use crate::harness::{LocalFake, anthropic, ask, config, local, openai, provider, question, routed};

fn form() -> OutputFormat {
    OutputFormat::Json(json!({
        "type": "object",
        "properties": {"amount": {"type": "number"}},
        "required": ["amount"],
        "additionalProperties": false,
    }))
}

#[tokio::test]
async fn a_wrong_form_is_asked_for_again_once_with_what_is_wrong() {
    let wrong = Answer::json(json!({"amount": "12 euros"}));
    let server = provider(Script::sequence([wrong, Answer::json(json!({"amount": 12}))])).await;
    let routed = routed(config(), vec![openai("a", server.base_url())]);
    let mut request = question("How much?");
    request.output = form();
    let told = ask(&routed, request).await;
    assert_eq!(told.way(), ["a:output_invalid", "a:ok"]);
    assert_eq!(serde_json::from_str::<serde_json::Value>(&told.text).unwrap(), json!({"amount": 12}));
    assert_eq!(told.restarts, 0, "an answer that must have a form is shown when it has it");
    let received = server.received();
    assert_eq!(received[0].body["response_format"]["type"], "json_schema");
    let messages = received[1].body["messages"].as_array().unwrap();
    assert_eq!(messages.len(), 4);
    assert!(messages[2]["content"].as_str().unwrap().contains("12 euros"), "its own words");
    let complaint = messages[3]["content"].as_str().unwrap();
    assert!(complaint.contains("/amount") && !complaint.contains("12 euros"), "{complaint}");
}

#[tokio::test]
async fn twice_wrong_is_a_failure_of_its_own_kind() {
    let server = provider(Script::always(Answer::json(json!({"sum": 12})))).await;
    let alone = routed(config(), vec![openai("a", server.base_url())]);
    let mut request = question("How much?");
    request.output = form();
    let told = ask(&alone, request.clone()).await;
    assert_eq!(told.way(), ["a:output_invalid", "a:output_invalid"]);
    assert_eq!((told.kind(), told.text.as_str()), (&ErrorKind::OutputInvalid, ""));
    // With another target it is that one's turn.
    let good = provider(Script::always(Answer::json(json!({"amount": 1})))).await;
    let two = routed(config(), vec![openai("a", server.base_url()), anthropic("b", good.base_url())]);
    assert_eq!(ask(&two, request).await.way(), ["a:output_invalid", "a:output_invalid", "b:ok"]);
}

#[tokio::test]
async fn a_local_answer_is_checked_too() {
    let server = provider(Script::always(Answer::json(json!({"amount": 3})))).await;
    let routed = routed(config(), vec![local(LocalFake(Ok("twelve"), 100)), openai("a", server.base_url())]);
    let mut request = question("How much?");
    request.output = form();
    let told = ask(&routed, request).await;
    assert_eq!(told.way(), ["local:output_invalid", "local:output_invalid", "a:ok"]);
    assert_eq!(told.attempts[0].outcome, AttemptOutcome::Failed(ErrorKind::OutputInvalid));
}

#[tokio::test]
async fn tools_go_through_both_ways_to_a_target_that_has_them() {
    let call = Answer::text("").with_call("look_up", json!({"order": "A-77"}));
    let server = provider(Script::sequence([call, Answer::text("It is on its way.")])).await;
    for target in [openai("a", server.base_url()), anthropic("a", server.base_url())] {
        server.follow(Script::sequence([
            Behaviour::from(Answer::text("").with_call("look_up", json!({"order": "A-77"}))),
            Answer::text("It is on its way.").into(),
        ]));
        let before = server.requests();
        let routed = routed(config(), vec![local(LocalFake(Ok("no"), 100)), target]);
        let mut request = question("Where is A-77?");
        request.tools.push(Tool {
            name: "look_up".to_owned(),
            description: Some("Looks up an order.".to_owned()),
            parameters: json!({"type": "object", "properties": {"order": {"type": "string"}}}),
            strict: false,
        });
        let told = ask(&routed, request.clone()).await;
        assert_eq!(told.way(), ["local:unsupported", "a:ok"]);
        assert_eq!(told.result.unwrap().finish, FinishReason::ToolCalls);
        let arguments: String = told.calls.iter().map(|part| part.arguments.as_str()).collect();
        assert_eq!(serde_json::from_str::<serde_json::Value>(&arguments).unwrap(), json!({"order": "A-77"}));
        let (id, name) = (told.calls[0].id.clone().unwrap(), told.calls[0].name.clone().unwrap());
        let mut turn = rejoinder_domain::ChatMessage::new(rejoinder_domain::ChatRole::Assistant, "");
        turn.tool_calls.push(rejoinder_domain::ToolCall { id: id.clone(), name, arguments });
        let mut result = rejoinder_domain::ChatMessage::new(rejoinder_domain::ChatRole::Tool, "sent on Monday");
        result.tool_call_id = Some(id);
        request.messages.extend([turn, result]);
        assert_eq!(ask(&routed, request).await.text, "It is on its way.");
        let raw = String::from_utf8(server.received()[before + 1].raw.clone()).unwrap();
        assert!(raw.contains("sent on Monday") && raw.contains("look_up"), "{raw}");
    }
}

#[tokio::test]
async fn an_answer_without_an_end_within_its_tokens_is_no_json() {
    let server =
        provider(Script::always(Behaviour::Fail(Failure::WrongSchema, Answer::json(json!({"amount": 1}))))).await;
    let routed = routed(config(), vec![openai("a", server.base_url())]);
    let mut request = question("How much?");
    request.output = form();
    assert_eq!(ask(&routed, request).await.kind(), &ErrorKind::OutputInvalid);
}

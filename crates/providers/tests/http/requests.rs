//! What leaves the machine, byte for byte.

use std::time::Duration;

use rejoinder_domain::{Address, ChatMessage, ChatRole, Egress, GenerateRequest, OutputFormat, Sampling};
use rejoinder_providers::{ApiKeyHeader, SamplingFields, TokenLimitField};
use rejoinder_scripted_provider::{Answer, Script, ScriptedProvider};
use serde_json::json;

use crate::{ALL, Api, Asked, KEY, ask, ask_scripted, request};

/// A question with everything set that is nobody's business.
fn full_question() -> GenerateRequest {
    let mut question = request("Where is my \"refund\"?");
    question.messages.push(ChatMessage::new(ChatRole::Assistant, "Which one?"));
    question.messages.push(ChatMessage::new(ChatRole::User, "The last."));
    question.sampling = Sampling { temperature: 0.7, top_p: 0.9, min_p: 0.05, repetition_penalty: 1.1, seed: Some(42) };
    question.stop = vec!["END".into()];
    question.deadline = Some(Duration::from_secs(30));
    question.lookup = vec!["secret-lookup".into()];
    question.context.request_id = "secret-request".into();
    question.context.wanted = Some("secret-wish".into());
    question.context.egress = Some(Egress::RedactThenRemote);
    question.context.index_version = "secret-index".into();
    question.context.people = vec![Address { name: "Secret Person".into(), email: "secret@example.com".into() }];
    question
}

#[tokio::test]
async fn the_body_holds_this_and_nothing_else() {
    let openai = r#"{"model":"scripted-1","messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"Where is my \"refund\"?"},{"role":"assistant","content":"Which one?"},{"role":"user","content":"The last."}],"stream":true,"stream_options":{"include_usage":true},"max_tokens":300,"temperature":0.7,"top_p":0.9,"seed":42,"stop":["END"]}"#;
    let anthropic = r#"{"model":"scripted-1","max_tokens":300,"system":"Be brief.","messages":[{"role":"user","content":[{"text":"Where is my \"refund\"?","type":"text"}]},{"role":"assistant","content":[{"text":"Which one?","type":"text"}]},{"role":"user","content":[{"text":"The last.","type":"text"}]}],"stream":true,"temperature":0.7,"stop_sequences":["END"]}"#;
    for asked in ALL {
        let (_, provider) = ask_scripted(asked, Script::always(Answer::echo()), full_question()).await;
        let received = &provider.received()[0];
        let mut expected = if asked.api == Api::OpenAi { openai } else { anthropic }.to_owned();
        if !asked.streams {
            expected =
                expected.replace(r#""stream":true,"stream_options":{"include_usage":true}"#, r#""stream":false"#);
            expected = expected.replace(r#""stream":true"#, r#""stream":false"#);
        }
        let sent = String::from_utf8(received.raw.clone()).unwrap();
        // The order within a block depends on how serde_json was built.
        assert_eq!(sent.len(), expected.len(), "{sent}");
        assert_eq!(received.body, serde_json::from_str::<serde_json::Value>(&expected).unwrap());
        let head = format!("{} {} {:?}", received.path, received.query, received.headers);
        assert!(!(sent + &head).to_lowercase().contains("secret"), "{asked:?}");
    }
}

#[tokio::test]
async fn headers_and_paths() {
    for asked in ALL {
        let (_, provider) = ask_scripted(asked, Script::always(Answer::echo()), request("hi")).await;
        let received = &provider.received()[0];
        let mut names: Vec<&str> = received.headers.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        let agent = concat!("rejoinder/", env!("CARGO_PKG_VERSION"));
        assert_eq!(received.header("user-agent"), Some(agent));
        assert_eq!(received.header("content-type"), Some("application/json"));
        if asked.api == Api::OpenAi {
            assert_eq!(received.path, "/v1/chat/completions");
            assert_eq!(received.header("authorization"), Some(format!("Bearer {KEY}").as_str()));
            assert_eq!(names, ["accept", "authorization", "content-length", "content-type", "host", "user-agent"]);
        } else {
            assert_eq!(received.path, "/v1/messages");
            assert_eq!(received.header("x-api-key"), Some(KEY));
            assert_eq!(received.header("anthropic-version"), Some("2023-06-01"));
            let expected =
                ["accept", "anthropic-version", "content-length", "content-type", "host", "user-agent", "x-api-key"];
            assert_eq!(names, expected);
        }
    }
}

#[tokio::test]
async fn azure() {
    let provider = ScriptedProvider::start(Script::always(Answer::echo())).await.unwrap();
    let asked = ALL[0];
    let mut options = asked.options(&provider.base_url());
    options.base_url = format!("{}/openai/deployments/mail/", provider.base_url());
    options.api_key_header = ApiKeyHeader::ApiKey;
    options.query = vec![("api-version".into(), "2024-10-21".into())];
    options.token_limit = TokenLimitField::MaxCompletionTokens;
    options.sampling = SamplingFields::Off;
    options.organization = Some("org-1".into());
    options.headers = vec![("x-team".into(), "mail".to_owned().into())];
    let came = ask(asked.model(options).as_ref(), full_question()).await;
    assert_eq!(came.text, "The last.");
    let received = &provider.received()[0];
    assert_eq!(
        (received.path.as_str(), received.query.as_str()),
        ("/openai/deployments/mail/chat/completions", "api-version=2024-10-21")
    );
    assert_eq!(received.header("api-key"), Some(KEY));
    assert_eq!(received.header("authorization"), None);
    assert_eq!(received.header("openai-organization"), Some("org-1"));
    assert_eq!(received.header("x-team"), Some("mail"));
    assert_eq!(received.body["max_completion_tokens"], 300);
    for absent in ["max_tokens", "temperature", "top_p", "seed"] {
        assert_eq!(received.body.get(absent), None);
    }
}

#[tokio::test]
async fn servers_that_know_more_are_told_more() {
    for (known, penalty) in
        [(SamplingFields::Extended, "repetition_penalty"), (SamplingFields::LlamaCpp, "repeat_penalty")]
    {
        let provider = ScriptedProvider::start(Script::always(Answer::echo())).await.unwrap();
        let mut options = ALL[0].options(&provider.base_url());
        options.sampling = known;
        ask(ALL[0].model(options).as_ref(), full_question()).await;
        let body = &provider.received()[0].body;
        assert!(
            (body["min_p"].as_f64().unwrap() - 0.05).abs() < 1e-6
                && (body[penalty].as_f64().unwrap() - 1.1).abs() < 1e-6
        );
    }
}

#[tokio::test]
async fn schemas_are_asked_for_as_far_as_they_are_enforced() {
    let closed = json!({"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"], "additionalProperties": false});
    let optional = json!({"$schema": "x", "type": "object", "properties": {"a": {"type": "integer", "minimum": 1}}});
    let open = json!({"type": "object"});
    for asked in ALL.into_iter().filter(|asked| asked.streams) {
        let sent = |schema: &serde_json::Value| {
            let mut question = request("hi");
            question.output = OutputFormat::Json(schema.clone());
            async move {
                let (_, provider) = ask_scripted(asked, Script::always(Answer::json(json!({"a": 1}))), question).await;
                provider.received()[0].body.clone()
            }
        };
        let format = |schema: serde_json::Value, strict: bool| json!({"type": "json_schema", "json_schema": {"name": "answer", "schema": schema, "strict": strict}});
        if asked.api == Api::OpenAi {
            assert_eq!(sent(&closed).await["response_format"], format(closed.clone(), true));
            let without_dialect = json!({"type": "object", "properties": {"a": {"type": "integer", "minimum": 1}}});
            assert_eq!(sent(&optional).await["response_format"], format(without_dialect, false));
            assert_eq!(sent(&open).await["response_format"], format(open.clone(), false));
        } else {
            let config = |schema: serde_json::Value| json!({"format": {"type": "json_schema", "schema": schema}});
            assert_eq!(sent(&closed).await["output_config"], config(closed.clone()));
            let closed_optional =
                json!({"type": "object", "properties": {"a": {"type": "integer"}}, "additionalProperties": false});
            assert_eq!(sent(&optional).await["output_config"], config(closed_optional));
            let by_tool = sent(&open).await;
            assert_eq!(by_tool.get("output_config"), None);
            assert_eq!(by_tool["tools"][0]["input_schema"], open);
            assert_eq!(by_tool["tool_choice"], json!({"type": "tool", "name": "answer"}));
        }
    }
}

#[tokio::test]
async fn what_cannot_be_said_is_refused_before_it_is_sent() {
    let refused = |change: fn(&mut GenerateRequest), asked: Asked| async move {
        let mut question = request("hi");
        change(&mut question);
        let (came, provider) = ask_scripted(asked, Script::always(Answer::echo()), question).await;
        assert_eq!(came.kind(), Some(rejoinder_domain::ErrorKind::Invalid), "{asked:?}");
        assert_eq!(provider.requests(), 0);
    };
    for asked in ALL {
        refused(|question| question.max_tokens = 0, asked).await;
        refused(|question| question.messages.truncate(1), asked).await;
        refused(|question| question.messages.push(ChatMessage::new(ChatRole::Tool, "of no call")), asked).await;
        refused(|question| question.output = OutputFormat::Choice(Vec::new()), asked).await;
    }
}

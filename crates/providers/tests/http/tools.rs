//! Tools, both ways.

use rejoinder_domain::{ChatMessage, ChatRole, FinishReason, Tool, ToolCall, ToolChoice};
use rejoinder_scripted_provider::{Answer, Script};
use serde_json::json;

use crate::{ALL, Api, ask_scripted, request};

fn tools() -> Vec<Tool> {
    let parameters = json!({"type": "object", "properties": {"order": {"type": "string"}}, "required": ["order"], "additionalProperties": false});
    vec![
        Tool { name: "order_state".into(), description: Some("Looks an order up.".into()), parameters, strict: true },
        Tool { name: "today".into(), description: None, parameters: serde_json::Value::Null, strict: false },
    ]
}

#[tokio::test]
async fn calls_come_in_parts() {
    for asked in ALL {
        let mut question = request("Where is my order?");
        question.tools = tools();
        let answer = Answer::text("One moment.")
            .with_call("order_state", json!({"order": "Nr. 4711 äöü"}))
            .with_call("today", json!({}))
            .in_chunks_of(4);
        let (came, _provider) = ask_scripted(asked, Script::always(answer), question).await;
        assert_eq!(came.text, "One moment.");
        assert_eq!(came.done.unwrap().finish, FinishReason::ToolCalls);
        let calls: Vec<(&str, &str, serde_json::Value)> = came
            .calls
            .iter()
            .map(|call| (call.id.as_str(), call.name.as_str(), serde_json::from_str(&call.arguments).unwrap()))
            .collect();
        let expected = [("call_1", "order_state", json!({"order": "Nr. 4711 äöü"})), ("call_2", "today", json!({}))];
        assert_eq!(calls, expected, "{asked:?}");
    }
}

#[tokio::test]
async fn tools_calls_and_results_are_told() {
    for asked in ALL.into_iter().filter(|asked| asked.streams) {
        let mut question = request("Where are my orders?");
        let call =
            |id: &str| ToolCall { id: id.into(), name: "order_state".into(), arguments: r#"{"order":"1"}"#.into() };
        let mut called = ChatMessage::new(ChatRole::Assistant, "");
        called.tool_calls = vec![call("a"), call("b")];
        let result = |id: &str, text: &str| ChatMessage {
            tool_call_id: Some(id.into()),
            ..ChatMessage::new(ChatRole::Tool, text)
        };
        question.messages.extend([called, result("a", "sent"), result("b", "lost")]);
        question.tools = tools();
        question.tool_choice = ToolChoice::Named("order_state".into());
        let (_, provider) = ask_scripted(asked, Script::always(Answer::text("ok")), question).await;
        let sent = provider.received()[0].body.clone();
        let parameters = tools()[0].parameters.clone();
        let empty = json!({"type": "object", "properties": {}});
        if asked.api == Api::OpenAi {
            let call = |id: &str| json!({"id": id, "type": "function", "function": {"name": "order_state", "arguments": "{\"order\":\"1\"}"}});
            assert_eq!(
                sent["messages"][2],
                json!({"role": "assistant", "content": null, "tool_calls": [call("a"), call("b")]})
            );
            assert_eq!(sent["messages"][3], json!({"role": "tool", "content": "sent", "tool_call_id": "a"}));
            assert_eq!(sent["tool_choice"], json!({"type": "function", "function": {"name": "order_state"}}));
            assert_eq!(
                sent["tools"],
                json!([
                    {"type": "function", "function": {"name": "order_state", "description": "Looks an order up.", "parameters": parameters, "strict": true}},
                    {"type": "function", "function": {"name": "today", "parameters": empty}},
                ])
            );
        } else {
            let call = |id: &str| json!({"type": "tool_use", "id": id, "name": "order_state", "input": {"order": "1"}});
            let result = |id: &str, text: &str| json!({"type": "tool_result", "tool_use_id": id, "content": text});
            assert_eq!(sent["messages"][1], json!({"role": "assistant", "content": [call("a"), call("b")]}));
            assert_eq!(
                sent["messages"][2],
                json!({"role": "user", "content": [result("a", "sent"), result("b", "lost")]})
            );
            assert_eq!(sent["tool_choice"], json!({"type": "tool", "name": "order_state"}));
            assert_eq!(
                sent["tools"],
                json!([
                    {"name": "order_state", "description": "Looks an order up.", "input_schema": parameters, "strict": true},
                    {"name": "today", "input_schema": empty},
                ])
            );
        }
    }
}

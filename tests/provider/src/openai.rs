//! OpenAI's words: Chat Completions, <https://platform.openai.com/docs/api-reference/chat>.

use serde_json::{Value, json};

use crate::failure::Wording;
use crate::turn::{MARKED, Piece, Stop, Turn, chunks, parts};

/// The events of a streamed answer.
pub(crate) fn stream(turn: &Turn, wants_usage: bool) -> Vec<Piece> {
    let mut pieces = vec![Piece::frame(event(turn, &json!({"role": "assistant", "content": ""}), None))];
    for part in turn.reasoning.iter().flat_map(|text| parts(text, turn.chunk_chars)) {
        pieces.push(Piece::frame(event(turn, &json!({"reasoning_content": part}), None)));
    }
    let field = if turn.stop == Stop::Refused { "refusal" } else { "content" };
    chunks(&parts(&turn.text, turn.chunk_chars), &event(turn, &json!({ field: MARKED }), None), &mut pieces);
    for (index, call) in turn.calls.iter().enumerate() {
        let head = json!({"index": index, "id": call.id, "type": "function", "function": {"name": call.name, "arguments": ""}});
        pieces.push(Piece::frame(event(turn, &json!({"tool_calls": [head]}), None)));
        for part in parts(&call.arguments.to_string(), turn.chunk_chars) {
            let delta = json!({"tool_calls": [{"index": index, "function": {"arguments": part}}]});
            pieces.push(Piece::chunk(event(turn, &delta, None), &part));
        }
    }
    pieces.push(Piece::frame(event(turn, &json!({}), Some(finish(turn.stop)))));
    if wants_usage && turn.tells_usage {
        let mut last = chunk(turn, &json!([]));
        if let Some(object) = last.as_object_mut() {
            object.insert("usage".into(), usage(turn));
        }
        pieces.push(Piece::frame(format!("data: {last}\n\n")));
    }
    pieces.push(Piece::frame("data: [DONE]\n\n"));
    pieces
}

/// A whole answer.
pub(crate) fn whole(turn: &Turn) -> Value {
    let text = (!turn.text.is_empty() || turn.calls.is_empty()).then_some(&turn.text);
    let mut message = json!({"role": "assistant", "content": text, "refusal": null});
    if let Some(object) = message.as_object_mut() {
        if turn.stop == Stop::Refused {
            object.insert("refusal".into(), json!(turn.text));
            object.insert("content".into(), Value::Null);
        }
        if let Some(reasoning) = &turn.reasoning {
            object.insert("reasoning_content".into(), json!(reasoning));
        }
        if !turn.calls.is_empty() {
            let calls: Vec<Value> = turn
                .calls
                .iter()
                .map(|call| json!({"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments.to_string()}}))
                .collect();
            object.insert("tool_calls".into(), json!(calls));
        }
    }
    let mut answer = json!({
        "id": format!("chatcmpl-{}", turn.number), "object": "chat.completion", "created": 1_700_000_000, "model": turn.model,
        "choices": [{"index": 0, "message": message, "logprobs": null, "finish_reason": finish(turn.stop)}],
    });
    if turn.tells_usage
        && let Some(object) = answer.as_object_mut()
    {
        object.insert("usage".into(), usage(turn));
    }
    answer
}

/// The list of models.
pub(crate) fn models() -> Value {
    json!({"object": "list", "data": [{"id": "scripted", "object": "model", "created": 1_700_000_000, "owned_by": "rejoinder"}]})
}

/// The body of an error.
pub(crate) fn error(kind: &str, code: Option<&str>, message: &str) -> Value {
    json!({"error": {"message": message, "type": kind, "param": null, "code": code}})
}

/// The body that says that the prompt is too long.
pub(crate) fn too_long(wording: Wording) -> Value {
    match wording {
        Wording::Own | Wording::PromptAndAnswer => error(
            "invalid_request_error",
            Some("context_length_exceeded"),
            "This model's maximum context length is 8192 tokens. However, your messages resulted in 9001 tokens. Please reduce the length of the messages.",
        ),
        Wording::LlamaCpp => json!({"error": {
            "code": 400, "message": "the request exceeds the available context size, try increasing it",
            "type": "exceed_context_size_error", "n_prompt_tokens": 9001, "n_ctx": 8192,
        }}),
        Wording::Vllm => json!({
            "object": "error", "type": "BadRequestError", "param": null, "code": 400,
            "message": "This model's maximum context length is 8192 tokens. However, you requested 9101 tokens (9001 in the messages, 100 in the completion). Please reduce the length of the messages or completion.",
        }),
        Wording::VllmNested => json!({"error": {
            "type": "BadRequestError", "param": null, "code": 400,
            "message": "This model's maximum context length is 8192 tokens. However, your request has 9001 input tokens. Please reduce the length of the input messages.",
        }}),
    }
}

fn event(turn: &Turn, delta: &Value, finish: Option<&str>) -> String {
    let choices = json!([{"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish}]);
    format!("data: {}\n\n", chunk(turn, &choices))
}

fn chunk(turn: &Turn, choices: &Value) -> Value {
    json!({
        "id": format!("chatcmpl-{}", turn.number), "object": "chat.completion.chunk", "created": 1_700_000_000,
        "model": turn.model, "choices": choices,
    })
}

fn finish(stop: Stop) -> &'static str {
    match stop {
        Stop::Done | Stop::Refused => "stop",
        Stop::Length => "length",
        Stop::ToolCalls => "tool_calls",
        Stop::Filtered => "content_filter",
    }
}

fn usage(turn: &Turn) -> Value {
    json!({
        "prompt_tokens": turn.input, "completion_tokens": turn.output, "total_tokens": turn.input + turn.output,
        "prompt_tokens_details": {"cached_tokens": turn.cached},
    })
}

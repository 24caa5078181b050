//! Anthropic's words: the Messages API, <https://docs.anthropic.com/en/api/messages> and
//! <https://docs.anthropic.com/en/docs/build-with-claude/streaming>.

use serde_json::{Value, json};

use crate::failure::Wording;
use crate::turn::{MARKED, Piece, Stop, Turn, chunks, parts};

/// The events of a streamed answer.
pub(crate) fn stream(turn: &Turn) -> Vec<Piece> {
    let message = json!({
        "id": format!("msg_{}", turn.number), "type": "message", "role": "assistant", "model": turn.model, "content": [],
        "stop_reason": null, "stop_sequence": null, "usage": usage(turn, 1),
    });
    let mut pieces = vec![
        Piece::frame(event("message_start", &json!({"message": message}))),
        Piece::frame(event("ping", &json!({}))),
    ];
    let mut index = 0;
    if let Some(reasoning) = &turn.reasoning {
        pieces.push(start(index, &json!({"type": "thinking", "thinking": "", "signature": ""})));
        for part in parts(reasoning, turn.chunk_chars) {
            pieces.push(Piece::frame(delta(index, &json!({"type": "thinking_delta", "thinking": part}))));
        }
        pieces.push(Piece::frame(delta(index, &json!({"type": "signature_delta", "signature": "c2lnbmVk"}))));
        pieces.push(end(index));
        index += 1;
    }
    if !turn.text.is_empty() || turn.calls.is_empty() {
        pieces.push(start(index, &json!({"type": "text", "text": ""})));
        let event = delta(index, &json!({"type": "text_delta", "text": MARKED}));
        chunks(&parts(&turn.text, turn.chunk_chars), &event, &mut pieces);
        pieces.push(end(index));
        index += 1;
    }
    for call in &turn.calls {
        pieces.push(start(index, &json!({"type": "tool_use", "id": call.id, "name": call.name, "input": {}})));
        pieces.push(Piece::frame(delta(index, &json!({"type": "input_json_delta", "partial_json": ""}))));
        for part in parts(&call.arguments.to_string(), turn.chunk_chars) {
            pieces.push(Piece::chunk(delta(index, &json!({"type": "input_json_delta", "partial_json": part})), &part));
        }
        pieces.push(end(index));
        index += 1;
    }
    let mut last = json!({"delta": {"stop_reason": stop(turn.stop), "stop_sequence": null}});
    if turn.tells_usage
        && let Some(object) = last.as_object_mut()
    {
        object.insert("usage".into(), json!({"output_tokens": turn.output}));
    }
    pieces.push(Piece::frame(event("message_delta", &last)));
    pieces.push(Piece::frame(event("message_stop", &json!({}))));
    pieces
}

/// A whole answer.
pub(crate) fn whole(turn: &Turn) -> Value {
    let mut content = Vec::new();
    if let Some(reasoning) = &turn.reasoning {
        content.push(json!({"type": "thinking", "thinking": reasoning, "signature": "c2lnbmVk"}));
    }
    if !turn.text.is_empty() || turn.calls.is_empty() {
        content.push(json!({"type": "text", "text": turn.text}));
    }
    for call in &turn.calls {
        content.push(json!({"type": "tool_use", "id": call.id, "name": call.name, "input": call.arguments}));
    }
    json!({
        "id": format!("msg_{}", turn.number), "type": "message", "role": "assistant", "model": turn.model,
        "content": content, "stop_reason": stop(turn.stop), "stop_sequence": null, "usage": usage(turn, turn.output),
    })
}

/// The body of an error.
pub(crate) fn error(kind: &str, message: &str) -> Value {
    json!({"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_scripted"})
}

/// The body that says that the prompt is too long.
pub(crate) fn too_long(wording: Wording) -> Value {
    let message = match wording {
        Wording::PromptAndAnswer => {
            "input length and `max_tokens` exceed context limit: 195000 + 8192 > 200000, decrease input length or `max_tokens` and try again"
        }
        _ => "prompt is too long: 210000 tokens > 200000 maximum",
    };
    error("invalid_request_error", message)
}

/// An event; its data holds its type too.
pub(crate) fn event(kind: &str, data: &Value) -> String {
    let mut data = data.clone();
    if let Some(object) = data.as_object_mut() {
        object.insert("type".into(), json!(kind));
    }
    format!("event: {kind}\ndata: {data}\n\n")
}

fn start(index: usize, block: &Value) -> Piece {
    Piece::frame(event("content_block_start", &json!({"index": index, "content_block": block})))
}

pub(crate) fn delta(index: usize, delta: &Value) -> String {
    event("content_block_delta", &json!({"index": index, "delta": delta}))
}

fn end(index: usize) -> Piece {
    Piece::frame(event("content_block_stop", &json!({"index": index})))
}

fn stop(stop: Stop) -> &'static str {
    match stop {
        Stop::Done => "end_turn",
        Stop::Length => "max_tokens",
        Stop::ToolCalls => "tool_use",
        Stop::Filtered | Stop::Refused => "refusal",
    }
}

fn usage(turn: &Turn, output: usize) -> Value {
    if !turn.tells_usage {
        return Value::Null;
    }
    // Anthropic does not count what was cached among the input tokens.
    json!({
        "input_tokens": turn.input - turn.cached.min(turn.input), "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": turn.cached, "output_tokens": output,
    })
}

//! The messages of a chat.

use rejoinder::{ChatMessage, ChatRole, ToolCall};
use serde_json::Value;

use super::error::OpenAiError;
use super::fields::{Fields, expected};

/// Reads `messages`: every role of the API, content as a text or as parts of text.
///
/// A participant's `name` is read and not handed on: chat templates have no place for it.
pub(crate) fn read(values: Vec<Value>, most: usize) -> Result<Vec<ChatMessage>, OpenAiError> {
    if values.is_empty() {
        return Err(OpenAiError::invalid("messages", "'messages' must hold at least one message"));
    }
    if values.len() > most {
        let message = format!("'messages' has {} messages; {most} are allowed (server.openai.messages)", values.len());
        return Err(OpenAiError::invalid("messages", message));
    }
    let mut messages: Vec<ChatMessage> = Vec::with_capacity(values.len());
    for (place, value) in values.into_iter().enumerate() {
        let message = one(value, format!("messages[{place}]"))?;
        let is_known = |id: &String| messages.iter().flat_map(|known| &known.tool_calls).any(|call| call.id == *id);
        if message.tool_call_id.as_ref().is_some_and(|id| !is_known(id)) {
            let message = "no earlier message of the assistant has a tool call of this id";
            return Err(OpenAiError::invalid(format!("messages[{place}].tool_call_id"), message));
        }
        messages.push(message);
    }
    Ok(messages)
}

fn one(value: Value, path: String) -> Result<ChatMessage, OpenAiError> {
    let mut fields = Fields::of(value, path)?;
    let name = fields.required_string("role")?;
    let role = match name.as_str() {
        "system" | "developer" => ChatRole::System,
        "user" => ChatRole::User,
        "assistant" => ChatRole::Assistant,
        "tool" => ChatRole::Tool,
        "function" => {
            return Err(OpenAiError::unsupported(
                fields.at("role"),
                "the role 'function' is not supported: use 'tool'",
            ));
        }
        _ => {
            let message = "'role' must be 'developer', 'system', 'user', 'assistant' or 'tool'";
            return Err(OpenAiError::invalid(fields.at("role"), message));
        }
    };
    let mut message = ChatMessage::new(role, "");
    let content = content(&mut fields, role)?;
    match role {
        ChatRole::Assistant => {
            message.tool_calls = tool_calls(&mut fields)?;
            let refusal = fields.string("refusal")?;
            fields.refuse("audio", |_| false, "only text is")?;
            fields.refuse("function_call", |_| false, "use 'tool_calls'")?;
            fields.ignore(&["name", "annotations"]);
            let said = content.or(refusal);
            if said.is_none() && message.tool_calls.is_empty() {
                return Err(OpenAiError::missing(fields.at("content")));
            }
            message.content = said.unwrap_or_default();
        }
        ChatRole::Tool => {
            message.tool_call_id = Some(fields.required_string("tool_call_id")?);
            message.content = content.ok_or_else(|| OpenAiError::missing(fields.at("content")))?;
        }
        ChatRole::System | ChatRole::User => {
            fields.ignore(&["name"]);
            message.content = content.ok_or_else(|| OpenAiError::missing(fields.at("content")))?;
        }
    }
    fields.finish()?;
    Ok(message)
}

/// A text, or parts of text, which are lines of one.
fn content(fields: &mut Fields, role: ChatRole) -> Result<Option<String>, OpenAiError> {
    let place = fields.at("content");
    match fields.take("content") {
        None => Ok(None),
        Some(value) => text_of(value, &place, role == ChatRole::Assistant).map(Some),
    }
}

/// The text of a content; a part of a kind that this server does not read is refused by its place.
pub(crate) fn text_of(value: Value, place: &str, refusals: bool) -> Result<String, OpenAiError> {
    let parts = match value {
        Value::String(text) => return Ok(text),
        Value::Array(parts) => parts,
        other => return Err(expected("a string or an array of parts", &other, place)),
    };
    if parts.is_empty() {
        return Err(OpenAiError::invalid(place, format!("'{place}' must hold at least one part")));
    }
    let mut texts = Vec::with_capacity(parts.len());
    for (number, part) in parts.into_iter().enumerate() {
        let mut part = Fields::of(part, format!("{place}[{number}]"))?;
        let kind = part.required_string("type")?;
        match kind.as_str() {
            "text" => texts.push(part.required_string("text")?),
            "refusal" if refusals => texts.push(part.required_string("refusal")?),
            "image_url" | "input_audio" | "file" => {
                let message = format!("parts of type '{kind}' are not supported: only text is");
                return Err(OpenAiError::unsupported(part.at("type"), message));
            }
            _ => return Err(OpenAiError::invalid(part.at("type"), "'type' must be 'text'")),
        }
        part.ignore(&["prompt_cache_breakpoint"]);
        part.finish()?;
    }
    Ok(texts.join("\n"))
}

fn tool_calls(fields: &mut Fields) -> Result<Vec<ToolCall>, OpenAiError> {
    let place = fields.at("tool_calls");
    let calls = fields.array("tool_calls")?.unwrap_or_default();
    calls.into_iter().enumerate().map(|(number, call)| tool_call(call, format!("{place}[{number}]"))).collect()
}

fn tool_call(value: Value, path: String) -> Result<ToolCall, OpenAiError> {
    let mut fields = Fields::of(value, path)?;
    let id = fields.required_string("id")?;
    // Chunks of a stream that were put together have the index too.
    fields.ignore(&["index"]);
    if fields.required_string("type")? != "function" {
        return Err(OpenAiError::unsupported(fields.at("type"), "only calls of type 'function' are supported"));
    }
    let Some(mut function) = fields.object("function")? else {
        return Err(OpenAiError::missing(fields.at("function")));
    };
    let name = function.required_string("name")?;
    let arguments = function.required_string("arguments")?;
    // What the clients' parse helpers add is sent back by some callers.
    function.ignore(&["parsed_arguments"]);
    function.finish()?;
    fields.finish()?;
    Ok(ToolCall { id, name, arguments })
}

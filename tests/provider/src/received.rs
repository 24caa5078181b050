//! What a client sent.

use serde_json::Value;

/// A request as it arrived.
#[derive(Clone, Debug)]
pub struct Received {
    /// From 0, in order of arrival, over all connections.
    pub number: usize,
    /// Which connection brought it, from 0.
    pub connection: usize,
    /// The method.
    pub method: String,
    /// The path without the query.
    pub path: String,
    /// The query without its `?`, or empty.
    pub query: String,
    /// Names in lower case, in order.
    pub headers: Vec<(String, String)>,
    /// The body; null where it is not JSON.
    pub body: Value,
    /// The body's bytes.
    pub raw: Vec<u8>,
}

impl Received {
    /// The first header of this name, which is in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The text of the last message of the user, or nothing.
    pub fn last_user_text(&self) -> String {
        let messages = self.body.get("messages").and_then(Value::as_array);
        let last = messages.into_iter().flatten().rev().find(|message| message.get("role") == Some(&"user".into()));
        last.and_then(|message| message.get("content")).map(text_of).unwrap_or_default()
    }

    /// All texts of the prompt, one after the other.
    pub fn prompt_text(&self) -> String {
        let mut text = self.body.get("system").map(text_of).unwrap_or_default();
        for message in self.body.get("messages").and_then(Value::as_array).into_iter().flatten() {
            text.push_str(&message.get("content").map(text_of).unwrap_or_default());
        }
        text
    }

    /// Whether it asks for an answer in a form.
    pub fn asks_for_schema(&self) -> bool {
        self.body.pointer("/response_format/json_schema").is_some()
            || self.body.pointer("/output_config/format").is_some()
            || self.forced_tool().is_some()
    }

    pub(crate) fn is_anthropic(&self) -> bool {
        self.path.ends_with("/messages")
    }

    pub(crate) fn streams(&self) -> bool {
        self.body.get("stream").and_then(Value::as_bool).unwrap_or(false)
    }

    pub(crate) fn wants_usage(&self) -> bool {
        self.body.pointer("/stream_options/include_usage").and_then(Value::as_bool).unwrap_or(false)
    }

    pub(crate) fn model(&self) -> &str {
        self.body.get("model").and_then(Value::as_str).unwrap_or("scripted")
    }

    /// The one tool that the model must call.
    pub(crate) fn forced_tool(&self) -> Option<&str> {
        let choice = self.body.get("tool_choice")?;
        let name = choice.get("name").or_else(|| choice.pointer("/function/name"))?;
        name.as_str()
    }

    pub(crate) fn max_tokens(&self) -> Option<usize> {
        let limit = self.body.get("max_completion_tokens").or_else(|| self.body.get("max_tokens"))?;
        limit.as_u64().map(|limit| limit as usize)
    }
}

/// The text of a message's content: a string, or the texts and tool results of its blocks.
fn text_of(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(blocks) => blocks
            .iter()
            .filter_map(|block| block.get("text").or_else(|| block.get("content")))
            .map(text_of)
            .collect::<Vec<_>>()
            .join("\n"),
        _ => String::new(),
    }
}

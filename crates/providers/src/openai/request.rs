//! From a question to the body of its request, <https://platform.openai.com/docs/api-reference/chat/create>.

use serde::Serialize;
use serde_json::{Value, json};

use rejoinder_domain::{ChatMessage, ChatRole, GenerateRequest, SeamError, Tool, ToolChoice};

use crate::answer::ANSWER_TOOL;
use crate::options::{RemoteOptions, SamplingFields, StructuredOutput, TokenLimitField};
use crate::request::{ANSWER_TOOL_DESCRIPTION, parameters, schema_of};
use crate::schema::openai_strict;

/// Stop texts that OpenAI takes at most. We look for the others ourselves.
pub(crate) const MAX_STOPS: usize = 4;

/// The body, field by field in this order. Nothing else of a question leaves the machine.
#[derive(Serialize)]
pub(crate) struct Body<'a> {
    model: &'a str,
    messages: Vec<Message<'a>>,
    stream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream_options: Option<StreamOptions>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_completion_tokens: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    min_p: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    repetition_penalty: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    repeat_penalty: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<u64>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    stop: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    response_format: Option<Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<Value>,
}

#[derive(Serialize)]
struct StreamOptions {
    include_usage: bool,
}

#[derive(Serialize)]
struct Message<'a> {
    role: &'static str,
    content: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_call_id: Option<&'a str>,
}

pub(crate) fn body<'a>(
    options: &'a RemoteOptions,
    limit: TokenLimitField,
    request: &'a GenerateRequest,
) -> Result<Body<'a>, SeamError> {
    let sampling = &request.sampling;
    let known = options.sampling;
    let standard = |value: f32, is_default: bool| (known != SamplingFields::Off && !is_default).then_some(value);
    let extended = matches!(known, SamplingFields::Extended | SamplingFields::LlamaCpp);
    let penalty = (sampling.repetition_penalty - 1.0).abs() > f32::EPSILON;
    let schema = schema_of(&request.output)?;
    let mut tools: Vec<Value> = request.tools.iter().map(tool).collect();
    let mut tool_choice = choice(request);
    let mut response_format = None;
    if let Some(schema) = schema {
        if options.structured_output == StructuredOutput::Tool {
            // With tools of the caller the model may call one of those instead.
            let alone = request.tools.is_empty() || request.tool_choice == ToolChoice::Off;
            if alone {
                tools.clear();
            }
            tools.push(function(ANSWER_TOOL, Some(ANSWER_TOOL_DESCRIPTION), &schema, false));
            tool_choice = Some(if alone { named(ANSWER_TOOL) } else { json!("required") });
        } else {
            let strict = openai_strict(&schema);
            response_format = Some(
                json!({"type": "json_schema", "json_schema": {"name": ANSWER_TOOL, "schema": schema, "strict": strict}}),
            );
        }
    }
    Ok(Body {
        model: &options.model,
        messages: request.messages.iter().map(message).collect(),
        stream: options.can_stream,
        stream_options: options.can_stream.then_some(StreamOptions { include_usage: true }),
        max_tokens: (limit == TokenLimitField::MaxTokens).then_some(request.max_tokens),
        max_completion_tokens: (limit != TokenLimitField::MaxTokens).then_some(request.max_tokens),
        temperature: standard(sampling.temperature, false),
        top_p: standard(sampling.top_p, sampling.top_p >= 1.0),
        min_p: (extended && sampling.min_p > 0.0).then_some(sampling.min_p),
        repetition_penalty: (known == SamplingFields::Extended && penalty).then_some(sampling.repetition_penalty),
        repeat_penalty: (known == SamplingFields::LlamaCpp && penalty).then_some(sampling.repetition_penalty),
        // Servers that count in 64 bits count with a sign.
        seed: sampling.seed.filter(|_| known != SamplingFields::Off).map(|seed| seed & (u64::MAX >> 1)),
        stop: request.stop.get(..MAX_STOPS).unwrap_or(&request.stop),
        response_format,
        tools,
        tool_choice,
    })
}

fn message(message: &ChatMessage) -> Message<'_> {
    let tool_calls: Vec<Value> = message
        .tool_calls
        .iter()
        .map(|call| json!({"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}))
        .collect();
    let empty = message.role == ChatRole::Assistant && message.content.is_empty() && !tool_calls.is_empty();
    Message {
        role: message.role.as_str(),
        content: (!empty).then_some(&message.content),
        tool_calls,
        tool_call_id: message.tool_call_id.as_deref(),
    }
}

fn tool(tool: &Tool) -> Value {
    function(&tool.name, tool.description.as_deref(), &tool.parameters, tool.strict)
}

fn function(name: &str, description: Option<&str>, schema: &Value, strict: bool) -> Value {
    let mut function = serde_json::Map::new();
    function.insert("name".into(), name.into());
    if let Some(description) = description {
        function.insert("description".into(), description.into());
    }
    function.insert("parameters".into(), parameters(schema));
    // Servers that do not know it refuse it, so it is sent only where it says something.
    if strict {
        function.insert("strict".into(), true.into());
    }
    json!({"type": "function", "function": function})
}

fn choice(request: &GenerateRequest) -> Option<Value> {
    if request.tools.is_empty() {
        return None;
    }
    match &request.tool_choice {
        ToolChoice::Auto => None,
        ToolChoice::Off => Some(json!("none")),
        ToolChoice::Required => Some(json!("required")),
        ToolChoice::Named(name) => Some(named(name)),
    }
}

fn named(name: &str) -> Value {
    json!({"type": "function", "function": {"name": name}})
}

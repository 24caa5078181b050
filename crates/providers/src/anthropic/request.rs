//! From a question to the body of its request, <https://docs.anthropic.com/en/api/messages>.

use serde::Serialize;
use serde_json::{Map, Value, json};

use rejoinder_domain::{ChatMessage, ChatRole, GenerateRequest, Sampling, SeamError, Tool, ToolCall, ToolChoice};

use crate::answer::ANSWER_TOOL;
use crate::options::{RemoteOptions, SamplingFields, StructuredOutput};
use crate::request::{ANSWER_TOOL_DESCRIPTION, invalid, parameters, schema_of};
use crate::schema;

/// The body, field by field in this order. Nothing else of a question leaves the machine.
#[derive(Serialize)]
pub(crate) struct Body<'a> {
    model: &'a str,
    max_tokens: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    system: Option<String>,
    messages: Vec<Message>,
    stream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f32>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    stop_sequences: Vec<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_config: Option<Value>,
}

#[derive(Serialize)]
struct Message {
    role: &'static str,
    content: Vec<Value>,
}

/// A request, and what its answer is read with.
pub(crate) struct Prepared<'a> {
    pub(crate) body: Body<'a>,
    /// Whether the answer comes as the arguments of a tool.
    pub(crate) answer_tool: bool,
    /// Stop texts that Anthropic does not take: those of white space.
    pub(crate) own_stops: Vec<String>,
}

pub(crate) fn prepare<'a>(options: &'a RemoteOptions, request: &'a GenerateRequest) -> Result<Prepared<'a>, SeamError> {
    let mut tools: Vec<Value> = request.tools.iter().map(tool).collect();
    let mut tool_choice = choice(request);
    let (mut output_config, mut answer_tool) = (None, false);
    if let Some(schema) = schema_of(&request.output)? {
        let native =
            (options.structured_output == StructuredOutput::Native).then(|| schema::anthropic(&schema)).flatten();
        if let Some(schema) = native {
            output_config = Some(json!({"format": {"type": "json_schema", "schema": schema}}));
        } else {
            let alone = request.tools.is_empty() || request.tool_choice == ToolChoice::Off;
            if alone {
                tools.clear();
            }
            let mut taker = json!({"name": ANSWER_TOOL, "description": ANSWER_TOOL_DESCRIPTION});
            if let Some(taker) = taker.as_object_mut() {
                taker.insert("input_schema".into(), schema);
            }
            tools.push(taker);
            // With tools of the caller the model may call one of those instead.
            tool_choice =
                Some(if alone { json!({"type": "tool", "name": ANSWER_TOOL}) } else { json!({"type": "any"}) });
            answer_tool = true;
        }
    }
    let (temperature, top_p) = sampling(options.sampling, &request.sampling);
    let (theirs, ours): (Vec<&String>, Vec<&String>) = request.stop.iter().partition(|stop| !stop.trim().is_empty());
    let body = Body {
        model: &options.model,
        max_tokens: request.max_tokens,
        system: system(&request.messages),
        messages: messages(&request.messages)?,
        stream: options.can_stream,
        temperature,
        top_p,
        stop_sequences: theirs.into_iter().map(String::as_str).collect(),
        tools,
        tool_choice,
        output_config,
    };
    Ok(Prepared { body, answer_tool, own_stops: ours.into_iter().cloned().collect() })
}

/// Instructions stand beside the conversation, wherever they stood in it.
fn system(messages: &[ChatMessage]) -> Option<String> {
    let texts: Vec<&str> = messages
        .iter()
        .filter(|message| message.role == ChatRole::System && !message.content.trim().is_empty())
        .map(|message| message.content.as_str())
        .collect();
    (!texts.is_empty()).then(|| texts.join("\n\n"))
}

/// The conversation. Neighbours of one side become one message, as the results of several calls must.
fn messages(messages: &[ChatMessage]) -> Result<Vec<Message>, SeamError> {
    let mut all: Vec<Message> = Vec::new();
    for message in messages {
        let role = match message.role {
            ChatRole::System => continue,
            ChatRole::Assistant => "assistant",
            ChatRole::User | ChatRole::Tool => "user",
        };
        let mut blocks = Vec::new();
        if let Some(id) = message.tool_call_id.as_ref().filter(|_| message.role == ChatRole::Tool) {
            blocks.push(json!({"type": "tool_result", "tool_use_id": id, "content": message.content}));
        } else if !message.content.is_empty() {
            // An empty text is refused.
            blocks.push(json!({"type": "text", "text": message.content}));
        }
        for call in &message.tool_calls {
            blocks.push(tool_use(call)?);
        }
        match all.last_mut() {
            Some(last) if last.role == role => last.content.extend(blocks),
            _ if blocks.is_empty() => {}
            _ => all.push(Message { role, content: blocks }),
        }
    }
    if all.is_empty() {
        return Err(invalid("a prompt needs a message that is not empty"));
    }
    Ok(all)
}

fn tool_use(call: &ToolCall) -> Result<Value, SeamError> {
    let arguments = if call.arguments.trim().is_empty() { "{}" } else { &call.arguments };
    let input: Map<String, Value> = serde_json::from_str(arguments)
        .map_err(|_| invalid("a call in the conversation has arguments that are not a JSON object"))?;
    Ok(json!({"type": "tool_use", "id": call.id, "name": call.name, "input": input}))
}

fn tool(tool: &Tool) -> Value {
    let mut object = Map::new();
    object.insert("name".into(), tool.name.as_str().into());
    if let Some(description) = &tool.description {
        object.insert("description".into(), description.as_str().into());
    }
    object.insert("input_schema".into(), parameters(&tool.parameters));
    if tool.strict {
        object.insert("strict".into(), true.into());
    }
    Value::Object(object)
}

fn choice(request: &GenerateRequest) -> Option<Value> {
    if request.tools.is_empty() {
        return None;
    }
    match &request.tool_choice {
        ToolChoice::Auto => None,
        ToolChoice::Off => Some(json!({"type": "none"})),
        ToolChoice::Required => Some(json!({"type": "any"})),
        ToolChoice::Named(name) => Some(json!({"type": "tool", "name": name})),
    }
}

fn sampling(known: SamplingFields, sampling: &Sampling) -> (Option<f32>, Option<f32>) {
    if known == SamplingFields::Off {
        return (None, None);
    }
    if sampling.top_p < 1.0 && (sampling.temperature - 1.0).abs() < f32::EPSILON {
        return (None, Some(sampling.top_p));
    }
    (Some(sampling.temperature.clamp(0.0, 1.0)), None)
}

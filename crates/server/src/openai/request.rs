//! The body of `POST /v1/chat/completions`: every parameter of the API is honoured, refused by its name, or changes nothing.

use std::time::Duration;

use rejoinder::{CallContext, ChatMessage, GenerateRequest, OutputFormat, Priority, Sampling, TenantId};
use serde_json::{Value, json};

use super::error::OpenAiError;
use super::fields::{Fields, expected};
use super::{messages, tools};
use crate::config::OpenAiConfig;

/// Stop texts of one request, as the API has it.
const STOP_TEXTS: usize = 4;

/// A question that was read.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ChatRequest {
    /// What the client calls the model.
    pub(crate) model: String,
    /// The question; the context's request id, egress and wanted model are not in the body.
    pub(crate) generate: GenerateRequest,
    /// How it is delivered.
    pub(crate) delivery: Delivery,
}

/// How an answer is delivered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Delivery {
    /// In pieces.
    pub(crate) stream: bool,
    /// With a last chunk that says what it cost.
    pub(crate) include_usage: bool,
    /// The first tool call only.
    pub(crate) one_tool_call: bool,
}

/// What is the same for all requests.
pub(crate) struct Defaults<'a> {
    /// Whose question it is.
    pub(crate) tenant: &'a TenantId,
    /// Limits and defaults.
    pub(crate) config: &'a OpenAiConfig,
    /// How long an answer may take.
    pub(crate) deadline: Duration,
}

/// Reads a body.
pub(crate) fn read(body: Value, defaults: &Defaults<'_>) -> Result<ChatRequest, OpenAiError> {
    let config = defaults.config;
    let mut fields = Fields::of(body, "")?;
    refuse_what_is_not_done(&mut fields)?;
    let model = fields.required_string("model")?;
    let messages = fields.array("messages")?.ok_or_else(|| OpenAiError::missing("messages"))?;
    let messages = messages::read(messages, config.messages)?;
    let delivery = delivery(&mut fields)?;
    let generate = GenerateRequest {
        max_tokens: max_tokens(&mut fields, config)?,
        sampling: sampling(&mut fields, config)?,
        stop: stop(&mut fields)?,
        output: output(&mut fields, config)?,
        lookup: prediction(&mut fields)?,
        priority: priority(&mut fields)?,
        deadline: Some(defaults.deadline),
        ..question(&mut fields, defaults, messages)?
    };
    let delivery = Delivery { one_tool_call: one_tool_call(&mut fields, &generate)?, ..delivery };
    fields.ignore(&[
        "user",
        "metadata",
        "safety_identifier",
        "prompt_cache_key",
        "prompt_cache_retention",
        "prompt_cache_options",
    ]);
    fields.finish()?;
    Ok(ChatRequest { model, generate, delivery })
}

fn question(
    fields: &mut Fields,
    defaults: &Defaults<'_>,
    messages: Vec<ChatMessage>,
) -> Result<GenerateRequest, OpenAiError> {
    let tools = match fields.array("tools")? {
        Some(values) => tools::read(values, defaults.config.tools)?,
        None => Vec::new(),
    };
    let tool_choice = tools::choice(fields.take("tool_choice"), &tools)?;
    let context = CallContext { candidates: 1, ..CallContext::default() };
    Ok(GenerateRequest { tools, tool_choice, context, ..GenerateRequest::new(defaults.tenant.clone(), messages, 1) })
}

/// Values that ask for what no model here does. One that asks for nothing is taken: the clients send some by default.
fn refuse_what_is_not_done(fields: &mut Fields) -> Result<(), OpenAiError> {
    let never: fn(&Value) -> bool = |_| false;
    let zero: fn(&Value) -> bool = |value| value.as_f64() == Some(0.0);
    fields.refuse("n", |value| value.as_u64() == Some(1), "one answer is given; ask again for another")?;
    fields.refuse("logprobs", |value| *value == Value::Bool(false), "probabilities of tokens are not told")?;
    fields.refuse("top_logprobs", zero, "probabilities of tokens are not told")?;
    fields.refuse(
        "logit_bias",
        |value| value.as_object().is_some_and(serde_json::Map::is_empty),
        "use 'response_format'",
    )?;
    fields.refuse("frequency_penalty", zero, "only 0 is")?;
    fields.refuse("presence_penalty", zero, "only 0 is")?;
    fields.refuse("audio", never, "only text is")?;
    fields.refuse("modalities", |value| *value == json!(["text"]), "only [\"text\"] is")?;
    fields.refuse("web_search_options", never, "nothing is searched")?;
    fields.refuse("moderation", never, "nothing is moderated")?;
    fields.refuse("reasoning_effort", |value| *value == "none", "no model here takes it")?;
    fields.refuse("verbosity", |value| *value == "medium", "say it in a message")?;
    fields.refuse("store", |value| *value == Value::Bool(false), "answers are not stored")?;
    fields.refuse("functions", never, "use 'tools'")?;
    fields.refuse("function_call", never, "use 'tool_choice'")
}

fn delivery(fields: &mut Fields) -> Result<Delivery, OpenAiError> {
    let stream = fields.boolean("stream")?.unwrap_or(false);
    let include_usage = match fields.object("stream_options")? {
        None => false,
        Some(_) if !stream => {
            return Err(OpenAiError::invalid("stream_options", "'stream_options' needs 'stream' to be true"));
        }
        Some(mut options) => {
            let include_usage = options.boolean("include_usage")?.unwrap_or(false);
            // Obfuscation pads chunks against eavesdroppers on their lengths; there are none on loopback.
            options.boolean("include_obfuscation")?;
            options.finish()?;
            include_usage
        }
    };
    Ok(Delivery { stream, include_usage, one_tool_call: false })
}

fn one_tool_call(fields: &mut Fields, generate: &GenerateRequest) -> Result<bool, OpenAiError> {
    match fields.boolean("parallel_tool_calls")? {
        Some(_) if generate.tools.is_empty() => {
            Err(OpenAiError::invalid("parallel_tool_calls", "'parallel_tool_calls' needs 'tools'"))
        }
        parallel => Ok(parallel == Some(false)),
    }
}

fn max_tokens(fields: &mut Fields, config: &OpenAiConfig) -> Result<usize, OpenAiError> {
    let (old, new) = (fields.integer("max_tokens", 1)?, fields.integer("max_completion_tokens", 1)?);
    if old.is_some() && new.is_some() {
        let message = "'max_tokens' and 'max_completion_tokens' are the same; send one";
        return Err(OpenAiError::invalid("max_tokens", message));
    }
    // More than an address space holds is more than any context, which the model says.
    Ok(new.or(old).map_or(config.max_tokens, |tokens| usize::try_from(tokens).unwrap_or(usize::MAX)))
}

fn sampling(fields: &mut Fields, config: &OpenAiConfig) -> Result<Sampling, OpenAiError> {
    let temperature = fields.number("temperature", 0.0, 2.0)?.map_or(config.temperature, |value| value as f32);
    let top_p = fields.number("top_p", 0.0, 1.0)?.unwrap_or(1.0) as f32;
    let seed = fields.integer("seed", 0)?;
    Ok(Sampling { temperature, top_p, seed, ..Sampling::default() })
}

fn stop(fields: &mut Fields) -> Result<Vec<String>, OpenAiError> {
    let values = match fields.take("stop") {
        None => return Ok(Vec::new()),
        Some(text @ Value::String(_)) => vec![text],
        Some(Value::Array(values)) => values,
        Some(other) => return Err(expected("a string or an array of strings", &other, "stop")),
    };
    if values.len() > STOP_TEXTS {
        return Err(OpenAiError::invalid("stop", format!("'stop' takes at most {STOP_TEXTS} texts")));
    }
    let read = |value| match value {
        Value::String(text) if !text.is_empty() => Ok(text),
        Value::String(_) => Err(OpenAiError::invalid("stop", "a stop text must not be empty")),
        other => Err(expected("a string or an array of strings", &other, "stop")),
    };
    values.into_iter().map(read).collect()
}

/// A schema is always enforced, whether `strict` asks for it or not.
fn output(fields: &mut Fields, config: &OpenAiConfig) -> Result<OutputFormat, OpenAiError> {
    let Some(mut format) = fields.object("response_format")? else { return Ok(OutputFormat::Text) };
    let output = match format.required_string("type")?.as_str() {
        "text" => OutputFormat::Text,
        "json_object" => OutputFormat::Json(json!({"type": "object"})),
        "json_schema" => {
            let Some(mut described) = format.object("json_schema")? else {
                return Err(OpenAiError::missing(format.at("json_schema")));
            };
            let name = described.required_string("name")?;
            if !tools::is_name(&name) {
                let message = "a schema's name is 1 to 64 letters, digits, '_' and '-'";
                return Err(OpenAiError::invalid(described.at("name"), message));
            }
            described.string("description")?;
            described.boolean("strict")?;
            let schema = described.take("schema").unwrap_or_else(|| json!({"type": "object"}));
            if !schema.is_object() {
                return Err(expected("a JSON Schema", &schema, described.at("schema")));
            }
            let bytes = schema.to_string().len();
            if bytes > config.schema_bytes {
                let message = format!(
                    "the schema has {bytes} bytes; {} are allowed (server.openai.schema_bytes)",
                    config.schema_bytes
                );
                return Err(OpenAiError::invalid(described.at("schema"), message));
            }
            described.finish()?;
            OutputFormat::Json(schema)
        }
        _ => {
            let message = "'type' must be 'text', 'json_object' or 'json_schema'";
            return Err(OpenAiError::invalid(format.at("type"), message));
        }
    };
    format.finish()?;
    Ok(output)
}

/// Predicted output is what the local model calls lookup: it makes an answer faster and never another one.
fn prediction(fields: &mut Fields) -> Result<Vec<String>, OpenAiError> {
    let Some(mut prediction) = fields.object("prediction")? else { return Ok(Vec::new()) };
    if prediction.required_string("type")? != "content" {
        return Err(OpenAiError::invalid(prediction.at("type"), "'type' must be 'content'"));
    }
    let place = prediction.at("content");
    let content = prediction.take("content").ok_or_else(|| OpenAiError::missing(place.as_str()))?;
    let text = messages::text_of(content, &place, false)?;
    prediction.finish()?;
    Ok(vec![text])
}

/// OpenAI's `flex` is cheaper and slower: here it lets people go first.
fn priority(fields: &mut Fields) -> Result<Priority, OpenAiError> {
    match fields.string("service_tier")?.as_deref() {
        None | Some("auto" | "default" | "priority" | "scale") => Ok(Priority::Interactive),
        Some("flex") => Ok(Priority::Batch),
        Some(_) => {
            let message = "'service_tier' must be 'auto', 'default', 'flex', 'priority' or 'scale'";
            Err(OpenAiError::invalid("service_tier", message))
        }
    }
}

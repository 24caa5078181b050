//! What the model may ask the caller to run.

use rejoinder::{Tool, ToolChoice};
use serde_json::{Value, json};

use super::error::OpenAiError;
use super::fields::{Fields, expected};

/// Longest name of a function, as the API has it.
const NAME_CHARS: usize = 64;

/// Reads `tools`: functions, each with another name.
pub(crate) fn read(values: Vec<Value>, most: usize) -> Result<Vec<Tool>, OpenAiError> {
    if values.is_empty() {
        return Err(OpenAiError::invalid("tools", "'tools' must hold at least one tool, or be left out"));
    }
    if values.len() > most {
        let message = format!("'tools' has {} tools; {most} are allowed (server.openai.tools)", values.len());
        return Err(OpenAiError::invalid("tools", message));
    }
    let mut tools: Vec<Tool> = Vec::with_capacity(values.len());
    for (place, value) in values.into_iter().enumerate() {
        let path = format!("tools[{place}]");
        let tool = one(value, path.clone())?;
        if tools.iter().any(|known| known.name == tool.name) {
            let message = "another tool has the same name";
            return Err(OpenAiError::invalid(format!("{path}.function.name"), message));
        }
        tools.push(tool);
    }
    Ok(tools)
}

fn one(value: Value, path: String) -> Result<Tool, OpenAiError> {
    let mut fields = Fields::of(value, path)?;
    if fields.required_string("type")? != "function" {
        return Err(OpenAiError::unsupported(fields.at("type"), "only tools of type 'function' are supported"));
    }
    let Some(mut function) = fields.object("function")? else {
        return Err(OpenAiError::missing(fields.at("function")));
    };
    let name = function.required_string("name")?;
    if !is_name(&name) {
        let message = format!("a function's name is 1 to {NAME_CHARS} letters, digits, '_' and '-'");
        return Err(OpenAiError::invalid(function.at("name"), message));
    }
    let description = function.string("description")?;
    let parameters = match function.take("parameters") {
        None => json!({"type": "object", "properties": {}}),
        Some(schema @ Value::Object(_)) => schema,
        Some(other) => return Err(expected("a JSON Schema", &other, function.at("parameters"))),
    };
    let strict = function.boolean("strict")?.unwrap_or(false);
    function.finish()?;
    fields.finish()?;
    Ok(Tool { name, description, parameters, strict })
}

/// Reads `tool_choice`, which needs tools to choose from.
pub(crate) fn choice(value: Option<Value>, tools: &[Tool]) -> Result<ToolChoice, OpenAiError> {
    const PLACE: &str = "tool_choice";
    let Some(value) = value else { return Ok(ToolChoice::Auto) };
    if tools.is_empty() {
        return Err(OpenAiError::invalid(PLACE, "'tool_choice' needs 'tools'"));
    }
    let mut named = match value {
        Value::String(word) => {
            return match word.as_str() {
                "auto" => Ok(ToolChoice::Auto),
                "none" => Ok(ToolChoice::Off),
                "required" => Ok(ToolChoice::Required),
                _ => Err(OpenAiError::invalid(PLACE, "'tool_choice' must be 'auto', 'none', 'required' or a function")),
            };
        }
        object @ Value::Object(_) => Fields::of(object, PLACE)?,
        other => return Err(expected("a string or an object", &other, PLACE)),
    };
    if named.required_string("type")? != "function" {
        return Err(OpenAiError::unsupported(named.at("type"), "only a function can be chosen"));
    }
    let Some(mut function) = named.object("function")? else {
        return Err(OpenAiError::missing(named.at("function")));
    };
    let name = function.required_string("name")?;
    function.finish()?;
    named.finish()?;
    if tools.iter().any(|tool| tool.name == name) {
        return Ok(ToolChoice::Named(name));
    }
    Err(OpenAiError::invalid("tool_choice.function.name", "no tool has this name"))
}

/// Whether `name` can be a function's.
pub(crate) fn is_name(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    (1..=NAME_CHARS).contains(&name.len()) && name.chars().all(fits)
}

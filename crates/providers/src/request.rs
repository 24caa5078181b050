//! What of a question does not depend on the provider.

use serde_json::{Value, json};

use rejoinder_domain::{ChatRole, ErrorKind, GenerateRequest, OutputFormat, SeamError};

use crate::answer::CHOICE_FIELD;

/// The JSON Schema that the answer is asked for in; nothing for plain text.
///
/// A choice becomes an object with one field, since providers want an object at the root. A regular expression is
/// refused: no two providers agree on their dialect, and what is not enforced would only seem to be.
pub(crate) fn schema_of(output: &OutputFormat) -> Result<Option<Value>, SeamError> {
    match output {
        OutputFormat::Text => Ok(None),
        OutputFormat::Json(schema) => Ok(Some(without_dialect(schema))),
        OutputFormat::Choice(choices) if choices.is_empty() => Err(invalid("a choice needs at least one text")),
        OutputFormat::Choice(choices) => Ok(Some(json!({
            "type": "object",
            "properties": { CHOICE_FIELD: {"type": "string", "enum": choices} },
            "required": [CHOICE_FIELD],
            "additionalProperties": false,
        }))),
        OutputFormat::Regex(_) => Err(invalid("remote targets cannot enforce a regular expression")),
    }
}

/// The schema without the keywords that only say which dialect it is in.
fn without_dialect(schema: &Value) -> Value {
    let mut schema = schema.clone();
    if let Some(object) = schema.as_object_mut() {
        object.remove("$schema");
        object.remove("$id");
    }
    schema
}

/// Refuses what no target can be sent.
pub(crate) fn check(request: &GenerateRequest) -> Result<(), SeamError> {
    if request.max_tokens == 0 {
        return Err(invalid("an answer needs at least one token"));
    }
    if request.messages.iter().all(|message| message.role == ChatRole::System) {
        return Err(invalid("a prompt needs a message that is not an instruction"));
    }
    if request.messages.iter().any(|message| message.role == ChatRole::Tool && message.tool_call_id.is_none()) {
        return Err(invalid("the result of a tool must say which call it is the result of"));
    }
    Ok(())
}

pub(crate) fn invalid(message: &str) -> SeamError {
    SeamError::new(ErrorKind::Invalid, message)
}

/// A tool's parameters; a tool without any takes an empty object.
pub(crate) fn parameters(schema: &Value) -> Value {
    if schema.is_object() { schema.clone() } else { json!({"type": "object", "properties": {}}) }
}

/// What the tool is told that takes an answer.
pub(crate) const ANSWER_TOOL_DESCRIPTION: &str = "Takes the answer. Call it exactly once, with the whole answer.";

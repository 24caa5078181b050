//! Which subschema the engine means.

use serde_json::Value;

use super::Dialect;
use crate::GrammarError;
use crate::engine::{first_line, is_limit};

/// Compilations that are spent on finding the place of an error.
const MAX_ATTEMPTS: usize = 200;

/// What the engine's message is about: a sign in the message, the keyword, and what to tell.
const MEANINGS: [(&str, &str, &str); 10] = [
    (
        "oneOf constraints are not supported",
        "oneOf",
        "its alternatives may overlap; give each a required property with another `const`, or use `anyOf`",
    ),
    (
        "min/maxProperties only supported",
        "maxProperties",
        "`minProperties` and `maxProperties` need all named properties to be required",
    ),
    ("patternProperty regexes", "patternProperties", "two of its expressions match the same name"),
    ("if patternProperty", "patternProperties", "whether its expressions exclude each other cannot be decided"),
    ("circular references with sibling keys", "$ref", "a recursive reference beside other keywords"),
    ("lookarounds not supported", "pattern", "anchors inside of an expression and look-around are not supported"),
    ("Unable to determine if regex is empty", "pattern", "too complex together with the length that is allowed"),
    ("multipleOf", "multipleOf", "it cannot be combined with the bounds"),
    ("regex parse error", "pattern", "it is not a regular expression"),
    ("Unicode property not found", "pattern", "it names a property of characters that does not exist"),
];

impl Dialect {
    /// The error for what the engine said against the whole document. `fails` compiles another document and returns
    /// what the engine says against it.
    pub(crate) fn blame(&self, message: &str, fails: &dyn Fn(Value) -> Option<String>) -> GrammarError {
        if is_limit(message) {
            return GrammarError::TooComplex { reason: first_line(message) };
        }
        let unsatisfiable = message.contains("nsatisfiable");
        let sign = MEANINGS.iter().find(|(sign, _, _)| message.contains(sign) && !unsatisfiable);
        let mut attempts = 0;
        let mut same = |schema: &Value| {
            attempts += 1;
            let said = if attempts <= MAX_ATTEMPTS { fails(self.document(schema.clone())) } else { None };
            said.is_some_and(|said| match sign {
                Some((sign, _, _)) => said.contains(sign),
                None => !is_limit(&said) && said.contains("nsatisfiable") == unsatisfiable,
            })
        };
        // What cannot be satisfied is often meant so (`false` for a property that must be absent): only the whole
        // is at fault then.
        let place = if unsatisfiable {
            None
        } else {
            let definitions = self.definitions.values().find_map(|definition| deepest(definition, &mut same));
            definitions.or_else(|| deepest(&self.root, &mut same))
        };
        let pointer = place.unwrap_or_default();
        match sign {
            Some((_, keyword, reason)) => GrammarError::UnsupportedKeyword {
                keyword: (*keyword).to_owned(),
                pointer,
                reason: (*reason).to_owned(),
            },
            None => GrammarError::InvalidSchema { pointer, reason: first_line(message) },
        }
    }
}

/// The place of the deepest subschema that fails on its own.
fn deepest(value: &Value, same: &mut dyn FnMut(&Value) -> bool) -> Option<String> {
    let below = match value {
        Value::Object(map) => map.values().find_map(|value| deepest(value, same)),
        Value::Array(items) => items.iter().find_map(|value| deepest(value, same)),
        _ => None,
    };
    if below.is_some() {
        return below;
    }
    let place = value.as_object()?.get("$comment")?.as_str()?;
    same(value).then(|| place.to_owned())
}

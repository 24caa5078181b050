//! What is done with each keyword.

use serde_json::{Map, Value};

use crate::GrammarError;

/// What a keyword is to the compiler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keyword {
    /// Constrains values and is enforced.
    Enforced,
    /// Constrains values and cannot be enforced, for this reason.
    Unsupported(&'static str),
    /// Says something about values without constraining them, or is not of the specification.
    Annotation,
}

/// The seven names of types.
pub(super) const TYPES: [&str; 7] = ["null", "boolean", "object", "array", "number", "integer", "string"];

/// Keywords that apply other schemas to the same value.
pub(super) const APPLICATORS: [&str; 8] =
    ["allOf", "anyOf", "oneOf", "$ref", "dependentRequired", "dependentSchemas", "dependencies", "propertyNames"];

/// Keywords of objects.
pub(super) const OF_OBJECTS: [&str; 7] = [
    "properties",
    "patternProperties",
    "additionalProperties",
    "required",
    "minProperties",
    "maxProperties",
    "unevaluatedProperties",
];

/// Keywords of arrays.
pub(super) const OF_ARRAYS: [&str; 7] =
    ["items", "prefixItems", "additionalItems", "minItems", "maxItems", "uniqueItems", "unevaluatedItems"];

/// Keywords of strings but for `format`, which is not always one.
pub(super) const OF_STRINGS: [&str; 3] = ["minLength", "maxLength", "pattern"];

/// Keywords of numbers.
pub(super) const OF_NUMBERS: [&str; 5] = ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"];

/// What `keyword` of `schema` is to the compiler.
pub(super) fn classify(schema: &Map<String, Value>, keyword: &str, value: &Value) -> Keyword {
    let enforced = ["type", "enum", "const", "format"].contains(&keyword)
        || APPLICATORS.contains(&keyword)
        || OF_OBJECTS.contains(&keyword)
        || OF_ARRAYS.contains(&keyword)
        || OF_STRINGS.contains(&keyword)
        || OF_NUMBERS.contains(&keyword);
    if enforced {
        return Keyword::Enforced;
    }
    match keyword {
        "not" => Keyword::Unsupported("a value that must not have a form cannot be built token by token"),
        "if" if ["then", "else", "unevaluatedProperties", "unevaluatedItems"]
            .iter()
            .any(|word| schema.contains_key(*word)) =>
        {
            Keyword::Unsupported("conditions are not supported; write the cases as alternatives of `anyOf`")
        }
        "contains"
            if schema.get("minContains").and_then(Value::as_u64) != Some(0) || schema.contains_key("maxContains") =>
        {
            Keyword::Unsupported("which item is to match is not known before all items are written")
        }
        "$dynamicRef" | "$recursiveRef" => Keyword::Unsupported("dynamic references are not followed"),
        "disallow" | "divisibleBy" | "extends" => Keyword::Unsupported("a keyword of draft 3"),
        "required" if value.is_boolean() => Keyword::Unsupported("a boolean is the form of draft 3"),
        _ => Keyword::Annotation,
    }
}

/// A list of names, as in `required`.
pub(super) fn names<'a>(value: &'a Value, keyword: &str, at: &str) -> Result<Vec<&'a str>, GrammarError> {
    let list = value.as_array().ok_or_else(|| wrong(keyword, "an array of strings", at))?;
    list.iter().map(|name| name.as_str().ok_or_else(|| wrong(keyword, "an array of strings", at))).collect()
}

/// A count, as in `maxLength`; JSON Schema allows `3.0`.
pub(super) fn count(schema: &Map<String, Value>, keyword: &str, at: &str) -> Result<Option<u64>, GrammarError> {
    let Some(value) = schema.get(keyword) else { return Ok(None) };
    let whole = value.as_f64().filter(|number| number.fract() == 0.0 && (0.0..=9e15).contains(number));
    match value.as_u64().or(whole.map(|number| number as u64)) {
        Some(count) => Ok(Some(count)),
        None => Err(wrong(keyword, "a whole number that is not negative", at)),
    }
}

/// The keyword's value is of the wrong kind.
pub(super) fn wrong(keyword: &str, expected: &str, at: &str) -> GrammarError {
    GrammarError::InvalidSchema { pointer: at.to_owned(), reason: format!("`{keyword}` must be {expected}") }
}

/// The keyword cannot be enforced.
pub(super) fn unsupported(keyword: &str, at: &str, reason: impl Into<String>) -> GrammarError {
    GrammarError::UnsupportedKeyword { keyword: keyword.to_owned(), pointer: at.to_owned(), reason: reason.into() }
}

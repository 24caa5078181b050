//! What of a JSON Schema a provider enforces.

use std::collections::HashSet;

use serde_json::{Map, Value};

/// Keywords that OpenAI enforces with `strict`, from its guide to structured outputs.
const OPENAI_STRICT: [&str; 24] = [
    "type",
    "properties",
    "required",
    "additionalProperties",
    "items",
    "enum",
    "const",
    "anyOf",
    "$ref",
    "$defs",
    "definitions",
    "title",
    "description",
    "pattern",
    "format",
    "multipleOf",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "minItems",
    "maxItems",
    "$schema",
    "$id",
];

/// Keywords that Anthropic enforces, from its guide to structured outputs. The others would be refused.
const ANTHROPIC: [&str; 14] = [
    "type",
    "properties",
    "required",
    "additionalProperties",
    "items",
    "enum",
    "const",
    "anyOf",
    "allOf",
    "$ref",
    "$defs",
    "definitions",
    "title",
    "description",
];

/// The formats that it knows.
const ANTHROPIC_FORMATS: [&str; 10] =
    ["date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"];

/// Deeper schemas are sent as they are, unexamined.
const MAX_DEPTH: usize = 64;

/// Whether OpenAI takes the schema with `strict: true`: an object at the root, every object closed, every property
/// required, and no keyword that it does not enforce.
pub(crate) fn openai_strict(schema: &Value) -> bool {
    schema.get("type") == Some(&Value::from("object")) && strict_below(schema, 0)
}

fn strict_below(schema: &Value, depth: usize) -> bool {
    let Some(object) = schema.as_object() else { return false };
    if depth > MAX_DEPTH || !object.keys().all(|key| OPENAI_STRICT.contains(&key.as_str())) {
        return false;
    }
    let may_be_object = match object.get("type") {
        Some(Value::String(kind)) => kind == "object",
        Some(Value::Array(kinds)) => kinds.contains(&Value::from("object")),
        _ => object.contains_key("properties"),
    };
    if may_be_object {
        let required: HashSet<&str> =
            object.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
        let Some(properties) = object.get("properties").and_then(Value::as_object) else { return false };
        let closed = object.get("additionalProperties") == Some(&Value::Bool(false));
        if !closed || !properties.keys().all(|name| required.contains(name.as_str())) {
            return false;
        }
    }
    subschemas(object).all(|schema| strict_below(schema, depth + 1))
}

/// The schemas directly within one.
fn subschemas(object: &Map<String, Value>) -> impl Iterator<Item = &Value> {
    let maps = ["properties", "$defs", "definitions"].into_iter().filter_map(|key| object.get(key)?.as_object());
    let lists = ["anyOf", "allOf"].into_iter().filter_map(|key| object.get(key)?.as_array());
    maps.flat_map(|map| map.values()).chain(lists.flatten()).chain(object.get("items"))
}

/// The schema as Anthropic enforces it: closed, and without what it does not know, so that every answer that fits the
/// original fits this too where the original was closed. `None` where it cannot be said: open objects and recursion.
pub(crate) fn anthropic(schema: &Value) -> Option<Value> {
    let loosened = loosened(schema, 0)?;
    if is_recursive(&loosened) { None } else { Some(loosened) }
}

fn loosened(schema: &Value, depth: usize) -> Option<Value> {
    let object = schema.as_object().filter(|object| depth <= MAX_DEPTH && !object.is_empty())?;
    let mut kept = Map::new();
    for (key, value) in object {
        match key.as_str() {
            "properties" | "$defs" | "definitions" => {
                let below =
                    value.as_object()?.iter().map(|(name, schema)| Some((name.clone(), loosened(schema, depth + 1)?)));
                kept.insert(key.clone(), Value::Object(below.collect::<Option<Map<_, _>>>()?));
            }
            "anyOf" | "allOf" | "oneOf" => {
                let below = value.as_array()?.iter().map(|schema| loosened(schema, depth + 1));
                let key = if key == "oneOf" { "anyOf" } else { key };
                // Two lists of alternatives cannot be told as one.
                if kept.insert(key.into(), Value::Array(below.collect::<Option<Vec<_>>>()?)).is_some() {
                    return None;
                }
            }
            "items" => {
                kept.insert(key.clone(), loosened(value, depth + 1)?);
            }
            "additionalProperties" if value != &Value::Bool(false) => return None,
            "format" if value.as_str().is_some_and(|format| ANTHROPIC_FORMATS.contains(&format)) => {
                kept.insert(key.clone(), value.clone());
            }
            "minItems" if matches!(value.as_u64(), Some(0 | 1)) => {
                kept.insert(key.clone(), value.clone());
            }
            known if ANTHROPIC.contains(&known) => {
                kept.insert(key.clone(), value.clone());
            }
            _ => {}
        }
    }
    let is_object = kept.get("type") == Some(&Value::from("object")) || kept.contains_key("properties");
    if is_object {
        kept.get("properties")?;
        kept.insert("additionalProperties".into(), Value::Bool(false));
    }
    Some(Value::Object(kept))
}

/// Whether some definition needs itself. References to other places than definitions count as recursion.
fn is_recursive(schema: &Value) -> bool {
    let mut open: Vec<String> = Vec::new();
    let mut closed = HashSet::new();
    references(schema, false).iter().any(|reference| reaches_itself(schema, reference, &mut open, &mut closed))
}

fn reaches_itself(root: &Value, reference: &str, open: &mut Vec<String>, closed: &mut HashSet<String>) -> bool {
    if open.iter().any(|one| one == reference) || open.len() > MAX_DEPTH {
        return true;
    }
    if closed.contains(reference) {
        return false;
    }
    let named = reference.starts_with("#/$defs/") || reference.starts_with("#/definitions/");
    let Some(target) = reference.strip_prefix('#').filter(|_| named).and_then(|pointer| root.pointer(pointer)) else {
        return true;
    };
    open.push(reference.to_owned());
    let recursive = references(target, true).iter().any(|next| reaches_itself(root, next, open, closed));
    open.pop();
    closed.insert(reference.to_owned());
    recursive
}

/// The references in a schema; those in its definitions only when they are asked for.
fn references(schema: &Value, with_definitions: bool) -> Vec<String> {
    let mut found = Vec::new();
    let mut left = vec![schema];
    while let Some(schema) = left.pop() {
        let Some(object) = schema.as_object() else { continue };
        found.extend(object.get("$ref").and_then(Value::as_str).map(str::to_owned));
        for (key, value) in object {
            let is_definitions = key == "$defs" || key == "definitions";
            match value {
                Value::Object(map) if key == "properties" || (is_definitions && with_definitions) => {
                    left.extend(map.values());
                }
                Value::Object(_) if key == "items" => left.push(value),
                Value::Array(list) if key == "anyOf" || key == "allOf" => left.extend(list),
                _ => {}
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn openai_enforces_closed_objects_only() {
        let strict = json!({"type": "object", "additionalProperties": false, "required": ["a"], "properties": {
            "a": {"anyOf": [{"type": "string", "pattern": "^x"}, {"$ref": "#/$defs/b"}]}}, "$defs": {"b": {"type": "null"}}});
        assert!(openai_strict(&strict));
        for (pointer, value) in [
            ("/additionalProperties", json!(true)),
            ("/required", json!([])),
            ("/properties/a", json!({"type": "object"})),
            ("/properties/a", json!({"type": "string", "minLength": 2})),
            ("/properties/a", json!(true)),
            ("/type", json!("array")),
        ] {
            let mut changed = strict.clone();
            *changed.pointer_mut(pointer).unwrap() = value;
            assert!(!openai_strict(&changed), "{changed}");
        }
    }

    #[test]
    fn anthropic_gets_what_it_enforces() {
        let schema = json!({"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object",
            "properties": {"age": {"type": "integer", "minimum": 0}, "mail": {"type": "string", "format": "email", "maxLength": 9},
                "list": {"type": "array", "items": {"oneOf": [{"type": "string"}]}, "minItems": 3}}});
        assert_eq!(
            anthropic(&schema).unwrap(),
            json!({"type": "object", "additionalProperties": false,
            "properties": {"age": {"type": "integer"}, "mail": {"type": "string", "format": "email"},
                "list": {"type": "array", "items": {"anyOf": [{"type": "string"}]}}}})
        );
        for open in [
            json!({"type": "object"}),
            json!({}),
            json!(true),
            json!({"type": "object", "properties": {}, "additionalProperties": {"type": "string"}}),
            json!({"$ref": "#/$defs/a", "$defs": {"a": {"type": "array", "items": {"$ref": "#/$defs/a"}}}}),
            json!({"type": "object", "properties": {"child": {"$ref": "#"}}}),
        ] {
            assert_eq!(anthropic(&open), None, "{open}");
        }
    }
}

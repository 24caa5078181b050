//! Whether a schema has any value that ends.

use std::collections::HashSet;

use serde_json::{Map, Value};

/// Whether `root` has a value of finite size: a type that must hold a value of itself has none, and a generator would
/// write its beginning for ever. Sizes and contents are not looked at.
pub(super) fn has_finite_value(root: &Value, definitions: &Map<String, Value>) -> bool {
    let mut finite = HashSet::new();
    loop {
        let more: Vec<&str> = definitions
            .iter()
            .filter(|(name, definition)| !finite.contains(name.as_str()) && is_finite(definition, &finite))
            .map(|(name, _)| name.as_str())
            .collect();
        if more.is_empty() {
            return is_finite(root, &finite);
        }
        finite.extend(more);
    }
}

/// Whether `schema` has a finite value, given the definitions that have one.
fn is_finite(schema: &Value, finite: &HashSet<&str>) -> bool {
    let Value::Object(map) = schema else { return true };
    let list = |keyword: &str| map.get(keyword).and_then(Value::as_array).map(Vec::as_slice);
    let refers = map.get("$ref").and_then(Value::as_str).and_then(|reference| reference.strip_prefix("#/$defs/"));
    let alternatives = ["anyOf", "oneOf"].into_iter().filter_map(list);
    refers.is_none_or(|name| finite.contains(name))
        && list("allOf").is_none_or(|parts| parts.iter().all(|part| is_finite(part, finite)))
        && alternatives.into_iter().all(|parts| parts.is_empty() || parts.iter().any(|part| is_finite(part, finite)))
        && (!is_only(map, "object") || members_are_finite(map, finite))
        && (!is_only(map, "array") || items_are_finite(map, finite))
}

/// Whether every value of the schema is of the type.
fn is_only(map: &Map<String, Value>, name: &str) -> bool {
    match map.get("type") {
        Some(Value::String(only)) => only == name,
        Some(Value::Array(names)) => names.iter().all(|only| only == name),
        _ => false,
    }
}

fn members_are_finite(map: &Map<String, Value>, finite: &HashSet<&str>) -> bool {
    let properties = map.get("properties").and_then(Value::as_object);
    let required = map.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    let mut described = required.filter_map(|name| properties?.get(name));
    described.all(|property| is_finite(property, finite))
}

fn items_are_finite(map: &Map<String, Value>, finite: &HashSet<&str>) -> bool {
    let least = map.get("minItems").and_then(Value::as_u64).unwrap_or_default() as usize;
    let first = map.get("prefixItems").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    first.iter().take(least).all(|item| is_finite(item, finite))
        && (least <= first.len() || map.get("items").is_none_or(|item| is_finite(item, finite)))
}

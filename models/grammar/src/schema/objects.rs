//! Objects.

use serde_json::{Map, Value, json};

use super::composition::Composition;
use super::keywords::{count, names, unsupported, wrong};
use super::pointer;
use super::strings::below;
use super::walk::{Stand, Walker};
use crate::{Caps, GrammarError};

/// Names in a map: without quotes, backslashes and control characters, and not empty.
fn key_pattern(chars: usize) -> String {
    format!(r#"^[^"\\\x00-\x1F\x7F]{{1,{}}}$"#, chars.max(1))
}

/// A map of bounded size whose values are valid against `value`.
pub(super) fn map_of(value: &Value, caps: &Caps) -> Value {
    json!({
        "type": "object",
        "patternProperties": {key_pattern(caps.key_chars): value},
        "additionalProperties": false,
        "maxProperties": caps.map_entries,
    })
}

impl Walker<'_> {
    /// Adds the keywords of objects to `out`.
    pub(super) fn members(
        &mut self,
        map: &Map<String, Value>,
        at: &str,
        stand: Stand,
        caps: Option<&Caps>,
        out: &mut Map<String, Value>,
    ) -> Result<(), GrammarError> {
        let required = map.get("required").map_or(Ok(Vec::new()), |value| names(value, "required", at))?;
        let mut properties = self.properties(map, "properties", at, stand)?;
        let patterns = self.properties(map, "patternProperties", at, stand)?;
        let mut others = match map.get("additionalProperties") {
            None => None,
            Some(value) => {
                let here = pointer(at, "additionalProperties");
                Some(self.schema(value, &here, below(stand))?)
            }
        };
        match map.get("unevaluatedProperties") {
            Some(value) if others.is_none() && value != &Value::Bool(true) => {
                // Nothing is applied in place here, so that it means what `additionalProperties` does.
                others = Some(self.schema(value, &pointer(at, "unevaluatedProperties"), below(stand))?);
            }
            _ => {}
        }
        let open = map.get("additionalProperties").is_none_or(|value| value == &Value::Bool(true));
        let least = count(map, "minProperties", at)?;
        let mut most = count(map, "maxProperties", at)?;
        let closes = stand == Stand::Alone && caps.is_some();
        let mut patterns = patterns;
        if closes && open && map.get("unevaluatedProperties").is_none() {
            if properties.is_empty() && patterns.is_empty() && required.is_empty() {
                others = Some(self.anything(stand));
            } else if patterns.is_empty() || required.iter().all(|name| properties.contains_key(*name)) {
                for name in &required {
                    if !properties.contains_key(*name) {
                        let anything = self.anything(stand);
                        properties.insert((*name).to_owned(), anything);
                    }
                }
                others = Some(Value::Bool(false));
            }
        }
        if let Some(caps) = caps.filter(|_| closes) {
            let all_required = properties.keys().all(|name| required.contains(&name.as_str()));
            let is_map = patterns.is_empty() && properties.is_empty() && required.is_empty();
            if let Some(value) = others.take_if(|value| is_map && *value != Value::Bool(false)) {
                patterns.insert(key_pattern(caps.key_chars), value);
                others = Some(Value::Bool(false));
            }
            let grows = !patterns.is_empty() || others.as_ref().is_some_and(|value| value != &Value::Bool(false));
            if all_required && grows && most.is_none() {
                most = Some((required.len() + caps.map_entries) as u64).max(least);
            }
        }
        check_sizes(map, at, least, required.len())?;
        write(out, properties, patterns, others);
        if !required.is_empty() {
            out.insert("required".to_owned(), json!(required));
        }
        if let Some(least) = least.filter(|least| *least > 0) {
            out.insert("minProperties".to_owned(), json!(least));
        }
        if let Some(most) = most {
            out.insert("maxProperties".to_owned(), json!(most));
        }
        Ok(())
    }

    /// The rebuilt members of `properties` or `patternProperties`.
    fn properties(
        &mut self,
        map: &Map<String, Value>,
        keyword: &str,
        at: &str,
        stand: Stand,
    ) -> Result<Map<String, Value>, GrammarError> {
        let Some(value) = map.get(keyword) else { return Ok(Map::new()) };
        let members = value.as_object().ok_or_else(|| wrong(keyword, "an object of schemas", at))?;
        let here = pointer(at, keyword);
        let mut rebuilt = Map::new();
        for (name, schema) in members {
            let stand = match stand {
                Stand::Part(number) => {
                    // A property that only one part describes is as good as one of a schema that stands alone.
                    let alone = self.compositions.get(number).is_some_and(|composition| {
                        keyword == "properties" && composition.count(name) <= 1 && !composition.describes_others
                    });
                    if alone { Stand::Alone } else { Stand::Unknown }
                }
                stand => stand,
            };
            let schema = self.schema(schema, &pointer(&here, name), stand)?;
            let name = if keyword == "properties" { name.clone() } else { self.pattern(name, keyword, at)? };
            rebuilt.insert(name, schema);
        }
        Ok(rebuilt)
    }

    /// The alternative `schema`, number `index` of `branches`, without the properties that only other alternatives know.
    pub(super) fn closed_alternative(
        &self,
        schema: Value,
        branches: &[Value],
        index: usize,
        here: &str,
        stand: Stand,
    ) -> Value {
        let Stand::Part(number) = stand else { return schema };
        let whole = match self.compositions.get(number) {
            Some(whole) if !whole.describes_others => whole,
            _ => return schema,
        };
        let of = |index: usize| match branches.get(index) {
            Some(Value::Object(branch)) => Composition::of(branch, &format!("{here}/{index}"), &self.references),
            _ => Composition::default(),
        };
        let own = of(index);
        let others: Vec<Composition> = (0..branches.len()).map(of).collect();
        let foreign = |name: &str| {
            let most = others.iter().map(|other| other.count(name)).max().unwrap_or_default();
            !own.knows(name) && others.iter().any(|other| other.knows(name)) && whole.count(name) <= most
        };
        let known: Vec<_> = whole.names.iter().filter(|(name, _)| !foreign(name)).cloned().collect();
        if known.len() == whole.names.len() {
            return schema;
        }
        json!({"allOf": [schema, named_only(&Composition { names: known, ..Composition::default() })]})
    }

    /// The properties that `schema` alone describes in its composition, as absent.
    pub(super) fn known_only_to(&self, schema: &Value, at: &str, stand: Stand) -> Vec<(String, Value)> {
        let (Stand::Part(number), Value::Object(schema)) = (stand, schema) else { return Vec::new() };
        let Some(whole) = self.compositions.get(number).filter(|whole| !whole.describes_others) else {
            return Vec::new();
        };
        let own = Composition::of(schema, at, &self.references);
        let alone = own.names.into_iter().filter(|(name, count)| *count > 0 && whole.count(name) <= *count);
        alone.map(|(name, _)| (name, Value::Bool(false))).collect()
    }

    /// Names that none of the schemas of a composition describes need not be there.
    pub(super) fn closing(&mut self, composition: &Composition) -> Option<Value> {
        if composition.names.is_empty() || composition.describes_others {
            return None;
        }
        let mut closing = named_only(composition);
        if let Value::Object(closing) = &mut closing {
            for (name, count) in &composition.names {
                if *count == 0
                    && let Some(Value::Object(properties)) = closing.get_mut("properties")
                {
                    // Required and described by none.
                    properties.insert(name.clone(), self.anything(Stand::Alone));
                }
            }
            if !composition.typed {
                closing.insert("type".to_owned(), json!("object"));
            }
        }
        Some(closing)
    }

    /// `propertyNames` as a schema for the object, whose values are valid against `value`.
    pub(super) fn property_names(&self, names: &Value, at: &str, value: &Value) -> Result<Option<Value>, GrammarError> {
        let here = pointer(at, "propertyNames");
        let map = match names {
            Value::Bool(true) => return Ok(None),
            Value::Bool(false) => return Ok(Some(json!({"additionalProperties": false}))),
            Value::Object(map) => map,
            _ => return Err(wrong("propertyNames", "a schema", at)),
        };
        let constrains =
            |keyword: &&String| !["type", "description", "title", "$comment", "examples"].contains(&keyword.as_str());
        let keywords: Vec<&str> = map.keys().filter(constrains).map(String::as_str).collect();
        if map.get("type").is_some_and(|name| name != "string") {
            return Err(unsupported("propertyNames", at, "names are strings"));
        }
        match (keywords.as_slice(), map.get("pattern"), map.get("enum")) {
            ([], _, _) => Ok(None),
            (["pattern"], Some(Value::String(pattern)), _) => {
                let pattern = self.pattern(pattern, "pattern", &here)?;
                Ok(Some(json!({"patternProperties": {pattern: value}, "additionalProperties": false})))
            }
            (["enum"], _, Some(Value::Array(names))) => {
                let names = names.iter().filter_map(Value::as_str).map(|name| (name.to_owned(), value.clone()));
                Ok(Some(json!({"properties": names.collect::<Map<_, _>>(), "additionalProperties": false})))
            }
            _ => Err(unsupported("propertyNames", at, "only one `pattern` or `enum`")),
        }
    }
}

/// Names may repeat in what is generated for a map, so that more than one of them cannot be required.
fn check_sizes(map: &Map<String, Value>, at: &str, least: Option<u64>, required: usize) -> Result<(), GrammarError> {
    let missing = least.unwrap_or_default().saturating_sub(required as u64);
    if missing > 1 && !map.contains_key("enum") && !map.contains_key("const") {
        let reason = "at most one property more than `required` names can be demanded";
        return Err(unsupported("minProperties", at, reason));
    }
    Ok(())
}

/// What `unevaluatedProperties` adds to schemas that all hold together.
pub(super) fn unevaluated(
    map: &Map<String, Value>,
    composition: &Composition,
    at: &str,
) -> Result<Option<Value>, GrammarError> {
    match map.get("unevaluatedProperties") {
        None | Some(Value::Bool(true)) => Ok(None),
        Some(Value::Bool(false))
            if composition.certain && !composition.describes_others && !composition.evaluates_others =>
        {
            Ok(Some(named_only(composition)))
        }
        Some(_) => Err(unsupported(
            "unevaluatedProperties",
            at,
            "only `false`, beside `allOf` and `$ref` of schemas that name their properties",
        )),
    }
}

/// A schema for objects with no other properties than those of `composition`.
fn named_only(composition: &Composition) -> Value {
    let names = composition.names.iter().map(|(name, _)| (name.clone(), Value::Bool(true)));
    json!({"properties": names.collect::<Map<_, _>>(), "additionalProperties": false})
}

fn write(
    out: &mut Map<String, Value>,
    properties: Map<String, Value>,
    patterns: Map<String, Value>,
    others: Option<Value>,
) {
    if !properties.is_empty() {
        out.insert("properties".to_owned(), Value::Object(properties));
    }
    if !patterns.is_empty() {
        out.insert("patternProperties".to_owned(), Value::Object(patterns));
    }
    if let Some(others) = others {
        out.insert("additionalProperties".to_owned(), others);
    }
}

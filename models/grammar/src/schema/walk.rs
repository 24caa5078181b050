//! The way through a schema.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::composition::Composition;
use super::keywords::{self, Keyword, unsupported, wrong};
use super::reference::References;
use super::{numbers, pointer};
use crate::{Caps, GrammarError, GrammarOptions};

/// How a subschema stands to others that hold for the same value. It decides what may be narrowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Stand {
    /// No other schema holds for the value: what is left open may be closed.
    Alone,
    /// One of several that hold together, in the composition of this number.
    Part(usize),
    /// Others may hold for the same value: only bounds on size are added.
    Unknown,
}

/// Rebuilds a schema.
pub(super) struct Walker<'a> {
    document: &'a Value,
    pub(super) references: References<'a>,
    options: &'a GrammarOptions,
    /// Drafts before 2019-09 ignore what stands beside `$ref`.
    lonely_references: bool,
    definitions: Map<String, Value>,
    names: HashMap<(String, Stand), String>,
    pub(super) compositions: Vec<Composition>,
    /// Whether there is a `oneOf`.
    alternatives: bool,
    nodes: usize,
    depth: usize,
}

/// What became of a schema.
pub(super) struct Rebuilt {
    pub(super) root: Value,
    pub(super) definitions: Map<String, Value>,
    /// Whether alternatives exclude each other, which narrowing must not pretend.
    pub(super) alternatives: bool,
}

impl<'a> Walker<'a> {
    pub(super) fn new(document: &'a Value, options: &'a GrammarOptions) -> Self {
        let draft = document.get("$schema").and_then(Value::as_str).unwrap_or_default();
        Self {
            document,
            references: References::new(document),
            options,
            lonely_references: ["draft-04", "draft-05", "draft-06", "draft-07"].iter().any(|old| draft.contains(old)),
            definitions: Map::new(),
            names: HashMap::new(),
            compositions: Vec::new(),
            alternatives: false,
            nodes: 0,
            depth: 0,
        }
    }

    /// Rebuilds the document. `Stand::Alone` narrows what it leaves open.
    pub(super) fn run(mut self, stand: Stand) -> Result<Rebuilt, GrammarError> {
        if self.document.get("$schema").and_then(Value::as_str).is_some_and(|draft| draft.contains("draft-03")) {
            return Err(unsupported("$schema", "", "draft 3 is not supported"));
        }
        let root = self.schema(self.document, "", stand)?;
        self.check_loops()?;
        Ok(Rebuilt { root, definitions: self.definitions, alternatives: self.alternatives })
    }

    pub(super) fn caps(&self) -> Option<&'a Caps> {
        self.options.caps.as_ref()
    }

    /// Characters of a regular expression.
    pub(super) fn text_limit(&self) -> usize {
        self.options.limits.text_chars
    }

    /// Counts `nodes` more.
    fn pay(&mut self, nodes: usize) -> Result<(), GrammarError> {
        self.nodes += nodes;
        if self.nodes > self.options.limits.schema_nodes {
            let reason = format!("more than {} subschemas and values", self.options.limits.schema_nodes);
            return Err(GrammarError::TooComplex { reason });
        }
        Ok(())
    }

    /// Rebuilds the subschema `value`, found at `at`.
    pub(super) fn schema(&mut self, value: &Value, at: &str, stand: Stand) -> Result<Value, GrammarError> {
        self.pay(1)?;
        self.depth += 1;
        if self.depth > self.options.limits.schema_depth {
            let reason = format!("more than {} levels of subschemas, at `{at}`", self.options.limits.schema_depth);
            return Err(GrammarError::TooComplex { reason });
        }
        let rebuilt = match value {
            Value::Bool(true) => Ok(self.anything(stand)),
            Value::Bool(false) => Ok(Value::Bool(false)),
            Value::Object(map) => self.object(map, at, stand),
            _ => Err(GrammarError::InvalidSchema {
                pointer: at.to_owned(),
                reason: "a schema must be an object, true or false".to_owned(),
            }),
        };
        self.depth -= 1;
        rebuilt
    }

    fn object(&mut self, map: &Map<String, Value>, at: &str, stand: Stand) -> Result<Value, GrammarError> {
        let only_reference = Map::from_iter(map.get_key_value("$ref").map(|(key, value)| (key.clone(), value.clone())));
        let map =
            if self.lonely_references && map.get("$ref").is_some_and(Value::is_string) { &only_reference } else { map };
        let mut enforced = Vec::new();
        for (keyword, value) in map {
            match keywords::classify(map, keyword, value) {
                Keyword::Enforced => enforced.push(keyword.as_str()),
                Keyword::Unsupported(reason) => return Err(unsupported(keyword, at, reason)),
                Keyword::Annotation => {}
            }
        }
        let applicators = enforced.iter().filter(|keyword| keywords::APPLICATORS.contains(keyword)).count();
        if applicators == 0 {
            return self.plain(map, at, stand);
        }
        if let [keyword] = enforced.as_slice()
            && let Some(rebuilt) = self.only(map, keyword, at, stand)?
        {
            return Ok(rebuilt);
        }
        self.composed(map, at, stand)
    }

    /// A schema of one keyword that applies others, none of which share the value with it.
    fn only(
        &mut self,
        map: &Map<String, Value>,
        keyword: &str,
        at: &str,
        stand: Stand,
    ) -> Result<Option<Value>, GrammarError> {
        let here = pointer(at, keyword);
        Ok(match (keyword, map.get(keyword)) {
            ("$ref", Some(reference)) => Some(self.reference(reference, at, stand)?),
            ("allOf", Some(Value::Array(branches))) => match branches.as_slice() {
                [branch] => Some(self.schema(branch, &format!("{here}/0"), stand)?),
                _ => None,
            },
            ("anyOf" | "oneOf", Some(Value::Array(branches))) => {
                self.alternatives |= keyword == "oneOf";
                let branches = self.branches(branches, &here, stand)?;
                Some(marked(at, Map::from_iter([(keyword.to_owned(), branches)])))
            }
            _ => None,
        })
    }

    fn branches(&mut self, branches: &[Value], at: &str, stand: Stand) -> Result<Value, GrammarError> {
        let mut rebuilt = Vec::with_capacity(branches.len());
        for (index, branch) in branches.iter().enumerate() {
            let schema = self.schema(branch, &format!("{at}/{index}"), stand)?;
            rebuilt.push(self.closed_alternative(schema, branches, index, at, stand));
        }
        Ok(Value::Array(rebuilt))
    }

    /// A schema that applies others to the same value beside its own keywords.
    fn composed(&mut self, map: &Map<String, Value>, at: &str, stand: Stand) -> Result<Value, GrammarError> {
        let composition = Composition::of(map, at, &self.references);
        if !composition.steps_combine() {
            // The engine's arithmetic may overflow where it combines them.
            return Err(unsupported(
                "multipleOf",
                at,
                "several of them hold together, and not all are small whole numbers",
            ));
        }
        let outermost = stand == Stand::Alone;
        let part = if outermost {
            self.compositions.push(composition.clone());
            Stand::Part(self.compositions.len() - 1)
        } else {
            stand
        };
        // Each group of keywords becomes a part of one `allOf`, in the order of the schema, which is the order of the
        // generated properties.
        let mut parts = Vec::new();
        let mut own = Map::new();
        let mut own_at = 0;
        for (keyword, value) in map {
            if !keywords::APPLICATORS.contains(&keyword.as_str()) {
                if keywords::classify(map, keyword, value) == Keyword::Enforced {
                    if own.is_empty() {
                        own_at = parts.len();
                    }
                    own.insert(keyword.clone(), value.clone());
                }
                continue;
            }
            if keyword == "propertyNames" {
                // Where nothing else is said about the properties, this is all that bounds them.
                let undescribed = composition.names.is_empty() && !composition.describes_others;
                let values = if outermost && undescribed { Stand::Alone } else { Stand::Unknown };
                let values = self.anything(values);
                parts.extend(self.property_names(value, at, &values)?);
                continue;
            }
            self.applied(keyword, value, at, part, &mut parts)?;
        }
        if own.remove("unevaluatedProperties").is_some() {
            parts.extend(super::objects::unevaluated(map, &composition, at)?);
        }
        if !own.is_empty() {
            let own = self.plain(&own, at, part)?;
            parts.insert(own_at, own);
        }
        if outermost {
            parts.extend(self.closing(&composition));
        }
        Ok(marked(at, Map::from_iter([("allOf".to_owned(), Value::Array(parts))])))
    }

    /// Adds what `keyword` applies to `parts`.
    fn applied(
        &mut self,
        keyword: &str,
        value: &Value,
        at: &str,
        stand: Stand,
        parts: &mut Vec<Value>,
    ) -> Result<(), GrammarError> {
        let here = pointer(at, keyword);
        match (keyword, value) {
            ("$ref", reference) => parts.push(self.reference(reference, at, stand)?),
            ("allOf", Value::Array(branches)) => {
                for (index, branch) in branches.iter().enumerate() {
                    parts.push(self.schema(branch, &format!("{here}/{index}"), stand)?);
                }
            }
            ("anyOf" | "oneOf", Value::Array(branches)) => {
                self.alternatives |= keyword == "oneOf";
                let branches = self.branches(branches, &here, stand)?;
                parts.push(marked(at, Map::from_iter([(keyword.to_owned(), branches)])));
            }
            ("allOf" | "anyOf" | "oneOf", _) => return Err(wrong(keyword, "an array of schemas", at)),
            (_, Value::Object(dependencies)) => {
                for (name, dependency) in dependencies {
                    let mut without = Map::from_iter([(name.clone(), Value::Bool(false))]);
                    let then = match dependency {
                        Value::Array(_) => {
                            keywords::names(dependency, keyword, at)?;
                            json!({"required": dependency})
                        }
                        schema if keyword != "dependentRequired" => {
                            let place = pointer(&here, name);
                            without.extend(self.known_only_to(schema, &place, stand));
                            self.schema(schema, &place, stand)?
                        }
                        _ => return Err(wrong(keyword, "an object of arrays", at)),
                    };
                    let choice = json!([{"properties": without}, then]);
                    parts.push(marked(at, Map::from_iter([("anyOf".to_owned(), choice)])));
                }
            }
            _ => return Err(wrong(keyword, "an object", at)),
        }
        Ok(())
    }

    /// A schema that applies no others to its value.
    fn plain(&mut self, map: &Map<String, Value>, at: &str, stand: Stand) -> Result<Value, GrammarError> {
        let fixed = map.contains_key("enum") || map.contains_key("const");
        let types = types(map, at)?;
        let types = match types {
            None if stand == Stand::Alone && !fixed => {
                let hinted = hinted_types(map);
                if hinted.is_empty() {
                    return Ok(self.anything(stand));
                }
                Some(hinted)
            }
            types => types,
        };
        let mut out = Map::new();
        if let Some(types) = &types {
            out.insert("type".to_owned(), json!(types));
        }
        let may_be = |name: &str| types.as_ref().is_none_or(|types| types.contains(&name));
        for keyword in ["enum", "const"] {
            let Some(value) = map.get(keyword) else { continue };
            let nodes = value.as_array().map_or(1, Vec::len);
            if keyword == "enum" && (nodes == 0 || !value.is_array()) {
                return Err(wrong("enum", "an array that is not empty", at));
            }
            self.pay(nodes)?;
            numbers::check_constant(value, keyword, at)?;
            out.insert(keyword.to_owned(), value.clone());
        }
        let caps = self.caps().filter(|_| !fixed);
        if may_be("number") || may_be("integer") {
            let whole = types.is_some() && !may_be("number");
            numbers::normalise(map, at, numbers::Role { whole, stand }, caps, &mut out)?;
        }
        if may_be("string") {
            self.string(map, at, caps, &mut out)?;
        }
        if may_be("array") {
            self.array(map, at, stand, caps, &mut out)?;
        }
        if may_be("object") {
            self.members(map, at, stand, caps, &mut out)?;
        }
        Ok(if out.is_empty() { Value::Bool(true) } else { marked(at, out) })
    }

    /// The definition for what `reference` names.
    fn reference(&mut self, reference: &Value, at: &str, stand: Stand) -> Result<Value, GrammarError> {
        let reference = reference.as_str().ok_or_else(|| wrong("$ref", "a string", at))?;
        let (target, schema) = self.references.resolve(reference, at)?;
        let key = (target, stand);
        if let Some(name) = self.names.get(&key) {
            return Ok(json!({"$ref": format!("#/$defs/{name}")}));
        }
        let name = format!("d{}", self.names.len());
        let target = key.0.clone();
        self.names.insert(key, name.clone());
        // A definition is a beginning of its own: how deep it is written does not matter, nor how long a chain of
        // references led to it.
        let rebuilt = self.schema(schema, &target, stand)?;
        self.definitions.insert(name.clone(), rebuilt);
        Ok(json!({"$ref": format!("#/$defs/{name}")}))
    }

    /// Any value: of bounded depth and size where there are caps and no other schema says more.
    pub(super) fn anything(&mut self, stand: Stand) -> Value {
        match self.caps() {
            None => Value::Bool(true),
            Some(caps) if stand == Stand::Alone => self.anything_of_depth(caps, caps.any_depth),
            Some(caps) => {
                let mut loose = capped_number(caps, stand);
                loose.remove("type");
                loose.insert("maxLength".to_owned(), json!(caps.string_chars));
                Value::Object(loose)
            }
        }
    }

    fn anything_of_depth(&mut self, caps: &Caps, depth: usize) -> Value {
        let name = format!("any{depth}");
        if !self.definitions.contains_key(&name) {
            let number = capped_number(caps, Stand::Alone);
            let mut forms = vec![
                json!({"type": "null"}),
                json!({"type": "boolean"}),
                Value::Object(number),
                json!({"type": "string", "maxLength": caps.string_chars}),
            ];
            if let Some(below) = depth.checked_sub(1) {
                let below = self.anything_of_depth(caps, below);
                forms.push(json!({"type": "array", "items": below, "maxItems": caps.array_items}));
                forms.push(super::objects::map_of(&below, caps));
            }
            self.definitions.insert(name.clone(), json!({"anyOf": forms}));
        }
        json!({"$ref": format!("#/$defs/{name}")})
    }

    /// References that lead to nothing but references mean nothing.
    fn check_loops(&self) -> Result<(), GrammarError> {
        for name in self.definitions.keys() {
            let mut current = name.as_str();
            for _ in 0..=self.definitions.len() {
                let next = self.definitions.get(current).and_then(|definition| definition.get("$ref"));
                let next = next.and_then(Value::as_str).and_then(|reference| reference.strip_prefix("#/$defs/"));
                current = next.unwrap_or_default();
                if current.is_empty() {
                    break;
                }
            }
            if !current.is_empty() {
                return Err(GrammarError::InvalidSchema {
                    pointer: String::new(),
                    reason: "a reference leads back to itself".to_owned(),
                });
            }
        }
        Ok(())
    }
}

/// Any number of bounded length.
fn capped_number(caps: &Caps, stand: Stand) -> Map<String, Value> {
    let mut number = Map::from_iter([("type".to_owned(), json!("number"))]);
    // Without bounds in the schema there is nothing that could be wrong.
    let _ = numbers::normalise(&Map::new(), "", numbers::Role { whole: false, stand }, Some(caps), &mut number);
    number
}

/// The schema with its place.
fn marked(at: &str, mut map: Map<String, Value>) -> Value {
    map.insert("$comment".to_owned(), Value::String(at.to_owned()));
    Value::Object(map)
}

/// The types that a schema names.
fn types<'a>(map: &'a Map<String, Value>, at: &str) -> Result<Option<Vec<&'a str>>, GrammarError> {
    let invalid = || wrong("type", "one of the seven names, or an array of them", at);
    let names = match map.get("type") {
        None => return Ok(None),
        Some(Value::String(name)) => vec![name.as_str()],
        Some(Value::Array(names)) if !names.is_empty() => {
            names.iter().map(|name| name.as_str().ok_or_else(invalid)).collect::<Result<_, _>>()?
        }
        Some(_) => return Err(invalid()),
    };
    if names.iter().all(|name| keywords::TYPES.contains(name)) { Ok(Some(names)) } else { Err(invalid()) }
}

/// The types whose keywords a schema without `type` uses.
fn hinted_types(map: &Map<String, Value>) -> Vec<&'static str> {
    let uses = |keywords: &[&str]| keywords.iter().any(|keyword| map.contains_key(*keyword));
    let groups: [(&str, &[&str]); 4] = [
        ("object", &keywords::OF_OBJECTS),
        ("array", &keywords::OF_ARRAYS),
        ("string", &keywords::OF_STRINGS),
        ("number", &keywords::OF_NUMBERS),
    ];
    let mut types: Vec<&str> = groups.iter().filter(|(_, keywords)| uses(keywords)).map(|(name, _)| *name).collect();
    if types.is_empty() && map.contains_key("format") {
        types.push("string");
    }
    types
}

//! What a schema that is put together of several says about objects, seen as a whole.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::keywords::APPLICATORS;
use super::pointer;
use super::reference::References;

/// The properties that a schema and all schemas it applies to the same value name.
#[derive(Clone, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "four facts that are independent of each other")]
pub(super) struct Composition {
    /// Names of properties, in order, with how many schemas that must hold together describe them.
    pub(super) names: Vec<(String, usize)>,
    /// Whether any of the schemas describes properties that it does not name.
    pub(super) describes_others: bool,
    /// Whether any of the schemas says of all properties that they are known to it, or may.
    pub(super) evaluates_others: bool,
    /// The values of `multipleOf` that must hold together.
    pub(super) steps: Vec<f64>,
    /// Whether any of the schemas has `type`.
    pub(super) typed: bool,
    /// Whether all schemas must hold together: no alternatives.
    pub(super) certain: bool,
}

impl Composition {
    /// The composition of `schema`, found at `at`.
    pub(super) fn of(schema: &Map<String, Value>, at: &str, references: &References<'_>) -> Self {
        let mut composition = Self { certain: true, ..Self::default() };
        composition.collect(schema, at, references, &mut HashSet::new(), 0);
        composition
    }

    /// Whether a common multiple of all steps is within the engine's arithmetic.
    pub(super) fn steps_combine(&self) -> bool {
        const MOST: f64 = 4e9;
        self.steps.len() < 2
            || self.steps.iter().all(|step| step.fract() == 0.0) && self.steps.iter().product::<f64>() < MOST
    }

    /// Whether any of the schemas names the property.
    pub(super) fn knows(&self, name: &str) -> bool {
        self.names.iter().any(|(known, _)| known == name)
    }

    /// How many of the schemas describe the property.
    pub(super) fn count(&self, name: &str) -> usize {
        self.names.iter().find(|(known, _)| known == name).map_or(0, |(_, count)| *count)
    }

    fn add(&mut self, name: &str, count: usize) {
        match self.names.iter_mut().find(|(known, _)| known == name) {
            Some((_, known)) => *known += count,
            None => self.names.push((name.to_owned(), count)),
        }
    }

    fn collect(
        &mut self,
        schema: &Map<String, Value>,
        at: &str,
        references: &References<'_>,
        seen: &mut HashSet<String>,
        depth: usize,
    ) {
        const MAX_DEPTH: usize = 100;
        if depth > MAX_DEPTH {
            return;
        }
        self.typed |= schema.contains_key("type");
        self.steps.extend(schema.get("multipleOf").and_then(Value::as_f64));
        for name in schema.get("properties").and_then(Value::as_object).into_iter().flat_map(Map::keys) {
            self.add(name, 1);
        }
        for name in schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
            self.add(name, 0);
        }
        self.describes_others |=
            schema.get("patternProperties").is_some_and(|value| value != &Value::Object(Map::new()));
        self.describes_others |= schema.get("additionalProperties").is_some_and(|value| !value.is_boolean());
        self.evaluates_others |= schema.contains_key("additionalProperties") || schema.contains_key("if");
        self.evaluates_others |= depth > 0 && schema.contains_key("unevaluatedProperties");
        for (keyword, value) in schema {
            if !APPLICATORS.contains(&keyword.as_str()) {
                continue;
            }
            let here = pointer(at, keyword);
            match (keyword.as_str(), value) {
                ("allOf", Value::Array(branches)) => {
                    for (index, branch) in branches.iter().enumerate().filter_map(|(i, b)| Some((i, b.as_object()?))) {
                        self.collect(branch, &format!("{here}/{index}"), references, seen, depth + 1);
                    }
                }
                ("anyOf" | "oneOf", Value::Array(branches)) => {
                    self.certain = false;
                    self.alternatives(branches, &here, references, seen, depth);
                }
                ("$ref", Value::String(reference)) => {
                    let Ok((target, value)) = references.resolve(reference, at) else { continue };
                    if let Value::Object(value) = value
                        && seen.insert(target.clone())
                    {
                        self.collect(value, &target, references, seen, depth + 1);
                        seen.remove(&target);
                    }
                }
                ("dependentSchemas" | "dependencies", Value::Object(branches)) => {
                    self.certain = false;
                    for (name, branch) in branches {
                        if let Value::Object(branch) = branch {
                            self.collect(branch, &pointer(&here, name), references, seen, depth + 1);
                        }
                    }
                }
                _ => {}
            }
        }
    }

    /// Alternatives do not hold together: a property counts as often as in the one that describes it most.
    fn alternatives(
        &mut self,
        branches: &[Value],
        at: &str,
        references: &References<'_>,
        seen: &mut HashSet<String>,
        depth: usize,
    ) {
        let mut most = Self::default();
        for (index, branch) in branches.iter().enumerate() {
            let Value::Object(branch) = branch else { continue };
            let mut one = Self::default();
            one.collect(branch, &format!("{at}/{index}"), references, seen, depth + 1);
            self.describes_others |= one.describes_others;
            self.evaluates_others |= one.evaluates_others;
            self.typed |= one.typed;
            if one.steps.len() >= most.steps.len() {
                most.steps = one.steps;
            }
            for (name, count) in one.names {
                match most.names.iter_mut().find(|(known, _)| *known == name) {
                    Some((_, known)) => *known = (*known).max(count),
                    None => most.names.push((name, count)),
                }
            }
        }
        self.steps.append(&mut most.steps);
        for (name, count) in most.names {
            self.add(&name, count);
        }
    }
}

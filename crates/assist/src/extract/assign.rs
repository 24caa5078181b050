//! Which candidate becomes which property's value, and the answer.

use std::collections::HashMap;

use rejoinder_domain::Span;
use rejoinder_recognise::bank::mask_cards;
use serde_json::{Map, Value};

use super::candidate::Candidate;
use super::candidates::{Class, Source};
use super::fill::Item;
use super::schema::{Kind, Property, Schema, pointer_of};
use super::{Change, Evidence, ExtractAnswer, PROVIDER, SURE};
use crate::suggest::answer::Usage;

/// What was assigned.
pub(crate) struct Assigned {
    /// Per property: its values in order (one, or several for a list).
    pub(crate) values: Vec<Vec<Candidate>>,
    /// Per property: the objects of a list of objects.
    pub(crate) items: Vec<Vec<Item>>,
    /// Property index and the other value.
    pub(crate) conflicts: Vec<(usize, Candidate)>,
}

/// Two values whose scores are this near contradict each other.
const CONFLICT_DISTANCE: f32 = 0.15;
/// Other values that are shown per property; who sees this many knows that the text does not decide.
const MAX_CONFLICTS: usize = 5;
/// Two scores that differ less are the same.
const TIED: f32 = 0.02;
/// What a contradiction leaves of the confidence.
pub(crate) const CONTRADICTED: f32 = 0.8;
/// From this on a label says that a property is meant, whatever other property wants the expression.
pub(crate) const NAMED: f32 = 0.5;
/// With less of a label, one of several properties of a class cannot claim an expression.
const TOLD_APART: f32 = 0.35;

/// Gives every property its best candidate, best first over all properties, each expression to one property of a class.
pub(crate) fn assign(schema: &Schema, by_property: Vec<(Class, Vec<Candidate>)>, min_confidence: f32) -> Assigned {
    let classes: Vec<Class> = by_property.iter().map(|(class, _)| *class).collect();
    let is_shared = |class: Class| classes.iter().filter(|other| **other == class).count() > 1;
    let mut queue: Vec<(usize, Candidate)> = Vec::new();
    for (index, (class, candidates)) in by_property.into_iter().enumerate() {
        let needs_label = is_shared(class) && class != Class::Choice && class != Class::Pattern;
        let fits = |candidate: &Candidate| {
            candidate.score >= min_confidence && (!needs_label || candidate.label >= TOLD_APART)
        };
        queue.extend(candidates.into_iter().filter(fits).map(|candidate| (index, candidate)));
    }
    // Stable: of equal scores the earlier property and the earlier expression come first.
    queue.sort_by(|one, other| other.1.score.total_cmp(&one.1.score));

    let count = schema.properties.len();
    let mut assigned =
        Assigned { values: vec![Vec::new(); count], items: vec![Vec::new(); count], conflicts: Vec::new() };
    let mut taken: Vec<(usize, usize, Span)> = Vec::new();
    let mut conflicts: HashMap<usize, usize> = HashMap::new();
    for (index, candidate) in queue {
        let class = classes.get(index).copied().unwrap_or(Class::Nothing);
        let is_taken = taken.iter().any(|(property, source, span)| {
            let same_class = classes.get(*property) == Some(&class);
            *property != index && same_class && *source == candidate.source && overlap(*span, candidate.span)
        });
        if is_taken && class != Class::Choice {
            continue;
        }
        let list = schema.properties.get(index).and_then(|property| property.list);
        let most = list.map_or(1, |list| list.max);
        let Some(values) = assigned.values.get_mut(index) else { continue };
        if values.iter().any(|value| value.value == candidate.value) {
            continue;
        }
        if values.len() < most {
            taken.push((index, candidate.source, candidate.span));
            values.push(candidate);
        } else if list.is_none() && values.first().is_some_and(|best| contradicts(best, &candidate)) {
            let mut known = assigned.conflicts.iter().filter(|(property, _)| *property == index);
            let is_new = known.all(|(_, other)| other.value != candidate.value);
            if is_new && conflicts.get(&index).is_none_or(|count| *count < MAX_CONFLICTS) {
                *conflicts.entry(index).or_default() += 1;
                assigned.conflicts.push((index, candidate));
            }
        }
    }
    settle(schema, &mut assigned);
    assigned
}

/// Whether another value is so nearly as good that a person should choose. A value that is called by the property's name
/// is not contradicted by one that is not.
fn contradicts(best: &Candidate, other: &Candidate) -> bool {
    let unnamed = best.label >= NAMED && other.label < TOLD_APART;
    best.score - other.score <= CONFLICT_DISTANCE && !unnamed
}

/// Abstains from expressions that can be read in two ways, from lists that are too short, and from values that another
/// equals in everything; lowers the confidence of what is contradicted.
fn settle(schema: &Schema, assigned: &mut Assigned) {
    for (index, (property, values)) in schema.properties.iter().zip(&mut assigned.values).enumerate() {
        if let Some(list) = property.list {
            values.sort_by_key(|value| (value.source, value.span.start()));
            // A list with an unsettled item would say more than is known.
            values.retain(|value| value.alternative.is_none());
            if values.len() < list.min {
                values.clear();
            }
            continue;
        }
        let Some(best) = values.first_mut() else { continue };
        if let Some(other) = best.alternative.clone() {
            let mut first = best.clone();
            first.alternative = None;
            let second = Candidate { value: other, ..first.clone() };
            assigned.conflicts.retain(|(property, _)| *property != index);
            assigned.conflicts.extend([(index, first), (index, second)]);
            values.clear();
            continue;
        }
        let mut others = assigned.conflicts.iter().filter(|(property, _)| *property == index);
        let Some((_, other)) = others.next() else { continue };
        if matches!(property.kind, Kind::Choice(_)) && best.score - other.score < TIED {
            // Two of an enum's values that the text says equally well are no choice.
            assigned.conflicts.push((index, best.clone()));
            values.clear();
        } else {
            best.score *= CONTRADICTED;
        }
    }
}

impl Assigned {
    /// The property's value; `None` where it is abstained from.
    fn value_of(&self, index: usize, property: &Property) -> Option<Value> {
        let values = self.values.get(index)?;
        let items = self.items.get(index)?;
        if !items.is_empty() {
            return Some(Value::Array(items.iter().map(|item| Value::Object(item.object.clone())).collect()));
        }
        let first = values.first()?;
        let list = || Value::Array(values.iter().map(|value| value.value.clone()).collect());
        Some(if property.list.is_some() { list() } else { first.value.clone() })
    }

    /// Where each part of the property's value comes from, by its pointer.
    fn places_of(&self, index: usize, property: &Property, pointer: &str) -> Vec<(String, &Candidate)> {
        let values = self.values.get(index).into_iter().flatten().enumerate().map(|(at, candidate)| {
            (if property.list.is_some() { format!("{pointer}/{at}") } else { pointer.to_owned() }, candidate)
        });
        let leaves = self.items.get(index).into_iter().flatten().enumerate().flat_map(|(at, item)| {
            item.leaves.iter().map(move |(inner, candidate)| (format!("{pointer}/{at}{inner}"), candidate))
        });
        values.chain(leaves).collect()
    }
}

/// Puts the answer together.
pub(crate) fn answer(
    schema: &Schema,
    sources: &[Source],
    assigned: &Assigned,
    current: Option<&Value>,
) -> ExtractAnswer {
    let mut attributes = Map::new();
    let (mut evidence, mut changes, mut abstained) = (Vec::new(), Vec::new(), Vec::new());
    for (index, property) in schema.properties.iter().enumerate() {
        let pointer = pointer_of(&property.path);
        let Some(value) = assigned.value_of(index, property) else {
            abstained.push(pointer);
            continue;
        };
        let places = assigned.places_of(index, property, &pointer);
        evidence.extend(places.into_iter().filter_map(|(place, candidate)| evidence_of(place, candidate, sources)));
        if let Some(current) = current {
            let old = current.pointer(&pointer).cloned().unwrap_or(Value::Null);
            if !same(&old, &value) {
                changes.push(Change { pointer: pointer.clone(), old, new: value.clone() });
            }
        }
        insert(&mut attributes, &property.path, value);
    }
    let conflicts: Vec<Evidence> = assigned
        .conflicts
        .iter()
        .filter_map(|(index, candidate)| {
            evidence_of(pointer_of(&schema.properties.get(*index)?.path), candidate, sources)
        })
        .collect();
    let attributes = Value::Object(attributes);
    let missing_required = missing_required(schema, &attributes);
    let unsure = evidence.iter().any(|item| item.confidence < SURE);
    ExtractAnswer {
        needs_review: unsure || !conflicts.is_empty() || !missing_required.is_empty(),
        attributes,
        provider: PROVIDER.to_owned(),
        model: String::new(),
        evidence,
        changes,
        conflicts,
        abstained,
        missing_required,
        unaligned: Vec::new(),
        attempts: Vec::new(),
        usage: Usage::default(),
    }
}

fn evidence_of(pointer: String, candidate: &Candidate, sources: &[Source]) -> Option<Evidence> {
    let source = sources.get(candidate.source)?;
    let (start, end) = candidate.span.in_chars(&source.text)?;
    Some(Evidence {
        pointer,
        value: candidate.value.clone(),
        source: source.name.clone(),
        start,
        end,
        byte_start: candidate.span.start(),
        byte_end: candidate.span.end(),
        quote: mask_cards(candidate.span.of(&source.text)?),
        confidence: candidate.score.clamp(0.0, 1.0),
        origin: candidate.origin,
        agreement: candidate.agreement,
    })
}

/// Equal as JSON, where 100 and 100.0 are the same number.
fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => one == other || one.as_f64() == other.as_f64(),
        _ => one == other,
    }
}

pub(super) fn insert(object: &mut Map<String, Value>, path: &[String], value: Value) {
    match path {
        [] => {}
        [name] => {
            object.insert(name.clone(), value);
        }
        [name, rest @ ..] => {
            let inner = object.entry(name.clone()).or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(inner) = inner {
                insert(inner, rest, value);
            }
        }
    }
}

/// Pointers that the schema requires in the objects that are there (the root always is) and that have no value.
pub(super) fn missing_required(schema: &Schema, attributes: &Value) -> Vec<String> {
    let mut missing = Vec::new();
    for (pointer, required) in &schema.objects {
        let Some(Value::Object(object)) = attributes.pointer(pointer) else { continue };
        let absent = required.iter().filter(|name| !object.contains_key(*name));
        missing.extend(absent.map(|name| format!("{pointer}{}", pointer_of(std::slice::from_ref(name)))));
    }
    missing
}

pub(super) fn overlap(one: Span, other: Span) -> bool {
    one.start() < other.end() && other.start() < one.end()
}

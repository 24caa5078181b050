//! Recognisers and language model together: who of the two decides, and what is said where they differ.

use rejoinder_domain::Span;

use super::assign::{Assigned, CONTRADICTED, NAMED};
use super::candidate::{Agreement, Candidate, Origin};
use super::candidates::Class;
use super::fill::Filled;
use super::read::is_same;
use super::schema::{Kind, Property, Schema};

/// Nothing is certain.
const CEILING: f32 = 0.98;

/// Adds what the model found to what recognisers assigned.
///
/// A value that both found is surer. Of two values the recognisers' stays where the text calls it by the property's name or
/// a checksum says what it is; otherwise the model, which reads the sentence, decides. The other value is a conflict.
/// An expression that can be read in two ways is left to a person, whatever the model thinks.
pub(crate) fn merge(schema: &Schema, classes: &[Class], assigned: &mut Assigned, filled: Filled, min_confidence: f32) {
    let properties = schema.properties.iter().zip(classes).enumerate();
    for ((index, (property, class)), (found, items)) in properties.zip(filled.values.into_iter().zip(filled.items)) {
        let found: Vec<Candidate> = found.into_iter().filter(|one| one.score >= min_confidence).collect();
        if matches!(property.kind, Kind::Items(_)) {
            let enough = property.list.is_some_and(|list| items.len() >= list.min);
            let most = property.list.map_or(0, |list| list.max);
            if let (true, Some(place)) = (enough, assigned.items.get_mut(index)) {
                *place = items.into_iter().take(most).collect();
            }
        } else if property.list.is_some() {
            add_to_list(property, index, assigned, found);
        } else if let Some(found) = found.into_iter().next() {
            decide(*class, index, assigned, found);
        }
    }
    share_no_words(schema, classes, assigned);
}

/// A list has what either found, in the order of the text.
fn add_to_list(property: &Property, index: usize, assigned: &mut Assigned, found: Vec<Candidate>) {
    let (Some(values), Some(list)) = (assigned.values.get_mut(index), property.list) else { return };
    for one in found.into_iter().filter(|one| one.alternative.is_none()) {
        let has_room = values.len() < list.max;
        match values.iter_mut().find(|known| is_same(&known.value, &one.value)) {
            Some(known) => agree(known, &one),
            None if has_room => values.push(one),
            None => {}
        }
    }
    values.sort_by_key(|value| (value.source, value.span.start()));
    if values.len() < list.min {
        values.clear();
    }
}

/// Settles a property that has one value.
fn decide(class: Class, index: usize, assigned: &mut Assigned, mut found: Candidate) {
    let is_tied = assigned.conflicts.iter().any(|(property, _)| *property == index);
    let Some(values) = assigned.values.get_mut(index) else { return };
    match values.first_mut() {
        // Recognisers abstained between two readings of the same words; only an enum's values may be told apart by sense.
        None if is_tied && class != Class::Choice => {}
        None => {
            if let Some(other) = found.alternative.take() {
                let second = Candidate { value: other, ..found.clone() };
                assigned.conflicts.extend([(index, found), (index, second)]);
                return;
            }
            if is_tied {
                found.agreement = Agreement::Conflicts;
                assigned.conflicts.retain(|(property, other)| *property != index || other.value != found.value);
            }
            values.push(found);
        }
        Some(known) if is_same(&known.value, &found.value) => agree(known, &found),
        Some(known) => {
            let is_sure = known.label >= NAMED || matches!(class, Class::Iban | Class::Card | Class::Uuid);
            // What can be read in two ways contradicts nothing.
            if found.alternative.is_some() {
                return;
            }
            known.agreement = Agreement::Conflicts;
            found.agreement = Agreement::Conflicts;
            if !is_sure {
                std::mem::swap(known, &mut found);
            }
            known.score *= CONTRADICTED;
            let chosen = known.value.clone();
            assigned.conflicts.retain(|(property, other)| {
                *property != index || !(is_same(&other.value, &found.value) || is_same(&other.value, &chosen))
            });
            assigned.conflicts.push((index, found));
        }
    }
}

/// Two that found the same are surer than either.
fn agree(known: &mut Candidate, other: &Candidate) {
    known.origin = Origin::Both;
    known.agreement = if other.agreement == Agreement::Corrected { Agreement::Corrected } else { Agreement::Agrees };
    known.score = (1.0 - (1.0 - known.score) * (1.0 - 0.5 * other.score)).min(CEILING);
}

/// The same words are not the values of two properties of one kind: a model that found one date and has two to give gives
/// it twice. The better named property keeps it.
fn share_no_words(schema: &Schema, classes: &[Class], assigned: &mut Assigned) {
    let rank = |candidate: &Candidate| {
        let found_by_rules = if candidate.origin == Origin::Model { 0.0 } else { 1.0 };
        found_by_rules + candidate.label
    };
    let single = |index: usize| schema.properties.get(index).is_some_and(|property| property.list.is_none());
    let mut held: Vec<(usize, usize, Span, f32)> = Vec::new();
    for (index, values) in assigned.values.iter().enumerate().filter(|(index, _)| single(*index)) {
        held.extend(values.iter().map(|value| (index, value.source, value.span, rank(value))));
    }
    for (index, source, span, own) in &held {
        let class = classes.get(*index).copied().unwrap_or(Class::Nothing);
        if matches!(class, Class::Choice | Class::Nothing | Class::FreeText | Class::Heading) {
            continue;
        }
        let is_taken = held.iter().any(|(other, other_source, other_span, theirs)| {
            let same_words = other_source == source && other_span == span && classes.get(*other) == Some(&class);
            other != index && same_words && (theirs > own || (theirs >= own && other < index))
        });
        if let (true, Some(values)) = (is_taken, assigned.values.get_mut(*index)) {
            values.retain(|value| value.origin != Origin::Model);
        }
    }
}

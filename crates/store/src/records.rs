//! What every store does with the records that it is given: checks them and makes their terms.

use std::collections::HashMap;

use rejoinder_domain::{Direction, ErrorKind, Pool, Record, RecordId, SeamError};

use crate::analysis::{Language, terms};

/// Refuses what cannot be stored: a record of another pool, without an id, or with a vector that does not fit.
pub(crate) fn check_records(records: &[Record], pool: Pool, dims: Option<usize>) -> Result<(), SeamError> {
    let invalid = |what: String| Err(SeamError::new(ErrorKind::Invalid, what));
    for record in records {
        if record.pool != pool {
            return invalid(format!("record {} is of pool {}, not {}", record.id, record.pool.as_str(), pool.as_str()));
        }
        if record.id.as_str().is_empty() {
            return invalid("a record has an empty id".to_owned());
        }
        let Some(vector) = &record.vector else { continue };
        if Some(vector.len()) != dims {
            return invalid(format!(
                "record {} has a vector of {} values, the store is configured for {}",
                record.id,
                vector.len(),
                dims.unwrap_or_default()
            ));
        }
        if vector.iter().any(|value| !value.is_finite()) {
            return invalid(format!("the vector of record {} has a value that is not a number", record.id));
        }
    }
    Ok(())
}

/// Of records with equal ids the last one, in the order of their first appearance.
pub(crate) fn last_of_each_id(records: Vec<Record>) -> Vec<Record> {
    let mut places: HashMap<RecordId, usize> = HashMap::with_capacity(records.len());
    let mut kept: Vec<Record> = Vec::with_capacity(records.len());
    for record in records {
        if let Some(earlier) = places.get(&record.id).and_then(|&place| kept.get_mut(place)) {
            *earlier = record;
        } else {
            places.insert(record.id.clone(), kept.len());
            kept.push(record);
        }
    }
    kept
}

/// The analysed subject and text, in order and with repeats.
pub(crate) fn index_terms(record: &Record) -> Vec<String> {
    let language = Language::of_record(record.language.as_deref(), &record.text);
    let mut all = terms(&record.subject, language);
    all.extend(terms(&record.text, language));
    all
}

/// The name of a direction in a store.
pub(crate) fn direction_name(direction: Direction) -> &'static str {
    match direction {
        Direction::Inbound => "inbound",
        Direction::Outbound => "outbound",
        Direction::Internal => "internal",
        Direction::Unknown => "unknown",
    }
}

/// The direction of a name that [`direction_name`] gave.
pub(crate) fn direction_of(name: &str) -> Option<Direction> {
    match name {
        "inbound" => Some(Direction::Inbound),
        "outbound" => Some(Direction::Outbound),
        "internal" => Some(Direction::Internal),
        "unknown" => Some(Direction::Unknown),
        _ => None,
    }
}

/// Cosine of two vectors of one length; 0 where one of them is all zeros.
pub(crate) fn cosine(a: &[f32], b: &[f32]) -> f32 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f32>();
    let norms = (dot(a, a) * dot(b, b)).sqrt();
    if norms > 0.0 { dot(a, b) / norms } else { 0.0 }
}

//! Whose turn it is to write to a pool of a tenant.
//!
//! A delete counts before it deletes. Writers of one process take turns, so that two deletes of one record count it once; between
//! processes the count is what was there when it was asked for.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::points::Place;

/// Turns that are kept although nobody holds them.
const MOST_IDLE: usize = 1_024;

#[derive(Default)]
pub(super) struct Turns(Mutex<HashMap<Place, Arc<tokio::sync::Mutex<()>>>>);

impl Turns {
    pub(super) fn of(&self, place: &Place) -> Arc<tokio::sync::Mutex<()>> {
        let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if turns.len() >= MOST_IDLE && !turns.contains_key(place) {
            // Only what nobody holds may go: two turns of one place would not wait for each other.
            turns.retain(|_, turn| Arc::strong_count(turn) > 1);
        }
        Arc::clone(turns.entry(place.clone()).or_default())
    }
}

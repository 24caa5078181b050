//! A cache with a fixed number of places and second-chance eviction.

use std::collections::HashMap;

struct Place<V> {
    key: u64,
    value: V,
    used: bool,
}

/// Keeps the values that were asked for lately.
pub(crate) struct Cache<V> {
    capacity: usize,
    index: HashMap<u64, usize>,
    places: Vec<Place<V>>,
    hand: usize,
}

impl<V: Clone> Cache<V> {
    /// A cache of at least one place.
    pub(crate) fn new(capacity: usize) -> Self {
        Self { capacity: capacity.max(1), index: HashMap::new(), places: Vec::new(), hand: 0 }
    }

    pub(crate) fn get(&mut self, key: u64) -> Option<V> {
        let place = self.places.get_mut(*self.index.get(&key)?)?;
        place.used = true;
        Some(place.value.clone())
    }

    /// Puts `value` in a free place, else in that of a value that nobody asked for since the hand last passed it.
    pub(crate) fn insert(&mut self, key: u64, value: V) {
        if self.places.len() < self.capacity {
            self.index.insert(key, self.places.len());
            self.places.push(Place { key, value, used: false });
            return;
        }
        loop {
            self.hand = (self.hand + 1) % self.places.len().max(1);
            let Some(place) = self.places.get_mut(self.hand) else { return };
            if !std::mem::take(&mut place.used) {
                self.index.remove(&place.key);
                self.index.insert(key, self.hand);
                *place = Place { key, value, used: false };
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_what_is_used_and_never_grows_past_its_capacity() {
        let mut cache = Cache::new(4);
        for key in 0..100 {
            cache.insert(key, key * 2);
            if key > 0 {
                assert_eq!(cache.get(1).is_some(), key >= 1, "key 1 is asked for each time, so it stays");
            }
            assert!(cache.places.len() <= 4 && cache.index.len() <= 4);
        }
        assert_eq!(cache.get(99), Some(198));
        assert_eq!(cache.get(50), None);
    }
}

//! Counting what is there at the same time: so many places for each address.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::address::AddressBlock;

/// Places for each address, or for whatever `B` tells apart. Memory is bounded by what holds them.
#[derive(Debug)]
pub(crate) struct Places<B: Eq + Hash = AddressBlock> {
    max: usize,
    taken: Arc<Mutex<HashMap<B, usize>>>,
}

impl<B: Copy + Eq + Hash> Places<B> {
    /// `max` places for each address.
    pub(crate) fn new(max: usize) -> Self {
        Self {
            max,
            taken: Arc::default(),
        }
    }

    /// Takes a place; `None` if the address has all of its own.
    pub(crate) fn take(&self, block: B) -> Option<Place<B>> {
        let mut taken = lock(&self.taken);
        let count = taken.entry(block).or_default();
        if *count >= self.max {
            return None;
        }
        *count += 1;
        Some(Place {
            taken: Arc::clone(&self.taken),
            block,
        })
    }
}

fn lock<B>(taken: &Mutex<HashMap<B, usize>>) -> MutexGuard<'_, HashMap<B, usize>> {
    taken.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A place that is taken until this is dropped.
#[derive(Debug)]
pub(crate) struct Place<B: Eq + Hash = AddressBlock> {
    taken: Arc<Mutex<HashMap<B, usize>>>,
    block: B,
}

impl<B: Eq + Hash> Drop for Place<B> {
    fn drop(&mut self) {
        let mut taken = lock(&self.taken);
        if let Some(count) = taken.get_mut(&self.block) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.block);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_has_its_places_and_gets_them_back() {
        let places = Places::new(2);
        let [one, other] =
            ["192.0.2.1", "192.0.2.2"].map(|text| AddressBlock::of(text.parse().unwrap()));
        let held = (places.take(one).unwrap(), places.take(one).unwrap());
        assert!(places.take(one).is_none());
        let elsewhere = places.take(other).unwrap();
        drop(held.0);
        let again = places.take(one).unwrap();
        assert!(places.take(one).is_none());
        drop((held.1, again, elsewhere));
        assert!(
            lock(&places.taken).is_empty(),
            "nothing is remembered of who left"
        );
    }
}

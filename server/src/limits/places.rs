//! Counting what is there at the same time: so many places for each address.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::address::AddressBlock;

/// Places for each address. Memory is bounded by what holds them.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    max: usize,
    taken: Arc<Mutex<HashMap<AddressBlock, usize>>>,
}

impl Places {
    /// `max` places for each address.
    pub(crate) fn new(max: usize) -> Self {
        Self {
            max,
            taken: Arc::default(),
        }
    }

    /// Takes a place; `None` if the address has all of its own.
    pub(crate) fn take(&self, block: AddressBlock) -> Option<Place> {
        let mut taken = self.lock();
        let count = taken.entry(block).or_default();
        if *count >= self.max {
            return None;
        }
        *count += 1;
        Some(Place {
            places: self.clone(),
            block,
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<AddressBlock, usize>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place that is taken until this is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    places: Places,
    block: AddressBlock,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.lock();
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
            places.lock().is_empty(),
            "nothing is remembered of who left"
        );
    }
}

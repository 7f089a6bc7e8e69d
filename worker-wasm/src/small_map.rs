//! A map for a handful of entries: a list that is searched. A tree would weigh more than all that
//! is ever in it, and the page must load quickly.

/// Keys in the order in which they came, each with its value.
#[derive(Debug)]
pub(crate) struct SmallMap<K, V>(Vec<(K, V)>);

impl<K, V> Default for SmallMap<K, V> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<K: Copy + PartialEq, V> SmallMap<K, V> {
    /// Puts `value` in the place of what was under `key`.
    pub(crate) fn insert(&mut self, key: K, value: V) {
        match self.get_mut(key) {
            Some(place) => *place = value,
            None => self.0.push((key, value)),
        }
    }

    pub(crate) fn get(&self, key: K) -> Option<&V> {
        self.iter()
            .find_map(|(known, value)| (known == key).then_some(value))
    }

    pub(crate) fn get_mut(&mut self, key: K) -> Option<&mut V> {
        self.iter_mut()
            .find_map(|(known, value)| (known == key).then_some(value))
    }

    /// The value under `key`, made where there was none.
    pub(crate) fn entry(&mut self, key: K) -> &mut V
    where
        V: Default,
    {
        if self.get(key).is_none() {
            self.insert(key, V::default());
        }
        self.get_mut(key).expect("it was there or was just made")
    }

    /// Takes the value out. The others keep their order.
    pub(crate) fn remove(&mut self, key: K) -> Option<V> {
        let place = self.0.iter().position(|(known, _)| *known == key)?;
        Some(self.0.remove(place).1)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (K, &V)> {
        self.0.iter().map(|(key, value)| (*key, value))
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (K, &mut V)> {
        self.0.iter_mut().map(|(key, value)| (*key, value))
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &V> {
        self.0.iter().map(|(_, value)| value)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Forgets the oldest entry.
    pub(crate) fn forget_first(&mut self) {
        if !self.0.is_empty() {
            self.0.remove(0);
        }
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}

impl<K, V> IntoIterator for SmallMap<K, V> {
    type Item = (K, V);
    type IntoIter = std::vec::IntoIter<(K, V)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_there_once_and_order_is_kept() {
        let mut map = SmallMap::default();
        for (key, value) in [(3, 'a'), (1, 'b'), (2, 'c'), (3, 'd')] {
            map.insert(key, value);
        }
        assert_eq!(map.remove(1), Some('b'));
        assert_eq!(map.remove(1), None);
        let entries: Vec<_> = map.into_iter().collect();
        assert_eq!(entries, [(3, 'd'), (2, 'c')]);
    }

    #[test]
    fn the_oldest_entry_is_forgotten_first() {
        let mut map = SmallMap::default();
        map.forget_first();
        map.insert(1, 'a');
        map.insert(2, 'b');
        map.forget_first();
        assert_eq!((map.get(1), map.get(2)), (None, Some(&'b')));
    }
}

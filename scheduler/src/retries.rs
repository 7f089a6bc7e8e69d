//! Shards that wait to be tried again.

use std::collections::{BTreeMap, BTreeSet};

use shared::time::Millis;

/// A shard waits this long for a worker that has not tried it, in milliseconds.
pub(crate) const PATIENCE_MS: u64 = 5_000;

/// Shards that wait for another worker at most; more are given to anyone.
const MAX_ELSEWHERE: usize = 512;

/// A line of shards, some of which wait for a worker that has not tried them.
#[derive(Debug, Default)]
pub(crate) struct Retries {
    /// For any worker.
    anywhere: BTreeSet<u64>,
    /// For a worker that has not tried them, and since when.
    elsewhere: BTreeMap<u64, Millis>,
}

impl Retries {
    /// Adds a shard; `choosy_since` where it waits for another worker.
    pub(crate) fn insert(&mut self, shard: u64, choosy_since: Option<Millis>) {
        match choosy_since.filter(|_| self.elsewhere.len() < MAX_ELSEWHERE) {
            Some(since) => drop(self.elsewhere.insert(shard, since)),
            None => drop(self.anywhere.insert(shard)),
        }
    }

    /// Takes a shard out; whether it was there.
    pub(crate) fn remove(&mut self, shard: u64) -> bool {
        self.anywhere.remove(&shard) | self.elsewhere.remove(&shard).is_some()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.anywhere.is_empty() && self.elsewhere.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.anywhere.len() + self.elsewhere.len()
    }

    /// Takes up to `count` shards that wait for another worker and that this one may have.
    pub(crate) fn take_elsewhere(
        &mut self,
        count: usize,
        may_have: impl Fn(u64) -> bool,
    ) -> Vec<u64> {
        let waiting = self.elsewhere.keys().copied();
        let chosen: Vec<u64> = waiting.filter(|it| may_have(*it)).take(count).collect();
        for shard in &chosen {
            self.elsewhere.remove(shard);
        }
        chosen
    }

    /// Takes a shard that any worker may have.
    pub(crate) fn pop_anywhere(&mut self) -> Option<u64> {
        self.anywhere.pop_first()
    }

    /// When the first shard has waited for another worker long enough.
    pub(crate) fn patience_ends(&self) -> Option<Millis> {
        let first = self.elsewhere.values().min()?;
        Some(first.plus(PATIENCE_MS))
    }

    /// Lets any worker have what has waited long enough.
    pub(crate) fn lose_patience(&mut self, now: Millis) {
        let anywhere = &mut self.anywhere;
        self.elsewhere.retain(|shard, since| {
            let waits = since.plus(PATIENCE_MS) > now;
            if !waits {
                anywhere.insert(*shard);
            }
            waits
        });
    }
}

#[cfg(test)]
impl Retries {
    pub(crate) fn contains(&self, shard: u64) -> bool {
        self.anywhere.contains(&shard) || self.elsewhere.contains_key(&shard)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_so_many_shards_wait_for_another_worker() {
        let mut retries = Retries::default();
        for shard in 0..=MAX_ELSEWHERE as u64 {
            retries.insert(shard, Some(Millis(0)));
        }
        assert_eq!(retries.pop_anywhere(), Some(MAX_ELSEWHERE as u64));
        assert_eq!(retries.pop_anywhere(), None);
        assert_eq!(retries.len(), MAX_ELSEWHERE);
    }
}

//! Shards that wait to be tried again, by the workers that have tried them in vain.

use std::collections::{BTreeMap, BTreeSet};

use shared::ids::WorkerId;

/// Shards that wait, by who has tried them: few workers fail shards, so there are few groups, whereas
/// one broken device may fail very many shards.
#[derive(Debug, Default)]
pub(crate) struct Retries {
    groups: BTreeMap<Vec<WorkerId>, BTreeSet<u64>>,
    len: usize,
}

impl Retries {
    /// Adds a shard that `tried`, in order, have tried.
    pub(crate) fn insert(&mut self, shard: u64, tried: &[WorkerId]) {
        let is_new = match self.groups.get_mut(tried) {
            Some(group) => group.insert(shard),
            None => {
                let group = BTreeSet::from([shard]);
                self.groups.insert(tried.to_vec(), group).is_none()
            }
        };
        self.len += usize::from(is_new);
    }

    /// Takes a shard out that was added with `tried`; whether it was there.
    pub(crate) fn remove(&mut self, shard: u64, tried: &[WorkerId]) -> bool {
        let Some(group) = self.groups.get_mut(tried) else {
            return false;
        };
        let was_there = group.remove(&shard);
        if group.is_empty() {
            self.groups.remove(tried);
        }
        self.len -= usize::from(was_there);
        was_there
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// Takes up to `count` shards, of the groups and of these the shards that the worker `may_run`;
    /// those that others have tried first.
    pub(crate) fn take(
        &mut self,
        count: usize,
        may_run: impl Fn(&[WorkerId]) -> bool,
        is_due: impl Fn(&[WorkerId], u64) -> bool,
    ) -> Vec<u64> {
        let mut taken = Vec::new();
        if self.len == 0 || count == 0 {
            return taken;
        }
        let mut has_emptied = false;
        for (tried, group) in self.groups.iter_mut().rev() {
            if taken.len() == count {
                break;
            }
            if may_run(tried) {
                let due = group.iter().copied().filter(|shard| is_due(tried, *shard));
                let chosen: Vec<u64> = due.take(count - taken.len()).collect();
                for shard in &chosen {
                    group.remove(shard);
                }
                taken.extend(chosen);
                has_emptied |= group.is_empty();
            }
        }
        if has_emptied {
            self.groups.retain(|_, group| !group.is_empty());
        }
        self.len -= taken.len();
        taken
    }

    /// Whether there is any that [`Retries::take`] would give.
    pub(crate) fn has_any(
        &self,
        may_run: impl Fn(&[WorkerId]) -> bool,
        is_due: impl Fn(&[WorkerId], u64) -> bool,
    ) -> bool {
        let mut groups = self.groups.iter().filter(|(tried, _)| may_run(tried));
        groups.any(|(tried, group)| group.iter().any(|shard| is_due(tried, *shard)))
    }
}

#[cfg(test)]
impl Retries {
    pub(crate) fn contains(&self, shard: u64) -> bool {
        self.groups.values().any(|group| group.contains(&shard))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tried(name: &str) -> Vec<WorkerId> {
        vec![name.parse().unwrap()]
    }

    #[test]
    fn a_worker_takes_what_others_have_tried_first() {
        let mut retries = Retries::default();
        let (ann, bob) = (tried("ann"), tried("bob"));
        retries.insert(1, &[]);
        retries.insert(2, &ann);
        retries.insert(3, &bob);
        let not_ann = |tried: &[WorkerId]| tried != ann;
        assert_eq!(retries.take(2, not_ann, |_, _| true), [3, 1]);
        assert!(!retries.has_any(not_ann, |_, _| true));
        assert!(!retries.has_any(|_| true, |_, shard| shard != 2));
        assert_eq!(retries.take(2, |_| true, |_, _| true), [2]);
        assert!(retries.is_empty() && retries.groups.is_empty());
    }

    #[test]
    fn only_who_was_added_with_its_triers_is_taken_out() {
        let mut retries = Retries::default();
        let (ann, bob) = (tried("ann"), tried("bob"));
        retries.insert(1, &ann);
        assert!(!retries.remove(1, &bob));
        assert!(retries.remove(1, &ann));
        assert!(!retries.remove(1, &ann));
        assert!(retries.is_empty() && retries.groups.is_empty());
    }
}

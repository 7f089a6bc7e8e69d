//! Who may run shards of a job, and whether a shard should rather go to somebody else.

use std::collections::BTreeSet;

use shared::ids::WorkerId;

/// The workers that may be given a job: the active ones that do not refuse it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Candidates<'a> {
    pub(crate) active: &'a BTreeSet<WorkerId>,
    pub(crate) refusers: &'a BTreeSet<WorkerId>,
}

impl Candidates<'_> {
    /// Whether there is one that is not among `tried`, however busy.
    pub(crate) fn has_other(self, tried: &[WorkerId]) -> bool {
        let Self { active, refusers } = self;
        if active.len() > refusers.len() + tried.len() {
            return true;
        }
        let refuse = refusers.iter().filter(|it| active.contains(*it)).count();
        let tried = tried.iter().filter(|it| !refusers.contains(*it));
        active.len() > refuse + tried.filter(|it| active.contains(*it)).count()
    }

    /// Whether `worker`, one of them, may run a shard that `tried` have tried in vain: it is not among
    /// them, or there is nobody else.
    pub(crate) fn may_run(self, worker: &WorkerId, tried: &[WorkerId]) -> bool {
        !tried.contains(worker) || !self.has_other(tried)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workers(names: &str) -> BTreeSet<WorkerId> {
        names.split(' ').map(|name| name.parse().unwrap()).collect()
    }

    #[test]
    fn a_worker_tries_again_only_where_no_other_accepts_the_job() {
        let (active, refusers) = (workers("a b c"), workers("c d"));
        let candidates = Candidates {
            active: &active,
            refusers: &refusers,
        };
        let tried: Vec<WorkerId> = workers("a c").into_iter().collect();
        assert!(!candidates.may_run(&tried[0], &tried), "b is there");
        let tried: Vec<WorkerId> = workers("a b e").into_iter().collect();
        assert!(
            candidates.may_run(&tried[0], &tried),
            "c refuses, e is gone"
        );
    }
}

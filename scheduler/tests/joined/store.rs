//! What survives a crash: jobs and the deltas that were stored.

use std::collections::BTreeMap;

use range_set_blaze::RangeSetBlaze;
use scheduler::{Delta, JobEnd, JobKind, JobOutline};
use shared::ids::JobId;
use shared::plan::{Plan, Sharding};
use shared::reduce::{Reducer, ReducerState};

#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) plan: Plan,
    pub(crate) completed: RangeSetBlaze<u64>,
    pub(crate) end: Option<JobEnd>,
    pub(crate) state: ReducerState,
    seq: u64,
    failed_shards: u64,
    high_water: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Store {
    pub(crate) jobs: BTreeMap<JobId, Row>,
}

pub(crate) fn reducer() -> Reducer {
    Reducer::Sum {
        fields: vec!["hits".into()],
        all: false,
    }
}

impl Store {
    pub(crate) fn submit(&mut self, job: JobId, shards: u64, first_high_water: u64) {
        let plan = match shards {
            0 => Plan::Single,
            shards => Plan::Sharded(Sharding::new(shards, 1).unwrap()),
        };
        let row = Row {
            plan,
            completed: RangeSetBlaze::new(),
            end: None,
            state: reducer().initial(),
            seq: 0,
            failed_shards: 0,
            high_water: first_high_water,
        };
        self.jobs.insert(job, row);
    }

    pub(crate) fn outline(&self, job: JobId, reclaim: bool) -> JobOutline {
        let row = &self.jobs[&job];
        JobOutline {
            job,
            kind: JobKind::RunJs,
            plan: row.plan,
            policy: Default::default(),
            timeout_ms: 0,
            reducer: matches!(row.plan, Plan::Sharded(_)).then(reducer),
            seq: row.seq,
            completed: row.completed.clone(),
            failed_shards: row.failed_shards,
            reducer_state: row.state.clone(),
            high_water: row.high_water,
            is_paused: false,
            reclaim,
        }
    }

    pub(crate) fn unfinished(&self) -> Vec<JobId> {
        self.jobs
            .iter()
            .filter(|(_, row)| row.end.is_none())
            .map(|(job, _)| *job)
            .collect()
    }

    /// Whether no earlier delta of the job is missing.
    pub(crate) fn can_apply(&self, delta: &Delta) -> bool {
        delta.seq <= self.jobs[&delta.job].seq + 1
    }

    /// Applies a delta as the store promises to: once, in order, and never a shard twice (I1).
    pub(crate) fn apply(&mut self, delta: &Delta) {
        let row = self.jobs.get_mut(&delta.job).unwrap();
        if delta.seq <= row.seq {
            return;
        }
        assert_eq!(delta.seq, row.seq + 1, "deltas come without a gap");
        assert!(row.end.is_none(), "nothing follows the end of a job");
        let overlap = &row.completed & &delta.completed;
        assert!(
            overlap.is_empty(),
            "I1: shards {overlap:?} are folded a second time"
        );
        assert!(delta.high_water >= row.high_water, "the mark never falls");
        row.seq = delta.seq;
        row.completed |= &delta.completed;
        row.failed_shards = delta.failed_shards;
        row.high_water = delta.high_water;
        if let Some(state) = &delta.reducer_state {
            row.state = state.clone();
        }
        row.end.clone_from(&delta.end);
    }
}

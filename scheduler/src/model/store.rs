//! A store that is slow, fails, and sometimes does not know; and the reference that it is compared
//! with.

use std::collections::{BTreeMap, VecDeque};

use range_set_blaze::RangeSetBlaze;
use shared::ids::JobId;
use shared::job::OnShardError;
use shared::reduce::ReducerState;

use super::jobs::{Nature, Spec};
use super::rng::Rng;
use crate::{Delta, Event, JobEnd, JobOutline, SchedulerConfig};

/// A job's row, and what a naive program would have computed.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) spec: Spec,
    pub(super) seq: u64,
    pub(super) completed: RangeSetBlaze<u64>,
    pub(super) high_water: u64,
    pub(super) end: Option<JobEnd>,
    /// Its owner has tried to end it.
    pub(super) is_cancelled: bool,
    is_paused: bool,
    failed_shards: u64,
    pub(super) reducer_state: ReducerState,
    naive_hits: u64,
    naive_failed: u64,
    naive_skipped: u64,
}

#[derive(Debug, Default)]
pub(super) struct Store {
    pub(super) rows: BTreeMap<JobId, Row>,
    /// Deltas that were handed over and not looked at.
    queue: VecDeque<Delta>,
    /// Answers on their way to the scheduler.
    answers: VecDeque<Event>,
}

impl Store {
    pub(super) fn insert(&mut self, spec: Spec, config: &SchedulerConfig) {
        let outline = spec.outline(config);
        self.rows.insert(
            spec.job,
            Row {
                seq: 0,
                completed: RangeSetBlaze::new(),
                high_water: outline.high_water,
                end: None,
                is_cancelled: false,
                is_paused: false,
                failed_shards: 0,
                reducer_state: ReducerState::default(),
                naive_hits: 0,
                naive_failed: 0,
                naive_skipped: 0,
                spec,
            },
        );
    }

    pub(super) fn cancel(&mut self, job: JobId) {
        let row = self.rows.get_mut(&job).expect("a known job");
        row.is_cancelled = true;
    }

    pub(super) fn persist(&mut self, delta: Delta) {
        self.queue.push_back(delta);
    }

    pub(super) fn is_busy(&self) -> bool {
        !self.queue.is_empty() || !self.answers.is_empty()
    }

    pub(super) fn unfinished(&self) -> Vec<JobId> {
        let running = self.rows.values().filter(|row| row.end.is_none());
        running.map(|row| row.spec.job).collect()
    }

    /// Works on one delta: well, or with a mishap in `mishaps` percent of all cases.
    pub(super) fn work(&mut self, rng: &mut Rng, mishaps: u64) {
        let Some(delta) = self.queue.pop_front() else {
            return;
        };
        let (job, seq) = (delta.job, delta.seq);
        let row = self
            .rows
            .get_mut(&job)
            .expect("only known jobs have deltas");
        let is_mishap = rng.percent(mishaps);
        let is_applied = (!is_mishap || rng.percent(50)) && row.apply(delta);
        if is_applied && !is_mishap {
            self.answers.push_back(Event::Committed { job, seq });
        } else {
            self.answers.push_back(Event::CommitFailed { job, seq });
        }
    }

    /// The next answer; with mischief, in any order and perhaps again later.
    pub(super) fn answer(&mut self, rng: &mut Rng, has_mischief: bool) -> Option<Event> {
        if self.answers.is_empty() {
            return None;
        }
        if !has_mischief {
            return self.answers.pop_front();
        }
        let place = rng.below(self.answers.len() as u64) as usize;
        let answer = self.answers.remove(place)?;
        if rng.percent(5) {
            self.answers.push_back(answer.clone());
        }
        Some(answer)
    }

    /// The server dies: some of what was under way is stored, the rest is lost.
    pub(super) fn crash(&mut self, rng: &mut Rng) {
        let survivors = rng.below(self.queue.len() as u64 + 1);
        for delta in self.queue.drain(..).take(survivors as usize) {
            let row = self.rows.get_mut(&delta.job).expect("a known job");
            row.apply(delta);
        }
        self.answers.clear();
    }

    /// The unfinished jobs as a server loads them.
    pub(super) fn load(&self) -> Vec<JobOutline> {
        let unfinished = self.rows.values().filter(|row| row.end.is_none());
        unfinished.map(Row::outline).collect()
    }
}

impl Row {
    /// Applies a delta unless it is applied already; false where an earlier one is missing.
    fn apply(&mut self, delta: Delta) -> bool {
        if delta.seq <= self.seq {
            return true;
        }
        if delta.seq != self.seq + 1 {
            return false;
        }
        assert!(self.end.is_none(), "nothing follows the end");
        assert!(
            self.completed.is_disjoint(&delta.completed),
            "I1: {:?} is folded again, after {:?}",
            delta.completed,
            self.completed
        );
        assert!(delta.high_water >= self.high_water, "marks only rise");
        self.check_rows(&delta);
        self.seq = delta.seq;
        for shard in delta.completed.iter() {
            let is_skipped = delta.skipped.contains(shard);
            let may_skip = self.spec.reducer().is_some()
                && self.spec.policy.on_shard_error == OnShardError::Skip;
            assert_eq!(is_skipped, may_skip && self.spec.is_broken(shard));
            if is_skipped {
                self.naive_skipped += 1;
            } else if self.spec.is_broken(shard) {
                self.naive_failed += 1;
            } else {
                self.naive_hits += self.spec.hits(shard);
            }
        }
        self.completed |= delta.completed;
        self.failed_shards = delta.failed_shards;
        self.high_water = delta.high_water;
        self.is_paused = delta.is_paused;
        self.end = delta.end;
        if let Some(state) = delta.reducer_state {
            self.reducer_state = state;
        }
        self.check();
        true
    }

    /// Each completed shard has one row with its result, where results are kept.
    fn check_rows(&self, delta: &Delta) {
        let shards: Vec<u64> = delta.rows.iter().map(|(shard, _)| shard.0).collect();
        if self.spec.nature == Nature::Collect {
            assert_eq!(
                shards.len() as u128,
                delta.completed.len() - delta.skipped.len(),
                "I1: one row a shard"
            );
            assert!(shards.iter().all(|shard| delta.completed.contains(*shard)));
            for (shard, result) in delta.rows.iter() {
                let expected = self.spec.result(shard.0, self.spec.is_broken(shard.0));
                assert_eq!(*result, expected);
            }
        } else {
            assert!(shards.is_empty(), "nothing is kept that nobody asked for");
        }
    }

    fn check(&self) {
        let completed = u64::try_from(self.completed.len()).unwrap();
        assert!(completed <= self.spec.shards);
        assert!(self.completed.last() < Some(self.high_water));
        let is_sum = matches!(self.spec.nature, Nature::Sharded | Nature::Strict);
        if let Some(reducer) = self.spec.reducer().filter(|_| is_sum) {
            let aggregate = reducer.aggregate(&self.reducer_state);
            let field = |name: &str| {
                let field = aggregate.fields.iter().find(|field| field.name == name);
                field.and_then(|field| field.nearest).unwrap_or(0.0)
            };
            assert_eq!(
                field("hits"),
                self.naive_hits as f64,
                "I3: the sum is naive"
            );
            assert_eq!(field("exitCode"), self.naive_failed as f64);
        }
        if is_sum || self.spec.nature == Nature::Collect {
            assert_eq!(self.failed_shards, self.naive_failed + self.naive_skipped);
        }
        if let Some(end) = &self.end {
            let is_cancelled = self.is_cancelled && *end == JobEnd::Cancelled;
            let may_end = is_cancelled || self.spec.may_end(end);
            assert!(may_end, "{:?} ended as {end:?}", self.spec);
            let is_failed = matches!(end, JobEnd::Failed(_) | JobEnd::Cancelled);
            assert!(is_failed || completed == self.spec.shards);
        }
    }

    fn outline(&self) -> JobOutline {
        JobOutline {
            job: self.spec.job,
            kind: self.spec.kind(),
            plan: self.spec.plan(),
            reducer: self.spec.reducer(),
            policy: self.spec.policy,
            timeout_ms: self.spec.timeout_ms,
            seq: self.seq,
            completed: self.completed.clone(),
            failed_shards: self.failed_shards,
            reducer_state: self.reducer_state.clone(),
            high_water: self.high_water,
            is_paused: self.is_paused,
            reclaim: true,
        }
    }
}

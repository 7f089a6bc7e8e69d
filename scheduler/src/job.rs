//! A running job: what is left to do, what is folded, and what of that is stored.
//!
//! Not here: what a result does to it (`job/results`), and making deltas of what has changed
//! (`job/delta`).
//!
//! Two states side by side: the one ahead, into which results are folded as they come, and the
//! committed one, which alone may be shown. Between them lie the deltas of the `ledger`.

mod delta;
mod results;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use range_set_blaze::RangeSetBlaze;
use shared::ids::{JobId, SessionId, WorkerId};
use shared::job::Policy;
use shared::limits::{BATCH_TARGET_MS, MAX_SHARD_ATTEMPTS};
use shared::plan::Plan;
use shared::reduce::{Reducer, ReducerState};
use shared::time::Millis;

use crate::candidates::Candidates;
use crate::event::{Command, JobEnd, JobKind, JobOutline, JobProgress, JobView, Obstacle};
use crate::ledger::{Ledger, Pending};
use crate::rounds::Round;
use crate::run_times::RunTimes;
use crate::speed::Speed;
use crate::supply::{Holder, Issued, Supply};

use delta::Batch;
use results::given_up;

pub(crate) use results::{Answer, Delivery};

/// Workers that are remembered for not wanting a job; others are asked again.
pub(crate) const MAX_REFUSERS: usize = 4096;
/// A worker of which a job has killed so many executors is not given it again.
const MAX_DEATHS: u32 = 3;
/// A worker ends a run at its time limit. One that lasts this many times the limit, and longer than it
/// by this many milliseconds, is not answered any more: tabs that were suspended have had time.
const LATE_FACTOR: u64 = 2;
const LATE_MS: u64 = 30_000;
/// A shard that runs longer than so many times what nearly all others took is a straggler.
const STRAGGLER_FACTOR: u64 = 2;

#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) id: JobId,
    pub(crate) kind: JobKind,
    pub(crate) supply: Supply,
    pub(crate) ledger: Ledger,
    /// What a shard takes on average on any worker.
    pub(crate) speed: Speed,
    /// What completed shards took.
    run_times: RunTimes,
    /// Sessions that were given attempts of it.
    pub(crate) members: BTreeSet<SessionId>,
    /// Its place among the jobs that have work.
    pub(crate) turn: Option<u64>,
    /// Its earliest next place, once it had one: what it had is not given to it again.
    pub(crate) next_turn: Option<u64>,
    /// Where workers were last looked for that are free for a suspect shard, or idle for a straggler.
    pub(crate) free_round: Round<(u64, SessionId)>,
    pub(crate) idle_round: Round<(u64, SessionId)>,
    /// Workers that do not want it: their volunteers said so, or it killed too many executors.
    refusers: BTreeSet<WorkerId>,
    /// How often it killed an executor of each worker.
    deaths: BTreeMap<WorkerId, u32>,
    plan: Plan,
    reducer: Option<Reducer>,
    policy: Policy,
    timeout_ms: u64,
    completed: RangeSetBlaze<u64>,
    completed_count: u64,
    failed_shards: u64,
    reducer_state: ReducerState,
    /// The highest mark that any delta carries.
    reserved: u64,
    was_started: bool,
    is_paused: bool,
    /// Its last delta is under way: nothing is handed out or folded any more.
    is_ending: bool,
    batch: Batch,
    shown: Shown,
}

/// The committed state.
#[derive(Debug)]
struct Shown {
    seq: u64,
    completed: u64,
    failed: u64,
    is_paused: bool,
    reducer_state: ReducerState,
}

impl Job {
    pub(crate) fn new(outline: JobOutline) -> Self {
        let total = outline.plan.total_shards();
        let completed_count = u64::try_from(outline.completed.len()).unwrap_or(u64::MAX);
        let high_water = outline.high_water.min(total);
        let was_handed_out = outline.reclaim || completed_count > 0;
        let withheld = was_handed_out.then(|| below(high_water) - &outline.completed);
        Self {
            id: outline.job,
            kind: outline.kind,
            supply: Supply::new(total, high_water, withheld),
            ledger: Ledger::new(outline.seq),
            speed: Speed::default(),
            run_times: RunTimes::default(),
            members: BTreeSet::new(),
            turn: None,
            next_turn: None,
            free_round: Round::default(),
            idle_round: Round::default(),
            refusers: BTreeSet::new(),
            deaths: BTreeMap::new(),
            plan: outline.plan,
            reducer: outline.reducer,
            policy: outline.policy,
            timeout_ms: outline.timeout_ms,
            completed_count,
            failed_shards: outline.failed_shards,
            shown: Shown {
                seq: outline.seq,
                completed: completed_count,
                failed: outline.failed_shards,
                is_paused: outline.is_paused,
                reducer_state: outline.reducer_state.clone(),
            },
            completed: outline.completed,
            reducer_state: outline.reducer_state,
            reserved: high_water,
            was_started: completed_count > 0,
            is_paused: outline.is_paused,
            is_ending: false,
            batch: Batch::default(),
        }
    }

    /// `active` are the workers that may be given work.
    pub(crate) fn view(&self, active: &BTreeSet<WorkerId>) -> JobView {
        JobView {
            stored_seq: self.shown.seq,
            progress: self.progress(active),
            reducer_state: self.shown.reducer_state.clone(),
        }
    }

    /// `active` are the workers that may be given work.
    pub(crate) fn progress(&self, active: &BTreeSet<WorkerId>) -> JobProgress {
        JobProgress {
            total: self.plan.total_shards(),
            completed: self.shown.completed,
            failed: self.shown.failed,
            in_flight: self.supply.in_flight(),
            waiting: self.supply.remaining(),
            withheld: self.supply.withheld(),
            is_paused: self.shown.is_paused,
            started: self.was_started,
            obstacle: self.obstacle(active),
        }
    }

    fn obstacle(&self, active: &BTreeSet<WorkerId>) -> Option<Obstacle> {
        let is_held_up = self.is_open() && self.supply.in_flight() == 0;
        if !is_held_up || active.is_empty() {
            return None;
        }
        let candidates = self.candidates(active);
        if !candidates.has_other(&[]) {
            Some(Obstacle::Refusals)
        } else if self.supply.is_lost_on_all(candidates) {
            Some(Obstacle::Losses)
        } else {
            None
        }
    }

    /// Of the last delta, stored or not; 0 for none.
    pub(crate) const fn last_seq(&self) -> u64 {
        self.ledger.next_seq() - 1
    }

    pub(crate) const fn is_ending(&self) -> bool {
        self.is_ending
    }

    pub(crate) fn has_work(&self) -> bool {
        self.is_open() && self.supply.has_work()
    }

    /// Has shards that may only be handed out alone.
    pub(crate) fn has_suspects(&self) -> bool {
        self.is_open() && self.supply.has_suspects()
    }

    /// The worker is not given the job again, not in another session either.
    pub(crate) fn refused_by(&mut self, worker: &WorkerId) {
        if self.refusers.len() < MAX_REFUSERS {
            self.refusers.insert(worker.clone());
        }
    }

    /// Of the workers that may be given work, those that may be given it.
    pub(crate) const fn candidates<'a>(&'a self, active: &'a BTreeSet<WorkerId>) -> Candidates<'a> {
        Candidates {
            active,
            refusers: &self.refusers,
        }
    }

    /// See [`Supply::issue`].
    pub(crate) fn issue(
        &mut self,
        places: Range<u32>,
        worker: &WorkerId,
        active: &BTreeSet<WorkerId>,
        holder: impl Fn(u32) -> Holder,
    ) -> Vec<Issued> {
        let refusers = &self.refusers;
        let candidates = Candidates { active, refusers };
        self.supply.issue(places, worker, candidates, holder)
    }

    /// See [`Supply::issue_suspect`].
    pub(crate) fn issue_suspect(
        &mut self,
        worker: &WorkerId,
        active: &BTreeSet<WorkerId>,
        now: Millis,
        holder: Holder,
    ) -> Option<Issued> {
        let refusers = &self.refusers;
        let candidates = Candidates { active, refusers };
        self.supply.issue_suspect(worker, candidates, now, holder)
    }

    pub(crate) fn is_refused_by(&self, worker: &WorkerId) -> bool {
        !self.refusers.is_empty() && self.refusers.contains(worker)
    }

    /// Jobs get turns in proportion to it.
    pub(crate) const fn weight(&self) -> u64 {
        self.policy.priority.weight() as u64
    }

    const fn is_open(&self) -> bool {
        !self.is_ending && !self.is_paused
    }

    /// How long a shard has to run to be called a straggler, in milliseconds; `None` while something
    /// is left to start, or too little is known.
    pub(crate) fn straggler_ms(&self) -> Option<u64> {
        let is_tail = self.is_open() && self.supply.in_flight() > 0 && self.supply.remaining() == 0;
        if !is_tail || !self.policy.speculation {
            return None;
        }
        let p95_us = self.run_times.p95_us()?;
        Some((STRAGGLER_FACTOR * p95_us / 1_000).max(BATCH_TARGET_MS))
    }

    /// How long an attempt has to run to be called late, in milliseconds; `None` without a time limit.
    pub(crate) fn late_ms(&self) -> Option<u64> {
        let limit_ms = Some(self.timeout_ms).filter(|ms| *ms > 0 && !self.is_ending)?;
        let factor = limit_ms.saturating_mul(LATE_FACTOR);
        Some(factor.max(limit_ms.saturating_add(LATE_MS)))
    }

    /// Does what its owner wants, unless the job is ending already. O(1) in its shards.
    pub(crate) fn control(&mut self, command: Command) {
        if self.is_ending {
            return;
        }
        match command {
            Command::Pause => self.switch(true),
            Command::Resume => self.switch(false),
            Command::Cancel => self.end(JobEnd::Cancelled),
        }
    }

    fn switch(&mut self, is_paused: bool) {
        if self.is_paused != is_paused {
            self.is_paused = is_paused;
            self.batch.is_switched = true;
        }
    }

    pub(crate) const fn mark_started(&mut self) {
        self.was_started = true;
    }

    /// Ends a job whose shards are all completed but whose end was not stored.
    pub(crate) fn end_if_complete(&mut self) {
        if self.completed_count == self.plan.total_shards() && self.reducer.is_some() {
            self.end(JobEnd::Reduced);
        }
    }

    /// A worker was lost while it ran the shard. After so many workers that it can hardly be chance,
    /// that ends the job. Additions run nothing that could kill a worker.
    pub(crate) fn lose(&mut self, shard: u64, by: Holder, worker: &WorkerId, now: Millis) {
        let losses = match self.kind {
            JobKind::Add => return self.supply.take_back(shard, by),
            JobKind::RunJs => self.supply.lose(shard, by, worker, now),
        };
        if losses < MAX_SHARD_ATTEMPTS || self.is_ending {
            return;
        }
        let cause = "worker lost while running it";
        self.end(JobEnd::Failed(match self.plan {
            Plan::Single => cause.into(),
            Plan::Sharded(_) => given_up(shard, cause),
        }));
    }

    fn end(&mut self, end: JobEnd) {
        self.batch.end = Some(end);
        self.is_ending = true;
    }

    /// Makes a stored delta what is shown.
    /// Whether that paused or resumed it.
    pub(crate) fn apply(&mut self, settled: &mut Pending) -> bool {
        let delta = &mut settled.delta;
        self.shown.seq = delta.seq;
        self.shown.completed += u64::try_from(delta.completed.len()).unwrap_or(u64::MAX);
        self.shown.failed = delta.failed_shards;
        let is_switched = self.shown.is_paused != delta.is_paused;
        self.shown.is_paused = delta.is_paused;
        if let Some(state) = delta.reducer_state.take() {
            self.shown.reducer_state = state;
        }
        self.supply.raise_mark(delta.high_water);
        is_switched
    }
}

fn below(end: u64) -> RangeSetBlaze<u64> {
    match end.checked_sub(1) {
        Some(last) => RangeSetBlaze::from_iter([0..=last]),
        None => RangeSetBlaze::new(),
    }
}

#[cfg(test)]
impl Job {
    /// Panics where the shards of the job do not add up; `held` are the attempts with workers.
    pub(crate) fn check(
        &self,
        held: &std::collections::BTreeMap<u64, Vec<(Holder, crate::leaf::Slot)>>,
    ) {
        assert_eq!(self.completed.len(), u128::from(self.completed_count));
        let is_open = |shard: u64| !self.completed.contains(shard);
        let open = held
            .iter()
            .filter(|(shard, _)| is_open(**shard))
            .map(|(shard, holders)| (*shard, holders.as_slice()));
        self.supply.check(self.completed_count, open);
    }
}

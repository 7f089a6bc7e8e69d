//! A running job: what is left to do, what is folded, and what of that is stored.
//!
//! Two states side by side: the one ahead, into which results are folded as they come, and the
//! committed one, which alone may be shown. Between them lie the deltas of the `ledger`.

use std::collections::BTreeSet;
use std::sync::Arc;

use range_set_blaze::RangeSetBlaze;
use shared::ids::{AttemptId, JobId, SessionId, ShardIndex, WorkerId};
use shared::job::{OnShardError, Policy};
use shared::limits::{BATCH_TARGET_MS, MAX_SHARD_ATTEMPTS};
use shared::plan::Plan;
use shared::reduce::{Reducer, ReducerState};
use shared::time::Millis;
use shared::wire::{self, AttemptRange, Disposition, ShardResult};

use crate::event::{
    Command, Contribution, Delta, JobEnd, JobKind, JobOutline, JobProgress, JobView, ShardResults,
};
use crate::leaf::Slot;
use crate::ledger::{Consequences, Ledger, Pending, Uncommitted, Verdict};
use crate::outbox::continues;
use crate::run_times::RunTimes;
use crate::speed::Speed;
use crate::supply::{Holder, Supply};

/// Memory that a delta takes beside its parts, in bytes.
const DELTA_BYTES: usize = 512;
/// Memory that a range of shards takes, in bytes.
const RANGE_BYTES: usize = 48;
/// Workers that are remembered for not wanting a job; others are asked again.
pub(crate) const MAX_REFUSERS: usize = 4096;
/// A shard that runs longer than so many times what nearly all others took is a straggler.
const STRAGGLER_FACTOR: u64 = 2;

/// When a disposition may be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// After the commit of what it rests on.
    Pending,
    /// Nothing durable rests on it.
    AtOnce(Disposition),
}

/// A result and where it comes from.
#[derive(Debug)]
pub(crate) struct Delivery<'a> {
    pub(crate) session: SessionId,
    pub(crate) worker: &'a WorkerId,
    pub(crate) attempt: AttemptId,
    pub(crate) slot: Slot,
    pub(crate) result: ShardResult,
}

/// What one step changes; becomes one delta.
#[derive(Debug, Default)]
struct Batch {
    completed: Vec<u64>,
    /// Those of them that failed and were left out.
    skipped: Vec<u64>,
    results: Vec<(ShardIndex, ShardResult)>,
    verdicts: Vec<Verdict>,
    pointless: Vec<Holder>,
    /// Paused or resumed.
    is_switched: bool,
    contributions: Vec<Contribution>,
    end: Option<JobEnd>,
}

/// What becomes of a batch.
#[derive(Debug, Default)]
pub(crate) struct Closed {
    /// To be stored.
    pub(crate) delta: Option<Delta>,
    /// Dispositions that wait for nothing.
    pub(crate) verdicts: Vec<Verdict>,
    /// Those that rest on nothing durable.
    pub(crate) contributions: Vec<Contribution>,
}

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
    /// Its earliest next place: what it had is not given to it again.
    pub(crate) next_turn: u64,
    /// Workers that do not want it: their volunteers said so, or it killed too many executors.
    refusers: BTreeSet<WorkerId>,
    plan: Plan,
    reducer: Option<Reducer>,
    policy: Policy,
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
            next_turn: 0,
            refusers: BTreeSet::new(),
            plan: outline.plan,
            reducer: outline.reducer,
            policy: outline.policy,
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

    pub(crate) fn view(&self) -> JobView {
        JobView {
            stored_seq: self.shown.seq,
            progress: self.progress(),
            reducer_state: self.shown.reducer_state.clone(),
        }
    }

    pub(crate) fn progress(&self) -> JobProgress {
        JobProgress {
            total: self.plan.total_shards(),
            completed: self.shown.completed,
            failed: self.shown.failed,
            in_flight: self.supply.in_flight(),
            waiting: self.supply.remaining(),
            withheld: self.supply.withheld(),
            is_paused: self.shown.is_paused,
            started: self.was_started,
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

    /// Takes in a result of an attempt that the worker was really given and that was not answered.
    pub(crate) fn deliver(&mut self, delivery: Delivery<'_>, now: Millis) -> Answer {
        let Delivery {
            session,
            worker,
            attempt,
            slot,
            result,
        } = delivery;
        if self.is_ending {
            return self.answer(session, attempt, Disposition::Stale);
        }
        if slot.is_tracked && !self.supply.is_open(slot.shard) {
            return self.answer(session, attempt, Disposition::Duplicate);
        }
        let by = Holder { session, attempt };
        if self.shall_retry(slot, attempt, &result) {
            if self.supply.fail(slot.shard, by, worker, now) {
                self.contribution(worker).failed += 1;
            }
            return Answer::AtOnce(Disposition::Stale);
        }
        let pointless = self.supply.complete(slot.shard, by);
        self.batch.pointless.extend(pointless);
        self.fold(worker, slot.shard, result);
        self.answer(session, attempt, Disposition::Durable)
    }

    /// Answers another result of an attempt whose result was disposed of, or that is over.
    pub(crate) fn answer_again(
        &mut self,
        session: SessionId,
        attempt: AttemptId,
        slot: Slot,
    ) -> Answer {
        if self.is_completed(slot.shard) {
            self.answer(session, attempt, Disposition::Duplicate)
        } else if self.is_ending {
            self.answer(session, attempt, Disposition::Stale)
        } else {
            Answer::AtOnce(Disposition::Stale)
        }
    }

    fn is_completed(&self, shard: u64) -> bool {
        self.completed.contains(shard) || self.batch.completed.contains(&shard)
    }

    fn answer(
        &mut self,
        session: SessionId,
        attempt: AttemptId,
        disposition: Disposition,
    ) -> Answer {
        let range = AttemptRange::one(attempt);
        if let Some(last) = self.batch.verdicts.last_mut()
            && last.session == session
            && last.disposition == disposition
            && continues(last.range, range)
        {
            last.range.count += 1;
        } else {
            self.batch.verdicts.push(Verdict {
                session,
                range,
                disposition,
            });
        }
        Answer::Pending
    }

    /// A worker was lost while it ran the shard. After so many workers that it can hardly be chance,
    /// that ends the job. Additions run nothing that could kill a worker.
    pub(crate) fn lose(&mut self, shard: u64, by: Holder, worker: &WorkerId, now: Millis) {
        let losses = match self.kind {
            JobKind::Add => return self.supply.take_back(shard, by, now),
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

    /// Only shards of a sharded job are tried again; the result of a single run is its result,
    /// whatever it is.
    fn shall_retry(&self, slot: Slot, attempt: AttemptId, result: &ShardResult) -> bool {
        let has_failed = !result.has_returned();
        let is_sharded = matches!(self.plan, Plan::Sharded(_)) && self.reducer.is_some();
        let failures = if slot.is_tracked {
            self.supply.failures_beside(slot.shard, attempt)
        } else {
            0
        };
        is_sharded && has_failed && failures + 1 < MAX_SHARD_ATTEMPTS
    }

    fn fold(&mut self, worker: &WorkerId, shard: u64, result: ShardResult) {
        let Some(reducer) = &self.reducer else {
            self.complete(worker, shard, &result);
            return self.end(JobEnd::Single(result));
        };
        if !result.has_returned() {
            match self.policy.on_shard_error {
                OnShardError::Fold => {}
                OnShardError::Fail => return self.fail_for(worker, shard, &result),
                OnShardError::Skip => return self.skip(worker, shard, result),
            }
        }
        match reducer.fold(&mut self.reducer_state, &result) {
            Ok(()) => self.complete_shard(worker, shard, result),
            Err(error) => {
                self.contribution(worker).failed += 1;
                let cause = why_it_failed(shard, &result);
                self.end(JobEnd::Failed(format!("reducer_error:{error}{cause}")));
            }
        }
    }

    fn complete_shard(&mut self, worker: &WorkerId, shard: u64, result: ShardResult) {
        self.complete(worker, shard, &result);
        self.batch.results.push((ShardIndex(shard), result));
        if self.completed_count == self.plan.total_shards() {
            self.end(JobEnd::Reduced);
        }
    }

    /// Leaves a shard out that failed for good.
    fn skip(&mut self, worker: &WorkerId, shard: u64, result: ShardResult) {
        self.batch.skipped.push(shard);
        self.complete_shard(worker, shard, result);
    }

    /// Ends the job for a shard that failed for good.
    fn fail_for(&mut self, worker: &WorkerId, shard: u64, result: &ShardResult) {
        self.contribution(worker).failed += 1;
        let cause = result.error_message().unwrap_or("no message");
        self.end(JobEnd::Failed(given_up(shard, cause)));
    }

    /// What a worker does in this batch. Results come worker by worker.
    fn contribution(&mut self, worker: &WorkerId) -> &mut Contribution {
        let all = &mut self.batch.contributions;
        if all.last().is_none_or(|last| last.worker != *worker) {
            all.push(Contribution::none(worker.clone()));
        }
        all.last_mut().expect("there is one after the push")
    }

    fn complete(&mut self, worker: &WorkerId, shard: u64, result: &ShardResult) {
        let failed = u64::from(!result.has_returned());
        self.batch.completed.push(shard);
        self.completed_count += 1;
        self.failed_shards += failed;
        let units = self.units_of(shard);
        let own = self.contribution(worker);
        own.completed += 1;
        own.failed += failed;
        own.units += units;
        own.run_us = own.run_us.saturating_add(result.duration_us);
        self.run_times.note(result.duration_us);
    }

    fn units_of(&self, shard: u64) -> u64 {
        match self.plan {
            Plan::Single => 0,
            Plan::Sharded(sharding) => sharding
                .units_of(ShardIndex(shard))
                .map_or(0, |units| units.units),
        }
    }

    fn end(&mut self, end: JobEnd) {
        self.batch.end = Some(end);
        self.is_ending = true;
    }

    /// Turns what has changed since the last call into a delta.
    pub(crate) fn close_batch(
        &mut self,
        block: u64,
        uncommitted: &mut Uncommitted,
        now: Millis,
    ) -> Closed {
        let is_raised = self.raise_reserve(block);
        let batch = std::mem::take(&mut self.batch);
        let is_changed = batch.is_switched || batch.end.is_some() || is_raised;
        if batch.completed.is_empty() && !is_changed {
            let bytes = batch.verdicts.len() * RANGE_BYTES;
            let verdicts = uncommitted.follow(self.id, &mut self.ledger, |ledger| {
                ledger.defer(batch.verdicts, bytes)
            });
            return Closed {
                delta: None,
                verdicts,
                contributions: batch.contributions,
            };
        }
        let completed = to_ranges(batch.completed);
        for range in completed.ranges() {
            self.completed.ranges_insert(range);
        }
        let results: ShardResults = batch.results.into();
        let keeps_rows = self.reducer.as_ref().is_some_and(Reducer::keeps_rows);
        let skipped = to_ranges(batch.skipped);
        let rows = match keeps_rows {
            false => ShardResults::default(),
            true if skipped.is_empty() => Arc::clone(&results),
            true => {
                let kept = results.iter().filter(|(it, _)| !skipped.contains(it.0));
                kept.cloned().collect()
            }
        };
        let delta = Delta {
            job: self.id,
            seq: self.ledger.next_seq(),
            reducer_state: (!completed.is_empty() && self.reducer.is_some())
                .then(|| self.reducer_state.clone()),
            completed,
            rows,
            skipped,
            failed_shards: self.failed_shards,
            high_water: self.reserved,
            is_paused: self.is_paused,
            end: batch.end,
        };
        let bytes = estimate_bytes(&delta, &results, &batch.verdicts);
        let consequences = Consequences {
            verdicts: batch.verdicts,
            pointless: batch.pointless,
            contributions: batch.contributions,
            results,
        };
        let to_persist = uncommitted.follow(self.id, &mut self.ledger, |ledger| {
            ledger.append(delta, consequences, bytes, now)
        });
        Closed {
            delta: to_persist,
            ..Closed::default()
        }
    }

    /// Raises the mark by a block once half of the last one is handed out.
    fn raise_reserve(&mut self, block: u64) -> bool {
        let total = self.plan.total_shards();
        let is_low = self.supply.cursor() + block / 2 >= self.reserved;
        if self.is_ending || self.reserved >= total || !is_low {
            return false;
        }
        self.reserved = self.reserved.saturating_add(block).min(total);
        true
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

/// The contract's words for a shard that was tried often enough.
fn given_up(shard: u64, cause: &str) -> String {
    format!(
        "Shard {shard} failed after {MAX_SHARD_ATTEMPTS}/{MAX_SHARD_ATTEMPTS} attempts: {cause}"
    )
}

/// What a reducer that could not fold a failed run would otherwise keep from its owner.
fn why_it_failed(shard: u64, result: &ShardResult) -> String {
    if result.has_returned() {
        return String::new();
    }
    let message = result.error_message().unwrap_or("no message");
    let code = result.status.exit_code();
    format!(" Shard {shard} had failed with exit code {code}: {message}")
}

fn below(end: u64) -> RangeSetBlaze<u64> {
    match end.checked_sub(1) {
        Some(last) => RangeSetBlaze::from_iter([0..=last]),
        None => RangeSetBlaze::new(),
    }
}

/// As few ranges as neighbours allow.
fn to_ranges(mut shards: Vec<u64>) -> RangeSetBlaze<u64> {
    shards.sort_unstable();
    let mut set = RangeSetBlaze::new();
    for run in shards.chunk_by(|a, b| a + 1 == *b) {
        if let (Some(first), Some(last)) = (run.first(), run.last()) {
            set.ranges_insert(*first..=*last);
        }
    }
    set
}

fn estimate_bytes(
    delta: &Delta,
    results: &[(ShardIndex, ShardResult)],
    verdicts: &[Verdict],
) -> usize {
    let state = delta
        .reducer_state
        .as_ref()
        .map_or(0, |state| wire::encode(state).len());
    let end = match &delta.end {
        Some(JobEnd::Single(result)) => result.row_bytes(),
        Some(JobEnd::Failed(text)) => text.len() as u64,
        Some(JobEnd::Reduced | JobEnd::Cancelled) | None => 0,
    };
    let rows: u64 = results.iter().map(|(_, result)| result.row_bytes()).sum();
    let texts = usize::try_from(end + rows).unwrap_or(usize::MAX);
    let ranges = delta.completed.ranges_len() + delta.skipped.ranges_len() + verdicts.len();
    DELTA_BYTES + 2 * state + texts + ranges * RANGE_BYTES
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

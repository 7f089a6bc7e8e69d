//! What a result does to a job: it is folded, tried again, or ends the job; and what is answered.

use std::collections::BTreeSet;

use shared::ids::{AttemptId, SessionId, ShardIndex, WorkerId};
use shared::job::OnShardError;
use shared::limits::MAX_SHARD_ATTEMPTS;
use shared::plan::Plan;
use shared::wire::{AttemptRange, Disposition, ResultStatus, ShardResult};

use super::{Job, MAX_DEATHS, MAX_REFUSERS};
use crate::event::{Contribution, JobEnd};
use crate::leaf::Slot;
use crate::ledger::Verdict;
use crate::outbox::continues;
use crate::supply::Holder;

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

impl Job {
    /// Takes in a result of an attempt that the worker was really given and that was not answered.
    /// `active` are the workers that may be given work.
    pub(crate) fn deliver(
        &mut self,
        delivery: Delivery<'_>,
        active: &BTreeSet<WorkerId>,
    ) -> Answer {
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
        if self.shall_retry(slot, attempt, &result, worker, active) {
            if self.supply.fail(slot.shard, by, worker) {
                self.contribution(worker).failed += 1;
                self.note_death(worker, &result);
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

    /// Only shards of a sharded job are tried again; the result of a single run is its result,
    /// whatever it is. A shard has failed for good once so many workers say so, or once it was tried as
    /// often and there is no other worker to ask.
    fn shall_retry(
        &self,
        slot: Slot,
        attempt: AttemptId,
        result: &ShardResult,
        worker: &WorkerId,
        active: &BTreeSet<WorkerId>,
    ) -> bool {
        let is_sharded = matches!(self.plan, Plan::Sharded(_)) && self.reducer.is_some();
        if result.has_returned() || !is_sharded {
            return false;
        }
        let (failures, tried) = self.supply.failures_with(slot.shard, attempt, worker);
        failures.workers < MAX_SHARD_ATTEMPTS
            && (failures.attempts < MAX_SHARD_ATTEMPTS || self.candidates(active).has_other(&tried))
    }

    /// Counts an executor that the job killed. Its run time is not known and so 0; other results with
    /// this exit code, such as one that is too large, have one.
    fn note_death(&mut self, worker: &WorkerId, result: &ShardResult) {
        let has_died = result.status == ResultStatus::ExecutorFailed && result.duration_us == 0;
        let is_known = self.deaths.contains_key(worker);
        if !has_died || (!is_known && self.deaths.len() == MAX_REFUSERS) {
            return;
        }
        let deaths = self.deaths.entry(worker.clone()).or_default();
        *deaths += 1;
        if *deaths >= MAX_DEATHS {
            self.refused_by(worker);
        }
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
        self.note_death(worker, result);
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
}

/// The contract's words for a shard that was tried often enough.
pub(super) fn given_up(shard: u64, cause: &str) -> String {
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

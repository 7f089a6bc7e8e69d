//! Idle workers take over what waits elsewhere.
//!
//! Near the end of a job, or when a worker joins late, some workers have nothing while others hold
//! attempts that no slot of theirs will reach soon. Those are taken back and handed out again. The
//! first worker may have started one in the meantime: whichever result comes first counts.

use std::cmp::Reverse;

use shared::ids::{JobId, SessionId};
use shared::limits::BATCH_TARGET_MS;

use super::Scheduler;
use crate::leaf::attempt;
use crate::session::Session;
use crate::supply::Holder;
use crate::timers::Timer;

/// Nothing is taken over that would be started within this time, in milliseconds.
const PATIENCE_MS: u64 = BATCH_TARGET_MS;

/// Workers that are looked at in one step, on either side.
const MAX_LOOKED_AT: usize = 8;

impl Scheduler {
    /// Moves queued work to workers for which there was nothing in this step, and comes back while there
    /// are both.
    pub(super) fn balance(&mut self) {
        let queues = &self.queues;
        let is_moving = !queues.idle.is_empty() && !queues.backlog.is_empty();
        if is_moving && !self.is_balanced && !self.uncommitted.is_too_much(self.now) {
            self.relieve_some();
        }
        let queues = &self.queues;
        let is_waiting = !queues.idle.is_empty() && (queues.has_work() || is_moving);
        let is_suspecting = !queues.suspected.is_empty() && !queues.free.is_empty();
        if !is_waiting && !is_suspecting {
            self.timers.cancel(Timer::Balance);
            self.is_balanced = false;
        } else if !self.timers.is_set(Timer::Balance) {
            self.timers.set(Timer::Balance, self.now.plus(PATIENCE_MS));
        }
    }

    /// Relieves workers, those that have the most in front.
    fn relieve_some(&mut self) {
        let loaded = self
            .loaded_round
            .look_back(&self.queues.backlog, MAX_LOOKED_AT);
        let mut has_moved = false;
        for (_, id) in loaded {
            has_moved |= self.relieve(id);
        }
        self.is_balanced = !has_moved;
        if has_moved {
            self.loaded_round.restart();
        }
    }

    /// Hands part of what waits at a worker to idle ones; whether there was any for them.
    fn relieve(&mut self, id: SessionId) -> bool {
        let Some(giver) = self.sessions.get_mut(&id) else {
            return false;
        };
        let idle = giver.takers_round.look(&self.queues.idle, MAX_LOOKED_AT);
        let Some(giver) = self.sessions.get(&id) else {
            return false;
        };
        let waits_ms = match giver.queue_us() {
            Some(us) => us / 1000,
            None => self.now.since(giver.busy_since),
        };
        if waits_ms < PATIENCE_MS {
            return false;
        }
        let takers: Vec<&Session> = idle
            .iter()
            .filter_map(|(_, idle)| self.sessions.get(idle))
            .collect();
        let free: u32 = takers.iter().map(|it| it.slots - it.busy_slots()).sum();
        let queued = giver.queued();
        let count = queued.min(free.max(queued.div_ceil(2)));
        let moved = self.last_queued(id, giver, &takers, count as usize);
        for holder in &moved {
            self.take_back(*holder);
            self.revoke(*holder);
        }
        self.place_touched();
        self.serve_idle();
        !moved.is_empty()
    }

    /// Of the attempts that `giver` has not come to, up to `count` that one of `takers` may run and that
    /// are not just on their way; last ones first.
    fn last_queued(
        &self,
        id: SessionId,
        giver: &Session,
        takers: &[&Session],
        count: usize,
    ) -> Vec<Holder> {
        let mut leaves: Vec<_> = giver.leaves.iter().collect();
        leaves.sort_unstable_by_key(|(_, leaf)| Reverse(leaf.serial));
        leaves
            .into_iter()
            .flat_map(|(nonce, leaf)| leaf.slots().rev().map(move |slot| (nonce, leaf, slot)))
            .filter(|(_, _, (_, slot))| slot.is_held())
            .take(giver.queued() as usize)
            .filter(|(_, leaf, (index, slot))| {
                slot.running_since().is_none()
                    && self.now.since(leaf.sent) >= PATIENCE_MS
                    && leaf
                        .segment(*index)
                        .is_some_and(|(job, _)| self.may_any_take(takers, job, slot.shard))
            })
            .take(count)
            .map(|(nonce, _, (index, _))| Holder {
                session: id,
                attempt: attempt(*nonce, index),
            })
            .collect()
    }

    fn may_any_take(&self, takers: &[&Session], job: JobId, shard: u64) -> bool {
        takers.iter().any(|taker| self.may_take(taker, job, shard))
    }

    /// Whether an idle worker may run a shard that another one has.
    fn may_take(&self, taker: &Session, job: JobId, shard: u64) -> bool {
        self.jobs.get(&job).is_some_and(|job| {
            let worker = &taker.worker;
            !job.is_refused_by(worker) && !job.supply.was_tried_by(shard, worker)
        })
    }
}

//! Idle workers take over what waits elsewhere.
//!
//! Near the end of a job, or when a worker joins late, some workers have nothing while others hold
//! attempts that no slot of theirs will reach soon. Those are taken back and handed out again. The
//! first worker may have started one in the meantime: whichever result comes first counts.

use std::cmp::Reverse;

use shared::ids::{JobId, SessionId};
use shared::limits::BATCH_TARGET_MS;

use super::Scheduler;
use crate::leaf::{SlotState, attempt};
use crate::session::Session;
use crate::supply::Holder;
use crate::timers::Timer;

/// Nothing is taken over that would be started within this time, in milliseconds.
const PATIENCE_MS: u64 = BATCH_TARGET_MS;

/// Workers that are looked at in one step, on either side.
const MAX_LOOKED_AT: usize = 8;

impl Scheduler {
    /// Moves queued work to idle workers, and comes back while there are both.
    pub(super) fn balance(&mut self) {
        if !self.uncommitted.is_too_much(self.now) && !self.queues.has_work() {
            let loaded: Vec<SessionId> = self
                .queues
                .backlog
                .iter()
                .rev()
                .take(MAX_LOOKED_AT)
                .map(|(_, id)| *id)
                .collect();
            for id in loaded {
                self.relieve(id);
            }
        }
        let may_change = self.queues.has_work() || !self.queues.backlog.is_empty();
        if self.queues.idle.is_empty() || !may_change {
            self.timers.cancel(Timer::Balance);
        } else if !self.timers.is_set(Timer::Balance) {
            self.timers.set(Timer::Balance, self.now.plus(PATIENCE_MS));
        }
    }

    /// Hands part of what waits at a worker to idle ones.
    fn relieve(&mut self, id: SessionId) {
        let idle: Vec<&Session> = self
            .queues
            .idle
            .iter()
            .take(MAX_LOOKED_AT)
            .filter_map(|(_, idle)| self.sessions.get(idle))
            .collect();
        let (Some(taker), Some(giver)) = (idle.first(), self.sessions.get(&id)) else {
            return;
        };
        let waits_ms = match giver.queue_us() {
            Some(us) => us / 1000,
            None => self.now.since(giver.busy_since),
        };
        if waits_ms < PATIENCE_MS {
            return;
        }
        let free: u32 = idle.iter().map(|it| it.slots - it.busy_slots()).sum();
        let queued = giver.queued();
        let count = queued.min(free.max(queued.div_ceil(2)));
        let mut moved = self.last_queued(id, giver, taker);
        moved.truncate(count as usize);
        for holder in moved {
            self.take_back(holder);
            self.revoke(holder);
        }
        self.place_touched();
        self.serve_idle();
    }

    /// Of the attempts that `giver` has not come to, those that `taker` may run and that are not
    /// just on their way; last ones first.
    fn last_queued(&self, id: SessionId, giver: &Session, taker: &Session) -> Vec<Holder> {
        let mut leaves: Vec<_> = giver.leaves.iter().collect();
        leaves.sort_unstable_by_key(|(_, leaf)| Reverse(leaf.serial));
        leaves
            .into_iter()
            .flat_map(|(nonce, leaf)| leaf.slots().rev().map(move |slot| (nonce, leaf, slot)))
            .filter(|(_, _, (_, slot))| slot.is_held())
            .take(giver.queued() as usize)
            .filter(|(_, leaf, (index, slot))| {
                slot.state == SlotState::Held { is_running: false }
                    && self.now.since(leaf.sent) >= PATIENCE_MS
                    && leaf
                        .segment(*index)
                        .is_some_and(|(job, _)| self.may_take(taker, job, slot.shard))
            })
            .map(|(nonce, _, (index, _))| Holder {
                session: id,
                attempt: attempt(*nonce, index),
            })
            .collect()
    }

    /// Whether an idle worker may run a shard that another one has.
    pub(super) fn may_take(&self, taker: &Session, job: JobId, shard: u64) -> bool {
        self.jobs.get(&job).is_some_and(|job| {
            !job.is_refused_by(&taker.worker) && !job.supply.avoids(shard, &taker.worker, self.now)
        })
    }
}

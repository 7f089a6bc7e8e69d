//! Leases: how long a worker may hold an attempt, and how attempts come back.
//!
//! Lives here: renewing, expiring, taking back with blame or without, and giving an attempt that was
//! taken back to the one who turns out to have it after all. A lease never extends itself: only a list
//! of what the worker holds does.

use std::collections::BTreeSet;

use shared::ids::{AttemptId, JobId, SessionId};
use shared::limits::{LEASE_MS, MAX_ATTEMPTS_PER_LEAF};
use shared::wire::{AttemptRange, Held, RefusalReason, Refused, Stage};

use super::Scheduler;
use crate::job::Job;
use crate::leaf::{Second, Slot, SlotState, attempt, has_begun};
use crate::supply::{Claim, Holder};
use crate::timers::Timer;

/// Attempts that one message may list at most; the rest of it is ignored. Far above what a worker
/// can hold, it bounds the time that a message costs.
const MAX_LISTED: usize = 1 << 16;

impl Scheduler {
    pub(super) fn on_beat(&mut self, id: SessionId, held: &[Held]) {
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        session.unproved.note_beat();
        self.touched_sessions.insert(id);
        self.renew(id, held);
        self.revoke_unknown(id, held);
        self.take_late(id);
    }

    /// Takes away what should have been over for long by its job's time limit. The worker beats but
    /// does not answer; that is no failure of the shard, and a result that comes after all may count.
    fn take_late(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get(&id).filter(|_| !self.is_hearing()) else {
            return;
        };
        let late_ms = |job: &JobId| self.jobs.get(job).and_then(Job::late_ms);
        let mut held = session.shares.iter().filter(|(_, share)| share.held > 0);
        if !held.any(|(job, _)| late_ms(job).is_some()) {
            return;
        }
        let is_late = |attempt: &AttemptId| {
            let leaf = session.leaves.get(&attempt.nonce)?;
            let (job, _) = leaf.segment(attempt.index)?;
            let run_ms = session.run_ms(leaf, leaf.slot(attempt.index)?, self.now);
            late_ms(&job).map(|late_ms| run_ms > late_ms)
        };
        let running = session.running().into_iter();
        let late: Vec<AttemptId> = running.filter(|it| is_late(it) == Some(true)).collect();
        for attempt in late {
            let session = id;
            self.take_from_late(Holder { session, attempt });
        }
    }

    /// Takes an attempt from a worker that took too long. Others are tried next.
    pub(super) fn take_from_late(&mut self, holder: Holder) {
        if let Some((job, shard)) = self.release(holder, SlotState::Late)
            && let Some(job) = self.jobs.get_mut(&job)
            && let Some(session) = self.sessions.get(&holder.session)
        {
            job.supply.take_from_late(shard, holder, &session.worker);
        }
        self.revoke(holder);
    }

    /// Renews what is listed, and lets the worker keep or give up what was taken from it.
    pub(super) fn renew(&mut self, id: SessionId, held: &[Held]) {
        let lease = self.now.plus(LEASE_MS);
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        let mut others = Vec::new();
        let mut budget = MAX_LISTED;
        for entry in held {
            let nonce = entry.range.nonce;
            let Some(leaf) = session.leaves.get_mut(&nonce) else {
                continue;
            };
            for index in entry.range.indices().take(budget.min(leaf.len() as usize)) {
                budget -= 1;
                match leaf.slot(index).map(|slot| slot.state) {
                    Some(SlotState::Held { running_since }) => {
                        let begun = has_begun(entry.stage).then(|| Second::after(self.now));
                        let running_since = running_since.or(begun);
                        leaf.set(index, SlotState::Held { running_since });
                        leaf.renew(index, lease);
                    }
                    Some(
                        SlotState::Taken | SlotState::Late | SlotState::Over | SlotState::Disposed,
                    ) => {
                        others.push((attempt(nonce, index), entry.stage));
                    }
                    Some(SlotState::Received) | None => {}
                }
            }
        }
        for (attempt, stage) in others {
            let holder = Holder {
                session: id,
                attempt,
            };
            self.return_attempt(holder, stage, 0);
        }
    }

    /// Revokes what the worker lists of leaves that are over or that it was never given.
    pub(super) fn revoke_unknown(&mut self, id: SessionId, held: &[Held]) {
        let Some(session) = self.sessions.get(&id).filter(|it| it.is_connected) else {
            return;
        };
        for Held { range, stage } in held {
            let nonce = range.nonce;
            let is_known =
                session.leaves.contains_key(&nonce) || session.unproved.leaves.contains_key(&nonce);
            if !is_known && *stage != Stage::Finished {
                let count = range.count.min(MAX_ATTEMPTS_PER_LEAF as u32);
                self.outbox.revoke(id, AttemptRange { count, ..*range });
            }
        }
    }

    pub(super) fn on_refused(&mut self, id: SessionId, refusals: &[Refused]) {
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        if let Some(pause_ms) = session.note_refusal() {
            session.is_paused = true;
            self.timers.set(Timer::Pause(id), self.now.plus(pause_ms));
        }
        self.touched_sessions.insert(id);
        let mut budget = MAX_LISTED;
        for refusal in refusals {
            let Some(range) = refusal.range else {
                continue;
            };
            let most = budget.min(MAX_ATTEMPTS_PER_LEAF);
            for attempt in range.attempts().take(most) {
                budget -= 1;
                self.give_back(id, attempt, refusal.reason);
            }
        }
    }

    fn give_back(&mut self, id: SessionId, attempt: AttemptId, reason: RefusalReason) {
        let holder = Holder {
            session: id,
            attempt,
        };
        if !self.is_held(holder) {
            return;
        }
        if reason == RefusalReason::JobRefused
            && let Some(session) = self.sessions.get(&id)
            && let Some(leaf) = session.leaves.get(&attempt.nonce)
            && let Some((job, _)) = leaf.segment(attempt.index)
            && let Some(job) = self.jobs.get_mut(&job)
        {
            job.refused_by(&session.worker);
        }
        self.take_back(holder);
    }

    /// Takes back what was not renewed in time.
    pub(super) fn expire_leases(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get(&id) else {
            return;
        };
        let mut expired = Vec::new();
        let mut next = None;
        for (nonce, leaf) in &session.leaves {
            for (index, slot) in leaf.slots().filter(|(_, slot)| slot.is_held()) {
                if slot.lease <= self.now {
                    expired.push(attempt(*nonce, index));
                } else {
                    next = Some(next.map_or(slot.lease, |at| slot.lease.min(at)));
                }
            }
        }
        if let Some(at) = next {
            self.timers.set(Timer::Lease(id), at);
        }
        if expired.is_empty() {
            return;
        }
        let running = session.running();
        for attempt in expired {
            let holder = Holder {
                session: id,
                attempt,
            };
            self.take_from_lost(holder, running.contains(&attempt));
            self.revoke(holder);
        }
    }

    /// Sees to it that leases of a session that holds something are looked at.
    pub(super) fn watch_leases(&mut self, id: SessionId) {
        if !self.timers.is_set(Timer::Lease(id)) {
            self.timers.set(Timer::Lease(id), self.now.plus(LEASE_MS));
        }
    }

    /// Takes an attempt from the one who holds it, for someone else. If its result comes after all
    /// and before another one, it counts.
    pub(super) fn take_back(&mut self, holder: Holder) {
        if let Some((job, shard)) = self.release(holder, SlotState::Taken)
            && let Some(job) = self.jobs.get_mut(&job)
        {
            job.supply.take_back(shard, holder);
        }
    }

    /// The same from a worker that was lost, with blame for the shard that it ran.
    pub(super) fn take_from_lost(&mut self, holder: Holder, was_running: bool) {
        if !was_running {
            return self.take_back(holder);
        }
        if let Some((job, shard)) = self.release(holder, SlotState::Taken)
            && let Some(job) = self.jobs.get_mut(&job)
            && let Some(session) = self.sessions.get(&holder.session)
        {
            job.lose(shard, holder, &session.worker, self.now);
        }
    }

    /// Ends a worker's hold of an attempt, which is taken back next.
    fn release(&mut self, holder: Holder, state: SlotState) -> Option<(JobId, u64)> {
        let Holder {
            session: id,
            attempt,
        } = holder;
        let session = self.sessions.get_mut(&id)?;
        let leaf = session.leaves.get_mut(&attempt.nonce)?;
        let slot = leaf.slot(attempt.index).filter(Slot::is_held)?;
        let (job, _) = leaf.segment(attempt.index)?;
        leaf.track(attempt.index);
        session.set_state(attempt, state);
        self.touched_sessions.insert(id);
        if let Some(job) = self.jobs.get_mut(&job) {
            job.supply.track(slot.shard, slot.is_tracked, holder);
            self.touched_jobs.insert(job.id);
            self.outbox.job_changed(job.id);
        }
        Some((job, slot.shard))
    }

    /// A worker has an attempt that was taken from it, or that it proved by its ticket to be number
    /// `number`. It keeps it if nobody else has the shard, or if it is further than they are; while it
    /// is draining, only what it has begun. A result that it has in hand will come and be answered.
    pub(super) fn return_attempt(&mut self, holder: Holder, stage: Stage, number: u32) {
        let is_draining = self
            .sessions
            .get(&holder.session)
            .is_some_and(|session| session.is_draining);
        if is_draining && !has_begun(stage) {
            return self.refuse_return(holder);
        }
        match self.claim(holder, number) {
            Claim::Free => self.hold(holder, stage),
            Claim::With(others) => {
                if !has_begun(stage) {
                    return self.revoke(holder);
                }
                self.hold(holder, stage);
                for other in others {
                    if !self.is_running(other) {
                        self.take_back(other);
                        self.revoke(other);
                    }
                }
            }
            Claim::Closed if stage == Stage::Finished => {}
            Claim::Closed => self.refuse_return(holder),
        }
    }

    fn refuse_return(&mut self, holder: Holder) {
        if let Some(session) = self.sessions.get_mut(&holder.session) {
            session.give_up(holder.attempt);
        }
        self.revoke(holder);
    }

    fn claim(&mut self, holder: Holder, number: u32) -> Claim {
        let found = self.find(holder).and_then(|(job, slot)| {
            let job = self.jobs.get_mut(&job)?;
            (slot.state == SlotState::Taken && !job.is_ending())
                .then(|| job.supply.claim(slot.shard, number))
        });
        found.unwrap_or(Claim::Closed)
    }

    fn hold(&mut self, holder: Holder, stage: Stage) {
        let Holder {
            session: id,
            attempt,
        } = holder;
        let Some((job_id, slot)) = self.find(holder) else {
            return;
        };
        if let (Some(session), Some(job)) = (self.sessions.get_mut(&id), self.jobs.get_mut(&job_id))
        {
            job.supply.hold(slot.shard, holder);
            job.mark_started();
            job.members.insert(id);
            let running_since = has_begun(stage).then(|| Second::after(self.now));
            session.set_state(attempt, SlotState::Held { running_since });
            if let Some(leaf) = session.leaves.get_mut(&attempt.nonce) {
                leaf.renew(attempt.index, self.now.plus(LEASE_MS));
            }
            self.touched_jobs.insert(job_id);
            self.touched_sessions.insert(id);
            self.outbox.job_changed(job_id);
            self.watch_leases(id);
        }
    }

    /// Tells the worker to stop an attempt.
    pub(super) fn revoke(&mut self, holder: Holder) {
        let is_connected = self
            .sessions
            .get(&holder.session)
            .is_some_and(|session| session.is_connected);
        if is_connected {
            let range = AttemptRange::one(holder.attempt);
            self.outbox.revoke(holder.session, range);
        }
    }

    pub(super) fn is_held(&self, holder: Holder) -> bool {
        self.find(holder).is_some_and(|(_, slot)| slot.is_held())
    }

    fn is_running(&self, holder: Holder) -> bool {
        self.find(holder)
            .is_some_and(|(_, slot)| slot.running_since().is_some())
    }

    fn find(&self, holder: Holder) -> Option<(JobId, Slot)> {
        let leaf = self
            .sessions
            .get(&holder.session)?
            .leaves
            .get(&holder.attempt.nonce)?;
        let (job, _) = leaf.segment(holder.attempt.index)?;
        Some((job, leaf.slot(holder.attempt.index)?))
    }

    /// Takes back everything that a worker holds and does not list.
    pub(super) fn take_back_unlisted(&mut self, id: SessionId, held: &[Held]) {
        let Some(session) = self.sessions.get(&id) else {
            return;
        };
        let mut missing: BTreeSet<AttemptId> = session
            .leaves
            .iter()
            .flat_map(|(nonce, leaf)| {
                leaf.slots()
                    .filter(|(_, slot)| slot.is_held())
                    .map(|(index, _)| attempt(*nonce, index))
            })
            .collect();
        for entry in held {
            let range = entry.range;
            let first = attempt(range.nonce, range.indices().start);
            let end = attempt(range.nonce, range.indices().end);
            let listed: Vec<AttemptId> = missing.range(first..end).copied().collect();
            for attempt in listed {
                missing.remove(&attempt);
            }
        }
        for attempt in missing {
            let holder = Holder {
                session: id,
                attempt,
            };
            self.take_from_lost(holder, self.is_running(holder));
        }
    }
}

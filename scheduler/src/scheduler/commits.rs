//! From changes to deltas, and from commits to what they allow.

use shared::ids::{JobId, SessionId};
use shared::wire::AttemptRange;

use super::Scheduler;
use crate::event::{Ending, ShardResults};
use crate::leaf::{SlotState, attempt};
use crate::ledger::{Consequences, Pending, Verdict};
use crate::supply::Holder;
use crate::timers::Timer;

impl Scheduler {
    /// Persists what this step has changed.
    pub(super) fn persist_changes(&mut self) {
        while let Some(id) = self.touched_jobs.pop_first() {
            let Some(job) = self.jobs.get_mut(&id) else {
                continue;
            };
            let closed =
                job.close_batch(self.config.reserve_block, &mut self.uncommitted, self.now);
            if let Some(delta) = closed.delta {
                self.outbox.persist(delta);
            }
            self.outbox
                .contributed(id, closed.contributions, ShardResults::default());
            match job.supply.rest_ends() {
                Some(at) => self.timers.set(Timer::Rest(id), at),
                None => self.timers.cancel(Timer::Rest(id)),
            }
            self.pronounce(&closed.verdicts);
        }
    }

    pub(super) fn on_committed(&mut self, id: JobId, seq: u64) {
        let Some(job) = self.jobs.get_mut(&id) else {
            return;
        };
        let settled = self
            .uncommitted
            .follow(id, &mut job.ledger, |ledger| ledger.committed(seq));
        for pending in settled {
            self.settle(id, pending);
        }
    }

    pub(super) fn on_commit_failed(&mut self, id: JobId, seq: u64) {
        let Some(job) = self.jobs.get_mut(&id) else {
            return;
        };
        if let Some(wait_ms) = job.ledger.failed(seq) {
            self.timers.set(Timer::Retry(id), self.now.plus(wait_ms));
        }
    }

    pub(super) fn persist_again(&mut self, id: JobId) {
        if let Some(job) = self.jobs.get_mut(&id) {
            for delta in job.ledger.retry() {
                self.outbox.persist(delta);
            }
        }
    }

    fn settle(&mut self, id: JobId, mut pending: Pending) {
        let Some(job) = self.jobs.get_mut(&id) else {
            return;
        };
        let is_switched = job.apply(&mut pending);
        self.touched_jobs.insert(id);
        let Consequences {
            verdicts,
            pointless,
            contributions,
            results,
        } = pending.consequences;
        self.outbox.contributed(id, contributions, results);
        if is_switched {
            self.outbox.job_switched(id, pending.delta.is_paused);
        }
        self.pronounce(&verdicts);
        for holder in pointless {
            self.withdraw(holder);
        }
        match &pending.delta.end {
            Some(end) => self.end_job(id, end.into()),
            None => self.outbox.job_changed(id),
        }
    }

    /// Tells workers what became of their results. A session that ended in the meantime and came
    /// back sends its results again, and is answered then.
    fn pronounce(&mut self, verdicts: &[Verdict]) {
        for verdict in verdicts {
            let Some(session) = self.sessions.get_mut(&verdict.session) else {
                continue;
            };
            let nonce = verdict.range.nonce;
            let Some(mut leaf) = session.take_leaf(nonce) else {
                continue;
            };
            let answered = SlotState::answered(verdict.disposition);
            let told = leaf.settle(verdict.range.indices(), answered);
            session.put_leaf(nonce, leaf);
            if session.is_draining {
                self.draining.insert(verdict.session);
            }
            for run in told.into_iter().filter(|_| session.is_connected) {
                let range = AttemptRange {
                    nonce,
                    first: run.start,
                    count: run.end - run.start,
                };
                self.outbox
                    .dispose(verdict.session, range, verdict.disposition);
            }
        }
    }

    /// Takes an attempt away for good if it is still with its worker.
    fn withdraw(&mut self, holder: Holder) {
        if !self.is_held(holder) {
            return;
        }
        if let Some(session) = self.sessions.get_mut(&holder.session) {
            session.set_state(holder.attempt, SlotState::Over);
            self.touched_sessions.insert(holder.session);
            self.revoke(holder);
        }
    }

    /// Forgets a job whose end is stored, and takes back what workers still hold of it.
    fn end_job(&mut self, id: JobId, ending: Ending) {
        let Some(job) = self.jobs.remove(&id) else {
            return;
        };
        for timer in [
            Timer::Retry(id),
            Timer::Reclaim(id),
            Timer::Rest(id),
            Timer::Speculate(id),
        ] {
            self.timers.cancel(timer);
        }
        self.speculating.remove(&id);
        for session in &job.members {
            self.withdraw_job(*session, id);
        }
        self.queues.remove_job(&job);
        let progress = job.progress(&self.queues.active);
        self.outbox.job_ended(id, progress, ending);
    }

    fn withdraw_job(&mut self, id: SessionId, job: JobId) {
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        let nonces: Vec<_> = session.leaves.keys().copied().collect();
        let mut held = Vec::new();
        for nonce in nonces {
            let Some(mut leaf) = session.take_leaf(nonce) else {
                continue;
            };
            for index in leaf.segments_of(job).into_iter().flatten() {
                match leaf.slot(index).map(|slot| slot.state) {
                    Some(SlotState::Held { .. }) => held.push(attempt(nonce, index)),
                    Some(SlotState::Taken | SlotState::Late) => {}
                    Some(SlotState::Received | SlotState::Disposed | SlotState::Over) | None => {
                        continue;
                    }
                }
                leaf.set(index, SlotState::Over);
            }
            session.put_leaf(nonce, leaf);
        }
        session.shares.remove(&job);
        self.touched_sessions.insert(id);
        for attempt in held {
            self.revoke(Holder {
                session: id,
                attempt,
            });
        }
    }
}

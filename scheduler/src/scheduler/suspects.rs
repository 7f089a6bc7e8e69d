//! Shards that workers were lost with are tried again alone.
//!
//! What a shard does to a device is only clear where nothing runs beside it. So it waits for a worker
//! that holds nothing; while there is none, one is given nothing more until it is free. At most a
//! quarter of all workers are kept for such shards while there is other work.

use shared::ids::{JobId, SessionId};

use super::Scheduler;
use super::dispatch::{Filling, capacity, may_retry};
use crate::leaf::{Leaf, attempt};
use crate::supply::Holder;

/// Jobs, and workers, that are looked at in one step.
const MAX_LOOKED_AT: usize = 64;

/// Of the workers, one in so many is kept for suspect shards at most.
const RESERVED_PART: usize = 4;

impl Scheduler {
    /// Hands out suspect shards to workers that are free, and sees to it that one becomes free.
    pub(super) fn serve_suspects(&mut self) {
        if self.queues.suspected.is_empty() && self.queues.clearing.is_none() {
            return;
        }
        let jobs = self.queues.suspected.iter().take(MAX_LOOKED_AT);
        for job in jobs.copied().collect::<Vec<JobId>>() {
            self.serve_suspects_of(job);
        }
        self.keep_clearing();
    }

    fn serve_suspects_of(&mut self, job: JobId) {
        let free = self.queues.free.iter().take(MAX_LOOKED_AT);
        for (_, id) in free.copied().collect::<Vec<_>>() {
            let is_kept = self.queues.clearing == Some(id);
            if is_kept || self.may_reserve() {
                self.assign_suspect(id, job);
            }
        }
    }

    fn may_reserve(&self) -> bool {
        let most = (self.queues.active / RESERVED_PART).max(1);
        !self.queues.has_work() || self.queues.reserved < most
    }

    /// Ends the wait of a worker that waits in vain, and lets another one begin.
    fn keep_clearing(&mut self) {
        if let Some(id) = self.queues.clearing {
            let is_waiting = self
                .sessions
                .get(&id)
                .is_some_and(|it| it.is_clearing && it.is_active() && it.held() > 0);
            if is_waiting && !self.queues.suspected.is_empty() {
                return;
            }
            self.set_clearing(id, false);
        }
        let line = self.queues.idle.iter().chain(&self.queues.wanting);
        let busy = line
            .take(MAX_LOOKED_AT)
            .map(|(_, id)| *id)
            .find(|id| self.sessions.get(id).is_some_and(|it| it.held() > 0));
        if let Some(id) = busy
            && !self.queues.suspected.is_empty()
            && self.queues.free.is_empty()
            && self.may_reserve()
        {
            self.set_clearing(id, true);
        }
    }

    fn set_clearing(&mut self, id: SessionId, is_clearing: bool) {
        if let Some(session) = self.sessions.get_mut(&id) {
            session.is_clearing = is_clearing;
            self.queues.place_session(id, session, false);
        }
    }

    fn assign_suspect(&mut self, id: SessionId, job_id: JobId) {
        let (nonce, serial) = self.nonces.peek();
        let (Some(session), Some(job)) = (self.sessions.get(&id), self.jobs.get_mut(&job_id))
        else {
            return;
        };
        if session.room() == 0 || job.is_refused_by(&session.worker) {
            return;
        }
        let holder = Holder {
            session: id,
            attempt: attempt(nonce, 0),
        };
        let may_retry = may_retry(&session.worker, &self.workers, &self.sessions, &self.queues);
        let Some(issued) = job.supply.issue_suspect(may_retry, holder) else {
            return;
        };
        let mut filling = Filling::new(Leaf::new(serial, self.now, true), session.fill());
        filling.add(job_id, capacity(session, job), &[issued], self.now);
        self.note_handed_out(id, job_id);
        self.send(id, filling);
        if let Some(session) = self.sessions.get_mut(&id) {
            session.is_clearing = false;
            session.is_alone = true;
            self.queues.place_session(id, session, true);
        }
    }
}

//! Shards that workers were lost with are tried again alone.
//!
//! What a shard does to a device is only clear where nothing runs beside it. So it waits for a worker
//! that holds nothing; while there is none, one is given nothing more until it is free. At most a
//! quarter of all workers are kept for such shards while there is other work.

use shared::ids::{JobId, SessionId};

use super::Scheduler;
use super::dispatch::{Filling, capacity};
use crate::leaf::{Leaf, attempt};
use crate::supply::Holder;

/// Of the usual looks, one in so many: each job is looked at with each worker.
const LOOKS_PART: usize = 8;

/// Of the workers, one in so many is kept for suspect shards at most.
const RESERVED_PART: usize = 4;

impl Scheduler {
    /// Hands out suspect shards to workers that are free, and sees to it that one becomes free.
    pub(super) fn serve_suspects(&mut self) {
        if self.queues.suspected.is_empty() && self.queues.clearing.is_none() {
            return;
        }
        let looks = self.config.looks.div_ceil(LOOKS_PART);
        let jobs = self.suspected_round.look(&self.queues.suspected, looks);
        for job in &jobs {
            self.serve_suspects_of(*job, looks);
        }
        self.keep_clearing(&jobs, looks);
    }

    fn serve_suspects_of(&mut self, id: JobId, looks: usize) {
        let Some(job) = self.jobs.get_mut(&id) else {
            return;
        };
        for (_, session) in job.free_round.look(&self.queues.free, looks) {
            let is_kept = self.queues.clearing == Some(session);
            if is_kept || self.may_reserve() {
                self.assign_suspect(session, id);
            }
        }
    }

    pub(super) fn may_reserve(&self) -> bool {
        let most = (self.queues.active.len() / RESERVED_PART).max(1);
        !self.queues.has_work() || self.queues.reserved < most
    }

    /// Ends the wait of a worker that waits in vain, and lets another one begin: for one of `jobs`, for
    /// which no free worker was found.
    fn keep_clearing(&mut self, jobs: &[JobId], looks: usize) {
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
        if self.queues.suspected.is_empty() || !self.may_reserve() {
            return;
        }
        let idle = self.clearing_round.look(&self.queues.idle, looks);
        // Who has sent results in this step is the last in line.
        let wanting = self.queues.wanting.iter().rev().take(looks).copied();
        let mut line = idle.into_iter().chain(wanting).map(|(_, id)| id);
        let busy = line.find(|id| jobs.iter().any(|job| self.may_be_cleared(*id, *job)));
        if let Some(id) = busy {
            self.set_clearing(id, true);
        }
    }

    /// Whether a busy worker would get a suspect shard of the job if it were free.
    fn may_be_cleared(&self, id: SessionId, job: JobId) -> bool {
        let (Some(session), Some(job)) = (self.sessions.get(&id), self.jobs.get(&job)) else {
            return false;
        };
        let (worker, candidates) = (&session.worker, job.candidates(&self.queues.active));
        session.held() > 0
            && job.has_suspects()
            && !job.is_refused_by(worker)
            && job.supply.has_suspect_for(worker, candidates, self.now)
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
        let (worker, active) = (&session.worker, &self.queues.active);
        let Some(issued) = job.issue_suspect(worker, active, self.now, holder) else {
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

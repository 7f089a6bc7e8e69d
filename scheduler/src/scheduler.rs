//! The machine itself: one event in, effects out.
//!
//! Lives here: the state, the order of work within a step, and what others may see. What each event
//! does is in the submodules, by subject.

mod balance;
mod commits;
mod dispatch;
#[cfg(test)]
mod invariants;
mod leases;
mod membership;
mod results;
mod speculation;
mod suspects;
mod tickets;

use std::collections::{BTreeMap, BTreeSet};

use shared::ids::{JobId, SessionId, ShardIndex, WorkerId};
use shared::limits::{BEAT_INTERVAL_MS, LEASE_MS};
use shared::time::Millis;

use crate::config::SchedulerConfig;
use crate::event::{
    Command, Effect, Event, HeldShard, JobOutline, JobProgress, JobView, WorkerView,
};
use crate::job::Job;
use crate::leaf::Leaf;
use crate::ledger::Uncommitted;
use crate::nonces::Nonces;
use crate::outbox::Outbox;
use crate::rounds::Round;
use crate::session::Session;
use crate::timers::{Timer, Timers};

use dispatch::Queues;
use membership::Farewell;

/// A deadline that is noticed later than this was missed because the process stood still, in
/// milliseconds.
const STALL_MS: u64 = 3_000;

/// After that workers have as long as it stood still, and at least this, to be heard: what they have
/// said meanwhile has not been read.
const MIN_HEARING_MS: u64 = 2 * BEAT_INTERVAL_MS;

/// Decides which shard runs where, and whose result counts. See the crate.
#[derive(Debug)]
pub struct Scheduler {
    config: SchedulerConfig,
    nonces: Nonces,
    now: Millis,
    /// Until then nobody is called lost or late.
    hears_until: Millis,
    jobs: BTreeMap<JobId, Job>,
    sessions: BTreeMap<SessionId, Session>,
    /// The session of each worker.
    workers: BTreeMap<WorkerId, SessionId>,
    timers: Timers,
    uncommitted: Uncommitted,
    queues: Queues,
    /// Where jobs with suspect shards, workers to clear and workers to relieve were last looked for.
    suspected_round: Round<JobId>,
    clearing_round: Round<(u64, SessionId)>,
    loaded_round: Round<(u64, SessionId)>,
    /// The last look for work to be taken over found none; there is none before the next timer.
    is_balanced: bool,
    /// Jobs with shards that were given to a second worker.
    speculating: BTreeSet<JobId>,
    /// Sessions and jobs whose place in the queues may have changed in this step.
    touched_sessions: BTreeSet<SessionId>,
    touched_jobs: BTreeSet<JobId>,
    /// Draining sessions that may hold nothing since this step.
    draining: BTreeSet<SessionId>,
    outbox: Outbox,
}

impl Scheduler {
    /// `seed` makes the nonces: SHA-256(seed ‖ counter)[..16]. It must be secret and random, or
    /// workers could guess nonces; in tests it is fixed.
    pub fn new(seed: [u8; 32], config: SchedulerConfig) -> Self {
        Self {
            config,
            nonces: Nonces::new(seed),
            now: Millis::default(),
            hears_until: Millis::default(),
            jobs: BTreeMap::new(),
            sessions: BTreeMap::new(),
            workers: BTreeMap::new(),
            timers: Timers::default(),
            uncommitted: Uncommitted::default(),
            queues: Queues::default(),
            suspected_round: Round::default(),
            clearing_round: Round::default(),
            loaded_round: Round::default(),
            is_balanced: false,
            speculating: BTreeSet::new(),
            touched_sessions: BTreeSet::new(),
            touched_jobs: BTreeSet::new(),
            draining: BTreeSet::new(),
            outbox: Outbox::default(),
        }
    }

    /// Applies one event. `now` never goes back; equal inputs give equal effects in equal order.
    ///
    /// Events about sessions and jobs that are not known (any more) do nothing: they may have
    /// crossed with the effect that ended them.
    pub fn step(&mut self, now: Millis, event: Event) -> Vec<Effect> {
        self.now = self.now.max(now);
        self.note_stall();
        self.handle(event);
        while let Some(timer) = self.timers.pop_due(self.now) {
            if timer.is_of_silence() && self.is_hearing() {
                self.timers.set(timer, self.hears_until);
            } else {
                self.fire(timer);
            }
        }
        self.dispatch();
        self.persist_changes();
        self.tell_drained();
        self.outbox.take()
    }

    /// When `Event::Tick` is due next; `None` while nothing waits for time.
    pub fn next_deadline(&self) -> Option<Millis> {
        self.timers.next()
    }

    /// What clients may know of a job that has not ended.
    pub fn job(&self, job: JobId) -> Option<JobView> {
        self.jobs.get(&job).map(|job| job.view(&self.queues.active))
    }

    /// Of the last delta of a job that has not ended, stored or not; 0 for none.
    pub fn last_seq(&self, job: JobId) -> Option<u64> {
        self.jobs.get(&job).map(Job::last_seq)
    }

    /// So much is not committed (more than `MAX_UNCOMMITTED_BYTES`) that results should be kept
    /// from it until some of it is.
    pub const fn is_congested(&self) -> bool {
        self.uncommitted.is_too_large()
    }

    /// The session of a worker that is connected or in grace.
    pub fn session_of(&self, worker: &WorkerId) -> Option<SessionId> {
        self.workers.get(worker).copied()
    }

    /// All workers that are connected or in grace.
    pub fn workers(&self) -> Vec<WorkerView> {
        self.sessions
            .iter()
            .map(|(id, session)| WorkerView {
                session: *id,
                worker: session.worker.clone(),
                slots: u16::try_from(session.slots).expect("slots are at most MAX_SLOTS"),
                in_flight: session.held(),
                connected: session.is_connected,
            })
            .collect()
    }

    /// Memory of all changes that are not committed, in bytes.
    pub const fn uncommitted_bytes(&self) -> usize {
        self.uncommitted.bytes()
    }

    /// How far each job is that has not ended, in order of their ids. Cheap: reducer states are left
    /// out.
    pub fn progress(&self) -> impl Iterator<Item = (JobId, JobProgress)> + '_ {
        let jobs = self.jobs.iter();
        jobs.map(|(id, job)| (*id, job.progress(&self.queues.active)))
    }

    /// A worker that holds an attempt of the job; the only one there is, for a job of one shard.
    pub fn holder(&self, job: JobId) -> Option<&WorkerId> {
        let members = self.jobs.get(&job)?.members.iter();
        let mut sessions = members.filter_map(|id| self.sessions.get(id));
        let holder = sessions.find(|it| it.shares.get(&job).is_some_and(|share| share.held > 0));
        holder.map(|session| &session.worker)
    }

    /// Shards that a session holds without result, those assigned first in front; `most` of them.
    pub fn held_shards(&self, session: SessionId, most: usize) -> Vec<HeldShard> {
        let Some(session) = self.sessions.get(&session) else {
            return Vec::new();
        };
        let mut leaves: Vec<&Leaf> = session.leaves.values().collect();
        leaves.retain(|leaf| leaf.held() > 0);
        leaves.sort_unstable_by_key(|leaf| leaf.serial);
        let held = leaves.into_iter().flat_map(|leaf| {
            let held = leaf.slots().filter(|(_, slot)| slot.is_held());
            held.filter_map(|(index, slot)| Some((leaf.segment(index)?.0, slot.shard)))
        });
        held.filter_map(|(job, shard)| {
            let attempt = self.jobs.get(&job)?.supply.attempt_number(shard);
            Some(HeldShard {
                job,
                shard: ShardIndex(shard),
                attempt,
            })
        })
        .take(most)
        .collect()
    }

    fn note_stall(&mut self) {
        let stood_ms = self.timers.next().map_or(0, |due| self.now.since(due));
        if stood_ms > STALL_MS {
            let hearing_ms = stood_ms.clamp(MIN_HEARING_MS, LEASE_MS);
            self.hears_until = self.hears_until.max(self.now.plus(hearing_ms));
        }
    }

    fn is_hearing(&self) -> bool {
        self.now < self.hears_until
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::JobReady(outline) => self.on_job_ready(*outline),
            Event::WorkerJoined {
                session,
                worker,
                slots,
                credit,
            } => self.on_joined(session, worker, slots, credit),
            Event::WorkerDetached { session } => self.on_detached(session),
            Event::WorkerResumed {
                session,
                worker,
                slots,
                credit,
                held,
            } => self.on_resumed(session, worker, slots, credit, &held),
            Event::WorkerLeft { session } => self.end_session(session, Farewell::Orderly),
            Event::WorkerDraining { session } => self.on_draining(session),
            Event::TicketProved {
                session,
                nonce,
                jobs,
            } => self.on_ticket(session, nonce, &jobs),
            Event::Results { session, batches } => self.on_results(session, batches),
            Event::Credit { session, limit } => self.on_credit(session, limit),
            Event::Beat { session, held } => self.on_beat(session, &held),
            Event::Refused { session, refusals } => self.on_refused(session, &refusals),
            Event::Committed { job, seq } => self.on_committed(job, seq),
            Event::CommitFailed { job, seq } => self.on_commit_failed(job, seq),
            Event::Control { job, command } => self.on_control(job, command),
            Event::Tick => {}
        }
    }

    fn on_control(&mut self, id: JobId, command: Command) {
        if let Some(job) = self.jobs.get_mut(&id) {
            job.control(command);
            self.touched_jobs.insert(id);
        }
    }

    fn fire(&mut self, timer: Timer) {
        match timer {
            Timer::Retry(job) => self.persist_again(job),
            Timer::Reclaim(job) => {
                if let Some(it) = self.jobs.get_mut(&job) {
                    it.supply.stop_withholding();
                    self.touched_jobs.insert(job);
                }
            }
            Timer::Rest(job) => {
                if let Some(it) = self.jobs.get_mut(&job) {
                    it.supply.end_rests(self.now);
                    self.touched_jobs.insert(job);
                }
            }
            Timer::Grace(session) => self.end_session(session, Farewell::Vanished),
            Timer::Speculate(job) => self.speculate(job),
            Timer::Lease(session) => self.expire_leases(session),
            Timer::Pause(session) => {
                if let Some(it) = self.sessions.get_mut(&session) {
                    it.is_paused = false;
                    self.touched_sessions.insert(session);
                }
            }
            Timer::Balance => self.is_balanced = false,
        }
    }

    fn on_job_ready(&mut self, outline: JobOutline) {
        let id = outline.job;
        if self.jobs.contains_key(&id) {
            return;
        }
        let is_reclaimed = outline.reclaim;
        let mut job = Job::new(outline);
        job.end_if_complete();
        if !is_reclaimed || self.config.reclaim_ms == 0 {
            job.supply.stop_withholding();
        } else if job.supply.is_withholding() {
            let at = self.now.plus(self.config.reclaim_ms);
            self.timers.set(Timer::Reclaim(id), at);
        }
        self.jobs.insert(id, job);
        self.touched_jobs.insert(id);
    }
}

#[cfg(test)]
mod tests;

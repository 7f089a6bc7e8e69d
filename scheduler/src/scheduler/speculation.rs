//! Stragglers: a shard that takes far longer than the others gets one extra attempt.
//!
//! Only near the end of a job, when nothing of it is left to start, only on workers that have nothing
//! else to do, and on few of all slots. The first result counts (Dean and Ghemawat, "MapReduce",
//! 2004, section 3.6: backup tasks).

use std::cmp::Reverse;

use shared::ids::{JobId, SessionId};
use shared::limits::BATCH_TARGET_MS;
use shared::time::Millis;

use super::Scheduler;
use super::dispatch::{Filling, capacity};
use crate::job::Job;
use crate::leaf::{Leaf, attempt};
use crate::session::Session;
use crate::supply::Holder;
use crate::timers::{Timer, Timers};

/// Stragglers are looked for this often, in milliseconds.
const CHECK_MS: u64 = BATCH_TARGET_MS;

/// Of the slots, one in so many runs an extra attempt at most.
const SPECULATIVE_PART: u64 = 10;

/// A shard that runs, and since when at the latest.
#[derive(Debug, Clone, Copy)]
struct Straggler {
    shard: u64,
    is_tracked: bool,
    holder: Holder,
    run_ms: u64,
}

/// Has the stragglers of a job looked for soon, if it is so far.
pub(super) fn expect_stragglers(job: &Job, timers: &mut Timers, now: Millis) {
    let timer = Timer::Speculate(job.id);
    if job.straggler_ms().is_some() && !timers.is_set(timer) {
        timers.set(timer, now.plus(CHECK_MS));
    }
}

impl Scheduler {
    /// Gives stragglers of a job to idle workers, and looks again later. A copy that is waited for no
    /// longer makes room first, also for other jobs: its shard has another one next time.
    pub(super) fn speculate(&mut self, id: JobId) {
        self.place_touched();
        if let Some(job) = self.jobs.get(&id) {
            expect_stragglers(job, &mut self.timers, self.now);
        }
        if self.uncommitted.is_too_much(self.now) || self.queues.idle.is_empty() {
            return;
        }
        let stragglers = self.stragglers(id);
        self.take_overdue_copies(id);
        let Some(job) = self.jobs.get_mut(&id) else {
            return;
        };
        let idle = job.idle_round.look(&self.queues.idle, self.config.looks);
        for straggler in stragglers {
            if self.has_speculated_enough() {
                return;
            }
            if let Some(taker) = self.taker_for(id, straggler, &idle) {
                self.double(id, straggler, taker);
            }
        }
    }

    fn take_overdue_copies(&mut self, id: JobId) {
        let Some(job) = self.jobs.get(&id) else {
            return;
        };
        let overdue = job
            .straggler_ms()
            .map(|ms| job.supply.overdue_copies(ms, self.now));
        for holder in overdue.unwrap_or_default() {
            self.take_from_late(holder);
        }
        self.place_touched();
    }

    fn has_speculated_enough(&self) -> bool {
        let jobs = self.speculating.iter().filter_map(|id| self.jobs.get(id));
        let extra: u64 = jobs.map(|job| job.supply.doubled()).sum();
        extra >= (self.queues.slots / SPECULATIVE_PART).max(1)
    }

    /// Those that may get an extra attempt: those that had the fewest, and of these the slowest, first.
    fn stragglers(&self, id: JobId) -> Vec<Straggler> {
        let Some(job) = self.jobs.get(&id) else {
            return Vec::new();
        };
        let Some(limit_ms) = job.straggler_ms() else {
            return Vec::new();
        };
        let members = job.members.iter().filter_map(|member| {
            let session = self.sessions.get(member)?;
            (session.shares.get(&id)?.held > 0).then_some((*member, session))
        });
        let mut found: Vec<Straggler> = members
            .flat_map(|(member, session)| self.running_of(id, member, session))
            .filter(|it| it.run_ms > limit_ms && job.supply.may_double(it.shard, it.is_tracked))
            .collect();
        found.sort_by_key(|it| (job.supply.copies_of(it.shard), Reverse(it.run_ms)));
        found
    }

    /// Shards of a job that a worker runs.
    fn running_of(&self, job: JobId, id: SessionId, session: &Session) -> Vec<Straggler> {
        let running = session.running().into_iter().filter_map(|attempt| {
            let leaf = session.leaves.get(&attempt.nonce)?;
            let (of, _) = leaf.segment(attempt.index)?;
            let slot = leaf.slot(attempt.index)?;
            (of == job).then_some(Straggler {
                shard: slot.shard,
                is_tracked: slot.is_tracked,
                holder: Holder {
                    session: id,
                    attempt,
                },
                run_ms: session.run_ms(leaf, slot, self.now),
            })
        });
        running.collect()
    }

    /// One of `idle` that still is, for the shard: none that has it, and of the others rather one that
    /// has not tried it. A suspect one runs alone there too.
    fn taker_for(
        &self,
        id: JobId,
        straggler: Straggler,
        idle: &[(u64, SessionId)],
    ) -> Option<SessionId> {
        let Straggler { shard, holder, .. } = straggler;
        let job = self.jobs.get(&id)?;
        let mut tried = job.supply.tried(shard).to_vec();
        tried.push(self.sessions.get(&holder.session)?.worker.clone());
        let candidates = job.candidates(&self.queues.active);
        let is_suspect = job.supply.is_suspect(shard);
        let is_fit = |session: &Session| {
            session.is_idle()
                && (!is_suspect || (session.is_free() && self.may_reserve()))
                && !job.is_refused_by(&session.worker)
                && candidates.may_run(&session.worker, &tried)
        };
        let others = idle
            .iter()
            .map(|(_, id)| *id)
            .filter(|id| *id != holder.session);
        others
            .filter_map(|id| Some((id, self.sessions.get(&id)?)))
            .find(|(_, session)| is_fit(session))
            .map(|(id, _)| id)
    }

    fn double(&mut self, id: JobId, straggler: Straggler, taker: SessionId) {
        let Straggler { shard, holder, .. } = straggler;
        let (nonce, serial) = self.nonces.peek();
        let (Some(job), Some(first)) = (
            self.jobs.get_mut(&id),
            self.sessions.get_mut(&holder.session),
        ) else {
            return;
        };
        if let Some(leaf) = first.leaves.get_mut(&holder.attempt.nonce) {
            leaf.track(holder.attempt.index);
        }
        let second = Holder {
            session: taker,
            attempt: attempt(nonce, 0),
        };
        let Some(session) = self.sessions.get(&taker) else {
            return;
        };
        let is_suspect = job.supply.is_suspect(shard);
        let issued = job
            .supply
            .double(shard, holder, second, &session.worker, self.now);
        self.speculating.insert(id);
        let capacity = capacity(session, job);
        let mut filling = Filling::new(Leaf::new(serial, self.now, false), session.fill());
        filling.add(id, capacity, &[issued], self.now);
        self.note_handed_out(taker, id);
        self.send(taker, filling);
        if let Some(session) = self.sessions.get_mut(&taker) {
            session.is_alone = is_suspect;
            self.queues.place_session(taker, session, true);
        }
    }
}

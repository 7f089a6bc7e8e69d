//! Who gets which shards: queues of workers and of jobs, and the filling of leaves.
//!
//! Sessions without work for a slot are served first, oldest first; then those that could hold more.
//! Both wait in queues of their own, so that ten thousand idle workers cost nothing while there is
//! no work, and jobs without work cost nothing at all. Jobs take turns in proportion to their
//! priorities: each turn moves a job forward in virtual time by the inverse of its weight, and the
//! one that is furthest behind is next (stride scheduling, Waldspurger and Weihl, 1995).

use std::collections::BTreeSet;
use std::ops::Bound;

use shared::ids::{JobId, SessionId, ShardIndex, WorkerId};
use shared::limits::{LEASE_MS, MAX_ATTEMPTS_PER_LEAF, MAX_JOBS_PER_LEAF};
use shared::time::Millis;

use super::Scheduler;
use super::speculation::expect_stragglers;
use crate::event::{JobAssignment, JobKind};
use crate::job::Job;
use crate::leaf::{Leaf, Slot, SlotState, attempt};
use crate::session::{FULL, Places, Session};
use crate::speed;
use crate::supply::{Holder, Issued};

/// Of the idle workers for which there was nothing, after which no more are tried in this step, one in
/// so many of those that have enough to do.
const WANTING_PART: usize = 8;

/// Virtual time that a turn takes a job of weight 1.
const STRIDE: u64 = 1 << 20;

/// Leaves that one worker gets at once.
const MAX_LEAVES: usize = 3;

/// Additions that a worker holds: they take no time, so two leaves full.
const ADD_CAPACITY: u32 = 2 * MAX_JOBS_PER_LEAF as u32;

/// Places in line. Each place is a stamp and who stands there.
#[derive(Debug, Default)]
pub(crate) struct Queues {
    stamps: u64,
    /// The turn that was taken last.
    turn: u64,
    /// Jobs that have something to hand out.
    jobs: BTreeSet<(u64, JobId)>,
    /// Sessions with a slot without an attempt.
    pub(super) idle: BTreeSet<(u64, SessionId)>,
    /// Sessions that keep busy but should hold more.
    pub(super) wanting: BTreeSet<(u64, SessionId)>,
    /// Sessions with attempts that wait for a slot, by the time until the last of them is started,
    /// in microseconds.
    pub(super) backlog: BTreeSet<(u64, SessionId)>,
    /// Sessions that hold nothing.
    pub(super) free: BTreeSet<(u64, SessionId)>,
    /// Jobs with shards that may only be handed out alone.
    pub(super) suspected: BTreeSet<JobId>,
    /// The session that gets nothing until it is free for such a shard.
    pub(super) clearing: Option<SessionId>,
    /// Sessions that run such a shard, or will next.
    pub(super) reserved: usize,
    /// Slots of all workers that may be given work.
    pub(super) slots: u64,
    /// These workers.
    pub(super) active: BTreeSet<WorkerId>,
}

impl Queues {
    pub(super) fn has_work(&self) -> bool {
        !self.jobs.is_empty()
    }

    pub(super) fn remove_job(&mut self, job: &Job) {
        self.suspected.remove(&job.id);
        if let Some(turn) = job.turn {
            self.jobs.remove(&(turn, job.id));
        }
    }

    pub(super) fn remove_session(&mut self, id: SessionId, session: &Session) {
        let places = &session.places;
        move_place(&mut self.idle, id, places.idle, None);
        move_place(&mut self.wanting, id, places.wanting, None);
        move_place(&mut self.backlog, id, places.backlog, None);
        move_place(&mut self.free, id, places.free, None);
        self.note_clearing(id, false);
        self.reserved -= usize::from(places.is_reserved);
        self.slots -= u64::from(places.counted_slots);
        if places.counted_slots > 0 {
            self.active.remove(&session.worker);
        }
    }

    /// Puts a job where it belongs; at the end of the line if it `was_served`.
    fn place_job(&mut self, job: &mut Job, was_served: bool) {
        if job.has_suspects() {
            self.suspected.insert(job.id);
        } else {
            self.suspected.remove(&job.id);
        }
        if let Some(turn) = job.turn.filter(|_| was_served) {
            self.turn = self.turn.max(turn);
        }
        let turn = match (job.has_work(), job.turn) {
            (false, _) => None,
            (true, None) => {
                // One step on, of so many in a turn: who comes first is first.
                self.turn += 1;
                let first = self.turn + STRIDE / job.weight();
                Some(job.next_turn.map_or(first, |next| next.max(self.turn)))
            }
            (true, Some(turn)) if !was_served => Some(turn),
            (true, Some(turn)) => {
                // Turns that nobody could take are not saved up.
                let turn = turn.max(self.turn.saturating_sub(STRIDE));
                Some(turn + STRIDE / job.weight())
            }
        };
        move_place(&mut self.jobs, job.id, job.turn, turn);
        job.turn = turn;
        job.next_turn = turn.or(job.next_turn);
    }

    /// Puts a session where it belongs; at the end of the line if it `was_served`.
    pub(super) fn place_session(&mut self, id: SessionId, session: &mut Session, was_served: bool) {
        let stamp = self.stamp();
        let old = std::mem::take(&mut session.places);
        let keep = |place: Option<u64>| place.filter(|_| !was_served).unwrap_or(stamp);
        let is_backlogged = session.is_connected && session.queued() > 0;
        let new = Places {
            idle: session.is_idle().then(|| keep(old.idle)),
            wanting: session.is_wanting().then(|| keep(old.wanting)),
            backlog: is_backlogged.then(|| session.queue_us().unwrap_or(u64::MAX)),
            free: session.is_free().then(|| keep(old.free)),
            is_reserved: session.is_reserved(),
            counted_slots: if session.is_active() {
                session.slots
            } else {
                0
            },
        };
        move_place(&mut self.idle, id, old.idle, new.idle);
        move_place(&mut self.wanting, id, old.wanting, new.wanting);
        move_place(&mut self.backlog, id, old.backlog, new.backlog);
        move_place(&mut self.free, id, old.free, new.free);
        self.note_clearing(id, session.is_clearing);
        self.reserved += usize::from(new.is_reserved);
        self.reserved -= usize::from(old.is_reserved);
        self.slots = self.slots + u64::from(new.counted_slots) - u64::from(old.counted_slots);
        match (old.counted_slots > 0, new.counted_slots > 0) {
            (false, true) => drop(self.active.insert(session.worker.clone())),
            (true, false) => drop(self.active.remove(&session.worker)),
            (true, true) | (false, false) => {}
        }
        session.places = new;
    }

    fn note_clearing(&mut self, id: SessionId, is_clearing: bool) {
        if is_clearing {
            self.clearing = Some(id);
        } else {
            self.clearing.take_if(|clearing| *clearing == id);
        }
    }

    fn stamp(&mut self) -> u64 {
        self.stamps += 1;
        self.stamps
    }
}

#[cfg(test)]
impl Queues {
    /// Slots and number of all workers that may be given work.
    pub(super) fn counts(&self) -> (u64, usize) {
        (self.slots, self.active.len())
    }
}

fn move_place<T: Copy + Ord>(
    line: &mut BTreeSet<(u64, T)>,
    who: T,
    old: Option<u64>,
    new: Option<u64>,
) {
    if old == new {
        return;
    }
    if let Some(old) = old {
        line.remove(&(old, who));
    }
    if let Some(new) = new {
        line.insert((new, who));
    }
}

/// A leaf that is being filled, and how full its worker is with it.
pub(super) struct Filling {
    leaf: Leaf,
    jobs: Vec<JobAssignment>,
    capacities: Vec<u32>,
    /// In millionths of the worker's capacity.
    fill: u64,
}

impl Scheduler {
    /// Hands out what there is to those who can take it.
    pub(super) fn dispatch(&mut self) {
        self.place_touched();
        if !self.uncommitted.is_too_much(self.now) {
            self.serve_suspects();
            self.serve_idle();
            self.serve_wanting();
        }
        self.balance();
    }

    pub(super) fn place_touched(&mut self) {
        for id in &self.touched_jobs {
            if let Some(job) = self.jobs.get_mut(id) {
                self.queues.place_job(job, false);
                expect_stragglers(job, &mut self.timers, self.now);
            }
        }
        while let Some(id) = self.touched_sessions.pop_first() {
            if let Some(session) = self.sessions.get_mut(&id) {
                self.queues.place_session(id, session, false);
                if session.is_draining {
                    self.draining.insert(id);
                }
            }
        }
    }

    pub(super) fn serve_idle(&mut self) {
        self.serve(|queues| &queues.idle, self.config.looks);
    }

    fn serve_wanting(&mut self) {
        let max_misses = self.config.looks.div_ceil(WANTING_PART);
        self.serve(|queues| &queues.wanting, max_misses);
    }

    /// Serves a line from its front, everyone at most once.
    fn serve(&mut self, line: impl Fn(&Queues) -> &BTreeSet<(u64, SessionId)>, max_misses: usize) {
        let (mut last, mut misses) = (Bound::Unbounded, 0);
        let end = self.queues.stamps;
        while self.queues.has_work() && misses < max_misses {
            let next = line(&self.queues).range((last, Bound::Unbounded)).next();
            let Some(place) = next.copied().filter(|(stamp, _)| *stamp <= end) else {
                return;
            };
            last = Bound::Excluded(place);
            if self.serve_session(place.1) {
                misses = 0;
            } else {
                misses += 1;
            }
        }
    }

    /// Gives a worker as many leaves as it should get; whether that was any.
    fn serve_session(&mut self, id: SessionId) -> bool {
        let mut leaves = 0;
        while leaves < MAX_LEAVES && self.assign_leaf(id) {
            leaves += 1;
        }
        if let Some(session) = self.sessions.get_mut(&id) {
            self.queues.place_session(id, session, true);
        }
        leaves > 0
    }

    fn assign_leaf(&mut self, id: SessionId) -> bool {
        let (_, serial) = self.nonces.peek();
        let Some(session) = self.sessions.get_mut(&id) else {
            return false;
        };
        if !session.is_idle() && !session.is_wanting() {
            return false;
        }
        let leaf = Leaf::new(serial, self.now, session.held() == 0);
        let mut filling = Filling::new(leaf, session.fill());
        let line = &self.queues.jobs;
        for (_, job) in session.jobs_round.look(line, self.config.looks) {
            if filling.jobs.len() < MAX_JOBS_PER_LEAF {
                self.fill_from(id, job, &mut filling);
            }
        }
        if filling.jobs.is_empty() {
            return false;
        }
        self.send(id, filling);
        true
    }

    /// Makes an assignment of a leaf that was filled.
    pub(super) fn send(&mut self, id: SessionId, filling: Filling) {
        let (nonce, _) = self.nonces.peek();
        self.nonces.advance();
        if let Some(session) = self.sessions.get_mut(&id) {
            session.add_leaf(nonce, filling.leaf, self.now);
            session.is_alone = false;
            session.jobs_round.restart();
            for (assignment, capacity) in filling.jobs.iter().zip(filling.capacities) {
                session.shares.entry(assignment.job).or_default().capacity = capacity;
            }
        }
        self.watch_leases(id);
        self.outbox.assign(id, nonce, filling.jobs);
    }

    /// Shards of a job were issued to a session.
    pub(super) fn note_handed_out(&mut self, id: SessionId, job_id: JobId) {
        if let Some(job) = self.jobs.get_mut(&job_id) {
            job.mark_started();
            job.members.insert(id);
            self.touched_jobs.insert(job_id);
            self.outbox.job_changed(job_id);
        }
    }

    /// Adds shards of a job to a leaf.
    fn fill_from(&mut self, id: SessionId, job_id: JobId, filling: &mut Filling) {
        let (nonce, _) = self.nonces.peek();
        let (Some(session), Some(job)) = (self.sessions.get(&id), self.jobs.get_mut(&job_id))
        else {
            return;
        };
        let capacity = capacity(session, job);
        let count = wanted(session, job, capacity, filling, self.queues.slots);
        if count == 0 {
            return;
        }
        let holder = |index: u32| Holder {
            session: id,
            attempt: attempt(nonce, index),
        };
        let first = filling.leaf.len();
        let places = first..first + count;
        let issued = job.issue(places, &session.worker, &self.queues.active, holder);
        if issued.is_empty() {
            return;
        }
        self.queues.place_job(job, true);
        filling.add(job_id, capacity, &issued, self.now);
        self.note_handed_out(id, job_id);
    }
}

impl Filling {
    pub(super) const fn new(leaf: Leaf, fill: u64) -> Self {
        Self {
            leaf,
            jobs: Vec::new(),
            capacities: Vec::new(),
            fill,
        }
    }

    pub(super) fn add(&mut self, job: JobId, capacity: u32, issued: &[Issued], now: Millis) {
        let lease = now.plus(LEASE_MS);
        for shard in issued {
            let slot = Slot {
                shard: shard.shard,
                lease,
                state: SlotState::Held {
                    running_since: None,
                },
                is_tracked: shard.is_tracked,
            };
            self.leaf.push(job, slot);
        }
        self.fill += issued.len() as u64 * FULL / u64::from(capacity);
        self.capacities.push(capacity);
        let shards = issued
            .iter()
            .map(|shard| (ShardIndex(shard.shard), shard.attempt))
            .collect();
        self.jobs.push(JobAssignment { job, shards });
    }
}

/// How many attempts of the job the worker should hold, were it the only one; at least 1.
pub(super) fn capacity(session: &Session, job: &Job) -> u32 {
    match job.kind {
        JobKind::Add => ADD_CAPACITY,
        JobKind::RunJs => {
            let share = session.shares.get(&job.id);
            let own_us = share.and_then(|share| share.speed.shard_us());
            let target_us = session.latency.target_us();
            speed::capacity(session.slots, target_us, own_us, job.speed.shard_us())
        }
    }
}

/// How many more attempts of the job the worker should get into the leaf that is being filled.
fn wanted(session: &Session, job: &Job, capacity: u32, filling: &Filling, all_slots: u64) -> u32 {
    let share = session.shares.get(&job.id);
    if job.is_refused_by(&session.worker) {
        return 0;
    }
    let added = filling.leaf.len();
    let held = share.map_or(0, |share| share.held);
    let own_us = share.and_then(|share| share.speed.shard_us());
    let guided = speed::guided(job.supply.remaining(), session.slots, all_slots, own_us);
    let most = capacity.min(guided);
    let is_idle = session.held() + added < session.slots;
    if !is_idle && 2 * held > most {
        return 0;
    }
    let unfilled = FULL.saturating_sub(filling.fill) * u64::from(capacity) / FULL;
    let unfilled = u32::try_from(unfilled).expect("no more than the capacity");
    let at_least = u32::from(is_idle);
    let space = MAX_ATTEMPTS_PER_LEAF as u32 - added;
    most.saturating_sub(held)
        .min(unfilled.max(at_least))
        .min(session.room().saturating_sub(added))
        .min(space)
}

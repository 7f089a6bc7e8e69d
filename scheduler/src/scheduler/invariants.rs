//! What must hold of the state after every step; for tests.

use std::collections::{BTreeMap, BTreeSet};

use shared::ids::{JobId, Nonce, SessionId};

use super::Scheduler;
use crate::leaf::{Slot, SlotState, attempt};
use crate::session::{FULL, Session};
use crate::supply::Holder;
use crate::timers::Timer;

impl Scheduler {
    /// Panics where two parts of the state contradict each other.
    pub(crate) fn check_invariants(&self) {
        for (id, session) in &self.sessions {
            assert_eq!(self.workers.get(&session.worker), Some(id));
            session.check_counts();
            let is_watched = self.timers.is_set(Timer::Lease(*id));
            assert!(is_watched || session.held() == 0, "leases are watched");
            for job in session.shares.keys() {
                assert!(self.jobs[job].members.contains(id), "shares have members");
            }
        }
        assert_eq!(self.workers.len(), self.sessions.len());
        self.check_queues();
        let (held, taken) = self.attempts_by_job();
        for (id, job) in &self.jobs {
            let none = BTreeMap::new();
            let held = held.get(id).unwrap_or(&none);
            for session in &job.members {
                assert!(self.sessions[session].shares.contains_key(id));
            }
            if !job.is_ending() {
                job.check(held);
            }
            for (shard, slot) in taken.get(id).into_iter().flatten() {
                assert!(slot.is_tracked, "taken shard {shard} is tracked");
            }
        }
        let bytes: usize = self.jobs.values().map(|job| job.ledger.bytes()).sum();
        assert_eq!(self.uncommitted.bytes(), bytes);
    }

    /// Attempts that the session holds.
    pub(crate) fn held_by_session(&self, session: SessionId) -> u32 {
        self.sessions[&session].held()
    }

    /// Which attempts these are.
    pub(crate) fn held_attempts(&self, session: SessionId) -> BTreeSet<(Nonce, u32)> {
        let leaves = self.sessions[&session].leaves.iter();
        let slots = leaves.flat_map(|(nonce, leaf)| leaf.slots().map(move |slot| (*nonce, slot)));
        slots
            .filter(|(_, (_, slot))| slot.is_held())
            .map(|(nonce, (index, _))| (nonce, index))
            .collect()
    }

    /// Nothing is kept of jobs that are over, and little of sessions.
    pub(crate) fn check_nothing_is_left(&self) {
        assert!(self.jobs.is_empty());
        assert_eq!(self.uncommitted.bytes(), 0);
        for session in self.sessions.values() {
            assert!(session.leaves.is_empty(), "{:?}", session.leaves);
            assert!(session.shares.is_empty());
            assert_eq!(session.held(), 0);
        }
    }

    #[expect(clippy::type_complexity, reason = "a pair of maps for one caller")]
    fn attempts_by_job(
        &self,
    ) -> (
        BTreeMap<JobId, BTreeMap<u64, Vec<(Holder, Slot)>>>,
        BTreeMap<JobId, Vec<(u64, Slot)>>,
    ) {
        let mut held: BTreeMap<_, BTreeMap<_, Vec<_>>> = BTreeMap::new();
        let mut taken: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (id, session) in &self.sessions {
            for (nonce, leaf) in &session.leaves {
                for (index, slot) in leaf.slots() {
                    let (job, _) = leaf.segment(index).unwrap();
                    let holder = Holder {
                        session: *id,
                        attempt: attempt(*nonce, index),
                    };
                    match slot.state {
                        SlotState::Held { .. } => held
                            .entry(job)
                            .or_default()
                            .entry(slot.shard)
                            .or_default()
                            .push((holder, slot)),
                        SlotState::Taken | SlotState::Late => {
                            taken.entry(job).or_default().push((slot.shard, slot));
                        }
                        SlotState::Received | SlotState::Disposed | SlotState::Over => {}
                    }
                }
            }
        }
        (held, taken)
    }

    fn check_queues(&self) {
        let clearing = self.sessions.iter().filter(|(_, it)| it.is_clearing);
        assert!(clearing.map(|(id, _)| *id).eq(self.queues.clearing));
        let active: Vec<&Session> = self.sessions.values().filter(|it| it.is_active()).collect();
        let slots: u64 = active.iter().map(|it| u64::from(it.slots)).sum();
        assert_eq!(self.queues.counts(), (slots, active.len()));
        let idle: BTreeSet<_> = self.queues.idle.iter().map(|(_, id)| *id).collect();
        for (id, session) in &self.sessions {
            assert_eq!(session.is_idle(), idle.contains(id), "idle ones wait");
        }
        assert!(idle.len() <= self.sessions.len());
        for job in self.jobs.values() {
            assert_eq!(job.turn.is_some(), job.has_work(), "jobs with work wait");
        }
    }
}

impl Session {
    fn check_counts(&self) {
        let mut by_job: BTreeMap<JobId, u32> = BTreeMap::new();
        let (mut held, mut taken) = (0, 0);
        for leaf in self.leaves.values() {
            assert!(!leaf.is_over(), "leaves that are over are forgotten");
            for (index, slot) in leaf.slots() {
                match slot.state {
                    SlotState::Held { .. } => {
                        held += 1;
                        *by_job.entry(leaf.segment(index).unwrap().0).or_default() += 1;
                    }
                    SlotState::Taken | SlotState::Late => taken += 1,
                    SlotState::Received | SlotState::Disposed | SlotState::Over => {}
                }
            }
        }
        assert_eq!((self.held(), self.taken()), (held, taken));
        for (job, share) in &self.shares {
            assert_eq!(share.held, by_job.remove(job).unwrap_or(0));
        }
        assert!(by_job.is_empty(), "every held attempt has a share");
        assert!(self.fill() <= 1 << 40 && FULL > 0);
    }
}

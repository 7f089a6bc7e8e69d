//! A worker's session: the attempts it holds and what is known of its pace.
//!
//! An attempt of a session changes state through [`Session::set_state`], so that all counts follow.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use shared::ids::{AttemptId, JobId, Nonce, SessionId, WorkerId};
use shared::limits::{MAX_SLOTS, MAX_UNDISPOSED_RESULTS};
use shared::time::Millis;
use shared::wire::{Disposition, Held};

use crate::leaf::{Leaf, Slot, SlotState, attempt};
use crate::rounds::Round;
use crate::speed::{Latency, Speed};

/// Attempts taken away whose results may still count; beyond them the oldest are forgotten. A
/// worker keeps no more results than that.
const MAX_TAKEN: u32 = MAX_UNDISPOSED_RESULTS as u32;

/// Leaves of which nothing is left and that are still recognised.
pub(crate) const MAX_CLOSED: usize = 64;

/// Refusals in a row, without a result between, after which a worker is left alone for a while.
const MAX_REFUSALS: u32 = 8;

/// First and longest time that such a worker is left alone, in milliseconds.
const PAUSE_MS: (u64, u64) = (1_000, 60_000);

/// Part of a worker's capacity, in millionths.
pub(crate) const FULL: u64 = 1_000_000;

/// What a session has to do with one job.
#[derive(Debug, Default)]
pub(crate) struct Share {
    /// Attempts with the worker.
    pub(crate) held: u32,
    pub(crate) speed: Speed,
    /// Attempts that it should hold at most, were this its only job; at least 1 once it holds any.
    pub(crate) capacity: u32,
}

/// A leaf of which nothing is left.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Closed {
    nonce: Nonce,
    attempts: u32,
    /// All its shards are stored.
    is_settled: bool,
}

impl Closed {
    /// What is answered to one more result of the leaf.
    pub(crate) const fn answer(self, index: u32) -> Disposition {
        if index >= self.attempts {
            Disposition::Refused
        } else if self.is_settled {
            Disposition::Duplicate
        } else {
            Disposition::Stale
        }
    }
}

/// Attempts that a worker brought from before a restart and has not yet shown tickets for.
#[derive(Debug, Default)]
pub(crate) struct Unproved {
    pub(crate) leaves: BTreeMap<Nonce, Vec<Held>>,
    /// How many they are, as far as the worker says.
    pub(crate) attempts: u32,
    /// Beats since the worker was asked for its tickets.
    pub(crate) beats: u32,
}

/// Places in the scheduler's queues of workers.
#[derive(Debug, Default)]
pub(crate) struct Places {
    pub(crate) idle: Option<u64>,
    pub(crate) wanting: Option<u64>,
    pub(crate) backlog: Option<u64>,
    pub(crate) free: Option<u64>,
    pub(crate) is_reserved: bool,
    /// Slots that count for work to be shared; 0 while it gets none.
    pub(crate) counted_slots: u32,
}

#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) worker: WorkerId,
    pub(crate) slots: u32,
    /// Attempts that the worker is willing to hold.
    pub(crate) limit: u32,
    pub(crate) is_connected: bool,
    /// Left alone because it refused too much.
    pub(crate) is_paused: bool,
    /// Gets nothing until it holds nothing.
    pub(crate) is_clearing: bool,
    /// Gets nothing more, and ends when it holds nothing.
    pub(crate) is_draining: bool,
    /// What it was given last is to run alone.
    pub(crate) is_alone: bool,
    pub(crate) leaves: BTreeMap<Nonce, Leaf>,
    pub(crate) shares: BTreeMap<JobId, Share>,
    pub(crate) unproved: Unproved,
    pub(crate) latency: Latency,
    /// Since when it has worked at what it holds: the last result, or the first assignment after
    /// it held nothing.
    pub(crate) busy_since: Millis,
    pub(crate) places: Places,
    /// Where jobs were last looked for that it may run, and idle workers that may run what it holds.
    pub(crate) jobs_round: Round<(u64, JobId)>,
    pub(crate) takers_round: Round<(u64, SessionId)>,
    held: u32,
    taken: u32,
    refusals: u32,
    closed: VecDeque<Closed>,
}

impl Session {
    pub(crate) fn new(worker: WorkerId, slots: u16, limit: u32, now: Millis) -> Self {
        Self {
            worker,
            slots: u32::from(slots.clamp(1, MAX_SLOTS)),
            limit,
            is_connected: true,
            is_paused: false,
            is_clearing: false,
            is_draining: false,
            is_alone: false,
            leaves: BTreeMap::new(),
            shares: BTreeMap::new(),
            unproved: Unproved::default(),
            latency: Latency::default(),
            busy_since: now,
            places: Places::default(),
            jobs_round: Round::default(),
            takers_round: Round::default(),
            held: 0,
            taken: 0,
            refusals: 0,
            closed: VecDeque::new(),
        }
    }

    /// Attempts assigned and without result.
    pub(crate) const fn held(&self) -> u32 {
        self.held
    }

    /// May be given work at all.
    pub(crate) const fn is_active(&self) -> bool {
        self.is_connected && !self.is_paused && !self.is_draining && self.limit > 0
    }

    /// Attempts that it may be given beside those it has.
    pub(crate) const fn room(&self) -> u32 {
        let has = self.held.saturating_add(self.unproved.attempts);
        self.limit.saturating_sub(has)
    }

    /// Is draining, and nothing that it may still do matters.
    pub(crate) fn is_drained(&self) -> bool {
        self.is_draining
            && self.held == 0
            && self.unproved.leaves.is_empty()
            && self.leaves.values().all(|leaf| leaf.received() == 0)
    }

    /// Runs a suspect shard alone, or is to do so next.
    pub(crate) const fn is_reserved(&self) -> bool {
        self.is_active() && (self.is_clearing || (self.is_alone && self.held > 0))
    }

    /// Holds nothing, and could.
    pub(crate) const fn is_free(&self) -> bool {
        self.is_active() && self.held == 0 && self.unproved.attempts == 0
    }

    /// Has a slot without an attempt.
    pub(crate) const fn is_idle(&self) -> bool {
        self.is_active()
            && !self.is_reserved()
            && self.room() > 0
            && self.held.saturating_add(self.unproved.attempts) < self.slots
    }

    /// Keeps busy, but half of what it should hold is gone.
    pub(crate) fn is_wanting(&self) -> bool {
        self.is_active()
            && !self.is_reserved()
            && self.room() > 0
            && !self.is_idle()
            && 2 * self.fill() <= FULL
    }

    /// Attempts that no slot runs yet.
    pub(crate) const fn queued(&self) -> u32 {
        self.held.saturating_sub(self.slots)
    }

    /// Slots that run something.
    pub(crate) const fn busy_slots(&self) -> u32 {
        if self.held < self.slots {
            self.held
        } else {
            self.slots
        }
    }

    /// Attempts that its slots run, as far as can be told: those that it says it has started, and the
    /// oldest of the others. Beats are too rare to tell of short ones.
    pub(crate) fn running(&self) -> BTreeSet<AttemptId> {
        let mut leaves: Vec<_> = self.leaves.iter().collect();
        leaves.sort_unstable_by_key(|(_, leaf)| leaf.serial);
        let held = leaves.into_iter().flat_map(|(nonce, leaf)| {
            let held = leaf.slots().filter(|(_, slot)| slot.is_held());
            held.map(|(index, slot)| (attempt(*nonce, index), slot))
        });
        let (mut running, waiting): (Vec<_>, Vec<_>) =
            held.partition(|(_, slot)| slot.running_since().is_some());
        let free = (self.slots as usize).saturating_sub(running.len());
        running.extend(waiting.into_iter().take(free));
        running.into_iter().map(|(attempt, _)| attempt).collect()
    }

    /// How long an attempt that runs has done so at least, in milliseconds: it has begun before its
    /// worker said so, and if nothing says when, then before the last result and after the assignment.
    pub(crate) fn run_ms(&self, leaf: &Leaf, slot: Slot, now: Millis) -> u64 {
        let at_latest = leaf.sent.max(self.busy_since);
        let said = slot.running_since().unwrap_or(at_latest);
        now.since(at_latest.min(said))
    }

    /// How much of its capacity is taken, in millionths; jobs add up.
    pub(crate) fn fill(&self) -> u64 {
        self.shares
            .values()
            .map(|share| u64::from(share.held) * FULL / u64::from(share.capacity.max(1)))
            .sum()
    }

    /// How long its queue will keep it busy, in microseconds; `None` while it works at a job whose
    /// pace is unknown.
    pub(crate) fn queue_us(&self) -> Option<u64> {
        let mut total = 0_u64;
        for share in self.shares.values().filter(|share| share.held > 0) {
            total = total.saturating_add(share.speed.shard_us()?.saturating_mul(share.held.into()));
        }
        Some(total / u64::from(self.held.max(1)) * u64::from(self.queued()) / u64::from(self.slots))
    }

    /// Adds a leaf whose attempts are with the worker.
    pub(crate) fn add_leaf(&mut self, nonce: Nonce, leaf: Leaf, now: Millis) {
        if self.held == 0 {
            self.busy_since = now;
        }
        for (index, slot) in leaf.slots() {
            if matches!(slot.state, SlotState::Held { .. })
                && let Some((job, _)) = leaf.segment(index)
            {
                self.shares.entry(job).or_default().held += 1;
            }
        }
        self.held += leaf.held();
        self.taken += leaf.taken();
        self.leaves.insert(nonce, leaf);
    }

    /// Takes a leaf out, to change several of its attempts; [`Session::put_leaf`] follows.
    pub(crate) fn take_leaf(&mut self, nonce: Nonce) -> Option<Leaf> {
        let leaf = self.leaves.remove(&nonce)?;
        self.held -= leaf.held();
        self.taken -= leaf.taken();
        Some(leaf)
    }

    /// Puts a leaf back, or forgets it if it is over. The caller has kept `Share::held` right.
    pub(crate) fn put_leaf(&mut self, nonce: Nonce, leaf: Leaf) {
        if leaf.is_over() {
            self.close(nonce, &leaf);
            return;
        }
        self.held += leaf.held();
        self.taken += leaf.taken();
        self.leaves.insert(nonce, leaf);
        self.forget_oldest_taken();
    }

    /// Changes what has become of an attempt.
    pub(crate) fn set_state(&mut self, attempt: AttemptId, state: SlotState) {
        let Some(mut leaf) = self.take_leaf(attempt.nonce) else {
            return;
        };
        if let Some((job, _)) = leaf.segment(attempt.index) {
            let before = leaf.held();
            leaf.set(attempt.index, state);
            if leaf.held() != before {
                let share = self.shares.entry(job).or_default();
                share.held = share.held + leaf.held() - before;
            }
        }
        self.put_leaf(attempt.nonce, leaf);
    }

    /// Forgets that a result of an attempt that was taken away would count.
    pub(crate) fn give_up(&mut self, attempt: AttemptId) {
        let slot = self
            .leaves
            .get(&attempt.nonce)
            .and_then(|leaf| leaf.slot(attempt.index));
        if slot.is_some_and(|slot| slot.state == SlotState::Taken) {
            self.set_state(attempt, SlotState::Over);
        }
    }

    /// What is known of a leaf of which nothing is left.
    pub(crate) fn closed(&self, nonce: Nonce) -> Option<Closed> {
        self.closed.iter().find(|it| it.nonce == nonce).copied()
    }

    fn close(&mut self, nonce: Nonce, leaf: &Leaf) {
        if self.closed.len() == MAX_CLOSED {
            self.closed.pop_front();
        }
        self.closed.push_back(Closed {
            nonce,
            attempts: leaf.len(),
            is_settled: leaf.is_settled(),
        });
    }

    fn forget_oldest_taken(&mut self) {
        while self.taken > MAX_TAKEN {
            let oldest = self
                .leaves
                .iter()
                .filter(|(_, leaf)| leaf.taken() > 0)
                .min_by_key(|(_, leaf)| leaf.serial);
            let Some(nonce) = oldest.map(|(nonce, _)| *nonce) else {
                return;
            };
            let Some(mut leaf) = self.take_leaf(nonce) else {
                return;
            };
            let taken: Vec<u32> = leaf
                .slots()
                .filter(|(_, slot)| slot.is_taken())
                .map(|(index, _)| index)
                .collect();
            for index in taken {
                leaf.set(index, SlotState::Over);
            }
            self.put_leaf(nonce, leaf);
        }
    }

    /// Counts a refusal. Gives the time to leave the worker alone, in milliseconds, if it has
    /// refused too often in a row.
    pub(crate) fn note_refusal(&mut self) -> Option<u64> {
        self.refusals = self.refusals.saturating_add(1);
        let beyond = self.refusals.checked_sub(MAX_REFUSALS)?;
        Some(
            PAUSE_MS
                .0
                .saturating_mul(1 << beyond.min(16))
                .min(PAUSE_MS.1),
        )
    }

    pub(crate) const fn note_results(&mut self) {
        self.refusals = 0;
    }
}

#[cfg(test)]
impl Session {
    pub(crate) const fn taken(&self) -> u32 {
        self.taken
    }
}

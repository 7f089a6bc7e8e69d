//! Attempts from before a restart: asked for, proved, and taken up again.

use std::collections::BTreeMap;

use shared::ids::{Nonce, SessionId};
use shared::limits::{MAX_ATTEMPTS_PER_LEAF, MAX_RANGES_PER_MESSAGE};
use shared::wire::{Held, Stage};

use super::Scheduler;
use crate::event::JobAssignment;
use crate::leaf::{Leaf, Slot, SlotState, attempt};
use crate::session::Unproved;
use crate::supply::Holder;

/// Beats after which tickets are waited for no longer: they come right after the welcome, so the
/// second beat is behind them.
const BEATS_FOR_TICKETS: u32 = 2;

impl Unproved {
    pub(crate) fn note_beat(&mut self) {
        self.beats += 1;
        if self.beats >= BEATS_FOR_TICKETS {
            *self = Self::default();
        }
    }
}

impl Scheduler {
    /// Remembers what the worker lists of leaves that are not known here, and names them.
    pub(super) fn expect_tickets(&mut self, id: SessionId, held: &[Held]) -> Vec<Nonce> {
        let Some(session) = self.sessions.get_mut(&id) else {
            return Vec::new();
        };
        let mut leaves: BTreeMap<Nonce, Vec<Held>> = BTreeMap::new();
        let mut attempts = 0_u32;
        for entry in held.iter().take(MAX_RANGES_PER_MESSAGE) {
            let nonce = entry.range.nonce;
            if session.leaves.contains_key(&nonce) || session.closed(nonce).is_some() {
                continue;
            }
            if entry.stage != Stage::Finished {
                let count = entry.range.count.min(MAX_ATTEMPTS_PER_LEAF as u32);
                attempts = attempts.saturating_add(count);
            }
            leaves.entry(nonce).or_default().push(*entry);
        }
        let unknown = leaves.keys().copied().collect();
        session.unproved = Unproved {
            leaves,
            attempts,
            beats: 0,
        };
        unknown
    }

    /// Takes up the attempts of a ticket again that the worker said it holds and that are still
    /// wanted; revokes the others.
    pub(super) fn on_ticket(&mut self, id: SessionId, nonce: Nonce, jobs: &[JobAssignment]) {
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        let Some(held) = session.unproved.leaves.remove(&nonce) else {
            return;
        };
        let (_, serial) = self.nonces.peek();
        self.nonces.advance();
        let (leaf, numbers) = read_ticket(Leaf::new(serial, self.now, false), jobs);
        let stages = stages(&held, leaf.len());
        let claimed: u32 = held
            .iter()
            .filter(|entry| entry.stage != Stage::Finished)
            .map(|entry| entry.range.count.min(MAX_ATTEMPTS_PER_LEAF as u32))
            .fold(0, u32::saturating_add);
        session.unproved.attempts = session.unproved.attempts.saturating_sub(claimed);
        session.add_leaf(nonce, leaf, self.now);
        for JobAssignment { job, .. } in jobs {
            if let Some(it) = self.jobs.get_mut(job) {
                session.shares.entry(*job).or_default();
                it.members.insert(id);
            }
        }
        self.touched_sessions.insert(id);
        for (index, number) in (0..).zip(numbers) {
            let holder = Holder {
                session: id,
                attempt: attempt(nonce, index),
            };
            match stages.get(&index) {
                Some(stage) => self.return_attempt(holder, *stage, number),
                None => self.forget_attempt(holder),
            }
        }
    }

    fn forget_attempt(&mut self, holder: Holder) {
        if let Some(session) = self.sessions.get_mut(&holder.session) {
            session.give_up(holder.attempt);
        }
    }
}

/// Fills a leaf from its ticket, nothing of it held. Gives the number of each attempt too.
fn read_ticket(mut leaf: Leaf, jobs: &[JobAssignment]) -> (Leaf, Vec<u32>) {
    let mut numbers = Vec::new();
    let shards = jobs
        .iter()
        .flat_map(|job| job.shards.iter().map(|shard| (job.job, *shard)));
    for (job, (shard, number)) in shards.take(MAX_ATTEMPTS_PER_LEAF) {
        let slot = Slot {
            shard: shard.0,
            lease: shared::time::Millis::default(),
            state: SlotState::Taken,
            is_tracked: true,
        };
        leaf.push(job, slot);
        numbers.push(number);
    }
    (leaf, numbers)
}

/// How far the worker says each attempt of a leaf of `len` is.
fn stages(held: &[Held], len: u32) -> BTreeMap<u32, Stage> {
    held.iter()
        .flat_map(|entry| {
            let end = entry.range.indices().end.min(len);
            (entry.range.first..end).map(|index| (index, entry.stage))
        })
        .collect()
}

//! What follows from time alone, and from whatever has changed: results that are due, beats, credit.

use super::types::{Action, Entropy};
use super::{MAX_FRAME_BYTES, Session};
use crate::limits::{
    BEAT_INTERVAL_MS, MAX_ATTEMPTS_PER_LEAF, MAX_UNDISPOSED_BYTES, MAX_UNDISPOSED_RESULTS,
};
use crate::time::Reading;
use crate::wire::{Held, Stage, ToServer};

/// Results that are sent without waiting for more.
pub(super) const FLUSH_ROWS: usize = 512;
/// Running attempts are listed in beats only if the sandbox proved to be alive this recently.
const ALIVE_MS: u64 = 15_000;

impl Session {
    /// What follows from time alone, and from whatever has changed.
    pub(super) fn housekeeping(&mut self, now: Reading, entropy: &mut dyn Entropy) {
        if let Some(action) = self.link.tick(now.mono) {
            self.actions.push_back(action);
        }
        for hash in self.contents.due_fetches(now.mono, self.link.is_joined()) {
            self.actions.push_back(Action::Fetch(hash));
        }
        self.contents.shrink(|hash| self.batches.needs(hash));
        if !self.link.is_joined() {
            return;
        }
        if self.clock.wants_answer(now) {
            self.sync(now, entropy);
        }
        self.flush_if_due(now);
        self.beat_if_due(now);
        self.tell_credit();
    }

    pub(super) fn sync(&mut self, now: Reading, entropy: &mut dyn Entropy) {
        let challenge = self.ask_time(now, entropy);
        self.send(&ToServer::Sync { challenge });
    }

    fn flush_if_due(&mut self, now: Reading) {
        let is_due = self.flush_at.is_some_and(|at| at <= now.mono);
        if !is_due && self.batches.unsent() < FLUSH_ROWS && !self.batches.must_resend() {
            return;
        }
        self.flush_at = None;
        let most = self
            .limits
            .map_or(MAX_FRAME_BYTES, |limits| limits.max_frame_bytes as usize);
        while let Some(frame) = self.batches.unsent_frame(most) {
            self.send(&ToServer::Results(frame));
        }
    }

    fn beat_if_due(&mut self, now: Reading) {
        if now.mono < self.next_beat {
            return;
        }
        self.next_beat = now.mono.plus(BEAT_INTERVAL_MS);
        let is_alive = now.mono.since(self.alive_at) <= ALIVE_MS;
        let held: Vec<Held> = self.batches.held(|stage| match stage {
            Stage::Running => is_alive,
            Stage::Queued | Stage::Finished => true,
        });
        self.send(&ToServer::Beat { held });
    }

    pub(super) fn tell_credit(&mut self) {
        let credit = self.credit();
        let (old, new) = (self.credit_sent, credit);
        if (old == 0) != (new == 0) || new > old.saturating_mul(2) || new < old / 2 {
            self.credit_sent = new;
            self.send(&ToServer::Credit { limit: new });
        }
    }

    /// Attempts that this worker is willing to hold: never more than it will start within half of
    /// their lifetime, and none while results pile up.
    pub(super) fn credit(&self) -> u32 {
        let is_full = self.batches.counts().finished >= MAX_UNDISPOSED_RESULTS
            || self.batches.finished_bytes() >= MAX_UNDISPOSED_BYTES;
        if self.is_paused || is_full {
            return 0;
        }
        let slots = u64::from(self.config.slots);
        let by_pace = match (self.shard_us, self.batches.lifetime_ms()) {
            (Some(us), Some(lifetime_ms)) => {
                (lifetime_ms as f64 * 500.0 / us.max(1.0)) as u64 * slots
            }
            (_, _) => u64::MAX,
        };
        let most = (2 * MAX_ATTEMPTS_PER_LEAF) as u64 + slots;
        u32::try_from(by_pace.clamp(slots, most)).expect("most fits u32")
    }
}

//! What the server assigns, and takes back: proved before anything else looks at it.
//!
//! Lives here: the way of an assignment from its frame to the queue, and the wait of those that come
//! before the time is known. Not here: what becomes of attempts (`batches`), and starting them.

use super::Session;
use super::types::{Entropy, Notice};
use crate::envelope::{Envelope, EnvelopeError, Fresh, Unverified};
use crate::limits::MAX_RANGES_PER_MESSAGE;
use crate::time::{Reading, UnixMillis};
use crate::wire::{self, Assign, AttemptRange, RefusalReason, SignedLeaf};

/// Assignments that wait for the time to be known.
pub(super) const MAX_PARKED: usize = 8;
/// Revocations that wait with them: more than that and the next are only for what is known.
pub(super) const MAX_REVOKED_EARLY: usize = MAX_RANGES_PER_MESSAGE;

impl Session {
    pub(super) fn time_answered(
        &mut self,
        now: Reading,
        signed: SignedLeaf,
        entropy: &mut dyn Entropy,
    ) {
        let verified = match Envelope::new(signed).verify(&self.keys) {
            Ok(verified) => verified,
            Err(error) => return self.refuse_envelope(&error, None),
        };
        match self.clock.answer(&verified, now) {
            Ok(()) => {
                for (assign, was_tried) in std::mem::take(&mut self.parked) {
                    self.assigned(now, assign, was_tried, entropy);
                }
                let revoked = std::mem::take(&mut self.revoked_early);
                self.revoked(&revoked);
            }
            Err(error) => self.notice(Notice::TimeVoid(error)),
        }
    }

    pub(super) fn assigned(
        &mut self,
        now: Reading,
        assign: Assign,
        was_tried: bool,
        entropy: &mut dyn Entropy,
    ) {
        let envelope = Envelope::new(assign.signed.clone());
        let claimed = envelope.claimed_attempts();
        let Some(time) = self.clock.now(now) else {
            return self.park(assign, was_tried, claimed);
        };
        match self.prove(envelope, time) {
            Ok(fresh) => {
                self.contents.offer(&assign.contents);
                self.accept(now, fresh);
            }
            Err(EnvelopeError::FromTheFuture { .. }) if !was_tried => {
                self.sync(now, entropy);
                self.park(assign, true, claimed);
            }
            Err(error) => self.refuse_envelope(&error, claimed),
        }
    }

    fn prove(
        &mut self,
        envelope: Envelope<Unverified>,
        time: UnixMillis,
    ) -> Result<Envelope<Fresh>, EnvelopeError> {
        let me = self
            .identity
            .as_ref()
            .ok_or(EnvelopeError::ForeignSession)?;
        envelope
            .verify(&self.keys)?
            .check_fresh(time, me, &mut self.seen)
    }

    fn park(&mut self, assign: Assign, was_tried: bool, claimed: Option<AttemptRange>) {
        if self.parked.len() < MAX_PARKED {
            self.parked.push_back((assign, was_tried));
        } else {
            self.refuse(claimed.as_slice(), RefusalReason::TimeUnknown);
        }
    }

    fn accept(&mut self, now: Reading, fresh: Envelope<Fresh>) {
        let assignment = fresh.into_assignment();
        let nonce = assignment.nonce();
        self.contents.want(assignment.contents(), now.mono);
        self.batches.insert(assignment, now.mono);
        let refused = self
            .batches
            .withdraw_waiting(nonce, |job| self.refused_jobs.contains(&job));
        self.refuse(&wire::to_ranges(refused), RefusalReason::JobRefused);
        if self.is_paused {
            let waiting = self.batches.withdraw_waiting(nonce, |_| true);
            self.refuse(&wire::to_ranges(waiting), RefusalReason::Stopped);
        }
    }

    pub(super) fn revoked(&mut self, ranges: &[AttemptRange]) {
        let mut stop = Vec::new();
        for range in ranges {
            stop.extend(self.batches.forget(*range).running);
        }
        if !self.parked.is_empty() {
            let room = MAX_REVOKED_EARLY.saturating_sub(self.revoked_early.len());
            self.revoked_early.extend(ranges.iter().take(room));
        }
        self.stop(stop);
    }
}

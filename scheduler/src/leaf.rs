//! The attempts of one assignment and what has become of each.
//!
//! The counts follow the states: change a state through [`Leaf::set`] only.

use std::num::NonZeroU32;
use std::ops::Range;

use shared::ids::{AttemptId, JobId, Nonce};
use shared::time::Millis;
use shared::wire::{Disposition, Stage};

/// A time to the second, in half the space: there are very many attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Second(NonZeroU32);

impl Second {
    /// The first one after `now`; none is beyond 136 years.
    pub(crate) fn after(now: Millis) -> Self {
        let seconds = u32::try_from(now.0 / 1_000).unwrap_or(u32::MAX);
        Self(NonZeroU32::MIN.saturating_add(seconds))
    }

    fn at(self) -> Millis {
        Millis(u64::from(self.0.get()) * 1_000)
    }
}

/// What has become of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SlotState {
    /// With the worker, which first said so long ago that it has started.
    Held { running_since: Option<Second> },
    /// Its result is here, its disposition waits for a commit.
    Received,
    /// Its result was disposed of, and the shard is stored.
    Disposed,
    /// Taken away, but a result that comes before another attempt's still counts.
    Taken,
    /// The same, because its worker took too long: it does not get it back by listing it.
    Late,
    /// Nothing is expected of it.
    Over,
}

impl SlotState {
    /// Of an attempt whose result was answered so.
    pub(crate) const fn answered(disposition: Disposition) -> Self {
        match disposition {
            Disposition::Durable | Disposition::Duplicate => Self::Disposed,
            Disposition::Stale | Disposition::Refused => Self::Over,
        }
    }
}

/// One attempt.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Slot {
    pub(crate) shard: u64,
    /// Taken away unless renewed before.
    pub(crate) lease: Millis,
    pub(crate) state: SlotState,
    /// The job keeps an entry of its own for the shard (`supply`).
    pub(crate) is_tracked: bool,
}

impl Slot {
    pub(crate) const fn is_held(&self) -> bool {
        matches!(self.state, SlotState::Held { .. })
    }

    pub(crate) const fn is_taken(&self) -> bool {
        matches!(self.state, SlotState::Taken | SlotState::Late)
    }

    /// Since when it runs, as its worker said.
    pub(crate) fn running_since(&self) -> Option<Millis> {
        match self.state {
            SlotState::Held { running_since } => running_since.map(Second::at),
            SlotState::Received
            | SlotState::Disposed
            | SlotState::Taken
            | SlotState::Late
            | SlotState::Over => None,
        }
    }
}

/// Consecutive attempts of one job.
#[derive(Debug, Clone, Copy)]
struct Segment {
    job: JobId,
    end: u32,
}

#[derive(Debug)]
pub(crate) struct Leaf {
    /// Orders leaves by age.
    pub(crate) serial: u64,
    pub(crate) sent: Millis,
    /// It was sent to a worker that held nothing, and no result of it has come.
    pub(crate) tells_latency: bool,
    segments: Vec<Segment>,
    slots: Vec<Slot>,
    held: u32,
    received: u32,
    taken: u32,
    disposed: u32,
    over: u32,
}

impl Leaf {
    pub(crate) const fn new(serial: u64, sent: Millis, tells_latency: bool) -> Self {
        Self {
            serial,
            sent,
            tells_latency,
            segments: Vec::new(),
            slots: Vec::new(),
            held: 0,
            received: 0,
            taken: 0,
            disposed: 0,
            over: 0,
        }
    }

    /// Appends an attempt of `job`; attempts of one job come one after another.
    pub(crate) fn push(&mut self, job: JobId, slot: Slot) {
        *self.count(slot.state) += 1;
        self.slots.push(slot);
        let end = self.len();
        match self.segments.last_mut().filter(|last| last.job == job) {
            Some(last) => last.end = end,
            None => self.segments.push(Segment { job, end }),
        }
    }

    pub(crate) fn len(&self) -> u32 {
        u32::try_from(self.slots.len()).expect("a leaf holds at most MAX_ATTEMPTS_PER_LEAF")
    }

    pub(crate) fn slot(&self, index: u32) -> Option<Slot> {
        self.slots.get(index as usize).copied()
    }

    pub(crate) fn slots(&self) -> impl DoubleEndedIterator<Item = (u32, Slot)> + '_ {
        (0..self.len()).zip(self.slots.iter().copied())
    }

    /// The job of an attempt, and all attempts of it in this leaf.
    pub(crate) fn segment(&self, index: u32) -> Option<(JobId, Range<u32>)> {
        let place = self
            .segments
            .partition_point(|segment| segment.end <= index);
        let segment = self.segments.get(place)?;
        let start = place
            .checked_sub(1)
            .map_or(0, |before| self.segments[before].end);
        Some((segment.job, start..segment.end))
    }

    /// Attempts of `job`; more than one range where it was interrupted by another job.
    pub(crate) fn segments_of(&self, job: JobId) -> Vec<Range<u32>> {
        let mut start = 0;
        let mut ranges = Vec::new();
        for segment in &self.segments {
            if segment.job == job {
                ranges.push(start..segment.end);
            }
            start = segment.end;
        }
        ranges
    }

    /// Changes what has become of an attempt of this leaf.
    pub(crate) fn set(&mut self, index: u32, state: SlotState) {
        let slot = &mut self.slots[index as usize];
        let old = std::mem::replace(&mut slot.state, state);
        *self.count(old) -= 1;
        *self.count(state) += 1;
    }

    /// Changes those of `indices` whose results wait for their disposition, and gives them.
    pub(crate) fn settle(&mut self, indices: Range<u32>, state: SlotState) -> Vec<Range<u32>> {
        let mut runs: Vec<Range<u32>> = Vec::new();
        for index in indices {
            if self.slots[index as usize].state != SlotState::Received {
                continue;
            }
            self.set(index, state);
            match runs.last_mut().filter(|run| run.end == index) {
                Some(run) => run.end += 1,
                None => runs.push(index..index + 1),
            }
        }
        runs
    }

    pub(crate) fn track(&mut self, index: u32) {
        self.slots[index as usize].is_tracked = true;
    }

    pub(crate) fn renew(&mut self, index: u32, lease: Millis) {
        self.slots[index as usize].lease = lease;
    }

    pub(crate) const fn held(&self) -> u32 {
        self.held
    }

    /// Results that wait for their disposition.
    pub(crate) const fn received(&self) -> u32 {
        self.received
    }

    pub(crate) const fn taken(&self) -> u32 {
        self.taken
    }

    /// Every shard is stored.
    pub(crate) fn is_settled(&self) -> bool {
        self.disposed == self.len()
    }

    /// Nothing that the worker may still do with it changes anything.
    pub(crate) const fn is_over(&self) -> bool {
        self.held == 0 && self.received == 0 && self.taken == 0
    }

    fn count(&mut self, state: SlotState) -> &mut u32 {
        match state {
            SlotState::Held { .. } => &mut self.held,
            SlotState::Received => &mut self.received,
            SlotState::Taken | SlotState::Late => &mut self.taken,
            SlotState::Disposed => &mut self.disposed,
            SlotState::Over => &mut self.over,
        }
    }
}

/// The attempt at `index` of the leaf `nonce`.
pub(crate) const fn attempt(nonce: Nonce, index: u32) -> AttemptId {
    AttemptId { nonce, index }
}

/// Whether a worker that is at `stage` has begun.
pub(crate) const fn has_begun(stage: Stage) -> bool {
    match stage {
        Stage::Queued => false,
        Stage::Running | Stage::Finished => true,
    }
}

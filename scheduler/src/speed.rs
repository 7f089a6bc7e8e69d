//! How fast a worker is at a job, and how much it should hold because of that.
//!
//! Lives here: arithmetic alone. Sizes follow guided self-scheduling (Polychronopoulos and Kuck,
//! 1987): pieces shrink with what is left, so that all workers finish together.

use shared::limits::{BATCH_TARGET_MS, MAX_ATTEMPTS_PER_LEAF, MAX_QUEUED_SHARD_MS};

/// Shards that an average remembers; a larger batch replaces it all the sooner.
const MEMORY_SHARDS: u64 = 8;

/// No reported or measured time counts for more than this (a day), in microseconds.
const MAX_SHARD_US: u64 = 86_400_000_000;

/// Pieces need not be finer than this near the end of a job, in microseconds.
const FINEST_US: u64 = 10_000;

/// The round trip is believed up to this, in milliseconds.
const MAX_LATENCY_MS: u64 = 2_500;

const QUEUED_LIMIT_US: u64 = MAX_QUEUED_SHARD_MS * 1000;

/// Moving average of the time that a shard takes a slot.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Speed {
    shard_us: u64,
    weight: u64,
}

impl Speed {
    /// Takes in `count` shards of `shard_us` each.
    pub(crate) fn note(&mut self, shard_us: u64, count: u64) {
        let sample = shard_us.min(MAX_SHARD_US);
        let count = count.min(1 << 16);
        let total = self.weight + count;
        if total == 0 {
            return;
        }
        self.shard_us = (self.shard_us * self.weight + sample * count) / total;
        self.weight = total.min(MEMORY_SHARDS);
    }

    /// Microseconds a shard, at least 1; `None` before the first result.
    pub(crate) fn shard_us(self) -> Option<u64> {
        (self.weight > 0).then_some(self.shard_us.max(1))
    }
}

/// Moving average of the time from an assignment to an idle worker until its first result, less
/// the run time: network, signature and the worker's own machinery.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Latency(Option<u64>);

impl Latency {
    pub(crate) fn note(&mut self, ms: u64) {
        let sample = ms.min(MAX_LATENCY_MS);
        self.0 = Some(self.0.map_or(sample, |old| (3 * old + sample) / 4));
    }

    /// How long one assignment should keep a worker busy, in microseconds: never less than two
    /// round trips, or a far worker would be judged by its distance and get less and less.
    pub(crate) fn target_us(self) -> u64 {
        1000 * BATCH_TARGET_MS.max(2 * self.0.unwrap_or(0))
    }
}

/// How many shards of a job a worker holds at most: two assignments, each of `target_us`.
///
/// `own_us` is what a shard takes this worker, `job_us` what it takes on average anywhere.
pub(crate) fn capacity(
    slots: u32,
    target_us: u64,
    own_us: Option<u64>,
    job_us: Option<u64>,
) -> u32 {
    if own_us.or(job_us).is_some_and(|us| us > QUEUED_LIMIT_US) {
        return slots;
    }
    let Some(us) = own_us else {
        return 2 * slots;
    };
    let batch = (target_us / us.max(1)).max(1).saturating_mul(slots.into());
    2 * u32::try_from(batch.min(MAX_ATTEMPTS_PER_LEAF as u64)).expect("a leaf's size fits u32")
}

/// How many of the `remaining` shards a worker with `slots` of `all_slots` should hold, so that
/// something is left for the others.
pub(crate) fn guided(remaining: u64, slots: u32, all_slots: u64, own_us: Option<u64>) -> u32 {
    let slots = u64::from(slots);
    let share = remaining
        .div_ceil(2 * all_slots.max(1))
        .saturating_mul(slots);
    let finest = own_us.map_or(0, |us| FINEST_US * slots / us.max(1));
    u32::try_from(share.max(finest)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TARGET: u64 = 300_000;

    #[test]
    fn an_unknown_job_starts_with_two_a_slot() {
        assert_eq!(capacity(4, TARGET, None, None), 8);
    }

    #[test]
    fn short_shards_fill_two_frames_at_most() {
        assert_eq!(capacity(4, TARGET, Some(1), None), 2048);
        assert_eq!(capacity(2, TARGET, Some(1_000), None), 1200);
    }

    #[test]
    fn long_shards_queue_one_a_slot() {
        assert_eq!(capacity(4, TARGET, Some(2_000_000), None), 8);
    }

    #[test]
    fn very_long_shards_are_never_queued() {
        assert_eq!(capacity(4, TARGET, Some(31_000_000), None), 4);
        assert_eq!(capacity(4, TARGET, None, Some(31_000_000)), 4);
        assert_eq!(capacity(4, TARGET, Some(5_000_000), Some(31_000_000)), 8);
    }

    #[test]
    fn pieces_shrink_with_what_is_left() {
        assert_eq!(guided(10_000, 1, 16, None), 313);
        assert_eq!(guided(100, 2, 16, None), 8);
        assert_eq!(guided(1, 4, 64, None), 4);
        assert_eq!(guided(100, 2, 16, Some(100)), 200, "not finer than 10 ms");
    }

    #[test]
    fn an_average_follows_large_batches_at_once_and_single_shards_slowly() {
        let mut speed = Speed::default();
        assert_eq!(speed.shard_us(), None);
        speed.note(1_000, 2);
        assert_eq!(speed.shard_us(), Some(1_000));
        speed.note(10, 1_000);
        assert!(speed.shard_us().unwrap() < 20);
        speed.note(1_000, 1);
        assert!((100..200).contains(&speed.shard_us().unwrap()));
    }

    #[test]
    fn absurd_durations_do_not_overflow() {
        let mut speed = Speed::default();
        speed.note(u64::MAX, u64::MAX);
        speed.note(u64::MAX, 3);
        assert_eq!(speed.shard_us(), Some(MAX_SHARD_US));
    }

    #[test]
    fn a_far_worker_gets_two_round_trips_of_work() {
        let mut latency = Latency::default();
        assert_eq!(latency.target_us(), TARGET);
        latency.note(600);
        assert_eq!(latency.target_us(), 1_200_000);
        latency.note(u64::MAX);
        assert!(latency.target_us() <= 2 * MAX_LATENCY_MS * 1000);
    }
}

//! How long the shards of a job took, as a histogram.

/// Buckets for each doubling.
const PER_DOUBLING: u32 = 2;
/// Up to 2⁴⁰ µs, twelve days; what took longer counts as that.
const BUCKETS: usize = 40 * PER_DOUBLING as usize;
/// Shards from which a share of them says something.
const MIN_SHARDS: u64 = 5;

/// Run times of shards. A bucket is at most a half longer than the one before it.
#[derive(Debug)]
pub(crate) struct RunTimes {
    counts: [u32; BUCKETS],
    total: u64,
}

impl Default for RunTimes {
    fn default() -> Self {
        Self {
            counts: [0; BUCKETS],
            total: 0,
        }
    }
}

impl RunTimes {
    /// Takes in one shard.
    pub(crate) fn note(&mut self, run_us: u64) {
        let count = &mut self.counts[bucket(run_us)];
        *count = count.saturating_add(1);
        self.total += 1;
    }

    /// Time within which 95 of 100 shards were done, in microseconds, rounded up to the end of a
    /// bucket; `None` after fewer than five.
    pub(crate) fn p95_us(&self) -> Option<u64> {
        if self.total < MIN_SHARDS {
            return None;
        }
        let mut above: u64 = 0;
        let last = (0..BUCKETS).rev().find(|bucket| {
            above += u64::from(self.counts[*bucket]);
            above * 20 > self.total
        });
        last.map(end_us)
    }
}

/// Two for each power of two: below and above its one and a half.
fn bucket(run_us: u64) -> usize {
    let us = run_us.max(2);
    let power = us.ilog2();
    let is_upper = us >> (power - 1) & 1;
    let index = (power - 1) * PER_DOUBLING + u32::from(is_upper == 1);
    (index as usize).min(BUCKETS - 1)
}

/// The first time that is beyond the bucket, in microseconds.
const fn end_us(bucket: usize) -> u64 {
    let power = bucket as u32 / PER_DOUBLING + 1;
    match bucket as u32 % PER_DOUBLING {
        0 => 3 << (power - 1),
        _ => 2 << power,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_lies_in_its_bucket() {
        for us in [0, 1, 2, 3, 4, 5, 6, 7, 8, 11, 12, 1_000_000, 1 << 39] {
            let bucket = bucket(us);
            assert!(us < end_us(bucket), "{us}");
            assert!(bucket == 0 || us >= end_us(bucket - 1), "{us}");
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn few_slow_shards_do_not_move_it() {
        let mut times = RunTimes::default();
        for _ in 0..4 {
            times.note(1_000);
        }
        assert_eq!(times.p95_us(), None);
        for _ in 0..96 {
            times.note(1_000);
        }
        for _ in 0..5 {
            times.note(1_000_000);
        }
        assert_eq!(times.p95_us(), Some(1_024));
        times.note(1_000_000);
        assert!(times.p95_us().unwrap() > 1_000_000);
    }
}

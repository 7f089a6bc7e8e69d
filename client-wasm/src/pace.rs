//! How fast a job goes, from what was seen of it.
//!
//! Not here: words for it (`format`).

use std::collections::VecDeque;

use shared::time::UnixMillis;

/// Progress older than this many milliseconds says little about the speed.
const WINDOW_MS: u64 = 20_000;
/// Shards that the window reaches back over at least, however long they take.
const LEAST_SHARDS: u64 = 4;
/// No figure is given before this much time, in milliseconds, has been watched.
const LEAST_WATCHED_MS: u64 = 1_000;

/// Progress as it was seen, oldest first.
#[derive(Debug, Clone, Default)]
pub struct Pace {
    seen: VecDeque<Sample>,
}

#[derive(Debug, Clone, Copy)]
struct Sample {
    at: UnixMillis,
    completed: u64,
}

/// What the progress so far promises.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// Shards a second.
    pub per_second: f64,
    /// Milliseconds until all shards are done; `None` while nothing moves.
    pub left_ms: Option<u64>,
}

impl Pace {
    /// Takes in how many shards were completed at a moment. Moments do not go back.
    pub fn record(&mut self, at: UnixMillis, completed: u64) {
        if self
            .seen
            .back()
            .is_none_or(|last| last.completed < completed)
        {
            self.seen.push_back(Sample { at, completed });
        }
        while let [_, second, ..] = self.seen.make_contiguous() {
            let is_old = at.since(second.at) > WINDOW_MS;
            if !is_old || completed.saturating_sub(second.completed) < LEAST_SHARDS {
                break;
            }
            self.seen.pop_front();
        }
    }

    /// The speed as of `now`, and how long the rest of `total` shards takes at it. `None` until
    /// there is something to tell from.
    pub fn estimate(&self, now: UnixMillis, total: u64) -> Option<Estimate> {
        let (first, last) = (self.seen.front()?, self.seen.back()?);
        let watched_ms = now.since(first.at);
        let done = last.completed - first.completed;
        if watched_ms < LEAST_WATCHED_MS || done == 0 {
            return None;
        }
        let per_second = done as f64 * 1000.0 / watched_ms as f64;
        let left = total.saturating_sub(last.completed);
        let is_stalled = now.since(last.at) > WINDOW_MS.max(watched_ms / 2);
        Some(Estimate {
            per_second,
            left_ms: (!is_stalled).then_some((left as f64 * 1000.0 / per_second) as u64),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(samples: &[(u64, u64)]) -> Pace {
        let mut pace = Pace::default();
        for &(at, completed) in samples {
            pace.record(UnixMillis(at), completed);
        }
        pace
    }

    #[test]
    fn nothing_is_promised_before_something_was_seen() {
        assert_eq!(seen(&[]).estimate(UnixMillis(9_000), 10), None);
        assert_eq!(seen(&[(0, 5)]).estimate(UnixMillis(9_000), 10), None);
        assert_eq!(
            seen(&[(0, 0), (500, 5)]).estimate(UnixMillis(900), 10),
            None
        );
    }

    #[test]
    fn the_rest_takes_as_long_as_the_speed_says() {
        let estimate = seen(&[(0, 0), (1_000, 10), (2_000, 20)])
            .estimate(UnixMillis(2_000), 100)
            .unwrap();
        assert_eq!((estimate.per_second, estimate.left_ms), (10.0, Some(8_000)));
    }

    #[test]
    fn old_speed_is_forgotten() {
        let slow_then_fast = (0..=40).map(|second| {
            let completed = if second <= 10 {
                second
            } else {
                10 + (second - 10) * 100
            };
            (second * 1_000, completed)
        });
        let pace = seen(&slow_then_fast.collect::<Vec<_>>());
        let estimate = pace.estimate(UnixMillis(40_000), 10_000).unwrap();
        assert!((estimate.per_second - 100.0).abs() < 1.0, "{estimate:?}");
    }

    #[test]
    fn shards_that_take_minutes_have_a_speed_too() {
        let pace = seen(&[(0, 0), (60_000, 1), (120_000, 2), (180_000, 3)]);
        let estimate = pace.estimate(UnixMillis(180_000), 10).unwrap();
        assert_eq!(estimate.left_ms, Some(420_000));
    }

    #[test]
    fn a_job_that_stands_still_promises_nothing() {
        let pace = seen(&[(0, 0), (1_000, 10)]);
        assert!(
            pace.estimate(UnixMillis(3_000), 20)
                .unwrap()
                .left_ms
                .is_some()
        );
        let stalled = pace.estimate(UnixMillis(60_000), 20).unwrap();
        assert_eq!(stalled.left_ms, None);
        assert!(stalled.per_second < 1.0);
    }

    #[test]
    fn what_is_kept_does_not_grow_with_the_job() {
        let samples: Vec<_> = (0..100_000).map(|n| (n * 100, n)).collect();
        assert!(seen(&samples).seen.len() < 300);
    }
}

//! How fast a job's shards are, and how many go into one message therefore.
//!
//! Short shards travel together, for a message costs more than they do. Long ones travel alone, so
//! that slots share them evenly and a deadline always knows whom it hits.

/// Work that one message should carry, in microseconds.
const MESSAGE_US: f64 = 10_000.0;
/// Shards from this length on travel alone, in microseconds.
const LONG_US: f64 = 5_000.0;
/// Shards from this length on are not even queued behind one another, in microseconds.
const VERY_LONG_US: f64 = 50_000.0;
/// Shards in one message at most.
const MAX_CHUNK: usize = 100;
/// Weight of the newest observation.
const NEWEST: f64 = 0.3;

/// A moving average of the time that one shard takes a slot.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Pace {
    shard_us: Option<f64>,
}

impl Pace {
    pub(super) fn observe(&mut self, shard_us: f64) {
        let average = |old: f64| (1.0 - NEWEST) * old + NEWEST * shard_us;
        self.shard_us = Some(self.shard_us.map_or(shard_us, average));
    }

    /// Shards for one message; 1 as long as nothing is known.
    pub(super) fn chunk(self) -> usize {
        match self.shard_us {
            Some(us) if us < LONG_US => ((MESSAGE_US / us.max(1.0)) as usize).clamp(1, MAX_CHUNK),
            Some(_) | None => 1,
        }
    }

    /// An executor with at most this many unreported shards gets another message.
    pub(super) fn rows_ahead(self) -> usize {
        match self.shard_us {
            Some(us) if us < LONG_US => self.chunk(),
            Some(us) if us < VERY_LONG_US => 1,
            Some(_) | None => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(shard_us: f64) -> Pace {
        let mut pace = Pace::default();
        pace.observe(shard_us);
        pace
    }

    #[test]
    fn an_unknown_job_starts_with_one_shard() {
        assert_eq!(Pace::default().chunk(), 1);
        assert_eq!(Pace::default().rows_ahead(), 0);
    }

    #[test]
    fn messages_carry_about_ten_milliseconds_of_work() {
        assert_eq!(at(5.0).chunk(), 100);
        assert_eq!(at(500.0).chunk(), 20);
        assert_eq!(at(4_000.0).chunk(), 2);
        assert_eq!(at(0.0).chunk(), 100);
    }

    #[test]
    fn long_shards_travel_alone() {
        assert_eq!((at(6_000.0).chunk(), at(6_000.0).rows_ahead()), (1, 1));
        assert_eq!((at(1e6).chunk(), at(1e6).rows_ahead()), (1, 0));
    }

    #[test]
    fn the_average_follows_a_change() {
        let mut pace = at(5.0);
        for _ in 0..20 {
            pace.observe(100_000.0);
        }
        assert_eq!(pace.chunk(), 1);
    }
}

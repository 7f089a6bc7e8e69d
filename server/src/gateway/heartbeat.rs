//! When to ping a socket, and when to give it up.

use std::time::Duration;

use crate::random;

/// Pings and what was heard since.
#[derive(Debug, Clone, Copy)]
pub(super) struct Heartbeat {
    /// Between two pings.
    interval: Duration,
    /// For the answer.
    patience: Duration,
    is_pinged: bool,
    was_heard: bool,
}

/// What to do when the time of [`Heartbeat::due`] has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Beat {
    /// Ping, and come again after this time.
    Ping(Duration),
    /// Come again after this time.
    Rest(Duration),
    /// Nothing was heard since the last ping.
    Dead,
}

impl Heartbeat {
    pub(super) const fn new(interval: Duration, patience: Duration) -> Self {
        Self {
            interval,
            patience,
            is_pinged: false,
            was_heard: false,
        }
    }

    /// When to come first: spread out, so that the tabs of a classroom are not all pinged at once.
    pub(super) fn first(&self) -> Duration {
        let interval = u64::try_from(self.interval.as_millis()).unwrap_or(u64::MAX);
        Duration::from_millis(1 + random::below(interval))
    }

    /// Something came.
    pub(super) const fn hear(&mut self) {
        self.was_heard = true;
    }

    /// The time has come.
    pub(super) const fn due(&mut self) -> Beat {
        match (self.is_pinged, self.was_heard) {
            (true, false) => Beat::Dead,
            (true, true) => {
                self.is_pinged = false;
                Beat::Rest(self.interval.saturating_sub(self.patience))
            }
            (false, _) => {
                self.is_pinged = true;
                self.was_heard = false;
                Beat::Ping(self.patience)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_secs(25);
    const PATIENCE: Duration = Duration::from_secs(12);

    #[test]
    fn a_worker_that_answers_is_pinged_once_an_interval() {
        let mut heartbeat = Heartbeat::new(INTERVAL, PATIENCE);
        for _ in 0..3 {
            assert_eq!(heartbeat.due(), Beat::Ping(PATIENCE));
            heartbeat.hear();
            assert_eq!(heartbeat.due(), Beat::Rest(INTERVAL - PATIENCE));
        }
    }

    #[test]
    fn what_was_heard_before_a_ping_is_no_answer_to_it() {
        let mut heartbeat = Heartbeat::new(INTERVAL, PATIENCE);
        heartbeat.hear();
        assert_eq!(heartbeat.due(), Beat::Ping(PATIENCE));
        assert_eq!(heartbeat.due(), Beat::Dead);
    }

    #[test]
    fn the_first_ping_comes_within_one_interval() {
        let heartbeat = Heartbeat::new(INTERVAL, PATIENCE);
        assert!((0..100).all(|_| heartbeat.first() <= INTERVAL));
    }
}

//! Deadlines: what becomes due when.
//!
//! Each timer is set at most once; setting it again moves it.

use std::collections::{BTreeMap, BTreeSet};

use shared::ids::{JobId, SessionId};
use shared::time::Millis;

/// What a deadline is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// Deltas that were not stored are persisted again.
    Retry(JobId),
    /// Shards that a worker might have brought back are withheld no longer.
    Reclaim(JobId),
    /// A suspect shard has rested.
    Rest(JobId),
    /// Shards that take too long are looked for.
    Speculate(JobId),
    /// A session without socket ends.
    Grace(SessionId),
    /// A lease may have run out.
    Lease(SessionId),
    /// A worker that refused everything gets another chance.
    Pause(SessionId),
    /// Idle workers look again for queued work elsewhere.
    Balance,
}

impl Timer {
    /// Comes due where a worker was not heard of in time.
    pub(crate) const fn is_of_silence(self) -> bool {
        match self {
            Self::Grace(_) | Self::Lease(_) => true,
            Self::Retry(_)
            | Self::Reclaim(_)
            | Self::Rest(_)
            | Self::Speculate(_)
            | Self::Pause(_)
            | Self::Balance => false,
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct Timers {
    queue: BTreeSet<(Millis, Timer)>,
    due: BTreeMap<Timer, Millis>,
}

impl Timers {
    pub(crate) fn set(&mut self, timer: Timer, at: Millis) {
        if let Some(old) = self.due.insert(timer, at) {
            self.queue.remove(&(old, timer));
        }
        self.queue.insert((at, timer));
    }

    pub(crate) fn cancel(&mut self, timer: Timer) {
        if let Some(old) = self.due.remove(&timer) {
            self.queue.remove(&(old, timer));
        }
    }

    pub(crate) fn is_set(&self, timer: Timer) -> bool {
        self.due.contains_key(&timer)
    }

    pub(crate) fn next(&self) -> Option<Millis> {
        self.queue.first().map(|(at, _)| *at)
    }

    /// Takes out the earliest timer that is due at `now`.
    pub(crate) fn pop_due(&mut self, now: Millis) -> Option<Timer> {
        let (at, timer) = *self.queue.first()?;
        if at > now {
            return None;
        }
        self.cancel(timer);
        Some(timer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timer_set_again_moves() {
        let mut timers = Timers::default();
        let session = SessionId::from_bytes([1; 16]);
        timers.set(Timer::Grace(session), Millis(5));
        timers.set(Timer::Balance, Millis(7));
        timers.set(Timer::Grace(session), Millis(9));
        assert_eq!(timers.next(), Some(Millis(7)));
        assert_eq!(timers.pop_due(Millis(9)), Some(Timer::Balance));
        assert_eq!(timers.pop_due(Millis(9)), Some(Timer::Grace(session)));
        assert_eq!(timers.pop_due(Millis(9)), None);
    }

    #[test]
    fn a_cancelled_timer_never_fires() {
        let mut timers = Timers::default();
        timers.set(Timer::Balance, Millis(7));
        timers.cancel(Timer::Balance);
        assert!(!timers.is_set(Timer::Balance));
        assert_eq!(timers.pop_due(Millis(100)), None);
        assert_eq!(timers.next(), None);
    }
}

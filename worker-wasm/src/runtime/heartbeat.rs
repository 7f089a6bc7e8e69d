//! Whether the sandbox frame is alive: a busy executor cannot answer, its frame can.

use shared::time::Millis;

/// Time between pings, in milliseconds.
const INTERVAL_MS: u64 = 5_000;
/// A frame that has not answered for this long is dead, in milliseconds.
const DEAD_MS: u64 = 15_000;

/// The pings of one frame.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Heartbeat {
    asked: Millis,
    answered: Millis,
    next: Millis,
}

/// What is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Beat {
    /// Nothing.
    Rest,
    /// Ask the frame.
    Ping,
    /// It has not answered for too long.
    Dead,
}

impl Heartbeat {
    /// A frame that was alive at `now`.
    pub(crate) const fn new(now: Millis) -> Self {
        Self {
            asked: now,
            answered: now,
            next: now.plus(INTERVAL_MS),
        }
    }

    /// It answered, this many milliseconds after it was asked.
    pub(crate) const fn answered(&mut self, now: Millis) -> u64 {
        self.answered = now;
        now.since(self.asked)
    }

    /// What is due at `now`. A tick that comes far too late means that the whole tab slept: the
    /// frame then gets its time anew.
    pub(crate) const fn tick(&mut self, now: Millis) -> Beat {
        if now.0 < self.next.0 {
            return Beat::Rest;
        }
        let has_slept = now.since(self.next) > INTERVAL_MS;
        self.next = now.plus(INTERVAL_MS);
        if has_slept {
            self.answered = now;
        }
        if now.since(self.answered) >= DEAD_MS {
            Beat::Dead
        } else {
            self.asked = now;
            Beat::Ping
        }
    }

    /// When [`Heartbeat::tick`] is due.
    pub(crate) const fn next_deadline(&self) -> Millis {
        self.next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answering_frame_is_pinged_every_five_seconds() {
        let mut beat = Heartbeat::new(Millis(0));
        assert_eq!(beat.tick(Millis(4_999)), Beat::Rest);
        for at in [5_000, 10_000, 15_000, 20_000, 25_000] {
            assert_eq!(beat.next_deadline(), Millis(at));
            assert_eq!(beat.tick(Millis(at)), Beat::Ping);
            assert_eq!(beat.answered(Millis(at + 10)), 10);
        }
    }

    #[test]
    fn a_silent_frame_is_dead_after_fifteen_seconds() {
        let mut beat = Heartbeat::new(Millis(0));
        assert_eq!(beat.tick(Millis(5_000)), Beat::Ping);
        assert_eq!(beat.tick(Millis(10_000)), Beat::Ping);
        assert_eq!(beat.tick(Millis(15_000)), Beat::Dead);
    }

    #[test]
    fn sleep_is_not_silence() {
        let mut beat = Heartbeat::new(Millis(0));
        assert_eq!(beat.tick(Millis(3_600_000)), Beat::Ping);
        assert_eq!(beat.tick(Millis(3_605_000)), Beat::Ping);
    }
}

//! The connection: when to open it again.

use super::types::{Action, Entropy, LinkStatus, StopReason};
use crate::limits::RECONNECT_MS;
use crate::time::Millis;

#[derive(Debug)]
enum State {
    /// A socket was asked for.
    Opening,
    /// Hello was said.
    Greeting {
        give_up_at: Millis,
    },
    Joined,
    /// The server named a time to come back, and the socket is still to close.
    Closing {
        retry_at: Millis,
    },
    Waiting {
        until: Millis,
    },
    Stopped(StopReason),
}

#[derive(Debug)]
pub(super) struct Link {
    state: State,
    /// Attempts to connect that have failed in a row.
    failures: u32,
}

impl Link {
    pub(super) const fn new() -> Self {
        Self {
            state: State::Opening,
            failures: 0,
        }
    }

    pub(super) const fn is_joined(&self) -> bool {
        matches!(self.state, State::Joined)
    }

    /// Whether what comes over the socket is still meant for us.
    pub(super) const fn is_open(&self) -> bool {
        matches!(self.state, State::Greeting { .. } | State::Joined)
    }

    pub(super) fn opened(&mut self, give_up_at: Millis) {
        self.state = State::Greeting { give_up_at };
    }

    pub(super) fn joined(&mut self) {
        self.state = State::Joined;
        self.failures = 0;
    }

    pub(super) fn retry_at(&mut self, at: Millis) {
        self.state = State::Closing { retry_at: at };
    }

    pub(super) fn stop(&mut self, reason: StopReason) {
        self.state = State::Stopped(reason);
    }

    /// The next try is drawn from zero up to a ceiling that doubles (full jitter), so that the tabs
    /// of a classroom do not come back in step.
    pub(super) fn closed(&mut self, now: Millis, entropy: &mut dyn Entropy) {
        let until = match self.state {
            State::Stopped(_) => return,
            State::Closing { retry_at } => retry_at,
            State::Opening | State::Greeting { .. } | State::Joined | State::Waiting { .. } => {
                now.plus(self.delay(entropy))
            }
        };
        self.state = State::Waiting { until };
    }

    fn delay(&mut self, entropy: &mut dyn Entropy) -> u64 {
        let (first, most) = RECONNECT_MS;
        let ceiling = most.min(first << self.failures.min(16));
        self.failures += 1;
        let [a, b, c, d, ..] = entropy.bytes16();
        u64::from(u32::from_le_bytes([a, b, c, d])) % (ceiling + 1)
    }

    pub(super) fn deadline(&self) -> Option<Millis> {
        match self.state {
            State::Greeting { give_up_at } => Some(give_up_at),
            State::Waiting { until } => Some(until),
            State::Opening | State::Joined | State::Closing { .. } | State::Stopped(_) => None,
        }
    }

    pub(super) fn tick(&mut self, now: Millis) -> Option<Action> {
        match self.state {
            State::Waiting { until } if until <= now => {
                self.state = State::Opening;
                Some(Action::Connect)
            }
            State::Greeting { give_up_at } if give_up_at <= now => {
                self.state = State::Closing { retry_at: now };
                Some(Action::Disconnect)
            }
            State::Opening
            | State::Greeting { .. }
            | State::Joined
            | State::Closing { .. }
            | State::Waiting { .. }
            | State::Stopped(_) => None,
        }
    }

    pub(super) fn status(&self) -> LinkStatus {
        match &self.state {
            State::Opening | State::Greeting { .. } | State::Closing { .. } => {
                LinkStatus::Connecting
            }
            State::Joined => LinkStatus::Joined,
            State::Waiting { until } => LinkStatus::Waiting { until: *until },
            State::Stopped(reason) => LinkStatus::Stopped(reason.clone()),
        }
    }
}

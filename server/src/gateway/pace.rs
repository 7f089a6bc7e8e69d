//! How much one socket may send in how much time.

use std::time::Duration;

use tokio::time::Instant;

use crate::limits::RateLimit;

/// Messages of one socket in a second, whatever the operator allows: some ten times what the fastest
/// native worker sends.
const MOST_MESSAGES: RateLimit = RateLimit {
    max: 10_000,
    window: Duration::from_secs(1),
};
/// Bytes of them: more than a store takes of results.
const MOST_BYTES: RateLimit = RateLimit {
    max: 64 * 1024 * 1024,
    window: Duration::from_secs(1),
};

/// What one socket has sent lately.
#[derive(Debug)]
pub(super) struct Pace {
    /// As the operator limits it.
    messages: Meter,
    most_messages: Meter,
    most_bytes: Meter,
}

impl Pace {
    pub(super) const fn new(messages: RateLimit) -> Self {
        Self {
            messages: Meter::new(messages),
            most_messages: Meter::new(MOST_MESSAGES),
            most_bytes: Meter::new(MOST_BYTES),
        }
    }

    /// Counts a message of so many bytes; whether it may still be taken.
    pub(super) fn allows(&mut self, bytes: usize, now: Instant) -> bool {
        self.messages.takes(1, now)
            && self.most_messages.takes(1, now)
            && self.most_bytes.takes(bytes as u64, now)
    }
}

/// Counts in fixed windows, the first of which begins with what comes first.
#[derive(Debug)]
struct Meter {
    limit: RateLimit,
    began: Option<Instant>,
    count: u64,
}

impl Meter {
    const fn new(limit: RateLimit) -> Self {
        Self {
            limit,
            began: None,
            count: 0,
        }
    }

    fn takes(&mut self, amount: u64, now: Instant) -> bool {
        let is_over = |began: Instant| now.duration_since(began) >= self.limit.window;
        if self.began.is_none_or(is_over) {
            self.began = Some(now);
            self.count = 0;
        }
        self.count = self.count.saturating_add(amount);
        self.count <= self.limit.max
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNLIMITED: RateLimit = RateLimit {
        max: u64::MAX,
        window: Duration::from_secs(10),
    };

    #[test]
    fn a_socket_may_send_so_many_messages_in_each_window() {
        let window = Duration::from_secs(10);
        let mut pace = Pace::new(RateLimit { max: 2, window });
        let start = Instant::now();
        for began in [start, start + window, start + 5 * window] {
            assert!(pace.allows(1, began) && pace.allows(1, began + window / 2));
            assert!(!pace.allows(1, began + window / 2));
        }
    }

    #[test]
    fn there_is_an_end_to_messages_and_bytes_where_the_operator_sets_none() {
        let start = Instant::now();
        for (bytes, messages) in [(0, MOST_MESSAGES.max), (1 << 20, 64)] {
            let mut pace = Pace::new(UNLIMITED);
            for began in [start, start + MOST_BYTES.window] {
                assert!((0..messages).all(|_| pace.allows(bytes, began)));
                assert!(!pace.allows(bytes, began), "{bytes} bytes");
            }
        }
    }
}

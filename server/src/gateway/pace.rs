//! How many messages one socket may send in how much time.

use tokio::time::Instant;

use crate::limits::RateLimit;

/// Counts in fixed windows, the first of which begins with the first message.
#[derive(Debug)]
pub(super) struct Pace {
    limit: RateLimit,
    began: Option<Instant>,
    count: u64,
}

impl Pace {
    pub(super) const fn new(limit: RateLimit) -> Self {
        Self {
            limit,
            began: None,
            count: 0,
        }
    }

    /// Counts a message; whether it may still be taken.
    pub(super) fn allows(&mut self, now: Instant) -> bool {
        let is_over = |began: Instant| now.duration_since(began) >= self.limit.window;
        if self.began.is_none_or(is_over) {
            self.began = Some(now);
            self.count = 0;
        }
        self.count += 1;
        self.count <= self.limit.max
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_socket_may_send_so_many_messages_in_each_window() {
        let window = Duration::from_secs(10);
        let mut pace = Pace::new(RateLimit { max: 2, window });
        let start = Instant::now();
        for began in [start, start + window, start + 5 * window] {
            assert!(pace.allows(began) && pace.allows(began + window / 2));
            assert!(!pace.allows(began + window / 2));
        }
    }
}

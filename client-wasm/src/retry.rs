//! How long to wait before a call is made again.

use std::time::Duration;

const FIRST_MS: u64 = 500;
const LONGEST_MS: u64 = 10_000;

/// Failures in a row.
#[derive(Debug, Clone, Copy, Default)]
pub struct Retry {
    failures: u32,
}

impl Retry {
    /// A call succeeded: the next failure is a first one.
    pub fn succeeded(&mut self) {
        self.failures = 0;
    }

    /// How long to wait after one more failure: at least half, at most all, of a time that doubles
    /// up to 10 s. `draw`, in 0..1, chooses, so that many pages do not come back all at once.
    pub fn delay(&mut self, draw: f64) -> Duration {
        let longest = FIRST_MS
            .saturating_mul(1 << self.failures.min(16))
            .min(LONGEST_MS);
        self.failures = self.failures.saturating_add(1);
        Duration::from_millis(longest / 2 + (longest as f64 / 2.0 * draw) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_ten_seconds_and_start_over_after_a_success() {
        let mut retry = Retry::default();
        let delays: Vec<_> = (0..7).map(|_| retry.delay(1.0).as_millis()).collect();
        assert_eq!(delays, [500, 1_000, 2_000, 4_000, 8_000, 10_000, 10_000]);
        retry.succeeded();
        assert_eq!(retry.delay(0.0).as_millis(), 250);
        retry.failures = u32::MAX;
        assert_eq!(retry.delay(0.0).as_millis(), 5_000);
    }
}

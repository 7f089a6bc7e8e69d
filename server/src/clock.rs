//! The server's clocks, read in one place.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use shared::time::{Millis, UnixMillis};

/// Wall time, and monotonic time since the clock was made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    origin: Instant,
}

impl Clock {
    /// A clock whose monotonic time begins at 0.
    pub(crate) fn start() -> Self {
        Self {
            origin: Instant::now(),
        }
    }

    /// Wall time; 0 for a clock set before 1970.
    pub(crate) fn wall(&self) -> UnixMillis {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
        UnixMillis(since_epoch.map_or(0, millis))
    }

    /// Monotonic time.
    pub(crate) fn mono(&self) -> Millis {
        Millis(millis(self.origin.elapsed()))
    }

    /// The instant at which [`Self::mono`] reads `at`.
    pub(crate) fn instant(&self, at: Millis) -> tokio::time::Instant {
        (self.origin + Duration::from_millis(at.0)).into()
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

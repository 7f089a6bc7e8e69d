//! The server's clocks, read in one place.
//!
//! Wall time is what people and other programs are told; it may be wrong and may jump. What must not
//! jump with it has a clock that only goes on: timeouts and leases ([`Clock::mono`]), how long
//! something is kept ([`Clock::running`]), and what is signed for workers ([`Clock::signing`]). The
//! last two outlive the process; the store notes them. Not here: noting them (`store`).

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use shared::time::{Millis, UnixMillis};

/// How far signed time may have gone on since it was noted: the store notes it more often.
const MAX_UNNOTED_MS: u64 = 3600 * 1000;
/// A wall clock that is behind by less was corrected, not set back. Less than any assignment holds.
const CORRECTION_MS: u64 = 5_000;
/// Between two looks whether wall time has jumped.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// A wall clock that has gone astray by more has jumped, in milliseconds.
const JUMP_MS: u64 = 60_000;

/// The times that outlive the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OwnTimes {
    /// [`Clock::running`].
    pub running: UnixMillis,
    /// [`Clock::signing`].
    pub signing: UnixMillis,
}

/// All clocks of the server.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    origin: Instant,
    /// What [`since_boot`] was at the origin.
    boot: Duration,
    /// What the others were at the origin.
    own: OwnTimes,
}

impl Clock {
    /// Clocks of which nothing was noted.
    pub(crate) fn start() -> Self {
        let wall = read_wall();
        Self::at(OwnTimes {
            running: wall,
            signing: wall,
        })
    }

    /// Clocks that go on from what was noted last. The time in which nobody ran does not count as
    /// running. Signed time is wall time, unless that is behind what was signed before.
    pub(crate) fn resume(noted: OwnTimes) -> Self {
        let wall = read_wall();
        let behind_ms = noted.signing.since(wall);
        let signing = if behind_ms <= CORRECTION_MS {
            wall
        } else {
            tracing::warn!(
                seconds = behind_ms / 1000,
                "the clock of this machine was set back since the server ran last; what is signed \
                 for workers goes on from then"
            );
            noted.signing.plus(MAX_UNNOTED_MS)
        };
        Self::at(OwnTimes {
            running: noted.running,
            signing,
        })
    }

    fn at(own: OwnTimes) -> Self {
        Self {
            origin: Instant::now(),
            boot: since_boot(),
            own,
        }
    }

    /// Wall time; 0 for a clock set before 1970.
    pub(crate) fn wall(&self) -> UnixMillis {
        read_wall()
    }

    /// Monotonic time since the process began.
    pub(crate) fn mono(&self) -> Millis {
        Millis(millis(self.origin.elapsed()))
    }

    /// The time in which servers ran on this store, sleep of the machine included. Whatever happens
    /// to the wall clock, of which it once began, it never goes back and never jumps ahead.
    pub(crate) fn running(&self) -> UnixMillis {
        self.own.running.plus(self.elapsed_ms())
    }

    /// The time in what workers are told and what is signed for them, who hold it against nothing
    /// else. As [`Self::running`], but it began with the wall clock when the process did.
    pub(crate) fn signing(&self) -> UnixMillis {
        self.own.signing.plus(self.elapsed_ms())
    }

    /// The times that outlive the process.
    pub(crate) fn own_times(&self) -> OwnTimes {
        OwnTimes {
            running: self.running(),
            signing: self.signing(),
        }
    }

    /// The instant at which [`Self::mono`] reads `at`.
    pub(crate) fn instant(&self, at: Millis) -> tokio::time::Instant {
        (self.origin + Duration::from_millis(at.0)).into()
    }

    /// Logs when wall time jumps, for ever.
    pub(crate) async fn tell_jumps(self) {
        let mut jumps = Jumps::new(self.wall(), self.running());
        loop {
            tokio::time::sleep(LOOK_INTERVAL).await;
            if let Some(Jump { seconds }) = jumps.look(self.wall(), self.running()) {
                tracing::warn!(
                    seconds,
                    "the clock of this machine has jumped; invites end by it, what is shown follows \
                     it, and everything else goes on as if it had not"
                );
            }
        }
    }

    fn elapsed_ms(&self) -> u64 {
        millis(since_boot().saturating_sub(self.boot))
    }
}

/// Compares a clock that may jump with one that does not.
#[derive(Debug)]
struct Jumps {
    wall: UnixMillis,
    steady: UnixMillis,
}

/// By how much a clock has jumped, ahead or back.
#[derive(Debug, PartialEq, Eq)]
struct Jump {
    seconds: i64,
}

impl Jumps {
    const fn new(wall: UnixMillis, steady: UnixMillis) -> Self {
        Self { wall, steady }
    }

    /// What happened since the last jump, if it is one.
    fn look(&mut self, wall: UnixMillis, steady: UnixMillis) -> Option<Jump> {
        let expected = self.wall.plus(steady.since(self.steady));
        if wall.since(expected).max(expected.since(wall)) <= JUMP_MS {
            return None;
        }
        *self = Self::new(wall, steady);
        let seconds = |ms: u64| i64::try_from(ms / 1000).unwrap_or(i64::MAX);
        Some(Jump {
            seconds: seconds(wall.since(expected)) - seconds(expected.since(wall)),
        })
    }
}

fn read_wall() -> UnixMillis {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
    UnixMillis(since_epoch.map_or(0, millis))
}

/// Time since some origin, sleep of the machine included.
#[cfg(target_os = "linux")]
fn since_boot() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    Duration::try_from(time).unwrap_or_default()
}

/// Time since some origin; whether sleep of the machine counts is up to the system.
#[cfg(not(target_os = "linux"))]
fn since_boot() -> Duration {
    static ORIGIN: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
    ORIGIN.elapsed()
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const YEAR_MS: u64 = 365 * 24 * 3600 * 1000;

    #[test]
    fn time_in_which_nobody_ran_counts_for_nothing_that_is_kept() {
        let wall = read_wall();
        let noted = OwnTimes {
            running: UnixMillis(wall.0 - YEAR_MS),
            signing: UnixMillis(wall.0 - YEAR_MS),
        };
        let clock = Clock::resume(noted);
        assert!(clock.running().since(noted.running) < 60_000);
        assert!(
            clock.signing() >= wall,
            "what is signed follows the wall clock"
        );
    }

    #[test]
    fn what_is_signed_never_goes_back_further_than_a_clock_is_corrected() {
        let wall = read_wall();
        for (behind_ms, is_followed) in [(1_000, true), (60_000, false), (YEAR_MS, false)] {
            let noted = OwnTimes {
                running: wall,
                signing: wall.plus(behind_ms),
            };
            let signing = Clock::resume(noted).signing();
            assert_eq!(signing < noted.signing, is_followed, "{behind_ms}");
            let ahead_ms = signing.since(noted.signing);
            assert!(is_followed || ahead_ms >= MAX_UNNOTED_MS, "{ahead_ms}");
        }
    }

    #[test]
    fn a_jump_is_told_once_and_drift_is_none() {
        let at = |s: u64| UnixMillis(YEAR_MS * 50 + s * 1000);
        let mut jumps = Jumps::new(at(0), at(0));
        assert_eq!(jumps.look(at(10), at(10)), None);
        assert_eq!(jumps.look(at(70), at(11)), None, "it was corrected");
        assert_eq!(jumps.look(at(1_012), at(12)), Some(Jump { seconds: 1_000 }));
        assert_eq!(jumps.look(at(1_013), at(13)), None);
        assert_eq!(jumps.look(at(14), at(14)), Some(Jump { seconds: -1_000 }));
        assert_eq!(jumps.look(at(15), at(15)), None);
    }
}

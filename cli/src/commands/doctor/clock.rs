//! Do the clocks agree? The server's own, and that of whoever wrote the Date of its answer.
//!
//! Workers do not need it: they go by times that the server signs. Invites, certificates and whoever
//! compares logs do.

use std::time::{Duration, SystemTime};

use super::finding::Finding;
use super::server::Met;

/// Beyond what a network delays. Date has whole seconds.
const NOTABLE: Duration = Duration::from_secs(5);
/// Beyond what any clock that is kept by NTP shows.
const WRONG: Duration = Duration::from_secs(60);

/// How two clocks stand to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Skew {
    by: Duration,
    is_ahead: bool,
}

pub(super) fn check(met: &Met) -> Finding {
    let here = met.answer.midway;
    let server = SystemTime::UNIX_EPOCH + Duration::from_millis(met.health.now.0.0);
    let date = met.answer.header("date");
    let date = date.and_then(|date| httpdate::parse_http_date(date).ok());
    judge(skew(server, here), date.map(|date| skew(date, here)))
}

fn skew(other: SystemTime, here: SystemTime) -> Skew {
    match other.duration_since(here) {
        Ok(by) => Skew { by, is_ahead: true },
        Err(error) => Skew {
            by: error.duration(),
            is_ahead: false,
        },
    }
}

fn judge(server: Skew, date: Option<Skew>) -> Finding {
    let odd_date = date.filter(|date| date.by > NOTABLE);
    if server.by <= NOTABLE {
        return match odd_date {
            None => Finding::ok("the server's agrees with this one"),
            Some(date) => Finding::warn(
                format!(
                    "the server's agrees with this one, but its answers are dated {} it",
                    date.in_words()
                ),
                "set the clock of the proxy in front (NTP)",
            ),
        };
    }
    let seen = format!("the server's is {} this one", server.in_words());
    let fix = match date {
        // Two against one.
        Some(_) if odd_date.is_none() => {
            "set the clock of the server's machine (NTP); the proxy's agrees with this one"
        }
        Some(_) | None => "set the wrong one of the two (NTP: `timedatectl set-ntp true`)",
    };
    if server.by <= WRONG {
        Finding::warn(seen, fix)
    } else {
        Finding::fail(
            format!("{seen}: invites seem to expire too early or too late"),
            fix,
        )
    }
}

impl Skew {
    fn in_words(self) -> String {
        let seconds = self.by.as_secs_f64();
        let amount = if seconds < 120.0 {
            format!("{seconds:.1} s")
        } else if seconds < 7200.0 {
            format!("{:.0} min", seconds / 60.0)
        } else {
            format!("{:.0} h", seconds / 3600.0)
        };
        format!(
            "{amount} {}",
            if self.is_ahead { "ahead of" } else { "behind" }
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn by(seconds: i64) -> Skew {
        Skew {
            by: Duration::from_secs(seconds.unsigned_abs()),
            is_ahead: seconds >= 0,
        }
    }

    #[test]
    fn seconds_are_worth_a_word_and_minutes_a_failure() {
        assert!(matches!(judge(by(2), None), Finding::Ok(_)));
        assert!(matches!(judge(by(-30), None), Finding::Warn { .. }));
        let Finding::Fail { seen, .. } = judge(by(-180), None) else {
            panic!("three minutes");
        };
        assert!(
            seen.starts_with("the server's is 3 min behind this one"),
            "{seen}"
        );
    }

    #[test]
    fn of_three_clocks_the_odd_one_is_named() {
        let Finding::Warn { fix, .. } = judge(by(0), Some(by(600))) else {
            panic!("the proxy's alone is off");
        };
        assert!(fix.contains("proxy"), "{fix}");
        let Finding::Fail { fix, .. } = judge(by(600), Some(by(1))) else {
            panic!("the server's alone is off");
        };
        assert!(fix.contains("the server's machine"), "{fix}");
        let Finding::Fail { fix, .. } = judge(by(600), Some(by(600))) else {
            panic!("this one, or both of theirs");
        };
        assert!(fix.contains("of the two"), "{fix}");
    }
}

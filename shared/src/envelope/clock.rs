//! Authenticated time: the server's clock, carried forward by the device's monotonic one.
//!
//! A device's wall clock may be years off, and its monotonic clock may stand still in sleep. So the
//! wall clock is believed in nothing but this: when it and the monotonic clock disagree about how
//! much time has passed, the time is unknown until the server has answered again.

use super::{Envelope, EnvelopeError, Verified};
use crate::ids::Nonce;
use crate::limits::{MAX_CLOCK_DRIFT_MS, MAX_TIME_ROUND_TRIP_MS, TIME_RESYNC_MS};
use crate::time::{Reading, UnixMillis};

/// Why a time answer is void.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TimeError {
    /// Not a time leaf.
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    /// Nobody asked, or with another challenge.
    #[error("answers a question that was not asked")]
    NotAsked,
    /// It may be old.
    #[error("took {0} ms, longer than {MAX_TIME_ROUND_TRIP_MS}")]
    TooSlow(u64),
}

#[derive(Debug, Clone, Copy)]
struct Anchor {
    server: UnixMillis,
    /// When the question was asked: the server's answer is not older than that, so time carried
    /// forward from here is never behind the server's, and nothing expired counts as fresh.
    asked: Reading,
}

/// The server's time on a device.
#[derive(Debug, Clone, Default)]
pub struct TrustedClock {
    anchor: Option<Anchor>,
    question: Option<(Nonce, Reading)>,
}

impl TrustedClock {
    /// Notes that `challenge` was sent. Until it is answered the time is unknown.
    pub const fn ask(&mut self, challenge: Nonce, reading: Reading) {
        self.question = Some((challenge, reading));
    }

    /// Takes the server's answer.
    ///
    /// # Errors
    /// [`TimeError`] for an answer that is no time leaf, was not asked for, or came too late. The
    /// time stays unknown then.
    pub fn answer(
        &mut self,
        envelope: &Envelope<Verified>,
        reading: Reading,
    ) -> Result<(), TimeError> {
        let time = envelope.time()?;
        let (challenge, asked) = self.question.ok_or(TimeError::NotAsked)?;
        if challenge != time.challenge {
            return Err(TimeError::NotAsked);
        }
        let took = elapsed(asked, reading);
        if took > MAX_TIME_ROUND_TRIP_MS {
            return Err(TimeError::TooSlow(took));
        }
        self.question = None;
        self.anchor = Some(Anchor {
            server: time.now,
            asked,
        });
        Ok(())
    }

    /// The server's time; `None` while it is unknown.
    pub fn now(&self, reading: Reading) -> Option<UnixMillis> {
        let anchor = self.anchor.filter(|_| self.question.is_none())?;
        let steady = drift(anchor.asked, reading) <= MAX_CLOCK_DRIFT_MS;
        steady.then(|| anchor.server.plus(reading.mono.since(anchor.asked.mono)))
    }

    /// Whether the time should be asked for: it is unknown or old, and no question is open that can
    /// still be answered.
    pub fn wants_answer(&self, reading: Reading) -> bool {
        match (self.question, self.anchor) {
            (Some((_, asked)), _) => elapsed(asked, reading) > MAX_TIME_ROUND_TRIP_MS,
            (None, None) => true,
            (None, Some(anchor)) => {
                self.now(reading).is_none()
                    || reading.mono.since(anchor.asked.mono) >= TIME_RESYNC_MS
            }
        }
    }
}

/// Time that has passed by the clock that saw more of it.
fn elapsed(from: Reading, to: Reading) -> u64 {
    to.mono.since(from.mono).max(to.wall.since(from.wall))
}

fn drift(from: Reading, to: Reading) -> u64 {
    let mono = i128::from(to.mono.0) - i128::from(from.mono.0);
    let wall = i128::from(to.wall.0) - i128::from(from.wall.0);
    u64::try_from((wall - mono).unsigned_abs()).unwrap_or(u64::MAX)
}

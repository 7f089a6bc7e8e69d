//! Noting the clocks that outlive the process ([`OwnTimes`]), and going on from what was noted.
//!
//! Mostly they are noted with changes that are written anyway, so that it costs nothing.

use rusqlite::{Connection, OptionalExtension, params};
use shared::time::{Millis, UnixMillis};

use crate::clock::{Clock, OwnTimes};

/// Beside other changes they are noted so often, in milliseconds.
const INTERVAL_MS: u64 = 60_000;
/// On their own they are noted so often, in milliseconds: less than `clock` reckons with.
const IDLE_INTERVAL_MS: u64 = 30 * 60_000;

/// The clocks of a store, and when they were noted last.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    pub(super) clock: Clock,
    noted: Option<Millis>,
}

impl Times {
    pub(super) const fn new(clock: Clock) -> Self {
        Self { clock, noted: None }
    }

    /// Notes them beside other changes, if it is time to.
    pub(super) fn note_beside(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        self.note_after(INTERVAL_MS, connection)
    }

    /// Notes them on their own, if it is time to.
    pub(super) fn note_alone(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        self.note_after(IDLE_INTERVAL_MS, connection)
    }

    /// Notes them.
    pub(super) fn note(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        self.note_after(0, connection)
    }

    fn note_after(&mut self, interval_ms: u64, connection: &Connection) -> rusqlite::Result<()> {
        let now = self.clock.mono();
        if self
            .noted
            .is_some_and(|noted| now.since(noted) < interval_ms)
        {
            return Ok(());
        }
        let OwnTimes { running, signing } = self.clock.own_times();
        let sql = "INSERT INTO own_times (id, running_ms, signing_ms) VALUES (1, ?1, ?2) \
                   ON CONFLICT (id) DO UPDATE SET running_ms = ?1, signing_ms = ?2";
        connection
            .prepare_cached(sql)?
            .execute(params![running.0, signing.0])?;
        self.noted = Some(now);
        Ok(())
    }
}

/// Clocks that go on from what was noted. Where nothing was, they begin with the wall clock, but
/// not later than the last job ended: that is the last time that is known to have been.
pub(super) fn resume(connection: &Connection) -> rusqlite::Result<Clock> {
    let sql = "SELECT running_ms, signing_ms FROM own_times WHERE id = 1";
    let noted = connection
        .query_row(sql, (), |row| {
            Ok(OwnTimes {
                running: UnixMillis(row.get(0)?),
                signing: UnixMillis(row.get(1)?),
            })
        })
        .optional()?;
    if let Some(noted) = noted {
        return Ok(Clock::resume(noted));
    }
    let sql = "SELECT max(ended_ms) FROM job_states WHERE outcome IS NOT NULL";
    let last_end: Option<u64> = connection.query_row(sql, (), |row| row.get(0))?;
    let wall = Clock::start().wall();
    Ok(Clock::resume(OwnTimes {
        running: last_end.map_or(wall, |end| wall.min(UnixMillis(end))),
        signing: wall,
    }))
}

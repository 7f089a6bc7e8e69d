//! Deleting what can never be read again: jobs that are older than results are kept, and rows of jobs
//! that ended without a result.
//!
//! Their age is told by the running time (`clock`), so that no clock that is set makes them old. In
//! slices, between the transactions of those who wait. A job that is removed is unknown from the
//! first slice on; its rows follow. The file does not shrink: later changes use the freed pages.

use std::time::{Duration, Instant};

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};
use shared::time::UnixMillis;

use super::batch::REMOVED;

/// Between two looks for something to delete.
const LOOK_INTERVAL: Duration = Duration::from_secs(60);
/// What a writer that has nothing else to do rests between two slices.
const REST: Duration = Duration::from_millis(50);
/// How long slices wait for a writer that is never without something to do.
const PATIENCE: Duration = Duration::from_secs(1);

/// Bytes that a slice deletes, about: a few milliseconds.
const SLICE_BYTES: u64 = 1024 * 1024;
/// What a row or a job takes beside its own bytes.
const OVERHEAD_BYTES: u64 = 4096;
/// Jobs that expire together.
const EXPIRING: u64 = 64;

/// When to delete the next slice, and of what.
#[derive(Debug)]
pub(super) struct Sweeper {
    retention: Option<Duration>,
    next: Instant,
}

impl Sweeper {
    /// Ended jobs are kept for `retention`, or for ever.
    pub(super) fn new(retention: Option<Duration>) -> Self {
        Self {
            retention,
            next: Instant::now(),
        }
    }

    /// There is something to delete now.
    pub(super) fn wake(&mut self) {
        self.next = self.next.min(Instant::now());
    }

    /// How long a writer without anything to do may wait for it.
    pub(super) fn wait(&self) -> Duration {
        self.next.saturating_duration_since(Instant::now())
    }

    /// A busy writer should delete a slice all the same.
    pub(super) fn is_overdue(&self) -> bool {
        self.next.elapsed() > PATIENCE
    }

    /// Nothing may be deleted at this time.
    pub(super) fn postpone(&mut self) {
        self.next = Instant::now() + LOOK_INTERVAL;
    }

    /// Deletes a slice; `now` by the running time.
    pub(super) fn sweep(&mut self, connection: &mut Connection, now: UnixMillis) {
        let more = self.slice(connection, now).unwrap_or_else(|error| {
            tracing::warn!(%error, "what is no longer needed cannot be deleted yet");
            false
        });
        self.next = Instant::now() + if more { REST } else { LOOK_INTERVAL };
    }

    fn slice(&self, connection: &mut Connection, now: UnixMillis) -> rusqlite::Result<bool> {
        let expired_before = self.retention.and_then(|retention| {
            let ms = u64::try_from(retention.as_millis()).ok()?;
            now.0.checked_sub(ms).map(UnixMillis)
        });
        if !is_due(connection, expired_before)? {
            return Ok(false);
        }
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let more = delete_slice(&transaction, expired_before)?;
        transaction.commit()?;
        Ok(more)
    }
}

const SWEPT: &str = "SELECT job, outcome FROM job_states WHERE sweep = 1 LIMIT 1";

/// Jobs that ended before ?1, at most ?2; those that are removed already are not among them, as they
/// are swept.
const EXPIRED: &str = "SELECT job FROM job_states INDEXED BY kept_jobs \
     WHERE outcome IS NOT NULL AND ended_ms < ?1 ORDER BY ended_ms LIMIT ?2";

fn is_due(connection: &Connection, before: Option<UnixMillis>) -> rusqlite::Result<bool> {
    if connection.prepare_cached(SWEPT)?.exists(())? {
        return Ok(true);
    }
    match before {
        Some(before) => connection
            .prepare_cached(EXPIRED)?
            .exists(params![before.0, 1]),
        None => Ok(false),
    }
}

/// Deletes about [`SLICE_BYTES`]; whether there may be more.
fn delete_slice(
    transaction: &Transaction<'_>,
    expired_before: Option<UnixMillis>,
) -> rusqlite::Result<bool> {
    let mut bytes = 0;
    while bytes < SLICE_BYTES {
        let swept: Option<([u8; 16], i64)> = transaction
            .prepare_cached(SWEPT)?
            .query_row((), |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        match (swept, expired_before) {
            (Some((job, outcome)), _) => {
                bytes += delete_rows(transaction, &job, SLICE_BYTES - bytes)?;
                if bytes < SLICE_BYTES {
                    bytes += finish(transaction, &job, outcome)?;
                }
            }
            (None, Some(before)) if expire(transaction, before)? > 0 => {}
            (None, _) => return Ok(false),
        }
    }
    Ok(true)
}

/// Makes jobs that ended before `before` unknown; how many.
fn expire(transaction: &Transaction<'_>, before: UnixMillis) -> rusqlite::Result<usize> {
    let sql = format!("UPDATE job_states SET outcome = ?3, sweep = 1 WHERE job IN ({EXPIRED})");
    transaction
        .prepare_cached(&sql)?
        .execute(params![before.0, EXPIRING, REMOVED])
}

/// Deletes rows of a job up to about `budget` bytes; how many bytes. Fewer than the budget: all.
fn delete_rows(
    transaction: &Transaction<'_>,
    job: &[u8; 16],
    budget: u64,
) -> rusqlite::Result<u64> {
    let sql = "SELECT shard, length(result) FROM job_rows WHERE job = ?1 ORDER BY shard";
    let mut statement = transaction.prepare_cached(sql)?;
    let mut rows = statement.query((job,))?;
    let (mut last, mut bytes) = (None, 0);
    while bytes < budget
        && let Some(row) = rows.next()?
    {
        last = Some(row.get::<_, i64>(0)?);
        bytes += row.get::<_, u64>(1)? + OVERHEAD_BYTES / 16;
    }
    drop(rows);
    transaction
        .prepare_cached("DELETE FROM job_rows WHERE job = ?1 AND shard <= ?2")?
        .execute(params![job, last])?;
    Ok(bytes)
}

/// After the last row: the job itself, if it was removed.
fn finish(transaction: &Transaction<'_>, job: &[u8; 16], outcome: i64) -> rusqlite::Result<u64> {
    let sql = if outcome == REMOVED {
        "DELETE FROM jobs WHERE id = ?1 RETURNING length(spec)"
    } else {
        "UPDATE job_states SET sweep = 0 WHERE job = ?1 RETURNING 0"
    };
    let bytes: u64 = transaction
        .prepare_cached(sql)?
        .query_row((job,), |row| row.get(0))?;
    Ok(bytes + OVERHEAD_BYTES)
}

#[cfg(test)]
mod tests;

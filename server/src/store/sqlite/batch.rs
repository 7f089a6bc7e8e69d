//! One transaction: changes applied in order, the deltas of a job folded into one.
//!
//! The one rule: a delta counts only if it follows the one that is stored, so that an unknown
//! outcome is settled by sending the same delta again.

use std::collections::{BTreeMap, HashMap};

use range_set_blaze::RangeSetBlaze;
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};
use scheduler::{Delta, JobEnd};
use shared::ids::{JobId, ShardIndex};
use shared::reduce::ReducerState;
use shared::time::UnixMillis;
use shared::wire::ShardResult;

use super::codec::{encode, encode_spec};
use super::names::{self, Names};
use super::orders::{Order, Ordered};
use super::times::Times;
use super::writer::Write;
use super::{invites, read};
use crate::store::{Admission, NewJob, RecordedInvite, StoreError, ranges};

/// `job_states.outcome`.
pub(super) const SINGLE: i64 = 1;
pub(super) const REDUCED: i64 = 2;
pub(super) const FAILED: i64 = 3;
pub(super) const CANCELLED: i64 = 4;
/// The job is unknown; what is left of it is being deleted.
pub(super) const REMOVED: i64 = 5;

/// Bytes of completed shards that are not worth compacting.
const MIN_COMPACTED_BYTES: u64 = 64 * 1024;
/// What a row of completed shards takes beside its ranges.
const ROW_BYTES: u64 = 64;

/// What became of a change, if the transaction commits.
#[derive(Debug)]
pub(super) enum Applied {
    Stored,
    Admitted(Admission),
    Recorded(RecordedInvite),
    Ordered(Ordered),
    Refused(StoreError),
}

/// The clocks, and what the writer remembers of the unfinished jobs that it writes; that can be
/// forgotten at any time.
#[derive(Debug)]
pub(super) struct Ledger {
    pub(super) times: Times,
    open: HashMap<JobId, OpenJob>,
    /// A job has left rows that can never be read.
    has_litter: bool,
    names: Names,
}

#[derive(Debug, Clone, Copy)]
struct OpenJob {
    /// Of the last delta.
    seq: u64,
    completed: Growth,
}

/// How much there is of a job's completed shards. They are made one row when as much was added as there
/// was after the last time: so each byte is written again a bounded number of times, and never more
/// than about twice of what is worth keeping is kept.
#[derive(Debug, Clone, Copy, Default)]
struct Growth {
    bytes: u64,
    compacted_bytes: u64,
}

impl Growth {
    /// After a row more: whether it is time to make one of all.
    const fn add(&mut self, ranges_bytes: u64) -> bool {
        self.bytes += ranges_bytes + ROW_BYTES;
        let added = self.bytes - self.compacted_bytes;
        added > self.compacted_bytes && added > MIN_COMPACTED_BYTES
    }

    /// All of it is one row.
    const fn compacted(ranges_bytes: u64) -> Self {
        let bytes = ranges_bytes + ROW_BYTES;
        Self {
            bytes,
            compacted_bytes: bytes,
        }
    }
}

/// Deltas of one job in one transaction, as one.
#[derive(Debug)]
struct Folded<'d> {
    completed: RangeSetBlaze<u64>,
    skipped: RangeSetBlaze<u64>,
    rows: Vec<&'d [(ShardIndex, ShardResult)]>,
    reducer_state: Option<&'d ReducerState>,
    last: &'d Delta,
}

impl Ledger {
    pub(super) fn new(times: Times, names: Names) -> Self {
        Self {
            times,
            open: HashMap::new(),
            has_litter: false,
            names,
        }
    }

    /// Forgets everything that can be read again.
    pub(super) fn forget(&mut self) {
        let mut names = self.names.clone();
        names.recount();
        *self = Self::new(Times::new(self.times.clock), names);
    }

    /// Applies `writes` in one transaction; what became of each, in the same order. After an error
    /// nothing is applied and the ledger must be forgotten.
    pub(super) fn apply(
        &mut self,
        connection: &mut Connection,
        writes: &[Write],
    ) -> rusqlite::Result<Vec<Applied>> {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let now = self.times.clock.wall();
        let mut folded = BTreeMap::new();
        let applied = writes
            .iter()
            .map(|write| match write {
                Write::InsertJob { job, .. } => insert_job(&transaction, job),
                Write::Persist { delta, .. } => self.fold(&transaction, delta, &mut folded),
                Write::Admit { entry, .. } => {
                    let running = self.times.clock.running();
                    let admitted = self.names.admit(&transaction, entry, running);
                    admitted.map(Applied::Admitted)
                }
                Write::Visits { workers, .. } => {
                    let running = self.times.clock.running();
                    let mut noted = workers.iter();
                    noted
                        .try_for_each(|worker| names::note_visit(&transaction, worker, running))
                        .map(|()| Applied::Stored)
                }
                Write::RecordInvite { invite, .. } => {
                    invites::record(&transaction, invite).map(Applied::Recorded)
                }
                Write::Order { order, .. } => self.order(&transaction, order, now),
                Write::Probe { .. } | Write::Close { .. } => Ok(Applied::Stored),
            })
            .collect::<rusqlite::Result<Vec<_>>>()?;
        for (job, folded) in folded {
            self.write_folded(&transaction, job, &folded, now)?;
        }
        self.times.note_beside(&transaction)?;
        transaction.commit()?;
        Ok(applied)
    }

    /// Whether a job has left rows that can never be read, since this was asked last.
    pub(super) const fn take_litter(&mut self) -> bool {
        std::mem::replace(&mut self.has_litter, false)
    }

    fn fold<'d>(
        &mut self,
        transaction: &Transaction<'_>,
        delta: &'d Delta,
        folded: &mut BTreeMap<JobId, Folded<'d>>,
    ) -> rusqlite::Result<Applied> {
        let stored = match self.stored_seq(transaction, delta.job)? {
            Stored::Unknown => return Ok(Applied::Refused(StoreError::JobNotOpen)),
            Stored::Ended { seq } if delta.seq <= seq => return Ok(Applied::Stored),
            Stored::Ended { .. } => return Ok(Applied::Refused(StoreError::JobNotOpen)),
            Stored::Open { seq } => seq,
        };
        if delta.seq <= stored {
            return Ok(Applied::Stored);
        }
        if delta.seq != stored + 1 {
            return Ok(Applied::Refused(StoreError::Gap {
                stored,
                seq: delta.seq,
            }));
        }
        if folded.get(&delta.job).is_some_and(|f| f.last.end.is_some()) {
            return Ok(Applied::Refused(StoreError::JobNotOpen));
        }
        folded
            .entry(delta.job)
            .and_modify(|f| f.add(delta))
            .or_insert_with(|| Folded::new(delta));
        if let Some(open) = self.open.get_mut(&delta.job) {
            open.seq = delta.seq;
        }
        Ok(Applied::Stored)
    }

    fn stored_seq(
        &mut self,
        transaction: &Transaction<'_>,
        job: JobId,
    ) -> rusqlite::Result<Stored> {
        if let Some(open) = self.open.get(&job) {
            return Ok(Stored::Open { seq: open.seq });
        }
        let sql = "SELECT seq, outcome IS NULL, \
                   (SELECT count(*) FROM job_completed c WHERE c.job = s.job), \
                   (SELECT coalesce(sum(length(ranges)), 0) FROM job_completed c WHERE c.job = s.job) \
                   FROM job_states s WHERE job = ?1";
        let found: Option<(u64, bool, u64, u64)> = transaction
            .prepare_cached(sql)?
            .query_row((job.as_bytes(),), |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
            })
            .optional()?;
        Ok(match found {
            None => Stored::Unknown,
            Some((seq, false, ..)) => Stored::Ended { seq },
            Some((seq, true, rows, bytes)) => {
                // Where it was compacted last is not known: it may be done once too early.
                let completed = match rows {
                    0 => Growth::default(),
                    1 => Growth::compacted(bytes),
                    rows => Growth {
                        bytes: bytes + rows * ROW_BYTES,
                        compacted_bytes: 0,
                    },
                };
                self.open.insert(job, OpenJob { seq, completed });
                Stored::Open { seq }
            }
        })
    }

    fn order(
        &mut self,
        transaction: &Transaction<'_>,
        order: &Order,
        now: UnixMillis,
    ) -> rusqlite::Result<Applied> {
        if order.is_about_bans() {
            self.names.recount();
        }
        order.apply(transaction, now).map(Applied::Ordered)
    }

    fn write_folded(
        &mut self,
        transaction: &Transaction<'_>,
        job: JobId,
        folded: &Folded<'_>,
        now: UnixMillis,
    ) -> rusqlite::Result<()> {
        let is_readable = match folded.last.end {
            None | Some(JobEnd::Single(_) | JobEnd::Reduced) => true,
            Some(JobEnd::Failed(_) | JobEnd::Cancelled) => false,
        };
        if is_readable {
            insert_rows(transaction, job, &folded.rows)?;
        }
        self.has_litter |= !is_readable;
        if !folded.skipped.is_empty() {
            insert_skipped(transaction, job, folded.last.seq, &folded.skipped)?;
        }
        let ended = folded.last.end.as_ref();
        let ended_at = ended.map(|_| self.times.clock.running());
        update_state(transaction, folded, (now, ended_at), is_readable)?;
        if folded.last.end.is_some() {
            self.open.remove(&job);
            delete_completed(transaction, job)
        } else if folded.completed.is_empty() {
            Ok(())
        } else {
            let ranges = ranges::encode(&folded.completed);
            insert_completed(transaction, job, folded.last.seq, &ranges)?;
            self.compact_if_due(transaction, job, ranges.len() as u64)
        }
    }

    fn compact_if_due(
        &mut self,
        transaction: &Transaction<'_>,
        job: JobId,
        added_bytes: u64,
    ) -> rusqlite::Result<()> {
        let Some(open) = self.open.get_mut(&job) else {
            return Ok(());
        };
        if open.completed.add(added_bytes) {
            let all = read::completed(transaction, job)?.into_bytes();
            delete_completed(transaction, job)?;
            insert_completed(transaction, job, open.seq, &all)?;
            open.completed = Growth::compacted(all.len() as u64);
        }
        Ok(())
    }
}

enum Stored {
    Unknown,
    Ended { seq: u64 },
    Open { seq: u64 },
}

impl<'d> Folded<'d> {
    fn new(delta: &'d Delta) -> Self {
        Self {
            completed: delta.completed.clone(),
            skipped: delta.skipped.clone(),
            rows: vec![&delta.rows],
            reducer_state: delta.reducer_state.as_ref(),
            last: delta,
        }
    }

    fn add(&mut self, delta: &'d Delta) {
        self.completed |= &delta.completed;
        self.skipped |= &delta.skipped;
        self.rows.push(&delta.rows);
        self.reducer_state = delta.reducer_state.as_ref().or(self.reducer_state);
        self.last = delta;
    }
}

fn insert_job(transaction: &Transaction<'_>, job: &NewJob) -> rusqlite::Result<Applied> {
    let created = job.created_at.0;
    transaction
        .prepare_cached("INSERT INTO jobs (id, created_ms, spec) VALUES (?1, ?2, ?3)")?
        .execute(params![job.job.as_bytes(), created, encode_spec(&job.spec)])?;
    let sql = "INSERT INTO job_states (job, updated_ms, seq, high_water, completed, failed_shards) \
               VALUES (?1, ?2, 0, ?3, 0, 0)";
    transaction.prepare_cached(sql)?.execute(params![
        job.job.as_bytes(),
        created,
        job.high_water
    ])?;
    Ok(Applied::Stored)
}

fn update_state(
    transaction: &Transaction<'_>,
    folded: &Folded<'_>,
    (now, ended_at): (UnixMillis, Option<UnixMillis>),
    is_readable: bool,
) -> rusqlite::Result<()> {
    let last = folded.last;
    let (outcome, result, error) = match &last.end {
        None => (None, None, None),
        Some(JobEnd::Single(result)) => (Some(SINGLE), Some(encode(result)), None),
        Some(JobEnd::Reduced) => (Some(REDUCED), None, None),
        Some(JobEnd::Failed(text)) => (Some(FAILED), None, Some(text)),
        Some(JobEnd::Cancelled) => (Some(CANCELLED), None, None),
    };
    let sql = "UPDATE job_states SET updated_ms = ?2, seq = ?3, high_water = ?4, \
               completed = completed + ?5, failed_shards = ?6, \
               reducer_state = coalesce(?7, reducer_state), outcome = ?8, result = ?9, error = ?10, \
               paused = ?11, sweep = (?12 AND EXISTS (SELECT 1 FROM job_rows r WHERE r.job = ?1)), \
               ended_ms = ?13 \
               WHERE job = ?1";
    transaction.prepare_cached(sql)?.execute(params![
        last.job.as_bytes(),
        now.0,
        last.seq,
        last.high_water,
        u64::try_from(folded.completed.len()).unwrap_or(u64::MAX),
        last.failed_shards,
        folded.reducer_state.map(encode),
        outcome,
        result,
        error,
        last.is_paused,
        !is_readable,
        ended_at.map(|at| at.0),
    ])?;
    Ok(())
}

fn insert_completed(
    transaction: &Transaction<'_>,
    job: JobId,
    seq: u64,
    ranges: &[u8],
) -> rusqlite::Result<()> {
    transaction
        .prepare_cached("INSERT INTO job_completed (job, seq, ranges) VALUES (?1, ?2, ?3)")?
        .execute(params![job.as_bytes(), seq, ranges])?;
    Ok(())
}

fn insert_rows(
    transaction: &Transaction<'_>,
    job: JobId,
    rows: &[&[(ShardIndex, ShardResult)]],
) -> rusqlite::Result<()> {
    let sql = "INSERT INTO job_rows (job, shard, result) VALUES (?1, ?2, ?3)";
    let mut statement = transaction.prepare_cached(sql)?;
    for (shard, result) in rows.iter().copied().flatten() {
        statement.execute(params![job.as_bytes(), shard.0, encode(result)])?;
    }
    Ok(())
}

fn insert_skipped(
    transaction: &Transaction<'_>,
    job: JobId,
    seq: u64,
    skipped: &RangeSetBlaze<u64>,
) -> rusqlite::Result<()> {
    transaction
        .prepare_cached("INSERT INTO job_skipped (job, seq, ranges) VALUES (?1, ?2, ?3)")?
        .execute(params![job.as_bytes(), seq, ranges::encode(skipped)])?;
    Ok(())
}

fn delete_completed(transaction: &Transaction<'_>, job: JobId) -> rusqlite::Result<()> {
    transaction
        .prepare_cached("DELETE FROM job_completed WHERE job = ?1")?
        .execute((job.as_bytes(),))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compaction_writes_each_byte_a_bounded_number_of_times() {
        // From a set that never grows to one of which nothing can be left out.
        for kept_share in [0, 1, 10, 50, 90, 100] {
            let mut growth = Growth::default();
            let (mut added, mut rewritten) = (0, 0);
            for _ in 0..100_000 {
                added += 300 + ROW_BYTES;
                if growth.add(300) {
                    growth = Growth::compacted(growth.bytes * kept_share / 100);
                    rewritten += growth.bytes;
                }
            }
            assert!(
                rewritten <= 2 * added,
                "{kept_share} %: {rewritten} of {added}"
            );
            let bound = 2 * growth.compacted_bytes.max(MIN_COMPACTED_BYTES) + 1024;
            assert!(growth.bytes <= bound, "{kept_share} %: {}", growth.bytes);
        }
    }
}

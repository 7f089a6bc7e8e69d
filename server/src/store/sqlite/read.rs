//! Queries, and the connections that they run on.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use range_set_blaze::RangeSetBlaze;
use rusqlite::{Connection, OptionalExtension, Row, params};
use scheduler::Ending;
use shared::api::TaskBrief;
use shared::ids::{Digest32, JobId, ShardIndex, WorkerId};
use shared::job::{JobSpec, OnShardError};
use shared::time::UnixMillis;
use shared::wire::ShardResult;
use tokio::sync::Semaphore;

use super::anchor::Anchor;
use super::codec::{damaged, decode, decode_spec};
use super::{classify, connect};
use crate::store::ranges::Union;
use crate::store::{
    EndedJob, EndedJobs, Outcome, Progress, StoreError, StoreFuture, StoredJob, UnfinishedJob,
};

/// Queries that run at the same time.
const MAX_READERS: usize = 4;

/// Bytes of rows that are read at once.
const PAGE_BYTES: usize = 256 * 1024;

/// Connections that only read.
#[derive(Debug, Clone)]
pub(super) struct Readers {
    path: Arc<PathBuf>,
    anchor: Anchor,
    idle: Arc<Mutex<Vec<Connection>>>,
    permits: Arc<Semaphore>,
}

impl Readers {
    pub(super) fn new(path: PathBuf, anchor: Anchor) -> Self {
        Self {
            path: Arc::new(path),
            anchor,
            idle: Arc::default(),
            permits: Arc::new(Semaphore::new(MAX_READERS)),
        }
    }

    /// Runs a query on a thread that may block.
    pub(super) fn read<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> StoreFuture<T> {
        let readers = self.clone();
        Box::pin(async move {
            let permit = Arc::clone(&readers.permits).acquire_owned().await;
            let answer = tokio::task::spawn_blocking(move || {
                let _permit = permit;
                readers.run(query)
            });
            answer.await.unwrap_or(Err(StoreError::Failed))
        })
    }

    fn run<T>(
        &self,
        query: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        let connection = self.connection()?;
        let answer = query(&connection).map_err(|error| self.failed(&error))?;
        self.lock().push(connection);
        Ok(answer)
    }

    /// One that is open reads on, wherever the files are.
    fn connection(&self) -> Result<Connection, StoreError> {
        if let Some(connection) = self.lock().pop() {
            return Ok(connection);
        }
        self.anchor.check_place().map_err(|adrift| {
            tracing::debug!("a query cannot begin: {adrift}");
            adrift.kind()
        })?;
        let open = || {
            let connection = connect(&self.path)?;
            connection.pragma_update(None, "query_only", true)?;
            Ok(connection)
        };
        open().map_err(|error| self.failed(&error))
    }

    fn failed(&self, error: &rusqlite::Error) -> StoreError {
        self.anchor.note(error);
        let kind = classify(error);
        tracing::error!(%error, "a query failed: {kind}");
        kind
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const JOB_COLUMNS: &str = "id, created_ms, spec, updated_ms, seq, high_water, completed, \
     failed_shards, reducer_state, outcome, result, error, paused";

pub(super) fn job(connection: &Connection, job: JobId) -> rusqlite::Result<Option<StoredJob>> {
    let sql = format!(
        "SELECT {JOB_COLUMNS} FROM jobs JOIN job_states ON job = id \
         WHERE id = ?1 AND outcome IS NOT ?2"
    );
    let found = connection
        .prepare_cached(&sql)?
        .query_row(params![job.as_bytes(), super::batch::REMOVED], stored_job)
        .optional()?;
    found
        .map(|mut stored| {
            if stored.spec.policy().on_shard_error == OnShardError::Skip {
                stored.progress.skipped = skipped(connection, job)?;
            }
            Ok(stored)
        })
        .transpose()
}

fn unfinished_sql() -> String {
    format!(
        "SELECT {JOB_COLUMNS} FROM job_states JOIN jobs ON id = job WHERE outcome IS NULL \
         ORDER BY created_ms, jobs.rowid"
    )
}

pub(super) fn unfinished_jobs(connection: &Connection) -> rusqlite::Result<Vec<UnfinishedJob>> {
    let mut statement = connection.prepare_cached(&unfinished_sql())?;
    let jobs = statement.query_map((), stored_job)?;
    jobs.map(|stored| {
        let stored = stored?;
        let completed = completed(connection, stored.job)?.into_set();
        Ok(UnfinishedJob { stored, completed })
    })
    .collect()
}

const ENDED_COUNTS: &str = "SELECT outcome, count(*), sum(completed) \
     FROM job_states INDEXED BY ended_jobs WHERE outcome IS NOT NULL AND outcome <> 5 \
     GROUP BY outcome";

const ENDED_NEWEST: &str = "SELECT id, created_ms, updated_ms, ended_ms, spec, completed, failed_shards, \
     outcome FROM job_states INDEXED BY ended_jobs JOIN jobs ON id = job WHERE outcome IS NOT NULL AND outcome <> 5 \
     ORDER BY updated_ms DESC LIMIT ?1";

pub(super) fn ended_jobs(connection: &Connection, newest: usize) -> rusqlite::Result<EndedJobs> {
    let mut ended = EndedJobs::default();
    let mut statement = connection.prepare_cached(ENDED_COUNTS)?;
    let mut rows = statement.query(())?;
    while let Some(row) = rows.next()? {
        let (outcome, jobs, completed) =
            (row.get(0)?, row.get::<_, u64>(1)?, row.get::<_, u64>(2)?);
        match ending(outcome)? {
            Ending::Done => ended.done += jobs,
            Ending::Failed => ended.failed += jobs,
            Ending::Cancelled => ended.cancelled += jobs,
        }
        // A job of one run that ended without a result has completed nothing.
        if outcome != super::batch::SINGLE {
            ended.shards = ended.shards.saturating_add(completed);
        }
    }
    let mut statement = connection.prepare_cached(ENDED_NEWEST)?;
    let rows = statement.query_map((newest as i64,), ended_job)?;
    ended.newest = rows.collect::<rusqlite::Result<_>>()?;
    Ok(ended)
}

fn ended_job(row: &Row<'_>) -> rusqlite::Result<EndedJob> {
    let spec: JobSpec = decode_spec(row.get_ref("spec")?.as_blob()?)?;
    Ok(EndedJob {
        job: JobId::from_bytes(row.get("id")?),
        created_at: UnixMillis(row.get("created_ms")?),
        ended_at: UnixMillis(row.get("updated_ms")?),
        kept_from: UnixMillis(row.get("ended_ms")?),
        task: TaskBrief::from(&spec),
        plan: spec.plan(),
        completed: row.get("completed")?,
        failed_shards: row.get("failed_shards")?,
        ending: ending(row.get("outcome")?)?,
    })
}

fn ending(outcome: i64) -> rusqlite::Result<Ending> {
    match outcome {
        super::batch::SINGLE | super::batch::REDUCED => Ok(Ending::Done),
        super::batch::FAILED => Ok(Ending::Failed),
        super::batch::CANCELLED => Ok(Ending::Cancelled),
        _ => Err(damaged("unknown outcome of a job")),
    }
}

/// The union of all rows of completed shards.
pub(super) fn completed(connection: &Connection, job: JobId) -> rusqlite::Result<Union> {
    let sql = "SELECT ranges FROM job_completed WHERE job = ?1";
    union(connection, sql, job)
}

/// The union of all rows of shards that were left out.
fn skipped(connection: &Connection, job: JobId) -> rusqlite::Result<RangeSetBlaze<u64>> {
    let sql = "SELECT ranges FROM job_skipped WHERE job = ?1";
    union(connection, sql, job).map(Union::into_set)
}

fn union(connection: &Connection, sql: &str, job: JobId) -> rusqlite::Result<Union> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query((job.as_bytes(),))?;
    let mut all = Union::default();
    while let Some(row) = rows.next()? {
        let bytes = row.get_ref(0)?.as_blob()?;
        all.add(bytes)
            .map_err(|_| damaged("ranges cannot be decoded"))?;
    }
    Ok(all)
}

/// A page of what a job has collected; at least one row, if there is one. `None` for a job that is
/// not known after that: rows may have gone meanwhile.
pub(super) fn rows(
    connection: &Connection,
    job: JobId,
    from: ShardIndex,
) -> rusqlite::Result<Option<Vec<(ShardIndex, ShardResult)>>> {
    let sql = "SELECT shard, result FROM job_rows WHERE job = ?1 AND shard >= ?2 ORDER BY shard";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params![job.as_bytes(), from.0])?;
    let mut page = Vec::new();
    let mut bytes = 0;
    while bytes < PAGE_BYTES
        && let Some(row) = rows.next()?
    {
        let encoded = row.get_ref(1)?.as_blob()?;
        bytes += encoded.len();
        page.push((ShardIndex(row.get(0)?), decode(encoded)?));
    }
    let is_known = connection
        .prepare_cached("SELECT 1 FROM job_states WHERE job = ?1 AND outcome IS NOT ?2")?
        .exists(params![job.as_bytes(), super::batch::REMOVED])?;
    Ok(is_known.then_some(page))
}

/// What is known of a worker id.
#[derive(Debug, Clone, Copy)]
pub(super) struct KnownWorker {
    pub(super) secret: Digest32,
    pub(super) last_seen: UnixMillis,
}

pub(super) fn worker(
    connection: &Connection,
    worker: &WorkerId,
) -> rusqlite::Result<Option<KnownWorker>> {
    connection
        .prepare_cached("SELECT secret_digest, last_seen_ms FROM workers WHERE id = ?1")?
        .query_row((worker.as_str(),), |row| {
            Ok(KnownWorker {
                secret: Digest32::from_bytes(row.get(0)?),
                last_seen: UnixMillis(row.get(1)?),
            })
        })
        .optional()
}

fn stored_job(row: &Row<'_>) -> rusqlite::Result<StoredJob> {
    Ok(StoredJob {
        job: JobId::from_bytes(row.get("id")?),
        created_at: UnixMillis(row.get("created_ms")?),
        updated_at: UnixMillis(row.get("updated_ms")?),
        spec: decode_spec(row.get_ref("spec")?.as_blob()?)?,
        progress: Progress {
            seq: row.get("seq")?,
            completed: row.get("completed")?,
            failed_shards: row.get("failed_shards")?,
            skipped: RangeSetBlaze::new(),
            reducer_state: row
                .get_ref("reducer_state")?
                .as_blob_or_null()?
                .map(decode)
                .transpose()?,
            high_water: row.get("high_water")?,
            is_paused: row.get("paused")?,
        },
        outcome: outcome(row)?,
    })
}

fn outcome(row: &Row<'_>) -> rusqlite::Result<Option<Outcome>> {
    match row.get::<_, Option<i64>>("outcome")? {
        None => Ok(None),
        Some(super::batch::SINGLE) => {
            decode(row.get_ref("result")?.as_blob()?).map(|result| Some(Outcome::Single(result)))
        }
        Some(super::batch::REDUCED) => Ok(Some(Outcome::Reduced)),
        Some(super::batch::FAILED) => row.get("error").map(|text| Some(Outcome::Failed(text))),
        Some(super::batch::CANCELLED) => Ok(Some(Outcome::Cancelled)),
        Some(_) => Err(damaged("unknown outcome of a job")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan_of(sql: &str) -> Vec<String> {
        let mut connection = Connection::open_in_memory().unwrap();
        super::super::schema::migrate(&mut connection).unwrap();
        let mut statement = connection
            .prepare(&format!("EXPLAIN QUERY PLAN {sql}"))
            .unwrap();
        let bound = statement.parameter_count();
        let steps = statement
            .query_map(rusqlite::params_from_iter(vec![160; bound]), |row| {
                row.get::<_, String>("detail")
            })
            .unwrap();
        steps.map(Result::unwrap).collect()
    }

    #[test]
    fn ended_jobs_are_counted_without_reading_them_and_the_newest_without_sorting() {
        let plan = plan_of(ENDED_COUNTS);
        let has = |plan: &[String], part: &str| plan.iter().any(|step| step.contains(part));
        assert!(has(&plan, "COVERING INDEX ended_jobs"), "{plan:?}");
        let plan = plan_of(ENDED_NEWEST);
        assert!(has(&plan, "INDEX ended_jobs"), "{plan:?}");
        assert!(!has(&plan, "TEMP B-TREE"), "{plan:?}");
    }

    #[test]
    fn finished_jobs_cost_nothing_at_start() {
        let plan = plan_of(&unfinished_sql());
        let has = |part: &str| plan.iter().any(|step| step.contains(part));
        assert!(has("job_states USING INDEX unfinished_jobs"), "{plan:?}");
        assert!(has("SEARCH jobs USING INDEX"), "{plan:?}");
    }
}

use rusqlite::params_from_iter;
use scheduler::{Delta, JobEnd};
use shared::ids::ShardIndex;
use shared::wire::{ResultStatus, ShardResult};
use tempfile::TempDir;

use super::*;
use crate::clock::Clock;
use crate::store::contract::{delta, job_id, persist, sharded_job};
use crate::store::sqlite::{DATABASE, SqliteStore};
use crate::store::{Store, StoreError};

const DAY: Duration = Duration::from_secs(24 * 3600);
const ROWS: u64 = 3000;

fn open(folder: &TempDir, retention: Option<Duration>) -> SqliteStore {
    SqliteStore::open(folder.path(), retention, crate::store::nobody()).unwrap()
}

fn database(folder: &TempDir) -> Connection {
    let connection = Connection::open(folder.path().join(DATABASE)).unwrap();
    connection
        .pragma_update(None, "foreign_keys", true)
        .unwrap();
    connection
}

/// Stores a job that has collected [`ROWS`] rows of a KiB and ended.
async fn collected(store: &SqliteStore, number: u8, end: JobEnd) {
    store.insert_job(sharded_job(number)).await.unwrap();
    let row = |shard| {
        let result = ShardResult {
            status: ResultStatus::Returned,
            duration_us: 1,
            value: Some("x".repeat(1024)),
            details: None,
        };
        (ShardIndex(shard), result)
    };
    let rows = Delta {
        rows: (0..ROWS).map(row).collect(),
        ..delta(job_id(number), 1, 0..=ROWS - 1)
    };
    persist(store, rows).await.unwrap();
    let end = Delta {
        completed: Default::default(),
        end: Some(end),
        ..delta(job_id(number), 2, 0..=0)
    };
    persist(store, end).await.unwrap();
}

/// Of a store that was just made.
fn now() -> UnixMillis {
    Clock::start().running()
}

fn age(connection: &Connection, number: u8, age: Duration) {
    let ended = now().0 - u64::try_from(age.as_millis()).unwrap();
    let sql = "UPDATE job_states SET ended_ms = ?2 WHERE job = ?1";
    connection
        .execute(sql, params![job_id(number).as_bytes(), ended])
        .unwrap();
}

fn count(connection: &Connection, table: &str, number: u8) -> u64 {
    let column = if table == "jobs" { "id" } else { "job" };
    let sql = format!("SELECT count(*) FROM {table} WHERE {column} = ?1");
    connection
        .query_row(&sql, (job_id(number).as_bytes(),), |row| row.get(0))
        .unwrap()
}

/// Sweeps as a writer does that has nothing else to do; the number of slices.
fn sweep_all(connection: &mut Connection, retention: Option<Duration>) -> u32 {
    let sweeper = Sweeper::new(retention);
    let mut slices = 0;
    while sweeper.slice(connection, now()).unwrap() {
        slices += 1;
    }
    slices
}

#[tokio::test]
async fn ended_jobs_older_than_results_are_kept_go_with_all_that_belongs_to_them() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder, None);
    for number in [1, 2] {
        collected(&store, number, JobEnd::Reduced).await;
    }
    store.insert_job(sharded_job(3)).await.unwrap();
    let mut connection = database(&folder);
    age(&connection, 1, 3 * DAY + DAY / 24);
    age(&connection, 2, 3 * DAY - DAY / 24);
    age(&connection, 3, 100 * DAY);
    assert_eq!(sweep_all(&mut connection, None), 0, "kept for ever");

    let slices = sweep_all(&mut connection, Some(3 * DAY));
    assert!(slices >= 3, "{ROWS} rows in {slices} slices");
    for table in ["jobs", "job_states", "job_rows", "job_completed"] {
        assert_eq!(count(&connection, table, 1), 0, "{table}");
    }
    assert_eq!(count(&connection, "job_rows", 2), ROWS);
    assert!(store.job(job_id(2)).await.unwrap().is_some());
    assert_eq!(
        store.unfinished_jobs().await.unwrap().len(),
        1,
        "what runs is never too old"
    );
}

#[tokio::test]
async fn a_removed_job_is_unknown_from_the_first_slice_on() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder, None);
    collected(&store, 1, JobEnd::Reduced).await;
    let first = store.rows(job_id(1), ShardIndex(0)).await.unwrap();
    assert!(!first.is_empty());
    let mut connection = database(&folder);
    age(&connection, 1, 2 * DAY);
    assert!(
        Sweeper::new(Some(DAY))
            .slice(&mut connection, now())
            .unwrap()
    );
    assert!(count(&connection, "job_rows", 1) > 0, "there is more to do");
    assert_eq!(store.job(job_id(1)).await, Ok(None));
    assert_eq!(store.ended_jobs(10).await, Ok(Default::default()));
    let next = ShardIndex(first.len() as u64);
    assert_eq!(
        store.rows(job_id(1), next).await,
        Err(StoreError::UnknownJob),
        "half a result does not look whole"
    );
    let late = delta(job_id(1), 3, 0..=0);
    assert_eq!(persist(&store, late).await, Err(StoreError::JobNotOpen));
}

#[tokio::test]
async fn rows_of_jobs_without_a_result_go_soon_after_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder, None);
    collected(&store, 1, JobEnd::Failed("why".into())).await;
    collected(&store, 2, JobEnd::Cancelled).await;
    collected(&store, 3, JobEnd::Reduced).await;
    let connection = database(&folder);
    // The writing thread does it by itself, without being told again.
    while count(&connection, "job_rows", 1) + count(&connection, "job_rows", 2) > 0 {
        std::thread::yield_now();
    }
    assert_eq!(count(&connection, "job_rows", 3), ROWS);
    for number in [1, 2, 3] {
        let stored = store.job(job_id(number)).await.unwrap().unwrap();
        assert_eq!(stored.progress.completed, ROWS);
    }
}

#[tokio::test]
async fn a_writer_that_is_never_idle_sweeps_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder, None);
    collected(&store, 1, JobEnd::Cancelled).await;
    store.insert_job(sharded_job(2)).await.unwrap();
    let connection = database(&folder);
    let mut seq = 0;
    while count(&connection, "job_rows", 1) > 0 {
        seq += 1;
        persist(&store, delta(job_id(2), seq, seq..=seq))
            .await
            .unwrap();
    }
    assert!(store.job(job_id(1)).await.unwrap().is_some());
}

#[tokio::test]
async fn freed_pages_are_used_again() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder, None);
    let mut connection = database(&folder);
    let pages = |connection: &Connection| -> u64 {
        connection
            .query_row("PRAGMA page_count", (), |row| row.get(0))
            .unwrap()
    };
    collected(&store, 1, JobEnd::Reduced).await;
    let once = pages(&connection);
    for number in 1..=5 {
        age(&connection, number, 2 * DAY);
        sweep_all(&mut connection, Some(DAY));
        collected(&store, number + 1, JobEnd::Reduced).await;
    }
    let after = pages(&connection);
    assert!(after <= once + once / 10, "{once} pages, then {after}");
}

#[test]
fn looking_for_something_to_delete_reads_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(&folder, None));
    let connection = database(&folder);
    for (sql, index) in [(SWEPT, "swept_jobs"), (EXPIRED, "kept_jobs")] {
        let mut statement = connection
            .prepare(&format!("EXPLAIN QUERY PLAN {sql}"))
            .unwrap();
        let bound = vec![1; statement.parameter_count()];
        let steps = statement
            .query_map(params_from_iter(bound), |row| {
                row.get::<_, String>("detail")
            })
            .unwrap();
        let plan: Vec<_> = steps.map(Result::unwrap).collect();
        assert_eq!(plan.len(), 1, "{plan:?}");
        assert!(plan[0].contains(index), "{plan:?}");
    }
}

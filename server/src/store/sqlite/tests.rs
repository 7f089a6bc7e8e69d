use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::Instant;

use tempfile::TempDir;

use super::*;
use crate::store::contract::{
    Home, contract_tests, delta, job_id, only_unfinished, persist, sharded_job,
};

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn database(&self) -> PathBuf {
        self.0.path().join(DATABASE)
    }
}

impl Home for Folder {
    fn open(&self) -> Arc<dyn Store> {
        Arc::new(SqliteStore::open(self.0.path(), None, crate::store::nobody()).unwrap())
    }
}

contract_tests!(Folder::new());

#[test]
fn files_are_for_their_owner_alone() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("data");
    let _store = SqliteStore::open(&folder, None, crate::store::nobody()).unwrap();
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder), 0o700);
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
}

#[test]
fn a_folder_in_use_is_refused() {
    let folder = Folder::new();
    let _store = folder.open();
    let again = SqliteStore::open(folder.0.path(), None, crate::store::nobody());
    assert!(matches!(again, Err(OpenError::InUse(_))), "{again:?}");
}

#[test]
fn a_file_that_is_no_database_is_refused_and_left_alone() {
    let folder = Folder::new();
    let garbage =
        b"not a database, but long enough to be taken for the header of one ...".repeat(100);
    std::fs::write(folder.database(), &garbage).unwrap();
    let opened = SqliteStore::open(folder.0.path(), None, crate::store::nobody());
    assert!(matches!(opened, Err(OpenError::Damaged)), "{opened:?}");
    assert_eq!(std::fs::read(folder.database()).unwrap(), garbage);
}

#[tokio::test]
async fn a_damaged_job_is_reported_and_harms_no_other() {
    let folder = Folder::new();
    let store = folder.open();
    store.insert_job(sharded_job(1)).await.unwrap();
    store.insert_job(sharded_job(2)).await.unwrap();
    Connection::open(folder.database())
        .unwrap()
        .execute(
            "UPDATE jobs SET spec = x'ff' WHERE id = ?1",
            (job_id(1).as_bytes(),),
        )
        .unwrap();
    assert_eq!(store.job(job_id(1)).await, Err(StoreError::Damaged));
    assert!(store.job(job_id(2)).await.unwrap().is_some());
}

#[tokio::test]
async fn a_locked_database_is_reported_and_heals() {
    let folder = Folder::new();
    let store = folder.open();
    store.insert_job(sharded_job(1)).await.unwrap();
    let other = Connection::open(folder.database()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert_eq!(
        store.insert_job(sharded_job(2)).await,
        Err(StoreError::Locked)
    );
    let refused = persist(&*store, delta(job_id(1), 1, 0..=0)).await;
    assert_eq!(refused, Err(StoreError::Locked));
    other.execute_batch("ROLLBACK").unwrap();
    store.insert_job(sharded_job(2)).await.unwrap();
    persist(&*store, delta(job_id(1), 1, 0..=0)).await.unwrap();
}

#[tokio::test]
async fn whether_it_can_be_written_is_known_though_nothing_is() {
    let folder = Folder::new();
    let store = folder.open();
    let other = Connection::open(folder.database()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    for _ in 0..2 {
        assert_eq!(store.check_writable().await, Err(StoreError::Locked));
    }
    other.execute_batch("ROLLBACK").unwrap();
    store.insert_job(sharded_job(1)).await.unwrap();
    assert_eq!(store.check_writable().await, Ok(()));
    store.close().await.unwrap();
    assert_eq!(store.check_writable().await, Err(StoreError::Closed));
    drop(store);
    folder.open();
}

#[tokio::test]
async fn what_waits_for_a_disk_that_hangs_is_bounded_and_the_rest_is_told_at_once() {
    let folder = Folder::new();
    let store = folder.open();
    let other = Connection::open(folder.database()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let waiting: Vec<_> = (0..writer::MAX_WAITING)
        .map(|_| store.check_writable())
        .collect();
    assert_eq!(store.check_writable().await, Err(StoreError::Busy));
    drop(waiting);
    let refused = store.insert_job(sharded_job(1)).await;
    assert_eq!(refused, Err(StoreError::Busy), "who gives up still waits");
    other.execute_batch("ROLLBACK").unwrap();
    persist(&*store, delta(job_id(1), 1, 0..=0))
        .await
        .unwrap_err();
    store.insert_job(sharded_job(1)).await.unwrap();
}

#[tokio::test]
async fn a_full_disk_is_reported_and_what_was_stored_stays() {
    let folder = Folder::new();
    drop(SqliteStore::open(folder.0.path(), None, crate::store::nobody()).unwrap());
    let connection = connect(&folder.database()).unwrap();
    connection
        .pragma_update(None, "max_page_count", 20)
        .unwrap();
    schema::version(&connection).unwrap();
    let anchor = Anchor::of(folder.0.path()).unwrap();
    let names = Names::new(crate::store::nobody());
    let ledger = Ledger::new(Times::new(Clock::start()), names);
    let store = SqliteStore {
        writes: writer::start(connection, anchor.clone(), ledger, Sweeper::new(None)),
        readers: Readers::new(folder.database(), anchor),
        clock: Clock::start(),
        _lock: lock(folder.0.path()).unwrap(),
    };
    let mut stored = 0;
    let refused = loop {
        match store.insert_job(sharded_job(stored)).await {
            Ok(()) => stored += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(refused, StoreError::Full);
    let unfinished = store.unfinished_jobs().await.unwrap();
    assert_eq!(unfinished.len(), usize::from(stored));
}

#[tokio::test]
async fn of_too_many_orders_those_go_that_end_first_and_no_others() {
    let folder = Folder::new();
    let store = folder.open();
    let other = connect(&folder.database()).unwrap();
    let sql = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1) \
               INSERT INTO session_orders (session, state, until_ms) \
               SELECT randomblob(16), 2, i FROM n";
    other.execute(sql, (crate::store::MAX_ORDERS,)).unwrap();
    let session = SessionId::from_bytes([7; 16]);
    let ordered = store.order_session(session, SessionOrder::End, UnixMillis(3));
    ordered.await.unwrap();
    let sessions = store.orders().await.unwrap().sessions;
    assert_eq!(sessions.len(), crate::store::MAX_ORDERS);
    let is_kept = |end| {
        sessions
            .iter()
            .any(|(_, _, until)| *until == UnixMillis(end))
    };
    assert!(!is_kept(1) && is_kept(2));
    assert!(sessions.iter().any(|(it, ..)| *it == session));
}

#[tokio::test]
async fn one_change_that_cannot_be_stored_does_not_take_others_with_it() {
    let folder = Folder::new();
    let store = folder.open();
    store.insert_job(sharded_job(1)).await.unwrap();
    let answers = [
        store.insert_job(sharded_job(2)),
        store.insert_job(sharded_job(1)),
        store.insert_job(sharded_job(3)),
    ];
    let [second, twice, third] = answers;
    assert_eq!(second.await, Ok(()));
    assert_eq!(twice.await, Err(StoreError::Failed));
    assert_eq!(third.await, Ok(()));
}

/// What completing shards one after the other took.
struct Taken {
    /// Bytes of the completed set at the end.
    set_bytes: u64,
    /// Bytes of all files at most.
    file_bytes: u64,
    /// The longest time that a commit waited.
    slowest: Duration,
}

impl std::fmt::Display for Taken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            set_bytes,
            file_bytes,
            slowest,
        } = self;
        write!(
            f,
            "set {set_bytes} bytes, files {file_bytes} bytes at most, slowest commit {slowest:?}"
        )
    }
}

/// Completes these shards in steps of some hundred.
async fn complete(shards: &[u64]) -> Taken {
    let folder = Folder::new();
    let store = folder.open();
    store.insert_job(sharded_job(1)).await.unwrap();
    let size = |name: &str| {
        let metadata = folder.0.path().join(name).metadata();
        metadata.map_or(0, |metadata| metadata.len())
    };
    let (mut file_bytes, mut slowest) = (0, Duration::ZERO);
    for (seq, step) in (1..).zip(shards.chunks(500)) {
        let delta = Delta {
            completed: step.iter().collect(),
            ..delta(job_id(1), seq, 0..=0)
        };
        let began = Instant::now();
        persist(&*store, delta).await.unwrap();
        slowest = slowest.max(began.elapsed());
        file_bytes = file_bytes.max(size("cluster.db") + size("cluster.db-wal"));
    }
    let set_bytes = Connection::open(folder.database())
        .unwrap()
        .query_row("SELECT sum(length(ranges)) FROM job_completed", (), |row| {
            row.get(0)
        })
        .unwrap();
    store.close().await.unwrap();
    drop(store);
    let completed = only_unfinished(&*folder.open()).await.completed;
    assert_eq!(completed, shards.iter().collect());
    Taken {
        set_bytes,
        file_bytes,
        slowest,
    }
}

/// Numbers below `count` in an order that is as good as random, and always the same.
fn shuffled(count: u64) -> Vec<u64> {
    let mut numbers: Vec<_> = (0..count).collect();
    let mut state = 1_u64;
    for place in (1..numbers.len()).rev() {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let other = (state >> 33) % (place as u64 + 1);
        numbers.swap(place, usize::try_from(other).unwrap());
    }
    numbers
}

/// `STORE_SHARDS` asks for more of them, to measure.
#[tokio::test]
async fn completed_shards_take_what_their_ranges_take_whatever_their_order() {
    const FILES_BYTES: u64 = 6 * 1024 * 1024;
    let asked = std::env::var("STORE_SHARDS").ok();
    let count: u64 = asked.map_or(100_000, |asked| asked.parse().unwrap());
    let ordered: Vec<_> = (0..count).collect();
    let in_order = complete(&ordered).await;
    println!("{count} shards in order: {in_order}");
    assert!(in_order.set_bytes < 128 * 1024 && in_order.file_bytes < FILES_BYTES);
    // With half of them there are as many ranges as there can be.
    let half = &shuffled(count)[..ordered.len() / 2];
    let scattered = complete(half).await;
    println!("half of them, scattered: {scattered}");
    assert!(scattered.set_bytes <= 2 * count + 128 * 1024);
    assert!(scattered.file_bytes <= 6 * count + FILES_BYTES);
}

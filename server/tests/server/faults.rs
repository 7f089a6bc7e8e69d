//! What the machine does to a store in the middle of a job: a full disk, a database that another
//! program holds, a slow one, a damaged one. Nothing that was acknowledged is lost, nothing is counted
//! twice, and it goes on by itself.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use shared::ids::AttemptId;
use shared::wire::Disposition;
use tokio::task::JoinHandle;

use crate::support::{Offer, Process, Worker, returned, run_to_end, value};

const SHARDS: u64 = 20_000;
/// Refusals after which it is certain that nothing is stored meanwhile.
const REFUSALS: usize = 2;

fn sharded() -> Value {
    json!({
        "code": "return 1", "executionModel": "sharded", "allowDowngrade": false,
        "shardConfig": {"totalUnits": SHARDS, "unitsPerShard": 1},
        "reducer": {"type": "sum", "fields": ["hits", "samples"]},
    })
}

/// A worker that computes all that it is given, and how many of its results are stored for good.
struct Working {
    durable: Arc<AtomicU32>,
    task: JoinHandle<()>,
}

impl Working {
    /// With this many attempts at the same time.
    async fn at(server: &Process, credit: u32) -> Self {
        let offer = Offer {
            credit,
            ..Offer::invited(&server.client.invite().await)
        };
        let mut worker = Worker::offer(&server.url, &offer).await;
        let durable = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&durable);
        let task = tokio::spawn(async move {
            loop {
                let assigned = worker.assigned().await;
                let shards = assigned.leaf.jobs.iter().flat_map(|job| &job.shards);
                let shards: Vec<_> = shards.map(|(shard, _)| shard.0).collect();
                let result = |attempt: AttemptId| returned(&value(shards[attempt.index as usize]));
                worker.finish(&assigned, result).await;
                let disposed = worker.all_disposed(assigned.attempts()).await;
                assert_eq!(disposed.get(&Disposition::Refused), None);
                let stored = disposed.get(&Disposition::Durable).copied();
                count.fetch_add(stored.unwrap_or(0), Ordering::Relaxed);
            }
        });
        Self { durable, task }
    }

    fn durable(&self) -> u32 {
        self.durable.load(Ordering::Relaxed)
    }

    async fn more_than(&self, count: u32) {
        while self.durable() <= count {
            assert!(!self.task.is_finished(), "the worker was let down");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

/// Submits until it is refused; why.
async fn refusal(server: &Process) -> String {
    loop {
        let answer = server
            .client
            .post("/api/jobs", &json!({"a": 1, "b": 1}))
            .await;
        if answer.status != 201 {
            return answer.error(503);
        }
    }
}

/// Lives through a fault in the middle of a job: `fail` begins it and gives what ends it.
async fn assert_survives<H: FnOnce()>(
    folder: &Path,
    log: &Path,
    text: &str,
    fail: impl FnOnce() -> H,
) {
    let logged = || std::fs::read_to_string(log).unwrap();
    let server = Process::start_with_log(folder, &[], File::create(log).unwrap());
    let job = server.client.submit("/api/jobs/run-js", &sharded()).await;
    let working = Working::at(&server, 16).await;
    working.more_than(0).await;

    let heal = fail();
    let error = refusal(&server).await;
    assert_eq!(error, format!("The server cannot use its store: {text}."));
    let durable = working.durable();
    for _ in 0..REFUSALS {
        refusal(&server).await;
    }
    assert_eq!(
        working.durable(),
        durable,
        "nothing is acknowledged meanwhile"
    );
    let begun = logged();
    let line = format!("the store cannot be written: {text}");
    assert_eq!(begun.matches(&line).count(), 1, "{begun}");
    assert!(!begun.contains("can be written again"), "{begun}");

    heal();
    working.more_than(durable).await;
    let healed = logged();
    assert!(
        healed.contains("the store can be written again"),
        "{healed}"
    );
    server
        .client
        .submit("/api/jobs", &json!({"a": 1, "b": 1}))
        .await;
    working.task.abort();
    server.kill();

    let server = Process::start(folder, &[("RECLAIM_SEC", "0")]);
    let state = server.client.job_without_result(&job).await;
    let known = state["task"]["shards"]["completed"].as_u64().unwrap();
    assert!(
        known >= u64::from(durable),
        "{known} of {durable} are known"
    );
    let working = Working::at(&server, 2000).await;
    while server.client.job_without_result(&job).await["status"] != "done" {
        assert!(!working.task.is_finished(), "the worker was let down");
    }
    working.task.abort();
    let sum = SHARDS * (SHARDS - 1) / 2;
    let result = server.client.job(&job).await["result"]["aggregate"].clone();
    assert_eq!(result, json!({"hits": sum, "samples": SHARDS}));
}

/// A small file system in memory, as long as it lives.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// `None`, and a loud word, where none may be mounted.
    fn mount(at: &Path, options: &str) -> Option<Self> {
        std::fs::create_dir_all(at).unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "tmpfs"])
            .arg(at)
            .status();
        if mounted.is_ok_and(|status| status.success()) {
            return Some(Self(at.into()));
        }
        eprintln!("SKIPPED: only root can mount the file system of this test");
        None
    }

    /// Takes what room is left; the file that has it.
    fn fill(&self) -> PathBuf {
        let path = self.0.join("filler");
        let mut file = File::create(&path).unwrap();
        for bytes in [64 * 1024, 4096] {
            while file.write_all(&vec![7; bytes]).is_ok() {}
        }
        path
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("-l").arg(&self.0).status();
        assert!(unmounted.unwrap().success());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_stops_acknowledgements_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let Some(disk) = SmallDisk::mount(&data, "size=16m,mode=700") else {
        return;
    };
    let log = folder.path().join("log");
    assert_survives(folder.path(), &log, "the disk is full", || {
        let filler = disk.fill();
        move || std::fs::remove_file(filler).unwrap()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_another_program_holds_stops_acknowledgements_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let database = folder.path().join("data/cluster.db");
    assert_survives(folder.path(), &log, "the database is locked", || {
        let other = rusqlite::Connection::open(database).unwrap();
        other.busy_timeout(Duration::from_secs(30)).unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        move || other.execute_batch("ROLLBACK").unwrap()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_disk_is_waited_for_and_nothing_is_refused() {
    const SLOW: Duration = Duration::from_millis(700);
    let folder = tempfile::tempdir().unwrap();
    let server = Process::start(folder.path(), &[]);
    let job = server.client.submit("/api/jobs/run-js", &sharded()).await;
    let working = Working::at(&server, 16).await;
    working.more_than(0).await;
    let other = rusqlite::Connection::open(folder.path().join("data/cluster.db")).unwrap();
    other.busy_timeout(Duration::from_secs(30)).unwrap();
    for _ in 0..3 {
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        let client = server.client.clone();
        let began = Instant::now();
        let submitted =
            tokio::spawn(async move { client.submit("/api/jobs", &json!({"a": 1, "b": 1})).await });
        tokio::time::sleep(SLOW).await;
        assert!(!submitted.is_finished(), "not before it is stored");
        other.execute_batch("ROLLBACK").unwrap();
        server.client.job(&submitted.await.unwrap()).await;
        assert!(began.elapsed() >= SLOW);
    }
    let durable = working.durable();
    working.more_than(durable).await;
    working.task.abort();
    let state = server.client.job_without_result(&job).await;
    assert_ne!(state["status"], "failed");
}

#[test]
fn a_folder_that_cannot_be_written_keeps_it_from_starting_with_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let Some(_disk) = SmallDisk::mount(&data, "size=1m,ro") else {
        return;
    };
    let output = run_to_end(folder.path(), &[], &[]);
    assert!(!output.status.success() && output.stdout.is_empty());
    let said = String::from_utf8(output.stderr).unwrap();
    let line = said.lines().find(|it| it.starts_with("cluster-server: "));
    let line = line.expect(&said);
    assert!(line.contains("cannot use the data folder"), "{line}");
    assert!(line.contains("Read-only file system"), "{line}");
}

#[tokio::test]
async fn a_damaged_database_is_refused_as_it_is_and_a_backup_takes_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::start(folder.path(), &[]);
    let job = server.client.submit("/api/jobs/run-js", &sharded()).await;
    let copy = folder.path().join("copy.db");
    let copy = copy.to_str().unwrap();
    assert!(
        run_to_end(folder.path(), &[], &["backup", copy])
            .status
            .success()
    );
    server.kill();
    let database = folder.path().join("data/cluster.db");
    let _ = std::fs::remove_file(folder.path().join("data/cluster.db-wal"));
    let mut bytes = std::fs::read(&database).unwrap();
    bytes[4096..].fill(0x5a);
    std::fs::write(&database, &bytes).unwrap();

    let output = run_to_end(folder.path(), &[], &[]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        !output.status.success() && said.contains("damaged"),
        "{said}"
    );
    assert!(said.contains("restore"), "{said}");
    let left = std::fs::read(&database).unwrap();
    assert!(
        left[4096..].iter().all(|byte| *byte == 0x5a),
        "left as it was"
    );

    assert!(
        run_to_end(folder.path(), &[], &["restore", copy])
            .status
            .success()
    );
    let server = Process::start(folder.path(), &[]);
    server.client.job(&job).await;
}

const MOVED: &str = "a file of the database was moved, removed or replaced";

async fn unready(server: &Process) -> String {
    server.client.without_key().get("/readyz").await.error(503)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_moved_away_stops_acknowledgements_until_it_is_back() {
    for name in ["cluster.db", "cluster.db-wal", "lock"] {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let (there, away) = (
            folder.path().join("data").join(name),
            folder.path().join("away"),
        );
        assert_survives(folder.path(), &log, MOVED, || {
            std::fs::rename(&there, &away).unwrap();
            move || std::fs::rename(away, there).unwrap()
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_database_in_its_place_is_never_taken_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy.db");
    let server = Process::start(folder.path(), &[]);
    let job = server.client.submit("/api/jobs/run-js", &sharded()).await;
    let backup = ["backup", copy.to_str().unwrap()];
    assert!(run_to_end(folder.path(), &[], &backup).status.success());
    std::fs::rename(&copy, folder.path().join("data/cluster.db")).unwrap();
    let told = format!("The server cannot use its store: {MOVED}.");
    assert_eq!(unready(&server).await, told);
    assert_eq!(refusal(&server).await, told);
    let state = server.client.job_without_result(&job).await;
    assert_ne!(state["status"], "failed", "what can be read is read");
}

#[tokio::test]
async fn a_log_that_is_removed_takes_nothing_along_that_was_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::start(folder.path(), &[]);
    let mut jobs = Vec::new();
    for _ in 0..10 {
        jobs.push(server.client.submit("/api/jobs/run-js", &sharded()).await);
    }
    std::fs::remove_file(folder.path().join("data/cluster.db-wal")).unwrap();
    let told = format!("The server cannot use its store: {MOVED}.");
    assert_eq!(refusal(&server).await, told);
    assert_eq!(unready(&server).await, told);
    server.kill();
    let server = Process::start(folder.path(), &[]);
    for job in jobs {
        server.client.job_without_result(&job).await;
    }
}

#[tokio::test]
async fn a_database_that_is_unlinked_is_missed_at_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let server = Process::start(folder.path(), &[]);
    server.client.submit("/api/jobs/run-js", &sharded()).await;
    for name in ["cluster.db", "cluster.db-wal", "cluster.db-shm"] {
        std::fs::remove_file(data.join(name)).unwrap();
    }
    let told = format!("The server cannot use its store: {MOVED}.");
    assert_eq!(refusal(&server).await, told);
    server.kill();
    for _ in 0..2 {
        let output = run_to_end(folder.path(), &[], &[]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(
            !output.status.success() && said.contains("is missing"),
            "{said}"
        );
        assert!(!data.join("cluster.db").exists());
    }
    std::fs::remove_file(data.join("lock")).unwrap();
    Process::start(folder.path(), &[]);
}

#[tokio::test]
async fn a_database_that_is_overwritten_takes_nothing_in_from_the_first_sight_of_it_on() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let server = Process::start_with_log(folder.path(), &[], File::create(&log).unwrap());
    let job = server.client.submit("/api/jobs/run-js", &sharded()).await;
    let database = folder.path().join("data/cluster.db");
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .open(&database)
        .unwrap();
    let bytes = file.metadata().unwrap().len();
    file.write_all(&vec![0x5a; usize::try_from(bytes).unwrap()])
        .unwrap();
    let told = "The server cannot use its store: the database is damaged.";
    assert_eq!(unready(&server).await, told);
    for _ in 0..3 {
        let answer = server
            .client
            .post("/api/jobs", &json!({"a": 1, "b": 1}))
            .await;
        assert_eq!(answer.error(503), told);
    }
    assert_eq!(server.client.get("/healthz").await.status, 200, "it lives");
    server.client.job_without_result(&job).await;
    let said = std::fs::read_to_string(&log).unwrap();
    let line = "the store cannot be written: the database is damaged";
    assert_eq!(said.matches(line).count(), 1, "{said}");
    assert!(said.contains("cluster-server restore FILE"), "{said}");
}

//! Backups of a server that works, what is refused in their place, and what a database that is gone
//! means at start.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Client, Offer, Process, Worker, run_to_end};

const SHARDS: u64 = 20_000;

fn sharded() -> Value {
    json!({
        "code": "return 1", "executionModel": "sharded", "allowDowngrade": false,
        "shardConfig": {"totalUnits": SHARDS, "unitsPerShard": 1},
        "reducer": {"type": "sum", "fields": ["hits", "samples"]},
    })
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// What a command says that succeeds.
fn said(output: &Output) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// The one line of a command that is refused.
fn refused(output: &Output) -> String {
    assert!(!output.status.success());
    assert_eq!(output.stdout, b"");
    let stderr = String::from_utf8(output.stderr.clone()).unwrap();
    let faults = stderr
        .lines()
        .filter(|it| it.starts_with("cluster-server: "));
    let faults: Vec<_> = faults.collect();
    assert_eq!(faults.len(), 1, "{stderr}");
    faults[0].to_owned()
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

async fn completed(client: &Client, job: &str) -> u64 {
    let state = client.job_without_result(job).await;
    state["task"]["shards"]["completed"].as_u64().unwrap()
}

/// Computes whatever the server has, as long as there is one.
async fn work(mut worker: Worker) {
    loop {
        let assigned = worker.assigned().await;
        worker.compute(&assigned).await;
        worker.all_disposed(assigned.attempts()).await;
    }
}

/// A folder with a stopped server's database in it, and the job that the database has.
async fn stopped(folder: &TempDir) -> String {
    let server = Process::start(folder.path(), &[]);
    let job = server.client.submit("/api/jobs/run-js", &sharded()).await;
    server.kill();
    job
}

/// The same, after `backup` took the place of whatever was there.
async fn stopped_on(folder: &TempDir, backup: &Path) -> String {
    said(&run_to_end(folder.path(), &[], &["restore", text(backup)]));
    stopped(folder).await
}

/// A backup of the database in a folder.
fn backed_up(folder: &TempDir, name: &str) -> PathBuf {
    let file = folder.path().join(name);
    said(&run_to_end(folder.path(), &[], &["backup", text(&file)]));
    file
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_of_a_server_at_work_is_whole_and_its_jobs_can_be_brought_to_their_end() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::start(folder.path(), &[]);
    let job = server.client.submit("/api/jobs/run-js", &sharded()).await;
    let worker = Worker::join(&server.url, &server.client.invite().await).await;
    let working = tokio::spawn(work(worker));

    let copies = tempfile::tempdir().unwrap();
    let file = copies.path().join("copy.db");
    let mut before = completed(&server.client, &job).await;
    for args in [
        &["backup", text(&file)][..],
        &["backup", "--force", text(&file)],
        &["backup", text(&file), "--force"],
    ] {
        while completed(&server.client, &job).await == before {
            assert!(!working.is_finished(), "the worker was let down");
        }
        before = completed(&server.client, &job).await;
        assert!(before < SHARDS, "it is still at work");
        let told = said(&run_to_end(folder.path(), &[], args));
        assert!(told.contains("jobs 1, of which 1 go on"), "{told}");
    }
    working.abort();
    server.kill();
    assert_eq!(names(copies.path()), ["copy.db"], "nothing else is left");
    let mode = file.metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    let elsewhere = tempfile::tempdir().unwrap();
    said(&run_to_end(
        elsewhere.path(),
        &[],
        &["restore", text(&file)],
    ));
    let server = Process::start(elsewhere.path(), &[("RECLAIM_SEC", "0")]);
    assert!(completed(&server.client, &job).await >= before);
    let quick = Offer {
        credit: 2000,
        ..Offer::invited(&server.client.invite().await)
    };
    let worker = Worker::offer(&server.url, &quick).await;
    let working = tokio::spawn(work(worker));
    while server.client.job_without_result(&job).await["status"] != "done" {
        assert!(!working.is_finished(), "the worker was let down");
    }
    working.abort();
    let state = server.client.job(&job).await;
    let sum = SHARDS * (SHARDS - 1) / 2;
    assert_eq!(
        state["result"]["aggregate"],
        json!({"hits": sum, "samples": SHARDS})
    );
}

#[tokio::test]
async fn a_backup_replaces_nothing_unless_it_is_told_to() {
    let folder = tempfile::tempdir().unwrap();
    stopped(&folder).await;
    let file = folder.path().join("precious");
    std::fs::write(&file, "precious").unwrap();
    let line = refused(&run_to_end(folder.path(), &[], &["backup", text(&file)]));
    assert!(line.contains("--force"), "{line}");
    assert_eq!(std::fs::read(&file).unwrap(), b"precious");
    said(&run_to_end(
        folder.path(),
        &[],
        &["backup", text(&file), "--force"],
    ));
    assert_ne!(std::fs::read(&file).unwrap(), b"precious");
}

#[test]
fn a_backup_needs_a_database_and_makes_none() {
    let folder = tempfile::tempdir().unwrap();
    let none = folder.path().join("none");
    let args = ["backup", "copy.db", "--data-dir", text(&none)];
    let line = refused(&run_to_end(folder.path(), &[("DATA_DIR", "")], &args));
    assert!(line.contains("there is no database"), "{line}");
    assert!(names(folder.path()).is_empty());
}

#[tokio::test]
async fn a_damaged_database_is_not_backed_up_as_a_good_one() {
    let folder = tempfile::tempdir().unwrap();
    stopped(&folder).await;
    backed_up(&folder, "whole.db");
    damage(&folder.path().join("data/cluster.db"));
    let file = folder.path().join("copy.db");
    let line = refused(&run_to_end(folder.path(), &[], &["backup", text(&file)]));
    assert!(line.contains("damaged"), "{line}");
    assert!(!file.exists());
}

/// Overwrites every page of a database but the first, and what SQLite keeps beside it.
fn damage(database: &Path) {
    let _ = rusqlite::Connection::open(database).unwrap().query_row(
        "PRAGMA wal_checkpoint(TRUNCATE)",
        (),
        |_| Ok(()),
    );
    let mut bytes = std::fs::read(database).unwrap();
    bytes[4096..].fill(0x5a);
    std::fs::write(database, bytes).unwrap();
}

#[tokio::test]
async fn what_is_no_backup_is_refused_and_the_database_stays() {
    let folder = tempfile::tempdir().unwrap();
    let job = stopped(&folder).await;
    let good = backed_up(&folder, "good.db");
    let make = |name: &str, change: &dyn Fn(&Path)| {
        let file = folder.path().join(name);
        std::fs::copy(&good, &file).unwrap();
        change(&file);
        file
    };
    let sql = |file: &Path, sql: &str| {
        let connection = rusqlite::Connection::open(file).unwrap();
        connection.execute_batch(sql).unwrap();
    };
    let cases = [
        (folder.path().join("missing.db"), "there is no file"),
        (
            make("empty.db", &|file| std::fs::write(file, "").unwrap()),
            "not a database of this program",
        ),
        (
            make("text.db", &|file| {
                std::fs::write(file, "x".repeat(9999)).unwrap()
            }),
            "damaged",
        ),
        (
            make("foreign.db", &|file| sql(file, "PRAGMA application_id = 7")),
            "not a database of this program",
        ),
        (
            make("newer.db", &|file| sql(file, "PRAGMA user_version = 9999")),
            "use the newer program",
        ),
        (make("damaged.db", &damage), "damaged"),
    ];
    for (file, words) in cases {
        let line = refused(&run_to_end(folder.path(), &[], &["restore", text(&file)]));
        assert!(line.contains(words), "{line}");
        assert!(line.contains(text(&file)), "{line}");
    }
    let there = names(&folder.path().join("data"));
    assert!(
        !there.iter().any(|name| name.contains("restor")),
        "{there:?}"
    );
    let server = Process::start(folder.path(), &[]);
    server.client.job(&job).await;

    let line = refused(&run_to_end(folder.path(), &[], &["restore", text(&good)]));
    assert!(line.contains("another server uses"), "{line}");
}

#[tokio::test]
async fn what_a_backup_replaces_is_kept_with_all_that_was_committed() {
    let folder = tempfile::tempdir().unwrap();
    let first = stopped(&folder).await;
    let good = backed_up(&folder, "good.db");
    let second = stopped(&folder).await;
    let told = said(&run_to_end(folder.path(), &[], &["restore", text(&good)]));
    let server = Process::start(folder.path(), &[]);
    server.client.job(&first).await;
    let gone = server.client.get(&format!("/api/jobs/{second}")).await;
    assert_eq!(gone.error(404), "Job not found.");
    server.kill();

    let kept = told.split("kept as ").nth(1).unwrap();
    let kept = kept.trim_end().trim_end_matches('.');
    assert!(kept.contains("cluster-replaced-2"), "{kept}");
    said(&run_to_end(folder.path(), &[], &["restore", kept]));
    let server = Process::start(folder.path(), &[]);
    server.client.job(&second).await;
}

#[tokio::test]
async fn a_database_that_is_gone_is_not_taken_for_a_new_one() {
    let folder = tempfile::tempdir().unwrap();
    let job = stopped(&folder).await;
    let good = backed_up(&folder, "good.db");
    let data = folder.path().join("data");
    let database = data.join("cluster.db");

    std::fs::write(&database, "").unwrap();
    let line = refused(&run_to_end(folder.path(), &[], &[]));
    assert!(
        line.contains("is empty") && line.contains("restore"),
        "{line}"
    );
    assert_eq!(std::fs::read(&database).unwrap(), b"");

    // As `kill -9` and a hand leave it: what was committed is there, the file is not.
    let other = stopped_on(&folder, &good).await;
    std::fs::remove_file(&database).unwrap();
    assert!(data.join("cluster.db-wal").metadata().unwrap().len() > 0);
    let line = refused(&run_to_end(folder.path(), &[], &[]));
    assert!(line.contains("is missing"), "{line}");
    said(&run_to_end(folder.path(), &[], &["restore", text(&good)]));
    let server = Process::start(folder.path(), &[]);
    server.client.job(&job).await;
    let gone = server.client.get(&format!("/api/jobs/{other}")).await;
    assert_eq!(gone.error(404), "Job not found.");
    server.kill();
    for name in ["cluster.db", "cluster.db-wal"] {
        std::fs::remove_file(data.join(name)).unwrap();
    }

    // As a restoration leaves it that was cut short.
    std::fs::copy(&good, data.join("cluster.db.restoring")).unwrap();
    let line = refused(&run_to_end(folder.path(), &[], &[]));
    assert!(line.contains("is missing"), "{line}");

    said(&run_to_end(folder.path(), &[], &["restore", text(&good)]));
    let server = Process::start(folder.path(), &[]);
    server.client.job(&job).await;
}

//! Databases of every earlier schema: opened by this program, with all that was in them.
//!
//! `fixtures/schema/vN.sql` is what a program with schema N stored, `vN.json` what it said of its jobs
//! then. [`write_fixture`] makes both; it is run before a schema gets its next version.

use std::fmt::Write;
use std::path::PathBuf;

use rusqlite::Connection;
use serde_json::{Map, Value, json};
use shared::ids::AttemptId;

use crate::support::{Offer, Process, Worker, returned, value};

const SHARDS: u64 = 40;

fn fixture(version: usize, kind: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/schema")
        .join(format!("v{version}.{kind}"))
}

fn version(connection: &Connection) -> usize {
    connection
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .unwrap()
}

fn sharded(reducer: &Value) -> Value {
    json!({
        "code": "return 1", "executionModel": "sharded", "allowDowngrade": false,
        "shardConfig": {"totalUnits": SHARDS, "unitsPerShard": 1}, "reducer": reducer,
    })
}

fn sum() -> Value {
    sharded(&json!({"type": "sum", "fields": ["hits", "samples"]}))
}

/// What must not change of how a job stands.
fn essence(state: &Value) -> Value {
    json!({
        "status": state["status"], "result": state["result"], "error": state["error"],
        "controlState": state["controlState"], "createdAt": state["createdAt"],
        "completed": state["task"]["shards"]["completed"],
    })
}

/// Computes all shards of the next assignment, and waits until that is stored.
async fn compute(worker: &mut Worker) {
    let assigned = worker.assigned().await;
    let shards = assigned.leaf.jobs.iter().flat_map(|job| &job.shards);
    let shards: Vec<_> = shards.map(|(shard, _)| shard.0).collect();
    let result = |attempt: AttemptId| returned(&value(shards[attempt.index as usize]));
    worker.finish(&assigned, result).await;
    worker.all_disposed(assigned.attempts()).await;
}

/// The program of `SCHEMA_PROGRAM`, or else this one.
fn start(folder: &tempfile::TempDir) -> Process {
    let program = std::env::var_os("SCHEMA_PROGRAM");
    match program {
        Some(program) => Process::start_program(program.as_ref(), folder.path(), &[]),
        None => Process::start(folder.path(), &[]),
    }
}

#[tokio::test]
#[ignore = "writes the fixture of the schema of this program, or of that of SCHEMA_PROGRAM"]
async fn write_fixture() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(&folder);
    let client = &server.client;
    let invite = client.invite().await;
    let mut said = Map::new();
    let mut jobs = Vec::new();
    let mut worker = Worker::join(&server.url, &invite).await;
    let collect = sharded(&json!({"type": "collect"}));
    let whole = json!({"code": "return args", "args": {"n": 1}});
    let ended = [
        ("/api/jobs", json!({"a": 2, "b": 40})),
        ("/api/jobs/run-js", whole),
        ("/api/jobs/run-js", sum()),
        (
            "/api/jobs/run-js",
            sharded(&json!({"type": "min", "field": "hits"})),
        ),
        ("/api/jobs/run-js", collect),
    ];
    for (path, body) in ended {
        // An early program does not know every reducer.
        let answer = client.post(path, &body).await;
        if answer.status != 201 {
            continue;
        }
        let job = answer.json()["jobId"].as_str().unwrap().to_owned();
        while !["done", "failed"].contains(&client.job(&job).await["status"].as_str().unwrap()) {
            compute(&mut worker).await;
        }
        jobs.push(job);
    }
    let running = client.submit("/api/jobs/run-js", &sum()).await;
    compute(&mut worker).await;
    worker.vanish().await;
    let paused = client.submit("/api/jobs/run-js", &sum()).await;
    let _ = client
        .post(&format!("/api/jobs/{paused}/pause"), &json!({}))
        .await;
    let cancelled = client.submit("/api/jobs/run-js", &sum()).await;
    let _ = client
        .post(&format!("/api/jobs/{cancelled}/cancel"), &json!({}))
        .await;
    jobs.extend([running, paused, cancelled]);
    for job in jobs {
        let state = essence(&client.job(&job).await);
        said.insert(job, state);
    }
    server.kill();
    let database = Connection::open(folder.path().join("data/cluster.db")).unwrap();
    let version = version(&database);
    std::fs::write(fixture(version, "sql"), dump(&database)).unwrap();
    let said = serde_json::to_string_pretty(&said).unwrap();
    std::fs::write(fixture(version, "json"), format!("{said}\n")).unwrap();
}

/// A database as SQL.
fn dump(database: &Connection) -> String {
    let all = |sql: &str| -> Vec<(String, String)> {
        let mut statement = database.prepare(sql).unwrap();
        let rows = statement.query_map((), |row| Ok((row.get(0)?, row.get(1)?)));
        rows.unwrap().map(Result::unwrap).collect()
    };
    let mut text = String::from("PRAGMA foreign_keys = OFF;\n");
    for name in ["application_id", "user_version"] {
        let number: i64 = database
            .pragma_query_value(None, name, |row| row.get(0))
            .unwrap();
        writeln!(text, "PRAGMA {name} = {number};").unwrap();
    }
    let parts = "SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL \
                 AND name NOT LIKE 'sqlite_%' ORDER BY type = 'index', rowid";
    for (name, sql) in all(parts) {
        writeln!(text, "{sql};").unwrap();
        let columns = all(&format!(
            "SELECT 'quote(\"' || name || '\")', '' FROM pragma_table_info('{name}')"
        ));
        let is_table = sql.starts_with("CREATE TABLE");
        if is_table {
            let columns: Vec<_> = columns.into_iter().map(|(column, _)| column).collect();
            let values = columns.join(" || ', ' || ");
            for (row, _) in all(&format!("SELECT {values}, '' FROM {name}")) {
                writeln!(text, "INSERT INTO {name} VALUES ({row});").unwrap();
            }
        }
    }
    text
}

/// The version of the schema of this program.
fn newest() -> usize {
    let folder = tempfile::tempdir().unwrap();
    Process::start(folder.path(), &[]).kill();
    version(&Connection::open(folder.path().join("data/cluster.db")).unwrap())
}

#[tokio::test]
async fn a_database_of_every_earlier_schema_is_opened_with_all_that_was_in_it() {
    let newest = newest();
    for version in 1..newest {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        std::fs::create_dir(&data).unwrap();
        let sql = std::fs::read_to_string(fixture(version, "sql"))
            .unwrap_or_else(|error| panic!("no fixture of schema {version}: {error}"));
        let database = Connection::open(data.join("cluster.db")).unwrap();
        database.execute_batch(&sql).unwrap();
        drop(database);
        let said = std::fs::read_to_string(fixture(version, "json")).unwrap();
        let said: Map<String, Value> = serde_json::from_str(&said).unwrap();
        assert_opened(&folder, version, &said).await;
    }
}

async fn assert_opened(folder: &tempfile::TempDir, version: usize, said: &Map<String, Value>) {
    let server = Process::start(folder.path(), &[("RECLAIM_SEC", "0")]);
    let client = &server.client;
    let is_open = |state: &Value| state["status"] == "queued" || state["status"] == "running";
    for (job, state) in said {
        let now = essence(&client.job(job).await);
        if is_open(state) {
            assert_eq!(
                now["completed"], state["completed"],
                "schema {version}: {job}"
            );
            assert_eq!(
                now["controlState"], state["controlState"],
                "schema {version}: {job}"
            );
        } else {
            assert_eq!(now, *state, "schema {version}: {job}");
        }
    }
    // Whose name it was, it still is.
    let invite = client.invite().await;
    let thief = Offer {
        secret: 2,
        credit: 0,
        ..Offer::invited(&invite)
    };
    let thief = Worker::offer(&server.url, &thief).await;
    assert_ne!(thief.welcome().worker.as_str(), "worker-native");
    thief.vanish().await;

    // What was open goes on to its end.
    let mut worker = Worker::join(&server.url, &invite).await;
    for (job, _) in said.iter().filter(|(_, state)| is_open(state)) {
        let _ = client
            .post(&format!("/api/jobs/{job}/resume"), &json!({}))
            .await;
        while client.job_without_result(job).await["status"] != "done" {
            compute(&mut worker).await;
        }
        let sum = SHARDS * (SHARDS - 1) / 2;
        let result = client.job(job).await["result"]["aggregate"].clone();
        assert_eq!(
            result,
            json!({"hits": sum, "samples": SHARDS}),
            "schema {version}"
        );
    }
}

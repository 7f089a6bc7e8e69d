//! Jobs from submission to result, with a worker that follows a script.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use shared::envelope::Task;
use shared::ids::Digest32;
use shared::wire::{
    ByeReason, Disposition, RefusalReason, Refused, ResultBatch, ResultDetails, ResultRow,
    ResultStatus, ToServer,
};

use crate::support::{Client, TestServer, Worker, returned, value};

fn sharded(total: u64) -> Value {
    json!({
        "code": "return {hits: 1, samples: 1}", "executionModel": "sharded", "allowDowngrade": false,
        "shardConfig": {"totalUnits": total, "unitsPerShard": 1},
        "reducer": {"type": "sum", "fields": ["hits", "samples"]},
    })
}

/// Works until every result that it sent was disposed of as durable and the job is over.
async fn work_off(worker: &mut Worker, client: &Client, job: &str) -> Value {
    loop {
        let assigned = worker.assigned().await;
        let shards = assigned.leaf.jobs[0].shards.clone();
        worker
            .finish(&assigned, |attempt| {
                returned(&value(shards[attempt.index as usize].0.0))
            })
            .await;
        let disposed = worker.all_disposed(assigned.attempts()).await;
        assert_eq!(
            disposed,
            BTreeMap::from([(Disposition::Durable, assigned.attempts())])
        );
        let state = client.job(job).await;
        if state["status"] != "running" && state["status"] != "queued" {
            return state;
        }
    }
}

#[tokio::test]
async fn an_add_job_is_queued_then_done() {
    let server = TestServer::start().await;
    let id = server
        .client
        .submit("/api/jobs", &json!({"a": 2, "b": 40}))
        .await;
    let state = server.client.job(&id).await;
    assert_eq!(
        (&state["status"], &state["result"]),
        (&json!("queued"), &Value::Null)
    );
    assert_eq!(state["waiting"], "no worker");

    let mut worker = server.worker().await;
    let assigned = worker.assigned().await;
    assert_eq!(assigned.leaf.jobs[0].task, Task::Add { a: 2, b: 40 });
    assert_eq!(server.client.job(&id).await["status"], "running");
    worker.finish(&assigned, |_| returned("42")).await;
    assert_eq!(worker.disposed().await[0].disposition, Disposition::Durable);
    let state = server.client.job(&id).await;
    assert_eq!(
        state,
        json!({
            "jobId": id, "status": "done", "controlState": "running", "executionModel": "single",
            "task": {"op": "add", "a": 2, "b": 40}, "result": 42, "error": null,
        })
    );
}

#[tokio::test]
async fn a_single_job_is_queued_again_when_its_worker_leaves() {
    let server = TestServer::start().await;
    let mut worker = server.worker().await;
    let body = json!({"code": "return 1"});
    let answer = server.client.post("/api/jobs/run-js", &body).await.json();
    assert_eq!(answer["status"], "running", "a worker was free");
    let id = answer["jobId"].as_str().unwrap();
    worker.assigned().await;
    worker.say(&ToServer::Leave).await;
    assert_eq!(worker.bye().await, ByeReason::Replaced);
    let state = server.client.job(id).await;
    assert_eq!(
        (&state["status"], &state["waiting"]),
        (&json!("queued"), &json!("no worker"))
    );
}

#[tokio::test]
async fn a_single_job_ends_with_its_envelope() {
    let server = TestServer::start().await;
    let body = json!({"code": "return args.x", "args": {"x": 7}, "timeoutMs": 500, "seed": 9});
    let id = server.client.submit("/api/jobs/run-js", &body).await;
    let mut worker = server.worker().await;
    let assigned = worker.assigned().await;
    let Task::RunJs(task) = assigned.leaf.jobs[0].task else {
        panic!("not a script");
    };
    assert_eq!(task.code, Digest32::of(b"return args.x"));
    assert_eq!(task.args, Digest32::of(br#"{"x":7}"#));
    assert_eq!((task.timeout_ms, task.seed), (500, 9));
    assert_eq!(assigned.contents, ["return args.x", r#"{"x":7}"#]);
    assert_eq!(
        assigned.leaf.expires_at.since(assigned.leaf.issued_at),
        120_000
    );

    worker
        .finish(&assigned, |_| {
            let mut result = returned("7");
            result.details = Some(Box::new(ResultDetails {
                logs: vec!["[log] half way".into()],
                ..ResultDetails::default()
            }));
            result
        })
        .await;
    worker.disposed().await;
    let result = &server.client.job(&id).await["result"];
    assert_eq!(result["ok"], true);
    assert_eq!(result["returnValue"], 7);
    assert_eq!(result["argsType"], "object");
    assert_eq!(result["output"]["text"], "[log] half way");
}

#[tokio::test]
async fn a_script_that_fails_is_a_job_that_is_done() {
    let server = TestServer::start().await;
    let id = server
        .client
        .submit("/api/jobs/run-js", &json!({"code": "throw 1"}))
        .await;
    let mut worker = server.worker().await;
    let assigned = worker.assigned().await;
    worker
        .finish(&assigned, |_| {
            let mut result = returned("1");
            result.status = ResultStatus::Threw;
            result.value = None;
            result
        })
        .await;
    worker.disposed().await;
    let state = server.client.job(&id).await;
    assert_eq!(state["status"], "done");
    assert_eq!(
        (&state["result"]["ok"], &state["result"]["exitCode"]),
        (&json!(false), &json!(1))
    );
}

#[tokio::test]
async fn a_sharded_job_is_the_exact_sum_of_its_shards() {
    let server = TestServer::start().await;
    let id = server
        .client
        .submit("/api/jobs/run-js", &sharded(100))
        .await;
    assert_eq!(server.client.job(&id).await["status"], "running");
    let mut worker = server.worker().await;
    let state = work_off(&mut worker, &server.client, &id).await;
    assert_eq!(state["status"], "done");
    assert_eq!(
        state["task"]["shards"],
        json!({"total": 100, "completed": 100, "failed": 0})
    );
    assert_eq!(
        state["result"]["aggregate"],
        json!({"hits": 4950, "samples": 100})
    );
    assert_eq!(state["result"]["completedShards"], 100);
}

#[tokio::test]
async fn the_number_of_shards_costs_nothing_at_submission() {
    let server = TestServer::start().await;
    let id = server
        .client
        .submit("/api/jobs/run-js", &sharded(1_000_000_000))
        .await;
    let size = |path: &std::path::Path| {
        let entries = std::fs::read_dir(path).unwrap();
        entries
            .map(|entry| entry.unwrap().metadata().unwrap().len())
            .sum::<u64>()
    };
    assert!(size(server.folder.path()) < 1_000_000);
    let state = server.client.job(&id).await;
    assert_eq!(state["task"]["shards"]["total"], 1_000_000_000);
}

#[tokio::test]
async fn contents_are_sent_once_and_long_ones_are_fetched_with_the_session_token() {
    let server = TestServer::start().await;
    let code = format!("return 1 // {}", "x".repeat(5000));
    let body = json!({
        "code": code, "args": {"short": true}, "executionModel": "sharded", "allowDowngrade": false,
        "shardConfig": {"totalUnits": 100_000, "unitsPerShard": 1},
        "reducer": {"type": "sum", "fields": ["hits"]},
    });
    server.client.submit("/api/jobs/run-js", &body).await;
    let mut worker = server.worker().await;
    let first = worker.assigned().await;
    assert_eq!(
        first.contents,
        [r#"{"short":true}"#],
        "the code is too long to ride along"
    );
    worker.finish(&first, |_| returned(r#"{"hits":1}"#)).await;
    let second = worker.assigned().await;
    assert!(second.contents.is_empty(), "the worker has it");

    let path = format!("/api/content/{}", Digest32::of(code.as_bytes()));
    let bearer = format!("Bearer {}", worker.welcome().token);
    let anyone = server.client.without_key();
    let answer = anyone.get_with(&path, &[("authorization", &bearer)]).await;
    assert_eq!((answer.status, answer.text.as_str()), (200, code.as_str()));
    assert!(
        answer
            .header("cache-control")
            .unwrap()
            .contains("immutable")
    );
    assert_eq!(
        server.client.get(&path).await.error(401),
        "Unauthorized worker session."
    );
    let unknown = format!("/api/content/{}", Digest32::of(b"nothing"));
    let answer = anyone
        .get_with(&unknown, &[("authorization", &bearer)])
        .await;
    assert_eq!(answer.error(404), "No running job has this content.");
}

#[tokio::test]
async fn what_a_worker_refuses_goes_to_another() {
    let server = TestServer::start().await;
    let id = server
        .client
        .submit("/api/jobs", &json!({"a": 1, "b": 1}))
        .await;
    let mut first = server.worker().await;
    let refused = first.assigned().await;
    first
        .say(&ToServer::Refused(vec![Refused {
            range: Some(refused.range()),
            reason: RefusalReason::JobRefused,
        }]))
        .await;
    let mut waiting = server.client.job(&id).await["waiting"].clone();
    while waiting.is_null() {
        waiting = server.client.job(&id).await["waiting"].clone();
    }
    assert_eq!(waiting, "a worker that does not refuse the job");
    let mut second = server.worker().await;
    let assigned = second.assigned().await;
    second.finish(&assigned, |_| returned("2")).await;
    second.disposed().await;
    assert_eq!(server.client.job(&id).await["result"], 2);
}

#[tokio::test]
async fn results_wait_for_a_store_that_cannot_be_written_and_none_is_lost() {
    let server = TestServer::start().await;
    let id = server
        .client
        .submit("/api/jobs", &json!({"a": 1, "b": 1}))
        .await;
    let mut worker = server.worker().await;
    let assigned = worker.assigned().await;
    let database = rusqlite::Connection::open(server.folder.path().join("cluster.db")).unwrap();
    database.execute_batch("BEGIN IMMEDIATE").unwrap();
    worker.finish(&assigned, |_| returned("2")).await;
    let refused = server
        .client
        .post("/api/jobs", &json!({"a": 1, "b": 1}))
        .await;
    assert_eq!(
        refused.status, 503,
        "the store has given up on a transaction meanwhile"
    );
    assert_eq!(
        server.client.job(&id).await["status"],
        "running",
        "nothing shows before it is stored"
    );
    database.execute_batch("ROLLBACK").unwrap();
    assert_eq!(worker.disposed().await[0].disposition, Disposition::Durable);
    assert_eq!(server.client.job(&id).await["result"], 2);
}

#[tokio::test]
async fn workers_are_listed_while_they_are_connected() {
    let server = TestServer::start().await;
    let worker = server.worker().await;
    let list = server.client.get("/api/workers").await.json();
    assert_eq!(
        (&list["count"], &list["totalSlots"]),
        (&json!(1), &json!(4))
    );
    let row = &list["workers"][0];
    assert_eq!(row["workerId"], worker.welcome().worker.as_str());
    assert_eq!(
        (&row["state"], &row["maxSlots"]),
        (&json!("idle"), &json!(4))
    );
}

#[tokio::test]
async fn a_sharded_job_becomes_a_single_one_where_there_are_too_few_slots() {
    let server = TestServer::start().await;
    let body = |allow: Value| {
        json!({
            "code": "return args.units", "args": {"x": 1}, "executionModel": "sharded",
            "shardConfig": {"totalUnits": 95, "unitsPerShard": 10}, "allowDowngrade": allow,
        })
    };
    let downgraded = server
        .client
        .post("/api/jobs/run-js", &body(Value::Null))
        .await
        .json();
    assert_eq!(
        (&downgraded["executionModel"], &downgraded["status"]),
        (&json!("single"), &json!("queued"))
    );
    let note = downgraded["note"].as_str().unwrap();
    assert!(
        note.starts_with("Downgraded from sharded to single"),
        "{note}"
    );
    let kept = server
        .client
        .post("/api/jobs/run-js", &body(json!(false)))
        .await
        .json();
    assert_eq!(
        (&kept["executionModel"], &kept["note"]),
        (&json!("sharded"), &Value::Null)
    );

    let mut worker = server.worker().await;
    let assigned = worker.assigned().await;
    assert!(
        assigned
            .contents
            .contains(&r#"{"x":1,"units":95}"#.to_owned()),
        "{assigned:?}"
    );
    let with_slots = server
        .client
        .post("/api/jobs/run-js", &body(Value::Null))
        .await
        .json();
    assert_eq!(
        (&with_slots["executionModel"], &with_slots["note"]),
        (&json!("sharded"), &Value::Null)
    );
}

#[tokio::test]
async fn a_job_of_very_many_shards_is_accepted_with_an_advice() {
    let server = TestServer::start().await;
    let answer = server
        .client
        .post("/api/jobs/run-js", &sharded(1000))
        .await
        .json();
    assert_eq!(answer["executionModel"], "sharded");
    let note = answer["note"].as_str().unwrap();
    assert!(
        note.contains("1000 shards exceed the soft cap of 400"),
        "{note}"
    );
}

/// A job of `total` shards that keeps what they return.
fn collecting(total: u64) -> Value {
    json!({
        "code": "return 1", "args": [1], "executionModel": "sharded", "allowDowngrade": false,
        "shardConfig": {"totalUnits": total, "unitsPerShard": 1}, "reducer": {"type": "collect"},
    })
}

#[tokio::test]
async fn collected_envelopes_come_in_order_of_the_shards_however_large_they_are() {
    const SHARDS: u64 = 300;
    let server = TestServer::start().await;
    let id = server
        .client
        .submit("/api/jobs/run-js", &collecting(SHARDS))
        .await;
    let state = server.client.job(&id).await;
    assert_eq!(state["task"]["reducer"], json!({"type": "collect"}));
    assert_eq!(
        state.get("partial"),
        None,
        "rows are not shown before the end"
    );
    let mut worker = server.worker().await;
    let mut state = Value::Null;
    while state["status"] != "done" {
        let assigned = worker.assigned().await;
        let shards = assigned.leaf.jobs[0].shards.clone();
        let row = |index: u32| {
            let shard = shards[index as usize].0.0;
            let text = "x".repeat(10_000);
            ResultRow {
                index,
                result: returned(&format!(r#"{{"shard":{shard},"text":"{text}"}}"#)),
            }
        };
        let batch = ResultBatch {
            nonce: assigned.leaf.nonce,
            rows: (0..assigned.attempts()).rev().map(row).collect(),
        };
        worker.say(&ToServer::Results(vec![batch])).await;
        worker.all_disposed(assigned.attempts()).await;
        state = server.client.job(&id).await;
    }
    let result = &state["result"];
    assert_eq!(result["reducer"], json!({"type": "collect"}));
    assert_eq!(
        (&result["completedShards"], &result["totalShards"]),
        (&json!(SHARDS), &json!(SHARDS))
    );
    let rows = result["aggregate"].as_array().unwrap();
    assert_eq!(rows.len() as u64, SHARDS);
    for (shard, row) in rows.iter().enumerate() {
        assert_eq!(row["returnValue"]["shard"], shard);
        assert_eq!(
            (&row["ok"], &row["argsType"]),
            (&json!(true), &json!("array"))
        );
    }
    let bare = server.client.job_without_result(&id).await;
    assert_eq!(
        (&bare["status"], &bare["result"]),
        (&json!("done"), &Value::Null)
    );
}

#[tokio::test]
async fn a_job_that_collects_more_than_it_may_fails_and_says_so() {
    let server = TestServer::with(&[("JOB_MAX_COLLECT_BYTES", "1mb")]).await;
    let id = server
        .client
        .submit("/api/jobs/run-js", &collecting(20))
        .await;
    let mut worker = server.worker().await;
    let assigned = worker.assigned().await;
    let large = format!("\"{}\"", "x".repeat(300_000));
    for index in 0..4 {
        let row = ResultRow {
            index,
            result: returned(&large),
        };
        let batch = ResultBatch {
            nonce: assigned.leaf.nonce,
            rows: vec![row],
        };
        worker.say(&ToServer::Results(vec![batch])).await;
    }
    worker.all_disposed(4).await;
    let state = server.client.job(&id).await;
    assert_eq!(
        (&state["status"], &state["result"], &state["error"]),
        (
            &json!("failed"),
            &Value::Null,
            &json!(
                "reducer_error:collect reducer exceeds 1048576 bytes of results \
                 (JOB_MAX_COLLECT_BYTES)."
            )
        )
    );
}

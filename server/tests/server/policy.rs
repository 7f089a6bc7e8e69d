//! What becomes of shards that fail whoever runs them, as the job's owner wants it.

use serde_json::{Value, json};
use shared::wire::{ResultStatus, ShardResult};

use crate::support::{Client, TestServer, Worker, returned};

fn job(reducer: &Value, on_shard_error: &str) -> Value {
    json!({
        "code": "return 1", "executionModel": "sharded", "allowDowngrade": false,
        "shardConfig": {"totalUnits": 10, "unitsPerShard": 1}, "reducer": reducer,
        "onShardError": on_shard_error, "priority": 5,
    })
}

/// Runs the job with shards 3 and 7 failing each time.
async fn run(worker: &mut Worker, client: &Client, id: &str) -> Value {
    loop {
        let assigned = worker.assigned().await;
        let shards = assigned.leaf.jobs[0].shards.clone();
        worker
            .finish(&assigned, |attempt| {
                match shards[attempt.index as usize].0.0 {
                    3 | 7 => ShardResult::failed(ResultStatus::Threw, 1, "boom".into()),
                    shard => returned(&format!("{{\"n\":{shard}}}")),
                }
            })
            .await;
        worker.all_disposed(assigned.attempts()).await;
        let state = client.job(id).await;
        if state["status"] != "running" {
            return state;
        }
    }
}

#[tokio::test]
async fn shards_that_fail_are_left_out_and_listed() {
    let server = TestServer::start().await;
    let reducer = json!({"type": "sum", "fields": ["n"]});
    let body = job(&reducer, "skip");
    let id = server.client.submit("/api/jobs/run-js", &body).await;
    let mut worker = server.worker().await;
    let state = run(&mut worker, &server.client, &id).await;
    assert_eq!(state["status"], "done", "{state}");
    assert_eq!(state["result"]["aggregate"], json!({"n": 45 - 3 - 7}));
    assert_eq!(state["result"]["skippedShards"], json!([3, 7]));
    assert_eq!(state["result"]["skippedCount"], 2);
    assert_eq!(state["result"]["completedShards"], 8);
    assert_eq!(
        state["task"]["shards"],
        json!({"total": 10, "completed": 10, "failed": 2})
    );
    assert_eq!(state["task"]["onShardError"], "skip");
    assert_eq!(state["task"]["priority"], 5);
}

#[tokio::test]
async fn what_was_left_out_is_not_collected() {
    let server = TestServer::start().await;
    let body = job(&json!({"type": "collect"}), "skip");
    let id = server.client.submit("/api/jobs/run-js", &body).await;
    let mut worker = server.worker().await;
    let state = run(&mut worker, &server.client, &id).await;
    let rows = state["result"]["aggregate"].as_array().unwrap();
    let values: Vec<_> = rows.iter().map(|it| &it["returnValue"]["n"]).collect();
    assert_eq!(json!(values), json!([0, 1, 2, 4, 5, 6, 8, 9]));
    assert_eq!(state["result"]["skippedShards"], json!([3, 7]));
}

#[tokio::test]
async fn a_shard_that_fails_can_end_the_job() {
    let server = TestServer::start().await;
    let reducer = json!({"type": "sum", "fields": ["n"]});
    let body = job(&reducer, "fail");
    let id = server.client.submit("/api/jobs/run-js", &body).await;
    let mut worker = server.worker().await;
    let state = run(&mut worker, &server.client, &id).await;
    assert_eq!(state["status"], "failed");
    let text = state["error"].as_str().unwrap();
    let ends = [3, 7].map(|shard| format!("Shard {shard} failed after 3/3 attempts: boom"));
    assert!(ends.contains(&text.to_owned()), "{text}");
}

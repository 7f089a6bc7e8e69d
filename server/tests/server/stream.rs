//! Following a job by Server-Sent Events.

use std::time::Instant;

use serde_json::{Value, json};

use crate::support::{TestServer, returned, value};

/// What the changes of a stream amount to.
fn apply(state: &mut Value, changes: Value) {
    let members = state.as_object_mut().unwrap();
    members.extend(changes.as_object().unwrap().clone());
}

fn sharded(total: u64, reducer: &Value) -> Value {
    json!({
        "code": "return 1", "executionModel": "sharded", "allowDowngrade": false,
        "shardConfig": {"totalUnits": total, "unitsPerShard": 1}, "reducer": reducer,
    })
}

#[tokio::test]
async fn a_stream_tells_a_snapshot_then_changes_and_ends_with_the_job() {
    let server = TestServer::start().await;
    let body = sharded(40, &json!({"type": "sum", "fields": ["hits", "samples"]}));
    let id = server.client.submit("/api/jobs/run-js", &body).await;
    let mut stream = server.client.stream(&id).await;
    assert_eq!(stream.headers["content-type"], "text/event-stream");
    let (name, mut state) = stream.next().await.unwrap();
    assert_eq!(name, "snapshot");
    assert_eq!(state, server.client.job(&id).await);
    assert_eq!(state["waiting"], "no worker");
    assert_eq!(
        state["partial"]["aggregate"],
        json!({"hits": 0, "samples": 0})
    );

    let began = Instant::now();
    let mut worker = server.worker().await;
    let mut changes = 0;
    let mut has_seen_a_part = false;
    while state["status"] == "running" {
        if state["task"]["shards"]["completed"].as_u64() < Some(40) {
            if state["task"]["shards"]["completed"].as_u64() > Some(0) {
                has_seen_a_part = true;
                assert_eq!(
                    state["partial"]["aggregate"]["samples"],
                    state["partial"]["completedShards"]
                );
            }
            if state["waiting"].is_null() {
                let assigned = worker.assigned().await;
                let shards = assigned.leaf.jobs[0].shards.clone();
                let result = |attempt: shared::ids::AttemptId| {
                    returned(&value(shards[attempt.index as usize].0.0))
                };
                worker.finish(&assigned, result).await;
                worker.all_disposed(assigned.attempts()).await;
            }
        }
        let (name, change) = stream.next().await.expect("the job has not ended");
        assert_eq!(name, "change");
        assert!(change.get("jobId").is_none(), "only what changed: {change}");
        apply(&mut state, change);
        changes += 1;
    }
    assert!(has_seen_a_part);
    assert!(
        changes <= 1 + began.elapsed().as_millis() / 100,
        "{changes} changes"
    );
    assert_eq!(state["status"], "done");
    assert_eq!(
        (&state["partial"], &state["result"]),
        (&Value::Null, &Value::Null)
    );
    assert!(
        stream.next().await.is_none(),
        "the stream ends with the job"
    );

    let whole = server.client.job(&id).await;
    assert_eq!(whole["result"]["aggregate"]["samples"], 40);
    let bare = server.client.job_without_result(&id).await;
    assert_eq!(
        (&bare["status"], &bare["result"]),
        (&json!("done"), &Value::Null)
    );

    let twice = server
        .client
        .get(&format!("/api/jobs/{id}?other=%ff&result=none&result=none"))
        .await;
    assert_eq!(twice.json(), bare);

    let mut late = server.client.stream(&id).await;
    assert_eq!(late.next().await.unwrap(), ("snapshot".into(), bare));
    assert!(late.next().await.is_none());
}

#[tokio::test]
async fn a_stream_needs_a_key_and_a_job() {
    let server = TestServer::start().await;
    let id = server
        .client
        .submit("/api/jobs", &json!({"a": 1, "b": 2}))
        .await;
    let path = format!("/api/jobs/{id}/stream");
    let stranger = server.client.without_key().get(&path).await;
    assert_eq!(stranger.error(401), "Unauthorized client token.");
    let unknown = "/api/jobs/00000000-0000-4000-8000-000000000000/stream";
    assert_eq!(
        server.client.get(unknown).await.error(404),
        "Job not found."
    );
    assert_eq!(
        server.client.get("/api/jobs/x/stream").await.error(404),
        "Job not found."
    );
}

#[tokio::test]
async fn a_stream_shows_the_loss_of_the_last_worker() {
    let server = TestServer::start().await;
    let worker = server.worker().await;
    let id = server
        .client
        .submit("/api/jobs/run-js", &json!({"code": "return 1"}))
        .await;
    let mut stream = server.client.stream(&id).await;
    let (_, mut state) = stream.next().await.unwrap();
    assert_eq!(state.get("waiting"), None);
    worker.vanish().await;
    while state["waiting"] != "no worker" {
        let (_, change) = stream.next().await.unwrap();
        apply(&mut state, change);
    }
}

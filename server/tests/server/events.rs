//! The live events of sharded jobs (`HTTP_API` 9).

use serde_json::{Value, json};
use shared::wire::{
    ErrorText, ResultBatch, ResultDetails, ResultRow, ResultStatus, ShardResult, ToServer,
};

use crate::support::{Client, Process, TestServer, Worker, returned};

fn sharded(total: u64, reducer: &Value) -> Value {
    json!({
        "code": "return 1", "args": {"x": 1}, "executionModel": "sharded", "allowDowngrade": false,
        "shardConfig": {"totalUnits": total, "unitsPerShard": 1}, "reducer": reducer,
    })
}

async fn page(client: &Client, id: &str, query: &str) -> Value {
    let answer = client.get(&format!("/api/jobs/{id}/events{query}")).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()
}

fn kinds(page: &Value) -> Vec<&str> {
    let events = page["events"].as_array().unwrap();
    events
        .iter()
        .map(|event| event["type"].as_str().unwrap())
        .collect()
}

/// Answers every attempt that comes until the job is over; shard 0 throws.
async fn work_off(worker: &mut Worker, client: &Client, id: &str) {
    while client.job(id).await["status"] == "running" {
        let assigned = worker.assigned().await;
        let given = assigned.leaf.jobs[0].shards.clone();
        let result = |attempt: shared::ids::AttemptId| match given[attempt.index as usize].0.0 {
            0 => thrown(),
            shard => returned(&format!("{{\"shard\":{shard}}}")),
        };
        worker.finish(&assigned, result).await;
        worker.all_disposed(assigned.attempts()).await;
    }
}

fn thrown() -> ShardResult {
    ShardResult {
        status: ResultStatus::Threw,
        duration_us: 1,
        value: None,
        details: Some(Box::new(ResultDetails {
            error: Some(ErrorText {
                message: "boom".into(),
                stack: None,
            }),
            ..ResultDetails::default()
        })),
    }
}

#[tokio::test]
async fn each_shard_is_an_event_and_pages_follow_each_other() {
    let server = TestServer::start().await;
    let client = &server.client;
    let reducer = json!({"type": "collect"});
    let id = client
        .submit("/api/jobs/run-js", &sharded(3, &reducer))
        .await;
    let first = page(client, &id, "").await;
    assert_eq!(kinds(&first), ["job_started"]);
    assert_eq!(first["events"][0]["args"], json!({"x": 1}));
    assert_eq!(
        (
            &first["nextSeq"],
            &first["firstSeq"],
            &first["droppedBeforeSeq"],
            &first["hasMore"]
        ),
        (&json!(2), &json!(1), &json!(0), &json!(false))
    );
    client
        .post(&format!("/api/jobs/{id}/pause"), &json!({}))
        .await;
    client
        .post(&format!("/api/jobs/{id}/resume"), &json!({}))
        .await;
    let mut worker = server.worker().await;
    let assigned = worker.assigned().await;
    worker
        .finish(&assigned, |attempt| {
            returned(&format!("{{\"n\":{}}}", attempt.index))
        })
        .await;
    worker.all_disposed(3).await;

    let mut seen = Vec::new();
    let mut after = 0;
    loop {
        let part = page(client, &id, &format!("?after={after}&limit=2")).await;
        seen.extend(part["events"].as_array().unwrap().clone());
        after = seen.last().unwrap()["seq"].as_u64().unwrap();
        if part["hasMore"] == false {
            break;
        }
    }
    let whole = page(client, &id, "?after=x&limit=-1").await;
    assert_eq!(json!(seen), whole["events"]);
    assert_eq!(
        kinds(&whole),
        [
            "job_started",
            "job_paused",
            "job_resumed",
            "shard_done",
            "shard_done",
            "shard_done",
            "job_done"
        ]
    );
    let seqs: Vec<u64> = seen
        .iter()
        .map(|event| event["seq"].as_u64().unwrap())
        .collect();
    assert_eq!(seqs, [1, 2, 3, 4, 5, 6, 7]);
    let shard = &seen[4];
    assert_eq!(
        shard["shardContext"],
        json!({
            "parentJobId": id, "shardId": 1, "totalShards": 3, "units": 1, "totalUnits": 3, "offset": 1,
        })
    );
    assert_eq!(
        (
            &shard["result"],
            &shard["completedShards"],
            &shard["workerId"]
        ),
        (&json!({"n": 1}), &json!(2), &json!("worker-native"))
    );
    assert_ne!(shard["childJobId"], seen[3]["childJobId"]);
    assert_eq!(whole["status"], "done");
    let last = seen[6]["result"]["aggregate"].as_array().unwrap();
    let values: Vec<_> = last.iter().map(|row| row["returnValue"].clone()).collect();
    assert_eq!(json!(values), json!([{"n": 0}, {"n": 1}, {"n": 2}]));
    assert_eq!(seen[6].get("payloadTruncated"), None);
}

#[tokio::test]
async fn a_collection_of_more_than_two_mib_is_left_out_of_the_last_event() {
    let server = TestServer::start().await;
    let client = &server.client;
    let reducer = json!({"type": "collect"});
    let id = client
        .submit("/api/jobs/run-js", &sharded(3, &reducer))
        .await;
    let mut worker = server.worker().await;
    let assigned = worker.assigned().await;
    let large = json!("x".repeat(1_000_000)).to_string();
    let nonce = assigned.leaf.nonce;
    for index in 0..3 {
        let result = returned(&large);
        let rows = vec![ResultRow { index, result }];
        worker
            .say(&ToServer::Results(vec![ResultBatch { nonce, rows }]))
            .await;
    }
    worker.all_disposed(3).await;
    let end = page(client, &id, "?after=4").await;
    assert_eq!(kinds(&end), ["job_done"]);
    let event = &end["events"][0];
    assert_eq!(event["payloadTruncated"], true);
    assert_eq!(event["result"]["aggregate"], json!([]));
    assert_eq!(event["result"]["completedShards"], 3);
}

#[tokio::test]
async fn a_shard_that_failed_for_good_says_why() {
    let server = TestServer::start().await;
    let client = &server.client;
    let reducer = json!({"type": "sum", "fields": ["*"]});
    let id = client
        .submit("/api/jobs/run-js", &sharded(2, &reducer))
        .await;
    let mut worker = server.worker().await;
    work_off(&mut worker, client, &id).await;
    let all = page(client, &id, "").await;
    let failed = all["events"]
        .as_array()
        .unwrap()
        .iter()
        .find(|it| it["type"] == "shard_failed");
    let failed = failed.unwrap();
    assert_eq!(
        (
            &failed["error"],
            &failed["shardIndex"],
            &failed["failedShards"]
        ),
        (&json!("boom"), &json!(0), &json!(1))
    );
}

#[tokio::test]
async fn only_the_newest_are_kept_and_numbers_go_on_after_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::start(folder.path(), &[("JOB_EVENT_BUFFER_SIZE", "100")]);
    let reducer = json!({"type": "max", "field": "shard"});
    let body = sharded(1000, &reducer);
    let id = server.client.submit("/api/jobs/run-js", &body).await;
    let mut worker = Worker::join(&server.url, &server.client.invite().await).await;
    let mut done = 0;
    while done < 200 {
        let assigned = worker.assigned().await;
        worker
            .finish(&assigned, |_| returned(r#"{"shard":1}"#))
            .await;
        worker.all_disposed(assigned.attempts()).await;
        done += u64::from(assigned.attempts());
    }
    let before = page(&server.client, &id, "?limit=1000").await;
    assert_eq!(
        before["events"].as_array().unwrap().len(),
        100,
        "a page holds what is kept"
    );
    assert_eq!(before["nextSeq"], done + 2);
    assert_eq!(before["firstSeq"], done + 2 - 100);
    assert_eq!(before["droppedBeforeSeq"], done + 1 - 100);
    server.kill();
    let server = Process::start(folder.path(), &[]);
    let after = page(&server.client, &id, &format!("?after={}", done + 1)).await;
    assert!(
        after["nextSeq"].as_u64() > Some(done + 1),
        "no number comes twice"
    );
    assert!(kinds(&after).is_empty());
    server
        .client
        .post(&format!("/api/jobs/{id}/cancel"), &json!({}))
        .await;
    let ended = page(&server.client, &id, &format!("?after={}", done + 1)).await;
    assert_eq!(kinds(&ended), ["job_cancelled"]);
    assert_eq!(ended["events"][0]["reason"], "stopped_by_client");
    server.kill();
    let server = Process::start(folder.path(), &[]);
    let stored = page(&server.client, &id, "").await;
    assert_eq!(kinds(&stored), ["job_started", "job_cancelled"]);
}

#[tokio::test]
async fn single_jobs_have_no_events() {
    let server = TestServer::start().await;
    let id = server
        .client
        .submit("/api/jobs", &json!({"a": 1, "b": 1}))
        .await;
    let refused = server.client.get(&format!("/api/jobs/{id}/events")).await;
    assert_eq!(
        refused.error(400),
        "Live events are only available for sharded jobs."
    );
    assert_eq!(
        server.client.get("/api/jobs/x/events").await.error(404),
        "Job not found."
    );
}

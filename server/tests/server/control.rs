//! Pausing, resuming and ending jobs.

use serde_json::{Value, json};

use crate::support::{Client, Process, TestServer, Worker, returned, value};

fn sharded(total: u64) -> Value {
    json!({
        "code": "return 1", "executionModel": "sharded", "allowDowngrade": false,
        "shardConfig": {"totalUnits": total, "unitsPerShard": 1},
        "reducer": {"type": "sum", "fields": ["hits", "samples"]},
    })
}

async fn order(client: &Client, id: &str, what: &str) -> Value {
    let answer = client
        .post(&format!("/api/jobs/{id}/{what}"), &json!({}))
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()
}

async fn refusal(client: &Client, id: &str, what: &str) -> String {
    let answer = client
        .post(&format!("/api/jobs/{id}/{what}"), &json!({}))
        .await;
    answer.error(400)
}

#[tokio::test]
async fn a_paused_job_stays_paused_through_a_kill_and_finishes_once_it_is_resumed() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::start(folder.path(), &[]);
    let id = server.client.submit("/api/jobs/run-js", &sharded(10)).await;
    for _ in 0..2 {
        let paused = order(&server.client, &id, "pause").await;
        assert_eq!(
            paused,
            json!({"ok": true, "jobId": id, "controlState": "paused"})
        );
    }
    server.kill();
    let server = Process::start(folder.path(), &[("RECLAIM_SEC", "0")]);
    let state = server.client.job(&id).await;
    assert_eq!(
        (
            &state["controlState"],
            &state["task"]["controlState"],
            &state["status"]
        ),
        (&json!("paused"), &json!("paused"), &json!("running"))
    );
    let mut worker = Worker::join(&server.url, &server.client.invite().await).await;
    let other = server
        .client
        .submit("/api/jobs", &json!({"a": 1, "b": 1}))
        .await;
    let assigned = worker.assigned().await;
    assert_eq!(
        assigned.leaf.jobs[0].job.to_string(),
        other,
        "not the paused one"
    );
    worker.finish(&assigned, |_| returned("2")).await;
    worker.all_disposed(1).await;

    let resumed = order(&server.client, &id, "resume").await;
    assert_eq!(resumed["controlState"], "running");
    let mut left = 10;
    while left > 0 {
        let assigned = worker.assigned().await;
        worker.finish(&assigned, |_| returned(&value(1))).await;
        worker.all_disposed(assigned.attempts()).await;
        left -= assigned.attempts();
    }
    assert_eq!(server.client.job(&id).await["status"], "done");
    assert_eq!(refusal(&server.client, &id, "pause").await, "terminal");
    assert_eq!(refusal(&server.client, &id, "cancel").await, "terminal");
}

#[tokio::test]
async fn orders_that_cross_are_all_answered() {
    let server = TestServer::start().await;
    let client = &server.client;
    let id = client.submit("/api/jobs/run-js", &sharded(5)).await;
    for _ in 0..30 {
        let (paused, resumed, again) = tokio::join!(
            order(client, &id, "pause"),
            order(client, &id, "resume"),
            order(client, &id, "pause"),
        );
        assert_eq!(
            [&paused, &resumed, &again].map(|answer| &answer["controlState"]),
            ["paused", "running", "paused"]
        );
    }
}

#[tokio::test]
async fn only_sharded_jobs_that_are_known_can_be_paused() {
    let server = TestServer::start().await;
    let client = &server.client;
    let single = client
        .submit("/api/jobs/run-js", &json!({"code": "return 1"}))
        .await;
    for what in ["pause", "resume"] {
        assert_eq!(refusal(client, &single, what).await, "not_sharded");
        assert_eq!(refusal(client, "nothing", what).await, "job_not_found");
    }
    let stranger = client.without_key();
    let answer = stranger
        .post(&format!("/api/jobs/{single}/cancel"), &json!({}))
        .await;
    assert_eq!(answer.error(401), "Unauthorized client token.");
}

#[tokio::test]
async fn a_cancelled_job_has_failed_and_its_results_are_stale() {
    let server = TestServer::start().await;
    let mut worker = server.worker().await;
    let id = server
        .client
        .submit("/api/jobs/run-js", &sharded(1_000_000_000))
        .await;
    let assigned = worker.assigned().await;
    let cancelled = order(&server.client, &id, "cancel").await;
    assert_eq!(cancelled["controlState"], "cancelled");
    let state = server.client.job(&id).await;
    assert_eq!(
        (
            &state["status"],
            &state["controlState"],
            &state["error"],
            &state["result"]
        ),
        (
            &json!("failed"),
            &json!("cancelled"),
            &json!("stopped_by_client"),
            &Value::Null
        )
    );
    worker.finish(&assigned, |_| returned(&value(1))).await;
    let disposed = worker.all_disposed(assigned.attempts()).await;
    assert!(
        disposed.contains_key(&shared::wire::Disposition::Stale),
        "{disposed:?}"
    );
    assert_eq!(refusal(&server.client, &id, "resume").await, "terminal");
}

/// A job of which a worker has computed a part; how many shards that are.
async fn begun(client: &Client, worker: &mut Worker) -> (String, u64) {
    let id = client
        .submit("/api/jobs/run-js", &sharded(1_000_000_000))
        .await;
    let first = worker.assigned().await;
    worker.finish(&first, |_| returned(&value(1))).await;
    worker.all_disposed(first.attempts()).await;
    (id, first.attempts() as u64)
}

#[tokio::test]
async fn what_was_added_up_before_a_job_was_cancelled_stays_readable() {
    let server = TestServer::start().await;
    let mut worker = server.worker().await;
    let (id, counted) = begun(&server.client, &mut worker).await;
    order(&server.client, &id, "cancel").await;
    for state in [
        server.client.job(&id).await,
        server.client.job_without_result(&id).await,
    ] {
        assert_eq!(state["error"], "stopped_by_client");
        assert_eq!(state["result"], Value::Null);
        assert_eq!(
            (
                &state["partial"]["completedShards"],
                &state["partial"]["aggregate"]
            ),
            (
                &json!(counted),
                &json!({"hits": counted, "samples": counted})
            )
        );
    }
}

#[tokio::test]
async fn what_was_added_up_before_a_job_failed_stays_readable() {
    let server = TestServer::start().await;
    let mut worker = server.worker().await;
    let (id, counted) = begun(&server.client, &mut worker).await;
    let second = worker.assigned().await;
    worker.finish(&second, |_| returned("{}")).await;
    let mut follower = server.client.stream(&id).await;
    while follower.next().await.is_some() {}
    let state = server.client.job(&id).await;
    assert_eq!(state["status"], "failed");
    let hits = state["partial"]["aggregate"]["hits"].as_u64();
    assert_eq!(hits, Some(counted), "{state}");
}

#[tokio::test]
async fn stopping_everything_counts_what_had_not_ended() {
    let server = TestServer::start().await;
    let client = &server.client;
    let nothing = client.post("/api/jobs/stop-all", &json!({})).await;
    assert_eq!(nothing.json(), json!({"ok": true, "stopped": 0}));
    let mut jobs = vec![client.submit("/api/jobs", &json!({"a": 1, "b": 1})).await];
    for _ in 0..2 {
        jobs.push(client.submit("/api/jobs/run-js", &sharded(5)).await);
    }
    order(client, &jobs[1], "pause").await;
    let stopped = client.post("/api/jobs/stop-all", &json!({})).await;
    assert_eq!(stopped.json(), json!({"ok": true, "stopped": 3}));
    for job in &jobs {
        let state = client.job(job).await;
        assert_eq!(
            (&state["status"], &state["controlState"]),
            (&json!("failed"), &json!("cancelled"))
        );
    }
}

#[tokio::test]
async fn an_order_that_is_not_stored_in_time_is_told_so_and_may_still_happen() {
    let server = TestServer::start().await;
    let id = server.client.submit("/api/jobs/run-js", &sharded(10)).await;
    let database = server.folder.path().join("cluster.db");
    let other = rusqlite::Connection::open(database).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let path = format!("/api/jobs/{id}/pause");
    let refused = server.client.post(&path, &json!({})).await;
    assert_eq!(
        refused.error(503),
        "The server cannot use its store: it has not answered in time, what was asked may still happen."
    );
    assert_eq!(server.client.job(&id).await["controlState"], "running");
    other.execute_batch("ROLLBACK").unwrap();
    let paused = order(&server.client, &id, "pause").await;
    assert_eq!(paused["controlState"], "paused");
}

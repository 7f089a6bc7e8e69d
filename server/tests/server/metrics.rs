//! What the cluster is doing, as clients, workers and guests see it.

use serde_json::{Value, json};
use shared::wire::{Disposition, ResultStatus, ShardResult, ToServer};

use crate::support::{Client, Offer, TestServer, Worker, returned, value};

const CLUSTER: &str = "/api/metrics/cluster";

fn keys(object: &Value) -> Vec<&str> {
    let mut keys: Vec<&str> = object
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    keys.sort_unstable();
    keys
}

fn sorted(mut names: Vec<&str>) -> Vec<&str> {
    names.sort_unstable();
    names
}

/// Looks until what is seen satisfies: a look is good for a quarter of a second.
async fn seen(client: &Client, path: &str, is_wanted: impl Fn(&Value) -> bool) -> Value {
    loop {
        let answer = client.get(path).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        let metrics = answer.json();
        if is_wanted(&metrics) {
            return metrics;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

fn sharded(units: u64) -> Value {
    json!({
        "code": "return {hits: 1, samples: 1}", "executionModel": "sharded", "timeoutMs": 7,
        "allowDowngrade": false, "shardConfig": {"totalUnits": units, "unitsPerShard": 10},
    })
}

/// Finishes what it is given until the job has ended.
async fn work_off(worker: &mut Worker, client: &Client, job: &str) {
    while client.job(job).await["status"] != "done" {
        let assigned = worker.assigned().await;
        worker.finish(&assigned, |_| returned(&value(1))).await;
        worker.all_disposed(assigned.attempts()).await;
    }
}

#[tokio::test]
async fn a_cluster_at_rest_has_every_key_of_the_contract() {
    let server = TestServer::start().await;
    let worker = server.worker().await;
    let metrics = seen(&server.client, CLUSTER, |it| {
        it["workers"]["totals"]["workersConnected"] == 1
    })
    .await;
    assert_eq!(keys(&metrics), ["now", "runtime", "workers"]);
    assert_eq!(metrics["now"].as_str().unwrap().len(), 24);
    let all = &metrics["workers"];
    assert_eq!(keys(all), ["now", "self", "totals", "workers"]);
    assert_eq!(all["self"], Value::Null);
    assert_eq!(
        keys(&all["workers"][0]),
        sorted(vec![
            "workerId",
            "connected",
            "state",
            "lastSeenMs",
            "inFlightCount",
            "maxSlots",
            "availableSlots",
            "supportsAssignBatch",
            "dispatchScore",
            "resourceScore",
            "throughputUnitsPerSec",
            "reconnects",
            "completedJobs",
            "completedAddJobs",
            "completedRunJsJobs",
            "completedShards",
            "failedJobs",
            "failedShards",
            "contributedUnits",
            "totalDurationMs",
            "avgDurationMs",
            "capabilities",
            "firstSeenAt",
            "lastJobAt",
        ])
    );
    assert_eq!(
        all["workers"][0]["workerId"],
        json!(worker.welcome().worker)
    );
    assert_eq!(all["workers"][0]["lastJobAt"], Value::Null);
    assert_eq!(
        keys(&all["totals"]),
        sorted(vec![
            "workersTracked",
            "workersConnected",
            "completedJobs",
            "completedShards",
            "failedJobs",
            "failedShards",
            "contributedUnits",
            "totalDurationMs",
        ])
    );
    let runtime = &metrics["runtime"];
    assert_eq!(
        keys(runtime),
        sorted(vec![
            "now",
            "queueDepth",
            "activeAssignments",
            "counters",
            "jobs",
            "activeWorkerShardContexts",
        ])
    );
    assert_eq!(
        runtime["counters"],
        json!({
            "totalJobs": 0, "visibleJobs": 0, "hiddenJobs": 0, "queued": 0, "running": 0,
            "done": 0, "failed": 0, "pausedParents": 0, "cancelledParents": 0,
            "hiddenQueued": 0, "hiddenRunning": 0,
        })
    );
    assert_eq!(runtime["jobs"], json!([]));
    let guest = server.client.without_key().get(CLUSTER).await;
    assert_eq!(guest.error(401), "Unauthorized client token.");
}

#[tokio::test]
async fn work_is_credited_to_who_did_it_and_stays_when_the_worker_leaves() {
    let server = TestServer::start().await;
    let client = &server.client;
    let mut worker = server.worker().await;
    let id = client.submit("/api/jobs/run-js", &sharded(95)).await;
    work_off(&mut worker, client, &id).await;
    let add = client.submit("/api/jobs", &json!({"a": 2, "b": 40})).await;
    work_off(&mut worker, client, &add).await;
    let name = worker.welcome().worker.to_string();
    worker.say(&ToServer::Leave).await;
    let metrics = seen(client, CLUSTER, |it| {
        it["workers"]["workers"][0]["state"] == "offline"
    })
    .await;
    let row = &metrics["workers"]["workers"][0];
    let expected = json!({
        "workerId": name, "connected": false, "inFlightCount": 0, "availableSlots": 0,
        "completedJobs": 11, "completedAddJobs": 1, "completedRunJsJobs": 10,
        "completedShards": 10, "failedJobs": 0, "failedShards": 0, "contributedUnits": 95,
        "totalDurationMs": 16, "avgDurationMs": 1.5, "reconnects": 0, "capabilities": null,
    });
    for (key, value) in expected.as_object().unwrap() {
        assert_eq!(&row[key], value, "{key}");
    }
    assert!(row["throughputUnitsPerSec"].as_f64().unwrap() > 0.0);
    assert_eq!(row["lastJobAt"].as_str().unwrap().len(), 24);
    let totals = &metrics["workers"]["totals"];
    assert_eq!(
        (&totals["workersTracked"], &totals["workersConnected"]),
        (&json!(1), &json!(0))
    );
    assert_eq!(totals["contributedUnits"], 95);
    let jobs = metrics["runtime"]["jobs"].as_array().unwrap();
    let times = |job: &Value| (job["createdAt"].clone(), job["updatedAt"].clone());
    let (created, updated) = times(&jobs[0]);
    assert_eq!(
        jobs[0],
        json!({
            "jobId": add, "status": "done", "controlState": "running", "op": "add", "a": 2, "b": 40,
            "executionModel": "single", "assignedWorkerId": name,
            "createdAt": created, "updatedAt": updated,
        }),
        "the newest comes first"
    );
    let (created, updated) = times(&jobs[1]);
    assert_eq!(
        jobs[1],
        json!({
            "jobId": id, "status": "done", "controlState": "running", "op": "run_js", "timeoutMs": 7,
            "executionModel": "sharded", "assignedWorkerId": null,
            "createdAt": created, "updatedAt": updated,
            "totalShards": 10, "completedShards": 10, "failedShards": 0,
        })
    );
    let counters = &metrics["runtime"]["counters"];
    assert_eq!(
        (
            &counters["visibleJobs"],
            &counters["hiddenJobs"],
            &counters["done"]
        ),
        (&json!(2), &json!(10), &json!(2))
    );
}

#[tokio::test]
async fn shards_that_are_with_a_worker_are_shown_with_what_their_scripts_are_told() {
    let server = TestServer::start().await;
    let client = &server.client;
    let mut worker = server.worker().await;
    let id = client.submit("/api/jobs/run-js", &sharded(95)).await;
    let assigned = worker.assigned().await;
    let failed = ShardResult {
        status: ResultStatus::Threw,
        value: None,
        ..returned("1")
    };
    worker.finish(&assigned, |_| failed.clone()).await;
    let disposed = worker.all_disposed(assigned.attempts()).await;
    assert_eq!(disposed.keys().collect::<Vec<_>>(), [&Disposition::Stale]);
    let metrics = seen(client, CLUSTER, |it| {
        it["workers"]["workers"][0]["failedShards"] == assigned.attempts()
    })
    .await;
    let held = &metrics["runtime"]["activeWorkerShardContexts"]["worker-native"];
    assert!((1..=3).contains(&held.as_array().unwrap().len()), "{held}");
    let shard = held[0]["shardIndex"].as_u64().unwrap();
    let units = if shard == 9 { 5 } else { 10 };
    assert_eq!(
        held[0],
        json!({
            "jobId": held[0]["jobId"], "parentJobId": id, "shardIndex": shard, "totalShards": 10,
            "attempt": held[0]["attempt"],
            "context": {
                "parentJobId": id, "shardId": shard, "totalShards": 10, "units": units,
                "totalUnits": 95, "offset": 10 * shard,
            },
        })
    );
    let runtime = &metrics["runtime"];
    let with_workers = runtime["activeAssignments"].as_u64().unwrap();
    assert_eq!(runtime["queueDepth"].as_u64().unwrap() + with_workers, 10);
    assert_eq!(runtime["counters"]["hiddenRunning"], with_workers);
    assert_eq!(runtime["counters"]["running"], 1);
    assert_eq!(metrics["workers"]["workers"][0]["completedShards"], 0);
}

#[tokio::test]
async fn jobs_of_before_a_restart_are_still_listed_and_counted() {
    let server = TestServer::start().await;
    let mut worker = server.worker().await;
    let id = server.client.submit("/api/jobs/run-js", &sharded(30)).await;
    work_off(&mut worker, &server.client, &id).await;
    let open = server.client.submit("/api/jobs/run-js", &sharded(30)).await;
    let before = server
        .client
        .post(&format!("/api/jobs/{open}/pause"), &json!({}))
        .await;
    assert_eq!(before.status, 200);
    let folder = server.stop().await;
    let server = TestServer::on(folder, &[]).await;
    let metrics = server.client.get(CLUSTER).await.json();
    let runtime = &metrics["runtime"];
    let listed: Vec<_> = runtime["jobs"].as_array().unwrap().iter().collect();
    assert_eq!(
        (&listed[0]["jobId"], &listed[0]["controlState"]),
        (&json!(open), &json!("paused"))
    );
    assert_eq!(
        (&listed[1]["jobId"], &listed[1]["status"]),
        (&json!(id), &json!("done"))
    );
    let counters = &runtime["counters"];
    assert_eq!(
        (&counters["done"], &counters["pausedParents"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(counters["hiddenJobs"], 6);
}

#[tokio::test]
async fn a_guest_with_an_invite_sees_what_others_do_but_not_what_they_are() {
    let server = TestServer::start().await;
    let invite = server.client.invite().await;
    let device = shared::wire::DeviceFacts {
        hardware_concurrency: Some(8),
        platform: Some("Linux".into()),
        ..Default::default()
    };
    let offer = Offer {
        device,
        ..Offer::invited(&invite)
    };
    let worker = Worker::offer(&server.url, &offer).await;
    let guest = server.client.without_key();
    let path = format!("/api/worker/metrics?invite={invite}&workerId=worker-native");
    let metrics = seen(&guest, &path, |it| it["totals"]["workersConnected"] == 1).await;
    assert_eq!(keys(&metrics), ["now", "self", "totals", "workers"]);
    assert_eq!(metrics["self"]["workerId"], "worker-native");
    for row in [&metrics["self"], &metrics["workers"][0]] {
        assert_eq!(row["capabilities"], Value::Null, "anybody can claim a name");
        assert_eq!(row["resourceScore"], 8);
    }
    let unknown = format!("/api/worker/metrics?invite={invite}&workerId=%00");
    assert_eq!(guest.get(&unknown).await.json()["self"], Value::Null);

    let token = format!("Bearer {}", worker.welcome().token);
    let own = guest
        .get_with("/api/worker/metrics", &[("authorization", &token)])
        .await;
    let own = own.json();
    assert_eq!(own["self"]["capabilities"]["platform"], "Linux");
    assert_eq!(own["workers"][0]["capabilities"], Value::Null);
}

#[tokio::test]
async fn only_the_newest_invite_and_a_session_of_our_own_are_let_in() {
    let server = TestServer::start().await;
    let guest = server.client.without_key();
    let refused = async |query: &str| {
        let answer = guest.get(&format!("/api/worker/metrics{query}")).await;
        answer.error(401)
    };
    let why = |reason: &str| format!("Unauthorized worker invite: {reason}");
    assert_eq!(refused("").await, why("invalid_token_format"));
    assert_eq!(
        refused("?invite=nonsense").await,
        why("invalid_token_format")
    );
    let forged = "?invite=v1.eyJhIjoxfQ.AAAAAAAAAAAAAAAA";
    assert_eq!(refused(forged).await, why("invalid_signature"));
    let old = server.client.invite().await;
    assert_eq!(
        guest
            .get(&format!("/api/worker/metrics?invite={old}"))
            .await
            .status,
        200
    );
    server.client.invite().await;
    assert_eq!(refused(&format!("?invite={old}")).await, why("stale_token"));
    let newest = server.client.invite().await;
    let shown = async |invite: &str| {
        let bearer = format!("Bearer {invite}");
        let headers = [("authorization", bearer.as_str())];
        guest.get_with("/api/worker/metrics", &headers).await
    };
    assert_eq!(shown(&newest).await.status, 200, "in a header, too");
    assert_eq!(shown(&old).await.error(401), why("stale_token"));
    assert_eq!(
        shown("v1.eyJhIjoxfQ.AAAAAAAAAAAAAAAA").await.error(401),
        why("invalid_signature")
    );
    for headers in [
        ("authorization", "Bearer s1.x.y"),
        ("authorization", "Bearer x"),
    ] {
        let answer = guest.get_with("/api/worker/metrics", &[headers]).await;
        assert_eq!(answer.error(401), "Unauthorized worker session.");
    }
}

const INSTRUMENTS: &str = "/metrics/prometheus";
const TOKEN: &str = "a token for monitoring";

/// The value of a sample; `None` where there is none of that name.
fn sample(text: &str, name: &str) -> Option<f64> {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.map(|value| value.parse().unwrap())
}

#[tokio::test]
async fn instruments_follow_what_happens() {
    let server = TestServer::start().await;
    let (client, anyone) = (&server.client, server.client.without_key());
    let mut worker = server.worker().await;
    let id = client.submit("/api/jobs/run-js", &sharded(95)).await;
    work_off(&mut worker, client, &id).await;
    assert_eq!(client.get("/api/jobs/no-such-job").await.status, 404);
    assert_eq!(client.get("/no/such/page").await.status, 404);
    let refusal = shared::wire::Refused {
        range: None,
        reason: shared::wire::RefusalReason::BadSignature,
    };
    worker.say(&ToServer::Refused(vec![refusal])).await;
    let text = loop {
        let answer = anyone.get(INSTRUMENTS).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        let refused = sample(
            &answer.text,
            "cluster_refusals_total{reason=\"bad_signature\"}",
        );
        if refused == Some(1.0) && sample(&answer.text, "cluster_jobs{state=\"done\"}") == Some(1.0)
        {
            assert_eq!(
                answer.header("content-type"),
                Some("application/openmetrics-text; version=1.0.0; charset=utf-8")
            );
            break answer.text;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    };
    for (name, value) in [
        ("cluster_jobs{state=\"running\"}", 0.0),
        ("cluster_shards_completed_total", 10.0),
        ("cluster_shards_failed_total", 0.0),
        ("cluster_units_total", 95.0),
        ("cluster_workers", 1.0),
        ("cluster_slots", 4.0),
        ("cluster_slots_busy", 0.0),
        ("cluster_queue_depth", 0.0),
        ("cluster_assignments", 0.0),
        ("cluster_uncommitted_bytes", 0.0),
        (
            "cluster_http_requests_total{route=\"/api/jobs/run-js\",status=\"201\"}",
            1.0,
        ),
        (
            "cluster_http_requests_total{route=\"/api/jobs/{job}\",status=\"404\"}",
            1.0,
        ),
        (
            "cluster_http_requests_total{route=\"none\",status=\"404\"}",
            1.0,
        ),
    ] {
        assert_eq!(sample(&text, name), Some(value), "{name} in {text}");
    }
    for name in [
        "cluster_commit_seconds_count",
        "cluster_frames_total{direction=\"in\"}",
        "cluster_frames_total{direction=\"out\"}",
        "cluster_resident_memory_bytes",
    ] {
        assert!(sample(&text, name) >= Some(1.0), "{name} in {text}");
    }
    assert!(text.ends_with("# EOF\n"));
    for secret in [&id, crate::support::server::KEY, "worker-native"] {
        assert!(!text.contains(secret), "{secret}");
    }
}

#[tokio::test]
async fn a_socket_that_is_closed_is_counted_by_the_reason() {
    let server = TestServer::start().await;
    Worker::refused(&server.url, &Offer::invited("nonsense")).await;
    let answer = server.client.get(INSTRUMENTS).await;
    let name = "cluster_socket_closes_total{reason=\"unauthorized\"}";
    assert_eq!(sample(&answer.text, name), Some(1.0), "{}", answer.text);
}

#[tokio::test]
async fn instruments_are_for_this_machine_or_for_the_bearer_of_the_token() {
    let refusal = "Unauthorized metrics token; the operator sets it as METRICS_TOKEN.";
    let server = TestServer::start().await;
    for header in ["x-forwarded-for", "forwarded", "via"] {
        let answer = server
            .client
            .get_with(INSTRUMENTS, &[(header, "127.0.0.1")])
            .await;
        assert_eq!(answer.error(401), refusal, "{header}");
    }
    let rebound = [("host", "evil.example")];
    let answer = server.client.get_with(INSTRUMENTS, &rebound).await;
    assert_eq!(answer.error(401), refusal, "a host of another name");
    let settings = [
        ("METRICS_TOKEN", TOKEN),
        ("METRICS_PATH", "/Watch/It/"),
        ("BASE_PATH", "/grid"),
    ];
    let server = TestServer::with(&settings).await;
    assert_eq!(server.client.get(INSTRUMENTS).await.status, 404);
    let bearer = format!("Bearer {TOKEN}");
    for path in ["/watch/it", "/WATCH/it/"] {
        let anyone = server.client.without_key();
        assert_eq!(
            server.client.get(path).await.error(401),
            refusal,
            "the client key is another"
        );
        assert_eq!(anyone.get(path).await.error(401), refusal);
        let forwarded = [
            ("authorization", bearer.as_str()),
            ("x-forwarded-for", "10.0.0.1"),
        ];
        assert_eq!(anyone.get_with(path, &forwarded).await.status, 200);
    }
}

//! Section 10: workers and metrics, of a cluster in which everything has happened once.

use serde_json::{Value, json};
use shared::wire::DeviceFacts;

use super::shapes::{added, created, invite, sharded, totals, with, worker_list, worker_row};
use crate::answer::Expect;
use crate::row::{Act, Row, Stage, get, post, row, seen, step};
use crate::script::{HALF, HITS, LOGS};
use crate::worker::Device;

const RUN: &str = "/api/jobs/run-js";
const CLUSTER: &str = "/api/metrics/cluster";

fn phone() -> Device {
    Device {
        slots: 2,
        facts: DeviceFacts {
            hardware_concurrency: Some(4),
            device_memory_gb: Some(8.0),
            effective_type: Some("4g".into()),
            downlink_mbps: Some(1.5),
            rtt_ms: Some(50.0),
            save_data: Some(false),
            platform: Some("Linux".into()),
            visibility: Some("visible".into()),
            battery_level: Some(0.5),
            charging: Some(true),
            mobile: true,
            secure_context: true,
        },
    }
}

fn capabilities() -> Value {
    json!({
        "hardwareConcurrency": 4, "deviceMemoryGB": 8, "effectiveType": "4g", "downlinkMbps": 1.5,
        "rttMs": 50, "saveData": false, "platform": "Linux", "visibility": "visible",
        "batteryLevel": 0.5, "charging": true, "updatedAt": "<time>",
    })
}

/// A row of metrics. `work`: jobs, additions, scripts, shards, units, milliseconds.
fn metrics_row(
    name: &str,
    state: &str,
    slots: [u64; 3],
    work: [u64; 6],
    capabilities: Value,
) -> Value {
    let [jobs, additions, scripts, shards, units, duration] = work;
    let mean = duration.checked_div(jobs).unwrap_or(0);
    json!({
        "workerId": name, "connected": state != "offline", "state": state, "lastSeenMs": "<int>",
        "inFlightCount": slots[1], "maxSlots": slots[0], "availableSlots": slots[2],
        "supportsAssignBatch": true, "dispatchScore": "<number>", "resourceScore": "<number>",
        "throughputUnitsPerSec": "<number>", "reconnects": 0, "completedJobs": jobs,
        "completedAddJobs": additions, "completedRunJsJobs": scripts, "completedShards": shards,
        "failedJobs": 0, "failedShards": 0, "contributedUnits": units, "totalDurationMs": duration,
        "avgDurationMs": mean, "capabilities": capabilities, "firstSeenAt": "<time>",
        "lastJobAt": if jobs == 0 { json!(null) } else { json!("<time>") },
    })
}

fn workers(rows: &[Value], of_self: Value, totals: Value) -> Value {
    json!({"now": "<time>", "self": of_self, "workers": rows, "totals": totals})
}

fn at_rest(counted: u64) -> Value {
    json!({
        "now": "<time>", "queueDepth": 0, "activeAssignments": 0, "jobs": [],
        "activeWorkerShardContexts": {},
        "counters": {
            "totalJobs": counted, "visibleJobs": 0, "hiddenJobs": 0, "queued": 0, "running": 0,
            "done": 0, "failed": 0, "pausedParents": 0, "cancelledParents": 0, "hiddenQueued": 0,
            "hiddenRunning": 0,
        },
    })
}

fn cluster(workers: Value, runtime: Value) -> Expect {
    Expect::json(
        200,
        json!({"now": "<time>", "workers": workers, "runtime": runtime}),
    )
}

/// A job in the list. `rest` is what its kind has.
fn job(name: &str, status: &str, model: &str, worker: Value, rest: Value) -> Value {
    with(
        json!({
            "jobId": format!("{{{name}}}"), "status": status, "controlState": "running",
            "executionModel": model, "assignedWorkerId": worker, "createdAt": "<time>",
            "updatedAt": "<time>",
        }),
        rest,
    )
}

fn shard_rest(total: u64, completed: u64) -> Value {
    json!({
        "op": "run_js", "timeoutMs": 0, "totalShards": total, "completedShards": completed,
        "failedShards": 0,
    })
}

fn active(shard: u64) -> Value {
    json!({
        "jobId": "<text>", "parentJobId": "{half}", "shardIndex": shard, "totalShards": 4, "attempt": 1,
        "context": {
            "parentJobId": "{half}", "shardId": shard, "totalShards": 4, "units": 10, "totalUnits": 40,
            "offset": 10 * shard,
        },
    })
}

/// One job after the other, each to its end.
fn work() -> Vec<Row> {
    let ends = |claim: &str, body: Value, name: &str| {
        let model = if body["executionModel"] == "sharded" {
            "sharded"
        } else {
            "single"
        };
        let status = if model == "sharded" {
            "running"
        } else {
            "<one of queued running>"
        };
        row(
            "5",
            claim,
            post(RUN, &body),
            Expect::json(201, created(name, status, model, json!(null))),
        )
    };
    let sum = json!({"type": "sum", "fields": ["hits", "samples"]});
    let done = |name: &'static str| {
        let until = Act::Ask {
            ask: Box::new(get(&format!("/api/jobs/{{{name}}}?result=none"))),
            until: Some(("/status", json!("done"))),
        };
        step("until it is done", until)
    };
    vec![
        row(
            "5",
            "add",
            post("/api/jobs", &json!({"a": 2, "b": 40})),
            Expect::json(201, added("sum", "<one of queued running>")),
        ),
        done("sum"),
        ends(
            "a single script",
            json!({"code": LOGS, "timeoutMs": 250}),
            "single",
        ),
        done("single"),
        ends("a sharded one", sharded(HITS, 95, 10, sum.clone()), "many"),
        done("many"),
        ends(
            "one that is held after two shards",
            sharded(HALF, 40, 10, sum),
            "half",
        ),
    ]
}

/// The cluster with two of four shards out.
fn busy() -> Value {
    json!({
        "now": "<time>", "queueDepth": 0, "activeAssignments": 2,
        "counters": {
            "totalJobs": 18, "visibleJobs": 4, "hiddenJobs": 14, "queued": 0, "running": 1, "done": 3,
            "failed": 0, "pausedParents": 0, "cancelledParents": 0, "hiddenQueued": 0,
            "hiddenRunning": 2,
        },
        "jobs": [
            job("half", "running", "sharded", json!(null), shard_rest(4, 2)),
            job("many", "done", "sharded", json!(null), shard_rest(10, 10)),
            job("single", "done", "single", json!("device-a"), json!({"op": "run_js", "timeoutMs": 250})),
            job("sum", "done", "single", json!("device-a"), json!({"op": "add", "a": 2, "b": 40})),
        ],
        "activeWorkerShardContexts": {"device-a": [active(2), active(3)]},
    })
}

/// A worker that does everything and one that does nothing and leaves.
pub(crate) fn stage() -> Stage {
    let join = |name, device| {
        let act = Act::Join(name, "{token}", device);
        seen("11", "a worker joins", act, Expect::seen(json!("welcome")))
    };
    let known = with(
        worker_row("device-a", 2, 0),
        json!({"hardwareConcurrency": 4, "deviceMemoryGB": 8, "effectiveType": "4g"}),
    );
    let fresh = metrics_row("device-a", "idle", [2, 0, 2], [0; 6], capabilities());
    let did = [14, 1, 13, 12, 115, 168];
    let worked = |capabilities| metrics_row("device-a", "busy", [2, 2, 0], did, capabilities);
    let left = metrics_row("device-b", "offline", [1, 0, 0], [0; 6], json!(null));
    let all = totals(2, 1, [14, 12, 0, 0, 115, 168]);
    let own = "/api/worker/metrics?invite={token}&workerId=device-a";
    let unknown = "/api/worker/metrics?invite={token}&workerId=device-x";
    let guest = [worked(json!(null)), left.clone()];
    let mut rows = vec![
        row(
            "10",
            "no workers",
            get("/api/workers"),
            Expect::json(200, worker_list(&[])),
        ),
        row(
            "10",
            "an empty cluster",
            get(CLUSTER),
            cluster(workers(&[], json!(null), totals(0, 0, [0; 6])), at_rest(0)),
        ),
        row(
            "4",
            "an invite",
            post("/api/invites/worker", &json!({})),
            Expect::json(201, invite("token", 7, 8, 3600)),
        ),
        join("device-a", phone()),
        row(
            "10",
            "a worker",
            get("/api/workers"),
            Expect::json(200, worker_list(&[known])),
        ),
        row(
            "10",
            "a cluster at rest",
            get(CLUSTER),
            cluster(
                workers(&[fresh], json!(null), totals(1, 1, [0; 6])),
                at_rest(0),
            ),
        )
        .until("/workers/totals/workersConnected", 1),
    ];
    rows.extend(work());
    rows.extend([
        row(
            "10",
            "without a free slot it is busy",
            get("/api/workers"),
            Expect::json(
                200,
                worker_list(&[with(
                    worker_row("device-a", 2, 2),
                    json!({"hardwareConcurrency": 4, "deviceMemoryGB": 8, "effectiveType": "4g"}),
                )]),
            ),
        )
        .until("/workers/0/inFlightCount", 2),
        join("device-b", Device::of_slots(1)),
        step("a worker leaves", Act::Leave("device-b")),
        row(
            "10",
            "a cluster at work, the worker that left in the last place",
            get(CLUSTER),
            cluster(
                workers(&[worked(capabilities()), left], json!(null), all.clone()),
                busy(),
            ),
        )
        .until("/workers/workers/1/state", "offline"),
        row(
            "10",
            "a worker page sees its own row",
            get(own).anonymous(),
            Expect::json(200, workers(&guest, worked(json!(null)), all.clone())),
        ),
        row(
            "10",
            "and none of a worker that is not known",
            get(unknown).anonymous(),
            Expect::json(200, workers(&guest, json!(null), all)),
        ),
        row(
            "10",
            "but nothing without an invite",
            get("/api/worker/metrics?workerId=device-a").anonymous(),
            Expect::error(401, "Unauthorized worker invite: invalid_token_format"),
        ),
    ]);
    Stage {
        name: "metrics",
        settings: Vec::new(),
        rows,
    }
}

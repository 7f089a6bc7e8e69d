//! Bodies that several chapters speak of.

use serde_json::{Value, json};

/// An invite whose parts are remembered: the token as `token`, its code as `<token>-code`, its slug
/// as `<token>-slug`, its phrase as `<token>-phrase`, its picture as `<token>-qr`, its end as
/// `<token>-end`.
pub(crate) fn invite(token: &str, code_length: u8, words: u8, ttl_sec: u32) -> Value {
    let pattern = format!("<{token} := like v1\\.[A-Za-z0-9_-]+\\.[A-Za-z0-9_-]{{43}}>");
    let letters = format!("<{token}-code := like [a-hjkmnp-z2-9]{{{code_length}}}>");
    let more = words - 1;
    json!({
        "inviteToken": pattern,
        "inviteUrl": format!("{{base}}/worker?invite={{{token}}}"),
        "shortCode": letters,
        "shortInviteUrl": format!("{{base}}/j/{{{token}-code}}"),
        "phraseSlug": format!("<{token}-slug := like [a-z]+(-[a-z]+){{{more}}}>"),
        "phraseCode": format!("<{token}-phrase := like [a-z]+( [a-z]+){{{more}}}>"),
        "phraseInviteUrl": format!("{{base}}/p/{{{token}-slug}}"),
        "inviteQrDataUrl": format!("<{token}-qr := like data:image/png;base64,[A-Za-z0-9+/]+={{0,2}}>"),
        "expiresAt": format!("<{token}-end := time>"),
        "ttlSec": ttl_sec,
    })
}

/// A submitted script.
pub(crate) fn created(name: &str, status: &str, model: &str, note: Value) -> Value {
    json!({
        "jobId": format!("<{name} := uuid>"), "status": status, "controlState": "running",
        "executionModel": model, "note": note,
    })
}

/// A submitted addition.
pub(crate) fn added(name: &str, status: &str) -> Value {
    json!({"jobId": format!("<{name} := uuid>"), "status": status})
}

/// How a job stands that has no result.
pub(crate) fn state(name: &str, status: &str, control: &str, task: Value) -> Value {
    let model = task["executionModel"]
        .as_str()
        .unwrap_or("single")
        .to_owned();
    json!({
        "jobId": format!("{{{name}}}"), "status": status, "controlState": control,
        "executionModel": model, "task": task, "result": null, "error": null,
    })
}

/// The same with some members replaced or added.
pub(crate) fn with(mut body: Value, members: Value) -> Value {
    let (Value::Object(body_members), Value::Object(members)) = (&mut body, members) else {
        panic!("two objects");
    };
    body_members.extend(members);
    body
}

/// A single script as a task.
pub(crate) fn single_task(code: &str, timeout_ms: u64) -> Value {
    json!({
        "op": "run_js", "executionModel": "single", "controlState": "running",
        "timeoutMs": timeout_ms, "codeBytes": code.len(), "hasArgs": true,
        "+seed": "<like \\d+>", "+random": "seeded",
    })
}

/// A sharded script as a task: its units, units a shard, and shards; how many of these are completed
/// and failed.
pub(crate) fn sharded_task(
    code: &str,
    control: &str,
    reducer: Value,
    cut: [u64; 3],
    done: [u64; 2],
) -> Value {
    with(
        single_task(code, 0),
        json!({
            "executionModel": "sharded", "controlState": control, "reducer": reducer,
            "shardConfig": config(cut),
            "shards": {"total": cut[2], "completed": done[0], "failed": done[1]},
        }),
    )
}

/// Units, units a shard, and shards.
pub(crate) fn config([units, per_shard, shards]: [u64; 3]) -> Value {
    json!({"totalUnits": units, "unitsPerShard": per_shard, "totalShards": shards})
}

/// A sharded submission.
pub(crate) fn sharded(code: &str, units: u64, per_shard: u64, reducer: Value) -> Value {
    json!({
        "code": code, "executionModel": "sharded", "allowDowngrade": false, "reducer": reducer,
        "shardConfig": {"totalUnits": units, "unitsPerShard": per_shard},
    })
}

/// A worker of which nothing is known but its slots.
pub(crate) fn worker_row(name: &str, slots: u32, in_flight: u32) -> Value {
    json!({
        "workerId": name, "state": if in_flight < slots { "idle" } else { "busy" },
        "lastSeenMs": "<int>", "inFlightCount": in_flight, "maxSlots": slots,
        "availableSlots": slots.saturating_sub(in_flight), "supportsAssignBatch": true,
        "dispatchScore": "<number>", "hardwareConcurrency": null, "deviceMemoryGB": null,
        "effectiveType": null,
    })
}

/// These workers, none of which is known but by its slots.
pub(crate) fn worker_list(rows: &[Value]) -> Value {
    let slots = rows
        .iter()
        .map(|row| row["maxSlots"].as_u64().unwrap_or_default());
    json!({"count": rows.len(), "totalSlots": slots.sum::<u64>(), "workers": rows})
}

/// Totals of workers: completed jobs and shards, failed jobs and shards, units, milliseconds.
pub(crate) fn totals(tracked: u64, connected: u64, work: [u64; 6]) -> Value {
    json!({
        "workersTracked": tracked, "workersConnected": connected,
        "completedJobs": work[0], "completedShards": work[1], "failedJobs": work[2],
        "failedShards": work[3], "contributedUnits": work[4], "totalDurationMs": work[5],
    })
}

/// An envelope of a run that returned this.
pub(crate) fn envelope(value: Value, kind: &str, bytes: usize) -> Value {
    json!({
        "ok": true, "exitCode": 0, "durationMs": 12, "returnType": kind, "returnValue": value,
        "argsType": "object", "logs": [],
        "output": {"text": "", "truncated": false, "bytes": 0}, "error": null, "notes": [],
        "stats": {"droppedLogs": 0, "serializedReturnBytes": bytes},
    })
}

/// An envelope of a run that failed.
pub(crate) fn failure(exit_code: u8, duration_ms: u64, message: &str, stack: Value) -> Value {
    let mut envelope = with(
        envelope(json!(null), "none", 0),
        json!({
            "ok": false, "exitCode": exit_code, "durationMs": duration_ms,
            "error": {"message": message, "stack": stack},
        }),
    );
    if exit_code != 1 {
        envelope.as_object_mut().expect("an object").remove("stats");
    }
    envelope
}

//! Section 9: the events of a sharded job, kind by kind, and how they are paged.

use serde_json::{Value, json};

use super::shapes::{added, config, created, failure, invite, sharded, with};
use crate::answer::Expect;
use crate::row::{Act, Ask, Row, Stage, get, post, row, seen, step};
use crate::script::{HALF, HELD, HITS, TEXTS, THROWS};
use crate::worker::Device;

const RUN: &str = "/api/jobs/run-js";
const CUT: [u64; 3] = [25, 10, 3];

fn sum() -> Value {
    json!({"type": "sum", "fields": ["hits", "samples"]})
}

fn event(seq: u64, kind: &str, rest: Value) -> Value {
    with(json!({"seq": seq, "ts": "<time>", "type": kind}), rest)
}

fn started(job: &str, reducer: &Value) -> Value {
    let rest = json!({
        "jobId": format!("{{{job}}}"), "executionModel": "sharded", "totalShards": 3,
        "shardConfig": config(CUT), "reducer": reducer, "args": {"x": 1},
    });
    event(1, "job_started", rest)
}

/// `shard_done` of a shard that returned hits and samples.
fn done(job: &str, seq: u64, shard: u64, completed: u64) -> Value {
    let units = if shard == 2 { 5 } else { 10 };
    let rest = json!({
        "parentJobId": format!("{{{job}}}"), "childJobId": "<text>", "workerId": "device-a",
        "shardIndex": shard, "totalShards": 3, "completedShards": completed, "failedShards": 0,
        "shardContext": {
            "parentJobId": format!("{{{job}}}"), "shardId": shard, "totalShards": 3, "units": units,
            "totalUnits": 25, "offset": 10 * shard,
        },
        "result": {"hits": shard, "samples": units},
    });
    event(seq, "shard_done", rest)
}

fn switched(job: &str, seq: u64, kind: &str, completed: u64) -> Value {
    let rest =
        json!({"jobId": format!("{{{job}}}"), "completedShards": completed, "totalShards": 3});
    event(seq, kind, rest)
}

/// How the job stands, with these events and these numbers: next, first, dropped.
fn page(
    job: &str,
    reducer: &Value,
    standing: [&str; 2],
    events: &[Value],
    more: bool,
    seqs: [u64; 3],
) -> Expect {
    Expect::json(
        200,
        json!({
            "jobId": format!("{{{job}}}"), "status": standing[0], "controlState": standing[1],
            "executionModel": "sharded", "shardConfig": config(CUT), "reducer": reducer,
            "events": events, "hasMore": more, "nextSeq": seqs[0], "firstSeq": seqs[1],
            "droppedBeforeSeq": seqs[2],
        }),
    )
}

fn tell(path: &str) -> Ask {
    post(path, &json!({}))
}

fn submit(name: &str, code: &str, reducer: &Value) -> Row {
    let body = with(
        sharded(code, 25, 10, reducer.clone()),
        json!({"args": {"x": 1}}),
    );
    let expect = Expect::json(201, created(name, "running", "sharded", json!(null)));
    row("5", "a sharded job", post(RUN, &body), expect)
}

/// Pausing or resuming, which other chapters look at more closely.
fn switch(job: &str, verb: &str, control: &str) -> Row {
    let body = json!({"ok": true, "jobId": format!("{{{job}}}"), "controlState": control});
    row(
        "6",
        verb,
        tell(&format!("/api/jobs/{{{job}}}/{verb}")),
        Expect::json(200, body),
    )
}

/// A job that is paused, resumed, and done.
fn done_job() -> Vec<Row> {
    let ask = |query: &str| get(&format!("/api/jobs/{{half}}/events{query}"));
    let result = json!({
        "reducer": sum(), "aggregate": {"hits": 3, "samples": 25}, "completedShards": 3,
        "totalShards": 3, "derived": {"piEstimate": 0.48, "hitRatio": 0.12},
    });
    let last = json!({
        "jobId": "{half}", "completedShards": 3, "failedShards": 0, "totalShards": 3, "result": result,
    });
    let all = vec![
        started("half", &sum()),
        done("half", 2, 0, 1),
        done("half", 3, 1, 2),
        switched("half", 4, "job_paused", 2),
        switched("half", 5, "job_resumed", 2),
        done("half", 6, 2, 3),
        event(7, "job_done", last),
    ];
    let running = |events: &[Value], more| {
        page(
            "half",
            &sum(),
            ["running", "running"],
            events,
            more,
            [6, 1, 0],
        )
    };
    let ended =
        |events: &[Value], more| page("half", &sum(), ["done", "running"], events, more, [8, 1, 0]);
    vec![
        submit("half", HALF, &sum()),
        row(
            "9",
            "two of three shards",
            ask(""),
            page(
                "half",
                &sum(),
                ["running", "running"],
                &all[..3],
                false,
                [4, 1, 0],
            ),
        )
        .until("/nextSeq", 4),
        switch("half", "pause", "paused"),
        switch("half", "resume", "running"),
        row(
            "9",
            "oldest first",
            ask("?after=0&limit=64"),
            running(&all[..5], false),
        ),
        row(
            "9",
            "at most limit",
            ask("?limit=2"),
            running(&all[..2], true),
        ),
        row(
            "9",
            "after the last seen",
            ask("?after=2&limit=2"),
            running(&all[2..4], true),
        ),
        row(
            "9",
            "until there are no more",
            ask("?after=4&limit=2"),
            running(&all[4..5], false),
        ),
        row(
            "9",
            "nothing after the last",
            ask("?after=5"),
            running(&[], false),
        ),
        step("the rest is finished", Act::Release("device-a")),
        row("9", "the end", ask("?after=5"), ended(&all[5..], false)).until("/status", "done"),
        row(
            "9",
            "bad values mean the default",
            ask("?after=x&limit=-1"),
            ended(&all, false),
        ),
        row(
            "9",
            "limit 0 does, too",
            ask("?limit=0"),
            ended(&all, false),
        ),
    ]
}

/// Jobs that fail or are stopped.
fn other_ends() -> Vec<Row> {
    let collect = json!({"type": "collect"});
    let ask = |job: &str, after: u64| get(&format!("/api/jobs/{{{job}}}/events?after={after}"));
    let cancelled = json!({
        "jobId": "{held}", "completedShards": 0, "failedShards": 0, "totalShards": 3,
        "reason": "stopped_by_client",
    });
    let failed = json!({
        "jobId": "{texts}", "completedShards": "<int ..2>", "failedShards": 0, "totalShards": 3,
        "reason": "<like reducer_error:sum reducer field 'hits' must be numeric\\..*>",
    });
    let shard = |seq: u64, failed: u64| {
        let rest = json!({
            "parentJobId": "{throws}", "childJobId": "<text>", "workerId": "device-a",
            "shardIndex": "<int ..2>", "totalShards": 3, "completedShards": failed,
            "failedShards": failed, "error": "boom",
        });
        event(seq, "shard_failed", rest)
    };
    let thrown = failure(1, 12, "boom", json!("at job:1"));
    let all = json!({
        "jobId": "{throws}", "completedShards": 3, "failedShards": 3, "totalShards": 3,
        "result": {
            "reducer": collect, "aggregate": [thrown, thrown, thrown], "completedShards": 3,
            "totalShards": 3,
        },
    });
    let end = page(
        "throws",
        &collect,
        ["done", "running"],
        &[event(5, "job_done", all)],
        false,
        [6, 1, 0],
    );
    let folded = page(
        "throws",
        &collect,
        ["done", "running"],
        &[shard(2, 1), shard(3, 2), shard(4, 3)],
        true,
        [6, 1, 0],
    );
    vec![
        submit("held", HELD, &collect),
        row(
            "6",
            "stop all",
            tell("/api/jobs/stop-all"),
            Expect::json(200, json!({"ok": true, "stopped": 1})),
        ),
        row(
            "9",
            "a stopped job",
            ask("held", 1),
            page(
                "held",
                &collect,
                ["failed", "cancelled"],
                &[event(2, "job_cancelled", cancelled)],
                false,
                [3, 1, 0],
            ),
        ),
        submit("texts", TEXTS, &sum()),
        row(
            "9",
            "a job that fails by itself",
            ask("texts", 1),
            page(
                "texts",
                &sum(),
                ["failed", "running"],
                &[event(2, "job_failed", failed)],
                false,
                [3, 1, 0],
            ),
        )
        .until("/status", "failed"),
        submit("throws", THROWS, &collect),
        row(
            "9",
            "shards that fail",
            get("/api/jobs/{throws}/events?after=1&limit=3"),
            folded,
        )
        .until("/status", "done"),
        row(
            "9",
            "and the end, with what was collected",
            ask("throws", 4),
            end,
        ),
    ]
}

/// A worker of four slots.
pub(crate) fn stage() -> Stage {
    let act = Act::Join("device-a", "{token}", Device::of_slots(4));
    let mut rows = vec![
        row(
            "4",
            "an invite",
            tell("/api/invites/worker"),
            Expect::json(201, invite("token", 7, 8, 3600)),
        ),
        seen("11", "a worker joins", act, Expect::seen(json!("welcome"))),
    ];
    rows.extend(done_job());
    rows.extend(other_ends());
    rows.extend([
        row(
            "5",
            "a single job",
            post("/api/jobs", &json!({"a": 1, "b": 1})),
            Expect::json(201, added("one", "<one of queued running>")),
        ),
        row(
            "9",
            "has no events",
            get("/api/jobs/{one}/events"),
            Expect::error(400, "Live events are only available for sharded jobs."),
        ),
    ]);
    Stage {
        name: "events",
        settings: Vec::new(),
        rows,
    }
}

/// A buffer of a hundred events, and a job that has more.
pub(crate) fn small_buffer() -> Stage {
    let act = Act::Join("device-a", "{token}", Device::of_slots(4));
    let hits = 199 * 200 / 2;
    let result = json!({
        "reducer": sum(), "aggregate": {"hits": hits, "samples": 200}, "completedShards": 200,
        "totalShards": 200, "derived": {"piEstimate": 398, "hitRatio": 99.5},
    });
    // One event for the start, one for each of 200 shards, one for the end.
    let last = json!({
        "jobId": "{many}", "completedShards": 200, "failedShards": 0, "totalShards": 200,
        "result": result,
    });
    let page = |events: Value, more: bool, dropped: u64| {
        let body = json!({
            "jobId": "{many}", "status": "done", "controlState": "running",
            "executionModel": "sharded", "shardConfig": config([200, 1, 200]), "reducer": sum(),
            "events": events, "hasMore": more, "nextSeq": 203, "firstSeq": 103,
            "droppedBeforeSeq": dropped,
        });
        Expect::json(200, body)
    };
    let done = event(202, "job_done", last);
    let shown = |after: u64| get(&format!("/api/jobs/{{many}}/events?after={after}&limit=1"));
    let first = json!([event(
        103,
        "shard_done",
        json!({
            "parentJobId": "{many}", "childJobId": "<text>", "workerId": "device-a",
            "shardIndex": "<shard := int 0..199>", "totalShards": 200, "completedShards": 102,
            "failedShards": 0,
            "shardContext": {
                "parentJobId": "{many}", "shardId": "{shard}", "totalShards": 200, "units": 1,
                "totalUnits": 200, "offset": "{shard}",
            },
            "result": {"hits": "{shard}", "samples": 1},
        })
    )]);
    Stage {
        name: "a small buffer of events",
        settings: vec![("JOB_EVENT_BUFFER_SIZE", "100".into())],
        rows: vec![
            row(
                "4",
                "an invite",
                tell("/api/invites/worker"),
                Expect::json(201, invite("token", 7, 8, 3600)),
            ),
            seen("11", "a worker joins", act, Expect::seen(json!("welcome"))),
            row(
                "5",
                "a job of 200 shards",
                post(RUN, &sharded(HITS, 200, 1, sum())),
                Expect::json(201, created("many", "running", "sharded", json!(null))),
            ),
            row(
                "9",
                "the newest hundred are kept",
                shown(201),
                page(json!([done]), false, 0),
            )
            .until("/status", "done"),
            row(
                "9",
                "and what is gone is counted",
                shown(0),
                page(first.clone(), true, 102),
            ),
            row(
                "9",
                "from where was asked",
                shown(100),
                page(first.clone(), true, 2),
            ),
            row(
                "9",
                "which may be nothing",
                shown(102),
                page(first, true, 0),
            ),
        ],
    }
}

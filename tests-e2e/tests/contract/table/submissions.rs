//! Section 5: submissions, field by field: what is taken, what it comes to, what is refused.
//!
//! No worker is connected, so that every job waits and shows what was made of its request.

use serde_json::{Value, json};

use super::shapes::{added, config, created, sharded, sharded_task, single_task, state, with};
use crate::answer::Expect;
use crate::row::{Row, Stage, get, post, row};
use crate::script::HITS;

const ADD: &str = "/api/jobs";
const RUN: &str = "/api/jobs/run-js";
const OPERANDS: &str =
    "<like .*Fields 'a' and 'b' must be integers in \\[-1000000000, 1000000000\\]\\.>";

/// A server without workers.
pub(crate) fn stage() -> Stage {
    let mut rows = additions();
    rows.extend(scripts());
    rows.extend(cuts());
    rows.extend(reducers());
    rows.extend(notes());
    rows.extend(refusals());
    Stage {
        name: "submissions",
        settings: Vec::new(),
        rows,
    }
}

fn additions() -> Vec<Row> {
    let taken = |claim: &str, body: Value, a: i64, b: i64| {
        let task = json!({"op": "add", "a": a, "b": b});
        let waits = with(
            state("job", "queued", "running", task),
            json!({"+waiting": "no worker"}),
        );
        [
            row(
                "5",
                claim,
                post(ADD, &body),
                Expect::json(201, added("job", "queued")),
            ),
            row("6", claim, get("/api/jobs/{job}"), Expect::json(200, waits)),
        ]
    };
    let refused =
        |claim: &str, body: Value| row("5", claim, post(ADD, &body), Expect::error(400, OPERANDS));
    let mut rows: Vec<Row> = [
        taken("add", json!({"a": 2, "b": 40}), 2, 40),
        taken(
            "add at its bounds",
            json!({"a": -1_000_000_000, "b": 1_000_000_000}),
            -1_000_000_000,
            1_000_000_000,
        ),
        taken(
            "unknown fields are ignored",
            json!({"a": 0, "b": 1.0, "c": "x"}),
            0,
            1,
        ),
    ]
    .into_iter()
    .flatten()
    .collect();
    rows.extend([
        refused("a missing", json!({"b": 1})),
        refused("b missing", json!({"a": 1})),
        refused("a as a text", json!({"a": "1", "b": 1})),
        refused("b null", json!({"a": 1, "b": null})),
        refused("a of a part", json!({"a": 0.5, "b": 1})),
        refused("a above its bound", json!({"a": 1_000_000_001, "b": 1})),
        refused("b below its bound", json!({"a": 1, "b": -1_000_000_001})),
        refused("a true", json!({"a": true, "b": 1})),
        refused("a list", json!([1, 2])),
    ]);
    rows
}

/// A single script that is taken, and the task that it becomes.
fn single(claim: &str, body: Value, task: Value) -> [Row; 2] {
    let waits = with(
        state("job", "queued", "running", task),
        json!({"+waiting": "no worker"}),
    );
    [
        row(
            "5",
            claim,
            post(RUN, &body),
            Expect::json(201, created("job", "queued", "single", json!(null))),
        ),
        row("6", claim, get("/api/jobs/{job}"), Expect::json(200, waits)),
    ]
}

fn scripts() -> Vec<Row> {
    let max = 9_007_199_254_740_991_u64;
    let timed = |claim: &str, timeout: Value, timeout_ms| {
        single(
            claim,
            json!({"code": "return 1", "timeoutMs": timeout}),
            single_task("return 1", timeout_ms),
        )
    };
    let plain = || single_task("return 1", 0);
    let longest = "ä".repeat(16_384);
    let args = "x".repeat(32_766);
    [
        single("every default", json!({"code": "return 1"}), plain()),
        single(
            "code is counted in bytes of UTF-8",
            json!({"code": longest}),
            single_task(&longest, 0),
        ),
        single(
            "args at its bound",
            json!({"code": "return 1", "args": args}),
            plain(),
        ),
        single(
            "args that are false",
            json!({"code": "return 1", "args": false}),
            plain(),
        ),
        single(
            "args null stays null",
            json!({"code": "return 1", "args": null}),
            with(plain(), json!({"hasArgs": false})),
        ),
        timed("timeoutMs", json!(250), 250),
        timed("timeoutMs as a text", json!("250"), 250),
        timed("timeoutMs 0", json!(0), 0),
        timed("timeoutMs at its bound", json!(max), max),
        single(
            "single in any case",
            json!({"code": "return 1", "executionModel": "SinGLE"}),
            plain(),
        ),
        single(
            "shardConfig and reducer are ignored for single",
            json!({"code": "return 1", "shardConfig": {"totalUnits": 0}, "reducer": {"type": "x"}}),
            plain(),
        ),
        single(
            "unknown fields are ignored",
            json!({"code": "return 1", "units": 7}),
            plain(),
        ),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// A sharded script that is taken, and the task that it becomes.
fn shards(claim: &str, body: Value, cut: [u64; 3], reducer: Value) -> [Row; 2] {
    let task = sharded_task(HITS, "running", reducer.clone(), cut, [0, 0]);
    let mut waits = with(
        state("job", "running", "running", task),
        json!({"+waiting": "no worker"}),
    );
    if reducer["type"] != "collect" {
        let partial = json!({
            "reducer": reducer, "aggregate": nothing(&reducer), "completedShards": 0,
            "totalShards": cut[2],
        });
        waits = with(waits, json!({"+partial": partial}));
    }
    let taken = created("job", "running", "sharded", json!(null));
    [
        row("5", claim, post(RUN, &body), Expect::json(201, taken)),
        row("6", claim, get("/api/jobs/{job}"), Expect::json(200, waits)),
    ]
}

/// What no shard adds up to.
fn nothing(reducer: &Value) -> Value {
    let names = reducer["fields"].as_array().cloned().unwrap_or_default();
    let named = names
        .iter()
        .filter_map(Value::as_str)
        .filter(|name| *name != "*");
    match reducer["field"].as_str() {
        Some(_) => json!({"value": null}),
        None => named.map(|name| (name.to_owned(), json!(0))).collect(),
    }
}

fn sum(fields: &[&str]) -> Value {
    json!({"type": "sum", "fields": fields})
}

fn cuts() -> Vec<Row> {
    let hits = || sum(&["hits", "samples"]);
    let cut = |config: Value| json!({"code": HITS, "executionModel": "Sharded", "allowDowngrade": false, "shardConfig": config});
    [
        shards(
            "sharded in any case",
            cut(json!({"totalUnits": 95, "unitsPerShard": 10})),
            [95, 10, 10],
            hits(),
        ),
        shards(
            "units as texts",
            cut(json!({"totalUnits": "95", "unitsPerShard": "10"})),
            [95, 10, 10],
            hits(),
        ),
        shards(
            "more units a shard than there are",
            cut(json!({"totalUnits": 5, "unitsPerShard": 10})),
            [5, 10, 1],
            hits(),
        ),
        shards(
            "a unit",
            cut(json!({"totalUnits": 1, "unitsPerShard": 1})),
            [1, 1, 1],
            hits(),
        ),
        shards(
            "as many shards as the soft cap",
            cut(json!({"totalUnits": 400, "unitsPerShard": 1})),
            [400, 1, 400],
            hits(),
        ),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn reducers() -> Vec<Row> {
    let reduced = |claim: &str, given: Value, echo: Value| {
        shards(claim, sharded(HITS, 95, 10, given), [95, 10, 10], echo)
    };
    [
        reduced(
            "reducer null is the default",
            json!(null),
            sum(&["hits", "samples"]),
        ),
        reduced(
            "reducer without a type",
            json!({}),
            sum(&["hits", "samples"]),
        ),
        reduced(
            "sum in any case",
            json!({"type": "SUM"}),
            sum(&["hits", "samples"]),
        ),
        reduced(
            "fields are trimmed, empties dropped",
            json!({"type": "sum", "fields": [" a ", "", "b"]}),
            sum(&["a", "b"]),
        ),
        reduced("all fields", json!({"fields": ["*"]}), sum(&["*"])),
        reduced(
            "collect in any case",
            json!({"type": "Collect"}),
            json!({"type": "collect"}),
        ),
        reduced(
            "min of the default field",
            json!({"type": "min"}),
            json!({"type": "min", "field": "value"}),
        ),
        reduced(
            "max of a field",
            json!({"type": "MAX", "field": "x"}),
            json!({"type": "max", "field": "x"}),
        ),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The downgrade rule and the advice rule. What becomes of args is seen in `results`.
fn notes() -> Vec<Row> {
    let mut body = sharded(HITS, 95, 10, json!({"type": "collect"}));
    body["allowDowngrade"] = json!(true);
    let note = "<like Downgraded from sharded to single: .+\\.>";
    let waits = with(
        state("job", "queued", "running", single_task(HITS, 0)),
        json!({"+waiting": "no worker"}),
    );
    let many = sharded(HITS, 401, 1, json!({"type": "collect"}));
    let advice = "<like High fan-out: 401 shards exceed the soft cap of 400 .+>";
    let task = sharded_task(
        HITS,
        "running",
        json!({"type": "collect"}),
        [401, 1, 401],
        [0, 0],
    );
    let kept = with(
        state("job", "running", "running", task),
        json!({"+waiting": "no worker"}),
    );
    vec![
        row(
            "5",
            "too few slots make a single job of it",
            post(RUN, &body),
            Expect::json(201, created("job", "queued", "single", json!(note))),
        ),
        row(
            "5",
            "which has neither shardConfig nor reducer",
            get("/api/jobs/{job}"),
            Expect::json(200, waits),
        ),
        row(
            "5",
            "a high fan-out is taken with an advice",
            post(RUN, &many),
            Expect::json(201, created("job", "running", "sharded", json!(advice))),
        ),
        row(
            "5",
            "and cut as it was asked",
            get("/api/jobs/{job}"),
            Expect::json(200, kept),
        ),
    ]
}

fn refusals() -> Vec<Row> {
    let cut = |units: Value, per_shard: Value| {
        json!({
            "code": "1", "executionModel": "sharded",
            "shardConfig": {"totalUnits": units, "unitsPerShard": per_shard},
        })
    };
    let reduced = |reducer: Value| {
        json!({
            "code": "1", "executionModel": "sharded", "reducer": reducer, "shardConfig": config([9, 3, 3]),
        })
    };
    let units = "shardConfig.totalUnits must be a positive integer.";
    let per_shard = "shardConfig.unitsPerShard must be a positive integer.";
    let kind = "reducer.type must be one of: sum, collect, min, max.";
    let fields = "sum reducer requires a non-empty fields array.";
    let no_config = "shardConfig is required for executionModel='sharded'.";
    let model = "executionModel must be 'single' or 'sharded'.";
    [
        (json!({}), "code must be a non-empty string."),
        (json!({"code": ""}), "code must be a non-empty string."),
        (json!({"code": 7}), "code must be a non-empty string."),
        (json!({"code": null}), "code must be a non-empty string."),
        (
            json!({"code": "x".repeat(32_769)}),
            "code exceeds max size (32768 bytes).",
        ),
        (
            json!({"code": "ä".repeat(16_385)}),
            "code exceeds max size (32768 bytes).",
        ),
        (
            json!({"code": "1", "args": "x".repeat(32_767)}),
            "args exceeds max size (32768 bytes).",
        ),
        (
            json!({"code": "1", "timeoutMs": 0.5}),
            "timeoutMs must be a safe integer.",
        ),
        (
            json!({"code": "1", "timeoutMs": "soon"}),
            "timeoutMs must be a safe integer.",
        ),
        (
            json!({"code": "1", "timeoutMs": 9_007_199_254_740_992_u64}),
            "timeoutMs must be a safe integer.",
        ),
        (
            json!({"code": "1", "timeoutMs": [1]}),
            "timeoutMs must be a safe integer.",
        ),
        (
            json!({"code": "1", "timeoutMs": -1}),
            "timeoutMs must be >= 0.",
        ),
        (json!({"code": "1", "executionModel": "auto"}), model),
        (json!({"code": "1", "executionModel": 7}), model),
        (json!({"code": "1", "executionModel": "sharded"}), no_config),
        (
            json!({"code": "1", "executionModel": "sharded", "shardConfig": 7}),
            no_config,
        ),
        (cut(json!(0), json!(1)), units),
        (cut(json!(-1), json!(1)), units),
        (cut(json!(1.5), json!(1)), units),
        (cut(json!("many"), json!(1)), units),
        (cut(json!(null), json!(1)), units),
        (cut(json!(1), json!(0)), per_shard),
        (cut(json!(1), json!("1.5")), per_shard),
        (cut(json!(1), json!(true)), per_shard),
        (reduced(json!({"type": "mean"})), kind),
        (reduced(json!({"type": 7})), kind),
        (reduced(json!({"type": "sum", "fields": []})), fields),
        (reduced(json!({"type": "sum", "fields": [" "]})), fields),
        (reduced(json!({"type": "sum", "fields": "hits"})), fields),
        (
            reduced(json!({"type": "min", "field": ""})),
            "min reducer requires reducer.field.",
        ),
        (
            reduced(json!({"type": "max", "field": 7})),
            "max reducer requires reducer.field.",
        ),
    ]
    .into_iter()
    .map(|(body, text)| {
        let shown: String = body.to_string().chars().take(80).collect();
        row("5", &shown, post(RUN, &body), Expect::error(400, text))
    })
    .collect()
}

//! Section 7: the run envelope, and what the reducers make of it.

use serde_json::{Value, json};

use super::shapes::{
    added, created, envelope, failure, invite, sharded, sharded_task, single_task, state, with,
};
use crate::answer::Expect;
use crate::row::{Act, Row, Stage, get, post, row, seen, step};
use crate::script::{BREAKS, ECHO, ENDLESS, HITS, LOGS, NOTHING, TEXTS, THROWS, VALUES};
use crate::worker::Device;

const RUN: &str = "/api/jobs/run-js";

/// A single script that ends with this envelope.
fn single(claim: &str, body: Value, result: Value) -> [Row; 2] {
    let code = body["code"].as_str().expect("a script");
    let task = single_task(code, body["timeoutMs"].as_u64().unwrap_or(0));
    let task = with(
        task,
        json!({"hasArgs": body.get("args") != Some(&Value::Null)}),
    );
    let done = with(
        state("job", "done", "running", task),
        json!({"result": result}),
    );
    let submitted = created("job", "<one of queued running>", "single", json!(null));
    [
        row("5", claim, post(RUN, &body), Expect::json(201, submitted)),
        row("7", claim, get("/api/jobs/{job}"), Expect::json(200, done)).until("/status", "done"),
    ]
}

fn singles() -> Vec<Row> {
    let logged = with(
        envelope(json!({"hits": 785, "samples": 1000}), "object", 27),
        json!({
            "logs": ["[log] half way", "[warn] {\"n\":1}"],
            "output": {"text": "[log] half way\n[warn] {\"n\":1}", "truncated": false, "bytes": 29},
        }),
    );
    let echo = |claim: &str, args: Value, kind: &str| {
        let bytes = args.to_string().len();
        let result = with(
            envelope(args.clone(), kind, bytes),
            json!({"argsType": kind}),
        );
        single(claim, json!({"code": ECHO, "args": args}), result)
    };
    [
        single("0: returned", json!({"code": LOGS}), logged),
        single(
            "0: nothing",
            json!({"code": NOTHING}),
            envelope(json!(null), "undefined", 0),
        ),
        single(
            "1: threw",
            json!({"code": THROWS}),
            failure(1, 12, "boom", json!("at job:1")),
        ),
        single(
            "124: timed out",
            json!({"code": ENDLESS, "timeoutMs": 250}),
            failure(124, 250, "Execution timeout exceeded", json!(null)),
        ),
        single(
            "70: the executor broke",
            json!({"code": BREAKS}),
            failure(70, 12, "the executor is gone", json!(null)),
        ),
        single(
            "args default to an object",
            json!({"code": ECHO}),
            envelope(json!({}), "object", 2),
        ),
        echo("null stays null", json!(null), "null"),
        echo("a list", json!([1, "ä", null]), "array"),
        echo("a number", json!(0.5), "number"),
        echo("a text", json!("5"), "string"),
        echo("a truth", json!(true), "boolean"),
        echo(
            "the harness's args",
            json!({"units": 1000, "offset": 0}),
            "object",
        ),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// A sharded script of 95 units in 10 shards that ends with this aggregate.
fn reduced(
    claim: &str,
    code: &str,
    reducer: Value,
    aggregate: Value,
    derived: Option<Value>,
) -> [Row; 2] {
    let mut result = json!({
        "reducer": reducer, "aggregate": aggregate, "completedShards": 10, "totalShards": 10,
    });
    if let Some(derived) = derived {
        result["derived"] = derived;
    }
    let task = sharded_task(code, "running", reducer.clone(), [95, 10, 10], [10, 0]);
    let done = with(
        state("job", "done", "running", task),
        json!({"result": result}),
    );
    [
        row(
            "5",
            claim,
            post(RUN, &sharded(code, 95, 10, reducer)),
            Expect::json(201, created("job", "running", "sharded", json!(null))),
        ),
        row("7", claim, get("/api/jobs/{job}"), Expect::json(200, done)).until("/status", "done"),
    ]
}

/// A sharded script of 10 units that a reducer cannot fold; `failed` of its shards do not return.
fn unreducible(claim: &str, code: &str, reducer: Value, error: &str) -> [Row; 2] {
    let task = sharded_task(code, "running", reducer.clone(), [1, 1, 1], [0, 0]);
    let task = with(
        task,
        json!({"shards": {"total": 1, "completed": 0, "failed": "<int ..1>"}}),
    );
    let failed = with(
        state("job", "failed", "running", task),
        json!({"error": error}),
    );
    [
        row(
            "5",
            claim,
            post(RUN, &sharded(code, 1, 1, reducer)),
            Expect::json(201, created("job", "running", "sharded", json!(null))),
        ),
        row(
            "7",
            claim,
            get("/api/jobs/{job}"),
            Expect::json(200, failed),
        )
        .until("/status", "failed"),
    ]
}

fn reducers() -> Vec<Row> {
    let sum = |fields: &[&str]| json!({"type": "sum", "fields": fields});
    let extreme = |kind: &str, field: &str| json!({"type": kind, "field": field});
    let derived = json!({"piEstimate": 4.0 * 45.0 / 95.0, "hitRatio": 45.0 / 95.0});
    let rows: Vec<Value> = (0..10)
        .map(|shard| {
            let units = if shard == 9 { 5 } else { 10 };
            envelope(
                json!({"hits": shard, "samples": units}),
                "object",
                22 + usize::from(units == 10),
            )
        })
        .collect();
    let not_numeric = |kind: &str, field: &str| {
        format!("<like reducer_error:{kind} reducer field '{field}' must be numeric\\..*>")
    };
    [
        reduced(
            "sum",
            HITS,
            sum(&["hits", "samples"]),
            json!({"hits": 45, "samples": 95}),
            Some(derived),
        ),
        reduced(
            "sum of a field",
            HITS,
            sum(&["hits"]),
            json!({"hits": 45}),
            None,
        ),
        reduced(
            "sum of a field of the envelope itself",
            HITS,
            sum(&["durationMs"]),
            json!({"durationMs": 120}),
            None,
        ),
        reduced(
            "sum of every field",
            VALUES,
            sum(&["*"]),
            json!({"value": 25}),
            None,
        ),
        reduced(
            "named fields start at 0",
            VALUES,
            sum(&["more", "*"]),
            json!({"more": 0, "value": 25}),
            None,
        ),
        reduced(
            "collect",
            HITS,
            json!({"type": "collect"}),
            json!(rows),
            None,
        ),
        reduced(
            "min",
            VALUES,
            extreme("min", "value"),
            json!({"value": -2}),
            None,
        ),
        reduced(
            "max",
            HITS,
            extreme("max", "hits"),
            json!({"value": 9}),
            None,
        ),
        unreducible(
            "a sum of what is not there",
            VALUES,
            sum(&["hits"]),
            &not_numeric("sum", "hits"),
        ),
        unreducible(
            "a sum of texts",
            TEXTS,
            sum(&["hits"]),
            &not_numeric("sum", "hits"),
        ),
        unreducible(
            "a min of what is not there",
            HITS,
            extreme("min", "value"),
            &not_numeric("min", "value"),
        ),
        unreducible(
            "a max of what is not there",
            HITS,
            extreme("max", "value"),
            &not_numeric("max", "value"),
        ),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// What a downgraded job is given, and what it ends with.
fn downgraded() -> Vec<Row> {
    let mut rows = Vec::new();
    for (claim, args, given) in [
        (
            "args.units is added",
            json!({"x": 1}),
            json!({"units": 95, "x": 1}),
        ),
        (
            "unless it is there",
            json!({"units": 7}),
            json!({"units": 7}),
        ),
        (
            "args that are no object make room",
            json!([1]),
            json!({"units": 95}),
        ),
    ] {
        let mut body = sharded(ECHO, 95, 10, json!({"type": "collect"}));
        body["args"] = args;
        body["allowDowngrade"] = json!(true);
        let bytes = given.to_string().len();
        let done = with(
            state("job", "done", "running", single_task(ECHO, 0)),
            json!({"result": envelope(given, "object", bytes)}),
        );
        let note = json!("<like Downgraded from sharded to single: .+\\.>");
        let submitted = created("job", "<one of queued running>", "single", note);
        rows.push(row(
            "5",
            claim,
            post(RUN, &body),
            Expect::json(201, submitted),
        ));
        rows.push(
            row("5", claim, get("/api/jobs/{job}"), Expect::json(200, done))
                .until("/status", "done"),
        );
    }
    rows
}

/// Two workers: first one slot, which is too few for shards, then four more.
pub(crate) fn stage() -> Stage {
    let join = |name, slots| {
        let act = Act::Join(name, "{token}", Device::of_slots(slots));
        seen("11", "a worker joins", act, Expect::seen(json!("welcome")))
    };
    let sum = with(
        state(
            "job",
            "done",
            "running",
            json!({"op": "add", "a": -5, "b": 1_000_000_000}),
        ),
        json!({"result": 999_999_995}),
    );
    let mut rows = vec![
        row(
            "4",
            "an invite",
            post("/api/invites/worker", &json!({})),
            Expect::json(201, invite("token", 7, 8, 3600)),
        ),
        join("device-a", 1),
    ];
    rows.extend(downgraded());
    rows.push(join("device-b", 4));
    rows.extend([
        row(
            "5",
            "add",
            post("/api/jobs", &json!({"a": -5, "b": 1_000_000_000})),
            Expect::json(201, added("job", "<one of queued running>")),
        ),
        row(
            "7",
            "add ends with the integer",
            get("/api/jobs/{job}"),
            Expect::json(200, sum),
        )
        .until("/status", "done"),
    ]);
    rows.extend(singles());
    rows.extend(reducers());
    rows.push(step("a worker leaves", Act::Leave("device-b")));
    Stage {
        name: "results",
        settings: Vec::new(),
        rows,
    }
}

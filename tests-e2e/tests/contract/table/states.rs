//! Section 6: how jobs stand, and what their owner may tell them.

use serde_json::{Value, json};

use super::shapes::{created, invite, sharded, sharded_task, single_task, state, with};
use crate::answer::Expect;
use crate::row::{Act, Ask, Row, Stage, get, post, row, seen, step};
use crate::script::{HALF, HELD};
use crate::worker::Device;

const RUN: &str = "/api/jobs/run-js";
const STOP: &str = "/api/jobs/stop-all";

fn sum() -> Value {
    json!({"type": "sum", "fields": ["hits", "samples"]})
}

/// `POST` without a body.
fn tell(path: &str) -> Ask {
    post(path, &json!({}))
}

fn join(slots: u16) -> [Row; 2] {
    let act = Act::Join("device-a", "{token}", Device::of_slots(slots));
    [
        row(
            "4",
            "an invite",
            tell("/api/invites/worker"),
            Expect::json(201, invite("token", 7, 8, 3600)),
        ),
        seen("11", "a worker joins", act, Expect::seen(json!("welcome"))),
    ]
}

/// The job of two of five shards, as it shows.
fn half(status: &str, control: &str, completed: u64, hits: u64, samples: u64) -> Value {
    let mut partial = json!({
        "reducer": sum(), "aggregate": {"hits": hits, "samples": samples},
        "completedShards": completed, "totalShards": 5,
    });
    if samples > 0 {
        let ratio = hits as f64 / samples as f64;
        partial["derived"] = json!({"piEstimate": 4.0 * ratio, "hitRatio": ratio});
    }
    let task = sharded_task(HALF, control, sum(), [45, 10, 5], [completed, 0]);
    let state = state("half", status, control, task);
    if status == "running" {
        with(state, json!({"+partial": partial}))
    } else {
        with(state, json!({"result": partial}))
    }
}

/// What pausing, resuming and stopping do.
pub(crate) fn stage() -> Stage {
    let switched = |control: &str| {
        Expect::json(
            200,
            json!({"ok": true, "jobId": "{half}", "controlState": control}),
        )
    };
    let shown = |status: &str, control: &str, completed, hits, samples| {
        Expect::json(200, half(status, control, completed, hits, samples))
    };
    let refused = |text: &str| Expect::error(400, text);
    let stopped = |count: u64| Expect::json(200, json!({"ok": true, "stopped": count}));
    let mut rows: Vec<Row> = join(4).into();
    rows.extend([
        row(
            "5",
            "a sharded job runs from the start",
            post(RUN, &sharded(HALF, 45, 10, sum())),
            Expect::json(201, created("half", "running", "sharded", json!(null))),
        ),
        row(
            "6",
            "two of five shards",
            get("/api/jobs/{half}"),
            shown("running", "running", 2, 1, 20),
        )
        .until("/task/shards/completed", 2),
        row(
            "6",
            "pause",
            tell("/api/jobs/{half}/pause"),
            switched("paused"),
        ),
        row(
            "6",
            "pause is idempotent",
            tell("/API/jobs/{half}/Pause/"),
            switched("paused"),
        ),
        row(
            "6",
            "a paused job shows it",
            get("/api/jobs/{half}"),
            shown("running", "paused", 2, 1, 20),
        ),
        row(
            "6",
            "resume",
            tell("/api/jobs/{half}/resume"),
            switched("running"),
        ),
        row(
            "6",
            "resume is idempotent",
            tell("/api/jobs/{half}/resume"),
            switched("running"),
        ),
        row(
            "6",
            "a resumed job shows it",
            get("/api/jobs/{half}"),
            shown("running", "running", 2, 1, 20),
        ),
        row(
            "6",
            "pause again",
            tell("/api/jobs/{half}/pause"),
            switched("paused"),
        ),
        step("what is out may finish", Act::Release("device-a")),
        row(
            "6",
            "and finishes the job",
            get("/api/jobs/{half}"),
            shown("done", "running", 5, 10, 45),
        )
        .until("/status", "done"),
        row(
            "6",
            "what has ended is not paused",
            tell("/api/jobs/{half}/pause"),
            refused("terminal"),
        ),
        row(
            "6",
            "nor resumed",
            tell("/api/jobs/{half}/resume"),
            refused("terminal"),
        ),
        row(
            "6",
            "nor is what is not there",
            tell("/api/jobs/x/pause"),
            refused("job_not_found"),
        ),
        row(
            "6",
            "or resumed",
            tell("/api/jobs/x/resume"),
            refused("job_not_found"),
        ),
        row("6", "nothing is left to stop", tell(STOP), stopped(0)),
    ]);
    rows.extend(all_stopped());
    Stage {
        name: "states",
        settings: Vec::new(),
        rows,
    }
}

fn all_stopped() -> Vec<Row> {
    let held = |name: &str, status: &str| {
        let body = created(name, status, "single", json!(null));
        row(
            "5",
            "a single job",
            post(RUN, &json!({"code": HELD})),
            Expect::json(201, body),
        )
    };
    let cancelled = |name: &str, task: Value| {
        let ended = with(
            state(name, "failed", "cancelled", task),
            json!({"error": "stopped_by_client"}),
        );
        row(
            "6",
            "a stopped job",
            get(&format!("/api/jobs/{{{name}}}")),
            Expect::json(200, ended),
        )
    };
    let collect = json!({"type": "collect"});
    let task = |control: &str| sharded_task(HELD, control, collect.clone(), [3, 1, 3], [0, 0]);
    let single = || with(single_task(HELD, 0), json!({"controlState": "cancelled"}));
    let paused = json!({"ok": true, "jobId": "{many}", "controlState": "paused"});
    vec![
        held("one", "<one of queued running>"),
        row(
            "6",
            "a single job is with a worker",
            get("/api/jobs/{one}"),
            Expect::json(
                200,
                state("one", "running", "running", single_task(HELD, 0)),
            ),
        )
        .until("/status", "running"),
        row(
            "6",
            "a single job is not paused",
            tell("/api/jobs/{one}/pause"),
            Expect::error(400, "not_sharded"),
        ),
        row(
            "6",
            "nor resumed",
            tell("/api/jobs/{one}/resume"),
            Expect::error(400, "not_sharded"),
        ),
        held("two", "<one of queued running>"),
        row(
            "5",
            "a sharded job",
            post(RUN, &sharded(HELD, 3, 1, collect.clone())),
            Expect::json(201, created("many", "running", "sharded", json!(null))),
        ),
        row(
            "6",
            "which is paused",
            tell("/api/jobs/{many}/pause"),
            Expect::json(200, paused),
        ),
        row(
            "6",
            "stop all counts what was not final",
            tell(STOP),
            Expect::json(200, json!({"ok": true, "stopped": 3})),
        ),
        cancelled("one", single()),
        cancelled("two", single()),
        cancelled("many", task("cancelled")),
        row(
            "6",
            "done jobs stay done",
            get("/api/jobs/{half}"),
            Expect::json(200, half("done", "running", 5, 10, 45)),
        ),
        row(
            "6",
            "what was stopped is final",
            tell("/api/jobs/{many}/resume"),
            Expect::error(400, "terminal"),
        ),
        row(
            "6",
            "and stopped once",
            tell(STOP),
            Expect::json(200, json!({"ok": true, "stopped": 0})),
        ),
    ]
}

/// A worker that leaves.
pub(crate) fn one_worker() -> Stage {
    let job = || get("/api/jobs/{one}");
    let shown = |status: &str| state("one", status, "running", single_task(HELD, 0));
    let mut rows: Vec<Row> = join(1).into();
    rows.extend([
        row(
            "5",
            "a single job",
            post(RUN, &json!({"code": HELD})),
            Expect::json(
                201,
                created("one", "<one of queued running>", "single", json!(null)),
            ),
        ),
        row(
            "6",
            "is with the worker",
            job(),
            Expect::json(200, shown("running")),
        )
        .until("/status", "running"),
        step("the worker leaves", Act::Leave("device-a")),
        row(
            "6",
            "and is queued again",
            job(),
            Expect::json(200, with(shown("queued"), json!({"+waiting": "no worker"}))),
        )
        .until("/status", "queued"),
    ]);
    Stage {
        name: "a worker that leaves",
        settings: Vec::new(),
        rows,
    }
}

//! Claims about requests that clients rely on.

use serde_json::{Value, json};

use super::*;

const LIMITS: JobLimits = JobLimits {
    max_code_bytes: 20,
    max_args_bytes: 30,
    default_timeout_ms: 7,
    max_collect_bytes: 1 << 20,
};
const SEED: u64 = 99;

fn run(body: Value) -> RunJs {
    match parse_run_js(&body, &LIMITS, SEED).unwrap() {
        JobSpec::RunJs(run) => *run,
        JobSpec::Add(_) => unreachable!("run-js bodies are scripts"),
    }
}

fn refused(body: Value) -> String {
    parse_run_js(&body, &LIMITS, SEED).unwrap_err().to_string()
}

/// A sharded request with `more` beside what it must have.
fn sharded(more: Value) -> Value {
    let mut body = json!({
        "code": "return 1",
        "executionModel": "sharded",
        "shardConfig": {"totalUnits": 95, "unitsPerShard": 10},
    });
    merge(&mut body, more);
    body
}

fn script(more: Value) -> Value {
    let mut body = json!({"code": "return 1"});
    merge(&mut body, more);
    body
}

fn merge(body: &mut Value, more: Value) {
    let Value::Object(more) = more else {
        panic!("members are given as an object")
    };
    for (name, value) in more {
        body[name] = value;
    }
}

fn sum(fields: &[&str], all: bool) -> Reducer {
    Reducer::Sum {
        fields: fields.iter().map(|&field| field.to_owned()).collect(),
        all,
    }
}

#[test]
fn add_takes_integers_in_range_and_nothing_else() {
    for (body, a, b) in [
        (json!({"a": 2, "b": 40, "c": "ignored"}), 2, 40),
        (
            json!({"a": -1_000_000_000, "b": 1_000_000_000}),
            -1_000_000_000,
            1_000_000_000,
        ),
        (json!({"a": 2.0, "b": 1e3}), 2, 1000),
    ] {
        assert_eq!(parse_add(&body), Ok(JobSpec::Add(Operands { a, b })));
    }
    let rule = "Fields 'a' and 'b' must be integers in [-1000000000, 1000000000].";
    for body in [
        json!({"a": 2}),
        json!({"a": "2", "b": 1}),
        json!({"a": 1_000_000_001, "b": 1}),
        json!({"a": 1.5, "b": 1}),
        json!({"a": 1e300, "b": 1}),
        json!({"a": u64::MAX, "b": i64::MIN}),
        json!({"a": null, "b": true}),
    ] {
        assert_eq!(parse_add(&body).unwrap_err().to_string(), rule, "{body}");
    }
    for body in [json!([2, 40]), json!("text"), json!(null)] {
        let text = parse_add(&body).unwrap_err().to_string();
        assert!(text.starts_with("Body must be a JSON object."), "{text}");
        assert!(text.ends_with(rule), "{text}");
    }
}

#[test]
fn code_alone_is_a_single_run_with_the_defaults() {
    assert_eq!(
        run(json!({"code": "return 1", "unknown": [1, 2]})),
        RunJs {
            code: "return 1".into(),
            args: "{}".into(),
            timeout_ms: 7,
            plan: Plan::Single,
            reducer: None,
            seed: SEED,
            random: RandomMode::Seeded,
            allow_downgrade: true,
            policy: Policy::default(),
        }
    );
}

#[test]
fn null_is_absent_except_as_args() {
    let nulls = json!({
        "args": null, "timeoutMs": null, "executionModel": null, "seed": null, "random": null,
        "allowDowngrade": null, "redundancy": null,
    });
    let run = run(script(nulls));
    assert_eq!((run.args.as_str(), run.timeout_ms), ("null", 7));
    assert_eq!(run.plan, Plan::Single);
}

#[test]
fn bodies_that_are_no_objects_are_refused() {
    for body in [json!([]), json!(1), json!("code"), json!(null)] {
        assert_eq!(refused(body), "Body must be a JSON object.");
    }
}

#[test]
fn code_is_text_of_bounded_bytes() {
    for code in [json!(null), json!(""), json!(5), json!(["return 1"])] {
        assert_eq!(
            refused(json!({"code": code})),
            "code must be a non-empty string."
        );
    }
    assert_eq!(refused(json!({})), "code must be a non-empty string.");
    assert_eq!(run(json!({"code": "é".repeat(10)})).code.len(), 20);
    assert_eq!(
        refused(json!({"code": "é".repeat(11)})),
        "code exceeds max size (20 bytes)."
    );
}

#[test]
fn args_are_kept_as_compact_text_in_their_order() {
    for (args, text) in [
        (
            r#"{"z": 1, "a": [true, null]}"#,
            r#"{"z":1,"a":[true,null]}"#,
        ),
        (r#""x""#, r#""x""#),
        ("0.1", "0.1"),
        ("[ ]", "[]"),
    ] {
        let body: Value =
            serde_json::from_str(&format!(r#"{{"code":"x","args":{args}}}"#)).unwrap();
        assert_eq!(run(body).args, text);
    }
    let fits = "x".repeat(28);
    assert_eq!(run(script(json!({"args": fits}))).args.len(), 30);
    assert_eq!(
        refused(script(json!({"args": "x".repeat(29)}))),
        "args exceeds max size (30 bytes)."
    );
}

#[test]
fn timeouts_are_safe_integers_in_either_form() {
    for (timeout, ms) in [
        (json!(0), 0),
        (json!(250.0), 250),
        (json!(" 1e3 "), 1000),
        (json!("12"), 12),
        (json!(MAX_SAFE), MAX_SAFE),
    ] {
        assert_eq!(run(script(json!({"timeoutMs": timeout}))).timeout_ms, ms);
    }
    for timeout in [
        json!(1.5),
        json!(MAX_SAFE + 1),
        json!("soon"),
        json!(""),
        json!("inf"),
        json!("9007199254740993"),
        json!(true),
        json!({}),
    ] {
        assert_eq!(
            refused(script(json!({"timeoutMs": timeout}))),
            "timeoutMs must be a safe integer."
        );
    }
    for timeout in [json!(-1), json!("-5")] {
        assert_eq!(
            refused(script(json!({"timeoutMs": timeout}))),
            "timeoutMs must be >= 0."
        );
    }
}

const MAX_SAFE: u64 = crate::limits::MAX_SAFE_INTEGER;

#[test]
fn execution_models_are_two_words_in_any_case() {
    let model = |model| sharded(json!({"executionModel": model}));
    assert_eq!(run(model(json!("SINGLE"))).plan, Plan::Single);
    let sharding = Sharding::new(95, 10).unwrap();
    assert_eq!(run(model(json!("Sharded"))).plan, Plan::Sharded(sharding));
    for bad in [json!("auto"), json!(""), json!(1), json!(["single"])] {
        assert_eq!(
            refused(model(bad)),
            "executionModel must be 'single' or 'sharded'."
        );
    }
}

#[test]
fn shard_config_needs_two_positive_integers() {
    let config = |config| sharded(json!({"shardConfig": config}));
    let plan = |total, per| Plan::Sharded(Sharding::new(total, per).unwrap());
    for (given, expected) in [
        (
            json!({"totalUnits": "95", "unitsPerShard": 10.0}),
            plan(95, 10),
        ),
        (json!({"totalUnits": 5, "unitsPerShard": 100}), plan(5, 100)),
        (
            json!({"totalUnits": MAX_SAFE, "unitsPerShard": 1}),
            plan(MAX_SAFE, 1),
        ),
    ] {
        assert_eq!(run(config(given)).plan, expected);
    }
    for missing in [json!(null), json!(5), json!([95, 10]), json!("95/10")] {
        assert_eq!(
            refused(config(missing)),
            "shardConfig is required for executionModel='sharded'."
        );
    }
    for bad in [
        json!(0),
        json!(-1),
        json!(1.5),
        json!(null),
        json!(MAX_SAFE + 1),
        json!("x"),
    ] {
        assert_eq!(
            refused(config(json!({"totalUnits": bad, "unitsPerShard": 1}))),
            "shardConfig.totalUnits must be a positive integer."
        );
        assert_eq!(
            refused(config(json!({"totalUnits": 1, "unitsPerShard": bad}))),
            "shardConfig.unitsPerShard must be a positive integer."
        );
    }
}

#[test]
fn reducers_are_normalised() {
    for (given, expected) in [
        (json!(null), sum(&["hits", "samples"], false)),
        (json!({}), sum(&["hits", "samples"], false)),
        (
            json!({"type": "SUM", "field": "ignored"}),
            sum(&["hits", "samples"], false),
        ),
        (
            json!({"type": "sum", "fields": [" b ", "", "a", "b"]}),
            sum(&["b", "a"], false),
        ),
        (json!({"fields": ["*"]}), sum(&[], true)),
        (json!({"fields": ["a", " * "]}), sum(&["a"], true)),
        (
            json!({"type": "Min"}),
            Reducer::Min {
                field: "value".into(),
            },
        ),
        (
            json!({"type": "max", "field": " score "}),
            Reducer::Max {
                field: "score".into(),
            },
        ),
        (
            json!({"type": "Collect", "field": "ignored"}),
            Reducer::Collect { max_bytes: 1 << 20 },
        ),
    ] {
        assert_eq!(
            run(sharded(json!({"reducer": given}))).reducer,
            Some(expected)
        );
    }
}

#[test]
fn reducers_that_are_none_are_refused() {
    for (reducer, text) in [
        (
            json!({"type": "avg"}),
            "reducer.type must be one of: sum, collect, min, max.",
        ),
        (
            json!("sum"),
            "reducer.type must be one of: sum, collect, min, max.",
        ),
        (
            json!({"type": 1}),
            "reducer.type must be one of: sum, collect, min, max.",
        ),
        (
            json!({"fields": []}),
            "sum reducer requires a non-empty fields array.",
        ),
        (
            json!({"fields": [" "]}),
            "sum reducer requires a non-empty fields array.",
        ),
        (
            json!({"fields": "hits"}),
            "sum reducer requires a non-empty fields array.",
        ),
        (
            json!({"fields": [1]}),
            "sum reducer requires a non-empty fields array.",
        ),
        (
            json!({"fields": vec!["x"; 4097]}),
            "sum reducer takes at most 4096 fields.",
        ),
        (
            json!({"type": "min", "field": ""}),
            "min reducer requires reducer.field.",
        ),
        (
            json!({"type": "max", "field": 5}),
            "max reducer requires reducer.field.",
        ),
    ] {
        assert_eq!(refused(sharded(json!({"reducer": reducer}))), text);
    }
}

#[test]
fn a_single_run_ignores_what_is_for_shards() {
    let body = script(json!({"shardConfig": "nonsense", "reducer": {"type": "avg"}}));
    assert_eq!(run(body).reducer, None);
}

#[test]
fn seeds_are_64_bit_numbers() {
    for (seed, expected) in [
        (json!(0), 0),
        (json!(MAX_SAFE), MAX_SAFE),
        (json!("18446744073709551615"), u64::MAX),
        (json!("007"), 7),
    ] {
        assert_eq!(run(script(json!({"seed": seed}))).seed, expected);
    }
    for seed in [
        json!(-1),
        json!(1.5),
        json!(MAX_SAFE + 1),
        json!("18446744073709551616"),
        json!(""),
        json!("+5"),
        json!("0x10"),
        json!(true),
    ] {
        assert_eq!(
            refused(script(json!({"seed": seed}))),
            "seed must be a safe integer >= 0 or a decimal string up to 18446744073709551615."
        );
    }
}

#[test]
fn random_and_downgrade_can_be_chosen() {
    let chosen = run(script(json!({"random": "System", "allowDowngrade": false})));
    assert_eq!(
        (chosen.random, chosen.allow_downgrade),
        (RandomMode::System, false)
    );
    assert_eq!(
        refused(script(json!({"random": "maybe"}))),
        "random must be 'seeded' or 'system'."
    );
    assert_eq!(
        refused(script(json!({"allowDowngrade": "no"}))),
        "allowDowngrade must be true or false."
    );
}

#[test]
fn how_shards_are_treated_can_be_chosen() {
    let chosen = run(script(json!({
        "priority": 7, "onShardError": "Skip", "speculation": false,
    })));
    let expected = Policy {
        priority: Priority::new(7).unwrap(),
        on_shard_error: OnShardError::Skip,
        speculation: false,
    };
    assert_eq!(chosen.policy, expected);
    for priority in [json!(0), json!(101), json!(1.5), json!(-1), json!("7")] {
        assert_eq!(
            refused(script(json!({"priority": priority}))),
            "priority must be an integer from 1 to 100."
        );
    }
    assert_eq!(
        refused(script(json!({"onShardError": "ignore"}))),
        "onShardError must be 'fold', 'fail' or 'skip'."
    );
    assert_eq!(
        refused(script(json!({"speculation": 1}))),
        "speculation must be true or false."
    );
}

#[test]
fn additions_that_are_not_built_are_refused_unless_they_ask_for_nothing() {
    for (name, default, asked) in [
        ("redundancy", json!("none"), json!({"quorum": 2})),
        ("tolerance", json!(0), json!(1e-9)),
    ] {
        run(script(json!({name: default})));
        assert_eq!(
            refused(script(json!({name: asked}))),
            format!("{name} is not supported by this server.")
        );
    }
}

#[test]
fn specs_survive_storing_and_do_not_show_the_script() {
    let specs = [
        parse_add(&json!({"a": -5, "b": 7})).unwrap(),
        parse_run_js(
            &sharded(json!({"args": {"secret": 1}, "reducer": {"fields": ["*", "a"]}})),
            &LIMITS,
            u64::MAX,
        )
        .unwrap(),
    ];
    for spec in specs {
        let stored = postcard::to_stdvec(&spec).unwrap();
        assert_eq!(postcard::from_bytes::<JobSpec>(&stored).unwrap(), spec);
        let shown = format!("{spec:?}");
        assert!(
            !shown.contains("secret") && !shown.contains("return"),
            "{shown}"
        );
    }
}

const fn capacity(workers: u64, slots: u64) -> Capacity {
    Capacity { workers, slots }
}

#[test]
fn too_few_slots_turn_shards_into_one_run() {
    for (args, downgraded) in [
        (json!({"z": 1, "a": 2}), r#"{"z":1,"a":2,"units":95}"#),
        (json!({"units": 3}), r#"{"units":3}"#),
        (json!([1]), r#"{"units":95}"#),
        (json!(null), r#"{"units":95}"#),
    ] {
        let mut job = run(sharded(json!({"args": args})));
        let note = downgrade(&mut job, capacity(1, 1)).unwrap();
        assert!(note.starts_with("Downgraded"), "{note}");
        assert_eq!(job.plan, Plan::Single);
        assert_eq!(job.reducer, None);
        assert_eq!(job.args, downgraded);
    }
}

#[test]
fn jobs_that_can_run_as_asked_are_not_downgraded() {
    for (body, capacity) in [
        (sharded(json!({})), capacity(1, 2)),
        (sharded(json!({"allowDowngrade": false})), capacity(0, 0)),
        (script(json!({})), capacity(0, 0)),
    ] {
        let asked = run(body);
        let mut job = asked.clone();
        assert_eq!(downgrade(&mut job, capacity), None);
        assert_eq!(job, asked);
    }
}

#[test]
fn advice_names_the_soft_cap() {
    let fan_out = FanOut {
        min_units: 1,
        max_per_worker: 200,
        absolute_max: 1000,
    };
    let said = |shards, capacity| advice(Sharding::new(shards, 1).unwrap(), capacity, fan_out);
    assert_eq!(said(400, capacity(0, 0)), None);
    assert!(
        said(401, capacity(0, 0))
            .unwrap()
            .contains("soft cap of 400")
    );
    assert_eq!(said(800, capacity(1, 4)), None);
    assert!(
        said(801, capacity(4, 1))
            .unwrap()
            .contains("soft cap of 800")
    );
    assert!(
        said(1001, capacity(9, 9))
            .unwrap()
            .contains("soft cap of 1000")
    );

    let coarse = FanOut {
        min_units: 50,
        ..fan_out
    };
    let note = advice(Sharding::new(95, 10).unwrap(), capacity(1, 2), coarse);
    assert_eq!(
        note.as_deref(),
        Some("unitsPerShard is 10, at least 50 is advised.")
    );
}

proptest::proptest! {
    #[test]
    fn any_json_is_a_job_or_an_error(text in r#"[\[\]{}":,0-9eE.\-a-z ]{0,80}"#) {
        if let Ok(value) = serde_json::from_str::<Value>(&text) {
            let members = ["args", "timeoutMs", "executionModel", "shardConfig", "reducer", "seed"];
            for member in members {
                let _ = parse_run_js(&sharded(json!({member: value})), &LIMITS, 0);
            }
            let _ = parse_add(&json!({"a": value, "b": 1}));
        }
    }
}

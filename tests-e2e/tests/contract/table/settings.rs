//! Section 12: every variable with its default and bounds.
//!
//! What a setting does is seen where it does it; here is what is accepted, and that a value beside
//! it is refused with name, value and range.

use serde_json::json;

use crate::answer::Expect;
use crate::row::{Act, Row, Stage, seen};

const SAFE: u64 = 9_007_199_254_740_991;
const DAY_MS: u64 = 86_400_000;

/// Name, default, least, most. Where the contract names no greatest value, ours does.
const INTEGERS: [(&str, u64, u64, u64); 28] = [
    ("PORT", 8080, 0, 65_535),
    ("WORKER_INVITE_TTL_SEC", 3600, 60, 86_400),
    ("WORKER_INVITE_PHRASE_WORDS", 8, 3, 8),
    ("SHORT_INVITE_CODE_LENGTH", 7, 4, 16),
    ("SHORT_INVITE_MAX_ACTIVE", 50_000, 100, 500_000),
    ("SIGNED_JOB_TTL_SEC", 120, 10, 900),
    ("CUSTOM_JOB_MAX_CODE_BYTES", 32_768, 1024, 1_048_576),
    ("CUSTOM_JOB_MAX_ARGS_BYTES", 32_768, 1024, 1_048_576),
    ("CUSTOM_JOB_MAX_RESULT_BYTES", 1_048_576, 1024, 1_048_576),
    ("CUSTOM_JOB_MIN_TIMEOUT_MS", 0, 0, SAFE),
    ("CUSTOM_JOB_MAX_TIMEOUT_MS", SAFE, 0, SAFE),
    ("CUSTOM_JOB_DEFAULT_TIMEOUT_MS", 0, 0, SAFE),
    ("API_RATE_LIMIT_WINDOW_MS", 60_000, 1000, DAY_MS),
    ("API_RATE_LIMIT_MAX", 1200, 1, SAFE),
    ("WS_MAX_PAYLOAD", 262_144, 1, 1_073_741_824),
    ("WS_MAX_CONNECTIONS_PER_IP", 20, 1, SAFE),
    ("WS_MAX_MESSAGES_PER_WINDOW", SAFE, 1, SAFE),
    ("WS_MESSAGE_WINDOW_MS", 10_000, 1, DAY_MS),
    ("WS_HEARTBEAT_INTERVAL_MS", 25_000, 5000, DAY_MS),
    ("WS_HEARTBEAT_TIMEOUT_MS", 12_000, 2000, DAY_MS),
    ("SHARD_MIN_UNITS", 1, 1, SAFE),
    ("SHARD_MAX_PER_WORKER", 200, 1, SAFE),
    ("SHARD_ABSOLUTE_MAX", SAFE, 100, SAFE),
    ("WORKER_MAX_CONCURRENT_JOBS", 8, 1, SAFE),
    ("JOB_EVENT_BUFFER_SIZE", 4000, 100, SAFE),
    ("JOB_EVENT_BUFFER_MAX_BYTES", 33_554_432, 1_048_576, SAFE),
    ("RECLAIM_SEC", 15, 0, 300),
    ("SHUTDOWN_GRACE_SEC", 10, 0, 300),
];

/// Name, what `--help` says of it, and a value that is refused with the words that follow "must be".
const OTHERS: [(&str, &str, &str); 4] = [
    ("HOST", "an address or a host name, default 0.0.0.0", ""),
    (
        "WORKER_INVITE_REQUIRE_LATEST",
        "1, true, yes, on, 0, false, no or off, default true",
        "maybe",
    ),
    (
        "REQUEST_BODY_LIMIT",
        "a number of bytes from 1 to 1073741824, or with the unit b, kb, mb or gb, default 128kb",
        "128kib",
    ),
    (
        "TRUST_PROXY",
        "0, 1, or a list of addresses and networks such as 10.0.0.0/8, default 0",
        "true",
    ),
];

/// Values that are refused.
pub(crate) fn stage() -> Stage {
    let mut rows = Vec::new();
    for (name, default, least, most) in INTEGERS {
        let range = format!("an integer from {least} to {most}");
        rows.push(helped(name, &format!("{range}, default {default}")));
        for value in [least.checked_sub(1), Some(most + 1)].into_iter().flatten() {
            rows.push(refused(name, &value.to_string(), &range));
        }
        rows.push(refused(name, "-1", &range));
        rows.push(refused(name, "lots", &range));
    }
    for (name, help, value) in OTHERS {
        rows.push(helped(name, help));
        let range = help.split(", default").next().unwrap_or(help);
        if !value.is_empty() {
            rows.push(refused(name, value, range));
        }
    }
    Stage {
        name: "settings",
        settings: Vec::new(),
        rows,
    }
}

fn helped(name: &'static str, help: &str) -> Row {
    let text = format!("{name}: {help}");
    seen(
        "12",
        &format!("{name}: default and bounds"),
        Act::Help(name),
        Expect::seen(json!(text)),
    )
}

fn refused(name: &'static str, value: &str, range: &str) -> Row {
    let line = format!("cluster-server: {name} is \"{value}\", must be {range}");
    let claim = format!("{name}={value} is refused");
    let act = Act::Refuse(name, value.into());
    seen(
        "12",
        &claim,
        act,
        Expect::seen(json!({"exit": 1, "stderr": [line]})),
    )
}

//! Bodies that are not as they should be, and a few that look bad and are not.

/// A body and the status that answers it.
pub(super) struct Body {
    pub(super) what: &'static str,
    pub(super) bytes: Vec<u8>,
    pub(super) status: u16,
}

fn body(what: &'static str, bytes: impl Into<Vec<u8>>, status: u16) -> Body {
    Body {
        what,
        bytes: bytes.into(),
        status,
    }
}

/// What is wrong whoever reads it.
pub(super) fn for_everybody() -> Vec<Body> {
    let bad = |what, bytes: &[u8]| body(what, bytes, 400);
    let deep = |open: &str, close: &str| {
        let (open, close) = (open.repeat(10_000), close.repeat(10_000));
        format!("{{\"code\":\"1\",\"a\":1,\"b\":2,\"args\":{open}1{close}}}").into_bytes()
    };
    let utf16: Vec<u8> = "{}".encode_utf16().flat_map(u16::to_le_bytes).collect();
    vec![
        bad("half of it", b"{\"a\":"),
        bad("two of them", b"{} {}"),
        bad("a comma too many", b"{\"a\":1,}"),
        bad("a comment", b"{}//"),
        bad("single quotes", b"{'a':1}"),
        bad("null", b"null"),
        bad("true", b"true"),
        bad("a number", b"7"),
        bad("a text", b"\"{}\""),
        bad("no number", b"{\"a\":NaN,\"b\":2}"),
        bad(
            "a number beyond numbers",
            b"{\"a\":1e999,\"b\":2,\"ttlSec\":1e999}",
        ),
        bad("a leading zero", b"{\"a\":01,\"b\":2}"),
        bad(
            "half a surrogate pair",
            b"{\"code\":\"\\ud800\",\"workerLabel\":\"\\ud800\"}",
        ),
        bad("a control character", b"{\"code\":\"\n\"}"),
        bad("a byte order mark", b"\xef\xbb\xbf{\"a\":1,\"b\":2}"),
        bad("UTF-16", &utf16),
        bad("invalid UTF-8", b"{\"code\":\"\xff\xfe\"}"),
        bad("overlong UTF-8", b"{\"code\":\"\xc0\xaf\"}"),
        bad("zeroes", &[0; 64]),
        bad("deep arrays", &deep("[", "]")),
        bad("deep objects", &deep("{\"a\":", "}")),
        bad("deep and not closed", &b"[".repeat(10_000)),
        body("too much", b" ".repeat(400_000), 413),
        body("far too much", b" ".repeat(4_000_000), 413),
    ]
}

/// What is wrong for one route.
pub(super) fn of(route: &str) -> Vec<Body> {
    match route {
        "/api/jobs" => add(),
        "/api/jobs/run-js" => run_js(),
        "/api/invites/worker" => invite(),
        _ => Vec::new(),
    }
}

fn add() -> Vec<Body> {
    let bad = [
        "[]",
        "{}",
        r#"{"a":1}"#,
        r#"{"b":1}"#,
        r#"{"A":1,"B":2}"#,
        r#"{"a":null,"b":2}"#,
        r#"{"a":true,"b":2}"#,
        r#"{"a":"1","b":2}"#,
        r#"{"a":[1],"b":2}"#,
        r#"{"a":{},"b":2}"#,
        r#"{"a":1.5,"b":2}"#,
        r#"{"a":1000000001,"b":2}"#,
        r#"{"a":-1000000001,"b":2}"#,
        r#"{"a":1e300,"b":2}"#,
        r#"{"a":-1e300,"b":2}"#,
        r#"{"a":18446744073709551616,"b":2}"#,
        r#"{"a":1,"a":"x","b":2}"#,
    ];
    let fine = [
        r#"{"a":-1000000000,"b":1000000000}"#,
        r#"{"a":1,"b":2,"c":{"__proto__":[]},"":0}"#,
        r#"{"a":"x","a":1,"b":2}"#,
        r#"{"a":1e3,"b":-0}"#,
    ];
    refused(&bad).into_iter().chain(accepted(&fine)).collect()
}

fn invite() -> Vec<Body> {
    let long = format!(r#"{{"workerLabel":"{}"}}"#, "x".repeat(65));
    let bad = [
        "[]",
        r#"{"ttlSec":0}"#,
        r#"{"ttlSec":-1}"#,
        r#"{"ttlSec":-1e300}"#,
        r#"{"ttlSec":1.5}"#,
        r#"{"ttlSec":1e300}"#,
        r#"{"ttlSec":"60"}"#,
        r#"{"ttlSec":true}"#,
        r#"{"ttlSec":[60]}"#,
        r#"{"ttlSec":{}}"#,
        r#"{"ttlSec":60,"ttlSec":0}"#,
        r#"{"workerLabel":""}"#,
        r#"{"workerLabel":" "}"#,
        r#"{"workerLabel":7}"#,
        r#"{"workerLabel":["x"]}"#,
        r#"{"workerLabel":{}}"#,
        r#"{"maxUses":0}"#,
        r#"{"maxUses":10001}"#,
        r#"{"maxUses":1.5}"#,
        r#"{"maxUses":"1"}"#,
        r#"{"maxUses":[1]}"#,
        &long,
    ];
    let fine = ["{}", r#"{"ttlSec":9007199254740991,"other":1}"#];
    refused(&bad).into_iter().chain(accepted(&fine)).collect()
}

fn run_js() -> Vec<Body> {
    let with = |members: &str| format!(r#"{{"code":"return 1",{members}}}"#);
    let sharded = |config: &str, more: &str| {
        with(&format!(
            r#""executionModel":"sharded","allowDowngrade":false,"shardConfig":{config}{more}"#
        ))
    };
    let units = r#"{"totalUnits":4,"unitsPerShard":1}"#;
    let reducer = |reducer: &str| sharded(units, &format!(r#","reducer":{reducer}"#));
    let fields = vec![r#""f""#; 5_000].join(",");
    let bad = [
        "[]".to_owned(),
        "{}".into(),
        r#"{"code":null}"#.into(),
        r#"{"code":7}"#.into(),
        r#"{"code":["return 1"]}"#.into(),
        r#"{"code":{}}"#.into(),
        r#"{"code":""}"#.into(),
        r#"{"code":"return 1","code":7}"#.into(),
        format!(r#"{{"code":"{}"}}"#, "x".repeat(32_769)),
        format!(r#"{{"code":"1","args":"{}"}}"#, "x".repeat(32_768)),
        with(r#""timeoutMs":-1"#),
        with(r#""timeoutMs":1.5"#),
        with(r#""timeoutMs":1e300"#),
        with(r#""timeoutMs":-1e300"#),
        with(r#""timeoutMs":9007199254740992"#),
        with(r#""timeoutMs":"soon""#),
        with(r#""timeoutMs":[1]"#),
        with(r#""timeoutMs":{}"#),
        with(r#""executionModel":"auto""#),
        with(r#""executionModel":7"#),
        with(r#""executionModel":["single"]"#),
        with(r#""executionModel":"sharded""#),
        sharded("null", ""),
        sharded("7", ""),
        sharded("[]", ""),
        sharded("{}", ""),
        sharded(r#"{"totalUnits":4}"#, ""),
        sharded(r#"{"unitsPerShard":4}"#, ""),
        sharded(r#"{"totalUnits":0,"unitsPerShard":1}"#, ""),
        sharded(r#"{"totalUnits":-4,"unitsPerShard":1}"#, ""),
        sharded(r#"{"totalUnits":4,"unitsPerShard":-1}"#, ""),
        sharded(r#"{"totalUnits":1.5,"unitsPerShard":1}"#, ""),
        sharded(r#"{"totalUnits":1e300,"unitsPerShard":1}"#, ""),
        sharded(r#"{"totalUnits":"many","unitsPerShard":1}"#, ""),
        sharded(r#"{"totalUnits":[4],"unitsPerShard":1}"#, ""),
        reducer(r#"{"type":"median"}"#),
        reducer(r#"{"type":7}"#),
        reducer(r#"{"type":["sum"]}"#),
        reducer(r#"{"type":"sum","fields":[]}"#),
        reducer(r#"{"type":"sum","fields":"hits"}"#),
        reducer(r#"{"type":"sum","fields":[" "]}"#),
        reducer(&format!(r#"{{"type":"sum","fields":[{fields}]}}"#)),
        reducer(r#"{"type":"min","field":""}"#),
        reducer(r#"{"type":"max","field":" "}"#),
        with(r#""seed":-1"#),
        with(r#""seed":1.5"#),
        with(r#""seed":"18446744073709551616""#),
        with(r#""seed":[]"#),
        with(r#""random":"dice""#),
        with(r#""random":7"#),
        with(r#""allowDowngrade":"yes""#),
        with(r#""redundancy":"quorum""#),
        with(r#""priority":0"#),
        with(r#""priority":-1"#),
        with(r#""priority":1e300"#),
        with(r#""priority":1.5"#),
        with(r#""priority":[1]"#),
        with(r#""onShardError":"ignore""#),
        with(r#""onShardError":7"#),
        with(r#""speculation":"no""#),
        with(r#""speculation":{}"#),
    ];
    let bad: Vec<_> = bad.iter().map(String::as_str).collect();
    let fine = [
        with(r#""args":null"#),
        with(r#""args":[[[[[]]]]],"timeoutMs":"5","__proto__":{},"":0"#),
        with(r#""executionModel":"SINGLE","shardConfig":7,"reducer":7"#),
        sharded(r#"{"totalUnits":"4","unitsPerShard":9007199254740991}"#, ""),
        r#"{"code":7,"code":"return 1"}"#.to_owned(),
    ];
    let fine: Vec<_> = fine.iter().map(String::as_str).collect();
    refused(&bad).into_iter().chain(accepted(&fine)).collect()
}

fn refused(texts: &[&str]) -> Vec<Body> {
    let bad = |text: &&str| body("a bad field", *text, 400);
    texts.iter().map(bad).collect()
}

fn accepted(texts: &[&str]) -> Vec<Body> {
    let fine = |text: &&str| body("nothing bad", *text, 201);
    texts.iter().map(fine).collect()
}

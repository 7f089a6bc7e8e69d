//! Section 13: the lines of the old commands, from the real program.

use serde_json::{Value, json};

use super::KEY;
use super::shapes::invite;
use crate::answer::Expect;
use crate::row::{Act, Row, Stage, post, row, seen};
use crate::script::{HELD, HITS, LOGS, THROWS, VALUES};
use crate::worker::Device;

const ID: &str = "<like Job queued: [0-9a-f-]{36}>";

/// Runs `cluster` with the key and the server's address.
fn run(claim: &str, arguments: &[&str], exit: i32, stdout: &[&str], stderr: &[&str]) -> Row {
    let shared = ["--host", "{base}/", "--client-token", KEY];
    plain(
        claim,
        &[arguments, &shared].concat(),
        exit,
        json!(stdout),
        stderr,
    )
}

/// Runs `cluster` with nothing but these.
fn plain(claim: &str, arguments: &[&str], exit: i32, stdout: Value, stderr: &[&str]) -> Row {
    let arguments = arguments.iter().map(|text| (*text).to_owned()).collect();
    let expect = json!({"exit": exit, "stdout": stdout, "stderr": stderr});
    seen("13", claim, Act::Run(arguments), Expect::seen(expect))
}

/// A complaint on one line, before anybody is asked.
fn complaint(arguments: &[&str], line: &str) -> Row {
    let claim = arguments.join(" ");
    run(&claim, arguments, 1, &[], &[line])
}

fn sharded<'a>(code: &'a str, rest: &[&'a str]) -> Vec<&'a str> {
    let arguments = [
        "run-js",
        "--code",
        code,
        "--execution-model",
        "sharded",
        "--total-units",
        "95",
        "--units-per-shard",
        "10",
    ];
    [&arguments, rest].concat()
}

/// A worker of four slots.
pub(crate) fn stage() -> Stage {
    let mut rows = vec![
        row(
            "4",
            "an invite",
            post("/api/invites/worker", &json!({})),
            Expect::json(201, invite("token", 7, 8, 3600)),
        ),
        seen(
            "11",
            "a worker joins",
            Act::Join("device-a", "{token}", Device::of_slots(4)),
            Expect::seen(json!("welcome")),
        ),
    ];
    rows.extend(submissions());
    rows.extend(keys_and_invites());
    rows.extend(complaints());
    Stage {
        name: "command line",
        settings: Vec::new(),
        rows,
    }
}

/// What the commands print of jobs that the native worker ends at once.
fn submissions() -> Vec<Row> {
    let done = ["Status: done", "Execution Model: single"];
    let script = ["Submitting custom JS job to {base}", ID];
    let ended = |lines: &[&'static str]| [&script[..], &done, lines].concat();
    let failed = [
        "Result: ok=false exitCode=1",
        "durationMs=12",
        "error: boom",
        "returnValue: null",
    ];
    let logged = [
        "Result: ok=true exitCode=0",
        "durationMs=12",
        "output:",
        "[log] half way",
        "[warn] {\"n\":1}",
        "returnValue: {\"hits\":785,\"samples\":1000}",
    ];
    let mut lowest = script.to_vec();
    lowest.extend([
        "Status: done",
        "Execution Model: sharded",
        "Result: {",
        "  \"reducer\": {",
        "    \"type\": \"min\",",
        "    \"field\": \"value\"",
        "  },",
        "  \"aggregate\": {",
        "    \"value\": -2",
        "  },",
        "  \"completedShards\": 10,",
        "  \"totalShards\": 10",
        "}",
    ]);
    let sum = [
        "Submitting add job to {base}: 2 + 40",
        ID,
        "Status: done",
        "Execution Model: single",
        "Result: 42",
    ];
    let unreduced = "<like reducer_error:sum reducer field 'hits' must be numeric\\..*>";
    let error = format!(
        "<like Job failed: {}",
        unreduced.trim_start_matches("<like ")
    );
    let mut unfolded = script.to_vec();
    unfolded.extend(["Status: failed", "Execution Model: sharded"]);
    vec![
        run("submit", &["submit", "--a", "2", "--b", "40"], 0, &sum, &[]),
        run(
            "run-js",
            &["run-js", "--code", LOGS],
            0,
            &ended(&logged),
            &[],
        ),
        run(
            "submit-js",
            &["submit-js", "--code", LOGS, "--args", "{}"],
            0,
            &ended(&logged),
            &[],
        ),
        run(
            "a script that throws is no failed job",
            &["run-js", "--code", THROWS],
            0,
            &ended(&failed),
            &[],
        ),
        run(
            "a sharded run",
            &sharded(VALUES, &["--reducer", "min"]),
            0,
            &lowest,
            &[],
        ),
        run(
            "a job that does not end in time",
            &["run-js", "--code", HELD, "--timeout-ms", "400"],
            1,
            &[&script[..], &["Status: running", "Execution Model: single"]].concat(),
            &["Timed out after 400 ms waiting for job completion"],
        ),
        run(
            "a job that fails",
            &sharded(VALUES, &["--sum-fields", "hits"]),
            1,
            &unfolded,
            &[&error],
        ),
    ]
}

fn keys_and_invites() -> Vec<Row> {
    let words = "abuse boss fly battle rubber wasp afraid hamster guide essence vibrant tattoo";
    let lines = json!([
        "<like Invite URL: http://127\\.0\\.0\\.1:\\d+/worker\\?invite=v1\\.[A-Za-z0-9_.-]+>",
        "<like Worker Phrase: [a-z]+( [a-z]+){7}>",
        "<like Phrase Invite URL: http://127\\.0\\.0\\.1:\\d+/p/[a-z]+(-[a-z]+){7}>",
        "<like Short Invite URL: http://127\\.0\\.0\\.1:\\d+/j/[a-hjkmnp-z2-9]{7}>",
        "<like Expires At: 20\\d\\d-.*Z>",
        "TTL Seconds: 120",
        "<like QR PNG: /.*/invite\\.png>",
    ]);
    let mnemonic = format!("Mnemonic: {words}");
    let shared = ["--host", "{base}", "--client-token", KEY];
    let invite = [
        "invite",
        "--ttl-sec",
        "120",
        "--label",
        "class 7",
        "--qr-file",
        "invite.png",
    ];
    vec![
        plain("invite", &[&invite[..], &shared].concat(), 0, lines, &[]),
        plain(
            "token-mnemonic",
            &["token-mnemonic", "--token", KEY],
            0,
            json!([mnemonic]),
            &[],
        ),
        plain(
            "token-mnemonic of the client's key",
            &["token-mnemonic", "--client-token", KEY],
            0,
            json!([mnemonic]),
            &[],
        ),
        plain(
            "mnemonic-token",
            &["mnemonic-token", "--phrase", words],
            0,
            json!(["Token (base64url): ASNFZ4mrze8BI0VniavN7w"]),
            &[],
        ),
        plain(
            "mnemonic-token in hex",
            &["mnemonic-token", "--phrase", words, "--format", "hex"],
            0,
            json!([format!("Token (hex): {KEY}")]),
            &[],
        ),
        plain(
            "no key",
            &["submit", "--a", "1", "--b", "1", "--host", "{base}"],
            1,
            json!([]),
            &["Missing client token. Provide --client-token or set CLIENT_API_KEY env var."],
        ),
        plain(
            "a refusal is the server's text alone",
            &[
                "submit",
                "--a",
                "1",
                "--b",
                "1",
                "--host",
                "{base}",
                "--client-token",
                "wrong",
            ],
            1,
            json!(["Submitting add job to {base}: 1 + 1"]),
            &["Unauthorized client token."],
        ),
        plain(
            "secrets",
            &["gen-secrets"],
            0,
            json!([
                "<like CLIENT_API_KEY=[A-Za-z0-9_-]{43}>",
                "<like CLIENT_API_KEY_MNEMONIC=\"?[a-z]+( [a-z]+){23}\"?>",
                "<like WORKER_INVITE_SECRET=[A-Za-z0-9_-]{64}>",
                "<like JOB_SIGNING_PRIVATE_KEY_B64=[A-Za-z0-9+/]+={0,2}>",
                "<like JOB_SIGNING_PUBLIC_KEY_B64=[A-Za-z0-9+/]{392}>",
            ]),
            &[],
        ),
    ]
}

fn complaints() -> Vec<Row> {
    let one_of = "Provide exactly one of --file or --code for run-js.";
    vec![
        complaint(&["submit", "--b", "1"], "Missing required flag --a"),
        complaint(
            &["submit", "--a", "x", "--b", "1"],
            "--a must be an integer",
        ),
        complaint(
            &["run-js", "--code", HITS, "--args-json", "{"],
            "--args-json must be valid JSON",
        ),
        complaint(&["run-js"], one_of),
        complaint(&["run-js", "--code", "1", "--file", "x.js"], one_of),
        complaint(
            &["run-js", "--file", "nowhere.js"],
            "<like Failed to read script file 'nowhere\\.js': .+>",
        ),
        complaint(
            &["run-js", "--code", "1", "--execution-model", "auto"],
            "--execution-model must be 'single' or 'sharded'",
        ),
        complaint(
            &sharded("1", &["--sum-fields", ","]),
            "--sum-fields must contain at least one field name",
        ),
        complaint(
            &sharded("1", &["--reducer", "mean"]),
            "--reducer must be one of: sum, collect, min, max",
        ),
        plain(
            "no words",
            &["mnemonic-token", "--phrase", "no words"],
            1,
            json!([]),
            &["<like Could not convert mnemonic to token: .+>"],
        ),
        plain(
            "no key",
            &["token-mnemonic", "--token", "x"],
            1,
            json!([]),
            &["<like Could not convert token to mnemonic: .+>"],
        ),
        complaint(&["conjure"], "Unknown command: conjure"),
    ]
}

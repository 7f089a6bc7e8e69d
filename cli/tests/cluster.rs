//! The binary against a scripted server: lines, streams and exit codes that scripts rely on.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::ffi::OsStrExt;
use std::process::{Command, Output};
use std::sync::mpsc;

/// A server that gives one recorded answer a request, in order, and tells what it was asked.
struct Server {
    host: String,
    asked: mpsc::Receiver<String>,
}

impl Server {
    fn answering(answers: &[(u16, &str)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = format!("http://{}", listener.local_addr().unwrap());
        let (tell, asked) = mpsc::channel();
        let answers: Vec<(u16, String)> = answers
            .iter()
            .map(|(status, body)| (*status, (*body).to_owned()))
            .collect();
        std::thread::spawn(move || {
            for (status, body) in answers {
                let (stream, _) = listener.accept().unwrap();
                let mut reader = BufReader::new(stream);
                tell.send(read_request(&mut reader)).unwrap();
                write!(
                    reader.get_mut(),
                    "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\n\
                     content-length: {}\r\nconnection: close\r\n\r\n{body}",
                    body.len()
                )
                .unwrap();
            }
        });
        Self { host, asked }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.try_iter().collect()
    }
}

/// Request line, authorization and body, in one text.
fn read_request(reader: &mut impl BufRead) -> String {
    let mut kept = Vec::new();
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        let lower = line.to_lowercase();
        if let Some(text) = lower.strip_prefix("content-length: ") {
            length = text.parse().unwrap();
        }
        if kept.is_empty() || lower.starts_with("authorization") {
            kept.push(line.to_owned());
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    kept.push(String::from_utf8(body).unwrap());
    kept.join(" | ")
}

fn cluster(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_cluster"))
        .args(args)
        .env_remove("CLIENT_API_KEY")
        .output()
        .unwrap()
}

fn with_server(server: &Server, args: &[&str]) -> Output {
    let server = ["--host", &server.host, "--client-token", "key"];
    cluster(&[args, &server].concat())
}

#[track_caller]
fn assert_output(output: &Output, code: i32, stdout: &str, stderr: &str) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert_eq!(
        (
            output.status.code(),
            text(&output.stdout).as_str(),
            text(&output.stderr).as_str()
        ),
        (Some(code), stdout, stderr)
    );
}

#[test]
fn submit_prints_each_change_and_the_result() {
    let server = Server::answering(&[
        (201, r#"{"jobId":"id-1","status":"queued"}"#),
        (
            200,
            r#"{"jobId":"id-1","status":"queued","executionModel":"single","result":null}"#,
        ),
        (
            200,
            r#"{"jobId":"id-1","status":"queued","executionModel":"single","result":null}"#,
        ),
        (
            200,
            r#"{"jobId":"id-1","status":"done","executionModel":"single","result":42}"#,
        ),
    ]);
    let output = with_server(&server, &["submit", "--a", "2", "--b", "40"]);
    let stdout = format!(
        "Submitting add job to {}: 2 + 40\nJob queued: id-1\nStatus: queued\n\
         Execution Model: single\nStatus: done\nExecution Model: single\nResult: 42\n",
        server.host
    );
    assert_output(&output, 0, &stdout, "");
    let asked = server.asked();
    let (head, body) = asked[0].rsplit_once(" | ").unwrap();
    assert_eq!(head, "POST /api/jobs HTTP/1.1 | authorization: Bearer key");
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(body, serde_json::json!({"a": 2, "b": 40}));
    assert!(asked[1].starts_with("GET /api/jobs/id-1 HTTP/1.1"));
}

#[test]
fn run_js_sends_what_the_flags_say() {
    let server = Server::answering(&[
        (201, r#"{"jobId":"id-2","status":"running","note":null}"#),
        (
            200,
            r#"{"status":"done","executionModel":"sharded","result":{"aggregate":{"value":3}}}"#,
        ),
    ]);
    let output = with_server(
        &server,
        &[
            "run-js",
            "--code",
            "return 1",
            "--execution-model",
            "sharded",
            "--total-units",
            "95",
            "--units-per-shard",
            "10",
            "--sum-fields",
            " value , ",
            "--args",
            "[1]",
            "--run-timeout-ms",
            "500",
            "--no-downgrade",
            "--priority",
            "7",
            "--on-shard-error",
            "Skip",
            "--no-speculation",
        ],
    );
    assert!(output.status.success(), "{output:?}");
    let body = server.asked()[0].split(" | ").last().unwrap().to_owned();
    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(
        body,
        serde_json::json!({
            "code": "return 1", "args": [1], "timeoutMs": 500, "executionModel": "sharded",
            "shardConfig": {"totalUnits": 95, "unitsPerShard": 10},
            "reducer": {"type": "sum", "fields": ["value"]},
            "allowDowngrade": false, "priority": 7, "onShardError": "skip", "speculation": false,
        })
    );
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    let result = "Result: {\n  \"aggregate\": {\n    \"value\": 3\n  }\n}\n";
    assert!(stdout.ends_with(result), "{stdout}");
}

#[test]
fn flags_of_shards_without_shards_change_nothing_but_are_told() {
    let server = Server::answering(&[
        (201, r#"{"jobId":"id-5"}"#),
        (
            200,
            r#"{"status":"done","executionModel":"single","result":1}"#,
        ),
    ]);
    let flags = [
        "--total-units",
        "95",
        "--reducer",
        "min",
        "--priority",
        "3",
        "--on-shard-error",
        "fail",
    ];
    let output = with_server(
        &server,
        &[&["run-js", "--code", "return 1"], &flags[..]].concat(),
    );
    let stdout = format!(
        "Submitting custom JS job to {}\nJob queued: id-5\nStatus: done\n\
         Execution Model: single\nResult: 1\n",
        server.host
    );
    let note = "Note: without --execution-model sharded the script runs as a whole; --total-units, \
                --reducer, --on-shard-error has no effect\n";
    assert_output(&output, 0, &stdout, note);
    let body = server.asked()[0].split(" | ").last().unwrap().to_owned();
    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(
        body,
        serde_json::json!({"code": "return 1", "executionModel": "single", "priority": 3})
    );
}

#[test]
fn a_failed_job_ends_with_its_error() {
    let server = Server::answering(&[
        (201, r#"{"jobId":"id-3"}"#),
        (
            200,
            r#"{"status":"failed","executionModel":"single","error":"stopped_by_client"}"#,
        ),
    ]);
    let output = with_server(&server, &["run-js", "--code", "return 1"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "Job failed: stopped_by_client\n"
    );
}

#[test]
fn a_refusal_is_the_servers_text_alone() {
    let server = Server::answering(&[(401, r#"{"error":"Unauthorized client token."}"#)]);
    let output = with_server(&server, &["submit", "--a", "1", "--b", "2"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "Unauthorized client token.\n"
    );
}

#[test]
fn what_a_server_or_a_worker_says_neither_steers_the_terminal_nor_forges_lines() {
    let refusal = r#"{"error":"no\u001b[2J\u009b1A\nResult: 1"}"#;
    let server = Server::answering(&[(401, refusal)]);
    let output = with_server(&server, &["submit", "--a", "1", "--b", "2"]);
    let host = &server.host;
    assert_output(
        &output,
        1,
        &format!("Submitting add job to {host}: 1 + 2\n"),
        "no\u{fffd}[2J\u{fffd}1A Result: 1\n",
    );
    let server = Server::answering(&[
        (200, r#"{"jobId":"j","note":"a\nb\u0007"}"#),
        (
            200,
            r#"{"status":"failed","executionModel":"single","error":"x\r\nResult: \u001bc"}"#,
        ),
    ]);
    let output = with_server(&server, &["submit", "--a", "1", "--b", "2"]);
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "Note: a b\u{fffd}\nJob failed: x Result: \u{fffd}c\n"
    );
    let script = "one\\n\\ttwo\\u001b]0;t\\u0007";
    let result = format!(
        r#"{{"status":"done","result":{{"exitCode":0,"ok":true,"durationMs":1,"output":{{"text":"{script}"}}}}}}"#
    );
    let server = Server::answering(&[(200, r#"{"jobId":"j"}"#), (200, &result)]);
    let output = with_server(&server, &["run-js", "--code", "1"]);
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(
        stdout.contains("output:\none\n\ttwo\u{fffd}]0;t\u{fffd}\nreturnValue"),
        "{stdout:?}"
    );
}

#[test]
fn waiting_has_an_end() {
    let queued = r#"{"status":"queued","executionModel":"single"}"#;
    let server = Server::answering(&[(201, r#"{"jobId":"id-4"}"#), (200, queued), (200, queued)]);
    let output = with_server(
        &server,
        &["submit", "--a", "1", "--b", "2", "--timeout-ms", "20"],
    );
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "Timed out after 20 ms waiting for job completion\n",
        "one line, for scripts"
    );
}

#[test]
fn an_invite_is_printed_line_by_line_and_written_as_png() {
    let server = Server::answering(&[(
        201,
        r#"{"inviteUrl":"http://h/worker?invite=t","phraseCode":"lamp river","phraseInviteUrl":
           "http://h/p/lamp-river","shortInviteUrl":null,"inviteQrDataUrl":
           "data:image/png;base64,AAEC","expiresAt":"2026-01-01T01:00:00.000Z","ttlSec":3600}"#,
    )]);
    let dir = tempfile::tempdir().unwrap();
    let png = dir.path().join("qr.png");
    let output = with_server(&server, &["invite", "--qr-file", png.to_str().unwrap()]);
    let stdout = format!(
        "Invite URL: http://h/worker?invite=t\nWorker Phrase: lamp river\n\
         Phrase Invite URL: http://h/p/lamp-river\nExpires At: 2026-01-01T01:00:00.000Z\n\
         TTL Seconds: 3600\nQR PNG: {}\n",
        png.display()
    );
    assert_output(&output, 0, &stdout, "");
    assert_eq!(std::fs::read(png).unwrap(), [0, 1, 2]);
}

#[test]
fn words_and_keys_convert_both_ways() {
    let words = "abandon amount liar amount expire adjust cage candy arch gather drum buyer";
    let key = "AAECAwQFBgcICQoLDA0ODw";
    let output = cluster(&["token-mnemonic", "--token", key]);
    assert_output(&output, 0, &format!("Mnemonic: {words}\n"), "");
    let output = cluster(&["mnemonic-token", "--phrase", words]);
    assert_output(&output, 0, &format!("Token (base64url): {key}\n"), "");
    let output = cluster(&["mnemonic-token", "--phrase", words, "--format", "hex"]);
    assert_output(
        &output,
        0,
        "Token (hex): 000102030405060708090a0b0c0d0e0f\n",
        "",
    );
}

#[test]
fn gen_secrets_prints_five_lines_that_fit_together() {
    let output = cluster(&["gen-secrets"]);
    assert!(output.status.success() && output.stderr.is_empty());
    let lines = String::from_utf8(output.stdout).unwrap();
    let pairs: Vec<_> = lines
        .lines()
        .map(|line| line.split_once('=').unwrap())
        .collect();
    let names: Vec<_> = pairs.iter().map(|(name, _)| *name).collect();
    assert_eq!(
        names,
        [
            "CLIENT_API_KEY",
            "CLIENT_API_KEY_MNEMONIC",
            "WORKER_INVITE_SECRET",
            "JOB_SIGNING_PRIVATE_KEY_B64",
            "JOB_SIGNING_PUBLIC_KEY_B64",
        ]
    );
    let lengths = [pairs[0].1.len(), pairs[2].1.len()];
    assert_eq!(lengths, [43, 64], "32 and 48 bytes as base64url");
    assert_ne!(cluster(&["gen-secrets"]).stdout, lines.as_bytes());

    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("env");
    std::fs::write(&file, &lines).unwrap();
    let output = cluster(&["token-mnemonic", "--env-file", file.to_str().unwrap()]);
    assert_output(&output, 0, &format!("Mnemonic: {}\n", pairs[1].1), "");
}

#[test]
fn a_key_is_found_in_an_env_file_as_the_server_reads_it() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("env");
    let path = file.to_str().unwrap();
    let words = "abandon amount liar amount expire adjust cage candy arch gather drum buyer";
    for line in [
        "CLIENT_API_KEY=AAECAwQFBgcICQoLDA0ODw",
        "export CLIENT_API_KEY=\"AAECAwQFBgcICQoLDA0ODw\" # mine",
    ] {
        std::fs::write(&file, format!("PORT=1\n{line}\n")).unwrap();
        let output = cluster(&["token-mnemonic", "--env-file", path]);
        assert_output(&output, 0, &format!("Mnemonic: {words}\n"), "");
    }
    std::fs::write(&file, "CLIENT_APIKEY=AAECAwQFBgcICQoLDA0ODw\n").unwrap();
    let output = cluster(&["token-mnemonic", "--env-file", path]);
    let complaint = format!(
        "Note: {path} sets CLIENT_APIKEY, which nothing reads; CLIENT_API_KEY is probably meant\n\
         Missing client token. Provide --client-token or set CLIENT_API_KEY env var.\n"
    );
    assert_output(&output, 1, "", &complaint);
    std::fs::write(&file, "CLIENT_API_KEY='hunter2\n").unwrap();
    let output = cluster(&["token-mnemonic", "--env-file", path]);
    let complaint =
        format!("Failed to read env file '{path}': line 1 is not of the form NAME=value\n");
    assert_output(&output, 1, "", &complaint);
}

#[test]
fn complaints_are_the_ones_that_scripts_look_for() {
    let cases: &[(&[&str], &str)] = &[
        (&["submit", "--b", "1"], "Missing required flag --a"),
        (
            &["submit", "--a", "x", "--b", "1"],
            "--a must be an integer",
        ),
        (
            &["submit", "--a", "1", "--b", "1"],
            "Missing client token. Provide --client-token or set CLIENT_API_KEY env var.",
        ),
        (
            &["run-js"],
            "Provide exactly one of --file or --code for run-js.",
        ),
        (
            &["run-js", "--code", "x", "--file", "y"],
            "Provide exactly one of --file or --code for run-js.",
        ),
        (
            &["run-js", "--code", "x", "--args-json", "{"],
            "--args-json must be valid JSON",
        ),
        (
            &["run-js", "--code", "x", "--execution-model", "both"],
            "--execution-model must be 'single' or 'sharded'",
        ),
        (
            &[
                "run-js",
                "--code",
                "x",
                "--execution-model",
                "sharded",
                "--total-units",
                "1",
                "--units-per-shard",
                "1",
                "--sum-fields",
                ",",
            ],
            "--sum-fields must contain at least one field name",
        ),
        (
            &[
                "run-js",
                "--code",
                "x",
                "--execution-model",
                "sharded",
                "--total-units",
                "1",
                "--units-per-shard",
                "1",
                "--reducer",
                "median",
            ],
            "--reducer must be one of: sum, collect, min, max",
        ),
        (
            &[
                "run-js",
                "--code",
                "x",
                "--execution-model",
                "sharded",
                "--total-units",
                "1",
                "--units-per-shard",
                "1",
                "--on-shard-error",
                "retry",
            ],
            "--on-shard-error must be one of: fold, fail, skip",
        ),
        (
            &["run-js", "--code", "x", "--priority", "0"],
            "--priority must be a positive integer",
        ),
        (&["frobnicate"], "Unknown command: frobnicate"),
        (
            &["mnemonic-token", "--phrase", "one two"],
            "Could not convert mnemonic to token: 2 words; a mnemonic has 12, 15, 18, 21 or 24",
        ),
    ];
    for (args, complaint) in cases {
        assert_output(&cluster(args), 1, "", &format!("{complaint}\n"));
    }
    let output = cluster(&["run-js", "--file", "/no/such/script.js"]);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        stderr.starts_with("Failed to read script file '/no/such/script.js': "),
        "{stderr}"
    );
}

#[test]
fn a_variable_that_is_no_text_is_named_and_not_taken_for_none() {
    let wrong = OsStr::from_bytes(&[0xff; 20]);
    for (name, args) in [
        ("CLIENT_API_KEY", &["workers"][..]),
        ("CLIENT_API_KEY", &["token-mnemonic"]),
        ("JOB_SIGNING_PUBLIC_KEY_B64", &["doctor"]),
        ("DATA_DIR", &["doctor"]),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_cluster"))
            .args(args)
            .env_clear()
            .env(name, wrong)
            .output()
            .unwrap();
        let told = format!("{name} in the environment is not UTF-8; set it anew\n");
        assert_output(&output, 1, "", &told);
    }
}

#[test]
fn a_key_that_no_header_can_carry_is_told_before_it_is_sent() {
    for key in ["schl\u{fc}ssel", "key\nkey", "key\u{7f}"] {
        let output = cluster(&["workers", "--client-token", key]);
        let told =
            "The client token holds characters that no key has: it must be printable ASCII\n";
        assert_output(&output, 1, "", told);
    }
}

#[test]
fn what_is_required_is_marked_in_the_help() {
    let sharded = ["run-js", "--code", "x", "--execution-model", "sharded"];
    for args in [
        &["submit"][..],
        &["submit", "--a", "1"],
        &sharded,
        &[&sharded[..], &["--total-units", "1"]].concat(),
        &["pause"],
        &["resume"],
        &["cancel"],
        &["mnemonic-token"],
    ] {
        let complaint = String::from_utf8(cluster(args).stderr).unwrap();
        let missing = complaint.trim().strip_prefix("Missing required flag ");
        let missing = missing.unwrap_or_else(|| panic!("{args:?}: {complaint}"));
        let help = String::from_utf8(cluster(&[args[0], "--help"]).stdout).unwrap();
        let is_marked = |line: &str| line.contains(missing) && line.contains("required");
        let one_line = help.replace("\n          ", " ");
        assert!(one_line.lines().any(is_marked), "{missing}: {help}");
    }
}

#[test]
fn usage_goes_to_stdout_and_is_no_success() {
    let output = cluster(&[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stdout).contains("Usage: cluster"));
    assert!(output.stderr.is_empty());
    assert_eq!(cluster(&["--help"]).status.code(), Some(0));
}

#[test]
fn a_server_that_is_not_there_is_named() {
    let args = [
        "submit",
        "--a",
        "1",
        "--b",
        "2",
        "--client-token",
        "k",
        "--host",
    ];
    let output = cluster(&[&args[..], &["http://127.0.0.1:1"]].concat());
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        stderr.starts_with("Cannot reach http://127.0.0.1:1: "),
        "{stderr}"
    );
    assert!(
        stderr.trim_end().ends_with("Set --host to its address."),
        "{stderr}"
    );
}

#[test]
fn jobs_are_steered_by_their_id() {
    let server = Server::answering(&[
        (200, r#"{"ok":true,"jobId":"j1","controlState":"paused"}"#),
        (400, r#"{"error":"terminal"}"#),
        (200, r#"{"ok":true,"stopped":3}"#),
    ]);
    let run = |args: &[&str]| {
        let server = ["--host", &server.host, "--client-token", "key"];
        cluster(&[args, &server].concat())
    };
    assert_output(
        &run(&["pause", "--job-id", "j1"]),
        0,
        "Job j1: paused\n",
        "",
    );
    assert_output(&run(&["cancel", "--job-id", "j1"]), 1, "", "terminal\n");
    assert_output(&run(&["stop-all"]), 0, "Stopped jobs: 3\n", "");
    let asked = server.asked();
    assert!(
        asked[0].starts_with("POST /api/jobs/j1/pause"),
        "{}",
        asked[0]
    );
    assert!(
        asked[1].starts_with("POST /api/jobs/j1/cancel"),
        "{}",
        asked[1]
    );
    assert!(
        asked[2].starts_with("POST /api/jobs/stop-all"),
        "{}",
        asked[2]
    );
    let nameless = cluster(&["resume", "--client-token", "key"]);
    assert_output(&nameless, 1, "", "Missing required flag --job-id\n");
}

#[test]
fn invites_are_listed_in_lines_and_revoked_by_their_id() {
    let server = Server::answering(&[
        (
            200,
            r#"{"invites":[
               {"jti":"b2","label":null,"issuedAt":"2026-01-01T00:30:00.000Z","expiresAt":
                "2026-01-01T01:30:00.000Z","maxUses":null,"uses":4,"revoked":false,"latest":true},
               {"jti":"a1","label":"class 7","issuedAt":"2026-01-01T00:00:00.000Z","expiresAt":
                "2026-01-01T01:00:00.000Z","maxUses":3,"uses":1,"revoked":true,"latest":false}]}"#,
        ),
        (200, r#"{"ok":true,"jti":"a1","disconnected":2}"#),
        (404, r#"{"error":"Invite not found."}"#),
        (200, r#"{"invites":[]}"#),
        (200, r#"{"invites":[]}"#),
    ]);
    assert_output(
        &with_server(&server, &["invites"]),
        0,
        "b2  latest  4 used  until 2026-01-01T01:30:00.000Z\n\
         a1  revoked  1/3 used  until 2026-01-01T01:00:00.000Z  class 7\n",
        "",
    );
    assert_output(
        &with_server(&server, &["revoke-invite", "a1"]),
        0,
        "Invite a1: revoked\nDisconnected workers: 2\n",
        "",
    );
    let gone = with_server(&server, &["revoke-invite", "c3"]);
    assert_output(&gone, 1, "", "Invite not found.\n");
    assert_output(&with_server(&server, &["invites"]), 0, "No invites.\n", "");
    let json = with_server(&server, &["invites", "--json"]);
    assert_output(&json, 0, "{\n  \"invites\": []\n}\n", "");
    let asked = server.asked();
    assert!(
        asked[0].starts_with("GET /api/invites HTTP"),
        "{}",
        asked[0]
    );
    let delete = "DELETE /api/invites/a1 HTTP";
    assert!(asked[1].starts_with(delete), "{}", asked[1]);
}

#[test]
fn workers_are_listed_and_told_by_their_names() {
    let server = Server::answering(&[
        (
            200,
            r#"{"count":1,"totalSlots":4,"workers":[{"workerId":"worker-ab12cd","state":"busy",
               "maxSlots":4,"inFlightCount":9}]}"#,
        ),
        (
            200,
            r#"{"ok":true,"workerId":"worker-ab12cd","state":"draining"}"#,
        ),
        (404, r#"{"error":"Worker not found."}"#),
    ]);
    assert_output(
        &with_server(&server, &["workers"]),
        0,
        "worker-ab12cd  busy  4 slots  9 held\n",
        "",
    );
    assert_output(
        &with_server(&server, &["drain", "worker-ab12cd"]),
        0,
        "Worker worker-ab12cd: draining\n",
        "",
    );
    let gone = with_server(&server, &["ban", "nobody"]);
    assert_output(&gone, 1, "", "Worker not found.\n");
    let asked = server.asked();
    let drain = "POST /api/workers/worker-ab12cd/drain";
    assert!(asked[1].starts_with(drain), "{}", asked[1]);
    let ban = "POST /api/workers/nobody/ban";
    assert!(asked[2].starts_with(ban), "{}", asked[2]);
}

#[test]
fn an_invite_may_be_for_so_many() {
    let server = Server::answering(&[(201, r#"{"inviteUrl":"http://h/w","maxUses":3}"#)]);
    let output = with_server(&server, &["invite", "--max-uses", "3"]);
    assert_output(&output, 0, "Invite URL: http://h/w\nMax Uses: 3\n", "");
    let body = server.asked()[0].split(" | ").last().unwrap().to_owned();
    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(body, serde_json::json!({"maxUses": 3}));
}

#[test]
fn what_cannot_be_the_name_of_anything_is_not_asked_for() {
    for (args, complaint) in [
        (
            &["revoke-invite"][..],
            "Missing JTI, the id of an invite; `cluster invites` lists them",
        ),
        (
            &["revoke-invite", "../jobs"],
            "'../jobs' is not the id of an invite",
        ),
        (&["revoke-invite", ""], "'' is not the id of an invite"),
        (
            &["ban"],
            "Missing WORKER, the name of a worker; `cluster workers` lists them",
        ),
        (&["ban", "no name"], "'no name' is not the name of a worker"),
    ] {
        let output = cluster(&[args, &["--client-token", "k"]].concat());
        assert_output(&output, 1, "", &format!("{complaint}\n"));
    }
}

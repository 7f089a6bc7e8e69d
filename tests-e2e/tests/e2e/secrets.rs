//! A server's whole life, in which no secret may be written anywhere but where it belongs.
//!
//! Its log is looked at by whoever started it, in this test as in all others; here is everything
//! else that it hands out.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tests_e2e::{Secrets, ServerProcess};

use crate::cluster::{Cluster, JOB_LIMIT, KEY, sharded, single};

const INVITE_SECRET: &str = "an invite secret that stands nowhere else";
const METRICS_TOKEN: &str = "a metrics token that stands nowhere else";
/// Stands in the code of jobs, in their args and in their results, none of which is logged.
const MARK: &str = "mark-of-a-job-3141592653";

/// Sends a request and returns all that comes back, head and body.
fn exchange(server: &ServerProcess, head: &str, body: &str) -> Result<String> {
    let authority = server.base().strip_prefix("http://").context("a URL")?;
    let mut socket = TcpStream::connect(authority)?;
    socket.set_read_timeout(Some(Duration::from_secs(30)))?;
    let length = body.len();
    let request = format!(
        "{head}\r\nhost: cluster.test\r\nconnection: close\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\n\r\n{body}"
    );
    socket.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// Requests that anybody or a client makes, and what a clumsy one gets wrong with a secret.
fn requests(invite: &Value, job: &str) -> Vec<(String, String)> {
    let token = invite["inviteToken"].as_str().unwrap_or_default();
    let words = shared::mnemonic::to_words(KEY).unwrap().replace(' ', "%20");
    let gets = [
        "/",
        "/client",
        "/worker",
        "/sandbox",
        "/metrics",
        "/metrics.html",
        "/raytrace-viewer",
        "/parallel-guide",
        "/health",
        "/readyz",
        "/api/public-config",
        "/nothing",
        &format!("/worker?invite={token}"),
        &format!("/client?key={KEY}"),
        &format!("/api/auth/check?token={KEY}"),
        &format!("/j/{token}"),
        &format!("/p/{words}"),
        &format!("/p/{}", invite["shortCode"].as_str().unwrap_or_default()),
        &format!("/{KEY}"),
        &format!("/{INVITE_SECRET}"),
        &format!("/api/jobs/{KEY}"),
        &format!("/assets/{KEY}"),
        &format!("/ws/worker?invite={token}"),
        &format!("/api/worker/metrics?invite={token}&workerId=worker-ab12cd"),
        &format!("/api/worker/metrics?invite={token}x"),
        &format!("/api/content/{KEY}"),
    ]
    .map(|path| {
        (
            format!("GET {} HTTP/1.1", path.replace(' ', "%20")),
            String::new(),
        )
    });
    let with_key = [
        "/api/auth/check",
        "/api/workers",
        "/api/metrics/cluster",
        &format!("/api/jobs/{job}"),
        &format!("/api/jobs/{job}/events"),
        &format!("/api/jobs/{job}/stream"),
        &format!("/api/content/{}", "0".repeat(64)),
    ]
    .map(|path| {
        let head = format!("GET {path} HTTP/1.1\r\nauthorization: Bearer {KEY}");
        (head, String::new())
    });
    let posts = [
        format!("{{\"code\": {KEY}}}"),
        format!("{{\"code\": \"1\", \"executionModel\": \"{KEY}\"}}"),
        format!("{{\"{KEY}\": \"{token}\"}}"),
        format!("[\"{KEY}\"]"),
    ]
    .map(|body| {
        let head = format!("POST /api/jobs/run-js HTTP/1.1\r\nx-client-token: {KEY}");
        (head, body)
    });
    let wrong = [
        format!("GET /api/auth/check HTTP/1.1\r\nauthorization: Basic {KEY}"),
        format!("GET /api/auth/check HTTP/1.1\r\nauthorization: Bearer {token}"),
        format!("GET /api/auth/check HTTP/1.1\r\nx-client-token: {METRICS_TOKEN}"),
        format!("GET /api/auth/check HTTP/1.1\r\nx-client-token: {INVITE_SECRET}"),
        format!("GET /metrics/prometheus HTTP/1.1\r\nauthorization: Bearer {METRICS_TOKEN}"),
        format!("GET /metrics/prometheus HTTP/1.1\r\nauthorization: Bearer {KEY}"),
        format!("{KEY} /health HTTP/1.1"),
        token.to_owned(),
        format!("GET /health HTTP/1.1\r\nx-client-token {KEY}"),
    ]
    .map(|head| (head, String::new()));
    gets.into_iter()
        .chain(with_key)
        .chain(posts)
        .chain(wrong)
        .collect()
}

/// Asks for everything; no answer holds a secret.
fn assert_answers_are_clean(
    server: &ServerProcess,
    secrets: &Secrets,
    invite: &Value,
    job: &str,
) -> Result<()> {
    for (head, body) in requests(invite, job) {
        let answer = exchange(server, &head, &body)?;
        ensure!(answer.starts_with("HTTP/1.1 "), "{head}: {answer}");
        if let Some(secret) = secrets.find(&answer) {
            panic!("the answer to {head} {body} holds {secret}: {answer}");
        }
    }
    Ok(())
}

/// Work of every kind: code and args that ride along, code that is fetched, a session that is
/// resumed, a server that is killed.
async fn live(cluster: &mut Cluster) -> Result<String> {
    let tab = cluster.join().await?;
    let api = cluster.api();
    let mut run = single(&format!("console.log(args.m); return '{MARK}'"));
    run["args"] = json!({"m": MARK});
    let job = api.run_js(&run)?;
    assert_eq!(api.result(&job, JOB_LIMIT).await?["returnValue"], MARK);
    let long = format!("return {{hits: 1, samples: 1}} // {}", MARK.repeat(500));
    let job = api.run_js(&sharded(&long, 40, 10))?;
    assert_eq!(
        api.post(&format!("/api/jobs/{job}/pause"), &json!({}))?
            .status,
        200
    );
    assert_eq!(
        api.post(&format!("/api/jobs/{job}/resume"), &json!({}))?
            .status,
        200
    );
    api.result(&job, JOB_LIMIT).await?;
    cluster.server.kill()?;
    cluster.server.start_again()?;
    let api = cluster.api();
    api.joined(1, JOB_LIMIT).await?;
    let throwing = api.run_js(&single(&format!("throw new Error('{MARK}')")))?;
    api.result(&throwing, JOB_LIMIT).await?;
    tab.check_console(&["WebSocket", "net::ERR"])?;
    Ok(job)
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_a_server_writes_holds_a_secret() -> Result<()> {
    for format in ["text", "json"] {
        let mut secrets = Secrets::default();
        let mut cluster = Cluster::start_with(|setup| {
            let setup = setup
                .env("LOG_FORMAT", format)
                .env("WORKER_INVITE_SECRET", INVITE_SECRET)
                .env("METRICS_TOKEN", METRICS_TOKEN);
            secrets = setup.secrets();
            setup
        })
        .await?;
        let kept = cluster.data().join("secrets.env");
        secrets.add_lines(&std::fs::read_to_string(kept)?);
        secrets.add("a job", MARK);
        let job = live(&mut cluster).await?;
        let invite = cluster.api().invite()?;
        assert_answers_are_clean(&cluster.server, &secrets, &invite, &job)?;
        assert!(cluster.server.stop()?.success());
        let log = cluster.server.log();
        assert!(log.contains("/j/{invite}"), "it logs requests: {log}");
        let is_said = |line: &&str| !line.starts_with("Listening on ");
        for line in log.lines().filter(is_said) {
            let is_json = serde_json::from_str::<Value>(line).is_ok();
            assert_eq!(is_json, format == "json", "{line}");
        }
        if let Some(secret) = secrets.find_in_log(&log) {
            panic!("the log holds {secret}: {log}");
        }
        cluster.close().await?;
    }
    Ok(())
}

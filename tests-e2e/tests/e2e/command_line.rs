//! The real `cluster` against the real server with a real tab: the lines and exit codes of
//! `HTTP_API` 13.

use std::process::{Command, Output, Stdio};

use anyhow::Result;
use tests_e2e::{ServerProcess, artifacts};

use crate::cluster::{Cluster, KEY};

struct Ran {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

/// Runs `cluster` without holding up the test's other tasks.
async fn cluster(server: &ServerProcess, arguments: &[&str]) -> Result<Ran> {
    let mut command = Command::new(artifacts::program("cluster")?);
    command
        .env_clear()
        .env("CLIENT_API_KEY", KEY)
        .env("HOME", "/nonexistent")
        .current_dir(artifacts::root())
        .args(arguments)
        .args(["--host", server.base()])
        .stdin(Stdio::null());
    let Output {
        status,
        stdout,
        stderr,
    } = tokio::task::spawn_blocking(move || command.output()).await??;
    Ok(Ran {
        code: status.code(),
        stdout: String::from_utf8(stdout)?,
        stderr: String::from_utf8(stderr)?,
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn the_client_submits_waits_and_prints_as_documented() -> Result<()> {
    let net = Cluster::start().await?;
    let tab = net.join().await?;
    let (server, host) = (&net.server, net.server.base());

    let sum = cluster(server, &["submit", "--a", "2", "--b", "40"]).await?;
    assert_eq!(
        (sum.code, sum.stderr.as_str()),
        (Some(0), ""),
        "{}",
        sum.stdout
    );
    let lines: Vec<&str> = sum.stdout.lines().collect();
    assert_eq!(lines[0], format!("Submitting add job to {host}: 2 + 40"));
    assert!(lines[1].starts_with("Job queued: "), "{}", sum.stdout);
    assert!(lines.contains(&"Status: done"), "{}", sum.stdout);
    assert_eq!(*lines.last().unwrap(), "Result: 42");

    let code = "console.log('hello'); return {hits: args.n}";
    let arguments = ["run-js", "--code", code, "--args-json", "{\"n\": 785}"];
    let single = cluster(server, &arguments).await?;
    assert_eq!(single.code, Some(0), "{} {}", single.stdout, single.stderr);
    let from = single.stdout.find("Result: ").expect("a result");
    let lines: Vec<&str> = single.stdout[from..].lines().collect();
    assert_eq!(lines[0], "Result: ok=true exitCode=0");
    assert!(lines[1].starts_with("durationMs="), "{lines:?}");
    assert_eq!(
        lines[2..],
        ["output:", "[log] hello", "returnValue: {\"hits\":785}"]
    );
    tab.check_console(&[])?;
    net.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_client_runs_the_sharded_example() -> Result<()> {
    let net = Cluster::start().await?;
    let _tabs = net.join_two().await?;
    let ran = cluster(
        &net.server,
        &[
            "run-js",
            "--file",
            "examples/pi-sharded.js",
            "--execution-model",
            "sharded",
            "--total-units",
            "5000000",
            "--units-per-shard",
            "100000",
        ],
    )
    .await?;
    assert_eq!(ran.code, Some(0), "{} {}", ran.stdout, ran.stderr);
    assert!(
        ran.stdout.contains("Execution Model: sharded"),
        "{}",
        ran.stdout
    );
    let hits = benchmarks::kernels::pi_hits(0, 5_000_000);
    assert!(
        ran.stdout.contains(&format!("\"hits\": {hits}")),
        "{hits}: {}",
        ran.stdout
    );
    net.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_client_fails_with_one_line_that_says_why() -> Result<()> {
    let net = Cluster::start().await?;
    let late = cluster(
        &net.server,
        &["submit", "--a", "1", "--b", "1", "--timeout-ms", "900"],
    )
    .await?;
    assert_eq!(late.code, Some(1));
    assert!(
        late.stderr
            .contains("Timed out after 900 ms waiting for job completion"),
        "{}",
        late.stderr
    );
    let stranger = cluster(
        &net.server,
        &["submit", "--a", "1", "--b", "1", "--client-token", "wrong"],
    )
    .await?;
    assert_eq!(stranger.code, Some(1));
    assert_eq!(stranger.stderr.trim(), "Unauthorized client token.");
    net.close().await
}

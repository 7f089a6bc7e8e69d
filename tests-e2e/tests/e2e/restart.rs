//! `kill -9` of the server in mid-job: the tabs come back by themselves, and nothing is lost or
//! counted twice.

use anyhow::Result;
use benchmarks::kernels::pi_hits;
use serde_json::json;
use tests_e2e::{ApiClient, BrowserKind, ServerSetup, WorkerTab};

use crate::cluster::{Cluster, JOB_LIMIT, pi_script, sharded};

/// What Chromium and Firefox themselves print of a server that is away.
const AWAY: &[&str] = &[
    "ERR_CONNECTION_REFUSED",
    "WebSocket connection to",
    "ERR_CONNECTION_RESET",
    "Firefox can’t establish a connection to the server",
    "was interrupted while the page was loading",
];

#[tokio::test(flavor = "multi_thread")]
async fn a_job_survives_two_kills_of_its_server() -> Result<()> {
    survives_two_kills(BrowserKind::Chromium, "1").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_survives_two_kills_with_the_default_time_to_reclaim() -> Result<()> {
    survives_two_kills(BrowserKind::Chromium, "15").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_in_firefox_survives_two_kills_of_its_server() -> Result<()> {
    survives_two_kills(BrowserKind::Firefox, "1").await
}

async fn survives_two_kills(kind: BrowserKind, reclaim_sec: &str) -> Result<()> {
    let settings = |setup: ServerSetup| setup.env("RECLAIM_SEC", reclaim_sec);
    let mut cluster = Cluster::start_in(kind, settings).await?;
    let tabs = cluster.join_two().await?;
    let (units, per_shard) = (80_000_000, 100_000);
    let job = cluster
        .api()
        .run_js(&sharded(&pi_script()?, units, per_shard))?;
    let mut before = 0;
    for _ in 0..2 {
        before = completed_more(&cluster.api(), &job, before).await?;
        cluster.server.kill()?;
        cluster.server.start_again()?;
        let kept = shards_done(&cluster.api(), &job)?;
        assert!(
            kept >= before,
            "{before} shards were shown as done, {kept} are left"
        );
        for tab in &tabs {
            tab.wait_for_state(&["idle", "running"], JOB_LIMIT).await?;
        }
        cluster.api().joined(2, JOB_LIMIT).await?;
    }
    let result = cluster.api().result(&job, JOB_LIMIT).await?;
    let hits = pi_hits(0, units);
    assert_eq!(
        result["aggregate"],
        json!({"hits": hits, "samples": units}),
        "{result}"
    );
    assert_eq!(result["completedShards"], units / per_shard);
    check_tabs(&tabs)?;
    cluster.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_answered_is_there_after_a_kill() -> Result<()> {
    let mut cluster = Cluster::start().await?;
    let waiting = cluster.api().add(2, 40)?;
    cluster.server.kill()?;
    cluster.server.start_again()?;
    assert_eq!(cluster.api().job(&waiting)?["status"], "queued");
    let tab = cluster.join().await?;
    assert_eq!(cluster.api().result(&waiting, JOB_LIMIT).await?, json!(42));
    cluster.server.kill()?;
    cluster.server.start_again()?;
    assert_eq!(cluster.api().job(&waiting)?["result"], json!(42));
    check_tabs(&[tab])?;
    cluster.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_asked_to_stop_exits_well_and_loses_nothing() -> Result<()> {
    let mut cluster = Cluster::start_with(|setup| setup.env("RECLAIM_SEC", "1")).await?;
    let tabs = cluster.join_two().await?;
    let units = 40_000_000;
    let job = cluster
        .api()
        .run_js(&sharded(&pi_script()?, units, 100_000))?;
    let before = completed_more(&cluster.api(), &job, 0).await?;
    let status = cluster.server.stop()?;
    assert!(status.success(), "{status}");
    cluster.server.start_again()?;
    assert!(shards_done(&cluster.api(), &job)? >= before);
    let result = cluster.api().result(&job, JOB_LIMIT).await?;
    let hits = pi_hits(0, units);
    assert_eq!(result["aggregate"], json!({"hits": hits, "samples": units}));
    check_tabs(&tabs)?;
    cluster.close().await
}

/// Waits until some more shards are done than `before`, and returns how many.
async fn completed_more(api: &ApiClient, job: &str, before: u64) -> Result<u64> {
    let state = api.completed(job, before + 40, JOB_LIMIT).await?;
    assert_eq!(
        state["status"], "running",
        "too quick to be killed: {state}"
    );
    Ok(state["task"]["shards"]["completed"].as_u64().unwrap())
}

fn shards_done(api: &ApiClient, job: &str) -> Result<u64> {
    let state = api.job(job)?;
    Ok(state["task"]["shards"]["completed"].as_u64().unwrap())
}

fn check_tabs(tabs: &[WorkerTab]) -> Result<()> {
    tabs.iter().try_for_each(|tab| tab.check_console(AWAY))
}

//! The demo's job: pi by throwing points, watched until it is known.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use tests_e2e::ApiClient;

use crate::tools;

/// Points that are thrown, and by one shard.
const POINTS: u64 = 2_000_000_000;
const POINTS_PER_SHARD: u64 = 10_000_000;
const LOOK_EVERY: Duration = Duration::from_millis(150);

/// Submits `examples/pi-sharded.js`, shows its progress, prints pi and what it took.
pub(super) async fn compute(api: &ApiClient) -> Result<()> {
    wait_for_slots(api).await?;
    let path = tools::root().join("examples/pi-sharded.js");
    let code = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let start = Instant::now();
    let job = api.run_js(&json!({
        "code": code,
        "executionModel": "sharded", "allowDowngrade": false,
        "shardConfig": {"totalUnits": POINTS, "unitsPerShard": POINTS_PER_SHARD},
        "reducer": {"type": "sum", "fields": ["hits", "samples"]},
    }))?;
    let done = watch(api, &job).await?;
    let seconds = start.elapsed().as_secs_f64();
    let workers = api.workers()?;
    println!(
        "pi is about {} after {} points in {} shards: {seconds:.1} s on {} slots of {} workers",
        done["result"]["derived"]["piEstimate"],
        done["result"]["aggregate"]["samples"],
        done["result"]["completedShards"],
        workers["totalSlots"],
        workers["count"],
    );
    Ok(())
}

/// A sharded job is cut only where at least two slots are connected.
async fn wait_for_slots(api: &ApiClient) -> Result<()> {
    let has_slots = || Ok::<_, anyhow::Error>(api.workers()?["totalSlots"].as_u64() >= Some(2));
    if !has_slots()? {
        println!("waiting for two slots: a tab on a machine with several cores, or two tabs");
    }
    while !has_slots()? {
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Ok(())
}

async fn watch(api: &ApiClient, job: &str) -> Result<Value> {
    let style = "{bar:40} {pos}/{len} shards, {per_sec}, {eta} left";
    let bar = ProgressBar::new(0).with_style(ProgressStyle::with_template(style)?);
    loop {
        let state = api.job(job)?;
        let shards = &state["task"]["shards"];
        bar.set_length(shards["total"].as_u64().unwrap_or(1));
        bar.set_position(shards["completed"].as_u64().unwrap_or(0));
        match state["status"].as_str() {
            Some("done") => {
                bar.finish_and_clear();
                return Ok(state);
            }
            Some("failed") => bail!("the job failed: {}", state["error"]),
            _ => tokio::time::sleep(LOOK_EVERY).await,
        }
    }
}

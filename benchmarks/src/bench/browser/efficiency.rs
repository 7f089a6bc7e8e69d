//! Shards of one second: the cluster against the same code in plain Web Workers of the same
//! browsers, as many as the tabs have slots.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use futures_util::future::try_join_all;
use serde_json::json;
use tests_e2e::Page;

use super::{Cluster, JOB_LIMIT};
use crate::report::Table;

/// Steps of the first try, from which the number for one second follows.
const TRIED_STEPS: u64 = 400_000_000;

/// Runs `shards` shards on each of `slots` plain workers; the value is the time in seconds. The results
/// are used, or the compiler leaves out what makes them.
const PLAIN: &str = "async (code, slots, shards) => {
    const source = `const shard = async () => { ${code} };
        onmessage = async () => {
            const results = [];
            for (let done = 0; done < ${shards}; done++) results.push(await shard());
            postMessage(results);
        };`;
    const url = URL.createObjectURL(new Blob([source]));
    const workers = Array.from({length: slots}, () => new Worker(url));
    const started = performance.now();
    await Promise.all(workers.map(worker => new Promise((done, failed) => {
        worker.onmessage = done;
        worker.onerror = failed;
        worker.postMessage('start');
    })));
    const seconds = (performance.now() - started) / 1000;
    workers.forEach(worker => worker.terminate());
    URL.revokeObjectURL(url);
    return seconds;
}";

pub(super) async fn run(cluster: &Cluster, rounds: u32, shards: u64) -> Result<Table> {
    let slots = slots(cluster)?;
    let mut pages = Vec::new();
    for device in &cluster.devices {
        pages.push(device.browser.open_isolated("about:blank").await?);
    }
    let tried = plain(&pages[0], &code(TRIED_STEPS), 1, 1).await?;
    let code = code((TRIED_STEPS as f64 / tried) as u64);
    let mut table = Table::new(&["round", "plain workers s", "cluster s", "efficiency"]);
    for round in 1..=rounds {
        show(pages.iter()).await?;
        let started = Instant::now();
        try_join_all(pages.iter().map(|page| plain(page, &code, slots, shards))).await?;
        let alone = started.elapsed().as_secs_f64();
        let all = shards * slots * pages.len() as u64;
        show(cluster.devices.iter().map(|device| device.tab.page())).await?;
        let together = job_seconds(cluster, &code, all).await?;
        table.row(vec![
            round.to_string(),
            format!("{alone:.2}"),
            format!("{together:.2}"),
            format!("{:.1} %", 100.0 * alone / together),
        ]);
    }
    for page in pages {
        page.close().await?;
    }
    Ok(table)
}

/// Brings pages to the front: a browser gives less to those that nobody sees.
async fn show(pages: impl Iterator<Item = &Page>) -> Result<()> {
    for page in pages {
        page.call("Page.bringToFront", json!({})).await?;
    }
    Ok(())
}

fn code(steps: u64) -> String {
    format!(
        "let x = 1; for (let i = 0; i < {steps}; i++) x = (Math.imul(x, 1664525) + 1013904223) | 0; \
         return {{x, samples: 1}}"
    )
}

async fn plain(page: &Page, code: &str, slots: u64, shards: u64) -> Result<f64> {
    let call = format!("({PLAIN})({}, {slots}, {shards})", json!(code));
    let seconds = page.evaluate(&call).await?;
    seconds.as_f64().context("a time")
}

async fn job_seconds(cluster: &Cluster, code: &str, shards: u64) -> Result<f64> {
    let api = cluster.api();
    let started = Instant::now();
    let id = api.run_js(&json!({
        "code": code,
        "executionModel": "sharded", "allowDowngrade": false,
        "shardConfig": {"totalUnits": shards, "unitsPerShard": 1},
        "reducer": {"type": "sum", "fields": ["samples"]},
    }))?;
    let result = api.result(&id, JOB_LIMIT).await?;
    let seconds = started.elapsed().as_secs_f64();
    ensure!(result["aggregate"]["samples"] == shards, "{result}");
    Ok(seconds)
}

/// Slots of each device; they are alike.
fn slots(cluster: &Cluster) -> Result<u64> {
    let workers = cluster.api().workers()?;
    let all = workers["totalSlots"].as_u64().context("slots of workers")?;
    let devices = cluster.devices.len() as u64;
    ensure!(all > 0 && all.is_multiple_of(devices), "{workers}");
    Ok(all / devices)
}

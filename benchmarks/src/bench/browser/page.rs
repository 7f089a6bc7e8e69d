//! What a volunteer feels: how soon the page is there on a slow phone, and how soon a fully loaded
//! page answers a tap.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::json;
use tests_e2e::Page;

use super::Cluster;
use crate::report::{Table, percentile};

/// Slow 4G as Lighthouse has it: round trip in milliseconds, bytes a second down and up.
const SLOW_4G: (f64, f64, f64) = (150.0, 1_600.0 * 1024.0 / 8.0, 750.0 * 1024.0 / 8.0);
/// The processor of an old phone, as a part of this one's.
const CPU_SLOWDOWN: u32 = 4;
const FIRST_VISITS: usize = 5;
const TAPS: usize = 60;
const BETWEEN_TAPS: Duration = Duration::from_millis(100);

/// Milliseconds from opening the address to the first paint, and to a Start button that works.
const FIRST_VISIT: &str = "new Promise((done) => {
    const paint = () => performance.getEntriesByName('first-contentful-paint')[0]?.startTime;
    const look = () => {
        const start = document.querySelector('#start');
        if (paint() && start && !start.disabled) done([paint(), performance.now()]);
        else setTimeout(look, 5);
    };
    look();
})";

/// Notes of each tap how long it took from the hand to the frame after it was handled.
const LISTEN: &str = "globalThis.taps = []; addEventListener('pointerdown', (event) => {
    requestAnimationFrame(() => setTimeout(() => taps.push(performance.now() - event.timeStamp)));
}, true)";

pub(super) async fn run(cluster: &Cluster) -> Result<[Table; 2]> {
    Ok([first_visits(cluster).await?, taps(cluster).await?])
}

async fn first_visits(cluster: &Cluster) -> Result<Table> {
    let invite = cluster.api().invite_url()?;
    let (mut paints, mut starts) = (Vec::new(), Vec::new());
    for _ in 0..FIRST_VISITS {
        let page = cluster.devices[0]
            .browser
            .open_isolated("about:blank")
            .await?;
        slow_down(&page).await?;
        page.goto(&invite).await?;
        let times = page.evaluate(FIRST_VISIT).await?;
        paints.push(times[0].as_f64().context("a time")?);
        starts.push(times[1].as_f64().context("a time")?);
        page.close().await?;
    }
    let mut table = Table::new(&["first visit, slow 4G, CPU / 4", "median ms", "slowest ms"]);
    table.row(spread("first paint", paints, 1.0));
    table.row(spread("ready to start", starts, 1.0));
    Ok(table)
}

async fn slow_down(page: &Page) -> Result<()> {
    let (latency, down, up) = SLOW_4G;
    page.call("Network.enable", json!({})).await?;
    let network = json!({
        "offline": false, "latency": latency, "downloadThroughput": down, "uploadThroughput": up,
    });
    page.call("Network.emulateNetworkConditions", network)
        .await?;
    let processor = json!({"rate": CPU_SLOWDOWN});
    page.call("Emulation.setCPUThrottlingRate", processor)
        .await?;
    Ok(())
}

/// While every slot of every device computes.
async fn taps(cluster: &Cluster) -> Result<Table> {
    let api = cluster.api();
    let id = api.run_js(&json!({
        "code": "const end = performance.now() + 500; while (performance.now() < end); return {n: 1}",
        "executionModel": "sharded", "allowDowngrade": false,
        "shardConfig": {"totalUnits": 1_000_000, "unitsPerShard": 1},
        "reducer": {"type": "sum", "fields": ["n"]},
    }))?;
    let tab = &cluster.devices[0].tab;
    tab.wait_for_state(&["running"], Duration::from_secs(30))
        .await?;
    let page = tab.page();
    page.evaluate(LISTEN).await?;
    for _ in 0..TAPS {
        // Where there is nothing to press.
        page.click_at(3.0, 3.0).await?;
        tokio::time::sleep(BETWEEN_TAPS).await;
    }
    page.wait_until(&format!("taps.length >= {TAPS}")).await?;
    let answers: Vec<f64> = serde_json::from_value(page.evaluate("taps").await?)?;
    api.post(&format!("/api/jobs/{id}/cancel"), &json!({}))?;
    let mut table = Table::new(&["tap on a loaded page", "median ms", "slowest ms"]);
    table.row(spread("answered and painted", answers, 1.0));
    Ok(table)
}

/// A row of a table: what, median, slowest.
pub(super) fn spread(what: &str, mut samples: Vec<f64>, scale: f64) -> Vec<String> {
    samples.sort_by(f64::total_cmp);
    let at = |share| format!("{:.2}", percentile(&samples, share) * scale);
    vec![what.to_owned(), at(0.5), at(1.0)]
}

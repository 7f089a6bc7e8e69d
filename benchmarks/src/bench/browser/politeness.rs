//! What a device gives of its processors at each share of time that its volunteer allows.

use std::time::Duration;

use anyhow::Result;
use serde_json::json;

use super::Cluster;
use crate::report::Table;

const SHARES: [u32; 3] = [100, 50, 25];
/// Until a new share has come into force everywhere.
const SETTLE: Duration = Duration::from_secs(3);
const WINDOW: Duration = Duration::from_secs(15);

/// On the first device, with one thread; the others leave.
pub(super) async fn run(cluster: &Cluster) -> Result<Table> {
    let api = cluster.api();
    let id = api.run_js(&json!({
        "code": "let x = 1; for (let i = 0; i < 60e6; i++) x = Math.imul(x, 1664525) + 1 | 0; return {x}",
        "executionModel": "sharded", "allowDowngrade": false,
        "shardConfig": {"totalUnits": 1_000_000, "unitsPerShard": 1},
        "reducer": {"type": "min", "field": "x"},
    }))?;
    for other in &cluster.devices[1..] {
        other.tab.page().click("#leave").await?;
    }
    let device = &cluster.devices[0];
    set(device, "threads", 1).await?;
    let mut table = Table::new(&["share of time", "of one processor"]);
    for share in SHARES {
        set(device, "duty", share).await?;
        tokio::time::sleep(SETTLE).await;
        let part = device.browser.processor_share(WINDOW).await?;
        table.row(vec![format!("{share} %"), format!("{:.0} %", 100.0 * part)]);
    }
    api.post(&format!("/api/jobs/{id}/cancel"), &json!({}))?;
    Ok(table)
}

/// Changes a setting as its form does.
async fn set(device: &super::Device, field: &str, value: u32) -> Result<()> {
    let change = format!(
        "(field => {{ field.value = {value}; \
         field.dispatchEvent(new Event('change', {{bubbles: true}})) }})\
         (document.getElementById('{field}'))"
    );
    device.tab.page().evaluate(&change).await?;
    Ok(())
}

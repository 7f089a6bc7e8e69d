//! `bench tabs`: what two real Chromium tabs do with trivial shards.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::json;
use tests_e2e::artifacts::program;
use tests_e2e::{Chromium, ServerSetup, WorkerTab};

use crate::report::{Table, grouped};

const KEY: &str = "000102030405060708090a0b0c0d0e0f";
const UNITS_PER_SHARD: u64 = 1_000;
const LIMIT: Duration = Duration::from_secs(600);
const TABS: usize = 2;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Shards of the jobs, one after the other; the first warms the tabs up.
    #[arg(long, value_delimiter = ',', default_value = "20000,100000,1000000")]
    shards: Vec<u64>,
}

pub(crate) async fn run(args: &Args) -> Result<()> {
    let data_dir = tempfile::tempdir()?;
    let server = ServerSetup::new(program("cluster-server")?, data_dir.path(), KEY)?.start()?;
    let api = server.api();
    // A browser each, as two devices would have.
    let invite = api.invite_url()?;
    let mut tabs = Vec::new();
    for _ in 0..TABS {
        let browser = Chromium::launch().await?;
        let tab = WorkerTab::join(&browser, &invite).await?;
        tabs.push((browser, tab));
    }
    api.joined(TABS as u64, Duration::from_secs(30)).await?;
    let mut table = Table::new(&["shards", "seconds", "shards/s"]);
    for &shards in &args.shards {
        let started = Instant::now();
        let job = api.run_js(&json!({
            "code": "return {hits: 785, samples: __BRAIN__.units}",
            "executionModel": "sharded",
            "shardConfig":
                {"totalUnits": shards * UNITS_PER_SHARD, "unitsPerShard": UNITS_PER_SHARD},
            "reducer": {"type": "sum", "fields": ["hits", "samples"]},
        }))?;
        let result = api.result(&job, LIMIT).await?;
        let seconds = started.elapsed().as_secs_f64();
        let expected = json!({"hits": shards * 785, "samples": shards * UNITS_PER_SHARD});
        ensure!(
            result["aggregate"] == expected,
            "{} instead of {expected}",
            result["aggregate"]
        );
        table.row(vec![
            grouped(shards as f64),
            format!("{seconds:.2}"),
            grouped(shards as f64 / seconds),
        ]);
    }
    for (browser, _) in tabs {
        browser.close().await?;
    }
    table.print();
    Ok(())
}

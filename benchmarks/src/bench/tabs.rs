//! `bench tabs`: what two real Chromium tabs do with trivial shards.

use std::time::{Duration, Instant};

use anyhow::Result;
use tests_e2e::artifacts::program;
use tests_e2e::{Browser, BrowserKind, ServerSetup, WorkerTab};

use crate::job::{self, KEY};
use crate::report::{Table, grouped};

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
        let browser = Browser::launch(BrowserKind::Chromium).await?;
        let tab = WorkerTab::join(&browser, &invite).await?;
        tabs.push((browser, tab));
    }
    api.joined(TABS as u64, Duration::from_secs(30)).await?;
    let mut table = Table::new(&["shards", "seconds", "shards/s"]);
    for &shards in &args.shards {
        let started = Instant::now();
        let id = api.run_js(&job::trivial(shards))?;
        let result = api.result(&id, LIMIT).await?;
        let seconds = started.elapsed().as_secs_f64();
        job::check(shards, &result)?;
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

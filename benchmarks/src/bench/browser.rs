//! `bench browser`: what real Chromium tabs make of the devices that they are on.
//!
//! Lives here: the devices, and the order of the parts. Each part is measured in a module of its
//! own, against what it has to be compared with in the same run.

#[path = "browser/efficiency.rs"]
mod efficiency;
#[path = "browser/page.rs"]
mod page;
#[path = "browser/politeness.rs"]
mod politeness;
#[path = "browser/rate.rs"]
mod rate;
#[path = "browser/verification.rs"]
mod verification;

use std::time::Duration;

use anyhow::Result;
use tempfile::TempDir;
use tests_e2e::artifacts::program;
use tests_e2e::{ApiClient, Browser, BrowserKind, ServerProcess, ServerSetup, WorkerTab};

use crate::job::KEY;

/// Devices, each a browser of its own.
const DEVICES: usize = 2;
const JOIN_LIMIT: Duration = Duration::from_secs(30);
/// Longest time that a job may take.
const JOB_LIMIT: Duration = Duration::from_secs(600);

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Trivial shards of the jobs, one after the other; the first warms the tabs up, the last shows
    /// whether history slows them down.
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "20000,100000,1000000,100000"
    )]
    shards: Vec<u64>,
    /// How often the cluster is compared with plain Web Workers.
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// Shards of one second on each slot, in each round.
    #[arg(long, default_value_t = 8)]
    long_shards: u64,
}

/// A browser with a volunteer's tab.
struct Device {
    browser: Browser,
    tab: WorkerTab,
}

struct Cluster {
    server: ServerProcess,
    devices: Vec<Device>,
    /// Removed after the server has ended.
    _data: TempDir,
}

impl Cluster {
    async fn start() -> Result<Self> {
        let data = tempfile::tempdir()?;
        let server = ServerSetup::new(program("cluster-server")?, data.path(), KEY)?.start()?;
        let invite = server.api().invite_url()?;
        let mut devices = Vec::new();
        for _ in 0..DEVICES {
            let browser = Browser::launch(BrowserKind::Chromium).await?;
            let tab = WorkerTab::join(&browser, &invite).await?;
            devices.push(Device { browser, tab });
        }
        server.api().joined(DEVICES as u64, JOIN_LIMIT).await?;
        Ok(Self {
            server,
            devices,
            _data: data,
        })
    }

    fn api(&self) -> ApiClient {
        self.server.api()
    }
}

pub(crate) async fn run(args: &Args) -> Result<()> {
    verification::run().await?.print();
    let cluster = Cluster::start().await?;
    rate::run(&cluster, &args.shards).await?.print();
    efficiency::run(&cluster, args.rounds, args.long_shards)
        .await?
        .print();
    for table in page::run(&cluster).await? {
        table.print();
    }
    politeness::run(&cluster).await?.print();
    for device in cluster.devices {
        device.browser.close().await?;
    }
    Ok(())
}

//! `bench load`: how many shards a second go out signed, come back, and are stored for good.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use benchmarks::native_worker::{
    Traffic, WorkerCounters, WorkerOptions, run_worker, signing_key, trivial_kernel,
};
use benchmarks::process_stat;
use serde_json::json;
use tests_e2e::artifacts::program;
use tests_e2e::{ApiClient, ServerProcess, ServerSetup};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::echo::{self, FrameSizes};
use crate::job::{self, KEY};
use crate::report::{Table, grouped, percentile};

const LIMIT: Duration = Duration::from_secs(600);
const BASELINE_TIME: Duration = Duration::from_secs(2);
/// An API call this often while a job runs.
const CALL_EVERY: Duration = Duration::from_millis(10);

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Shards of the jobs, one after the other.
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "10000,100000,1000000,10000000"
    )]
    shards: Vec<u64>,
    /// Native workers, of one slot each.
    #[arg(long, default_value_t = 16)]
    workers: usize,
    /// The server to measure, instead of the one built beside this program.
    #[arg(long)]
    server: Option<PathBuf>,
    /// Where its data go, instead of a temporary folder.
    #[arg(long)]
    data_dir: Option<PathBuf>,
}

/// Sixteen workers at one server.
pub(crate) struct Cluster {
    pub(crate) server: ServerProcess,
    counters: Vec<Arc<WorkerCounters>>,
    workers: JoinSet<Result<()>>,
    stop: CancellationToken,
}

/// What one job showed.
pub(crate) struct Measured {
    pub(crate) seconds: f64,
    server_cpu: f64,
    api_ms: Vec<f64>,
    up: (u64, u64),
    down: (u64, u64),
}

pub(crate) async fn run(args: &Args) -> Result<()> {
    let temporary = tempfile::tempdir()?;
    let data_dir = args.data_dir.as_deref().unwrap_or(temporary.path());
    let server = args
        .server
        .clone()
        .map_or_else(|| program("cluster-server"), Ok)?;
    let cluster = Cluster::start(
        // All workers say hello at the same moment, from one address.
        ServerSetup::new(server, data_dir, KEY)?
            .env("WS_MAX_CONNECTIONS_PER_IP", args.workers.to_string())
            .start()?,
        args.workers,
    )
    .await?;
    let mut table = Table::new(&[
        "shards",
        "seconds",
        "shards/s",
        "of echo",
        "server CPU µs/shard",
        "bytes/shard up",
        "down",
        "API p50 ms",
        "p99 ms",
    ]);
    for &shards in &args.shards {
        let measured = cluster.measure(shards).await?;
        table.row(measured.cells(shards, args.workers).await?);
    }
    cluster.stop().await?;
    table.print();
    Ok(())
}

impl Cluster {
    pub(crate) async fn start(server: ServerProcess, count: usize) -> Result<Self> {
        let api = server.api();
        let invite = api.invite()?["inviteToken"]
            .as_str()
            .context("a token")?
            .to_owned();
        let signing_key = signing_key(server.base())?;
        let stop = CancellationToken::new();
        let mut workers = JoinSet::new();
        let counters: Vec<Arc<WorkerCounters>> = (0..count).map(|_| Arc::default()).collect();
        for (index, counters) in counters.iter().enumerate() {
            let options = WorkerOptions {
                base: server.base().to_owned(),
                invite: invite.clone(),
                signing_key: signing_key.clone(),
                name: format!("native-{index}"),
                slots: 1,
                kernel: trivial_kernel(),
            };
            workers.spawn(run_worker(options, counters.clone(), stop.clone()));
        }
        api.joined(count as u64, Duration::from_secs(30)).await?;
        Ok(Self {
            server,
            counters,
            workers,
            stop,
        })
    }

    pub(crate) async fn measure(&self, shards: u64) -> Result<Measured> {
        let api = self.server.api();
        let (up, down) = (self.traffic(|it| &it.sent), self.traffic(|it| &it.received));
        let cpu = process_stat::cpu_seconds(self.server.id())?;
        let started = Instant::now();
        let id = api.run_js(&job::trivial(shards))?;
        let calls = tokio::task::spawn_blocking({
            let (api, id) = (api.clone(), id.clone());
            move || follow(&api, &id)
        });
        let api_ms = calls.await??;
        let seconds = started.elapsed().as_secs_f64();
        let result = api.result(&id, LIMIT).await?;
        job::check(shards, &result)?;
        let (up_after, down_after) = (self.traffic(|it| &it.sent), self.traffic(|it| &it.received));
        Ok(Measured {
            seconds,
            server_cpu: process_stat::cpu_seconds(self.server.id())? - cpu,
            api_ms,
            up: (up_after.0 - up.0, up_after.1 - up.1),
            down: (down_after.0 - down.0, down_after.1 - down.1),
        })
    }

    /// Lets the workers leave and stops the server.
    pub(crate) async fn stop(mut self) -> Result<()> {
        self.stop.cancel();
        while let Some(worker) = self.workers.join_next().await {
            worker??;
        }
        ensure!(self.server.stop()?.success(), "the server stops in order");
        Ok(())
    }

    /// Frames and bytes of all workers.
    fn traffic(&self, direction: impl Fn(&WorkerCounters) -> &Traffic) -> (u64, u64) {
        self.counters
            .iter()
            .fold((0, 0), |(frames, bytes), counters| {
                let traffic = direction(counters);
                (
                    frames + traffic.frames.load(Ordering::Relaxed),
                    bytes + traffic.bytes.load(Ordering::Relaxed),
                )
            })
    }
}

/// Asks for the job until it is done; how long each answer took, sorted, in milliseconds.
fn follow(api: &ApiClient, job: &str) -> Result<Vec<f64>> {
    let deadline = Instant::now() + LIMIT;
    let mut times = Vec::new();
    loop {
        let asked = Instant::now();
        let state = api.job(job)?;
        times.push(asked.elapsed().as_secs_f64() * 1e3);
        if state["status"] == json!("done") {
            break;
        }
        ensure!(
            state["status"] != json!("failed"),
            "the job failed: {state}"
        );
        ensure!(
            Instant::now() < deadline,
            "not done after {LIMIT:?}: {state}"
        );
        std::thread::sleep(CALL_EVERY);
    }
    times.sort_by(f64::total_cmp);
    Ok(times)
}

impl Measured {
    async fn cells(&self, shards: u64, workers: usize) -> Result<Vec<String>> {
        let count = shards as f64;
        let rate = count / self.seconds;
        let average = |(frames, bytes): (u64, u64)| (bytes / frames.max(1)) as usize;
        let sizes = FrameSizes {
            up: average(self.up),
            down: average(self.down),
        };
        let round_trips = echo::round_trips(workers, sizes, BASELINE_TIME).await?;
        let echo_rate = round_trips * count / self.up.0 as f64;
        Ok(vec![
            grouped(count),
            format!("{:.3}", self.seconds),
            grouped(rate),
            format!("{:.0} %", 100.0 * rate / echo_rate),
            format!("{:.2}", 1e6 * self.server_cpu / count),
            format!("{:.1}", self.up.1 as f64 / count),
            format!("{:.1}", self.down.1 as f64 / count),
            format!("{:.2}", percentile(&self.api_ms, 0.5)),
            format!("{:.2}", percentile(&self.api_ms, 0.99)),
        ])
    }
}

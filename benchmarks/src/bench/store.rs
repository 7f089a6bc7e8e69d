//! `bench store`: what durability costs, and how a server starts that has much to remember.
//!
//! The rate on disk is against that of the same server whose data are in memory. A server that holds
//! many ended jobs and a large running one is killed and started again.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tests_e2e::artifacts::program;
use tests_e2e::{ApiClient, ServerSetup};

use crate::job::{self, KEY};
use crate::load::Cluster;
use crate::report::{Table, grouped};

/// A file system without a disk.
const MEMORY: &str = "/dev/shm";
/// Clients that submit at the same time.
const SUBMITTERS: u64 = 32;
const LIMIT: Duration = Duration::from_secs(600);

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Shards of a job whose rate is measured.
    #[arg(long, default_value_t = 3_000_000)]
    shards: u64,
    /// Measurements of each kind, in turn.
    #[arg(long, default_value_t = 2)]
    rounds: u32,
    /// Jobs that have ended before the restart.
    #[arg(long, default_value_t = 100_000)]
    ended: u64,
    /// Completed shards of the job that runs at the restart.
    #[arg(long, default_value_t = 10_000_000)]
    completed: u64,
    /// Native workers, of one slot each.
    #[arg(long, default_value_t = 16)]
    workers: usize,
    /// Where data go that are on disk; it must be on a disk.
    #[arg(long)]
    disk: Option<PathBuf>,
}

pub(crate) async fn run(args: &Args) -> Result<()> {
    let disk = args.disk.clone().unwrap_or_else(std::env::temp_dir);
    let mut table = Table::new(&["data", "shards", "shards/s", "of memory"]);
    let (mut on_disk, mut in_memory) = (0.0, 0.0);
    for _ in 0..args.rounds {
        in_memory += rate(args, Path::new(MEMORY)).await?;
        on_disk += rate(args, &disk).await?;
    }
    for (name, sum) in [("in memory", in_memory), ("on disk", on_disk)] {
        table.row(vec![
            name.into(),
            grouped(args.shards as f64),
            grouped(sum / f64::from(args.rounds)),
            format!("{:.0} %", 100.0 * sum / in_memory),
        ]);
    }
    table.print();
    restart(args, &disk).await
}

async fn start(args: &Args, folder: &Path) -> Result<Cluster> {
    let server = ServerSetup::new(program("cluster-server")?, folder, KEY)?
        .env("WS_MAX_CONNECTIONS_PER_IP", args.workers.to_string())
        .start()?;
    Cluster::start(server, args.workers).await
}

/// Shards a second of a server with its data in `place`.
async fn rate(args: &Args, place: &Path) -> Result<f64> {
    let folder = tempfile::tempdir_in(place).with_context(|| place.display().to_string())?;
    let cluster = start(args, folder.path()).await?;
    // The first job pays for what is set up once.
    cluster.measure(args.shards / 10).await?;
    let seconds = cluster.measure(args.shards).await?.seconds;
    cluster.stop().await?;
    Ok(args.shards as f64 / seconds)
}

async fn restart(args: &Args, disk: &Path) -> Result<()> {
    let folder = tempfile::tempdir_in(disk)?;
    let mut cluster = start(args, folder.path()).await?;
    let api = cluster.server.api();
    end_jobs(&api, args.ended).await?;
    let shards = args.completed + args.completed / 5;
    let job = api.run_js(&job::trivial(shards))?;
    let completed = wait_for(&api, &job, args.completed).await?;
    ensure!(completed < shards, "the job ended too soon");
    cluster.server.kill()?;
    let bytes = bytes_of(folder.path(), &["cluster.db", "cluster.db-wal"])?;
    let began = Instant::now();
    cluster.server.start_again()?;
    let listening = began.elapsed().as_secs_f64();
    let known = completed_of(&api, &job)?;
    let answered = began.elapsed().as_secs_f64();
    ensure!(known >= completed, "{known} of {completed} are known");
    job::check(shards, &api.result(&job, LIMIT).await?)?;
    cluster.stop().await?;
    let mut table = Table::new(&[
        "ended jobs",
        "completed shards",
        "database KiB",
        "listens after s",
        "answers after s",
    ]);
    table.row(vec![
        grouped(args.ended as f64),
        grouped(known as f64),
        grouped(bytes as f64 / 1024.0),
        format!("{listening:.2}"),
        format!("{answered:.2}"),
    ]);
    table.print();
    Ok(())
}

fn bytes_of(folder: &Path, names: &[&str]) -> Result<u64> {
    let bytes = |name| Ok(folder.join(name).metadata()?.len());
    names.iter().map(bytes).sum()
}

/// Submits additions and waits until the last has ended.
async fn end_jobs(api: &ApiClient, count: u64) -> Result<()> {
    let submitting: Vec<_> = (0..SUBMITTERS)
        .map(|submitter| {
            let api = api.clone();
            let share = count / SUBMITTERS + u64::from(submitter < count % SUBMITTERS);
            tokio::task::spawn_blocking(move || -> Result<()> {
                (0..share).try_for_each(|_| api.add(1, 1).map(|_| ()))
            })
        })
        .collect();
    for submitter in submitting {
        submitter.await??;
    }
    let deadline = Instant::now() + LIMIT;
    while api.get("/api/metrics/cluster")?.body["runtime"]["counters"]["done"] != count {
        ensure!(Instant::now() < deadline, "not done after {LIMIT:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

/// Waits until so many shards of a job are completed; how many are.
async fn wait_for(api: &ApiClient, job: &str, count: u64) -> Result<u64> {
    let deadline = Instant::now() + LIMIT;
    loop {
        let completed = completed_of(api, job)?;
        if completed >= count {
            return Ok(completed);
        }
        ensure!(Instant::now() < deadline, "{completed} after {LIMIT:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn completed_of(api: &ApiClient, job: &str) -> Result<u64> {
    let state = api.job(job)?;
    let completed = state["task"]["shards"]["completed"].as_u64();
    completed.with_context(|| format!("how far it is: {state}"))
}

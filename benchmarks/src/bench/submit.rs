//! `bench submit`: a job of 10^9 shards must cost what one of ten costs, to submit and to cancel.

use std::time::Instant;

use anyhow::{Result, ensure};
use benchmarks::process_stat;
use serde_json::json;
use tests_e2e::ServerSetup;
use tests_e2e::artifacts::program;

use crate::job::KEY;
use crate::report::{Table, grouped, percentile};

const SIZES: [u64; 3] = [10, 1_000_000, 1_000_000_000];
const REPETITIONS: usize = 20;

pub(crate) fn run() -> Result<()> {
    let data_dir = tempfile::tempdir()?;
    let server = ServerSetup::new(program("cluster-server")?, data_dir.path(), KEY)?.start()?;
    let api = server.api();
    let mut table = Table::new(&[
        "shards",
        "median ms",
        "slowest ms",
        "memory a job, KiB",
        "cancel median ms",
        "slowest ms",
    ]);
    // The first request pays for what is set up once.
    api.add(1, 1)?;
    for shards in SIZES {
        let before = process_stat::resident_bytes(server.id())?;
        let (mut times, mut jobs) = (Vec::new(), Vec::new());
        for _ in 0..REPETITIONS {
            let started = Instant::now();
            jobs.push(api.run_js(&json!({
                "code": "return {hits: 1}",
                "executionModel": "sharded", "allowDowngrade": false,
                "shardConfig": {"totalUnits": shards, "unitsPerShard": 1},
                "reducer": {"type": "sum", "fields": ["hits"]},
            }))?);
            times.push(started.elapsed().as_secs_f64() * 1e3);
        }
        times.sort_by(f64::total_cmp);
        let grown = process_stat::resident_bytes(server.id())?.saturating_sub(before);
        let mut cancels = Vec::new();
        for job in jobs {
            let started = Instant::now();
            let answer = api.post(&format!("/api/jobs/{job}/cancel"), &json!({}))?;
            cancels.push(started.elapsed().as_secs_f64() * 1e3);
            ensure!(answer.status == 200, "not cancelled: {answer:?}");
        }
        cancels.sort_by(f64::total_cmp);
        table.row(vec![
            grouped(shards as f64),
            format!("{:.2}", percentile(&times, 0.5)),
            format!("{:.2}", percentile(&times, 1.0)),
            grouped(grown as f64 / 1024.0 / REPETITIONS as f64),
            format!("{:.2}", percentile(&cancels, 0.5)),
            format!("{:.2}", percentile(&cancels, 1.0)),
        ]);
    }
    table.print();
    Ok(())
}

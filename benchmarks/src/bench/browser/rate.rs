//! Trivial shards: what everything around a shard costs.

use std::time::Instant;

use anyhow::Result;

use super::{Cluster, JOB_LIMIT};
use crate::job;
use crate::report::{Table, grouped};

pub(super) async fn run(cluster: &Cluster, jobs: &[u64]) -> Result<Table> {
    let api = cluster.api();
    let mut table = Table::new(&["shards", "seconds", "shards/s"]);
    for &shards in jobs {
        let started = Instant::now();
        let id = api.run_js(&job::trivial(shards))?;
        let result = api.result(&id, JOB_LIMIT).await?;
        let seconds = started.elapsed().as_secs_f64();
        job::check(shards, &result)?;
        table.row(vec![
            grouped(shards as f64),
            format!("{seconds:.2}"),
            grouped(shards as f64 / seconds),
        ]);
    }
    Ok(table)
}

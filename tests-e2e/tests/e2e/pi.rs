//! The first real job: tabs compute pi, and the sum is exactly what this machine counts natively.

use anyhow::Result;
use benchmarks::kernels::pi_hits;
use serde_json::json;

use crate::cluster::{Cluster, JOB_LIMIT, pi_script, sharded};

#[tokio::test(flavor = "multi_thread")]
async fn two_tabs_compute_pi_to_exactly_the_native_sum() -> Result<()> {
    let cluster = Cluster::start().await?;
    let tabs = cluster.join_two().await?;
    let (units, per_shard) = (30_000_500, 100_000);
    let job = cluster
        .api()
        .run_js(&sharded(&pi_script()?, units, per_shard))?;
    let result = cluster.api().result(&job, JOB_LIMIT).await?;
    let hits = pi_hits(0, units);
    assert_eq!(
        result["aggregate"],
        json!({"hits": hits, "samples": units}),
        "{result}"
    );
    assert_eq!(result["completedShards"], 301);
    assert_eq!(result["totalShards"], 301);
    let estimate = result["derived"]["piEstimate"].as_f64().unwrap();
    assert!(
        (estimate - std::f64::consts::PI).abs() < 0.002,
        "{estimate}"
    );
    let mut done = 0;
    for tab in &tabs {
        tab.wait_for_state(&["idle"], JOB_LIMIT).await?;
        let count = tab.done_count().await?;
        assert!(count > 0, "one tab did everything");
        done += count;
        tab.check_console(&[])?;
    }
    assert_eq!(done, 301, "each shard is counted in one tab");
    cluster.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn one_tab_runs_single_jobs_and_additions() -> Result<()> {
    let cluster = Cluster::start().await?;
    let tab = cluster.join().await?;
    let api = cluster.api();
    let sum = api.add(-5, 1_000_000_000)?;
    assert_eq!(api.result(&sum, JOB_LIMIT).await?, json!(999_999_995));
    let job = api.run_js(&json!({
        "code": "console.log('half way', {x: 1}); return {seen: args, brain: typeof __BRAIN__}",
        "args": {"n": [1, 2.5, null, "ä"]},
    }))?;
    let result = api.result(&job, JOB_LIMIT).await?;
    assert_eq!(result["ok"], true, "{result}");
    assert_eq!(
        result["returnValue"],
        json!({"seen": {"n": [1, 2.5, null, "ä"]}, "brain": "undefined"})
    );
    assert_eq!(result["logs"], json!(["[log] half way {\"x\":1}"]));
    tab.check_console(&[])?;
    cluster.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn code_and_args_too_long_to_ride_along_are_fetched() -> Result<()> {
    let cluster = Cluster::start().await?;
    let tab = cluster.join().await?;
    let api = cluster.api();
    let padding = "// padding\n".repeat(2_000);
    let text = "é".repeat(12_000);
    let job = api.run_js(&json!({
        "code": format!("{padding}return args.text.length"),
        "args": {"text": text},
    }))?;
    let result = api.result(&job, JOB_LIMIT).await?;
    assert_eq!(result["returnValue"], 12_000, "{result}");
    tab.check_console(&[])?;
    cluster.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_volunteer_who_leaves_hands_the_work_to_the_other() -> Result<()> {
    let cluster = Cluster::start().await?;
    let [leaving, staying] = cluster.join_two().await?;
    let units = 20_000_000;
    let job = cluster
        .api()
        .run_js(&sharded(&pi_script()?, units, 50_000))?;
    cluster.api().completed(&job, 20, JOB_LIMIT).await?;
    leaving.page().click("#leave").await?;
    let result = cluster.api().result(&job, JOB_LIMIT).await?;
    let hits = pi_hits(0, units);
    assert_eq!(result["aggregate"], json!({"hits": hits, "samples": units}));
    assert_eq!(cluster.api().workers()?["count"], 1);
    staying.check_console(&[])?;
    leaving.check_console(&[])?;
    cluster.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reloaded_page_and_a_closed_one_lose_no_shard() -> Result<()> {
    let cluster = Cluster::start().await?;
    let [reloaded, closed] = cluster.join_two().await?;
    let units = 20_000_000;
    let job = cluster
        .api()
        .run_js(&sharded(&pi_script()?, units, 50_000))?;
    cluster.api().completed(&job, 20, JOB_LIMIT).await?;
    closed.close().await?;
    reloaded.page().reload().await?;
    reloaded.wait_for_start().await?;
    reloaded.start().await?;
    let result = cluster.api().result(&job, JOB_LIMIT).await?;
    let hits = pi_hits(0, units);
    assert_eq!(result["aggregate"], json!({"hits": hits, "samples": units}));
    reloaded.check_console(&[])?;
    cluster.close().await
}

//! Tabs that are left alone for long: devices that sleep, servers that die, jobs that misbehave, again
//! and again. No result is lost or counted twice, and a tab does not grow.
//!
//! `ENDURANCE_SEC` sets how long it goes on.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tests_e2e::{Page, WorkerTab};

use crate::cluster::{AWAY, Cluster, JOB_LIMIT};

/// In every run of the tests, so many seconds at least, and each event once.
const SECONDS: u64 = 30;
/// Rounds before what a tab holds is taken as its measure.
const WARM_UP: usize = 3;
const SHARDS: u64 = 400;
const ASLEEP: Duration = Duration::from_millis(1_500);

/// What happens while a job of many shards runs.
#[derive(Debug, Clone, Copy)]
enum Event {
    DeviceSleeps,
    ServerStalls,
    ServerDies,
    InviteReplaced,
    TabHidden,
    Spinner,
    Thrower,
    Bomb,
    Reload,
}

const EVENTS: [Event; 9] = [
    Event::DeviceSleeps,
    Event::ServerStalls,
    Event::ServerDies,
    Event::InviteReplaced,
    Event::TabHidden,
    Event::Spinner,
    Event::Thrower,
    Event::Bomb,
    Event::Reload,
];

/// What a page holds after a collection: bytes of its heap, nodes and listeners of its document.
#[derive(Debug, Clone, Copy)]
struct Held {
    heap: f64,
    nodes: f64,
    listeners: f64,
}

impl Held {
    async fn by(page: &Page) -> Result<Self> {
        page.call("Performance.enable", json!({})).await?;
        page.call("HeapProfiler.collectGarbage", json!({})).await?;
        let metrics = page.call("Performance.getMetrics", json!({})).await?;
        let metrics = metrics["metrics"].as_array().context("metrics")?.clone();
        let value = |name: &str| {
            let found = metrics.iter().find(|metric| metric["name"] == name);
            found.and_then(|metric| metric["value"].as_f64())
        };
        Ok(Self {
            heap: value("JSHeapUsedSize").context("a heap")?,
            nodes: value("Nodes").context("nodes")?,
            listeners: value("JSEventListeners").context("listeners")?,
        })
    }

    /// A page may hold a few lines more of what it shows, and what the browser notes of its own.
    fn check_growth(self, later: Self) -> Result<()> {
        ensure!(later.heap < self.heap * 1.5 + 1e6, "{self:?} to {later:?}");
        ensure!(later.nodes <= self.nodes + 200.0, "{self:?} to {later:?}");
        ensure!(
            later.listeners <= self.listeners + 20.0,
            "{self:?} to {later:?}"
        );
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tabs_that_are_left_alone_lose_nothing_and_do_not_grow() -> Result<()> {
    let seconds = std::env::var("ENDURANCE_SEC").ok();
    let seconds = seconds.map_or(Ok(SECONDS), |text| text.parse())?;
    let started = Instant::now();
    let mut cluster = Cluster::start_with(|setup| setup.env("RECLAIM_SEC", "1")).await?;
    let tabs = cluster.join_two().await?;
    let mut measure = None;
    let mut round = 0;
    while round < EVENTS.len() + WARM_UP || started.elapsed() < Duration::from_secs(seconds) {
        if round == WARM_UP {
            measure = Some(Held::by(tabs[1].page()).await?);
        }
        let event = EVENTS[round % EVENTS.len()];
        let result = play(&mut cluster, &tabs, round as u64, event).await;
        result.with_context(|| format!("round {round}, {event:?}"))?;
        round += 1;
    }
    let measure = measure.expect("there are more rounds than those to warm up");
    let end = Held::by(tabs[1].page()).await?;
    println!(
        "{round} rounds in {:?}: {measure:?} to {end:?}",
        started.elapsed()
    );
    measure.check_growth(end)?;
    for tab in &tabs {
        tab.check_console(AWAY)?;
    }
    cluster.close().await
}

/// A job during which something happens. The second tab is never reloaded: its growth is measured.
async fn play(
    cluster: &mut Cluster,
    tabs: &[WorkerTab; 2],
    round: u64,
    event: Event,
) -> Result<()> {
    let api = cluster.api();
    let job = api.run_js(&job(round))?;
    api.completed(&job, SHARDS / 10, JOB_LIMIT).await?;
    match event {
        Event::DeviceSleeps => tokio::task::block_in_place(|| cluster.browser.sleep(ASLEEP))?,
        Event::ServerStalls => tokio::task::block_in_place(|| cluster.server.freeze(ASLEEP))?,
        Event::ServerDies => {
            cluster.server.kill()?;
            cluster.server.start_again()?;
        }
        Event::InviteReplaced => drop(api.invite()?),
        Event::TabHidden => {
            let other = cluster
                .browser
                .open_beside(tabs[0].page(), "about:blank")
                .await?;
            tokio::time::sleep(ASLEEP).await;
            other.close().await?;
        }
        Event::Spinner => {
            fails(cluster, "for (;;) {}", "Execution timeout exceeded").await?;
        }
        Event::Thrower => fails(cluster, "throw new Error('on purpose')", "on purpose").await?,
        Event::Bomb => {
            let bomb = "const all = []; for (;;) if (all.length < 128) all.push(new Uint8Array(1 << 24).fill(1))";
            fails(cluster, bomb, "").await?;
        }
        Event::Reload => {
            tabs[0].page().reload().await?;
            tabs[0].wait_for_start().await?;
            tabs[0].start().await?;
        }
    }
    let result = cluster.api().result(&job, JOB_LIMIT).await?;
    let sum: u64 = (0..SHARDS).map(|shard| shard * (round + 1)).sum();
    ensure!(result["aggregate"] == json!({"n": sum}), "{result}");
    ensure!(result["completedShards"] == SHARDS, "{result}");
    for tab in tabs {
        tab.wait_for_state(&["idle", "running"], JOB_LIMIT).await?;
    }
    Ok(())
}

/// Shards of a few milliseconds.
fn job(round: u64) -> Value {
    json!({
        "code": "const end = performance.now() + 4; while (performance.now() < end); \
                 return {n: __BRAIN__.shardId * args.factor}",
        "args": {"factor": round + 1},
        "executionModel": "sharded", "allowDowngrade": false,
        "shardConfig": {"totalUnits": SHARDS, "unitsPerShard": 1},
        "reducer": {"type": "sum", "fields": ["n"]},
    })
}

/// A job of its own that cannot succeed, and the reason that it is told.
async fn fails(cluster: &Cluster, code: &str, why: &str) -> Result<()> {
    let api = cluster.api();
    let id = api.run_js(&json!({"code": code, "timeoutMs": 2_000}))?;
    let ended = api.ended(&id, JOB_LIMIT).await?;
    ensure!(ended["result"]["ok"] == json!(false), "{ended}");
    ensure!(ended.to_string().contains(why), "{ended}");
    Ok(())
}

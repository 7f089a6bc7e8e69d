//! The server dies, or is suspended, at random instants, again and again, while native workers and tabs work and
//! clients submit. In the end every acknowledged job is there and every aggregate is exact.
//!
//! What the results must be is computed here from the formula that the scripts state, by nothing
//! that the server is made of. `CRASH_KILLS` and `CRASH_SEED` set how often and when it dies.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use benchmarks::native_worker::{
    Kernel, WorkerCounters, WorkerOptions, returned, run_worker, signing_key,
};
use serde_json::{Value, json};
use shared::envelope::RunKind;
use tests_e2e::ApiClient;
use tokio_util::sync::CancellationToken;

use crate::cluster::{AWAY, Cluster, JOB_LIMIT};

/// Deaths in every run of the tests.
const KILLS: u64 = 25;
/// Longest life between two deaths, in milliseconds.
const MAX_LIFE_MS: u64 = 700;
/// In one life of so many the server is suspended for a while, at most so long.
const FREEZE_ONE_IN: u64 = 4;
const MAX_FREEZE_MS: u64 = 2_000;
/// Shards of each job.
const SHARDS: u64 = 600;
/// What a shard takes a native worker.
const SHARD_TIME: Duration = Duration::from_micros(200);
/// Additions that are submitted at most.
const MAX_ADDS: i64 = 2_000;

/// The same as [`value`].
const SCRIPT: &str = "
    const n = (Math.imul(__BRAIN__.shardId + 1 + args.salt * 7919, 2654435761) >>> 0) % 1000003;
    return { n, x: n / 1024 };
";

const fn value(salt: u64, shard: u64) -> u64 {
    let mixed = ((shard + 1 + salt * 7919) as u32).wrapping_mul(2_654_435_761);
    (mixed % 1_000_003) as u64
}

#[derive(Debug, Clone, Copy)]
enum Reduction {
    Fields,
    All,
    Min,
    Max,
    Collect,
}

const REDUCTIONS: [Reduction; 5] = [
    Reduction::Fields,
    Reduction::All,
    Reduction::Min,
    Reduction::Max,
    Reduction::Collect,
];

/// A job that the server has acknowledged.
#[derive(Debug)]
struct Known {
    id: String,
    salt: u64,
    reduction: Reduction,
    /// Shards that were shown as completed.
    shown: u64,
}

impl Known {
    fn submit(api: &ApiClient, salt: u64, reduction: Reduction) -> Result<Self> {
        let reducer = match reduction {
            Reduction::Fields => json!({"type": "sum", "fields": ["n"]}),
            Reduction::All => json!({"type": "sum", "fields": ["*"]}),
            Reduction::Min => json!({"type": "min", "field": "n"}),
            Reduction::Max => json!({"type": "max", "field": "n"}),
            Reduction::Collect => json!({"type": "collect"}),
        };
        let id = api.run_js(&json!({
            "code": SCRIPT, "args": {"salt": salt}, "reducer": reducer,
            "executionModel": "sharded", "allowDowngrade": false,
            "shardConfig": {"totalUnits": SHARDS, "unitsPerShard": 1},
        }))?;
        Ok(Self {
            id,
            salt,
            reduction,
            shown: 0,
        })
    }

    fn look(&mut self, api: &ApiClient) -> Result<()> {
        let state = api.job(&self.id)?;
        let completed = state["task"]["shards"]["completed"].as_u64();
        let completed = completed.with_context(|| format!("no count in {state}"))?;
        ensure!(
            completed >= self.shown,
            "{} shards were shown as done, {completed} are left",
            self.shown
        );
        self.shown = completed;
        Ok(())
    }

    fn check(&self, result: &Value) -> Result<()> {
        let values: Vec<u64> = (0..SHARDS).map(|shard| value(self.salt, shard)).collect();
        let sum: u64 = values.iter().sum();
        let expected = match self.reduction {
            Reduction::Fields => json!({"n": sum}),
            // Every summand is a multiple of 2^-10: the sum is exact.
            Reduction::All => json!({"n": sum, "x": sum as f64 / 1024.0}),
            Reduction::Min => json!({"value": values.iter().min()}),
            Reduction::Max => json!({"value": values.iter().max()}),
            Reduction::Collect => json!(values),
        };
        let found = match (self.reduction, &result["aggregate"]) {
            (Reduction::Collect, Value::Array(rows)) => {
                let rows = rows.iter().map(|row| row["returnValue"]["n"].clone());
                Value::Array(rows.collect())
            }
            (_, aggregate) => aggregate.clone(),
        };
        ensure!(
            as_numbers(&found) == as_numbers(&expected),
            "{self:?}: {found} instead of {expected}"
        );
        ensure!(result["completedShards"] == SHARDS, "{result}");
        Ok(())
    }
}

/// `2` and `2.0` are one number.
fn as_numbers(value: &Value) -> Value {
    match value {
        Value::Number(number) => json!(number.as_f64()),
        Value::Array(items) => items.iter().map(as_numbers).collect(),
        Value::Object(fields) => {
            let fields = fields
                .iter()
                .map(|(name, it)| (name.clone(), as_numbers(it)));
            Value::Object(fields.collect())
        }
        Value::Null | Value::Bool(_) | Value::String(_) => value.clone(),
    }
}

fn kernel() -> Kernel {
    Arc::new(|run, shard| {
        let RunKind::RunJs { args, .. } = run.kind() else {
            unreachable!("additions have no kernel");
        };
        let args: Value = serde_json::from_str(args).expect("args are JSON");
        let n = value(args["salt"].as_u64().expect("a salt"), shard.shard.0);
        thread::sleep(SHARD_TIME);
        let x = n as f64 / 1024.0;
        returned(format!(r#"{{"n":{n},"x":{x}}}"#), SHARD_TIME)
    })
}

/// Submits additions, whatever happens to the server, and remembers those that were accepted.
struct Submitter {
    is_over: Arc<AtomicBool>,
    accepted: Arc<Mutex<Vec<(String, i64)>>>,
    thread: thread::JoinHandle<()>,
}

impl Submitter {
    fn start(api: ApiClient) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let accepted = Arc::new(Mutex::new(Vec::new()));
        let (stop, list) = (Arc::clone(&is_over), Arc::clone(&accepted));
        let thread = thread::spawn(move || {
            for a in 0..MAX_ADDS {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                if let Ok(id) = api.add(a, 1) {
                    let mut list = list.lock().unwrap_or_else(PoisonError::into_inner);
                    list.push((id, a + 1));
                }
                thread::sleep(Duration::from_millis(20));
            }
        });
        Self {
            is_over,
            accepted,
            thread,
        }
    }

    fn finish(self) -> Vec<(String, i64)> {
        self.is_over.store(true, Ordering::Relaxed);
        self.thread.join().expect("it does not panic");
        let mut list = self.accepted.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *list)
    }
}

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// SplitMix64 (Steele, Lea and Flood, 2014).
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whenever_the_server_dies_nothing_is_lost_and_nothing_counts_twice() -> Result<()> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos() as u64;
    let seed = setting("CRASH_SEED").unwrap_or(now);
    println!("CRASH_SEED={seed}");
    let mut dice = Dice(seed);
    let mut cluster = Cluster::start_with(|setup| setup.env("RECLAIM_SEC", "1")).await?;
    let base = cluster.server.base().to_owned();
    let tabs = cluster.join_two().await?;
    // The newest one counts, and the tabs are in.
    let invite = cluster.api().invite()?;
    let stop = CancellationToken::new();
    let workers: Vec<_> = (0..2)
        .map(|number| {
            let options = WorkerOptions {
                base: base.clone(),
                invite: invite["inviteToken"].as_str().unwrap_or_default().into(),
                signing_key: signing_key(&base)?,
                name: format!("native-{number}"),
                slots: 2,
                kernel: kernel(),
            };
            let counters = Arc::new(WorkerCounters::default());
            Ok(tokio::spawn(run_worker(options, counters, stop.clone())))
        })
        .collect::<Result<_>>()?;
    let submitter = Submitter::start(cluster.api());

    let mut jobs = Vec::new();
    for round in 0..setting("CRASH_KILLS").unwrap_or(KILLS) {
        let api = cluster.api();
        for reduction in REDUCTIONS {
            jobs.push(Known::submit(&api, round, reduction)?);
        }
        tokio::time::sleep(Duration::from_millis(dice.below(MAX_LIFE_MS))).await;
        if dice.below(FREEZE_ONE_IN) == 0 {
            let time = Duration::from_millis(dice.below(MAX_FREEZE_MS));
            tokio::task::block_in_place(|| cluster.server.freeze(time))?;
            tokio::time::sleep(Duration::from_millis(dice.below(MAX_LIFE_MS))).await;
        }
        let recent = jobs.len().saturating_sub(2 * REDUCTIONS.len());
        for job in &mut jobs[recent..] {
            job.look(&api)?;
        }
        cluster.server.kill()?;
        cluster.server.start_again()?;
        for job in &mut jobs[recent..] {
            job.look(&api)?;
        }
    }

    let api = cluster.api();
    for job in &jobs {
        job.check(&api.result(&job.id, JOB_LIMIT).await?)?;
    }
    let added = submitter.finish();
    ensure!(added.len() > 10, "only {} additions", added.len());
    for (id, sum) in added {
        assert_eq!(api.result(&id, JOB_LIMIT).await?, json!(sum));
    }
    for tab in &tabs {
        ensure!(tab.done_count().await? > 0, "a tab has done nothing");
        tab.check_console(AWAY)?;
    }
    stop.cancel();
    for worker in workers {
        worker.await??;
    }
    cluster.close().await
}

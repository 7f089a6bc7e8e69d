//! Jobs whose every outcome is known beforehand.

use range_set_blaze::RangeSetBlaze;
use shared::ids::JobId;
use shared::job::{OnShardError, Policy, Priority};
use shared::plan::{Plan, Sharding};
use shared::reduce::{Reducer, ReducerState};
use shared::wire::{ResultStatus, ShardResult};

use super::rng::{Rng, mix};
use crate::{JobEnd, JobKind, JobOutline, SchedulerConfig};

/// Shards of a job where a device is mute: each may wait for it.
const MUTE_SHARDS: u64 = 40;

/// What a job does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Nature {
    Add,
    /// One run, which may throw.
    Single,
    /// Sums a field; shards that fail for good are folded as failed.
    Sharded,
    /// Like `Sharded`, but needs the field, so that a shard that fails for good fails the job.
    Strict,
    /// Keeps every result.
    Collect,
}

#[derive(Debug, Clone)]
pub(super) struct Spec {
    pub(super) job: JobId,
    pub(super) nature: Nature,
    pub(super) shards: u64,
    /// Run time of a shard in milliseconds.
    pub(super) run_ms: u64,
    /// Shards in a thousand that fail wherever they run.
    broken_permille: u64,
    /// Shards in a thousand that fail once.
    flaky_permille: u64,
    /// Shards in a thousand that kill the device that begins them, and how often they do.
    deadly_permille: u64,
    pub(super) kills: u32,
    pub(super) policy: Policy,
    /// Run time after which a device is said to answer no more, in milliseconds; 0 for never.
    pub(super) timeout_ms: u64,
    salt: u64,
}

/// The shard with which too many workers were lost, where a job ended so.
pub(crate) fn lost_shard(end: &JobEnd) -> Option<u64> {
    let JobEnd::Failed(text) = end else {
        return None;
    };
    let text = text.strip_suffix("worker lost while running it")?;
    if text.is_empty() {
        return Some(0);
    }
    let text = text.strip_prefix("Shard ")?;
    let (shard, _) = text.split_once(" failed after 3/3 attempts: ")?;
    shard.parse().ok()
}

impl Spec {
    pub(super) fn random(rng: &mut Rng) -> Self {
        let nature = rng.pick(&[
            Nature::Add,
            Nature::Single,
            Nature::Sharded,
            Nature::Sharded,
            Nature::Sharded,
            Nature::Strict,
            Nature::Collect,
        ]);
        let shards = match nature {
            Nature::Add | Nature::Single => 1,
            Nature::Sharded | Nature::Strict | Nature::Collect => {
                let most = rng.pick(&[1, 5, 40, 200, 200, 3_000]);
                rng.in_range(1, most)
            }
        };
        let run_ms = match shards {
            0..50 => rng.pick(&[0, 0, 5, 200, 2_000, 40_000]),
            50..500 => rng.pick(&[0, 0, 5, 50]),
            _ => 0,
        };
        Self {
            job: JobId::from_random(rng.bytes16()),
            nature,
            shards,
            run_ms,
            broken_permille: rng.pick(&[0, 0, 0, 20, 500]),
            flaky_permille: rng.pick(&[0, 0, 100, 1_000]),
            deadly_permille: rng.pick(&[0, 0, 0, 5, 50]),
            kills: rng.pick(&[1, 2, 4]),
            policy: Policy {
                priority: Priority::new(rng.pick(&[1, 1, 3, 100])).unwrap(),
                on_shard_error: rng.pick(&[
                    OnShardError::Fold,
                    OnShardError::Fold,
                    OnShardError::Skip,
                    OnShardError::Fail,
                ]),
                speculation: rng.percent(80),
            },
            timeout_ms: if rng.percent(30) { run_ms + 1_000 } else { 0 },
            salt: rng.next(),
        }
    }

    /// A job that a cluster with a mute device brings to its end, and soon.
    pub(super) fn limited(mut self) -> Self {
        self.shards = self.shards.min(MUTE_SHARDS);
        self.timeout_ms = self.run_ms + 1_000;
        self
    }

    pub(super) const fn kind(&self) -> JobKind {
        match self.nature {
            Nature::Add => JobKind::Add,
            Nature::Single | Nature::Sharded | Nature::Strict | Nature::Collect => JobKind::RunJs,
        }
    }

    pub(super) fn plan(&self) -> Plan {
        match self.nature {
            Nature::Add | Nature::Single => Plan::Single,
            Nature::Sharded | Nature::Strict | Nature::Collect => {
                Plan::Sharded(Sharding::new(self.shards, 1).unwrap())
            }
        }
    }

    pub(super) fn reducer(&self) -> Option<Reducer> {
        match self.nature {
            Nature::Add | Nature::Single => None,
            Nature::Sharded => Some(Reducer::Sum {
                fields: vec![],
                all: true,
            }),
            Nature::Strict => Some(Reducer::Sum {
                fields: vec!["hits".into()],
                all: false,
            }),
            Nature::Collect => Some(Reducer::Collect {
                max_bytes: u64::MAX,
            }),
        }
    }

    /// Fails wherever it runs.
    pub(super) fn is_broken(&self, shard: u64) -> bool {
        mix(self.salt ^ shard) % 1_000 < self.broken_permille
    }

    /// Fails the first time it is run.
    pub(super) fn is_flaky(&self, shard: u64) -> bool {
        !self.is_broken(shard) && mix(self.salt ^ !shard) % 1_000 < self.flaky_permille
    }

    /// Kills the device that begins it. Additions do not.
    pub(super) fn is_deadly(&self, shard: u64) -> bool {
        self.nature != Nature::Add
            && mix(self.salt.rotate_left(7) ^ shard) % 1_000 < self.deadly_permille
    }

    /// Devices that the job kills at most.
    pub(super) fn deaths(&self) -> u64 {
        let deadly = (0..self.shards).filter(|shard| self.is_deadly(*shard));
        deadly.count() as u64 * u64::from(self.kills)
    }

    /// What the shard adds to the sum.
    pub(super) fn hits(&self, shard: u64) -> u64 {
        mix(self.salt.wrapping_add(shard)) % 1_000_000
    }

    pub(super) fn result(&self, shard: u64, fails: bool) -> ShardResult {
        ShardResult {
            status: if fails {
                ResultStatus::Threw
            } else {
                ResultStatus::Returned
            },
            duration_us: self.run_ms * 1_000 + 3,
            value: (!fails).then(|| format!("{{\"hits\":{}}}", self.hits(shard))),
            details: None,
        }
    }

    /// Whether a job that nobody cancelled may end so.
    pub(super) fn may_end(&self, end: &JobEnd) -> bool {
        if lost_shard(end).is_some() {
            return self.nature != Nature::Add;
        }
        if let JobEnd::Failed(text) = end
            && let Some(text) = text.strip_prefix("Shard ")
            && let Some((shard, "no message")) = text.split_once(" failed after 3/3 attempts: ")
        {
            let is_strict = self.policy.on_shard_error == OnShardError::Fail;
            return is_strict && self.is_broken(shard.parse().unwrap());
        }
        let folds = self.policy.on_shard_error == OnShardError::Fold;
        let is_broken = (0..self.shards).any(|shard| self.is_broken(shard));
        match (self.nature, end) {
            (Nature::Add | Nature::Single, JobEnd::Single(result)) => {
                let may_fail = self.is_broken(0) || self.is_flaky(0);
                let may_return = !self.is_broken(0);
                (may_fail && *result == self.result(0, true))
                    || (may_return && *result == self.result(0, false))
            }
            (Nature::Strict, JobEnd::Failed(text)) => {
                let text = text
                    .strip_prefix("reducer_error:sum reducer field 'hits' must be numeric. Shard ");
                let shard = text.and_then(|text| text.split(' ').next()?.parse().ok());
                folds && shard.is_some_and(|shard| self.is_broken(shard))
            }
            (Nature::Strict, JobEnd::Reduced) if folds => !is_broken,
            (Nature::Strict | Nature::Sharded | Nature::Collect, JobEnd::Reduced) => {
                self.policy.on_shard_error != OnShardError::Fail || !is_broken
            }
            (
                Nature::Add | Nature::Single | Nature::Sharded | Nature::Strict | Nature::Collect,
                JobEnd::Single(_) | JobEnd::Reduced | JobEnd::Failed(_) | JobEnd::Cancelled,
            ) => false,
        }
    }

    /// The job as just submitted.
    pub(super) fn outline(&self, config: &SchedulerConfig) -> JobOutline {
        JobOutline {
            job: self.job,
            kind: self.kind(),
            plan: self.plan(),
            reducer: self.reducer(),
            policy: self.policy,
            timeout_ms: self.timeout_ms,
            seq: 0,
            completed: RangeSetBlaze::new(),
            failed_shards: 0,
            reducer_state: ReducerState::default(),
            high_water: config.first_high_water(self.shards),
            is_paused: false,
            reclaim: false,
        }
    }
}

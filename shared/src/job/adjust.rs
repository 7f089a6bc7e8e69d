//! What the cluster's size at the moment of submission changes of a job, and what it only advises.

use serde_json::{Map, Value};

use super::RunJs;
use crate::plan::{Plan, Sharding};

/// Slots below which sharding is pointless.
const MIN_SLOTS_FOR_SHARDS: u64 = 2;

/// How many workers are connected (those within grace count), and what they can run at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capacity {
    /// Workers.
    pub workers: u64,
    /// Their slots together.
    pub slots: u64,
}

/// What the operator thinks of the number of shards; advice only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FanOut {
    /// Units that a shard should have at least (`SHARD_MIN_UNITS`).
    pub min_units: u64,
    /// Shards for each worker or slot at most (`SHARD_MAX_PER_WORKER`).
    pub max_per_worker: u64,
    /// Shards at most (`SHARD_ABSOLUTE_MAX`).
    pub absolute_max: u64,
}

/// Turns a sharded job into a single one where there are too few slots for shards. The whole amount
/// of work then reaches the script as `args.units`. Returns the note for the client, or `None`
/// where the job stays as it is.
pub fn downgrade(run: &mut RunJs, capacity: Capacity) -> Option<String> {
    let sharding = run.sharding()?;
    if !run.allow_downgrade || capacity.slots >= MIN_SLOTS_FOR_SHARDS {
        return None;
    }
    run.plan = Plan::Single;
    run.reducer = None;
    run.args = with_units(&run.args, sharding.total_units());
    Some(format!(
        "Downgraded from sharded to single: the connected workers have {} of the \
         {MIN_SLOTS_FOR_SHARDS} slots that sharding needs.",
        capacity.slots
    ))
}

fn with_units(args: &str, units: u64) -> String {
    let mut args = serde_json::from_str::<Map<String, Value>>(args).unwrap_or_default();
    args.entry("units").or_insert_with(|| units.into());
    Value::Object(args).to_string()
}

/// A note on the number of shards; `None` where nothing is to be said.
pub fn advice(sharding: Sharding, capacity: Capacity, limits: FanOut) -> Option<String> {
    let sentences: Vec<String> = [
        fan_out_advice(sharding, capacity, limits),
        units_advice(sharding, limits),
    ]
    .into_iter()
    .flatten()
    .collect();
    (!sentences.is_empty()).then(|| sentences.join(" "))
}

fn fan_out_advice(sharding: Sharding, capacity: Capacity, limits: FanOut) -> Option<String> {
    let devices = capacity.workers.max(capacity.slots).max(2);
    let soft_cap = devices
        .saturating_mul(limits.max_per_worker)
        .min(limits.absolute_max);
    let shards = sharding.total_shards();
    (shards > soft_cap).then(|| {
        format!(
            "High fan-out: {shards} shards exceed the soft cap of {soft_cap} for the connected \
             workers; a larger unitsPerShard may finish sooner."
        )
    })
}

fn units_advice(sharding: Sharding, limits: FanOut) -> Option<String> {
    (sharding.units_per_shard() < limits.min_units).then(|| {
        format!(
            "unitsPerShard is {}, at least {} is advised.",
            sharding.units_per_shard(),
            limits.min_units
        )
    })
}

//! The job that the benchmarks run, and the key to their servers.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

pub(crate) const KEY: &str = "000102030405060708090a0b0c0d0e0f";
const UNITS_PER_SHARD: u64 = 1_000;

/// Shards that cost nothing and return what `examples/pi-sharded.js` returns in size and shape.
pub(crate) fn trivial(shards: u64) -> Value {
    json!({
        "code": "return {hits: 785, samples: __BRAIN__.units}",
        "executionModel": "sharded", "allowDowngrade": false,
        "shardConfig": {"totalUnits": shards * UNITS_PER_SHARD, "unitsPerShard": UNITS_PER_SHARD},
        "reducer": {"type": "sum", "fields": ["hits", "samples"]},
    })
}

/// Refuses a result of [`trivial`] that is not exactly what its shards add up to.
pub(crate) fn check(shards: u64, result: &Value) -> Result<()> {
    let expected = json!({"hits": shards * 785, "samples": shards * UNITS_PER_SHARD});
    ensure!(
        result["aggregate"] == expected,
        "{} instead of {expected}",
        result["aggregate"]
    );
    Ok(())
}

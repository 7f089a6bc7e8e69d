//! How a job is cut: shard arithmetic. A shard is computed from its index, never stored.

use serde::{Deserialize, Serialize};

use crate::ids::ShardIndex;
use crate::limits::MAX_SAFE_INTEGER;

/// How a job runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Plan {
    /// Once, as a whole: one shard that is not told about shards.
    Single,
    /// Cut into shards whose results are reduced.
    Sharded(Sharding),
}

impl Plan {
    /// Number of shards; 1 for a single run.
    pub const fn total_shards(self) -> u64 {
        match self {
            Self::Single => 1,
            Self::Sharded(sharding) => sharding.total_shards(),
        }
    }
}

/// What `Math.random` is while a job runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum RandomMode {
    /// A generator seeded by job and shard, so that every attempt draws the same numbers.
    #[default]
    Seeded,
    /// The browser's own.
    System,
}

/// Why two numbers are not a sharding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// `totalUnits` is zero or beyond 2^53 - 1.
    #[error("totalUnits is {0}, must be between 1 and {MAX_SAFE_INTEGER}")]
    TotalUnits(u64),
    /// `unitsPerShard` is zero or beyond 2^53 - 1.
    #[error("unitsPerShard is {0}, must be between 1 and {MAX_SAFE_INTEGER}")]
    UnitsPerShard(u64),
}

/// `total_units` cut into pieces of `units_per_shard`; both are in 1..=2^53 - 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RawSharding")]
pub struct Sharding {
    total_units: u64,
    units_per_shard: u64,
}

#[derive(Deserialize)]
struct RawSharding {
    total_units: u64,
    units_per_shard: u64,
}

impl TryFrom<RawSharding> for Sharding {
    type Error = PlanError;

    fn try_from(raw: RawSharding) -> Result<Self, PlanError> {
        Self::new(raw.total_units, raw.units_per_shard)
    }
}

/// The part of the work that one shard covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShardUnits {
    /// Units before this shard.
    pub offset: u64,
    /// Units in it; only the last shard may have fewer than `units_per_shard`.
    pub units: u64,
}

impl Sharding {
    /// Checks both numbers.
    ///
    /// # Errors
    /// [`PlanError`] names the number that is out of range.
    pub const fn new(total_units: u64, units_per_shard: u64) -> Result<Self, PlanError> {
        if total_units == 0 || total_units > MAX_SAFE_INTEGER {
            return Err(PlanError::TotalUnits(total_units));
        }
        if units_per_shard == 0 || units_per_shard > MAX_SAFE_INTEGER {
            return Err(PlanError::UnitsPerShard(units_per_shard));
        }
        Ok(Self {
            total_units,
            units_per_shard,
        })
    }

    /// Units in all shards together.
    pub const fn total_units(self) -> u64 {
        self.total_units
    }

    /// Units in every shard but perhaps the last.
    pub const fn units_per_shard(self) -> u64 {
        self.units_per_shard
    }

    /// Number of shards, at least 1.
    pub const fn total_shards(self) -> u64 {
        self.total_units.div_ceil(self.units_per_shard)
    }

    /// The units of `shard`; `None` where the plan has no such shard.
    pub fn units_of(self, shard: ShardIndex) -> Option<ShardUnits> {
        if shard.0 >= self.total_shards() {
            return None;
        }
        let offset = shard.0 * self.units_per_shard;
        Some(ShardUnits {
            offset,
            units: self.units_per_shard.min(self.total_units - offset),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_shard_takes_the_rest() {
        let plan = Sharding::new(95, 10).unwrap();
        assert_eq!(plan.total_shards(), 10);
        assert_eq!(
            plan.units_of(ShardIndex(3)),
            Some(ShardUnits {
                offset: 30,
                units: 10
            })
        );
        assert_eq!(
            plan.units_of(ShardIndex(9)),
            Some(ShardUnits {
                offset: 90,
                units: 5
            })
        );
        assert_eq!(plan.units_of(ShardIndex(10)), None);
    }

    #[test]
    fn a_shard_larger_than_the_work_is_one_shard() {
        let plan = Sharding::new(5, MAX_SAFE_INTEGER).unwrap();
        assert_eq!(plan.total_shards(), 1);
        assert_eq!(
            plan.units_of(ShardIndex(0)),
            Some(ShardUnits {
                offset: 0,
                units: 5
            })
        );
    }

    #[test]
    fn decoded_shardings_are_checked() {
        let bad = postcard::to_stdvec(&(0_u64, 1_u64)).unwrap();
        assert!(postcard::from_bytes::<Sharding>(&bad).is_err());
        let good = postcard::to_stdvec(&Sharding::new(9, 2).unwrap()).unwrap();
        assert_eq!(
            postcard::from_bytes::<Sharding>(&good)
                .unwrap()
                .total_shards(),
            5
        );
    }

    proptest::proptest! {
        #[test]
        fn shards_cover_the_units_without_gap(total in 1..2_000_u64, per in 1..2_500_u64) {
            let plan = Sharding::new(total, per).unwrap();
            let mut next = 0;
            for shard in 0..plan.total_shards() {
                let units = plan.units_of(ShardIndex(shard)).unwrap();
                proptest::prop_assert_eq!(units.offset, next);
                proptest::prop_assert!(units.units >= 1);
                next += units.units;
            }
            proptest::prop_assert_eq!(next, total);
        }
    }
}

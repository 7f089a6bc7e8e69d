//! The generator that `Math.random` is in a shard.

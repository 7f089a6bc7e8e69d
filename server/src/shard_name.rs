//! Names of shards. A shard is computed from its index and stored nowhere, so its name is, too.

use shared::ids::{JobId, ShardIndex};
use uuid::Uuid;

/// The name of a shard: the version 5 UUID of its index in decimal, in the namespace of its job.
pub(crate) fn shard_name(job: JobId, shard: ShardIndex) -> Uuid {
    let namespace = Uuid::from_bytes(*job.as_bytes());
    Uuid::new_v5(&namespace, shard.0.to_string().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `python3 -c 'import uuid; print(uuid.uuid5(uuid.UUID(job), "3"))'`
    #[test]
    fn a_name_can_be_computed_by_anybody() {
        let job = "0b1e0000-0000-4000-8000-000000000000".parse().unwrap();
        let name = shard_name(job, ShardIndex(3));
        assert_eq!(name.to_string(), "d656529a-3b75-5a27-b08d-94d74d894eff");
    }
}

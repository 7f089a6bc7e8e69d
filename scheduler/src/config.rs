//! What an operator or a test can set; everything else is in `shared::limits`.

/// Shards that are reserved ahead at once: two thirds of a second of work at 400,000 shards a
/// second, so that a commit never holds up a hand-out, and still a small gap after a crash.
const RESERVE_BLOCK: u64 = 1 << 18;

/// Candidates that are looked at in a step, far more than usually stand before one that fits.
const LOOKS: usize = 64;

/// Settings of a scheduler.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SchedulerConfig {
    /// How long after a restart shards that may still be with a worker are withheld, in
    /// milliseconds (`RECLAIM_SEC`).
    pub reclaim_ms: u64,
    /// Shards by which a job's high-water mark is raised at a time, at least 2.
    pub reserve_block: u64,
    /// Jobs that are looked at for one assignment, and workers for one job, at least 1. Those behind
    /// them have their turn in the next step, or soon.
    pub looks: usize,
}

impl Default for SchedulerConfig {
    fn default() -> Self {
        Self {
            reclaim_ms: 15_000,
            reserve_block: RESERVE_BLOCK,
            looks: LOOKS,
        }
    }
}

impl SchedulerConfig {
    /// The high-water mark that belongs into the row of a job just submitted, so that its first
    /// shards can be handed out without waiting for a delta.
    pub fn first_high_water(&self, total_shards: u64) -> u64 {
        total_shards.min(self.reserve_block)
    }
}

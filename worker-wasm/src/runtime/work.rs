//! What an executor is told: the parts of a run that its shards share, and one row for each shard.
//!
//! Lives here: the step from a proved [`Run`] to rows. Not here: which executor gets them (`pool`),
//! how they cross the port (`sandbox`).

use std::rc::Rc;
use std::sync::Arc;

use shared::envelope::{Run, RunKind};
use shared::ids::{AttemptId, JobId};
use shared::rng;

/// Numbers in a row: id, shard, units, offset, attempt, four words of generator state.
pub(crate) const COLUMNS: usize = 9;

/// What is the same for all shards of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Load {
    pub(crate) code: Arc<str>,
    pub(crate) args: Arc<str>,
    /// `None` in single runs, which are not told of shards.
    pub(crate) parent_job_id: Option<String>,
    pub(crate) total_shards: u64,
    pub(crate) total_units: u64,
    pub(crate) seed: u64,
    pub(crate) is_seeded: bool,
    /// Bytes that a result's envelope may take.
    pub(crate) budget: u32,
}

/// One attempt, and what is special to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shard {
    pub(crate) attempt: AttemptId,
    pub(crate) shard: u64,
    pub(crate) units: u64,
    pub(crate) offset: u64,
    pub(crate) number: u32,
    pub(crate) random: [u32; 4],
}

/// Shards of one job that may run.
#[derive(Debug, Clone)]
pub(crate) struct Work {
    pub(crate) job: JobId,
    pub(crate) load: Rc<Load>,
    /// Of one shard, in milliseconds; 0 for none.
    pub(crate) timeout_ms: u64,
    pub(crate) shards: Vec<Shard>,
}

impl Shard {
    /// The shard as the executor reads it; `id` names it on that executor's port.
    pub(crate) fn row(&self, id: u64) -> [f64; COLUMNS] {
        let [a, b, c, d] = self.random.map(f64::from);
        let number = f64::from(self.number);
        // All of them are below 2^53.
        [
            id as f64,
            self.shard as f64,
            self.units as f64,
            self.offset as f64,
            number,
            a,
            b,
            c,
            d,
        ]
    }
}

impl Work {
    /// One shard by itself that was tried before: it may be what killed the worker that had it, or
    /// what ran there before it may be. So nothing runs before it in its executor.
    pub(crate) fn is_lone_retry(&self) -> bool {
        matches!(self.shards.as_slice(), [shard] if shard.number > 1)
    }

    /// The work of a run; `None` where it needs no executor. A result's envelope gets
    /// `max(4096, 0.9 * max_result_bytes)` bytes.
    pub(crate) fn of(run: &Run, max_result_bytes: u32) -> Option<Self> {
        let RunKind::RunJs { task, code, args } = run.kind() else {
            return None;
        };
        let first = run.shards().first().and_then(|shard| run.brain(shard));
        let shards = run.shards().iter().map(|shard| {
            let brain = run.brain(shard);
            Shard {
                attempt: shard.attempt,
                shard: shard.shard.0,
                units: brain.as_ref().map_or(0, |brain| brain.units),
                offset: brain.as_ref().map_or(0, |brain| brain.offset),
                number: shard.number,
                random: run
                    .random_seed()
                    .map_or([0; 4], |seed| rng::shard_state(seed, shard.shard.0)),
            }
        });
        Some(Self {
            job: run.job(),
            timeout_ms: task.timeout_ms,
            shards: shards.collect(),
            load: Rc::new(Load {
                code: Arc::clone(code),
                args: Arc::clone(args),
                total_shards: first.as_ref().map_or(0, |brain| brain.total_shards),
                total_units: first.as_ref().map_or(0, |brain| brain.total_units),
                seed: first.as_ref().map_or(0, |brain| brain.seed),
                parent_job_id: first.map(|brain| brain.parent_job_id),
                is_seeded: run.random_seed().is_some(),
                budget: envelope_budget(max_result_bytes),
            }),
        })
    }
}

fn envelope_budget(max_result_bytes: u32) -> u32 {
    let share = u64::from(max_result_bytes) * 9 / 10;
    u32::try_from(share.max(4096)).expect("nine tenths of a u32 fit a u32")
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared::ids::Nonce;

    #[test]
    fn a_row_keeps_the_largest_numbers_exactly() {
        let shard = Shard {
            attempt: AttemptId {
                nonce: Nonce::from_bytes([0; 16]),
                index: 0,
            },
            shard: shared::limits::MAX_SAFE_INTEGER,
            units: 1,
            offset: shared::limits::MAX_SAFE_INTEGER - 1,
            number: 3,
            random: [u32::MAX; 4],
        };
        let row = shard.row(7);
        assert_eq!(row[1] as u64, shard.shard);
        assert_eq!(row[3] as u64, shard.offset);
        assert_eq!(row[8] as u32, u32::MAX);
    }

    #[test]
    fn the_envelope_budget_is_nine_tenths_but_never_tiny() {
        assert_eq!(envelope_budget(1_048_576), 943_718);
        assert_eq!(envelope_budget(1024), 4096);
        assert_eq!(envelope_budget(u32::MAX), 3_865_470_565);
    }
}

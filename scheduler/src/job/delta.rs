//! What one step changes of a job, made a delta.

use std::sync::Arc;

use range_set_blaze::RangeSetBlaze;
use shared::ids::ShardIndex;
use shared::reduce::Reducer;
use shared::time::Millis;
use shared::wire::{self, ShardResult};

use super::Job;
use crate::event::{Contribution, Delta, JobEnd, ShardResults};
use crate::ledger::{Consequences, Uncommitted, Verdict};
use crate::supply::Holder;

/// Memory that a delta takes beside its parts, in bytes.
const DELTA_BYTES: usize = 512;
/// Memory that a range of shards takes, in bytes.
const RANGE_BYTES: usize = 48;

/// What one step changes; becomes one delta.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) completed: Vec<u64>,
    /// Those of them that failed and were left out.
    pub(super) skipped: Vec<u64>,
    pub(super) results: Vec<(ShardIndex, ShardResult)>,
    pub(super) verdicts: Vec<Verdict>,
    pub(super) pointless: Vec<Holder>,
    /// Paused or resumed.
    pub(super) is_switched: bool,
    pub(super) contributions: Vec<Contribution>,
    pub(super) end: Option<JobEnd>,
}

/// What becomes of a batch.
#[derive(Debug, Default)]
pub(crate) struct Closed {
    /// To be stored.
    pub(crate) delta: Option<Delta>,
    /// Dispositions that wait for nothing.
    pub(crate) verdicts: Vec<Verdict>,
    /// Those that rest on nothing durable.
    pub(crate) contributions: Vec<Contribution>,
}

impl Job {
    /// Turns what has changed since the last call into a delta.
    pub(crate) fn close_batch(
        &mut self,
        block: u64,
        uncommitted: &mut Uncommitted,
        now: Millis,
    ) -> Closed {
        let is_raised = self.raise_reserve(block);
        let batch = std::mem::take(&mut self.batch);
        let is_changed = batch.is_switched || batch.end.is_some() || is_raised;
        if batch.completed.is_empty() && !is_changed {
            let bytes = batch.verdicts.len() * RANGE_BYTES;
            let verdicts = uncommitted.follow(self.id, &mut self.ledger, |ledger| {
                ledger.defer(batch.verdicts, bytes)
            });
            return Closed {
                delta: None,
                verdicts,
                contributions: batch.contributions,
            };
        }
        let completed = to_ranges(batch.completed);
        for range in completed.ranges() {
            self.completed.ranges_insert(range);
        }
        let results: ShardResults = batch.results.into();
        let keeps_rows = self.reducer.as_ref().is_some_and(Reducer::keeps_rows);
        let skipped = to_ranges(batch.skipped);
        let rows = match keeps_rows {
            false => ShardResults::default(),
            true if skipped.is_empty() => Arc::clone(&results),
            true => {
                let kept = results.iter().filter(|(it, _)| !skipped.contains(it.0));
                kept.cloned().collect()
            }
        };
        let delta = Delta {
            job: self.id,
            seq: self.ledger.next_seq(),
            reducer_state: (!completed.is_empty() && self.reducer.is_some())
                .then(|| self.reducer_state.clone()),
            completed,
            rows,
            skipped,
            failed_shards: self.failed_shards,
            high_water: self.reserved,
            is_paused: self.is_paused,
            end: batch.end,
        };
        let bytes = estimate_bytes(&delta, &results, &batch.verdicts);
        let consequences = Consequences {
            verdicts: batch.verdicts,
            pointless: batch.pointless,
            contributions: batch.contributions,
            results,
        };
        let to_persist = uncommitted.follow(self.id, &mut self.ledger, |ledger| {
            ledger.append(delta, consequences, bytes, now)
        });
        Closed {
            delta: to_persist,
            ..Closed::default()
        }
    }

    /// Raises the mark by a block once half of the last one is handed out.
    fn raise_reserve(&mut self, block: u64) -> bool {
        let total = self.plan.total_shards();
        let is_low = self.supply.cursor() + block / 2 >= self.reserved;
        if self.is_ending || self.reserved >= total || !is_low {
            return false;
        }
        self.reserved = self.reserved.saturating_add(block).min(total);
        true
    }
}

/// As few ranges as neighbours allow.
fn to_ranges(mut shards: Vec<u64>) -> RangeSetBlaze<u64> {
    shards.sort_unstable();
    let mut set = RangeSetBlaze::new();
    for run in shards.chunk_by(|a, b| a + 1 == *b) {
        if let (Some(first), Some(last)) = (run.first(), run.last()) {
            set.ranges_insert(*first..=*last);
        }
    }
    set
}

fn estimate_bytes(
    delta: &Delta,
    results: &[(ShardIndex, ShardResult)],
    verdicts: &[Verdict],
) -> usize {
    let state = delta
        .reducer_state
        .as_ref()
        .map_or(0, |state| wire::encode(state).len());
    let end = match &delta.end {
        Some(JobEnd::Single(result)) => result.row_bytes(),
        Some(JobEnd::Failed(text)) => text.len() as u64,
        Some(JobEnd::Reduced | JobEnd::Cancelled) | None => 0,
    };
    let rows: u64 = results.iter().map(|(_, result)| result.row_bytes()).sum();
    let texts = usize::try_from(end + rows).unwrap_or(usize::MAX);
    let ranges = delta.completed.ranges_len() + delta.skipped.ranges_len() + verdicts.len();
    DELTA_BYTES + 2 * state + texts + ranges * RANGE_BYTES
}

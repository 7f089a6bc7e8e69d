//! Deltas on their way to the store: commit before effect.
//!
//! A delta and what follows from it stay here until it is committed and all before it are. One that
//! was not stored is persisted again, with all after it, until it is: its seq makes that harmless.

use std::collections::{BTreeSet, VecDeque};

use shared::ids::{JobId, SessionId};
use shared::limits::{MAX_UNCOMMITTED_BYTES, MAX_UNCOMMITTED_MS};
use shared::time::Millis;
use shared::wire::{AttemptRange, Disposition};

use crate::event::{Contribution, Delta, ShardResults};
use crate::supply::Holder;

/// First and longest wait before deltas are persisted again, in milliseconds.
const RETRY_MS: (u64, u64) = (100, 5_000);

/// A disposition that waits for a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) session: SessionId,
    pub(crate) range: AttemptRange,
    pub(crate) disposition: Disposition,
}

/// What follows once a delta is stored.
#[derive(Debug, Default)]
pub(crate) struct Consequences {
    /// Dispositions that may be told.
    pub(crate) verdicts: Vec<Verdict>,
    /// Attempts of completed shards that are still with a worker.
    pub(crate) pointless: Vec<Holder>,
    /// Who did what.
    pub(crate) contributions: Vec<Contribution>,
    /// What came out of it.
    pub(crate) results: ShardResults,
}

/// A delta that may not be stored yet.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) delta: Delta,
    pub(crate) consequences: Consequences,
    since: Millis,
    bytes: usize,
    is_committed: bool,
}

#[derive(Debug)]
pub(crate) struct Ledger {
    next_seq: u64,
    pending: VecDeque<Pending>,
    bytes: usize,
    /// Deltas from this seq on wait to be persisted again.
    retry_from: Option<u64>,
    failures: u32,
}

impl Ledger {
    /// Goes on after the stored `seq`.
    pub(crate) const fn new(seq: u64) -> Self {
        Self {
            next_seq: seq + 1,
            pending: VecDeque::new(),
            bytes: 0,
            retry_from: None,
            failures: 0,
        }
    }

    pub(crate) const fn next_seq(&self) -> u64 {
        self.next_seq
    }

    /// Appends a delta that carries `next_seq`, with an estimate of the memory it takes. Gives what
    /// is to be persisted at once: nothing while earlier ones wait to be persisted again.
    pub(crate) fn append(
        &mut self,
        delta: Delta,
        consequences: Consequences,
        bytes: usize,
        now: Millis,
    ) -> Option<Delta> {
        let to_persist = self.retry_from.is_none().then(|| delta.clone());
        self.next_seq += 1;
        self.bytes += bytes;
        self.pending.push_back(Pending {
            delta,
            consequences,
            since: now,
            bytes,
            is_committed: false,
        });
        to_persist
    }

    /// Makes verdicts, which take `bytes` of memory, wait for everything that is pending; gives them
    /// back where nothing is.
    pub(crate) fn defer(&mut self, verdicts: Vec<Verdict>, bytes: usize) -> Vec<Verdict> {
        match self.pending.back_mut() {
            Some(last) => {
                last.consequences.verdicts.extend(verdicts);
                last.bytes += bytes;
                self.bytes += bytes;
                Vec::new()
            }
            None => verdicts,
        }
    }

    /// Takes note of a commit and gives what is settled by it, in order of seq. Repeats and unknown
    /// seqs settle nothing.
    pub(crate) fn committed(&mut self, seq: u64) -> Vec<Pending> {
        let Some(pending) = self.find(seq) else {
            return Vec::new();
        };
        pending.is_committed = true;
        self.failures = 0;
        let mut settled = Vec::new();
        while let Some(front) = self.pending.pop_front_if(|front| front.is_committed) {
            self.bytes -= front.bytes;
            settled.push(front);
        }
        settled
    }

    /// Takes note of a delta that may not be stored. Gives the wait before persisting again, in
    /// milliseconds; `None` where that is arranged already, or the delta is stored after all.
    pub(crate) fn failed(&mut self, seq: u64) -> Option<u64> {
        if self.find(seq)?.is_committed {
            return None;
        }
        let is_arranged = self.retry_from.is_some();
        self.retry_from = Some(self.retry_from.map_or(seq, |from| from.min(seq)));
        if is_arranged {
            return None;
        }
        let wait = RETRY_MS.0.saturating_mul(1 << self.failures.min(16));
        self.failures += 1;
        Some(wait.min(RETRY_MS.1))
    }

    /// The deltas to persist again, in order of seq.
    pub(crate) fn retry(&mut self) -> Vec<Delta> {
        let Some(from) = self.retry_from.take() else {
            return Vec::new();
        };
        self.pending
            .iter()
            .filter(|pending| pending.delta.seq >= from && !pending.is_committed)
            .map(|pending| pending.delta.clone())
            .collect()
    }

    fn find(&mut self, seq: u64) -> Option<&mut Pending> {
        let first = self.pending.front()?.delta.seq;
        let place = usize::try_from(seq.checked_sub(first)?).ok()?;
        self.pending.get_mut(place)
    }

    fn oldest(&self) -> Option<Millis> {
        self.pending.front().map(|front| front.since)
    }
}

/// How much of all jobs is not committed.
#[derive(Debug, Default)]
pub(crate) struct Uncommitted {
    bytes: usize,
    oldest: BTreeSet<(Millis, JobId)>,
}

impl Uncommitted {
    /// Runs `change` on the ledger of `job` and follows what it does.
    pub(crate) fn follow<T>(
        &mut self,
        job: JobId,
        ledger: &mut Ledger,
        change: impl FnOnce(&mut Ledger) -> T,
    ) -> T {
        let (bytes, oldest) = (ledger.bytes, ledger.oldest());
        let result = change(ledger);
        self.bytes = self.bytes - bytes + ledger.bytes;
        if oldest != ledger.oldest() {
            if let Some(since) = oldest {
                self.oldest.remove(&(since, job));
            }
            self.oldest
                .extend(ledger.oldest().map(|since| (since, job)));
        }
        result
    }

    /// Memory of all that is not committed, in bytes.
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// So much or so old that nothing more should be handed out.
    pub(crate) fn is_too_much(&self, now: Millis) -> bool {
        let is_old = self
            .oldest
            .first()
            .is_some_and(|(since, _)| now.since(*since) > MAX_UNCOMMITTED_MS);
        is_old || self.is_too_large()
    }

    /// So much that nothing more should be taken in.
    pub(crate) const fn is_too_large(&self) -> bool {
        self.bytes > MAX_UNCOMMITTED_BYTES
    }
}

#[cfg(test)]
impl Ledger {
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }
}

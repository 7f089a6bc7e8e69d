//! What happened to sharded jobs lately, for clients that watch shard by shard (`HTTP_API` 9).
//!
//! Results are kept as the scheduler gave them, a batch an entry; nothing is rendered before it is
//! read. Bounded for each job and altogether; what is gone is told by the numbers of the rest.

use std::collections::{BTreeMap, HashMap, VecDeque};

use scheduler::{Contribution, Ending, ShardResults};
use shared::ids::{JobId, ShardIndex, WorkerId};
use shared::time::UnixMillis;
use shared::wire::ShardResult;

use crate::config::EventSettings;

/// Memory for the journals of all jobs, in bytes.
const MAX_BYTES: usize = 256 * 1024 * 1024;
/// Memory that an entry takes beside its results.
const ENTRY_BYTES: usize = 256;
/// Memory that a contribution takes.
const CONTRIBUTION_BYTES: usize = 96;

/// One event, or those of one batch of shards.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// Number of its first event.
    pub seq: u64,
    /// When it was stored.
    pub at: UnixMillis,
    /// What happened.
    pub what: What,
}

/// What happened.
#[derive(Debug, Clone)]
pub(crate) enum What {
    /// The job was accepted.
    Started,
    /// Shards were completed: one event each.
    Shards(Shards),
    /// It was paused (true) or resumed, with so many shards completed.
    Switched { is_paused: bool, completed: u64 },
    /// It ended.
    Ended(Ending),
}

/// Shards that were completed together.
#[derive(Debug, Clone)]
pub(crate) struct Shards {
    /// Their results.
    pub results: ShardResults,
    /// Who completed how many of them, in the same order.
    pub by: Vec<(WorkerId, u64)>,
    /// Shards of the job that were completed before, and those that had failed.
    pub before: (u64, u64),
}

/// The entries that hold the events after some number.
#[derive(Debug, Clone)]
pub(crate) struct Page {
    /// Oldest first.
    pub entries: Vec<Entry>,
    /// Number of the oldest event that is kept.
    pub first_seq: u64,
    /// Number of the event that comes next.
    pub next_seq: u64,
}

#[derive(Debug)]
pub(super) struct Journal {
    settings: EventSettings,
    jobs: HashMap<JobId, Ring>,
    /// Jobs by the time of their last entry.
    order: BTreeMap<u64, JobId>,
    stamp: u64,
    bytes: usize,
}

#[derive(Debug)]
struct Ring {
    entries: VecDeque<(Entry, usize)>,
    next_seq: u64,
    completed: u64,
    failed: u64,
    bytes: usize,
    has_ended: bool,
    /// Its place in the order; 0 for none.
    stamp: u64,
}

impl Journal {
    pub(super) fn new(settings: EventSettings) -> Self {
        Self {
            settings,
            jobs: HashMap::new(),
            order: BTreeMap::new(),
            stamp: 0,
            bytes: 0,
        }
    }

    /// A job that was just submitted.
    pub(super) fn start(&mut self, job: JobId, at: UnixMillis) {
        self.resume(job, 1, 0, 0);
        self.push(job, at, What::Started, 0);
    }

    /// A job that goes on after a restart, from a number that no event had before.
    pub(super) fn resume(&mut self, job: JobId, next_seq: u64, completed: u64, failed: u64) {
        let ring = Ring {
            entries: VecDeque::new(),
            next_seq,
            completed,
            failed,
            bytes: 0,
            has_ended: false,
            stamp: 0,
        };
        self.jobs.insert(job, ring);
    }

    pub(super) fn contributed(
        &mut self,
        job: JobId,
        at: UnixMillis,
        contributions: &[Contribution],
        results: ShardResults,
    ) {
        let Some(ring) = self.jobs.get_mut(&job).filter(|_| !results.is_empty()) else {
            return;
        };
        let texts: u64 = results.iter().map(|(_, result)| result.row_bytes()).sum();
        let bytes =
            usize::try_from(texts).unwrap_or(usize::MAX) + contributions.len() * CONTRIBUTION_BYTES;
        let before = (ring.completed, ring.failed);
        ring.completed += results.len() as u64;
        ring.failed += failures(&results);
        let by = contributions
            .iter()
            .filter(|own| own.completed > 0)
            .map(|own| (own.worker.clone(), own.completed))
            .collect();
        let shards = Shards {
            results,
            by,
            before,
        };
        self.push(job, at, What::Shards(shards), bytes);
    }

    pub(super) fn switched(&mut self, job: JobId, at: UnixMillis, is_paused: bool) {
        if let Some(ring) = self.jobs.get(&job) {
            let completed = ring.completed;
            let what = What::Switched {
                is_paused,
                completed,
            };
            self.push(job, at, what, 0);
        }
    }

    pub(super) fn ended(&mut self, job: JobId, at: UnixMillis, ending: Ending) {
        self.push(job, at, What::Ended(ending), 0);
        if let Some(ring) = self.jobs.get_mut(&job) {
            ring.has_ended = true;
        }
    }

    /// What is kept of a job's events after `after`, at most about `limit` of them; `None` for a job
    /// of which nothing is known.
    pub(super) fn page(&self, job: JobId, after: u64, limit: usize) -> Option<Page> {
        let ring = self.jobs.get(&job)?;
        let kept = self.settings.max_count as u64;
        let oldest = ring.entries.front().map_or(ring.next_seq, |(it, _)| it.seq);
        let first_seq = oldest.max(ring.next_seq.saturating_sub(kept));
        let from = first_seq.max(after.saturating_add(1));
        let to = from.saturating_add(limit as u64);
        let entries = ring.entries.iter().map(|(entry, _)| entry);
        Some(Page {
            entries: entries
                .filter(|entry| entry.seq + entry.count() > from && entry.seq < to)
                .cloned()
                .collect(),
            first_seq,
            next_seq: ring.next_seq,
        })
    }

    fn push(&mut self, job: JobId, at: UnixMillis, what: What, bytes: usize) {
        let Some(ring) = self.jobs.get_mut(&job) else {
            return;
        };
        let seq = ring.next_seq;
        let entry = Entry { seq, at, what };
        let bytes = bytes + ENTRY_BYTES;
        let before = ring.bytes;
        ring.next_seq += entry.count();
        ring.entries.push_back((entry, bytes));
        ring.bytes += bytes;
        ring.trim(&self.settings);
        self.bytes = self.bytes + ring.bytes - before;
        self.order.remove(&ring.stamp);
        self.stamp += 1;
        ring.stamp = self.stamp;
        self.order.insert(self.stamp, job);
        self.forget_oldest();
    }

    /// Forgets what was silent for the longest time, where all together is too much.
    fn forget_oldest(&mut self) {
        while self.bytes > MAX_BYTES
            && self.order.len() > 1
            && let Some((_, job)) = self.order.pop_first()
        {
            let Some(ring) = self.jobs.get_mut(&job) else {
                continue;
            };
            self.bytes -= ring.bytes;
            ring.bytes = 0;
            ring.entries.clear();
            if ring.has_ended {
                self.jobs.remove(&job);
            }
        }
    }
}

impl Entry {
    /// Number of its events.
    pub(crate) fn count(&self) -> u64 {
        match &self.what {
            What::Shards(shards) => shards.results.len() as u64,
            What::Started | What::Switched { .. } | What::Ended(_) => 1,
        }
    }

    /// Failed shards of the job before the event at `place` of this entry.
    pub(crate) fn failed_before(&self, place: u64) -> u64 {
        match &self.what {
            What::Shards(shards) => {
                let place = usize::try_from(place).unwrap_or(usize::MAX);
                let earlier = shards.results.get(..place).unwrap_or(&shards.results);
                shards.before.1 + failures(earlier)
            }
            What::Started | What::Switched { .. } | What::Ended(_) => 0,
        }
    }
}

/// A number that no event of the job had before a restart: one event was its start, each completed
/// shard was one, and each pause or resumption was a delta of its own.
pub(crate) const fn first_seq_after_restart(completed: u64, delta_seq: u64) -> u64 {
    completed.saturating_add(delta_seq).saturating_add(2)
}

/// Those of the results that are failures.
fn failures(results: &[(ShardIndex, ShardResult)]) -> u64 {
    let failed = results.iter().filter(|(_, result)| !result.has_returned());
    failed.count() as u64
}

impl Ring {
    /// Drops entries that are beyond the bounds as a whole, but never the newest.
    fn trim(&mut self, settings: &EventSettings) {
        while self.entries.len() > 1
            && let Some((oldest, bytes)) = self.entries.front()
        {
            let kept = self.next_seq - oldest.seq - oldest.count();
            if kept < settings.max_count as u64 && self.bytes <= settings.max_bytes {
                return;
            }
            self.bytes -= bytes;
            self.entries.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use shared::wire::ResultStatus;

    use super::*;

    const SETTINGS: EventSettings = EventSettings {
        max_count: 100,
        max_bytes: 1 << 20,
    };

    fn job(number: u8) -> JobId {
        JobId::from_random([number; 16])
    }

    fn shards(journal: &mut Journal, job: JobId, count: u64, text: usize) {
        let result = ShardResult {
            status: ResultStatus::Returned,
            duration_us: 1,
            value: Some("x".repeat(text)),
            details: None,
        };
        let results = (0..count).map(|shard| (ShardIndex(shard), result.clone()));
        let own = Contribution {
            worker: "worker-1".parse().unwrap(),
            completed: count,
            failed: 0,
            units: 0,
            run_us: 0,
        };
        journal.contributed(job, UnixMillis(1), &[own], results.collect());
    }

    #[test]
    fn events_are_numbered_without_a_gap_and_the_newest_are_kept() {
        let mut journal = Journal::new(SETTINGS);
        journal.start(job(1), UnixMillis(0));
        for _ in 0..5 {
            shards(&mut journal, job(1), 30, 1);
        }
        journal.switched(job(1), UnixMillis(2), true);
        journal.ended(job(1), UnixMillis(3), Ending::Cancelled);
        let page = journal.page(job(1), 0, 64).unwrap();
        assert_eq!((page.first_seq, page.next_seq), (54, 154));
        assert_eq!(
            page.entries[0].seq, 32,
            "a batch that is kept in part is kept whole"
        );
        let What::Shards(first) = &page.entries[0].what else {
            panic!("shards");
        };
        assert_eq!((first.before, first.by[0].1), ((30, 0), 30));
        let last = journal.page(job(1), 152, 64).unwrap().entries;
        assert!(matches!(
            last[..],
            [Entry {
                seq: 153,
                what: What::Ended(_),
                ..
            }]
        ));
        assert!(journal.page(job(1), 153, 64).unwrap().entries.is_empty());
        assert!(journal.page(job(2), 0, 64).is_none());
    }

    #[test]
    fn bytes_are_bounded_for_each_job_and_for_all() {
        let mut journal = Journal::new(SETTINGS);
        journal.start(job(1), UnixMillis(0));
        for _ in 0..10 {
            shards(&mut journal, job(1), 1, 400_000);
        }
        assert!(journal.bytes <= SETTINGS.max_bytes);
        journal.ended(job(1), UnixMillis(0), Ending::Done);
        for number in 2..=255 {
            journal.start(job(number), UnixMillis(0));
            shards(&mut journal, job(number), 2, 500_000);
            shards(&mut journal, job(number), 2, 500_000);
        }
        shards(&mut journal, job(2), 2, 500_000);
        for number in 3..=20 {
            shards(&mut journal, job(number), 99, 30_000);
        }
        assert!(journal.bytes <= MAX_BYTES);
        assert!(
            journal.page(job(1), 0, 1).is_none(),
            "the oldest has ended and is forgotten"
        );
        let silent = journal.page(job(21), 0, 100).unwrap();
        assert_eq!(silent.next_seq, 6, "one that runs keeps counting");
        assert!(silent.entries.is_empty());
    }
}

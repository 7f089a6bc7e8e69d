//! Which shards of a job are left to hand out, and who has the others.
//!
//! Shards are never listed. Most are handed out once, straight from the cursor, and complete: for
//! such a shard nothing is kept here but its bit in the job's completed set. Only a shard that was
//! taken away, failed, or may have been handed out before a restart gets an entry ([`Tracked`]),
//! until it completes. So a shard below the cursor that is neither completed, tracked nor withheld
//! is with exactly one worker.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use range_set_blaze::RangeSetBlaze;
use shared::ids::{AttemptId, SessionId, WorkerId};
use shared::time::Millis;

/// A failed shard waits this long for a worker that has not tried it, in milliseconds.
const PATIENCE_MS: u64 = 5_000;

/// Failed shards that wait for another worker at most; more are given to anyone.
const MAX_ELSEWHERE: usize = 512;

/// An attempt and who holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Holder {
    pub(crate) session: SessionId,
    pub(crate) attempt: AttemptId,
}

/// A shard that was, or may have been, handed out more than once.
#[derive(Debug, Default)]
struct Tracked {
    /// Number of the last attempt.
    attempts: u32,
    /// Attempts that failed, each once: their results may come again, even after their session
    /// was forgotten and a ticket brought them back.
    failed: Vec<AttemptId>,
    /// Workers on which it failed, and when it did so last.
    failed_on: Vec<WorkerId>,
    failed_at: Millis,
    /// Attempts that are with a worker; while there are any the shard is in no queue.
    holders: Vec<Holder>,
}

impl Tracked {
    /// It waits for a worker that has not tried it.
    fn is_choosy(&self, now: Millis) -> bool {
        !self.failed_on.is_empty() && self.failed_at.plus(PATIENCE_MS) > now
    }
}

/// A shard handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Issued {
    pub(crate) shard: u64,
    /// Number of the attempt, from 1.
    pub(crate) attempt: u32,
    pub(crate) is_tracked: bool,
}

/// What a returning attempt finds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    /// Nobody has the shard: it belongs to the one who returned.
    Free,
    /// Others have it.
    With(Vec<Holder>),
    /// It is completed, or not a shard that this attempt can have been given.
    Closed,
}

#[derive(Debug)]
pub(crate) struct Supply {
    total: u64,
    /// No shard at or above it was handed out by this process.
    cursor: u64,
    /// No shard at or above it may be handed out yet.
    mark: u64,
    /// Shards below the mark of before the restart that are not completed and have not come back.
    withheld: RangeSetBlaze<u64>,
    is_withholding: bool,
    /// Shards to try again, on any worker.
    requeued: BTreeSet<u64>,
    /// Shards to try again on a worker on which they have not failed, and since when.
    elsewhere: BTreeMap<u64, Millis>,
    tracked: BTreeMap<u64, Tracked>,
    in_flight: u64,
}

impl Supply {
    /// `mark` is the committed high-water mark; `withheld` are the shards below it that may be with
    /// a worker, not to be handed out before [`Supply::stop_withholding`]. Where there are none,
    /// nothing was handed out yet.
    pub(crate) fn new(total: u64, mark: u64, withheld: Option<RangeSetBlaze<u64>>) -> Self {
        Self {
            total,
            cursor: if withheld.is_some() { mark } else { 0 },
            mark,
            is_withholding: withheld.as_ref().is_some_and(|set| !set.is_empty()),
            withheld: withheld.unwrap_or_default(),
            requeued: BTreeSet::new(),
            elsewhere: BTreeMap::new(),
            tracked: BTreeMap::new(),
            in_flight: 0,
        }
    }

    /// Something can be handed out, at least to some worker.
    pub(crate) fn has_work(&self) -> bool {
        self.cursor < self.mark
            || !self.requeued.is_empty()
            || !self.elsewhere.is_empty()
            || (!self.is_withholding && !self.withheld.is_empty())
    }

    /// Shards that nobody has, whether they can be handed out yet or not.
    pub(crate) fn remaining(&self) -> u64 {
        let withheld = u64::try_from(self.withheld.len()).unwrap_or(u64::MAX);
        (self.total - self.cursor) + withheld + (self.requeued.len() + self.elsewhere.len()) as u64
    }

    /// Shards that are with a worker.
    pub(crate) const fn in_flight(&self) -> u64 {
        self.in_flight
    }

    pub(crate) const fn cursor(&self) -> u64 {
        self.cursor
    }

    pub(crate) const fn is_withholding(&self) -> bool {
        self.is_withholding
    }

    /// Shards below `mark` may be handed out.
    pub(crate) fn raise_mark(&mut self, mark: u64) {
        self.mark = self.mark.max(mark.min(self.total));
    }

    pub(crate) fn stop_withholding(&mut self) {
        self.is_withholding = false;
    }

    /// Hands out shards for the attempts at `places` of a leaf, or fewer: those to be tried again
    /// first. `may_retry` says whether the worker may get a shard that failed on the given workers;
    /// `holder` names the attempt at a place.
    pub(crate) fn issue(
        &mut self,
        places: Range<u32>,
        may_retry: impl Fn(&[WorkerId]) -> bool,
        holder: impl Fn(u32) -> Holder,
    ) -> Vec<Issued> {
        let mut issued = Vec::new();
        let mut places = places;
        let failed = self.take_failed(places.len(), may_retry);
        for (shard, place) in failed.into_iter().zip(&mut places) {
            issued.push(self.issue_tracked(shard, holder(place)));
        }
        while !places.is_empty()
            && let Some(shard) = self.pop_retry()
            && let Some(place) = places.next()
        {
            issued.push(self.issue_tracked(shard, holder(place)));
        }
        let fresh = (self.mark - self.cursor).min(places.len() as u64);
        issued.extend((self.cursor..self.cursor + fresh).map(|shard| Issued {
            shard,
            attempt: 1,
            is_tracked: false,
        }));
        self.cursor += fresh;
        self.in_flight += issued.len() as u64;
        issued
    }

    /// Takes up to `count` of the shards that wait for another worker.
    fn take_failed(&mut self, count: usize, may_retry: impl Fn(&[WorkerId]) -> bool) -> Vec<u64> {
        let chosen: Vec<u64> = self
            .elsewhere
            .keys()
            .copied()
            .filter(|shard| may_retry(&self.tracked[shard].failed_on))
            .take(count)
            .collect();
        for shard in &chosen {
            self.elsewhere.remove(shard);
        }
        chosen
    }

    /// Takes a shard that was, or may have been, handed out before.
    fn pop_retry(&mut self) -> Option<u64> {
        if let Some(shard) = self.requeued.pop_first() {
            return Some(shard);
        }
        if self.is_withholding {
            return None;
        }
        let shard = self.withheld.pop_first()?;
        self.tracked.insert(shard, Tracked::default());
        Some(shard)
    }

    fn issue_tracked(&mut self, shard: u64, holder: Holder) -> Issued {
        let entry = self.entry(shard);
        entry.attempts += 1;
        entry.holders.push(holder);
        Issued {
            shard,
            attempt: entry.attempts,
            is_tracked: true,
        }
    }

    /// Whether the shard should rather not be moved to `worker`, on which it failed.
    pub(crate) fn avoids(&self, shard: u64, worker: &WorkerId, now: Millis) -> bool {
        self.tracked
            .get(&shard)
            .is_some_and(|entry| entry.is_choosy(now) && entry.failed_on.contains(worker))
    }

    /// Whether a tracked shard still waits for a result.
    pub(crate) fn is_open(&self, shard: u64) -> bool {
        self.tracked.contains_key(&shard)
    }

    /// Number of the shard's last attempt.
    pub(crate) fn attempt_number(&self, shard: u64) -> u32 {
        self.tracked.get(&shard).map_or(1, |entry| entry.attempts)
    }

    /// Attempts of the shard that have failed, this one left out.
    pub(crate) fn failures_beside(&self, shard: u64, attempt: AttemptId) -> usize {
        let failed = self.tracked.get(&shard).map(|entry| &entry.failed);
        let others = failed.into_iter().flatten();
        others.filter(|failed| **failed != attempt).count()
    }

    /// A result of the shard counts. Gives the attempts that have become pointless.
    pub(crate) fn complete(&mut self, shard: u64, by: Holder) -> Vec<Holder> {
        let Some(entry) = self.tracked.remove(&shard) else {
            self.in_flight -= 1;
            return Vec::new();
        };
        self.unqueue(shard);
        if !entry.holders.is_empty() {
            self.in_flight -= 1;
        }
        let mut others = entry.holders;
        others.retain(|other| *other != by);
        others
    }

    /// A result says that the shard failed on `worker`; it will be tried again. Whether that was
    /// news: the result of one attempt may come more than once.
    pub(crate) fn fail(&mut self, shard: u64, by: Holder, worker: &WorkerId, now: Millis) -> bool {
        self.track_plain(shard, by);
        let entry = self.entry(shard);
        let is_news = !entry.failed.contains(&by.attempt);
        if is_news {
            entry.failed.push(by.attempt);
        }
        entry.failed_at = now;
        if !entry.failed_on.contains(worker) {
            entry.failed_on.push(worker.clone());
        }
        self.release(shard, by, now);
        if self.requeued.remove(&shard) {
            self.enqueue(shard, now);
        }
        is_news
    }

    /// An attempt is taken away from the one who held it.
    pub(crate) fn take_back(&mut self, shard: u64, is_tracked: bool, by: Holder, now: Millis) {
        if !is_tracked {
            self.track_plain(shard, by);
        }
        if self.is_open(shard) {
            self.release(shard, by, now);
        }
    }

    /// Starts to keep an entry for a shard that so far only `holder` was given.
    fn track_plain(&mut self, shard: u64, holder: Holder) {
        self.tracked.entry(shard).or_insert_with(|| Tracked {
            attempts: 1,
            holders: vec![holder],
            ..Tracked::default()
        });
    }

    fn release(&mut self, shard: u64, by: Holder, now: Millis) {
        let holders = &mut self.entry(shard).holders;
        let before = holders.len();
        holders.retain(|holder| *holder != by);
        if before > 0 && holders.is_empty() {
            self.in_flight -= 1;
            self.enqueue(shard, now);
        }
    }

    fn enqueue(&mut self, shard: u64, now: Millis) {
        let entry = &self.tracked[&shard];
        if entry.is_choosy(now) && self.elsewhere.len() < MAX_ELSEWHERE {
            self.elsewhere.insert(shard, entry.failed_at);
        } else {
            self.requeued.insert(shard);
        }
    }

    fn unqueue(&mut self, shard: u64) {
        self.requeued.remove(&shard);
        self.elsewhere.remove(&shard);
    }

    /// What a worker finds that returns with an attempt, number `attempt`, of the shard.
    pub(crate) fn claim(&mut self, shard: u64, attempt: u32) -> Claim {
        if self.withheld.remove(shard) {
            let entry = self.tracked.entry(shard).or_default();
            entry.attempts = entry.attempts.max(attempt);
            return Claim::Free;
        }
        match self.tracked.get(&shard) {
            None => Claim::Closed,
            Some(entry) if entry.holders.is_empty() => Claim::Free,
            Some(entry) => Claim::With(entry.holders.clone()),
        }
    }

    /// Whoever returned has the shard, perhaps beside others.
    pub(crate) fn hold(&mut self, shard: u64, by: Holder) {
        self.unqueue(shard);
        let holders = &mut self.entry(shard).holders;
        holders.push(by);
        if holders.len() == 1 {
            self.in_flight += 1;
        }
    }

    /// When the first shard has waited for another worker long enough.
    pub(crate) fn patience_ends(&self) -> Option<Millis> {
        let first = self.elsewhere.values().min()?;
        Some(first.plus(PATIENCE_MS))
    }

    /// Gives shards that have waited long enough to anyone.
    pub(crate) fn lose_patience(&mut self, now: Millis) {
        let requeued = &mut self.requeued;
        self.elsewhere.retain(|shard, since| {
            let waits = since.plus(PATIENCE_MS) > now;
            if !waits {
                requeued.insert(*shard);
            }
            waits
        });
    }

    fn entry(&mut self, shard: u64) -> &mut Tracked {
        self.tracked
            .get_mut(&shard)
            .expect("only called for tracked shards")
    }
}

#[cfg(test)]
impl Supply {
    /// Panics where shards do not add up; `open` are those that are with workers and not completed.
    pub(crate) fn check<'a>(
        &self,
        completed: u64,
        open: impl Iterator<Item = (u64, &'a [(Holder, crate::leaf::Slot)])>,
    ) {
        let mut plain = 0;
        let mut with_workers = 0;
        for (shard, holders) in open {
            with_workers += 1;
            assert!(shard < self.cursor);
            let Some(entry) = self.tracked.get(&shard) else {
                assert_eq!(holders.len(), 1, "shard {shard} has one holder");
                plain += 1;
                continue;
            };
            let mut expected: Vec<_> = entry.holders.iter().map(|it| it.attempt).collect();
            let mut found: Vec<_> = holders.iter().map(|(it, _)| it.attempt).collect();
            expected.sort_unstable();
            found.sort_unstable();
            assert_eq!(expected, found, "holders of shard {shard}");
            assert!(holders.iter().all(|(_, slot)| slot.is_tracked));
        }
        assert_eq!(self.in_flight, with_workers);
        for (shard, entry) in &self.tracked {
            let is_queued = self.requeued.contains(shard) || self.elsewhere.contains_key(shard);
            assert_eq!(is_queued, entry.holders.is_empty(), "shard {shard}");
        }
        let known = completed + self.tracked.len() as u64 + plain;
        let withheld = u64::try_from(self.withheld.len()).unwrap();
        assert_eq!(known + withheld, self.cursor, "every shard is somewhere");
        assert!(self.cursor <= self.mark && self.mark <= self.total);
    }
}

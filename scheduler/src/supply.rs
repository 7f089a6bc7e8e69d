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

use crate::candidates::Candidates;
use crate::retries::Retries;

/// Failed shards that wait for workers which have not tried them, beyond which those that have get no
/// other shards of the job: one broken device shall not run through all of it.
pub(crate) const MAX_WAITING: usize = 512;

/// Workers that took too long with a shard and that are remembered for it.
const MAX_TRIED: usize = 32;

/// How long a copy of a straggler is waited for, in times of what makes a straggler, and at least, in
/// milliseconds; twice as long each time, up to so many times.
const COPY_FACTOR: u64 = 4;
const MIN_COPY_MS: u64 = 5_000;
const MAX_COPY_DOUBLINGS: u32 = 6;

/// How long a shard is kept from a device that it was lost with twice, where there is no other: first
/// and at most, in milliseconds. Each loss doubles it.
const REST_MS: (u64, u64) = (5_000, 600_000);

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
    /// Workers on which it failed.
    failed_on: Vec<WorkerId>,
    /// Workers that were lost while they ran it. It is suspect: it may be what killed them.
    lost_on: Vec<WorkerId>,
    /// How often that was, and until when those keep off it.
    losses: u32,
    rests_until: Millis,
    /// Workers that have tried it in vain, in order.
    ever_tried: Vec<WorkerId>,
    /// Those of them that did since everyone had: others go first.
    tried: Vec<WorkerId>,
    /// How often it was given to a second worker because the first takes too long.
    copies: u32,
    /// Attempts that are with a worker; while there are any the shard is in no queue.
    holders: Vec<Holder>,
}

impl Tracked {
    const fn is_suspect(&self) -> bool {
        self.losses > 0
    }

    fn may_be_tried_by(&self, worker: &WorkerId, now: Millis) -> bool {
        self.rests_until <= now || self.ever_tried.binary_search(worker).is_err()
    }

    fn note_tried(&mut self, worker: &WorkerId) {
        for line in [&mut self.tried, &mut self.ever_tried] {
            if let Err(place) = line.binary_search(worker) {
                line.insert(place, worker.clone());
            }
        }
    }

    /// It is given to `worker`. If that has tried it, everyone has: all may once more.
    fn note_given(&mut self, worker: &WorkerId) {
        if self.tried.binary_search(worker).is_ok() {
            self.tried.clear();
        }
    }

    fn note_failure(&mut self, attempt: AttemptId, worker: &WorkerId) -> bool {
        let is_news = !self.failed.contains(&attempt);
        if is_news {
            self.failed.push(attempt);
        }
        note(&mut self.failed_on, worker);
        self.note_tried(worker);
        is_news
    }

    fn note_loss(&mut self, worker: &WorkerId, now: Millis) {
        note(&mut self.lost_on, worker);
        self.note_tried(worker);
        if let Some(doublings) = self.losses.checked_sub(1) {
            let rest_ms = REST_MS.0 << doublings.min(16);
            self.rests_until = now.plus(rest_ms.min(REST_MS.1));
        }
        self.losses = self.losses.saturating_add(1);
    }
}

fn note(workers: &mut Vec<WorkerId>, worker: &WorkerId) {
    if !workers.contains(worker) {
        workers.push(worker.clone());
    }
}

/// The attempt of a shard that a second worker was given because the first takes too long.
#[derive(Debug, Clone, Copy)]
struct Copied {
    holder: Holder,
    since: Millis,
}

/// How often a shard has failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Failures {
    pub(crate) attempts: usize,
    /// On how many workers.
    pub(crate) workers: usize,
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
    /// Shards to try again.
    requeued: Retries,
    /// Shards to try again alone.
    suspects: Retries,
    /// When suspect shards have rested.
    rests: BTreeSet<Millis>,
    tracked: BTreeMap<u64, Tracked>,
    /// Of tracked shards that two workers have.
    copies: BTreeMap<u64, Copied>,
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
            requeued: Retries::default(),
            suspects: Retries::default(),
            rests: BTreeSet::new(),
            tracked: BTreeMap::new(),
            copies: BTreeMap::new(),
            in_flight: 0,
        }
    }

    /// Something can be handed out together with other shards, at least to some worker.
    pub(crate) fn has_work(&self) -> bool {
        self.cursor < self.mark
            || !self.requeued.is_empty()
            || (!self.is_withholding && !self.withheld.is_empty())
    }

    /// Something can be handed out alone, at least to some worker.
    pub(crate) fn has_suspects(&self) -> bool {
        !self.suspects.is_empty()
    }

    /// Shards that nobody has, whether they can be handed out yet or not.
    pub(crate) fn remaining(&self) -> u64 {
        let withheld = u64::try_from(self.withheld.len()).unwrap_or(u64::MAX);
        (self.total - self.cursor) + withheld + (self.requeued.len() + self.suspects.len()) as u64
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

    /// Shards that nobody gets because a worker of before the restart may have them.
    pub(crate) fn withheld(&self) -> u64 {
        if self.is_withholding {
            u64::try_from(self.withheld.len()).unwrap_or(u64::MAX)
        } else {
            0
        }
    }

    /// Shards below `mark` may be handed out.
    pub(crate) fn raise_mark(&mut self, mark: u64) {
        self.mark = self.mark.max(mark.min(self.total));
    }

    pub(crate) fn stop_withholding(&mut self) {
        self.is_withholding = false;
    }

    /// Hands out shards for the attempts at `places` of a leaf of `worker`, or fewer: those to be tried
    /// again first. `holder` names the attempt at a place.
    pub(crate) fn issue(
        &mut self,
        places: Range<u32>,
        worker: &WorkerId,
        candidates: Candidates<'_>,
        holder: impl Fn(u32) -> Holder,
    ) -> Vec<Issued> {
        let mut issued = Vec::new();
        let mut places = places;
        let may_run = |tried: &[WorkerId]| candidates.may_run(worker, tried);
        let again = self.requeued.take(places.len(), may_run, |_, _| true);
        for (shard, place) in again.into_iter().zip(&mut places) {
            self.entry(shard).note_given(worker);
            issued.push(self.issue_tracked(shard, holder(place)));
        }
        if self.requeued.len() < MAX_WAITING {
            while !places.is_empty()
                && let Some(shard) = self.pop_withheld()
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
        }
        self.in_flight += issued.len() as u64;
        issued
    }

    /// Hands out a shard that is to be tried alone to `worker`; `None` where there is none for it.
    pub(crate) fn issue_suspect(
        &mut self,
        worker: &WorkerId,
        candidates: Candidates<'_>,
        now: Millis,
        holder: Holder,
    ) -> Option<Issued> {
        let tracked = &self.tracked;
        let shard = self
            .suspects
            .take(
                1,
                |tried| candidates.may_run(worker, tried),
                |_, shard| tracked[&shard].may_be_tried_by(worker, now),
            )
            .pop()?;
        self.in_flight += 1;
        self.entry(shard).note_given(worker);
        Some(self.issue_tracked(shard, holder))
    }

    /// Whether `worker` would get a shard that is to be tried alone.
    pub(crate) fn has_suspect_for(
        &self,
        worker: &WorkerId,
        candidates: Candidates<'_>,
        now: Millis,
    ) -> bool {
        self.suspects.has_any(
            |tried| candidates.may_run(worker, tried),
            |_, shard| self.tracked[&shard].may_be_tried_by(worker, now),
        )
    }

    /// Whether all that is left to hand out was lost with every one of the candidates.
    pub(crate) fn is_lost_on_all(&self, candidates: Candidates<'_>) -> bool {
        let is_for_others = |tried: &[WorkerId]| candidates.has_other(tried);
        !self.has_work()
            && !self.rests.is_empty()
            && !self.suspects.has_any(is_for_others, |_, _| true)
    }

    /// Hands out a shard that `first` has for a second time, to `second` of `worker`.
    pub(crate) fn double(
        &mut self,
        shard: u64,
        first: Holder,
        second: Holder,
        worker: &WorkerId,
        now: Millis,
    ) -> Issued {
        self.track_plain(shard, first);
        let entry = self.entry(shard);
        entry.note_given(worker);
        entry.copies += 1;
        let copied = Copied {
            holder: second,
            since: now,
        };
        self.copies.insert(shard, copied);
        self.issue_tracked(shard, second)
    }

    /// Copies that are waited for no longer, where `straggler_ms` makes a straggler.
    pub(crate) fn overdue_copies(&self, straggler_ms: u64, now: Millis) -> Vec<Holder> {
        let patience_ms = (COPY_FACTOR * straggler_ms).max(MIN_COPY_MS);
        let overdue = self.copies.iter().filter(|(shard, copied)| {
            let doublings = self.tracked[shard].copies.saturating_sub(1);
            let patience_ms = patience_ms << doublings.min(MAX_COPY_DOUBLINGS);
            copied.since.plus(patience_ms) <= now
        });
        overdue.map(|(_, copied)| copied.holder).collect()
    }

    /// Whether a shard that a worker has may be given to a second one.
    pub(crate) fn may_double(&self, shard: u64, is_tracked: bool) -> bool {
        match self.tracked.get(&shard) {
            Some(it) => it.holders.len() == 1,
            None => !is_tracked,
        }
    }

    /// Shards that two workers have because the first takes too long.
    pub(crate) fn doubled(&self) -> u64 {
        self.copies.len() as u64
    }

    /// How often the shard was given to a second worker.
    pub(crate) fn copies_of(&self, shard: u64) -> u32 {
        self.tracked.get(&shard).map_or(0, |entry| entry.copies)
    }

    /// Whether the shard is to be run alone.
    pub(crate) fn is_suspect(&self, shard: u64) -> bool {
        self.tracked.get(&shard).is_some_and(Tracked::is_suspect)
    }

    /// Takes a shard that may have been handed out before the restart.
    fn pop_withheld(&mut self) -> Option<u64> {
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

    /// Whether `worker` has tried the shard in vain.
    pub(crate) fn was_tried_by(&self, shard: u64, worker: &WorkerId) -> bool {
        self.tried(shard).binary_search(worker).is_ok()
    }

    /// Workers that have tried the shard in vain.
    pub(crate) fn tried(&self, shard: u64) -> &[WorkerId] {
        self.tracked.get(&shard).map_or(&[], |entry| &entry.tried)
    }

    /// Whether a tracked shard still waits for a result.
    pub(crate) fn is_open(&self, shard: u64) -> bool {
        self.tracked.contains_key(&shard)
    }

    /// Number of the shard's last attempt.
    pub(crate) fn attempt_number(&self, shard: u64) -> u32 {
        self.tracked.get(&shard).map_or(1, |entry| entry.attempts)
    }

    /// How often the shard has failed, with `attempt` of `worker`, and who has tried it then.
    pub(crate) fn failures_with(
        &self,
        shard: u64,
        attempt: AttemptId,
        worker: &WorkerId,
    ) -> (Failures, Vec<WorkerId>) {
        let none = Tracked::default();
        let entry = self.tracked.get(&shard).unwrap_or(&none);
        let failures = Failures {
            attempts: entry.failed.len() + usize::from(!entry.failed.contains(&attempt)),
            workers: entry.failed_on.len() + usize::from(!entry.failed_on.contains(worker)),
        };
        let mut tried = entry.ever_tried.clone();
        note(&mut tried, worker);
        (failures, tried)
    }

    /// A result of the shard counts. Gives the attempts that have become pointless.
    pub(crate) fn complete(&mut self, shard: u64, by: Holder) -> Vec<Holder> {
        self.unqueue(shard);
        let Some(entry) = self.tracked.remove(&shard) else {
            self.in_flight -= 1;
            return Vec::new();
        };
        self.copies.remove(&shard);
        if !entry.holders.is_empty() {
            self.in_flight -= 1;
        }
        let mut others = entry.holders;
        others.retain(|other| *other != by);
        others
    }

    /// A result says that the shard failed on `worker`; it will be tried again. Whether that was
    /// news: the result of one attempt may come more than once.
    pub(crate) fn fail(&mut self, shard: u64, by: Holder, worker: &WorkerId) -> bool {
        self.track_plain(shard, by);
        let was_queued = self.unqueue(shard);
        let is_news = self.entry(shard).note_failure(by.attempt, worker);
        self.release(shard, by);
        if was_queued {
            self.enqueue(shard);
        }
        is_news
    }

    /// `worker` was lost while it ran the shard. Gives how many workers were, 0 where the shard has
    /// its result.
    pub(crate) fn lose(&mut self, shard: u64, by: Holder, worker: &WorkerId, now: Millis) -> usize {
        if !self.is_open(shard) {
            return 0;
        }
        let was_queued = self.unqueue(shard);
        let entry = self.entry(shard);
        entry.note_loss(worker, now);
        let (losses, rests_until) = (entry.lost_on.len(), entry.rests_until);
        if rests_until > now {
            self.rests.insert(rests_until);
        }
        self.release(shard, by);
        if was_queued {
            self.enqueue(shard);
        }
        losses
    }

    /// Keeps an entry for a shard that a worker has, from which it will be taken.
    pub(crate) fn track(&mut self, shard: u64, is_tracked: bool, holder: Holder) {
        if !is_tracked {
            self.track_plain(shard, holder);
        }
    }

    /// An attempt is taken away from the one who held it.
    pub(crate) fn take_back(&mut self, shard: u64, by: Holder) {
        if self.is_open(shard) {
            self.release(shard, by);
        }
    }

    /// The same because the worker took too long; others are tried next.
    pub(crate) fn take_from_late(&mut self, shard: u64, by: Holder, worker: &WorkerId) {
        if !self.is_open(shard) {
            return;
        }
        let was_queued = self.unqueue(shard);
        let entry = self.entry(shard);
        if entry.ever_tried.len() < MAX_TRIED {
            entry.note_tried(worker);
        }
        self.release(shard, by);
        if was_queued {
            self.enqueue(shard);
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

    fn release(&mut self, shard: u64, by: Holder) {
        let holders = &mut self.entry(shard).holders;
        let before = holders.len();
        holders.retain(|holder| *holder != by);
        let left = holders.len();
        let copy = self.copies.get(&shard);
        if copy.is_some_and(|copy| left < 2 || copy.holder == by) {
            self.copies.remove(&shard);
        }
        if before > 0 && left == 0 {
            self.in_flight -= 1;
            self.enqueue(shard);
        }
    }

    fn enqueue(&mut self, shard: u64) {
        let entry = &self.tracked[&shard];
        let line = if entry.is_suspect() {
            &mut self.suspects
        } else {
            &mut self.requeued
        };
        line.insert(shard, &entry.tried);
    }

    /// Whether it was in a queue. Who has tried it may change only while it is in none.
    fn unqueue(&mut self, shard: u64) -> bool {
        self.tracked.get(&shard).is_some_and(|entry| {
            self.requeued.remove(shard, &entry.tried) | self.suspects.remove(shard, &entry.tried)
        })
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

    /// When the first of the suspect shards has rested.
    pub(crate) fn rest_ends(&self) -> Option<Millis> {
        self.rests.first().copied()
    }

    /// Forgets rests that are over.
    pub(crate) fn end_rests(&mut self, now: Millis) {
        self.rests = self.rests.split_off(&now.plus(1));
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
            let is_queued = self.requeued.contains(*shard) || self.suspects.contains(*shard);
            assert_eq!(is_queued, entry.holders.is_empty(), "shard {shard}");
            assert!(!self.suspects.contains(*shard) || entry.is_suspect());
        }
        for (shard, copied) in &self.copies {
            let holders = &self.tracked[shard].holders;
            assert!(holders.len() > 1 && holders.contains(&copied.holder));
        }
        let known = completed + self.tracked.len() as u64 + plain;
        let withheld = u64::try_from(self.withheld.len()).unwrap();
        assert_eq!(known + withheld, self.cursor, "every shard is somewhere");
        assert!(self.cursor <= self.mark && self.mark <= self.total);
    }
}

//! What is checked of every step from outside.

use std::collections::{BTreeMap, BTreeSet};

use shared::ids::{AttemptId, JobId, Nonce, SessionId, WorkerId};
use shared::limits::{MAX_ATTEMPTS_PER_LEAF, MAX_JOBS_PER_LEAF, MAX_SHARD_ATTEMPTS};
use shared::time::Millis;
use shared::wire::{AttemptRange, Disposed, Disposition, Stage};

use super::jobs::lost_shard;
use super::store::Store;
use crate::{Command, Delta, Effect, Event, JobAssignment, Scheduler, SchedulerConfig};

/// A leaf that was sent.
#[derive(Debug)]
struct Sent {
    session: SessionId,
    shards: Vec<(JobId, u64)>,
}

#[derive(Debug, Default)]
pub(super) struct Checks {
    started_at: Millis,
    /// High-water marks of the jobs that this process found.
    found_marks: BTreeMap<JobId, u64>,
    /// Completed shards of the same.
    found_completed: BTreeMap<JobId, u64>,
    /// Shards of each job that workers were given credit for by this process.
    credited: BTreeMap<JobId, u64>,
    /// Shards below the marks that a worker brought back.
    brought_back: BTreeSet<(JobId, u64)>,
    /// Leaves of all processes.
    sent: BTreeMap<Nonce, Sent>,
    /// Leaves of this process, and those whose tickets it saw.
    known: BTreeSet<Nonce>,
    /// Attempts that are rightly with a worker, as far as can be told from outside.
    live: BTreeMap<(JobId, u64), BTreeSet<AttemptId>>,
    /// Results that wait for their disposition.
    owed: BTreeSet<(SessionId, AttemptId)>,
    /// The same, but the connection was lost since: the worker sends them again anyway.
    excused: BTreeSet<(SessionId, AttemptId)>,
    /// Workers of all processes that a shard was given to.
    given_to: BTreeMap<(JobId, u64), BTreeSet<WorkerId>>,
    revoked: BTreeSet<AttemptId>,
    failing: BTreeSet<AttemptId>,
    credits: BTreeMap<SessionId, u32>,
    workers: BTreeMap<WorkerId, SessionId>,
    /// Sessions that shall get nothing more.
    draining: BTreeSet<SessionId>,
    /// Jobs whose owners want no shard of them handed out, or no more of them at all.
    paused: BTreeSet<JobId>,
    cancelled: BTreeSet<JobId>,
}

impl Checks {
    /// The server died and starts again.
    pub(super) fn restart(&mut self, now: Millis, store: &Store) {
        self.started_at = now;
        self.found_marks = store
            .rows
            .values()
            .map(|row| (row.spec.job, row.high_water))
            .collect();
        self.found_completed = store
            .rows
            .values()
            .map(|row| (row.spec.job, row.completed.len() as u64))
            .collect();
        self.credited.clear();
        self.brought_back.clear();
        self.known.clear();
        self.live.clear();
        self.owed.clear();
        self.excused.clear();
        self.credits.clear();
        self.workers.clear();
        self.paused.clear();
        self.cancelled.clear();
    }

    /// Takes note of what is about to happen.
    pub(super) fn before(&mut self, event: &Event) {
        match event {
            Event::WorkerJoined {
                session,
                worker,
                credit,
                ..
            } => self.connected(*session, worker, *credit),
            Event::WorkerResumed {
                session,
                worker,
                credit,
                held,
                ..
            } => {
                let was_known = self.workers.get(worker) == Some(session);
                self.connected(*session, worker, *credit);
                let kept = held
                    .iter()
                    .filter(|entry| was_known && entry.stage != Stage::Finished)
                    .filter(|entry| self.known.contains(&entry.range.nonce));
                for attempt in kept
                    .flat_map(|entry| entry.range.attempts())
                    .collect::<Vec<_>>()
                {
                    self.mark_live(attempt);
                }
            }
            Event::WorkerDetached { session } => {
                self.credits.remove(session);
                let owed = self.owed.extract_if(.., |(to, _)| to == session);
                self.excused.extend(owed);
                self.forget_session(*session);
            }
            Event::WorkerLeft { session } => {
                self.credits.remove(session);
                self.forget_session(*session);
            }
            Event::WorkerDraining { session } => drop(self.draining.insert(*session)),
            Event::Results { session, batches } if self.credits.contains_key(session) => {
                for batch in batches {
                    for row in &batch.rows {
                        let attempt = AttemptId {
                            nonce: batch.nonce,
                            index: row.index,
                        };
                        self.owed.insert((*session, attempt));
                        self.unmark_live(*session, attempt);
                        if !row.result.has_returned() {
                            self.failing.insert(attempt);
                        }
                    }
                }
            }
            Event::Refused { session, refusals } => {
                for range in refusals.iter().filter_map(|refusal| refusal.range) {
                    for attempt in range.attempts().take(MAX_ATTEMPTS_PER_LEAF) {
                        self.unmark_live(*session, attempt);
                    }
                }
            }
            Event::TicketProved { nonce, jobs, .. } => {
                self.known.insert(*nonce);
                for job in jobs {
                    let shards = job.shards.iter().map(|(shard, _)| (job.job, shard.0));
                    self.brought_back.extend(shards);
                }
            }
            Event::Credit { session, limit } => {
                if let Some(credit) = self.credits.get_mut(session) {
                    *credit = *limit;
                }
            }
            Event::Control { job, command } => match command {
                Command::Pause => drop(self.paused.insert(*job)),
                Command::Resume => drop(self.paused.remove(job)),
                Command::Cancel => drop(self.cancelled.insert(*job)),
            },
            Event::JobReady(outline) => {
                if outline.is_paused {
                    self.paused.insert(outline.job);
                }
            }
            Event::Results { .. }
            | Event::Beat { .. }
            | Event::Committed { .. }
            | Event::CommitFailed { .. }
            | Event::Tick => {}
        }
    }

    /// Checks what was said in answer.
    pub(super) fn after(
        &mut self,
        now: Millis,
        effects: &[Effect],
        store: &Store,
        scheduler: &Scheduler,
        config: &SchedulerConfig,
    ) {
        for effect in effects {
            match effect {
                Effect::Assign {
                    session,
                    nonce,
                    jobs,
                } => {
                    self.check_assignment(now, *session, *nonce, jobs, store, config);
                    self.check_credit(*session, scheduler);
                }
                Effect::Dispose { session, disposed } => {
                    for entry in disposed {
                        self.check_disposition(*session, *entry, store);
                    }
                }
                Effect::Revoke { session, ranges } => self.check_revocation(*session, ranges),
                Effect::JobChanged { job } => {
                    let view = scheduler.job(*job).expect("a changed job is known");
                    let row = &store.rows[job];
                    let stored = row.completed.len();
                    assert!(u128::from(view.progress.completed) <= stored);
                    let is_current = u128::from(view.progress.completed) == stored;
                    assert!(!is_current || view.reducer_state == row.reducer_state);
                    assert!(view.progress.in_flight <= row.spec.shards);
                    self.check_credit_for(*job, view.progress.completed);
                }
                Effect::Contributed {
                    job,
                    contributions,
                    results,
                } => {
                    let shards: u64 = contributions.iter().map(|it| it.completed).sum();
                    let row = &store.rows[job];
                    let is_sharded = row.spec.reducer().is_some();
                    assert!(results.len() as u64 == if is_sharded { shards } else { 0 });
                    for (shard, result) in results.iter() {
                        assert!(row.completed.contains(shard.0), "commit before effect");
                        let expected = row.spec.result(shard.0, row.spec.is_broken(shard.0));
                        assert_eq!(*result, expected);
                    }
                    *self.credited.entry(*job).or_default() += shards;
                }
                Effect::JobEnded { job, completed, .. } => {
                    assert!(store.rows[job].end.is_some(), "commit before effect");
                    self.check_credit_for(*job, *completed);
                    assert_eq!(scheduler.job(*job), None);
                    self.live.retain(|(it, _), _| it != job);
                }
                Effect::SessionEnded { session } => {
                    self.forget_session(*session);
                    let sent = &self.sent;
                    self.known.retain(|nonce| sent[nonce].session != *session);
                }
                Effect::Persist(delta) => self.check_end(delta),
                Effect::Drained { session } => {
                    let mut owed = self.owed.iter().filter(|(owed_to, _)| owed_to == session);
                    assert_eq!(owed.next(), None, "it was told of all its results");
                    assert_eq!(scheduler.held_by_session(*session), 0);
                }
                Effect::Welcome { .. } | Effect::JobSwitched { .. } => {}
            }
        }
    }

    /// Every result that was received has had its disposition.
    pub(super) fn check_nothing_is_owed(&self) {
        assert!(self.owed.is_empty(), "no disposition for {:?}", self.owed);
    }

    fn check_assignment(
        &mut self,
        now: Millis,
        session: SessionId,
        nonce: Nonce,
        jobs: &[JobAssignment],
        store: &Store,
        config: &SchedulerConfig,
    ) {
        assert!(self.credits.contains_key(&session), "it is connected");
        assert!(!self.draining.contains(&session), "it is draining");
        let mut shards = Vec::new();
        for job in jobs {
            let row = &store.rows[&job.job];
            assert!(row.end.is_none(), "the job runs");
            assert!(!self.paused.contains(&job.job), "it is paused");
            assert!(!self.cancelled.contains(&job.job), "it is cancelled");
            for (shard, number) in &job.shards {
                let key = (job.job, shard.0);
                assert!(*number >= 1);
                assert!(!row.completed.contains(shard.0), "I1: {key:?} is done");
                assert!(shard.0 < row.high_water, "{key:?} is reserved first");
                let is_withheld = self.found_marks.get(&job.job) > Some(&shard.0)
                    && !self.brought_back.contains(&key);
                assert!(
                    !is_withheld || now >= self.started_at.plus(config.reclaim_ms),
                    "{key:?} may be with a worker from before the restart"
                );
                if self.live.get(&key).is_some_and(|live| !live.is_empty()) {
                    self.check_double(key, *number, session, jobs);
                }
                self.note_given(key, session);
                shards.push(key);
            }
        }
        assert!((1..=MAX_ATTEMPTS_PER_LEAF).contains(&shards.len()));
        assert!((1..=MAX_JOBS_PER_LEAF).contains(&jobs.len()));
        for (key, index) in shards.iter().zip(0..) {
            let attempt = AttemptId { nonce, index };
            self.live.entry(*key).or_default().insert(attempt);
        }
        let old = self.sent.insert(nonce, Sent { session, shards });
        assert!(old.is_none(), "nonces are used once");
        self.known.insert(nonce);
    }

    /// A shard that a worker has is given to one other at most, and alone.
    fn check_double(
        &mut self,
        key: (JobId, u64),
        number: u32,
        session: SessionId,
        jobs: &[JobAssignment],
    ) {
        let live = &self.live[&key];
        let holder = live
            .first()
            .map(|attempt| self.sent[&attempt.nonce].session);
        assert!(
            live.len() == 1 && holder != Some(session),
            "{key:?}: {live:?}"
        );
        assert!(number >= 2 && jobs.len() == 1 && jobs[0].shards.len() == 1);
    }

    fn note_given(&mut self, key: (JobId, u64), session: SessionId) {
        let owner = self.workers.iter().find(|(_, id)| **id == session);
        let worker = owner.expect("the session has a worker").0.clone();
        self.given_to.entry(key).or_default().insert(worker);
    }

    /// A job is not given up for a shard that fewer workers had.
    fn check_end(&self, delta: &Delta) {
        if let Some(shard) = delta.end.as_ref().and_then(lost_shard) {
            assert!(self.given_to[&(delta.job, shard)].len() >= MAX_SHARD_ATTEMPTS);
        }
    }

    /// Every shard that this process completed is to the credit of one worker.
    fn check_credit_for(&self, job: JobId, completed: u64) {
        let found = self.found_completed.get(&job).copied().unwrap_or(0);
        let credited = self.credited.get(&job).copied().unwrap_or(0);
        assert_eq!(found + credited, completed, "{job:?}: shards and credit");
    }

    fn check_credit(&self, session: SessionId, scheduler: &Scheduler) {
        let held = scheduler.held_by_session(session);
        assert!(held <= self.credits[&session], "I7: credit");
    }

    fn check_disposition(&mut self, session: SessionId, entry: Disposed, store: &Store) {
        for attempt in entry.range.attempts() {
            let received = (session, attempt);
            assert!(
                self.owed.remove(&received) || self.excused.remove(&received),
                "{attempt:?}: {:?} for nothing",
                entry.disposition
            );
            let sent = self
                .sent
                .get(&attempt.nonce)
                .filter(|sent| sent.session == session)
                .and_then(|sent| sent.shards.get(attempt.index as usize));
            let is_stored = sent.is_some_and(|(job, shard)| {
                let row = &store.rows[job];
                row.completed.contains(*shard) || row.end.is_some()
            });
            match entry.disposition {
                Disposition::Durable | Disposition::Duplicate => {
                    assert!(is_stored, "I2: {attempt:?} is stored");
                }
                Disposition::Stale => {
                    let is_lost =
                        !self.failing.contains(&attempt) && !self.revoked.contains(&attempt);
                    assert!(sent.is_some(), "{attempt:?} was never given");
                    assert!(is_stored || !is_lost, "the result of {attempt:?} is lost");
                }
                Disposition::Refused => {
                    let is_known = self.known.contains(&attempt.nonce);
                    assert!(sent.is_none() || !is_known, "{attempt:?} was given");
                }
            }
        }
    }

    fn check_revocation(&mut self, session: SessionId, ranges: &[AttemptRange]) {
        assert!(self.credits.contains_key(&session), "it is connected");
        for attempt in ranges.iter().flat_map(|range| range.attempts()) {
            self.revoked.insert(attempt);
            self.unmark_live(session, attempt);
        }
    }

    fn connected(&mut self, session: SessionId, worker: &WorkerId, credit: u32) {
        if let Some(old) = self.workers.insert(worker.clone(), session) {
            self.credits.remove(&old);
        }
        self.forget_session(session);
        self.workers.insert(worker.clone(), session);
        self.credits.insert(session, credit);
    }

    fn forget_session(&mut self, session: SessionId) {
        let sent = &self.sent;
        for attempts in self.live.values_mut() {
            attempts.retain(|attempt| sent[&attempt.nonce].session != session);
        }
        self.owed.retain(|(owed_to, _)| *owed_to != session);
    }

    fn mark_live(&mut self, attempt: AttemptId) {
        if let Some(key) = self.shard_of(attempt) {
            self.live.entry(key).or_default().insert(attempt);
        }
    }

    fn unmark_live(&mut self, session: SessionId, attempt: AttemptId) {
        let is_own = self
            .sent
            .get(&attempt.nonce)
            .is_some_and(|sent| sent.session == session);
        if let Some(key) = self.shard_of(attempt).filter(|_| is_own) {
            self.live.entry(key).or_default().remove(&attempt);
        }
    }

    fn shard_of(&self, attempt: AttemptId) -> Option<(JobId, u64)> {
        let sent = self.sent.get(&attempt.nonce)?;
        sent.shards.get(attempt.index as usize).copied()
    }
}

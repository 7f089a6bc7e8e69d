//! Effects of one step, gathered by kind so that each session gets few, large messages.

use std::collections::{BTreeMap, BTreeSet};

use shared::ids::{JobId, Nonce, SessionId};
use shared::limits::MAX_RANGES_PER_MESSAGE;
use shared::wire::{AttemptRange, Disposed, Disposition};

use crate::event::{Contribution, Delta, Effect, Ending, JobAssignment, JobProgress, ShardResults};

#[derive(Debug, Default)]
pub(crate) struct Outbox {
    ended_sessions: Vec<SessionId>,
    welcome: Option<(SessionId, Vec<Nonce>)>,
    dispositions: BTreeMap<SessionId, Vec<Disposed>>,
    revocations: BTreeMap<SessionId, Vec<AttemptRange>>,
    assignments: Vec<Effect>,
    deltas: Vec<Delta>,
    /// What happened to jobs, in order.
    history: Vec<Effect>,
    changed_jobs: BTreeSet<JobId>,
    ended_jobs: Vec<(JobId, JobProgress, Ending)>,
    drained: Vec<SessionId>,
}

impl Outbox {
    pub(crate) fn end_session(&mut self, session: SessionId) {
        self.dispositions.remove(&session);
        self.revocations.remove(&session);
        self.ended_sessions.push(session);
    }

    pub(crate) fn drained(&mut self, session: SessionId) {
        self.drained.push(session);
    }

    pub(crate) fn welcome(&mut self, session: SessionId, unknown: Vec<Nonce>) {
        self.welcome = Some((session, unknown));
    }

    pub(crate) fn dispose(
        &mut self,
        session: SessionId,
        range: AttemptRange,
        disposition: Disposition,
    ) {
        let list = self.dispositions.entry(session).or_default();
        if let Some(last) = list.last_mut()
            && last.disposition == disposition
            && continues(last.range, range)
        {
            last.range.count += range.count;
            return;
        }
        list.push(Disposed { range, disposition });
    }

    pub(crate) fn revoke(&mut self, session: SessionId, range: AttemptRange) {
        let list = self.revocations.entry(session).or_default();
        if let Some(last) = list.last_mut()
            && continues(*last, range)
        {
            last.count += range.count;
            return;
        }
        list.push(range);
    }

    pub(crate) fn assign(&mut self, session: SessionId, nonce: Nonce, jobs: Vec<JobAssignment>) {
        self.assignments.push(Effect::Assign {
            session,
            nonce,
            jobs,
        });
    }

    pub(crate) fn persist(&mut self, delta: Delta) {
        self.deltas.push(delta);
    }

    pub(crate) fn contributed(
        &mut self,
        job: JobId,
        contributions: Vec<Contribution>,
        results: ShardResults,
    ) {
        if !contributions.is_empty() {
            self.history.push(Effect::Contributed {
                job,
                contributions,
                results,
            });
        }
    }

    pub(crate) fn job_switched(&mut self, job: JobId, is_paused: bool) {
        self.history.push(Effect::JobSwitched { job, is_paused });
    }

    pub(crate) fn job_changed(&mut self, job: JobId) {
        self.changed_jobs.insert(job);
    }

    pub(crate) fn job_ended(&mut self, job: JobId, progress: JobProgress, ending: Ending) {
        self.ended_jobs.push((job, progress, ending));
    }

    /// Everything gathered, in the order in which it shall happen.
    pub(crate) fn take(&mut self) -> Vec<Effect> {
        let Self {
            ended_sessions,
            welcome,
            dispositions,
            revocations,
            assignments,
            deltas,
            history,
            mut changed_jobs,
            ended_jobs,
            drained,
        } = std::mem::take(self);
        for (job, ..) in &ended_jobs {
            changed_jobs.remove(job);
        }
        let mut effects = Vec::new();
        effects.extend(
            ended_sessions
                .into_iter()
                .map(|session| Effect::SessionEnded { session }),
        );
        effects.extend(welcome.map(|(session, unknown)| Effect::Welcome { session, unknown }));
        for (session, list) in dispositions {
            effects.extend(list.chunks(MAX_RANGES_PER_MESSAGE).map(|part| {
                let disposed = part.to_vec();
                Effect::Dispose { session, disposed }
            }));
        }
        for (session, list) in revocations {
            effects.extend(list.chunks(MAX_RANGES_PER_MESSAGE).map(|part| {
                let ranges = part.to_vec();
                Effect::Revoke { session, ranges }
            }));
        }
        effects.extend(assignments);
        effects.extend(
            deltas
                .into_iter()
                .map(|delta| Effect::Persist(Box::new(delta))),
        );
        effects.extend(history);
        effects.extend(
            changed_jobs
                .into_iter()
                .map(|job| Effect::JobChanged { job }),
        );
        effects.extend(
            ended_jobs
                .into_iter()
                .map(|(job, progress, ending)| Effect::JobEnded {
                    job,
                    completed: progress.completed,
                    failed: progress.failed,
                    ending,
                }),
        );
        let drained = drained.into_iter();
        effects.extend(drained.map(|session| Effect::Drained { session }));
        effects
    }
}

/// Whether `next` begins where `last` ends.
pub(crate) fn continues(last: AttemptRange, next: AttemptRange) -> bool {
    last.nonce == next.nonce && last.first.checked_add(last.count) == Some(next.first)
}

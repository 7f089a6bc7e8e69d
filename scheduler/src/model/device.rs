//! A worker as the scheduler meets it: it keeps what it was given until told to forget it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use shared::ids::{AttemptId, JobId, Nonce, SessionId, WorkerId};
use shared::time::Millis;
use shared::wire::{
    AttemptRange, Disposed, Held, RefusalReason, Refused, ResultBatch, ResultRow, ShardResult,
    Stage, to_ranges,
};

use super::jobs::Spec;
use crate::{Event, JobAssignment};

/// What reaches a device.
#[derive(Debug)]
pub(super) enum Inbound {
    Welcome {
        unknown: Vec<Nonce>,
    },
    Assign {
        nonce: Nonce,
        jobs: Vec<JobAssignment>,
    },
    Disposed(Vec<Disposed>),
    Revoke(Vec<AttemptRange>),
}

#[derive(Debug)]
enum Attempt {
    Waiting,
    Running { since: Millis },
    Finished(ShardResult),
    Gone,
}

#[derive(Debug)]
struct Leaf {
    ticket: Vec<JobAssignment>,
    attempts: Vec<(JobId, u64, Attempt)>,
}

/// What devices know of the work.
pub(super) struct Work<'a> {
    pub(super) now: Millis,
    pub(super) specs: &'a BTreeMap<JobId, Spec>,
    /// Flaky shards that have failed.
    pub(super) failed_once: &'a mut BTreeSet<(JobId, u64)>,
    /// How often deadly shards have killed.
    pub(super) kills: &'a mut BTreeMap<(JobId, u64), u32>,
}

impl Work<'_> {
    fn kills(&mut self, job: JobId, shard: u64) -> bool {
        let spec = &self.specs[&job];
        let kills = self.kills.entry((job, shard)).or_default();
        let is_fatal = spec.is_deadly(shard) && *kills < spec.kills;
        *kills += u32::from(is_fatal);
        is_fatal
    }
}

#[derive(Debug)]
pub(super) struct Device {
    pub(super) worker: WorkerId,
    pub(super) slots: u16,
    pub(super) credit: u32,
    pub(super) session: Option<SessionId>,
    pub(super) is_connected: bool,
    /// It was welcomed on this connection; before that it says nothing.
    pub(super) is_joined: bool,
    /// It neither works nor says anything.
    pub(super) is_frozen: bool,
    /// It beats, and never answers what it runs.
    pub(super) is_mute: bool,
    /// Jobs that its volunteer does not want.
    pub(super) unwanted: BTreeSet<JobId>,
    pub(super) inbox: VecDeque<Inbound>,
    pub(super) outbox: VecDeque<Event>,
    leaves: BTreeMap<Nonce, Leaf>,
    /// Leaves in the order in which they came.
    order: Vec<Nonce>,
}

impl Device {
    pub(super) const fn new(worker: WorkerId, slots: u16, credit: u32) -> Self {
        Self {
            worker,
            slots,
            credit,
            session: None,
            is_connected: false,
            is_joined: false,
            is_frozen: false,
            is_mute: false,
            unwanted: BTreeSet::new(),
            inbox: VecDeque::new(),
            outbox: VecDeque::new(),
            leaves: BTreeMap::new(),
            order: Vec::new(),
        }
    }

    /// The connection is gone, with all that was under way on it.
    pub(super) fn lose_connection(&mut self) {
        self.is_connected = false;
        self.is_joined = false;
        self.inbox.clear();
        self.outbox.clear();
    }

    /// The page was loaded anew: nothing is left.
    pub(super) fn reload(&mut self) {
        self.lose_connection();
        self.session = None;
        self.leaves.clear();
        self.order.clear();
    }

    pub(super) fn receive(&mut self, message: Inbound) {
        match message {
            Inbound::Welcome { unknown } => self.welcomed(&unknown),
            Inbound::Assign { nonce, jobs } => self.assigned(nonce, jobs),
            Inbound::Disposed(disposed) => {
                for entry in disposed {
                    self.forget(entry.range);
                }
            }
            Inbound::Revoke(ranges) => {
                for range in ranges {
                    self.forget(range);
                }
            }
        }
    }

    fn welcomed(&mut self, unknown: &[Nonce]) {
        self.is_joined = true;
        let session = self.session.expect("welcomed after hello");
        for nonce in unknown {
            if let Some(leaf) = self.leaves.get(nonce) {
                self.outbox.push_back(Event::TicketProved {
                    session,
                    nonce: *nonce,
                    jobs: leaf.ticket.clone(),
                });
            }
        }
        let finished: Vec<AttemptId> = self.attempts(|it| matches!(it, Attempt::Finished(_)));
        self.send_results(&finished);
    }

    fn assigned(&mut self, nonce: Nonce, ticket: Vec<JobAssignment>) {
        let attempts = ticket
            .iter()
            .flat_map(|job| job.shards.iter().map(|(shard, _)| (job.job, shard.0)))
            .map(|(job, shard)| (job, shard, Attempt::Waiting))
            .collect();
        self.leaves.insert(nonce, Leaf { ticket, attempts });
        self.order.push(nonce);
        self.refuse_unwanted();
    }

    /// Refuses what it holds of jobs that its volunteer does not want.
    pub(super) fn refuse_unwanted(&mut self) {
        let Some(session) = self.session.filter(|_| self.is_joined) else {
            return;
        };
        let unwanted = std::mem::take(&mut self.unwanted);
        let refused = self.attempts_of(|job, it| {
            unwanted.contains(&job) && matches!(it, Attempt::Waiting | Attempt::Running { .. })
        });
        self.unwanted = unwanted;
        let ranges = to_ranges(refused);
        for range in &ranges {
            self.forget(*range);
        }
        if !ranges.is_empty() {
            let refusals = ranges.into_iter().map(|range| Refused {
                range: Some(range),
                reason: RefusalReason::JobRefused,
            });
            let refusals = refusals.collect();
            self.outbox.push_back(Event::Refused { session, refusals });
        }
    }

    /// Its volunteer does not want a job of which it holds something.
    pub(super) fn turn_against_some_job(&mut self) {
        let held = self.leaves.values().flat_map(|leaf| &leaf.attempts);
        let waiting = held.filter(|(_, _, it)| matches!(it, Attempt::Waiting));
        let job = waiting.map(|(job, _, _)| *job).next();
        self.unwanted.extend(job);
        self.refuse_unwanted();
    }

    fn forget(&mut self, range: AttemptRange) {
        let Some(leaf) = self.leaves.get_mut(&range.nonce) else {
            return;
        };
        for index in range.indices() {
            if let Some((_, _, attempt)) = leaf.attempts.get_mut(index as usize) {
                *attempt = Attempt::Gone;
            }
        }
        let is_over = leaf
            .attempts
            .iter()
            .all(|(_, _, attempt)| matches!(attempt, Attempt::Gone));
        if is_over {
            self.leaves.remove(&range.nonce);
            self.order.retain(|nonce| *nonce != range.nonce);
        }
    }

    /// Finishes at most `most` runs that have lasted long enough, starts others, reports. False where
    /// a shard that it began killed it.
    pub(super) fn work(&mut self, work: &mut Work<'_>, most: usize) -> bool {
        if !self.start_waiting(work) {
            return false;
        }
        if self.is_mute {
            return true;
        }
        let finished = self.finish_running(work, most);
        self.send_results(&finished);
        self.start_waiting(work)
    }

    /// Shards that take no time need no slot.
    fn start_waiting(&mut self, work: &mut Work<'_>) -> bool {
        let since = work.now;
        let mut running = 0;
        for (job, _, attempt) in self.leaves.values().flat_map(|leaf| &leaf.attempts) {
            let is_running = matches!(attempt, Attempt::Running { .. });
            running += usize::from(is_running && work.specs[job].run_ms > 0);
        }
        for nonce in &self.order {
            let leaf = self.leaves.get_mut(nonce).expect("ordered leaves are held");
            for (job, shard, attempt) in &mut leaf.attempts {
                let takes_slot = work.specs[job].run_ms > 0;
                let has_room = !takes_slot || running < usize::from(self.slots);
                if has_room && matches!(attempt, Attempt::Waiting) {
                    if work.kills(*job, *shard) {
                        return false;
                    }
                    *attempt = Attempt::Running { since };
                    running += usize::from(takes_slot);
                }
            }
        }
        true
    }

    fn finish_running(&mut self, work: &mut Work<'_>, most: usize) -> Vec<AttemptId> {
        let mut finished = Vec::new();
        for nonce in &self.order {
            let leaf = self.leaves.get_mut(nonce).expect("ordered leaves are held");
            for ((job, shard, attempt), index) in leaf.attempts.iter_mut().zip(0..) {
                let Attempt::Running { since } = *attempt else {
                    continue;
                };
                let spec = &work.specs[job];
                if finished.len() == most || since.plus(spec.run_ms) > work.now {
                    continue;
                }
                let fails = spec.is_broken(*shard)
                    || (spec.is_flaky(*shard) && work.failed_once.insert((*job, *shard)));
                *attempt = Attempt::Finished(spec.result(*shard, fails));
                finished.push(AttemptId {
                    nonce: *nonce,
                    index,
                });
            }
        }
        finished
    }

    /// When the next run ends.
    pub(super) fn next_finish(&self, specs: &BTreeMap<JobId, Spec>) -> Option<Millis> {
        if self.is_mute {
            return None;
        }
        let attempts = self.leaves.values().flat_map(|leaf| &leaf.attempts);
        attempts
            .filter_map(|(job, _, attempt)| match attempt {
                Attempt::Running { since } => Some(since.plus(specs[job].run_ms)),
                Attempt::Waiting | Attempt::Finished(_) | Attempt::Gone => None,
            })
            .min()
    }

    pub(super) fn send_results(&mut self, attempts: &[AttemptId]) {
        let Some(session) = self.session.filter(|_| self.is_joined) else {
            return;
        };
        let batches: Vec<ResultBatch> = attempts
            .chunk_by(|a, b| a.nonce == b.nonce)
            .map(|of_leaf| ResultBatch {
                nonce: of_leaf[0].nonce,
                rows: of_leaf.iter().filter_map(|it| self.row(*it)).collect(),
            })
            .collect();
        if !batches.is_empty() {
            self.outbox.push_back(Event::Results { session, batches });
        }
    }

    fn row(&self, attempt: AttemptId) -> Option<ResultRow> {
        let leaf = self.leaves.get(&attempt.nonce)?;
        match &leaf.attempts.get(attempt.index as usize)?.2 {
            Attempt::Finished(result) => Some(ResultRow {
                index: attempt.index,
                result: result.clone(),
            }),
            Attempt::Waiting | Attempt::Running { .. } | Attempt::Gone => None,
        }
    }

    /// Results that were sent and not disposed of.
    pub(super) fn finished(&self) -> Vec<AttemptId> {
        self.attempts(|it| matches!(it, Attempt::Finished(_)))
    }

    /// Takes out up to `most` attempts that wait, to be refused.
    pub(super) fn drop_waiting(&mut self, most: usize) -> Vec<AttemptRange> {
        let mut waiting = self.attempts(|it| matches!(it, Attempt::Waiting));
        waiting.truncate(most);
        let ranges = to_ranges(waiting);
        for range in &ranges {
            self.forget(*range);
        }
        ranges
    }

    pub(super) fn held(&self) -> Vec<Held> {
        let stages = [
            (
                Stage::Queued,
                self.attempts(|it| matches!(it, Attempt::Waiting)),
            ),
            (
                Stage::Running,
                self.attempts(|it| matches!(it, Attempt::Running { .. })),
            ),
            (Stage::Finished, self.finished()),
        ];
        stages
            .into_iter()
            .flat_map(|(stage, attempts)| {
                to_ranges(attempts)
                    .into_iter()
                    .map(move |range| Held { range, stage })
            })
            .collect()
    }

    pub(super) fn holds_nothing(&self) -> bool {
        self.leaves.is_empty()
    }

    fn attempts(&self, filter: impl Fn(&Attempt) -> bool) -> Vec<AttemptId> {
        self.attempts_of(|_, attempt| filter(attempt))
    }

    fn attempts_of(&self, filter: impl Fn(JobId, &Attempt) -> bool) -> Vec<AttemptId> {
        let mut found = Vec::new();
        for (nonce, leaf) in &self.leaves {
            for ((job, _, attempt), index) in leaf.attempts.iter().zip(0..) {
                if filter(*job, attempt) {
                    found.push(AttemptId {
                        nonce: *nonce,
                        index,
                    });
                }
            }
        }
        found
    }
}

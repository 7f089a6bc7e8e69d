//! One executor as the pool knows it: the messages it was sent, and what it has not answered.
//!
//! It answers in the order in which it was asked, and reports what is finished at least every
//! [`FLUSH_MS`]; so the shard that runs is in the first unfinished message.

use std::collections::VecDeque;
use std::rc::Rc;

use shared::ids::{AttemptId, JobId};
use shared::time::Millis;
use shared::wire::ShardResult;

use crate::runtime::report::Outcome;
use crate::runtime::work::{COLUMNS, Load, Shard, Work};

/// A shard may have begun this long after the report before it, in milliseconds: what was finished
/// in between waits for the next report.
const FLUSH_MS: u64 = 10;
/// What messages and timers may take, in milliseconds.
const SLACK_MS: u64 = 20;
/// A deadline that is noticed later than this was slept through, in milliseconds.
const ASLEEP_MS: u64 = 1_000;

#[derive(Debug)]
enum Stage {
    Starting { since: Millis },
    Ready,
}

#[derive(Debug)]
struct Row {
    id: u64,
    attempt: AttemptId,
    shard: u64,
    units: u64,
    is_wanted: bool,
}

#[derive(Debug)]
struct Message {
    rows: VecDeque<Row>,
    size: usize,
}

#[derive(Debug)]
struct Assigned {
    job: JobId,
    is_single: bool,
    timeout_ms: u64,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Executor {
    stage: Stage,
    assigned: Option<Assigned>,
    messages: VecDeque<Message>,
    rows_sent: u64,
    /// Since when it has had work without a break.
    busy_since: Millis,
    /// When the message that runs was begun.
    message_began: Millis,
    /// The last sign of progress: a report, or the beginning of the message.
    progress: Millis,
}

/// Whether the shard that runs has had its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Overdue {
    Yes,
    No,
}

/// What a report contained.
#[derive(Debug)]
pub(super) struct Reported {
    pub(super) results: Vec<(AttemptId, ShardResult)>,
    /// Units of those that returned.
    pub(super) units: u64,
    /// Microseconds a shard, where a whole message came to its end.
    pub(super) pace: Option<(JobId, f64)>,
    /// Whether only rows were answered that were pending.
    pub(super) is_honest: bool,
}

/// Attempts that an executor left behind.
#[derive(Debug)]
pub(super) struct Unreported {
    /// The one that ran, where that is certain and it was still wanted.
    pub(super) culprit: Option<AttemptId>,
    pub(super) others: Vec<AttemptId>,
}

impl Executor {
    pub(super) const fn new(now: Millis) -> Self {
        Self {
            stage: Stage::Starting { since: now },
            assigned: None,
            messages: VecDeque::new(),
            rows_sent: 0,
            busy_since: now,
            message_began: now,
            progress: now,
        }
    }

    /// The job it belongs to; `None` for a spare.
    pub(super) fn job(&self) -> Option<JobId> {
        self.assigned.as_ref().map(|assigned| assigned.job)
    }

    /// The shard that runs; `None` in single runs, too.
    pub(super) fn shard(&self) -> Option<u64> {
        self.assigned.as_ref().filter(|it| !it.is_single)?;
        Some(self.messages.front()?.rows.front()?.shard)
    }

    pub(super) const fn busy_since(&self) -> Millis {
        self.busy_since
    }

    pub(super) fn timeout_ms(&self) -> u64 {
        self.assigned
            .as_ref()
            .map_or(0, |assigned| assigned.timeout_ms)
    }

    pub(super) fn is_busy(&self) -> bool {
        !self.messages.is_empty()
    }

    pub(super) const fn is_starting(&self) -> bool {
        matches!(self.stage, Stage::Starting { .. })
    }

    pub(super) const fn rows_sent(&self) -> u64 {
        self.rows_sent
    }

    pub(super) fn outstanding(&self) -> usize {
        self.messages.iter().map(|message| message.rows.len()).sum()
    }

    pub(super) const fn starting_since(&self) -> Option<Millis> {
        match self.stage {
            Stage::Starting { since } => Some(since),
            Stage::Ready => None,
        }
    }

    /// Since when it is warm and without work; `None` for spares.
    pub(super) fn idle_since(&self) -> Option<Millis> {
        (self.assigned.is_some() && !self.is_busy()).then_some(self.progress)
    }

    pub(super) const fn started(&mut self, now: Millis) {
        self.stage = Stage::Ready;
        self.busy_since = now;
        self.begin_message(now);
    }

    /// Queues work and returns the messages to post. Shards that were tried before go alone, so that
    /// one of them that fails again is known.
    pub(super) fn give(&mut self, now: Millis, work: Work) -> Vec<(Option<Rc<Load>>, Vec<f64>)> {
        if !self.is_busy() {
            self.busy_since = now;
            self.begin_message(now);
        }
        let is_single = work.load.parent_job_id.is_none();
        let mut load = self.assigned.is_none().then_some(work.load);
        self.assigned = Some(Assigned {
            job: work.job,
            is_single,
            timeout_ms: work.timeout_ms,
        });
        let is_together = |a: &Shard, b: &Shard| a.number == 1 && b.number == 1;
        work.shards
            .chunk_by(is_together)
            .map(|shards| (load.take(), self.queue_message(shards)))
            .collect()
    }

    fn queue_message(&mut self, shards: &[Shard]) -> Vec<f64> {
        let mut numbers = Vec::with_capacity(shards.len() * COLUMNS);
        let mut rows = VecDeque::with_capacity(shards.len());
        for shard in shards {
            let id = self.rows_sent;
            self.rows_sent += 1;
            numbers.extend(shard.row(id));
            rows.push_back(Row {
                id,
                attempt: shard.attempt,
                shard: shard.shard,
                units: shard.units.max(1),
                is_wanted: true,
            });
        }
        self.messages.push_back(Message {
            size: rows.len(),
            rows,
        });
        numbers
    }

    /// Takes in outcomes up to the first that was not pending.
    pub(super) fn take_outcomes(&mut self, now: Millis, outcomes: Vec<Outcome>) -> Reported {
        let mut reported = Reported {
            results: Vec::with_capacity(outcomes.len()),
            units: 0,
            pace: None,
            is_honest: true,
        };
        for outcome in outcomes {
            let Some(row) = self.take_row(outcome.id) else {
                reported.is_honest = false;
                break;
            };
            if row.is_wanted {
                if outcome.result.has_returned() {
                    reported.units += row.units;
                }
                reported.results.push((row.attempt, outcome.result));
            }
            if let Some(size) = self.take_finished_message() {
                let spent_us = now.since(self.message_began) as f64 * 1000.0;
                reported.pace = self.job().map(|job| (job, spent_us / size as f64));
                self.message_began = now;
            }
        }
        self.progress = now;
        reported
    }

    fn take_row(&mut self, id: u64) -> Option<Row> {
        let rows = &mut self.messages.front_mut()?.rows;
        if rows.front()?.id != id {
            return None;
        }
        rows.pop_front()
    }

    fn take_finished_message(&mut self) -> Option<usize> {
        self.messages
            .pop_front_if(|message| message.rows.is_empty())
            .map(|message| message.size)
    }

    const fn begin_message(&mut self, now: Millis) {
        self.message_began = now;
        self.progress = now;
    }

    /// When the shard that runs must have been reported.
    pub(super) fn deadline(&self) -> Option<Millis> {
        let message = self.messages.front().filter(|_| !self.is_starting())?;
        let limit = Some(self.timeout_ms()).filter(|ms| *ms > 0)?;
        let unseen = if message.size > 1 { FLUSH_MS } else { 0 };
        Some(self.progress.plus(limit).plus(unseen).plus(SLACK_MS))
    }

    /// Compares the deadline with `now`. One that is noticed far too late was slept through, as the
    /// executor has slept, and begins anew.
    pub(super) fn check_deadline(&mut self, now: Millis) -> Overdue {
        match self.deadline() {
            Some(deadline) if now.since(deadline) > ASLEEP_MS => {
                self.progress = now;
                Overdue::No
            }
            Some(deadline) if deadline <= now => Overdue::Yes,
            Some(_) | None => Overdue::No,
        }
    }

    /// Results of `attempts` are not wanted any more; whether there were any.
    pub(super) fn forget(&mut self, attempts: &[AttemptId]) -> bool {
        let mut is_hit = false;
        for row in self.messages.iter_mut().flat_map(|it| &mut it.rows) {
            if row.is_wanted && attempts.contains(&row.attempt) {
                row.is_wanted = false;
                is_hit = true;
            }
        }
        is_hit
    }

    /// Whether nothing in the message that runs is wanted.
    pub(super) fn is_running_unwanted(&self) -> bool {
        let front = self.messages.front();
        front.is_some_and(|message| message.rows.iter().all(|row| !row.is_wanted))
    }

    /// What it has not reported.
    pub(super) fn into_unreported(self) -> Unreported {
        let is_certain = self
            .messages
            .front()
            .is_some_and(|message| message.rows.len() == 1);
        let mut wanted = self
            .messages
            .into_iter()
            .flat_map(|message| message.rows)
            .map(|row| row.is_wanted.then_some(row.attempt));
        let culprit = if is_certain {
            wanted.next().flatten()
        } else {
            None
        };
        Unreported {
            culprit,
            others: wanted.flatten().collect(),
        }
    }
}

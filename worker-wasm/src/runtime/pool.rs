//! The executors of this tab: which runs what, until when, and who is to blame when one ends badly.
//!
//! Lives here: choosing an executor, sizing messages, deadlines, blame, replacement. Not here: the
//! ports (`sandbox`), the server (`shared::session`), the frame's pings (`heartbeat`). Pure: time is
//! an argument, and what is to be done comes out of [`Pool::next_command`].
//!
//! An executor belongs to one job, for what one shard leaves behind may spoil a later one, and that
//! is harmless only within a job. An attempt goes to an executor once: whatever ends without a
//! report goes back to the server instead of running again.

mod executor;
mod pace;
mod recent;

use std::collections::VecDeque;
use std::rc::Rc;

use shared::ids::{AttemptId, JobId};
use shared::time::Millis;
use shared::wire::{ResultStatus, ShardResult};

use executor::{Executor, Overdue, Unreported};
use pace::Pace;

use super::report::{ReadyReport, Report};
use super::work::{Load, Work};
use crate::small_map::SmallMap;

/// A terminated busy loop spins on for this long in Chromium, in milliseconds.
const SPIN_AFTER_KILL_MS: u64 = 2_000;
/// An executor, or a frame, that is not ready by then never will be, in milliseconds.
const START_TIMEOUT_MS: u64 = 15_000;
/// A warm executor without work is kept this long, in milliseconds.
const KEEP_IDLE_MS: u64 = 30_000;
/// A job is refused when this many of its executors have died here.
const MAX_DEATHS: u32 = 3;
/// Executors in a row that fail to start before the frame is blamed.
const MAX_FAILED_STARTS: u32 = 3;
/// A slot rests this long at most, in milliseconds: what seems to have run longer has mostly slept.
const MAX_REST_MS: u64 = 3_600_000;
/// What had work this recently counts as current, in milliseconds: short shards come and go.
const CURRENT_MS: u64 = 5_000;
/// Jobs that are current at most.
const MAX_CURRENT: usize = 4;
/// Shards after which an executor is replaced.
const MAX_ROWS: u64 = 50_000;

/// Names an executor towards the frame. Never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ExecutorId(pub(crate) u32);

/// What is to be done.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Command {
    /// Let the frame start an executor.
    Spawn(ExecutorId),
    /// Let the frame terminate it.
    Kill(ExecutorId),
    /// Send rows to it; the first time for a job with what they share.
    Post {
        executor: ExecutorId,
        load: Option<Rc<Load>>,
        rows: Vec<f64>,
    },
    /// Replace the frame, and every executor with it. Answered by [`Pool::frame_opened`].
    RebuildFrame,
    /// Results for the session.
    Finished(Vec<(AttemptId, ShardResult)>),
    /// Attempts that lost their executor through no fault that is known to be theirs.
    Interrupted(Vec<AttemptId>),
    /// This job has killed too many executors.
    RefuseJob(JobId),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Frame {
    Awaited { since: Millis },
    Open,
    Closed,
}

/// Why an executor is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Failure<'a> {
    TimedOut,
    Died(&'a str),
}

/// The executors of a tab: see the module.
#[derive(Debug)]
pub(crate) struct Pool {
    slots: usize,
    frame: Frame,
    executors: SmallMap<ExecutorId, Executor>,
    next_id: u32,
    /// Until when terminated executors may still burn a processor.
    spinning: Vec<Millis>,
    /// Share of its time that a slot may work, in percent.
    duty: u8,
    /// Until when slots rest from what they did.
    resting: Vec<Millis>,
    units: u64,
    current: SmallMap<JobId, Current>,
    failed_starts: u32,
    paces: SmallMap<JobId, Pace>,
    deaths: SmallMap<JobId, u32>,
    commands: VecDeque<Command>,
}

/// A job as it was given last.
#[derive(Debug)]
struct Current {
    load: Rc<Load>,
    at: Millis,
}

/// Where work may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Existing(ExecutorId),
    New,
}

impl Pool {
    /// A pool of `slots` that waits for its frame.
    pub(crate) fn new(slots: u16) -> Self {
        Self {
            slots: usize::from(slots),
            frame: Frame::Closed,
            executors: SmallMap::default(),
            next_id: 1,
            spinning: Vec::new(),
            duty: 100,
            resting: Vec::new(),
            units: 0,
            current: SmallMap::default(),
            failed_starts: 0,
            paces: SmallMap::default(),
            deaths: SmallMap::default(),
            commands: VecDeque::new(),
        }
    }

    /// What to do next; call it until it is `None` after every other call.
    pub(crate) fn next_command(&mut self) -> Option<Command> {
        self.commands.pop_front()
    }

    /// Executors that have work.
    fn busy(&self) -> usize {
        self.executors.values().filter(|it| it.is_busy()).count()
    }

    /// Shards that may run at the same time.
    pub(crate) fn slots(&self) -> u16 {
        u16::try_from(self.slots).expect("slots come as u16")
    }

    /// Changes the number of slots. What runs is not stopped.
    pub(crate) fn set_slots(&mut self, slots: u16) {
        self.slots = usize::from(slots);
    }

    /// Lets slots work for `duty` percent of their time, 1 to 100: after a shard they rest in
    /// proportion. What rests by another share goes on at once.
    pub(crate) fn set_duty(&mut self, duty: u8) {
        if self.duty != duty {
            self.duty = duty;
            self.resting.clear();
        }
    }

    /// Units of all shards that returned.
    pub(crate) const fn units(&self) -> u64 {
        self.units
    }

    /// The jobs at work, in the order in which they came, each with the shards that run.
    pub(crate) fn current(&self, now: Millis) -> Vec<(JobId, Vec<u64>)> {
        let jobs = self.current.iter();
        let jobs = jobs
            .filter(|(job, it)| now.since(it.at) < CURRENT_MS || self.is_running(*job))
            .map(|(job, _)| {
                let executors = self.executors.values();
                let own = executors.filter(|it| it.job() == Some(job));
                (job, own.filter_map(Executor::shard).collect())
            });
        jobs.collect()
    }

    /// What runs of `job`, while it does or has lately.
    pub(crate) fn load_of(&self, job: JobId) -> Option<&Load> {
        self.current.get(job).map(|it| &*it.load)
    }

    /// Keeps nothing of `job` warm.
    pub(crate) fn forget_job(&mut self, job: JobId) {
        let idle = self.executors.iter();
        let idle = idle.filter(|(_, it)| it.job() == Some(job) && !it.is_busy());
        let idle: Vec<ExecutorId> = idle.map(|(id, _)| id).collect();
        for id in idle {
            self.remove(id);
        }
        self.current.remove(job);
    }

    /// The frame takes commands.
    pub(crate) fn frame_opened(&mut self, now: Millis) {
        self.frame = Frame::Open;
        self.failed_starts = 0;
        self.keep_spare(now);
    }

    /// The frame does not answer: it is dead, and its executors with it. What ran is blamed where
    /// only one job did, and only if it was alone in its message.
    pub(crate) fn frame_lost(&mut self, now: Millis) {
        let jobs: Vec<JobId> = self.busy_jobs();
        let is_clear = jobs.len() == 1;
        for (_, executor) in std::mem::take(&mut self.executors) {
            let cause = Failure::Died("the sandbox stopped answering");
            self.settle(executor, is_clear.then_some(cause));
        }
        for job in jobs {
            self.note_death(job);
        }
        self.rebuild_frame(now);
    }

    /// Attempts of `job` that can be taken in; `None` where there is no room for it.
    pub(crate) fn room_for(&self, job: JobId) -> Option<usize> {
        self.place_for(job)?;
        Some(if self.is_suspect(job) {
            1
        } else {
            self.pace(job).chunk()
        })
    }

    /// Takes in work, for which [`Pool::room_for`] must have found room.
    pub(crate) fn give(&mut self, now: Millis, work: Work) {
        self.note_current(now, &work);
        let id = match self.place_for(work.job) {
            Some(Place::Existing(id)) if work.is_lone_retry() && self.is_used_and_idle(id) => {
                self.remove(id);
                self.spawn(now)
            }
            Some(Place::Existing(id)) => id,
            Some(Place::New) | None => self.spawn(now),
        };
        let executor = self.executors.get_mut(id).expect("chosen or just made");
        for (load, rows) in executor.give(now, work) {
            self.commands.push_back(Command::Post {
                executor: id,
                load,
                rows,
            });
        }
        self.trim_idle();
        self.keep_spare(now);
    }

    /// Takes in what an executor says.
    pub(crate) fn reported(&mut self, now: Millis, id: ExecutorId, report: Report) {
        match report {
            Report::Ready(ready) => self.ready(now, id, &ready),
            Report::Outcomes(outcomes) => {
                let Some(executor) = self.executors.get_mut(id) else {
                    return;
                };
                let (job, was_busy) = (executor.job(), executor.is_busy());
                let reported = executor.take_outcomes(now, outcomes);
                if let Some((job, per_shard_us)) = reported.pace {
                    recent::entry(&mut self.paces, job).observe(per_shard_us);
                }
                let is_idle = !executor.is_busy();
                let is_worn = executor.rows_sent() >= MAX_ROWS && is_idle;
                let busy_since = executor.busy_since();
                self.units = self.units.saturating_add(reported.units);
                if was_busy && is_idle {
                    self.rest(now, busy_since);
                }
                if let Some(current) = job.and_then(|job| self.current.get_mut(job)) {
                    current.at = now;
                }
                if !reported.results.is_empty() {
                    self.commands.push_back(Command::Finished(reported.results));
                }
                if !reported.is_honest {
                    self.died(now, id, "it answered what it was not asked");
                } else if is_worn {
                    self.remove(id);
                }
            }
        }
    }

    /// An executor broke, or said something that none of ours says.
    pub(crate) fn died(&mut self, now: Millis, id: ExecutorId, reason: &str) {
        let Some(executor) = self.remove(id) else {
            return;
        };
        if executor.is_starting() {
            self.failed_starts += 1;
        }
        let job = executor.job().filter(|_| executor.is_busy());
        self.settle(executor, Some(Failure::Died(reason)));
        if let Some(job) = job {
            self.note_death(job);
        }
        if self.failed_starts >= MAX_FAILED_STARTS {
            self.frame_lost(now);
        } else {
            self.keep_spare(now);
        }
    }

    /// Forgets attempts, and stops them where nothing else runs beside them.
    pub(crate) fn stop(&mut self, now: Millis, attempts: &[AttemptId]) {
        let mut idle_work = Vec::new();
        for (id, executor) in self.executors.iter_mut() {
            if executor.forget(attempts) && executor.is_running_unwanted() {
                idle_work.push(id);
            }
        }
        for id in idle_work {
            self.terminate(now, id, None);
        }
        self.keep_spare(now);
    }

    /// Acts on deadlines that have come.
    pub(crate) fn tick(&mut self, now: Millis) {
        self.spinning.retain(|until| *until > now);
        self.resting.retain(|until| *until > now);
        if self.frame_is_overdue(now) || self.start_is_overdue(now) {
            self.frame_lost(now);
            return;
        }
        for id in self.overdue(now) {
            self.terminate(now, id, Some(Failure::TimedOut));
        }
        self.drop_idle(now);
        self.keep_spare(now);
    }

    /// When [`Pool::tick`] is due.
    pub(crate) fn next_deadline(&self) -> Option<Millis> {
        let frame = match self.frame {
            Frame::Awaited { since } => Some(since.plus(START_TIMEOUT_MS)),
            Frame::Open | Frame::Closed => None,
        };
        let executors = self.executors.values().filter_map(|executor| {
            [
                executor.deadline(),
                executor
                    .starting_since()
                    .map(|at| at.plus(START_TIMEOUT_MS)),
                executor.idle_since().map(|at| at.plus(KEEP_IDLE_MS)),
            ]
            .into_iter()
            .flatten()
            .min()
        });
        executors
            .chain(frame)
            .chain(self.spinning.iter().copied())
            .chain(self.resting.iter().copied())
            .min()
    }

    fn ready(&mut self, now: Millis, id: ExecutorId, report: &ReadyReport) {
        let Some(executor) = self.executors.get_mut(id) else {
            return;
        };
        if !report.left.is_empty() {
            return self.died(now, id, "it could not be sealed");
        }
        executor.started(now);
        self.failed_starts = 0;
    }

    fn pace(&self, job: JobId) -> Pace {
        self.paces.get(job).copied().unwrap_or_default()
    }

    /// A job that has killed an executor runs one shard at a time and nothing beside it, so that the
    /// next death leaves no doubt.
    fn is_suspect(&self, job: JobId) -> bool {
        self.deaths.get(job).is_some_and(|deaths| *deaths > 0)
    }

    fn place_for(&self, job: JobId) -> Option<Place> {
        if self.frame != Frame::Open {
            return None;
        }
        let mut busy = self.executors.values().filter(|it| it.is_busy());
        if busy.any(|it| it.job().is_some_and(|job| self.is_suspect(job))) {
            return None;
        }
        if self.is_suspect(job) && self.busy() > 0 {
            return None;
        }
        if self.busy() + self.spinning.len() + self.resting.len() < self.slots {
            return Some(self.idle_for(job));
        }
        self.top_up_for(job).map(Place::Existing)
    }

    fn note_current(&mut self, now: Millis, work: &Work) {
        let (job, load) = (work.job, Rc::clone(&work.load));
        if self.current.get(job).is_none() && self.current.len() == MAX_CURRENT {
            self.current.forget_first();
        }
        self.current.insert(job, Current { load, at: now });
    }

    /// A slot that was busy rests, as the duty wants it.
    fn rest(&mut self, now: Millis, busy_since: Millis) {
        let duty = u64::from(self.duty);
        let rest_ms = now.since(busy_since).saturating_mul(100 - duty) / duty;
        if rest_ms > 0 {
            self.resting.push(now.plus(rest_ms.min(MAX_REST_MS)));
        }
    }

    fn idle_for(&self, job: JobId) -> Place {
        let find = |wanted: &dyn Fn(&Executor) -> bool| {
            let found = self
                .executors
                .iter()
                .find(|(_, it)| !it.is_busy() && wanted(it));
            found.map(|(id, _)| Place::Existing(id))
        };
        find(&|it| it.job() == Some(job))
            .or_else(|| find(&|it| it.job().is_none()))
            .unwrap_or(Place::New)
    }

    /// An executor that would soon wait for its next message; none where slots rest in between.
    fn top_up_for(&self, job: JobId) -> Option<ExecutorId> {
        if self.duty < 100 {
            return None;
        }
        let ahead = self.pace(job).rows_ahead();
        self.executors
            .iter()
            .filter(|(_, it)| it.is_busy() && it.job() == Some(job) && it.outstanding() <= ahead)
            .min_by_key(|(_, it)| it.outstanding())
            .map(|(id, _)| id)
    }

    fn is_used_and_idle(&self, id: ExecutorId) -> bool {
        let executor = self.executors.get(id);
        executor.is_some_and(|it| it.rows_sent() > 0 && !it.is_busy())
    }

    fn busy_jobs(&self) -> Vec<JobId> {
        let busy = self.executors.values().filter(|it| it.is_busy());
        busy.filter_map(Executor::job)
            .fold(Vec::new(), |mut jobs, job| {
                if !jobs.contains(&job) {
                    jobs.push(job);
                }
                jobs
            })
    }

    fn spawn(&mut self, now: Millis) -> ExecutorId {
        let id = ExecutorId(self.next_id);
        self.next_id += 1;
        self.executors.insert(id, Executor::new(now));
        self.commands.push_back(Command::Spawn(id));
        id
    }

    /// One executor without a job is kept ready: it saves a new job most of the start.
    fn keep_spare(&mut self, now: Millis) {
        let has_spare = self.executors.values().any(|it| it.job().is_none());
        if self.frame == Frame::Open && !has_spare {
            self.spawn(now);
        }
    }

    /// No more executors are kept warm than there are slots.
    fn trim_idle(&mut self) {
        let warm = self.executors.values().filter(|it| it.job().is_some());
        let surplus = warm.count().saturating_sub(self.slots);
        for _ in 0..surplus {
            let idle = self.executors.iter();
            let oldest = idle
                .filter_map(|(id, it)| it.idle_since().map(|since| (since, id)))
                .min_by_key(|(since, _)| *since);
            if let Some((_, id)) = oldest {
                self.remove(id);
            }
        }
    }

    fn drop_idle(&mut self, now: Millis) {
        let is_old = |it: &Executor| {
            it.idle_since()
                .is_some_and(|since| now.since(since) >= KEEP_IDLE_MS)
        };
        let old = self.executors.iter().filter(|(_, it)| is_old(it));
        let old: Vec<ExecutorId> = old.map(|(id, _)| id).collect();
        for id in old {
            self.remove(id);
        }
        let is_over = |it: &Current| now.since(it.at) >= KEEP_IDLE_MS;
        let over = self.current.iter().find(|(_, it)| is_over(it));
        if let Some((job, _)) = over.filter(|(job, _)| !self.is_running(*job)) {
            self.current.remove(job);
        }
    }

    fn is_running(&self, job: JobId) -> bool {
        let mut busy = self.executors.values().filter(|it| it.is_busy());
        busy.any(|it| it.job() == Some(job))
    }

    fn frame_is_overdue(&self, now: Millis) -> bool {
        matches!(self.frame, Frame::Awaited { since } if now.since(since) >= START_TIMEOUT_MS)
    }

    fn start_is_overdue(&self, now: Millis) -> bool {
        let mut starts = self.executors.values().filter_map(Executor::starting_since);
        starts.any(|since| now.since(since) >= START_TIMEOUT_MS)
    }

    fn overdue(&mut self, now: Millis) -> Vec<ExecutorId> {
        let checked = self.executors.iter_mut();
        checked
            .filter_map(|(id, it)| match it.check_deadline(now) {
                Overdue::Yes => Some(id),
                Overdue::No => None,
            })
            .collect()
    }

    /// Kills an executor that is busy. In Chromium it may spin on; when all slots do, only a new
    /// frame gives them back.
    fn terminate(&mut self, now: Millis, id: ExecutorId, cause: Option<Failure<'_>>) {
        let Some(executor) = self.remove(id) else {
            return;
        };
        self.rest(now, executor.busy_since());
        self.settle(executor, cause);
        self.spinning.push(now.plus(SPIN_AFTER_KILL_MS));
        if self.spinning.len() >= self.slots && self.busy() == 0 {
            self.rebuild_frame(now);
        }
    }

    fn remove(&mut self, id: ExecutorId) -> Option<Executor> {
        let executor = self.executors.remove(id)?;
        self.commands.push_back(Command::Kill(id));
        Some(executor)
    }

    fn rebuild_frame(&mut self, now: Millis) {
        self.executors.clear();
        self.spinning.clear();
        self.failed_starts = 0;
        self.frame = Frame::Awaited { since: now };
        self.commands.push_back(Command::RebuildFrame);
    }

    /// Reports what an executor that is gone had not. With a cause, the shard that was alone in the
    /// message that ran is blamed for it; everything else goes back without blame.
    fn settle(&mut self, executor: Executor, cause: Option<Failure<'_>>) {
        let timeout_ms = executor.timeout_ms();
        let Unreported { culprit, others } = executor.into_unreported();
        let mut blameless = others;
        match (cause, culprit) {
            (Some(cause), Some(culprit)) => {
                let result = failed_result(cause, timeout_ms);
                self.commands
                    .push_back(Command::Finished(vec![(culprit, result)]));
            }
            (None, Some(culprit)) => blameless.insert(0, culprit),
            (_, None) => {}
        }
        if !blameless.is_empty() {
            self.commands.push_back(Command::Interrupted(blameless));
        }
    }

    fn note_death(&mut self, job: JobId) {
        let deaths = recent::entry(&mut self.deaths, job);
        *deaths += 1;
        if *deaths == MAX_DEATHS {
            self.commands.push_back(Command::RefuseJob(job));
        }
    }
}

fn failed_result(cause: Failure<'_>, timeout_ms: u64) -> ShardResult {
    let (status, duration_us, message) = match cause {
        Failure::TimedOut => (
            ResultStatus::TimedOut,
            timeout_ms.saturating_mul(1000),
            "Execution timeout exceeded".to_owned(),
        ),
        Failure::Died(reason) => (
            ResultStatus::ExecutorFailed,
            0,
            ["Executor failed: ", reason].concat(),
        ),
    };
    ShardResult::failed(status, duration_us, message)
}

#[cfg(test)]
mod tests;

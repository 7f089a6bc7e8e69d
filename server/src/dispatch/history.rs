//! What became of the jobs: how many there are, and which changed last.
//!
//! Lives here: the times of running jobs, a line for each of the jobs that ended last, and counts of
//! all that ended. It is read from the store once, at start, and kept up to date by what the
//! scheduler says. Not here: how far running jobs are (`scheduler`), which is asked when somebody
//! looks.

use std::collections::{BTreeMap, VecDeque};

use scheduler::{Ending, JobProgress};
use shared::api::{IsoTime, JobCounters, JobMetrics, JobStatus, ShardProgress, TaskBrief};
use shared::ids::{JobId, WorkerId};
use shared::plan::Plan;
use shared::time::UnixMillis;

use super::tally::Moment;
use crate::standing;
use crate::store::{EndedJob, EndedJobs};

/// Jobs that are listed.
pub(crate) const MAX_LISTED: usize = 160;

/// A job that runs, as far as the scheduler does not know it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Brief {
    pub(super) task: TaskBrief,
    pub(super) plan: Plan,
    pub(super) created_at: UnixMillis,
}

#[derive(Debug, Default)]
pub(super) struct History {
    running: BTreeMap<JobId, Running>,
    /// The newest in front.
    ended: VecDeque<Ended>,
    done: u64,
    failed: u64,
    cancelled: u64,
    /// Completed shards of the jobs that ended.
    ended_shards: u64,
}

#[derive(Debug)]
struct Running {
    brief: Brief,
    updated_at: UnixMillis,
    /// Whose result was stored last.
    last_worker: Option<WorkerId>,
}

#[derive(Debug)]
struct Ended {
    line: JobMetrics,
    /// By the running time.
    kept_from: UnixMillis,
}

/// What there is to do, as [`History::report`] gathers it.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub(super) queue_depth: u64,
    pub(super) active_assignments: u64,
    pub(super) counters: JobCounters,
    pub(super) jobs: Vec<JobMetrics>,
}

impl History {
    pub(super) fn load(ended: EndedJobs) -> Self {
        Self {
            running: BTreeMap::new(),
            ended: ended.newest.into_iter().map(Ended::from).collect(),
            done: ended.done,
            failed: ended.failed,
            cancelled: ended.cancelled,
            ended_shards: ended.shards,
        }
    }

    pub(super) fn began(&mut self, job: JobId, brief: Brief, updated_at: UnixMillis) {
        let running = Running {
            brief,
            updated_at,
            last_worker: None,
        };
        self.running.insert(job, running);
    }

    pub(super) fn changed(&mut self, job: JobId, at: UnixMillis) {
        if let Some(running) = self.running.get_mut(&job) {
            running.updated_at = at;
        }
    }

    pub(super) fn brief(&self, job: JobId) -> Option<Brief> {
        self.running.get(&job).map(|running| running.brief)
    }

    /// A result of `worker` was stored.
    pub(super) fn contributed(&mut self, job: JobId, worker: &WorkerId) {
        if let Some(running) = self.running.get_mut(&job)
            && running.last_worker.as_ref() != Some(worker)
        {
            running.last_worker = Some(worker.clone());
        }
    }

    pub(super) fn ended(
        &mut self,
        job: JobId,
        completed: u64,
        failed_shards: u64,
        ending: Ending,
        at: Moment,
    ) {
        let Some(running) = self.running.remove(&job) else {
            return;
        };
        let brief = running.brief;
        *self.count_of(ending) += 1;
        if let Plan::Sharded(_) = brief.plan {
            self.ended_shards = self.ended_shards.saturating_add(completed);
        }
        let mut ended = Ended::from(EndedJob {
            job,
            created_at: brief.created_at,
            ended_at: at.wall,
            kept_from: at.running,
            task: brief.task,
            plan: brief.plan,
            completed,
            failed_shards,
            ending,
        });
        ended.line.assigned_worker_id = whole(brief.plan).and(running.last_worker);
        self.ended.push_front(ended);
        self.ended.truncate(MAX_LISTED);
    }

    /// Jobs that ended before `before`, by the running time, are listed no more.
    pub(super) fn remove_ended_before(&mut self, before: UnixMillis) {
        self.ended.retain(|ended| ended.kept_from >= before);
    }

    const fn count_of(&mut self, ending: Ending) -> &mut u64 {
        match ending {
            Ending::Done => &mut self.done,
            Ending::Failed => &mut self.failed,
            Ending::Cancelled => &mut self.cancelled,
        }
    }

    /// How all jobs stand. `holder` says which worker has a job that runs as a whole.
    pub(super) fn report<'a>(
        &self,
        progress: impl Iterator<Item = (JobId, JobProgress)>,
        has_workers: bool,
        holder: impl Fn(JobId) -> Option<&'a WorkerId>,
    ) -> Report {
        let mut report = Report::default();
        let mut newest = Vec::new();
        let counters = &mut report.counters;
        for (job, progress) in progress {
            let Some(running) = self.running.get(&job) else {
                continue;
            };
            report.queue_depth += progress.waiting;
            report.active_assignments += progress.in_flight;
            running.count(&progress, has_workers, counters);
            newest.push((running.updated_at, job, progress));
        }
        newest.sort_unstable_by_key(|(at, job, _)| std::cmp::Reverse((*at, *job)));
        newest.truncate(MAX_LISTED);
        counters.done = self.done;
        counters.failed = self.failed + self.cancelled;
        counters.cancelled_parents = self.cancelled;
        counters.visible_jobs += counters.done + counters.failed;
        counters.hidden_jobs = counters.hidden_jobs.saturating_add(self.ended_shards);
        counters.total_jobs = counters.visible_jobs.saturating_add(counters.hidden_jobs);
        let running = newest.into_iter().filter_map(|(_, job, progress)| {
            let running = self.running.get(&job)?;
            let assigned = whole(running.brief.plan).and_then(|()| holder(job));
            Some(running.line(job, &progress, has_workers, assigned.cloned()))
        });
        report.jobs = running
            .chain(self.ended.iter().map(|ended| ended.line.clone()))
            .collect();
        report
            .jobs
            .sort_by_key(|line| std::cmp::Reverse(line.updated_at));
        report.jobs.truncate(MAX_LISTED);
        report
    }
}

impl Running {
    fn count(&self, progress: &JobProgress, has_workers: bool, counters: &mut JobCounters) {
        counters.visible_jobs += 1;
        let (status, _) = standing::of_running(self.brief.plan, progress, has_workers);
        match status {
            JobStatus::Queued => counters.queued += 1,
            JobStatus::Running | JobStatus::Done | JobStatus::Failed => counters.running += 1,
        }
        counters.paused_parents += u64::from(progress.is_paused);
        if let Plan::Sharded(_) = self.brief.plan {
            counters.hidden_jobs = counters.hidden_jobs.saturating_add(progress.total);
            counters.hidden_queued = counters.hidden_queued.saturating_add(progress.waiting);
            counters.hidden_running += progress.in_flight;
        }
    }

    fn line(
        &self,
        job: JobId,
        progress: &JobProgress,
        has_workers: bool,
        assigned: Option<WorkerId>,
    ) -> JobMetrics {
        let plan = self.brief.plan;
        let (status, control_state) = standing::of_running(plan, progress, has_workers);
        JobMetrics {
            job_id: job,
            status,
            control_state,
            task: self.brief.task,
            execution_model: plan.into(),
            assigned_worker_id: assigned,
            created_at: IsoTime(self.brief.created_at),
            updated_at: IsoTime(self.updated_at),
            shards: shards(plan, progress.completed, progress.failed),
        }
    }
}

impl From<EndedJob> for Ended {
    fn from(job: EndedJob) -> Self {
        Self {
            kept_from: job.kept_from,
            line: line_of_ended(job),
        }
    }
}

fn line_of_ended(job: EndedJob) -> JobMetrics {
    let (status, control_state) = standing::of_ended(job.ending);
    JobMetrics {
        job_id: job.job,
        status,
        control_state,
        task: job.task,
        execution_model: job.plan.into(),
        assigned_worker_id: None,
        created_at: IsoTime(job.created_at),
        updated_at: IsoTime(job.ended_at),
        shards: shards(job.plan, job.completed, job.failed_shards),
    }
}

fn shards(plan: Plan, completed_shards: u64, failed_shards: u64) -> Option<ShardProgress> {
    match plan {
        Plan::Single => None,
        Plan::Sharded(sharding) => Some(ShardProgress {
            total_shards: sharding.total_shards(),
            completed_shards,
            failed_shards,
        }),
    }
}

/// Something for a job that runs as a whole.
const fn whole(plan: Plan) -> Option<()> {
    match plan {
        Plan::Single => Some(()),
        Plan::Sharded(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use shared::plan::Sharding;

    use super::*;

    fn job(number: u64) -> JobId {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&number.to_be_bytes());
        JobId::from_random(bytes)
    }

    fn at(ms: u64) -> Moment {
        Moment {
            mono: shared::time::Millis(ms),
            wall: UnixMillis(ms),
            running: UnixMillis(ms),
        }
    }

    fn brief(plan: Plan) -> Brief {
        Brief {
            task: TaskBrief::RunJs { timeout_ms: 0 },
            plan,
            created_at: UnixMillis(1),
        }
    }

    fn sharded(shards: u64) -> Plan {
        Plan::Sharded(Sharding::new(shards, 1).unwrap())
    }

    fn progress(total: u64, completed: u64, in_flight: u64) -> JobProgress {
        JobProgress {
            total,
            completed,
            failed: 0,
            in_flight,
            waiting: total - completed - in_flight,
            withheld: 0,
            obstacle: None,
            is_paused: false,
            started: in_flight > 0 || completed > 0,
        }
    }

    #[test]
    fn running_and_ended_jobs_and_their_shards_are_counted() {
        let mut history = History::load(EndedJobs {
            done: 5,
            failed: 2,
            cancelled: 1,
            shards: 100,
            newest: Vec::new(),
        });
        history.began(job(1), brief(sharded(10)), UnixMillis(1));
        history.began(job(2), brief(Plan::Single), UnixMillis(2));
        history.began(job(3), brief(sharded(7)), UnixMillis(3));
        history.ended(job(3), 7, 0, Ending::Done, at(4));
        let paused = JobProgress {
            is_paused: true,
            ..progress(10, 4, 2)
        };
        let now = [(job(1), paused), (job(2), progress(1, 0, 0))];
        let report = history.report(now.into_iter(), true, |_| None);
        let counters = JobCounters {
            total_jobs: 11 + 117,
            visible_jobs: 11,
            hidden_jobs: 100 + 7 + 10,
            queued: 1,
            running: 1,
            done: 6,
            failed: 3,
            paused_parents: 1,
            cancelled_parents: 1,
            hidden_queued: 4,
            hidden_running: 2,
        };
        assert_eq!(report.counters, counters);
        assert_eq!((report.queue_depth, report.active_assignments), (5, 2));
    }

    #[test]
    fn the_newest_are_listed_whether_they_run_or_have_ended() {
        let mut history = History::default();
        let all = 3 * MAX_LISTED as u64;
        for number in 0..all {
            history.began(job(number), brief(sharded(1)), UnixMillis(number));
        }
        for number in (0..all).filter(|number| number % 2 == 0) {
            history.ended(job(number), 1, 0, Ending::Done, at(number));
        }
        let running = (0..all).filter(|number| number % 2 == 1);
        let running = running.map(|number| (job(number), progress(1, 0, 1)));
        let report = history.report(running, true, |_| None);
        let listed: Vec<_> = report.jobs.iter().map(|line| line.job_id).collect();
        let newest: Vec<_> = (all - MAX_LISTED as u64..all).rev().map(job).collect();
        assert_eq!(listed, newest);
    }

    #[test]
    fn a_job_that_runs_as_a_whole_names_its_worker_to_the_end() {
        let mut history = History::default();
        let worker: WorkerId = "worker-1".parse().unwrap();
        history.began(job(1), brief(Plan::Single), UnixMillis(1));
        let now = [(job(1), progress(1, 0, 1))];
        let report = history.report(now.into_iter(), true, |_| Some(&worker));
        assert_eq!(report.jobs[0].assigned_worker_id, Some(worker.clone()));
        assert_eq!(report.jobs[0].shards, None);
        history.contributed(job(1), &worker);
        history.ended(job(1), 1, 0, Ending::Done, at(2));
        let report = history.report(std::iter::empty(), true, |_| None);
        assert_eq!(report.jobs[0].assigned_worker_id, Some(worker));
        assert_eq!(report.jobs[0].status, JobStatus::Done);
    }

    #[test]
    fn a_single_job_whose_worker_left_for_good_is_queued_again() {
        let mut history = History::default();
        history.began(job(1), brief(Plan::Single), UnixMillis(1));
        let left = JobProgress {
            started: true,
            ..progress(1, 0, 0)
        };
        let status = |has_workers| {
            let report = history.report([(job(1), left)].into_iter(), has_workers, |_| None);
            report.jobs[0].status
        };
        assert_eq!(status(false), JobStatus::Queued);
        assert_eq!(status(true), JobStatus::Running, "its result is on its way");
    }
}
